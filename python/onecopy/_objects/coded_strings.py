"""Strings that lie in the region as codes into a dictionary, as a pandas column of dtype str.

R's strings and others whose values repeat are stored so. pandas' own arrays of strings hold every string in full, and
making one would cost each process a private copy. This one answers what it can from the codes (length, missing values,
selection, comparison, grouping, unique values) and makes the full strings at the first use of anything else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.arrays import ArrowStringArray

from .arrow_buffers import arrow_is_shared
from .late_strings import LateStringArray


class CodedStringArray(LateStringArray):
    """An array of str over codes, a DictionaryArray. What is computed from it is an ordinary array; selections are
    coded again."""

    def _made(self) -> pa.Array:
        return self._source.cast(pa.large_string())

    def in_shared_memory(self) -> bool:
        return arrow_is_shared(self._pa_array if self._source is None else self._source)

    def _indices(self) -> np.ndarray[Any, Any]:
        indices = self._source.indices
        return np.asarray(indices.fill_null(-1) if indices.null_count else indices)

    @property
    def nbytes(self) -> int:
        return int(self._source.nbytes) if self.is_late else int(super().nbytes)

    def isna(self) -> np.ndarray[Any, Any]:
        return np.asarray(self._source.indices.is_null() if self.is_late else super().isna())

    @property
    def _hasna(self) -> bool:
        return bool(self._source.indices.null_count) if self.is_late else bool(super()._hasna)

    def __getitem__(self, item: Any) -> Any:
        if not self.is_late:
            return super().__getitem__(item)
        item = pd.api.indexers.check_array_indexer(self, item)
        if isinstance(item, slice):
            if item.step is None or item.step == 1:
                start, stop, _ = item.indices(len(self))
                return CodedStringArray.over(self._source.slice(start, max(stop - start, 0)))
            item = np.arange(len(self))[item]
        if isinstance(item, np.ndarray):
            return self.take(np.flatnonzero(item) if item.dtype == bool else item)
        if isinstance(item, (int, np.integer)):
            value = self._source[int(item)].as_py()
            return self.dtype.na_value if value is None else value
        return super().__getitem__(item)

    def take(self, indices: Any, allow_fill: bool = False, fill_value: Any = None) -> Any:
        if not self.is_late or (allow_fill and fill_value is not None and not pd.isna(fill_value)):
            return super().take(indices, allow_fill=allow_fill, fill_value=fill_value)
        where = np.asarray(indices, dtype=np.intp)
        codes = pd.api.extensions.take(self._indices(), where, allow_fill=allow_fill, fill_value=-1)
        return CodedStringArray.over(self._with_codes(codes))

    def _with_codes(self, codes: np.ndarray[Any, Any]) -> pa.DictionaryArray:
        indices = pa.array(codes, mask=codes < 0)
        return pa.DictionaryArray.from_arrays(indices, self._source.dictionary)

    def factorize(self, use_na_sentinel: bool = True) -> Any:
        if not self.is_late or not use_na_sentinel:
            return super().factorize(use_na_sentinel=use_na_sentinel)
        codes, seen = pd.factorize(self._indices(), use_na_sentinel=False)
        present = seen >= 0
        # Numbered by first appearance; missing is -1.
        number = np.where(present, np.cumsum(present) - 1, -1)
        uniques = self._source.dictionary.take(pa.array(seen[present])).cast(pa.large_string())
        return number[codes], ArrowStringArray(pa.chunked_array([uniques]), dtype=self.dtype)

    def unique(self) -> Any:
        if not self.is_late:
            return super().unique()
        return CodedStringArray.over(self._with_codes(pd.unique(self._indices())))

    def _cmp_method(self, other: Any, op: Any) -> Any:
        if not self.is_late or not isinstance(other, str):
            return super()._cmp_method(other, op)
        # The answer for each string of the dictionary, looked up by code; the last place is for missing values.
        levels = ArrowStringArray(pa.chunked_array([self._source.dictionary.cast(pa.large_string())]), dtype=self.dtype)
        answers = np.append(np.asarray(op(levels, other), dtype=bool), op.__name__ == "ne")
        return answers[self._indices()]

    def isin(self, values: Any) -> Any:
        if not self.is_late:
            return super().isin(values)
        levels = self._source.dictionary
        found = pc.is_in(levels, value_set=pa.array([v for v in values if isinstance(v, str)], levels.type))
        missing = any(pd.isna(v) for v in values if not isinstance(v, str))
        return np.append(np.asarray(found), missing)[self._indices()]

    def __arrow_array__(self, type: Any = None) -> Any:
        if self.is_late and type is None:
            return self._source.cast(pa.large_string())
        return super().__arrow_array__(type=type)

    def __reduce__(self) -> Any:
        from .._pickle import arrow_column, coded_column

        if self.is_late:
            return coded_column, (self._source,)
        return arrow_column, (ArrowStringArray, self._pa_array, self.dtype)
