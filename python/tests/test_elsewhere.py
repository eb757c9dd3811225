"""Handles on a host that does not have the object: nothing blocks, nothing breaks, and they can be passed on."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import onecopy
from onecopy import _core
from onecopy._memory import elsewhere


def objects() -> dict[str, Any]:
    frame = pd.DataFrame({"n": np.arange(5000.0), "s": ["x", "y"] * 2500, "i": pd.array([1, None] * 2500, "Int64")})
    shared = onecopy.share(frame)
    table = onecopy.share(pa.table({"k": np.arange(5000), "t": ["p", "q"] * 2500}))
    array = onecopy.share(np.arange(10_000.0))
    return {
        "array": array, "slice": array[10:5000:3], "frame": shared, "columns": shared[["n", "s"]],
        "changed": shared.assign(own=1.0), "series": shared["s"], "masked": shared[["i"]], "table": table,
        "piece": table.slice(7, 40), "column": table.column("t"), "chunk": table.column("t").chunk(0),
        "tree": onecopy.share({"deep": [np.arange(3000.0)], "text": "t" * 1000}),
    }  # fmt: skip


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, (pd.DataFrame, pd.Series)):
        return bool(a.equals(b))
    if isinstance(a, np.ndarray):
        return bool((a == b).all())
    if isinstance(a, dict):
        return a.keys() == b.keys() and (a["deep"][0] == b["deep"][0]).all() and a["text"] == b["text"]
    return bool(a.equals(b))


RELAY = """
import onecopy, pickle, sys
with open(sys.argv[1], "rb") as file:
    got = pickle.load(file)
for key, thing in got.items():
    assert onecopy.is_missing(thing), key
    assert "another store" in repr(thing), repr(thing)
    try:
        thing + 1
    except onecopy.WrongHost as reason:
        assert "another store" in str(reason)
    else:
        raise AssertionError(key)
with open(sys.argv[2], "wb") as file:
    pickle.dump(got, file, protocol=int(sys.argv[3]))
