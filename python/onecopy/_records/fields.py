"""What the annotations of a record mean, and where its fields lie: as a C compiler would lay them out."""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from .. import _core
from .._memory import format as f


@dataclass(frozen=True)
class Spec:
    """One field: its elements, how many, and how Python sees them."""

    number: int  # of the core's dtype
    item_size: int
    alignment: int
    dtype: np.dtype[Any]  # of one element
    shape: tuple[int, ...] = ()
    text: bool = False  # char[N] as str
    inner: tuple[Any, ...] = ()  # the core's fields of a nested struct
    python: Any = None  # class of a nested record, or of a lock
    first: bytes = b""  # what it begins as, if not zeros

    @property
    def size(self) -> int:
        count = 1
        for extent in self.shape:
            count *= extent
        return self.item_size * count

    def core(self, name: str, offset: int) -> tuple[Any, ...]:
        return (name, self.number, offset, self.item_size, list(self.shape), list(self.inner))


def _of_dtype(dtype: np.dtype[Any]) -> Spec:
    base, shape = dtype.base, dtype.shape
    if base.names:
        fields = []
        alignment = 1
        for name in base.names:
            inner, offset = base.fields[name][:2]  # type: ignore[index]
            spec = _of_dtype(inner)
            alignment = max(alignment, spec.alignment)
            fields.append(spec.core(name, offset))
        return Spec(f.RECORD, base.itemsize, alignment if base.isalignedstruct else 1, base, shape, inner=tuple(fields))
    if base.kind == "S" and base.itemsize:
        return Spec(f.FIXED_BYTES, base.itemsize, 1, base, shape)
    if base.kind == "U" and base.itemsize:
        return Spec(f.FIXED_UTF32, base.itemsize, 4, base, shape)
    if base.kind == "V" and base.itemsize:
        return Spec(f.RAW, 1, 1, np.dtype("V1"), (*shape, base.itemsize))
    number = f.NUMBER_OF.get(base.str)
    if number is None:
        raise TypeError(f"a record can't hold {dtype}: it holds numbers, fixed strings, arrays of these, and records")
    return Spec(number, base.itemsize, base.alignment, base, shape)


def scalar(code: str) -> Spec:
    return _of_dtype(np.dtype(code))


if typing.TYPE_CHECKING:
    bool8 = bool
    int8 = int16 = int32 = int64 = uint8 = uint16 = uint32 = uint64 = int
    float32 = float64 = float
    complex64 = complex128 = complex
else:
    bool8 = Annotated[bool, scalar("?")]
    int8, int16 = Annotated[int, scalar("i1")], Annotated[int, scalar("i2")]
    int32, int64 = Annotated[int, scalar("i4")], Annotated[int, scalar("i8")]
    uint8, uint16 = Annotated[int, scalar("u1")], Annotated[int, scalar("u2")]
    uint32, uint64 = Annotated[int, scalar("u4")], Annotated[int, scalar("u8")]
    float32, float64 = Annotated[float, scalar("f4")], Annotated[float, scalar("f8")]
    complex64, complex128 = Annotated[complex, scalar("c8")], Annotated[complex, scalar("c16")]


class _Sized:
    """A type that needs a size: Name[n]."""

    def __class_getitem__(cls, size: int) -> Any:
        if not isinstance(size, int) or size < 1:
            raise TypeError(f"{cls.__name__}[n] needs a number of bytes")
        return cls._of(size)

    @classmethod
    def _of(cls, size: int) -> Any:
        raise NotImplementedError


class FixedStr(_Sized):
    """``FixedStr[n]``: text of at most n bytes in UTF-8. C++ sees char[n]."""

    @classmethod
    def _of(cls, size: int) -> Any:
        return Annotated[str, Spec(f.FIXED_BYTES, size, 1, np.dtype(f"S{size}"), text=True)]


class FixedBytes(_Sized):
    """``FixedBytes[n]``: at most n bytes, none of them NUL. C++ sees char[n]."""

    @classmethod
    def _of(cls, size: int) -> Any:
        return Annotated[bytes, Spec(f.FIXED_BYTES, size, 1, np.dtype(f"S{size}"))]


class RawBytes(_Sized):
    """``RawBytes[n]``: exactly n bytes. C++ sees std::byte[n]."""

    @classmethod
    def _of(cls, size: int) -> Any:
        return Annotated[bytes, Spec(f.RAW, 1, 1, np.dtype("V1"), (size,))]


class FixedArray:
    """``FixedArray[onecopy.float64, 3, 4]``: a C array, seen as a NumPy array of that shape over the shared bytes."""

    def __class_getitem__(cls, parameters: Any) -> Any:
        element, *shape = parameters if isinstance(parameters, tuple) else (parameters,)
        if not shape or not all(isinstance(extent, int) and extent >= 1 for extent in shape):
            raise TypeError("FixedArray[type, n, ...] needs a type and its extents")
        spec = spec_of(element, "the element of an array")
        if spec.python is not None and not hasattr(spec.python, "_record_dtype"):
            raise TypeError("an array of locks is not possible: give each its own field")
        return Annotated[np.ndarray, _with_shape(spec, (*shape, *spec.shape))]


