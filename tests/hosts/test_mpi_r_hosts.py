"""MPI and R's clusters over four hosts: the bytes on the interfaces, the memory of each host."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hosts import Hosts, traffic
from remote_shell import RemoteShell

MEGABYTES = 24
RANKS = """
import json, os
import numpy as np
import onecopy, onecopy.mpi
from mpi4py import MPI

comm = MPI.COMM_WORLD
elements = {megabytes} * 125_000
data = np.random.default_rng(1).random(elements) if comm.rank == 0 else None
total = comm.bcast(None if data is None else float(data.sum()))
got = onecopy.mpi.bcast(data)
comm.Barrier()  # a rank may have its object before the next one attaches
entries = onecopy.ls()
comm.Barrier()
mine = dict(host=os.uname().nodename, right=bool(got.sum() == total), objects=len(entries), holders=entries[0].holders,
            groups=onecopy.mpi.hosts())
every = comm.gather(mine)
if comm.rank == 0:
    print(json.dumps(every))
"""
CLUSTER = """
addresses <- strsplit(Sys.getenv("ADDRESSES"), ",")[[1]]
cl <- parallel::makePSOCKcluster(rep(addresses, each = 3), master = addresses[1], rshcmd = Sys.getenv("REMOTE_SHELL"),
                                 homogeneous = TRUE, useXDR = FALSE)
cat("ready\\n")
invisible(readLines(file("stdin"), 1))
x <- onecopy::shareCluster(cl, as.numeric(seq_len({megabytes} * 125000)))
look <- function(x) list(Sys.info()[["nodename"]], sum(x), onecopy::is.shared(x), nrow(onecopy::listSharedObjects()))
out <- parallel::clusterCall(cl, look, x)
out <- c(out, parallel::parLapply(cl, 1:24, function(i, x, look) look(x), x, look))
future::plan(future::cluster, workers = cl)
out <- c(out, future.apply::future_lapply(1:24, function(i) look(x)))
right <- vapply(out, function(o) identical(o[-1], list(sum(x), TRUE, 1L)), NA)
cat(all(right), length(unique(vapply(out, `[[`, "", 1L))), length(out), "\\n")
invisible(readLines(file("stdin"), 1))
"""


def settings() -> dict[str, str]:
    return {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OPENBLAS_NUM_THREADS": "1"}


def counts_once_per_host(hosts: Hosts, seen: dict[str, int]) -> None:
    size = MEGABYTES * 1_000_000
    others = sum(seen[host.name] for host in hosts[1:])
    assert others >= size * (len(hosts) - 1)
    assert sum(seen.values()) <= 1.1 * size * len(hosts), seen
    for host in hosts:
        assert size <= host.shared_memory() <= 1.3 * size + 8_000_000, "one copy, and what MPI itself keeps there"


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
def test_mpi_on_four_hosts(four: Hosts, tmp_path: Path) -> None:
    program = tmp_path / "ranks.py"
    program.write_text(RANKS.format(megabytes=MEGABYTES))
    (tmp_path / "hostfile").write_text("".join(f"{host.address} slots=3\n" for host in four))
    with RemoteShell(four, settings()) as shell, traffic(four) as seen:
        out = four[0].run(
            ["mpirun", "--allow-run-as-root", "--hostfile", str(tmp_path / "hostfile"), "--map-by", "node", "-n", "12",
             "--mca", "plm_rsh_agent", str(shell.path), "--mca", "plm_rsh_no_tree_spawn", "1",
             "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "eth0", "--mca", "oob_tcp_if_include", "eth0",
             "--mca", "mpi_yield_when_idle", "1",
             "--mca", "orte_tmpdir_base", str(tmp_path), sys.executable, str(program)],
            env=settings(), timeout=150,
        )  # fmt: skip
    ranks: list[dict[str, Any]] = json.loads(out.splitlines()[-1])
    assert all(rank["right"] for rank in ranks)
    assert sorted(rank["host"] for rank in ranks) == sorted(host.name for host in four for _ in range(3))
    assert all(rank["objects"] == 1 and rank["holders"] == 3 for rank in ranks)
    assert sorted(map(len, ranks[0]["groups"])) == [3, 3, 3, 3]
    size = MEGABYTES * 1_000_000
    assert size * 3 <= sum(seen.values()) <= 1.1 * size * len(four), seen
    for host in four:
        host.collect()
        assert [name for name in host.store() if len(name) == 32] == []


def missing_in_r() -> str:
    if shutil.which("Rscript") is None:
        return "there is no Rscript"
    needed = "q(status = !all(nzchar(sapply(c('onecopy', 'future.apply'), function(p) system.file(package = p)))))"
    done = subprocess.run(["Rscript", "--vanilla", "-e", needed], capture_output=True)
    return "" if done.returncode == 0 else "R has not the packages onecopy and future.apply"


@pytest.mark.skipif(bool(missing_in_r()), reason=missing_in_r() or "-")
def test_a_socket_cluster_of_r_on_four_hosts(four: Hosts, tmp_path: Path) -> None:
    program = tmp_path / "cluster.R"
    program.write_text(CLUSTER.replace("{megabytes}", str(MEGABYTES)))
    with RemoteShell(four, settings()) as shell:
        env = {**settings(), "REMOTE_SHELL": str(shell.path), "ADDRESSES": ",".join(host.address for host in four)}
        master = four[0].start(["Rscript", "--vanilla", str(program)], env=env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert master.stdin is not None and master.stdout is not None
        try:
            assert master.stdout.readline() == "ready\n", shell.log()
            with traffic(four) as seen:
                master.stdin.write("go\n")
                master.stdin.flush()
                said = master.stdout.readline()
            assert said.split() == ["TRUE", "4", "60"], said + shell.log()
            counts_once_per_host(four, seen)
        finally:
            master.stdin.close()
            master.kill()
            master.wait()
    for host in four:
        host.collect()
        assert [name for name in host.store() if len(name) == 32] == []
