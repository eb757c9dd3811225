"""Objects that lie on another host: who is asked for them, and when.

Unpickling must work anywhere and never make an event loop wait. So what can't be attached is looked for in one of three
ways. Within a `search`, it is noted, and whoever began the search brings it here and unpickles once more. In a thread
that may wait, the resolvers are asked at once. Otherwise a `Missing` takes the object's place; sent on, it is the same
handle again.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol, TypeVar

from .. import _core
from .._core import Node
from ..errors import Error, NotFound, WrongHost

T = TypeVar("T")


class Resolver(Protocol):
    """What brings objects to this host: an engine that runs over several hosts."""

    def may_wait(self) -> bool:
        """False where a fetch would hold up an event loop that others depend on."""

    def fetch(self, handle: str) -> None:
        """Makes the object attachable here. Raises Error, saying who was asked. May be called from several threads."""

    async def fetch_without_waiting(self, handle: str) -> None:
        """The same, for an event loop."""


class Search:
    """What one message lacks, and why it could not be had."""

    def __init__(self, failed: dict[str, Error] | None = None) -> None:
        self.wanted: dict[str, Error] = {}
        self.failed = {} if failed is None else failed


_search: contextvars.ContextVar[Search | None] = contextvars.ContextVar("onecopy_search", default=None)
_finders: list[Callable[[], Resolver | None]] = []


def resolve_with(find: Callable[[], Resolver | None]) -> None:
    """Adds somebody to ask: `find` returns the resolver of this moment, or None where none is at work."""
    if find not in _finders:
        _finders.append(find)


def resolvers() -> list[Resolver]:
    """Of the engines that this process is part of."""
    return [who for who in (find() for find in _finders) if who is not None]


@contextlib.contextmanager
def searching(failed: dict[str, Error] | None = None) -> Iterator[Search]:
    """Within it nothing is fetched: what is not here is noted."""
    search = Search(failed)
    token = _search.set(search)
    try:
        yield search
    finally:
        _search.reset(token)


def attach(handle: str) -> Node:
    """The node of a handle, also if it had to be brought here first. Raises what the core's attach raises."""
    try:
        return _core.attach(handle)
    except (NotFound, WrongHost) as reason:
        bring(handle, reason)
    return _core.attach(handle)


def bring(handle: str, reason: Error) -> None:
    """Brings an object here that could not be attached for that reason. Raises it, or a better one."""
    whole = handle.partition("/")[0]
    search = _search.get()
    if search is not None:
        if whole in search.failed:
            raise search.failed[whole]
        search.wanted[whole] = reason
        raise reason
    for who in resolvers():
        if not who.may_wait():
            continue
        try:
            who.fetch(whole)
            return
        except Error as error:
            reason = error
    raise reason


async def complete(load: Callable[[], Awaitable[T]]) -> T:
    """What `load` returns once all that it attaches is here; without making the event loop wait for that.

    It is called again after something had to be fetched, so it must be able to run twice. What can't be had is a
    Missing in the result.
    """
    failed: dict[str, Error] = {}
    fetched: set[str] = set()

    async def fetch(handle: str, reason: Error) -> None:
        if handle not in fetched:  # or it was brought here, and is gone again
            fetched.add(handle)
            for who in resolvers():
                try:
                    await who.fetch_without_waiting(handle)
                    return
                except Error as error:
                    reason = error
        failed[handle] = reason

    while True:
        with searching(failed) as search:
            try:
                result = await load()
            except Exception:
                if not search.wanted:
                    raise
        if not search.wanted:
            return result
        await asyncio.gather(*(fetch(handle, reason) for handle, reason in search.wanted.items()))
