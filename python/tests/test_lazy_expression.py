"""Arithmetic that is put off, against NumPy's own."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import hypothesis.errors
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


def cast_is_defined(x: Any, dtype: str) -> bool:
    """What numbers outside of an integer's range become depends on the processor and on the loop NumPy takes."""
    if x.dtype.kind not in "fc" or np.dtype(dtype).kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return bool(np.all((x.real > limits.min - 1) & (x.real < limits.max + 1)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_slices_joins_casts_and_choices(data: st.DataObject) -> None:
    x, y = (data.draw(hnp.arrays(data.draw(st.sampled_from(DTYPES)), data.draw(st.integers(1, 30)))) for _ in range(2))
    dtype = data.draw(st.sampled_from(DTYPES))
    part = data.draw(st.slices(len(x) + len(y)))

    def compute(make: Callable[[Any], Any]) -> Any:
        both = np.concatenate([make(x), make(y)])
        chosen = np.where(both > 1, both, make(np.zeros(len(x) + len(y), "i1")))
        if not cast_is_defined(np.asarray(chosen), dtype):
            return np.asarray(chosen)
        return np.asarray(np.flip(chosen).astype(dtype)[part] + make(x)[:1][0])

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted, got = outcome(lambda: compute(lambda v: v)), outcome(lambda: compute(onecopy.lazily))
    if isinstance(wanted, str) or isinstance(got, str):
        assert isinstance(wanted, str) and isinstance(got, str)
        return
    assert got.dtype == wanted.dtype and np.array_equal(got, wanted, equal_nan=wanted.dtype.kind == "f")


def test_long_slices_are_put_off() -> None:
    x = onecopy.lazy_sequence(0, 1, size=10**9)
    e = onecopy.lazily(x) * 2
    assert isinstance(e[::-1], onecopy.LazyExpression) and isinstance(e[:9], np.ndarray)
    assert e[::-1][0] == 2 * 10**9 - 2 and e[1::2][3] == 14 and e[::10_000][50_000] == 10**9
    assert onecopy.lazily(x)[::-10_000][99_999:].tolist() == [9_999]
    joined = np.concatenate([e, onecopy.lazily(x)])
    assert len(joined) == 2 * 10**9 and joined[10**9 - 1 : 10**9 + 2].tolist() == [2 * 10**9 - 2, 0, 1]
    assert x.counters.fills < 50


def test_an_expression_as_a_lazy_array(python: Callable[..., str]) -> None:
    x = onecopy.lazy_sequence(0.0, 1.0, size=1_000_000)
    y = onecopy.lazily(onecopy.lazy("f8", 1_000_000, squares)) - x
    made = y.lazy()
    assert isinstance(made, onecopy.LazyArray) and made.counters.fills == 0
    assert made[1000] == 999_000 and made.counters.fills == 1
    deeper = (onecopy.lazily(made) + 1).lazy(chunk=4096)
    assert deeper[999] == 999**2 - 999 + 1
    text, pickled = onecopy.handle(deeper), pickle.dumps(deeper).hex()
    del x, y, made
    assert deeper[500_000] == 500_000**2 - 500_000 + 1
    code = "import onecopy, pickle, sys; x = onecopy.attach(sys.argv[1])"
    code += "; y = pickle.loads(bytes.fromhex(sys.argv[2])); "
    assert python(code + "print(x[999], y[700_000])", text, pickled).split() == ["997003.0", "489999300001.0"]
    none = (onecopy.lazily(onecopy.lazy("f8", 100, no_squares)) + 1).lazy()
    with pytest.raises(onecopy.SystemFailure, match="no squares"):
        none[3]
    assert np.isnan((onecopy.lazily(np.array([-1.0])) ** 0.5).lazy()[0])


def squares(start: int, end: int) -> Any:
    return np.arange(start, end) ** 2.0


def no_squares(start: int, end: int) -> Any:
    raise RuntimeError("no squares")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_summaries_are_numpys(data: st.DataObject) -> None:
    numbers = hnp.arrays(data.draw(st.sampled_from(["?", "i1", "i4", "f8"])), st.integers(1, 50),
                         elements=st.one_of(st.integers(0, 1), st.integers(0, 9)) if data.draw(st.booleans()) else None)
    try:
        x = data.draw(numbers)
    except (TypeError, ValueError, hypothesis.errors.InvalidArgument):  # elements that the type does not have
        return
    e = onecopy.lazily(x)
    q = data.draw(st.lists(st.floats(0, 1), max_size=4))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wide = x.astype("f8")
        if not np.isinf(wide).any():  # NumPy's interpolation makes NaN of infinity, where ours keeps it
            assert np.allclose(np.quantile(e, q), np.quantile(wide, q), rtol=1e-9, equal_nan=True)
        assert np.array_equal(np.unique(e), np.unique(x), equal_nan=x.dtype.kind == "f")
        if np.isfinite(wide).all() and np.abs(wide).max() < 1e100:
            assert np.allclose([np.var(e), np.std(e)], [np.var(wide), np.std(wide)], rtol=1e-6, atol=1e-300)
        middle = np.median(wide)
        if np.isinf(middle) and np.isfinite(wide).all():  # its mean of the two in the middle overflows, ours doesn't
            middle = np.quantile(wide, 0.5)
        assert np.array_equal(e.median(), middle, equal_nan=True) or np.isclose(e.median(), middle)
    values, counts = e.value_counts()
    again, often = np.unique(x, return_counts=True)
    assert np.array_equal(counts, often) and len(values) == len(again)


def test_quantiles_of_more_than_is_sorted_at_once() -> None:
    x = np.concatenate([np.full(300_000, 7.0), 1 + np.arange(200_000) * 1e-12, [-1e300, 1e300, np.inf, -np.inf]])
    q = np.linspace(0, 1, 11)
    got = onecopy.lazily(x).quantile(q)
    assert np.array_equal(got[1:-1], np.quantile(x, q)[1:-1]) and got[0] == -np.inf and got[-1] == np.inf
    assert np.isnan(onecopy.lazily(np.array([1.0, np.nan])).median())
    for wrong in [lambda: onecopy.lazily(x).quantile(2), lambda: onecopy.lazily(np.array(["a"])).median()]:
        with pytest.raises(onecopy.InvalidArgument):
            wrong()


def test_what_can_not_be_put_off() -> None:
    e = onecopy.lazily(np.arange(9.0))
    for wrong in [lambda: e + np.arange(8), lambda: np.add.reduce(e), lambda: np.matmul(e, e),
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