def _with_shape(spec: Spec, shape: tuple[int, ...]) -> Spec:
    return Spec(spec.number, spec.item_size, spec.alignment, spec.dtype, shape, False, spec.inner)


_BUILTIN = {bool: "?", int: "i8", float: "f8", complex: "c16"}


def spec_of(annotation: Any, where: str) -> Spec:
    """The field that an annotation asks for."""
    if typing.get_origin(annotation) is Annotated:
        for extra in typing.get_args(annotation)[1:]:
            if isinstance(extra, Spec):
                return extra
        annotation = typing.get_args(annotation)[0]
    if isinstance(annotation, Spec):
        return annotation
    if isinstance(annotation, np.dtype):
        return _of_dtype(annotation)
    if isinstance(annotation, type):
        if annotation in _BUILTIN:
            return scalar(_BUILTIN[annotation])
        own = annotation.__dict__.get("_field_spec") or getattr(annotation, "_field_spec", None)
        if isinstance(own, Spec):
            return own
        if issubclass(annotation, np.generic):
            return _of_dtype(np.dtype(annotation))
        if annotation in (str, bytes, list, tuple):
            raise TypeError(
                f"{where} is {annotation.__name__}, which has no fixed size: "
                "use onecopy.FixedStr[n], FixedBytes[n] or FixedArray[type, n]"
            )
    raise TypeError(f"{where} is {annotation!r}, which no record can hold")


@dataclass
class Layout:
    """Fields with their offsets."""

    size: int = 0
    alignment: int = 1
    specs: dict[str, tuple[Spec, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, specs: dict[str, Spec]) -> Layout:
        made = cls()
        for name, spec in specs.items():
            offset = -(-made.size // spec.alignment) * spec.alignment
            made.specs[name] = (spec, offset)
            made.size = offset + spec.size
            made.alignment = max(made.alignment, spec.alignment)
        made.size = -(-made.size // made.alignment) * made.alignment
        return made

    def core_fields(self) -> list[tuple[Any, ...]]:
        return [spec.core(name, offset) for name, (spec, offset) in self.specs.items()]

    def dtype(self) -> np.dtype[Any]:
        formats = [np.dtype((spec.dtype, spec.shape)) if spec.shape else spec.dtype for spec, _ in self.specs.values()]
        return np.dtype(
            {
                "names": list(self.specs),
                "formats": formats,
                "offsets": [offset for _, offset in self.specs.values()],
                "itemsize": self.size,
            }
        )


def make_field(name: str, spec: Spec, offset: int) -> _core.Field:
    """The descriptor of a field."""
    number, get, put = spec.number, None, None
    if number == f.RAW and len(spec.shape) == 1:
        return _core.Field(name, offset, spec.size, f.RAW, False, None, None)
    if spec.python is not None and not spec.shape:
        if hasattr(spec.python, "_record_dtype"):
            get, put = _nested_getter(spec.python, offset), _nested_setter
        else:
            get = _primitive_getter(spec.python, offset)
        return _core.Field(name, offset, spec.size, 0, False, get, put)
    if spec.shape or number in (f.RECORD, f.FIXED_UTF32, f.FLOAT16):
        return _core.Field(name, offset, spec.size, 0, False, *_array_access(spec, offset))
    return _core.Field(name, offset, spec.size, number, spec.text, None, None)


def _array_access(spec: Spec, offset: int) -> tuple[Any, Any]:
    count = spec.size // spec.item_size

    def get(record: Any, _: Any) -> Any:
        view = np.frombuffer(record, spec.dtype, count, offset).reshape(spec.shape)
        return view if spec.shape or spec.number == f.RECORD else view.item()

    def put(record: Any, _: Any, value: Any) -> None:
        view = np.frombuffer(record, spec.dtype, count, offset).reshape(spec.shape)
        view[...] = value

    return get, put


def _nested_getter(python: Any, offset: int) -> Any:
    def get(record: Any, _: Any) -> Any:
        return python._at(record, offset)

    return get


def _nested_setter(record: Any, descriptor: Any, value: Any) -> None:
    target = descriptor.__get__(record, type(record))
    if type(value) is not type(target):
        raise TypeError(f'field "{descriptor.name}" is a {type(target).__name__}, not a {type(value).__name__}')
    memoryview(target)[:] = memoryview(value)


def _primitive_getter(python: Any, offset: int) -> Any:
    def get(record: Any, _: Any) -> Any:
        return python._in_record(record, offset)

    return get
