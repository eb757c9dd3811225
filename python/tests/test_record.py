"""Records: a C struct as a Python object, shared by file, by name or by handle."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import onecopy

spawn = multiprocessing.get_context("spawn")


@onecopy.record
class Foo:
    bar: onecopy.int32 = 0
    baz: onecopy.int32 = 0

    def total(self) -> int:
        return self.bar + self.baz


@onecopy.record
class Point:
    x: float = 0.0
    y: float = 0.0


@onecopy.record
class Everything:
    flag: onecopy.bool8 = False
    tint: onecopy.uint8 = 0
    small: onecopy.uint16 = 0
    large: onecopy.int64 = 0
    numbers: onecopy.FixedArray[onecopy.float32, 2, 3]
    more: onecopy.FixedArray[onecopy.int16, 4] = 7
    label: onecopy.FixedStr[12] = ""
    wide: np.dtype("U5") = ""  # type: ignore[valid-type]
    raw: onecopy.RawBytes[3] = b"\0\0\0"
    corners: onecopy.FixedArray[Point, 2]
    centre: Point = Point(1.0, 2.0)
    z: complex = 1j
    half: np.float16 = 0.5
    door: onecopy.Lock
    hits: onecopy.Counter


KINDS = {"i1": onecopy.int8, "i2": onecopy.int16, "i4": onecopy.int32, "i8": onecopy.int64,
         "u1": onecopy.uint8, "u2": onecopy.uint16, "u4": onecopy.uint32, "u8": onecopy.uint64}  # fmt: skip


# ------------------------------------------------------------ what the seed text shows


def test_it_is_a_struct(tmp_path: Path) -> None:
    f = Foo(42, 98)
    assert repr(f) == "Foo(bar=42, baz=98)"
    assert bytes(f) == struct.pack("ii", 42, 98)
    assert len(f) == 8
    assert Foo.from_bytes(struct.pack("ii", 1, 2)) == Foo(bar=1, baz=2)
    assert f.total() == 140
    assert f != Foo(42, 97)
    assert f != "Foo"
    assert not f.is_shared


def test_a_file_keeps_it_and_every_process_sees_each_write(tmp_path: Path, python) -> None:
    path = tmp_path / "such.foo"
    f = Foo.open(path, create=True, bar=42, baz=98)
    assert f == Foo(42, 98)
    code = """
import onecopy, sys
@onecopy.record
class Foo:
    bar: onecopy.int32 = 0
    baz: onecopy.int32 = 0
f = Foo.open(sys.argv[1])
print(f.bar)
f.bar = 31337
"""
    assert python(code, str(path)) == "42\n"
    assert f.bar == 31337
    del f
    assert Foo.open(path) == Foo(31337, 98)
    assert os.listdir(tmp_path) == ["such.foo"]


def test_no_bus_error_from_any_short_or_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with pytest.raises(onecopy.NotFound):
        Foo.open(path)
    for content in (b"", b"eight by", bytes(100_000), os.urandom(5000)):
        path.write_bytes(content)
        for create in (False, True):
            with pytest.raises(onecopy.Corrupt):
                Foo.open(path, create=create)
        assert path.read_bytes() == content, "what is there is never overwritten"
    path.unlink()
    Foo.open(path, create=True)
    whole = path.read_bytes()
    for cut in range(1, len(whole), max(1, len(whole) // 50)):
        path.write_bytes(whole[:-cut])
        with pytest.raises(onecopy.Corrupt):
            Foo.open(path)
    with pytest.raises((onecopy.Error, OSError)):
        Foo.open(tmp_path)


def test_a_name_is_enough_and_ends_with_the_last_holder() -> None:
    f = Foo.shared("such_foo", bar=1)
    g = Foo.shared("such_foo", bar=100)
    g.baz = 5
    assert f == Foo(1, 5)
    assert f.is_shared
    del f, g
    with pytest.raises(onecopy.NotFound):
        Foo.shared("such_foo", create=False)


def test_a_handle_is_enough_without_a_name() -> None:
    f = Foo.shared(bar=3)
    g = Foo.attach(f.handle)
    g.bar = 4
    assert f.bar == 4


# ------------------------------------------------------------ types and checks


def test_another_type_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "f"
    kept = Foo.open(path, create=True)

    def other(**annotations: object) -> type:
        made = type("Foo", (), {"__annotations__": annotations, "__module__": __name__})
        return onecopy.record(made)

    for kind, says in (
        (other(bar=onecopy.int32), "2 fields"),
        (other(bar=onecopy.int32, baz=onecopy.float32), "float32"),
        (other(baz=onecopy.int32, bar=onecopy.int32), '"bar" int32 at 0'),
        (Point, '"Foo", not "Point"'),
    ):
        with pytest.raises(onecopy.WrongType, match=says):
            kind.open(path)
    array = onecopy.share(np.arange(10.0))
    with pytest.raises(onecopy.WrongType):
        Foo.attach(onecopy.handle(array))
    assert kept == Foo()


def test_the_layout_is_that_of_the_c_compiler(tmp_path: Path) -> None:
    source = r"""
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <complex>
struct point { double x, y; };
struct everything { bool flag; uint8_t tint; uint16_t small; int64_t large; float numbers[2][3]; int16_t more[4];
  char label[12]; char32_t wide[5]; unsigned char raw[3]; point corners[2]; point centre; std::complex<double> z;
  uint16_t half; alignas(8) uint64_t door; alignas(8) int64_t hits; };
