"""Arithmetic on lazy arrays that is computed a piece at a time and stored nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from .._objects.lazy_array import LazyArray, guarded
from ..errors import InvalidArgument

PIECE = 1 << 20  # bytes of a result that are computed at once
LONG = 65536     # elements from which on a slice is put off, too
ELEMENTWISE = (np.where, np.round, np.isclose, np.nan_to_num)
SUMMARIES = {name: name for name in ("sum", "mean", "var", "std", "min", "max", "any", "all", "median", "unique")}
SUMMARIES |= {"amin": "min", "amax": "max"}


class LazyExpression(NDArrayOperatorsMixin):
    """What ``lazily`` gives: an expression over arrays of one shape and scalars, with NumPy's rules for types.

    Operators, NumPy's element-wise functions, ``numpy.where``, ``numpy.concatenate``, ``astype`` and slices of more
    than 65,536 elements give further expressions. Shorter slices and ``numpy.asarray`` compute what they show;
    reductions go over all of it, a piece at a time: no more than a piece is in memory of this process. Other functions
    of NumPy compute all of it. ``lazy()`` makes a lazy array of it, whose chunks are computed once for all processes.
    It pickles as the handles of its arrays.
    """

    # One of: an array (no inputs); a function and its inputs; a name of a rule in `compute`, and its inputs.
    def __init__(self, what: Any, inputs: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]):
        self._what, self._inputs = what, inputs
        self.shape, self.dtype = shape, dtype

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("it has no dimensions")
        return self.shape[0]

    # ------------------------------------------------------------------------------------------ making

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs or ufunc.nout != 1 or ufunc.signature is not None:
            raise InvalidArgument("compute lazily", f"numpy.{ufunc.__name__} can't be put off so",
                                  "Use element-wise functions and their results, or numpy.asarray of a slice")
        return _elementwise(ufunc, inputs)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if func in ELEMENTWISE and not kwargs:
            return _elementwise(func, args)
        if func is np.concatenate and len(args) == 1 and not kwargs:
            return _concatenated([lazily(one) for one in args[0]])
        if func is np.flip and len(args) == 1 and not kwargs and self.ndim == 1:
            return self[::-1]
        if func is np.quantile and len(args) == 2 and not kwargs:
            return self.quantile(args[1])
        name = func.__name__
        if name in ("shape", "ndim", "size") and len(args) == 1:
            return getattr(self, name)
        if name in SUMMARIES and len(args) == 1 and not kwargs:
            return getattr(self, SUMMARIES[name])()
        return func(*map(_computed, args), **{key: _computed(value) for key, value in kwargs.items()})

    def astype(self, dtype: Any) -> LazyExpression:
        """The elements as another type, as NumPy casts them."""
        return LazyExpression("cast", (self,), self.shape, np.dtype(dtype))

    def __getitem__(self, key: Any) -> Any:
        if self.ndim != 1:
            raise InvalidArgument("compute lazily", "only one dimension can be indexed", "Index the arrays before")
        if isinstance(key, slice):
            at = range(self.size)[key]
            part = LazyExpression("slice", (self, at), (len(at),), self.dtype)
            return part if len(at) > LONG else part.compute(0, len(at))
        at_one = range(self.size)[key]
        return self.compute(at_one, at_one + 1)[0]

    def lazy(self, **options: Any) -> LazyArray:
        """A lazy array of it: each chunk is computed when it is touched, once for all processes, and given back when
        memory is needed. Options: ``chunk``, ``deadline``, ``description`` as for ``onecopy.lazy``."""
        from .arrays import lazy

        options.setdefault("description", f"the expression {self!r}")
        return lazy(self.dtype, self.shape, _Filler(self), **options)

    # ------------------------------------------------------------------------------------------ computing

    def compute(self, start: int, stop: int) -> NDArray[Any]:
        """Elements start to stop - 1, in C order over all dimensions, in memory of their own."""

        def evaluated() -> NDArray[Any]:
            found = self._part(start, stop)
            return found if found.base is None else found.copy()

        return guarded(list(self._arrays()), evaluated)  # type: ignore[no-any-return]

    def _arrays(self) -> Iterator[NDArray[Any]]:
        """What it reads."""
        for one in self._inputs:
            if isinstance(one, LazyExpression):
                yield from one._arrays()
            elif isinstance(one, np.ndarray):
                yield one

    def _part(self, start: int, stop: int) -> NDArray[Any]:
        """As compute(), but perhaps a view of an array that it reads, and without the errors of that."""
        if self._what is None:
            flat: NDArray[Any] = self._inputs[0].view(np.ndarray)
            return flat[start:stop]
        if self._what == "cast":
            return self._inputs[0]._part(start, stop).astype(self.dtype)  # type: ignore[no-any-return]
        if self._what == "slice":
            return _slice(self._inputs[0], self._inputs[1][start:stop])
        if self._what == "join":
            return self._joined(start, stop)
        parts = [one._part(start, stop) if isinstance(one, LazyExpression) else one for one in self._inputs]
        return np.asarray(self._what(*parts))

    def _joined(self, start: int, stop: int) -> NDArray[Any]:
        out, before = np.empty(stop - start, self.dtype), 0
        for part in self._inputs:
            first, last = max(start - before, 0), min(stop - before, part.size)
            if first < last:
                out[first + before - start : last + before - start] = part._part(first, last)
            before += part.size
        return out

    def pieces(self) -> Iterator[NDArray[Any]]:
        """All elements in order, as arrays of about a megabyte."""
        step = max(1, PIECE // max(1, self.dtype.itemsize))
        for start in range(0, self.size, step):
            yield self.compute(start, min(start + step, self.size))

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        out = np.empty(self.size, self.dtype)
        at = 0
        for piece in self.pieces():
            out[at : at + len(piece)] = piece
            at += len(piece)
        out = out.reshape(self.shape)
        return out if dtype is None else out.astype(dtype)

    def tolist(self) -> Any:
        return np.asarray(self).tolist()

    # ------------------------------------------------------------------------------------------ summaries

    def sum(self) -> Any:
        """As numpy.sum; floats are added up in pieces, so the last digits may differ."""
        kind = np.empty(0, self.dtype).sum().dtype
        return np.array([piece.sum() for piece in self.pieces()], kind).sum()

    def mean(self) -> Any:
        if self.size == 0:
            return np.empty(0, self.dtype).mean()
        kind = np.empty(1, self.dtype).mean().dtype
        wide: Any = np.float64 if kind.kind == "f" else np.complex128
        return kind.type(np.array([piece.sum(dtype=wide) for piece in self.pieces()]).sum() / self.size)

    def var(self) -> Any:
        """As numpy.var, in one pass: pieces are merged by their means."""
        count, mean, squares = 0, 0.0, 0.0
        for piece in self.pieces():
            wide = piece.astype("f8")
            own = wide.mean()
            total = count + len(wide)
            squares += ((wide - own) ** 2).sum() + (own - mean) ** 2 * count * len(wide) / total
            mean += (own - mean) * len(wide) / total
            count = total
        return np.float64(squares / count) if count else np.empty(0, "f8").var()

    def std(self) -> Any:
        return np.sqrt(self.var())

    def min(self) -> Any:
        return np.array([piece.min() for piece in self.pieces()], self.dtype).min()

    def max(self) -> Any:
        return np.array([piece.max() for piece in self.pieces()], self.dtype).max()

    def any(self) -> bool:
        return any(bool(piece.any()) for piece in self.pieces())

    def all(self) -> bool:
        return all(bool(piece.all()) for piece in self.pieces())

    def unique(self) -> NDArray[Any]:
        """The different values, sorted, as numpy.unique."""
        return self.value_counts()[0]

    def value_counts(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The different values, sorted, and how often each is there: what numpy.unique(return_counts=True) gives."""
        values, counts = np.empty(0, self.dtype), np.empty(0, "i8")
        for piece in self.pieces():
            more, often = np.unique(piece, return_counts=True)
            both, where = np.unique(np.concatenate([values, more]), return_inverse=True)
            total = np.zeros(len(both), "i8")
            np.add.at(total, where, np.concatenate([counts, often]))
            values, counts = both, total
        return values, counts

    def quantile(self, q: Any) -> Any:
        """As numpy.quantile, exact; reads all of it several times, and keeps little."""
        from .ranks import quantile

        return quantile(self, q)

    def median(self) -> Any:
        return self.quantile(0.5)

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("the truth of an array of several elements is ambiguous. Use any() or all()")
        return bool(self.compute(0, 1)[0])

    def __repr__(self) -> str:
        name = "array" if self._what is None else getattr(self._what, "__name__", self._what)
        return f"LazyExpression({name}, shape={self.shape}, dtype={self.dtype})"


