"""Exact quantiles of what does not fit into memory: it counts in ever narrower ranges, until few are left to sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArgument

SORTED = 1 << 17  # elements that are sorted at once
BINS = 4096

Pick = Callable[[NDArray[Any]], NDArray[np.bool_]]


def quantile(of: Any, q: Any) -> Any:
    """numpy.quantile(of, q), linear. `of` has pieces() and size."""
    asked = np.asarray(q, "f8")
    if not np.all((asked >= 0) & (asked <= 1)):
        raise InvalidArgument("compute a quantile", f"{q!r} is not between 0 and 1")
    if of.dtype.kind not in "iufb":
        raise InvalidArgument("compute a quantile", f"elements of {of.dtype} have none")
    if of.size == 0 or (of.dtype.kind == "f" and any(np.isnan(piece).any() for piece in of.pieces())):
        return np.full(asked.shape, np.nan)[()]
    place = asked.ravel() * (of.size - 1)
    low, high = np.floor(place).astype("i8"), np.ceil(place).astype("i8")
    ranks = np.unique(np.concatenate([low, high]))
    values = ranked(of, ranks)
    a, b = values[np.searchsorted(ranks, low)], values[np.searchsorted(ranks, high)]
    with np.errstate(invalid="ignore"):
        # As NumPy: from the nearer end, so that both ends are met exactly.
        t = place - low
        between = np.where(t < 0.5, a + (b - a) * t, b - (b - a) * (1 - t))
    return np.where(a == b, a, between).reshape(asked.shape)[()]


def ranked(of: Any, ranks: NDArray[Any]) -> NDArray[Any]:
    """The values that sorting would bring to these places, counted from 0, as float64."""
    least = most = 0
    for piece in of.pieces():
        least += int((piece == -np.inf).sum())
        most += int((piece == np.inf).sum())
    out = np.where(ranks < least, -np.inf, np.inf)
    inner = (ranks >= least) & (ranks < of.size - most)
    if inner.any():
        out[inner] = _among(of, np.isfinite, ranks[inner] - least)
    return out


def _among(of: Any, pick: Pick, ranks: NDArray[Any]) -> NDArray[Any]:
    """Among the elements that `pick` chooses."""
    count, low, high = 0, np.inf, -np.inf
    for piece in of.pieces():
        part = piece[pick(piece)].astype("f8")
        if len(part):
            count, low, high = count + len(part), min(low, part.min()), max(high, part.max())
    if low == high:
        return np.full(len(ranks), low)
    if count <= SORTED:
        few = np.concatenate([piece[pick(piece)].astype("f8") for piece in of.pieces()])
        few.sort()
        return np.asarray(few[ranks])

    def bin_of(values: NDArray[Any]) -> NDArray[Any]:
        halves = (values.astype("f8") / 2 - low / 2) / (high / 2 - low / 2)  # halves: no overflow
        return np.asarray(np.minimum((halves * BINS).astype("i8"), BINS - 1))

    counts = np.zeros(BINS, "i8")
    for piece in of.pieces():
        counts += np.bincount(bin_of(piece[pick(piece)]), minlength=BINS)
    ends = np.cumsum(counts)
    where = np.searchsorted(ends, ranks, "right")
    out = np.empty(len(ranks))
    for k in np.unique(where):
        here = where == k

        def narrower(piece: NDArray[Any], k: int = int(k)) -> NDArray[np.bool_]:
            inside = pick(piece)
            inside[inside] = bin_of(piece[inside]) == k
            return inside

        out[here] = _among(of, narrower, ranks[here] - (ends[k] - counts[k]))
    return out
