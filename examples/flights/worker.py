"""What the Python workers share that has nothing to do with flights."""

import gc
import os
import time
from pathlib import Path

import pandas  # noqa: F401  Whoever works with a table has it already; loading it is no part of attaching.

OUT = Path(os.environ["FLIGHTS_OUT"])
WORKER = os.environ["FLIGHTS_WORKER"]
lines = []
measured = {}


def private_bytes():
    """Bytes that belong to this process alone: memory it allocated, and pages of shared memory that it wrote to."""
    gc.collect()
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Anonymous:"):
            return 1024 * int(line.split()[1])


def attaching(attach):
    """Calls `attach`, then waits until every worker has attached."""
    measured["before"] = private_bytes()
    began = time.perf_counter()
    value = attach()
    measured["attach_seconds"] = time.perf_counter() - began
    measured["attached_bytes"] = private_bytes() - measured["before"]
    (OUT / f"{WORKER}.ready").touch()
    while not (OUT / "go").exists():
        time.sleep(0.01)
    measured["working"] = time.perf_counter()
    return value


def answer(topic, answers):
    lines.extend(f"{topic}\t{name}\t{float(value)!r}" for name, value in answers.items())


def finish():
    measured["grown_bytes"] = private_bytes() - measured.pop("before")
    measured["work_seconds"] = time.perf_counter() - measured.pop("working")
    lines.extend(f"measured\t{name}\t{value!r}" for name, value in measured.items())
    (OUT / f"{WORKER}.tsv").write_text("\n".join(lines) + "\n")
