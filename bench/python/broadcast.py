"""Dask over several hosts, three workers on each: one array to all of them, as a shared object and as Dask does it.

The hosts are namespaces of this machine with links of 1 Gbit/s, which is what bounds either way here; figures of a
cluster whose network is faster will show the processors more.

ONECOPY_BENCH_LARGE=1 sends 1 GB to 2 hosts and 400 MB to 4, once each way: Dask's own way has a copy in each worker,
8 GB in all, and takes minutes. Dask's active memory manager is off in that case: it drops copies that nobody waits for
while the broadcast is making them, and with transfers of more than its 2 s the broadcast never ends.
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench" / "support"), str(ROOT / "tests" / "hosts")]
import hosts as namespaces  # noqa: E402

import bench  # noqa: E402

WORKERS = bench.sized(3, 1)
LARGE = os.environ.get("ONECOPY_BENCH_LARGE") == "1" and not bench.TINY


def compare(count):
    from dask_cluster import Cluster

    megabytes = {2: 1000, 4: 400}[count] if LARGE else bench.sized(50, 1)
    received = {True: [], False: []}

    settings = {"DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "false"} if LARGE else {}

    with namespaces.Hosts(count, shm=f"{1000 + megabytes}m") as hosts, Cluster(hosts, WORKERS, env=settings) as cluster:
        for host in hosts:
            host.slow("1gbit")

        def run(shared, megabytes=megabytes):
            with namespaces.traffic(hosts) as seen:
                done = cluster.job("broadcast", megabytes=megabytes, shared=shared, timeout=900)
            assert done["right"]
            received[shared].append(sum(seen.values()))
            return done["seconds"]

        if LARGE:
            for shared in (True, False):  # imports and connections
                run(shared, megabytes=1)
            seconds = {"ours": [run(True)], "baseline": [run(False)]}
        else:
            seconds = bench.interleaved(3, lambda: run(True), lambda: run(False))
    what = f"{bench.size(megabytes * 1_000_000)} from a client to {count} hosts x {WORKERS} workers"
    against = "client.scatter(array, broadcast=True)"
    # The first run of each brings imports and connections along, as the first of interleaved() does.
    bench.row(f"broadcast-{count}-hosts", f"Dask: {what}, until all have summed it", "s", against, seconds)
    bench.row(f"broadcast-{count}-hosts-bytes", f"Dask: {what}: bytes over all links", "bytes", against,
              {"ours": received[True][1:], "baseline": received[False][1:]},
              bench.at_most(1.1 * megabytes * 1e6 * count + 2e6))


def main():
    reason = namespaces.reason_not()
    if not reason:
        try:
            import distributed  # noqa: F401
        except ImportError:
            reason = "distributed is not installed"
    for count in bench.sized([2, 4], [2]):
        if reason:
            bench.not_run(f"broadcast-{count}-hosts", f"Dask: an array to {count} hosts", reason)
        else:
            compare(count)


if __name__ == "__main__":
    main()
