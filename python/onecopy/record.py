"""Records: C structs that processes share, as Python objects.

    @onecopy.record
    class Foo:
        bar: onecopy.int32 = 0
        baz: onecopy.int32 = 0

    f = Foo.open("state.foo", create=True)     # a file that stays
    g = Foo.shared("such_foo")                 # a name, for as long as somebody holds it
    f.bar = 31337                              # every process sees it at once

C++ sees the same as ``onecopy::record<Foo>``, R with ``attachShared``.
"""

from __future__ import annotations

import os
import sys
import typing
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import numpy as np

from . import _core
from ._given import handle_given, name_given
from ._memory.format import RECORD
from ._records.fields import FixedArray, FixedBytes, FixedStr, Layout, RawBytes, Spec, make_field, spec_of
from ._records.waiting import OWNER_DIED, TIMED_OUT, got, in_thread, seconds_of
from .errors import Interrupted, Timeout, WrongType

__all__ = ["FixedArray", "FixedBytes", "FixedStr", "RawBytes", "Record", "record"]

T = TypeVar("T")
R = TypeVar("R", bound="Record")


class Record(_core.RecordBase):
    """Base of the classes that ``@onecopy.record`` makes. ``Foo(bar=1)`` is private memory of this process;
    ``Foo.open``, ``Foo.shared`` and ``Foo.attach`` give records that others see.

    A single number is read and written in one step. Use :meth:`locked` for several together, :meth:`fetch_add` and
    :meth:`compare_exchange` for one that many change, :meth:`snapshot` to read all of them as they were at one moment.
    """

    __slots__ = ()
    _layout: ClassVar[Layout]
    _record_dtype: ClassVar[np.dtype[Any]]
    _type_name: ClassVar[str]
    _first: ClassVar[bytes]

    # ------------------------------------------------------------------------------------------------------- making

    def __init__(self, *values: Any, **named: Any) -> None:
        self._take(bytearray(type(self)._first))
        self._assign(values, named)

    def _take(self, memory: bytearray) -> None:
        address = np.frombuffer(memory, np.uint8).__array_interface__["data"][0]
        _core.give_bytes(self, memory, address, len(memory))

    @classmethod
    def _private(cls: type[R], memory: bytearray) -> R:
        made = cls.__new__(cls)
        made._take(memory)
        return made

    def _assign(self, values: tuple[Any, ...], named: dict[str, Any]) -> None:
        names = list(self._layout.specs)
        if len(values) > len(names):
            raise TypeError(f"{type(self).__name__} has {len(names)} fields, and {len(values)} values were given")
        given = dict(zip(names, values, strict=False))
        for name, value in named.items():
            if name not in self._layout.specs:
                raise TypeError(f"{type(self).__name__} has no field {name!r}; it has {', '.join(names)}")
            if name in given:
                raise TypeError(f"field {name!r} was given twice")
            given[name] = value
        for name, value in given.items():
            setattr(self, name, value)

    @classmethod
    def _core_type(cls) -> tuple[str, int, list[tuple[Any, ...]]]:
        return cls._type_name, cls._layout.size, cls._layout.core_fields()

    @classmethod
    def _first_bytes(cls, named: dict[str, Any]) -> bytes:
        return bytes(cls(**named)) if named else cls._first

    @classmethod
    def _from_raw(cls: type[R], raw: _core.RawRecord) -> R:
        made = cls.__new__(cls)
        _core.give_bytes(made, raw, raw.address, raw.size)
        return made

    @classmethod
    def _at(cls: type[R], owner: Record, offset: int) -> R:
        """A record that is part of another."""
        made = cls.__new__(cls)
        _core.give_bytes(made, owner, _core.address_of_record(owner) + offset, cls._layout.size)
        return made

    @classmethod
    def open(cls: type[R], path: str | os.PathLike[str], create: bool = False, **first: Any) -> R:
        """The record in a file, which outlives all processes.

        Args:
            path: the file. Processes that open it share its bytes; all of them write to it.
            create: makes it if it is not there, with the fields' defaults and ``first``. Two processes that do so at
                once get the same one.

        Raises NotFound, WrongType (it holds something else; the message says what differs), Corrupt (it is short,
        damaged or no file of onecopy; the raw bytes of the struct are for ``from_bytes``), PermissionDenied.
        """
        return cls._from_raw(_core.RawRecord.open(os.fspath(path), *cls._core_type(), cls._first_bytes(first), create))

    @classmethod
    def shared(cls: type[R], name: str | None = None, create: bool = True, keep: bool = False, **first: Any) -> R:
        """The record of that name in this user's store; without a name, a new one that others attach by ``handle``.

        It ends with its last holder, unless ``keep`` (then ``onecopy.free`` ends it). Raises what ``open`` raises.
        """
        begins = cls._first_bytes(first)
        if name is None:
            return cls._from_raw(_core.RawRecord.make(*cls._core_type(), begins))
        name_given(f"share a {cls.__name__}", name)
        return cls._from_raw(_core.RawRecord.shared(name, *cls._core_type(), begins, create, keep))

    @classmethod
    def attach(cls: type[R], handle: str) -> R:
        """The record that a handle names. Raises NotFound, WrongType, WrongHost."""
        handle_given(f"attach a {cls.__name__}", handle)
        return cls._from_raw(_core.RawRecord.attach(handle, *cls._core_type()))

    @classmethod
    def from_bytes(cls: type[R], data: Any) -> R:
        """A private record with these bytes, as ``bytes(record)`` or a C program wrote them. Raises ValueError."""
        view = memoryview(data).cast("B")
        if len(view) != cls._layout.size:
            raise ValueError(f"a {cls.__name__} has {cls._layout.size} bytes, not {len(view)}")
        return cls._private(bytearray(view))

    # ------------------------------------------------------------------------------------------------------ sharing

    def _raw(self) -> _core.RawRecord | None:
        owner = _core.owner_of(self)
        while isinstance(owner, Record):
            owner = _core.owner_of(owner)
        return owner if isinstance(owner, _core.RawRecord) else None

    def _whole(self) -> _core.RawRecord:
        raw = self._raw()
        if raw is None:
            raise WrongType(f"share a {type(self).__name__}", "it is private memory of this process",
                            "Make it with .shared() or .open()")  # fmt: skip
        return raw

    @property
    def is_shared(self) -> bool:
        """True if other processes can see it."""
        return self._raw() is not None

    @property
    def handle(self) -> str:
        """Text by which other processes attach it. Raises Unsupported for a record in a file: open it by path."""
        return self._whole().region.handle()

    def __reduce__(self) -> tuple[Any, ...]:
        owner = _core.owner_of(self)
        if isinstance(owner, _core.RawRecord):
            region = owner.region
            if region.backing == "file":
                return _reopen, (type(self), region.path)
            return _attach, (type(self), region.handle())
        return _from_bytes, (type(self), bytes(self))

    # ------------------------------------------------------------------------------------------------------- values

    def numpy(self) -> np.ndarray[Any, Any]:
        """The record as a structured array without dimensions, over the same bytes."""
        buffer: Any = self
        return np.asarray(np.frombuffer(buffer, type(self)._record_dtype, 1).reshape(()))

    def as_dict(self) -> dict[str, Any]:
        """The fields' values, without locks."""
        return {name: getattr(self, name) for name in self._shown()}

    @classmethod
    def _shown(cls) -> list[str]:
        return [
            name for name, (spec, _) in cls._layout.specs.items()
            if spec.python is None or hasattr(spec.python, "_record_dtype")
        ]  # fmt: skip

    def __len__(self) -> int:
        return type(self)._layout.size

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self._shown())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown())
        return f"{type(self).__name__}({values})"

    # --------------------------------------------------------------------------------------------- several at a time

    def locked(self, timeout: float | None = None) -> Locked:
        """``with f.locked() as held: ...``: nobody else is in such a block meanwhile, and no snapshot sees the middle
        of it. If a process was killed in one, ``held.owner_died`` is true until somebody calls ``held.repaired()``.

        ``async with`` works, too. Raises Timeout on entering. A plain assignment outside of such a block does not wait
        for it.
        """
        return Locked(self._whole(), seconds_of(timeout))

    def snapshot(self: R, timeout: float | None = None) -> R:
        """A private copy of the whole as it stood between two ``locked()`` blocks. Raises Timeout if one lasts."""
        if _core.owner_of(self) is None or self._raw() is None:
            return type(self).from_bytes(bytes(self))
        raw = _core.owner_of(self)
        if not isinstance(raw, _core.RawRecord):
            raise WrongType("take a snapshot of a part of a record", "it is not the whole", "Take one of the whole")
        how, data = raw.snapshot(seconds_of(timeout))
        if not got(how):
            raise Timeout(f"read a {type(self).__name__}", "somebody is writing to it", "Give it more time")
        return type(self).from_bytes(data)

    # ----------------------------------------------------------------------------------------------- one in one step

    def _atomic(self, name: str, step: int, first: Any = None, second: Any = None) -> Any:
        descriptor = type(self).__dict__.get(name)
        if not isinstance(descriptor, _core.Field):
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        return _core.atomic(self, descriptor, step, first, second)

    def fetch_add(self, name: str, by: int = 1) -> int:
        """Adds to an integer field in one step, whoever else does; returns the value before. Wraps around."""
        value: int = self._atomic(name, 3, by)
        return value

    def exchange(self, name: str, value: int) -> int:
        """Sets an integer field and returns the value before, in one step."""
        before: int = self._atomic(name, 2, value)
        return before

    def compare_exchange(self, name: str, expected: int, value: int) -> bool:
        """Sets an integer field if it is ``expected``; whether it was."""
        done: bool = self._atomic(name, 4, expected, value)
        return done


