"""NumPy arrays: written to regions, and read as views of them."""

from __future__ import annotations

import functools
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._core import Node, PrivatePages, Region, Writer
from .._memory import format as f
from .._memory.place import describe_memory, handle_of, owner_of, pickling_by_value, require_intact
from ..copies import note_copy
from ..errors import Corrupt, Error, InvalidArgument
from .dtypes import dtype_of, record_fields, type_number
from .numpy_functions import Seen, as_given, as_plain

if TYPE_CHECKING:
    from collections.abc import Callable

_plain = np.ndarray


class SharedArray(np.ndarray[Any, Any]):
    """An ndarray whose memory is shared.

    What ``onecopy.share`` and ``onecopy.attach`` give for arrays. Everything that works on an ndarray works on it:
    views of it are shared too, results of arithmetic and copies are ordinary ndarrays. It pickles as a handle of
    about 150 bytes (a slice as handle and place), unless it was written to privately: then as its data.

    It holds its region: the memory stays as long as any view of it does, in any process.
    """

    __slots__ = ()

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        if array is self:  # in-place operations on writable arrays
            return self
        if type(array) is SharedArray:
            array = array.view(_plain)
        return array[()] if return_scalar else array

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        seen: Seen = {}
        args, kwargs = as_plain(args, _HOLD_SHARED, seen), as_plain(kwargs, _HOLD_SHARED, seen)
        return as_given(super().__array_function__(func, types, args, kwargs), seen, _as_shared)

    def __reduce_ex__(self, protocol: Any) -> Any:
        by_value = pickling_by_value()
        place = None if by_value else place_of(self)
        handle = None if place is None else handle_of(place[0])
        if place is None or handle is None:
            if not by_value and owner_of(self) is not None:
                why = "was written to privately" if place is None else "no handle leads to"
                note_copy(self.nbytes, f"a shared array that {why} was pickled as data")
            return self.view(_plain).__reduce_ex__(protocol)
        offset = place[1]
        # Plain C order needs no strides: a shorter pickle.
        strides = None if self.flags.c_contiguous else self.strides
        dtype: Any = self.dtype if self.dtype.names else self.dtype.str
        from .._pickle import array_at

        return array_at, (handle, offset, self.shape, dtype, strides)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def __dlpack__(self, **asked: Any) -> Any:
        """NumPy's: the versioned protocol, with a flag that says read-only; without a version that is refused. A
        library known to write to such memory all the same gets a view whose writes are its own, page by page."""
        if not self.flags.writeable and sys._getframe(1).f_globals.get("__name__", "").partition(".")[0] == "torch":
            owner = owner_of(self)
            if isinstance(owner, Region) and extent(self)[0] == 0:
                return writable_private(self).view(_plain).__dlpack__(**asked)
        return super().__dlpack__(**asked)

    def __repr__(self) -> str:
        text = repr(self.view(_plain))
        region = owner_of(self)
        if region is None:
            return text
        return f"{text[:-1]}, {describe_memory(region, self.nbytes)})".replace("array", "SharedArray", 1)

    def __deepcopy__(self, memo: Any) -> Any:
        return np.array(self, subok=False)

    def __copy__(self) -> Any:
        return np.array(self, subok=False)


def unshared_result(result: Any) -> Any:
    """A result in memory of its own should not call itself shared."""
    if type(result) is SharedArray and owner_of(result) is None:
        return result.view(_plain)
    return result


def _as_shared(result: Any) -> Any:
    """A result of a function that saw ordinary arrays: views of shared memory as SharedArrays."""
    if type(result) is _plain and owner_of(result) is not None:
        return result.view(SharedArray)
    return unshared_result(result)


_HOLD_SHARED = frozenset({SharedArray, list, tuple, dict})


