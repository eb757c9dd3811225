"""One copy of your data in memory, used in place by every process.

    x = onecopy.share(numpy_array_or_frame_or_anything)   # the same type, backed by shared memory
    pool.map(work, [x] * 8)                               # sends a handle of 150 bytes; nobody copies the data
    h = onecopy.handle(x)                                 # text; R, C++ and the shell attach by it too
    y = onecopy.attach(h)                                 # in any process of this user
"""

from ._array import SharedArray
from ._core import version as __version__
from ._missing import is_missing
from ._opaque import Opaque
from ._place import by_value
from .api import attach, empty, exists, free, handle, is_shared, open, save, share, unshare
from .errors import (
    Busy,
    Corrupt,
    Error,
    Exists,
    Interrupted,
    InvalidArgument,
    NoMemory,
    NoSpace,
    NotFound,
    OwnerDied,
    PeerClosed,
    PermissionDenied,
    SystemFailure,
    Timeout,
    Unsupported,
    WrongHost,
    WrongType,
)
from .info import Entry, Usage, doctor, gc, ls, usage

__all__ = [
    "Busy",
    "Corrupt",
    "Entry",
    "Error",
    "Exists",
    "Interrupted",
    "InvalidArgument",
    "NoMemory",
    "NoSpace",
    "NotFound",
    "Opaque",
    "OwnerDied",
    "PeerClosed",
    "PermissionDenied",
    "SharedArray",
    "SystemFailure",
    "Timeout",
    "Unsupported",
    "Usage",
    "WrongHost",
    "WrongType",
    "__version__",
    "attach",
    "by_value",
    "doctor",
    "empty",
    "exists",
    "free",
    "gc",
    "handle",
    "is_missing",
    "is_shared",
    "ls",
    "open",
    "save",
    "share",
    "unshare",
    "usage",
]
