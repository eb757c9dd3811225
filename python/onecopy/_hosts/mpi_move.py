"""How the bytes of a region get from one rank to others: what `onecopy.mpi` is made of.

Every function here is called by all members of a communicator. A failure of one of them must not leave the others
waiting, so each step ends with a question to all whether it went well (`Together.step`), and a rank that has failed
goes on taking part in the exchange of pieces to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np

from .. import _core
from .._core import Region
from ..errors import Corrupt, Error

T = TypeVar("T")

# An MPI count is a C int: more than 2 GiB at once can't be sent. Small pieces also let each rank of a tree pass one on
# while it receives the next.
PIECE = 1 << 20


class Together:
    """Steps of which any may fail on any rank; then it fails on all."""

    def __init__(self, comm: Any, doing: str) -> None:
        self.comm, self.doing = comm, doing
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()

    def step(self, work: Callable[[], T]) -> T:
        """What `work` returns. If it raised on any rank: that error here, and one that tells of it on the others."""
        error: BaseException | None = None
        result: Any = None
        try:
            result = work()
        except BaseException as reason:  # also an interruption: the others wait for this rank
            error = reason
        self.agree(error)
        made: T = result
        return made

    def agree(self, error: BaseException | None) -> None:
        """Raises on every rank if any of them came with an error: the error of the first such rank."""
        failed = np.array([self.size if error is None else self.rank], dtype=np.int64)
        first = np.empty_like(failed)
        self.comm.Allreduce(failed, first, op=_least())
        if first[0] == self.size:
            return
        told = self.comm.bcast(_told(error) if self.rank == first[0] else None, root=int(first[0]))
        if error is not None:
            raise error
        _raise_for(int(first[0]), self.doing, told)


def _least() -> Any:
    from mpi4py import MPI

    return MPI.MIN


def _told(error: BaseException | None) -> tuple[type, tuple[str, str, str, int]]:
    """An error as something that every rank can unpickle."""
    if isinstance(error, Error):
        return type(error), (error.tried, error.happened, error.remedy, error.os_error)
    return Error, ("", f"{type(error).__name__}: {error}", "", 0)


def _raise_for(rank: int, doing: str, told: tuple[type, tuple[str, str, str, int]]) -> NoReturn:
    kind, (tried, happened, remedy, os_error) = told
    what = f"rank {rank} can't {tried}: {happened}" if tried else f"rank {rank}: {happened}"
    raise kind(doing, what, remedy, os_error)


class Places:
    """Which ranks see the same store, and so use the same copy."""

    def __init__(self, together: Together) -> None:
        # Not MPI's Split_type(COMM_TYPE_SHARED): to it two containers on one machine, with two stores, are one host.
        mine = np.array(together.step(lambda: (int(_core.host_id(), 16), int(_core.store_id(), 16))), dtype=np.uint64)
        all_of_them = np.empty((together.size, 2), dtype=np.uint64)
        together.comm.Allgather(mine, all_of_them)
        _, first, which = np.unique(all_of_them, axis=0, return_index=True, return_inverse=True)
        which = which.reshape(-1)
        self.leader_of = [int(first[place]) for place in which]
        self.leaders = sorted({int(rank) for rank in first})

    def ranks_with(self, leader: int) -> list[int]:
        return [rank for rank, its in enumerate(self.leader_of) if its == leader]


class Sum:
    """A checksum of pieces in their order; what sender and receivers compare at the end."""

    def __init__(self) -> None:
        self.value = np.zeros(2, dtype=np.uint64)

    def add(self, piece: Any) -> None:
        self.value[1] = _core.checksum(piece)
        self.value[0] = _core.checksum(self.value)


class Incoming:
    """A region that is being received: its bytes come in pieces of PIECE, whatever the size of the blocks asked for.

    The sum of the pieces comes last. It is checked before `fill` returns the last bytes: what is damaged never gets
    into a store.
    """

    def __init__(self, bytes_in_all: int, take: Callable[[Any], None]) -> None:
        self.left, self.take = bytes_in_all, take
        self.at = 0
        self.rest = memoryview(b"")
        self.sum = Sum()
        self.intact = True

    def fill(self, offset: int, out: memoryview) -> None:
        """For `_core.import_region`."""
        if offset != self.at:
            raise Corrupt("receive a shared object", "it would have to be sent again from the beginning")
        self.at += len(out)
        while len(out):
            if not len(self.rest) and min(PIECE, self.left) <= len(out):
                size = min(PIECE, self.left)
                self._next(out[:size])
                out = out[size:]
                continue
            if not len(self.rest):
                self.rest = memoryview(bytearray(min(PIECE, self.left)))
                self._next(self.rest)
            size = min(len(out), len(self.rest))
            out[:size] = self.rest[:size]
            out, self.rest = out[size:], self.rest[size:]
        if not self.intact:
            raise Corrupt("receive a shared object", "what came is not what was sent: its checksum differs",
                          "Try again; if it happens again, the network or the memory of a host is damaged")

    def _next(self, where: memoryview) -> None:
        self.take(where)
        self.sum.add(where)
        self.left -= len(where)
        if not self.left:
            sent = np.empty(1, dtype=np.uint64)
            self.take(sent.view(np.uint8))
            self.intact = bool(sent[0] == self.sum.value[0])

    def drain(self) -> None:
        """Takes what is left of the pieces, for nothing."""
        scratch = memoryview(bytearray(min(PIECE, self.left)))
        while self.left:
            self._next(scratch[: min(PIECE, self.left)])


def receive(identity: str, size: int, ready: Callable[[bool], bool], take: Callable[[Any], None]
            ) -> tuple[Region | None, BaseException | None]:
    """Receives one region into this store. The region, or why there is none; neither if the sender gave up.

    Args:
        ready: told once whether there is room here; answers whether the pieces will come.
        take: receives the next piece into a buffer.
    """
    incoming = Incoming(size, take)
    asked: list[bool] = []

    def fill(offset: int, out: memoryview) -> None:
        # The first call shows that the memory is reserved: what can fail has not failed.
        if not asked:
            asked.append(ready(True))
        if not asked[0]:
            raise _GivenUp
        incoming.fill(offset, out)

    try:
        return _core.import_region(identity, size, fill), None
    except _GivenUp:
        return None, None
    except BaseException as reason:
        if not asked:
            ready(False)
        elif asked[0]:
            incoming.drain()
        return None, reason


class _GivenUp(Exception):
    """The sender will not send: nothing is wrong here."""


def send(region: Region, give: Callable[[Any], None]) -> None:
    """The pieces of a region, in order, and their sum."""
    whole = memoryview(region)
    total = Sum()
    for at in range(0, region.size, PIECE):
        piece = whole[at : min(at + PIECE, region.size)]
        total.add(piece)
        give(piece)
    give(total.value[:1].view(np.uint8))

