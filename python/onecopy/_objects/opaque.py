"""What has no form of its own in a region: a pickle beside the buffers that it shares."""

from __future__ import annotations

import dataclasses
import io
import pickle
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from .._core import Node, Writer
from .._memory import format as f
from .._memory.place import by_value
from ..errors import PermissionDenied
from .array import address_of, write_attributes

# False while an object from elsewhere is read: running its pickles would run its author's code.
pickles_allowed: ContextVar[bool] = ContextVar("onecopy_pickles_allowed", default=True)

_TAG = "python-pickle"


@dataclasses.dataclass(frozen=True, slots=True)
class Opaque:
    """Bytes that only another language understands, such as an R closure inside a shared list.

    Attributes:
        tag: which language and form: "r-serialize".
        data: the bytes.
    """

    tag: str
    data: bytes


def write_pickled(w: Writer, at: int, obj: Any) -> None:
    """Writes the pickle of an object; buffers that the object offers out of band are shared beside it."""
    buffers: list[pickle.PickleBuffer] = []
    with by_value():  # a handle inside would not keep the object that it names
        try:
            data = pickle.dumps(obj, protocol=5, buffer_callback=buffers.append)
        except Exception:
            import cloudpickle  # takes functions and classes that have no name elsewhere

            buffers.clear()
            out = io.BytesIO()
            cloudpickle.CloudPickler(out, protocol=5, buffer_callback=buffers.append).dump(obj)
            data = out.getvalue()
    write_opaque(w, at, _TAG, data)
    attributes: dict[str, Callable[[int], object]] = {}
    if buffers:
        blocks = [np.frombuffer(buffer.raw(), "u1") for buffer in buffers]
        attributes[":buffers"] = lambda slot: _write_blocks(w, slot, blocks)
    write_attributes(w, at, "pickle", attributes)


def _write_blocks(w: Writer, at: int, blocks: list[np.ndarray[Any, Any]]) -> None:
    child = w.list(at, len(blocks), f.FORM_LIST)
    for i, block in enumerate(blocks):
        w.keep(block)
        w.array(child + i, f.RAW, [block.size], block.size, False, True, address_of(block))


def write_opaque(w: Writer, at: int, tag: str, data: bytes) -> None:
    """Writes bytes for readers that know the tag."""
    block = np.frombuffer(data, "u1")
    w.keep(block)
    w.opaque(at, tag, address_of(block), block.size)


def read_pickled(node: Node) -> Any:
    """The object that write_pickled wrote, on top of the shared buffers. Raises PermissionDenied where not allowed."""
    if not pickles_allowed.get():
        raise PermissionDenied(
            "read a part of the object",
            "it is a Python pickle, which runs code of whoever wrote it",
            "If you trust its origin, pass allow_pickle=True to onecopy.open; over a channel or a descriptor, have "
            "plain data sent instead",
        )
    memory = memoryview(node.region)
    start, size = node.opaque_range()
    blocks = node.attribute(":buffers")
    buffers = []
    for i in range(blocks.size) if blocks is not None else ():
        part = blocks.child(i)  # type: ignore[union-attr]
        buffers.append(memory[part.data_offset : part.data_offset + part.data_bytes])
    return pickle.loads(memory[start : start + size], buffers=buffers)


def read_opaque(node: Node) -> Any:
    start, size = node.opaque_range()
    data = bytes(memoryview(node.region)[start : start + size])
    return Opaque(node.tag(), data)
