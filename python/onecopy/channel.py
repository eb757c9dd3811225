"""Messages between two processes of one machine: bytes, and shared objects that travel by reference."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from . import _core, errors
from ._core import Node
from ._objects.containers import shared_form
from ._objects.decode import load
from ._objects.opaque import pickles_allowed
from .api import _publish, shared_node

__all__ = ["Channel", "Listener", "Message", "Peer", "receive_descriptor", "sealed_descriptor"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end.

    Attributes:
        user: the user's number.
        process: its process id, for people to read.
        same_store: it attaches by handle.
        known: False as long as it has not spoken: the rest is assumed then.
    """

    user: int
    process: int
    same_store: bool
    known: bool


@dataclass(frozen=True, slots=True)
class Message:
    """What arrived: ordinary bytes, and objects. An object that could not be accepted is an exception, not raised."""

    data: bytes
    objects: list[Any]


def _seconds(timeout: float | None) -> float:
    return -1.0 if timeout is None else float(timeout)


_ERRORS = {
    "invalid_argument": "InvalidArgument", "not_found": "NotFound", "exists": "Exists", "corrupt": "Corrupt",
    "unsupported": "Unsupported", "no_space": "NoSpace", "no_memory": "NoMemory", "permission": "PermissionDenied",
    "wrong_host": "WrongHost", "wrong_type": "WrongType", "busy": "Busy", "timeout": "Timeout",
    "owner_died": "OwnerDied", "peer_closed": "PeerClosed", "interrupted": "Interrupted", "system": "SystemFailure",
}  # fmt: skip


