"""Objects of this host's store, by the part of a handle that all hosts have in common."""

from __future__ import annotations

import mmap
import os

from .. import _core
from .._core import Region


def handle_here(identity: str) -> str:
    return f"onecopy:1:{_core.host_id()}:{_core.store_id()}:{identity}"


def bytes_here(identity: str) -> tuple[memoryview, Region]:
    """The bytes of an object as they are in the store, and what keeps it there. This process's own mapping may have
    pages that it wrote to. Raises Error, OSError."""
    region = _core.attach(handle_here(identity)).region
    descriptor = region.open_descriptor()
    try:
        return memoryview(mmap.mmap(descriptor, region.size, mmap.MAP_SHARED, mmap.PROT_READ)), region
    finally:
        os.close(descriptor)
