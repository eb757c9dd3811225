"""The numbers of onecopy/types.hpp, and which NumPy dtype each stands for."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

# node_kind
NULL, ARRAY, STRING, CODED_STRING, CATEGORICAL, LIST, TABLE, OPAQUE = range(8)

# dtype
BOOL8, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 = range(1, 10)
FLOAT16, FLOAT32, FLOAT64, COMPLEX64, COMPLEX128, RAW = range(10, 16)
LOGICAL32, FIXED_BYTES, FIXED_UTF32, RECORD = range(16, 20)

# semantic
DATE, TIMESTAMP, TIMESPAN, TIMEOFDAY = range(1, 5)

# list_form
FORM_LIST, FORM_TUPLE, FORM_SET, FORM_FROZENSET, FORM_DICT, FORM_PAIRLIST, FORM_ENVIRONMENT = range(7)

# time_unit: NumPy's names, by number
UNITS: Final = ("", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
UNIT_NUMBER: Final = {name: number for number, name in enumerate(UNITS) if name}

DTYPE_OF: Final[dict[int, np.dtype[Any]]] = {
    BOOL8: np.dtype("?"),
    INT8: np.dtype("i1"),
    INT16: np.dtype("i2"),
    INT32: np.dtype("i4"),
    INT64: np.dtype("i8"),
    UINT8: np.dtype("u1"),
    UINT16: np.dtype("u2"),
    UINT32: np.dtype("u4"),
    UINT64: np.dtype("u8"),
    FLOAT16: np.dtype("f2"),
    FLOAT32: np.dtype("f4"),
    FLOAT64: np.dtype("f8"),
    COMPLEX64: np.dtype("c8"),
    COMPLEX128: np.dtype("c16"),
    RAW: np.dtype("u1"),
    LOGICAL32: np.dtype("i4"),
}

NUMBER_OF: Final[dict[str, int]] = {
    dtype.str: number for number, dtype in DTYPE_OF.items() if number not in (RAW, LOGICAL32)
}

INT32_NA: Final = -(2**31)  # R's NA in integers and logicals


def dtype_text(dtype: np.dtype[Any]) -> Any:
    """A dtype as JSON, with all that structured dtypes may have."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": dtype_text(base), "shape": list(shape)}
    if dtype.names is None:
        return dtype.str
    assert dtype.fields is not None
    return {
        "names": list(dtype.names),
        "formats": [dtype_text(dtype.fields[name][0]) for name in dtype.names],
        "offsets": [dtype.fields[name][1] for name in dtype.names],
        "itemsize": dtype.itemsize,
    }


def dtype_from(text: Any) -> np.dtype[Any]:
    if isinstance(text, str):
        return np.dtype(text)
    if "base" in text:
        return np.dtype((dtype_from(text["base"]), tuple(text["shape"])))
    fields: Any = {**text, "formats": [dtype_from(item) for item in text["formats"]]}
    made: np.dtype[Any] = np.dtype(fields)
    return made