"""


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_whatever_it_is_a_relay_passes_it_on(tmp_path: Path, python: Callable[..., str], protocol: int) -> None:
    there = objects()
    before, after = tmp_path / "before", tmp_path / "after"
    before.write_bytes(pickle.dumps(there, protocol=protocol))
    elsewhere = tmp_path / "store"
    elsewhere.mkdir(mode=0o700)
    python(RELAY, str(before), str(after), str(protocol), env={"ONECOPY_DIR": str(elsewhere)})
    back = pickle.loads(after.read_bytes())
    assert back.keys() == there.keys()
    for key, thing in back.items():
        assert not onecopy.is_missing(thing), key
        assert equal(there[key], thing), key
    assert np.shares_memory(back["array"], there["array"])


class Far:
    """A resolver that has the objects of another host: of bytes that were taken out of this store."""

    def __init__(self) -> None:
        self.has: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.waits = True

    def take(self, obj: Any) -> str:
        handle = onecopy.handle(obj)
        self.has[_core.handle_id(handle)] = bytes(memoryview(_core.attach(handle).region))
        return handle

    def may_wait(self) -> bool:
        return self.waits

    def fetch(self, handle: str) -> None:
        self.asked.append(handle)
        identity = _core.handle_id(handle)
        if identity not in self.has:
            raise onecopy.WrongHost("attach", "nobody has it")
        data = memoryview(self.has[identity])

        def produce(offset: int, out: memoryview) -> None:
            out[:] = data[offset : offset + len(out)]

        _core.import_region(identity, len(data), produce).handle()

    async def fetch_without_waiting(self, handle: str) -> None:
        await asyncio.to_thread(self.fetch, handle)


@pytest.fixture
def far() -> Iterator[Far]:
    resolver, before = Far(), list(elsewhere._finders)
    elsewhere.resolve_with(lambda: resolver)
    yield resolver
    elsewhere._finders[:] = before


def take_away(far: Far, obj: Any) -> bytes:
    """A pickle of an object that is then only on the other host."""
    message = pickle.dumps(obj, protocol=5)
    onecopy.free(far.take(obj))
    return message


def test_a_resolver_is_asked_where_waiting_is_allowed(far: Far) -> None:
    data = np.arange(20_000.0)
    message = take_away(far, onecopy.share(data))
    back = pickle.loads(message)
    assert (back == data).all() and onecopy.is_shared(back) and len(far.asked) == 1
    assert (pickle.loads(message) == data).all() and len(far.asked) == 1, "it is here now"


def test_attach_asks_too(far: Far) -> None:
    x = onecopy.share(np.arange(500.0))
    handle = far.take(x)
    onecopy.free(handle)
    del x
    assert onecopy.attach(handle).sum() == np.arange(500.0).sum()
    gone = onecopy.handle(onecopy.share(np.zeros(9)), lease=0)
    with pytest.raises(onecopy.WrongHost, match="nobody has it"):
        onecopy.attach(gone)


def test_where_waiting_is_not_allowed_nothing_waits(far: Far) -> None:
    far.waits = False
    message = take_away(far, onecopy.share(np.arange(100.0)))
    assert onecopy.is_missing(pickle.loads(message)) and not far.asked


def test_an_event_loop_goes_on_while_a_message_is_completed(far: Far) -> None:
    data = np.arange(3000.0)
    tree = onecopy.share({"a": data, "b": ["text"] * 100})
    frame = onecopy.share(pd.DataFrame({"n": data}))
    message = pickle.dumps([tree, frame[["n"]], 7])
    for obj in (tree, frame):
        onecopy.free(far.take(obj))
    del tree, frame, obj
    here, fetch = threading.Event(), far.fetch

    def slowly(handle: str) -> None:
        assert here.wait(30)
        fetch(handle)

    far.fetch = slowly  # type: ignore[method-assign]

    async def main() -> Any:
        async def load() -> Any:
            return pickle.loads(message)

        completing = asyncio.create_task(elsewhere.complete(load))
        await asyncio.sleep(0.1)
        assert not completing.done()
        here.set()
        return await completing

    tree, columns, seven = asyncio.run(main())
    assert (tree["a"] == data).all() and (columns.n == data).all() and seven == 7
    assert len(far.asked) == 2


def test_what_nobody_has_is_missing_with_the_reason(far: Far) -> None:
    x = onecopy.share(np.arange(100.0))
    message = pickle.dumps([x, "and more"])
    onecopy.free(x)
    del x

    async def load() -> Any:
        return pickle.loads(message)

    missing, more = asyncio.run(elsewhere.complete(load))
    assert more == "and more" and len(far.asked) == 1
    with pytest.raises(onecopy.WrongHost, match="nobody has it"):
        missing.sum()


def test_errors_of_messages_are_theirs(far: Far) -> None:
    async def load() -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(elsewhere.complete(load))


def test_what_comes_is_checked(far: Far) -> None:
    x = onecopy.share(np.arange(1000.0))
    handle = far.take(x)
    onecopy.free(handle)
    del x
    identity = _core.handle_id(handle)
    good = far.has[identity]
    far.has[identity] = good[: len(good) // 2]
    with pytest.raises(onecopy.Corrupt):
        onecopy.attach(handle)
    far.has[identity] = bytes(len(good))
    with pytest.raises(onecopy.Corrupt):
        onecopy.attach(handle)
    assert not onecopy.exists(handle)
    with pytest.raises(ZeroDivisionError):
        _core.import_region(identity, len(good), lambda offset, out: 1 // 0)
    assert not onecopy.exists(handle)
    far.has[identity] = good
    assert onecopy.attach(handle)[3] == 3


def test_checksums() -> None:
    assert _core.checksum(b"") == 0xEF46DB3751D8E999, "XXH64 of nothing"
    assert _core.checksum(b"abc") == 0x44BC2CF5AD770999
    assert _core.checksum(memoryview(b"xabcx")[1:4]) == _core.checksum(b"abc")
