"""CSV files as lazy columns. pyarrow reads the fields; here are only the places where records begin."""

from __future__ import annotations

import dataclasses
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Corrupt, InvalidArgument
from .columns import Column, Identity, PieceFill, Progress, kind_of, merged, shown
from .strings import widest

BLOCK = 1 << 20


@dataclasses.dataclass
class Dialect:
    """How the file is written."""

    names: list[str]
    delimiter: str
    quote: str
    encoding: str
    missing: list[str]

    def parse(self, block: bytes, types: dict[str, Any] | None, only: list[str], on_bad: Any) -> Any:
        import pyarrow as pa
        import pyarrow.csv as csv

        if self.encoding != "utf-8":
            block = block.decode(self.encoding).encode()
        return csv.read_csv(
            pa.BufferReader(block),
            csv.ReadOptions(column_names=self.names, use_threads=False, block_size=len(block) + 1),
            csv.ParseOptions(delimiter=self.delimiter, quote_char=self.quote or False, newlines_in_values=True,
                             invalid_row_handler=on_bad),
            csv.ConvertOptions(column_types=types, include_columns=only, null_values=self.missing,
                               strings_can_be_null=True, quoted_strings_can_be_null=False))


def end_of_records(block: bytes, quote: str) -> int:
    """Bytes of the block up to the end of its last whole record; 0 if there is none. It begins with a record."""
    if not quote or quote.encode() not in block:
        return block.rfind(b"\n") + 1
    seen = np.frombuffer(block, "u1")
    ends = np.flatnonzero(seen == 10)
    # A line end after an odd number of quotes lies within a field. A quote within a field is written twice.
    outside = ends[np.searchsorted(np.flatnonzero(seen == ord(quote)), ends) % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0


def blocks_of(path: str, start: int, size: int, quote: str) -> Any:
    """(offset, bytes) of pieces of whole records."""
    with open(path, "rb") as file:
        file.seek(start)
        rest, offset = b"", start
        while True:
            more = file.read(size)
            block = rest + more
            end = len(block) if not more else end_of_records(block, quote)
            if end:
                yield offset, block[:end]
                offset += end
            rest = block[end:]
            if not more:
                return


class CsvFill(PieceFill):
    def __init__(self, file: Identity, dialect: Dialect, column: Column, starts: NDArray[Any], offsets: NDArray[Any]):
        super().__init__(file, column, starts)
        self.dialect, self.offsets = dialect, offsets  # the first byte of each block, and the end of the last

    def reading(self) -> tuple[Any, ...]:
        d = self.dialect
        return *super().reading(), d.delimiter, d.quote, d.encoding, tuple(d.names), tuple(d.missing), *self.offsets[:2]

    def piece(self, at: int) -> NDArray[Any]:
        import pyarrow as pa

        with open(self.file.path, "rb") as file:
            file.seek(int(self.offsets[at]))
            block = file.read(int(self.offsets[at + 1] - self.offsets[at]))
        column = self.column
        types = {"string": pa.string(), "null": pa.string(), "date32": pa.date32(), "double": pa.float64(),
                 "int64": pa.int64(), "bool": pa.bool_()}
        kind = types.get(column.kind) or pa.timestamp(column.kind[10:-1])
        table = self.dialect.parse(block, {column.name: kind}, [column.name], lambda row: "skip")
        out = np.zeros(table.num_rows, column.dtype)
        if table.num_rows != self.starts[at + 1] - self.starts[at]:
            raise Corrupt("read " + self.file.path, "it has other rows than when it was scanned")
        if table.num_rows:
            column.put(table.column(0).combine_chunks(), out)
        return out


@dataclasses.dataclass
class Scan:
    """What one pass over a file found."""

    file: Identity
    dialect: Dialect
    columns: list[Column]
    starts: NDArray[Any]
    offsets: NDArray[Any]
    bad: list[str]

    @property
    def rows(self) -> int:
        return int(self.starts[-1])

    def fill(self, name: str) -> CsvFill:
        return CsvFill(self.file, self.dialect, next(c for c in self.columns if c.name == name), self.starts,
                       self.offsets)


def header_of(path: str, dialect: Dialect, header: bool) -> tuple[list[str], int, int]:
    """Column names, the first byte after them, and its line."""
    import pyarrow as pa
    import pyarrow.csv as csv

    size = 1 << 16
    with open(path, "rb") as file:
        begin = 3 if file.read(3) == b"\xef\xbb\xbf" else 0
    first = next(blocks_of(path, begin, size, dialect.quote), (begin, b""))[1]
    if not first.strip():
        raise InvalidArgument("read " + path, "there is nothing in it")
    if dialect.encoding != "utf-8":
        first = first.decode(dialect.encoding).encode()
    options = csv.ParseOptions(delimiter=dialect.delimiter, quote_char=dialect.quote or False, newlines_in_values=True,
                               invalid_row_handler=lambda row: "skip")
    reading = csv.ReadOptions(use_threads=False, autogenerate_column_names=not header, block_size=len(first) + 1)
    names: list[str] = []
    for name in csv.read_csv(pa.BufferReader(first), reading, options).column_names:
        number, unique = 1, name
        while unique in names:
            unique, number = f"{name}.{number}", number + 1
        names.append(unique)
    if not header:
        return names, begin, 1
    end = 0  # the header is the shortest piece of whole records
    while True:
        line = first.find(b"\n", end) + 1
        if line == 0:
            return names, begin + len(first), 2
        end = line
        if end_of_records(first[:end], dialect.quote) == end and first[:end].strip():
            return names, begin + len(first[:end].decode().encode(dialect.encoding)), 1 + first[:end].count(b"\n")


def scan(path: str | os.PathLike[str], *, delimiter: str, quote: str, header: bool, encoding: str,
         missing: list[str], dtypes: dict[str, str], bad_rows: str, progress: Progress | bool | None) -> Scan:
    """One pass: where records begin, what the columns hold, which rows are bad."""
    import pyarrow as pa

    file = Identity(os.fspath(path))
    dialect = Dialect([], delimiter, quote, encoding, missing)
    try:
        dialect.names, begin, line = header_of(file.path, dialect, header)
    except (pa.ArrowInvalid, UnicodeDecodeError) as reason:
        raise Corrupt("read " + file.path, str(reason)) from None
    for name in dtypes:
        if name not in dialect.names:
            raise InvalidArgument("read " + file.path, f"it has no column {name!r}", f"It has {dialect.names}")
    tell = shown(progress, file.size, "scan")
    kinds = dict.fromkeys(dialect.names, "null")
    missing_in = dict.fromkeys(dialect.names, False)
    widths = dict.fromkeys(dialect.names, 0)
    looks: list[dict[str, str]] = []
    starts, offsets, bad = [0], [begin], list[str]()
    for offset, block in blocks_of(file.path, begin, BLOCK, quote):
        table = _parse(file, dialect, block, line, dtypes, bad)
        looks.append({})
        for name, array in zip(table.column_names, table.columns, strict=True):
            kind = kind_of(array.type)
            if kind is None:  # times of the day, and bytes that are no text
                kind = "string"
                if pa.types.is_binary(array.type):
                    raise Corrupt("read " + file.path, f"column {name!r} has bytes that are not UTF-8, in lines "
                                  f"{line} to {line + block.count(10)}", "Say encoding='latin-1', or what it is")
            looks[-1][name] = kind
            kinds[name] = merged(kinds[name], kind)
            missing_in[name] |= array.null_count > 0
            if kind == "string" and pa.types.is_string(array.type):
                widths[name] = max(widths[name], widest(array))
        starts.append(starts[-1] + table.num_rows)
        offsets.append(offset + len(block))
        line += block.count(b"\n")
        tell(offset + len(block))
    tell(file.size)
    _widths_of_rest(file, dialect, kinds, looks, offsets, widths, missing_in)
    if bad and bad_rows == "error":
        raise Corrupt("read " + file.path, f"{len(bad)} rows have the wrong number of fields: " + "; ".join(bad[:5]),
                      'Mend them, or leave them out with bad_rows="skip"')
    if bad:
        warnings.warn(f"{file.path}: left out {len(bad)} rows: {'; '.join(bad[:5])}", stacklevel=4)
    file.check()
    columns = [Column(name, kinds[name], missing_in[name], widths[name]) for name in dialect.names]
    return Scan(file, dialect, columns, np.array(starts), np.array(offsets), bad)


def _parse(file: Identity, dialect: Dialect, block: bytes, line: int, dtypes: dict[str, str], bad: list[str]) -> Any:
    """The block as a table. Bad rows are noted with their lines; values that don't fit a type asked for are errors."""
    import pyarrow as pa

    place = 0
    text = block.decode(dialect.encoding, "replace").encode() if dialect.encoding != "utf-8" else block

    def on_bad(row: Any) -> str:
        nonlocal place
        found = text.find(row.text.encode(), place)
        if found >= 0:
            place = found + len(row.text.encode())
        bad.append(f"line {line + text.count(10, 0, max(found, 0))}: {row.actual_columns} fields, not "
                   f"{row.expected_columns}")
        return "skip"

    types = {name: ARROW[kind](pa) for name, kind in dtypes.items()}
    try:
        return dialect.parse(block, types, dialect.names, on_bad)
    except (pa.ArrowInvalid, UnicodeDecodeError) as reason:
        what = _bad_value(dialect, block, line, types) or reason
        raise Corrupt("read " + file.path, f"lines {line} to {line + block.count(10)}: {what}",
                      "Mend it, or give the column another type") from None


def _bad_value(dialect: Dialect, block: bytes, line: int, types: dict[str, Any]) -> str | None:
    """The first value that is not of its column's type, with its row's line where no field spans lines."""
    import pyarrow as pa

    try:
        table = dialect.parse(block, dict.fromkeys(dialect.names, pa.string()), list(types), lambda row: "skip")
    except pa.ArrowInvalid:
        return None
    for name, kind in types.items():
        for row, value in enumerate(table.column(name).to_pylist()):
            try:
                pa.scalar(value).cast(kind) if value is not None else None
            except pa.ArrowInvalid:
                return f"{value!r} in column {name!r}, row {row + 1} from line {line}, is not of type {kind}"
    return None


def _widths_of_rest(file: Identity, dialect: Dialect, kinds: dict[str, str], looks: list[dict[str, str]],
                    offsets: list[int], widths: dict[str, int], missing_in: dict[str, bool]) -> None:
    """Columns that turned out to be text: how wide they are where they looked like something else."""
    import pyarrow as pa

    for at, look in enumerate(looks):
        names = [name for name, kind in look.items() if kinds[name] == "string" and kind != "string"]
        if not names:
            continue
        with open(file.path, "rb") as opened:
            opened.seek(offsets[at])
            block = opened.read(offsets[at + 1] - offsets[at])
        table = dialect.parse(block, dict.fromkeys(names, pa.string()), names, lambda row: "skip")
        for name in names:
            widths[name] = max(widths[name], widest(table.column(name)))
            missing_in[name] |= table.column(name).null_count > 0


ARROW: dict[str, Any] = {
    "int64": lambda pa: pa.int64(), "double": lambda pa: pa.float64(), "string": lambda pa: pa.string(),
    "bool": lambda pa: pa.bool_(), "date32": lambda pa: pa.date32(), "timestamp[s]": lambda pa: pa.timestamp("s"),
    "timestamp[ns]": lambda pa: pa.timestamp("ns"),
}  # fmt: skip


def kind_asked(dtype: Any) -> str:
    """The kind that a user's dtype means."""
    if dtype is str or str(dtype) in ("str", "string"):
        return "string"
    try:
        made = np.dtype(dtype)
    except TypeError:
        made = np.dtype("V")
    found = {"i": "int64", "u": "int64", "f": "double", "b": "bool", "U": "string", "O": "string"}.get(made.kind)
    if made.kind == "M":
        return "timestamp[ns]" if np.datetime_data(made)[0] == "ns" else "timestamp[s]"
    if found is None:
        raise InvalidArgument("read a CSV file", f"there are no columns of {dtype!r}",
                              'Use "i8", "f8", "?", "str", "M8[s]" or "M8[ns]"')
    return found
