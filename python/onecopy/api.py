"""share, attach and the other functions of the package's face."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from . import _core
from ._core import Node, Region, Writer
from ._given import handle_given, lease_given, name_given
from ._memory import elsewhere
from ._memory.place import noted_node, owner_of, require_intact
from ._objects.array import SharedArray, place_of, writable_private
from ._objects.containers import node_of, shared_form
from ._objects.decode import load, table_library
from ._objects.encode import write
from ._objects.lazy_array import memory_of
from ._objects.opaque import pickles_allowed, write_pickled
from .errors import Corrupt, Error, InvalidArgument, NotFound, WrongHost, WrongType

T = TypeVar("T")
Progress = Callable[[int, int], object]


def share(
    obj: T,
    *,
    name: str | None = None,
    replace: bool = False,
    mutable: bool = False,
    keep: bool = False,
    progress: Progress | bool | None = None,
) -> T:
    """Puts a copy of ``obj`` into shared memory and returns it as an object of the same type.

    Arrays and the columns of tables are views of the shared memory, read-only; they pickle as handles of about 150
    bytes. Builtin containers come back as their own subclass with shared contents. The shared memory ends when the
    last process lets go of it.

    Args:
        obj: an ndarray, a pandas, polars or pyarrow object, a str, bytes, number, list, tuple, dict, set, dataclass,
            named tuple, a SciPy sparse array, a torch tensor on the CPU, anything that speaks Arrow's or NumPy's
            protocols, nested to any depth. What has no form of its own is pickled, its buffers shared. An object that
            is shared already is returned as it is, unless another argument asks for more.
        name: a name under which other processes find it: ``attach(name=...)``, also from R and C++.
        replace: takes the name from the object that has it now, instead of raising Exists.
        mutable: arrays are writable, and every process sees every write at once. Nothing orders the writes:
            see onecopy.Lock.
        keep: stays after the last process has let go, until ``free``.
        progress: called with bytes written and bytes in all; True shows a bar with tqdm.

    Raises:
        Exists: the name is taken. NoSpace: no room for it, even after leftovers were collected. Exception of the
        pickler: a part of it can be neither shared nor pickled. Nothing is left behind by a failure.

    Threads: may be called from several at once. The interpreter's lock is released while bytes are written; changing
    ``obj`` meanwhile gives a mixture of old and new.
    """
    if not (name or mutable or keep) and shared_node(obj) is not None:
        return obj
    node = _publish(obj, progress, where="store", name=name or "", replace=replace, writable=mutable, keep=keep)
    return cast(T, shared_form(load(node), node))


def _publish(obj: Any, progress: Progress | bool | None, **options: Any) -> Node:
    if options.get("name"):
        name_given("share an object", options["name"])
    w = Writer()
    try:
        write(w, 0, obj)
    except _core.ContainerInItself:
        w = Writer()
        write_pickled(w, 0, obj)
    if progress is None or progress is False:
        return w.publish(**options).node()
    if progress is not True:
        return w.publish(progress=progress, **options).node()
    from tqdm.auto import tqdm

    with tqdm(total=w.size(), unit="B", unit_scale=True, desc="share") as bar:
        return w.publish(progress=lambda done, _: bar.update(done - bar.n), **options).node()


def attach(handle: str | None = None, *, name: str | None = None, tables: str = "auto",
           writable: str | None = None) -> Any:
    """The shared object that a handle or a name stands for, made of the shared memory itself: nothing is copied.

    Args:
        handle: the text that ``handle`` gave here, in R (``sharedHandle``), in C++ or on the command line.
        name: the name that it was shared with; instead of a handle.
        tables: what tables become: "pandas", "pyarrow", "polars", "dict" (of columns), or "auto": the library that
            wrote it, and pandas for tables from other languages.
        writable: "private" gives an array that may be written to; the pages written to are this process's own copies
            and seen by nobody else. Arrays only.

    Raises:
        NotFound: it is gone. WrongHost: it is on another machine or in another store. Corrupt, Unsupported: its bytes
        are damaged, or newer than this version. InvalidArgument: this is no handle.
    """
    if (handle is None) == (name is None):
        raise InvalidArgument("attach a shared object", "give either a handle or a name")
    if handle is not None:
        handle_given("attach a shared object", handle)
        if not _core.looks_like_handle(handle) and exists(name=handle):
            raise InvalidArgument(f"attach a shared object by the handle {handle!r}", "it is a name, not a handle",
                                  f"Use attach(name={handle!r})")
        try:
            node = _core.attach(handle)
        except (NotFound, WrongHost) as reason:
            # Looking for a lazy one first would cost every other object five system calls.
            if isinstance(reason, NotFound) and _core.is_lazy(handle):
                return _attach_lazy(handle, writable)
            elsewhere.bring(handle, reason)
            node = _core.attach(handle)
    else:
        node = _core.attach_name(name_given("attach a shared object", name))
    return _loaded(node, tables, writable)


def _attach_lazy(handle: str, writable: str | None) -> Any:
    from ._lazy.strings import LazyStrings
    from ._objects.lazy_array import array_over, form_of

    if writable not in (None, "private"):
        raise InvalidArgument("attach a lazy object", f"writable={writable!r} is not known", 'Use "private"')
    memory = _core.attach_lazy(handle, writable == "private")
    return LazyStrings(array_over(memory)) if form_of(memory)[2].get("strings") else array_over(memory)


def _loaded(node: Node, tables: str, writable: str | None = None) -> Any:
    if tables == "auto":
        out = shared_form(load(node), node)
    else:
        token = table_library.set(tables)
        try:
            out = shared_form(load(node), node)
        finally:
            table_library.reset(token)
    if writable is None:
        return out
    if writable != "private":
        raise InvalidArgument("attach a shared object", f"writable={writable!r} is not known", 'Use "private", or '
                              "share(..., mutable=True) for writes that all see")
    if type(out) is not SharedArray:
        raise WrongType("make a private writable view", f"the object is a {type(out).__name__}", "Only arrays can")
    return writable_private(out)


def shared_node(obj: Any) -> Node | None:
    """The node of an object that still is exactly what is shared; None for everything else."""
    if type(obj) is SharedArray:
        return _whole_node(obj)
    found = node_of(obj)
    if found is not None:
        return found
    attributes = getattr(obj, "__dict__", None)
    if attributes is not None and "_onecopy" in attributes and hasattr(attributes["_onecopy"], "frame"):
        from ._objects.pristine import pristine_node

        return pristine_node(obj)
    return noted_node(obj)


def _whole_node(array: Any) -> Node | None:
    place = place_of(array)
    if place is None:
        return None
    region, offset = place
    node = region.array_at(offset)
    if node is None or node.shape != array.shape or node.data_bytes != array.nbytes:
        return None
    in_order = array.flags.f_contiguous if node.column_major else array.flags.c_contiguous
    return node if in_order else None


def handle(obj: Any, *, lease: float | None = None) -> str:
    """The text by which any process of this user on this machine attaches the object: Python, R, C++ or the shell.

    Args:
        obj: what ``share`` or ``attach`` returned, unchanged.
        lease: seconds for which the object stays although nobody holds it, so that the receiver has time to attach;
            10 minutes unless said otherwise.

    Raises:
        WrongType: the object is not shared, is a part of a shared object, or was changed since.
    """
    obj = getattr(obj, "storage", obj)  # a lazy column of strings
    memory = memory_of(obj) if isinstance(obj, np.ndarray) else None
    if memory is not None:
        if obj.nbytes != memory.size or not obj.flags.c_contiguous:
            raise WrongType("make a handle", "this is a part of a lazy array", "Pickle it: that sends handle and place")
        return memory.handle(lease_given(lease))
    node = shared_node(obj)
    if node is None:
        if is_shared(obj):
            raise WrongType("make a handle", "this is a part of a shared object, or was changed since it was shared",
                            "Pickle it: that sends what it holds now; or share it")
        raise WrongType("make a handle", f"this {type(obj).__name__} is not shared", "Share it first: onecopy.share")
    return node.handle(lease_given(lease))


def is_shared(obj: Any) -> bool:
    """True if the memory of ``obj`` is shared, wholly or (for containers and tables) in any part of it."""
    if isinstance(obj, (np.ndarray, memoryview)):
        return owner_of(obj) is not None or memory_of(obj) is not None
    if shared_node(obj) is not None:
        return True
    if isinstance(obj, (list, tuple, set, frozenset)):
        return any(is_shared(item) for item in obj)
    if isinstance(obj, dict):
        return any(is_shared(item) for item in obj.values())
    homes = {base.__module__.partition(".")[0] for base in type(obj).__mro__}
    if "pandas" in homes and hasattr(obj, "_mgr"):
        return any(block_is_shared(block.values) for block in obj._mgr.blocks)
    if "pyarrow" in homes:
        from ._objects.arrow_buffers import arrow_is_shared

        return arrow_is_shared(obj)
    return False


def block_is_shared(values: Any) -> bool:
    if hasattr(values, "in_shared_memory"):  # a LateStringArray
        return bool(values.in_shared_memory())
    for part in (values, *(getattr(values, name, None) for name in ("_ndarray", "_data", "_codes"))):
        if isinstance(part, np.ndarray) and is_shared(part):
            return True
    held = getattr(values, "_pa_array", None)
    if held is None:
        return False
    from ._objects.arrow_buffers import arrow_is_shared

    return arrow_is_shared(held)


def unshare(obj: T) -> T:
    """A deep copy of ``obj`` in this process's own memory, of the ordinary type.

    Raises: Corrupt: it lies in a file that was cut short.
    """
    import copy
    import pickle

    from ._memory.place import by_value

    if isinstance(obj, np.ndarray):
        copied: Any = np.array(obj, subok=False)
    elif not is_shared(obj):
        return copy.deepcopy(obj)
    else:
        with by_value():
            copied = pickle.loads(pickle.dumps(obj, protocol=4))
    require_intact(obj)  # what is gone from a file was read as zeros
    return cast(T, copied)


def save(obj: Any, path: str | os.PathLike[str], *, progress: Progress | bool | None = None) -> None:
    """Writes ``obj`` to a file that ``open`` maps: it survives all processes and the machine.

    The file is written beside ``path`` and renamed over it: a reader sees the old file or the whole new one.

    Raises: NoSpace, PermissionDenied, NotFound (no such directory). A failure leaves the old file as it was.
    """
    _publish(obj, progress, where="file", replace=True, path=os.path.abspath(os.fspath(path)))


# What libraries raise for data that are not what their type says.
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, NotImplementedError)


def open(path: str | os.PathLike[str], *, allow_pickle: bool = False, tables: str = "auto",
         writable: str | None = None) -> Any:
    """The object in a file that ``save`` wrote, mapped: nothing is read before it is used.

    Args:
        path: the file. It may be replaced by ``save`` while it is open; it must not be cut short.
        allow_pickle: also builds parts that are Python pickles or instances of your classes. Code of whoever wrote the
            file runs then: say True for files that you trust.
        tables, writable: as for ``attach``.

    Raises: NotFound, Corrupt, Unsupported, PermissionDenied (also for pickles that are not allowed).
    """
    node = _core.open_file(os.path.abspath(os.fspath(path)))
    token = pickles_allowed.set(allow_pickle)
    try:
        return _loaded(node, tables, writable)
    except _NONSENSE as reason:
        if allow_pickle or isinstance(reason, Error):
            raise  # code of the user's classes may raise what it likes
        raise Corrupt(f"open {os.fspath(path)}", f"its data make no sense ({type(reason).__name__}: {reason})",
                      "onecopy.verify says whether its bytes are still those that were saved") from reason
    finally:
        pickles_allowed.reset(token)


def verify(what: Any) -> None:
    """Reads all of a saved file or a shared object and checks it: structure, strings, codes, and the checksum, which
    ``save`` writes. Opening checks only what is needed to use it safely.

    Args:
        what: the path of a file that ``save`` wrote, or an object that ``share``, ``attach`` or ``open`` returned.

    Raises: Corrupt (says which part is wrong), NotFound, PermissionDenied, WrongType (the object is not shared).
    """
    if isinstance(what, (str, os.PathLike)) and not hasattr(what, "_onecopy"):
        _core.open_file(os.path.abspath(os.fspath(what))).region.verify()
        return
    node = shared_node(what)
    if node is None:
        raise WrongType("verify an object", f"this {type(what).__name__} is not shared, or was changed since",
                        "Give the path of a saved file, or what share returned")
    node.region.verify()


def empty(shape: int | tuple[int, ...], dtype: Any = "f8", *, mutable: bool = True, order: str = "C",
          name: str | None = None, replace: bool = False, keep: bool = False) -> SharedArray:
    """A shared array of zeros, made in place: no copy of it ever lies in this process.

    Args:
        shape, dtype, order: as for numpy.empty. Dtypes with Python objects can't be shared.
        mutable: every process may write to it and sees the writes of all.
        name, replace, keep: as for ``share``.
    """
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if any(n < 0 for n in shape):
        raise InvalidArgument("make a shared array", "a dimension is negative")
    if name is not None:
        name_given("make a shared array", name)
    w = Writer()
    from ._memory import format as f
    from ._objects.array import write_attributes
    from ._objects.dtypes import record_fields, type_number

    count = int(np.prod([int(n) for n in shape], dtype=object)) if shape else 1
    semantic = unit = 0
    sizes = [int(n) for n in shape]
    if dtype.names:
        fields = record_fields(dtype)
        if fields is None:
            raise InvalidArgument("make a shared array", f"{dtype} has fields without a shared form")
        w.records(0, sizes, count, not shape, order == "F", 0, dtype.itemsize, fields)
    else:
        if dtype.kind in "mM" and np.datetime_data(dtype)[1] == 1:
            unit = f.UNIT_NUMBER.get(np.datetime_data(dtype)[0], 0)
            semantic = f.TIMESPAN if dtype.kind == "m" else f.TIMESTAMP
        number = f.INT64 if unit else type_number(dtype)
        if number is None:
            raise InvalidArgument("make a shared array", f"{dtype} has no shared form", "Use one in native byte order")
        w.array(0, number, sizes, count, not shape, order == "F", 0, semantic, unit,
                dtype.itemsize if number in (f.FIXED_BYTES, f.FIXED_UTF32) else 0)
    if not shape:
        write_attributes(w, 0, "ndarray", {})
    node = w.publish(name=name or "", replace=replace, writable=mutable, keep=keep).node()
    return cast(SharedArray, load(node))


def exists(handle: str | None = None, *, name: str | None = None) -> bool:
    """True if ``attach`` would find the object now. Give either a handle or a name."""
    tried = "look for a shared object"
    if (handle is None) == (name is None):
        raise InvalidArgument(tried, "give either a handle or a name")
    if handle is not None:
        handle_given(tried, handle)
        return _core.exists(handle) or _core.is_lazy(handle)
    return _core.find_name(name_given(tried, name)) is not None


def free(what: Any, *, missing_ok: bool = False) -> None:
    """Removes an object from the store, whoever holds it.

    Processes that hold it keep their memory; nobody can attach it any more.

    Args:
        what: a handle, an id, a name, or a shared object.
        missing_ok: no error when there is no such object.

    Raises: NotFound.
    """
    if isinstance(what, str) and not hasattr(what, "_onecopy"):
        if _core.looks_like_handle(what):
            done = _core.remove(_core.handle_id(what))
        elif len(what) == 32 and all(c in "0123456789abcdef" for c in what):
            done = _core.remove(what)
        else:
            done = _core.remove_name(what)
    else:
        node = shared_node(what)
        owner = node.region if node is not None else owner_of(what)
        if owner is None:
            raise WrongType("free a shared object", f"this {type(what).__name__} is not shared")
        done = _core.remove((owner if isinstance(owner, Region) else owner.region).id)
    if not done and not missing_ok:
        happened = f"there is no object {what!r}" if isinstance(what, str) else "it is gone"
        raise NotFound("free a shared object", happened)
