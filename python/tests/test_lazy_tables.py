"""Lazy columns of files: CSV, Parquet, lines, compressed numbers; also damaged ones."""

from __future__ import annotations

import bz2
import multiprocessing
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pa_csv = pytest.importorskip("pyarrow.csv")
pq = pytest.importorskip("pyarrow.parquet")

WORDS = ["plain", "comma, and", 'a "quote"', "two\nlines", "", "Grüße", "日本", "x" * 50]


def table(rows: int) -> Any:
    """Of every type, with something missing in some."""
    i = np.arange(rows)
    text = pd.array([None if k % 11 == 3 else WORDS[k % len(WORDS)] for k in i], dtype="str")
    return pd.DataFrame({
        "number": i * 0.25 - 3, "whole": i * 7 - 100, "holes": np.where(i % 5 == 0, np.nan, i),
        "truth": i % 3 == 0, "when": np.datetime64("2020-01-01T10:00:00", "s") + i * np.timedelta64(61, "s"),
        "word": text, "mixed": [str(k) if k < rows - 3 else "end" for k in i],
    })  # fmt: skip


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    frame = table(60_000)
    path = tmp_path_factory.mktemp("csv") / "all.csv"
    pa_csv.write_csv(pa.Table.from_pandas(frame), path)
    assert path.stat().st_size > 3 << 20, "several blocks"
    return path, frame


