"""Dask over four hosts, three workers on each: right values, each byte once over each link, one copy in each host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dask_cluster import Cluster
from hosts import Host, Hosts, inner, power_off, traffic, wait_until

MB = 1_000_000
OVERHEAD = 1 * MB  # of Dask's own messages


@pytest.fixture(scope="module")
def cluster(four: Hosts) -> Iterator[Cluster]:
    with Cluster(four) as cluster:
        yield cluster


def test_a_broadcast_crosses_each_link_once(four: Hosts, cluster: Cluster) -> None:
    before = [host.shared_memory() for host in four]
    with traffic(four) as received:
        done = cluster.job("broadcast", megabytes=50)
    assert done["right"] and done["shared"] and done["looked"] == 12
    assert max(done["sizes"]) < 1000, "Dask counts what belongs to a worker alone"
    size = done["bytes"]
    assert received.pop("host0") < 0.1 * size, "the host that has it needs no more"
    assert all(0.9 * size < count < 1.1 * size for count in received.values()), received
    for host, used in zip(four, before, strict=True):
        assert host.shared_memory() - used < 1.02 * size + MB, f"more than one copy on {host.name}"


def test_a_broadcast_goes_from_host_to_host(four: Hosts, cluster: Cluster) -> None:
    sent = [host.sent() for host in four]
    size = cluster.job("broadcast", megabytes=40, direct=True)["bytes"]
    most = max(host.sent() - was for host, was in zip(four, sent, strict=True))
    assert most < 2.2 * size, "nobody sends all of it"


def test_whatever_holds_it_arrives(cluster: Cluster) -> None:
    assert cluster.job("everything") == {"wrong": [], "workers": 12, "shared": True}


def test_results_cross_hosts_and_come_back(cluster: Cluster) -> None:
    assert cluster.job("results") == {"crossed": True, "gathered": True, "shared": True}
    # A client on a host whose workers know nothing of these objects yet.
    assert cluster.job("results", on=3) == {"crossed": True, "gathered": True, "shared": True}


def test_objects_that_can_be_written_to_stay_where_they_are(cluster: Cluster) -> None:
    assert "can be written to" in cluster.job("mutable", host="host2")


def test_what_is_damaged_on_the_way_is_never_used(cluster: Cluster) -> None:
    kind, message, right_afterwards = cluster.job("damaged", made_on="host3", used_on="host2")
    assert (kind, right_afterwards) == ("WrongHost", True)
    assert "nobody could send it" in message and "what came is damaged" in message


def test_a_fetcher_that_dies_is_followed_by_another(four: Hosts, cluster: Cluster) -> None:
    four[0].slow("160mbit")
    try:
        job = cluster.begin_job("use", megabytes=60, hosts=["host1"])
        fetcher = wait_until(lambda: cluster.fetcher(four[1]), what="a fetch")
        victim = next(w for w in cluster.workers["host1"] if inner(w) == fetcher)
        power_off(victim)
        answer = cluster.answer(job)
    finally:
        four[0].slow("40gbit")
    assert answer["wrong"] == []
    cluster.workers["host1"].remove(victim)


def test_a_source_that_dies_is_replaced(four: Hosts, cluster: Cluster) -> None:
    """Host 2 has a copy and sends it to host 1, rather than host 3, which made it; host 2 loses its power."""
    assert cluster.job("use", megabytes=60, hosts=["host2"], made_on="host3")["wrong"] == []
    four[2].slow("160mbit")
    job = cluster.begin_job("chain", megabytes=60, first="host2", then="host1", made_on="host3")
    wait_until(lambda: cluster.fetcher(four[1]), what="a fetch")
    four[2].kill()
    answer = cluster.answer(job)
    assert answer["wrong"] == []


def test_a_cut_link_is_an_error_and_no_hang(four: Hosts, cluster: Cluster) -> None:
    four[3].slow("160mbit")
    job = cluster.begin_job("use", megabytes=60, hosts=["host1"], tasks=1, made_on="host3")
    wait_until(lambda: cluster.fetcher(four[1]), what="a fetch")
    four[3].cut()
    try:
        answer = cluster.answer(job)
    finally:
        four[3].mend()
    assert len(answer["wrong"]) == 1 and answer["wrong"][0][1] in ("WrongHost", "NotFound"), answer
    assert "nobody could send it" in answer["wrong"][0][2]
    assert cluster.job("use", megabytes=1, hosts=["host1"])["wrong"] == [], "the others go on"


def test_nothing_is_left_behind(four: Hosts, cluster: Cluster) -> None:
    """Once leases are over: the clients and the objects are gone, and depots have closed what they served."""
    cluster.job("collect_garbage")
    for host in (four[0], four[1]):

        def empty(host: Host = host) -> bool:
            host.collect()
            return host.shared_memory() < 2 * MB

        wait_until(empty, 90, f"the end of all objects on {host.name}")
