"""Lazy vectors that one language makes and the other reads: numbers, strings, expressions."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onecopy
import pytest

MAKE = r"""
library(onecopy)
words <- lazyVector("character", 100000, function(start, end) {
  v <- sprintf("w\u00f6rd %d", as.integer(start:end))
  v[(start:end) %% 5 == 0] <- NA
  v
}, width = 21)
numbers <- lazySequence(1, 2, 1e6)
found <- list(words = words, numbers = numbers, sums = numbers + 1L, flags = numbers > 5, broken =
              lazyVector("character", 10, function(start, end) stop("no words today")))
for (name in names(found)) cat(name, sharedHandle(found[[name]]), "\n")
invisible(readLines(file("stdin"), 1))
"""
LOOK = r"""
library(onecopy)
given <- commandArgs(TRUE)
x <- attachShared(given[1])
stopifnot(is.lazy(x), is.character(x), length(x) == 20000, identical(x[c(1, 2, 20000)], c("n\u00e4me 0", NA, "n\u00e4me 19999")))
stopifnot(identical(sum(is.na(x)), 1L), identical(rev(x)[1], "n\u00e4me 19999"))
y <- attachShared(given[2])
stopifnot(identical(sum(y * 2), 2 * sum(0:99999)))
z <- attachShared(given[3])
stopifnot(grepl("no numbers today", tryCatch(z[1], error = conditionMessage)))
cat("as expected\n")
"""


@pytest.fixture(scope="module")
def made_by_r() -> Iterator[dict[str, str]]:
    maker = subprocess.Popen(["Rscript", "--vanilla", "-e", MAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True)  # fmt: skip
    assert maker.stdin is not None and maker.stdout is not None
    lines = [maker.stdout.readline().split() for _ in range(5)]
    yield {name: handle for name, handle in lines}
    maker.stdin.close()
    assert maker.wait(timeout=60) == 0
    maker.stdout.close()


def test_python_reads_what_r_fills(made_by_r: dict[str, str]) -> None:
    words = onecopy.attach(made_by_r["words"])
    assert isinstance(words, onecopy.LazyStrings) and len(words) == 100_000
    assert words[77_776] == "wörd 77777" and words[4] is None
    assert 0 < words.storage.counters.fills <= 2
    assert int((words == "wörd 99999").sum()) == 1 and int(words.isna().sum()) == 20_000
    assert words[10:12].tolist() == ["wörd 11", "wörd 12"]
    numbers = onecopy.attach(made_by_r["numbers"])
    assert numbers[-1] == 1_999_999 and onecopy.attach(made_by_r["sums"])[10] == 22
    assert np.array_equal(onecopy.attach(made_by_r["flags"])[:5], [0, 0, 0, 1, 1])
    with pytest.raises(onecopy.Error, match="no words today"):
        onecopy.attach(made_by_r["broken"])[3]


def no_numbers(start: int, end: int) -> np.ndarray:
    raise RuntimeError("no numbers today")


def test_r_reads_what_python_fills(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.csv").write_text("name\n" + "".join("NA\n" if i == 1 else f"näme {i}\n" for i in range(20_000)))
    names = onecopy.lazy_csv(tmp_path / "a.csv", frame=False)["name"]
    numbers = onecopy.lazy_sequence(0.0, 1.0, size=100_000)
    broken = onecopy.lazy("f8", 100, no_numbers)
    handles = [onecopy.handle(x) for x in (names, numbers, broken)]
    done = subprocess.run(["Rscript", "--vanilla", "-e", LOOK, *handles], capture_output=True, text=True, timeout=200)
    assert done.stdout == "as expected\n", done.stdout + done.stderr