class Channel:
    """One end of a channel.

        here, there = onecopy.Channel.pair()
        here.send(frame)                     # its memory is shared first, if it is not yet; then a reference travels
        there.receive()                      # the same memory

    Large objects are never copied into the channel; small ones travel within the message. Between processes of this
    user that see one store objects go by handle; to others as descriptors of sealed memory, which nobody can change.
    What arrives is checked before it is used, and can't end the process. Pickles (of objects that have no form of
    their own) are only loaded when the other end is known to be a process of this user.

    `fileno()` makes it fit for select and asyncio; `receive_async` and `send_async` are for coroutines. A process that
    ends raises PeerClosed at the other end, after everything that it sent has been received.

    Threads: one may send while another receives; several senders or several receivers take turns.
    """

    def __init__(self, descriptor: int | Any, *, inline_limit: int = 4096, peer: str = "automatic") -> None:
        """Takes a copy of the descriptor (a number, or anything with fileno()) of a connected Unix socket of type
        SOCK_SEQPACKET.

        Args:
            inline_limit: objects whose shared form is at most so large travel within the message; at most 16384.
            peer: who is at the other end as long as it has not spoken: "automatic" (who made the socket), "same_store",
                or "stranger", which sends sealed memory whatever the other end says.

        Raises: InvalidArgument: it is something else.
        """
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        self._core = _core.Channel(number, _limit(inline_limit), _peer(peer))

    @classmethod
    def _of(cls, core: Any) -> Channel:
        made = cls.__new__(cls)
        made._core = core
        return made

    @classmethod
    def pair(cls, *, inline_limit: int = 4096, peer: str = "automatic") -> tuple[Channel, Channel]:
        """Two connected ends. To give one to a child: pass_fds=[there.fileno()], and Channel(number) in the child."""
        first, second = _core.Channel.pair(_limit(inline_limit), _peer(peer))
        return cls._of(first), cls._of(second)

    @classmethod
    def connect(cls, path: str | os.PathLike[str], *, timeout: float | None = 10, inline_limit: int = 4096,
                peer: str = "automatic") -> Channel:
        """To a Listener. Raises NotFound, PeerClosed (nobody listens), PermissionDenied, Timeout."""
        return cls._of(_core.Channel.connect(os.fspath(path), _seconds(timeout), _limit(inline_limit), _peer(peer)))

    @classmethod
    def spawn(cls, command: Sequence[str], **popen: Any) -> tuple[Channel, subprocess.Popen[Any]]:
        """Starts a program with the other end of a new channel, which it gets with Channel.inherited().

        Args: command, popen: as for subprocess.Popen, for example [sys.executable, "worker.py"].
        """
        if isinstance(command, (str, bytes)) or not command:
            raise errors.InvalidArgument("start a program with a channel", f"its command is {command!r}",
                                         "Give the program and its arguments, as in [sys.executable, \"worker.py\"]")
        given = popen.pop("env", None)
        environment = dict(os.environ if given is None else given)
        here, there = cls.pair()
        environment["ONECOPY_CHANNEL"] = str(there.fileno())
        handed = [*popen.pop("pass_fds", ()), there.fileno()]
        with there:
            child = subprocess.Popen(command, env=environment, pass_fds=handed, **popen)
        return here, child

    @classmethod
    def inherited(cls) -> Channel:
        """The end that this process was started with by spawn(). Raises InvalidArgument if there is none."""
        number = os.environ.pop("ONECOPY_CHANNEL", "")
        if not number.isdigit():
            raise errors.InvalidArgument("take over the channel of the parent", "ONECOPY_CHANNEL is not set",
                                         "Start this program with onecopy.Channel.spawn")
        made = cls(int(number))
        os.close(int(number))
        return made

    # ---- sending

    def send(self, obj: Any, *, timeout: float | None = None) -> None:
        """Sends one object; bytes, bytearrays and memoryviews of private memory as ordinary bytes.

        Args:
            timeout: seconds to wait while the other end is too far behind; None: for ever; 0: not at all.

        Raises: Timeout (nothing was sent), PeerClosed, NoSpace, PermissionDenied (a mutable object, to another user).
        """
        nodes, data = self._packed(obj)
        self._core.send(nodes, data, _seconds(timeout))

    def send_message(self, data: bytes = b"", objects: Sequence[Any] = (), *, timeout: float | None = None) -> None:
        """Sends bytes and any number of objects as one message: all of it arrives, or nothing."""
        self._core.send([self._node(one) for one in objects], data, _seconds(timeout))

    def _packed(self, obj: Any) -> tuple[list[Node], Any]:
        node = shared_node(obj)
        if node is not None:
            return [node], b""
        if isinstance(obj, (bytes, bytearray, memoryview)):
            return [], obj
        return [self._node(obj)], b""

    def _node(self, obj: Any) -> Node:
        node = shared_node(obj)
        if node is not None:
            return node
        return _publish(obj, None, where="store" if self._core.peer()[2] else "memfd")

    # ---- receiving

    def receive(self, *, timeout: float | None = None) -> Any:
        """The next object, or the next bytes. Raises Timeout, PeerClosed, Corrupt (the other end is no channel: this
        one is closed), and what was wrong with an object: NotFound, Corrupt, PermissionDenied.
        """
        return _only(self._message(self._core.receive(_seconds(timeout))))

    def receive_message(self, *, timeout: float | None = None) -> Message:
        """The next message, with all that belongs to it."""
        return self._message(self._core.receive(_seconds(timeout)))

    def try_receive(self) -> Message | None:
        """The next message if all of it is there already."""
        parts = self._core.try_receive()
        return None if parts is None else self._message(parts)

    def _message(self, parts: tuple[bytes, list[Any]]) -> Message:
        data, found = parts
        user, _, _, known = self._core.peer() if found else (0, 0, False, False)
        token = pickles_allowed.set(known and user == os.geteuid())
        try:
            return Message(data, [self._object(one) for one in found])
        finally:
            pickles_allowed.reset(token)

    @staticmethod
    def _object(found: Any) -> Any:
        if isinstance(found, tuple):
            kind, *details = found
            return getattr(errors, _ERRORS[kind])(*details)
        try:
            return shared_form(load(found), found)
        except errors.Error as wrong:
            return wrong

    # ---- coroutines

    async def receive_async(self, *, timeout: float | None = None) -> Any:
        """As receive, without blocking the event loop. One coroutine at a time."""
        return _only(await self.receive_message_async(timeout=timeout))

    async def receive_message_async(self, *, timeout: float | None = None) -> Message:
        """As receive_message, without blocking the event loop. One coroutine at a time."""

        async def wait() -> Message:
            while (message := self.try_receive()) is None:
                await self._readable()
            return message

        try:
            return await asyncio.wait_for(wait(), timeout)
        except TimeoutError:
            raise errors.Timeout("receive from a channel", "nothing came in the time given") from None

    async def send_async(self, obj: Any, *, timeout: float | None = None) -> None:
        """As send; while the other end is behind, other coroutines run."""

        nodes, data = self._packed(obj)

        async def attempt() -> None:
            while True:
                try:
                    return self._core.send(nodes, data, 0.0)
                except errors.Timeout:
                    await self._writable()

        try:
            await asyncio.wait_for(attempt(), timeout)
        except TimeoutError:
            raise errors.Timeout("send over a channel", "the other end was too far behind in the time given") from None

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(self.fileno(), _settle, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self.fileno())

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_writer(self.fileno(), _settle, ready)
        try:
            await ready
        finally:
            loop.remove_writer(self.fileno())

    # ---- the rest

    def fileno(self) -> int:
        """For select, selectors and asyncio; -1 when closed. Readable when try_receive has work to do."""
        return int(self._core.descriptor)

    def peer(self) -> Peer:
        return Peer(*self._core.peer())

    def wait_for_peer(self, timeout: float | None = 10) -> Peer:
        """Waits until the other end has said who it is, which it does when it is first used. Raises Timeout."""
        self._core.wait_for_peer(_seconds(timeout))
        return self.peer()

    def close(self) -> None:
        """Not while another thread uses it."""
        self._core.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, kind: type[BaseException] | None, wrong: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        number = self.fileno()
        return f"<onecopy.Channel {'closed' if number < 0 else f'descriptor {number}'}>"