#define SHOW(f) printf("%zu ", offsetof(everything, f))
int main() { SHOW(flag); SHOW(tint); SHOW(small); SHOW(large); SHOW(numbers); SHOW(more); SHOW(label); SHOW(wide);
  SHOW(raw); SHOW(corners); SHOW(centre); SHOW(z); SHOW(half); SHOW(door); SHOW(hits);
  printf("%zu", sizeof(everything)); }
"""
    (tmp_path / "a.cpp").write_text(source)
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler")
    compiler = subprocess.run(["c++", "-o", tmp_path / "a", tmp_path / "a.cpp"], capture_output=True)
    if compiler.returncode:
        pytest.skip("no C++ compiler")
    theirs = [int(n) for n in subprocess.run([tmp_path / "a"], capture_output=True, check=True).stdout.split()]
    ours = [offset for _, offset in Everything._layout.specs.values()] + [len(Everything())]
    assert ours == theirs


def test_every_kind_of_field() -> None:
    e = Everything.shared()
    assert e.more.tolist() == [7] * 4
    assert (e.half, e.z, e.centre) == (0.5, 1j, Point(1.0, 2.0))
    e.flag, e.tint, e.small, e.large = True, 255, 65535, -(2**63)
    e.numbers[1, 2] = 2.5
    e.label, e.wide, e.raw = "grün", "ß€𝄞", b"\0x\xff"
    e.corners[1] = (3.0, 4.0)
    e.centre.x = 9.0
    e.z = 2 + 3j
    e.more = [1, 2, 3, 4]
    f = Everything.attach(e.handle)
    assert (f.flag, f.tint, f.small, f.large) == (True, 255, 65535, -(2**63))
    assert f.numbers[1, 2] == 2.5
    assert (f.label, f.wide, f.raw) == ("grün", "ß€𝄞", b"\0x\xff")
    assert f.corners[1].tolist() == (3.0, 4.0)
    assert f.centre == Point(9.0, 2.0)
    assert f.z == 2 + 3j
    assert f.more.tolist() == [1, 2, 3, 4]
    assert f == e
    f.centre = Point(5.0, 6.0)
    assert e.centre.y == 6.0
    copy = e.snapshot()
    assert copy == e and not copy.is_shared


@pytest.mark.parametrize("code", KINDS)
def test_integers_never_wrap_or_truncate_silently(code: str) -> None:
    made = onecopy.record(type("Number", (), {"__annotations__": {"n": KINDS[code]}, "__module__": __name__}))
    n = made()
    info = np.iinfo(code)
    for value in (info.min, 0, info.max):
        n.n = value
        assert n.n == value
    for value in (info.min - 1, info.max + 1, 2**70, -(2**70)):
        with pytest.raises(OverflowError, match="n"):
            n.n = value
    for value in (1.5, "1", None):
        with pytest.raises(TypeError):
            n.n = value
    assert n.n == info.max
    n.n = np.int64(3)
    assert n.n == 3


def test_bad_values_change_nothing() -> None:
    e = Everything(label="before")
    for bad in ("x" * 13, "ü" * 7, "a\0b"):
        with pytest.raises(ValueError, match="label"):
            e.label = bad
    with pytest.raises(TypeError):
        e.label = b"bytes"
    assert e.label == "before"
    with pytest.raises(ValueError, match="raw"):
        e.raw = b"12"
    with pytest.raises(ValueError):
        e.more = [1, 2, 3]
    with pytest.raises(TypeError):
        e.centre = (1, 2)
    with pytest.raises(AttributeError):
        e.door = None
    with pytest.raises(AttributeError):
        e.nothing = 1
    with pytest.raises(AttributeError):
        del e.flag
    with pytest.raises(TypeError):
        Foo(1, 2, 3)
    with pytest.raises(TypeError, match="qux"):
        Foo(qux=1)
    with pytest.raises(TypeError):
        Foo(1, bar=1)
    with pytest.raises(ValueError, match="8 bytes"):
        Foo.from_bytes(b"1234567")


@pytest.mark.parametrize("kind", [str, bytes, list, dict, object, np.dtype("O"), np.dtype("M8[s]"), None, "nowhere"])
def test_what_no_record_can_hold_is_refused_at_once(kind: object) -> None:
    with pytest.raises(TypeError):
        onecopy.record(type("Bad", (), {"__annotations__": {"x": kind}, "__module__": __name__}))


def test_fields_that_would_hide_a_method_are_refused() -> None:
    for name in ("open", "handle", "_x"):
        with pytest.raises(TypeError, match=name):
            onecopy.record(type("Bad", (), {"__annotations__": {name: int}, "__module__": __name__}))
    with pytest.raises(TypeError, match="no fields"):
        onecopy.record(type("Bad", (), {"__module__": __name__}))


def test_a_field_belongs_to_its_record() -> None:
    with pytest.raises(TypeError):
        Everything.hits.__get__(Foo(), Foo)
    with pytest.raises(TypeError):
        Foo.bar.__get__("text", str)
    with pytest.raises(TypeError):
        Foo.bar.__get__(Foo.__new__(Foo), Foo)


def test_numpy_sees_the_same_bytes() -> None:
    f = Foo.shared(bar=1)
    view = f.numpy()
    assert view.dtype.names == ("bar", "baz") and view.shape == ()
    view["baz"] = 12
    assert f.baz == 12
    del f
    assert view["bar"] == 1, "the view keeps the record"
    assert memoryview(Foo(1, 2)).nbytes == 8


# ------------------------------------------------------------ travelling


def _increment(f: Foo, times: int) -> None:
    for _ in range(times):
        with f.locked():
            f.bar += 1
            f.baz -= 1


@pytest.mark.parametrize("where", ["name", "file", "handle"])
def test_processes_change_it_under_its_lock(where: str, tmp_path: Path) -> None:
    f = {"name": lambda: Foo.shared("counts"), "file": lambda: Foo.open(tmp_path / "f", create=True),
         "handle": lambda: Foo.shared()}[where]()  # fmt: skip
    workers = [spawn.Process(target=_increment, args=(f, 300)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert (f.bar, f.baz) == (900, -900)


def test_pickles_share_and_private_ones_copy(tmp_path: Path) -> None:
    f = Foo.shared(bar=1)
    data = pickle.dumps(f)
    assert len(data) < 250
    g = pickle.loads(data)
    g.bar = 2
    assert f.bar == 2
    private = Foo(1, 2)
    copy = pickle.loads(pickle.dumps(private))
    copy.bar = 9
    assert private.bar == 1 and copy == Foo(9, 2)
    part = Everything.shared()
    assert pickle.loads(pickle.dumps(part.centre)) == Point(1.0, 2.0)


# ------------------------------------------------------------ several things at a time


def _hold_and_change(f: Foo, ready: object) -> None:
    with f.locked():
        f.bar = 2
        ready.set()  # type: ignore[attr-defined]
        time.sleep(60)


def test_a_killed_writer_is_told_to_the_next_and_to_readers() -> None:
    f = Foo.shared(bar=1, baz=1)
    ready = onecopy.Event()
    writer = spawn.Process(target=_hold_and_change, args=(f, ready))
    writer.start()
    assert ready.wait(30)
    with pytest.raises(onecopy.Timeout):
        f.snapshot(timeout=0.1)
    with pytest.raises(onecopy.Timeout), f.locked(timeout=0.1):
        pass
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(30)
    with f.locked(timeout=10) as held:
        assert held.owner_died
        assert (f.bar, f.baz) == (2, 1)
        f.baz = 2
        held.repaired()
    with f.locked() as held:
        assert not held.owner_died
    assert f.snapshot() == Foo(2, 2)


def test_private_records_have_no_lock() -> None:
    with pytest.raises(onecopy.WrongType):
        Foo().locked()
    with pytest.raises(onecopy.WrongType):
        Everything().door  # noqa: B018
    assert Foo(1, 2).snapshot() == Foo(1, 2)


def _add(f: Foo, times: int) -> None:
    for _ in range(times):
        f.fetch_add("bar", 1)
        while not f.compare_exchange("baz", before := f.baz, before + 1):
            pass


def test_atomic_changes_lose_nothing() -> None:
    f = Foo.shared()
    workers = [spawn.Process(target=_add, args=(f, 2000)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert f == Foo(6000, 6000)
    assert f.exchange("bar", -1) == 6000
    assert f.fetch_add("bar", 2**31 - 1) == -1
    assert f.fetch_add("bar", 2) == 2**31 - 2
    assert f.bar == -(2**31), "wraps around, as in C"
    with pytest.raises(OverflowError):
        f.fetch_add("bar", 2**40)
    with pytest.raises(AttributeError):
        f.fetch_add("nothing", 1)
    with pytest.raises(TypeError):
        Everything().fetch_add("label", 1)


def test_locks_inside_a_record() -> None:
    e = Everything.shared()
    with e.door:
        assert e.door.locked()
        assert not Everything.attach(e.handle).door.acquire(blocking=False)
    assert e.hits.add(5) == 0
    assert Everything.attach(e.handle).hits.value == 5
    with pytest.raises(onecopy.WrongType):
        pickle.dumps(e.door)


def test_it_lives_while_anything_of_it_does(python) -> None:
    code = """
