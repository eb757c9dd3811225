"""The process that runs populate functions for the pager, and what is sent to it.

The pager starts it; users never do. A payload is a pickle of a dictionary with plain values and, pickled on their own,
the functions: so a payload whose function can't be had here still tells what it is for.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._memory.format import dtype_from, dtype_text
from ..errors import InvalidArgument, Unsupported

Fill = Callable[..., Any]

# The runner sees the modules that the maker of the object sees.
_START = "import sys; sys.path[:] = sys.argv[2:]; from onecopy._lazy.runner import main; sys.exit(main())"


def command(depth: int = 0) -> list[str]:
    """The command line of a runner for functions of this process. Functions that read lazy arrays need runners of
    their own, one set for each `depth`: waiting for each other, a single set would run out."""
    if not sys.executable:
        raise Unsupported("make a lazy array", "this Python is embedded and has no program to run functions in",
                          "Set sys.executable to a Python that has onecopy")
    folders = []
    for entry in sys.path:
        folder = os.path.abspath(entry or os.curdir)
        try:
            folder.encode("utf-8")
        except UnicodeEncodeError:
            continue
        if folder not in folders:
            folders.append(folder)
    return [os.path.abspath(sys.executable), "-c", _START, f"onecopy-runner-{depth}", *folders]


def dump(function: Any, what: str) -> bytes | str:
    """A function as it travels: "module:name", or a pickle."""
    if isinstance(function, str):
        module, _, name = function.partition(":")
        if not module or not name:
            raise InvalidArgument("make a lazy array", f"{what} is {function!r}", 'A text must be "module:function"')
        return function
    if not callable(function):
        raise InvalidArgument("make a lazy array", f"{what} is a {type(function).__name__}, which can't be called",
                              'Give a function, or "module:function"')
    import cloudpickle  # by value: a function of the user's script is not to be had in another process

    try:
        return bytes(cloudpickle.dumps(function))
    except Exception as reason:
        raise InvalidArgument(
            "make a lazy array", f"{what} can't be sent to another process: {type(reason).__name__}: {reason}",
            "Open files, connections and locks within the function") from reason


def positional_count(function: Any) -> int | None:
    """How many positional arguments a function may be given, 99 for any number; None when nobody can tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 99
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def payload(dtype: np.dtype[Any], count: int, fill: Any, save: Any = None) -> bytes:
    """What a runner gets for one object."""
    for function, what in ((fill, "populate"), (save, "writeback")):
        if callable(function) and (given := positional_count(function)) is not None and given < 2:
            raise InvalidArgument("make a lazy array", f"{what} takes {given} arguments",
                                  "It is called as f(start, end, out), or as f(start, end) and returns the elements")
    return pickle.dumps({
        "dtype": dtype_text(dtype), "count": count, "fill": dump(fill, "populate"),
        "save": None if save is None else dump(save, "writeback"),
    })  # fmt: skip


def _load(function: bytes | str | None) -> Any:
    if isinstance(function, str):
        module, _, name = function.partition(":")
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found
    return None if function is None else pickle.loads(function)


def _what_happened(reason: BaseException) -> str:
    """The exception, and the last line of the user's own code that it passed."""
    text = "".join(traceback.format_exception_only(reason)).strip()
    for frame in reversed(traceback.extract_tb(reason.__traceback__)):
        if frame.filename != __file__:
            return f"{text} (in {frame.name}, {frame.filename}:{frame.lineno})"
    return text


def checked(result: Any, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """What a function returned, as elements. Raises ValueError or TypeError for a wrong number or type."""
    made = np.asarray(result)
    if made.shape != (count,):
        raise ValueError(f"the function returned an array of shape {made.shape}, not ({count},)")
    if made.dtype != dtype and not np.can_cast(made.dtype, dtype, "same_kind"):
        raise TypeError(f"the function returned elements of {made.dtype}, which can't become {dtype} without loss")
    return made


class Functions:
    """The functions of one object, called with ranges of the core's elements."""

    def __init__(self, text: bytes) -> None:
        spec = pickle.loads(text)
        self.dtype = dtype_from(spec["dtype"])
        self.count = int(spec["count"])
        self.fill, self.save = _load(spec["fill"]), _load(spec["save"])
        given = positional_count(self.fill)
        self.returns = given == 2

    def do_fill(self, first: int, view: memoryview, unit: int) -> None:
        size = self.dtype.itemsize
        begin, end = first * unit, first * unit + len(view)
        start, stop = begin // size, -(-end // size)
        whole = begin % size == 0 and end % size == 0
        # A chunk may end in the middle of an element that is only bytes to the core.
        out = np.frombuffer(view, self.dtype) if whole else np.zeros(stop - start, self.dtype)
        result = self.fill(start, stop) if self.returns else self.fill(start, stop, out)
        if result is not None and result is not out:
            out[...] = checked(result, stop - start, self.dtype)
        elif result is None and self.returns:
            raise TypeError("the function returned None; it must return the elements, or take `out` as third argument")
        if not whole:
            skipped = begin - start * size
            view[:] = out.tobytes()[skipped : skipped + len(view)]

    def do_save(self, first: int, view: memoryview, unit: int) -> None:
        if self.save is None:
            raise TypeError("no writeback function was given")
        size = self.dtype.itemsize
        start = first * unit // size
        elements = np.frombuffer(view, self.dtype)
        self.save(start, start + len(elements), elements)


def define(text: bytes, id_: str) -> Any:
    """The pair of functions that the core calls; or, as text, why there is none."""
    try:
        functions = Functions(text)
    except BaseException as reason:
        return f"its function can't be loaded in the process that runs it: {_what_happened(reason)}"
    from .._objects.lazy_array import core_form

    unit = 1 if core_form(functions.dtype)[2] else functions.dtype.itemsize

    def watched(work: Callable[[int, memoryview, int], None]) -> Callable[[int, memoryview], str | None]:
        def call(first: int, view: memoryview) -> str | None:
            try:
                work(first, view, unit)
            except BaseException as reason:
                return _what_happened(reason)
            return None

        return call

    return watched(functions.do_fill), watched(functions.do_save)


def main() -> int:
    return _core.serve_runner(define)