class Locked:
    """What ``with record.locked()`` gives."""

    __slots__ = ("_raw", "_seconds", "owner_died")

    def __init__(self, raw: _core.RawRecord, seconds: float) -> None:
        self._raw = raw
        self._seconds = seconds
        self.owner_died = False
        """A process was killed in its block; what it wrote may be half done."""

    def __enter__(self) -> Locked:
        return self._entered(self._raw.begin_writing(self._seconds, None))

    def _entered(self, how: int) -> Locked:
        if not got(how):
            kind = Timeout if how == TIMED_OUT else Interrupted
            raise kind(f"lock a {self._raw.type_name}", "another process holds the lock", "Give it more time")
        self.owner_died = how == OWNER_DIED
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.end_writing()

    async def __aenter__(self) -> Locked:
        def undo(how: int) -> None:
            if got(how):
                self._raw.end_writing()

        return self._entered(await in_thread(lambda c: self._raw.begin_writing(self._seconds, c), undo))

    async def __aexit__(self, *_: object) -> None:
        self._raw.end_writing()

    def repaired(self) -> None:
        """Says that the record is whole again."""
        self._raw.repaired()
        self.owner_died = False


def _attach(cls: type[R], handle: str) -> R:
    return cls.attach(handle)


def _reopen(cls: type[R], path: str) -> R:
    return cls.open(path)


