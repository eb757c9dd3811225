"""Dask's workers on this machine use shared objects like any task argument: handles travel, the data stays.

Asked for since https://github.com/dask/dask/issues/2594 and https://github.com/dask/distributed/issues/4497.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import onecopy

distributed = pytest.importorskip("distributed", reason="Dask's distributed is not installed")


@pytest.fixture(autouse=True)
def nothing_stays_held() -> None:
    """Instead of the check of the same name: Dask's client lets go of arguments and results in its own time."""


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def where_it_lies(x: Any) -> tuple[int, bool, float]:
    return os.getpid(), onecopy.is_shared(x), float(x.sum())


def test_arguments_are_handles(client):
    shared = onecopy.share(np.arange(1_000_000.0))
    seen = client.gather([client.submit(where_it_lies, shared, pure=False) for _ in range(6)])
    assert all(is_shared and total == shared.sum() for _, is_shared, total in seen)
    assert os.getpid() not in {pid for pid, _, _ in seen}


def test_scattered_objects_and_closures(client):
    shared = onecopy.share(np.arange(100_000.0))
    future = client.scatter(shared, broadcast=True)
    assert client.submit(where_it_lies, future).result()[1:] == (True, shared.sum())
    assert client.submit(lambda i: float(shared[i]), 7).result() == 7.0


def test_frames_and_nested_objects(client):
    frame = onecopy.share(pd.DataFrame({"n": np.arange(10_000.0), "s": ["x", "y"] * 5_000}))

    def means(given: dict[str, Any]) -> Any:
        return given["frames"][0].groupby("s").n.mean().to_dict()

    assert client.submit(means, {"frames": [frame]}).result() == {"x": 4999.0, "y": 5000.0}


def test_results_come_back_shared(client):
    back = client.submit(lambda n: onecopy.share(np.full(n, 3.0)), 50_000).result()
    assert onecopy.is_shared(back) and (back == 3).all()


def over_a_comm(x: Any) -> tuple[dict[str, Any], list[Any]]:
    """As Dask's comms serialize: they say who talks to whom."""
    return distributed.protocol.serialize(x, context={"sender": {}, "recipient": {}})


def test_messages_are_small_and_carry_what_is_there_now():
    shared = onecopy.share(np.arange(1_000_000.0))
    header, frames = over_a_comm(shared)
    assert sum(len(frame) for frame in frames) < 400
    assert np.shares_memory(distributed.protocol.deserialize(header, frames), shared)
    mine = onecopy.attach(onecopy.handle(shared), writable="private")
    mine[0] = -1.0
    back = distributed.protocol.deserialize(*over_a_comm(mine))
    assert back[0] == -1 and back[1] == 1, "what was changed privately travels as it is now"


def test_dask_counts_only_private_bytes():
    import pyarrow as pa
    from dask.sizeof import sizeof

    shared = onecopy.share(np.arange(1_000_000.0))
    assert sizeof(shared) < 1000 and sizeof(shared[::2]) < 1000
    assert sizeof(np.array(shared)) == shared.nbytes and sizeof([shared, shared]) < 2000
    plain = pd.DataFrame({"n": np.arange(100_000.0), "s": ["x", "y"] * 50_000})
    frame = onecopy.share(plain)
    assert sizeof(frame) < 10_000 < 800_000 < sizeof(plain)
    assert sizeof(frame.n) < 10_000
    assert 100_000 <= sizeof(frame.assign(own=np.zeros(100_000, "i1"))) < 120_000, "a column of its own counts"
    table = pa.table(plain)
    assert sizeof(onecopy.share(table)) < 10_000 < sizeof(table)
    assert python_counts_the_same_in_another_order()


