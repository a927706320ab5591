"""Hands a plan to the compiled bands: records, scratch memory, threads; reads the statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from convcli.engine import filter_kernels, filter_vectors, transform
from convcli.engine.borders import Axis
from convcli.engine.filter_plan import FilterPlan, is_power_of_two, small_factors, transform_size
from convcli.engine.filter_records import (
    BoxWork,
    DenseWork,
    Flags,
    Job,
    Part,
    SeparableWork,
    ShortRow,
    SmallKernel,
    SmallWork,
    Switch,
    Tallies,
    Tile,
    TransformWork,
    switch,
)
from convcli.engine.filter_vectors import (
    FACTORED_LINES,
    PARAMETERS,
    SMALL_LINES,
    small_width,
    tile_vectors,
)
from convcli.engine.llvm import aligned, lanes_of
from convcli.engine.point_strips import Strips
from convcli.engine.points import Points, Statistics, total_statistics
from convcli.engine.threads import each_part
from convcli.environment import thread_count

NORM_CODES = {
    "none": -1,
    "l2": filter_kernels.SQUARES,
    "l1": filter_kernels.MAGNITUDES,
    "max": filter_kernels.LARGEST,
}
BANDS_PER_THREAD = 4
"""Enough that a thread which was interrupted does not keep the others waiting."""

SHORT = 15
"""Taps of a column whose sums go straight to pixels, and of a row that is added up from pixels."""

KEPT_ROWS, MIDDLE_BYTES = 16, 1 << 19
"""Rows of a block whose lines around it are those of the last one, and bytes of all its lines."""

TRANSFORMED = 96 * 1024
"""Numbers of a block that is transformed: its two planes fill most of a second-level cache."""

CONVERTED_TAPS = 9
"""Samples of so few taps are converted at each tap: a block of converted ones gains nothing."""

SMALL_ROWS, SMALL_COLUMNS = 24, 1024
"""Of a block of a small kernel: its samples stay in a second-level cache."""

MOST = {"int16": 2**15 - 1, "uint16": 2**16 - 1}
"""The largest number of an accumulator of 16 bits."""

SEGMENT_BYTES = 4096
"""Of a line of sums over boxes: a dozen of them stay in a first-level cache."""

STRIP_NUMBERS = 1 << 17
"""Values on their way through points: half of a second-level cache."""

LEAST_BAND = 32
"""Rows; below that the rows around a band cost more than they bring."""


def run_compiled(
    plan: FilterPlan,
    planes: Any,
    out: Any,
    threads: int | None,
    points: Points | None = None,
    base: Any = None,
) -> Statistics:
    """Filter `planes` into `out`, both H x W x C and contiguous; the plan has strides of 1.

    With points the values of each part go through them while they are in the cache.

    Returns the lowest and highest sum (or norm), or value behind points, and how many values fell
    below and above.
    """
    count = thread_count(threads)
    if points is not None:
        strip = np.empty(0, plan.settings.output_dtype)
        runner = RUNNERS[plan.path](plan, planes, strip)
        work = partial(_run_with_points, runner, Strips(points), base, out.reshape(-1))
        return total_statistics(each_part(work, list(runner.parts(count, strips=True)), count))
    runner = RUNNERS[plan.path](plan, planes, out)
    found = total_statistics(each_part(runner.run_parts, list(runner.parts(count)), count))
    return found._replace(minimum=found.minimum * runner.unit, maximum=found.maximum * runner.unit)


def _run_with_points(
    runner: Runner, strips: Strips, base: Any, out: Any, parts: Iterable[tuple[Job, Part]]
) -> Statistics:
    """Run parts until none is left, each into a strip of its own and from there through points."""
    worker, unused = strips.worker(), runner.tallies()
    strip = np.empty(0, runner.plan.settings.output_dtype)
    call: Call | None = None
    for job, part in parts:
        call = call or runner.prepare()
        width, rows = job.out_width, part.last - part.first
        if strip.size < rows * width:
            strip = np.empty(rows * width, strip.dtype)
        call(job._replace(out=strip, residue=-part.first, step=1), part, unused)
        whole = job.step == 1 and (part.begin, part.end) == (0, width)
        for row in [0] if whole else range(rows):
            size = rows * width if whole else part.end - part.begin
            at = row * width + part.begin
            to = (job.residue + (part.first + row) * job.step) * width + part.begin
            under = None if base is None else base[to : to + size]
            worker.add(strip[at : at + size], under, out[to : to + size])
    return worker.statistics()


Call = Callable[[Job, Part, Tallies], None]


class Runner:
    """One way to filter one picture: its jobs, the parts that threads take, what runs them.

    Attributes:
        unit: what the sums are counted in.
        samples: in which numbers pixels are added up, if not in the plan's.
    """

    unit = 1.0
    samples: str | None = None

    def __init__(self, plan: FilterPlan, planes: Any, out: Any):
        self.plan = plan
        self.channels = plan.shape_hwc[2]
        self.number = np.dtype(self.samples or plan.accumulator)
        self.finish = np.dtype(plan.numbers.finish)
        self.lanes = lanes_of(self.number.itemsize)
        self.parameters, self.flags = self.conversion()
        self.jobs = self._jobs(plan, np.ascontiguousarray(planes).reshape(-1), out.reshape(-1))

    def _jobs(self, plan: FilterPlan, pixels: Any, out: Any) -> list[Job]:
        """Return one job for each residue of the rows' dilation."""
        channels, gap = self.channels, plan.rows.dilation
        width, before = plan.shape_hwc[1] * channels, plan.columns.before * channels
        offsets = np.arange(plan.columns.taps) * (plan.columns.dilation * channels)
        outside = self.number.type(plan.settings.cval if plan.reads_outside else 0)
        return [
            Job(
                pixels, width, out, plan.columns.size * channels, residue, gap,
                np.ascontiguousarray(plan.rows.source[residue::gap]),
                _in_channels(plan.columns, channels), before, before + width, -before,
                outside, offsets, int(offsets[-1]), plan.rows.taps, plan.columns.taps,
                self.parameters, self.flags,
            )
            for residue in range(min(gap, plan.rows.size))
        ]  # fmt: skip

    def conversion(self) -> tuple[Any, Flags]:
        """Return parameters and flags of the way from sums to pixels, in floating point."""
        plan, divisor = self.plan, self.plan.divisor / self.unit
        low, high = plan.settings.value_range
        values = np.zeros(PARAMETERS)
        values[filter_vectors.RECIPROCAL] = 1 / divisor
        values[filter_vectors.DIVISOR] = divisor
        values[filter_vectors.BIAS] = plan.settings.offset * divisor
        values[filter_vectors.OFFSET] = plan.settings.offset
        values[filter_vectors.LOW], values[filter_vectors.HIGH] = low, high
        values[filter_vectors.BELOW], values[filter_vectors.ABOVE] = low, math.inf
        if plan.settings.output_dtype.kind in "iu":
            values[filter_vectors.BELOW], values[filter_vectors.ABOVE] = low - 0.5, high + 0.5
        elif high < math.inf:
            number = self.finish.type
            values[filter_vectors.ABOVE] = np.nextafter(number(high), number(math.inf))
        flags = Flags(
            exact_quotient=switch(plan.exact and not is_power_of_two(divisor)),
            magnitudes=switch(plan.settings.mapping == "abs"),
            counts=switch(plan.may_saturate),
        )
        return values.astype(self.finish), flags

    def parts(self, threads: int, *, strips: bool = False) -> Iterable[tuple[Job, Part]]:
        """Return the parts of the picture that threads take one after the other.

        As `strips` they are small enough for values to stay in a second-level cache.
        """
        pieces = 1 if threads == 1 else BANDS_PER_THREAD * threads
        for job in self.jobs:
            rows = self.rows_of(job)
            height = max(LEAST_BAND, -(-rows // pieces))
            if strips:
                few = STRIP_NUMBERS // job.out_width
                height = min(height, max(LEAST_BAND, few, 2 * self.plan.rows.taps))
            height = _rounded(height, FACTORED_LINES)
            for first in range(0, rows, height):
                yield job, Part(first, min(first + height, rows), 0, job.out_width)

    def rows_of(self, job: Job) -> int:
        """Return how many rows of the result a job has."""
        return len(range(job.residue, self.plan.rows.size, job.step))

    def run_parts(self, parts: Iterable[tuple[Job, Part]]) -> Statistics:
        """Run parts until none is left, with scratch memory of this thread's own."""
        tallies = self.tallies()
        call: Call | None = None
        for job, part in parts:
            call = call or self.prepare()
            call(job, part, tallies)
        return tallies.statistics()

    def tallies(self) -> Tallies:
        """Return the tallies of no values."""
        number = self.parameters.dtype
        return Tallies.empty(number, lanes_of(number.itemsize))

    def prepare(self) -> Call:
        """Return the call that filters a part, with scratch memory of its own."""
        raise NotImplementedError

    def blocks(self, lines: int, widest_tile: int) -> tuple[int, int, int, int]:
        """Return rows and columns of a block that stays in the second-level cache.

        The others are the numbers of a line of its samples and of its sums.
        """
        tall = self.plan.terms[0] is not None or self.plan.rows.taps > 7
        rows = max(lines, (48 if tall else 24) // lines * lines)
        out_width = self.plan.columns.size * self.channels
        columns = -(-min(out_width, 768) // widest_tile) * widest_tile
        step = _rounded(columns + self.jobs[0].reach + widest_tile, self.lanes)
        return rows, columns, step, _rounded(columns + widest_tile, self.lanes)

    def tile(self, taps_h: int) -> Tile:
        """Return the register tile for kernels of that height."""
        lines = tile_lines(taps_h)
        return Tile(tile_vectors(lines) * self.lanes, (0,) * lines)

    def norm(self, size: int) -> tuple[int, Switch, Any]:
        """Return how kernels are joined, whether roots are taken, and memory for the total."""
        norm = self.plan.settings.norm
        total = None if norm == "none" else aligned(size, self.finish)
        return NORM_CODES[norm], switch(norm == "l2"), total


class Small(Runner):
    """Few taps, from pixels to pixels in registers."""

    def conversion(self) -> tuple[Any, Flags]:
        """Return the conversion in 16-bit integers where that is exact, else in floating point."""
        return whole_conversion(self.plan) or super().conversion()

    def tallies(self) -> Tallies:
        """Return the tallies of no values, in vectors of as many lanes as weights."""
        return Tallies.empty(self.parameters.dtype, self.lanes)

    def prepare(self) -> Call:
        """Return the call that filters a part."""
        small = self.small_kernel(self.plan.kernels)
        pixel = self.jobs[0].pixels.dtype
        few = self.plan.kernels[0].size <= CONVERTED_TAPS
        direct = few or self.number in {pixel, np.dtype(np.int16)}
        columns = _rounded(min(self.jobs[0].out_width, SMALL_COLUMNS), small.width)
        step = _rounded(columns + self.jobs[0].reach + small.width, self.lanes)
        size = (SMALL_ROWS + self.plan.rows.taps + len(small.lines)) * step
        samples = aligned(size, pixel if direct else self.number)
        work = SmallWork(SMALL_ROWS, columns, samples, step)
        band = filter_kernels.direct_band if direct else filter_kernels.small_band
        return lambda job, part, tallies: band(job, part, tallies, work, small)

    def small_kernel(self, kernels: Any) -> SmallKernel:
        """Return the kernels as compiled code takes them."""
        job, norm = self.jobs[0], self.plan.settings.norm
        taken = np.any(np.stack(kernels) != 0, axis=0)
        height, width = taken.shape
        row, column = height // 2, width // 2
        corners = np.delete(np.delete(taken, row, axis=0), column, axis=1)
        odd = height % 2 == width % 2 == 1 and bool(taken.any())
        factors = small_factors(kernels)
        weights = np.concatenate([np.ravel(part) for part in factors or kernels])
        weights = weights.astype(self.number)
        lines = FACTORED_LINES if factors and height > 3 else SMALL_LINES
        return SmallKernel(
            weights=weights,
            offsets=job.offsets,
            parameters=self.parameters,
            flags=self.flags,
            kernels=(0,) * len(kernels),
            lines=(0,) * lines,
            down=(0,) * height,
            across=(0,) * width,
            lanes=(0,) * self.lanes,
            width=small_width(len(kernels), self.number.itemsize),
            last=aligned(lines * self.lanes, job.out.dtype),
            length=switch(norm == "l2"),
            taxicab=switch(norm == "l1"),
            factored=switch(factors is not None),
            ones=switch(
                self.number.kind in "iu" and factors is not None and bool((weights == 1).all())
            ),
            no_middle_row=switch(odd and not taken[row].any()),
            no_middle_column=switch(odd and not taken[:, column].any()),
            cross=switch(odd and not corners.any()),
        )


def whole_conversion(plan: FilterPlan) -> tuple[Any, Flags] | None:
    """Return parameters and flags of a conversion in 16-bit integers, or None if it is not exact.

    A division by d is a multiplication by m = ceil(2**(16 + s) / d) and a shift by 16 + s bits:
    exact for all numbers up to n if n * (m * d - 2**(16 + s)) < 2**(16 + s).
    """
    settings, divisor = plan.settings, int(plan.divisor)
    if plan.accumulator not in MOST or settings.norm != "none" or divisor < 1:
        return None
    if settings.output_dtype != np.uint8 or divisor > 2**14:
        return None
    values = np.zeros(PARAMETERS, np.int64)
    most = MOST[plan.accumulator]
    highest = min(255 * divisor, most)
    values[filter_vectors.DIVISOR] = divisor
    values[filter_vectors.BIAS] = int(settings.offset * divisor)
    values[filter_vectors.HIGH] = highest
    values[filter_vectors.BELOW] = -(divisor // 2) if plan.accumulator == "int16" else 0
    values[filter_vectors.ABOVE] = min(-(-511 * divisor // 2), most)
    values[filter_vectors.HALF] = divisor // 2
    flags = Flags(
        magnitudes=switch(settings.mapping == "abs"),
        counts=switch(plan.may_saturate),
    )
    if divisor & (divisor - 1) == 0:
        values[filter_vectors.SHIFT] = divisor.bit_length() - 1
        values[filter_vectors.HALF] = max(divisor // 2 - 1, 0)
        flags = flags._replace(by_power=switch(divisor > 1))
    else:
        shift = divisor.bit_length() - 1
        factor = -(-(2 ** (16 + shift)) // divisor)
        error = factor * divisor - 2 ** (16 + shift)
        if (highest + divisor // 2) * error >= 2 ** (16 + shift):
            return None
        values[filter_vectors.RECIPROCAL], values[filter_vectors.SHIFT] = factor, shift
        flags = flags._replace(by_reciprocal=True, ties=switch(divisor % 2 == 0))
    return values.astype(np.uint16).view(plan.accumulator), flags


class Dense(Runner):
    """Whole kernels, added up by the register tile."""

    def prepare(self) -> Call:
        """Return the call that filters a part."""
        tile = self.tile(self.plan.rows.taps)
        rows, columns, step, sums_step = self.blocks(len(tile.lines), tile.width)
        extra = self.plan.rows.taps + len(tile.lines)
        sums = aligned((rows + len(tile.lines)) * sums_step, self.number)
        how, root, total = self.norm(sums.size)
        weights = np.concatenate([kernel.ravel() for kernel in self.plan.kernels])
        work = DenseWork(
            weights.astype(self.number), len(self.plan.kernels), how, rows, columns, tile,
            aligned((rows + extra) * step, self.number), step, sums, sums_step,
            sums if total is None else total,
        )  # fmt: skip

        def call(job: Job, part: Part, tallies: Tallies) -> None:
            filter_kernels.dense_band(job, part, tallies, work, total, root)

        return call


class Separable(Runner):
    """Sums of products of a column and a row: two passes."""

    def prepare(self) -> Call:
        """Return the call that filters a part."""
        plan, taps_h = self.plan, self.plan.rows.taps
        tile, row_tile = self.tile(taps_h), self.tile(1)
        widest = math.lcm(tile.width, row_tile.width)
        column_factors, row_factors, terms = self._factors()
        column = self._short_column(column_factors)
        rank_one = len(plan.kernels) == terms == 1 and plan.settings.norm == "none"
        lines = SMALL_LINES if column else len(tile.lines)
        if rank_one:
            rows, columns = self._lines_kept(lines, widest)
        else:
            rows, columns = self.blocks(lines, widest)[:2]
        step = _rounded(columns + self.jobs[0].reach + widest, self.lanes)
        sums_step = _rounded(columns + widest, self.lanes)
        sums = aligned((lines if rank_one else rows + lines) * sums_step, self.number)
        how, root, total = self.norm(sums.size)
        pixel = self.jobs[0].pixels.dtype
        work = SeparableWork(
            column_factors.ravel(), row_factors.ravel(), len(plan.kernels), terms, how,
            rows, columns, tile, row_tile, aligned(step + row_tile.width, self.number),
            aligned(step + row_tile.width, pixel),
            aligned((rows + taps_h + lines) * step, self.number), step, sums,
            sums_step, sums if total is None else total,
        )  # fmt: skip
        if rank_one:
            taps = plan.columns.taps
            short = taps <= SHORT and _holds(pixel, self.jobs[0].outside)
            row = ShortRow((0,) * taps, (0,) * self.lanes) if short else None
            return lambda job, part, tallies: filter_kernels.rank_one_band(
                job, part, tallies, work, row, column
            )
        products = None if terms == 1 else aligned(sums.size, self.number)
        return lambda job, part, tallies: filter_kernels.separable_band(
            job, part, tallies, work, products, total, root
        )

    def _lines_kept(self, lines: int, widest: int) -> tuple[int, int]:
        """Return rows and columns of a block whose lines stay in the cache for the next one."""
        rows = _rounded(KEPT_ROWS, lines)
        most = MIDDLE_BYTES // self.number.itemsize // (rows + self.plan.rows.taps + lines)
        width = self.jobs[0].out_width
        return rows, _rounded(-(-width // -(-width // max(most, widest))), widest)

    def _short_column(self, factors: Any) -> SmallKernel | None:
        """Return the only column as a small kernel, if it is short."""
        if factors.shape[0] * factors.shape[1] > 1 or factors.shape[2] > SHORT:
            return None
        if self.plan.settings.norm != "none" or not self.number == self.finish == np.float32:
            return None
        return SmallKernel(
            weights=factors.ravel(),
            offsets=np.zeros(1, np.int64),
            parameters=self.parameters,
            flags=self.flags,
            kernels=(0,),
            lines=(0,) * SMALL_LINES,
            down=(0,) * factors.shape[2],
            across=(0,),
            lanes=(0,) * self.lanes,
            width=small_width(1, 4),
            last=aligned(SMALL_LINES * self.lanes, self.jobs[0].out.dtype),
        )

    def _factors(self) -> tuple[Any, Any, int]:
        """Return columns and rows by kernel and term, and how many terms there are."""
        splits = [terms for terms in self.plan.terms if terms is not None]
        most = max(len(split) for split in splits)
        column_factors = np.zeros((len(splits), most, self.plan.rows.taps), self.number)
        row_factors = np.zeros((len(splits), most, self.plan.columns.taps), self.number)
        for kernel, split in enumerate(splits):
            for term, (column, row) in enumerate(split):
                column_factors[kernel, term], row_factors[kernel, term] = column, row
        return column_factors, row_factors, most


class Box(Runner):
    """Means by running sums of integers; the time hardly grows with the size of the box."""

    def __init__(self, plan: FilterPlan, planes: Any, out: Any):
        self.unit = float(plan.kernels[0][0, 0])  # the sums are those of a kernel of ones
        self.samples = "int32" if whole_conversion(plan) is None else "uint16"
        super().__init__(plan, planes, out)

    def conversion(self) -> tuple[Any, Flags]:
        """Return the conversion in 16-bit integers where that is exact, else in floating point."""
        return whole_conversion(self.plan) or super().conversion()

    def prepare(self) -> Call:
        """Return the call that filters a part."""
        job, totals = self.jobs[0], None
        extended = job.out_width + job.reach
        segment = max(SEGMENT_BYTES // self.number.itemsize, job.reach)
        step = _rounded(segment + job.reach, self.lanes) + self.lanes
        size = 2 * self.plan.columns.taps.bit_length() * step
        if self.number.itemsize > 2:
            totals, size = aligned(extended + self.channels, self.number), extended + self.lanes
        line = aligned(job.inner_begin + max(job.width, extended) + self.lanes, self.number)
        work = BoxWork(line, self.channels, aligned(size, self.number), step, segment)
        return lambda job, part, tallies: filter_kernels.box_band(job, part, tallies, work, totals)


class Transform(Dense):
    """Large kernels by a transform down the columns."""

    def __init__(self, plan: FilterPlan, planes: Any, out: Any):
        super().__init__(plan, planes, out)
        axis = plan.rows
        self.size = transform_size(-(-axis.size // axis.dilation), axis.taps)
        row_width = transform.ROW_VECTORS * self.lanes
        most = min(self.jobs[0].out_width, 512, TRANSFORMED // self.size)
        self.row_width, self.columns = row_width, _rounded(most, row_width)
        self.largest = float(np.finfo(self.number).max)
        self.loudest = self.largest
        if not plan.numbers.integers:
            self.loudest = transform.largest_sample(planes, self.number)

    def parts(self, threads: int, *, strips: bool = False) -> Iterable[tuple[Job, Part]]:
        """Return pairs of blocks, a few beside each other, at places that no thread decides."""
        height = 2 * (self.size - self.plan.rows.taps + 1)
        for job in self.jobs:
            rows = self.rows_of(job)
            for first in range(0, rows, height):
                for begin in range(0, job.out_width, 2 * self.columns):
                    end = min(begin + 2 * self.columns, job.out_width)
                    yield job, Part(first, min(first + height, rows), begin, end)

    def prepare(self) -> Call:
        """Return the call that filters a part; blocks that a transform would ruin run dense.

        A line of scratch is an odd number of vectors, so that a column spreads over the first-level
        cache.
        """
        taps = transform.complex_taps(self.plan.kernels[0], self.size).astype(self.number)
        turns = transform.turns(self.size).astype(self.number)
        step = (-(-(self.columns + self.jobs[0].reach) // self.lanes) | 1) * self.lanes
        planes = aligned(2 * self.size * step, self.number).reshape(2, -1)
        work = TransformWork(
            taps.reshape(-1), turns.reshape(-1), planes, step, self.size, self.columns,
            self.row_width, self.plan.numbers.integers, self.largest, self.loudest,
        )  # fmt: skip

        def call(job: Job, part: Part, tallies: Tallies) -> None:
            begin = transform.transform_band(job, part, tallies, work)
            while begin < part.end:
                end = min(begin + self.columns, part.end)
                super(Transform, self).prepare()(job, part._replace(begin=begin, end=end), tallies)
                rest = part._replace(begin=end)
                begin = transform.transform_band(job, rest, tallies, work)

        return call


RUNNERS: dict[str, type[Runner]] = {
    "small": Small,
    "box": Box,
    "transform": Transform,
    "separable": Separable,
    "low-rank": Separable,
    "dense": Dense,
}


def tile_lines(taps_h: int) -> int:
    """Return how many lines of output a tile makes at once for kernels of that height.

    >>> tile_lines(1)
    1
    """
    if taps_h == 1:
        return 1
    return min(taps_h + 1, filter_vectors.MOST_ROWS) if taps_h != 4 else 4


def _in_channels(axis: Axis, channels: int) -> Any:
    """Return the axis' sources counted in numbers, for `channels` numbers a pixel."""
    if channels == 1:
        return np.ascontiguousarray(axis.source)
    places = axis.source[:, None] * channels + np.arange(channels)
    return np.where(axis.source[:, None] < 0, axis.source[:, None], places).ravel()


def _holds(pixel: Any, value: Any) -> bool:
    """Return whether `value` is one of the numbers of dtype `pixel`."""
    limits = np.finfo(pixel) if pixel.kind == "f" else np.iinfo(pixel)
    return bool(limits.min <= value <= limits.max and pixel.type(value) == value)


def _rounded(count: int, lanes: int) -> int:
    return -(-count // lanes) * lanes
