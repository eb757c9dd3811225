"""Lazy columns as a pandas DataFrame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.arrays import ArrowStringArray

from .._memory.place import pickling_by_value
from .._objects.frame import frame_of
from .._objects.late_strings import LateStringArray
from .._objects.lazy_array import LazyArray
from .strings import LazyStrings, load


class LazyStringArray(LateStringArray):
    """A lazy column of strings as pandas' dtype str. Length, elements, slices, selections and missing values read what
    they need; the first use of anything else reads all of it into memory of this process."""

    def _made(self) -> pa.Array:
        return self._source.to_arrow()

    def in_shared_memory(self) -> bool:
        return self.is_late

    @property
    def nbytes(self) -> int:
        return int(self._source.storage.nbytes) if self.is_late else int(super().nbytes)

    def isna(self) -> Any:
        return self._source.isna() if self.is_late else super().isna()

    def __getitem__(self, item: Any) -> Any:
        if not self.is_late:
            return super().__getitem__(item)
        item = pd.api.indexers.check_array_indexer(self, item)
        if isinstance(item, slice):
            return LazyStringArray.over(self._source[item])
        if isinstance(item, np.ndarray):
            return self.take(np.flatnonzero(item) if item.dtype == bool else item)
        if isinstance(item, (int, np.integer)):
            value = self._source[int(item)]
            return self.dtype.na_value if value is None else value
        return super().__getitem__(item)

    def take(self, indices: Any, allow_fill: bool = False, fill_value: Any = None) -> Any:
        if not self.is_late or allow_fill:
            return super().take(indices, allow_fill=allow_fill, fill_value=fill_value)
        picked = self._source.storage[np.asarray(indices, dtype=np.intp)]
        return ArrowStringArray(pa.chunked_array([load(np.asarray(picked))]), dtype=self.dtype)

    def _cmp_method(self, other: Any, op: Any) -> Any:
        if self.is_late and isinstance(other, str) and op.__name__ in ("eq", "ne"):
            return self._source == other if op.__name__ == "eq" else self._source != other
        return super()._cmp_method(other, op)

    def __reduce__(self) -> Any:
        if self._source is not None and not pickling_by_value():
            return lazy_strings_column, (self._source,)
        return ArrowStringArray, (self._pa_array, self.dtype)


def lazy_strings_column(strings: LazyStrings) -> LazyStringArray:
    """What pickles of lazy columns call."""
    return LazyStringArray.over(strings)


def frame(columns: dict[str, LazyArray | LazyStrings], rows: int) -> pd.DataFrame:
    """A DataFrame on the columns themselves: nothing is read."""
    blocks = []
    for at, values in enumerate(columns.values()):
        if isinstance(values, LazyStrings):
            block: Any = LazyStringArray.over(values)
        elif values.dtype.kind in "mM":
            # As pandas keeps times: two-dimensional, like numbers.
            block = pd.Series(values.view(np.ndarray), copy=False).array.reshape(1, -1)
        else:
            block = values.view(np.ndarray).reshape(1, -1)
        blocks.append((block, np.array([at], dtype=np.intp)))
    axes = [pd.Index(list(columns), dtype="str" if columns else object), pd.RangeIndex(rows)]
    out: pd.DataFrame = frame_of(pd.DataFrame, blocks, axes, None, {}, True)
    return out
