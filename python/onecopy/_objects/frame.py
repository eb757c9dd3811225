"""pandas DataFrames, Series and indexes: written to regions, and built again with their columns in place."""

from __future__ import annotations

import copyreg
import functools
import itertools
import json
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd
from pandas.arrays import ArrowExtensionArray

from .._core import Node, Writer
from .._memory import format as f
from .._memory.parts import in_one_piece
from .._memory.place import handle_of, owner_of, pickling_by_value
from ..copies import note_copy
from ..errors import Corrupt
from .array import SharedArray, read_array, view_of, write_array, write_attributes
from .arrow_buffers import arrow_is_shared
from .columns import read_column, write_column
from .copied_on_write import copy_before_writing, plain_view
from .late_strings import LateStringArray
from .lazy_array import LazyArray, as_lazy, memory_of
from .opaque import read_pickled, write_pickled
from .pristine import adopt, pristine_node

Attributes = dict[str, Callable[[int], object]]


# ----------------------------------------------------------------------------------------------------- pickling


def _reduce(obj: Any) -> Any:
    """Frames that are unchanged pickle as a handle; others by pandas' own means, but with their columns that lie in
    shared memory as handles; those that have none, exactly as without this package."""
    if not pickling_by_value():
        node = pristine_node(obj)
        handle = None if node is None else handle_of(node)
        if handle is not None:
            from .._pickle import object_at

            return object_at, (handle,)
        series = isinstance(obj, pd.Series)
        blocks = [(_shared_view(block.values), None if series else block.mgr_locs.as_array)
                  for block in obj._mgr.blocks]
        _note_what_is_copied(obj, [view for view, _ in blocks])
        if any(view is not block.values or isinstance(view, LateStringArray)
               for (view, _), block in zip(blocks, obj._mgr.blocks, strict=True)):
            from .._pickle import frame_of

            name = obj._name if series else None
            return in_one_piece(frame_of, (type(obj), blocks, list(obj._mgr.axes), name, dict(obj.attrs),
                                           obj.flags.allows_duplicate_labels))
    return obj.__reduce_ex__(2)


def _note_what_is_copied(obj: Any, views: list[Any]) -> None:
    """What a frame holds in memory of its own; parts in shared memory speak for themselves."""
    own = sum(block.values.nbytes for view, block in zip(views, obj._mgr.blocks, strict=True)
              if view is block.values and getattr(view, "_source", None) is None)
    kind = type(obj).__name__
    note_copy(own, f"columns of a {kind} that were not shared, or were replaced since, were pickled as data")


def _shared_view(values: Any) -> Any:
    """The same array, but with its parts in shared memory as SharedArrays, which pickle as handles."""
    if isinstance(values, np.ndarray):
        if type(values) is np.ndarray and memory_of(values) is not None:
            return as_lazy(values)
        return values.view(SharedArray) if type(values) is np.ndarray and owner_of(values) is not None else values
    inner = getattr(values, "_ndarray", None)
    if inner is not None:
        view = _shared_view(inner)
        return values if view is inner else values._from_backing_data(view)
    data, mask = getattr(values, "_data", None), getattr(values, "_mask", None)
    if isinstance(data, np.ndarray) and isinstance(mask, np.ndarray):
        views = _shared_view(data), _shared_view(mask)
        return values if views[0] is data and views[1] is mask else type(values)(*views)
    if isinstance(values, LateStringArray):
        return values  # knows how to pickle itself
    if isinstance(values, ArrowExtensionArray) and arrow_is_shared(values._pa_array):
        return _ArrowColumn(values)
    return values


class _ArrowColumn:
    """Pickles a pandas column by its Arrow chunks: pandas itself would copy them into one first."""

    def __init__(self, values: ArrowExtensionArray) -> None:
        self.values = values

    def __reduce__(self) -> Any:
        from .._pickle import arrow_column

        return arrow_column, (type(self.values), self.values._pa_array, self.values.dtype)