class _Filler:
    """An expression as a populate function."""

    def __init__(self, expression: LazyExpression) -> None:
        self.expression = expression
        self.__qualname__ = repr(expression)

    def __call__(self, start: int, end: int) -> NDArray[Any]:
        with np.errstate(all="ignore"):  # nobody would see the warnings
            return self.expression.compute(start, end)


def _computed(argument: Any) -> Any:
    """An argument of a function that needs whole arrays."""
    if isinstance(argument, LazyExpression):
        return np.asarray(argument)
    return type(argument)(map(_computed, argument)) if type(argument) in (list, tuple) else argument


def _elementwise(function: Callable[..., Any], inputs: tuple[Any, ...]) -> LazyExpression:
    shape: tuple[int, ...] | None = None
    parts: list[Any] = []
    samples: list[Any] = []
    for one in inputs:
        if not isinstance(one, LazyExpression) and np.ndim(one) == 0:
            parts.append(one)
            samples.append(one)
            continue
        part = one if isinstance(one, LazyExpression) else lazily(one)
        if shape is not None and part.shape != shape:
            raise InvalidArgument("compute lazily", f"shapes {shape} and {part.shape} differ", "Give one shape")
        shape = part.shape
        parts.append(part)
        samples.append(np.empty(0, part.dtype))
    # NumPy itself says of which type the result is, also for Python's own scalars.
    dtype = np.asarray(function(*samples)).dtype
    assert shape is not None
    return LazyExpression(function, tuple(parts), shape, dtype)


