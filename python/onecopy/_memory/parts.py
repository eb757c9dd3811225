"""Objects of other libraries that are shared in parts, in one piece of a pickle.

Their own constructors would stumble over a part that is not here: a relay on another host, such as a scheduler, could
neither load such an object nor pass it on. So they travel as a pickle within the pickle, which is opened only where all
of its parts are at hand.
"""

from __future__ import annotations

import contextvars
import operator
import pickle
from collections.abc import Callable
from typing import Any

from ..errors import Error
from .elsewhere import Search, bring, searching
from .missing import Missing

_within: contextvars.ContextVar[bool] = contextvars.ContextVar("onecopy_in_a_piece", default=False)


def in_one_piece(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """What __reduce__ returns for an object that `function(*arguments)` makes."""
    if _within.get():
        return function, arguments
    buffers: list[pickle.PickleBuffer] = []
    token = _within.set(True)
    try:
        payload = pickle.dumps((function, arguments), protocol=5, buffer_callback=buffers.append)
    except Exception:  # what only the pickler that asks can pickle
        return function, arguments
    finally:
        _within.reset(token)
    return open_piece, (payload, *map(_Raw, buffers))


class _Raw:
    """Bytes out of band where the outer pickle's protocol can."""

    def __init__(self, buffer: pickle.PickleBuffer) -> None:
        self.buffer = buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        # getitem((x,), 0) is x.
        return operator.getitem, ((self.buffer if protocol >= 5 else bytes(self.buffer.raw()),), 0)


def open_piece(payload: bytes, *buffers: Any) -> Any:
    """The object of a piece; a Missing that pickles as the same piece, when a part of it can't be had."""
    with searching() as search:
        made = _opened(payload, buffers, search)
    if not search.wanted:
        return made
    for handle, reason in search.wanted.items():
        try:
            bring(handle, reason)
        except Error as error:
            return MissingPiece(error, handle, payload, buffers)
    with searching() as search:
        made = _opened(payload, buffers, search)
    for handle, reason in search.wanted.items():  # gone again
        return MissingPiece(reason, handle, payload, buffers)
    return made


def _opened(payload: bytes, buffers: tuple[Any, ...], search: Search) -> Any:
    try:
        function, arguments = pickle.loads(payload, buffers=buffers)
        return function(*arguments)
    except Exception:
        if not search.wanted:
            raise
        return None


class MissingPiece(Missing):
    """An object of which a part is not here."""

    __slots__ = ("_buffers", "_payload")

    def __init__(self, reason: Error, handle: str, payload: bytes, buffers: tuple[Any, ...]) -> None:
        super().__init__(reason, handle)
        object.__setattr__(self, "_payload", payload)
        object.__setattr__(self, "_buffers", buffers)

    def __reduce__(self) -> Any:
        get = object.__getattribute__
        return open_piece, (get(self, "_payload"), *(bytes(memoryview(b)) for b in get(self, "_buffers")))