def frame_of(kind: type, blocks: Any, axes: list[Any], name: Any, attrs: dict[Any, Any], duplicates: bool) -> Any:
    """What _reduce took apart."""
    plain = [(_plain_view(values), placement) for values, placement in blocks]
    if kind is pd.DataFrame:
        out: Any = _from_blocks(plain, index=axes[1], columns=axes[0])
    else:
        values = plain[0][0]
        out = copy_before_writing(pd.Series(values, index=axes[0], name=name, copy=False))
    out.attrs = attrs
    if not duplicates:
        out.flags.allows_duplicate_labels = False
    return out


def _plain_view(values: Any) -> Any:
    """The other way round: pandas and its users expect plain ndarrays inside frames."""
    if isinstance(values, np.ndarray):
        return plain_view(values) if type(values) in (SharedArray, LazyArray) else values
    inner = getattr(values, "_ndarray", None)
    if inner is not None:
        return values._from_backing_data(_plain_view(inner)) if type(inner) in (SharedArray, LazyArray) else values
    data, mask = getattr(values, "_data", None), getattr(values, "_mask", None)
    if type(data) is SharedArray or type(mask) is SharedArray:
        return type(values)(_plain_view(data), _plain_view(mask))
    return values


for _kind in (pd.DataFrame, pd.Series):
    copyreg.pickle(_kind, _reduce)


# ------------------------------------------------------------------------------------------------------ writing


def write_frame(w: Writer, at: int, df: pd.DataFrame) -> None:
    rows, count = df.shape
    first = w.table(at, count, rows)
    note: dict[str, Any] = {"t": "DataFrame"}
    note["cols"] = [write_column(w, first + i, df._get_column_array(i)) for i in range(count)]
    attributes: dict[str, Any] = {}
    labels = list(df.columns)
    if type(df.columns) is pd.Index and df.columns.name is None and all(type(c) is str for c in labels):
        note["label_dtype"] = str(df.columns.dtype)
    else:
        _attach_index(note, attributes, "columns", df.columns)
    attributes["names"] = lambda slot: w.strings(slot, [str(c) for c in labels])
    _attach_index(note, attributes, "index", df.index)
    _finish(w, at, df, note, attributes)


def write_series(w: Writer, at: int, series: pd.Series[Any]) -> None:
    first = w.table(at, 1, len(series))
    note: dict[str, Any] = {"t": "Series", "cols": [write_column(w, first, series._values)]}
    attributes: dict[str, Any] = {}
    _attach_index(note, attributes, "index", series.index)
    name = series.name
    if name is None or type(name) is str:
        note["name"] = name
    else:
        attributes[":name"] = lambda slot: write_pickled(w, slot, name)
    attributes["names"] = lambda slot: w.strings(slot, ["" if name is None else str(name)])
    _finish(w, at, series, note, attributes)


def write_index(w: Writer, at: int, index: pd.Index[Any]) -> None:
    note: dict[str, Any] = {"t": "Index"}
    attributes: dict[str, Any] = {}
    w.null(at)
    _attach_index(note, attributes, "index", index)
    write_attributes(w, at, json.dumps(note), _bound(w, attributes))


def _finish(w: Writer, at: int, obj: Any, note: dict[str, Any], attributes: dict[str, Any]) -> None:
    if obj.attrs:
        attrs = dict(obj.attrs)
        attributes[":attrs"] = lambda slot: write_pickled(w, slot, attrs)
    if not obj.flags.allows_duplicate_labels:
        note["unique"] = True
    write_attributes(w, at, json.dumps(note), _bound(w, attributes))


def _bound(w: Writer, attributes: dict[str, Any]) -> Attributes:
    return {name: functools.partial(write, w) if isinstance(write, _Part) else write
            for name, write in attributes.items()}


class _Part:
    """An index, or a piece of one, waiting for its slot."""

    def __init__(self, index: pd.Index[Any]) -> None:
        self.index = index

    def __call__(self, w: Writer, slot: int) -> None:
        index = self.index
        if isinstance(index, pd.MultiIndex):
            first = w.list(slot, 2 * index.nlevels, f.FORM_LIST)
            for i in range(index.nlevels):
                write_column(w, first + 2 * i, index.levels[i]._values)
                write_array(w, first + 2 * i + 1, np.asarray(index.codes[i]))
        else:
            write_column(w, slot, index._values)


