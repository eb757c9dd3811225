"""NumPy, SciPy, pandas, pyarrow and polars give the same for a shared object as for the plain one, and leave it alone.

Every public function is called with a few arguments of each kind. What a plain, read-only object gives, result or
exception, the shared one must give too, and hold afterwards what it held before.
"""

from __future__ import annotations

import importlib
import itertools
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy

pd = pytest.importorskip("pandas", reason="pandas is not installed")
pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")


def difference(a: Any, b: Any, depth: int = 0) -> str | None:
    """What tells b, which came from a shared object, from a; None if nothing does."""
    if type(a) is not type(b) and not (type(a) is np.ndarray and type(b) in (onecopy.SharedArray, onecopy.LazyArray)):
        return f"a {type(a).__name__} became a {type(b).__name__}"
    if depth > 5:
        return None
    if isinstance(a, np.ndarray):
        return _array_difference(a, b)
    if isinstance(a, (tuple, list)):
        if len(a) != len(b):
            return f"{len(a)} became {len(b)}"
        return next(filter(None, (difference(x, y, depth + 1) for x, y in zip(a, b, strict=True))), None)
    if isinstance(a, dict):
        return difference(list(a.items()), list(b.items()), depth + 1)
    if isinstance(a, (pd.DataFrame, pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        kind = "frame" if isinstance(a, pd.DataFrame) else "series" if isinstance(a, pd.Series) else (
            "index" if isinstance(a, pd.Index) else "extension_array")  # fmt: skip
        try:
            getattr(pd.testing, f"assert_{kind}_equal")(a, b)
        except AssertionError as reason:
            return str(reason)
        return None
    if type(a).__module__.startswith(("pyarrow", "polars")) and hasattr(a, "equals"):
        return None if a.equals(b) or repr(a) == repr(b) else f"{a} became {b}"  # repr: NaN
    if isinstance(a, (int, float, complex, str, bytes, np.generic)):
        return None if a == b or (a != a and b != b) or _close(a, b) else f"{a!r} became {b!r}"
    return None  # other objects: of the same type, and their methods are called elsewhere


def _close(a: Any, b: Any) -> bool:
    # Sums over memory that lies differently are rounded differently.
    return isinstance(a, (float, complex, np.inexact)) and bool(np.isclose(a, b, rtol=1e-10, atol=0))


def _array_difference(a: Any, b: Any) -> str | None:
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"{a.dtype}{a.shape} became {b.dtype}{b.shape}"
    if isinstance(a, np.ma.MaskedArray):
        return _array_difference(a.filled(), b.filled()) if a.dtype.kind in "fiu" else None
    if a.dtype.hasobject:
        return difference(a.ravel().tolist(), b.ravel().tolist(), 1)
    if a.dtype.kind in "fc":
        same = np.allclose(a, b, rtol=1e-10, atol=1e-300, equal_nan=True)
    else:
        same = np.asarray(a).tobytes() == np.asarray(b).tobytes()
    return None if same else f"{a!r} became {b!r}"


def outcome(call: Callable[..., Any], arguments: Iterable[Any]) -> tuple[bool, Any]:
    try:
        result = call(*arguments)
        return True, list(itertools.islice(result, 20)) if isinstance(result, Iterator) else result
    except Exception as reason:
        return False, reason


class Comparison:
    """Calls with plain arguments, and again with shared ones; collects what differs."""

    def __init__(self) -> None:
        self.compared = 0
        self.found: list[str] = []

    def __call__(self, label: str, call: Callable[..., Any], plain: tuple[Any, ...], shared: tuple[Any, ...]) -> None:
        fine, expected = outcome(call, plain)
        again = outcome(call, plain)
        if again[0] != fine or (fine and difference(expected, again[1])):
            return  # random, or memory that nobody has written to
        worked, got = outcome(call, shared)
        self.compared += fine
        if fine != worked:
            self.found.append(f"{label}: {'it' if fine else 'the plain one'} raised {got if fine else expected!r}")
        elif fine and (why := difference(expected, got)):
            self.found.append(f"{label}: {why}")


@pytest.fixture
def compare() -> Iterator[Comparison]:
    comparison = Comparison()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield comparison
    assert not comparison.found, "\n".join(comparison.found)


# ------------------------------------------------------------ NumPy and SciPy

_random = np.random.default_rng(3)
ARRAYS = {
    "floats": _random.normal(size=24).round(2),
    "positive": _random.random(12) + 0.1,
    "square": (lambda m: m @ m.T)(_random.normal(size=(4, 4))),
    "integers": _random.integers(0, 5, 20),
    "truth": _random.integers(0, 2, 12).astype(bool),
    "complex": _random.normal(size=6) + 1j * _random.normal(size=6),
    "times": np.array(["2024-01-03", "2020-01-01", "NaT"], "M8[ns]"),
    "spans": np.array([5, "NaT", -2, 0], "m8[s]"),
    "text": np.array(["b", "a", "ü", ""]),
    "none": np.zeros(0),
    "not numbers": np.array([1.0, np.nan, np.inf, -0.0, 3.0]),
    "one": np.array(3.5),
    "columns first": np.asfortranarray(_random.normal(size=(3, 5))),
    "bytes": np.arange(30, dtype="u1").reshape(5, 6),
    "records": np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")]),
}
# They answer where the memory lies, show the type, write files, make memory that nobody has written to, are random, or
# (lu_factor) write to what they are given, though it is read-only.
NOT_THESE = set(
    "shares_memory may_share_memory array_repr array2string base empty empty_like ndarray save savez savez_compressed "
    "savetxt tofile dump dumps load loadtxt fromfile fromregex genfromtxt memmap setflags as_strided broadcast nditer "
    "ctypes data __array_interface__ ids flags is_busday set_printoptions seterr setbufsize seterrcall test info show "
    "distance_transform_cdt lu_factor clarkson_woodruff_transform show_config show_runtime frompyfunc strides conj "
    "conjugate"
    .split()
)  # fmt: skip
# Kinds that say enough about functions which convert what they get.
FEW = ("floats", "square", "integers", "not numbers", "bytes")


def arrays(kinds: Iterable[str], make: Callable[[Any], Any] = onecopy.share) -> dict[str, tuple[Any, Any]]:
    out = {}
    for kind in kinds:
        plain = ARRAYS[kind].copy(order="K")
        plain.flags.writeable = False
        out[kind] = plain, make(plain)
    return out


def functions(module: Any) -> Iterator[tuple[str, Any]]:
    for name in getattr(module, "__all__", None) or dir(module):
        call = getattr(module, name, None)
        if not name.startswith("_") and name not in NOT_THESE and callable(call) and not isinstance(call, type):
            yield name, call


SHAPES: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "{0}": lambda a: (a,), "{0}, {0}": lambda a: (a, a), "[{0}, {0}]": lambda a: ([a, a],), "{0}, 1": lambda a: (a, 1),
}  # fmt: skip


def compare_functions(compare: Comparison, module: str, kinds: Iterable[str],
                      make: Callable[[Any], Any] = onecopy.share) -> None:  # fmt: skip
    both = arrays(kinds, make)
    for name, call in functions(importlib.import_module(module)):
        for kind, (plain, shared) in both.items():
            for shape, pick in SHAPES.items():
                compare(f"{module}.{name}({shape.format(kind)})", call, pick(plain), pick(shared))
    for kind, (_, shared) in both.items():
        assert difference(ARRAYS[kind], shared) is None, kind


@pytest.mark.parametrize("module", ["numpy", "numpy.linalg", "numpy.fft", "numpy.lib.recfunctions", "numpy.strings"])
def test_functions_of_numpy(compare: Comparison, module: str) -> None:
    compare_functions(compare, module, ARRAYS)
    assert compare.compared > 50


def test_functions_of_numpy_with_lazy_arrays(compare: Comparison, tmp_path: Path) -> None:
    def lazily(plain: Any) -> Any:
        file = tmp_path / f"{plain.size} {plain.dtype.name}"
        plain.tofile(file)
        return onecopy.lazy_binary(file, plain.dtype, plain.shape, in_place=False)

    compare_functions(compare, "numpy", ("times", "spans", "not numbers", "square", "integers", "truth"), lazily)
    assert compare.compared > 500


@pytest.mark.parametrize("module", ["scipy.linalg", "scipy.ndimage", "scipy.stats", "scipy.fft"])
def test_functions_of_scipy(compare: Comparison, module: str) -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed")
    compare_functions(compare, module, FEW[:1] if module == "scipy.stats" else FEW)
    assert compare.compared > 50


def test_methods_of_arrays(compare: Comparison) -> None:
    for kind, (plain, shared) in arrays(ARRAYS).items():
        for name in dir(np.ndarray):
            if name.startswith("_") or name in NOT_THESE:
                continue
            for extra in ((), (0,), (plain,), ("f4",)):
                def use(array: Any, *more: Any, name: str = name) -> Any:
                    found = getattr(array, name)
                    return found(*more) if callable(found) else found

                compare(f"{kind}.{name}{extra}", use, (plain, *extra), (shared, *extra))
    assert compare.compared > 300


def test_times_without_missing_ones(tmp_path: Path) -> None:
    """NumPy's nanmin and nanmax take another way for subclasses of ndarray, which does not leave out NaT."""
    ARRAYS["times"].tofile(tmp_path / "times")
    for times in (onecopy.share(ARRAYS["times"]), onecopy.lazy_binary(tmp_path / "times", "M8[ns]"),
                  onecopy.lazy_binary(tmp_path / "times", "M8[ns]", in_place=False)):  # fmt: skip
        assert np.nanmax(times) == np.datetime64("2024-01-03") and np.nanmin(times) == np.datetime64("2020-01-01")


def test_results_are_shared_where_they_are_views() -> None:
    """And the arguments themselves where NumPy gives those back; everything else is an ordinary array."""
    shared = onecopy.share(np.arange(12.0).reshape(3, 4))
    for view in (*np.split(shared, 2, axis=1), np.transpose(shared), *np.broadcast_arrays(shared, shared),
                 np.flip(shared), np.squeeze(shared), *np.meshgrid(shared[0], shared[0], copy=False)):  # fmt: skip
        assert onecopy.is_shared(view) and type(view) is onecopy.SharedArray
        assert np.array_equal(pickle.loads(pickle.dumps(view)), view)
    assert np.atleast_1d(shared) is shared
    for own in (np.sum(shared, axis=0), np.concatenate([shared, shared]), np.where(shared > 3, shared, 0)):
        assert type(own) is np.ndarray and own.flags.writeable
    out = onecopy.empty(4)
    assert np.sum(shared, axis=0, out=out) is out and out[0] == 12
    np.copyto(out, 7.0)
    assert out.tolist() == [7.0] * 4


# ------------------------------------------------------------ pandas


def frames() -> dict[str, Any]:
    return {
        "mixed": pd.DataFrame({
            "a": _random.integers(0, 4, 12), "b": _random.normal(size=12), "f": _random.integers(0, 2, 12).astype(bool),
            "s": _random.choice(["x", "y", "ünï", ""], 12),
        }),
        "missing": pd.DataFrame({
            "a": pd.array([1, None, 3, 3], "Int64"), "b": [1.0, np.nan, 2.0, 2.0], "s": ["a", None, "b", "b"],
            "f": pd.array([True, None, False, True], "boolean"), "o": np.array(["q", None, "q", "r"], dtype=object),
        }),
        "times": pd.DataFrame({
            "a": pd.to_datetime(["2024-01-01", None, "2023-05-05"]), "b": pd.to_timedelta([1, None, 3], "h"),
            "s": pd.to_datetime(["2024-01-01", "2024-07-01", None], utc=True).tz_convert("Europe/Berlin"),
        }, index=pd.date_range("2024-01-01", periods=3, freq="D", name="day")),
        "levels": pd.DataFrame(
            {"a": pd.Categorical(["lo", "hi", "lo", None], ["hi", "lo", "never"], ordered=True), "b": [1, 2, 3, 4]},
            index=pd.MultiIndex.from_product([["p", "q"], [1, 2]], names=["k", "n"])),
        "arrow": pd.DataFrame({
            "a": pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int32())),
            "s": pd.array(["a", "b", None], dtype="string"),
            "b": pd.array([[1], [2, 3], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        }),
        "no rows": pd.DataFrame({"a": np.zeros(0), "s": pd.Series([], dtype=str)}),
    }  # fmt: skip


# They write files or pictures, show addresses, are random, or are slow.
NOT_THESE_OF_PANDAS = set(
    "to_clipboard to_csv to_parquet to_string to_gbq to_sql to_excel to_hdf to_pickle to_stata to_feather to_orc "
    "to_json to_xml to_html to_latex to_markdown to_iceberg hist plot boxplot style memory_usage info flags sample "
    "iterrows items sparse list struct".split()
)  # fmt: skip
# pandas writes to the values of missing elements of the column itself, which read-only memory refuses.
WRITES_TO_ITS_INPUT = ("cummax", "cummin", "cumsum", "cumprod")
ARGUMENTS: tuple[tuple[Any, ...], ...] = ((), (1,), ("a",), (["s"],), ({"a": 1},), ("sum",))


def _use(obj: Any, name: str, *arguments: Any) -> Any:
    found = getattr(obj, name)
    return found(*arguments) if callable(found) else found


def compare_methods(compare: Comparison, label: str, plain: Callable[[], Any], shared: Callable[[], Any]) -> None:
    for name in dir(plain()):
        if name.startswith("_") or name in NOT_THESE_OF_PANDAS:
            continue
        if name in WRITES_TO_ITS_INPUT and "missing" in label:
            continue
        for arguments in ARGUMENTS:
            compare(f"{label}.{name}{arguments}", _use, (plain(), name, *arguments), (shared(), name, *arguments))


@pytest.mark.parametrize("kind", frames())
def test_methods_of_frames(compare: Comparison, kind: str) -> None:
    plain = frames()[kind]
    sent = pickle.dumps(onecopy.share(plain))  # each call has a frame of its own, as a worker would
    kept = pickle.loads(sent)
    compare_methods(compare, kind, lambda: plain.copy(), lambda: pickle.loads(sent))
    assert compare.compared > 200 and difference(plain, kept) is None


@pytest.mark.parametrize("kind", ["missing", "levels"])
def test_methods_of_columns(compare: Comparison, kind: str) -> None:
    plain = frames()[kind]
    sent = pickle.dumps(onecopy.share(plain))
    for column in plain:
        compare_methods(compare, f"{kind}[{column}]", lambda c=column: plain[c].copy(),
                        lambda c=column: pickle.loads(sent)[c])  # fmt: skip
    assert compare.compared > 500 and difference(plain, pickle.loads(sent)) is None


def test_groups(compare: Comparison) -> None:
    for kind in ("mixed", "missing"):
        plain = frames()[kind]
        sent = pickle.dumps(onecopy.share(plain))
        compare_methods(compare, f"groups of {kind}", lambda p=plain: p.groupby("a"),
                        lambda s=sent: pickle.loads(s).groupby("a"))  # fmt: skip
    assert compare.compared > 200


# ------------------------------------------------------------ pyarrow and polars

ARROW = {
    "integers": pa.array([3, None, 1, 2, 3]), "floats": pa.array([1.5, None, -2.0, 0.0, 1.5]),
    "text": pa.array(["b", None, "a", "ü", "b"]), "truth": pa.array([True, None, False, True, True]),
    "bytes": pa.array([b"x", None, b"", b"zz", b"x"]), "lists": pa.array([[1], [], None, [2, 3], [1]]),
    "coded": pa.array(["a", "b", "a", None, "b"]).dictionary_encode(), "nothing": pa.nulls(5),
    "structs": pa.array([{"x": 1, "y": "q"}, None, {"x": None, "y": "r"}, {"x": 1, "y": "q"}, {"x": 4, "y": None}]),
    "times": pa.array([10, None, 5, 5, 7], pa.timestamp("us")),
    "views": pa.array(["b", None, "over twelve bytes", "", "b"], pa.string_view()),
    "slice": pa.array([0, 3, None, 1, 2, 3])[1:], "empty": pa.array([], pa.string()),
    "runs": pa.RunEndEncodedArray.from_arrays([3, 5], [1, 2]),
    "decimals": pa.array([1, None, 3, 4, 5], pa.decimal128(9, 2)),
}  # fmt: skip


def test_functions_of_pyarrow(compare: Comparison) -> None:
    import pyarrow.compute as pc

    both = {kind: (plain, pickle.loads(pickle.dumps(onecopy.share(plain)))) for kind, plain in ARROW.items()}
    for name in pc.list_functions():
        if name in ("list_parent_indices", "random"):  # the first ends the process with a wrong argument
            continue
        for kind, (plain, shared) in both.items():
            for count in (1, 2):
                compare(f"{name}({kind} * {count})", pc.call_function, (name, [plain] * count),
                        (name, [shared] * count))  # fmt: skip
    for kind, (plain, shared) in both.items():
        shared.validate(full=True)
        assert difference(plain, shared) is None and shared.type == plain.type, kind
    assert compare.compared > 400


def test_arrays_made_of_shared_ones(compare: Comparison) -> None:
    """What other libraries make of a shared ndarray, with every argument that changes it."""
    mask = np.arange(24) % 3 == 0
    plain, shared = arrays(["floats"])["floats"]
    calls: dict[str, Callable[[Any], Any]] = {
        "pa.array": pa.array, "pa.array, mask": lambda a: pa.array(a, mask=mask),
        "pa.array, type": lambda a: pa.array(a, type=pa.float32()),
        "pa.array, from_pandas": lambda a: pa.array(a, from_pandas=True),
        "pa.chunked_array": lambda a: pa.chunked_array([a, a]), "pa.table": lambda a: pa.table({"x": a}),
        "pa.record_batch": lambda a: pa.record_batch({"x": a}),
        "pa.Tensor": lambda a: pa.Tensor.from_numpy(a).to_numpy(),
        "pd.Series": pd.Series, "pd.DataFrame": lambda a: pd.DataFrame({"x": a}),
        "pd.Series, mask": lambda a: pd.Series(a).mask(mask), "pd.array": pd.array, "pd.Index": pd.Index,
        "pd.Series, dtype": lambda a: pd.Series(a, dtype="Float64"), "pd.cut": lambda a: pd.cut(a, 3),
        "pd.DataFrame, 2-d": lambda a: pd.DataFrame(a.reshape(4, 6)), "pd.Categorical": pd.Categorical,
        "np.ma": lambda a: np.ma.array(a, mask=mask).sum(), "np.array": lambda a: np.array(a, dtype="f4"),
        "list": list, "bytes": bytes, "sorted": sorted, "sum": sum, "pd.factorize": pd.factorize,
        "memoryview": lambda a: memoryview(a).tolist(), "dlpack": np.from_dlpack,
        "pickle": lambda a: pickle.loads(pickle.dumps(a)),
    }  # fmt: skip
    pl = pytest.importorskip("polars", reason="polars is not installed")
    calls |= {"pl.Series": pl.Series, "pl.DataFrame": lambda a: pl.DataFrame({"x": a}),
              "pl.from_numpy": lambda a: pl.from_numpy(a.reshape(4, 6))}  # fmt: skip
    for name, call in calls.items():
        before = compare.compared
        compare(name, call, (plain,), (shared,))
        assert compare.compared == before + 1, f"{name} does not work with a plain array either"


def test_methods_of_polars(compare: Comparison) -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    # They change the series, or give things in no particular order.
    not_these = {"plot", "extend", "append", "clear", "shrink_to_fit", "rechunk", "set", "scatter", "shuffle", "sample",
                 "get_chunks", "n_chunks", "estimated_size", "flags", "map_elements", "mode", "value_counts",
                 "unique"}  # fmt: skip
    for kind in ("integers", "floats", "text", "truth", "lists", "times", "coded"):
        plain = pl.from_arrow(ARROW[kind])
        shared = pickle.loads(pickle.dumps(onecopy.share(plain)))
        for name in dir(pl.Series):
            if name.startswith("_") or name in not_these:
                continue
            for arguments in ((), (1,), (0, 2), ("a",)):
                compare(f"{kind}.{name}{arguments}", _use, (plain.clone(), name, *arguments),
                        (shared.clone(), name, *arguments))  # fmt: skip
        assert difference(plain, shared) is None
    assert compare.compared > 300
