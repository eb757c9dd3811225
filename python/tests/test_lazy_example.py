"""examples/bigger_than_memory, small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = Path(__file__).resolve().parents[2] / "examples/bigger_than_memory/main.py"


def test_four_processes_stay_within_the_budget(tmp_path: Path) -> None:
    if not MAIN.exists():
        pytest.skip("the examples are not beside these tests")
    pytest.importorskip("pyarrow")
    pytest.importorskip("matplotlib")
    png = tmp_path / "residency.png"
    done = subprocess.run([sys.executable, str(MAIN), "--budget", "8M", "--times", "3", "--png", str(png)],
                          capture_output=True, text=True, timeout=400)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("as expected") == 4
    assert len(set(re.findall(r"in process (\d+)", done.stdout))) >= 2
    evicted = re.search(r"(\d+) given back", done.stdout)
    assert evicted is not None and int(evicted[1]) > 0, "the files are larger than the budget"
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_wrong_answer_or_argument_is_told() -> None:
    if not MAIN.exists():
        pytest.skip("the examples are not beside these tests")
    done = subprocess.run([sys.executable, str(MAIN), "--budget", "1K"], capture_output=True, text=True, timeout=100)
    assert done.returncode != 0 and "budget" in done.stderr
