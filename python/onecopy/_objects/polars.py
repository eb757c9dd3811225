"""polars: through Arrow, which polars imports without copying."""

from __future__ import annotations

from typing import Any

import polars as pl

from .._core import Node, Writer
from .._memory.place import note_node
from .arrow import read_table, write_table


def write_object(w: Writer, at: int, obj: Any) -> bool:
    """Writes a DataFrame, Series or (collected) LazyFrame; False for anything else of polars."""
    if isinstance(obj, pl.DataFrame):
        write_table(w, at, obj.to_arrow(compat_level=pl.CompatLevel.oldest()), "polars.DataFrame")
    elif isinstance(obj, pl.Series):
        write_table(w, at, obj.to_frame().to_arrow(compat_level=pl.CompatLevel.oldest()), "polars.Series")
    else:
        return False
    return True


def read_frame(node: Node, note: dict[str, Any]) -> pl.DataFrame:
    """A table as a polars DataFrame. polars keeps numbers and times in place; it makes views of strings."""
    table = read_table(node, note)
    # By number first: polars gives a column without a name another one, which may be there already.
    numbered = table.rename_columns([str(i) for i in range(table.num_columns)])
    frame = pl.from_arrow(numbered, rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    frame.columns = table.column_names
    note_node(frame, node)
    return frame


def read_object(node: Node, note: dict[str, Any]) -> Any:
    """A polars Series."""
    series = read_frame(node, note).to_series(0)
    note_node(series, node)
    return series
