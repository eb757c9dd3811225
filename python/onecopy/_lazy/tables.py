"""Tables that are read when they are touched: CSV, Parquet, text lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from .._objects.lazy_array import LazyArray
from ..errors import InvalidArgument, NotFound
from . import runner
from .arrays import DEFAULT_CHUNK, make
from .columns import Column, Progress
from .strings import LazyStrings


def column_of(column: Column, rows: int, fill: Any, where: str, *, save: Any = None, chunk: int = DEFAULT_CHUNK,
              deadline: float = 60.0) -> LazyArray | LazyStrings:
    """The lazy column that a populate function fills."""
    made = make(column.dtype, (rows,), "program", {}, payload=runner.payload(column.dtype, rows, fill, save),
                command=runner.command(), description=f"column {column.name!r} of {where}", chunk=chunk,
                deadline=deadline, write_back=save is not None, strings=column.is_text)
    return LazyStrings(made) if column.is_text else made


def table_of(columns: dict[str, LazyArray | LazyStrings], rows: int, frame: bool) -> Any:
    if not frame:
        return columns
    from .frames import frame as assembled

    return assembled(columns, rows)


def lazy_csv(path: str | os.PathLike[str], *, columns: Sequence[str] | None = None,
             dtypes: dict[str, Any] | None = None, delimiter: str = ",", quote: str = '"',
             header: bool = True, encoding: str = "utf-8",
             missing: Sequence[str] = ("", "NA", "NaN", "nan", "N/A", "null", "NULL"), bad_rows: str = "error",
             progress: Progress | bool | None = None, frame: bool = True, chunk: int = DEFAULT_CHUNK,
             deadline: float = 60.0) -> Any:
    """A CSV file as a DataFrame of lazy columns: each is read, a piece at a time, when it is touched.

    One scan of the file finds out where its records begin and of which type each column is: whole numbers, floats,
    truths, dates and times, or strings. Whole numbers and truths of which some are missing are floats, and so NaN.

    Args:
        path: the file. It must not change while the columns are used: a touch says so then (Corrupt).
        columns: only these.
        dtypes: of some columns: "i8", "f8", "?", "str", "M8[s]", "M8[ns]". A value that is no such thing is an error
            that tells its line.
        delimiter, quote, header, encoding: how it is written. Quoted fields may hold delimiters and line ends; a quote
            within is written twice. Without header, columns are f0, f1, ...
        missing: unquoted fields that stand for nothing.
        bad_rows: rows with too few or too many fields are an error that lists them with their lines; "skip" leaves
            them out, with a warning.
        progress: called with bytes scanned and bytes in all; True shows a bar with tqdm.
        frame: False gives a dictionary of the columns: LazyArray for numbers and times, LazyStrings for strings.
        chunk, deadline: as for ``lazy``.

    In a DataFrame, columns of strings are pandas' str; elements, slices, selections and comparisons read what they
    need, anything else reads the whole column into this process. pandas makes copies for most of what it does; to stay
    within the budget, compute on ``df["x"].to_numpy()`` or with frame=False.

    Raises: NotFound, Corrupt (bad rows, bytes that are no text), InvalidArgument.
    """
    from .csv_files import kind_asked, scan

    if bad_rows not in ("error", "skip"):
        raise InvalidArgument("read a CSV file", f"bad_rows={bad_rows!r} is not known", 'Use "error" or "skip"')
    for text, name in ((delimiter, "delimiter"), (quote, "quote")):
        if len(text.encode()) != 1 and (text or name == "delimiter"):
            raise InvalidArgument("read a CSV file", f"{name} is {text!r}", "It is one character")
    try:
        if "a\n".encode(encoding) != b"a\n":
            raise LookupError
    except LookupError:
        raise InvalidArgument("read a CSV file", f"encoding {encoding!r} is not known, or not one whose ASCII is ASCII",
                              "Convert the file to UTF-8") from None
    encoding = "utf-8" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    asked = {name: kind_asked(kind) for name, kind in (dtypes or {}).items()}
    found = scan(path, delimiter=delimiter, quote=quote, header=header, encoding=encoding, missing=list(missing),
                 dtypes=asked, bad_rows=bad_rows, progress=progress)
    names = found.dialect.names
    for name in columns or []:
        if name not in names:
            raise InvalidArgument("read " + found.file.path, f"it has no column {name!r}", f"It has {names}")
    chosen = [c for c in found.columns if columns is None or c.name in columns]
    out = {c.name: column_of(c, found.rows, found.fill(c.name), found.file.path, chunk=chunk, deadline=deadline)
           for c in chosen}
    return table_of(out, found.rows, frame)


def lazy_parquet(path: str | os.PathLike[str], *, columns: Sequence[str] | None = None,
                 progress: Progress | bool | None = None, frame: bool = True, chunk: int = DEFAULT_CHUNK,
                 deadline: float = 60.0) -> Any:
    """A Parquet file as a DataFrame of lazy columns. Row groups are read as a whole, so those of 100,000 rows or so
    serve best. Columns of strings are read once when it is opened, to know how wide they are.

    Args: as for ``lazy_csv``.
    Raises: NotFound, Corrupt (it is no Parquet file), InvalidArgument (a column of a type with no lazy form, such as
    lists: choose others with ``columns``).
    """
    from .parquet import ParquetFill, scan

    file, found, starts = scan(path, list(columns) if columns is not None else None, progress)
    rows = int(starts[-1])
    out = {c.name: column_of(c, rows, ParquetFill(file, c, starts), file.path, chunk=chunk, deadline=deadline)
           for c in found}
    return table_of(out, rows, frame)


def lazy_lines(path: str | os.PathLike[str], *, encoding: str = "utf-8", progress: Progress | bool | None = None,
               chunk: int = DEFAULT_CHUNK, deadline: float = 60.0) -> LazyStrings:
    """The lines of a text file, without their ends, read when touched. One scan finds where they begin.

    Raises: NotFound. At a touch: Corrupt when the file was changed, SystemFailure when bytes are no text.
    """
    from .files import scan_lines

    column, rows, fill = scan_lines(os.fspath(path), encoding, progress)
    made = column_of(column, rows, fill, fill.file.path, chunk=chunk, deadline=deadline)
    assert isinstance(made, LazyStrings)
    return made


def lazy_compressed(path: str | os.PathLike[str], dtype: Any, shape: Any = None, *, offset: int = 0,
                    compression: str | None = None, progress: Progress | bool | None = None,
                    chunk: int = DEFAULT_CHUNK, deadline: float = 300.0) -> LazyArray:
    """The numbers of a compressed binary file, unpacked when touched.

    One scan unpacks it all, keeps nothing, and finds its frames. A file of many frames (pzstd, pbzip2, or several
    files one after the other) is read from the frame where the touch is; one of a single frame from its start, or
    from where the last touch ended: sequential reading is fast, going back is not.

    Args:
        path, dtype, shape, offset: as for ``lazy_binary``, of the unpacked bytes.
        compression: "zstd" or "bz2"; None: what the name's ending says (.zst, .bz2).
        progress, chunk, deadline: as for ``lazy_csv``; a touch may have to unpack all that comes before it.
    """
    from .arrays import _dtype, _shape
    from .files import CompressedFill, scan_compressed

    path = os.path.abspath(os.fspath(path))
    dtype = _dtype(dtype)
    kind = compression or {".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}.get(os.path.splitext(path)[1].lower(), "")
    if kind not in ("zstd", "bz2"):
        raise InvalidArgument("read " + path, f"compression {kind!r} is not known", 'Say compression="zstd" or "bz2"')
    if not os.path.isfile(path):
        raise NotFound("read " + path, "there is no such file")
    if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
        raise InvalidArgument("read " + path, f"offset is {offset!r}", "It is a number of bytes")
    file, frames, total = scan_compressed(path, kind, progress)
    most = max(0, (total - offset) // dtype.itemsize) if dtype.itemsize else 0
    sizes = _shape(most if shape is None else shape)
    count = 1
    for size in sizes:
        count *= size
    if count > most:
        raise InvalidArgument("read " + path, f"{count} elements are more than the {most} in it")
    fill = CompressedFill(file, kind, frames, offset)
    return make(dtype, sizes, "program", {}, payload=runner.payload(dtype, count, fill), command=runner.command(),
                description=path, chunk=chunk, deadline=deadline)
