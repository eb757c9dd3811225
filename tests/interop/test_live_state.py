"""One record, used by Python, R and C++ at once while their processes are killed: examples/live_state. And what R reads
and writes of records that Python makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onecopy
import pytest

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("ONECOPY_BUILD", "build/release")).absolute()


def test_the_example_survives_its_kills():
    worker = BUILD / "examples" / "live_state" / "live_state"
    assert worker.exists(), f"{worker} is not built"
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "live_state" / "main.py", worker, "8"],
        capture_output=True, text=True, timeout=400,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@onecopy.record
class Inner:
    x: onecopy.int32 = 0


@onecopy.record
class Many:
    flag: onecopy.bool8 = True
    small: onecopy.int8 = -3
    count: onecopy.uint32 = 4_000_000_000
    wide: onecopy.int64 = 1 << 40
    ratio: onecopy.float64 = 0.25
    label: onecopy.FixedBytes[8] = b"abc"
    row: onecopy.FixedArray[onecopy.float32, 3] = 0
    inner: Inner


def in_r(code: str) -> str:
    run = subprocess.run(
        ["Rscript", "--vanilla", "-e", f"library(onecopy); {code}"], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture
def many(tmp_path):
    record = Many.open(tmp_path / "many", create=True)
    yield record, f'r <- attachRecord(path = "{tmp_path / "many"}"); '


def test_r_reads_every_field_that_it_has_a_form_for(many):
    _, attach = many
    out = in_r(attach + "s <- as.list(r); cat(names(r), '\\n'); cat(s$flag, s$small, s$count, s$wide, s$ratio, s$label,"
               "s$row, is.null(s$inner), is.integer(r$small), r$row)")
    assert out.split("\n")[0].split() == ["flag", "small", "count", "wide", "ratio", "label", "row", "inner"]
    assert out.split("\n")[1].split() == [
        "TRUE", "-3", "4e+09", "1.099512e+12", "0.25", "abc", "0", "0", "0", "TRUE", "TRUE", "0", "0", "0"
    ]


def test_r_writes_and_python_sees_it(many):
    record, attach = many
    in_r(attach + "r$flag <- FALSE; r$small <- 100; r[['ratio']] <- -1.5; r$label <- 'hé'; r$row <- c(4, 5, 6);"
         "r$wide <- 2^52; withRecord(r, r$count <- 7)")
    assert (record.flag, record.small, record.ratio, record.count, record.wide) == (False, 100, -1.5, 7, 1 << 52)
    assert bytes(record.label).rstrip(b"\0") == "hé".encode()
    assert list(record.row) == [4, 5, 6]


@pytest.mark.parametrize("bad", [
    "r$small <- 128", "r$small <- NA_integer_", "r$small <- 1.5", "r$count <- -1", "r$flag <- 2", "r$row <- 1:2",
    "r$label <- 'far too long a text'", "r$ratio <- 'x'", "r$nothing <- 1", "r$nothing", "r$inner", "r$inner <- 1",
    "r$wide <- 2^63", "r$label <- NA_character_", "withRecord(r, withRecord(r, 1))", "withRecord(r, 1, timeout = 'x')",
])
def test_what_does_not_fit_is_refused_and_changes_nothing(many, bad):
    record, attach = many
    before = bytes(record)
    assert in_r(attach + f"cat(tryCatch({{ {bad}; 'accepted' }}, onecopy_error = function(e) 'refused'))") == "refused"
    assert bytes(record) == before


def test_a_number_that_r_would_change_is_an_error(many):
    record, attach = many
    record.wide = (1 << 53) + 1
    assert in_r(attach + "cat(class(tryCatch(r$wide, error = identity))[1])") == "onecopy_unsupported"


def test_without_a_repair_the_next_one_is_told(many):
    record, attach = many
    in_r(attach + "try(withRecord(r, stop('as errors do')), silent = TRUE); withRecord(r, 1)")
    in_r("library(parallel); p <- mcparallel({" + attach +
         "withRecord(r, tools::pskill(Sys.getpid(), 9))}); invisible(mccollect(p))")
    told = "cat(class(tryCatch(withRecord(r, 'in'), error = identity))[1])"
    assert in_r(attach + told) == "onecopy_owner_died"
    assert in_r(attach + told) == "onecopy_owner_died"
    assert in_r(attach + "cat(withRecord(r, 'in', repair = function(r) r$small <- 0L))") == "in"
    assert in_r(attach + "cat(withRecord(r, 'in'))") == "in"
    assert record.small == 0
