"""pandas columns: each kind of array of pandas, written to a node and built again on the region's memory.

A column's flavour is what the node alone does not tell: a small JSON value in the note of the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray
from pandas.arrays import ArrowExtensionArray, ArrowStringArray

from .._core import Node, Writer
from .._memory import format as f
from ..errors import Corrupt
from .array import address_of, read_array, times_from_floats, write_array
from .arrow import Attributes, codes_from_zero, missing_by_bitmap, read_arrow, strings_of, write_arrow
from .coded_strings import CodedStringArray
from .late_strings import STR
from .opaque import read_pickled, write_pickled

Flavour = Any
_MISSING: dict[str, Any] = {"None": None, "nan": np.nan, "NA": pd.NA}

# ------------------------------------------------------------------------------------------------------ writing


def write_column(w: Writer, at: int, values: Any) -> Flavour:
    """Writes an array of pandas or NumPy, and says what it was."""
    dtype = values.dtype
    if isinstance(values, np.ndarray):
        return _write_numpy(w, at, values)
    if isinstance(values, CodedStringArray) and values.is_late:
        codes = values._indices()
        w.keep(codes)
        write_arrow(w, w.coded_strings(at, f.NUMBER_OF[codes.dtype.str], codes.size, address_of(codes), 0),
                    values._source.dictionary)
        return {"k": "coded"}
    if isinstance(values, ArrowStringArray):
        write_arrow(w, at, values._pa_array)
        return {"k": "str", "na": "nan" if dtype.na_value is np.nan else "NA", "storage": "pyarrow"}
    if isinstance(dtype, pd.StringDtype):
        w.strings(at, [None if missing else str(s) for s, missing in zip(values, values.isna(), strict=True)])
        return {"k": "str", "na": "nan" if dtype.na_value is np.nan else "NA", "storage": "python"}
    if isinstance(values, ArrowExtensionArray):
        write_arrow(w, at, values._pa_array)
        return {"k": "arrow", "type": _type_text(values._pa_array.type)}
    if isinstance(values, pd.Categorical):
        return _write_categorical(w, at, values)
    if isinstance(dtype, pd.DatetimeTZDtype):
        zone = str(dtype.tz)
        write_array(w, at, values._ndarray, {"tzone": lambda slot: w.strings(slot, [zone])})
        return {"k": "tz", "tz": zone} if _zone_is_named(dtype, zone) else _fixed_offset(values)
    if isinstance(values, (pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray)):
        return _write_numpy(w, at, values._ndarray)
    if isinstance(values, (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray)):
        mask = values._mask
        validity = 0
        # pandas wants a byte for each element, everybody else a bit.
        attributes: Attributes = {":mask": lambda slot: write_array(w, slot, mask)}
        if mask.any():
            packed = np.packbits(~mask, bitorder="little")
            w.keep(packed)
            validity = packed.__array_interface__["data"][0]
        write_array(w, at, values._data, attributes, validity=validity)
        return {"k": "masked", "dtype": str(dtype)}
    if isinstance(values, pd.arrays.NumpyExtensionArray):
        return _write_numpy(w, at, values.to_numpy())
    write_pickled(w, at, values)
    return {"k": "pickle"}


def _zone_is_named(dtype: pd.DatetimeTZDtype, zone: str) -> bool:
    try:
        return bool(pd.DatetimeTZDtype(dtype.unit, zone) == dtype)
    except Exception:
        return False


def _fixed_offset(values: Any) -> Flavour:
    return {"k": "tz", "offset": values.dtype.tz.utcoffset(None).total_seconds()}


def _type_text(t: pa.DataType) -> str:
    import base64

    return base64.b64encode(pa.schema([pa.field("x", t)]).serialize().to_pybytes()).decode()


def _write_numpy(w: Writer, at: int, values: np.ndarray[Any, Any]) -> Flavour:
    if values.dtype.kind == "O":
        items = values.tolist()
        kinds = {type(v) for v in items if type(v) is not str}
        missing = {id(v): v for v in items if type(v) is not str}
        if items and len(missing) <= 1 and kinds <= {type(None), float, type(pd.NA)}:
            text = "None"
            if missing:
                value = next(iter(missing.values()))
                text = "None" if value is None else "NA" if value is pd.NA else "nan"
                if text == "nan" and value == value:
                    text = ""  # a number among strings
            if text:
                w.strings(at, [v if type(v) is str else None for v in items])
                return {"k": "object", "na": text}
        write_pickled(w, at, values)
        return {"k": "pickle"}
    if values.ndim == 1 and write_array(w, at, values):
        return None
    write_pickled(w, at, values)
    return {"k": "pickle"}


def _write_categorical(w: Writer, at: int, values: pd.Categorical) -> Flavour:
    codes = np.ascontiguousarray(values._ndarray)
    w.keep(codes)
    levels = w.categorical(at, f.NUMBER_OF[codes.dtype.str], codes.size, codes.__array_interface__["data"][0], 0,
                           bool(values.ordered))
    return {"k": "categorical", "levels": write_column(w, levels, values.categories._values)}


# ------------------------------------------------------------------------------------------------------ reading


def read_column(node: Node, flavour: Flavour, foreign: bool) -> np.ndarray[Any, Any] | ExtensionArray:
    """The array of a column. foreign: written by another language, so that its marks of missing values count."""
    if flavour is None:
        return _read_natural(node, foreign)
    kind = flavour["k"]
    if kind == "str":
        dtype = pd.StringDtype(flavour["storage"], na_value=_MISSING[flavour["na"]])
        if flavour["storage"] == "python":
            return pd.array(node.string_list(), dtype=dtype)
        return _string_array(strings_of(node) if node.kind == f.STRING else read_arrow(node), dtype)
    if kind == "coded":
        return CodedStringArray.over(read_arrow(node))
    if kind == "arrow":
        import base64

        t = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(flavour["type"]))).field(0).type
        return ArrowExtensionArray(pa.chunked_array([read_arrow(node, t)]))
    if kind == "categorical":
        return _categorical(node, flavour["levels"], foreign)
    if kind == "tz":
        return _with_zone(read_array(node), _zone(flavour))
    if kind == "masked":
        return _masked(node, flavour["dtype"])
    if kind == "object":
        out = np.empty(node.size, dtype=object)
        out[:] = node.string_list()
        if flavour["na"] != "None":
            out[[v is None for v in out]] = _MISSING[flavour["na"]]
        return out
    if kind == "pickle":
        return read_pickled(node)
    raise Corrupt("read a column", f"its flavour {kind!r} is not known", "Update onecopy: it may come from a newer one")


def _zone(flavour: Flavour) -> Any:
    import datetime

    if "tz" in flavour:
        return flavour["tz"]
    return datetime.timezone(datetime.timedelta(seconds=flavour["offset"]))


def _string_array(strings: Any, dtype: pd.StringDtype) -> ArrowStringArray:
    if not pa.types.is_large_string(strings.type):
        strings = strings.cast(pa.large_string())
    return ArrowStringArray(pa.chunked_array([strings]), dtype=dtype)


def _with_zone(values: np.ndarray[Any, Any], zone: Any) -> Any:
    unit = np.datetime_data(values.dtype)[0]
    if unit not in ("s", "ms", "us", "ns"):
        values = values.astype("M8[s]")
    dtype = pd.DatetimeTZDtype(np.datetime_data(values.dtype)[0], zone)
    return pd.arrays.DatetimeArray._simple_new(values, dtype=dtype)


def _masked(node: Node, name: str) -> ExtensionArray:
    dtype = pd.api.types.pandas_dtype(name)
    data = read_array(node)
    mask_node = node.attribute(":mask")
    if mask_node is not None:
        mask = read_array(mask_node)
    else:
        found = missing_by_bitmap(node)
        mask = found if found is not None else np.zeros(len(data), dtype=bool)
    return dtype.construct_array_type()(data, mask)


def _categorical(node: Node, levels: Flavour, foreign: bool) -> pd.Categorical:
    node.check_codes()
    categories = pd.Index(read_column(node.dictionary(), levels, foreign), copy=False)
    dtype = pd.CategoricalDtype(categories, ordered=node.ordered)
    return pd.Categorical._simple_new(codes_from_zero(node), dtype)


def _read_natural(node: Node, foreign: bool) -> np.ndarray[Any, Any] | ExtensionArray:
    kind = node.kind
    if kind == f.STRING:
        return _string_array(strings_of(node), STR)
    if kind == f.CODED_STRING:
        return CodedStringArray.over(read_arrow(node))
    if kind == f.CATEGORICAL:
        return _categorical(node, None, foreign)
    if kind == f.LIST:
        out = np.empty(node.size, dtype=object)
        from .decode import decode

        for i in range(node.size):
            out[i] = node.child(i).load(decode)
        return out
    if kind == f.OPAQUE and node.tag() == "arrow-ipc":
        return ArrowExtensionArray(pa.chunked_array([read_arrow(node)]))
    if kind != f.ARRAY:
        raise Corrupt("read a column", f"it is a node of kind {node.kind_name}")
    if node.semantic:
        return _times(node)
    if not foreign:
        return read_array(node)
    return _with_missing(node)


def _times(node: Node) -> np.ndarray[Any, Any] | ExtensionArray:
    if node.type == f.INT64:
        values = read_array(node)
        missing = missing_by_bitmap(node)
        if missing is not None and missing.any():
            values = np.array(values, subok=False)
            values[missing] = np.array("NaT", dtype=values.dtype)
    elif node.semantic == f.TIMEOFDAY or node.type == f.INT32:
        return ArrowExtensionArray(pa.chunked_array([read_arrow(node)]))
    else:
        values = times_from_floats(node)
    if node.semantic == f.DATE:
        return values.astype("M8[s]")
    zone = node.attribute("tzone")
    name = zone.string_list()[0] if zone is not None and zone.size else ""
    return _with_zone(values, name) if name and node.semantic == f.TIMESTAMP else values


def _with_missing(node: Node) -> np.ndarray[Any, Any] | ExtensionArray:
    """Numbers from another language: a nullable array where some are missing, else NumPy's."""
    values = read_array(node, f.DTYPE_OF.get(node.type))
    missing = missing_by_bitmap(node)
    if node.type == f.LOGICAL32:
        plain = np.asarray(values)
        absent = plain == f.INT32_NA
        truth = plain != 0
        return pd.arrays.BooleanArray(truth, absent) if absent.any() else truth
    if node.type == f.INT32 and missing is None:
        missing = np.asarray(values) == f.INT32_NA
    if missing is None or not missing.any():
        return values
    if values.dtype.kind in "iu":
        return pd.arrays.IntegerArray(values, missing)
    if values.dtype.kind == "f":
        return pd.arrays.FloatingArray(values, missing)
    return pd.arrays.BooleanArray(values, missing) if values.dtype.kind == "b" else values
