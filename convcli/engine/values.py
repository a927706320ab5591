"""How the values of a picture are spread: counts and percentiles, without a sorted copy of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convcli.engine.filter_plan import choose_engine
from convcli.engine.points import POINT_OPERATIONS, level_counts, strips
from convcli.errors import InputError


def _engine_for(values: Any, engine: str) -> str:
    return choose_engine(engine, 4 * POINT_OPERATIONS * values.size)[0]


def spread_counts(
    values: Any,
    bins: int,
    *,
    engine: str = "auto",
    threads: int | None = None,
    on_compile: Callable[[], None] | None = None,
) -> tuple[Any, Any]:
    """Return how many values there are in each bin from the smallest to the largest, and middles.

    Whole levels of 8 bits are a bin each.

    >>> counts, middles = spread_counts(np.array([[3.0, 5.0, 5.0]]), 256)
    >>> counts.tolist(), middles.tolist()
    ([1, 0, 2], [3.0, 4.0, 5.0])
    """
    kind = _engine_for(values, engine)
    if values.dtype in (np.uint8, np.uint16):
        counts = level_counts(values, kind, threads)
        first, last = (int(end) for end in np.flatnonzero(counts)[[0, -1]])
        levels, counts = np.arange(first, last + 1), counts[first : last + 1]
        if values.dtype == np.uint8 or first == last:
            return counts, levels.astype(np.float64)
        counts, edges = np.histogram(levels, bins, weights=counts)
        return counts, (edges[1:] + edges[:-1]) / 2
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(low + high):
        raise InputError("Otsu's threshold needs finite values; there are NaN or infinite ones.")
    if low == high:
        return np.array([values.size]), np.array([low])
    if low >= 0 and high <= 255 and not any((values[rows] % 1).any() for rows in strips(values)):
        return spread_counts(values.astype(np.uint8), bins, engine=kind, threads=threads)
    if kind == "numba" and values.dtype == np.float32:
        from convcli.engine.compilation import announced
        from convcli.engine.point_strips import bin_counts

        edges = np.histogram_bin_edges(np.array([low, high], np.float32), bins)
        with announced(on_compile):
            counts = bin_counts(values, edges, threads)
    else:
        edges = np.histogram_bin_edges(values[:0], bins, (low, high))
        counts = sum(np.histogram(values[rows], bins, (low, high))[0] for rows in strips(values))
    return counts, (edges[1:] + edges[:-1]) / 2


def percentiles(
    values: Any,
    shares: tuple[float, ...],
    *,
    engine: str = "auto",
    threads: int | None = None,
    on_compile: Callable[[], None] | None = None,
) -> tuple[float, ...]:
    """Return the values below which so many percent lie, as `np.percentile`, without a copy.

    >>> percentiles(np.array([[0, 10, 20, 40]], np.uint8), (50, 75))
    (15.0, 25.0)
    """
    kind = _engine_for(values, engine)
    places = [share / 100 * (values.size - 1) for share in shares]
    ranks = sorted({rank for place in places for rank in (int(place), -int(-place // 1))})
    if values.dtype in (np.uint8, np.uint16):
        below = np.cumsum(level_counts(values, kind, threads))
        found = np.searchsorted(below, ranks, side="right").astype(np.float64)
    elif kind == "numba" and values.dtype == np.float32:
        from convcli.engine.compilation import announced
        from convcli.engine.point_strips import ranked

        with announced(on_compile):
            found = ranked(values, ranks, threads)
    else:
        return tuple(float(one) for one in np.percentile(values, shares))
    return tuple(float(one) for one in np.interp(places, ranks, found))
