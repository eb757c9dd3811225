"""The session of a well-known text on sharing a C struct between Python processes by mmap, as it goes here.

There, a file that does not exist is an IOError, an empty one kills the interpreter (bus error), and the struct has to
be written into it first. Then two sessions see each other's changes, through the file and through a name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import onecopy

FOO = """
import onecopy, sys
@onecopy.record
class Foo:
    bar: onecopy.int32 = 0
    baz: onecopy.int32 = 0
"""


@onecopy.record
class Foo:
    bar: onecopy.int32 = 0
    baz: onecopy.int32 = 0


class Session:
    """Another interpreter, in which lines are typed one by one."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", FOO + """
for line in sys.stdin:
    try:
        print(eval(line), flush=True)
    except SyntaxError:
        exec(line)
        print("done", flush=True)
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip

    def type(self, line: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.stdout.close()  # type: ignore[union-attr]


def test_with_a_backing_file(tmp_path: Path) -> None:
    path = tmp_path / "suchfoo"
    with pytest.raises(KeyError, match="suchfoo"):  # there: [Errno 2] No such file or directory
        Foo.open(path)
    path.touch()
    with pytest.raises(ValueError, match="suchfoo"):  # there: bus error (core dumped)
        Foo.open(path)
    path.unlink()

    f = Foo.open(path, create=True, bar=42, baz=98)
    assert repr(f) == "Foo(bar=42, baz=98)"
    with Session() as other:
        assert other.type(f"f = Foo.open({str(path)!r})") == "done"
        assert other.type("f") == "Foo(bar=42, baz=98)"
        assert other.type("f.bar = 31337") == "done"
        assert other.type("f") == "Foo(bar=31337, baz=98)"
        assert repr(f) == "Foo(bar=31337, baz=98)"  # victory
    del f
    assert Foo.open(path) == Foo(31337, 98)  # past the life of all processes


def test_with_no_backing_file() -> None:
    f = Foo.shared("such_foo")
    with Session() as other:
        assert other.type("f = Foo.shared('such_foo')") == "done"
        f.bar, f.baz = 1, 2
        assert other.type("(f.bar, f.baz, len(f))") == "(1, 2, 8)"
        assert other.type("f.fetch_add('baz', 5)") == "2"
        assert f == Foo(1, 7)
        with f.locked():  # the text ends with "all the same problems as with threads"
            assert other.type("f._whole().begin_writing(0.05, None)") == "2"  # timed out
    del f
    with pytest.raises(onecopy.NotFound):
        Foo.shared("such_foo", create=False)


def test_bytes_cross_to_other_machines() -> None:
    sent = bytes(Foo(42, 98))
    assert len(sent) == len(Foo()) == 8 and sent == (42).to_bytes(4, "little") + (98).to_bytes(4, "little")
    assert Foo.from_bytes(sent) == Foo(42, 98)
    for bad in (b"", sent[:-1], sent + b"x", os.urandom(100)):
        with pytest.raises(ValueError, match="8 bytes"):
            Foo.from_bytes(bad)
    for no_bytes in (8, None, "eight by"):
        with pytest.raises(TypeError):
            Foo.from_bytes(no_bytes)
