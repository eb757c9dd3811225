"""onecopy/mpi.hpp: the program ranks.cpp, whose ranks check what they get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import counting_possible

PROGRAM = Path(os.environ.get("ONECOPY_BUILD", "build/release")).resolve() / "tests" / "mpi_ranks"


@pytest.mark.skipif(not PROGRAM.exists(), reason="CMake found no MPI for C++, so there is no mpi_ranks")
def test_broadcasts_errors_and_parts(ranks, monkeypatch):
    counted = counting_possible()
    if counted:
        monkeypatch.setenv("RANKS_COUNTED", "1")
    ranks.run([0, 1, 0, 1, 2], [str(PROGRAM)], counted=counted)
    assert ranks.left() == []
