"""MPI over several hosts: each host holds one copy, which one of its ranks receives and the others attach.

    from mpi4py import MPI
    import onecopy.mpi

    table = onecopy.mpi.bcast(read() if MPI.COMM_WORLD.rank == 0 else None)
    mine = onecopy.mpi.scatter_table(table if MPI.COMM_WORLD.rank == 0 else None)

Ranks belong to one host if they see the same store (``onecopy doctor`` shows it): two containers on one machine that
have a ``/dev/shm`` each are two hosts. Needs mpi4py.

All functions are collective: every rank of the communicator calls them, in the same order. If one fails on any rank it
raises on every rank, the reason and the rank in the message, and nothing stays behind. What they return ends on a host
as every shared object does, when the last process there lets go of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from . import _core
from ._core import Node, Region
from ._hosts.mpi_move import Places, Together, receive, send
from ._hosts.mpi_rows import concatenated, row_count, rows
from ._objects.containers import shared_form
from ._objects.decode import load
from .api import _publish, shared_node
from .errors import Error, InvalidArgument, Unsupported, WrongType

__all__ = ["bcast", "hosts", "scatter_table"]


def bcast(obj: Any = None, comm: Any = None, root: int = 0) -> Any:
    """The root's object on every rank, as ``share`` returns it: one copy on each host.

    Args:
        obj: anything that ``share`` takes. Looked at on the root only; what is shared already is not shared again.
        comm: an mpi4py intracommunicator; MPI.COMM_WORLD unless given.
        root: the rank whose object it is.

    The bytes cross to each other host once, through MPI's own broadcast, in pieces: the size has no limit of MPI's. A
    host that has the object, from an earlier broadcast, gets nothing.

    Raises: what ``share`` raises, on every rank. WrongType: a mutable object, when there is more than one host.
    Unsupported: no mpi4py. NoSpace, NoMemory: a host has no room.

    Threads: collective; one thread of each rank at a time, as MPI was initialized for.
    """
    together = _together(comm, root, "broadcast an object")
    places = Places(together)
    at_root = together.rank == root
    node = together.step(lambda: _published(obj, len(places.leaders) == 1) if at_root else None)
    # No lease: the root holds the object until all have attached.
    offer = together.step(lambda: (node.handle(0.0), node.region.size) if node is not None else None)
    handle, size = together.comm.bcast(offer, root=root)
    if len(places.leaders) > 1:
        leads = together.rank in places.leaders and together.rank != places.leader_of[root]
        held = node.region if node is not None else _region_here(handle) if leads else None
        receiving = leads and held is None
        group = together.comm.Split(0 if at_root or receiving else _undefined(), -1 if at_root else together.rank)
        error: BaseException | None = None
        if at_root or receiving:
            try:
                if group.Get_size() > 1:
                    held, error = _broadcast(group, held, handle, size)
            finally:
                group.Free()
        together.agree(error)
    # Whoever received holds the region until all have attached.
    return together.step(lambda: _object_of(node if node is not None else _core.attach(handle)))


def _region_here(handle: str) -> Region | None:
    try:
        return _core.attach(handle).region
    except Error:  # not here; or damaged, which the next attempt will tell
        return None


def _broadcast(group: Any, region: Region | None, handle: str, size: int
               ) -> tuple[Region | None, BaseException | None]:
    """In a group of the root (its rank 0) and those who receive."""
    from mpi4py import MPI

    def all_ready(here: bool) -> bool:
        return bool(group.allreduce(here, op=MPI.LAND))

    def piece(buffer: Any) -> None:
        group.Bcast([buffer, MPI.BYTE], root=0)

    if region is None:
        return receive(_core.handle_id(handle), size, all_ready, piece)
    if all_ready(True):
        send(region, piece)
    return region, None


def scatter_table(table: Any = None, comm: Any = None, root: int = 0, *, counts: Sequence[int] | None = None) -> Any:
    """Each rank's share of the root's rows: rank 0 has the first, and so on.

    Args:
        table: a pandas, polars or pyarrow table, a Series, an ndarray (its first axis is cut), or a dict of such.
            Looked at on the root only.
        comm: an mpi4py intracommunicator; MPI.COMM_WORLD unless given.
        root: the rank whose table it is.
        counts: rows for each rank, on the root; otherwise as equal as can be.

    A host receives the rows of all its ranks at once, as one shared object of which each rank gets its part: no row
    crosses to a host that doesn't use it. On the root's host a table that is shared already is used as it is.

    Raises: WrongType: it has no rows. InvalidArgument: counts don't fit. Otherwise as ``bcast``.
    """
    together = _together(comm, root, "scatter a table")
    places = Places(together)
    at_root = together.rank == root
    plan = together.step(lambda: _cut(table, counts, together.size) if at_root else None)
    plan = together.comm.bcast(plan, root=root)

    error: BaseException | None = None
    found: tuple[str, int] = ("", 0)
    held: Any = None
    private = together.comm.Dup()  # its messages can't be taken for the program's
    try:
        if at_root:
            error, found, held = _deal(private, table, plan, places, root)
        elif together.rank in places.leaders and together.rank != places.leader_of[root]:
            error, found, held = _take(private, root)
    finally:
        private.Free()
    together.agree(error)
    # From one rank of each host to the others: where the host's rows are, and which row of the object is their first.
    offers = together.comm.allgather(found if found[0] else None)
    source = root if places.leader_of[together.rank] == places.leader_of[root] else places.leader_of[together.rank]
    handle, whole_table = offers[source]

    def attach() -> Any:
        start, stop = plan[together.rank]
        first = start
        if not whole_table:
            before = [r for r in places.ranks_with(places.leader_of[together.rank]) if r < together.rank]
            first = sum(plan[r][1] - plan[r][0] for r in before)
        return rows(_object_of(_core.attach(handle)), first, first + stop - start)

    mine = together.step(attach)
    del held  # until here, or nobody might hold the object when a rank attaches
    return mine


def hosts(comm: Any = None) -> list[list[int]]:
    """The ranks of each host, as ``bcast`` sees it: each list is of ranks that use one copy. Collective."""
    together = _together(comm, 0, "look for ranks of one host")
    places = Places(together)
    return [places.ranks_with(leader) for leader in places.leaders]


def _together(comm: Any, root: int, doing: str) -> Together:
    try:
        from mpi4py import MPI
    except ImportError as missing:
        raise Unsupported(doing, f"mpi4py can't be imported ({missing})",
                          "Install it, beside an MPI such as Open MPI: pip install mpi4py") from missing
    if comm is None:
        comm = MPI.COMM_WORLD
    if not isinstance(comm, MPI.Intracomm) or comm == MPI.COMM_NULL:
        raise InvalidArgument(doing, f"comm is {comm!r}", "Give an intracommunicator of mpi4py, such as MPI.COMM_WORLD")
    if not isinstance(root, int) or not 0 <= root < comm.Get_size():
        raise InvalidArgument(doing, f"root is {root!r}", f"Give the number of a rank, 0 to {comm.Get_size() - 1}")
    return Together(comm, doing)


def _undefined() -> int:
    from mpi4py import MPI

    undefined: int = MPI.UNDEFINED
    return undefined


def _published(obj: Any, one_host: bool) -> Node:
    """The node to send: the one that `obj` is, if that is a whole region of a store, or a new one."""
    node = shared_node(obj)
    if node is not None and node.region.writable:
        if one_host:
            return node
        raise WrongType("send a mutable object to another host", "what one host writes the others would not see",
                        "Share a copy of it that is not mutable")
    if node is not None and node.index == 0 and node.region.backing in ("store", "memfd"):
        try:
            node.handle(0.0)
            return node
        except Unsupported:  # memory that came through a channel: no store knows it
            pass
    return _publish(obj, None, where="store")


def _object_of(node: Node) -> Any:
    return shared_form(load(node), node)


def _cut(table: Any, counts: Sequence[int] | None, size: int) -> list[tuple[int, int]]:
    """First and one past the last row of each rank."""
    count = row_count(table)
    if counts is None:
        counts = [count // size + (rank < count % size) for rank in range(size)]
    elif len(counts) != size or any(n < 0 for n in counts) or sum(counts) != count:
        raise InvalidArgument("scatter a table", f"counts are {list(counts)}",
                              f"Give {size} numbers of rows whose sum is {count}")
    ends = [sum(counts[: rank + 1]) for rank in range(size)]
    return [(end - n, end) for end, n in zip(ends, counts, strict=True)]


def _deal(comm: Any, table: Any, plan: list[tuple[int, int]], places: Places, root: int
          ) -> tuple[BaseException | None, tuple[str, int], Any]:
    """The root's part: to each host its rows."""
    error: BaseException | None = None
    found: tuple[str, int] = ("", 0)
    held: Any = None
    for leader in places.leaders:
        here = leader == places.leader_of[root]
        node: Node | None = None
        whole = False
        if error is None:
            try:
                node = shared_node(table) if here else None
                whole = node is not None
                if node is None:
                    part = concatenated(table, [plan[rank] for rank in places.ranks_with(leader)])
                    node = _publish(part, None, where="store")
                    del part
            except BaseException as reason:
                error = reason
        if here:
            if node is not None:
                found, held = (node.handle(0.0), int(whole)), node
            continue
        # A leader that is told of no object knows that the root has failed.
        comm.send((node.handle(0.0), node.region.size) if node is not None else None, dest=leader)
        if node is not None and comm.recv(source=leader):
            send(node.region, partial(_send_bytes, comm, leader))
    return error, found, held


def _send_bytes(comm: Any, to: int, piece: Any) -> None:
    from mpi4py import MPI

    comm.Send([piece, MPI.BYTE], dest=to)


def _take(comm: Any, root: int) -> tuple[BaseException | None, tuple[str, int], Any]:
    """A leader's part: the rows of its host."""
    from mpi4py import MPI

    offer = comm.recv(source=root)
    if offer is None:
        return None, ("", 0), None

    def ready(here: bool) -> bool:
        comm.send(here, dest=root)
        return here

    region, error = receive(_core.handle_id(offer[0]), offer[1], ready,
                            lambda piece: comm.Recv([piece, MPI.BYTE], source=root))
    return error, (offer[0] if region is not None else "", 0), region
