"""Lazy arrays: what they hold, ranges, the budget, other processes."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy

spawn = multiprocessing.get_context("spawn")
fork = multiprocessing.get_context("fork")


def squares(start: int, end: int, out: np.ndarray[Any, Any]) -> None:
    out[:] = np.arange(start, end, dtype="f8") ** 2


def of_dtype(dtype: Any) -> Callable[[int, int], Any]:
    """A function that returns elements that tell which ones they are."""

    def made(start: int, end: int) -> Any:
        numbers = np.arange(start, end) % 100
        if np.dtype(dtype).names:
            out = np.zeros(end - start, dtype)
            for name in out.dtype.names or ():
                out[name] = numbers.astype(out.dtype[name].base).reshape(-1, *[1] * (out[name].ndim - 1))
            return out
        return numbers.astype(dtype)

    return made


def test_one_touch_makes_one_chunk() -> None:
    x = onecopy.lazy("f8", 1_000_000, squares)
    assert x.counters == (0, 0, 0, 0, 0)
    assert x[500_000] == 500_000.0**2
    assert (x.counters.fills, x.counters.resident) == (1, 65536)
    assert x[500_000:500_010].resident and not x[:10].resident
    assert type(x) is onecopy.LazyArray and isinstance(x, np.ndarray)
    assert not x.flags.writeable


@pytest.mark.parametrize("dtype", [
    "?", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "c16", "M8[s]", "m8[ns]", "S3", "S5", "U2", ">i4", ">f8",
    [("a", "i4"), ("b", "S3")], [("x", "f8"), ("y", "<i2", (3,))],
])  # fmt: skip
def test_any_dtype_of_fixed_size(dtype: Any) -> None:
    dtype = np.dtype(dtype)
    make = of_dtype(dtype)
    x = onecopy.lazy(dtype, 50_000, make, chunk=4096)
    assert x.dtype == dtype and x.shape == (50_000,)
    # Chunks end in the middle of elements of 3, 5, 7 or 14 bytes.
    assert x[30_000] == make(30_000, 30_001)[0]
    assert (np.array(x) == make(0, 50_000)).all()


def test_shapes() -> None:
    x = onecopy.lazy("f8", (100, 20, 5), squares)
    assert x.shape == (100, 20, 5)
    assert x[3, 2, 1] == (3 * 100 + 2 * 5 + 1) ** 2
    assert (x == (np.arange(10_000.0) ** 2).reshape(100, 20, 5)).all()
    assert x[:, 1].sum() == ((np.arange(10_000.0) ** 2).reshape(100, 20, 5))[:, 1].sum()
    for empty in (0, (0,), (3, 0)):
        none = onecopy.lazy("f8", empty, squares)
        assert none.size == 0 and none.sum() == 0 and none.tolist() == np.empty(empty).tolist()
    assert onecopy.lazy("i4", (), of_dtype("i4")) == 0


def test_it_is_an_ndarray_like_any_other() -> None:
    x, plain = onecopy.lazy("f8", 20_000, squares), np.arange(20_000.0) ** 2
    for result, wanted in [
        (x + 1, plain + 1), (1 - x, 1 - plain), (x > 5, plain > 5), (np.sqrt(x), np.sqrt(plain)), (x[::7], plain[::7]),
        (x[[5, 3, 19_999]], plain[[5, 3, 19_999]]), (x[plain > 1e8], plain[plain > 1e8]),
        (np.sort(-x), np.sort(-plain)),
        (np.concatenate([x, x]), np.concatenate([plain, plain])), (x.reshape(100, 200).T, plain.reshape(100, 200).T),
        (x.cumsum(), plain.cumsum()), (np.where(x > 9, x, 0), np.where(plain > 9, plain, 0)), (x.copy(), plain),
        (x.astype("i4"), plain.astype("i4")), (x @ x, plain @ plain), (np.add.reduce(x), np.add.reduce(plain)),
    ]:  # fmt: skip
        assert np.array_equal(result, wanted)
    assert x.mean() == plain.mean() and x.max() == plain.max() and x.argmax() == 19_999 and x.tolist() == plain.tolist()
    assert list(x)[:5] == [0, 1, 4, 9, 16] and 16.0 in x and 17.0 not in x
    for own in (x.copy(), x[[1, 2]], np.sort(x), x.astype("f4"), x.astype(np.dtype("f4"))):
        assert type(own) is np.ndarray
    assert type(x[3:9]) is onecopy.LazyArray and type(x[3]) is np.float64
    assert "LazyArray([" in repr(x) and "..." in str(x)
    assert x.tobytes() == plain.tobytes()


def test_tofile_and_the_buffer_protocol(tmp_path: Path) -> None:
    x, plain = onecopy.lazy("f8", 300_000, squares), np.arange(300_000.0) ** 2
    x.tofile(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == plain.tobytes()
    assert bytes(memoryview(x)[:3]) == plain[:3].tobytes() or memoryview(x)[:3].tolist() == [0, 1, 4]
    text = io.BytesIO()
    np.save(text, x)
    assert np.array_equal(np.load(io.BytesIO(text.getvalue())), plain)
    np.save(tmp_path / "x.npy", x)
    assert np.array_equal(np.load(tmp_path / "x.npy"), plain)


def test_ranges() -> None:
    x = onecopy.lazy("f8", 100_000, squares)
    part = x[8192:16384]  # the second chunk
    part.prefetch()
    part.ensure()
    assert part.resident and x.counters.fills == 1
    part.pin()
    part.release()
    assert part.resident, "what is pinned stays"
    part.unpin()
    part.release()
    assert not part.resident and x.counters.evictions == 1
    assert part[0] == 8192.0**2
    x[:0].ensure()
    with pytest.raises(onecopy.WrongType):
        x[[1, 2]].view(onecopy.LazyArray).ensure()


def test_the_budget_holds() -> None:
    before = onecopy.lazy_budget()
    try:
        assert onecopy.lazy_budget("16M") == 16 << 20
        x = onecopy.lazy("f8", 8 << 20, squares)  # 64 MB
        assert x.sum() == np.sum(np.arange(8 << 20, dtype="f8") ** 2)
        usage = onecopy.lazy_usage()
        assert usage.resident <= usage.budget == 16 << 20
        assert x.counters.evictions > 0 and x.counters.resident <= 16 << 20
        assert [o.elements for o in usage.objects if o.id in onecopy.handle(x)] == [8 << 20]
        with pytest.raises(onecopy.NoMemory):
            x.pin()
    finally:
        onecopy.lazy_budget(before)


@pytest.mark.parametrize("size", [-1, "soon", "", 1000, True, None.__class__, [3], float("nan")])
def test_a_budget_that_makes_no_sense(size: Any) -> None:
    with pytest.raises(onecopy.InvalidArgument):
        onecopy.lazy_budget(size)


# ------------------------------------------------------------------------------------------------ writing


def test_private_writes_stay_private() -> None:
    x = onecopy.lazy("f8", 100_000, squares, writable="private")
    other = onecopy.attach(onecopy.handle(x))
    x[5] = -1
    x[90_000:90_010] += 0.5
    assert x[5] == -1 and x[90_000] == 90_000.0**2 + 0.5
    assert other[5] == 25 and other[90_000] == 90_000.0**2
    with pytest.raises(ValueError):
        other[5] = 3
    again = pickle.loads(pickle.dumps(x))
    assert again[5] == -1, "what was written goes with the pickle"


def test_mutable_is_seen_by_all_and_survives_eviction(python: Callable[..., str]) -> None:
    x = onecopy.lazy("f8", 100_000, squares, mutable=True)
    x[7] = 1.5
    x += 1
    out = python("import onecopy, sys; y = onecopy.attach(sys.argv[1]); print(y[7]); y[8] = 88", onecopy.handle(x))
    assert float(out) == 2.5
    x.release()
    assert not x.resident
    assert (x[7], x[8], x[9]) == (2.5, 88, 82)


def test_writeback(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_bytes(np.zeros(100_000).tobytes())

    def load(start: int, end: int, out: Any) -> None:
        out[:] = np.fromfile(file, offset=start * 8, count=end - start)

    def save(start: int, end: int, elements: Any) -> None:
        with open(file, "r+b") as f:
            f.seek(start * 8)
            f.write(elements.tobytes())

    x = onecopy.lazy("f8", 100_000, load, writeback=save)
    x[50_000] = 3
    x[3:6] = 7
    x.flush()
    assert np.fromfile(file)[[2, 3, 5, 6, 50_000]].tolist() == [0, 7, 7, 0, 3]
    x[99_999] = 9
    x.release()
    assert np.fromfile(file)[99_999] == 9 and x[99_999] == 9

    def fails(start: int, end: int, elements: Any) -> None:
        raise OSError("the disk is full")

    y = onecopy.lazy("f8", 1000, load, writeback=fails)
    y[5] = 5
    with pytest.raises(onecopy.SystemFailure, match=r"save elements 0 to 999 .* the disk is full"):
        y.flush()
    assert y[5] == 5, "it stays in memory"


# ------------------------------------------------------------------------------------------------ other sources


def test_sequence() -> None:
    x = onecopy.lazy_sequence(5, 3, size=1_000_000)
    assert x.dtype == np.dtype("i8") and x[10] == 35 and x[-1] == 5 + 3 * 999_999
    y = onecopy.lazy_sequence(0, 0.5, size=(10, 10))
    assert y[1, 1] == 5.5 and y.dtype == np.dtype("f8")
    assert onecopy.lazy_sequence(0, -1, size=5, dtype="i1").tolist() == [0, -1, -2, -3, -4]
    for wrong in [{"start": 0, "step": 1, "size": 300, "dtype": "i1"}, {"start": 0.5, "size": 3, "dtype": "i4"},
                  {"start": "a", "size": 3}, {"start": 0, "size": -1}, {"start": 0, "size": 3, "dtype": "S3"},
                  {"start": 0, "size": "many"}]:  # fmt: skip
        with pytest.raises(onecopy.InvalidArgument):
            onecopy.lazy_sequence(**wrong)  # type: ignore[arg-type]


def test_binary(tmp_path: Path) -> None:
    file = tmp_path / "numbers"
    plain = np.arange(100_000, dtype="f8") / 3
    file.write_bytes(b"head" * 2 + plain.tobytes())
    x = onecopy.lazy_binary(file, "f8", offset=8)
    assert x.size == 100_000 and np.array_equal(x, plain)
    assert np.array_equal(onecopy.lazy_binary(file, "f8", 100, offset=8, stride=16), plain[::2][:100])
    file.write_bytes(plain.astype(">f8").tobytes())
    swapped = onecopy.lazy_binary(file, ">f8")
    assert np.array_equal(swapped, plain) and swapped.dtype.isnative
    records = np.zeros(1000, [("a", "i4"), ("b", "S7")])
    records["a"] = np.arange(1000)
    file.write_bytes(records.tobytes())
    assert np.array_equal(onecopy.lazy_binary(file, records.dtype), records)
    assert np.array_equal(onecopy.lazy_binary(file, records.dtype, offset=11), records[1:])
    w = onecopy.lazy_binary(file, "u1", writeback=True)
    w[0] = 77
    w.flush()
    assert file.read_bytes()[0] == 77
    with pytest.raises(onecopy.NotFound):
        onecopy.lazy_binary(tmp_path / "none", "f8")
    for wrong in [{"offset": -1}, {"stride": 4}, {"offset": "1"}, {"dtype": "O"}, {"chunk": 1000}, {"shape": 1.5}]:
        with pytest.raises(onecopy.InvalidArgument):
            onecopy.lazy_binary(file, **{"dtype": "f8", **wrong})  # type: ignore[arg-type]


def test_a_file_that_needs_no_change_is_mapped_in_place(tmp_path: Path) -> None:
    file, plain = tmp_path / "numbers", np.arange(3 << 20, dtype="f8")
    plain.tofile(file)
    before = onecopy.lazy_usage()
    x = onecopy.lazy_binary(file, "f8", (3, 1 << 20))
    assert x.in_place and x[1:].in_place and np.array_equal(x, plain.reshape(3, -1))
    after = onecopy.lazy_usage()
    assert (after.fills, after.resident) == (before.fills, before.resident), "it is not in the budget"
    assert x.counters.resident == plain.nbytes and x.counters.fills == 0
    assert [entry.in_place for entry in after.objects if onecopy.handle(x).endswith(entry.id)] == [True]
    part = x[1, : 1 << 16]  # all of it would be more than an ordinary user may keep in memory
    part.pin()
    x.release()
    part.unpin()
    x.prefetch()
    x.flush()
    with spawn.Pool(1) as pool:
        assert pool.apply(child_is_in_place, (x[2],)) == (True, plain[2 << 20 :].sum())
    mine = onecopy.lazy_binary(file, "f8", writable="private")
    mine[5] = -1
    assert mine.in_place and mine[5] == -1 and x[0, 5] == 5 and np.fromfile(file, "f8", 6)[5] == 5
    file.unlink()
    assert x[2, -1] == plain[-1], "it is still there for those who have it mapped"
    plain.tofile(file)
    for other in [{"in_place": False}, {"dtype": ">f8"}, {"stride": 16}, {"offset": 4}, {"mutable": True},
                  {"writeback": True}]:  # fmt: skip
        assert not onecopy.lazy_binary(file, **{"dtype": "f8", "shape": 9, **other}).in_place  # type: ignore[arg-type]
    assert not onecopy.lazy_binary(tmp_path / "later", "f8", 9).in_place
    assert not onecopy.lazy_sequence(0, size=9).in_place


# ------------------------------------------------------------------------------------------------ other processes


def child_is_in_place(x: Any) -> tuple[bool, float]:
    return x.in_place, float(x.sum())


def total(x: Any) -> float:
    return float(x.sum())


def child_reads(x: Any, queue: Any) -> None:
    queue.put((type(x).__name__, float(x[::1000].sum())))


@pytest.mark.parametrize("context", [fork, spawn])
def test_workers_read_the_same_memory(context: Any) -> None:
    x = onecopy.lazy("f8", 400_000, squares)
    wanted = float(np.sum(np.arange(400_000.0) ** 2))
    with context.Pool(2) as pool:
        assert pool.map(total, [x, x[:1000], x]) == [wanted, float(np.sum(np.arange(1000.0) ** 2)), wanted]
    # 3.2 MB are 49 chunks: each was made once, whoever touched it.
    assert x.counters.fills == 49
    queue = context.Queue()
    child = context.Process(target=child_reads, args=(x, queue))
    child.start()
    assert queue.get(timeout=60) == ("LazyArray", float((np.arange(0, 400_000, 1000.0) ** 2).sum()))
    child.join(60)


def test_joblib() -> None:
    joblib = pytest.importorskip("joblib")
    x = onecopy.lazy("f8", 200_000, squares)
    parts = joblib.Parallel(n_jobs=2)(joblib.delayed(total)(x[i : i + 50_000]) for i in range(0, 200_000, 50_000))
    assert sum(parts) == pytest.approx(float(np.sum(np.arange(200_000.0) ** 2)))


def test_pickles_are_handles() -> None:
    x = onecopy.lazy("f8", (1000, 1000), squares)
    for part in (x, x[3], x[:, 5], x[10:20, ::-2], x.T):
        text = pickle.dumps(part)
        assert len(text) < 600, "handle, place, and the recipe for other hosts"
        assert np.array_equal(pickle.loads(text), part)
    with onecopy.by_value():
        assert len(pickle.dumps(x[0])) > 8000
    handle = onecopy.handle(x)
    assert onecopy.is_shared(x) and onecopy.exists(handle) and onecopy.attach(handle).shape == (1000, 1000)
    with pytest.raises(onecopy.WrongType):
        onecopy.handle(x[1:])
    text = pickle.dumps(onecopy.lazy("f8", 10, squares))
    assert np.array_equal(pickle.loads(text), np.arange(10.0) ** 2), "the lease keeps it"


def test_a_function_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_fills.py").write_text("class Of:\n  @staticmethod\n  def ones(start, end, out):\n    out[:] = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    x = onecopy.lazy("i2", 1000, "my_fills:Of.ones")
    assert x.sum() == 1000


def test_a_function_may_read_another_lazy_array() -> None:
    inner = onecopy.lazy_sequence(0, 1, size=100_000)
    x = onecopy.lazy("i8", 100_000, lambda start, end: np.asarray(inner[start:end]) * 2)
    assert x[99_999] == 199_998 and x.sum() == 2 * sum(range(100_000))


def test_as_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No privilege is needed: the same tests, as the user nobody."""
    if os.getuid() != 0:
        pytest.skip("this already runs as an ordinary user")
    where = Path(sys.executable).resolve().parent
    places = [where, Path(sys.prefix), Path(onecopy.__file__).parent, Path(__file__).parent]
    if any(not folder.stat().st_mode & 1 for place in places for folder in (place, *place.parents)):
        pytest.skip("this Python or these tests lie in a folder that other users may not enter")
    import tempfile

    with tempfile.TemporaryDirectory(prefix="onecopy-nobody-", dir="/dev/shm") as home:
        os.chown(home, 65534, 65534)
        environment = {**os.environ, "HOME": home, "ONECOPY_DIR": f"{home}/store", "TMPDIR": home}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", "-k", "not ordinary and not joblib",
             __file__, __file__.replace("test_lazy", "test_lazy_failures")],
            user=65534, group=65534, extra_groups=[], cwd=home, env=environment, capture_output=True, text=True,
            timeout=500)  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
