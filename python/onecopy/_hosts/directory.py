"""Where on a cluster an object can be had: kept by the scheduler, asked by whoever fetches.

Every process that may serve objects, a *depot*, says which store it reads. The store is part of each handle, so a fresh
object needs no entry: whoever holds a handle knows the store, and the directory knows that store's depots. An entry is
made only when a copy was brought to another host, so that later hosts are served by it as well: the hosts that have a
copy grow as a tree, and no depot serves more than a few at once.

A question must cost the same whatever the number of hosts: all of them may ask for one object at the same moment. So
nothing here looks through all copies or all fetches, and an event wakes only as many who wait as it can help.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

NAME = "onecopy-directory"
_PATIENCE = 5.0  # seconds that a question waits for an answer to turn up
_STALE = 600.0  # seconds after which a fetch that was not reported on no longer counts
_REMEMBERED = 100_000  # objects
_UNKNOWN = "?"  # before a store: who waits for a depot of it to join


class Directory:
    """The knowledge itself, free of Dask."""

    def __init__(self, serves_at_once: int = 2) -> None:
        self.serves_at_once = serves_at_once
        self.store_of: dict[str, str] = {}  # depot -> store
        self.owner_of: dict[str, str] = {}  # depot -> address of its worker, or id of its client
        self.depots_of: dict[str, list[str]] = defaultdict(list)
        self.copies: OrderedDict[str, set[str]] = OrderedDict()  # object -> stores that it was brought to
        # (object, asking depot) -> (store, since); the oldest first
        self.fetches: dict[tuple[str, str], tuple[str, float]] = {}
        self.load: Counter[str] = Counter()  # store -> fetches from it
        self.lines: dict[str, deque[str]] = {}  # object -> stores of its copies that may have time
        self.parked: dict[str, set[str]] = {}  # store that has no time -> objects from whose lines it was taken

    def join(self, depot: str, store: str, owner: str) -> None:
        if depot not in self.store_of:
            self.store_of[depot], self.owner_of[depot] = store, owner
            self.depots_of[store].append(depot)

    def leave(self, owner: str) -> None:
        """Forgets the depots of a worker or client, and the stores that nobody reads any more."""
        for depot in [d for d, o in self.owner_of.items() if o == owner]:
            self.close(depot)

    def close(self, depot: str) -> None:
        """Forgets one depot."""
        if depot in self.store_of:
            store = self.store_of.pop(depot)
            del self.owner_of[depot]
            self.depots_of[store].remove(depot)
            if not self.depots_of[store]:
                del self.depots_of[store]
                for identity in [i for i, stores in self.copies.items() if store in stores]:
                    self._forget(identity, store)
            for fetch in [f for f in self.fetches if f[1] == depot]:
                self._end(fetch)

    def _forget(self, identity: str, store: str) -> None:
        stores = self.copies.get(identity)
        if stores is not None:
            stores.discard(store)  # its place in the line is dropped when its turn comes
            if not stores:
                del self.copies[identity]
                self.lines.pop(identity, None)

    def has(self, identity: str, depot: str) -> None:
        """A depot brought the object to its store."""
        self._end((identity, depot))
        store = self.store_of.get(depot)
        if store is not None:
            stores = self.copies.setdefault(identity, set())
            if store not in stores:
                stores.add(store)
                self.lines.setdefault(identity, deque()).append(store)
            self.copies.move_to_end(identity)
            while len(self.copies) > _REMEMBERED:
                oldest, _ = self.copies.popitem(last=False)
                self.lines.pop(oldest, None)

    def has_not(self, identity: str, asking: str, source: str, gone: bool) -> None:
        """A source failed; gone: it answered that the object is not there."""
        self._end((identity, asking))
        if gone and source in self.store_of:
            self._forget(identity, self.store_of[source])

    def gave_up(self, identity: str, asking: str) -> None:
        self._end((identity, asking))

    def knows(self, store: str) -> bool:
        return bool(self.depots_of.get(store))

    def _begin(self, fetch: tuple[str, str], store: str, now: float) -> None:
        self._end(fetch)
        self.fetches[fetch] = (store, now)
        self.load[store] += 1

    def _end(self, fetch: tuple[str, str]) -> None:
        store, _ = self.fetches.pop(fetch, ("", 0.0))
        if not store:
            return
        self.load[store] -= 1
        if not self.load[store]:
            del self.load[store]
        for identity in self.parked.pop(store, ()):
            if store in self.copies.get(identity, ()):
                self.lines.setdefault(identity, deque()).append(store)

    def _end_stale(self, now: float) -> None:
        while self.fetches:
            fetch, (_, since) = next(iter(self.fetches.items()))
            if now - since <= _STALE:
                return
            self._end(fetch)

    def _depot(self, store: str, excluded: set[str], here: str | None) -> str | None:
        if store == here:
            return None
        return next((depot for depot in self.depots_of.get(store, ()) if depot not in excluded), None)

    def _copy_with_time(self, identity: str, excluded: set[str], here: str | None) -> tuple[str, str] | None:
        """Store and depot of a copy. Those that have no time leave the line until a fetch from them ends."""
        line, stores = self.lines.get(identity, deque()), self.copies.get(identity, set())
        for _ in range(len(line)):
            store = line.popleft()
            if store not in stores:
                continue
            if self.load[store] >= self.serves_at_once:
                self.parked.setdefault(store, set()).add(identity)
                continue
            line.append(store)
            depot = self._depot(store, excluded, here)
            if depot is not None:
                return store, depot
        return None

    def source(self, identity: str, store: str, asking: str, without: Iterable[str], now: float,
               any_load: bool = False) -> tuple[str | None, bool]:
        """A depot that has the object and time for it; or None, and whether waiting for one makes sense."""
        self._end_stale(now)
        excluded, here = set(without), self.store_of.get(asking)
        first = self._depot(store, excluded, here)
        copy = self._copy_with_time(identity, excluded, here)
        # Of equally busy stores a copy is taken: the first is left to those who know no other.
        if copy is not None and (first is None or self.load[copy[0]] <= self.load[store]):
            self._begin((identity, asking), copy[0], now)
            return copy[1], True
        if first is not None and (any_load or self.load[store] < self.serves_at_once):
            self._begin((identity, asking), store, now)
            return first, True
        others = ((s, self._depot(s, excluded, here)) for s in self.copies.get(identity, ()))
        busy = next(((s, depot) for s, depot in others if depot is not None), None)
        if busy is not None and any_load:
            self._begin((identity, asking), busy[0], now)
            return busy[1], True
        return None, first is not None or busy is not None


class DirectoryPlugin(SchedulerPlugin):  # type: ignore[misc]
    """The directory as part of a scheduler. Whoever joins first brings it."""

    idempotent = True
    name = NAME

    def start(self, scheduler: Any) -> None:
        self.directory = Directory()
        self.waiting: dict[str, deque[asyncio.Future[None]]] = {}  # object -> who asked for it, the first in front
        scheduler.handlers.update(
            onecopy_join=self.join, onecopy_find=self.find, onecopy_has=self.has, onecopy_has_not=self.has_not,
            onecopy_gave_up=self.gave_up, onecopy_close_depot=self.close_depot, onecopy_state=self.state,
        )  # fmt: skip

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        self.directory.leave(worker)
        self._freed()

    def remove_client(self, scheduler: Any, client: str) -> None:
        self.directory.leave(client)
        self._freed()

    def _wake(self, identity: str, count: int) -> None:
        queue = self.waiting.get(identity)
        while queue and count > 0:
            waiter = queue.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1
        if queue is not None and not queue:
            del self.waiting[identity]

    def _freed(self) -> None:
        """A depot has more time: whoever waits for something that it has, though not all of them."""
        for identity in list(islice(self.waiting, 16)):
            self._wake(identity, 1)

    async def join(self, depot: str, store: str, owner: str) -> str:
        self.directory.join(depot, store, owner)
        self._wake(_UNKNOWN + store, 1 << 30)
        return "OK"

    async def close_depot(self, depot: str) -> str:
        self.directory.close(depot)
        self._freed()
        return "OK"

    async def find(self, identity: str, store: str, asking: str, without: list[str], any_load: bool) -> dict[str, Any]:
        """{"source": depot}, {"wait": True}: ask again, or {}: there is none."""
        end = time.monotonic() + _PATIENCE
        while True:
            now = time.monotonic()
            depot, hope = self.directory.source(identity, store, asking, without, now, any_load)
            if depot is not None:
                return {"source": depot}
            # A store that is not known may be that of a process which is about to join.
            if not hope and (self.directory.knows(store) or without):
                return {}
            if now >= end:
                return {"wait": True} if hope else {}
            waiter = asyncio.get_running_loop().create_future()
            self.waiting.setdefault(identity if hope else _UNKNOWN + store, deque()).append(waiter)
            try:
                await asyncio.wait_for(waiter, end - now)
            except TimeoutError:
                pass

    async def has(self, identity: str, depot: str) -> str:
        self.directory.has(identity, depot)
        self._wake(identity, self.directory.serves_at_once)  # from the new copy
        self._freed()
        return "OK"

    async def has_not(self, identity: str, asking: str, source: str, gone: bool) -> str:
        self.directory.has_not(identity, asking, source, gone)
        self._freed()
        return "OK"

    async def gave_up(self, identity: str, asking: str) -> str:
        self.directory.gave_up(identity, asking)
        self._freed()
        return "OK"

    async def state(self) -> dict[str, Any]:
        """For people and tests."""
        known = self.directory
        return {
            "depots": {store: list(depots) for store, depots in known.depots_of.items()},
            "copies": {identity: sorted(stores) for identity, stores in known.copies.items()},
            "fetches": len(known.fetches),
        }
