"""What the Python benchmarks share; see docs/benchmarks.md for the rows.

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
    import bench
"""
import gc
import json
import math
import multiprocessing
import os
import time

TINY = os.environ.get("ONECOPY_BENCH_SIZE") == "tiny"
# Multiplies what takes gigabytes, for machines with little memory: ONECOPY_BENCH_SCALE=0.1
SCALE = float(os.environ.get("ONECOPY_BENCH_SCALE", "1"))


def sized(full, small):
    return small if TINY else full


def big(full, small):
    """A number of elements that makes gigabytes."""
    return small if TINY else max(small, int(full * SCALE))


def time_of(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleaved(rounds, ours, baseline):
    """Ours and the baseline in turns, first and second place changing. Each returns its own sample."""
    taken = {"ours": [], "baseline": []}
    ours()
    baseline()
    for i in range(sized(rounds, 2)):
        pair = [("ours", ours), ("baseline", baseline)]
        for name, work in pair if i % 2 == 0 else reversed(pair):
            taken[name].append(work())
    return taken


def private_memory():
    """What this process alone pays for, in bytes: anonymous memory, after a garbage collection."""
    gc.collect()
    trim()
    with open("/proc/self/smaps_rollup") as lines:
        for line in lines:
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("no Anonymous in smaps_rollup")


def trim():
    """Gives free heap back to the system, so that what is counted is what is used; and Arrow's pool likewise."""
    import ctypes
    import sys

    ctypes.CDLL(None).malloc_trim(0)
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()


class Worker:
    """A spawned process that runs functions; what is sent to it is pickled as multiprocessing does."""

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self, work, *arguments):
        self._pipe.send((work, arguments))
        ok, answer = self._pipe.recv()
        if not ok:
            raise RuntimeError(f"in the worker: {answer}")
        return answer

    def stop(self):
        self._pipe.close()
        self._process.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def _serve(pipe):
    while True:
        try:
            work, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = (True, work(*arguments))
        except Exception as why:
            answer = (False, f"{type(why).__name__}: {why}")
        del work, arguments
        pipe.send(answer)


NO_GOAL = ("", "", 0)


def ratio_at_least(value):
    return ("ratio", "least", value)


def ratio_at_most(value):
    return ("ratio", "most", value)


def at_least(value):
    return ("ours", "least", value)


def at_most(value):
    return ("ours", "most", value)


def _write(fields):
    line = json.dumps(fields)
    path = os.environ.get("ONECOPY_BENCH_ROWS")
    if path is None:
        print(line)
        return
    with open(path, "a") as out:
        out.write(line + "\n")


def row(id, what, unit, against, taken, goal=NO_GOAL, note="", part="python"):
    assert all(math.isfinite(x) for x in taken["ours"] + taken["baseline"])
    _write({"part": part, "id": id, "what": what, "unit": unit, "against": against, "ours": taken["ours"],
            "baseline": taken["baseline"], "goal_of": goal[0], "goal_at": goal[1], "goal": goal[2], "note": note})


def once(ours, baseline=None):
    return {"ours": [float(ours)], "baseline": [] if baseline is None else [float(baseline)]}


def not_run(id, what, why, part="python"):
    _write({"part": part, "id": id, "what": what, "not_run": why})


def size(count):
    return f"{count / 1e9:.2g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB" if count >= 1e6 else f"{count / 1e3:.3g} KB"
