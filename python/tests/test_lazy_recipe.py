"""Lazy arrays on another host: made there by their recipe, once for all of its processes."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy


class Elsewhere:
    """Processes with a store of their own: another host, but for its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = Path(tempfile.mkdtemp(prefix="onecopy-elsewhere-", dir="/dev/shm"))
        self.go_to("store")

    def go_to(self, name: str) -> None:
        self.store = self.base / name
        self.store.mkdir(mode=0o700)

    def run(self, code: str, *args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=120,
            env={**os.environ, "ONECOPY_DIR": str(self.store)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def send(self, obj: Any) -> str:
        path = self.folder / "message"
        path.write_bytes(pickle.dumps(obj))
        return str(path)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    made = Elsewhere(tmp_path)
    yield made
    shutil.rmtree(made.base, ignore_errors=True)


READ = """
import onecopy, pickle, sys
x = pickle.load(open(sys.argv[1], "rb"))
"""


def test_a_file_is_read_there(elsewhere: Elsewhere, tmp_path: Path) -> None:
    data = np.arange(200_000.0)
    data.tofile(tmp_path / "numbers")
    x = onecopy.lazy_binary(tmp_path / "numbers", "f8")
    message = elsewhere.send([x, x[10:20:2]])
    assert os.path.getsize(message) < 2500
    out = elsewhere.run(READ + "print(x[0].sum(), x[1].tolist(), type(x[0]).__name__)", message)
    assert out.split()[0] == str(data.sum()) and "[10.0, 12.0, 14.0, 16.0, 18.0] LazyArray" in out


def test_processes_there_share_it(elsewhere: Elsewhere, tmp_path: Path) -> None:
    np.arange(100_000.0).tofile(tmp_path / "numbers")
    message = elsewhere.send(onecopy.lazy_binary(tmp_path / "numbers", "f8"))
    code = READ + """
import subprocess
assert x[5] == 5
if len(sys.argv) == 2:
    inner = subprocess.run([sys.executable, "-c", CODE, sys.argv[1], "inner"], capture_output=True, text=True)
    assert inner.returncode == 0, inner.stderr
    assert inner.stdout.split()[-1] == onecopy.handle(x), (inner.stdout, onecopy.handle(x))
print(onecopy.handle(x))
"""
    elsewhere.run(f"CODE = {code!r}\n" + code, message)


def test_functions_and_tables_travel(elsewhere: Elsewhere, tmp_path: Path) -> None:
    def squares(start: int, end: int, out: Any) -> None:
        out[:] = np.arange(start, end) ** 2.0

    rows = 30_000
    (tmp_path / "t.csv").write_text("n,s\n" + "".join(f"{i},word{i % 7}\n" for i in range(rows)))
    table = onecopy.lazy_csv(tmp_path / "t.csv", frame=False)
    message = elsewhere.send({"f": onecopy.lazy("f8", 50_000, squares), **table})
    out = elsewhere.run(READ + "print(x['f'][300], int(x['n'].sum()), x['s'][8])", message)
    assert out.split() == ["90000.0", str(sum(range(rows))), "word1"]


def test_it_goes_on_from_there(elsewhere: Elsewhere, tmp_path: Path) -> None:
    np.arange(1000.0).tofile(tmp_path / "numbers")
    message = elsewhere.send(onecopy.lazy_binary(tmp_path / "numbers", "f8"))
    elsewhere.run(READ + "pickle.dump(x, open(sys.argv[2], 'wb'))", message, str(tmp_path / "again"))
    elsewhere.go_to("third")
    assert elsewhere.run(READ + "print(x[999])", str(tmp_path / "again")).split() == ["999.0"]


def test_what_can_be_written_to_stays(elsewhere: Elsewhere, tmp_path: Path) -> None:
    np.arange(1000.0).tofile(tmp_path / "numbers")
    message = elsewhere.send(onecopy.lazy_binary(tmp_path / "numbers", "f8", mutable=True))
    code = """
try:
    x.sum()
except onecopy.WrongHost as reason:
    print(reason)
pickle.dump(x, open(sys.argv[2], "wb"))
"""
    assert "another" in elsewhere.run(READ + code, message, str(tmp_path / "back"))
    # Passed on by those who could not use it, it still is what it was.
    x = onecopy.lazy_binary(tmp_path / "numbers", "f8", mutable=True)
    elsewhere.run(READ + "pickle.dump(x, open(sys.argv[2], 'wb'))", elsewhere.send(x), str(tmp_path / "back"))
    assert pickle.loads((tmp_path / "back").read_bytes())[7] == 7


def test_a_file_that_is_not_there_is_an_error_at_the_touch(elsewhere: Elsewhere, tmp_path: Path) -> None:
    np.arange(1000.0).tofile(tmp_path / "numbers")
    message = elsewhere.send(onecopy.lazy_binary(tmp_path / "numbers", "f8"))
    (tmp_path / "numbers").unlink()
    code = """
try:
    x.sum()
except onecopy.Error as reason:
    print(type(reason).__name__, reason)
"""
    assert "numbers" in elsewhere.run(READ + code, message)
