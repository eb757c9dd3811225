"""Locks, events, semaphores, barriers and counters that processes share, by name or inside a record.

    door = onecopy.Lock("prices")                 # the same lock in every process of this user, in any language
    with door:
        if door.owner_died:                       # a process was killed while it held the lock
            repair()
            door.repaired()
        ...

A process may be killed at any instant: the others go on, within 50 ms. Waits end with Ctrl-C, let other threads run,
and can be awaited. Objects pickle as handles. The owner of a lock is the process: any thread of it may release. None
of the locks is recursive.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import numpy as np

from . import _core
from ._given import count_given
from ._records.fields import Spec
from ._records.placed import Placed
from ._records.waiting import BROKEN, DONE, TIMED_OUT, got, in_thread, seconds_of
from .errors import Timeout

__all__ = ["Barrier", "Condition", "Counter", "Event", "Lock", "RWLock", "Semaphore"]

T = TypeVar("T")


def _state(label: str, size: int, alignment: int) -> dict[str, Any]:
    """How a state stands in a record: one opaque, named field."""
    inner: tuple[Any, ...] = (label, 9, 0, 8, [size // 8], [])
    dtype = np.dtype({"names": [label], "formats": [("u8", (size // 8,))], "itemsize": size})
    return {"number": 19, "item_size": size, "alignment": alignment, "dtype": dtype, "inner": (inner,)}


# ------------------------------------------------------------ locks


class Lock(_core.Mutex, Placed):
    """A lock that survives the death of its owner.

    Args:
        name: the same lock for every process of this user that gives it. Without name and path: a new one, which others
            get by pickling or by ``handle``.
        path: a file that keeps it.
        create: makes it if it is not there; otherwise raises NotFound.

    ``acquire(blocking=True, timeout=-1)``, ``release``, ``locked`` and ``with`` are threading.Lock's; it is owned by a
    process, and ``release`` by another one raises NotHeld, which is a RuntimeError. ``owner_died`` is true
    when a process was killed while holding it and nobody has called ``repaired()`` since.
    """

    _label, _size = "onecopy.mutex", 8

    def __init__(
        self, name: str | None = None, *, path: str | os.PathLike[str] | None = None, create: bool = True
    ) -> None:
        record = self._find(name, path, bytes(self._size), create)
        _core.Mutex.__init__(self, record)
        self._keep(record, True)

    def _core_init(self, record: _core.RawRecord, offset: int) -> None:
        _core.Mutex.__init__(self, record, offset)

    async def acquire_async(self, timeout: float | None = None) -> bool:
        """``await``: true if it was acquired. A cancelled wait leaves it as it was."""
        wait = seconds_of(timeout)
        return await in_thread(lambda c: got(self.acquire_code(wait, c)), lambda done: self.release() if done else None)

    async def __aenter__(self) -> Lock:
        await self.acquire_async()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()


class RWLock(_core.RWMutex, Placed):
    """Many readers or one writer: ``with lock.read(): ...``, ``with lock.write(): ...``. A waiting writer keeps new
    readers out. A dead reader or writer blocks nobody; ``owner_died`` as for Lock. Arguments as for Lock.
    """

    _label, _size = "onecopy.rwlock", 1024

    def __init__(
        self, name: str | None = None, *, path: str | os.PathLike[str] | None = None, create: bool = True
    ) -> None:
        record = self._find(name, path, bytes(self._size), create)
        _core.RWMutex.__init__(self, record)
        self._keep(record, True)

    def _core_init(self, record: _core.RawRecord, offset: int) -> None:
        _core.RWMutex.__init__(self, record, offset)

    def acquire_read(self, timeout: float | None = None) -> bool:
        """False if the time ran out. ``release_read`` must follow otherwise."""
        return got(self.acquire_shared_code(seconds_of(timeout), None))

    def acquire_write(self, timeout: float | None = None) -> bool:
        """False if the time ran out. ``release_write`` must follow otherwise."""
        return got(self.acquire_code(seconds_of(timeout), None))

    @contextmanager
    def read(self, timeout: float | None = None) -> Iterator[RWLock]:
        """Raises Timeout."""
        if not self.acquire_read(timeout):
            raise Timeout("lock for reading", "a writer holds the lock", "Give it more time")
        try:
            yield self
        finally:
            self.release_read()

    @contextmanager
    def write(self, timeout: float | None = None) -> Iterator[RWLock]:
        """Raises Timeout."""
        if not self.acquire_write(timeout):
            raise Timeout("lock for writing", "others hold the lock", "Give it more time")
        try:
            yield self
        finally:
            self.release_write()

    @asynccontextmanager
    async def read_async(self) -> AsyncIterator[RWLock]:
        await in_thread(
            lambda c: got(self.acquire_shared_code(-1.0, c)), lambda done: self.release_read() if done else None
        )
        try:
            yield self
        finally:
            self.release_read()

    @asynccontextmanager
    async def write_async(self) -> AsyncIterator[RWLock]:
        await in_thread(lambda c: got(self.acquire_code(-1.0, c)), lambda done: self.release_write() if done else None)
        try:
            yield self
        finally:
            self.release_write()


class Condition(_core.ConditionVariable, Placed):
    """Waiting for a change of what a lock protects, as threading.Condition. Wait in a loop, or with ``wait_for``: a
    wait may end without a notification.

    Args:
        lock: the Lock that protects what is waited for.
        name, path, create: as for Lock.
    """

    _label, _size = "onecopy.condition", 8
    _lock: Lock

    def __init__(self, lock: Lock, name: str | None = None, *, path: str | os.PathLike[str] | None = None,
                 create: bool = True) -> None:  # fmt: skip
        record = self._find(name, path, bytes(self._size), create)
        _core.ConditionVariable.__init__(self, record)
        self._keep(record, True)
        self._lock = lock

    def _core_init(self, record: _core.RawRecord, offset: int) -> None:
        _core.ConditionVariable.__init__(self, record, offset)

    def with_lock(self, lock: Lock) -> Condition:
        """For one that is a field of a record: says which lock it belongs to."""
        self._lock = lock
        return self

    @property
    def lock(self) -> Lock:
        lock: Lock | None = getattr(self, "_lock", None)
        if lock is None:
            raise TypeError("this condition has no lock yet: use condition.with_lock(lock)")
        return lock

    def __enter__(self) -> Condition:
        self.lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Releases the lock, waits, and has the lock again. False if the time ran out."""
        return self.wait_code(self.lock, seconds_of(timeout), None) != TIMED_OUT

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Waits until ``predicate()`` is true; returns its last value."""
        end = None if timeout is None else time.monotonic() + timeout
        while not (value := predicate()):
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return value

    async def wait_async(self, timeout: float | None = None) -> bool:
        """``await``: as ``wait``. Cancelled, it ends when it has the lock again."""
        wait = seconds_of(timeout)
        code = await in_thread(lambda c: self.wait_code(self.lock, wait, c), lambda _: None, to_its_end=True)
        return code != TIMED_OUT

    async def wait_for_async(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """``await``: as ``wait_for``."""
        end = None if timeout is None else time.monotonic() + timeout
        while not (value := predicate()):
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            await self.wait_async(left)
        return value

    async def __aenter__(self) -> Condition:
        await self.lock.acquire_async()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.lock.release()

    def notify(self, n: int = 1) -> None:
        """Wakes up to n that wait at once; the others look for themselves within 50 ms."""
        for _ in range(n):
            self.notify_one()

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments = super().__reduce__()
        return _condition, (make, arguments, self.lock)


def _condition(make: Callable[..., Condition], arguments: tuple[Any, ...], lock: Lock) -> Condition:
    return make(*arguments).with_lock(lock)


# ------------------------------------------------------------ signals


class Event(_core.EventFlag, Placed):
    """A flag that processes wait for: ``set``, ``clear``, ``is_set``, ``wait(timeout=None)`` as threading.Event.
    Arguments as for Lock."""

    _label, _size = "onecopy.event", 8

    def __init__(
        self, name: str | None = None, *, path: str | os.PathLike[str] | None = None, create: bool = True
    ) -> None:
        record = self._find(name, path, bytes(self._size), create)
        _core.EventFlag.__init__(self, record)
        self._keep(record, True)

    def _core_init(self, record: _core.RawRecord, offset: int) -> None:
        _core.EventFlag.__init__(self, record, offset)

    async def wait_async(self, timeout: float | None = None) -> bool:
        """``await``: false if the time ran out."""
        wait = seconds_of(timeout)
        return await in_thread(lambda c: got(self.wait_code(wait, c)), lambda _: None)


class Semaphore(_core.Units, Placed):
    """Units that processes take and give back; the units of a process that dies come back by themselves.

    Args:
        value: units of a new one; an existing one keeps its own.
        bounded: more releases than acquires are an error (ValueError).
        name, path, create: as for Lock.
    """

    _label, _size = "onecopy.semaphore", 1024

    def __init__(self, value: int = 1, name: str | None = None, *, bounded: bool = False,
                 path: str | os.PathLike[str] | None = None, create: bool = True) -> None:  # fmt: skip
        count_given("make a Semaphore", "its value", value, 0)
        first = _core.Units.first(value, value if bounded else 0)
        record = self._find(name, path, first, create)
        _core.Units.__init__(self, record)
        self._keep(record, True)

    def _core_init(self, record: _core.RawRecord, offset: int) -> None:
        _core.Units.__init__(self, record, offset)

    @classmethod
    def _first_of(cls, units: int | None) -> bytes:
        return _core.Units.first(units or 0, 0)

    async def acquire_async(self, timeout: float | None = None) -> bool:
        wait = seconds_of(timeout)
        return await in_thread(lambda c: got(self.acquire_code(wait, c)), lambda done: self.release() if done else None)

    async def __aenter__(self) -> Semaphore:
        await self.acquire_async()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()


class Barrier(_core.Rendezvous, Placed):
    """Waits until ``parties`` processes (or threads of them) have come. A party that dies breaks it: those who wait and
    those who come get threading.BrokenBarrierError until ``reset()``. A process that is done calls ``leave()``; leaving
    the process without it counts as death.

    Args:
        parties: of a new one; an existing one keeps its own.
        name, path, create: as for Lock.
    """

    _label, _size = "onecopy.barrier", 1024

    def __init__(self, parties: int, name: str | None = None, *, path: str | os.PathLike[str] | None = None,
                 create: bool = True) -> None:  # fmt: skip
        count_given("make a Barrier", "the number of its parties", parties, 1)
        record = self._find(name, path, _core.Rendezvous.first(parties), create)
        _core.Rendezvous.__init__(self, record)
        self._keep(record, True)

    def _core_init(self, record: _core.RawRecord, offset: int) -> None:
        _core.Rendezvous.__init__(self, record, offset)

    @classmethod
    def _first_of(cls, parties: int | None) -> bytes:
        if parties is None:
            raise TypeError("a barrier in a record needs its parties, as in `line: onecopy.Barrier = 3`")
        return _core.Rendezvous.first(parties)

    @staticmethod
    def _judge(code: int) -> None:
        if code == BROKEN:
            raise threading.BrokenBarrierError("a party of the barrier died, or it was aborted or reset")
        if code != DONE:
            raise Timeout("wait at a barrier", "the others did not come", "Give them more time")

    def wait(self, timeout: float | None = None) -> None:
        """Raises Timeout (this party has not come then) and threading.BrokenBarrierError."""
        self._judge(self.wait_code(seconds_of(timeout), None))

    async def wait_async(self, timeout: float | None = None) -> None:
        wait = seconds_of(timeout)
        self._judge(await in_thread(lambda c: self.wait_code(wait, c), lambda _: None))


class Counter(_core.Count, Placed):
    """A 64-bit number that all change in one step: ``add(n=1)`` and ``exchange`` return the value before. Arguments as
    for Lock."""

    _label, _size = "onecopy.counter", 8

    def __init__(
        self, name: str | None = None, *, path: str | os.PathLike[str] | None = None, create: bool = True
    ) -> None:
        record = self._find(name, path, bytes(self._size), create)
        _core.Count.__init__(self, record)
        self._keep(record, True)

    def _core_init(self, record: _core.RawRecord, offset: int) -> None:
        _core.Count.__init__(self, record, offset)

    @property
    def value(self) -> int:
        return self.get()

    @value.setter
    def value(self, value: int) -> None:
        self.set(value)

    def __int__(self) -> int:
        return self.get()


_kinds: tuple[tuple[Any, int], ...] = (
    (Lock, 8), (RWLock, 64), (Condition, 8), (Event, 8), (Semaphore, 64), (Barrier, 64), (Counter, 8)
)  # fmt: skip
for _kind, _alignment in _kinds:
    _kind._field_spec = Spec(**_state(_kind._label, _kind._size, _alignment), python=_kind)
