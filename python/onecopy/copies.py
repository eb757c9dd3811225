"""Says where something large was copied although it could have been shared."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from . import _core
from .errors import InvalidArgument

__all__ = ["report_copies"]

Report = Callable[[int, str, str], object]
_threshold = 0
_report: Report | None = None
# The place to name is the line that sent it, not the libraries between that line and us.
_BETWEEN = frozenset(
    {"onecopy", "pickle", "copyreg", "cloudpickle", "multiprocessing", "concurrent", "joblib", "threading"}
)


def report_copies(threshold: float, report: Report | None = None) -> None:
    """Tells where something of at least `threshold` bytes was copied although it could have been shared: bytes sent
    over a channel, objects copied for another user, pandas tables that are pickled without having been shared, and
    shared arrays and columns that are pickled as data because they were changed. For the whole process.

        onecopy.report_copies(64e6)

    Args:
        threshold: bytes; 0 stops it.
        report: called with bytes, what was done, and the place ("file.py:17"), in the thread that copies; by default a
            line on standard error. What it raises is printed and changes nothing.

    Raises: InvalidArgument (the threshold is negative or no number).
    """
    global _threshold, _report
    try:
        wanted = int(threshold)
    except (TypeError, ValueError, OverflowError):
        wanted = -1
    if wanted < 0:
        raise InvalidArgument("report copies", f"{threshold!r} is no number of bytes", "Give one, or 0 to stop")
    if "pandas" in sys.modules:
        from ._objects import frame  # noqa: F401  it sees frames being pickled, from its import on
    _threshold, _report = wanted, report
    _core.report_copies(wanted, _tell)


def note_copy(size: int, what: str) -> None:
    """Called where this package copies."""
    if 0 < _threshold <= size:
        try:
            _tell(size, what)
        except Exception as problem:  # as for those that the core reports: whoever pickles is not to blame
            print(f"onecopy.report_copies: {problem!r} in the function that was given to it", file=sys.stderr)


def _tell(size: int, what: str) -> None:
    place = _place()
    if _report is None:
        print(f"onecopy: {size} bytes were copied: {what} at {place}", file=sys.stderr)
    else:
        _report(size, what, place)


def _place() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
