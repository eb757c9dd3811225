"""Tables of SQLite and PostgreSQL as lazy columns, a page of keys at a time; changed rows go back in a transaction."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Corrupt, InvalidArgument, NotFound, SystemFailure, Unsupported
from .arrays import DEFAULT_CHUNK
from .columns import Column
from .tables import column_of, table_of

PAGE = 8192  # rows between two keys that are kept


class Database:
    """How to reach a database. It holds no connection, so that it can be sent to another process."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.postgres = where.startswith(("postgresql://", "postgres://")) or "dbname=" in where
        self.mark = "%s" if self.postgres else "?"

    @contextlib.contextmanager
    def open(self, writing: bool = False) -> Iterator[Any]:
        """A connection within one transaction: committed at the end, rolled back by an exception."""
        if self.postgres:
            try:
                import psycopg
            except ImportError:
                raise Unsupported("read PostgreSQL", "the package psycopg is not installed",
                                  "pip install 'psycopg[binary]'") from None
            with psycopg.connect(self.where, connect_timeout=20) as connection:
                if not writing:
                    connection.read_only = True
                yield connection
            return
        import sqlite3

        mode = "rw" if writing else "ro"
        uri = "file:" + os.path.abspath(self.where).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        lite = sqlite3.connect(f"{uri}?mode={mode}", uri=True, timeout=20)
        try:
            with lite:
                yield lite
        finally:
            lite.close()

    def name(self, text: str) -> str:
        """An identifier as SQL writes it. Values are never written into SQL: they are parameters."""
        if "\x00" in text:
            raise InvalidArgument("read a table", f"{text!r} is no name")
        if "%" in text and self.postgres:
            raise InvalidArgument("read a table", f"the name {text!r} has a % in it", "Make a view with other names")
        return '"' + text.replace('"', '""') + '"'


