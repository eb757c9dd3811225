"""What one language shares, the others read: R, Python, C++ and the tool, with real processes of each.

R's objects are made by make.R, those of C++ by make.cpp and Python's here; all are looked at in Python, in R (look.R),
in C++ (look.cpp) and with the tool.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path

import numpy as np
import onecopy
import pandas as pd
import pytest

here = Path(__file__).parent
programs = Path(os.environ.get("ONECOPY_BUILD", "build/release")) / "tests"

MAKERS = ["shared_by_r", "shared_by_python", "shared_by_cpp"]

# What each object holds, in R's column-major order, missing values as None.
EXPECTED = {
    "doubles": [1.5, None, "-Inf", 3],
    "integers": [1, None, 3],
    "logicals": [True, None, False],
    "strings": ["one", None, "thréé", ""],
    "repeated": ["a", "b", None] * 50,
    "factor": ["u", None, "v"],
    "matrix": [1, 2, 3, 4, 5, 6],
    "dates": ["2024-02-29", None, "1970-01-01"],
    "times": [0, None, 1709164800],
    "nested": {"a": [1, 2, 3], "b": [["x", "y", "z"], None]},
    "table": {"n": [1.5, None, 3], "s": ["p", None, "q"]},
}

PYTHON = {
    "doubles": np.array([1.5, np.nan, -np.inf, 3]),
    "integers": pd.Series([1, None, 3], dtype="Int64"),
    "logicals": pd.Series([True, None, False], dtype="boolean"),
    "strings": pd.Series(["one", None, "thréé", ""]),
    "repeated": pd.Series(["a", "b", None] * 50),
    "factor": pd.Series(pd.Categorical(["u", None, "v"], categories=["v", "u"])),
    "matrix": np.array([[1.0, 3, 5], [2, 4, 6]]),
    "dates": np.array(["2024-02-29", "NaT", "1970-01-01"], dtype="M8[D]"),
    "times": pd.Series(pd.to_datetime([0, None, 1709164800], unit="s", utc=True).tz_convert("Europe/Berlin")),
    "nested": {"a": np.array([1.0, 2, 3]), "b": [["x", "y", "z"], None]},
    "table": pd.DataFrame({"n": [1.5, None, 3], "s": ["p", None, "q"]}),
}


def shared_by(command, prefix):
    """Shares by another process, which holds its objects until the tests of this file are over."""
    maker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    assert maker.stdout.readline().strip() == "ready"
    yield prefix
    maker.communicate("\n", timeout=60)


@pytest.fixture(scope="module")
def shared_by_r():
    yield from shared_by(["Rscript", here / "make.R"], "r-")


@pytest.fixture(scope="module")
def shared_by_cpp():
    yield from shared_by([programs / "interop_make"], "c-")


@pytest.fixture(scope="module")
def shared_by_python():
    held = {name: onecopy.share(value, name=f"py-{name}") for name, value in PYTHON.items()}
    yield "py-"
    del held


def plain(value):
    """A Python object as EXPECTED has it."""
    if isinstance(value, pd.DataFrame):
        return {str(name): plain(value[name]) for name in value}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray) and value.ndim > 1:
        value = np.asarray(value).ravel(order="F")
    if isinstance(value, (np.ndarray, pd.Series, pd.api.extensions.ExtensionArray)) or hasattr(value, "to_pylist"):
        items = value.to_pylist() if hasattr(value, "to_pylist") else pd.Series(value).tolist()
        return [plain(item) for item in items]
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.timestamp()
    if isinstance(value, float) and math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return value.item() if isinstance(value, np.generic) else value


def same(name, seen):
    expected = EXPECTED[name]
    if name == "logicals":  # R's logicals may be read as numbers
        seen = [None if v is None or v == -(2**31) else bool(v) for v in seen]
    if name == "integers":
        seen = [None if v is None or v == -(2**31) else int(v) for v in seen]
    if name == "dates":
        seen = [None if v is None else str(v)[:10] for v in seen]
    assert seen == expected


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("maker", MAKERS)
def test_read_in_python(maker, name, request):
    value = onecopy.attach(name=request.getfixturevalue(maker) + name)
    if name == "dates":
        same(name, [None if np.isnat(v) else str(v) for v in np.asarray(value, dtype="M8[D]")])
    elif name == "times":
        stamps = pd.to_datetime(pd.Series(value), utc=True)
        same(name, [None if pd.isna(v) else v.timestamp() for v in stamps])
    else:
        same(name, plain(value))


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("maker", MAKERS)
def test_read_in_r(maker, name, request):
    full = request.getfixturevalue(maker) + name
    out = subprocess.run(["Rscript", here / "look.R", full], capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr
    seen = json.loads(out.stdout)
    if isinstance(PYTHON[name], pd.Series) and isinstance(seen, dict):  # in R a data frame of one column without a name
        (seen,) = seen.values()
    same(name, seen)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("maker", MAKERS)
def test_read_in_cpp(maker, name, request):
    full = request.getfixturevalue(maker) + name
    out = subprocess.run([programs / "interop_look", full], capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr
    seen = json.loads(out.stdout)
    if isinstance(PYTHON[name], pd.Series) and isinstance(seen, dict):  # in C++ a table of one column
        (seen,) = seen.values()
    same(name, seen)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("maker", MAKERS)
def test_read_by_the_tool(maker, name, request):
    full = request.getfixturevalue(maker) + name
    out = subprocess.run([os.environ["ONECOPY_CLI"], "cat", full, "--json"], capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout) is not None
