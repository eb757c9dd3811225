"""onecopy top, and lazy objects in onecopy ls."""

import subprocess
import time

import pytest
from conftest import TOOL, end


@pytest.fixture(scope="module")
def lazy(tmp_path_factory):
    import shutil
    import tempfile

    from conftest import Tool

    store = tempfile.mkdtemp(prefix="onecopy-cli-", dir="/dev/shm")
    tool = Tool(store)
    tool.environment["ONECOPY_LAZY_BUDGET"] = "64M"
    program = tool.share("--lazy")
    yield tool
    end(program)
    shutil.rmtree(store, ignore_errors=True)


def test_json_tells_each_object_and_the_budget(lazy):
    seen = lazy.json("top")
    assert seen["store"] == lazy.store
    assert seen["shared"] == {"objects": 0, "bytes": 0, "saved_bytes": 0}
    large, small = seen["lazy"]
    assert (large["type"], large["elements"], large["bytes"], large["source"]) == (
        "float64", 10_000_000, 80_000_000, "sequence")  # fmt: skip
    # Three touches far from each other fill three chunks of 64 KiB, the last one being shorter.
    assert large["fills"] == 3
    assert 2 * 65536 < large["resident"] <= 3 * 65536
    assert (small["type"], small["resident"], small["fills"], small["failures"]) == ("int32", 0, 0, 0)
    pager = seen["pager"]
    assert pager["budget"] == 64 << 20
    assert pager["resident"] == large["resident"] <= pager["peak_resident"]
    assert pager["fills"] == 3 and pager["evictions"] == 0 and pager["process"] > 1


def test_once_is_a_table(lazy):
    text = lazy.out("top", "--once")
    assert "budget of 64.0 MiB" in text
    rows = [line.split() for line in text.splitlines()]
    head = next(i for i, row in enumerate(rows) if row[:2] == ["ID", "TYPE"])
    assert len(rows) == head + 3
    assert rows[head + 1][1:4] == ["float64", "10,000,000", "76.3"]
    assert rows[head + 2][1:3] == ["int32", "1,000,000"]


def test_live_shows_what_happens_each_second(lazy):
    text = lazy.out("top", "--interval", "0.05", "--times", "3")
    assert text.count("budget of") == 3
    assert "(0/s)" in text.split("budget of")[2]


def test_live_goes_on_until_it_is_stopped(lazy):
    program = subprocess.Popen([TOOL, "top", "-i", "0.05"], env=lazy.environment, stdout=subprocess.PIPE)
    try:
        for _ in range(40):
            assert program.stdout.readline()
        assert program.poll() is None
        program.stdout.close()  # as `| head` does
        program.wait(timeout=30)
    finally:
        program.kill()
        program.wait()


def test_ls_has_the_lazy_objects_too(lazy):
    text = lazy.out("ls")
    assert "2 lazy objects, " in text and "sequence" in text
    rows = lazy.json("ls")
    assert sorted(row["lazy"]["type"] for row in rows) == ["float64", "int32"]
    assert {row["id"] for row in rows} == {row["id"] for row in lazy.json("top")["lazy"]}
    assert all(row["handle"].endswith(row["id"]) for row in rows)
    assert lazy.out("ls", "-q") == ""


def test_evictions_are_counted_and_the_budget_holds(empty):
    empty.environment["ONECOPY_LAZY_BUDGET"] = "8M"
    program = empty.share("--lazy-large", 32)
    seen = empty.json("top")
    assert seen["pager"]["budget"] == 8 << 20 >= seen["pager"]["peak_resident"]
    (large,) = seen["lazy"]
    assert large["fills"] >= 32 * 16 and large["evictions"] >= 24 * 16
    assert 0 < large["resident"] <= 8 << 20
    assert seen["pager"]["evictions"] == large["evictions"]
    assert f"{large['fills']:,}" in empty.out("top", "--once")
    end(program)


def test_a_file_in_place_is_shown_without_fills(empty, tmp_path):
    file = tmp_path / "numbers"
    file.write_bytes(bytes(80_000))
    program = empty.share("--lazy-file", file)
    (one,) = empty.json("top")["lazy"]
    assert one["in_place"] and one["source"] == "file" and one["fills"] == 0
    assert one["bytes"] == one["resident"] == 80_000  # just written, so in the page cache
    assert "file, in place" in empty.out("ls") and "file, in place" in empty.out("top", "--once")
    end(program)


def test_a_store_without_lazy_objects_starts_no_pager(empty):
    seen = empty.json("top")
    assert seen["lazy"] == [] and seen["pager"] is None
    assert "no lazy objects" in empty.out("top", "--once")
    assert "lazy" not in empty.out("ls")


def test_shared_objects_are_counted(empty):
    program = empty.share("--many", 5)
    assert empty.json("top")["shared"]["objects"] == 5
    end(program)


def test_objects_go_away_with_their_holder(empty):
    end(empty.share("--lazy"))
    deadline = time.monotonic() + 60
    while empty.json("ls"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("wrong", [["--interval", "0"], ["--interval", "soon"], ["--times", "-1"], ["x"]])
def test_a_wrong_command_line(empty, wrong):
    assert empty.error("top", *wrong, check=2)


def test_help_says_what_the_columns_mean(empty):
    text = empty.out("top", "--help")
    for word in ("IN MEMORY", "EVICTIONS", "SPILLED", "--json", "--once"):
        assert word in text
