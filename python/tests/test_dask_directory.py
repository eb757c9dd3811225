"""Who is asked for an object on a cluster."""

from __future__ import annotations

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("distributed", reason="Dask's distributed is not installed")

from onecopy._hosts.directory import Directory, DirectoryPlugin


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


def test_a_depot_that_closes_is_not_named_again():
    known = cluster(2, depots=2)
    known.close("d0.0")
    known.close("d0.0")
    assert known.source("x", "s0", "d1.0", [], 0.0)[0] == "d0.1"


def test_fetches_nobody_reports_on_do_not_block_for_ever():
    known = cluster(4)
    known.source("x", "s0", "d1.0", [], 0.0)
    known.source("x", "s0", "d2.0", [], 0.0)
    assert known.source("x", "s0", "d3.0", [], 100.0) == (None, True)
    assert known.source("x", "s0", "d3.0", [], 10_000.0)[0] == "d0.0"


def test_ten_thousand_hosts_that_ask_at_once_need_few_questions():
    """With a look through all copies or fetches for each question this would take hours."""
    known, hosts = cluster(10_000), 10_000
    waiting, fetching, questions = deque(range(1, hosts)), deque(), 0
    for number in range(1, hosts):
        questions += 1
        if known.source("x", "s0", f"d{number}.0", [], 0.0)[0] is not None:
            waiting.popleft()
            fetching.append(number)
    while fetching:
        known.has("x", f"d{fetching.popleft()}.0")
        for _ in range(min(3, len(waiting))):  # two whom the new copy serves, one whom its source serves next
            questions += 1
            number = waiting.popleft()
            assert known.source("x", "s0", f"d{number}.0", [], 0.0)[0] is not None
            fetching.append(number)
        assert max(known.load.values(), default=0) <= 2
    assert not waiting and len(known.copies["x"]) == hosts - 1
    assert questions < 2 * hosts and not known.fetches and not known.load


def test_several_objects_share_a_stores_time():
    known = cluster(6)
    known.has("y", "d0.0")
    assert known.source("x", "s0", "d1.0", [], 0.0)[0] == "d0.0"
    assert known.source("y", "s5", "d2.0", [], 0.0)[0] == "d5.0", "the first has less to do"
    assert known.source("y", "s0", "d3.0", [], 0.0)[0] == "d0.0"
    assert known.source("y", "s0", "d4.0", [], 0.0) == (None, True)
    known.has("x", "d1.0")
    assert known.source("y", "s0", "d4.0", [], 0.0)[0] == "d0.0", "it has time again"
    known.gave_up("y", "d4.0")
    known.gave_up("y", "d3.0")
    known.gave_up("y", "d2.0")
    assert not known.fetches and not known.load


def test_who_waits_is_told_when_there_is_time(monkeypatch):
    async def run() -> None:
        plugin = DirectoryPlugin()
        plugin.start(SimpleNamespace(handlers={}))
        for host in range(6):
            await plugin.join(f"d{host}", f"s{host}", f"w{host}")
        monkeypatch.setattr("onecopy._hosts.directory._PATIENCE", 60.0)

        def ask(host: int) -> asyncio.Task[dict[str, Any]]:
            return asyncio.create_task(plugin.find("x", "s0", f"d{host}", [], False))

        assert await ask(1) == await ask(2) == {"source": "d0"}
        third, fourth, fifth = ask(3), ask(4), ask(5)
        unknown = asyncio.create_task(plugin.find("z", "s9", "d3", [], False))
        await asyncio.sleep(0)
        await plugin.gave_up("x", "d2")
        assert await third == {"source": "d0"}
        await plugin.has("x", "d1")
        assert {(await fourth)["source"], (await fifth)["source"]} <= {"d0", "d1"}
        await plugin.join("d9", "s9", "w9")
        assert await unknown == {"source": "d9"}
        assert not plugin.waiting

    asyncio.run(asyncio.wait_for(run(), 50))
