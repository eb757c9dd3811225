"""pyarrow's objects, and those of other libraries that offer Arrow's PyCapsule protocol."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from .._core import Node, Writer
from .._memory.place import note_node
from .arrow import one_chunk, read_table, write_table


def write_object(w: Writer, at: int, obj: Any) -> bool:
    """Writes an object of pyarrow; False if it is not one that has a form."""
    if isinstance(obj, pa.Table):
        write_table(w, at, obj, "pyarrow.Table")
    elif isinstance(obj, pa.RecordBatch):
        write_table(w, at, pa.Table.from_batches([obj]), "pyarrow.RecordBatch")
    elif isinstance(obj, (pa.Array, pa.ChunkedArray)):
        kind = "pyarrow.ChunkedArray" if isinstance(obj, pa.ChunkedArray) else "pyarrow.Array"
        _write_column(w, at, obj, kind)
    else:
        return False
    return True


def _write_column(w: Writer, at: int, data: Any, kind: str) -> None:
    # As a table of one column: its schema says the type exactly.
    write_table(w, at, pa.table([data], names=[""]), kind)


def write_protocol(w: Writer, at: int, obj: Any) -> bool:
    """Writes what offers __arrow_c_stream__ or __arrow_c_array__; it comes back as a pyarrow object."""
    if hasattr(obj, "__arrow_c_stream__"):
        try:
            write_table(w, at, pa.table(obj), "pyarrow.Table")
        except (TypeError, ValueError, pa.ArrowInvalid):  # a stream of arrays that are not rows
            _write_column(w, at, pa.chunked_array(obj), "pyarrow.ChunkedArray")
    else:
        _write_column(w, at, pa.array(obj), "pyarrow.Array")
    return True


def read_object(node: Node, note: dict[str, Any]) -> Any:
    """What write_object wrote, other than tables."""
    column = read_table(node, note).column(0)
    out = column if note["t"] == "pyarrow.ChunkedArray" else one_chunk(column)
    note_node(out, node)
    return out


