"""Where on a cluster an object can be had: kept by the scheduler, asked by whoever fetches.

Every process that may serve objects, a *depot*, says which store it reads. The store is part of each handle, so a fresh
object needs no entry: whoever holds a handle knows the store, and the directory knows that store's depots. An entry is
made only when a copy was brought to another host, so that later hosts are served by it as well: the hosts that have a
copy grow as a tree, and no depot serves more than a few at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

NAME = "onecopy-directory"
_PATIENCE = 5.0  # seconds that a question waits for an answer to turn up
_STALE = 600.0  # seconds after which a fetch that was not reported on no longer counts
_REMEMBERED = 100_000  # objects


class Directory:
    """The knowledge itself, free of Dask."""

    def __init__(self, serves_at_once: int = 2) -> None:
        self.serves_at_once = serves_at_once
        self.store_of: dict[str, str] = {}  # depot -> store
        self.owner_of: dict[str, str] = {}  # depot -> address of its worker, or id of its client
        self.depots_of: dict[str, list[str]] = defaultdict(list)
        self.copies: OrderedDict[str, set[str]] = OrderedDict()  # object -> stores that it was brought to
        self.fetches: dict[tuple[str, str], tuple[str, float]] = {}  # (object, asking depot) -> (store, since)

    def join(self, depot: str, store: str, owner: str) -> None:
        if depot not in self.store_of:
            self.store_of[depot], self.owner_of[depot] = store, owner
            self.depots_of[store].append(depot)

    def leave(self, owner: str) -> None:
        """Forgets the depots of a worker or client, and the stores that nobody reads any more."""
        for depot in [d for d, o in self.owner_of.items() if o == owner]:
            store = self.store_of.pop(depot)
            del self.owner_of[depot]
            self.depots_of[store].remove(depot)
            if not self.depots_of[store]:
                del self.depots_of[store]
                for identity in [i for i, stores in self.copies.items() if store in stores]:
                    self._forget(identity, store)
            for fetch in [f for f in self.fetches if f[1] == depot]:
                del self.fetches[fetch]

    def _forget(self, identity: str, store: str) -> None:
        stores = self.copies.get(identity)
        if stores is not None:
            stores.discard(store)
            if not stores:
                del self.copies[identity]

    def has(self, identity: str, depot: str) -> None:
        """A depot brought the object to its store."""
        self.fetches.pop((identity, depot), None)
        store = self.store_of.get(depot)
        if store is not None:
            self.copies.setdefault(identity, set()).add(store)
            self.copies.move_to_end(identity)
            while len(self.copies) > _REMEMBERED:
                self.copies.popitem(last=False)

    def has_not(self, identity: str, asking: str, source: str, gone: bool) -> None:
        """A source failed; gone: it answered that the object is not there."""
        self.fetches.pop((identity, asking), None)
        if gone and source in self.store_of:
            self._forget(identity, self.store_of[source])

    def gave_up(self, identity: str, asking: str) -> None:
        self.fetches.pop((identity, asking), None)

    def knows(self, store: str) -> bool:
        return bool(self.depots_of.get(store))

    def load(self, store: str, now: float) -> int:
        for fetch in [f for f, (_, since) in self.fetches.items() if now - since > _STALE]:
            del self.fetches[fetch]
        return sum(1 for where, _ in self.fetches.values() if where == store)

    def source(self, identity: str, store: str, asking: str, without: Iterable[str], now: float,
               any_load: bool = False) -> tuple[str | None, bool]:
        """A depot that has the object and time for it; or None, and whether waiting for one makes sense."""
        excluded, here = set(without), self.store_of.get(asking)
        stores = {store, *self.copies.get(identity, ())} - {here}
        choice = [
            (self.load(s, now), s != store, s, depot)
            for s in sorted(stores)
            for depot in self.depots_of.get(s, ())
            if depot not in excluded
        ]
        if not choice:
            return None, False
        # Of equally busy stores a copy is taken: the first is left to those who know no other.
        load, _, where, depot = min(choice, key=lambda c: (c[0], not c[1]))
        if load >= self.serves_at_once and not any_load:
            return None, True
        self.fetches[identity, asking] = (where, now)
        return depot, True


class DirectoryPlugin(SchedulerPlugin):  # type: ignore[misc]
    """The directory as part of a scheduler. Whoever joins first brings it."""

    idempotent = True
    name = NAME

    def start(self, scheduler: Any) -> None:
        self.directory = Directory()
        self.changed = asyncio.Event()
        scheduler.handlers.update(
            onecopy_join=self.join, onecopy_find=self.find, onecopy_has=self.has, onecopy_has_not=self.has_not,
            onecopy_gave_up=self.gave_up, onecopy_state=self.state,
        )  # fmt: skip

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        self.directory.leave(worker)
        self._notify()

    def remove_client(self, scheduler: Any, client: str) -> None:
        self.directory.leave(client)
        self._notify()

    def _notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def join(self, depot: str, store: str, owner: str) -> str:
        self.directory.join(depot, store, owner)
        self._notify()
        return "OK"

    async def find(self, identity: str, store: str, asking: str, without: list[str], any_load: bool) -> dict[str, Any]:
        """{"source": depot}, {"wait": True}: ask again, or {}: there is none."""
        end = time.monotonic() + _PATIENCE
        while True:
            changed, now = self.changed, time.monotonic()
            depot, hope = self.directory.source(identity, store, asking, without, now, any_load)
            if depot is not None:
                return {"source": depot}
            # A store that is not known may be that of a process which is about to join.
            if not hope and (self.directory.knows(store) or without):
                return {}
            if now >= end:
                return {"wait": True} if hope else {}
            try:
                await asyncio.wait_for(changed.wait(), end - now)
            except TimeoutError:
                pass

    async def has(self, identity: str, depot: str) -> str:
        self.directory.has(identity, depot)
        self._notify()
        return "OK"

    async def has_not(self, identity: str, asking: str, source: str, gone: bool) -> str:
        self.directory.has_not(identity, asking, source, gone)
        self._notify()
        return "OK"

    async def gave_up(self, identity: str, asking: str) -> str:
        self.directory.gave_up(identity, asking)
        self._notify()
        return "OK"

    async def state(self) -> dict[str, Any]:
        """For people and tests."""
        known = self.directory
        return {
            "depots": {store: list(depots) for store, depots in known.depots_of.items()},
            "copies": {identity: sorted(stores) for identity, stores in known.copies.items()},
            "fetches": len(known.fetches),
        }
