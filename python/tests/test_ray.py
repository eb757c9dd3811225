"""Ray moves shared objects as handles: in `ray.put`, in the arguments and results of tasks, in the state of actors."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import onecopy

pytest.importorskip("ray", reason="ray is not installed")

BIG = 2_000_000  # doubles


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of this machine, with the smallest store that Ray makes."""
    wanted = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)  # read when the module is imported
    import ray as module

    folder = tempfile.mkdtemp(prefix="oc-ray-", dir="/tmp")  # short: the paths of its sockets have a limit
    module.init(num_cpus=2, object_store_memory=80_000_000, include_dashboard=False, logging_level="ERROR",
                log_to_driver=False, _temp_dir=folder)
    try:
        yield module
    finally:
        module.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def stored(ray: Any, reference: Any) -> int:
    """Bytes of an object in Ray's own store."""
    size: int = ray.experimental.get_object_locations([reference])[reference]["object_size"]
    return size


@pytest.fixture(scope="module")
def look(ray: Any) -> Any:
    """A task that says what it was given, and what reading it cost the worker. A closure: it travels by value."""

    @ray.remote
    def look(x: Any) -> dict[str, Any]:
        import gc
        import os
        import re

        import numpy as np

        import onecopy

        def private() -> int:
            gc.collect()
            with open("/proc/self/smaps_rollup") as file:
                return 1024 * int(re.search(r"Anonymous:\s+(\d+)", file.read())[1])

        np.ones(100_000).sum()
        before = private()
        total = float(x.sum()) if isinstance(x, np.ndarray) else 0.0
        return {"shared": onecopy.is_shared(x), "type": type(x).__name__, "total": total, "grown": private() - before,
                "pid": os.getpid()}

    return look


def test_put_and_get(ray):
    shared = onecopy.share(np.arange(float(BIG)))
    reference = ray.put(shared)
    assert stored(ray, reference) < 1000 < shared.nbytes
    assert stored(ray, ray.put(np.arange(float(BIG)))) > shared.nbytes  # so that the line above can fail
    got = ray.get(reference)
    assert onecopy.is_shared(got) and np.shares_memory(got, onecopy.attach(onecopy.handle(shared)))
    assert onecopy.handle(got) == onecopy.handle(shared)


@pytest.mark.parametrize("how", ["itself", "reference", "inside a list"])
def test_arguments(ray, look, how):
    shared = onecopy.share(np.arange(float(BIG)))
    if how == "inside a list":
        @ray.remote
        def first(items):
            return onecopy.is_shared(items[0]), items[0].sum()
        assert ray.get(first.remote([shared])) == (True, shared.sum())
        return
    said = ray.get(look.remote(ray.put(shared) if how == "reference" else shared))
    assert said["shared"] and said["type"] == "SharedArray" and said["total"] == shared.sum()
    assert said["pid"] != os.getpid()
    assert said["grown"] < shared.nbytes / 4  # it has read all of it and owns none


def test_frames_slices_and_containers(ray, look):
    frame = onecopy.share(pd.DataFrame({"n": np.arange(50_000.0), "s": ["a", "b"] * 25_000}))
    assert ray.get(look.remote(frame))["shared"]
    got = ray.get(ray.put(frame))
    assert onecopy.is_shared(got)
    pd.testing.assert_frame_equal(got, frame)
    whole = onecopy.share(np.arange(float(BIG)))
    reference = ray.put(whole[10:-10:3])
    assert stored(ray, reference) < 1000
    assert (ray.get(reference) == np.arange(float(BIG))[10:-10:3]).all()
    tree = onecopy.share({"weights": [np.ones(10_000), np.zeros(10_000)], "label": "net"})
    assert stored(ray, ray.put(tree)) < 1000 and ray.get(ray.put(tree))["label"] == "net"


def test_results_outlive_the_worker_that_made_them(ray):
    @ray.remote
    class Maker:
        def make(self, n):
            import numpy as np

            import onecopy

            self.made = onecopy.share(np.full(n, 7.0))
            return self.made


    maker = Maker.remote()
    reference = maker.make.remote(BIG)
    result = ray.get(reference)
    assert onecopy.is_shared(result) and stored(ray, reference) < 1000
    ray.kill(maker)
    assert (result == 7.0).all() and (onecopy.attach(onecopy.handle(result)) == 7.0).all()


def test_actors_write_to_one_array_under_one_lock(ray):
    @ray.remote
    class Adder:
        def __init__(self, totals, lock):
            self.totals, self.lock = totals, lock

        def add(self, times):
            for _ in range(times):
                with self.lock:
                    self.totals[0] += 1

    totals, lock = onecopy.empty(4, "i8"), onecopy.Lock()
    adders = [Adder.remote(totals, lock) for _ in range(2)]
    ray.get([adder.add.remote(500) for adder in adders])
    assert totals[0] == 1000
    for adder in adders:
        ray.kill(adder)


def test_by_value_stores_the_data(ray):
    """For objects that shall outlive this process, or go to another machine."""
    shared = onecopy.share(np.arange(100_000.0))
    with onecopy.by_value():
        reference = ray.put(shared)
    assert stored(ray, reference) > shared.nbytes
    got = ray.get(reference)
    assert not onecopy.is_shared(got) and (got == shared).all()


def test_what_is_gone_does_not_break_the_task(ray):
    @ray.remote
    def use(x):
        return "missing" if onecopy.is_missing(x) else float(x.sum())

    shared = onecopy.share(np.arange(50_000.0))
    reference = ray.put(shared)
    onecopy.free(shared)
    del shared
    gc.collect()
    assert ray.get(use.remote(reference)) == "missing"
    with pytest.raises(onecopy.NotFound):
        ray.get(reference).sum()
