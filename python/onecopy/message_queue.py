"""A queue of small messages that processes share.

The waiting, and what happens when a process is killed, are as for the locks of onecopy.sync.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from queue import Empty, Full
from typing import Any

from . import _core
from ._given import count_given, handle_given, name_given
from ._records.waiting import CLOSED, DONE, in_thread, seconds_of
from .errors import PeerClosed

__all__ = ["Queue"]


class Queue:
    """A bounded queue of small messages between processes, first in, first out.

    ``bytes`` go as they are; anything else is pickled, so shared objects go as handles. A message is lost only with the
    process that had taken it.

    Args:
        name, path, create: as for Lock.
        maxsize: messages that fit (rounded up to a power of two); an existing queue keeps its own.
        message_bytes: of the longest message.
        single: one producer and one consumer at a time: faster. Somebody else gets Busy until they let go or die.
    """

    def __init__(self, name: str | None = None, *, maxsize: int = 256, message_bytes: int = 1000, single: bool = False,
                 path: str | os.PathLike[str] | None = None, create: bool = True) -> None:  # fmt: skip
        count_given("make a Queue", "maxsize", maxsize, 1)
        count_given("make a Queue", "message_bytes", message_bytes, 1)
        shape = (maxsize, message_bytes + 1, bool(single))
        if name is not None and path is not None:
            raise ValueError("give a name or a path, not both")
        if path is not None:
            core = _core.Messages.open(os.fspath(path), *shape, create)
        elif name is not None:
            core = _core.Messages.shared(name_given("find a Queue", name), *shape, create)
        else:
            core = _core.Messages.make(*shape)
        self._begin(core)

    def _begin(self, core: _core.Messages) -> None:
        self._core = core
        self._returned: deque[bytes] = deque()  # taken for a waiter that was cancelled meanwhile

    @classmethod
    def attach(cls, handle: str) -> Queue:
        """The queue that a handle names. Raises NotFound, WrongType, WrongHost."""
        made = cls.__new__(cls)
        made._begin(_core.Messages.attach(handle_given("attach a Queue", handle)))
        return made

    @property
    def handle(self) -> str:
        """Text by which other processes attach it."""
        return self._core.region.handle()

    def __reduce__(self) -> tuple[Any, ...]:
        region = self._core.region
        if region.backing == "file":
            return _open_queue, (region.path,)
        return _attach_queue, (region.handle(),)

    @staticmethod
    def _packed(item: Any) -> bytes:
        if type(item) is bytes:
            return b"\0" + item
        return b"\1" + pickle.dumps(item, protocol=5)

    @staticmethod
    def _unpacked(message: bytes) -> Any:
        return pickle.loads(memoryview(message)[1:]) if message[:1] == b"\1" else message[1:]

    def _put_judged(self, code: int) -> None:
        if code == CLOSED:
            raise PeerClosed("put a message in a queue", "it is closed")
        if code != DONE:
            raise Full

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Raises queue.Full, PeerClosed (after ``close``), InvalidArgument (longer than ``message_bytes``)."""
        self._put_judged(self._core.put_code(self._packed(item), seconds_of(timeout) if block else 0.0, None))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Raises queue.Empty, and PeerClosed when it is closed and empty."""
        if self._returned:
            return self._unpacked(self._returned.popleft())
        return self._judged(self._core.get_or_code(seconds_of(timeout) if block else 0.0, None))

    def _judged(self, answer: Any) -> Any:
        if type(answer) is bytes:
            return self._unpacked(answer)
        if answer == CLOSED:
            raise PeerClosed("take a message from a queue", "it is closed, and nothing is left in it")
        raise Empty

    def put_nowait(self, item: Any) -> None:
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        return self.get(block=False)

    async def put_async(self, item: Any, timeout: float | None = None) -> None:
        """``await``: as ``put``. A cancelled put may have put the message in."""
        message, wait = self._packed(item), seconds_of(timeout)
        self._put_judged(await in_thread(lambda c: self._core.put_code(message, wait, c), lambda _: None))

    async def get_async(self, timeout: float | None = None) -> Any:
        """``await``: as ``get``. A cancelled get takes no message away: the next ``get`` of this object has it."""
        if self._returned:
            return self._unpacked(self._returned.popleft())
        wait = seconds_of(timeout)

        def give_back(answer: Any) -> None:
            if type(answer) is bytes:
                self._returned.append(answer)

        return self._judged(await in_thread(lambda c: self._core.get_or_code(wait, c), give_back))

    def close(self) -> None:
        """Nothing more can be put in; what is in it can still be taken."""
        self._core.close()

    def let_go(self) -> None:
        """With ``single``: somebody else may be the producer or the consumer now."""
        self._core.let_go()

    @property
    def closed(self) -> bool:
        return self._core.closed

    @property
    def maxsize(self) -> int:
        return self._core.slots

    def qsize(self) -> int:
        return self._core.size + len(self._returned)

    def empty(self) -> bool:
        return self.qsize() == 0

    def full(self) -> bool:
        return self._core.size >= self._core.slots

    def __repr__(self) -> str:
        name = self._core.region.name
        return f"<onecopy.Queue {name!r} {self.qsize()} of {self.maxsize}>"


def _attach_queue(handle: str) -> Queue:
    return Queue.attach(handle)


def _open_queue(path: str) -> Queue:
    return Queue(path=path, create=False)
