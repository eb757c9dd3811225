"""Bringing one object to this node of a Ray cluster: once, by one process, whatever dies meanwhile.

The bytes travel as results of an actor on a node that has the object, in pieces with checksums: Ray moves them as it
moves everything, and they are in its own stores only until they are in ours. The actor is made by the first who needs
it, takes no CPU from Ray's accounts, and ends with the job.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import deque
from typing import Any

import numpy as np

from .. import _core
from .._core import Region
from ..errors import Error, InvalidArgument, NotFound, WrongHost
from ..sync import Lock
from .here import bytes_here, handle_here
from .ray_hooks import drop_note, noted_under, put_note, running, tell_where

log = logging.getLogger("onecopy.ray")

PIECE = 8 << 20
_AHEAD = 3  # pieces that are asked for before they are needed
_KEPT_OPEN = 4  # objects

_TRIES = 2  # of a node: the process that made its actor may have ended, and the actor with it


# By job and node. An actor ends when nobody has a handle on it, and to begin takes half a second.
_depots: dict[tuple[str, str], Any] = {}


class Depot:
    """Reads objects of one node's store. Its methods are called through Ray."""

    def __init__(self) -> None:
        self.open: dict[str, tuple[memoryview, Region]] = {}

    def look(self, identity: str) -> tuple[str, int]:
        """"" and the size; or why it can't be read here."""
        try:
            region = _core.attach(handle_here(identity)).region
        except Error as reason:
            return ("gone" if isinstance(reason, NotFound) else str(reason)), 0
        return ("writable" if region.writable else ""), region.size

    def read(self, identity: str, offset: int, size: int) -> tuple[Any, int]:
        """These bytes, and their checksum."""
        piece = np.frombuffer(self._opened(identity), np.uint8, size, offset)
        return piece, _core.checksum(piece)

    def _opened(self, identity: str) -> memoryview:
        if identity not in self.open:
            while len(self.open) >= _KEPT_OPEN:
                del self.open[next(iter(self.open))]
            self.open[identity] = bytes_here(identity)
        return self.open[identity][0]

    def close(self, identity: str) -> None:
        """Lets go of an object that somebody has read to its end."""
        self.open.pop(identity, None)


def _patience() -> float:
    text = os.environ.get("ONECOPY_RAY_TIMEOUT", "30")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InvalidArgument("read ONECOPY_RAY_TIMEOUT", f"it is {text!r}", "Give a number of seconds, such as 30")
    return seconds


def bring(handle: str) -> None:
    """Makes the object of a handle attachable on this node. Raises Error; then nothing is left of it here."""
    identity = _core.handle_id(handle)
    # The first to get the lock fetches. A process that dies lets go of it, and the next one takes over.
    with Lock(f"onecopy fetch {identity}") as elected:
        if elected.owner_died:
            elected.repaired()
        if not _core.exists(handle):
            _Fetch(handle, identity).run()


