"""Builtin containers and values that know where they are shared.

They are the builtin types: everything that takes a list takes these. As long as they hold what was shared they pickle
as a handle; changed, they pickle like the builtin, and what they hold that is shared goes as handles.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .._core import Node, Snapshot
from .._memory.place import handle_of, pickling_by_value
from .array import SharedArray, place_of

_SMALL = 256  # bytes; a value below is shorter than the handle that would stand for it


class _Tree:
    """Where a container came from, and what it held."""

    __slots__ = ("node", "snapshot")

    def __init__(self, node: Node, whole: Any) -> None:
        self.node = node
        self.snapshot = Snapshot(whole)


def node_of(obj: Any) -> Node | None:
    """The node of a container or value of this module that still is what was shared."""
    tree = getattr(obj, "_onecopy", None)
    if isinstance(tree, _Tree):
        return tree.node if tree.snapshot.unchanged(obj, _leaf_unchanged) else None
    return tree if isinstance(tree, Node) else None


def _leaf_unchanged(leaf: Any) -> bool:
    # Frames and arrays can be written to; what has no node of its own can't be told.
    if isinstance(leaf, SharedArray):
        return place_of(leaf) is not None
    from ..api import shared_node

    return isinstance(leaf, np.generic) or shared_node(leaf) is not None


def _reduce(obj: Any, plain: Any) -> Any:
    node = None if pickling_by_value() else node_of(obj)
    handle = None if node is None else handle_of(node)
    if handle is None:
        return type(plain), (_items(plain),)
    from .._pickle import object_at

    return object_at, (handle,)


def _items(plain: Any) -> Any:
    """Constructor's argument for a copy: never the value itself when that is what pickle is at."""
    return list(plain) if isinstance(plain, (list, set, frozenset)) else plain


class _Copied:
    """copy and deepcopy give the builtin, whose arrays can be written to; by the handle they would give a second
    shared object."""

    __slots__ = ()

    def __copy__(self) -> Any:
        return plain_form(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(plain_form(self), memo)


class _Constant:
    """What can't change is its own copy, as for the builtins."""

    __slots__ = ()

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


class SharedList(_Copied, list[Any]):
    __slots__ = ("_onecopy",)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _reduce(self, list(self))


class SharedDict(_Copied, dict[Any, Any]):
    __slots__ = ("_onecopy",)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _reduce(self, dict(self))


class SharedSet(_Copied, set[Any]):
    __slots__ = ("_onecopy",)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _reduce(self, set(self))


class SharedFrozenSet(_Copied, frozenset[Any]):
    __slots__ = ("_onecopy",)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _reduce(self, frozenset(self))


class SharedTuple(_Copied, tuple[Any, ...]):
    def __reduce_ex__(self, protocol: Any) -> Any:
        return _reduce(self, tuple(self))


class SharedStr(_Constant, str):
    __slots__ = ("_onecopy",)

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = str.__str__(self)
        return (str, (plain,)) if len(plain) < _SMALL else _reduce(self, plain)


class SharedBytes(_Constant, bytes):
    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = bytes(memoryview(self))
        return (bytes, (plain,)) if len(plain) < _SMALL else _reduce(self, plain)


class SharedInt(_Constant, int):
    def __reduce_ex__(self, protocol: Any) -> Any:
        return int, (int(self),)


class SharedFloat(_Constant, float):
    __slots__ = ("_onecopy",)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return float, (float(self),)


class SharedComplex(_Constant, complex):
    __slots__ = ("_onecopy",)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return complex, (complex(self),)


_SHARED_FORM: dict[type, type] = {
    list: SharedList,
    dict: SharedDict,
    set: SharedSet,
    frozenset: SharedFrozenSet,
    tuple: SharedTuple,
    str: SharedStr,
    bytes: SharedBytes,
    int: SharedInt,
    float: SharedFloat,
    complex: SharedComplex,
}
_PLAIN_FORM: dict[type, Any] = {
    SharedList: list,
    SharedDict: dict,
    SharedSet: set,
    SharedFrozenSet: frozenset,
    SharedTuple: tuple,
    SharedStr: str.__str__,
    SharedBytes: lambda b: bytes(memoryview(b)),
    SharedInt: int,
    SharedFloat: float,
    SharedComplex: complex,
}


def shared_form(obj: Any, node: Node) -> Any:
    """The outermost object with its node; objects of other types as they are."""
    kind = _SHARED_FORM.get(type(obj))
    if kind is None:
        return obj
    out: Any = kind(obj)
    out._onecopy = _Tree(node, out) if isinstance(out, (list, dict, set, frozenset, tuple)) else node
    return out


def plain_form(obj: Any) -> Any:
    """The builtin object of one of ours; any other object as it is."""
    make = _PLAIN_FORM.get(type(obj))
    return obj if make is None else make(obj)
