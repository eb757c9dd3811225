"""One object for every host of a cluster: 100 hosts, 10,000 hosts. Simulated; every assumption is an argument.

  bench/scale/hosts.py                           the tables of docs/scale.md
  bench/scale/hosts.py --link-gbit 100 --gigabytes 50 --hosts 4000
  bench/scale/hosts.py --docs                    puts the tables into docs/scale.md
  bench/scale/hosts.py --check                   whether docs/scale.md has what would be put there (100 hosts when tiny)

_model.py says what is simulated. Needs NumPy.
"""
from __future__ import annotations

import argparse
import dataclasses
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
from _model import Assumptions, simulate  # noqa: E402

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "scale.md"
BEGIN, END = "<!-- begin {}: written by bench/scale/hosts.py --docs -->", "<!-- end -->"
HOURS_PER_YEAR = 8766


def seconds(value: float) -> str:
    if value >= 7200:
        return f"{value / 3600:.1f} h"
    if value >= 120:
        return f"{value / 60:.0f} min"
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def gigabytes(value: float) -> str:
    return f"{value / 1000:,.0f} TB" if value >= 10_000 else f"{value:,.0f} GB"


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads),
                      *("| " + " | ".join(row) + " |" for row in rows)])


def from_one_place(a: Assumptions, receivers: int) -> float:
    """Everybody is served by the first host, whose link is the limit."""
    return receivers * a.gigabytes * 8 / a.link_gbit


def for_each_worker(a: Assumptions, workers: int) -> float:
    """A copy for every worker, by the best tree that does not know which workers share a host: each host's link carries a
    copy for each of its workers, the core carries nearly all of them, and the copies at most double in the time of one."""
    one = a.gigabytes * 8 / a.link_gbit
    return one * max(workers, math.ceil(math.log2(a.hosts * workers)), workers * a.oversubscription)


def broadcast(a: Assumptions, workers: int) -> tuple[str, object]:
    done = simulate(a)
    return table(["", "time until all have it", "sent by the first host", "sent in all", "memory on a host"], [
        ["a copy for each worker, from one place", seconds(from_one_place(a, (a.hosts - 1) * workers)),
         gigabytes((a.hosts - 1) * workers * a.gigabytes), gigabytes((a.hosts - 1) * workers * a.gigabytes),
         gigabytes(workers * a.gigabytes)],
        ["a copy for each worker, by the best tree that knows no hosts", f"at least {seconds(for_each_worker(a, workers))}",
         "", gigabytes((a.hosts * workers - 1) * a.gigabytes), gigabytes(workers * a.gigabytes)],
        ["a copy for each host, from one place", seconds(from_one_place(a, a.hosts - 1)),
         gigabytes((a.hosts - 1) * a.gigabytes), gigabytes((a.hosts - 1) * a.gigabytes), gigabytes(a.gigabytes)],
        ["onecopy: a copy for each host, passed on", f"{seconds(done.seconds)} (half of them: {seconds(done.median)})",
         gigabytes(done.first_link), gigabytes(done.moved), gigabytes(a.gigabytes)],
    ]), done


def directory(a: Assumptions) -> str:
    rows = []
    for size in (a.gigabytes, a.gigabytes / 10, a.gigabytes / 1000):
        done = simulate(dataclasses.replace(a, gigabytes=size))
        busy = min(1.0, done.directory_busy / done.seconds)
        rows.append([f"{size * 1000:g} MB", f"{done.messages:,}", f"{done.messages / (a.hosts - 1):.1f}",
                     seconds(done.directory_busy), seconds(done.seconds), f"{busy:.0%}"])
    heads = ["object", "messages", "for each host", "the directory's work", "time until all have it", "busy"]
    return table(heads, rows)


def serving(a: Assumptions) -> str:
    rows = []
    for serves in (1, 2, 4, 8):
        done = simulate(dataclasses.replace(a, serves=serves))
        rows.append([str(serves), seconds(done.seconds), seconds(done.median), gigabytes(done.first_link)])
    return table(["transfers that a host serves at once", "all have it", "half have it", "sent by the first"], rows)


