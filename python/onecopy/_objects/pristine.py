"""Whether a pandas object still is what was shared: only then does its handle stand for it."""

from __future__ import annotations

import pickle
from typing import Any

import pandas as pd

from .._core import Node
from .._memory.place import by_value
from .late_strings import LateStringArray


class Pristine:
    """What a frame was made of, to tell whether it still is what its node holds.

    It holds a second frame on the same arrays. pandas copies a column before it writes to it when another frame holds
    it too, so the shared arrays are never written to and a changed column is another array.
    """

    __slots__ = ("attrs", "frame", "node", "parts")

    def __init__(self, node: Node, obj: Any) -> None:
        self.node = node
        self.frame = obj.copy(deep=False)
        self.parts = _parts(obj)
        self.attrs = _packed(obj.attrs)

    def unchanged(self, obj: Any) -> bool:
        parts = _parts(obj)
        return len(parts) == len(self.parts) and all(
            a is b or _same_name(a, b) for a, b in zip(parts, self.parts, strict=True)
        ) and self.attrs is not None and _packed(obj.attrs) == self.attrs and obj.flags == self.frame.flags


def _parts(obj: Any) -> list[Any]:
    """The objects that a frame is made of. Anything that changes the frame replaces one of them by another, which is
    told by identity; names and places also by value."""
    manager = obj._mgr
    out: list[Any] = []
    for axis in manager.axes:
        out.append(axis._values if not isinstance(axis, (pd.RangeIndex, pd.MultiIndex)) else axis)
        out.extend(axis.names)
    for block in manager.blocks:
        values = block.values
        out.append(values)
        out.append(values._source if isinstance(values, LateStringArray) else getattr(values, "_pa_array", None))
        if isinstance(obj, pd.DataFrame):
            out.extend(block.mgr_locs.as_array.tolist())
    if isinstance(obj, pd.Series):
        out.append(obj.name)
    return out


def _same_name(a: Any, b: Any) -> bool:
    """Equal and of one type: 1 and True are different names."""
    if type(a) is not type(b):
        return False
    if type(a) is tuple:
        return len(a) == len(b) and all(map(_same_name, a, b))
    return type(a) in (str, int, bool, float, bytes) and bool(a == b)


def _packed(attrs: dict[Any, Any]) -> bytes | None:
    """What attrs hold, to be compared: == is no answer for arrays. None if nobody can tell."""
    if not attrs:
        return b""
    try:
        with by_value():
            return pickle.dumps(attrs, protocol=4)  # 5 writes the same array differently when it is read-only
    except Exception:
        return None


def pristine_node(obj: Any) -> Node | None:
    """The node of a frame or series that still is what was shared."""
    pristine = obj.__dict__.get("_onecopy")
    return pristine.node if type(pristine) is Pristine and pristine.unchanged(obj) else None


def adopt(obj: Any, node: Node) -> Any:
    """The same object, which knows its node from now on."""
    # pandas' __setattr__ would look for a column of this name first, and warn.
    object.__setattr__(obj, "_onecopy", Pristine(node, obj))
    return obj
