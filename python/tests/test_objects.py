"""Objects that are neither arrays nor tables, and arrays of the less usual dtypes: there and back as they were."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pickle
import threading
import uuid
from typing import Any

import numpy as np
import pytest

import onecopy

BIG = np.arange(50_000.0)
Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Run:
    name: str
    samples: np.ndarray
    when: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    samples: np.ndarray
    tags: tuple[str, ...]


class Colour(enum.Enum):
    RED = 1


class Plain:
    def __init__(self) -> None:
        self.samples = BIG
        self.label = "x"


def there_and_back(value: Any) -> Any:
    return pickle.loads(pickle.dumps(onecopy.share(value)))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3000, dtype=[("a", "i4"), ("b", "f8", (2,)), ("c", "S3"), ("d", [("e", "u2")])]),
        np.rec.fromarrays([np.arange(1000), np.arange(1000) / 2], names="n,half"),
        np.array([b"a", b"bc"] * 1000),
        np.array(["\u00e9", "bc"] * 1000),
        np.array(["a", "bcd", ""] * 1000, dtype=np.dtypes.StringDType()),
        np.array(["2024-02-29", "NaT"] * 1000, dtype="M8[s]"),
        np.arange(2000).astype("m8[ms]"),
        np.arange(2000, dtype="f2"),
        np.array(5.0),
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(60_000.0).reshape(30, 40, 50)),
        np.arange(50_000.0)[::-3],
    ],
    ids=lambda array: f"{array.dtype.name}-{array.ndim}d",
)
def test_arrays(array):
    back = there_and_back(array)
    assert back.dtype == array.dtype and back.shape == array.shape
    assert np.array_equal(back, array, equal_nan=array.dtype.kind in "fMm")


def test_the_other_byte_order_becomes_this_machines():
    back = there_and_back(np.arange(2000, dtype=">i4"))
    assert back.dtype == np.dtype("i4") and (back == np.arange(2000)).all()


def test_strings_that_may_be_missing():
    array = np.array(["a", None, "c"] * 1000, dtype=np.dtypes.StringDType(na_object=None))
    back = there_and_back(array)
    assert back.dtype == array.dtype and back.tolist() == array.tolist()


def test_dataclasses_keep_their_type_and_share_their_arrays():
    back = there_and_back(Run("first", BIG, datetime.datetime(2024, 2, 29)))
    assert type(back) is Run and back.name == "first" and back.when == datetime.datetime(2024, 2, 29)
    assert onecopy.is_shared(back.samples) and (back.samples == BIG).all()
    frozen = there_and_back(Frozen(BIG, ("a", "b")))
    assert type(frozen) is Frozen and frozen.tags == ("a", "b") and onecopy.is_shared(frozen.samples)


def test_named_tuples_keep_their_type():
    back = there_and_back(Point(BIG, 2))
    assert type(back) is Point and back.y == 2 and onecopy.is_shared(back.x)


@pytest.mark.parametrize(
    "value",
    [
        decimal.Decimal("1.250"),
        fractions.Fraction(1, 3),
        uuid.UUID(int=7),
        Colour.RED,
        datetime.date(2024, 2, 29),
        datetime.timedelta(days=1, microseconds=3),
        datetime.time(3, 4),
        datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
        1 + 2j,
        2**100,
        -(2**63),
        float("inf"),
        True,
        None,
        b"bytes\0and nul",
        bytearray(b"12"),
        "",
        "\u00e9\U0001f600",
        range(3),
        (),
        [],
        {},
        frozenset({1, "x"}),
    ],
    ids=repr,
)
def test_small_values_travel_in_containers(value):
    back = there_and_back([value, BIG])
    assert back[0] == value and type(back[0]) is type(value)
    assert onecopy.is_shared(back[1])


def test_sets_and_mappings_with_other_keys():
    assert there_and_back({1, 2, "x"}) == {1, 2, "x"}
    back = there_and_back({1: BIG, (2, 3): "x", None: [1, {"deep": BIG}]})
    assert set(back) == {1, (2, 3), None}
    assert onecopy.is_shared(back[1]) and onecopy.is_shared(back[None][1]["deep"])


def test_an_object_of_a_users_class_travels_whole():
    back = there_and_back([Plain(), "beside"])
    assert type(back[0]) is Plain and back[0].label == "x" and (back[0].samples == BIG).all()
    assert back[1] == "beside"


def test_what_cannot_be_pickled_is_named():
    before = len(onecopy.ls())
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError)) as refused:
        onecopy.share([1, threading.Lock()])
    assert "lock" in str(refused.value)
    assert len(onecopy.ls()) == before


@pytest.mark.parametrize("cut", [np.s_[10:20], np.s_[::2], np.s_[::-1], np.s_[7], np.s_[None, 5:9]], ids=str)
def test_a_slice_travels_as_the_whole_and_where_it_lies(cut):
    shared = onecopy.share(BIG.reshape(100, 500))
    part = shared[cut]
    sent = pickle.dumps(part)
    assert len(sent) < 400
    back = pickle.loads(sent)
    assert np.array_equal(back, part) and onecopy.is_shared(back)
    assert np.shares_memory(back, shared)
