"""Columns of strings that are read when they are touched.

Strings have no fixed size, so each lies in a record as wide as the longest: its length in bytes (-1: missing) and its
UTF-8. What was not touched takes no memory, and all processes have the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._objects.lazy_array import LazyArray

CHUNK = 65536  # rows that a sequential pass handles at once


def storage_dtype(width: int) -> np.dtype[Any]:
    """The record of a string of at most `width` bytes."""
    return np.dtype([("size", "<i4"), ("text", "u1", (max(4, -(-width // 4) * 4),))])


def widest(array: Any) -> int:
    """Bytes of the longest string of an Arrow array."""
    import pyarrow.compute as pc

    found = pc.max(pc.binary_length(array)).as_py()
    return 0 if found is None else int(found)


def store(array: Any, out: NDArray[Any]) -> None:
    """Writes Arrow strings into records, which are zeros before. Raises ValueError when one is too long."""
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    array = array.cast(pa.large_string())
    if array.offset:
        array = pa.concat_arrays([array])
    width = out.dtype["text"].shape[0]
    count = len(array)
    _, offsets_buffer, data = array.buffers()
    offsets = np.frombuffer(offsets_buffer, "<i8", count + 1, array.offset * 8)
    sizes = np.diff(offsets)
    if count and sizes.max() > width:
        raise ValueError(f"a string of {sizes.max()} bytes, and {width} are the most: the source has changed, "
                         "or the width is too small")
    missing = np.asarray(array.is_null())
    out["size"] = np.where(missing, -1, sizes)
    if data is not None and offsets[-1] > offsets[0]:
        bytes_ = np.frombuffer(data, "u1")[offsets[0] : offsets[-1]]
        out["text"][np.arange(width) < sizes[:, None]] = bytes_


def load(records: NDArray[Any]) -> Any:
    """Records as Arrow strings."""
    import pyarrow as pa

    sizes = np.maximum(records["size"], 0).astype("i8")
    data = records["text"][np.arange(records.dtype["text"].shape[0]) < sizes[:, None]]
    offsets = np.zeros(len(records) + 1, "i8")
    np.cumsum(sizes, out=offsets[1:])
    missing = records["size"] < 0
    validity = None if not missing.any() else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.LargeStringArray.from_buffers(len(records), pa.py_buffer(offsets), pa.py_buffer(data), validity,
                                            int(missing.sum()))


class TextFill:
    """A user's function that returns texts, as one that writes records."""

    def __init__(self, function: bytes | str) -> None:
        self.function = function
        self._loaded: Any = None

    def __call__(self, start: int, end: int, out: NDArray[Any]) -> None:
        import pyarrow as pa

        from .runner import _load

        if self._loaded is None:
            self._loaded = _load(self.function)
        texts = self._loaded(start, end)
        if isinstance(texts, np.ndarray):
            texts = texts.tolist()
        if not isinstance(texts, (pa.Array, pa.ChunkedArray)):
            texts = pa.array(texts, pa.large_string())
        if len(texts) != end - start:
            raise ValueError(f"the function returned {len(texts)} texts, not {end - start}")
        store(texts, out)


class LazyStrings:
    """A column of strings, read when touched; missing ones are None.

    Indexing gives a str; a slice gives another lazy column; comparing with a str gives an array of truths, and so do
    the others that pass over all of it: a piece at a time. ``storage`` is the lazy array below it, which can be pinned
    and so on. It pickles as a handle.
    """

    __slots__ = ("storage",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, storage: LazyArray) -> None:
        self.storage = storage

    def __len__(self) -> int:
        return len(self.storage)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return LazyStrings(self.storage[key])
        if isinstance(key, (int, np.integer)):
            at = int(key) + (len(self) if key < 0 else 0)
            if not 0 <= at < len(self):
                raise IndexError(f"{key} is out of range for {len(self)} strings")
            return self[at : at + 1].to_arrow()[0].as_py()
        return load(np.asarray(self.storage[key])).to_numpy(zero_copy_only=False)

    def pieces(self, rows: int = CHUNK) -> Iterator[Any]:
        """Arrow arrays of so many rows, one after the other."""
        for start in range(0, len(self), rows):
            yield load(self.storage[start : start + rows].copy())

    def to_arrow(self) -> Any:
        """All of it as an Arrow array, in memory of its own."""
        import pyarrow as pa

        parts = list(self.pieces())
        return parts[0] if len(parts) == 1 else pa.concat_arrays(parts) if parts else pa.array([], pa.large_string())

    def to_numpy(self) -> NDArray[Any]:
        """All of it as an array of str and None, in memory of its own."""
        return np.asarray(self.to_arrow().to_numpy(zero_copy_only=False), dtype=object)

    def tolist(self) -> list[str | None]:
        return list(self.to_arrow().to_pylist())

    def __iter__(self) -> Iterator[str | None]:
        for piece in self.pieces():
            yield from piece.to_pylist()

    def isna(self) -> NDArray[Any]:
        """True where a string is missing."""
        out = np.empty(len(self), bool)
        for start in range(0, len(self), CHUNK):
            out[start : start + CHUNK] = self.storage[start : start + CHUNK]["size"] < 0
        return out

    def _compare(self, other: Any, equal: bool) -> Any:
        if not isinstance(other, str):
            return NotImplemented
        wanted = np.frombuffer(other.encode(), "u1")
        out = np.empty(len(self), bool)
        for start in range(0, len(self), CHUNK):
            records = self.storage[start : start + CHUNK].copy()
            same = records["size"] == len(wanted)
            if same.any():
                same[same] = (records["text"][same][:, : len(wanted)] == wanted).all(axis=1)
            out[start : start + CHUNK] = same if equal else ~same & (records["size"] >= 0)
        return out

    def __eq__(self, other: object) -> Any:
        return self._compare(other, True)

    def __ne__(self, other: object) -> Any:
        return self._compare(other, False)

    def __reduce__(self) -> Any:
        return LazyStrings, (self.storage,)

    def __repr__(self) -> str:
        few = ", ".join(map(repr, self[:3].tolist())) if len(self) else ""
        return f"LazyStrings([{few}{', ...' if len(self) > 3 else ''}], {len(self)} strings)"
