"""A real Dask cluster over hosts: the scheduler on the first, workers on all, started as their users start them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hosts import Host, Hosts, power_off

JOBS = Path(__file__).with_name("dask_jobs.py")


class Cluster:
    def __init__(self, hosts: Hosts, workers: int = 3, tls: bool = False, scheduler_on: int = 0,
                 workers_on: Sequence[int] | None = None, env: dict[str, str] | None = None,
                 preload: bool = False) -> None:  # fmt: skip
        self.hosts = hosts
        self.folder = Path(tempfile.mkdtemp(prefix="onecopy-dask-"))
        self.env = {
            "DASK_LOGGING__DISTRIBUTED": "warning",
            "DASK_LOGGING__ONECOPY": "info",
            "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "false",
            # Dask keeps the messages it sent last, for debugging, and with them what they refer to.
            "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "0",
            "DASK_ONECOPY__READ_TIMEOUT": "10s",
            **(env or {}),
        }
        self.security: list[str] = []
        protocol = "tcp"
        if tls:
            protocol = "tls"
            self._make_certificate()
        head = hosts[scheduler_on]
        self.address = f"{protocol}://{head.address}:8786"
        self.logs: list[Path] = []
        self.processes: list[subprocess.Popen[Any]] = []
        self._dask(head, ["scheduler", "--host", self.address, "--no-dashboard", "--no-show"], "scheduler")
        self.workers: dict[str, list[subprocess.Popen[Any]]] = {}
        for number in workers_on if workers_on is not None else range(len(hosts)):
            host = hosts[number]
            self.workers[host.name] = [
                self._dask(host, ["worker", self.address, "--host", f"{protocol}://{host.address}", "--nthreads", "1",
                                  "--no-nanny", "--no-dashboard", "--name", f"{host.name}-{i}",
                                  "--local-directory", str(self.folder / f"{host.name}-{i}"),
                                  *(["--preload", "onecopy.dask"] if preload else [])], f"{host.name}-{i}")
                for i in range(workers)
            ]  # fmt: skip
        self.count = sum(map(len, self.workers.values()))
        try:
            self.job("wait_for_workers", count=self.count, timeout=180)
        except BaseException:
            print(self.log()[-4000:])
            self.close()
            raise

    def _make_certificate(self) -> None:
        both = self.folder / "both.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=onecopy",
             "-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "cert.pem")],
            check=True, capture_output=True,
        )  # fmt: skip
        both.write_text((self.folder / "key.pem").read_text() + (self.folder / "cert.pem").read_text())
        certificate, key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
        self.security = ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]
        self.env["ONECOPY_TEST_CERTIFICATE"] = certificate
        self.env["ONECOPY_TEST_KEY"] = key

    def _dask(self, host: Host, words: list[str], name: str) -> subprocess.Popen[Any]:
        log = self.folder / f"{name}.log"
        self.logs.append(log)
        with log.open("w") as out:
            process = host.start(
                [sys.executable, "-m", "dask", words[0], *words[1:], *self.security],
                env=self.env, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def job(self, name: str, *, on: int = 0, timeout: float = 120, **arguments: Any) -> Any:
        """Runs a function of dask_jobs.py as a client's process on a host; returns what it returned."""
        out = self.hosts[on].run(self.job_command(name, arguments), env=self.env, timeout=timeout)
        return json.loads(out.splitlines()[-1])

    def begin_job(self, name: str, *, on: int = 0, **arguments: Any) -> subprocess.Popen[Any]:
        return self.hosts[on].start(
            self.job_command(name, arguments), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def answer(self, process: subprocess.Popen[Any], timeout: float = 150) -> Any:
        out, err = process.communicate(timeout=timeout)
        assert process.returncode == 0, err
        return json.loads(out.splitlines()[-1])

    def job_command(self, name: str, arguments: dict[str, Any]) -> list[str]:
        return [sys.executable, str(JOBS), name, self.address, json.dumps(arguments)]

    def fetcher(self, host: Host) -> int:
        return host.receiver()

    def log(self) -> str:
        return "\n".join(f"---- {log.name}\n{log.read_text()}" for log in self.logs)

    def close(self) -> None:
        for process in self.processes:
            power_off(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is not None:
            print(self.log()[-8000:])
        self.close()
