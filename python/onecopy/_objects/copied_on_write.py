"""pandas and shared columns: whoever writes to a part of a frame gets a copy of that part first.

pandas copies a column before it writes to it if a second block holds it too, and writes in place otherwise, which for
read-only memory is an error. So each shared column has a second block, without data, that lives as long as any view of
the column's memory: also when the frame is gone and only a column or a renamed frame is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import SharedArray


class _Anchored(SharedArray):
    """An array that all of pandas' views of it keep, and that keeps the second block."""

    __slots__ = ("second_block",)


def plain_view(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An ordinary ndarray on the same memory, for a block of pandas."""
    return array.view(_Anchored).view(np.ndarray)


def copy_before_writing(obj: Any) -> Any:
    """The same frame or series, whose read-only blocks pandas copies before it writes to them."""
    for block in obj._mgr.blocks:
        anchor = _anchor_of(block.values)
        if anchor is not None and not anchor.flags.writeable:
            # Without values of the memory: NumPy's arrays can't be collected in cycles.
            anchor.second_block = type(block)(np.empty((0, 0)), placement=block.mgr_locs, ndim=block.ndim,
                                              refs=block.refs)
    return obj


def _anchor_of(values: Any) -> Any:
    """The anchor of a block's values; of arrays made of several, as those with a mask, of the one with the data."""
    for name in ("_ndarray", "_data"):
        values = getattr(values, name, values) if not isinstance(values, np.ndarray) else values
    while isinstance(values, np.ndarray):
        if type(values) is _Anchored:
            return values
        values = values.base
    return None