def _concatenated(parts: list[LazyExpression]) -> LazyExpression:
    if any(part.ndim != 1 for part in parts):
        raise InvalidArgument("compute lazily", "only arrays of one dimension can be joined", "Join the arrays before")
    dtype = np.concatenate([np.empty(0, part.dtype) for part in parts]).dtype
    return LazyExpression("join", tuple(parts), (sum(part.size for part in parts),), dtype)


def _slice(of: LazyExpression, at: range) -> NDArray[Any]:
    """Elements at these places. Of an array those far apart are picked, of an expression computed one by one."""
    if len(at) == 0:
        return np.empty(0, of.dtype)
    low, high = min(at[0], at[-1]), max(at[0], at[-1])
    if of._what is None or abs(at.step) <= 64:
        found = of._part(low, high + 1)[:: abs(at.step)]
    else:
        found = np.concatenate([of._part(i, i + 1) for i in range(low, high + 1, abs(at.step))])
    return found if at.step > 0 else found[::-1]


def lazily(array: Any) -> LazyExpression:
    """The array as an expression: what is computed with it is put off, and stored nowhere.

        total = (onecopy.lazily(x) + y > 0).sum()   # x and y may be larger than memory

    Args:
        array: a lazy array, or any array in C order.
    Raises: InvalidArgument: its elements are objects, or it is not in C order.
    """
    if isinstance(array, LazyExpression):
        return array
    given = array if isinstance(array, np.ndarray) else np.asarray(array)
    if given.dtype.hasobject or not given.flags.c_contiguous:
        raise InvalidArgument("compute lazily", "the array holds objects, or is not in C order", "Copy it first")
    return LazyExpression(None, (given.reshape(-1),), given.shape, given.dtype)
