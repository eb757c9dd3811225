"""Ray over several nodes: a handle that leads to another node brings the object here, once for all its processes.

``ray.put`` and task arguments carry the handle, so Ray's own store holds a few hundred bytes. Ray does not say where an
object goes, and asks nobody before it unpickles; so the first process of a node that unpickles the handle fetches, and
its task waits for that as it would wait for Ray's own transfer.

Ray's key-value store knows on which nodes a store is read. Nothing is done before a handle leaves a process that is
part of a cluster, and then one entry is made.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from .. import _core
from .._memory import elsewhere
from .._memory.place import before_handles

NAMESPACE = b"onecopy"

_told: set[tuple[int, object, str]] = set()  # process, its part in a cluster, and store of an entry that was made


def register() -> None:
    """Has Ray asked for what is not here, from when this process is part of a cluster on."""
    elsewhere.resolve_with(_resolver)
    before_handles(tell_where)


def running() -> Any:
    """The module ray, if this process belongs to a cluster as a driver or worker; or None.

    A client that is connected by ray:// is none: it is on no node, so nobody could fetch from it, nor it from others.
    """
    ray = sys.modules.get("ray")
    # Being imported by another thread, it may lack anything.
    if ray is None or not getattr(ray, "is_initialized", bool)():
        return None
    return None if ray.util.client.ray.is_connected() else ray


def tell_where() -> None:
    """Notes, once, that this process's store can be read on this node."""
    module = sys.modules.get("ray._private.worker")
    if module is None:
        return
    # Called for each handle: asking Ray's public functions whether and where it runs takes as long as all the rest.
    mark = os.getpid(), getattr(getattr(module, "global_worker", None), "worker_id", None), _core.store_id()
    if mark in _told or (ray := running()) is None:
        return
    put_note(f"store/{mark[2]}/{ray.get_runtime_context().get_node_id()}")
    _told.add((mark[0], ray._private.worker.global_worker.worker_id, mark[2]))


def put_note(key: str) -> None:
    from ray.experimental import internal_kv

    internal_kv._internal_kv_put(key.encode(), b"", namespace=NAMESPACE)


def drop_note(key: str) -> None:
    from ray.experimental import internal_kv

    internal_kv._internal_kv_del(key.encode(), namespace=NAMESPACE)


def noted_under(prefix: str) -> list[str]:
    from ray.experimental import internal_kv

    return [key.decode()[len(prefix) :] for key in internal_kv._internal_kv_list(prefix.encode(), namespace=NAMESPACE)]


class _Resolver:
    def may_wait(self) -> bool:
        return True  # an actor's event loop too: Ray unpickles its arguments there, and no other place comes later

    def fetch(self, handle: str) -> None:
        # In this thread, also where an event loop runs: Ray holds a lock while it unpickles, which another thread of
        # ours would need.
        from .ray_depot import bring

        bring(handle)

    async def fetch_without_waiting(self, handle: str) -> None:
        from .ray_depot import bring

        await asyncio.to_thread(bring, handle)


_the_resolver = _Resolver()


def _resolver() -> elsewhere.Resolver | None:
    return _the_resolver if running() is not None else None
