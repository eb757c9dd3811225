"""A process's part in a Dask cluster over several hosts: serves the objects of its store, and fetches those of others.

Both run in a thread with an event loop of its own: a worker whose interpreter computes, or whose loop unpickles, still
serves, and whoever waits for a fetch can't wait for itself. The bytes travel over Dask's comms, with the cluster's own
security.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from distributed.comm import get_address_host, listen
from distributed.core import ConnectionPool
from distributed.protocol import pickle as dask_pickle
from distributed.protocol.serialize import to_serialize

from .. import _core
from .._core import Region
from ..errors import Error, NotFound
from .directory import NAME, DirectoryPlugin
from .here import bytes_here, handle_here

T = TypeVar("T")
log = logging.getLogger("onecopy.dask")

_KEPT_OPEN = 20.0  # seconds for which an object that is being read stays mapped


class Home:
    """A scheduler that this process belongs to, and the depot's connections there."""

    def __init__(self, owner: str, scheduler: str, listen_at: str, listen_args: dict[str, Any],
                 connect_args: dict[str, Any]) -> None:  # fmt: skip
        self.owner = owner
        self.scheduler = scheduler
        self.listen_at = listen_at
        self.listen_args = listen_args
        self.connect_args = connect_args
        self.over: Callable[[], bool] = lambda: False
        self.pool: ConnectionPool
        self.listener: Any = None
        self.address = ""

    async def begin(self, serve: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self.pool = ConnectionPool(connection_args=self.connect_args, limit=128)
        await self.pool.start()
        self.listener = await listen(self.listen_at, serve, **self.listen_args)
        self.address = self.listener.contact_address
        directory = self.pool(self.scheduler)
        await directory.register_scheduler_plugin(
            plugin=dask_pickle.dumps(DirectoryPlugin()), name=NAME, idempotent=True
        )
        await directory.onecopy_join(depot=self.address, store=_core.store_id(), owner=self.owner)

    async def ask(self, what: str, **about: Any) -> Any:
        return await getattr(self.pool(self.scheduler), "onecopy_" + what)(**about)

    async def end(self) -> None:
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            await asyncio.wait_for(self.ask("close_depot", depot=self.address), 5)
        if self.listener is not None:
            self.listener.stop()
        await self.pool.close()


class Depot:
    """One for each process, made when it first has to do with a cluster."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.loop: asyncio.AbstractEventLoop
        self.homes: dict[str, Home] = {}  # by the address of the worker or the id of the client
        self.joining: dict[str, Future[Home]] = {}
        self.guard = threading.Lock()
        self.fetching: dict[str, Future[None]] = {}
        # Each waits for the network or for another process's fetch, and does no work of its own.
        self.threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="onecopy-fetch")
        self.open: dict[str, tuple[memoryview, Region, float]] = {}
        self.served = self.fetched = 0  # bytes
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), name="onecopy-depot", daemon=True)
        self.thread.start()
        started.wait()

    def _run(self, started: threading.Event) -> None:
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(started.set)
        self.loop.create_task(self._close_unused())
        self.loop.run_forever()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    # ------------------------------------------------------------------------------------------------ belonging

    def join(self, home: Home) -> Future[Home]:
        """Serves for that scheduler, too. The result says when the directory knows."""
        with self.guard:
            known = self.joining.get(home.owner)
            if known is None or (known.done() and known.exception() is not None):
                known = self.joining[home.owner] = self.begin(self._join(home))
            return known

    async def _join(self, home: Home) -> Home:
        try:
            await home.begin(self._serve)
        except Exception as reason:
            log.warning("onecopy can't join the cluster of %s: %s", home.scheduler, reason)
            raise
        self.homes[home.owner] = home
        log.info("onecopy serves store %s at %s", _core.store_id(), home.address)
        return home

    def leave(self, owner: str) -> None:
        with self.guard:
            joining = self.joining.pop(owner, None)
        if joining is not None:
            joining.add_done_callback(self._left)  # at once if it has joined; or it would serve from then on

    def _left(self, joined: Future[Home]) -> None:
        if joined.exception() is None:
            home = joined.result()
            if self.homes.get(home.owner) is home:
                del self.homes[home.owner]
            self.begin(home.end())

    # ------------------------------------------------------------------------------------------------ serving

    async def _serve(self, comm: Any) -> None:
        try:
            while True:
                message = await comm.read()
                operation = message.get("op")
                if operation == "onecopy_read":
                    answer = self._read(message["identity"], message["offset"], message["size"])
                elif operation == "onecopy_look":
                    answer = self._look(message["identity"])
                else:
                    answer = {"status": "unknown"}
                await comm.write(answer)
                del answer  # or it would hold what was sent until the next question
        except (OSError, EOFError):  # the other end is gone, or done
            comm.abort()

    def _look(self, identity: str) -> dict[str, Any]:
        """Whether an object can be read here, and how large it is."""
        try:
            region = _core.attach(handle_here(identity)).region
        except Error as reason:
            return {"status": "gone" if isinstance(reason, NotFound) else "failed", "why": str(reason)}
        return {"status": "OK", "size": region.size, "writable": region.writable}

    def _read(self, identity: str, offset: int, size: int) -> dict[str, Any]:
        try:
            data = self._opened(identity)[offset : offset + size]
        except (Error, OSError, ValueError) as reason:
            return {"status": "gone" if isinstance(reason, NotFound) else "failed", "why": str(reason)}
        self.served += len(data)
        return {"status": "OK", "data": to_serialize(data), "checksum": _core.checksum(data)}

    def _opened(self, identity: str) -> memoryview:
        data, region = self.open[identity][:2] if identity in self.open else bytes_here(identity)
        self.open[identity] = data, region, time.monotonic()
        return data

    async def _close_unused(self) -> None:
        while True:
            await asyncio.sleep(_KEPT_OPEN / 4)
            before = time.monotonic() - _KEPT_OPEN
            for identity in [i for i, (_, _, used) in self.open.items() if used < before]:
                del self.open[identity]

    # ------------------------------------------------------------------------------------------------ fetching

    def may_wait(self) -> bool:
        """An event loop may wait for the depot's, though it should not have to; a scheduler's would wait for itself."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return True
        from distributed.scheduler import Scheduler

        return not Scheduler._instances

    def fetch(self, handle: str) -> None:
        self._fetch(handle).result()

    async def fetch_without_waiting(self, handle: str) -> None:
        await asyncio.wrap_future(self._fetch(handle))

    def _fetch(self, handle: str) -> Future[None]:
        """One fetch of an object in this process, however many ask."""
        from .transfer import bring

        identity = _core.handle_id(handle)
        with self.guard:
            running = self.fetching.get(identity)
            if running is not None:
                return running
            running = self.fetching[identity] = self.threads.submit(bring, self, handle)
        running.add_done_callback(lambda _: self._fetched(identity))  # at once, if it is done: not under the guard
        return running

    def _fetched(self, identity: str) -> None:
        with self.guard:
            self.fetching.pop(identity, None)

    def settled_homes(self, patience: float) -> list[Home]:
        """The clusters to ask, once those that are being joined are."""
        end = time.monotonic() + patience
        for joining in list(self.joining.values()):
            try:
                joining.result(max(0.0, end - time.monotonic()))
            except Exception:  # said in the log
                continue
        return list(self.homes.values())


# ------------------------------------------------------------------------------------------------------ of this process

_depot: Depot | None = None
_making = threading.Lock()


def depot() -> Depot:
    """The depot of this process; a forked child has its own."""
    global _depot
    with _making:
        if _depot is None or _depot.process != os.getpid():
            _depot = Depot()
        return _depot


def existing_depot() -> Depot | None:
    return _depot if _depot is not None and _depot.process == os.getpid() else None


def home_of_worker(worker: Any) -> Home:
    protocol, host = worker.address.partition("://")[0], get_address_host(worker.address)
    return Home(
        worker.contact_address or worker.address, worker.scheduler.address, f"{protocol}://{_bracketed(host)}:0",
        worker.security.get_listen_args("worker"), worker.security.get_connection_args("worker"),
    )  # fmt: skip


def home_of_client(client: Any) -> Home:
    scheduler = client.scheduler.address
    # The address by which the scheduler's host is reached from here is one by which this host can be reached.
    local = client.scheduler_comm.comm.local_address
    protocol, host = scheduler.partition("://")[0], get_address_host(local)
    return Home(
        client.id, scheduler, f"{protocol}://{_bracketed(host)}:0",
        client.security.get_listen_args("client"), client.security.get_connection_args("client"),
    )  # fmt: skip


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


_seen: weakref.WeakSet[Any] = weakref.WeakSet()


def join_all() -> Depot | None:
    """Joins the clusters that this process has to do with by now. None, and no thread, if there is none."""
    import sys

    worker_module, client_module = sys.modules.get("distributed.worker"), sys.modules.get("distributed.client")
    for module, kind, home_of in (
        (worker_module, "Worker", home_of_worker),
        (client_module, "Client", home_of_client),
    ):
        for member in list(getattr(module, kind)._instances) if module is not None else []:
            if member in _seen:
                continue
            try:
                home = home_of(member)
            except (AttributeError, ValueError, OSError):  # not connected yet, or no more; or on no network (inproc)
                continue
            if not _may_be_elsewhere(home.scheduler):
                continue
            home.over = partial(_is_over, weakref.ref(member))
            _seen.add(member)
            depot().join(home)
    found = existing_depot()
    if found is not None:
        for home in [home for home in list(found.homes.values()) if home.over()]:
            found.leave(home.owner)
    return found


def leave(member: Any, owner: str) -> None:
    """Ends serving for a worker or client; the next shared object that it meets makes it join again."""
    _seen.discard(member)
    found = existing_depot()
    if found is not None:
        found.leave(owner)


def _may_be_elsewhere(address: str) -> bool:
    """Whoever is found by a loopback address runs here, and reads the same store."""
    if address.startswith("inproc"):
        return False
    host = get_address_host(address)
    return not (host.startswith("127.") or host in ("::1", "localhost"))


def _is_over(member: weakref.ref[Any]) -> bool:
    alive = member()
    status = getattr(alive, "status", None)
    return alive is None or getattr(status, "name", status) in ("closed", "closing", "failed")
