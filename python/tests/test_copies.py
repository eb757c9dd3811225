"""Writing to parts of shared frames, and copies of shared objects: as with plain ones, and nobody else sees it."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import onecopy

pd = pytest.importorskip("pandas", reason="pandas is not installed")

VALUES = {"a": 9.0, "i": 7, "t": pd.Timestamp("2020-01-01").as_unit("us"), "c": "y", "b": False, "s": "zz",
          "z": pd.Timestamp("2020-01-01", tz="Europe/Berlin").as_unit("us"),
          "d": pd.Timedelta(5, "s").as_unit("us")}  # fmt: skip


def frame() -> Any:
    times = pd.to_datetime(["2024-01-01"] * 3)
    return pd.DataFrame({
        "a": [1.0, 2.0, 3.0], "i": pd.array([1, None, 3], "Int64"), "t": times, "b": [True, False, True],
        "c": pd.Categorical(["x", "y", "x"]), "s": ["p", "q", "r"], "z": times.tz_localize("Europe/Berlin"),
        "d": pd.to_timedelta([1, 2, 3], "h").as_unit("us"),
    })  # fmt: skip


def replaced_column(whole: Any, column: str) -> Any:
    whole["new"] = 1
    return pickle.loads(pickle.dumps(whole))


PARTS: dict[str, Callable[[Any, str], Any]] = {
    "the whole": lambda whole, column: whole,
    "a column": lambda whole, column: whole[column],
    "columns": lambda whole, column: whole[[column, "s" if column != "s" else "a"]],
    "rows": lambda whole, column: whole.iloc[:2],
    "renamed": lambda whole, column: whole.rename(index={0: 0}),
    "a shallow copy": lambda whole, column: whole.copy(deep=False),
    "sent with a new column": replaced_column,
    "assigned": lambda whole, column: whole.assign(more=2),
}


@pytest.mark.parametrize("column", VALUES)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_can_be_written_to_when_the_frame_is_gone(part: str, column: str) -> None:
    """What a worker does with what it got: pandas copies the column first, as for a frame that shares with another."""
    kept = onecopy.share(frame())
    mine = PARTS[part](onecopy.attach(onecopy.handle(kept)), column)
    gc.collect()
    if isinstance(mine, pd.Series):
        mine.iloc[0] = VALUES[column]
        assert mine.iloc[0] == VALUES[column]
    else:
        mine.loc[0, column] = VALUES[column]
        assert mine.loc[0, column] == VALUES[column]
    pd.testing.assert_frame_equal(kept, frame())
    pd.testing.assert_frame_equal(onecopy.attach(onecopy.handle(kept)), frame())
    sent = pickle.loads(pickle.dumps(mine))
    assert (sent.iloc[0] if isinstance(mine, pd.Series) else sent.loc[0, column]) == VALUES[column]


def test_methods_that_work_in_place() -> None:
    kept = onecopy.share(frame())
    handle = onecopy.handle(kept)
    column = onecopy.attach(handle)["a"]
    column.update(pd.Series([5.0]))
    assert column.tolist() == [5.0, 2.0, 3.0]
    column = onecopy.attach(handle)["i"]
    column.fillna(0, inplace=True)
    assert column.tolist() == [1, 0, 3]
    alone = onecopy.share(frame()["a"]).rename("other")
    alone += 1
    alone[0] = 8
    assert alone.tolist() == [8.0, 3.0, 4.0]
    pd.testing.assert_frame_equal(kept, frame())


def test_what_is_left_of_a_frame_is_let_go_with_its_last_part() -> None:
    handle = onecopy.handle(onecopy.share(frame()), lease=0)
    kept = onecopy.share(frame())
    handle = onecopy.handle(kept, lease=0)
    column = onecopy.attach(handle)["a"]
    del kept
    gc.collect()
    assert onecopy.exists(handle) and column.sum() == 6
    del column
    gc.collect()
    assert not onecopy.exists(handle)


@pytest.mark.parametrize(("name", "other"), [
    (-1, -2), (1, True), (0, False), (1, 1.0), ("x", "y"), (("a", 1), ("a", True)), (2**61 - 1, 0), (None, "x"),
])  # fmt: skip
def test_a_changed_name_is_sent(name: Any, other: Any) -> None:
    """Also one that is equal to the old one, or has its hash."""
    series = onecopy.share(pd.Series([1, 2], name=name))
    series.name = other
    back = pickle.loads(pickle.dumps(series)).name
    assert back == other and type(back) is type(other) and repr(back) == repr(other)
    table = onecopy.share(pd.DataFrame({"a": [1]}, index=pd.Index([5], name=name)))
    table.index.name = other
    assert repr(pickle.loads(pickle.dumps(table)).index.name) == repr(other)


def test_attrs_with_arrays() -> None:
    table = pd.DataFrame({"a": [1, 2]})
    table.attrs = {"where": np.arange(3), "nested": {"more": [np.ones(2)]}}
    shared = onecopy.share(table)
    assert onecopy.is_shared(shared) and onecopy.handle(shared)
    back = pickle.loads(pickle.dumps(shared))
    assert onecopy.handle(back) == onecopy.handle(shared)
    assert back.attrs["where"].tolist() == [0, 1, 2] and back.attrs["nested"]["more"][0].tolist() == [1, 1]
    shared.attrs["nested"]["more"][0] = np.zeros(2)
    assert pickle.loads(pickle.dumps(shared)).attrs["nested"]["more"][0].tolist() == [0, 0]
    odd = pd.DataFrame({"a": [1, 2]})
    odd.attrs = {"count": 1}
    shared = onecopy.share(odd)
    shared.attrs["count"] = True
    assert pickle.loads(pickle.dumps(shared)).attrs["count"] is True


@pytest.mark.parametrize("plain", [
    {"a": np.zeros(3), "rest": [1, {"b": np.ones(2)}]}, [np.zeros(3), "x" * 300], (np.zeros(3), 1), {"text", "more"},
    frozenset({1, 2}),
])  # fmt: skip
def test_copies_of_containers_are_ordinary(plain: Any) -> None:
    shared = onecopy.share(plain)
    deep = copy.deepcopy(shared)
    assert type(deep) is type(plain) and not onecopy.is_shared(deep) and repr(deep) == repr(plain)
    first = deep["a"] if isinstance(deep, dict) else deep[0] if isinstance(deep, (list, tuple)) else None
    if first is not None:
        first[0] = 5
        assert (shared["a"] if isinstance(shared, dict) else shared[0])[0] == 0
    flat = copy.copy(shared)
    assert type(flat) is type(plain)
    if isinstance(plain, (list, tuple)):
        assert all(a is b for a, b in zip(flat, shared, strict=True))


@pytest.mark.parametrize("plain", ["text" * 200, b"bytes" * 200, 5, 2.5, 3j])
def test_what_cannot_change_is_its_own_copy(plain: Any) -> None:
    shared = onecopy.share(plain)
    assert copy.copy(shared) is shared and copy.deepcopy(shared) is shared
    assert copy.deepcopy([shared])[0] is shared


def test_a_polars_series_without_a_name() -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed")
    back = pickle.loads(pickle.dumps(onecopy.share(pl.Series([1, 2]))))
    assert back.name == "" and back.to_list() == [1, 2]
    table = pickle.loads(pickle.dumps(onecopy.share(pl.DataFrame({"": [1], "column_0": [2]}))))
    assert table.columns == ["", "column_0"]
