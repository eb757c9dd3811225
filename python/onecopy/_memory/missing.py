"""What stands for an object that was gone when its handle was unpickled."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ..errors import Error


class Missing:
    """Stands for an object that could not be attached. Any use raises the error that says why.

    repr() works, so that logs and debuggers do; pickling passes the handle on, so that another process may have more
    luck; onecopy.is_missing() tells without raising.
    """

    __slots__ = ("_handle", "_reason")

    def __init__(self, reason: Error, handle: str) -> None:
        object.__setattr__(self, "_reason", reason)
        object.__setattr__(self, "_handle", handle)

    def __getattr__(self, name: str) -> Any:
        # Protocol probes of pickle, copy, numpy and inspection must get the usual answer for "no such method" only
        # for private names of tools; everything a user asks for is a use.
        if name.startswith("__") and name.endswith("__") and name not in _ARRAY_PROTOCOLS:
            raise AttributeError(name)
        return _raise(self)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        _raise(self)

    def __repr__(self) -> str:
        return f"<onecopy object that is gone: {object.__getattribute__(self, '_reason')}>"

    def __reduce__(self) -> Any:
        from .._pickle import object_at

        return object_at, (object.__getattribute__(self, "_handle"),)


_ARRAY_PROTOCOLS = ("__array_interface__", "__array_struct__", "__arrow_c_array__", "__arrow_c_stream__",
                    "__dataframe__", "__dlpack__")  # fmt: skip


def _raise(missing: Any) -> NoReturn:
    reason: Error = object.__getattribute__(missing, "_reason")
    raise type(reason)(reason.tried, reason.happened, reason.remedy, reason.os_error)


def _use(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    _raise(self)


for _name in (
    "abs add and array array_ufunc array_function bool bytes call complex contains delitem divmod enter eq exit float "
    "floordiv format ge getitem gt iadd iand ifloordiv ilshift imatmul imod imul index int invert ior ipow irshift "
    "isub iter itruediv ixor le len lshift lt matmul mod mul ne neg next or pos pow radd rand rdivmod reversed "
    "rfloordiv rlshift rmatmul rmod rmul ror round rpow rrshift rshift rsub rtruediv rxor setitem str sub truediv xor"
).split():
    setattr(Missing, f"__{_name}__", _use)
setattr(Missing, "__hash__", object.__hash__)  # noqa: B010


class MissingArray(Missing):
    """An array that is gone. Its shape and type are known; its elements are not."""

    __slots__ = ("_dtype", "_offset", "_shape", "_strides")

    def __init__(self, reason: Error, handle: str, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int,
                 strides: tuple[int, ...] | None) -> None:
        super().__init__(reason, handle)
        object.__setattr__(self, "_shape", shape)
        object.__setattr__(self, "_dtype", dtype)
        object.__setattr__(self, "_offset", offset)
        object.__setattr__(self, "_strides", strides)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = object.__getattribute__(self, "_shape")
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = object.__getattribute__(self, "_dtype")
        return dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        if not self.shape:
            _raise(self)
        return self.shape[0]

    def __reduce__(self) -> Any:
        from .._pickle import array_at

        get = object.__getattribute__
        dtype = self.dtype if self.dtype.names else self.dtype.str
        return array_at, (get(self, "_handle"), get(self, "_offset"), self.shape, dtype, get(self, "_strides"))


def is_missing(obj: Any) -> bool:
    """True if `obj` stands for a shared object that was gone when its handle arrived. Never raises."""
    return isinstance(type(obj), type) and issubclass(type(obj), Missing)
