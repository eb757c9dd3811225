"""Tests over several hosts. Where namespaces can't be made, each says why and is counted as skipped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hosts import Hosts, reason_not

MISSING = reason_not()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if MISSING:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(scope="module")
def four() -> Iterator[Hosts]:
    with Hosts(4) as hosts:
        yield hosts


os.environ.setdefault("OMP_NUM_THREADS", "1")  # twelve workers on a small machine
