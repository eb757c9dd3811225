"""Where the memory of a Python object lies: in a region, in private pages of one, or elsewhere."""

from __future__ import annotations

import contextlib
import contextvars
import weakref
from collections.abc import Callable, Container, Iterator
from typing import Any

from .._core import Node, PrivatePages, Region, check_intact
from ..errors import Unsupported

_values_only: contextvars.ContextVar[bool] = contextvars.ContextVar("onecopy_by_value", default=False)


@contextlib.contextmanager
def by_value() -> Iterator[None]:
    """Within this context shared objects are pickled as their data, not as handles.

    For pickles that outlive the processes, such as files and databases: a handle leads nowhere once its object has
    ended. Applies to the current thread (or asyncio task) only.

        with onecopy.by_value():
            pickle.dump(frame, file)
    """
    token = _values_only.set(True)
    try:
        yield
    finally:
        _values_only.reset(token)


def pickling_by_value() -> bool:
    return _values_only.get()


# Called when a handle is about to leave this process.
_announce: list[Callable[[], object]] = []


def before_handles(call: Callable[[], object]) -> None:
    """Has `call` called whenever a shared object is pickled as a handle."""
    _announce.append(call)


def handle_of(what: Region | Node) -> str | None:
    """The handle to pickle; or None where none leads: to memory that came as a descriptor, and to files. Their data is
    pickled instead.

    Raises Corrupt if that data is gone, as the file was cut short.
    """
    try:
        handle = what.handle()
    except Unsupported:
        check_intact(what if isinstance(what, Region) else what.region)
        return None
    for call in _announce:
        call()
    return handle


def lies_in(memory: Any, kinds: Container[type]) -> Any:
    """What an array or memoryview lies in, if it is of one of these kinds; else None."""
    base = memory
    while type(base) not in kinds:
        inner = base.obj if type(base) is memoryview else getattr(base, "base", None)
        if inner is None or inner is base:  # a dtype's base is the dtype itself
            return None
        base = inner
    return base


_OWNERS = frozenset({Region, PrivatePages})


def owner_of(memory: Any) -> Region | PrivatePages | None:
    """The region or private pages that an array or memoryview lies in."""
    owner: Region | PrivatePages | None = lies_in(memory, _OWNERS)
    return owner


def require_intact(memory: Any) -> None:
    """Raises Corrupt if an array lies in a file that was cut short since it was mapped."""
    owner = owner_of(memory)
    if owner is not None:
        check_intact(owner.region if isinstance(owner, PrivatePages) else owner)


# Objects whose type has no room for a note of ours: id -> (weak reference, node). Pickled by their own means, part by
# part, but known to handle() and is_shared().
_noted: dict[int, tuple[weakref.ref[Any], Node]] = {}


def note_node(obj: Any, node: Node) -> None:
    """Remembers the node of an object for as long as the object lives. Objects without weak references are let be."""
    key = id(obj)
    try:
        _noted[key] = (weakref.ref(obj, lambda _: _noted.pop(key, None)), node)
    except TypeError:
        pass


def noted_node(obj: Any) -> Node | None:
    entry = _noted.get(id(obj))
    return entry[1] if entry is not None and entry[0]() is obj else None


def human_size(count: float) -> str:
    """1234567 as "1.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def describe_memory(owner: Region | PrivatePages, size: int) -> str:
    """For repr: size, how it is shared, holders."""
    if isinstance(owner, PrivatePages):
        return f"{human_size(size)} shared, writes private"
    count = owner.holders()
    how = "mutable" if owner.writable else "shared"
    return f"{human_size(size)} {how}, {count} holder{'' if count == 1 else 's'}"
