"""Rows of a table, whatever library it is of. A part of a shared table is a view wherever its library can."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidArgument, WrongType


def _library(table: Any) -> str:
    return type(table).__module__.partition(".")[0]


def _has_rows(table: Any) -> bool:
    if isinstance(table, np.ndarray):
        return table.ndim > 0
    return (hasattr(table, "iloc") or hasattr(table, "slice")) and hasattr(table, "__len__")


def row_count(table: Any) -> int:
    """Rows of a table or array. Raises WrongType where there are none to count."""
    if isinstance(table, dict) and table:
        lengths = {key: row_count(column) for key, column in table.items()}
        if len(set(lengths.values())) != 1:
            raise InvalidArgument("scatter a table", f"its columns differ in length: {lengths}")
        return next(iter(lengths.values()))
    if not _has_rows(table):
        raise WrongType("scatter a table", f"a {type(table).__name__} has no rows",
                        "Give a pandas, polars or pyarrow table, an array, or a dict of columns")
    return len(table)


def rows(table: Any, start: int, stop: int) -> Any:
    """Rows `start` to `stop`, without the latter."""
    if isinstance(table, dict):
        return {key: rows(column, start, stop) for key, column in table.items()}
    if isinstance(table, np.ndarray):
        return table[start:stop]
    if hasattr(table, "iloc"):
        return table.iloc[start:stop]
    return table.slice(start, stop - start)  # pyarrow, polars


def concatenated(table: Any, ranges: list[tuple[int, int]]) -> Any:
    """The rows of all ranges, one after the other. Ranges that follow each other cost no copy."""
    merged: list[tuple[int, int]] = []
    for start, stop in ranges:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    if len(merged) == 1:
        return rows(table, *merged[0])
    if isinstance(table, dict):
        return {key: concatenated(column, ranges) for key, column in table.items()}
    if hasattr(table, "iloc"):
        return table.iloc[np.concatenate([np.arange(*one) for one in merged])]
    parts = [rows(table, *one) for one in merged]
    if isinstance(table, np.ndarray):
        return np.concatenate(parts)
    if _library(table) == "polars":
        import polars

        return polars.concat(parts)
    import pyarrow

    return pyarrow.concat_tables(parts) if isinstance(table, pyarrow.Table) else pyarrow.concat_arrays(parts)
