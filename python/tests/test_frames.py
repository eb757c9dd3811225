"""pandas, pyarrow, polars and SciPy objects: equal, in place, and travelling as handles."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

import onecopy


def whole_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "int": np.arange(4),
            "float": [0.5, np.nan, 2.0, 3.0],
            "float2": np.arange(4.0),
            "bool": [True, False, True, True],
            "str": ["a", None, "", "long string, long enough ☃"],
            "object": pd.Series(["q", None, "r", "q"], dtype=object),
            "object_nan": pd.Series(["q", np.nan, "r", "q"], dtype=object),
            "mixed": pd.Series([{}, 1, "x", None], dtype=object),
            "time": pd.date_range("2024-01-01", periods=4),
            "time_ns": pd.date_range("2024-01-01", periods=4, unit="ns"),
            "nat": pd.Series([pd.NaT, pd.Timestamp(5), pd.NaT, pd.Timestamp(7)]),
            "zone": pd.date_range("2024-01-01", periods=4, tz="Europe/Berlin"),
            "offset": pd.date_range("2024-01-01", periods=4, tz="+03:30"),
            "delta": pd.to_timedelta([1, 2, None, 4], unit="s"),
            "category": pd.Categorical(["x", "y", "x", None]),
            "ordered": pd.Categorical([1, 2, 1, 2], categories=[2, 1], ordered=True),
            "Int64": pd.array([1, None, 3, 4], dtype="Int64"),
            "UInt8": pd.array([1, 2, 3, 4], dtype="UInt8"),
            "Float32": pd.array([1, None, 3, 4], dtype="Float32"),
            "boolean": pd.array([True, None, False, True], dtype="boolean"),
            "string": pd.array(["a", None, "c", "d"], dtype="string"),
            "string_python": pd.array(["a", None, "c", "d"], dtype="string[python]"),
            "arrow_int": pd.array([1, None, 3, 4], dtype="int32[pyarrow]"),
            "arrow_list": pd.array([[1], [2, 3], None, []], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
            "arrow_dictionary": pd.array(["a", "b", "a", None],
                                         dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
            "arrow_decimal": pd.array([1, 2, 3, None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
            "period": pd.period_range("2024", periods=4, freq="M"),
            "interval": pd.interval_range(0, 4),
            "sparse": pd.arrays.SparseArray([0, 0, 1, 0]),
            "complex": np.arange(4) * 1j,
        }
    )


@pytest.mark.parametrize("column", list(whole_frame().columns))
def test_every_kind_of_column(column):
    frame = whole_frame()[[column]]
    shared = onecopy.share(frame)
    assert type(shared) is pd.DataFrame
    for one in (shared, onecopy.attach(onecopy.handle(shared)), pickle.loads(pickle.dumps(shared))):
        pd.testing.assert_frame_equal(one, frame)
        pd.testing.assert_frame_equal(frame, one)
    pd.testing.assert_series_equal(onecopy.share(frame[column]), frame[column])
    empty = frame.iloc[:0]
    pd.testing.assert_frame_equal(onecopy.share(empty), empty)
    part = frame.iloc[1:3]
    pd.testing.assert_frame_equal(onecopy.share(part), part)


def test_whole_frame():
    frame = whole_frame()
    shared = onecopy.share(frame)
    pd.testing.assert_frame_equal(shared, frame)
    assert len(pickle.dumps(shared)) <= 200
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(shared)), frame)
    assert onecopy.is_shared(shared) and not onecopy.is_shared(frame)
    own = onecopy.unshare(shared)
    pd.testing.assert_frame_equal(own, frame)
    assert not onecopy.is_shared(own)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(5, 13, 2, name="r"),
        pd.Index([3, 1, 2, 9], name="n"),
        pd.Index(["a", "b", None, "d"]),
        pd.Index([1, "a", 2.5, None], dtype=object),
        pd.date_range("2024-01-01", periods=4, tz="UTC", name="t"),
        pd.date_range("2024-01-01", periods=4, freq="2D"),
        pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["k", None]),
        pd.CategoricalIndex(["a", "b", "a", None]),
        pd.period_range("2024", periods=4, freq="M"),
        pd.Index([1, 2, 3, 4], name=("tuple", "name")),
        pd.to_timedelta([1, 2, 3, 4], unit="h"),
    ],
    ids=lambda i: f"{type(i).__name__}-{i.dtype}",
)
def test_every_kind_of_index(index):
    frame = pd.DataFrame({"v": np.arange(4.0)}, index=index)
    shared = onecopy.share(frame)
    pd.testing.assert_frame_equal(shared, frame, check_freq=True)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(shared)), frame)
    pd.testing.assert_index_equal(onecopy.share(index), index)
    pd.testing.assert_frame_equal(onecopy.share(frame.T), frame.T)


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame(index=[1, 2]), pd.DataFrame(columns=["a", "a"]),
                                   pd.DataFrame([[1, 2.5]], columns=["a", "a"])], ids=["0", "1", "2", "3"])  # fmt: skip
def test_odd_frames(frame):
    pd.testing.assert_frame_equal(onecopy.share(frame), frame)


def test_attrs_flags_and_names():
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "m"
    frame = frame.set_flags(allows_duplicate_labels=False)
    shared = onecopy.share(frame)
    assert shared.attrs == {"unit": "m"} and not shared.flags.allows_duplicate_labels
    assert onecopy.share(pd.Series([1, 2], name=("a", 1))).name == ("a", 1)


def test_columns_are_in_place_and_one_block_for_each_type():
    shared = onecopy.share(pd.DataFrame(np.arange(40.0).reshape(10, 4), columns=list("abcd")))
    again = onecopy.attach(onecopy.handle(shared))
    assert len(again._mgr.blocks) == 1
    for column in "abcd":
        assert np.shares_memory(shared[column].to_numpy(), again[column].to_numpy())
        assert type(again[column].to_numpy()) is np.ndarray
    text = onecopy.share(pd.DataFrame({"s": ["a", "bc"] * 10}))
    buffers = onecopy.attach(onecopy.handle(text))["s"].array._pa_array.chunk(0).buffers()
    assert [b.address for b in buffers if b] == [b.address for b in text["s"].array._pa_array.chunk(0).buffers() if b]


def test_a_changed_frame_pickles_what_it_holds_now():
    frame = pd.DataFrame({"a": np.arange(50_000.0), "s": ["x", "y"] * 25_000, "c": pd.Categorical(["p", "q"] * 25_000),
                          "n": pd.array(range(50_000), dtype="Int64")})  # fmt: skip
    for change in (
        lambda f: f.__setitem__("new", 1),
        lambda f: f.loc.__setitem__((0, "a"), -5.0),
        lambda f: f.loc.__setitem__((0, "s"), "changed"),
        lambda f: f.loc.__setitem__((0, "c"), "q"),
        lambda f: f.loc.__setitem__((0, "n"), 77),
        lambda f: setattr(f, "columns", list("wxyz")),
        lambda f: setattr(f, "index", range(1, 50_001)),
        lambda f: setattr(f.index, "name", "renamed"),
        lambda f: f.attrs.update(k=1),
        lambda f: f.drop(columns="a", inplace=True),
        lambda f: f.sort_values("a", ascending=False, inplace=True),
    ):
        shared, ordinary = onecopy.share(frame), frame.copy()
        change(shared)
        change(ordinary)
        again = pickle.loads(pickle.dumps(shared))
        pd.testing.assert_frame_equal(again, ordinary)
        assert again.attrs == ordinary.attrs
        with pytest.raises(TypeError, match=r"changed|not shared"):
            onecopy.handle(shared)
        pd.testing.assert_frame_equal(frame, onecopy.share(frame))  # what was shared is untouched


def test_parts_of_a_frame_pickle_as_handles():
    frame = pd.DataFrame({"a": np.arange(50_000.0), "b": np.arange(50_000), "s": ["x", "y"] * 25_000,
                          "t": pd.date_range("2024", periods=50_000, freq="s"),
                          "n": pd.array(range(50_000), dtype="Int64")})  # fmt: skip
    shared = onecopy.share(frame)
    for part in (shared[["a", "s"]], shared.iloc[10:20_000], shared["b"], shared["s"], shared["n"], shared["t"]):
        data = pickle.dumps(part)
        assert len(data) < 4000
        again = pickle.loads(data)
        (pd.testing.assert_frame_equal if part.ndim == 2 else pd.testing.assert_series_equal)(again, part)


def test_pickles_of_ordinary_frames_need_no_onecopy(python):
    onecopy.share(pd.DataFrame({"a": [1]}))
    data = pickle.dumps([pd.DataFrame({"a": ["x"]}), pa.table({"a": ["x", "y"]})])
    assert b"onecopy" not in data
    python("import pickle, sys; d = pickle.loads(bytes.fromhex(sys.argv[1])); assert d[1].num_rows == 2", data.hex())


ARROW = {
    "int": pa.array([1, None, 3]),
    "bool": pa.array([True, None, False]),
    "string": pa.array(["a", None, "ccc"]),
    "large_string": pa.array(["a", None, "ccc"], pa.large_string()),
    "string_view": pa.array(["a", None, "ccc"], pa.string_view()),
    "binary": pa.array([b"a", None, b"ccc"]),
    "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "timestamp": pa.array([1, None, 3], pa.timestamp("ns", "Europe/Berlin")),
    "date32": pa.array([1, None, 3], pa.date32()),
    "date64": pa.array([86400000, None, 0], pa.date64()),
    "time32": pa.array([1, None, 3], pa.time32("ms")),
    "time64": pa.array([1, None, 3], pa.time64("us")),
    "duration": pa.array([1, None, 3], pa.duration("ms")),
    "decimal": pa.array([1, None, 3], pa.decimal128(9, 2)),
    "list": pa.array([[1], None, [2, 3]]),
    "struct": pa.array([{"a": 1}, None, {"a": 2}]),
    "null": pa.nulls(3),
    "half": pa.array(np.array([1, 2, 3], "f2")),
    "empty": pa.array([], pa.string()),
}


@pytest.mark.parametrize("kind", list(ARROW))
def test_arrow_arrays(kind):
    array = ARROW[kind]
    table = pa.table({"x": array}, metadata={"k": "v"})
    for obj in (array, table, array[1:], pa.chunked_array([array, array]), table.slice(1)):
        shared = onecopy.share(obj)
        again = onecopy.attach(onecopy.handle(shared))
        for one in (shared, again, pickle.loads(pickle.dumps(shared))):
            assert type(one) is type(obj)
            assert one.equals(obj)
            (one if isinstance(one, pa.Table) else pa.table([one], ["x"])).validate(full=True)
    assert onecopy.share(table).schema.metadata == {b"k": b"v"}


def test_arrow_is_in_place_and_pickles_as_handles():
    table = pa.table({"a": np.arange(100_000), "s": ["x", "yy"] * 50_000})
    shared = onecopy.share(table)
    again = onecopy.attach(onecopy.handle(shared))
    for column in ("a", "s"):
        there = [b.address for b in shared[column].chunk(0).buffers() if b]
        assert there == [b.address for b in again[column].chunk(0).buffers() if b]
    assert onecopy.is_shared(shared) and not onecopy.is_shared(table)
    for one in (shared, shared.slice(10, 1000), shared["s"], shared["a"].chunk(0)):
        data = pickle.dumps(one)
        assert len(data) < 2000
        assert pickle.loads(data).equals(one)
    kept = again["s"].chunk(0)[5:10]
    del shared, again, one
    assert kept.to_pylist() == ["yy", "x", "yy", "x", "yy"]


def test_polars():
    frame = pl.DataFrame({"a": [1, 2, None], "s": ["x", None, "z"],
                          "c": pl.Series(["q", "r", "q"], dtype=pl.Categorical), "l": [[1], [], None],
                          "t": pl.Series([1, 2, 3], dtype=pl.Datetime("us"))})  # fmt: skip
    shared = onecopy.share(frame)
    assert shared.equals(frame) and shared.schema == frame.schema
    again = onecopy.attach(onecopy.handle(shared))
    assert again.equals(frame)
    series = onecopy.share(frame["s"])
    assert series.equals(frame["s"]) and series.name == "s"


def test_one_table_in_every_library():
    handle = onecopy.handle(shared := onecopy.share(pd.DataFrame({"a": [1, 2], "s": ["x", None]})))
    assert isinstance(onecopy.attach(handle), pd.DataFrame)
    assert onecopy.attach(handle, tables="pyarrow").to_pydict() == {"a": [1, 2], "s": ["x", None]}
    assert onecopy.attach(handle, tables="polars").to_dict(as_series=False) == {"a": [1, 2], "s": ["x", None]}
    assert list(onecopy.attach(handle, tables="dict")) == ["a", "s"]
    with pytest.raises(ValueError, match="table library"):
        onecopy.attach(handle, tables="excel")
    handle = onecopy.handle(table := onecopy.share(pa.table({"a": [1, None], "s": ["x", None]})))
    assert onecopy.attach(handle, tables="pandas")["s"].tolist()[0] == "x"
    del shared, table


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("form", ["matrix", "array"])
def test_sparse(kind, form):
    make = scipy.sparse.random if form == "matrix" else scipy.sparse.random_array
    matrix = make(6, 4, density=0.4) if form == "matrix" else make((6, 4), density=0.4)
    matrix = matrix.asformat(kind)
    shared = onecopy.share(matrix)
    assert type(shared) is type(matrix)
    np.testing.assert_array_equal(shared.toarray(), matrix.toarray())
    np.testing.assert_array_equal((shared @ np.ones(4)), matrix @ np.ones(4))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(shared)).toarray(), matrix.toarray())
    if kind in ("csr", "csc", "coo"):
        assert onecopy.is_shared(shared.data)


def test_what_no_frame_can_carry_is_named_and_leaves_nothing():
    before = len(onecopy.ls())
    with pytest.raises((TypeError, pickle.PicklingError), match="lock"):
        onecopy.share(pd.DataFrame({"a": [1.0, 2.0], "locks": [threading.Lock(), None]}))
    with pytest.raises((TypeError, pickle.PicklingError), match="lock"):
        onecopy.share(pd.Series([threading.Lock()], name="locks"))
    assert len(onecopy.ls()) == before
    shared = onecopy.share(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(onecopy.InvalidArgument, match="excel"):
        onecopy.attach(onecopy.handle(shared), tables="excel")
    with pytest.raises(onecopy.WrongType, match="DataFrame"):
        onecopy.attach(onecopy.handle(shared), writable="private")
    with pytest.raises(onecopy.WrongType):
        onecopy.handle(shared[["a"]] + 1)
