"""Lazy arrays: larger than memory, filled when touched, one copy for all processes."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .. import _core
from .._objects.lazy_array import LazyArray, LazyCounters, array_over, core_form, depth_of, keep, note_text, watching
from ..errors import InvalidArgument
from .recipe import Recipe, remember

if TYPE_CHECKING:
    from .strings import LazyStrings

DEFAULT_CHUNK = 64 * 1024


def _shape(shape: Any) -> tuple[int, ...]:
    try:
        sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        out = tuple(int(n) if int(n) == n else -1 for n in sizes)
    except (TypeError, ValueError):
        raise InvalidArgument("make a lazy array", f"{shape!r} is no shape") from None
    if any(n < 0 for n in out):
        raise InvalidArgument("make a lazy array", f"{shape!r} is no shape", "Use whole numbers from 0 on")
    return out


def _dtype(dtype: Any) -> np.dtype[Any]:
    try:
        made: np.dtype[Any] = np.dtype(dtype)
        return made
    except TypeError as reason:
        raise InvalidArgument("make a lazy array", str(reason)) from None


def _chunk(chunk: Any) -> int:
    if isinstance(chunk, bool) or not isinstance(chunk, (int, np.integer)):
        raise InvalidArgument("make a lazy array", f"chunk is {chunk!r}", "It is a number of bytes")
    return int(chunk)


def _deadline(seconds: Any) -> float:
    try:
        out = float(seconds)
    except (TypeError, ValueError):
        out = math.nan
    if not 0 < out < 1e9:
        raise InvalidArgument("make a lazy array", f"deadline is {seconds!r}", "It is a number of seconds above 0")
    return out


def make(dtype: np.dtype[Any], shape: tuple[int, ...], kind: str, fields: dict[str, str], *, payload: bytes = b"",
         command: list[str] | None = None, description: str = "", chunk: Any = DEFAULT_CHUNK, deadline: Any = 30.0,
         mutable: bool = False, write_back: bool = False, private: bool = False, in_place: bool = False,
         **note: Any) -> LazyArray:
    """A lazy array of any source."""
    from . import runner

    number, each, raw = core_form(dtype)
    count = math.prod(shape) * each
    if count * (1 if raw else dtype.itemsize) >= 2**62:
        raise InvalidArgument("make a lazy array", f"{shape} elements of {dtype} are more than any machine addresses")
    chunk = _chunk(chunk)
    if write_back and raw and chunk % dtype.itemsize != 0:
        raise InvalidArgument(
            "make a lazy array", f"elements of {dtype.itemsize} bytes can't be written back: chunks would cut them",
            "Pad the dtype to a power of two")
    recipe = Recipe(number, count, kind, fields, bool(command), payload, description, chunk, _deadline(deadline),
                    note_text(dtype, shape, **note), in_place)
    memory = recipe.make(command or [], mutable or write_back, write_back, private)
    # Functions that read other lazy arrays need those, and runners of their own.
    if not (mutable or write_back or private) and (not command or command == runner.command()):
        remember(memory, recipe)
    return array_over(memory)


@overload
def lazy(dtype: type[str], shape: Any, populate: Any, *, chunk: int = DEFAULT_CHUNK, deadline: float = 30.0,
         description: str | None = None, width: int = 60) -> LazyStrings: ...
@overload
def lazy(dtype: Any, shape: Any, populate: Any, *, writeback: Any = None, mutable: bool = False,
         writable: str | None = None, chunk: int = DEFAULT_CHUNK, deadline: float = 30.0,
         description: str | None = None) -> LazyArray: ...
def lazy(dtype: Any, shape: Any, populate: Any, *, writeback: Any = None, mutable: bool = False,
         writable: str | None = None, chunk: int = DEFAULT_CHUNK, deadline: float = 30.0,
         description: str | None = None, width: int = 60) -> LazyArray | LazyStrings:
    """An array whose elements a function makes when they are touched.

    The function runs in another process, which the pager starts. Chunks are made once for all processes, and given
    back when the budget (``lazy_budget``) is used up; they are made again at the next touch.

        def squares(start, end, out):
            out[:] = np.arange(start, end) ** 2.0

        x = onecopy.lazy("f8", 1_000_000_000, squares)
        x[123_456_789]        # calls squares for 8192 elements
        x[:1000].sum()

    Args:
        dtype: of any fixed size: numbers, times, "S8", "U8", structured; or str: then populate(start, end) returns
            texts, and None for missing ones, and what is made is a ``LazyStrings`` of one dimension (pyarrow).
        shape: a length or a tuple.
        populate: called as ``populate(start, end, out)`` for elements start to end - 1 in C order, counted from 0 over
            all dimensions; writes into the array ``out`` of end - start elements, which is zeros before. A function of
            two arguments returns the elements instead. Given as a function (cloudpickle sends it, so a function of
            the interactive session will do) or as text, "module:function". It may be called several times for the
            same elements and by several processes at once: it must not depend on what it did before. It may read other
            lazy arrays, which are then kept as long as this one. Modules must be
            importable where this process imports them from.
        writeback: called as ``writeback(start, end, elements)`` with changed elements before their memory is given
            back, and by ``flush``. The array is then mutable.
        mutable: every process may write, and sees the writes of all. Without writeback, changed elements that have to
            leave memory go to a file in ONECOPY_SPILL (default /var/tmp), which ends with the array.
        writable: "private": writes are this process's own copies of the pages written to.
        chunk: filled and given back in pieces of so many bytes, a power of two from 4096 to 4 MiB. Sequential reading
            fills up to 1 MiB at once.
        deadline: seconds that filling a chunk may take; then the process that runs the function is ended, and the
            touch raises Timeout.
        description: for error messages; else the function's name.
        width: for str: bytes of the longest text, in UTF-8.

    Raises:
        InvalidArgument: an argument makes no sense, or the function can't be sent to another process. Unsupported: this
        machine allows no lazy objects: see ``onecopy.doctor()``. Nothing is left behind.

        At a touch: SystemFailure with the exception of the function; Timeout; PeerClosed when its process was killed.
    """
    from . import runner

    shape, texts = _shape(shape), dtype is str
    dtype = str if texts else _dtype(dtype)
    if texts:
        from .strings import LazyStrings, TextFill, storage_dtype

        if len(shape) != 1 or writeback is not None or mutable or writable:
            raise InvalidArgument("make lazy strings", "they have one dimension and can't be written to")
        if isinstance(width, bool) or not isinstance(width, (int, np.integer)) or not 0 < width <= 2**26:
            raise InvalidArgument("make lazy strings", f"width is {width!r}", "It is a number of bytes up to 2**26")
        description = description or f"lazy strings by {getattr(populate, '__qualname__', populate)}"
        dtype = storage_dtype(int(width))
    if writable not in (None, "private"):
        raise InvalidArgument("make a lazy array", f"writable={writable!r} is not known",
                              'Use "private", or mutable=True for writes that all see')
    if writable and (mutable or writeback is not None):
        raise InvalidArgument("make a lazy array", "it can't be both private and mutable")
    if description is None:
        name = populate if isinstance(populate, str) else getattr(populate, "__qualname__", type(populate).__name__)
        description = f"a lazy array by {name}"
    with watching() as reads:
        if texts:
            populate = TextFill(runner.dump(populate, "populate"))
        payload = runner.payload(dtype, math.prod(shape), populate, writeback)
    depth = max((depth_of(array) + 1 for array in reads), default=0)
    more: dict[str, Any] = {"depth": depth} if depth else {}
    made = make(dtype, shape, "program", {}, payload=payload, command=runner.command(depth), description=description,
                chunk=chunk, deadline=deadline, mutable=mutable, write_back=writeback is not None,
                private=writable == "private", strings=texts, **more)
    keep(made, reads)
    return LazyStrings(made) if texts else made


def lazy_sequence(start: float, step: float = 1, *, size: Any, dtype: Any = None,
                  chunk: int = DEFAULT_CHUNK) -> LazyArray:
    """The numbers start, start + step, ...: ``size`` of them, made when touched and written nowhere.

    Args:
        start, step: whole numbers for integer dtypes.
        size: how many; a length or a shape.
        dtype: int64 or float64, as start and step are; or another number type that holds all of them.
    Raises: InvalidArgument: they don't fit the dtype.
    """
    shape = _shape(size)
    whole = isinstance(start, (int, np.integer)) and isinstance(step, (int, np.integer))
    chosen = _dtype(dtype if dtype is not None else "i8" if whole else "f8")
    if chosen.kind not in "iuf" or (chosen.itemsize == 2 and chosen.kind == "f") or not chosen.isnative:
        raise InvalidArgument("make a lazy sequence", f"there is no sequence of {chosen}",
                              "Use an integer type, float32 or float64")
    if chosen.kind == "f":
        try:
            fields = {"from": repr(float(start)), "by": repr(float(step))}
        except (TypeError, ValueError):
            raise InvalidArgument("make a lazy sequence", "start and step must be numbers") from None
    elif whole:
        fields = {"from": str(int(start)), "by": str(int(step))}
    else:
        raise InvalidArgument("make a lazy sequence", f"from {start!r} by {step!r} can't be {chosen}",
                              "Use whole numbers, or a floating dtype")
    return make(chosen, shape, "sequence", fields, chunk=chunk)


def lazy_binary(path: str | os.PathLike[str], dtype: Any, shape: Any = None, *, offset: int = 0, stride: int = 0,
                mutable: bool = False, writeback: bool = False, writable: str | None = None,
                chunk: int = DEFAULT_CHUNK, deadline: float = 30.0, in_place: bool = True) -> LazyArray:
    """The numbers of a binary file, read when they are touched.

    Args:
        path: the file. Touches raise NotFound or Corrupt when it is missing or became too short by then.
        dtype: of the elements in the file; ">f8" and its kin are swapped to this machine's order while reading.
        shape: None: as many elements as the file has now.
        offset: bytes before the first element.
        stride: bytes from one element to the next; 0: they follow each other.
        writeback: changed elements go to the file; else, with ``mutable``, to ONECOPY_SPILL.
        mutable, writable, chunk, deadline: as for ``lazy``.
        in_place: True: a file whose elements lie as memory needs them (native byte order, no stride, aligned; not when
            mutable, and not on a network file system) is mapped where it lies. It is read as quickly as the kernel can,
            and its memory is the kernel's page cache, which does not count against the budget. A file that is removed
            or replaced stays what it was. False: read in chunks, within the budget. ``x.in_place`` tells.

    Raises: InvalidArgument, NotFound (only when the shape is to be found out).
    """
    dtype = _dtype(dtype)
    for number, name in ((offset, "offset"), (stride, "stride")):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 0:
            raise InvalidArgument("make a lazy array of a file", f"{name} is {number!r}", "It is a number of bytes")
    path = os.path.abspath(os.fspath(path))
    if shape is None:
        try:
            left = os.stat(path).st_size - offset
        except OSError as reason:
            from ..errors import NotFound

            raise NotFound("make a lazy array of a file", f"{path}: {reason.strerror}") from None
        step = stride or dtype.itemsize
        shape = 0 if left < dtype.itemsize else (left - dtype.itemsize) // step + 1
    swap = not dtype.isnative and dtype.kind in "iufcmM"
    if swap:
        dtype = dtype.newbyteorder("=")
    number, _each, raw = core_form(dtype)
    if raw and stride not in (0, dtype.itemsize):
        raise InvalidArgument("make a lazy array of a file", f"elements of {dtype} can't have a stride",
                              "Make one array for each field")
    if writable not in (None, "private") or (writable and (mutable or writeback)):
        raise InvalidArgument("make a lazy array of a file", f"writable={writable!r} can't be used so")
    fields = {"path": path, "offset": str(int(offset)), "stride": str(int(stride) if not raw else 0),
              "swap": "1" if swap else "0"}
    return make(dtype, _shape(shape), "file", fields, chunk=chunk, deadline=deadline, mutable=mutable,
                write_back=writeback, private=writable == "private", in_place=bool(in_place))


# ------------------------------------------------------------------------------------------------ the budget


@dataclasses.dataclass(frozen=True, slots=True)
class LazyEntry:
    """One lazy object: its id, the core's name of its type, elements, bytes as a whole, the kind of its source, what
    happened to it, and whether it is a file mapped in place."""

    id: str
    type: str
    elements: int
    size: int
    source: str
    counters: LazyCounters
    in_place: bool


@dataclasses.dataclass(frozen=True, slots=True)
class LazyUsage:
    """What all lazy objects of this user take.

    Attributes:
        budget: bytes that they may hold in memory together.
        resident, peak, pinned: bytes now, at most so far, and pinned.
        fills, evictions, failures: chunks, since the pager started.
        clients: processes that use lazy objects.
        pager: the process id of the pager.
        objects: each of them.
    """

    budget: int
    resident: int
    peak: int
    pinned: int
    fills: int
    evictions: int
    failures: int
    clients: int
    pager: int
    objects: list[LazyEntry]


def lazy_usage() -> LazyUsage:
    """The budget, what of it is used, and all lazy objects, as `onecopy top` shows them. Starts the pager."""
    budget, resident, peak, pinned, fills, evictions, failures, clients, _, process = _core.pager_look()
    objects = [LazyEntry(id_, kind, elements, size, source, LazyCounters(*counters), in_place)
               for id_, kind, elements, size, source, counters, in_place in _core.pager_list()]
    return LazyUsage(budget, resident, peak, pinned, fills, evictions, failures, clients, process, objects)


def lazy_budget(size: int | str | None = None) -> int:
    """How many bytes of memory all lazy objects of this user may hold together; with an argument, sets it.

    Args:
        size: bytes, or a text such as "512M" or "2G". Takes effect at once, for all processes, as long as the pager
            runs; ONECOPY_LAZY_BUDGET is what it starts with.
    Raises: InvalidArgument: less than 4 MiB, or more than the store's file system has. Busy: more is pinned.
    """
    if size is not None:
        _core.pager_budget(_bytes(size))
    return int(_core.pager_look()[0])


def _bytes(size: Any) -> int:
    number, unit = size, ""
    if isinstance(size, str):
        text = size.strip().upper().removesuffix("B").removesuffix("I")
        unit = text[-1:] if text[-1:] in ("K", "M", "G", "T") else ""
        number = text.removesuffix(unit)
    try:
        if isinstance(number, bool):
            raise ValueError
        out = float(number) * 1024 ** " KMGT".index(unit or " ")
        if not 0 <= out < sys.maxsize:
            raise ValueError
    except (TypeError, ValueError):
        raise InvalidArgument("set the budget of lazy objects", f"{size!r} is no size",
                              'Use bytes, or a text like "512M"') from None
    return int(out)
