"""Which writer an object needs."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import numpy as np

from .._core import Writer
from .._memory import format as f
from .array import SharedArray, write_array, write_attributes, write_ndarray
from .containers import plain_form
from .opaque import Opaque, write_opaque, write_pickled


def write(w: Writer, at: int, obj: Any) -> None:
    """Describes any object to the writer."""
    w.plain(at, obj, write_other)


def write_other(w: Writer, at: int, obj: Any) -> None:
    """Writes what is not a builtin value or container."""
    kind = type(obj)
    plain = plain_form(obj)
    if plain is not obj:
        w.keep(plain)
        w.plain(at, plain, write_other)
    elif kind is np.ndarray or kind is SharedArray or kind is np.memmap:
        if not write_ndarray(w, at, obj):
            write_pickled(w, at, np.asarray(obj))
    elif isinstance(obj, np.generic):
        if isinstance(obj, np.void) or not write_array(w, at, np.asarray(obj), note="generic"):
            write_pickled(w, at, obj)
    elif kind in (bytearray, memoryview):
        _write_buffer(w, at, obj)
    elif kind is Opaque:
        write_opaque(w, at, obj.tag, obj.data)
    elif dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        _write_dataclass(w, at, obj)
    elif isinstance(obj, tuple) and hasattr(obj, "_fields") and _importable(kind):
        _write_named_tuple(w, at, obj)
    else:
        _write_of_library(w, at, obj)


def _write_of_library(w: Writer, at: int, obj: Any) -> None:
    homes = {base.__module__.partition(".")[0] for base in type(obj).__mro__}
    if "pandas" in homes:
        import pandas as pd

        from . import frame

        if isinstance(obj, pd.DataFrame):
            return frame.write_frame(w, at, obj)
        if isinstance(obj, pd.Series):
            return frame.write_series(w, at, obj)
        if isinstance(obj, pd.Index):
            return frame.write_index(w, at, obj)
    elif "pyarrow" in homes:
        from . import arrow_objects

        if arrow_objects.write_object(w, at, obj):
            return None
    elif "polars" in homes:
        from . import polars

        if polars.write_object(w, at, obj):
            return None
    elif "scipy" in homes:
        from . import scipy

        if scipy.write_sparse(w, at, obj):
            return None
    elif "torch" in homes and "torch" in sys.modules:
        import torch

        if isinstance(obj, torch.Tensor) and _write_tensor(w, at, obj):
            return None
    elif _write_protocol(w, at, obj):
        return None
    write_pickled(w, at, obj)
    return None


def _write_tensor(w: Writer, at: int, tensor: Any) -> bool:
    if tensor.device.type != "cpu" or tensor.layout != sys.modules["torch"].strided or tensor.requires_grad:
        return False
    return write_array(w, at, tensor.numpy(), note="torch.Tensor")


def _write_protocol(w: Writer, at: int, obj: Any) -> bool:
    """Objects of other libraries, by the protocols that they speak."""
    if hasattr(obj, "__arrow_c_stream__") or hasattr(obj, "__arrow_c_array__"):
        try:
            from . import arrow_objects
        except ImportError:
            return False
        return arrow_objects.write_protocol(w, at, obj)
    if hasattr(obj, "__array_interface__") or hasattr(obj, "__array_struct__"):
        return write_ndarray(w, at, np.asarray(obj))
    if hasattr(obj, "__dlpack__"):
        return write_ndarray(w, at, np.from_dlpack(obj))
    if type(obj).__module__ in ("array", "mmap", "ctypes"):
        try:
            return _write_buffer(w, at, memoryview(obj))
        except TypeError:
            return False
    return False


def _write_buffer(w: Writer, at: int, obj: Any) -> bool:
    view = memoryview(obj)
    try:
        array = np.asarray(view)
    except (TypeError, ValueError, NotImplementedError, RuntimeError):
        array = np.frombuffer(view.tobytes(), "u1")
    kind = type(obj).__name__ if type(obj) in (bytearray, memoryview) else "memoryview"
    if not write_array(w, at, array, note=kind):
        write_array(w, at, np.frombuffer(view.tobytes(), "u1"), note=kind)
    return True


def _importable(kind: type) -> bool:
    """True if other processes find the class by its name."""
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def _write_dataclass(w: Writer, at: int, obj: Any) -> None:
    kind = type(obj)
    fields = dataclasses.fields(obj)
    state = getattr(obj, "__dict__", {})
    # Anything beside the fields, or a way of pickling of its own, is pickle's business.
    custom = any(name in vars(base) for base in kind.__mro__[:-1] for name in ("__reduce__", "__reduce_ex__"))
    if custom or not _importable(kind) or set(state) - {field.name for field in fields} or not all(
        hasattr(obj, field.name) for field in fields
    ):
        write_pickled(w, at, obj)
        return
    _write_fields(w, at, [(field.name, getattr(obj, field.name)) for field in fields], kind, "dataclass")


def _write_named_tuple(w: Writer, at: int, obj: Any) -> None:
    _write_fields(w, at, list(zip(obj._fields, obj, strict=True)), type(obj), "namedtuple")


def _write_fields(w: Writer, at: int, fields: list[tuple[str, Any]], kind: type, what: str) -> None:
    child = w.list(at, len(fields), f.FORM_DICT)
    for i, (_, value) in enumerate(fields):
        w.keep(value)
        write(w, child + i, value)
    # The class as pickle names it.
    note = json.dumps({"t": what, "class": f"{kind.__module__}:{kind.__qualname__}"})
    write_attributes(w, at, note, {"names": lambda slot: w.strings(slot, [name for name, _ in fields])})


