"""Views of shared arrays, whichever they are: NumPy's own answers, the same memory, handles in pickles, no crash."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import onecopy
from onecopy._pickle import array_at

COMMON = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DTYPES = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(endianness="="), hnp.unsigned_integer_dtypes(endianness="="),
    hnp.floating_dtypes(endianness="="), hnp.complex_number_dtypes(endianness="=", sizes=(64, 128)),
    hnp.datetime64_dtypes(endianness="=", max_period="s", min_period="ns"), hnp.byte_string_dtypes(min_len=1),
    hnp.unicode_string_dtypes(endianness="=", min_len=1),
    hnp.array_dtypes(st.sampled_from(["i4", "f8", "S3"]), min_size=1, max_size=3),
)  # fmt: skip


def same(a: Any, b: Any) -> bool:
    """Equal in everything that NumPy knows, NaN and NaT included."""
    return a.dtype == b.dtype and a.shape == b.shape and np.asarray(a).tobytes() == np.asarray(b).tobytes()


@COMMON
@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)), st.sampled_from("CF"))
def test_any_array_comes_back_as_it_was(array: Any, order: str) -> None:
    array = np.array(array, order=order)
    shared = onecopy.share(array)
    assert same(shared, array)
    if any(len(field) > 2 for field in (array.dtype.fields or {}).values()):
        return  # fields with titles travel in a pickle, which is no array with a handle of its own
    assert not shared.flags.writeable and onecopy.is_shared(shared)
    back = pickle.loads(pickle.dumps(shared))
    assert same(back, array) and back.strides == shared.strides
    assert same(onecopy.attach(onecopy.handle(shared)), array)


@COMMON
@given(st.data())
def test_any_view_is_numpys_and_travels_as_a_handle(data: Any) -> None:
    """Slices, steps backwards, new axes, transposes and reshapes, one after the other."""
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=6))
    plain = np.arange(np.prod(shape), dtype=data.draw(st.sampled_from(["f8", "i2", "c16"]))).reshape(shape)
    shared = onecopy.share(plain)
    ours, theirs = shared, plain
    for _ in range(data.draw(st.integers(1, 4))):
        match data.draw(st.sampled_from(["slice", "transpose", "reverse", "axis", "reshape"])):
            case "slice":
                index = data.draw(hnp.basic_indices(theirs.shape, allow_newaxis=False, allow_ellipsis=True))
                if not isinstance(theirs[index], np.ndarray):
                    continue
                ours, theirs = ours[index], theirs[index]
            case "transpose":
                axes = data.draw(st.permutations(range(theirs.ndim)))
                ours, theirs = ours.transpose(axes), theirs.transpose(axes)
            case "reverse":
                ours, theirs = ours[::-1] if ours.ndim else ours, theirs[::-1] if theirs.ndim else theirs
            case "axis":
                ours, theirs = np.expand_dims(ours, 0), np.expand_dims(theirs, 0)
            case "reshape":
                if theirs.flags.c_contiguous:
                    ours, theirs = ours.reshape(-1), theirs.reshape(-1)
    assert same(ours, theirs)
    assert np.shares_memory(ours, shared) or not theirs.size
    sent = pickle.dumps(ours)
    assert len(sent) < 600
    back = pickle.loads(sent)
    assert same(back, theirs)
    assert np.shares_memory(back, shared) or not theirs.size
    handle = onecopy.handle(shared)
    del shared, back
    assert same(ours, theirs)  # it keeps the region
    own = copy.deepcopy(ours)
    assert same(own, theirs) and not onecopy.is_shared(own)
    del ours
    onecopy.free(handle, missing_ok=True)
    late = pickle.loads(sent)
    assert onecopy.is_missing(late) and late.shape == theirs.shape and late.dtype == theirs.dtype


@COMMON
@given(st.integers(0, 5000), st.integers(0, 5000), st.integers())
def test_private_writes_stay_private(first: int, count: int, value: int) -> None:
    """Writes through a copy-on-write view: seen in all views of it, in no other; then it travels as data."""
    shared = onecopy.share(np.zeros(5000, "i8"))
    mine = onecopy.attach(onecopy.handle(shared), writable="private")
    expected = np.zeros(5000, "i8")
    expected[first : first + count] = value % 1000
    mine[first : first + count] = value % 1000
    assert (mine == expected).all() and not shared.any()
    back = pickle.loads(pickle.dumps(mine))
    assert (np.asarray(back) == expected).all()
    assert onecopy.is_shared(back) == (not expected.any())  # the same bytes again are no change


@COMMON
@given(st.integers(-100, 2**63), st.lists(st.integers(-3, 2**40), max_size=3),
       st.sampled_from(["f8", "S5", "M8[s]", "O"]),
       st.none() | st.lists(st.integers(-(2**40), 2**40), max_size=3))  # fmt: skip
def test_no_pickle_reaches_outside(offset: int, shape: list[int], dtype: str, strides: list[int] | None) -> None:
    """Whatever numbers a damaged or hostile pickle has, the view lies within the object or there is none."""
    kept = onecopy.share(np.arange(100.0))
    try:
        found = array_at(onecopy.handle(kept), offset, tuple(shape), dtype, None if strides is None else tuple(strides))
    except (TypeError, ValueError, OverflowError, MemoryError):
        return
    if not onecopy.is_missing(found):
        np.asarray(found).tobytes() if found.nbytes < 1e6 else None


@pytest.mark.parametrize("bad", [3, None, "text", b"bytes", object(), {"onecopy": 1}])
def test_what_is_no_handle_is_refused(bad: Any) -> None:
    with pytest.raises((onecopy.Error, TypeError)):
        onecopy.attach(bad)


# ------------------------------------------------------------ ends and forks


def _leave(arrays: list[Any], how: str) -> None:
    assert arrays[0].sum() == 4999 * 2500
    arrays[1][:] = 7  # copy-on-write: its own
    if how == "drop":
        arrays.clear()
        gc.collect()
    elif how == "keep for the exit":
        sys.kept_to_the_end = [*arrays, arrays[0][5:], memoryview(arrays[0]), iter(arrays[0])]  # type: ignore[attr-defined]
    elif how == "share more":
        arrays.append(onecopy.share(np.ones(5000)))
        arrays[2][0] += 1
    os._exit(0) if how == "no finalizers at all" else None


@pytest.mark.parametrize("how", ["drop", "keep for the exit", "share more", "no finalizers at all"])
def test_a_fork_owns_its_own_and_takes_nothing_away(how: str) -> None:
    shared = onecopy.share(np.arange(5000.0))
    private = onecopy.attach(onecopy.handle(shared), writable="private")
    private[0] = 5
    written = onecopy.empty(10, "i8")
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_leave, args=([shared, private, written], how)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert shared.sum() == 4999 * 2500 and private[0] == 5 and private[1] == 1
    assert onecopy.is_shared(pickle.loads(pickle.dumps(shared)))
    assert written[0] in ((1, 2, 3) if how == "share more" else (0,))  # nothing orders the writes


def test_a_fork_while_other_threads_share_and_drop() -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            onecopy.attach(onecopy.handle(onecopy.share(np.arange(3000.0))))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    kept = onecopy.share(np.arange(5000.0))
    try:
        for _ in range(30):
            pid = os.fork()
            if pid == 0:
                fine = kept[4999] == 4999 and onecopy.share(np.ones(3000)).sum() == 3000
                os._exit(0 if fine else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert kept[4999] == 4999


@pytest.mark.parametrize("seed", range(6))
def test_no_order_of_finalizers_crashes(seed: int) -> None:
    """Views, nodes, regions and private pages in cycles, in module globals and in threads, let go of in any order."""
    code = f"""
        import gc, pickle, random, sys, threading
        import numpy as np, onecopy
        random.seed({seed})
        class Holder:
            def __init__(self, *what): self.what, self.me = what, self
            def __del__(self):
                for one in self.what:
                    if isinstance(one, np.ndarray) and one.size: float(one.ravel()[0])
        x = onecopy.share(np.arange(20000.0))
        tree = onecopy.share({{"a": [np.ones(9000)], "s": ["text"] * 50}})
        private = onecopy.attach(onecopy.handle(x), writable="private")
        private[3] = 1
        @onecopy.record
        class R:
            p: onecopy.FixedArray[onecopy.int32, 20] = 3
            door: onecopy.Lock
        r = R.shared()
        things = [x[5:], x.T, memoryview(x), iter(x), tree, tree["a"][0][::2], private[1:], r.p, r.door, memoryview(r),
                  onecopy.empty(300), pickle.loads(pickle.dumps(x))]
        random.shuffle(things)
        holders = [Holder(*random.sample(things, 4)) for _ in range(8)]
        sys.modules["kept"] = holders[0]
        threading.Thread(target=threading.Event().wait, args=(0.2,), daemon=bool({seed} % 2)).start()
        threading.local().kept = holders[1]
        if {seed} % 3 == 0: gc.disable()
        names = ["x", "tree", "private", "r", "things"]
        random.shuffle(names)
        for name in names: del globals()[name]
        print("fine")
    """
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code)], capture_output=True,
                          text=True, timeout=120)  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)
