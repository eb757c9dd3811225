"""What sources of tables have in common: the type of a column, its elements as NumPy keeps them, and a cache."""

from __future__ import annotations

import dataclasses
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Corrupt, InvalidArgument, NotFound
from .strings import storage_dtype, store

Progress = Callable[[int, int], object]


@dataclasses.dataclass
class Column:
    """A column as a scan found it: `kind` is the Arrow type's name, "string" or "null"."""

    name: str
    kind: str
    missing: bool = False
    width: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its elements. Numbers and truths of which some are missing are floats, as pandas reads them."""
        if self.kind in ("string", "null"):
            return storage_dtype(self.width)
        if self.kind.startswith("timestamp"):
            return np.dtype(f"M8[{self.kind[10:-1]}]")
        if self.kind == "date32":
            return np.dtype("M8[s]")
        kept = {"bool": "?", "double": "f8", "float": "f4", "halffloat": "f2"}.get(self.kind, self.kind)
        return np.dtype(kept) if not self.missing or kept[0] == "f" else np.dtype("f8")

    @property
    def is_text(self) -> bool:
        return self.kind in ("string", "null")

    def put(self, array: Any, out: NDArray[Any]) -> None:
        """Arrow's elements into `out`."""
        import pyarrow as pa

        if self.is_text:
            store(array, out)
        elif self.dtype.kind == "M":
            whole = array.cast(pa.timestamp(np.datetime_data(self.dtype)[0])).cast(pa.int64())
            out[...] = whole.fill_null(np.iinfo("i8").min).to_numpy(zero_copy_only=False).view(self.dtype)
        else:
            if array.null_count and self.dtype.kind != "f":
                raise ValueError(f"column {self.name!r} has missing values that it had not: the source has changed")
            if array.null_count and str(array.type) == "bool":
                array = array.cast(pa.int8())
            out[...] = array.to_numpy(zero_copy_only=False)


def merged(one: str, other: str) -> str:
    """The kind of a column whose parts look like these two."""
    if one == other or other == "null":
        return one
    if one == "null":
        return other
    both = {one, other}
    if both == {"int64", "double"}:
        return "double"
    times = {"date32", "timestamp[s]", "timestamp[ms]", "timestamp[us]", "timestamp[ns]"}
    if both <= times:
        return max(both, key=["date32", "timestamp[s]", "timestamp[ms]", "timestamp[us]", "timestamp[ns]"].index)
    return "string"


def kind_of(type_: Any) -> str | None:
    """The kind of an Arrow type; None for one that has no lazy form. Times with a zone are kept in UTC."""
    import pyarrow.types as t

    if t.is_dictionary(type_):
        return kind_of(type_.value_type)
    if t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_):
        return "string"
    if t.is_timestamp(type_):
        return f"timestamp[{type_.unit}]"
    if t.is_date32(type_):
        return "date32"
    if t.is_integer(type_) or t.is_floating(type_) or t.is_boolean(type_) or t.is_null(type_):
        return str(type_)
    return None


class Identity:
    """A file as it was when it was scanned: what is read later must be the same."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        try:
            self.state = self._now()
        except OSError as reason:
            raise NotFound("read a file", f"{self.path}: {reason.strerror}") from None

    def _now(self) -> tuple[int, int]:
        seen = os.stat(self.path)
        return seen.st_size, seen.st_mtime_ns

    @property
    def size(self) -> int:
        return self.state[0]

    def check(self) -> None:
        if self._now() != self.state:
            raise Corrupt("read " + self.path, "it was changed after it was scanned", "Make the lazy columns again")


class Recent:
    """The pieces of sources that this process read last, up to so many bytes. A runner does one thing at a time."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self.kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()

    def get(self, key: Any, make: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key][0]
        made = make()
        self.kept[key] = made, size(made)
        self.used += self.kept[key][1]
        while self.used > self.limit and len(self.kept) > 1:
            self.used -= self.kept.popitem(last=False)[1][1]
        return made


recent = Recent(64 << 20)


class PieceFill:
    """Fills one column of a file, piece by piece: a populate function. `starts` are the first rows of the pieces, and
    how many rows there are."""

    def __init__(self, file: Identity, column: Column, starts: NDArray[Any]) -> None:
        self.file, self.column, self.starts = file, column, starts

    def piece(self, at: int) -> NDArray[Any]:
        """All elements of a piece."""
        raise NotImplementedError

    def reading(self) -> tuple[Any, ...]:
        """Tells apart what is read from the same file in different ways."""
        return type(self).__name__, *dataclasses.astuple(self.column)

    def __call__(self, start: int, end: int, out: NDArray[Any]) -> None:
        self.file.check()
        at = int(np.searchsorted(self.starts, start, "right")) - 1
        done = start
        while done < end:
            key = (self.file.path, self.file.state, *self.reading(), at)
            whole = recent.get(key, lambda at=at: self.piece(at), lambda made: made.nbytes)  # type: ignore[misc]
            first = done - int(self.starts[at])
            part = whole[first : first + end - done]
            out[done - start : done - start + len(part)] = part
            done += len(part)
            at += 1


def shown(progress: Progress | bool | None, total: int, what: str) -> Callable[[int], object]:
    """How a scan tells how far it is: called with bytes or rows done so far."""
    if progress is None or progress is False:
        return lambda done: None
    if progress is not True:
        if not callable(progress):
            raise InvalidArgument("scan a source", f"progress is {progress!r}", "Give a function, or True")
        return lambda done: progress(done, total)
    from tqdm.auto import tqdm

    bar = tqdm(total=total, unit_scale=True, desc=what)

    def show(done: int) -> None:
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return show
