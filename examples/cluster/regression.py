"""Ridge regression on a Dask cluster: which penalty predicts best? Ten folds times six penalties, each over the table.

    python regression.py tcp://scheduler:8786 --rows 1000000 [--plain]

The only line that differs with onecopy is the one that shares the table.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client

COLUMNS = ["distance", "delay", "wind", "visibility"]
FOLDS, PENALTIES = 10, [0.0, 1.0, 10.0, 100.0, 1e4, 1e6]


def make_table(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(2026)
    table = pd.DataFrame({name: random.normal(size=rows) for name in COLUMNS})
    table["late"] = 2.0 + table[COLUMNS] @ np.array([0.5, 3.0, -1.0, 0.25]) + random.normal(size=rows)
    return table


def fit(table: pd.DataFrame, fold: int, penalty: float) -> tuple[float, list[float]]:
    """The error on one part of the rows of what was fitted to the others. A block at a time: no copy of the table."""
    rows, size = len(table), len(COLUMNS) + 1
    first, last = rows * fold // FOLDS, rows * (fold + 1) // FOLDS
    products, sums = np.zeros((size, size)), np.zeros(size)

    def block(start: int, end: int) -> tuple[Any, Any]:
        part = table.iloc[start:end]
        return np.column_stack([np.ones(end - start), part[COLUMNS].to_numpy()]), part["late"].to_numpy()

    for start in range(0, rows, 50_000):
        x, y = block(start, min(start + 50_000, rows))
        products += x.T @ x
        sums += x.T @ y
    x, y = block(first, last)
    products -= x.T @ x
    sums -= x.T @ y
    coefficients = np.linalg.solve(products + penalty * np.eye(size), sums)
    return float(np.mean((y - x @ coefficients) ** 2)), coefficients.tolist()


def memory() -> tuple[str, int, int]:
    """This worker's host, its own private memory, and what is in use of its host's shared memory."""
    import ctypes
    import gc

    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what a finished computation left to be used again is not the table's
    with open("/proc/self/smaps_rollup") as lines:
        private = next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024
    shared = os.statvfs("/dev/shm")
    return socket.gethostname(), private, (shared.f_blocks - shared.f_bfree) * shared.f_frsize


def per_host(client: Client) -> dict[str, int]:
    used: dict[str, int] = {}
    for host, private, shared in client.run(memory).values():
        used[host] = used.get(host, shared) + private
    return used


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("scheduler")
    ask.add_argument("--rows", type=int, default=1_000_000)
    ask.add_argument("--plain", action="store_true", help="without onecopy, for comparison")
    given = ask.parse_args()

    with Client(given.scheduler, timeout=60) as client:
        table = make_table(given.rows)
        client.run(fit, make_table(1000), 0, 1.0)  # imports are not the table's memory
        before = per_host(client)
        if not given.plain:
            import onecopy

            table = onecopy.share(table)

        everywhere = client.scatter(table, broadcast=True)
        cases = [(fold, penalty) for penalty in PENALTIES for fold in range(FOLDS)]
        fits = client.gather([client.submit(fit, everywhere, *case, pure=False) for case in cases])

        after = per_host(client)
        errors = {p: np.mean([e for (_, q), (e, _) in zip(cases, fits, strict=True) if p == q]) for p in PENALTIES}
        best = min(errors, key=lambda penalty: errors[penalty])
        print(json.dumps({
            "penalty": best, "error": errors[best], "coefficients": np.mean([c for _, c in fits[:FOLDS]], 0).tolist(),
            "table": int(table.memory_usage(index=False).sum()),
            "memory": {host: after[host] - before[host] for host in sorted(after)},
        }))  # fmt: skip


if __name__ == "__main__":
    main()
