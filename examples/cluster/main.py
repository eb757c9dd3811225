"""Runs regression.py on 2 and on 4 hosts, with and without onecopy: what crossed the network, what lay in memory.

    sudo python examples/cluster/main.py --png cluster.png

The hosts are namespaces of this machine (tests/hosts/hosts.py): each has a network link, a /dev/shm and a process
table of its own. On real hosts, start Dask as ever and run regression.py alone.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "hosts"))

from dask_cluster import Cluster  # noqa: E402
from hosts import Hosts, reason_not, traffic  # noqa: E402


def run(count: int, workers: int, rows: int, plain: bool) -> dict[str, Any]:
    with Hosts(count) as hosts, Cluster(hosts, workers=workers) as cluster:
        command = [sys.executable, str(HERE / "regression.py"), cluster.address, "--rows", str(rows)]
        with traffic(hosts) as received:
            out = hosts[0].run([*command, *(["--plain"] if plain else [])], env=cluster.env, timeout=500)
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return {**answer, "hosts": count, "plain": plain, "moved": sum(received.values())}


def draw(results: list[dict[str, Any]], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    figure.suptitle(f"A table of {results[0]['table'] / 1e6:.0f} MB for every worker of a Dask cluster")
    for panel, what, title in ((panels[0], "moved", "moved over the network"), (panels[1], "most", "memory on a host")):
        counts = sorted({r["hosts"] for r in results})
        for at, plain in enumerate((True, False)):
            values = [next(r[what] for r in results if (r["hosts"], r["plain"]) == (n, plain)) / 1e6 for n in counts]
            bars = panel.bar([i + 0.4 * at for i in range(len(counts))], values, 0.38,
                             label="Dask alone" if plain else "with onecopy", color="#b0b7c3" if plain else "#2b6cb0")
            panel.bar_label(bars, fmt="%.0f")
        panel.set_xticks([i + 0.2 for i in range(len(counts))], [f"{n} hosts" for n in counts])
        panel.set_ylabel("MB")
        panel.set_title(title)
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=120)


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--rows", type=int, default=1_000_000, help="of the table; 40 bytes each")
    ask.add_argument("--hosts", type=int, nargs="+", default=[2, 4])
    ask.add_argument("--workers", type=int, default=3, help="on each host")
    ask.add_argument("--png", metavar="FILE", help="draws the bars")
    given = ask.parse_args()
    if given.rows < 1000 or min(given.hosts) < 2 or given.workers < 1:
        ask.error("it takes at least 1000 rows, 2 hosts and 1 worker")
    reason = reason_not()
    if reason:
        print(f"can't make hosts on this machine: {reason}", file=sys.stderr)
        return 1

    print(f"{'hosts':>5} {'workers':>8}  {'':<14} {'moved':>10} {'most memory on a host':>24}")
    results = []
    for count in given.hosts:
        for plain in (True, False):
            result = run(count, given.workers, given.rows, plain)
            result["most"] = max(result["memory"].values())
            results.append(result)
            how = "Dask alone" if plain else "with onecopy"
            print(f"{count:>5} {count * given.workers:>8}  {how:<14} {result['moved'] / 1e6:>7.1f} MB "
                  f"{result['most'] / 1e6:>21.1f} MB", flush=True)
    first = results[0]
    for result in results:
        same = all(math.isclose(a, b, rel_tol=1e-9)
                   for a, b in zip(result["coefficients"], first["coefficients"], strict=True))
        if not same or result["penalty"] != first["penalty"]:
            print(f"different answers: {result} and {first}", file=sys.stderr)
            return 1
    print(f"the table has {first['table'] / 1e6:.0f} MB; all found the same: a penalty of {first['penalty']:g}, "
          f"coefficients {', '.join(f'{c:.3f}' for c in first['coefficients'])}")
    if given.png:
        draw(results, given.png)
        print(f"drawn: {given.png}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
