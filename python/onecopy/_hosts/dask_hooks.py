"""Dask's scheduler and workers: shared arrays travel as handles there, too.

Dask has its own way to send an ndarray, as bytes, and takes it for subclasses; pickling is never asked. So ours are
registered with it, whichever of the two packages is loaded first.
"""

from __future__ import annotations

import contextlib
import importlib.util
import pickle
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .._memory import elsewhere
from .._memory.place import before_handles, by_value
from .._objects.array import SharedArray

SERIALIZATION = "distributed.protocol.serialize"
SPILLING = "distributed.spill"
TCP, WEBSOCKET = "distributed.comm.tcp", "distributed.comm.ws"


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
    for module, teach in (
        (SERIALIZATION, _teach_messages),
        (SPILLING, _teach_spilling),
        (TCP, partial(_teach_comm, TCP)),
        (WEBSOCKET, partial(_teach_comm, WEBSOCKET)),
    ):
        if module in sys.modules:
            _try(teach)
        else:
            sys.meta_path.insert(0, _Afterwards(module, partial(_try, teach)))


def _try(teach: Callable[[], None]) -> None:
    try:
        teach()
    except (ImportError, AttributeError) as reason:  # whoever imports distributed must not fail because of us
        warnings.warn(
            f"onecopy does not know this version of dask and distributed ({reason}), "
            "to which shared objects are like any others",
            RuntimeWarning,
            stacklevel=2,
        )


def _teach_spilling() -> None:
    from .dask_memory import keep_values_on_disk

    keep_values_on_disk()


def _teach_comm(name: str) -> None:
    """What a message names and is not on this host is brought here before the message is handed on.

    Meanwhile the event loop runs on. Only the connection on which the message came waits.
    """
    comm: Any = sys.modules[name]
    read = comm.from_frames

    async def from_frames(frames: Any, deserialize: bool = True, *args: Any, **kwargs: Any) -> Any:
        if not deserialize:  # a scheduler, which only passes on
            return await read(frames, deserialize, *args, **kwargs)
        return await elsewhere.complete(lambda: read(frames, deserialize, *args, **kwargs))

    comm.from_frames = from_frames
    elsewhere.resolve_with(_resolver)
    before_handles(_resolver)


def _resolver() -> Any:
    """The depot of this process, which has joined what there is to join."""
    if "distributed.core" not in sys.modules:  # still being imported
        return None
    from .depot import join_all

    return join_all()


def _teach_messages() -> None:
    from dask.sizeof import sizeof
    from distributed.protocol.serialize import dask_deserialize, dask_serialize

    from .dask_memory import teach_sizeof

    # Dask's class registry pickles what is nested in objects that pickle refuses without naming a context at all.
    nested = object()

    def write(x: SharedArray, context: Any = nested) -> tuple[dict[str, Any], list[bytes]]:
        # No context: not for another process, but to be kept, perhaps for longer than the lease of a handle.
        with contextlib.nullcontext() if context is not None else by_value():
            return {}, [pickle.dumps(x, protocol=5)]

    def read(header: dict[str, Any], frames: list[Any]) -> Any:
        return pickle.loads(b"".join(frames))

    dask_serialize.register(SharedArray, write)
    dask_deserialize.register(SharedArray, read)
    teach_sizeof(sizeof)