class SqlFill:
    """Fills one column of a table: a populate function; `save` writes back."""

    def __init__(self, database: Database, table: str, key: str, column: Column, keys: list[Any], rows: int) -> None:
        self.database, self.table, self.key, self.column = database, table, key, column
        self.keys, self.rows = keys, rows  # keys: the first of each page

    def _select(self, connection: Any, at: int) -> list[tuple[Any, Any]]:
        """Keys and values of a page. Raises Corrupt when it has not as many rows as it had."""
        d = self.database
        key, where, given = d.name(self.key), f"{d.name(self.key)} >= {d.mark}", [self.keys[at]]
        if at + 1 < len(self.keys):
            where += f" AND {key} < {d.mark}"
            given.append(self.keys[at + 1])
        rows = connection.execute(
            f"SELECT {key}, {d.name(self.column.name)} FROM {d.name(self.table)} WHERE {where} ORDER BY {key}", given
        ).fetchall()
        wanted = min(PAGE, self.rows - at * PAGE)
        if len(rows) != wanted:
            raise Corrupt(f"read table {self.table}", f"there are {len(rows)} rows from key {self.keys[at]!r} on where "
                          f"there were {wanted}: it was changed", "Make the lazy columns again")
        return list(rows)

    def _page(self, at: int) -> NDArray[Any]:
        with self.database.open() as connection:
            values = [row[1] for row in self._select(connection, at)]
        return elements(self.column, values)

    def __call__(self, start: int, end: int, out: NDArray[Any]) -> None:
        done = start
        while done < end:
            at = done // PAGE
            page = self._page(at)  # never kept: others may change the table at any time
            part = page[done - at * PAGE : done - at * PAGE + end - done]
            out[done - start : done - start + len(part)] = part
            done += len(part)

    def save(self, start: int, end: int, new: NDArray[Any]) -> None:
        """Writes the rows whose values differ from the table's, all of them or none."""
        d = self.database
        update = (f"UPDATE {d.name(self.table)} SET {d.name(self.column.name)} = {d.mark} "
                  f"WHERE {d.name(self.key)} = {d.mark}")
        with self.database.open(writing=True) as connection:
            changed: list[tuple[Any, Any]] = []
            for at in range(start // PAGE, -(-end // PAGE)):
                rows = self._select(connection, at)
                old = elements(self.column, [row[1] for row in rows])
                first = max(start, at * PAGE)
                last = min(end, at * PAGE + len(rows))
                ours, theirs = new[first - start : last - start], old[first - at * PAGE : last - at * PAGE]
                same = (ours == theirs) | ((ours != ours) & (theirs != theirs))
                for i in np.flatnonzero(~same):
                    value = ours[i].item()
                    changed.append((None if value != value else value, rows[first - at * PAGE + int(i)][0]))
            if changed:
                connection.cursor().executemany(update, changed)


def elements(column: Column, values: list[Any]) -> NDArray[Any]:
    """Values of a database as the column keeps them."""
    import pyarrow as pa

    out = np.zeros(len(values), column.dtype)
    if column.is_text:
        column.put(pa.array(values, pa.large_string()), out)
    elif column.dtype.kind == "M":
        plain = [None if v is None else v.replace(tzinfo=None) if getattr(v, "tzinfo", None) else v for v in values]
        out[...] = np.array(plain, dtype=column.dtype)
    elif column.dtype.kind == "f":
        out[...] = [np.nan if v is None else float(v) for v in values]
    else:
        if None in values:
            raise Corrupt("read a table", f"column {column.name!r} has missing values that it had not")
        out[...] = values
    return out


POSTGRES = {"int2": "int64", "int4": "int64", "int8": "int64", "float4": "double", "float8": "double",
            "numeric": "double", "bool": "bool", "text": "string", "varchar": "string", "bpchar": "string",
            "date": "date32", "timestamp": "timestamp[us]", "timestamptz": "timestamp[us]"}  # fmt: skip


def _columns(database: Database, connection: Any, table: str, names: Sequence[str] | None) -> list[Column]:
    """The table's columns with their types."""
    from_ = f"FROM {database.name(table)}"
    cursor = connection.execute(f"SELECT * {from_} LIMIT 0")
    there = [item[0] for item in cursor.description]
    for name in names or []:
        if name not in there:
            raise InvalidArgument(f"read table {table}", f"it has no column {name!r}", f"It has {there}")
    found = []
    for item in cursor.description:
        if names is not None and item[0] not in names:
            continue
        quoted = database.name(item[0])
        if database.postgres:
            info = connection.adapters.types.get(item.type_code)
            plain = info is not None and info.oid == item.type_code  # the registry finds arrays by their elements, too
            kind = POSTGRES.get(info.name) if plain else None
            seen = info.name + ("" if plain else " array") if info else f"number {item.type_code}"
        else:
            # SQLite's types belong to values, not to columns.
            kinds = {row[0] for row in connection.execute(f"SELECT DISTINCT typeof({quoted}) {from_}")} - {"null"}
            seen = ", ".join(sorted(kinds))
            kind = ("null" if not kinds else "int64" if kinds == {"integer"} else "double"
                    if kinds <= {"integer", "real"} else "string" if kinds == {"text"} else None)
        if kind is None:
            raise InvalidArgument(
                f"read table {table}", f"column {item[0]!r} is of type {seen}, which has no lazy form",
                "Choose others with `columns`, or cast it in a view")
        wide = "octet_length({})" if database.postgres else "length(CAST({} AS BLOB))"
        width = f"coalesce(max({wide.format(quoted)}), 0)" if kind == "string" else "0"
        counts = connection.execute(f"SELECT count(*) - count({quoted}), {width} {from_}").fetchone()
        found.append(Column(item[0], kind, counts[0] > 0, counts[1]))
    return found


def _keys(database: Database, connection: Any, table: str, key: str) -> tuple[list[Any], int]:
    """The first key of each page, and the number of rows."""
    quoted, name = database.name(key), database.name(table)
    rows, distinct, present = connection.execute(
        f"SELECT count(*), count(DISTINCT {quoted}), count({quoted}) FROM {name}").fetchone()
    if distinct != rows or present != rows:
        raise InvalidArgument(f"read table {table}", f"{key!r} is no key: {rows} rows have {distinct} different values",
                              "Name a column that is different in each row, and never missing")
    numbered = (f"SELECT k FROM (SELECT {quoted} AS k, row_number() OVER (ORDER BY {quoted}) AS n FROM {name}) AS t "
                f"WHERE (n - 1) % {PAGE} = 0 ORDER BY k")
    return [row[0] for row in connection.execute(numbered)], int(rows)


def lazy_sql(database: str | os.PathLike[str], table: str, key: str, *, columns: Sequence[str] | None = None,
             writeback: bool = False, frame: bool = True, chunk: int = DEFAULT_CHUNK, deadline: float = 60.0) -> Any:
    """A table of SQLite or PostgreSQL as a DataFrame of lazy columns, in the order of its key.

    Args:
        database: the path of an SQLite file, or "postgresql://..." or "host=... dbname=..." for PostgreSQL (psycopg).
        table: its name; views will do.
        key: a column with an index that is different in each row and never missing. Rows are read a page at a time,
            by the key (``WHERE key >= ? AND key < ?``), never by counting rows.
        columns: only these.
        writeback: numbers may be changed: rows whose values differ go back in one transaction for each piece, at
            ``flush`` and before memory is given back. Not in a DataFrame: pandas makes copies; say frame=False.
        frame, chunk, deadline: as for ``lazy_csv``.

    Whole numbers and truths of which some are missing are floats, and NaN; NaN is written back as NULL.

    Raises: NotFound (no such file), SystemFailure (what the database says), InvalidArgument (no key; a column of a type
    that has no lazy form). At a touch: an error when rows came or went since.
    """
    where = os.fspath(database)
    source = Database(where)
    if not source.postgres and not os.path.isfile(where):
        raise NotFound("read an SQLite database", f"there is no file {where}")
    if writeback and frame:
        raise InvalidArgument("read table " + table, "a DataFrame can't be written back", "Say frame=False")
    if not source.postgres:
        source.where = os.path.abspath(where)
    try:
        with source.open() as connection:
            found = _columns(source, connection, table, columns)
            keys, rows = _keys(source, connection, table, key)
    except (Unsupported, InvalidArgument):
        raise
    except Exception as reason:
        raise SystemFailure(f"read table {table}", f"{type(reason).__name__}: {reason}") from reason
    out = {}
    for column in found:
        fill = SqlFill(source, table, key, column, keys, rows)
        save = fill.save if writeback and column.dtype.kind in "iufb" and column.name != key else None
        out[column.name] = column_of(column, rows, fill, f"table {table}", save=save, chunk=chunk, deadline=deadline)
    return table_of(out, rows, frame)
