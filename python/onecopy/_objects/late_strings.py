"""Columns of pandas' dtype str whose strings are made when they are needed."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.arrays import ArrowStringArray

STR = pd.StringDtype("pyarrow", na_value=np.nan)


class LateStringArray(ArrowStringArray):  # type: ignore[misc]
    """An array of str over a source, which subclasses answer from what they can: at the first use of anything else all
    strings are made, in memory of this process. It pickles as its source."""

    _source: Any  # None once this array was changed
    _full: Any

    @classmethod
    def over(cls, source: Any) -> Self:
        """The array of what this source has, which it keeps; nothing is copied."""
        out = cls.__new__(cls)
        out._dtype, out._cache = STR, {}
        out._source, out._full = source, None
        return out

    def _made(self) -> pa.Array:
        """All strings of the source."""
        raise NotImplementedError

    def in_shared_memory(self) -> bool:
        """Whether the strings are there for other processes, too."""
        raise NotImplementedError

    # ArrowStringArray keeps its strings in this attribute; setting it is how it changes itself.
    @property
    def _pa_array(self) -> pa.ChunkedArray:
        if self._full is None:
            self._full = pa.chunked_array([self._made()])
        return self._full

    @_pa_array.setter
    def _pa_array(self, full: pa.ChunkedArray) -> None:
        self._full, self._source = full, None

    @property
    def is_late(self) -> bool:
        """True as long as the full strings were not needed."""
        return getattr(self, "_source", None) is not None and self._full is None

    def __len__(self) -> int:
        return len(self._source) if self.is_late else int(super().__len__())

    def copy(self) -> Any:
        # The source doesn't change: another array on the same one is as good as a copy.
        return self.over(self._source) if self.is_late else super().copy()

    def view(self, dtype: Any = None) -> Any:
        return self.over(self._source) if dtype is None and self.is_late else super().view(dtype)
