"""Dask over two hosts: encrypted, preloaded, with a full store, and with everything on other hosts than the client."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dask_cluster import Cluster
from hosts import Hosts, traffic

MB = 1_000_000


def test_encrypted() -> None:
    with Hosts(2) as hosts, Cluster(hosts, workers=2, tls=True) as cluster:
        with traffic(hosts) as received:
            done = cluster.job("broadcast", megabytes=20)
        assert done["right"] and done["shared"]
        assert received["host1"] < 1.1 * done["bytes"]
        assert cluster.job("everything") == {"wrong": [], "workers": 4, "shared": True}
        assert "onecopy serves store" in cluster.log() and "tls://10.77.0.2" in cluster.log()


@pytest.mark.parametrize("preload", [False, True])
def test_the_client_alone_on_its_host(preload: bool) -> None:
    """The client itself serves; the scheduler, on a host of its own, can only pass on what it can't open."""
    with Hosts(3) as hosts, Cluster(hosts, workers=2, scheduler_on=1, workers_on=[2], preload=preload) as cluster:
        if preload:
            assert len(cluster.job("directory")["depots"]) == 1, "both workers joined before there was any object"
        assert cluster.job("everything") == {"wrong": [], "workers": 2, "shared": True}
        with traffic(hosts) as received:
            answer = cluster.job("use", megabytes=30, hosts=["host2"])
        assert answer["wrong"] == []
        assert received["host2"] < 1.1 * answer["bytes"]
        assert received["host1"] < MB, "a scheduler needs no bytes"
        assert hosts[1].shared_memory() < MB
        assert cluster.job("results") == {"crossed": True, "gathered": True, "shared": True}


def test_lazy_arrays_are_filled_by_each_host(tmp_path: Path) -> None:
    data = np.arange(2_000_000.0)
    data.tofile(tmp_path / "numbers")
    with Hosts(3) as hosts, Cluster(hosts, workers=2, scheduler_on=0) as cluster:
        with traffic(hosts) as received:
            seen = cluster.job("lazy_file", path=str(tmp_path / "numbers"))
        assert len(seen) == 6 and all(total == data.sum() for _, _, total in seen)
        for host in hosts:
            assert len({handle for name, handle, _ in seen if name == host.name}) == 1, "one for all of its workers"
        assert len({handle for _, handle, _ in seen}) == 3
        assert max(received.values()) < MB, "only the recipe travels"


def test_the_plugin_makes_workers_ready() -> None:
    with Hosts(2) as hosts, Cluster(hosts, workers=2) as cluster:
        assert cluster.job("plugin") == [4, 0], "depots with it, and after it was removed"
        assert cluster.job("everything") == {"wrong": [], "workers": 4, "shared": True}


def test_a_host_whose_store_is_full() -> None:
    """Anonymous memory takes what the store's file system has no room for."""
    with Hosts(2, shm="24m") as hosts, Cluster(hosts, workers=2, scheduler_on=0, workers_on=[1]) as cluster:
        answer = cluster.job("use", megabytes=40, hosts=["host1"])
        assert answer["wrong"] == []
        assert hosts[1].shared_memory() < 24 * MB
