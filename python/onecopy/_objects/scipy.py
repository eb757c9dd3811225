"""SciPy's sparse matrices and arrays: their parts are shared arrays."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import scipy.sparse

from .._core import Node, Writer
from .._memory import format as f
from .._memory.place import note_node
from ..errors import Corrupt
from .array import read_array, write_array, write_attributes

_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "dia": ("data", "offsets"),
}


def write_sparse(w: Writer, at: int, obj: Any) -> bool:
    """Writes a sparse matrix or array of a format that consists of arrays; False for others."""
    if not scipy.sparse.issparse(obj):
        return False
    if obj.format == "coo":
        parts: list[Any] = [obj.data, *obj.coords]
    elif obj.format in _PARTS:
        parts = [getattr(obj, part) for part in _PARTS[obj.format]]
    else:
        return False
    if any(part.dtype.hasobject for part in parts):
        return False
    child = w.list(at, len(parts), f.FORM_LIST)
    for i, part in enumerate(parts):
        if not write_array(w, child + i, part):
            return False
    note = {"t": "scipy." + type(obj).__name__, "format": obj.format, "shape": list(obj.shape),
            "sorted": bool(getattr(obj, "has_sorted_indices", False)),
            "canonical": bool(getattr(obj, "has_canonical_format", False))}
    write_attributes(w, at, json.dumps(note), {})
    return True


def read_sparse(node: Node, note: dict[str, Any]) -> Any:
    """What write_sparse wrote, on the shared arrays."""
    kind = getattr(scipy.sparse, note["t"].partition(".")[2], None)
    if kind is None or not isinstance(kind, type) or note["format"] not in (*_PARTS, "coo"):
        raise Corrupt("read a sparse array", f"{note['t']} is not a class of this SciPy")
    parts = [read_array(node.child(i)) for i in range(node.size)]
    shape = tuple(note["shape"])
    if note["format"] == "coo":
        out = kind((parts[0], tuple(parts[1:])), shape=shape, copy=False)
    else:
        out = kind(tuple(np.asarray(p) if i and note["format"] == "dia" else p for i, p in enumerate(parts)),
                   shape=shape, copy=False)
    if note["format"] in ("csr", "csc", "bsr"):
        # SciPy finds these out by writing to the arrays, unless told.
        out.has_sorted_indices = note["sorted"]
        out.has_canonical_format = note["canonical"]
    note_node(out, node)
    return out
