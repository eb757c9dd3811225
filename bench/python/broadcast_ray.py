"""Ray over two hosts, three workers on each: one array to all of them, as a shared object and in Ray's own store.

Ray keeps one copy on each node, too; what differs is where it lies, and that shared objects are the same for processes
that are not Ray's. The hosts are namespaces of this machine with links of 1 Gbit/s. ONECOPY_BENCH_LARGE=1 sends 1 GB.
"""
import importlib.util
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench" / "support"), str(ROOT / "tests" / "hosts")]
import hosts as namespaces  # noqa: E402

import bench  # noqa: E402

WORKERS = bench.sized(3, 1)
LARGE = os.environ.get("ONECOPY_BENCH_LARGE") == "1" and not bench.TINY
MEGABYTES = 1000 if LARGE else bench.sized(50, 1)
JOB = """
import gc

def broadcast(megabytes, shared):
    data = numbers(megabytes)
    total = float(data.sum())
    began = time.monotonic()
    x = onecopy.share(data) if shared else data
    del data
    reference = ray.put(x)
    seen = ray.get([look.options(scheduling_strategy=on(h)).remote(reference) for h in nodes for _ in range(WORKERS)])
    seconds = time.monotonic() - began
    assert len({host for host, *_ in seen}) == len(nodes) and all(abs(s - total) < 1e-6 for _, _, s, _ in seen)
    assert all(is_shared == shared for _, is_shared, _, _ in seen)
    return seconds

for shared in (True, False):  # processes and imports
    broadcast(0.5, shared)
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(broadcast(MEGABYTES, json.loads(line))), flush=True)
    gc.collect()
"""


def compare():
    from test_ray_hosts import Cluster

    room = MEGABYTES * 1_300_000 + 80_000_000
    received = {True: [], False: []}
    with namespaces.Hosts(2, shm=f"{3 * MEGABYTES + 400}m") as hosts:
        cluster = Cluster(hosts, cpus=WORKERS, store=room)
        try:
            driver = cluster.begin(JOB.replace("WORKERS", str(WORKERS)).replace("MEGABYTES", str(MEGABYTES)))
            assert driver.stdout.readline() == "ready\n", driver.stderr.read()
            for host in hosts:
                host.slow("1gbit")

            def run(shared):
                with namespaces.traffic(hosts) as seen:
                    driver.stdin.write(json.dumps(shared) + "\n")
                    driver.stdin.flush()
                    seconds = json.loads(driver.stdout.readline())
                received[shared].append(sum(seen.values()))
                return seconds

            if LARGE:
                seconds = {"ours": [run(True)], "baseline": [run(False)]}
            else:
                seconds = bench.interleaved(3, lambda: run(True), lambda: run(False))
                received = {shared: counts[1:] for shared, counts in received.items()}
            namespaces.power_off(driver)
        finally:
            cluster.close()
    what = f"{bench.size(MEGABYTES * 1_000_000)} from a driver to 2 hosts x {WORKERS} tasks"
    bench.row("ray-2-hosts", f"Ray: {what}, until all have summed it", "s", "ray.put(array)", seconds)
    bench.row("ray-2-hosts-bytes", f"Ray: {what}: bytes over all links", "bytes", "ray.put(array)",
              {"ours": received[True], "baseline": received[False]}, bench.at_most(1.1 * MEGABYTES * 1e6 + 2e6))


def main():
    reason = namespaces.reason_not()
    if not reason and importlib.util.find_spec("ray") is None:
        reason = "ray is not installed"
    if reason:
        bench.not_run("ray-2-hosts", "Ray: an array to 2 hosts", reason)
    else:
        compare()


if __name__ == "__main__":
    main()
