"""Ray over three hosts: `ray.put(shared)` and task arguments as on one machine, and one copy on each node."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts import Hosts, power_off, traffic, wait_until

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
MB = 1_000_000
HEAD = """
import json, os, sys, time
import numpy as np, ray, onecopy
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

ray.init(address="10.77.0.1:6379", _node_ip_address="10.77.0.1", logging_level="ERROR", log_to_driver=False)
names = {f"10.77.0.{i + 1}": f"host{i}" for i in range(9)}
nodes = {names[node["NodeManagerAddress"]]: node["NodeID"] for node in ray.nodes() if node["Alive"]}


def on(host):
    return On(nodes[host], soft=False)


def numbers(megabytes, seed=1):
    return np.random.default_rng(seed).random(int(megabytes * 125_000))


@ray.remote
def look(x):
    import os, onecopy
    objects = [entry for entry in onecopy.ls() if not entry.mutable]  # not the lock of a fetch
    return os.environ["ONECOPY_HOST"], onecopy.is_shared(x), float(x.sum()), len(objects)


@ray.remote
def make(megabytes, seed):
    import onecopy
    make.kept = onecopy.share(numbers(megabytes, seed))
    return make.kept


def failure(reference):
    try:
        return ["no error", str(ray.get(reference, timeout=90))]
    except ray.exceptions.RayTaskError as error:
        return [type(error.cause).__name__, str(error.cause)]
"""


class Cluster:
    def __init__(self, hosts: Hosts, cpus: int = 2, store: int = 80_000_000) -> None:
        self.hosts = hosts
        self.folder = Path(tempfile.mkdtemp(prefix="oc-ray-", dir="/tmp"))  # short: its sockets' paths have a limit
        self.env = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "ONECOPY_RAY_TIMEOUT": "5",
                    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_enable_metrics_collection": "0"}  # fmt: skip
        self.processes: list[subprocess.Popen[Any]] = []
        for host in hosts:
            words = ["--address=10.77.0.1:6379"]
            # Its sockets lie where the head says: each host needs such a folder of its own.
            host.run(["sh", "-c", f"mkdir -p {self.folder}/t && mount -t tmpfs none {self.folder}/t"])
            if not host.number:
                words = ["--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={self.folder}/t"]
            log = (self.folder / f"{host.name}.log").open("w")
            self.processes.append(host.start(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *words, f"--node-ip-address={host.address}",
                 f"--num-cpus={cpus}", f"--object-store-memory={store}", "--disable-usage-stats", "--block"],
                env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL))  # fmt: skip
            if not host.number:
                self._started(self.folder / "host0.log")
        for host in hosts[1:]:
            self._started(self.folder / f"{host.name}.log")

    def _started(self, log: Path) -> None:
        wait_until(lambda: "Ray runtime started" in log.read_text() or "Error" in log.read_text(), 120, "Ray's start")
        assert "Ray runtime started" in log.read_text(), log.read_text()

    def begin(self, code: str) -> subprocess.Popen[str]:
        return self.hosts[0].start([sys.executable, "-c", HEAD + code], env=self.env, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def answer(self, driver: subprocess.Popen[str]) -> Any:
        try:
            out, err = driver.communicate(timeout=150)
        finally:
            power_off(driver)
        assert driver.returncode == 0, err
        return json.loads(out.splitlines()[-1])

    def job(self, code: str) -> Any:
        return self.answer(self.begin(code))

    def close(self) -> None:
        for process in self.processes:
            power_off(process)
        self.hosts.close()  # all that Ray has started on them
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Hosts(3) as hosts:
        cluster = Cluster(hosts)
        try:
            yield cluster
        finally:
            cluster.close()


def test_one_copy_on_each_node_and_each_byte_once(cluster: Cluster) -> None:
    with traffic(cluster.hosts) as received:
        seen = cluster.job("""
x = onecopy.share(numbers(40))
reference = ray.put(x)
looks = [look.options(scheduling_strategy=on(h)).remote(a) for h in nodes for a in (reference, x, reference, x)]
in_rays_store = ray.experimental.get_object_locations([reference])[reference]["object_size"]
print(json.dumps([ray.get(looks), float(x.sum()), in_rays_store]))
""")
    looks, total, in_rays_store = seen
    assert len(looks) == 12 and in_rays_store < 1000
    assert sorted({host for host, *_ in looks}) == ["host0", "host1", "host2"]
    for host, shared, value, objects in looks:
        assert shared and abs(value - total) < 1e-6 and objects == 1, host
    size = 40 * MB
    others = received["host1"] + received["host2"]
    assert 2 * size < others and sum(received.values()) < 1.1 * 2 * size + 4 * MB, received


def test_whatever_holds_it_arrives(cluster: Cluster) -> None:
    """Closures, frames, slices, containers; results made elsewhere; actors with and without an event loop."""
    assert cluster.job("""
import pandas as pd

