"""examples/cluster, small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = Path(__file__).resolve().parents[2] / "examples/cluster/main.py"


def test_the_same_answer_for_fewer_bytes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    png = tmp_path / "cluster.png"
    done = subprocess.run(
        [sys.executable, str(MAIN), "--rows", "200000", "--hosts", "2", "--workers", "2", "--png", str(png)],
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    moved = {how: float(mb) for how, mb in re.findall(r"(Dask alone|with onecopy) +([\d.]+) MB", done.stdout)}
    assert 7 < moved["with onecopy"] < 1.2 * 8
    assert moved["Dask alone"] > 7
    assert "all found the same" in done.stdout
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_wrong_argument_is_told() -> None:
    done = subprocess.run([sys.executable, str(MAIN), "--hosts", "1"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and "at least" in done.stderr
