"""Each test session has a store of its own. A test that leaves something held fails."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The suite tries the same inputs every time, so what fails was made to fail by a change. ONECOPY_SEARCH=1 looks for
# new ones; what it finds becomes an example of its own.
settings.register_profile("onecopy", derandomize="ONECOPY_SEARCH" not in os.environ)
settings.load_profile("onecopy")

_STORE = tempfile.mkdtemp(prefix="onecopy-pytest-", dir="/dev/shm")
os.environ["ONECOPY_DIR"] = _STORE
# Lazy objects of tests are small; a budget of half the machine would hide what eviction does.
os.environ.setdefault("ONECOPY_LAZY_BUDGET", "256M")
if "ONECOPY_BUILD" in os.environ:
    os.environ.setdefault("ONECOPY_PAGER", os.path.join(os.environ["ONECOPY_BUILD"], "pager", "onecopy-pager"))

def pytest_unconfigure() -> None:
    shutil.rmtree(_STORE, ignore_errors=True)


@pytest.fixture
def store() -> Path:
    return Path(_STORE)


def mapped() -> set[str]:
    """Files of the store that this process has mapped."""
    return {line.split()[5] for line in Path("/proc/self/maps").read_text().splitlines() if _STORE in line}


@pytest.fixture(autouse=True)
def nothing_stays_held() -> Iterator[None]:
    """Fails the test that leaks a mapping: after it, nobody holds anything new."""
    before = mapped()
    yield
    end = time.monotonic() + 10
    while (left := mapped() - before) and time.monotonic() < end:
        gc.collect()  # cycles made by a test
        time.sleep(0.01)  # a thread that is about to end
    assert not left, f"still mapped after the test: {left}"


@pytest.fixture
def python() -> Callable[..., str]:
    """Runs code in another interpreter; returns what it printed; fails if it fails."""

    def run(code: str, *args: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *args],
            capture_output=True, text=True, timeout=120, env={**os.environ, **(env or {})},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


_fork = multiprocessing.get_context("fork")


@pytest.fixture
def child() -> Iterator[Callable[..., Any]]:
    """Starts processes (forked: quick), and ends them after the test."""
    started: list[Any] = []

    def start(target: Callable[..., None], *args: Any, context: Any = _fork) -> Any:
        process = context.Process(target=target, args=args)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join(30)
