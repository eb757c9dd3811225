"""NumPy's functions see ordinary arrays in place of ours: for subclasses of ndarray some take another way, which may be
wrong (the nanmax of times with a NaT is a NaT) or slower."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# By its id: the ordinary view that a function got, and the array that it stands for.
Seen = dict[int, tuple[Any, Any]]


def as_plain(value: Any, holders: frozenset[type], seen: Seen) -> Any:
    """The same arguments, with ordinary views of our arrays, which `seen` notes. `holders`: the class of these arrays,
    and list, tuple and dict."""
    kind = type(value)
    if kind is tuple or kind is list:
        # A long list of numbers is looked at quickly, and left as it is.
        if holders.isdisjoint(map(type, value)):
            return value
        return kind([as_plain(item, holders, seen) for item in value])
    if kind is dict:
        return {key: as_plain(item, holders, seen) for key, item in value.items()} if value else value
    if kind in holders:
        view = value.view(np.ndarray)
        seen[id(view)] = view, value
        return view
    return value


def as_given(result: Any, seen: Seen, shown: Callable[[Any], Any]) -> Any:
    """The other way round: the arguments themselves, and what `shown` makes of anything else."""
    known = seen.get(id(result))
    if known is not None:
        return known[1]
    kind = type(result)
    if (kind is tuple or kind is list) and np.ndarray in map(type, result):
        return kind([as_given(item, seen, shown) for item in result])
    return shown(result)
