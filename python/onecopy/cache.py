"""Shared objects by key: loaded once, used by many processes, evicted when nobody uses them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import _core
from ._core import Node
from ._given import count_given, name_given
from ._objects.containers import shared_form
from ._objects.decode import load as load_node
from .api import _publish, shared_node
from .errors import WrongType

__all__ = ["Cache", "CacheEntry", "CacheStatistics"]


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One entry: its bytes of memory (0 for mapped files), whether anybody uses it, and seconds since it was used."""

    key: str
    size: int
    in_use: bool
    idle: float


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Entries and bytes now; and since the beginning: found here, loaded by another process, loaded here, evicted."""

    entries: int
    size: int
    hits: int
    attached: int
    loads: int
    evictions: int


class Cache:
    """A cache of shared objects.

        fonts = onecopy.Cache(budget=64 << 20)
        font = fonts.get("DejaVu Sans", lambda: onecopy.map_file(path))

    To evict an entry is to let go of it: that frees memory which nobody uses, and takes nothing from those who do,
    in whatever process. Who uses an entry is what the kernel says, so a process that dies uses nothing any more.

    Threads: all methods may be called from any thread at once.
    """

    def __init__(self, name: str = "", *, budget: int | None = None, max_age: float = math.inf,
                 on_evict: Callable[[str, int, str], object] | None = None) -> None:
        """
        Args:
            name: shared with all processes of this user that use the same name: each entry is loaded once, by one of
                them, while the others wait. Without a name the cache is this process's own.
            budget: bytes of memory that the entries may take; what is in use stays beyond it. Mapped files don't count.
            max_age: seconds since an entry was last seen in use, after which it goes.
            on_evict: called with the key, the bytes that are free again, and "age", "budget" or "asked".

        Raises: InvalidArgument: the name is longer than 120 bytes.
        """
        if budget is not None:
            budget = count_given("make a Cache", "its budget in bytes", budget, 0, 2**63 - 1)
        self._core = _core.Cache(name_given("make a Cache", name), budget, max_age, on_evict)

    def get(self, key: str, load: Callable[[], Any], *, timeout: float | None = None) -> Any:
        """The entry: from here, from another process, or what `load()` returns, shared if it is not yet.

        Raises: Timeout, when another one is still loading it; whatever `load` raises, after which the next in line
        loads.
        """

        def node() -> Node:
            obj = load()
            return shared_node(obj) or _publish(obj, None, where="store")

        return _object(self._core.get(_key(key), node, -1.0 if timeout is None else float(timeout)))

    def find(self, key: str) -> Any | None:
        """The entry, if it is here or another process of the same cache has it; else None."""
        node = self._core.find(_key(key))
        return None if node is None else _object(node)

    def put(self, key: str, obj: Any) -> None:
        """Adds or replaces an entry; who uses the old one keeps it."""
        self._core.put(_key(key), shared_node(obj) or _publish(obj, None, where="store"))

    def trim(self) -> int:
        """Evicts what is too old, then the longest unused until the budget is met; says how many went. Runs by itself
        when an entry is added."""
        return int(self._core.trim())

    def evict_unused(self) -> int:
        """Evicts all that nobody uses."""
        return int(self._core.evict_unused())

    def remove(self, key: str) -> bool:
        """Lets go of one entry, used or not. False if it was not here."""
        return bool(self._core.remove(_key(key)))

    def clear(self) -> None:
        self._core.clear()

    def entries(self) -> list[CacheEntry]:
        return [CacheEntry(*one) for one in self._core.entries()]

    def statistics(self) -> CacheStatistics:
        return CacheStatistics(*self._core.statistics())


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise WrongType("use an entry of a cache", f"a key is a str, not {type(key).__name__}")
    return key


def _object(node: Node) -> Any:
    return shared_form(load_node(node), node)
