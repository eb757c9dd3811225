"""Dask over several hosts: one copy of each shared object per host, however many workers it has.

Nothing has to be set up: a worker that receives a shared object for the first time joins in. Those who want it to be
ready before that load this module with the workers,

    dask worker tcp://scheduler:8786 --preload onecopy.dask

or register the plugin: ``client.register_plugin(onecopy.dask.WorkerPlugin())``.

Settings, in Dask's configuration: ``onecopy.chunk`` (8 MiB), ``onecopy.chunks-ahead`` (3), ``onecopy.read-timeout``
(30s: a source that does not answer for so long is replaced by another).
"""

from __future__ import annotations

from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin as _Plugin

from ._hosts.depot import existing_depot, join_all, leave

__all__ = ["WorkerPlugin", "dask_setup", "moved"]


class WorkerPlugin(_Plugin):  # type: ignore[misc]
    """Joins a worker in the exchange of objects between hosts as soon as it starts, and stops serving when removed.

    A worker without it joins when it meets its first shared object.
    """

    name = "onecopy"
    idempotent = True

    def setup(self, worker: Any) -> None:
        join_all()

    def teardown(self, worker: Any) -> None:
        leave(worker, worker.contact_address or worker.address)


def dask_setup(worker: Any) -> None:
    """What ``--preload onecopy.dask`` calls when a worker (or scheduler, which needs nothing) starts."""
    join_all()


def moved() -> tuple[int, int]:
    """Bytes of shared objects that this process has sent to other hosts, and brought from them."""
    depot = existing_depot()
    return (0, 0) if depot is None else (depot.served, depot.fetched)
