"""NumPy's dtypes and the core's types of elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import Node
from .._memory import format as f
from ..errors import WrongType


def dtype_of(node: Node) -> np.dtype[Any]:
    """The dtype of an array node's elements, as they lie there."""
    kind = node.type
    plain = f.DTYPE_OF.get(kind)
    if plain is not None:
        if node.semantic and kind == f.INT64:
            unit = f.UNITS[node.unit] if 0 < node.unit < len(f.UNITS) else "ns"
            if node.semantic in (f.DATE, f.TIMESTAMP):
                return np.dtype(f"M8[{unit}]")
            if node.semantic == f.TIMESPAN:
                return np.dtype(f"m8[{unit}]")
        return plain
    if kind == f.FIXED_BYTES:
        return np.dtype(f"S{node.item_size}")
    if kind == f.FIXED_UTF32:
        return np.dtype(f"U{node.item_size // 4}")
    if kind == f.RECORD:
        return record_dtype(node.fields(), node.item_size)
    raise WrongType("read an array", f"elements of type {node.type_name} have no NumPy dtype",
                    "Update onecopy: it may come from a newer one")


def record_dtype(fields: Any, item_size: int) -> np.dtype[Any]:
    names, formats, offsets = [], [], []
    for name, number, offset, width, shape, inner in fields:
        if number == f.RECORD:
            base: np.dtype[Any] = record_dtype(inner, width)
        elif number == f.FIXED_BYTES:
            base = np.dtype(f"S{width}")
        elif number == f.FIXED_UTF32:
            base = np.dtype(f"U{width // 4}")
        else:
            base = f.DTYPE_OF[number]
        names.append(name)
        formats.append(np.dtype((base, shape)) if shape else base)
        offsets.append(offset)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": item_size})


def type_number(dtype: np.dtype[Any]) -> int | None:
    """The core's number for a dtype that it has by itself."""
    number = f.NUMBER_OF.get(dtype.str)
    if number is None and dtype.kind == "S":
        number = f.FIXED_BYTES
    if number is None and dtype.kind == "U":
        number = f.FIXED_UTF32
    return number


def record_fields(dtype: np.dtype[Any]) -> list[Any] | None:
    """The fields of a structured dtype; None if one of them has no counterpart in the core."""
    out: list[Any] = []
    assert dtype.names is not None and dtype.fields is not None
    for name in dtype.names:
        if len(dtype.fields[name]) > 2:
            return None  # a title: the core's fields have one name
        field, offset = dtype.fields[name][:2]
        base, shape = field.base, field.shape
        inner: list[Any] | None = []
        if base.names:
            number: int | None = f.RECORD
            inner = record_fields(base)
        else:
            number = type_number(base)
        if number is None or inner is None or base.itemsize == 0:
            return None
        out.append((name, number, offset, base.itemsize, list(shape), inner))
    return out
