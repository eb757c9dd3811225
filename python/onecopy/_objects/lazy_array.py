"""Arrays over memory that is filled when it is touched."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._core import LazyMemory
from .._memory import format as f
from .._memory.place import lies_in, pickling_by_value
from ..errors import Error, InvalidArgument, WrongType
from .array import extent, view_of
from .numpy_functions import Seen, as_given, as_plain

_plain = np.ndarray

# Touches that no method of ours watches raise in the main thread, as soon as the interpreter gets there.
_core.pager_note_failures()


# What the functions of lazy arrays read has to live as long as the arrays do.
_reads: weakref.WeakKeyDictionary[LazyMemory, list[Any]] = weakref.WeakKeyDictionary()


class _Pickled(threading.local):
    found: list[Any] | None = None


_pickled = _Pickled()


@contextlib.contextmanager
def watching() -> Iterator[list[Any]]:
    """The lazy arrays that are pickled meanwhile."""
    before, _pickled.found = _pickled.found, []
    try:
        yield _pickled.found
    finally:
        _pickled.found = before


def keep(array: LazyArray, reads: list[Any]) -> None:
    memory = memory_of(array)
    if memory is not None and reads:
        _reads[memory] = reads


def depth_of(array: LazyArray) -> int:
    """How deep the function that fills it reads other lazy arrays."""
    memory = memory_of(array)
    found = re.search(rb'depth(?:=|": )(\d+)', memory.note or b"") if memory is not None else None
    return int(found[1]) if found else 0


class LazyCounters(NamedTuple):
    """What happened to a lazy array since it was made, in all processes: chunks filled, given back and failed; bytes
    in memory now, and bytes of changed elements on disk."""

    fills: int
    evictions: int
    failures: int
    resident: int
    spilled: int


_MEMORY = frozenset({LazyMemory})


def memory_of(array: Any) -> LazyMemory | None:
    """The lazy memory that an array or memoryview lies in."""
    memory: LazyMemory | None = lies_in(array, _MEMORY)
    return memory


def guarded(arrays: Any, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """The call's result, unless a touch of one of the arrays could not be filled meanwhile: then its error."""
    memories = {id(m): m for m in map(memory_of, arrays) if m is not None}.values()
    before = [m.errors() for m in memories]
    _core.guard_begins()
    try:
        try:
            result = call(*args, **kwargs)
        except Error:
            raise
        except Exception:
            # A failed conversion, an overflow: what was read may be the reason.
            _raise_errors(memories, before)
            raise
        _raise_errors(memories, before)
        return result
    finally:
        _core.guard_ends()


def _raise_errors(memories: Any, before: list[int]) -> None:
    for memory, since in zip(memories, before, strict=True):
        memory.raise_error(since)


