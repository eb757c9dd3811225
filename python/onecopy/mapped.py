"""Files that are used where they lie, and references that keep nothing."""

from __future__ import annotations

import os
from typing import Any, cast

import numpy as np

from . import _core, errors
from ._memory import format as f
from ._memory.place import require_intact
from ._objects.array import SharedArray
from ._objects.containers import shared_form
from ._objects.decode import load
from .api import shared_node

__all__ = ["WeakReference", "check_intact", "map_file"]


def map_file(path: str | os.PathLike[str], dtype: Any = "u1", *, offset: int = 0,
             shape: int | tuple[int, ...] | None = None, order: str = "C") -> SharedArray:
    """An array whose elements are the bytes of an existing file: the page cache is the one copy, for all processes.

    Nothing is read before it is used. The array is read-only, and shows what other programs write into the file.
    If the file is cut short meanwhile, this process is not killed: the missing pages become zeros, and
    `check_intact(array)` raises Corrupt. Sent over a Channel, the file travels as a descriptor and its path.

    Args:
        dtype: of the elements, in this machine's byte order; no records or strings.
        offset: bytes to leave out, a multiple of 64.
        shape: all there is, unless given; the file must then end with a whole element.
        order: "C" or "F".

    Raises: NotFound, PermissionDenied, InvalidArgument (no ordinary file, or the arguments don't fit it).
    """
    wanted = np.dtype(dtype)
    number = f.RAW if wanted == np.dtype("u1") else f.NUMBER_OF.get(wanted.str)
    if number is None:
        raise errors.InvalidArgument(f"map {os.fspath(path)}", f"files can't be seen as elements of {wanted}",
                                     'Map it as bytes ("u1") and view the array')
    if order not in ("C", "F"):
        raise errors.InvalidArgument(f"map {os.fspath(path)}", f"order={order!r} is neither \"C\" nor \"F\"")
    extents = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    if any(one < 0 for one in extents) or offset < 0:
        raise errors.InvalidArgument(f"map {os.fspath(path)}", "its offset or shape is negative")
    count = None if shape is None else int(np.prod(extents, dtype=object)) if extents else 1
    node = _core.map_file(os.path.abspath(os.fspath(path)), number, offset, count, list(extents), order == "F")
    return cast(SharedArray, shared_form(load(node), node))


def check_intact(obj: Any) -> None:
    """Raises Corrupt if the file that an array lies in was cut short since it was mapped; does nothing for others."""
    require_intact(obj)


class WeakReference:
    """A reference that does not keep its object: get() gives it as long as any process holds it."""

    def __init__(self, obj: Any) -> None:
        """From a shared object, or from the `text` of another WeakReference, perhaps of another process."""
        if isinstance(obj, str) and _core.looks_like_handle(obj):
            self._core = _core.WeakReference.parse(obj)
            return
        node = shared_node(obj)
        if node is None:
            raise errors.WrongType("make a weak reference", f"this {type(obj).__name__} is not shared",
                                   "Share it first")
        self._core = _core.WeakReference(node)

    def get(self) -> Any | None:
        node = self._core.lock()
        return None if node is None else shared_form(load(node), node)

    @property
    def alive(self) -> bool:
        """True if some process holds the object; a lease alone does not count."""
        return bool(self._core.alive)

    @property
    def text(self) -> str:
        """For other processes. Raises Unsupported for objects that lie in no store."""
        return str(self._core.text)
