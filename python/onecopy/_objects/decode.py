"""Python objects from nodes."""

from __future__ import annotations

import importlib
import json
from contextvars import ContextVar
from typing import Any

import numpy as np

from .._core import Node
from .._memory import format as f
from .._memory.place import note_node
from ..errors import Corrupt, InvalidArgument, PermissionDenied, Unsupported
from .array import read_array, read_strings, times_from_floats
from .opaque import pickles_allowed, read_opaque, read_pickled

# Which library's tables tables become: "pandas", "pyarrow", "polars" or "auto".
table_library: ContextVar[str] = ContextVar("onecopy_tables", default="auto")


def load(node: Node) -> Any:
    """The object of a node."""
    return node.load(decode)


def decode(node: Node) -> Any:
    """Objects that are not builtin values: called by the core's reader."""
    text = node.note()
    kind = node.kind
    if not text:
        if kind == f.ARRAY:
            return _read_foreign_array(node)
        return _by_kind(node, kind)
    if text == "ndarray":
        return read_array(node)
    if text == "generic":
        return np.asarray(read_array(node))[()]
    if text == "pickle":
        return read_pickled(node)
    if text == "memoryview":  # as an array: a memoryview can neither be pickled nor say where it lies
        return read_array(node)
    if text == "bytearray":
        return bytearray(np.asarray(read_array(node)))
    if text == "torch.Tensor":
        return _read_tensor(node)
    if text.startswith("{"):
        return _by_note(node, _parsed(text))
    raise Unsupported("read a shared object", f"its note {text!r} is not known", "Update onecopy")


def _parsed(text: str) -> dict[str, Any]:
    try:
        note = json.loads(text)
    except ValueError:
        raise Corrupt("read a shared object", "its note is damaged") from None
    if not isinstance(note, dict) or not isinstance(note.get("t"), str):
        raise Corrupt("read a shared object", "its note is not one of this package")
    return note


def _read_foreign_array(node: Node) -> Any:
    if node.semantic and node.type in (f.FLOAT32, f.FLOAT64):
        return times_from_floats(node)
    if node.semantic == f.TIMEOFDAY or (node.semantic and node.type != f.INT64):
        from .arrow import read_arrow

        return read_arrow(node)
    return read_array(node)


def _by_kind(node: Node, kind: int) -> Any:
    if kind in (f.STRING, f.CODED_STRING):
        return read_strings(node, {})
    if kind == f.CATEGORICAL:
        from .columns import read_column

        return read_column(node, None, True)
    if kind == f.TABLE:
        return _read_table(node, {})
    if kind == f.OPAQUE:
        if node.tag() == "arrow-ipc":
            from .arrow import read_arrow

            return read_arrow(node)
        return read_opaque(node)
    raise Unsupported("read a shared object", f"nodes of kind {kind} are not known to this version", "Update onecopy")


def _by_note(node: Node, note: dict[str, Any]) -> Any:
    what = note["t"]
    if what == "strings":
        return read_strings(node, note)
    if what in ("dataclass", "namedtuple"):
        return _read_fields(node, note)
    if node.kind == f.TABLE and what in ("DataFrame", "pyarrow.Table", "pyarrow.RecordBatch", "polars.DataFrame"):
        return _read_table(node, note)
    if what in ("Series", "Index"):
        from . import frame

        return frame.read_series(node, note) if what == "Series" else frame.read_index(node, note)
    if what.startswith("pyarrow."):
        from . import arrow_objects

        return arrow_objects.read_object(node, note)
    if what.startswith("polars."):
        from . import polars

        return polars.read_object(node, note)
    if what.startswith("scipy."):
        from . import scipy

        return scipy.read_sparse(node, note)
    raise Unsupported("read a shared object", f"objects of type {what!r} are not known to this version",
                      "Update onecopy")


def _read_table(node: Node, note: dict[str, Any]) -> Any:
    wanted = table_library.get()
    if wanted == "auto":
        wanted = str(note.get("t", "")).partition(".")[0]
        wanted = {"pyarrow": "pyarrow", "polars": "polars"}.get(wanted, "pandas")
        if wanted == "pandas" and "t" not in note:
            wanted = _installed_table_library()
    if wanted == "pandas":
        from . import frame

        if note.get("t", "DataFrame") != "DataFrame":
            return frame.read_frame(node, {})
        return frame.read_frame(node, note)
    if wanted == "polars":
        from . import polars

        return polars.read_frame(node, note)
    if wanted == "pyarrow":
        from .arrow import read_table

        table = read_table(node, note)
        out = table.to_batches()[0] if note.get("t") == "pyarrow.RecordBatch" and table.num_rows else table
        note_node(out, node)
        return out
    if wanted == "dict":
        names = node.attribute("names")
        labels = names.string_list() if names is not None else range(node.size)
        return {label: load(node.child(i)) for i, label in enumerate(labels)}
    raise InvalidArgument("read a table", f"there is no table library {wanted!r}",
                          "Use 'auto', 'pandas', 'pyarrow', 'polars' or 'dict'")


def _installed_table_library() -> str:
    import importlib.util

    for name in ("pandas", "pyarrow", "polars"):
        if importlib.util.find_spec(name) and (name == "pyarrow" or importlib.util.find_spec("pyarrow")):
            return name
    return "dict"


def _read_fields(node: Node, note: dict[str, Any]) -> Any:
    if not pickles_allowed.get():
        raise PermissionDenied("read a part of the object", f"it is of the class {note.get('class')}, which would be "
                               "imported by its name", "If you trust its origin, pass allow_pickle=True")
    module, _, name = str(note.get("class", "")).partition(":")
    kind: Any = importlib.import_module(module)
    for part in name.split("."):
        kind = getattr(kind, part)
    names = node.attribute("names")
    if not isinstance(kind, type) or names is None or names.size != node.size:
        raise Corrupt("read a shared object", "its fields have no names")
    fields = {str(key): load(node.child(i)) for i, key in enumerate(names.string_list())}
    if note["t"] == "namedtuple":
        return kind(**fields)
    out: Any = object.__new__(kind)
    for key, value in fields.items():  # as pickle does: neither __init__ nor __setattr__ runs
        object.__setattr__(out, key, value)
    note_node(out, node)
    return out


def _read_tensor(node: Node) -> Any:
    import torch

    array = read_array(node)
    # torch has no read-only tensors: the pages are private, so that a write is seen by this process alone.
    from .array import writable_private

    tensor = torch.from_numpy(np.asarray(array if array.flags.writeable else writable_private(array)))
    note_node(tensor, node)
    return tensor


__all__ = ["decode", "load", "table_library"]
