"""Four processes compute on files of several times the budget. See README.md."""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PIECE = 250_000  # rows written at once
CITIES = 100


def bytes_of(text: str) -> int:
    unit = text[-1:].upper()
    if unit in "KMGT":
        return int(float(text[:-1]) * 1024 ** (" KMGT".index(unit)))
    return int(text)


def make_files(folder: Path, size: int) -> dict[str, float]:
    """A CSV file (id, city, weight) and one of float64, each of about `size` bytes; and what is true of them."""
    import numpy as np

    random = np.random.default_rng(7)
    truth = {"sum": 0.0, "above": 0.0, "joined": 0.0, "rows": 0.0, "numbers": 0.0}
    factors = np.arange(CITIES) / CITIES
    with open(folder / "people.csv", "w") as csv:
        csv.write("id,city,weight\n")
        while csv.tell() < size:
            city, weight = random.integers(0, CITIES, PIECE), np.round(random.random(PIECE), 9)
            first = int(truth["rows"])
            csv.write("".join(f"{first + i},{c},{w:.9f}\n" for i, (c, w) in enumerate(zip(city, weight, strict=True))))
            truth["rows"] += PIECE
            truth["sum"] += weight.sum()
            truth["joined"] += (factors[city] * weight).sum()
    with open(folder / "numbers.f8", "wb") as binary:
        while binary.tell() < size:
            numbers = random.random(PIECE)
            numbers.tofile(binary)
            truth["numbers"] += PIECE
            truth["above"] += (numbers > 0.9).sum()
    return truth


def work(task: str, columns: dict[str, Any], numbers: Any) -> tuple[str, float, int]:
    """Plain NumPy; that the arrays are lazy is nowhere to be seen."""
    import numpy as np

    if task == "sum":
        answer = columns["weight"].sum()
    elif task == "above":
        answer = np.count_nonzero(numbers > 0.9)
    elif task == "joined":
        factors = np.arange(CITIES) / CITIES
        answer = np.bincount(columns["city"], columns["weight"], CITIES) @ factors
    else:
        answer = len(numbers) if np.all(numbers < 1) else math.nan
    return task, float(answer), os.getpid()


def draw(samples: list[tuple[float, int]], budget: int, path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4))
    axes.plot([t for t, _ in samples], [held / 2**20 for _, held in samples], label="in memory")
    axes.axhline(budget / 2**20, color="red", linestyle="--", label="budget")
    axes.set(xlabel="seconds", ylabel="MiB", title="What lazy arrays hold", ylim=(0, budget / 2**20 * 1.2))
    axes.legend()
    figure.savefig(path, dpi=100)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", default="64M", help="bytes that lazy arrays may hold in memory (default 64M)")
    parser.add_argument("--times", type=float, default=4, help="size of each file, in budgets (default 4)")
    parser.add_argument("--png", help="draw residency over time into this file")
    given = parser.parse_args()
    budget = bytes_of(given.budget)
    import onecopy

    before = onecopy.lazy_budget()
    onecopy.lazy_budget(budget)
    try:
        with tempfile.TemporaryDirectory(prefix="bigger-", dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
            return run(Path(name), budget, given.times, given.png)
    finally:
        onecopy.lazy_budget(before)


def run(folder: Path, budget: int, times: float, png: str | None) -> int:
    import onecopy

    truth = make_files(folder, int(budget * times))
    for file in sorted(folder.iterdir()):
        print(f"{file.name}: {file.stat().st_size / 2**20:.0f} MiB, {file.stat().st_size / budget:.1f} budgets")
    columns = onecopy.lazy_csv(folder / "people.csv", frame=False)
    numbers = onecopy.lazy_binary(folder / "numbers.f8", "f8")
    samples: list[tuple[float, int]] = []
    began = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        tasks = [pool.apply_async(work, (task, columns, numbers)) for task in ("sum", "above", "joined", "numbers")]
        while not all(task.ready() for task in tasks):
            samples.append((time.monotonic() - began, onecopy.lazy_usage().resident))
            time.sleep(0.05)
        answers = [task.get() for task in tasks]
    usage = onecopy.lazy_usage()
    samples.append((time.monotonic() - began, usage.resident))
    wrong = 0
    for task, answer, process in answers:
        good = math.isclose(answer, truth[task], rel_tol=1e-9)
        wrong += not good
        verdict = "as expected" if good else f"but it is {truth[task]:.10g}"
        print(f"{task} in process {process}: {answer:.10g}, {verdict}")
    most = max(held for _, held in samples)
    print(f"{usage.fills} chunks filled, {usage.evictions} given back in {samples[-1][0]:.1f} s")
    print(f"in memory at most {most / 2**20:.1f} MiB of {budget / 2**20:.1f}")
    if png:
        draw(samples, budget, png)
        print(f"drawn: {png}")
    return 1 if wrong or most > budget else 0


if __name__ == "__main__":
    sys.exit(main())