def test_csv_is_what_pandas_reads(csv: tuple[Path, Any]) -> None:
    path, wanted = csv
    seen: list[tuple[int, int]] = []
    columns = onecopy.lazy_csv(path, frame=False, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (path.stat().st_size,) * 2 and len(seen) > 3
    for name in ("number", "whole", "holes", "truth", "when"):
        assert columns[name].counters.fills == 0, "nothing is read before it is touched"
        assert columns[name].dtype == wanted[name].to_numpy().dtype
        assert np.array_equal(columns[name], wanted[name].to_numpy(), equal_nan=name in ("number", "holes"))
    for name in ("word", "mixed"):
        plain = [None if value is np.nan or value is pd.NA else value for value in wanted[name].tolist()]
        plain = [None if isinstance(v, float) else v for v in plain]
        assert columns[name].tolist() == plain
        assert columns[name][12_345] == plain[12_345] and columns[name][-1] == plain[-1]
        assert (columns[name] == "Grüße").sum() == plain.count("Grüße")
    assert columns["whole"][40_000] == 40_000 * 7 - 100


def test_csv_as_a_frame(csv: tuple[Path, Any]) -> None:
    path, wanted = csv
    frame = onecopy.lazy_csv(path)
    assert list(frame.columns) == list(wanted.columns) and len(frame) == len(wanted)
    assert frame["number"].sum() == wanted["number"].sum()
    assert frame.iloc[31_415]["word"] == wanted.iloc[31_415]["word"]
    pd.testing.assert_frame_equal(frame.iloc[20_000:20_050], wanted.iloc[20_000:20_050])
    pd.testing.assert_frame_equal(frame[frame["whole"] > 419_000], wanted[wanted["whole"] > 419_000])
    by = frame[["word", "number"]].groupby("word")["number"].sum()
    pd.testing.assert_series_equal(by, wanted.groupby("word")["number"].sum())
    frame = onecopy.lazy_csv(path)
    copied: list[Any] = []
    onecopy.report_copies(1, lambda *about: copied.append(about))
    sent = pickle.dumps(frame)
    onecopy.report_copies(0)
    assert len(sent) < 20_000 and not copied, "its columns go as handles"
    assert frame["word"].array.is_late and pickle.loads(pickle.dumps(frame["word"])).array.is_late, "none was read"
    again = pickle.loads(sent)
    assert again["holes"].isna().sum() == wanted["holes"].isna().sum() and again["word"].iloc[5] == "Grüße"
    assert onecopy.is_shared(frame)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(mean_of_number, [frame, frame]) == [wanted["number"].mean()] * 2


def mean_of_number(frame: Any) -> float:
    return float(frame["number"].mean())


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_in_other_dialects(tmp_path: Path) -> None:
    at = tmp_path / "x.csv"
    write(at, b"\xef\xbb\xbfa;b\r\n1;'x;y'\r\n2;'it''s'\r\n")
    got = onecopy.lazy_csv(at, delimiter=";", quote="'", frame=False)
    assert got["a"].tolist() == [1, 2] and got["b"].tolist() == ["x;y", "it's"]
    write(at, "1,2\n3,4")
    got = onecopy.lazy_csv(at, header=False, frame=False)
    assert {name: c.tolist() for name, c in got.items()} == {"f0": [1, 3], "f1": [2, 4]}
    write(at, "name\nJos\u00e9\n".encode("latin-1"))
    assert onecopy.lazy_csv(at, encoding="latin-1", frame=False)["name"].tolist() == ["José"]
    write(at, "a,a,a\n1,2,3\n")
    assert list(onecopy.lazy_csv(at, frame=False)) == ["a", "a.1", "a.2"]
    write(at, "a,b\n007,x\n008,y\n")
    got = onecopy.lazy_csv(at, dtypes={"a": "str"}, columns=["a"], frame=False)
    assert list(got) == ["a"] and got["a"].tolist() == ["007", "008"]
    write(at, "a,b\n")
    assert len(onecopy.lazy_csv(at)) == 0
    write(at, 'a,b\n"",\n')
    assert [c.tolist() for c in onecopy.lazy_csv(at, dtypes={"b": "str"}, frame=False).values()] == [[""], [None]]


def test_csv_bad_rows_are_told_with_their_lines(tmp_path: Path) -> None:
    lines = ["a,b", *[f'{k},"two\nlines"' for k in range(5)], "9", *[f"{k},x" for k in range(40_000)], "1,2,3"]
    at = write(tmp_path / "bad.csv", "\n".join(lines) + "\n")
    with pytest.raises(onecopy.Corrupt, match=r"2 rows .* line 12: 1 fields, not 2; line 40013: 3 fields, not 2"):
        onecopy.lazy_csv(at)
    with pytest.warns(UserWarning, match="left out 2 rows"):
        got = onecopy.lazy_csv(at, bad_rows="skip", frame=False)
    assert got["a"].tolist() == [*range(5), *range(40_000)]


def test_csv_that_makes_no_sense(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", "a,b\n1,2\n3,x\n")
    with pytest.raises(onecopy.Corrupt, match=r"'x' in column 'b', row 2"):
        onecopy.lazy_csv(good, dtypes={"b": "f8"})
    with pytest.raises(onecopy.NotFound, match="none"):
        onecopy.lazy_csv(tmp_path / "none.csv")
    with pytest.raises(onecopy.InvalidArgument, match="nothing in it"):
        onecopy.lazy_csv(write(tmp_path / "empty.csv", ""))
    with pytest.raises(onecopy.Corrupt, match="not UTF-8"):
        onecopy.lazy_csv(write(tmp_path / "bytes.csv", b"a\n\xff\xfe\n"))
    for wrong in [{"columns": ["z"]}, {"dtypes": {"z": "f8"}}, {"dtypes": {"a": "c16"}}, {"bad_rows": "what"},
                  {"delimiter": ""}, {"delimiter": "::"}, {"quote": "<>"}, {"encoding": "utf-16"},
                  {"encoding": "nonsense"}, {"progress": 3}, {"chunk": 5}]:  # fmt: skip
        with pytest.raises(onecopy.InvalidArgument):
            onecopy.lazy_csv(good, **wrong)


def test_a_file_that_changes_is_an_error(tmp_path: Path) -> None:
    at = write(tmp_path / "x.csv", "a\n" + "1\n" * 50_000)
    column = onecopy.lazy_csv(at, frame=False)["a"]
    assert column[0] == 1
    with at.open("a") as file:
        file.write("2\n")
    with pytest.raises(onecopy.SystemFailure, match="was changed after it was scanned"):
        column.sum()
    os.unlink(at)
    with pytest.raises(onecopy.SystemFailure, match="No such file"):
        column.sum()


@pytest.mark.parametrize("codec", ["snappy", "zstd"])
def test_parquet(tmp_path: Path, codec: str) -> None:
    wanted = table(50_000)
    wanted["code"] = pd.Categorical(wanted["word"].fillna("none"))
    at = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pandas(wanted), at, row_group_size=7_000, compression=codec)
    got = onecopy.lazy_parquet(at, frame=False)
    for name in ("number", "whole", "holes", "truth", "when"):
        assert got[name].counters.fills == 0
        assert np.array_equal(got[name], wanted[name].to_numpy(), equal_nan=name in ("number", "holes"))
    assert got["word"].tolist() == pa.array(wanted["word"]).to_pylist()
    assert got["code"].tolist() == wanted["code"].tolist()
    frame = onecopy.lazy_parquet(at, columns=["whole", "word"])
    pd.testing.assert_frame_equal(frame.iloc[6_990:7_010], wanted[["whole", "word"]].iloc[6_990:7_010])


def test_parquet_that_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(onecopy.NotFound):
        onecopy.lazy_parquet(tmp_path / "none")
    with pytest.raises(onecopy.Corrupt, match="no Parquet file"):
        onecopy.lazy_parquet(write(tmp_path / "x", "a,b\n"))
    at = tmp_path / "lists"
    pq.write_table(pa.table({"a": [[1], [2]], "b": [1, 2]}), at)
    with pytest.raises(onecopy.InvalidArgument, match="'a' is of type list"):
        onecopy.lazy_parquet(at)
    assert onecopy.lazy_parquet(at, columns=["b"])["b"].tolist() == [1, 2]
    with pytest.raises(onecopy.InvalidArgument, match="no column 'z'"):
        onecopy.lazy_parquet(at, columns=["z"])
    pq.write_table(pa.table({"a": pa.array([], pa.int32())}), at)
    assert len(onecopy.lazy_parquet(at)) == 0
    pq.write_table(pa.table({"a": np.arange(100_000)}), at)
    column = onecopy.lazy_parquet(at, frame=False)["a"]
    state = at.stat()
    text = bytearray(at.read_bytes())
    text[100:5000] = os.urandom(4900)
    at.write_bytes(text)
    os.utime(at, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(onecopy.SystemFailure):
        column.sum()


def test_lines(tmp_path: Path) -> None:
    lines = [f"line {k} ü\x0c" * (k % 4) for k in range(30_000)]
    at = write(tmp_path / "lines.txt", "\r\n".join(lines))
    got = onecopy.lazy_lines(at)
    assert len(got) == 30_000 and got[20_001] == lines[20_001]
    assert got.tolist() == lines and list(got[5:9]) == lines[5:9] and got[:3].tolist() == lines[:3]
    assert pickle.loads(pickle.dumps(got))[7] == lines[7]
    assert onecopy.attach(onecopy.handle(got))[9] == lines[9]
    assert onecopy.lazy_lines(write(tmp_path / "none", "")).tolist() == []
    with pytest.raises(IndexError):
        got[30_000]
    with pytest.raises(onecopy.SystemFailure, match="UnicodeDecodeError"):
        onecopy.lazy_lines(write(tmp_path / "bytes", b"\xff\n"))[0]


@pytest.mark.parametrize("kind", ["zst", "bz2"])
def test_compressed(tmp_path: Path, kind: str) -> None:
    plain = np.random.default_rng(1).integers(0, 50, 400_000).astype("f8")
    parts = [plain[:100_000].tobytes(), plain[100_000:].tobytes()]
    if kind == "bz2":
        packed = [bz2.compress(part) for part in parts]
    else:
        zstandard = pytest.importorskip("zstandard")
        packed = [zstandard.ZstdCompressor().compress(part) for part in parts]
    at = write(tmp_path / f"x.{kind}", b"".join(packed))
    x = onecopy.lazy_compressed(at, "f8")
    assert x.size == 400_000 and x.counters.fills == 0
    assert x[300_000] == plain[300_000] and x[150_000] == plain[150_000] and x[1] == plain[1]
    assert np.array_equal(x, plain)
    assert np.array_equal(onecopy.lazy_compressed(at, "f8", (10, 20), offset=8), plain[1:201].reshape(10, 20))
    write(at, packed[0][:-1000])
    with pytest.raises(onecopy.Corrupt, match="cut short"):
        onecopy.lazy_compressed(at, "f8")
    write(at, b"nothing of the kind")
    with pytest.raises(onecopy.Corrupt, match="damaged"):
        onecopy.lazy_compressed(at, "f8")
    with pytest.raises(onecopy.InvalidArgument):
        onecopy.lazy_compressed(at, "f8", compression="rar")
    with pytest.raises(onecopy.NotFound):
        onecopy.lazy_compressed(tmp_path / "none.bz2", "f8")


def test_one_file_read_in_several_ways(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n2,7\n")
    path = tmp_path / "a.csv"
    numbers = onecopy.lazy_csv(path, frame=False)
    texts = onecopy.lazy_csv(path, frame=False, dtypes={"a": "str"})
    some = onecopy.lazy_csv(path, frame=False, missing=["1"])
    bare = onecopy.lazy_csv(path, frame=False, header=False)
    for _ in range(2):
        assert numbers["a"].tolist() == [1, 2] and texts["a"].tolist() == ["1", "2"]
        assert np.isnan(some["a"][0]) and some["a"][1] == 2 and bare["f0"].tolist() == ["a", "1", "2"]
        for x in (numbers["a"], texts["a"].storage, some["a"], bare["f0"].storage):
            x.release()


def words(start: int, end: int) -> list[str | None]:
    return [None if i % 7 == 0 else f"wörd {i}" for i in range(start, end)]


def test_strings_by_a_function() -> None:
    x = onecopy.lazy(str, 10_000_000, words, width=20)
    assert isinstance(x, onecopy.LazyStrings) and len(x) == 10_000_000
    assert x[5_000_001] == "wörd 5000001" and x[7] is None and x.storage.counters.fills == 2
    assert x[10:13].tolist() == ["wörd 10", "wörd 11", "wörd 12"]
    assert pickle.loads(pickle.dumps(x))[8] == "wörd 8" and onecopy.attach(onecopy.handle(x))[9] == "wörd 9"
    letters = onecopy.lazy(str, 5, lambda start, end: np.array(["a", "b", "c", "d", "e"])[start:end])
    assert letters.tolist() == list("abcde")


@pytest.mark.parametrize("function, says", [
    (lambda start, end: ["x" * 100] * (end - start), "string of 100 bytes, and 60 are the most"),
    (lambda start, end: ["x"], "returned 1 texts, not 10"),
    (lambda start, end: [1.5] * (end - start), "(?i)expected|convert"),
    (lambda start, end: None, "(?i)none|iterable|sequence"),
])  # fmt: skip
def test_strings_by_a_function_that_does_the_wrong_thing(function: Any, says: str) -> None:
    with pytest.raises(onecopy.SystemFailure, match=says):
        onecopy.lazy(str, 10, function)[3]


@pytest.mark.parametrize("wrong", [{"width": 0}, {"width": "a"}, {"shape": (2, 3)}, {"mutable": True}, {"populate": 5}])
def test_strings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(onecopy.InvalidArgument):
        onecopy.lazy(**{"dtype": str, "shape": 10, "populate": words, **wrong})
