"""What is shared, how large it is, and who holds it."""

from __future__ import annotations

import dataclasses
import datetime
import os
from typing import Any

from . import _core
from ._core import PrivatePages
from ._memory.place import owner_of
from .errors import WrongType


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One object of the store.

    Attributes:
        id: what its handle ends with; `free` and `onecopy rm` take it.
        name: chosen by the user, or "".
        size: bytes, in whole pages.
        created: when.
        lease: seconds it stays when nobody holds it; infinite for objects kept until freed.
        mutable: whether it was shared as mutable.
        holders: how many mappings hold it, in all processes.
    """

    id: str
    name: str
    size: int
    created: datetime.datetime
    lease: float
    mutable: bool
    holders: int


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What the objects of the store take.

    Attributes:
        objects: how many there are.
        size: bytes of all of them.
        saved: bytes that copies in every holder would take beyond the one that there is.
        directory: where the store is.
        available: bytes that its file system still has.
    """

    objects: int
    size: int
    saved: int
    directory: str
    available: int


def ls() -> list[Entry]:
    """All objects in the store of this user, newest last."""
    zone = datetime.UTC
    entries = _core.list()
    counts = _core.holders([entry[0] for entry in entries])
    out = []
    for (id_, name, size, created, lease, mutable, _), holders in zip(entries, counts, strict=True):
        when = datetime.datetime.fromtimestamp(created, zone).astimezone()
        out.append(Entry(id_, name, size, when, lease, mutable, holders))
    return sorted(out, key=lambda e: e.created)


def holders(obj: Any) -> int:
    """How many mappings hold a shared object now, in all processes, by the kernel's count; a process that was killed
    holds nothing. Raises WrongType for what is not shared."""
    from .api import shared_node

    node = shared_node(obj)
    owner = owner_of(obj) if node is None else node.region  # a part of an array has no node of its own
    if owner is None:
        raise WrongType("count the holders of an object", f"this {type(obj).__name__} is not shared", "Share it first")
    return int((owner.region if isinstance(owner, PrivatePages) else owner).holders())


def gc() -> tuple[int, int]:
    """Removes what nobody holds and no lease keeps, such as leftovers of killed processes; done on import, too.

    Returns: how many objects and bytes were removed.
    """
    return _core.collect()


def usage() -> Usage:
    """Totals of the store."""
    entries = ls()
    directory = _core.directory()
    disk = os.statvfs(directory)
    saved = sum(e.size * (e.holders - 1) for e in entries if e.holders > 1)
    return Usage(len(entries), sum(e.size for e in entries), saved, directory, disk.f_bavail * disk.f_frsize)


def doctor() -> list[dict[str, Any]]:
    """What this machine allows and what it does not, with the remedy; as `onecopy doctor` shows."""
    return [dict(zip(("what", "state", "found", "remedy"), check, strict=True)) for check in _core.doctor()]
