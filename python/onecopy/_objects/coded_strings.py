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

STR = pd.StringDtype("pyarrow", na_value=np.nan)


class CodedStringArray(ArrowStringArray):  # type: ignore[misc]
    """An array of str over codes. What is computed from it is an ordinary array; selections are coded again."""

    _coded: Any  # a DictionaryArray, or None once this array was changed
    _full: Any

    @classmethod
    def over(cls, coded: pa.DictionaryArray) -> CodedStringArray:
        """The array of these codes, which it keeps; nothing is copied."""
        out: CodedStringArray = cls.__new__(cls)
        out._dtype, out._cache = STR, {}
        out._coded, out._full = coded, None
        return out

    # ArrowStringArray keeps its strings in this attribute; setting it is how it changes itself.
    @property
    def _pa_array(self) -> pa.ChunkedArray:
        if self._full is None:
            self._full = pa.chunked_array([self._coded.cast(pa.large_string())])
        return self._full

    @_pa_array.setter
    def _pa_array(self, full: pa.ChunkedArray) -> None:
        self._full, self._coded = full, None

    @property
    def is_coded(self) -> bool:
        """True as long as the full strings were not needed."""
        return getattr(self, "_coded", None) is not None and self._full is None

    def _indices(self) -> np.ndarray[Any, Any]:
        indices = self._coded.indices
        return np.asarray(indices.fill_null(-1) if indices.null_count else indices)

    def __len__(self) -> int:
        return len(self._coded) if self.is_coded else int(super().__len__())

    @property
    def nbytes(self) -> int:
        return int(self._coded.nbytes) if self.is_coded else int(super().nbytes)

    def isna(self) -> np.ndarray[Any, Any]:
        return np.asarray(self._coded.indices.is_null() if self.is_coded else super().isna())

    @property
    def _hasna(self) -> bool:
        return bool(self._coded.indices.null_count) if self.is_coded else bool(super()._hasna)

    def __getitem__(self, item: Any) -> Any:
        if not self.is_coded:
            return super().__getitem__(item)
        item = pd.api.indexers.check_array_indexer(self, item)
        if isinstance(item, slice):
            if item.step is None or item.step == 1:
                start, stop, _ = item.indices(len(self))
                return CodedStringArray.over(self._coded.slice(start, max(stop - start, 0)))
            item = np.arange(len(self))[item]
        if isinstance(item, np.ndarray):
            return self.take(np.flatnonzero(item) if item.dtype == bool else item)
        if isinstance(item, (int, np.integer)):
            value = self._coded[int(item)].as_py()
            return self.dtype.na_value if value is None else value
        return super().__getitem__(item)

    def take(self, indices: Any, allow_fill: bool = False, fill_value: Any = None) -> Any:
        if not self.is_coded or (allow_fill and fill_value is not None and not pd.isna(fill_value)):
            return super().take(indices, allow_fill=allow_fill, fill_value=fill_value)
        where = np.asarray(indices, dtype=np.intp)
        codes = pd.api.extensions.take(self._indices(), where, allow_fill=allow_fill, fill_value=-1)
        return CodedStringArray.over(self._with_codes(codes))

    def _with_codes(self, codes: np.ndarray[Any, Any]) -> pa.DictionaryArray:
        indices = pa.array(codes, mask=codes < 0)
        return pa.DictionaryArray.from_arrays(indices, self._coded.dictionary)

    def copy(self) -> Any:
        # Arrow's buffers don't change: another array on the same ones is as good as a copy.
        return CodedStringArray.over(self._coded) if self.is_coded else super().copy()

    def view(self, dtype: Any = None) -> Any:
        return CodedStringArray.over(self._coded) if dtype is None and self.is_coded else super().view(dtype)

    def factorize(self, use_na_sentinel: bool = True) -> Any:
        if not self.is_coded or not use_na_sentinel:
            return super().factorize(use_na_sentinel=use_na_sentinel)
        codes, seen = pd.factorize(self._indices(), use_na_sentinel=False)
        present = seen >= 0
        # Numbered by first appearance; missing is -1.
        number = np.where(present, np.cumsum(present) - 1, -1)
        uniques = self._coded.dictionary.take(pa.array(seen[present])).cast(pa.large_string())
        return number[codes], ArrowStringArray(pa.chunked_array([uniques]), dtype=self.dtype)

    def unique(self) -> Any:
        if not self.is_coded:
            return super().unique()
        return CodedStringArray.over(self._with_codes(pd.unique(self._indices())))

    def _cmp_method(self, other: Any, op: Any) -> Any:
        if not self.is_coded or not isinstance(other, str):
            return super()._cmp_method(other, op)
        # The answer for each string of the dictionary, looked up by code; the last place is for missing values.
        levels = ArrowStringArray(pa.chunked_array([self._coded.dictionary.cast(pa.large_string())]), dtype=self.dtype)
        answers = np.append(np.asarray(op(levels, other), dtype=bool), op.__name__ == "ne")
        return answers[self._indices()]

    def isin(self, values: Any) -> Any:
        if not self.is_coded:
            return super().isin(values)
        levels = self._coded.dictionary
        found = pc.is_in(levels, value_set=pa.array([v for v in values if isinstance(v, str)], levels.type))
        missing = any(pd.isna(v) for v in values if not isinstance(v, str))
        return np.append(np.asarray(found), missing)[self._indices()]

    def __arrow_array__(self, type: Any = None) -> Any:
        if self.is_coded and type is None:
            return self._coded.cast(pa.large_string())
        return super().__arrow_array__(type=type)

    def __reduce__(self) -> Any:
        from .._pickle import arrow_column, coded_column

        if self.is_coded:
            return coded_column, (self._coded,)
        return arrow_column, (ArrowStringArray, self._pa_array, self.dtype)