class _Fetch:
    def __init__(self, handle: str, identity: str) -> None:
        self.handle, self.identity = handle, identity
        self.store = handle.split(":")[3]
        self.ray = running()
        self.job = self.ray.get_runtime_context().get_job_id()
        self.patience = _patience()
        self.troubles: list[str] = []
        self.size = 0

    def run(self) -> None:
        began = time.monotonic()
        for node in self._nodes():
            for _ in range(_TRIES):
                try:
                    region = self._from(node)
                except self.ray.exceptions.RayActorError as reason:
                    _depots.pop((self.job, node), None)
                    self._failed(node, str(reason).strip().partition("\n")[0])
                    continue
                except (self.ray.exceptions.RayError, _Trouble) as reason:
                    self._failed(node, str(reason).strip().partition("\n")[0])
                    break
                region.handle()  # its lease: the others of this node are about to attach
                self._note_copy()
                seconds = time.monotonic() - began
                log.info("onecopy brought %s here: %.1f MB in %.2f s, from node %s", self.identity, self.size / 1e6,
                         seconds, node)  # fmt: skip
                return
        raise self._nobody()

    def _nodes(self) -> list[str]:
        """Those that may have it: where a copy is, in any order so that they share the work, then where it was made."""
        alive = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        copies = [node for node in noted_under(f"copy/{self.identity}/") if node in alive]
        homes = [node for node in noted_under(f"store/{self.store}/") if node in alive and node not in copies]
        if not homes and not copies:
            raise WrongHost(f"attach to {self.handle}", "it is on another host, and no node of the Ray cluster that is "
                            "alive reads the store there", "Share it in a driver or task of the cluster")  # fmt: skip
        random.shuffle(copies)
        random.shuffle(homes)
        # The node of the first is one among those that serve.
        mixed = copies + homes[:1]
        random.shuffle(mixed)
        return mixed + homes[1:]

    def _depot_of(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for other in [key for key in _depots if key[0] != self.job]:
            del _depots[other]
        if (self.job, node) not in _depots:
            _depots[self.job, node] = self.ray.remote(Depot).options(
                name=f"onecopy depot of {node}", get_if_exists=True, num_cpus=0, max_concurrency=1,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            ).remote()  # fmt: skip
        return _depots[self.job, node]

    def _from(self, node: str) -> Region:
        depot = self._depot_of(node)
        said, size = self._answer(depot.look.remote(self.identity))
        if said == "writable":
            raise WrongHost(f"attach to {self.handle}", "it is on another host, and can be written to: a copy would "
                            "not see the writes", "Share what is to travel between hosts without mutable")  # fmt: skip
        if said:
            if said == "gone":
                drop_note(f"copy/{self.identity}/{node}")
            raise _Trouble("the object is gone" if said == "gone" else said)
        self.size = size
        pieces: deque[Any] = deque()
        starts = iter(range(0, size, PIECE))
        rest = memoryview(b"")

        def fill(offset: int, out: memoryview) -> None:
            nonlocal rest
            while len(out):
                if not len(rest):
                    while len(pieces) <= _AHEAD and (start := next(starts, None)) is not None:
                        pieces.append(depot.read.remote(self.identity, start, min(PIECE, size - start)))
                    if not pieces:
                        raise _Trouble("it would have to be sent again")
                    data, checksum = self._answer(pieces.popleft())
                    if _core.checksum(data) != checksum:
                        raise _Trouble("what came is damaged")
                    rest = memoryview(data)
                part = min(len(out), len(rest))
                out[:part] = rest[:part]
                out, rest = out[part:], rest[part:]

        try:
            return _core.import_region(self.identity, size, fill)
        finally:
            depot.close.remote(self.identity)

    def _answer(self, reference: Any) -> Any:
        try:
            return self.ray.get(reference, timeout=self.patience)
        except self.ray.exceptions.GetTimeoutError:
            raise _Trouble(f"no answer within {self.patience:g} s") from None
        except self.ray.exceptions.RayError:
            raise
        except OSError as reason:  # of the way there; one that comes from here, as from a full store, ends the fetch
            raise _Trouble(str(reason)) from None

    def _note_copy(self) -> None:
        if self.size > PIECE:  # a small one is quickly served; notes stay until the object is missed
            put_note(f"copy/{self.identity}/{self.ray.get_runtime_context().get_node_id()}")
        tell_where()

    def _failed(self, node: str, why: str) -> None:
        log.info("onecopy: node %s can't send %s: %s", node, self.identity, why)
        self.troubles.append(f"node {node[:8]}: {why}")

    def _nobody(self) -> Error:
        kind = NotFound if all("is gone" in trouble for trouble in self.troubles) else WrongHost
        return kind(f"attach to {self.handle}", "nobody could send it: " + "; ".join(self.troubles[-4:]),
                    "Keep the object where it was shared for as long as tasks may use it")  # fmt: skip


class _Trouble(Exception):
    """This node can't send it; another one may."""
