"""Filters pictures: one call from pixels to converted pixels, with exact figures of both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.engine import filter_twin
from convcli.engine.filter_plan import FilterPlan, plan_filter

__all__ = ["FilterPlan", "Filtered", "Statistics", "apply", "plan_filter", "run"]


@dataclass(frozen=True)
class Statistics:
    """The values before conversion, over all channels.

    Attributes:
        minimum: the smallest value, signed.
        maximum: the largest value.
        below: how many values saturated at the low end, that is, rounded to less than it.
        above: how many saturated at the high end, magnitudes if the mapping takes them.
    """

    minimum: float
    maximum: float
    below: int
    above: int


@dataclass(frozen=True, eq=False)
class Filtered:
    """A filtered picture, the figures of its values, and how it was done."""

    values: Any
    statistics: Statistics
    plan: FilterPlan


def apply(
    planes: Any, kernel: Any, *, threads: int | None = None, out: Any = None, **settings: Any
) -> Filtered:
    """Correlate a picture with a kernel and convert the result; `plan_filter` has the settings.

    Args:
        planes: H x W, or H x W x C with channels last, filtered each on its own.
        kernel: a matrix; a tuple of matrices of one size with `norm="l2"|"l1"|"max"`.
        threads: how many to use; all processors by default. The result does not depend on it.
        out: an array for the result, made when left out.
        settings: `border`, `cval`, `divisor`, `offset`, `norm`, `mapping`, `value_range`,
            `output_dtype`, `padding`, `stride`, `dilation`, `origin`, `convolve`, `engine`.

    >>> edge = np.array([[0, 0, 9, 9]], dtype=np.uint8)
    >>> result = apply(edge, [[1, 0, -1]])
    >>> result.values  # 0-0, 0-9, 0-9, 9-9 cut to 0..255
    array([[0, 0, 0, 0]], dtype=uint8)
    >>> result.statistics
    Statistics(minimum=-9.0, maximum=0.0, below=2, above=0)
    >>> apply(edge, [[1, 0, -1]], mapping="abs").values
    array([[0, 9, 9, 0]], dtype=uint8)
    """
    pixels = np.asarray(planes)
    plan = plan_filter(pixels.shape, pixels.dtype, kernel, **settings)
    return run(plan, pixels, threads=threads, out=out)


def run(plan: FilterPlan, planes: Any, *, threads: int | None = None, out: Any = None) -> Filtered:
    """Filter `planes`, of the shape and dtype that `plan` was made for."""
    pixels = np.asarray(planes)
    out_h, out_w, channels = plan.out_hwc
    shape = (out_h, out_w, channels) if pixels.ndim == 3 else (out_h, out_w)
    values = np.empty(shape, plan.output_dtype) if out is None else out
    planes_hwc = pixels.reshape(plan.shape_hwc)
    statistics = _run_twin(plan, planes_hwc, values.reshape(plan.out_hwc))
    return Filtered(values, statistics, plan)


def _run_twin(plan: FilterPlan, planes: Any, out: Any) -> Statistics:
    """Run the plan in NumPy, by blocks of rows."""
    height, width, channels = plan.out_hwc
    block = max(1, filter_twin.BLOCK_BYTES // (8 * width * channels))
    figures = []
    for first in range(0, height, block):
        last = min(first + block, height)
        rows = filter_twin.rows_of(plan.rows, first, last)
        values = _values(plan, planes, rows)
        figures.append(_count(plan, values))
        if plan.mapping == "abs":
            values = np.abs(values)
        out[first:last] = filter_twin.converted(values, plan.output_dtype, *plan.value_range)
    return total_statistics(figures)


def _values(plan: FilterPlan, planes: Any, rows: Any) -> Any:
    used = rows.source[rows.source >= 0]
    low, high = (used.min(), used.max() + 1) if used.size else (0, 1)
    source = np.where(rows.source >= 0, rows.source - low, rows.source)
    near = type(rows)(rows.size, rows.taps, rows.stride, rows.dilation, source)
    parts = [
        filter_twin.picture_sums(planes[low:high], kernel, terms, near, plan.columns, plan.cval)
        for kernel, terms in zip(plan.kernels, plan.terms, strict=True)
    ]
    values = filter_twin.combined(parts, plan.norm)
    divisor = plan.divisor if plan.norm == "none" else abs(plan.divisor)
    if divisor == 1 and plan.offset == 0:
        return values
    if plan.exact and plan.norm == "none":
        return (values + plan.offset * divisor) / divisor
    return values / divisor + plan.offset


def _count(plan: FilterPlan, values: Any) -> tuple[float, float, int, int]:
    low, high = plan.value_range
    if plan.mapping == "raw" and plan.output_dtype.kind == "f":
        return float(values.min()), float(values.max()), 0, 0
    size = np.abs(values) if plan.mapping == "abs" else values
    whole = size if plan.output_dtype.kind == "f" else np.rint(size)
    below, above = int((whole < low).sum()), int((whole > high).sum())
    return float(values.min()), float(values.max()), below, above


def total_statistics(figures: list[tuple[float, float, int, int]]) -> Statistics:
    """Return the statistics of the whole from those of its parts.

    >>> total_statistics([(0.0, 1.0, 2, 3), (-1.0, 0.5, 4, 5)])
    Statistics(minimum=-1.0, maximum=1.0, below=6, above=8)
    """
    lowest, highest, below, above = zip(*figures, strict=True)
    if any(map(math.isnan, lowest)):
        return Statistics(math.nan, math.nan, sum(below), sum(above))
    return Statistics(min(lowest), max(highest), sum(below), sum(above))