array, other = onecopy.share(numbers(2, 2)), onecopy.share(numbers(2, 3))
frame = onecopy.share(pd.DataFrame({"n": np.arange(200_000.0), "s": ["x", "y"] * 100_000}))
tree = onecopy.share({"a": numbers(1, 4), "b": ["text", 1, None]})


@ray.remote
def task(given):
    import onecopy
    return [float(other.sum()), float(given["piece"].sum()), float(given["frame"].n.sum()), given["frame"].s[7],
            float(given["tree"]["a"].sum()), given["tree"]["b"], onecopy.is_shared(given["frame"])]


class Plain:
    def __init__(self, x):
        self.x = x

    def total(self, y):
        return float(self.x.sum() + y.sum())


class Waiting(Plain):
    async def total(self, y):
        return float(self.x.sum() + y.sum())


given = {"piece": array[::2], "frame": frame, "tree": tree}
wrong = []
for host in ("host1", "host2"):
    got = ray.get(task.options(scheduling_strategy=on(host)).remote(given), timeout=90)
    right = [float(other.sum()), float(array[::2].sum()), float(np.arange(200_000.0).sum()), "y",
             float(tree["a"].sum()), ["text", 1, None]]
    if got != [*right, True]:
        wrong.append(got)
    for kind in (Plain, Waiting):
        fresh = onecopy.share(numbers(1, 5))
        actor = ray.remote(kind).options(scheduling_strategy=on(host)).remote(array)
        if abs(ray.get(actor.total.remote(fresh), timeout=90) - float(array.sum() + fresh.sum())) > 1e-6:
            wrong.append([host, kind.__name__])
made = make.options(scheduling_strategy=on("host2")).remote(3, 6)
total = float(numbers(3, 6).sum())
looked = ray.get(look.options(scheduling_strategy=on("host1")).remote(made), timeout=90)
here = ray.get(made, timeout=90)
wrong += [] if looked[:2] == ("host1", True) and looked[2] == float(here.sum()) else [looked]
wrong += [] if onecopy.is_shared(here) and abs(float(here.sum()) - total) < 1e-6 else ["result"]
print(json.dumps(wrong))
""") == []


def test_what_cannot_cross_and_what_is_gone_is_an_error_of_the_task(cluster: Cluster) -> None:
    writable, gone = cluster.job("""
x = onecopy.empty(1000, "f8", mutable=True)
said = [failure(look.options(scheduling_strategy=on("host1")).remote(x))]
x = onecopy.share(numbers(2, 7))
reference = ray.put(x)
onecopy.free(onecopy.handle(x))
print(json.dumps([*said, failure(look.options(scheduling_strategy=on("host1")).remote(reference))]))
""")
    assert writable[0] == "WrongHost" and "can be written to" in writable[1], writable
    assert gone[0] == "NotFound" and "the object is gone" in gone[1], gone


def test_a_fetcher_that_dies_is_followed_by_another(cluster: Cluster) -> None:
    host0, host1, _ = cluster.hosts
    host0.slow("160mbit")
    try:
        driver = cluster.begin("""
x = onecopy.share(numbers(60, 8))
looks = ray.get([look.options(scheduling_strategy=on("host1")).remote(x) for _ in range(2)], timeout=120)
print(json.dumps([abs(value - float(x.sum())) < 1e-6 and host == "host1" for host, _, value, _ in looks]))
""")
        fetcher = wait_until(lambda: host1.receiver() or driver.poll() is not None, 100, what="a fetch")
        assert fetcher is not True, "the driver ended before"
        os.kill(fetcher, signal.SIGKILL)
        assert cluster.answer(driver) == [True, True]
    finally:
        host0.slow("40gbit")


def test_a_cut_link_is_an_error_and_no_hang(cluster: Cluster) -> None:
    _, host1, host2 = cluster.hosts
    host2.slow("80mbit")
    driver = cluster.begin("""
made = make.options(scheduling_strategy=on("host2")).remote(60, 9)
ray.wait([made], timeout=60)
print(json.dumps(failure(look.options(scheduling_strategy=on("host1"), max_retries=0).remote(made))))
""")
    assert wait_until(lambda: host1.receiver() or driver.poll() is not None, 100, what="a fetch") is not True
    host2.cut()
    try:
        kind, message = cluster.answer(driver)
    finally:
        host2.mend()
        host2.slow("40gbit")
    assert kind == "WrongHost" and "nobody could send it" in message, (kind, message)


def test_nothing_is_left_behind(cluster: Cluster) -> None:
    """Its jobs have ended, and their workers and actors with them."""
    for host in cluster.hosts[:2]:

        def left(host: Any = host) -> str:
            host.collect()
            # Mutable ones keep their leases elsewhere than where collect() ends them.
            return host.run([sys.executable, "-c", "import onecopy; print([e for e in onecopy.ls() if not e.mutable])"])

        with contextlib.suppress(AssertionError):
            wait_until(lambda left=left: left() == "[]\n", 60)
        assert left() == "[]\n", host.name
