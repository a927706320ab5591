"""Whole pictures of values: points done to them, how they are spread; compiled, or in NumPy.

Large pictures take compiled strips (`point_strips`), small ones NumPy; integers that meet nothing
but points are looked up in a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from convcli.engine.filter_numpy import QUIET
from convcli.engine.filter_plan import OPERATIONS_TO_CONVERT, choose_engine
from convcli.engine.points import Points, Statistics, strips, total_statistics
from convcli.errors import InputError

POINT_OPERATIONS = 10
"""What NumPy needs for one point of one value, in multiply-adds."""


def run_points(
    points: Points,
    values: Any,
    base: Any = None,
    *,
    engine: str = "auto",
    threads: int | None = None,
    on_compile: Callable[[], None] | None = None,
) -> tuple[Any, Statistics]:
    """Return the pixels that values become, and statistics of them.

    Args:
        points: what becomes of each.
        values: any shape.
        base: the original that they are laid on, of the same shape.
        engine: auto, numba or numpy; the compiled one works in 32 bits.
        threads: how many to use.
        on_compile: called when compiled strips are used for the first time on a machine.
    """
    count = len(points.first) + len(points.then)
    operations = values.size * (OPERATIONS_TO_CONVERT + POINT_OPERATIONS * count)
    kind = choose_engine(engine, operations)[0]
    if values.dtype in (np.uint8, np.uint16) and (base is None or base is values):
        return _looked_up(points, values, kind, threads)
    out = np.empty(values.shape, points.dtype)
    if kind == "numba" and points.compiles(values, base):
        from convcli.engine.compilation import announced
        from convcli.engine.point_strips import Strips

        with announced(on_compile):
            return out, Strips(points).run(values, base, out, threads)
    return out, total_statistics(
        points.strip(values[rows], None if base is None else base[rows], out[rows])
        for rows in strips(values)
    )


@QUIET
def _looked_up(
    points: Points, pixels: Any, engine: str, threads: int | None
) -> tuple[Any, Statistics]:
    """Return what integers become: each level once, by a table."""
    counts = level_counts(pixels, engine, threads)
    levels = np.arange(len(counts))
    exact = replace(points, depth=np.dtype(np.float64))
    seen, values = exact.values(levels, levels)
    table, out = np.empty(len(levels), points.dtype), np.empty(pixels.shape, points.dtype)
    exact.strip(levels, levels, table)
    if engine == "numba":
        from convcli.engine.point_strips import look_up

        look_up(pixels, table, out, threads)
    else:
        for rows in strips(pixels):
            np.take(table, pixels[rows], out=out[rows], mode="clip")
    below, above = (int(counts[cut].sum()) for cut in points.cut(values))
    met = seen[counts > 0]
    return out, Statistics(float(np.fmin.reduce(met)), float(np.fmax.reduce(met)), below, above)


def level_counts(pixels: Any, engine: str = "numpy", threads: int | None = None) -> Any:
    """Return how often each level of unsigned integers occurs.

    >>> level_counts(np.array([[0, 2, 2]], np.uint8))[:4].tolist()
    [1, 0, 2, 0]
    """
    if engine == "numba":
        from convcli.engine.point_strips import count_levels

        return count_levels(pixels, threads)
    size = np.iinfo(pixels.dtype).max + 1
    return sum(np.bincount(pixels[rows].ravel(), minlength=size) for rows in strips(pixels))


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
