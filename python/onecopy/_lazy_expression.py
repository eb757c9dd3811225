"""Arithmetic on lazy arrays that is computed a piece at a time and stored nowhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from .errors import InvalidArgument

PIECE = 1 << 20  # bytes of a result that are computed at once


class LazyExpression(NDArrayOperatorsMixin):
    """What ``lazily`` gives: an expression over arrays of one shape and scalars, with NumPy's rules for types.

    Operators and NumPy's element-wise functions give further expressions. Slices and ``numpy.asarray`` compute what
    they show; reductions go over all of it, a piece at a time: no more than a piece is in memory of this process.
    It pickles as the handles of its arrays.
    """

    def __init__(self, function: np.ufunc | None, inputs: tuple[Any, ...], shape: tuple[int, ...],
                 dtype: np.dtype[Any]):
        self._function, self._inputs = function, inputs
        self.shape, self.dtype = shape, dtype

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("it has no dimensions")
        return self.shape[0]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs or ufunc.nout != 1 or ufunc.signature is not None:
            raise InvalidArgument("compute lazily", f"numpy.{ufunc.__name__} can't be put off so",
                                  "Use element-wise functions and their results, or numpy.asarray of a slice")
        shape: tuple[int, ...] | None = None
        parts, samples = [], []
        for one in inputs:
            if np.ndim(one) == 0 and not isinstance(one, LazyExpression):
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
        dtype = ufunc(*samples).dtype
        assert shape is not None
        return LazyExpression(ufunc, tuple(parts), shape, dtype)

    def compute(self, start: int, stop: int) -> NDArray[Any]:
        """Elements start to stop - 1, in C order over all dimensions."""
        if self._function is None:
            flat = self._inputs[0]
            return np.asarray(flat[start:stop].copy())
        parts = [one.compute(start, stop) if isinstance(one, LazyExpression) else one for one in self._inputs]
        return np.asarray(self._function(*parts))

    def pieces(self) -> Any:
        """All elements in order, as arrays of about a megabyte."""
        step = max(1, PIECE // max(1, self.dtype.itemsize))
        for start in range(0, self.size, step):
            yield self.compute(start, min(start + step, self.size))

    def __getitem__(self, key: Any) -> Any:
        if self.ndim != 1:
            raise InvalidArgument("compute lazily", "only one dimension can be indexed", "Index the arrays before")
        if isinstance(key, slice):
            start, stop, step = key.indices(self.size)
            if step != 1:
                raise InvalidArgument("compute lazily", f"a step of {step}", "Index the arrays before")
            return self.compute(start, max(start, stop))
        at = range(self.size)[key]
        return self.compute(at, at + 1)[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        out = np.empty(self.size, self.dtype)
        at = 0
        for piece in self.pieces():
            out[at : at + len(piece)] = piece
            at += len(piece)
        out = out.reshape(self.shape)
        return out if dtype is None else out.astype(dtype)

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

    def min(self) -> Any:
        return np.array([piece.min() for piece in self.pieces()], self.dtype).min()

    def max(self) -> Any:
        return np.array([piece.max() for piece in self.pieces()], self.dtype).max()

    def any(self) -> bool:
        return any(bool(piece.any()) for piece in self.pieces())

    def all(self) -> bool:
        return all(bool(piece.all()) for piece in self.pieces())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("the truth of an array of several elements is ambiguous. Use any() or all()")
        return bool(self.compute(0, 1)[0])

    def __repr__(self) -> str:
        name = "array" if self._function is None else self._function.__name__
        return f"LazyExpression({name}, shape={self.shape}, dtype={self.dtype})"


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
