"""Unchanged user code sends handles: every way of starting workers, and every pickler."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import pickle
import signal

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


# ------------------------------------------------------------ what goes wrong on the way


def die(x):
    os.kill(os.getpid(), signal.SIGKILL)


def use_what_is_gone(x):
    return onecopy.is_missing(x) or x.sum()


def refuse(x):
    x[0] = 1.0


def test_a_worker_that_is_killed_takes_nothing_away():
    shared = onecopy.share(np.arange(100_000.0))
    spawn = multiprocessing.get_context("spawn")
    with (
        concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool,
        pytest.raises(concurrent.futures.process.BrokenProcessPool),
    ):
        pool.submit(die, shared).result(timeout=60)
    assert shared[99_999] == 99_999 and onecopy.attach(onecopy.handle(shared)).sum() == shared.sum()


def test_errors_come_back_as_what_they_are(context):
    shared = onecopy.share(np.arange(1000.0))
    late = onecopy.share(np.arange(2000.0))
    message = pickle.dumps(late)
    onecopy.free(late)
    del late
    gone = pickle.loads(message)
    with context.Pool(1) as pool:
        with pytest.raises(ValueError, match="read-only"):
            pool.apply(refuse, (shared,))
        assert pool.apply(use_what_is_gone, (gone,)) is True
        with pytest.raises(onecopy.NotFound) as reason:
            pool.apply(onecopy.attach, (onecopy.handle(shared)[:-4] + "0000",))
        assert "attach" in reason.value.tried
        assert pool.apply(total, (shared,)) == (499500.0, True), "the pool goes on"


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-20], lambda b: b.replace(b"onecopy:1:", b"onecopy:9:"), lambda b: b.replace(b"_pickle", b"_pickl_")],
    ids=["short", "newer", "renamed"],
)
def test_a_damaged_pickle_is_an_error_or_missing(damage):
    data = damage(pickle.dumps(onecopy.share(np.arange(1000.0))))
    try:
        found = pickle.loads(data)
    except (pickle.UnpicklingError, EOFError, ImportError, AttributeError):
        return
    assert onecopy.is_missing(found)
