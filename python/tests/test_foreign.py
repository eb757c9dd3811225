"""What R writes: its logicals, missing values, factors, dates and strings, as a Python user expects to find them."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import onecopy
from onecopy._core import Writer
from onecopy._memory import format as f
from onecopy._objects.array import address_of
from onecopy._objects.containers import shared_form
from onecopy._objects.decode import load

ROWS = 600
NA = f.INT32_NA


def array(w, at, values, number=None, semantic=0, unit=""):
    values = np.ascontiguousarray(values)
    w.keep(values)
    number = number or f.NUMBER_OF[values.dtype.str]
    unit = f.UNIT_NUMBER.get(unit, 0)
    w.array(at, number, [values.size], values.size, False, True, address_of(values), semantic, unit)


def attribute(w, at, **named):
    slot = w.attributes(at, list(named))
    for values in named.values():
        w.strings(slot, values)
        slot += 1


def cycle(*values):
    return [values[i % len(values)] for i in range(ROWS)]


def published(w):
    node = w.publish().node()
    return shared_form(load(node), node)


def make_r_table():
    """A data frame as R's side writes it."""
    w = Writer()
    names = ["int", "int_na", "lgl", "lgl_na", "dbl", "chr", "chr_na", "unique", "factor", "date", "time", "difftime"]
    at = w.table(0, len(names), ROWS)
    array(w, at, np.array(cycle(1, 2, 3), "i4"))
    array(w, at + 1, np.array(cycle(1, NA, 3), "i4"))
    array(w, at + 2, np.array(cycle(1, 0), "i4"), f.LOGICAL32)
    array(w, at + 3, np.array(cycle(1, 0, NA), "i4"), f.LOGICAL32)
    array(w, at + 4, np.array(cycle(1.5, np.nan)))
    w.strings(at + 5, cycle("a longer carrier", "DL", "UA"))
    w.strings(at + 6, cycle("a longer carrier", None, "DL"))
    w.strings(at + 7, [f"row {i}" for i in range(ROWS)])
    codes = np.array(cycle(2, 1, NA), "i4")
    w.keep(codes)
    w.strings(w.categorical(at + 8, f.INT32, ROWS, address_of(codes), 1, False), ["low", "high"])
    array(w, at + 9, np.array(cycle(0.0, 19723.0, np.nan)), semantic=f.DATE, unit="D")
    array(w, at + 10, np.array(cycle(0.25, 1704067200.5, np.nan)), semantic=f.TIMESTAMP, unit="s")
    attribute(w, at + 10, tzone=["America/New_York"])
    array(w, at + 11, np.array(cycle(1.5, 2.0)), semantic=f.TIMESPAN, unit="m")
    attribute(w, 0, names=names)
    return published(w)


def test_types():
    r_table = make_r_table()
    assert {name: str(dtype) for name, dtype in r_table.dtypes.items()} == {
        "int": "int32", "int_na": "Int32", "lgl": "bool", "lgl_na": "boolean", "dbl": "float64", "chr": "str",
        "chr_na": "str", "unique": "str", "factor": "category", "date": "datetime64[s]",
        "time": "datetime64[us, America/New_York]", "difftime": "timedelta64[us]",
    }  # fmt: skip


def test_values():
    r_table = make_r_table()
    first = r_table.head(3)
    assert first["int_na"].tolist() == [1, pd.NA, 3]
    assert first["lgl"].tolist() == [True, False, True]
    assert first["lgl_na"].tolist() == [True, False, pd.NA]
    assert first["chr"].tolist() == ["a longer carrier", "DL", "UA"]
    assert first["chr_na"].isna().tolist() == [False, True, False]
    assert r_table["unique"].tolist() == [f"row {i}" for i in range(ROWS)]
    assert first["factor"].tolist()[:2] == ["high", "low"] and pd.isna(first["factor"][2])
    assert list(r_table["factor"].cat.categories) == ["low", "high"]
    assert first["date"].tolist() == [pd.Timestamp(0), pd.Timestamp("2024-01-01"), pd.NaT]
    assert first["time"][1] == pd.Timestamp("2023-12-31 19:00:00.5", tz="America/New_York")
    assert pd.isna(first["time"][2])
    assert first["difftime"].tolist()[:2] == [pd.Timedelta(minutes=1.5), pd.Timedelta(minutes=2)]


def test_numbers_and_strings_are_in_place():
    r_table = make_r_table()
    assert onecopy.is_shared(r_table)
    for name in ("int", "dbl"):
        assert onecopy.is_shared(r_table[name].to_numpy())
    coded = r_table["chr"].array
    assert coded.is_late  # no full strings were made
    assert r_table.groupby("chr")["int"].sum().to_dict() == {"DL": 400, "UA": 600, "a longer carrier": 200}
    assert (r_table["chr"] == "DL").sum() == 200
    assert coded.is_late


