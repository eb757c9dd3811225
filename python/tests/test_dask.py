"""Dask's workers on this machine use shared objects like any task argument: handles travel, the data stays.

Asked for since https://github.com/dask/dask/issues/2594 and https://github.com/dask/distributed/issues/4497.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import onecopy
import pandas as pd
import pytest

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


def test_dask_counts_only_private_bytes_and_sends_few():
    from dask.sizeof import sizeof
    from distributed.protocol import deserialize, serialize

    shared = onecopy.share(np.arange(1_000_000.0))
    assert sizeof(shared) < 1000
    header, frames = serialize(shared)
    assert sum(len(frame) for frame in frames) < 400
    assert np.shares_memory(deserialize(header, frames), shared)
    mine = onecopy.attach(onecopy.handle(shared), writable="private")
    mine[0] = -1.0
    back = deserialize(*serialize(mine))
    assert back[0] == -1 and back[1] == 1, "what was changed privately travels as it is now"


def test_onecopy_may_be_imported_before_dask(python):
    code = (
        "import onecopy, numpy; x = onecopy.share(numpy.arange(100000.0)); from distributed.protocol import serialize;"
    )
    assert int(python(code + "print(sum(len(f) for f in serialize(x)[1]))")) < 400
    assert python("import onecopy, sys; print('dask' in sys.modules, 'distributed' in sys.modules)").split() == [
        "False",
        "False",
    ]


def test_a_gone_object_is_an_error_of_the_task_not_of_the_worker(client):
    text = onecopy.handle(onecopy.share(np.arange(10_000.0)), lease=0)
    with pytest.raises(onecopy.NotFound):
        client.submit(lambda h: onecopy.attach(h).sum(), text).result()
    assert client.submit(lambda: 1).result() == 1
