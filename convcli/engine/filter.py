"""Filters pictures: one call from pixels to converted pixels, with exact figures of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convcli.engine import filter_numpy
from convcli.engine.borders import Axis
from convcli.engine.filter_plan import COMPILED_INPUTS, COMPILED_OUTPUTS, FilterPlan, plan_filter
from convcli.engine.points import Points, Statistics, total_statistics
from convcli.engine.values import run_points

__all__ = ["FilterPlan", "Filtered", "Statistics", "apply", "plan_filter", "run"]


@dataclass(frozen=True, eq=False)
class Filtered:
    """A filtered picture, the figures of its values, and how it was done."""

    values: Any
    statistics: Statistics
    plan: FilterPlan


def apply(
    planes: Any,
    kernel: Any,
    *,
    threads: int | None = None,
    out: Any = None,
    points: Points | None = None,
    base: Any = None,
    on_compile: Callable[[], None] | None = None,
    **settings: Any,
) -> Filtered:
    """Correlate a picture with a kernel and convert the result; `plan_filter` has the settings.

    Args:
        planes: H x W, or H x W x C with channels last, filtered each on its own.
        kernel: a matrix; a tuple of matrices of one size with `norm="l2"|"l1"|"max"`.
        threads: how many to use; all processors by default. The result does not depend on it.
        out: an array for the result, made when left out.
        points: what becomes of each value; they make the pixels, and settings leave values raw.
        base: the original that points lay values on, as large as the result.
        on_compile: called when this kind of filter is compiled, on its first use on a machine.
        settings: fields of `filter_plan.Settings`.

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
    return run(
        plan, pixels, threads=threads, out=out, points=points, base=base, on_compile=on_compile
    )


def run(
    plan: FilterPlan,
    planes: Any,
    *,
    threads: int | None = None,
    out: Any = None,
    points: Points | None = None,
    base: Any = None,
    on_compile: Callable[[], None] | None = None,
) -> Filtered:
    """Filter `planes`, of the shape and dtype that `plan` was made for; see `apply`."""
    pixels = np.asarray(planes)
    out_h, out_w, channels = plan.out_hwc
    shape = (out_h, out_w, channels) if pixels.ndim == 3 else (out_h, out_w)
    if points is not None and not (_runs_at_once(plan) and points.compiles(base)):
        done = run(plan, pixels, threads=threads, on_compile=on_compile)
        values, statistics = run_points(
            points, done.values, base, engine=plan.engine, threads=threads, on_compile=on_compile
        )
        return Filtered(values, statistics, plan)
    dtype = plan.settings.output_dtype if points is None else points.dtype
    values = np.empty(shape, dtype) if out is None else out
    planes_hwc = pixels.reshape(plan.shape_hwc)
    out_hwc = values.reshape(plan.out_hwc)
    if plan.engine == "numpy":
        return Filtered(values, _run_numpy(plan, planes_hwc, out_hwc), plan)
    from convcli.engine.compilation import announced

    with announced(on_compile):
        statistics = _run_compiled(plan, planes_hwc, out_hwc, threads, points, base)
    return Filtered(values, statistics, plan)


def _runs_at_once(plan: FilterPlan) -> bool:
    """Tell whether compiled bands make the result in one go."""
    steps = plan.rows.stride, plan.columns.stride
    compiles = plan.settings.output_dtype.name in COMPILED_OUTPUTS
    return plan.engine == "numba" and steps == (1, 1) and compiles


def _run_numpy(plan: FilterPlan, planes: Any, out: Any) -> Statistics:
    """Run the plan in NumPy, by blocks of rows."""
    height, width, channels = plan.out_hwc
    block = max(1, filter_numpy.BLOCK_BYTES // (8 * width * channels))
    figures = []
    for first in range(0, height, block):
        last = min(first + block, height)
        sums = _sums(plan, planes, plan.rows.part(first, last))
        figures.append(_finish(plan, sums, out[first:last]))
    return total_statistics(figures)


def _sums(plan: FilterPlan, planes: Any, rows: Axis) -> Any:
    """Return the sums of one kernel or the norm of several for some rows, in double precision."""
    used = rows.source[rows.source >= 0]
    low, high = (used.min(), used.max() + 1) if used.size else (0, 1)
    near = replace(rows, source=np.where(rows.source >= 0, rows.source - low, rows.source))
    cval = plan.settings.cval
    parts = [
        filter_numpy.picture_sums(planes[low:high], kernel, terms, near, plan.columns, cval)
        for kernel, terms in zip(plan.kernels, plan.terms, strict=True)
    ]
    return filter_numpy.combined(parts, plan.settings.norm)


def _finish(plan: FilterPlan, sums: Any, out: Any) -> Statistics:
    """Divide, shift, map, count and convert sums into `out`."""
    settings = plan.settings
    low, high = settings.value_range
    values = _value(plan, sums)
    extremes = float(np.fmin.reduce(values, None)), float(np.fmax.reduce(values, None))
    mapped = np.abs(values) if settings.mapping == "abs" else values
    out[...] = filter_numpy.converted(mapped, settings.output_dtype, low, high)
    whole = mapped if settings.output_dtype.kind == "f" else np.rint(mapped)
    return Statistics(*extremes, int((whole < low).sum()), int((whole > high).sum()))


def _value(plan: FilterPlan, sums: Any) -> Any:
    """Return sum / divisor + offset; where all are integers with one rounding."""
    divisor, offset = plan.divisor, plan.settings.offset
    if divisor == 1 and offset == 0:
        return sums
    if plan.exact:
        return (sums + offset * divisor) / divisor
    return sums / divisor + offset


def _run_compiled(
    plan: FilterPlan, planes: Any, out: Any, threads: int | None, points: Points | None, base: Any
) -> Statistics:
    """Run the plan in compiled bands; what they cannot do at once is done in steps."""
    from convcli.engine.filter_job import run_compiled

    pixels = planes
    if plan.dtype.name not in COMPILED_INPUTS:
        pixels = planes.astype(plan.accumulator)
    if points is not None:
        under = None if base is None else np.ascontiguousarray(base).reshape(-1)
        return run_compiled(plan, pixels, out, threads, points, under)
    if _runs_at_once(plan) and out.flags.c_contiguous:
        found = run_compiled(plan, pixels, out, threads)
        ends = sorted(float(_value(plan, np.float64(end))) for end in found[:2])
        return Statistics(ends[0], ends[1], found.below, found.above)
    steps = plan.rows.stride, plan.columns.stride
    plain = plan.values_only()
    sums = np.empty(plain.out_hwc, plain.settings.output_dtype)
    run_compiled(plain, pixels, sums, threads)
    strided = sums[:: steps[0], :: steps[1]]
    rows = max(1, filter_numpy.BLOCK_BYTES // (8 * out[0].size))
    return total_statistics(
        [
            _finish(
                plan, strided[first : first + rows].astype(np.float64), out[first : first + rows]
            )
            for first in range(0, len(out), rows)
        ]
    )