import gc, onecopy
@onecopy.record
class P:
    x: float = 1.0
@onecopy.record
class E:
    p: P
    a: onecopy.FixedArray[onecopy.int32, 100] = 3
    door: onecopy.Lock
e = E.shared()
p, a, door, view = e.p, e.a, e.door, memoryview(e)
del e
gc.collect()
p.x = 5.0
assert a.sum() == 300
with door: pass
assert view[0] == 0
import sys
sys.keep = (p, a, door, view)   # alive while the interpreter ends
print("fine")
"""
    assert python(code) == "fine\n"


def test_after_a_fork_both_sides_keep_working() -> None:
    f = Foo.shared()
    _increment(f, 1)
    child = multiprocessing.get_context("fork").Process(target=_increment, args=(f, 200))
    child.start()
    _increment(f, 200)
    child.join(60)
    assert child.exitcode == 0
    assert f == Foo(401, -401)


def test_default_values_are_checked_when_the_class_is_made() -> None:
    made = type("Bad", (), {"__annotations__": {"x": onecopy.int8}, "x": 300, "__module__": __name__})
    with pytest.raises(OverflowError):
        onecopy.record(made)


def test_annotations_may_name_what_stands_in_a_function() -> None:
    """This file has `from __future__ import annotations`, so all of its annotations are texts."""
    short = onecopy.int16

    @onecopy.record
    class Local:
        x: short = 4

    @onecopy.record(name="Other")
    class Named:
        x: short = 5

    assert (Local().x, len(Local()), Named().x, Named._type_name) == (4, 2, 5, "Other")
    with pytest.raises(TypeError, match="no_such_type"):

        @onecopy.record
        class Wrong:
            x: no_such_type = 4  # type: ignore[name-defined] # noqa: F821