def _attach_index(note: dict[str, Any], attributes: dict[str, Any], key: str, index: pd.Index[Any]) -> None:
    names = list(index.names)
    plain_names = all(n is None or type(n) is str for n in names)
    if isinstance(index, pd.RangeIndex) and plain_names:
        note[key] = {"range": [index.start, index.stop, index.step], "names": names}
        return
    if isinstance(index, pd.MultiIndex) and plain_names:
        flavours = [_flavour(level._values) for level in index.levels]
        note[key] = {"multi": flavours, "names": names}
    elif type(index) in (pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.CategoricalIndex) and plain_names:
        note[key] = {"flat": _flavour(index._values), "names": names}
        if getattr(index, "freq", None) is not None:
            note[key]["freq"] = index.freqstr
    else:
        note[key] = {"pickle": True}
        attributes[":" + key] = _Pickled(index)
        return
    attributes[":" + key] = _Part(index)


class _Pickled(_Part):
    def __call__(self, w: Writer, slot: int) -> None:
        write_pickled(w, slot, self.index)


def _flavour(values: Any) -> Any:
    # The flavour is known only to whoever writes the values: a writer that is thrown away tells it.
    scratch = Writer()
    return write_column(scratch, 0, values)


# ------------------------------------------------------------------------------------------------------ reading


def read_frame(node: Node, note: dict[str, Any]) -> pd.DataFrame:
    """A table as a DataFrame on the region's memory."""
    foreign = "t" not in note
    count, rows = node.size, node.rows
    flavours = note.get("cols") or [None] * count
    if len(flavours) != count:
        raise Corrupt("read a DataFrame", f"it has {count} columns and notes of {len(flavours)}")
    columns = [read_column(node.child(i), flavours[i], foreign) for i in range(count)]
    for column in columns:
        if len(column) != rows:
            raise Corrupt("read a DataFrame", f"a column has {len(column)} of {rows} rows")
    frame = _assemble(columns, _read_index(node, note, "index", rows), _labels(node, note))
    if ":attrs" in node.attribute_names():
        frame.attrs = read_pickled(cast(Node, node.attribute(":attrs")))
    if note.get("unique"):
        frame.flags.allows_duplicate_labels = False
    return cast(pd.DataFrame, adopt(frame, node))


def read_series(node: Node, note: dict[str, Any]) -> pd.Series[Any]:
    values = read_column(node.child(0), note["cols"][0], False)
    named = node.attribute(":name")
    name = read_pickled(named) if named is not None else note.get("name")
    index = _read_index(node, note, "index", node.rows)
    plain = _assemble([values], index, pd.Index([0]))._ixs(0, axis=1)
    plain.name = name
    if ":attrs" in node.attribute_names():
        plain.attrs = read_pickled(cast(Node, node.attribute(":attrs")))
    if note.get("unique"):
        plain.flags.allows_duplicate_labels = False
    return cast("pd.Series[Any]", adopt(plain, node))


def read_index(node: Node, note: dict[str, Any]) -> pd.Index[Any]:
    return _read_index(node, note, "index", 0)


def _labels(node: Node, note: dict[str, Any]) -> pd.Index[Any]:
    if "columns" in note:
        return _read_index(node, note, "columns", node.size)
    names = node.attribute("names")
    labels = names.string_list() if names is not None else [str(i) for i in range(node.size)]
    if len(labels) != node.size:
        raise Corrupt("read a DataFrame", f"it has {node.size} columns and {len(labels)} names")
    return pd.Index(labels, dtype=note.get("label_dtype", "str"))


