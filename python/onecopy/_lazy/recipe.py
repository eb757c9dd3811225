"""Lazy arrays on other hosts: what travels is how they are made, and each host fills its own.

A lazy array that nobody can write to is nothing but its recipe: a source and where it reads. On the host where it was
made the handle leads to its memory. On another one the first process makes it there by the recipe, and leaves its
handle under a name, by which the others find it: one copy per host, filled by that host's pager. Files must be
reachable by the same path on every host; one that is not raises when it is touched.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import weakref
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._core import LazyMemory
from .._memory.missing import MissingArray
from ..errors import Error, NotFound, WrongHost

_SMALL = 2000  # bytes of a pickled recipe that goes into each message; larger ones are shared themselves


class Recipe(NamedTuple):
    """What make_lazy takes, without what only holds on the host that calls it."""

    type: int
    size: int
    kind: str
    fields: dict[str, str]
    by_program: bool
    payload: bytes
    description: str
    chunk: int
    deadline: float
    note: bytes
    in_place: bool

    def make(self, command: list[str], writable: bool = False, write_back: bool = False,
             private: bool = False) -> LazyMemory:  # fmt: skip
        return _core.make_lazy(self.type, self.size, self.kind, self.fields, command, self.payload, self.description,
                               self.chunk, self.deadline, writable, write_back, self.note, private, self.in_place)


# Of lazy memory in this process: its recipe, as it is pickled, and what must live as long as it does.
_known: weakref.WeakKeyDictionary[LazyMemory, tuple[Any, Any]] = weakref.WeakKeyDictionary()


def remember(memory: LazyMemory, recipe: Any, kept: Any = None) -> None:
    _known[memory] = recipe, kept


def recipe_of(memory: LazyMemory) -> Any:
    """What to pickle: bytes, or shared bytes; None for arrays that can only be used where they are."""
    recipe, kept = _known.get(memory, (None, None))
    if isinstance(recipe, Recipe):
        from ..api import share

        packed = pickle.dumps(tuple(recipe), protocol=5)
        recipe = packed if len(packed) <= _SMALL else share(np.frombuffer(packed, "u1"))
        _known[memory] = recipe, kept
    return recipe


def attach_or_make(handle: str, recipe: Any) -> LazyMemory:
    """The memory that a handle names; on another host the one that the first process there makes by the recipe."""
    try:
        memory = _core.attach_lazy(handle, False)
    except (NotFound, WrongHost) as reason:
        here = handle.split(":")[2:4] == [_core.host_id(), _core.store_id()]
        if recipe is None or here or _only_passes_on():
            raise
        return _made_here(handle, recipe, reason)
    if recipe is not None and memory not in _known:
        remember(memory, recipe)
    return memory


def _only_passes_on() -> bool:
    """A scheduler has no use for the array, and perhaps no way to its file."""
    module = sys.modules.get("distributed.scheduler")
    return module is not None and bool(module.Scheduler._instances) and not _has_workers()


def _has_workers() -> bool:
    module = sys.modules.get("distributed.worker")
    return module is not None and bool(module.Worker._instances)


def _made_here(handle: str, packed: Any, reason: Error) -> LazyMemory:
    from ..api import attach, share
    from ..sync import Lock
    from . import runner

    if isinstance(packed, MissingArray):
        raise reason
    name = f"onecopy lazy {_core.handle_id(handle)}"
    with Lock(name + " lock") as alone:
        if alone.owner_died:
            alone.repaired()
        with contextlib.suppress(NotFound):
            found = attach(name=name)
            memory = _core.attach_lazy(str(found), False)
            remember(memory, packed, found)
            return memory
        recipe = Recipe(*pickle.loads(bytes(packed)))
        memory = recipe.make(runner.command() if recipe.by_program else [])
        remember(memory, packed, share(memory.handle(), name=name, replace=True))
        return memory


class MissingLazy(MissingArray):
    """A lazy array that could be neither attached nor made."""

    __slots__ = ("_reads", "_recipe")

    def __init__(self, reason: Error, handle: str, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int,
                 strides: tuple[int, ...] | None, reads: Any, recipe: Any) -> None:  # fmt: skip
        super().__init__(reason, handle, shape, dtype, offset, strides)
        object.__setattr__(self, "_reads", reads)
        object.__setattr__(self, "_recipe", recipe)

    def __reduce__(self) -> Any:
        from .._pickle import lazy_at

        _, arguments = super().__reduce__()
        recipe = object.__getattribute__(self, "_recipe")
        reads = object.__getattribute__(self, "_reads")
        return lazy_at, (*arguments, reads, *([] if recipe is None else [recipe]))