def _with_plain_result(name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(_plain, name)

    @functools.wraps(method)
    def call(self: SharedArray, *args: Any, **kwargs: Any) -> Any:
        return unshared_result(method(self, *args, **kwargs))

    return call


for _name in (
    "astype argsort byteswap choose compress conj conjugate copy cumprod cumsum diagonal dot flatten ravel repeat "
    "reshape round searchsorted take"
).split():
    setattr(SharedArray, _name, _with_plain_result(_name))


def place_of(array: NDArray[Any]) -> tuple[Region, int] | None:
    """The region that holds exactly what the array shows, and where in it; None when a handle would not carry it."""
    owner = owner_of(array)
    if owner is None or array.dtype.hasobject:
        return None
    address = array.__array_interface__["data"][0]
    low, high = extent(array)
    start = address - owner.address
    if isinstance(owner, PrivatePages):
        if not owner.unchanged(start + low, high - low):
            return None
        return owner.region, start + owner.offset
    if not owner.writable and owner.diverged(start + low, high - low):
        return None  # somebody wrote through a pointer that ignores the read-only flag
    return owner, start


def extent(array: NDArray[Any]) -> tuple[int, int]:
    """The bytes that the array touches, counted from its first element."""
    if array.size == 0:
        return 0, 0
    low, high = 0, array.itemsize
    for count, stride in zip(array.shape, array.strides, strict=True):
        step = (count - 1) * stride
        if step < 0:
            low += step
        else:
            high += step
    return low, high


# ---------------------------------------------------------------------------------------------------- reading


def view_of(memory: Any, offset: int, shape: Any, dtype: Any, strides: Any = None, order: Any = "C",
            kind: type[NDArray[Any]] = SharedArray) -> NDArray[Any]:  # fmt: skip
    """A view of the memory, of a place that the core gave or check_within has seen. Raises Corrupt."""
    try:
        if offset < 0:  # NumPy doesn't look
            raise ValueError("it begins before the memory")
        dtype = np.dtype(dtype)
        if dtype.hasobject:
            raise ValueError("a dtype with Python objects can't be shared")
        return np.ndarray.__new__(kind, shape, dtype, memory, offset, strides, order)
    except (TypeError, ValueError) as reason:
        raise Corrupt("view an array of a shared object", str(reason)) from None


def check_within(size: int, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any],
                 strides: tuple[int, ...] | None) -> None:
    """Raises Corrupt for a place from a pickle that leads outside of `size` bytes. NumPy looks, too, but counts in 64
    bits: with an offset or a product that wraps around it reads what is not there."""
    try:
        dimensions = len(shape) == (len(shape) if strides is None else len(strides))
        if not dimensions or not dtype.itemsize or offset < 0 or any(count < 0 for count in shape):
            raise ValueError("its place, shape and strides don't fit together")
        low, high = offset, offset + dtype.itemsize
        if strides is None:
            high = offset + math.prod(shape) * dtype.itemsize
        elif 0 in shape:
            high = offset
        else:
            for count, stride in zip(shape, strides, strict=True):
                low += min(0, (count - 1) * stride)
                high += max(0, (count - 1) * stride)
        if low < 0 or high > size:
            raise ValueError("it leads outside of the memory")
    except (TypeError, ValueError) as reason:
        raise Corrupt("view a part of a shared object", str(reason)) from None


def read_array(node: Node, dtype: Any = None) -> NDArray[Any]:
    """The node as a view; numbers with a meaning that NumPy knows have its dtype."""
    region, kind, shape, offset, order, semantic, _, _ = node.array_parts()
    if dtype is None:
        dtype = f.DTYPE_OF.get(kind) if not semantic else None
        if dtype is None:
            dtype = dtype_of(node)
    return view_of(region, offset, shape, dtype, None, order)


def times_from_floats(node: Node) -> NDArray[Any]:
    """R's dates, times and time spans: floats, NaN where missing. A private copy, as NumPy counts in integers."""
    values = np.asarray(read_array(node, f.DTYPE_OF[node.type])).astype("f8", copy=False)
    unit: Any = f.UNITS[node.unit] or "s"
    if node.semantic == f.DATE:
        target, factor = "D", np.timedelta64(1, unit) / np.timedelta64(1, "D")
    else:
        target, factor = "us", np.timedelta64(1, unit) / np.timedelta64(1, "us")
    kind = "m8" if node.semantic in (f.TIMESPAN, f.TIMEOFDAY) else "M8"
    out = np.full(values.shape, np.iinfo("i8").min, dtype="i8", order="F" if node.column_major else "C")
    with np.errstate(invalid="ignore"):  # R's NA is a signalling NaN
        scaled = values * factor
        if node.semantic == f.DATE:
            np.floor(scaled, out=scaled)
        else:
            np.rint(scaled, out=scaled)
    fits = np.abs(scaled) < 2.0**63  # false for NaN and infinities: NaT
    out[fits] = scaled[fits].astype("i8")
    return out.view(f"{kind}[{target}]")


# ---------------------------------------------------------------------------------------------------- writing


