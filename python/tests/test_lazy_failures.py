"""Lazy arrays when something goes wrong: never a hang, never zeros, and it can be tried again."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy


def squares(start: int, end: int, out: np.ndarray[Any, Any]) -> None:
    out[:] = np.arange(start, end, dtype="f8") ** 2


def fails(start: int, end: int, out: Any) -> None:
    raise RuntimeError("the moon is full")


TOUCHES: list[Callable[[Any], Any]] = [
    lambda x: x[5], lambda x: x[:20][3], lambda x: x.sum(), lambda x: x + 1, lambda x: 2.0 * x, lambda x: x > 0,
    lambda x: np.sqrt(x), lambda x: np.sort(x), lambda x: np.concatenate([x, x]), lambda x: x[[1, 2, 3]],
    lambda x: x.astype("f4"), lambda x: x.tolist(), lambda x: list(x), lambda x: x.copy(), lambda x: np.median(x),
    lambda x: x.tobytes(), lambda x: x.ensure(), lambda x: x.pin(), lambda x: x @ x, lambda x: np.array_equal(x, x),
    lambda x: 3.0 in x, lambda x: x.mean(), lambda x: x.argsort(), lambda x: x.reshape(-1, 2).sum(axis=0),
    lambda x: np.add(x, 1, out=np.empty(x.shape)), lambda x: bool(x[:1]), lambda x: x.tofile("/dev/null"),
]  # fmt: skip


@pytest.mark.parametrize("touch", TOUCHES)
def test_every_touch_raises(touch: Callable[[Any], Any]) -> None:
    x = onecopy.lazy("f8", 1000, fails, description="the tide table")
    for _ in range(2):  # and again
        with pytest.raises(onecopy.SystemFailure) as caught:
            touch(x)
        text = str(caught.value)
        for part in ("elements 0 to 999 of the tide table", "RuntimeError: the moon is full", "in fails, "):
            assert part in text
    assert "moon" in repr(x)


def test_a_touch_that_nobody_watches_raises_right_after() -> None:
    x = onecopy.lazy("f8", 1000, fails)
    bare = np.asarray(x)
    assert type(bare) is np.ndarray
    with pytest.raises(onecopy.SystemFailure, match="moon"):
        value = np.add.reduce(bare)
        for _ in range(10_000_000):  # the error comes at the next step of the interpreter, or soon after
            assert np.isnan(value), "never zeros"
            time.sleep(0.001)


def test_other_elements_are_not_harmed_and_it_can_be_tried_again(tmp_path: Path) -> None:
    flag = tmp_path / "works"

    def sometimes(start: int, end: int, out: Any) -> None:
        if start <= 50_000 < end and not flag.exists():
            raise ValueError("not yet")
        out[:] = np.arange(start, end)

    x = onecopy.lazy("f8", 100_000, sometimes)
    assert x[1] == 1 and x[99_999] == 99_999
    with pytest.raises(onecopy.SystemFailure, match="not yet"):
        x.sum()
    assert x[2] == 2
    flag.touch()
    assert x.sum() == sum(range(100_000))


@pytest.mark.parametrize(("function", "says"), [
    (lambda start, end: np.zeros(3), r"shape \(3,\), not \(1000,\)"),
    (lambda start, end: np.zeros((end - start, 2)), "shape"),
    (lambda start, end: ["x"] * (end - start), "can't become"),
    (lambda start, end: np.zeros(end - start, "c16"), "complex128, which can't become float64"),
    (lambda start, end: None, "returned None"),
    (lambda start, end, out: out.__setitem__(slice(None), np.zeros(7)), "could not broadcast"),
    (lambda start, end, out: out.__setitem__(2_000, 1), "IndexError"),
    (lambda start, end, out: sys.exit(3), "SystemExit"),
    (lambda start, end, out: (_ for _ in ()).throw(KeyboardInterrupt()), "KeyboardInterrupt"),
    ("no_such_module:f", "ModuleNotFoundError"),
    ("os:no_such_function", "AttributeError"),
])  # fmt: skip
def test_functions_that_do_the_wrong_thing(function: Any, says: str) -> None:
    x = onecopy.lazy("f8", 1000, function)
    with pytest.raises(onecopy.SystemFailure, match=says):
        x[0]


def test_a_function_that_hangs() -> None:
    x = onecopy.lazy("f8", 1_000_000, lambda start, end, out: time.sleep(1000), deadline=0.7)
    began = time.monotonic()
    with pytest.raises(onecopy.Timeout, match=r"elements 0 to 8191 .* didn't return within"):
        x[0]
    with pytest.raises(onecopy.Timeout):
        x.sum()  # one deadline, not one for each of 123 chunks
    assert time.monotonic() - began < 40


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_runner_that_is_killed(number: int, tmp_path: Path) -> None:
    flag = tmp_path / "dies"

    def dies(start: int, end: int, out: Any) -> None:
        if flag.exists():
            os.kill(os.getpid(), number)
        out[:] = 4

    flag.touch()
    x = onecopy.lazy("f8", 100_000, dies)
    with pytest.raises(onecopy.PeerClosed, match=f"signal {number:d}"):
        x[0]
    with pytest.raises(onecopy.PeerClosed):
        x.sum()
    flag.unlink()
    assert x.sum() == 400_000


def test_a_runner_that_exits() -> None:
    x = onecopy.lazy("f8", 100_000, lambda start, end, out: os._exit(7))
    with pytest.raises(onecopy.PeerClosed, match="7"):
        x[0]


def test_the_pager_is_killed() -> None:
    x = onecopy.lazy("f8", 500_000, squares)
    wanted = np.arange(500_000.0) ** 2
    for round in range(5):
        os.kill(onecopy.lazy_usage().pager, signal.SIGKILL)
        x[round * 100_000 :].release()
        assert np.array_equal(x, wanted)
        assert x.ctypes.data  # the mapping is the same one all the time


def test_threads_all_get_the_error() -> None:
    x = onecopy.lazy("f8", 100_000, fails)
    seen: list[Any] = []

    def touch() -> None:
        for _ in range(10):
            try:
                seen.append(x.sum())
            except onecopy.SystemFailure:
                seen.append("error")

    threads = [threading.Thread(target=touch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert seen == ["error"] * 40


@pytest.mark.parametrize("in_place", [True, False])
def test_the_file_is_missing_shrunk_or_unreadable(tmp_path: Path, in_place: bool) -> None:
    file = tmp_path / "numbers"
    plain = np.arange(100_000.0)
    file.write_bytes(plain.tobytes())
    x = onecopy.lazy_binary(file, "f8", in_place=in_place)
    assert x.in_place == in_place
    os.truncate(file, 8000)
    for touch in (lambda: x[50_000], lambda: x.sum(), x.ensure, lambda: x[::4096] + 1, lambda: pickle.dumps(x.copy())):
        with pytest.raises(onecopy.Corrupt, match=r"numbers.*8000"):
            touch()
    with pytest.raises(onecopy.Corrupt, match=r"numbers.*8000"):
        np.asarray(x).sum()
        time.sleep(60)  # raised as soon as the interpreter gets to it
    file.write_bytes(plain.tobytes())
    assert x[50_000] == 50_000 and np.array_equal(x, plain)
    gone = onecopy.lazy_binary(tmp_path / "none", "f8", 10)
    with pytest.raises(onecopy.NotFound, match="none"):
        gone[0]
    (tmp_path / "none").write_bytes(plain.tobytes())
    assert gone[9] == 9
    (tmp_path / "folder").mkdir()
    folder = onecopy.lazy_binary(tmp_path / "folder", "f8", 10)
    with pytest.raises(onecopy.Error, match="folder"):
        folder[0]


@pytest.mark.parametrize("wrong", [
    {"dtype": "O"}, {"dtype": "nonsense"}, {"dtype": "S0"}, {"shape": -1}, {"shape": "x"}, {"shape": 1.5},
    {"shape": 2**62}, {"populate": 7}, {"populate": "nocolon"}, {"populate": lambda: 0}, {"chunk": 1000},
    {"chunk": 1 << 30}, {"chunk": "big"}, {"deadline": 0}, {"deadline": "soon"}, {"deadline": float("nan")},
    {"writable": "yes"}, {"writable": "private", "mutable": True}, {"writeback": 3},
    {"dtype": "S3", "writeback": squares}, {"populate": threading.Lock().__enter__},
])  # fmt: skip
def test_arguments_that_make_no_sense(wrong: dict[str, Any]) -> None:
    before = len(onecopy.lazy_usage().objects)
    with pytest.raises(onecopy.InvalidArgument):
        onecopy.lazy(**{"dtype": "f8", "shape": 100, "populate": squares, **wrong})
    assert len(onecopy.lazy_usage().objects) <= before


def test_a_handle_to_something_gone() -> None:
    x = onecopy.lazy("f8", 100, squares)
    text = pickle.dumps(x).replace(onecopy.handle(x)[-8:].encode(), b"00000000")
    lost = pickle.loads(text)
    assert onecopy.is_missing(lost) and lost.shape == (100,)
    with pytest.raises(onecopy.NotFound):
        lost[0]
    from onecopy._pickle import lazy_at

    # A pickle that was tampered with is an error, and reaches nothing outside.
    for offset, shape, strides in [(8, (100,), None), (-8, (1,), None), (0, (101,), None), (0, (100,), (800,))]:
        assert onecopy.is_missing(lazy_at(onecopy.handle(x), offset, shape, "f8", strides))


def test_an_error_in_one_process_is_no_error_in_another(tmp_path: Path) -> None:
    """A child that dies in a touch takes nobody with it."""
    x = onecopy.lazy("f8", 1_000_000, squares)
    code = "import onecopy, os, sys; y = onecopy.attach(sys.argv[1]); y[:100000].sum(); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code, onecopy.handle(x)], timeout=120, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert x[:100_000].sum() == np.sum(np.arange(100_000.0) ** 2)


def test_a_process_that_asks_for_the_budget_first(python: Callable[..., str]) -> None:
    x = onecopy.lazy("f8", 10_000, squares)
    code = "import onecopy, sys; assert onecopy.lazy_budget() > 0; print(onecopy.attach(sys.argv[1])[99])"
    assert float(python(code, onecopy.handle(x))) == 9801
