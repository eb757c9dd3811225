"""What Dask's accounts of memory and its spilling to disk make of shared objects.

Dask moves, spills and restarts by what it thinks objects weigh. Shared bytes are there once, whoever holds them: each
holder counts only what is its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .._core import Region
from .._memory.place import by_value, owner_of
from .._objects.array import SharedArray

_HANDLE = 256  # bytes: what is left in a process when the data are not counted


def teach_sizeof(sizeof: Any) -> None:
    """Makes ``dask.sizeof`` count private bytes only: of arrays, pandas frames and series, and Arrow's tables."""
    sizeof.register(SharedArray, _array_bytes)
    _after_dask_itself(sizeof, "pandas", _teach_pandas)
    _after_dask_itself(sizeof, "pyarrow", _teach_arrow)


def _after_dask_itself(sizeof: Any, library: str, teach: Callable[[Any], None]) -> None:
    """Dask registers a library's types when it first meets one. Ours build on them, so they come afterwards."""
    theirs = sizeof._lazy.get(library)
    if theirs is None:  # it has met one already, or knows nothing about the library
        if library in sys.modules:
            teach(sizeof)
        return

    def both() -> None:
        theirs()
        teach(sizeof)

    sizeof.register_lazy(library, both)


def _array_bytes(x: Any) -> int:
    # Of private pages nobody knows cheaply how many were written to.
    return _HANDLE if isinstance(owner_of(x), Region) else int(x.nbytes)


def _teach_pandas(sizeof: Any) -> None:
    import pandas as pd

    from ..api import block_is_shared

    def blocks_of(x: Any) -> list[Any]:
        return [block.values for block in x._mgr.blocks]

    def either(plain: Callable[[Any], int]) -> Callable[[Any], int]:
        def count(x: Any) -> int:
            blocks = blocks_of(x)
            own = [values for values in blocks if not block_is_shared(values)]
            if len(own) == len(blocks):
                return plain(x)
            axes = sum(int(sizeof(axis)) for axis in x._mgr.axes)
            return axes + _HANDLE * len(blocks) + sum(int(getattr(values, "nbytes", 0)) for values in own)

        return count

    for kind in (pd.DataFrame, pd.Series):
        sizeof.register(kind, either(sizeof.dispatch(kind)))


def _teach_arrow(sizeof: Any) -> None:
    import pyarrow as pa

    from .._objects.arrow_buffers import region_of

    def either(plain: Callable[[Any], int]) -> Callable[[Any], int]:
        def count(x: Any) -> int:
            shared = private = 0
            for buffer in _buffers(x):
                if region_of(buffer.address, buffer.size) is not None:
                    shared += 1
                else:
                    private += buffer.size
            return private + _HANDLE * shared if shared else plain(x)

        return count

    def _buffers(x: Any) -> list[Any]:
        columns = x.columns if isinstance(x, pa.Table) else [x]
        return [b for column in columns for chunk in column.chunks for b in chunk.buffers() if b is not None]

    for kind in (pa.Table, pa.ChunkedArray):
        try:
            plain = sizeof.dispatch(kind)
        except TypeError:
            continue
        sizeof.register(kind, either(plain))


def keep_values_on_disk() -> None:
    """What Dask spills to disk is data: a handle there would outlive the object that it names.

    Dask serializes for the disk what holds our objects in any depth, so it is done around the whole.
    """
    from distributed.spill import Slow

    store = Slow.__setitem__

    def store_values(self: Any, key: Any, value: object) -> None:
        with by_value():
            store(self, key, value)

    Slow.__setitem__ = store_values