def failing(a: Assumptions, mtbf_hours: float) -> str:
    well = simulate(a)
    expected = a.hosts * well.seconds / 3600 / mtbf_hours
    rows = [["none", seconds(well.seconds), seconds(well.median), "0"]]
    for part in (0.01, 0.05):
        done = simulate(dataclasses.replace(a, killed=part))
        rows.append([f"{part:.0%} of the hosts ({round(part * a.hosts)})", seconds(done.seconds), seconds(done.median),
                     str(done.delayed)])
    once = "less than once in a million" if expected < 1e-6 else f"once in {1 / expected:,.0f}" if expected < 1 else \
        f"{expected:.1f} in each of"
    heads = ["hosts that go silent meanwhile", "all others have it", "half have it", "had to change their source"]
    years = mtbf_hours / HOURS_PER_YEAR
    return f"{table(heads, rows)}\n\nWith a host's failure every {years:.1f} years a host fails {once} such transfers."


def assumptions(a: Assumptions, workers: int, mtbf_hours: float) -> str:
    meaning = {
        "gigabytes": "of the object", "link_gbit": "of each host, in each direction",
        "oversubscription": "links of all hosts together / what the core of the network carries",
        "store_gbyte_s": "that a host writes into its store", "latency_ms": "one way",
        "chunk_mib": "asked for at a time (`onecopy.chunk`)", "chunks_ahead": "more asked for meanwhile",
        "serves": "hosts that one host serves at once",
        "message_us": "of the scheduler's time for a message; 90 measured for an empty one",
        "read_timeout": "seconds after which a silent source is replaced",
        "ttl": "seconds after which the scheduler gives a silent worker up",
    }  # fmt: skip
    values = dataclasses.asdict(a)
    rows = [[f"`--{name.replace('_', '-')}`", f"{values[name]:g}", text] for name, text in meaning.items()]
    rows += [["`--workers`", str(workers), "of each host"],
             ["`--mtbf-hours`", f"{mtbf_hours:g}", "of a host, between failures that make it silent"]]
    return table(["assumption", "is", ""], rows)


def sections(base: Assumptions, hosts: list[int], workers: int, mtbf_hours: float) -> dict[str, str]:
    made = {"assumptions": assumptions(base, workers, mtbf_hours)}
    for count in hosts:
        a = dataclasses.replace(base, hosts=count)
        made[f"broadcast {count}"], done = broadcast(a, workers)
        made[f"directory {count}"] = directory(a)
        made[f"serving {count}"] = serving(a)
        made[f"failing {count}"] = failing(a, mtbf_hours)
        naive = bench.once(done.seconds, from_one_place(a, a.hosts - 1))
        bench.row(f"hosts_{count}", f"{base.gigabytes:g} GB to {count:,} hosts (simulated)", "s",
                  "each host from the first one", naive, part="scale")
        bench.row(f"moved_{count}", f"bytes moved for that, {workers} workers a host (simulated)", "bytes",
                  "a copy for each worker", bench.once(done.moved * 1e9, (count - 1) * workers * base.gigabytes * 1e9),
                  part="scale")
    return made


def in_page(text: str, name: str) -> tuple[str, str, str]:
    before, found, rest = text.partition(BEGIN.format(name))
    inside, ended, after = rest.partition(END)
    if not found or not ended:
        sys.exit(f"{PAGE.name} has no place for {name!r}")
    return before + found, inside.strip(), ended + after


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=bench.sized([100, 10_000], [100]))
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--mtbf-hours", type=float, default=2 * HOURS_PER_YEAR)
    for field in dataclasses.fields(Assumptions):
        if field.name not in ("hosts", "killed"):
            parser.add_argument("--" + field.name.replace("_", "-"), type=type(field.default), default=field.default)
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = vars(parser.parse_args())
    if min(given["hosts"]) < 2 or given["workers"] < 1 or min(
            given[name] for name in ("gigabytes", "link_gbit", "oversubscription", "store_gbyte_s", "chunk_mib",
                                     "latency_ms", "serves", "mtbf_hours")) <= 0:
        parser.error("hosts must be at least 2, and sizes, speeds and times above 0")
    docs, check, hosts = given.pop("docs"), given.pop("check"), given.pop("hosts")
    workers, mtbf_hours = given.pop("workers"), given.pop("mtbf_hours")
    made = sections(Assumptions(**given), hosts, workers, mtbf_hours)
    wrong = []
    for name, text in made.items():
        if docs:
            before, _, after = in_page(PAGE.read_text(), name)
            PAGE.write_text(f"{before}\n\n{text}\n\n{after}")
        elif check or bench.TINY:  # what the page says is what comes out
            if in_page(PAGE.read_text(), name)[1] != text:
                wrong.append(name)
        else:
            print(f"\n== {name}\n\n{text}")
    if wrong:
        print(f"{PAGE.name} says otherwise, run bench/scale/hosts.py --docs: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
