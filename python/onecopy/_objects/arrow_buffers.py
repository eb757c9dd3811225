"""Arrow buffers over regions, and their way through pickle.

A pyarrow object pickles as its buffers. A buffer that lies in a region pickles as a handle and a place: so tables,
arrays, slices of them, and pandas columns backed by them all travel as handles, with no type of our own.
"""

from __future__ import annotations

import bisect
import copyreg
import operator
import weakref
from typing import Any

import pyarrow as pa

from .._core import Region
from .._memory.parts import in_one_piece
from .._memory.place import handle_of, pickling_by_value

_starts: list[int] = []  # sorted addresses of the regions that Arrow buffers of this process lie in
_at: dict[int, weakref.ref[Region]] = {}


def _forget(start: int, gone: weakref.ref[Region]) -> None:
    if _at.get(start) is gone:
        del _at[start]
        where = bisect.bisect_left(_starts, start)
        if where < len(_starts) and _starts[where] == start:
            del _starts[where]


def canonical(region: Region) -> Region:
    """The one Region object that all Arrow buffers of these bytes keep alive."""
    start = region.address
    known = _at.get(start)
    alive = known() if known is not None else None
    if alive is not None and alive == region:
        return alive
    if start not in _at:
        bisect.insort(_starts, start)
    _at[start] = weakref.ref(region, lambda gone: _forget(start, gone))
    return region


def region_of(address: int, size: int) -> Region | None:
    """The region that bytes [address, address + size) lie in."""
    where = bisect.bisect_right(_starts, address) - 1
    if where < 0:
        return None
    known = _at.get(_starts[where])
    region = known() if known is not None else None
    if region is None or address + size > region.address + region.size:
        return None
    return region


def buffer_in(region: Region, offset: int, size: int) -> pa.Buffer:
    """Bytes of a region as an Arrow buffer that keeps the region alive. The caller has checked the range."""
    return pa.foreign_buffer(region.address + offset, size, base=region)


def arrow_is_shared(obj: Any) -> bool:
    """True if any buffer of a pyarrow object lies in a region."""
    if isinstance(obj, (pa.Table, pa.RecordBatch)):
        return any(arrow_is_shared(column) for column in obj.columns)
    if isinstance(obj, pa.ChunkedArray):
        return any(arrow_is_shared(chunk) for chunk in obj.chunks)
    if isinstance(obj, pa.Array):
        return any(b is not None and region_of(b.address, b.size) is not None for b in obj.buffers())
    return False


class _AsItself:
    """Pickles as the buffer does by itself, with the protocol that the pickler uses."""

    def __init__(self, buffer: pa.Buffer) -> None:
        self.buffer = buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.buffer.__reduce_ex__(protocol)


def _reduce_buffer(buffer: pa.Buffer) -> Any:
    if not pickling_by_value():
        region = region_of(buffer.address, buffer.size)
        if region is not None:
            start = buffer.address - region.address
            handle = handle_of(region) if region.writable or not region.diverged(start, buffer.size) else None
            if handle is not None:
                from .._pickle import buffer_at

                return buffer_at, (handle, start, buffer.size)
    # getitem((x,), 0) is x: readers of other buffers' pickles don't need onecopy.
    return operator.getitem, ((_AsItself(buffer),), 0)


def _reduce_whole(obj: Any) -> Any:
    function, arguments = obj.__reduce__()[:2]
    if pickling_by_value() or not arrow_is_shared(obj):
        return function, arguments
    return in_one_piece(function, arguments)


copyreg.pickle(pa.lib.Buffer, _reduce_buffer)
for _kind in {kind for kind in vars(pa.lib).values() if isinstance(kind, type)}:
    if issubclass(_kind, (pa.Table, pa.RecordBatch, pa.ChunkedArray, pa.Array)):
        copyreg.pickle(_kind, _reduce_whole)
