"""Fields of records, and their locks, in one process: what they cost beside a plain attribute and its peers."""
import ctypes
import pathlib
import sys
import threading
import timeit

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import numpy as np  # noqa: E402
import onecopy  # noqa: E402


@onecopy.record
class Foo:
    bar: onecopy.int32 = 0
    ratio: onecopy.float64 = 0.0
    label: onecopy.FixedStr[16] = ""


class Plain:
    def __init__(self):
        self.bar, self.ratio, self.label = 0, 0.0, ""


class Struct(ctypes.Structure):
    _fields_ = (("bar", ctypes.c_int32), ("ratio", ctypes.c_double), ("label", ctypes.c_char * 16))


def ns_of(statement, **names):
    """Nanoseconds of a statement: the best of a few loops, so that other processes don't count."""
    times = bench.sized(200_000, 200)
    timer = timeit.Timer(statement, globals=names)
    return lambda: min(timer.repeat(bench.sized(3, 1), times)) / times * 1e9


def above_an_attribute(id, what, statement, shared):
    """How much longer it takes than the same with an attribute: never less than nothing."""
    ours, plain = ns_of(statement, x=shared), ns_of(statement, x=Plain())
    taken = bench.interleaved(15, ours, plain)
    above = [max(0.0, a - b) for a, b in zip(taken["ours"], taken["baseline"], strict=True)]
    note = f"{np.median(taken['ours']):.0f} ns in all"
    bench.row(id, f"{what}: above a plain attribute", "ns", "the plain attribute",
              {"ours": above, "baseline": taken["baseline"]}, bench.at_most(100), note)


def beside(id, what, ours, baseline, against, goal=bench.NO_GOAL):
    bench.row(id, what, "ns", against, bench.interleaved(15, ours, baseline), goal)


if __name__ == "__main__":
    foo = Foo.shared(label="first")
    for field, value in (("bar", "7"), ("ratio", "2.5"), ("label", "'second'")):
        above_an_attribute(f"record-read-{field}", f"read a field of a record ({field})", f"x.{field}", foo)
        above_an_attribute(f"record-write-{field}", f"write a field of a record ({field})", f"x.{field} = {value}", foo)
    beside("record-read-ctypes", "read an integer of a record", ns_of("x.bar", x=foo), ns_of("x.bar", x=Struct()),
           "ctypes.Structure")
    beside("record-read-numpy", "read an integer of a record", ns_of("x.bar", x=foo),
           ns_of("x['bar']", x=np.zeros((), Foo._record_dtype)), "a structured numpy array")
    beside("record-add", "fetch_add on a field", ns_of("x.fetch_add('bar')", x=foo),
           ns_of("with lock: x.bar += 1", x=Plain(), lock=threading.Lock()), "x.bar += 1 under a threading.Lock")
    beside("record-locked", "with record.locked()", ns_of("with x.locked(): pass", x=foo),
           ns_of("with x: pass", x=threading.Lock()), "with threading.Lock")
    beside("record-snapshot", "a snapshot of a record", ns_of("x.snapshot()", x=foo),
           ns_of("Struct.from_buffer_copy(x)", x=bytearray(len(foo)), Struct=Struct), "ctypes from_buffer_copy")
    beside("record-bytes", "bytes(record)", ns_of("bytes(x)", x=foo), ns_of("bytes(x)", x=Struct()), "ctypes.Structure")
