"""Arguments of the wrong kind: the message says what was tried, what is wrong and what to do, in the user's words."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy

Call = Callable[[], Any]


@onecopy.record
class Point:
    x: onecopy.int32 = 0


NO_NAMES: dict[str, Call] = {
    "share": lambda: onecopy.share(1.5, name=3),  # type: ignore[arg-type]
    "empty": lambda: onecopy.empty(3, name=3),  # type: ignore[arg-type]
    "attach": lambda: onecopy.attach(name=3),  # type: ignore[arg-type]
    "exists": lambda: onecopy.exists(name=3),  # type: ignore[arg-type]
    "Lock": lambda: onecopy.Lock(3),  # type: ignore[arg-type]
    "Queue": lambda: onecopy.Queue(3),  # type: ignore[arg-type]
    "Cache": lambda: onecopy.Cache(3),  # type: ignore[arg-type]
    "record": lambda: Point.shared(3),  # type: ignore[arg-type]
    "attach a lock": lambda: onecopy.Lock.attach(3),  # type: ignore[arg-type]
    "attach a queue": lambda: onecopy.Queue.attach(3),  # type: ignore[arg-type]
    "attach a record": lambda: Point.attach(3),  # type: ignore[arg-type]
    "barrier": lambda: onecopy.Barrier("line", 3),  # type: ignore[arg-type]
    "semaphore": lambda: onecopy.Semaphore("door"),  # type: ignore[arg-type]
    "queue of text": lambda: onecopy.Queue(maxsize="8"),  # type: ignore[arg-type]
    "key": lambda: onecopy.Cache().get(3, lambda: 1),  # type: ignore[arg-type,return-value]
    "key to find": lambda: onecopy.Cache().find(3),  # type: ignore[arg-type]
    "budget": lambda: onecopy.Cache(budget="64M"),  # type: ignore[arg-type]
    "lease": lambda: onecopy.handle(onecopy.share(np.ones(3)), lease="soon"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", NO_NAMES)
def test_a_wrong_type_is_named(what: str) -> None:
    with pytest.raises(onecopy.WrongType) as caught:
        NO_NAMES[what]()
    assert isinstance(caught.value, TypeError) and "incompatible" not in str(caught.value)
    assert "int" in str(caught.value) or "number" in str(caught.value)


@pytest.mark.parametrize("name", ["a\0b", "two\nlines", "n" * 121, "\udc80", "é" * 61])
def test_a_name_that_cannot_be(name: str) -> None:
    for use in (lambda: onecopy.share(1.5, name=name), lambda: onecopy.Lock(name), lambda: onecopy.Queue(name),
                lambda: Point.shared(name)):  # fmt: skip
        with pytest.raises(onecopy.InvalidArgument):
            use()
    assert onecopy.ls() == [] or all(entry.name != name for entry in onecopy.ls())


@pytest.mark.parametrize("name", ["prix é ☃", "..", "/etc/passwd", " ", "a" * 120, "-n", "*"])
def test_a_name_that_can_be(name: str) -> None:
    kept = onecopy.share(np.arange(3.0), name=name)
    assert np.array_equal(onecopy.attach(name=name), kept) and onecopy.exists(name=name)
    del kept


def test_bounds() -> None:
    for use in (lambda: onecopy.Queue(maxsize=0), lambda: onecopy.Queue(maxsize=-1),
                lambda: onecopy.Queue(message_bytes=-5), lambda: onecopy.Barrier(0),
                lambda: onecopy.Cache(budget=-1), lambda: onecopy.Channel.spawn([]),
                lambda: onecopy.Channel.spawn("python worker.py"), lambda: onecopy.Semaphore(-1),
                lambda: onecopy.Semaphore(2**32)):  # fmt: skip
        with pytest.raises(onecopy.InvalidArgument):
            use()


@pytest.mark.parametrize("lease", [-1, -0.5, math.nan])
def test_a_lease_that_makes_no_sense(lease: float) -> None:
    kept = onecopy.share(np.ones(3))
    with pytest.raises(onecopy.InvalidArgument, match="lease"):
        onecopy.handle(kept, lease=lease)


def test_a_name_where_a_handle_belongs() -> None:
    kept = onecopy.share(np.ones(3), name="prices of arguments")
    with pytest.raises(onecopy.InvalidArgument, match=r"attach\(name='prices of arguments'\)"):
        onecopy.attach("prices of arguments")
    with pytest.raises(onecopy.InvalidArgument, match="handle"):
        onecopy.attach("nothing of that name")
    with pytest.raises(onecopy.InvalidArgument, match="either"):
        onecopy.exists()
    del kept


def test_saving_where_there_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "missing" / "x.onecopy", tmp_path / "file" / "x.onecopy"):
        with pytest.raises(onecopy.NotFound) as caught:
            onecopy.save([1], place)
        assert f"save to {place}: there is no directory {place.parent}" in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_is_no_descriptor() -> None:
    with pytest.raises(onecopy.WrongType, match="number"):
        onecopy.receive_descriptor("three")
    with pytest.raises(onecopy.SystemFailure):
        onecopy.receive_descriptor(-1)


def test_a_spawned_program_gets_the_environment_that_was_given() -> None:
    code = "import os, sys; sys.exit('PATH' in os.environ or 'ONECOPY_CHANNEL' not in os.environ)"
    here, child = onecopy.Channel.spawn([sys.executable, "-S", "-c", code], env={})
    with here:
        assert child.wait(60) == 0
    with pytest.raises(FileNotFoundError):
        onecopy.Channel.spawn(["/no/such/program"])


def test_an_error_ends_with_one_mark(tmp_path: Path) -> None:
    with pytest.raises(onecopy.NotFound, match=r"listening there\?$"):
        onecopy.Channel.connect(str(tmp_path / "socket"))


def test_a_dtype_is_not_shared() -> None:
    """It has a base, as views of memory have, which is the dtype itself."""
    dtype = np.dtype("f4")
    onecopy.check_intact(dtype)
    with pytest.raises(onecopy.WrongType):
        onecopy.holders(dtype)
