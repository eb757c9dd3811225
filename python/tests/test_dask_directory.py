"""Who is asked for an object on a cluster."""

from __future__ import annotations

import pytest

pytest.importorskip("distributed", reason="Dask's distributed is not installed")

from onecopy._dask_directory import Directory


def cluster(hosts: int, depots: int = 1, at_once: int = 2) -> Directory:
    known = Directory(at_once)
    for host in range(hosts):
        for depot in range(depots):
            known.join(f"d{host}.{depot}", f"s{host}", f"w{host}.{depot}")
    return known


def test_a_fresh_object_is_where_its_handle_says():
    known = cluster(3, depots=2)
    assert known.source("x", "s1", "d0.0", [], 0.0)[0] in ("d1.0", "d1.1")
    assert known.source("x", "nowhere", "d0.0", [], 0.0) == (None, False)
    assert known.source("x", "s0", "d0.1", [], 0.0) == (None, False), "not from its own store"


def test_nobody_serves_more_than_a_few_at_once():
    known = cluster(5)
    assert known.source("x", "s0", "d1.0", [], 0.0)[0] == known.source("x", "s0", "d2.0", [], 0.0)[0] == "d0.0"
    assert known.source("x", "s0", "d3.0", [], 0.0) == (None, True), "waiting makes sense"
    assert known.source("x", "s0", "d3.0", [], 0.0, any_load=True)[0] == "d0.0", "but not for ever"


def test_copies_serve_as_well():
    known = cluster(64)
    brought, rounds, waiting = {0}, 0, set(range(1, 64))
    while waiting:
        rounds += 1
        began = [(n, known.source("x", "s0", f"d{n}.0", [], 0.0)[0]) for n in sorted(waiting)]
        for number, source in began:
            if source is not None:
                assert int(source[1:].split(".")[0]) in brought
                known.has("x", f"d{number}.0")
                waiting.discard(number)
        brought = set(range(64)) - waiting
    assert rounds == 4, "1, 3, 9, 27, 81 hosts have it"
    assert not known.fetches


def test_a_source_that_fails_is_left_out():
    known = cluster(2, depots=2)
    known.has("x", "d1.0")
    known.join("d2", "s2", "w2")
    seen: list[str] = []
    for _ in range(4):
        source = known.source("x", "s0", "d2", seen, 0.0)[0]
        assert source is not None
        known.has_not("x", "d2", source, gone=False)
        seen.append(source)
    assert sorted(seen) == ["d0.0", "d0.1", "d1.0", "d1.1"]
    assert known.source("x", "s0", "d2", seen, 0.0) == (None, False)
    assert not known.fetches


def test_copies_that_are_gone_are_forgotten():
    known = cluster(3)
    known.has("x", "d1.0")
    assert known.source("x", "s0", "d2.0", [], 0.0)[0] == "d1.0"
    known.has_not("x", "d2.0", "d1.0", gone=True)
    assert known.source("x", "s0", "d2.0", [], 0.0)[0] == "d0.0"


def test_workers_that_leave_take_their_entries_along():
    known = cluster(2, depots=2)
    known.has("x", "d1.0")
    known.source("y", "s0", "d1.0", [], 0.0)
    known.leave("w1.0")
    assert not known.fetches and known.copies == {"x": {"s1"}}, "another worker reads that store"
    known.leave("w1.1")
    assert not known.copies and not known.knows("s1")
    known.leave("w1.1")


def test_fetches_nobody_reports_on_do_not_block_for_ever():
    known = cluster(4)
    known.source("x", "s0", "d1.0", [], 0.0)
    known.source("x", "s0", "d2.0", [], 0.0)
    assert known.source("x", "s0", "d3.0", [], 100.0) == (None, True)
    assert known.source("x", "s0", "d3.0", [], 10_000.0)[0] == "d0.0"
