"""Tables of SQLite and of a real PostgreSQL server as lazy columns."""

from __future__ import annotations

import datetime
import glob
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")
ROWS = 20_000


def rows() -> list[tuple[Any, ...]]:
    return [(3 * i, i * 0.5, None if i % 7 == 0 else i, f"näme {i % 10}" if i % 9 else None) for i in range(ROWS)]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL server of our own, as an ordinary user, on a socket of its own."""
    pytest.importorskip("psycopg")
    tools = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))
    if not tools:
        pytest.skip("there is no PostgreSQL server here (Debian: postgresql)")
    home = tempfile.mkdtemp(prefix="onecopy-pg-", dir="/tmp")
    folder, user = Path(tools[-1]).parent, {}
    if os.getuid() == 0:
        os.chown(home, 65534, 65534)
        user = {"user": 65534, "group": 65534, "extra_groups": []}
    plain = {"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C"}

    def run(*command: str) -> None:
        done = subprocess.run(command, env=plain, cwd=home, capture_output=True, text=True, timeout=120, **user)
        assert done.returncode == 0, done.stdout + done.stderr

    run(str(folder / "initdb"), "-D", f"{home}/data", "-U", "me", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-k {home} -c listen_addresses='' -c fsync=off -c shared_buffers=16MB"
    # Its output must not be our pipe: the server keeps it open.
    run(str(folder / "pg_ctl"), "-D", f"{home}/data", "-w", "-l", f"{home}/log", "-o", options, "start")
    yield f"host={home} user=me dbname=postgres"
    run(str(folder / "pg_ctl"), "-D", f"{home}/data", "-m", "immediate", "-w", "stop")
    shutil.rmtree(home)


@pytest.fixture(params=["sqlite", "postgres"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[..., list[Any]]]:
    """A database with a table, and a function that runs SQL in it."""
    if request.param == "sqlite":
        where = str(tmp_path / "a # b?.sqlite")

        def run(text: str, given: Any = None) -> list[Any]:
            connection = sqlite3.connect(where)
            with connection:
                cursor = connection.executemany(text, given) if given else connection.execute(text)
                out = cursor.fetchall() if not given else []
            connection.close()
            return out

        mark = "?"
    else:
        where = request.getfixturevalue("server")
        import psycopg

        def run(text: str, given: Any = None) -> list[Any]:
            with psycopg.connect(where) as connection, connection.cursor() as cursor:
                if given:
                    cursor.executemany(text, given)
                else:
                    cursor.execute(text)
                return cursor.fetchall() if cursor.description and not given else []

        mark = "%s"
        run('DROP TABLE IF EXISTS "odd ""name"')
    run('CREATE TABLE "odd ""name" (id bigint PRIMARY KEY, half double precision, gaps bigint, word text)')
    run(f'INSERT INTO "odd ""name" VALUES ({mark}, {mark}, {mark}, {mark})', rows())
    return where, run


TABLE = 'odd "name'


def test_columns_are_what_the_table_holds(filled: Any) -> None:
    where, _ = filled
    got = onecopy.lazy_sql(where, TABLE, "id", frame=False)
    ids, half, some, word = zip(*rows(), strict=True)
    assert got["half"].counters.fills == 0
    assert np.array_equal(got["id"], ids) and np.array_equal(got["half"], half)
    assert np.array_equal(got["gaps"], np.array(some, "f8"), equal_nan=True)
    assert got["word"].tolist() == list(word)
    frame = onecopy.lazy_sql(where, TABLE, "id", columns=["half", "word"])
    assert list(frame.columns) == ["half", "word"] and frame["word"].iloc[19_999] == word[19_999]
    assert frame["half"].sum() == sum(half)


def test_changed_rows_go_back(filled: Any) -> None:
    where, run = filled
    got = onecopy.lazy_sql(where, TABLE, "id", frame=False, writeback=True)
    half, some = got["half"], got["gaps"]
    half[10] = -1
    half[9_000:9_003] = 7
    half.flush()
    some[1], some[0] = np.nan, 5
    some.release()
    assert run('SELECT id, half FROM "odd ""name" WHERE half = -1 OR half = 7 ORDER BY id') == [
        (30, -1.0), (42, 7.0), (27_000, 7.0), (27_003, 7.0), (27_006, 7.0)]  # fmt: skip
    assert run('SELECT id, gaps FROM "odd ""name" WHERE id IN (0, 3, 6) ORDER BY id') == [(0, 5), (3, None), (6, 2)]
    assert half[10] == -1 and np.isnan(some[1]) and some[0] == 5


def test_a_failed_write_changes_nothing_and_loses_nothing(filled: Any) -> None:
    where, run = filled
    if "dbname" in where:
        run('ALTER TABLE "odd ""name" ADD CHECK (half < 1000000)')
    else:
        run('CREATE TRIGGER no BEFORE UPDATE ON "odd ""name" WHEN NEW.half >= 1000000 '
            "BEGIN SELECT RAISE(ABORT, 'too large'); END")
    half = onecopy.lazy_sql(where, TABLE, "id", frame=False, writeback=True)["half"]
    half[1], half[2] = 77, 2_000_000
    with pytest.raises(onecopy.SystemFailure, match="save elements"):
        half.flush()
    assert run('SELECT half FROM "odd ""name" WHERE id IN (3, 6) ORDER BY id') == [(0.5,), (1.0,)]
    assert half[1] == 77 and half[2] == 2_000_000
    half[2] = 78
    half.flush()
    assert run('SELECT half FROM "odd ""name" WHERE id IN (3, 6) ORDER BY id') == [(77.0,), (78.0,)]


def test_rows_that_came_or_went_are_an_error(filled: Any) -> None:
    where, run = filled
    half = onecopy.lazy_sql(where, TABLE, "id", frame=False)["half"]
    assert half[0] == 0
    run('DELETE FROM "odd ""name" WHERE id = 30000')
    with pytest.raises(onecopy.SystemFailure, match=r"there are 8191 rows .* where there were 8192"):
        half[10_000:].sum()
    assert half[5] == 2.5


def test_what_makes_no_sense(filled: Any, tmp_path: Path) -> None:
    where, run = filled
    for wrong in [{"key": "word"}, {"key": "gaps"}, {"columns": ["z"]}, {"writeback": True}, {"table": "a\x00b"}]:
        with pytest.raises(onecopy.InvalidArgument):
            onecopy.lazy_sql(**{"database": where, "table": TABLE, "key": "id", **wrong})
    for wrong in [{"key": "z"}, {"table": "none"}, {"table": '"; DROP TABLE x; --'}]:
        with pytest.raises((onecopy.SystemFailure, onecopy.InvalidArgument)):
            onecopy.lazy_sql(**{"database": where, "table": TABLE, "key": "id", **wrong})
    with pytest.raises(onecopy.NotFound):
        onecopy.lazy_sql(tmp_path / "none.sqlite", "x", "id")
    (tmp_path / "text").write_text("no database at all, but long enough to be read as one" * 20)
    with pytest.raises(onecopy.SystemFailure, match="not a database"):
        onecopy.lazy_sql(tmp_path / "text", "x", "id")
    assert len(run('SELECT * FROM "odd ""name"')) == ROWS
    run("DROP TABLE IF EXISTS blank")
    run("CREATE TABLE blank (id bigint PRIMARY KEY, a double precision)")
    assert len(onecopy.lazy_sql(where, "blank", "id")) == 0


def test_types_of_postgres(server: str) -> None:
    import psycopg

    with psycopg.connect(server) as connection:
        connection.execute("CREATE TABLE types (id text PRIMARY KEY, a int2, b numeric, c bool, d date, "
                           "e timestamp, f float4, g int4[])")
        connection.execute("INSERT INTO types VALUES ('x', 1, 2.5, true, '2020-02-03', '2020-02-03 04:05:06.5', 0.5, "
                           "'{1}'), ('y', 2, 3.5, false, null, null, null, '{2}')")
    with pytest.raises(onecopy.InvalidArgument, match="column 'g'"):
        onecopy.lazy_sql(server, "types", "id")
    got = onecopy.lazy_sql(server, "types", "id", columns=list("abcdef"), frame=False)
    assert got["a"].tolist() == [1, 2] and got["b"].tolist() == [2.5, 3.5] and got["c"].tolist() == [True, False]
    assert got["e"].tolist() == [datetime.datetime(2020, 2, 3, 4, 5, 6, 500_000), None]
    assert got["d"][0] == np.datetime64("2020-02-03") and np.isnat(got["d"][1]) and np.isnan(got["f"][1])