def _read_index(node: Node, note: dict[str, Any], key: str, size: int) -> pd.Index[Any]:
    about = note.get(key)
    if about is None:
        return _foreign_row_names(node, size)
    if "range" in about:
        return pd.RangeIndex(*about["range"], name=about["names"][0])
    part = node.attribute(":" + key)
    if part is None:
        raise Corrupt("read an index", "it is announced but not there")
    if "pickle" in about:
        return cast("pd.Index[Any]", read_pickled(part))
    if "multi" in about:
        flavours = about["multi"]
        levels = [pd.Index(_plain_view(read_column(part.child(2 * i), flavours[i], False)), copy=False)
                  for i in range(len(flavours))]
        codes = [_plain_view(read_array(part.child(2 * i + 1))) for i in range(len(flavours))]
        return pd.MultiIndex(levels, codes, names=about["names"], verify_integrity=False)
    values = read_column(part, about["flat"], False)
    values = _plain_view(values)
    index = pd.Index(values, copy=False, name=about["names"][0], dtype=getattr(values, "dtype", None))
    if "freq" in about:
        index.freq = about["freq"]
    return index


def _foreign_row_names(node: Node, size: int) -> pd.Index[Any]:
    names = node.attribute("row.names")
    if names is not None and names.kind in (f.STRING, f.CODED_STRING) and names.size == size:
        return pd.Index(read_column(names, None, True), copy=False)
    return pd.RangeIndex(size)


def _assemble(columns: list[Any], index: pd.Index[Any], labels: pd.Index[Any]) -> pd.DataFrame:
    """A frame of these arrays as they are. Columns of one dtype at equal distances become one block: pandas would
    sooner or later copy separate ones into one."""
    blocks: list[tuple[Any, Any]] = []
    by_dtype: dict[Any, list[int]] = {}
    for i, column in enumerate(columns):
        if isinstance(column, np.ndarray):
            by_dtype.setdefault(column.dtype, []).append(i)
        else:
            blocks.append((column, np.array([i])))
    for where in by_dtype.values():
        blocks.extend(_blocks(columns, where))
    return _from_blocks([(_wrapped(_plain_view(v)), p) for v, p in blocks], index, labels)


def _from_blocks(blocks: list[tuple[Any, Any]], index: pd.Index[Any], columns: pd.Index[Any]) -> pd.DataFrame:
    try:
        from pandas.api.internals import create_dataframe_from_blocks
    except ImportError:  # before pandas 3
        arrays: dict[int, Any] = {}
        for values, placement in blocks:
            for i, where in enumerate(placement):
                arrays[where] = values[i] if isinstance(values, np.ndarray) or values.ndim == 2 else values
        frame = pd.DataFrame({i: arrays[i] for i in sorted(arrays)}, index=index, copy=False)
        frame.columns = columns
        return frame
    return copy_before_writing(create_dataframe_from_blocks(blocks, index=index, columns=columns))


def _wrapped(values: Any) -> Any:
    """pandas keeps times in arrays of its own."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM":
        kind = pd.arrays.DatetimeArray if values.dtype.kind == "M" else pd.arrays.TimedeltaArray
        return kind._simple_new(values, dtype=values.dtype)
    return values


def _blocks(columns: list[Any], where: list[int]) -> list[tuple[Any, Any]]:
    arrays = [columns[i] for i in where]
    joined = _joined(arrays)
    if joined is not None:
        return [(joined, np.array(where))]
    return [(a.reshape(1, -1), np.array([i])) for i, a in zip(where, arrays, strict=True)]


def _joined(arrays: list[Any]) -> Any:
    """One two-dimensional view of columns that lie in one region at equal distances, or None."""
    if len(arrays) < 2 or not all(type(a) is SharedArray and a.strides == (a.itemsize,) for a in arrays):
        return None
    region = arrays[0].base
    starts = [a.__array_interface__["data"][0] for a in arrays]
    step = starts[1] - starts[0]
    regular = all(b - a == step for a, b in itertools.pairwise(starts))
    if not regular or step <= 0 or any(a.base is not region and a.base != region for a in arrays):
        return None
    shape = (len(arrays), len(arrays[0]))
    return view_of(region, starts[0] - region.address, shape, arrays[0].dtype, (step, arrays[0].itemsize))
