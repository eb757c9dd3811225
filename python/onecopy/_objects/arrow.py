"""Arrow arrays and tables: written to regions, and read as Arrow arrays whose buffers are the region's."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from .._core import Node, Writer
from .._memory import format as f
from ..errors import Corrupt
from .array import read_array, times_from_floats, write_array, write_attributes
from .arrow_buffers import buffer_in, canonical
from .dtypes import dtype_of

Attributes = dict[str, Callable[[int], object]]

_IPC = "arrow-ipc"  # the tag of what the core has no form for: the bytes of an Arrow IPC stream

# ------------------------------------------------------------------------------------------------------ writing


def one_chunk(data: Any) -> pa.Array:
    """A chunked array as one array; copied only when it has several chunks."""
    if isinstance(data, pa.ChunkedArray):
        if data.num_chunks == 1:
            return data.chunk(0)
        combined = data.combine_chunks()
        if isinstance(combined, pa.ChunkedArray):
            combined = combined.chunk(0) if combined.num_chunks == 1 else pa.concat_arrays(combined.chunks)
        return combined
    return data


def _bitmap(w: Writer, array: pa.Array) -> int:
    """The address of a validity bitmap that starts at bit 0, or 0 when nothing is missing."""
    if array.null_count == 0:
        return 0
    buffer = array.buffers()[0]
    if array.offset == 0:
        w.keep(buffer)
        return int(buffer.address)
    bits = np.unpackbits(np.frombuffer(buffer, "u1"), bitorder="little")[array.offset : array.offset + len(array)]
    packed = np.packbits(bits, bitorder="little")
    w.keep(packed)
    return int(packed.__array_interface__["data"][0])


_PRIMITIVE = {
    pa.int8(): f.INT8, pa.int16(): f.INT16, pa.int32(): f.INT32, pa.int64(): f.INT64,
    pa.uint8(): f.UINT8, pa.uint16(): f.UINT16, pa.uint32(): f.UINT32, pa.uint64(): f.UINT64,
    pa.float16(): f.FLOAT16, pa.float32(): f.FLOAT32, pa.float64(): f.FLOAT64,
}  # fmt: skip


def _number_meaning(t: pa.DataType) -> tuple[int, int, int] | None:
    """dtype, semantic and unit of a type of fixed width; None for others."""
    if t in _PRIMITIVE:
        return _PRIMITIVE[t], 0, 0
    if pa.types.is_timestamp(t):
        return f.INT64, f.TIMESTAMP, f.UNIT_NUMBER[t.unit]
    if pa.types.is_duration(t):
        return f.INT64, f.TIMESPAN, f.UNIT_NUMBER[t.unit]
    if pa.types.is_date32(t):
        return f.INT32, f.DATE, f.UNIT_NUMBER["D"]
    if pa.types.is_date64(t):
        return f.INT64, f.DATE, f.UNIT_NUMBER["ms"]
    if pa.types.is_time32(t):
        return f.INT32, f.TIMEOFDAY, f.UNIT_NUMBER[t.unit]
    if pa.types.is_time64(t):
        return f.INT64, f.TIMEOFDAY, f.UNIT_NUMBER[t.unit]
    return None


def write_arrow(w: Writer, at: int, data: Any, attributes: Attributes | None = None, note: str = "") -> None:
    """Writes any Arrow array or chunked array."""
    array = one_chunk(data)
    attributes = dict(attributes or {})
    t = array.type
    w.keep(array)
    meaning = _number_meaning(t)
    if meaning is not None:
        number, semantic, unit = meaning
        buffer = array.buffers()[1]
        address = buffer.address + array.offset * (t.bit_width // 8) if len(array) else 0
        w.array(at, number, [len(array)], len(array), False, True, address, semantic, unit, 0, _bitmap(w, array))
        if pa.types.is_timestamp(t) and t.tz:
            attributes["tzone"] = lambda slot: w.strings(slot, [t.tz])
        write_attributes(w, at, note, attributes)
    elif pa.types.is_boolean(t):
        values = np.asarray(array.fill_null(False)) if array.null_count else array.to_numpy(zero_copy_only=False)
        write_array(w, at, values, attributes, note, _bitmap(w, array))
    elif pa.types.is_string(t) or pa.types.is_large_string(t):
        width = 4 if pa.types.is_string(t) else 8
        _, offsets, text = array.buffers()
        if len(array) == 0:
            w.strings(at, [])
        else:
            w.arrow_strings(at, len(array), offsets.address + array.offset * width, width,
                            text.address if text is not None else 0, _bitmap(w, array))
        write_attributes(w, at, note, attributes)
    elif pa.types.is_string_view(t):
        write_arrow(w, at, array.cast(pa.large_string()), attributes, note)
    elif pa.types.is_dictionary(t) and pa.types.is_signed_integer(t.index_type) and len(array.dictionary):
        codes = array.indices
        values = np.asarray(codes.fill_null(-1)) if codes.null_count else np.asarray(codes)
        values = np.ascontiguousarray(values)
        w.keep(values)
        address = values.__array_interface__["data"][0]
        levels = w.categorical(at, f.NUMBER_OF[values.dtype.str], len(values), address, 0, bool(t.ordered))
        write_arrow(w, levels, array.dictionary)
        write_attributes(w, at, note, attributes)
    else:
        sink = pa.BufferOutputStream()
        batch = pa.record_batch([array], schema=pa.schema([pa.field("x", t)]))
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        data = sink.getvalue()
        w.keep(data)
        w.opaque(at, _IPC, data.address, data.size)
        write_attributes(w, at, note, attributes)


def write_table(w: Writer, at: int, table: pa.Table, kind: str) -> None:
    """Writes a pyarrow table. `kind` is the type that readers in Python get back."""
    names = table.column_names
    first = w.table(at, len(names), table.num_rows)
    for i in range(len(names)):
        write_arrow(w, first + i, table.column(i))
    schema = base64.b64encode(table.schema.serialize().to_pybytes()).decode()
    write_attributes(w, at, json.dumps({"t": kind, "schema": schema}), {"names": lambda slot: w.strings(slot, names)})


# ------------------------------------------------------------------------------------------------------ reading


def _validity(node: Node, missing: np.ndarray[Any, Any] | None = None) -> pa.Buffer | None:
    if missing is not None:
        return pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    offset = node.validity_offset
    if offset is None:
        return None
    return buffer_in(canonical(node.region), offset, (node.size + 7) // 8)


def missing_by_bitmap(node: Node) -> np.ndarray[Any, Any] | None:
    """True where the bitmap says that an element is missing; None when there is no bitmap."""
    offset = node.validity_offset
    if offset is None:
        return None
    buffer: Any = node.region
    bits = np.frombuffer(buffer, "u1", (node.size + 7) // 8, offset)
    missing: np.ndarray[Any, Any] = np.unpackbits(bits, bitorder="little")[: node.size] == 0
    return missing


def _type_of(node: Node) -> pa.DataType:
    unit = f.UNITS[node.unit]
    if node.semantic == f.TIMESTAMP:
        zone = node.attribute("tzone")
        tz = zone.string_list()[0] if zone is not None and zone.size else None
        return pa.timestamp(unit, tz or None)
    if node.semantic == f.TIMESPAN:
        return pa.duration(unit)
    if node.semantic == f.DATE:
        return pa.date32() if node.type == f.INT32 else pa.date64()
    if node.semantic == f.TIMEOFDAY:
        return pa.time32(unit) if node.type == f.INT32 else pa.time64(unit)
    return pa.from_numpy_dtype(f.DTYPE_OF[node.type])


def codes_from_zero(node: Node) -> np.ndarray[Any, Any]:
    """The codes of a categorical counted from 0, -1 where missing: in place where they lie so."""
    codes = read_array(node, f.DTYPE_OF[node.type])
    if node.code_base == 0 and codes.dtype.kind == "i":
        return codes
    count = node.dictionary().size
    small = np.dtype("i1") if count < 127 else np.dtype("i2") if count < 32767 else np.dtype("i4")
    plain = np.asarray(codes)
    out: Any = plain.astype(small)
    out -= small.type(node.code_base)
    outside = (plain < node.code_base) | (plain >= node.code_base + count)
    out[outside] = -1
    return np.asarray(out)


def strings_of(node: Node) -> pa.Array:
    """A string node as Arrow strings, in place when all of it is UTF-8."""
    if node.encodings_offset is not None:
        items = node.string_list()
        return pa.array([None if s is None else s.encode("utf-8", "replace").decode() for s in items],
                        pa.large_string())
    offsets_at, width, text_at, text_size = node.string_layout()
    region = canonical(node.region)
    offsets = buffer_in(region, offsets_at, (node.size + 1) * width)
    text = buffer_in(region, text_at, text_size)
    kind = pa.string() if width == 4 else pa.large_string()
    return pa.Array.from_buffers(kind, node.size, [_validity(node), offsets, text])


def _dictionary(node: Node, ordered: bool) -> pa.Array:
    node.check_codes()
    codes = codes_from_zero(node)
    missing = np.asarray(codes) < 0
    region = canonical(node.region)
    if node.code_base == 0 and codes.dtype == f.DTYPE_OF[node.type]:
        data = buffer_in(region, node.data_offset, node.data_bytes)
    else:
        data = pa.py_buffer(codes)
    indices = pa.Array.from_buffers(pa.from_numpy_dtype(codes.dtype), node.size, [_validity(node, missing), data])
    return pa.DictionaryArray.from_arrays(indices, read_arrow(node.dictionary()), ordered=ordered)


def read_arrow(node: Node, t: pa.DataType | None = None) -> pa.Array:
    """A leaf as an Arrow array over the region; `t` is its type where that is known."""
    kind = node.kind
    if kind == f.OPAQUE and node.tag() == _IPC:
        stream = buffer_in(canonical(node.region), *node.opaque_range())
        try:
            return one_chunk(pa.ipc.open_stream(stream).read_all().column(0))
        except (pa.ArrowException, ValueError, IndexError) as reason:
            raise Corrupt("read an Arrow array", str(reason)) from None
    if kind == f.STRING:
        return _as_type(strings_of(node), t)
    if kind == f.CODED_STRING:
        return _as_type(_dictionary(node, False), t)
    if kind == f.CATEGORICAL:
        return _as_type(_dictionary(node, node.ordered), t)
    if kind != f.ARRAY:
        raise Corrupt("read an Arrow array", f"it is a node of kind {node.kind_name}")
    if node.type in (f.BOOL8, f.LOGICAL32):
        values = np.asarray(read_array(node, f.DTYPE_OF[node.type])).ravel(order="A")
        missing = missing_by_bitmap(node) if node.type == f.BOOL8 else values == f.INT32_NA
        return pa.array(values != 0, mask=missing)
    if node.semantic and node.type in (f.FLOAT32, f.FLOAT64):
        return pa.array(times_from_floats(node).ravel(order="A"))
    if node.type in (f.FIXED_BYTES, f.FIXED_UTF32, f.RECORD, f.COMPLEX64, f.COMPLEX128, f.RAW):
        dtype = dtype_of(node)
        if dtype.kind not in "SUu":
            raise Corrupt("read an Arrow array", f"Arrow has no type for {dtype}")
        return pa.array(np.asarray(read_array(node)).ravel(order="A"))
    return pa.Array.from_buffers(
        t if t is not None and _number_meaning(t) is not None else _type_of(node), node.size,
        [_validity(node), buffer_in(canonical(node.region), node.data_offset, node.data_bytes)],
    )


def _as_type(array: pa.Array, t: pa.DataType | None) -> pa.Array:
    return array if t is None or array.type == t else array.cast(t)


def read_table(node: Node, note: dict[str, Any]) -> pa.Table:
    """A table node as a pyarrow table."""
    schema = None
    if "schema" in note:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(note["schema"])))
        if len(schema) != node.size:
            raise Corrupt("read an Arrow table", f"it has {node.size} columns and a schema of {len(schema)}")
    names = node.attribute("names")
    labels = names.string_list() if names is not None else [str(i) for i in range(node.size)]
    columns = [read_arrow(node.child(i), schema.field(i).type if schema else None) for i in range(node.size)]
    if schema is None:
        return pa.table(columns, names=["" if n is None else n for n in labels])
    if not columns:
        return schema.empty_table()
    return pa.Table.from_arrays(columns, schema=schema)
