"""One copy of your data in memory, used in place by every process.

    x = onecopy.share(numpy_array_or_frame_or_anything)   # the same type, backed by shared memory
    pool.map(work, [x] * 8)                               # sends a handle of 150 bytes; nobody copies the data
    h = onecopy.handle(x)                                 # text; R, C++ and the shell attach by it too
    y = onecopy.attach(h)                                 # in any process of this user
"""

# NumPy comes first. In a second interpreter of a process it raises ImportError, which keeps the compiled part from
# being loaded there: that would break it for the first one.
import numpy as _numpy  # noqa: F401

from ._core import version as __version__
from ._hosts.dask_hooks import register as _register_with_dask
from ._hosts.ray_hooks import register as _register_with_ray
from ._lazy.arrays import (
    LazyEntry,
    LazyUsage,
    lazy,
    lazy_binary,
    lazy_budget,
    lazy_sequence,
    lazy_usage,
)
from ._lazy.expression import LazyExpression, lazily
from ._lazy.sql import lazy_sql
from ._lazy.strings import LazyStrings
from ._lazy.tables import lazy_compressed, lazy_csv, lazy_lines, lazy_parquet
from ._memory.missing import is_missing
from ._memory.place import by_value
from ._objects.array import SharedArray
from ._objects.lazy_array import LazyArray, LazyCounters
from ._objects.opaque import Opaque
from ._records.fields import (
    bool8,
    complex64,
    complex128,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .api import attach, empty, exists, free, handle, is_shared, open, save, share, unshare, verify
from .cache import Cache, CacheEntry, CacheStatistics
from .channel import Channel, Listener, Message, Peer, receive_descriptor, sealed_descriptor
from .copies import report_copies
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
    NotHeld,
    OwnerDied,
    PeerClosed,
    PermissionDenied,
    SystemFailure,
    Timeout,
    Unsupported,
    WrongHost,
    WrongType,
)
from .info import Entry, Usage, doctor, gc, holders, ls, usage
from .mapped import WeakReference, check_intact, map_file
from .message_queue import Queue
from .record import FixedArray, FixedBytes, FixedStr, RawBytes, Record, record
from .sync import Barrier, Condition, Counter, Event, Lock, RWLock, Semaphore

__all__ = [
    "Barrier",
    "Busy",
    "Cache",
    "CacheEntry",
    "CacheStatistics",
    "Channel",
    "Condition",
    "Corrupt",
    "Counter",
    "Entry",
    "Error",
    "Event",
    "Exists",
    "FixedArray",
    "FixedBytes",
    "FixedStr",
    "Interrupted",
    "InvalidArgument",
    "LazyArray",
    "LazyCounters",
    "LazyEntry",
    "LazyExpression",
    "LazyStrings",
    "LazyUsage",
    "Listener",
    "Lock",
    "Message",
    "NoMemory",
    "NoSpace",
    "NotFound",
    "NotHeld",
    "Opaque",
    "OwnerDied",
    "Peer",
    "PeerClosed",
    "PermissionDenied",
    "Queue",
    "RWLock",
    "RawBytes",
    "Record",
    "Semaphore",
    "SharedArray",
    "SystemFailure",
    "Timeout",
    "Unsupported",
    "Usage",
    "WeakReference",
    "WrongHost",
    "WrongType",
    "__version__",
    "attach",
    "bool8",
    "by_value",
    "check_intact",
    "complex128",
    "complex64",
    "doctor",
    "empty",
    "exists",
    "float32",
    "float64",
    "free",
    "gc",
    "handle",
    "holders",
    "int16",
    "int32",
    "int64",
    "int8",
    "is_missing",
    "is_shared",
    "lazily",
    "lazy",
    "lazy_binary",
    "lazy_budget",
    "lazy_compressed",
    "lazy_csv",
    "lazy_lines",
    "lazy_parquet",
    "lazy_sequence",
    "lazy_sql",
    "lazy_usage",
    "ls",
    "map_file",
    "open",
    "receive_descriptor",
    "record",
    "report_copies",
    "save",
    "sealed_descriptor",
    "share",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "unshare",
    "usage",
    "verify",
]

_register_with_dask()
_register_with_ray()
