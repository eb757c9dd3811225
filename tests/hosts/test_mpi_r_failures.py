"""MPI and R's clusters over hosts of which one ends, is cut off or has no room: an error soon, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts import Host, Hosts, wait_until
from remote_shell import RemoteShell
from test_mpi_r_hosts import missing_in_r, settings

MB = 1_000_000
MEGABYTES = 30
RANKS = """
import sys
import numpy as np
import onecopy, onecopy.mpi
from mpi4py import MPI

comm = MPI.COMM_WORLD
data = np.random.default_rng(1).random({megabytes} * 125_000) if comm.rank == 0 else None
total = comm.bcast(None if data is None else float(data.sum()))
right = onecopy.mpi.bcast(data).sum() == total
if comm.reduce(int(right)) == comm.size:
    print("all right", flush=True)
"""
CLUSTER = """
addresses <- strsplit(Sys.getenv("ADDRESSES"), ",")[[1]]
cl <- parallel::makePSOCKcluster(rep(addresses, each = 2), master = addresses[1], rshcmd = Sys.getenv("REMOTE_SHELL"),
                                 homogeneous = TRUE, useXDR = FALSE)
invisible(parallel::clusterCall(cl, function() loadNamespace("onecopy")))
x <- onecopy::share(as.numeric(seq_len({megabytes} * 125000)))
input <- file("stdin", "r")
cat("ready\\n")
invisible(readLines(input, 1))
said <- tryCatch({
  x <- onecopy::shareCluster(cl, x, timeout = 4)
  all(unlist(parallel::clusterCall(cl, sum, x)) == sum(x))
}, error = function(e) paste(class(e)[1L], conditionMessage(e)))
cat("said:", said, "\\n")
# The workers of the other hosts can still be spoken to, and have nothing.
left <- function() {
  gc()
  onecopy::collectSharedMemory()
  nrow(onecopy::listSharedObjects())
}
cat("left:", unlist(parallel::clusterCall(cl[3:4], left)), "\\n")
invisible(readLines(input, 1))
invisible(try(for (i in seq_along(cl)) try(parallel::stopCluster(cl[i]), silent = TRUE)))
cat("ended\\n")
"""


def nothing_left(hosts: list[Host], word: str) -> None:
    """No process of the job, no object and no memory of one that was never completed."""
    for host in hosts:
        wait_until(lambda host=host: host.processes(word) == 0, 60, f"the end of all of the job on {host.name}")
        host.collect()
        assert [name for name in host.store() if len(name) == 32] == []
        assert host.shared_memory() < 4 * MB, host.name


# ------------------------------------------------------------------------------------------------ MPI


@contextlib.contextmanager
def mpi_job(hosts: Hosts, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Two ranks on each host. mpirun asks its daemons for a sign of life after 3 s of silence."""
    program = folder / "mpi_job_ranks.py"
    program.write_text(RANKS.format(megabytes=MEGABYTES))
    (folder / "hostfile").write_text("".join(f"{host.address} slots=2\n" for host in hosts))
    alive = {"oob_tcp_keepalive_time": "3", "oob_tcp_keepalive_intvl": "1", "oob_tcp_keepalive_probes": "3"}
    mca = {"plm_rsh_no_tree_spawn": "1", "btl": "self,tcp", "btl_tcp_if_include": "eth0", "oob_tcp_if_include": "eth0",
           "mpi_yield_when_idle": "1", "orte_tmpdir_base": str(folder), **alive}  # fmt: skip
    with RemoteShell(hosts, settings()) as shell:
        job = hosts[0].start(
            ["mpirun", "--allow-run-as-root", "--hostfile", str(folder / "hostfile"), "--map-by", "node", "-n",
             str(2 * len(hosts)), "--mca", "plm_rsh_agent", str(shell.path),
             *[word for name, value in mca.items() for word in ("--mca", name, value)], sys.executable, str(program)],
            env=settings(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            yield job
        finally:
            job.kill()


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
@pytest.mark.parametrize("trouble", ["a killed receiver", "a cut link"])
def test_mpi_ends_with_an_error(tmp_path: Path, trouble: str) -> None:
    with Hosts(3) as hosts, mpi_job(hosts, tmp_path) as job:
        hosts[0].slow("80mbit")
        victim = wait_until(lambda: hosts[1].receiver() or job.poll() is not None, 100, what="a broadcast")
        if trouble == "a cut link":
            hosts[1].cut()
        elif victim is not True:
            os.kill(victim, signal.SIGKILL)
        out, _ = job.communicate(timeout=100)
        assert job.returncode != 0 and victim is not True and "all right" not in out, out
        assert ("communication" in out) if trouble == "a cut link" else ("signal 9" in out), out
        nothing_left(list(hosts), "mpi_job_ranks")  # the cut host's too: its daemon has missed the others as well


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
def test_mpi_where_a_store_is_too_small(tmp_path: Path) -> None:
    """Anonymous memory takes what the store's file system has no room for."""
    with Hosts(2, shm="20m") as hosts, mpi_job(hosts, tmp_path) as job:
        out, _ = job.communicate(timeout=100)
        assert job.returncode == 0 and "all right" in out, out
        nothing_left(list(hosts), "mpi_job_ranks")


# ------------------------------------------------------------------------------------------------ R


@contextlib.contextmanager
def r_cluster(hosts: Hosts, folder: Path) -> Iterator[Callable[..., Any]]:
    """A master on the first host, two workers on each. The result sends it a line, or waits for one of its."""
    program = folder / "cluster.R"
    program.write_text(CLUSTER.replace("{megabytes}", str(MEGABYTES)))
    with RemoteShell(hosts, settings()) as shell:
        env = {**settings(), "REMOTE_SHELL": str(shell.path), "ADDRESSES": ",".join(host.address for host in hosts)}
        log = folder / "r.log"
        with log.open("w") as out:
            master = hosts[0].start(["Rscript", "--vanilla", str(program)], env=env, stdin=subprocess.PIPE, stdout=out,
                                    stderr=out, text=True)  # fmt: skip
        assert master.stdin is not None

        def talk(send: str = "", wait_for: str = "") -> str:
            if send:
                assert master.stdin is not None
                master.stdin.write(send + "\n")
                master.stdin.flush()

            def lines() -> list[str]:
                return [line for line in log.read_text().splitlines() if line.startswith(wait_for)]

            if wait_for:
                wait_until(lambda: lines() or master.poll() is not None, 120, f"{wait_for!r} of R: {log.read_text()}")
                assert lines(), log.read_text() + shell.log()
            return lines()[0] if wait_for else ""

        try:
            yield talk
        finally:
            with contextlib.suppress(OSError):
                master.stdin.close()
            master.kill()


@pytest.mark.skipif(bool(missing_in_r()), reason=missing_in_r() or "-")
@pytest.mark.parametrize("trouble", ["a killed worker", "a cut link", "a dead host"])
def test_r_gives_a_lost_worker_up(tmp_path: Path, trouble: str) -> None:
    with Hosts(3) as hosts, r_cluster(hosts, tmp_path) as talk:
        talk(wait_for="ready")
        hosts[0].slow("80mbit")
        talk(send="go")
        receiver = wait_until(hosts[2].receiver, 60, what="a transfer")
        if trouble == "a killed worker":
            os.kill(receiver, signal.SIGKILL)
        elif trouble == "a cut link":
            hosts[2].cut()
        else:
            hosts[2].kill()
        said = talk(wait_for="said:")
        assert "onecopy_peer_closed" in said and "Worker 5 of the cluster is lost" in said, said
        assert talk(wait_for="left:").split() == ["left:", "0", "0"], "the hosts that go on have nothing of it"
        if trouble == "a cut link":
            hosts[2].mend()
        talk(send="end", wait_for="ended")
        nothing_left([host for host in hosts if trouble != "a dead host" or host is not hosts[2]], "workRSOCK")


@pytest.mark.skipif(bool(missing_in_r()), reason=missing_in_r() or "-")
def test_r_where_a_store_is_too_small(tmp_path: Path) -> None:
    with Hosts(2, shm="20m") as hosts, r_cluster(hosts, tmp_path) as talk:
        talk(wait_for="ready")
        talk(send="go")
        assert talk(wait_for="said:") == "said: TRUE "
        assert talk(wait_for="left:").split() == ["left:", "1", "1"]
