"""info, cat and verify: looking into objects."""

import csv
import io
import json
import struct
import subprocess

import pytest
from conftest import TOOL


def rows(text):
    return list(csv.reader(io.StringIO(text)))


def test_a_table_is_csv(tool):
    printed = rows(tool.out("cat", "table"))
    assert printed[0] == ["number", "integer", "truth", "text", "instant", "day", "level", "nano"]
    assert printed[1] == ["1.5", "1", "true", "plain", "2013-01-01T10:00:00Z", "2013-01-01", "low",
                          "1970-01-01T00:00:00.000000001Z"]
    assert printed[2][:5] == ["", "", "false", 'comma, "quote"', "2013-01-01T10:00:00.25Z"]
    assert printed[3] == ["NaN", "3", "", "", "", "1969-12-31", "", ""]
    assert printed[4][0] == "-Inf" and printed[4][3] == ""
    assert len(printed) == 5


def test_missing_and_empty_text_differ(tool):
    lines = tool.out("cat", "table").splitlines()
    assert lines[3].split(",")[3] == '""' and lines[4].split(",")[3] == ""
    assert tool.out("cat", "table", "--at", "number", "--na", "NA").split() == ["1.5", "NA", "NaN", "-Inf"]


def test_head_and_header(tool):
    assert len(rows(tool.out("cat", "table", "--head", "2"))) == 3
    assert len(rows(tool.out("cat", "table", "-n", "2", "--no-header"))) == 2
    assert len(rows(tool.out("cat", "table", "--head", "0"))) == 1
    assert len(rows(tool.out("cat", "table", "--head", "99"))) == 5
    assert tool.out("cat", "words", "--head", "2") == "one\nzwei\n"


def test_a_table_as_json(tool):
    first, second, third, fourth = tool.json("cat", "table")
    assert first["number"] == 1.5 and first["truth"] is True and first["level"] == "low"
    assert second["number"] is None and second["integer"] is None and second["text"] == 'comma, "quote"'
    assert third["number"] == "NaN" and third["text"] == "" and third["level"] is None and third["nano"] is None
    assert fourth["number"] == "-Infinity" and fourth["text"] is None


def test_matrices(tool):
    assert rows(tool.out("cat", "matrix")) == [["", "a", "b", "c"], ["r1", "1", "3", "5"], ["r2", "2", "4", "6"]]
    assert tool.json("cat", "matrix") == [[1, 3, 5], [2, 4, 6]]
    assert tool.out("cat", "rowmajor") == "1,2,3\n4,5,6\n"
    assert tool.json("cat", "cube") == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert json.loads(tool.out("cat", "cube")) == tool.json("cat", "cube")


def test_nested(tool):
    nested = json.loads(tool.out("cat", "nested"))
    assert nested == {
        "answer": 42,
        "inner": {"words": ["deep", "text"], "nothing": None},
        "odd": {"opaque": "python-pickle", "bytes": 7},
        "complex": [[1, -2]],
    }
    assert tool.out("cat", "nested", "--at", "inner/words") == "deep\ntext\n"
    assert tool.out("cat", "nested", "--at", "1/0") == "deep\ntext\n"
    assert tool.out("cat", "nested", "--at", "complex") == "1-2i\n"
    assert tool.out("cat", "nested", "--at", "odd", "--raw") == "pickled"
    assert tool.out("cat", "null") == "null\n"


def test_records(tool):
    assert rows(tool.out("cat", "records")) == [["x", "y", "weight"], ["1", "2", "[0.5,1]"], ["3", "4", "[2,4]"]]
    assert tool.json("cat", "records")[1] == {"x": 3, "y": 4, "weight": [2, 4]}


def test_raw_bytes(tool):
    assert tool("cat", "cube", "--raw").stdout == bytes(range(8))
    assert tool("cat", "counter", "--raw").stdout == struct.pack("<1000d", 1, *[0] * 999)
    assert "not one run of bytes" in tool.error("cat", "table", "--raw")
    assert "--raw" in tool.error("cat", "cube", "--raw", "--json", check=2)


def test_files_are_read_like_objects(tool):
    assert tool.out("cat", tool.file) == tool.out("cat", "table")
    about = tool.json("info", tool.file)
    assert about["backing"] == "file" and about["handle"] is None and about["path"] == str(tool.file)


def test_every_way_to_name_an_object(tool):
    entry = next(e for e in tool.json("ls") if e["name"] == "words")
    for what in ("words", entry["id"], entry["id"].upper(), entry["handle"], entry["handle"] + "/0", entry["id"][:12]):
        assert tool.out("cat", what) == "one\nzwei\nтри\n"


def test_info(tool):
    about = tool.json("info", "table")
    assert about["name"] == "table" and about["holders"] == 1 and about["backing"] == "store"
    tree = about["tree"]
    assert tree["kind"] == "table" and tree["rows"] == 4
    assert [c["name"] for c in tree["children"]][:3] == ["number", "integer", "truth"]
    assert tree["children"][4]["semantic"] == "timestamp" and tree["children"][4]["unit"] == "second"
    text = tool.out("info", "table")
    assert about["id"] in text and about["handle"] in text and "4 x 8" in text
    assert tool.json("info", "nested", "--depth", "0")["tree"].get("children") is None
    assert len(tool.json("info", "table", "--children", "3")["tree"]["children"]) == 3
    assert tool.json("info", "matrix")["tree"]["attributes"]["dimnames"]["kind"] == "list"


def test_looking_leaves_nothing_behind(tool):
    before = tool.json("ls")
    tool.out("cat", "table")
    tool.out("info", "table")
    tool.out("verify", "table")
    assert tool.json("ls") == before


def test_verify(tool, tmp_path):
    assert "whole" in tool.out("verify", tool.file, "words")
    data = tool.file.read_bytes()
    damaged = {
        "short.onecopy": data[:100],
        "cut.onecopy": data[: len(data) // 2],
        "magic.onecopy": b"X" + data[1:],
        "text.onecopy": b"this is no region at all" * 20,
        "empty.onecopy": b"",
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        assert name in tool.error("verify", tmp_path / name)
        assert tool.error("cat", tmp_path / name)
        assert tool.error("info", tmp_path / name)
    results = json.loads(tool("verify", "--json", tool.file, tmp_path / "cut.onecopy", check=1).stdout)
    assert [r["ok"] for r in results] == [True, False] and results[1]["kind"] == "corrupt"


@pytest.mark.parametrize("position", range(0, 1800, 37))
def test_a_flipped_byte_never_crashes_the_tool(tool, tmp_path, position):
    data = bytearray(tool.file.read_bytes())
    data[position] ^= 0xFF
    (tmp_path / "bad.onecopy").write_bytes(data)
    for verb in ("verify", "cat", "info"):
        done = subprocess.run([TOOL, verb, tmp_path / "bad.onecopy"], env=tool.environment, capture_output=True, timeout=60)
        assert done.returncode in (0, 1), (verb, done)
        assert done.returncode == 0 or done.stderr


def test_a_pipe_that_closes_early(tool):
    done = subprocess.run(f"'{TOOL}' cat counter | head -n 1", shell=True, env=tool.environment, capture_output=True)
    assert done.stdout == b"1\n" and done.stderr == b""


def test_a_full_disk_is_an_error(tool):
    with open("/dev/full", "w") as full:
        done = subprocess.run([TOOL, "cat", "counter"], env=tool.environment, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and b"write" in done.stderr
