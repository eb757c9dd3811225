"""Files with damaged bytes: an error of ours or the object, never a crash, whatever the library that reads it."""

from __future__ import annotations

import contextlib
import datetime
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import onecopy

OBJECTS: dict[str, Any] = {
    "frame": pd.DataFrame({"n": np.arange(40.0), "s": ["text", None] * 20, "c": pd.Categorical(["a", "b"] * 20),
                           "t": pd.date_range("2024-01-01", periods=40, tz="Europe/Berlin"),
                           "i": pd.array([1, None] * 20, dtype="Int64")},
                          index=pd.MultiIndex.from_product([range(8), list("abcde")], names=["x", "y"])),
    "arrow": pa.table({"a": [1, None, 3], "l": [[1], None, [2, 3]], "d": pa.array(list("xyx")).dictionary_encode()}),
    "tree": {"a": [np.arange(5), "text", 2**70], "when": datetime.datetime(2024, 1, 1), (1, 2): {"deep": [None, 1.5]}},
    "strings": np.array(["a", "ü", "long enough to lie by itself"] * 5, dtype=np.dtypes.StringDType()),
    "structured": np.zeros(6, [("a", "i4"), ("b", "f8", (2,)), ("c", "S3")]),
}  # fmt: skip


def use(obj: Any) -> None:
    """Reads all of it."""
    if isinstance(obj, pa.Table):
        obj.validate(full=True)
        obj.to_pylist()
    elif isinstance(obj, pd.DataFrame):
        obj.to_dict("list")
        obj.index.to_list()
    elif isinstance(obj, np.ndarray):
        obj.tolist()
    elif isinstance(obj, dict):
        for key, value in obj.items():
            use(key)
            use(value)
    elif isinstance(obj, (list, tuple)):
        for value in obj:
            use(value)
    repr(obj)


@pytest.mark.parametrize("name", list(OBJECTS))
def test_damaged_bytes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "whole"
    onecopy.save(OBJECTS[name], path)
    whole = path.read_bytes()
    chance = random.Random(name)
    refused = 0
    for i in range(250):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 1, 4])):
            at = chance.randrange(len(data))
            data[at] = chance.choice([0, 1, 0xFF, 0x7F, data[at] ^ 1 << chance.randrange(8), chance.randrange(256)])
        if chance.random() < 0.1:
            del data[chance.randrange(len(data)) :]
        damaged = tmp_path / f"damaged{i}"
        damaged.write_bytes(data)
        try:
            opened = onecopy.open(damaged)
        except onecopy.Error:
            refused += 1
        else:
            with contextlib.suppress(Exception):  # a library's own word for times and codes that nobody has heard of
                use(opened)
        damaged.unlink()
    assert refused > 0
    use(onecopy.open(path, allow_pickle=True))


def test_every_byte_of_a_small_file_matters_to_verify(tmp_path: Path) -> None:
    """Whichever byte changes: it is found, or it is one of those that say nothing, and the object is the same."""
    path, damaged = tmp_path / "whole", tmp_path / "damaged"
    onecopy.save({"a": np.arange(3.0), "s": "text"}, path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        damaged.unlink(missing_ok=True)
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        try:
            onecopy.verify(damaged)
        except onecopy.Error:
            continue
        opened = onecopy.open(damaged)
        assert opened["s"] == "text" and opened["a"].tolist() == [0, 1, 2], f"byte {at} changed, and nobody noticed"


def test_nothing_but_a_region_is_opened(tmp_path: Path) -> None:
    contents = {"empty": b"", "text": b"onecopy\n" * 100, "zeros": bytes(8192), "random": os.urandom(8192)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        for look in (onecopy.open, onecopy.verify):
            with pytest.raises(onecopy.Corrupt, match=name):
                look(tmp_path / name)
    with pytest.raises(onecopy.Error):
        onecopy.open(tmp_path)
    with pytest.raises((onecopy.Error, TypeError)):
        onecopy.open(3)  # type: ignore[arg-type]
