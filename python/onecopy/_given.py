"""Arguments of the wrong type: said here, as the compiled part would name its own functions."""

from __future__ import annotations

import math
import operator
from typing import Any

from .errors import InvalidArgument, WrongType


def name_given(tried: str, name: Any) -> str:
    """The name, which must be a str that can be written as UTF-8. Raises WrongType, InvalidArgument."""
    if not isinstance(name, str):
        raise WrongType(tried, f"a name is a str, not {type(name).__name__}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(tried, f"the name {name!r} has half of a surrogate pair, which is no text") from None
    return name


def handle_given(tried: str, handle: Any) -> str:
    """The handle, which must be a str. Raises WrongType."""
    if not isinstance(handle, str):
        raise WrongType(tried, f"a handle is a str, not {type(handle).__name__}", "onecopy.handle(x) gives one")
    return handle


def count_given(tried: str, what: str, value: Any, least: int, most: int = 2**32 - 1) -> int:
    """A whole number within bounds. Raises WrongType, InvalidArgument."""
    try:
        count = operator.index(value)
    except TypeError:
        raise WrongType(tried, f"{what} is a whole number, not {type(value).__name__}") from None
    if not least <= count <= most:
        raise InvalidArgument(tried, f"{what} is {count}", f"Give a number from {least} to {most}")
    return count


def lease_given(lease: Any) -> float:
    """Seconds for the core, which takes -1 for the usual lease. Raises WrongType, InvalidArgument."""
    if lease is None:
        return -1.0
    try:
        seconds = float(lease)
    except (TypeError, ValueError):
        raise WrongType("make a handle", f"a lease is a number of seconds, not {lease!r}") from None
    if math.isnan(seconds) or seconds < 0:
        raise InvalidArgument("make a handle", f"a lease of {lease!r} seconds makes no sense",
                              "Give the seconds that the receiver may take, or None for 10 minutes")
    return seconds
