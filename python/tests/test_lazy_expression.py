"""Arithmetic that is put off, against NumPy's own."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import onecopy

DTYPES = ["?", "i1", "u1", "i4", "u4", "i8", "f4", "f8"]
BINARY = [np.add, np.subtract, np.multiply, np.divide, np.floor_divide, np.remainder, np.less, np.equal,
          np.greater_equal, np.maximum, np.logical_and]  # fmt: skip
UNARY = [np.negative, np.sqrt, np.sign, np.isnan, np.logical_not, np.square]


def outcome(work: Any) -> Any:
    with np.errstate(all="ignore"):
        try:
            return np.asarray(work())
        except (TypeError, OverflowError, ValueError) as reason:
            return type(reason).__name__


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_is_what_numpy_computes(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    x = data.draw(hnp.arrays(data.draw(st.sampled_from(DTYPES)), size))
    y: Any = data.draw(st.one_of(hnp.arrays(data.draw(st.sampled_from(DTYPES)), size), st.integers(-300, 300),
                                 st.floats(width=32), st.booleans()))  # fmt: skip
    first, then = data.draw(st.sampled_from(BINARY)), data.draw(st.sampled_from(UNARY))
    wanted = outcome(lambda: then(first(x, y)))
    got = outcome(lambda: then(first(onecopy.lazily(x), y)))
    if isinstance(wanted, str) or isinstance(got, str):
        assert isinstance(wanted, str) and isinstance(got, str)
        return
    assert got.dtype == wanted.dtype
    assert np.array_equal(got, wanted, equal_nan=wanted.dtype.kind == "f")


def test_beyond_the_budget() -> None:
    before = onecopy.lazy_budget()
    try:
        onecopy.lazy_budget("16M")
        x, y = (onecopy.lazy_sequence(0.0, step, size=4 << 20) for step in (1.0, -0.5))
        truth = onecopy.lazily(x) + y > 1000
        assert truth.sum() == (4 << 20) - 2001 and truth.dtype == np.dtype("?")
        assert x.counters.evictions > 0 and onecopy.lazy_usage().resident <= 16 << 20
        assert (onecopy.lazily(x) * 2).max() == 2 * ((4 << 20) - 1)
        assert pickle.loads(pickle.dumps(onecopy.lazily(x) - 1))[7] == 6 and len(pickle.dumps(truth)) < 2000
    finally:
        onecopy.lazy_budget(before)


def test_reductions_and_shapes() -> None:
    plain = np.arange(600.0).reshape(20, 30)
    e = onecopy.lazily(plain) ** 2 - 1
    wanted = plain**2 - 1
    assert e.shape == (20, 30) and len(e) == 20 and np.array_equal(e, wanted)
    assert (e.sum(), e.mean(), e.min(), e.max()) == (wanted.sum(), wanted.mean(), wanted.min(), wanted.max())
    assert e.any() and not e.all() and not (e > 1e9).any()
    assert onecopy.lazily(np.arange(9))[2:4].tolist() == [2, 3] and onecopy.lazily(np.arange(9))[-1] == 8


def test_what_can_not_be_put_off() -> None:
    e = onecopy.lazily(np.arange(9.0))
    for wrong in [lambda: e + np.arange(8), lambda: np.add.reduce(e), lambda: np.matmul(e, e), lambda: e[::2],
                  lambda: onecopy.lazily(np.array([None])), lambda: onecopy.lazily(np.ones((3, 4)).T),
                  lambda: np.modf(e)]:  # fmt: skip
        with pytest.raises(onecopy.InvalidArgument):
            wrong()
    with pytest.raises(IndexError):
        e[9]
    with pytest.raises(ValueError, match="ambiguous"):
        bool(e)

    def fails(start: int, end: int, out: Any) -> None:
        raise RuntimeError("no")

    with pytest.raises(onecopy.SystemFailure, match="no"):
        (onecopy.lazily(onecopy.lazy("f8", 100, fails)) + 1).sum()