def _from_bytes(cls: type[R], data: bytes) -> R:
    return cls.from_bytes(data)


@typing.dataclass_transform()
def record(cls: type[T] | None = None, *, name: str | None = None) -> Any:
    """Makes a class of annotated fields a record (see the module). Values in the class body are the defaults.

    Fields: ``onecopy.int32`` and its kin, ``int``, ``float``, ``bool``, ``complex`` (8 bytes each, but bool and
    complex), ``FixedStr[n]``, ``FixedBytes[n]``, ``RawBytes[n]``, ``FixedArray[type, n, ...]``, NumPy scalar types and
    dtypes, other records, and ``onecopy.Lock``, ``RWLock``, ``Event``, ``Semaphore`` and the like.

    Args:
        name: what files and other languages call it; default: the class's name.
    """
    where = sys._getframe(1).f_locals  # annotations may be texts that name what stands beside the class
    if cls is None:
        return lambda later: _record(later, name, where)
    return _record(cls, name, where)


def _record(cls: type[Any], name: str | None, where: Mapping[str, Any]) -> Any:
    hints = _own_annotations(cls, where)
    if not hints:
        raise TypeError(f"{cls.__name__} has no fields: annotate them, as in `bar: onecopy.int32 = 0`")
    specs: dict[str, Spec] = {}
    for field_name, annotation in hints.items():
        if field_name.startswith("_") or hasattr(Record, field_name):
            raise TypeError(f"a field can't be called {field_name!r}: records have something of that name")
        specs[field_name] = spec_of(annotation, f"{cls.__name__}.{field_name}")
    layout = Layout.of(specs)
    body = {k: v for k, v in cls.__dict__.items() if k not in (*hints, "__dict__", "__weakref__", "__annotations__")}
    body.update(__slots__=(), __annotations__=dict(cls.__dict__.get("__annotations__", {})))
    for field_name, (spec, offset) in layout.specs.items():
        body[field_name] = make_field(field_name, spec, offset)
    bases = tuple(base for base in cls.__bases__ if base is not object)
    made: Any = type(cls.__name__, (*bases, Record), body)
    made._layout = layout
    made._record_dtype = layout.dtype()
    made._type_name = name or cls.__name__
    begins = bytearray(layout.size)
    begun = set()
    for field_name, (spec, offset) in layout.specs.items():
        first = spec.first
        if hasattr(spec.python, "_first_of"):  # a semaphore's units, a barrier's parties
            first = spec.python._first_of(cls.__dict__.get(field_name))
            begun.add(field_name)
        begins[offset : offset + len(first)] = first
    made._first = bytes(begins)
    defaults = {k: cls.__dict__[k] for k in hints if k in cls.__dict__ and k not in begun}
    made._first = bytes(made(**defaults))
    made._field_spec = Spec(
        RECORD, layout.size, layout.alignment, made._record_dtype,
        inner=tuple(layout.core_fields()), python=made, first=made._first,
    )  # fmt: skip
    return made


def _own_annotations(cls: type, where: Mapping[str, Any]) -> dict[str, Any]:
    module = sys.modules.get(cls.__module__)
    raw: dict[str, Any] = cls.__dict__.get("__annotations__", {})
    hints: dict[str, Any] = {}
    for field_name, annotation in raw.items():
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, dict(vars(module)) if module else {}, {**where, **vars(cls)})
            except NameError as problem:
                raise TypeError(
                    f"the annotation of {cls.__name__}.{field_name} can't be looked up: {problem}. "
                    "Define what it names before the record"
                ) from None
        if typing.get_origin(annotation) is not ClassVar and annotation is not ClassVar:
            hints[field_name] = annotation
    return hints
