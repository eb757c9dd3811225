"""Lazy columns for R, of files that R has no library for: Python fills them, with the elements of R's vectors.

R's `lazyParquet()` and `lazyCompressed()` call main() once, in a process of its own, with

    parquet FILE CHUNK DEADLINE [COLUMN ...]
    compressed FILE CHUNK DEADLINE MODE OFFSET LENGTH COMPRESSION

It prints a handle and a name for each column; what went wrong goes to standard error. Never run it by `python -m`: the
functions would be those of a module that the process which fills doesn't have.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from .._objects.lazy_array import LazyArray
from ..errors import Error, InvalidArgument
from . import runner
from .arrays import make
from .columns import Column

NA_REAL = np.array([0x7FF00000000007A2], "u8").view("f8")[0]  # the NaN that R takes for NA
NA_INTEGER = -(2**31)
INTEGERS = ("int8", "int16", "int32", "uint8", "uint16")
MODES = {"integer": "i4", "numeric": "f8", "double": "f8", "complex": "c16", "raw": "u1"}


class ColumnForR(Column):
    """A column whose elements are R's: logical and integer in 32 bits, anything else of numbers a double. Dates are
    days, and times seconds, since 1970."""

    @property
    def dtype(self) -> np.dtype[Any]:
        if self.is_text:
            return super().dtype
        return np.dtype("i4" if self.kind == "bool" or self.kind in INTEGERS else "f8")

    @property
    def mode(self) -> str:
        return "character" if self.is_text else "logical" if self.kind == "bool" else ""

    def put(self, array: Any, out: NDArray[Any]) -> None:
        import pyarrow as pa

        if self.is_text:
            super().put(array, out)
            return
        missing = np.asarray(array.is_null())
        if self.kind.startswith("timestamp"):
            unit = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[self.kind[10:-1]]
            ticks = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
            values = ticks // unit + ticks % unit / unit
        elif self.kind == "date32":
            values = array.cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
        else:
            values = array.fill_null(False if self.kind == "bool" else 0).to_numpy(zero_copy_only=False)
        if values.dtype.kind in "iu" and len(values):
            low, high = int(values.min()), int(values.max())
            if (self.dtype.kind == "i" and low == NA_INTEGER) or max(-low, high) > 2**53:
                raise ValueError(f"column {self.name!r} has {low if -low > high else high}, which no number in R is")
        out[...] = values
        out[missing] = NA_INTEGER if self.dtype.kind == "i" else NA_REAL


def parquet(path: str, chunk: int, deadline: float, names: list[str]) -> dict[str, LazyArray]:
    from .parquet import ParquetFill, scan

    file, found, starts = scan(path, names or None, None)
    out = {}
    for one in found:
        column = ColumnForR(**dataclasses.asdict(one))
        rows = int(starts[-1])
        out[column.name] = make(
            column.dtype, (rows,), "program", {}, payload=runner.payload(column.dtype, rows,
                                                                         ParquetFill(file, column, starts)),
            command=runner.command(), description=f"column {column.name!r} of {file.path}", chunk=chunk,
            deadline=deadline, strings=column.is_text, R=column.mode)
    return out


def compressed(path: str, chunk: int, deadline: float, given: list[str]) -> dict[str, LazyArray]:
    from .tables import lazy_compressed

    mode, offset, length, compression = given
    if mode not in MODES:
        raise InvalidArgument("read " + path, f"there are no compressed numbers of mode {mode!r}")
    return {"x": lazy_compressed(path, MODES[mode], int(length) if length else None, offset=int(offset),
                                 compression=compression or None, chunk=chunk, deadline=deadline)}


def main() -> int:
    kind, path, chunk, deadline, *rest = sys.argv[1:]
    from ..api import handle

    try:
        made = (parquet if kind == "parquet" else compressed)(os.path.abspath(path), int(chunk), float(deadline), rest)
        for name, array in made.items():
            print(handle(array), quote(name))
    except (Error, ImportError, OSError) as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0
