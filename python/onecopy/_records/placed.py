"""Where a lock, an event or a counter lies, and how other processes find it: by name, file or handle."""

from __future__ import annotations

import os
from typing import Any, ClassVar, TypeVar

from .. import _core
from .._given import handle_given, name_given
from ..errors import WrongType

P = TypeVar("P", bound="Placed")


class Placed:
    """What lies in a record: one of its own, found by name, in a file or by handle; or a part of another."""

    _label: ClassVar[str]
    _size: ClassVar[int]
    _record: _core.RawRecord
    _path: str | None
    _alone: bool

    @classmethod
    def _type(cls) -> tuple[str, int, list[Any]]:
        return cls._label, cls._size, [(cls._label, 9, 0, 8, [cls._size // 8], [])]

    @classmethod
    def _find(
        cls, name: str | None, path: str | os.PathLike[str] | None, first: bytes, create: bool
    ) -> _core.RawRecord:
        if name is not None and path is not None:
            raise ValueError("give a name or a path, not both")
        if path is not None:
            return _core.RawRecord.open(os.fspath(path), *cls._type(), first, create)
        if name is not None:
            name_given(f"find a {cls.__name__}", name)
            return _core.RawRecord.shared(name, *cls._type(), first, create, False)
        return _core.RawRecord.make(*cls._type(), first)

    def _keep(self, record: _core.RawRecord, alone: bool) -> None:
        self._record = record
        self._alone = alone

    @classmethod
    def _over(cls: type[P], record: _core.RawRecord, offset: int, alone: bool) -> P:
        made = cls.__new__(cls)
        made._core_init(record, offset)
        made._keep(record, alone)
        return made

    def _core_init(self, record: _core.RawRecord, offset: int) -> None:
        raise NotImplementedError

    @classmethod
    def _in_record(cls: type[P], owner: Any, offset: int) -> P:
        raw = owner._raw()
        if raw is None:
            raise WrongType(
                f"use the {cls.__name__} of a {type(owner).__name__}", "the record is private memory of this process",
                "Make the record with .shared() or .open()",
            )  # fmt: skip
        return cls._over(raw, _core.address_of_record(owner) - raw.address + offset, False)

    @classmethod
    def attach(cls: type[P], handle: str) -> P:
        """The one that a handle names. Raises NotFound, WrongType, WrongHost."""
        handle_given(f"attach a {cls.__name__}", handle)
        return cls._over(_core.RawRecord.attach(handle, *cls._type()), 0, True)

    @property
    def handle(self) -> str:
        """Text by which other processes attach it."""
        if not self._alone:
            raise WrongType(f"make a handle of a {type(self).__name__}", "it is part of a record",
                            "Send the record")  # fmt: skip
        return self._record.region.handle()

    @property
    def name(self) -> str:
        """The name that it was made with, or ""."""
        return self._record.region.name if self._alone else ""

    def __reduce__(self) -> tuple[Any, ...]:
        if self._alone and self._record.region.backing == "file":
            return _reopen, (type(self), self._record.region.path)
        return _attach, (type(self), self.handle)

    def __repr__(self) -> str:
        where = repr(self.name) if self.name else "in a record" if not self._alone else hex(self._record.address)
        return f"<onecopy.{type(self).__name__} {where}>"


def _attach(cls: type[P], handle: str) -> P:
    return cls.attach(handle)


def _reopen(cls: type[P], path: str) -> P:
    return cls._over(_core.RawRecord.open(path, *cls._type(), bytes(cls._size), False), 0, True)
