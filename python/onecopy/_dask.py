"""Dask's scheduler and workers: shared arrays travel as handles there, too.

Dask has its own way to send an ndarray, as bytes, and takes it for subclasses; pickling is never asked. So ours are
registered with it, whichever of the two packages is loaded first.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ._array import SharedArray

SERIALIZATION = "distributed.protocol.serialize"


class _Afterwards:
    """Finds one module as the others would, and calls a function once it is loaded."""

    def __init__(self, name: str, call: Callable[[], None]) -> None:
        self.name, self.call = name, call

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_call(module: ModuleType) -> None:
                load(module)
                self.call()

            spec.loader.exec_module = load_and_call  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Makes Dask send shared arrays as handles, now or as soon as ``distributed`` is imported."""
    if SERIALIZATION in sys.modules:
        _register_with_dask()
    else:
        sys.meta_path.insert(0, _Afterwards(SERIALIZATION, _register_with_dask))


def _register_with_dask() -> None:
    from dask.sizeof import sizeof
    from distributed.protocol.serialize import dask_deserialize, dask_serialize

    def write(x: SharedArray, context: Any = None) -> tuple[dict[str, Any], list[bytes]]:
        return {}, [pickle.dumps(x, protocol=5)]

    def read(header: dict[str, Any], frames: list[Any]) -> Any:
        return pickle.loads(b"".join(frames))

    # Dask spills and moves what it thinks is large; only what belongs to this process alone counts.
    by_type: list[tuple[Any, Any]] = [(dask_serialize, write), (dask_deserialize, read), (sizeof, lambda x: 256)]
    for dispatch, function in by_type:
        dispatch.register(SharedArray, function)
