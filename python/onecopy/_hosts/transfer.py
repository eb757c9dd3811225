"""Bringing one object to this host: once, by one process, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any

import dask.config
from dask.utils import parse_bytes, parse_timedelta

from .. import _core
from ..errors import Error, NotFound, Timeout, WrongHost
from ..sync import Lock
from .depot import Depot, Home, log

_ASK = 30.0  # seconds for a question to the directory or to a depot
_CONNECT = 5.0  # Dask tries again and again meanwhile, also where nobody listens any more
_QUEUE = 30.0  # seconds to wait for a source that is not busy
_JOIN = 15.0
_TROUBLE = (OSError, Error, RuntimeError)  # RuntimeError: a pool of connections that was closed


def setting(name: str, default: Any) -> Any:
    return dask.config.get(f"onecopy.{name}", default)


def bring(depot: Depot, handle: str) -> None:
    """Makes the object of a handle attachable on this host. Raises Error. Runs in a thread that may wait."""
    identity = _core.handle_id(handle)
    # The first to get the lock fetches. A process that dies lets go of it, and the next one takes over.
    with Lock(f"onecopy fetch {identity}") as elected:
        if elected.owner_died:
            elected.repaired()
        if _core.exists(handle):
            return
        homes = depot.settled_homes(_JOIN)
        reason: Error = WrongHost(f"attach to {handle}", "this process is not part of a cluster that could be asked")
        for home in homes:
            fetch = _Fetch(depot, home, handle, identity)
            try:
                fetch.run()
                return
            except Error as error:
                reason = error
        raise reason


class _Fetch:
    """One object from whoever has it. A source that fails is replaced by another, where it left off."""

    def __init__(self, depot: Depot, home: Home, handle: str, identity: str) -> None:
        self.depot, self.home, self.handle, self.identity = depot, home, handle, identity
        self.store = handle.split(":")[3]
        self.step = parse_bytes(setting("chunk", "8 MiB"))
        self.ahead = int(setting("chunks-ahead", 3))
        self.patience = parse_timedelta(setting("read-timeout", "30s"))
        self.source = ""
        self.size = 0
        self.failed: list[str] = []
        self.troubles: list[str] = []
        self.pieces: dict[int, Future[Any]] = {}
        self.at, self.piece = -1, memoryview(b"")

    def run(self) -> None:
        began = time.monotonic()
        self._ask("join", depot=self.home.address, store=_core.store_id(), owner=self.home.owner)
        try:
            self._next_source()
            region = _core.import_region(self.identity, self.size, self._produce)
        except BaseException:
            self._drop()
            self._tell("gave_up", identity=self.identity, asking=self.home.address)
            raise
        region.handle()  # its lease: the others of this host are about to attach
        self.depot.fetched += self.size
        self._tell("has", identity=self.identity, depot=self.home.address)
        seconds = time.monotonic() - began
        log.info("onecopy brought %s here: %.1f MB in %.2f s (%.0f MB/s), last from %s", self.identity,
                 self.size / 1e6, seconds, self.size / 1e6 / max(seconds, 1e-9), self.source)  # fmt: skip

    # ----------------------------------------------------------------------------------------------- who has it

    def _next_source(self) -> None:
        """Finds one that answers; raises when there is none left."""
        end = time.monotonic() + _QUEUE
        while True:
            answer = self._ask("find", identity=self.identity, store=self.store, asking=self.home.address,
                               without=self.failed, any_load=time.monotonic() > end)  # fmt: skip
            if "source" not in answer:
                if answer.get("wait"):
                    continue
                raise self._nobody()
            self.source = answer["source"]
            try:
                look = self._call(self._depot_says(op="onecopy_look", identity=self.identity), _ASK)
            except _TROUBLE as reason:
                self._failed(str(reason) or type(reason).__name__)
                continue
            if look["status"] != "OK":
                self._failed(look.get("why", "it refused"), look["status"] == "gone")
                continue
            if look["writable"]:
                raise WrongHost(
                    f"attach to {self.handle}",
                    "it is on another host, and can be written to: a copy would not see the writes",
                    "Share what is to travel between hosts without mutable",
                )
            self.size = look["size"]
            return

    def _nobody(self) -> Error:
        if not self.troubles:
            return WrongHost(f"attach to {self.handle}", "it is on another host, and no process of the cluster there "
                             "serves it", "Keep the process that shared it, or a worker on its host")  # fmt: skip
        kind = NotFound if all("is gone" in trouble for trouble in self.troubles) else WrongHost
        return kind(f"attach to {self.handle}", "nobody could send it: " + "; ".join(self.troubles[-4:]))

    def _failed(self, why: str, gone: bool = False) -> None:
        log.info("onecopy: %s can't send %s: %s", self.source, self.identity, why)
        self.failed.append(self.source)
        self.troubles.append(f"{self.source}: {why}")
        self._tell("has_not", identity=self.identity, asking=self.home.address, source=self.source, gone=gone)

    # ----------------------------------------------------------------------------------------------- its bytes

    def _produce(self, offset: int, out: memoryview) -> None:
        """The bytes from `offset` on. Begins again at 0 when the store was full and another place is tried."""
        done = 0
        while done < len(out):
            number, within = divmod(offset + done, self.step)
            if number != self.at:
                self.piece, self.at = self._next_piece(number), number
            part = self.piece[within : within + len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)

    def _next_piece(self, number: int) -> memoryview:
        while True:
            for ahead in range(number, min(number + 1 + self.ahead, -(-self.size // self.step))):
                if ahead not in self.pieces:
                    self.pieces[ahead] = self.depot.begin(self._receive(self.source, ahead))
            try:
                return memoryview(self.pieces.pop(number).result(self.patience + _ASK))
            except (*_TROUBLE, CancelledError) as reason:
                self._drop()
                self._failed(str(reason) or type(reason).__name__)
                size = self.size
                self._next_source()
                if self.size != size:
                    raise WrongHost(f"attach to {self.handle}", "two hosts disagree about its size") from None

    async def _receive(self, source: str, number: int) -> Any:
        offset = number * self.step
        size = min(self.step, self.size - offset)
        call = self._depot_says(source, op="onecopy_read", identity=self.identity, offset=offset, size=size)
        try:
            reply = await asyncio.wait_for(call, self.patience)
        except TimeoutError:
            raise Timeout("read a shared object", f"no answer within {self.patience:.0f} s") from None
        if reply["status"] != "OK":
            raise NotFound("read a shared object", reply.get("why", "it refused"))
        data = reply["data"]
        if len(data) != size or _core.checksum(data) != reply["checksum"]:
            raise OSError("what came is damaged")
        return data

    def _drop(self) -> None:
        for piece in self.pieces.values():
            piece.cancel()
        self.pieces.clear()
        self.at = -1

    # ----------------------------------------------------------------------------------------------- asking

    async def _depot_says(self, source: str | None = None, **message: Any) -> Any:
        pool, where = self.home.pool, source or self.source
        comm = await pool.connect(where, timeout=_CONNECT)
        try:
            await comm.write(message)
            reply = await comm.read()
        except BaseException:
            comm.abort()
            raise
        finally:
            pool.reuse(where, comm)
        return reply

    def _call(self, work: Coroutine[Any, Any, Any], seconds: float) -> Any:
        future = self.depot.begin(work)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise Timeout("ask another host", f"no answer within {seconds:.0f} s") from None

    def _ask(self, what: str, **about: Any) -> Any:
        try:
            return self._call(self.home.ask(what, **about), _ASK)
        except (OSError, RuntimeError) as reason:
            raise WrongHost(f"attach to {self.handle}", f"the scheduler does not answer: {reason}") from None

    def _tell(self, what: str, **about: Any) -> None:
        """For what need not be known at once, or at all."""
        self.depot.begin(_quietly(self.home.ask(what, **about)))


async def _quietly(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await asyncio.wait_for(work, _ASK)
    except (OSError, RuntimeError) as reason:
        log.debug("onecopy: the directory was not told: %s", reason)