def address_of(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def contiguous(array: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """The array, or a copy, in one piece; and whether its columns come first."""
    if array.flags.c_contiguous:
        return array, False
    if array.flags.f_contiguous:
        return array, True
    return np.ascontiguousarray(array), False


def write_array(w: Writer, at: int, array: NDArray[Any], attributes: dict[str, Callable[[int], object]] | None = None,
                note: str = "", validity: int = 0) -> bool:
    """Writes any array but those of objects. False (and nothing written) if its dtype has no form in the core."""
    if type(array) is SharedArray:
        require_intact(array)  # or zeros would be written that never were in the file
    dtype = array.dtype
    semantic = unit = 0
    fields = None
    if dtype.kind in "Mm":
        name, multiple = np.datetime_data(dtype)
        if multiple != 1 or name not in f.UNIT_NUMBER:
            return False
        unit = f.UNIT_NUMBER[name]
        semantic = f.TIMESPAN if dtype.kind == "m" else f.DATE if name in ("Y", "M", "W", "D") else f.TIMESTAMP
        number: int | None = f.INT64
    elif dtype.names:
        fields = record_fields(dtype)
        number = None if fields is None else f.RECORD
    else:
        if not dtype.isnative:
            array = array.astype(dtype.newbyteorder("="))
            dtype = array.dtype
        number = type_number(dtype)
    if number is None or dtype.itemsize == 0:
        return False
    if not dtype.isnative:
        array = array.astype(dtype.newbyteorder("="))
        dtype = array.dtype
    array, column_major = contiguous(array)
    w.keep(array)
    shape, scalar = list(array.shape), array.ndim == 0
    if fields is not None:
        w.records(at, shape, array.size, scalar, column_major, address_of(array), dtype.itemsize, fields)
    else:
        size = dtype.itemsize if number in (f.FIXED_BYTES, f.FIXED_UTF32) else 0
        w.array(at, number, shape, array.size, scalar, column_major, address_of(array), semantic, unit, size, validity)
    if scalar and not note:
        note = "ndarray"
    write_attributes(w, at, note, attributes or {})
    return True


def write_attributes(w: Writer, at: int, note: str, attributes: dict[str, Callable[[int], object]]) -> None:
    """Attributes of a node, each with what writes its value, and the note of this package."""
    writers = dict(attributes)
    if note:
        writers[":python"] = lambda slot: w.strings(slot, [note])
    if not writers:
        return
    slot = w.attributes(at, list(writers))
    for write in writers.values():
        write(slot)
        slot += 1


def write_ndarray(w: Writer, at: int, array: NDArray[Any]) -> bool:
    """Writes any ndarray that has a form in the core. False (and nothing written) if it has none."""
    if array.dtype.kind == "O" or isinstance(array.dtype, np.dtypes.StringDType):
        order: Any = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        items = array.ravel(order=order).tolist()
        kinds = {type(item) for item in items}
        if not items or not kinds <= {str, type(None)}:
            return False
        note: dict[str, Any] = {"t": "strings", "dtype": "O" if array.dtype.kind == "O" else "T"}
        if array.dtype.kind == "T":
            missing = getattr(array.dtype, "na_object", _none_given)
            if missing is not _none_given and missing is not None:
                return False  # a missing value of another kind: pickled, so that it comes back as it is
            note["na"] = missing is None
        if array.ndim != 1:
            note["shape"], note["order"] = list(array.shape), order
        w.strings(at, items)
        write_attributes(w, at, json.dumps(note), {})
        return True
    return write_array(w, at, array)


_none_given = object()


def read_strings(node: Node, note: dict[str, Any]) -> NDArray[Any]:
    """An array of str. The strings are made anew: NumPy has no array of strings over foreign memory."""
    items = node.string_list()
    shape = tuple(note.get("shape", (len(items),)))
    if note.get("dtype") == "O":
        out = np.empty(len(items), dtype=object)
        out[:] = items
    else:
        dtype = np.dtypes.StringDType(na_object=None) if note.get("na", None in items) else np.dtypes.StringDType()
        out = np.array(items, dtype=dtype)
    return out.reshape(shape, order=note.get("order", "C"))


def writable_private(array: NDArray[Any]) -> NDArray[Any]:
    """A view of the same shared memory whose writes stay in this process, page by page."""
    owner = owner_of(array)
    if not isinstance(owner, Region):
        raise InvalidArgument("make a private writable view", "the array is not shared", "Share it first")
    low, high = extent(array)
    if low < 0:
        raise InvalidArgument("make a private writable view", "the array runs backwards", "Reverse it afterwards")
    offset = address_of(array) - owner.address
    pages = owner.private_pages(offset, max(high, 1))
    return view_of(pages, 0, array.shape, array.dtype, array.strides)


__all__ = ["Error", "SharedArray"]