class Listener:
    """Accepts channels at a path. Only this user can connect, unless the mode of the socket is changed.

        with onecopy.Listener("/run/user/1000/fonts") as door:
            channel = door.accept()
    """

    def __init__(self, path: str | os.PathLike[str], *, inline_limit: int = 4096, peer: str = "automatic") -> None:
        """Raises Exists: somebody listens there, or there is a file. NotFound: no such directory."""
        self._core: Any = _core.Listener(os.fspath(path), _limit(inline_limit), _peer(peer))

    def accept(self, *, timeout: float | None = None) -> Channel:
        """The next connection. Raises Timeout."""
        return Channel._of(self._open().accept(_seconds(timeout)))

    def fileno(self) -> int:
        return int(self._open().descriptor)

    @property
    def path(self) -> str:
        return str(self._open().path)

    def close(self) -> None:
        """Removes the path."""
        self._core = None

    def _open(self) -> Any:
        if self._core is None:
            raise errors.InvalidArgument("use a listener", "it is closed")
        return self._core

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, kind: type[BaseException] | None, wrong: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def sealed_descriptor(obj: Any) -> int:
    """A descriptor of sealed memory that holds the object, which is shared first if it is not yet. Nobody can change
    that memory. It is the caller's, who closes it: os.close.

        number = onecopy.sealed_descriptor(frame)
        subprocess.Popen([...], pass_fds=[number])      # there: onecopy.receive_descriptor(number); R: receiveShared()

    It fits socket.send_fds as well, and other processes may open /proc/<process>/fd/<number>. What lies in the store or
    in a file is copied once; sealed memory, such as what came over a channel, is not.

    Raises: PermissionDenied: the object is mutable. NoSpace.
    """
    node = shared_node(obj)
    if node is None or node.index != 0:
        node = _publish(obj, None, where="memfd")
    return int(_core.sealed_descriptor(node.region))


def receive_descriptor(descriptor: int | Any, *, timeout: float | None = None) -> Any:
    """The object in a descriptor that this process was started with or was sent: sealed memory, which R's
    shareConnection() and C++ make. Waits until it is written. The descriptor stays the caller's.

    Raises: Timeout, PeerClosed (its writer has ended), PermissionDenied (not sealed), Corrupt.
    """
    if not isinstance(descriptor, int) and not hasattr(descriptor, "fileno"):
        raise errors.WrongType("receive an object from a descriptor", f"it is a {type(descriptor).__name__}",
                               "Give its number, or a file")
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    node = _core.receive_descriptor(number, _seconds(timeout))
    token = pickles_allowed.set(False)
    try:
        return shared_form(load(node), node)
    finally:
        pickles_allowed.reset(token)


def _only(message: Message) -> Any:
    if not message.objects:
        return message.data
    first = message.objects[0]
    if isinstance(first, errors.Error):
        raise first
    return first


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _limit(inline_limit: int) -> int:
    if not 0 <= inline_limit <= 16384:
        raise errors.InvalidArgument("make a channel", f"inline_limit={inline_limit} is not between 0 and 16384")
    return inline_limit


def _peer(peer: str) -> str:
    if peer not in ("automatic", "same_store", "stranger"):
        raise errors.InvalidArgument("make a channel", f"peer={peer!r} is not known",
                                     'Use "automatic", "same_store" or "stranger"')
    return peer
