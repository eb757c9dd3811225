"""What onecopy raises. Each class is also what people already catch for that kind of failure."""

from __future__ import annotations

import builtins
import os

from . import _core

__all__ = [
    "Busy",
    "Corrupt",
    "Error",
    "Exists",
    "Interrupted",
    "InvalidArgument",
    "NoMemory",
    "NoSpace",
    "NotFound",
    "NotHeld",
    "OwnerDied",
    "PeerClosed",
    "PermissionDenied",
    "SystemFailure",
    "Timeout",
    "Unsupported",
    "WrongHost",
    "WrongType",
]


class Error(Exception):
    """Base of all errors of onecopy.

    Attributes:
        tried: what was to be done, as in "attach onecopy:1:...".
        happened: why it could not be done.
        remedy: what to do about it, or "".
        os_error: the errno behind it, or 0.
    """

    def __init__(self, tried: str, happened: str = "", remedy: str = "", os_error: int = 0) -> None:
        super().__init__(tried, happened, remedy, os_error)
        self.tried = tried
        self.happened = happened
        self.remedy = remedy
        self.os_error = os_error

    def __str__(self) -> str:
        text = f"can't {self.tried}: {self.happened}" if self.happened else self.tried
        if self.remedy:
            text += f". {self.remedy}"
        return text if text.endswith((".", "?")) else text + "."

    def __reduce__(self) -> tuple[type, tuple[str, str, str, int]]:
        return type(self), (self.tried, self.happened, self.remedy, self.os_error)


class _OSError(Error, OSError):
    # OSError.__new__ would turn the texts into errno and filename, and pick a subclass of its own.
    def __new__(cls, *args: object) -> _OSError:
        return OSError.__new__(cls)

    def __init__(self, tried: str, happened: str = "", remedy: str = "", os_error: int = 0) -> None:
        Error.__init__(self, tried, happened, remedy, os_error)
        self.errno = os_error or None
        self.strerror = os.strerror(os_error) if os_error else happened


class InvalidArgument(Error, ValueError):
    """The call itself is wrong."""


class NotHeld(InvalidArgument, RuntimeError):
    """A lock does not belong to the process that wants to release it or to wait with it."""


class NotFound(Error, KeyError):
    """There is no such object, name or file, or not any more."""


class Exists(_OSError, FileExistsError):
    """The name is taken by a live object."""


class Corrupt(Error, ValueError):
    """The bytes are not a valid region: damaged, cut off, or of something else."""


class Unsupported(Error, NotImplementedError):
    """Valid, but from a newer onecopy, or it needs something that this machine lacks."""


class NoSpace(_OSError):
    """The file system is full."""


class NoMemory(Error, MemoryError):
    """Memory, address space or mappings are used up."""


class PermissionDenied(_OSError, builtins.PermissionError):
    """The operating system, or the owner of the store, refuses."""


class WrongHost(Error, LookupError):
    """The handle names another machine or another store."""


class WrongType(Error, TypeError):
    """The object is there, but is not of the type asked for."""


class Busy(_OSError, BlockingIOError):
    """Somebody else holds what is needed; trying again may succeed."""


class Timeout(_OSError, TimeoutError):
    """The time given ran out."""


class OwnerDied(Error, RuntimeError):
    """The owner of a lock died while it held it; what the lock protects may need repair."""


class PeerClosed(_OSError, ConnectionError):
    """The other end of a channel is gone."""


class Interrupted(_OSError, InterruptedError):
    """A signal or a callback asked to stop."""


class SystemFailure(_OSError):
    """Any other failure of the operating system: see os_error."""


_core.set_exceptions(
    {
        "invalid_argument": InvalidArgument,
        "not_found": NotFound,
        "not_held": NotHeld,  # no kind of the core, where it is an invalid argument
        "exists": Exists,
        "corrupt": Corrupt,
        "unsupported": Unsupported,
        "no_space": NoSpace,
        "no_memory": NoMemory,
        "permission": PermissionDenied,
        "wrong_host": WrongHost,
        "wrong_type": WrongType,
        "busy": Busy,
        "timeout": Timeout,
        "owner_died": OwnerDied,
        "peer_closed": PeerClosed,
        "interrupted": Interrupted,
        "system": SystemFailure,
    }
)
