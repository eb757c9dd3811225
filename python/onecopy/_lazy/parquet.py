"""Parquet files as lazy columns, a row group at a time."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Corrupt, InvalidArgument
from .columns import Column, Identity, PieceFill, Progress, kind_of, shown
from .strings import widest


class ParquetFill(PieceFill):
    def piece(self, at: int) -> NDArray[Any]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.file.path) as opened:
            table = opened.read_row_group(at, columns=[self.column.name], use_threads=False)
        out = np.zeros(table.num_rows, self.column.dtype)
        if table.num_rows:
            array = table.column(0).combine_chunks()
            self.column.put(array.dictionary_decode() if hasattr(array, "dictionary_decode") else array, out)
        return out


def scan(path: str | os.PathLike[str], columns: list[str] | None,
         progress: Progress | bool | None) -> tuple[Identity, list[Column], NDArray[Any]]:
    """What the file says about itself; columns of strings are read once, for their widths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Identity(os.fspath(path))
    try:
        opened = pq.ParquetFile(file.path)
    except (pa.ArrowInvalid, OSError) as reason:
        raise Corrupt("read " + file.path, f"it is no Parquet file: {reason}") from None
    with opened:
        schema, groups = opened.schema_arrow, opened.metadata.num_row_groups
        for name in columns or []:
            if name not in schema.names:
                raise InvalidArgument("read " + file.path, f"it has no column {name!r}", f"It has {schema.names}")
        starts = np.zeros(groups + 1, "i8")
        starts[1:] = np.cumsum([opened.metadata.row_group(i).num_rows for i in range(groups)])
        found = []
        for name in columns if columns is not None else schema.names:
            kind = kind_of(schema.field(name).type)
            if kind is None:
                raise InvalidArgument(
                    "read " + file.path,
                    f"column {name!r} is of type {schema.field(name).type}, which has no lazy form",
                    "Choose others with `columns`")
            found.append(Column(name, kind))
        tell = shown(progress, max(1, groups * len(found)), "scan")
        place = {name: i for i, name in enumerate(opened.metadata.schema.to_arrow_schema().names)}
        for number, column in enumerate(found):
            for at in range(groups):
                chunk = opened.metadata.row_group(at).column(place[column.name]) if _is_flat(opened) else None
                seen = chunk.statistics if chunk is not None else None
                if column.is_text or seen is None or not seen.has_null_count:
                    array = opened.read_row_group(at, columns=[column.name], use_threads=False).column(0)
                    column.missing |= array.null_count > 0
                    if column.is_text and column.kind != "null":
                        column.width = max(column.width, widest(array.cast(pa.large_string())))
                else:
                    column.missing |= seen.null_count > 0
                tell(number * groups + at + 1)
        tell(max(1, groups * len(found)))
    return file, found, starts


def _is_flat(opened: Any) -> bool:
    """True if the file's columns are the schema's: nested ones are several."""
    return bool(opened.metadata.num_columns == len(opened.schema_arrow.names))