@pytest.mark.parametrize("name", ["chr", "chr_na"])
def test_coded_strings_behave_as_pandas_strings(name):
    r_table = make_r_table()
    coded = r_table[name]
    plain = pd.Series(coded.tolist(), name=name, dtype="str")
    same = pd.testing.assert_series_equal
    same(coded, plain)
    same(coded == "DL", plain == "DL")
    same(coded != "DL", plain != "DL")
    same(coded > "DL", plain > "DL")
    same(coded == plain, plain == plain)
    same(coded.isin(["DL", None]), plain.isin(["DL", None]))
    same(coded.isin(["DL", "UA"]), plain.isin(["DL", "UA"]))
    same(coded.isna(), plain.isna())
    same(coded[5:9], plain[5:9])
    same(coded[::-3], plain[::-3])
    same(coded[coded == "DL"], plain[plain == "DL"])
    same(coded.take([3, 1, -1]), plain.take([3, 1, -1]))
    same(coded.reindex([1, 1000]), plain.reindex([1, 1000]))
    same(coded.value_counts(), plain.value_counts())
    same(coded.sort_values(kind="stable"), plain.sort_values(kind="stable"))
    same(coded.str.upper(), plain.str.upper())
    same(coded + "x", plain + "x")
    same(coded.fillna("none"), plain.fillna("none"))
    same(coded.shift(), plain.shift())
    same(coded.drop_duplicates(), plain.drop_duplicates())
    same(pd.concat([coded, plain]), pd.concat([plain, plain]))
    same(coded.map(len, na_action="ignore"), plain.map(len, na_action="ignore"))
    assert list(coded.unique()[:1]) == list(plain.unique()[:1]) and coded.nunique() == plain.nunique()
    assert coded.iloc[0] == plain.iloc[0] and len(coded) == ROWS


@pytest.mark.parametrize("name", ["chr", "chr_na"])
def test_coded_strings_in_frames(name):
    r_table = make_r_table()
    coded = onecopy.attach(onecopy.handle(r_table))[name]
    assert pickle.loads(pickle.dumps(coded)).array.is_late
    plain = pd.Series(coded.tolist(), name=name, dtype="str")
    frame, other = coded.to_frame().assign(v=1), plain.to_frame().assign(v=1)
    same = pd.testing.assert_series_equal
    for dropna in (True, False):
        same(frame.groupby(name, dropna=dropna)["v"].sum(), other.groupby(name, dropna=dropna)["v"].sum())
    unique = other.drop_duplicates()
    pd.testing.assert_frame_equal(frame.merge(unique, on=name), other.merge(unique, on=name))
    changed = coded.copy()
    changed.iloc[0] = "new"
    assert changed.iloc[0] == "new" and coded.iloc[0] == plain.iloc[0]
    for one in (coded, coded[3:50]):
        same(pickle.loads(pickle.dumps(one)), plain[one.index[0] : one.index[-1] + 1])
    same(onecopy.share(coded), plain)
    same(onecopy.unshare(coded), plain)


def test_the_table_travels_as_a_handle():
    r_table = make_r_table()
    assert len(pickle.dumps(r_table)) <= 200
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(r_table)), r_table)
    assert onecopy.attach(onecopy.handle(r_table), tables="pyarrow").num_rows == ROWS
    assert onecopy.attach(onecopy.handle(r_table), tables="polars")["chr"].to_list() == r_table["chr"].tolist()


def test_lists_vectors_and_attributes():
    w = Writer()
    at = w.list(0, 5, f.FORM_LIST)
    array(w, at, np.array([1, 0, NA], "i4"), f.LOGICAL32)
    w.strings(at + 1, ["one"])
    w.strings(at + 2, ["a", None, "c"])
    matrix = np.arange(6.0)
    w.keep(matrix)
    w.array(at + 3, f.FLOAT64, [2, 3], 6, False, True, address_of(matrix))
    w.null(at + 4)
    attribute(w, 0, names=["lgl", "scalar", "chr", "matrix", "null"])
    got = published(w)
    assert list(got) == ["lgl", "scalar", "chr", "matrix", "null"]
    assert got["lgl"].tolist() == [1, 0, NA]  # arrays show what lies there
    assert got["scalar"] == "one" and got["null"] is None
    assert got["chr"].tolist() == ["a", None, "c"]
    assert got["matrix"].tolist() == [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]] and got["matrix"].flags.f_contiguous


def test_repeated_names_lose_nothing():
    w = Writer()
    at = w.list(0, 2, f.FORM_LIST)
    w.strings(at, ["x"])
    w.strings(at + 1, ["y"])
    attribute(w, 0, names=["same", "same"])
    assert published(w) == [("same", "x"), ("same", "y")]


def test_what_only_r_understands_comes_as_opaque():
    w = Writer()
    data = np.frombuffer(b"X\n\0", "u1")
    w.keep(data)
    w.opaque(0, "r-serialize", address_of(data), 3)
    got = published(w)
    assert got == onecopy.Opaque("r-serialize", b"X\n\0")
    assert onecopy.share([got, 1])[0] == got