class LazyArray(np.ndarray[Any, Any]):
    """An ndarray whose elements are made when they are touched, once for all processes.

    What ``onecopy.lazy`` and its kin return. Slices are lazy too; what is computed is an ordinary array. Indexing, its
    methods, NumPy's functions and arithmetic raise the error of elements that can't be filled, and throw away what was
    computed with them; using it again tries again. It pickles as a handle.

    ``numpy.asarray(x)`` and C extensions see the memory itself: a touch there that can't be filled never hangs and
    never gives zeros: it gives bytes of 0xff (NaN, -1), and the error is raised in the main thread right after the
    call that touched it.

    Threads: as an ndarray. All of the methods below let other threads run while they wait.
    """

    def __array_finalize__(self, obj: Any) -> None:
        return None

    # ------------------------------------------------------------------------------------------ ranges

    def _range(self) -> tuple[LazyMemory, int, int]:
        memory = memory_of(self)
        if memory is None:
            raise WrongType("use a lazy array", "this is an ordinary array by now", "Use a slice of the lazy one")
        low, high = extent(self)
        start = self.__array_interface__["data"][0] - memory.address + low if self.size else 0
        return memory, start, high - low

    def ensure(self) -> None:
        """Fills what this array or slice shows, and tries again what had failed. Raises why it can't."""
        memory, start, size = self._range()
        memory.ensure(start, size)

    def prefetch(self) -> None:
        """Begins filling, and returns at once."""
        memory, start, size = self._range()
        memory.prefetch(start, size)

    def release(self) -> None:
        """Gives the memory back now, for all processes. Nothing is lost: it is filled again when touched."""
        memory, start, size = self._range()
        memory.release(start, size)

    def flush(self) -> None:
        """Writes changed elements to where they are kept. If that raises, they stay in memory, and are tried again."""
        memory, start, size = self._range()
        memory.flush(start, size)

    def pin(self) -> None:
        """Fills the range and keeps it in memory until ``unpin`` or the end of this process.

        Raises: NoMemory: the budget has no room for it, or, where the file is mapped in place, this process may keep
        less than that in memory (``ulimit -l``, 8 MB for ordinary users unless raised). Nothing is pinned then."""
        memory, start, size = self._range()
        memory.pin(start, size)

    def unpin(self) -> None:
        """Ends what ``pin`` on the same slice began."""
        memory, start, size = self._range()
        memory.unpin(start, size)

    @property
    def resident(self) -> bool:
        """True if all of this is in memory now."""
        memory, start, size = self._range()
        return memory.resident(start, size)

    @property
    def in_place(self) -> bool:
        """True for a file that is mapped where it lies: no pager, and not in the budget. See ``lazy_binary``."""
        return self._range()[0].in_place

    @property
    def counters(self) -> LazyCounters:
        """Of the whole lazy array that this is a part of."""
        return LazyCounters(*self._range()[0].counters())

    # ------------------------------------------------------------------------------------------ guarded touches

    def __getitem__(self, key: Any) -> Any:
        found = guarded((self,), _plain.__getitem__, self, key)
        if type(found) is np.void:
            # A structured element is a view that has touched nothing yet; who uses it later can't be told the error.
            guarded((self,), found.tobytes)
        return unlazy(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        guarded((self, value), _plain.__setitem__, self, key, value)

    def __iter__(self) -> Iterator[Any]:
        if self.ndim != 1:
            yield from (self[i] for i in range(len(self)))
            return
        step = max(1, 65536 // max(1, self.itemsize))
        for start in range(0, len(self), step):
            yield from guarded((self,), np.array, self[start : start + step], subok=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        outs = kwargs.get("out")
        given = [*inputs, *(outs or ())]
        if outs is not None:
            kwargs["out"] = tuple(_bare(item) for item in outs)
        result = guarded(given, getattr(ufunc, method), *map(_bare, inputs), **kwargs)
        if outs is None:
            return result
        if len(outs) == 1:
            return outs[0] if outs[0] is not None else result
        return tuple(out if out is not None else one for out, one in zip(outs, result, strict=True))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        seen: Seen = {}
        plain = as_plain(args, _HOLD_LAZY, seen), as_plain(kwargs, _HOLD_LAZY, seen)
        if func is np.save:  # writes to files by the method tofile, which has to be ours
            plain = args, kwargs
        given = [array for _, array in seen.values()]
        return as_given(guarded(given, super().__array_function__, func, types, *plain), seen, _as_lazy_result)

    def __reduce_ex__(self, protocol: Any) -> Any:
        memory = memory_of(self)
        if memory is None or memory.private_writes or pickling_by_value():
            return guarded((self,), self.view(_plain).__reduce_ex__, protocol)
        from .._lazy.recipe import recipe_of
        from .._pickle import lazy_at

        if _pickled.found is not None:
            _pickled.found.append(self)
        address = self.__array_interface__["data"][0]
        strides = None if self.flags.c_contiguous else self.strides
        dtype: Any = self.dtype if self.dtype.names else self.dtype.str
        offset = address - memory.address if self.size else 0
        recipe = recipe_of(memory)
        return lazy_at, (memory.handle(), offset, self.shape, dtype, strides, _reads.get(memory, []),
                         *([] if recipe is None else [recipe]))

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def __repr__(self) -> str:
        try:
            text: str = guarded((self,), repr, self.view(_plain))
        except Error as reason:
            return f"<LazyArray {self.shape} {self.dtype}: {reason}>"
        return text.replace("array", "LazyArray" if memory_of(self) is not None else "array", 1)

    def __str__(self) -> str:
        try:
            return str(guarded((self,), str, self.view(_plain)))
        except Error:
            return repr(self)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def tofile(self, fid: Any, /, sep: str = "", format: str = "%s") -> None:
        """As for any array, in pieces: the kernel can't write from memory that is not there."""
        step = max(1, (1 << 20) // max(1, self.itemsize))
        if isinstance(fid, str) or hasattr(fid, "__fspath__"):
            with open(fid, "wb") as file:
                self.tofile(file, sep, format)
            return
        flat = self if self.ndim == 1 else self.reshape(-1)
        for start in range(0, flat.size, step):
            if sep and start:
                fid.write(sep.encode())
                fid.flush()
            flat[start : start + step].copy().tofile(fid, sep, format)


def _bare(item: Any) -> Any:
    return item.view(_plain) if type(item) is LazyArray else item


def unlazy(result: Any) -> Any:
    """A result in memory of its own should not call itself lazy."""
    if type(result) is LazyArray and memory_of(result) is None:
        return result.view(_plain)
    return result


def _as_lazy_result(result: Any) -> Any:
    """A result of a function that saw ordinary arrays: views of lazy memory as LazyArrays."""
    return as_lazy(unlazy(result))


_HOLD_LAZY = frozenset({LazyArray, list, tuple, dict})


def _watched(name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(_plain, name)

    # Reductions see a bare view: NumPy forgets to release the array when __array_ufunc__ raises within them.
    bare = name not in ("ravel", "reshape", "diagonal")

    @functools.wraps(method)
    def call(self: LazyArray, *args: Any, **kwargs: Any) -> Any:
        return unlazy(guarded((self, *args), method, self.view(_plain) if bare else self, *args, **kwargs))

    return call


for _name in (
    "all any argmax argmin argpartition argsort astype byteswap choose clip compress conj conjugate copy cumprod "
    "cumsum diagonal dot dump dumps fill flatten item max mean min nonzero partition prod put ravel repeat reshape "
    "round searchsorted sort std sum take tobytes tolist trace var __contains__ __float__ __int__ __complex__ "
    "__bool__ __index__ __matmul__ __rmatmul__ __imatmul__"
).split():
    if hasattr(_plain, _name):
        setattr(LazyArray, _name, _watched(_name))


# ------------------------------------------------------------------------------------------------ making


def core_form(dtype: np.dtype[Any]) -> tuple[int, int, bool]:
    """How the core keeps elements of this dtype: the type's number, elements of it for each, and whether it is only
    bytes to the core."""
    if dtype.hasobject or dtype.itemsize == 0:
        raise InvalidArgument("make a lazy array", f"elements of {dtype} have no fixed size in memory",
                              "Use numbers, times, fixed-width strings ('S8', 'U8') or a structured dtype of them")
    number = f.NUMBER_OF.get(dtype.str)
    if number is not None:
        return number, 1, False
    if dtype.kind in "mM" and dtype.isnative:
        return f.INT64, 1, False
    return f.RAW, dtype.itemsize, True


def note_text(dtype: np.dtype[Any], shape: tuple[int, ...], **more: Any) -> bytes:
    """What is kept with the object, so that other processes make the same array of it."""
    return json.dumps({"python": {"dtype": f.dtype_text(dtype), "shape": list(shape), **more}}).encode()


def array_over(memory: LazyMemory) -> LazyArray:
    """The whole lazy object as an array, of the dtype and shape that its maker gave it."""
    shape, dtype, _ = form_of(memory)
    return cast(LazyArray, view_of(memory, 0, shape, dtype, kind=LazyArray))


def form_of(memory: LazyMemory) -> tuple[tuple[int, ...], np.dtype[Any], dict[str, Any]]:
    """Shape, dtype and what else the note says. Objects of other languages: the core's type, one dimension."""
    try:
        note = json.loads(memory.note or b"{}")
        mine = note.get("python") if isinstance(note, dict) else None
    except ValueError:
        mine = None
    if mine is not None:
        return tuple(mine["shape"]), f.dtype_from(mine["dtype"]), mine
    plain = f.DTYPE_OF.get(memory.type)
    if plain is None:
        raise WrongType("attach a lazy object", "its elements have no NumPy dtype", "Update onecopy")
    return (memory.count,), plain, {}


def as_lazy(array: NDArray[Any]) -> NDArray[Any]:
    """The same array as a LazyArray if it lies in lazy memory: what pandas keeps is a bare view."""
    if type(array) is np.ndarray and memory_of(array) is not None:
        return array.view(LazyArray)
    return array
