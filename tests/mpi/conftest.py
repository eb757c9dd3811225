"""Real mpirun, several stores on one machine that stand for hosts, and a count of the bytes between the ranks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 150  # seconds
HEAD = """
import json, os, sys
rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
place = json.loads(os.environ["RANKS_PLACES"])[rank]
os.environ["ONECOPY_DIR"] = os.path.join(os.environ["RANKS_BASE"], f"host{place}")
import numpy as np
import onecopy, onecopy.mpi
from mpi4py import MPI
comm = MPI.COMM_WORLD


def report(**found):
    with open(os.path.join(os.environ["RANKS_BASE"], f"rank{rank}.json"), "w") as out:
        json.dump(found, out)


def failure(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


def bytes_so_far():
    # All ranks have a network of their own, in which only they speak.
    comm.Barrier()
    with open("/proc/net/dev") as lines:
        sent = next(int(line.split()[9]) for line in lines if line.strip().startswith("lo:"))
    comm.Barrier()
    return sent
"""


def counting_possible() -> bool:
    tried = subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True)
    return tried.returncode == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("mpirun") is None:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="there is no mpirun"))


class Ranks:
    """Runs programs as ranks of one job; which of them share a host is said by `places`."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def store(self, place: int) -> Path:
        return self.base / f"host{place}"

    def stores(self) -> list[Path]:
        return sorted(self.base.glob("host*"))

    def command(self, places: list[int], program: list[str]) -> list[str]:
        for place in set(places):
            self.store(place).mkdir(mode=0o700, exist_ok=True)
        return ["mpirun", "--allow-run-as-root", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1",
                "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "lo", "--mca", "orte_tmpdir_base",
                str(self.base), "-n", str(len(places)), *program]  # fmt: skip

    def environment(self, places: list[int]) -> dict[str, str]:
        return dict(os.environ, RANKS_BASE=str(self.base), RANKS_PLACES=json.dumps(places), OMP_NUM_THREADS="1",
                    OPENBLAS_NUM_THREADS="1")

    @contextlib.contextmanager
    def start(self, places: list[int], program: list[str], counted: bool = False) -> Iterator[subprocess.Popen[str]]:
        command = self.command(places, program)
        if counted:
            command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
        job = subprocess.Popen(command, env=self.environment(places), start_new_session=True, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            yield job
        finally:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
            job.communicate()

    def __call__(self, code: str, places: list[int], counted: bool = False) -> list[Any]:
        """What each rank reports. The job must end well, and leave nothing."""
        script = self.base / "program.py"
        script.write_text(HEAD + code)
        for old in self.base.glob("rank*.json"):
            old.unlink()
        self.run(places, [sys.executable, str(script)], counted)
        return [json.loads((self.base / f"rank{rank}.json").read_text()) for rank in range(len(places))]

    def run(self, places: list[int], program: list[str], counted: bool = False) -> str:
        with self.start(places, program, counted) as job:
            output, _ = job.communicate(timeout=PATIENCE)
        assert job.returncode == 0, output
        return output

    def left(self) -> list[str]:
        """Names of objects that are left in any store, once what nobody holds was collected."""
        found = []
        for store in self.stores():
            code = "import onecopy; onecopy.gc(); print([e.id for e in onecopy.ls()])"
            done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ, ONECOPY_DIR=str(store)),
                                  capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            found += json.loads(done.stdout.replace("'", '"'))
        return found


@pytest.fixture
def ranks() -> Iterator[Ranks]:
    base = Path(tempfile.mkdtemp(prefix="onecopy-mpi-", dir="/dev/shm"))
    yield Ranks(base)
    shutil.rmtree(base, ignore_errors=True)


def wait_until(what: str, done: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, f"never came true: {what}"
        time.sleep(0.05)
