"""Unchanged user code sends handles: every way of starting workers, and every pickler."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import pickle

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest

import onecopy


def total(x):
    return float(x.sum()), onecopy.is_shared(x)


def frame_total(frame):
    return float(frame["a"].sum()), onecopy.is_shared(frame), len(frame["s"].unique())


def doubled_and_shared(x):
    return onecopy.share(x * 2)


def through_queue(inbox, outbox):
    while (x := inbox.get()) is not None:
        outbox.put((float(x.sum()), x))


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def context(request):
    return multiprocessing.get_context(request.param)


def test_pool(context):
    shared = onecopy.share(np.arange(100_000.0))
    frame = onecopy.share(pd.DataFrame({"a": np.arange(1000.0), "s": ["x", "y"] * 500}))
    with context.Pool(2) as pool:
        parts = [shared[i::4] for i in range(4)]
        assert pool.map(total, parts) == [(float(part.sum()), True) for part in parts]
        assert pool.apply(frame_total, (frame,)) == (499500.0, True, 2)
        back = pool.apply(doubled_and_shared, (shared,))
    assert onecopy.is_shared(back)  # outlived the pool
    np.testing.assert_array_equal(back, shared * 2)


def test_process_and_queue(context):
    shared = onecopy.share(np.arange(1000.0))
    inbox, outbox = context.Queue(), context.Queue()
    worker = context.Process(target=through_queue, args=(inbox, outbox))
    worker.start()
    inbox.put(shared)
    inbox.put(None)
    number, back = outbox.get(timeout=60)
    worker.join()
    assert worker.exitcode == 0
    assert number == shared.sum()
    assert np.shares_memory(back, shared)


def test_concurrent_futures(context):
    shared = onecopy.share(np.arange(1000.0))
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(total, [shared, shared[10:]])) == [(499500.0, True), (float(shared[10:].sum()), True)]


def test_joblib():
    # Larger than joblib's max_nbytes: it would dump an ordinary array to a file.
    shared = onecopy.share(np.arange(500_000.0))
    frame = onecopy.share(pd.DataFrame({"a": np.arange(200_000.0), "s": ["x", "y"] * 100_000}))
    done = joblib.Parallel(2)(joblib.delayed(total)(shared[i::2]) for i in range(2))
    assert done == [(float(shared[i::2].sum()), True) for i in range(2)]
    assert joblib.Parallel(2)([joblib.delayed(frame_total)(frame)]) == [(float(frame["a"].sum()), True, 2)]


def test_cloudpickle_with_closures():
    shared = onecopy.share(np.arange(100_000.0))
    data = cloudpickle.dumps(lambda: shared.sum())
    assert len(data) < 2000
    assert pickle.loads(data)() == shared.sum()


def test_out_of_band_pickle():
    shared = onecopy.share({"x": np.arange(1000.0), "f": pd.DataFrame({"a": [1]})})
    buffers: list = []
    data = pickle.dumps(shared, protocol=5, buffer_callback=buffers.append)
    assert not buffers and len(data) <= 200
    with onecopy.by_value():
        data = pickle.dumps(shared["x"], protocol=5, buffer_callback=buffers.append)
    assert len(buffers) == 1 and buffers[0].raw().nbytes == 8000
    np.testing.assert_array_equal(pickle.loads(data, buffers=buffers), shared["x"])


def test_a_large_frame_pickles_in_less_than_4_kb():
    frame = pd.DataFrame({f"c{i}": np.zeros(100_000) for i in range(50)})
    frame["s"] = "text"
    assert len(pickle.dumps(onecopy.share(frame))) < 4096