def python_counts_the_same_in_another_order() -> bool:
    """Whichever of the libraries Dask meets first."""
    code = """
import numpy as np, pandas as pd
from dask.sizeof import sizeof
sizeof(pd.DataFrame({"a": [1]}))
import onecopy, distributed
assert sizeof(onecopy.share(pd.DataFrame({"n": np.arange(100_000.0)}))) < 10_000
"""
    return subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_what_is_spilled_to_disk_is_data(tmp_path):
    """A handle on disk would lead nowhere once its object has ended."""
    from distributed.protocol import deserialize_bytes, serialize_bytelist
    from distributed.spill import SpillBuffer

    array = onecopy.share(np.arange(100_000.0))
    frame = onecopy.share(pd.DataFrame({"n": np.arange(50_000.0), "s": ["x", "y"] * 25_000}))
    assert sum(map(len, serialize_bytelist(array))) > array.nbytes
    buffer = SpillBuffer(str(tmp_path), target=10**9)
    buffer["array"], buffer["frame"], buffer["nested"] = array, frame, {"of": [1, [array]]}
    while buffer.fast:
        buffer.evict()
    on_disk = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert on_disk > 2 * array.nbytes + 400_000
    for thing in (array, frame):
        onecopy.free(thing)
    assert (buffer["array"] == np.arange(100_000.0)).all()
    assert buffer["frame"].n.sum() == sum(range(50_000)) and set(buffer["frame"].s) == {"x", "y"}
    assert (buffer["nested"]["of"][1][0] == array).all()
    assert (deserialize_bytes(b"".join(serialize_bytelist(array))) == array).all()


def test_lambdas_do_not_make_copies_of_what_they_use(client):
    """Dask tries three picklers in turn; the second asks the class registry, with no context."""
    from distributed.protocol.pickle import dumps

    shared = onecopy.share(np.arange(1_000_000.0))
    assert len(dumps((lambda: shared.sum(), shared))) < 4000


def test_an_unknown_version_of_dask_is_a_warning(python):
    code = """
import warnings, distributed
import onecopy, onecopy._hosts.dask_hooks, dask.sizeof
del dask.sizeof.sizeof
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    onecopy._hosts.dask_hooks.register()
print([str(w.message) for w in seen if "onecopy" in str(w.message)])
"""
    assert "like any others" in python(code)


def test_onecopy_may_be_imported_before_dask(python):
    code = """
import onecopy, numpy
x = onecopy.share(numpy.arange(100000.0))
from distributed.protocol import serialize
print(sum(len(f) for f in serialize(x, context={})[1]))
"""
    assert int(python(code)) < 400
    assert python("import onecopy, sys; print('dask' in sys.modules, 'distributed' in sys.modules)").split() == [
        "False",
        "False",
    ]


def test_dask_arrays_and_frames_have_shared_partitions(client):
    import dask.array as da
    import dask.dataframe as dd

    shared = onecopy.share(np.arange(200_000.0))
    whole = da.from_array(shared, chunks=50_000)
    assert whole.sum().compute() == shared.sum()
    kept = whole.map_blocks(lambda block: onecopy.share(block * 2)).persist()
    assert (kept + 1).sum().compute() == 2 * shared.sum() + shared.size
    blocks = {part.key for part in distributed.futures_of(kept)}
    held = client.run(lambda dask_worker: [onecopy.is_shared(v) for k, v in dask_worker.data.items() if k in blocks])
    assert sum(map(len, held.values())) == 4 and all(map(all, held.values()))
    frame = onecopy.share(pd.DataFrame({"n": np.arange(10_000), "s": ["x", "y"] * 5_000}))
    parts = dd.from_pandas(frame, npartitions=4).map_partitions(onecopy.share).persist()
    assert parts.groupby("s").n.sum().compute().to_dict() == frame.groupby("s").n.sum().to_dict()


def test_a_gone_object_is_an_error_of_the_task_not_of_the_worker(client):
    text = onecopy.handle(onecopy.share(np.arange(10_000.0)), lease=0)
    with pytest.raises(onecopy.NotFound):
        client.submit(lambda h: onecopy.attach(h).sum(), text).result()
    assert client.submit(lambda: 1).result() == 1


def test_who_leaves_while_joining_does_not_stay():
    from onecopy._hosts.depot import Depot

    go, ended = threading.Event(), threading.Event()

    class Slow:
        owner, scheduler, address = "worker", "tcp://10.0.0.1:1", "tcp://10.0.0.2:1"

        async def begin(self, serve):
            while not go.is_set():
                await asyncio.sleep(0.01)

        async def end(self):
            ended.set()

    depot = Depot()
    for when in ("before", "after"):
        go.clear(), ended.clear()
        joining = depot.join(Slow())
        if when == "after":
            go.set()
            joining.result(30)
            assert len(depot.homes) == 1
        depot.leave("worker")
        go.set()
        assert ended.wait(30) and not depot.homes and not depot.joining
