"""What pickles of shared objects call. The names and arguments here are part of the pickles: they stay.

Unpickling never fails because an object is gone or on another host: the message that carried it may carry more. The
receiver gets a `Missing` in its place, whose first use raises the reason, and which pickles as what it stands for.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ._core import Region
from ._memory.elsewhere import attach
from ._memory.missing import Missing, MissingArray, is_missing
from ._objects.array import check_within, view_of
from ._objects.containers import shared_form
from ._objects.decode import load
from .errors import Error


def array_at(handle: str, offset: int, shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...] | None) -> Any:
    """An array, or a slice of one, at `offset` of the region."""
    dtype = np.dtype(dtype)
    try:
        region = attach(handle).region
        check_within(region.size, offset, shape, dtype, strides)
        return view_of(region, offset, shape, dtype, strides)
    except Error as reason:
        return MissingArray(reason, handle, tuple(shape), dtype, offset, strides)


def lazy_at(handle: str, offset: int, shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...] | None,
            reads: Any = (), recipe: Any = None) -> Any:
    """A lazy array, or a part of one, at `offset` of its memory; on another host one of its own by the same recipe.
    `reads`: what its function reads, to be kept."""
    from ._lazy.recipe import MissingLazy, attach_or_make
    from ._objects.lazy_array import LazyArray, keep

    dtype = np.dtype(dtype)
    try:
        memory = attach_or_make(handle, recipe)
        check_within(memory.size, offset, shape, dtype, strides)
        array = cast(LazyArray, view_of(memory, offset, shape, dtype, strides, kind=LazyArray))
        keep(array, list(reads))
        return array
    except Error as reason:
        return MissingLazy(reason, handle, tuple(shape), dtype, offset, strides, reads, recipe)


def object_at(handle: str) -> Any:
    """Any object."""
    try:
        node = attach(handle)
        return shared_form(load(node), node)
    except Error as reason:
        return Missing(reason, handle)


def buffer_at(handle: str, offset: int, size: int) -> Any:
    """Bytes of a region as an Arrow buffer."""
    import pyarrow as pa

    from ._objects.arrow_buffers import buffer_in, canonical
    from .errors import Corrupt

    region: Region = attach(handle).region
    if offset < 0 or size < 0 or offset + size > region.size:
        raise Corrupt("view a buffer of a shared object", "it reaches outside")
    buffer: pa.Buffer = buffer_in(canonical(region), offset, size)
    return buffer


def arrow_column(kind: type, chunks: Any, dtype: Any) -> Any:
    """A pandas column on Arrow's buffers."""
    import pandas as pd

    return kind(chunks, dtype=dtype) if isinstance(dtype, pd.StringDtype) else kind(chunks)


def coded_column(coded: Any) -> Any:
    """A pandas column of strings as codes into a dictionary."""
    from ._objects.coded_strings import CodedStringArray

    return CodedStringArray.over(coded)


def frame_of(kind: type, blocks: Any, axes: Any, name: Any, attrs: Any, duplicates: bool) -> Any:
    """A pandas DataFrame or Series of which a part is shared."""
    from ._objects.frame import frame_of as assemble

    for values, _ in blocks:
        if is_missing(values):
            return values
    return assemble(kind, blocks, axes, name, attrs, duplicates)
