"""Hands a plan to the compiled strips: tables, scratch memory, threads; and reads the figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from convcli.engine import (
    filter_box,
    filter_codelet,
    filter_compiled,
    filter_tile,
    filter_transform,
)
from convcli.engine.borders import Axis
from convcli.engine.filter_plan import FilterPlan, transform_size
from convcli.engine.threads import each_part
from convcli.environment import thread_count

NORM_CODES = {
    "none": -1,
    "l2": filter_compiled.SQUARES,
    "l1": filter_compiled.MAGNITUDES,
    "max": filter_compiled.LARGEST,
}
ALIGNMENT = 64
"""Bytes of a cache line: vectors that begin on one are loaded and stored at once."""

STRIPS_PER_THREAD = 4
"""Enough that a thread which was interrupted does not keep the others waiting."""

SHORT_COLUMN = 15
"""Taps of a column whose sums go straight to pixels; longer ones gain little by it."""

TRANSFORMED = 96 * 1024
"""Numbers of a block that is transformed: its two planes fill most of a second-level cache."""

LEAST_STRIP = 32
"""Rows; below that the rows around a strip cost more than they bring."""

Figures = tuple[float, float, int, int]
NOTHING: Figures = (math.inf, -math.inf, 0, 0)


class Part(NamedTuple):
    """Rows of one residue of the dilation, and columns, that one call filters."""

    kind: str
    residue: int
    first: int
    last: int
    begin: int
    end: int


class _Tally:
    """Running vectors of extremes and counts of one thread."""

    def __init__(self, number: Any, lanes: int):
        ends = (math.inf, -math.inf)
        if number.kind == "i":
            ends = (np.iinfo(number).max, np.iinfo(number).min)
        self.lanes = lanes
        self.extremes = np.repeat(np.array(ends, number), lanes)
        self.counts = np.zeros(2 * lanes, f"i{max(4, number.itemsize)}")

    def figures(self) -> Figures:
        """Return lowest, highest, below and above."""
        below, above = self.counts.reshape(2, -1).sum(axis=1, dtype=np.int64)
        lowest, highest = self.extremes[: self.lanes], self.extremes[self.lanes :]
        return float(lowest.min()), float(highest.max()), int(below), int(above)


Runner = Callable[[Part, _Tally], None]


class _Codelet(NamedTuple):
    """Flat weights, conversion, shape of the tile and norm of a filter by small kernels."""

    weights: Any
    parameters: Any
    lines: tuple[int, ...]
    norm: int
    width: int


@dataclass(frozen=True)
class _Blocks:
    """Rows and columns of one block, the tile's lines, and the samples of one line of scratch."""

    rows: int
    columns: int
    lines: int
    step: int
    sums_step: int


def run_compiled(plan: FilterPlan, planes: Any, out: Any, threads: int | None) -> Figures:
    """Filter `planes` into `out`, both H x W x C and contiguous; the plan has strides of 1.

    Returns the lowest and highest sum (or norm), and how many values fell below and above.
    """
    job = _Job(plan, planes, out)
    count = thread_count(threads)
    figures = total_figures(each_part(job.run_parts, job.parts(count), count))
    if figures[0] > figures[1]:
        return math.nan, math.nan, *figures[2:]
    weight = float(plan.kernels[0][0, 0]) if plan.path == "box" else 1.0
    return figures[0] * weight, figures[1] * weight, *figures[2:]


class _Job:
    """What all strips of one picture share."""

    def __init__(self, plan: FilterPlan, planes: Any, out: Any):
        self.plan = plan
        channels = plan.shape_hwc[2]
        self.pixels = np.ascontiguousarray(planes).reshape(-1)
        self.out = out.reshape(-1)
        self.width = plan.shape_hwc[1] * channels
        self.out_width = plan.columns.size * channels
        self.number = np.dtype("float32" if plan.accumulator == "int16" else plan.accumulator)
        self.finish = np.dtype(plan.finish)
        self.lanes = filter_tile.lanes_of(self.number.itemsize)
        taps_w = plan.columns.taps
        self.offsets = np.arange(taps_w) * (plan.columns.dilation * channels)
        self.reach = int(self.offsets[-1])
        self.columns_source = _in_channels(plan.columns, channels)
        before = plan.columns.before * channels
        self.inner = (before, before + self.width, -before)
        self.weights = _weights(plan, self.number)
        self.parameters, self.variety = conversion(plan)
        self.codelet = _codelet(plan)
        self.loudest = math.inf
        if plan.path == "transform" and not plan.whole_sums:
            self.loudest = filter_transform.largest_sample(planes, self.number)
        self.tables = [
            np.ascontiguousarray(plan.rows.source[first :: plan.rows.dilation])
            for first in range(plan.rows.dilation)
        ]

    def parts(self, threads: int) -> Iterable[Part]:
        """Return the parts of the picture that threads take one after the other.

        A kernel with gaps between its rows sees every dilation-th row: those are filtered as
        pictures of their own.
        """
        gap = self.plan.rows.dilation
        for residue in range(min(gap, self.plan.rows.size)):
            rows = len(range(residue, self.plan.rows.size, gap))
            if self.codelet is not None:
                yield from self._around_codelet(self.codelet, residue, rows, threads)
            elif self.plan.path == "transform":
                yield from self._pairs_of_blocks(residue, rows)
            else:
                for first, last in _cut(0, rows, threads, 1):
                    yield Part("whole", residue, first, last, 0, self.out_width)

    def _pairs_of_blocks(self, residue: int, rows: int) -> Iterable[Part]:
        """Return pairs of blocks, a few beside each other, at places that no thread decides."""
        size, columns, _ = self._transformed()
        height = 2 * (size - self.plan.rows.taps + 1)
        for first in range(0, rows, height):
            for begin in range(0, self.out_width, 2 * columns):
                end = min(begin + 2 * columns, self.out_width)
                yield Part("whole", residue, first, min(first + height, rows), begin, end)

    def _around_codelet(
        self, codelet: _Codelet, residue: int, rows: int, threads: int
    ) -> Iterable[Part]:
        """Return tiles in the middle, whose taps all lie inside, then the four edges."""
        lines, width = len(codelet.lines), codelet.width
        left = min(_rounded(max(self.inner[0], 0), self.lanes), self.out_width)
        right = left + max(self.inner[1] - self.reach - left, 0) // width * width
        inside = np.flatnonzero(self.tables[residue] >= 0)
        top = int(inside[0]) if inside.size else rows
        top = min(top, rows)
        bottom = min(rows, int(inside[-1]) + 2 - self.plan.rows.taps) if inside.size else top
        bottom = top + max(bottom - top, 0) // lines * lines
        if right == left:
            bottom = top
        for first, last in _cut(top, bottom, threads, lines):
            yield Part("codelet", residue, first, last, left, right)
        for first, last, begin, end in (
            (0, top, 0, self.out_width),
            (bottom, rows, 0, self.out_width),
            (top, bottom, 0, left),
            (top, bottom, right, self.out_width),
        ):
            if first < last and begin < end:
                yield Part("whole", residue, first, last, begin, end)

    def run_parts(self, parts: Iterable[Part]) -> Figures:
        """Run parts until none is left, with scratch memory of this thread's own."""
        tallies: dict[str, _Tally] = {}
        runners: dict[str, Runner] = {}
        for part in parts:
            if part.kind not in runners:
                runners[part.kind] = self._runner(part.kind)
                tallies[part.kind] = self._tally(part.kind)
            runners[part.kind](part, tallies[part.kind])
        return total_figures([tally.figures() for tally in tallies.values()] or [NOTHING])

    def _tally(self, kind: str) -> _Tally:
        if kind == "codelet" and self.codelet is not None:
            number = self.codelet.parameters.dtype
            return _Tally(number, filter_tile.lanes_of(self.codelet.weights.itemsize))
        return _Tally(self.finish, filter_tile.lanes_of(self.finish.itemsize))

    def _runner(self, kind: str) -> Runner:
        if kind == "codelet" and self.codelet is not None:
            return self._small(self.codelet)
        if self.plan.path == "box":
            return self._box()
        if self.plan.path == "transform":
            return self._transform()
        return self._separable() if self.weights[0] is not None else self._dense()

    def _picture(self, part: Part) -> tuple[Any, ...]:
        return (
            self.pixels, self.width, self.out, self.out_width, part.residue,
            self.plan.rows.dilation, self.tables[part.residue], part.first, part.last,
        )  # fmt: skip

    def _border(self) -> tuple[Any, ...]:
        return self.columns_source, *self.inner, self.number.type(self.plan.cval)

    def _how(self) -> tuple[int, bool | None]:
        return NORM_CODES[self.plan.norm], True if self.plan.norm == "l2" else None

    def _blocks(self, lines: int, widest_tile: int) -> _Blocks:
        """Return blocks whose samples stay in the second-level cache."""
        rows = max(lines, (48 if self.plan.rows.taps > 7 else 24) // lines * lines)
        columns = -(-min(self.out_width, 768) // widest_tile) * widest_tile
        step = _rounded(columns + self.reach + widest_tile, self.lanes)
        return _Blocks(rows, columns, lines, step, _rounded(columns + widest_tile, self.lanes))

    def _dense(self) -> Runner:
        taps_h = self.plan.rows.taps
        tile = (0,) * tile_lines(taps_h)
        tile_width = filter_tile.tile_vectors(len(tile)) * self.lanes
        blocks = self._blocks(len(tile), tile_width)
        samples = _aligned((blocks.rows + taps_h + len(tile)) * blocks.step, self.number)
        sums = _aligned((blocks.rows + len(tile)) * blocks.sums_step, self.number)
        how, root = self._how()
        total = None if how < 0 else _aligned(sums.size, self.finish)
        result = sums if total is None else total

        def run(part: Part, tally: _Tally) -> None:
            filter_compiled.dense_strip(
                *self._picture(part), *self._border(), part.begin, part.end, self.weights[1],
                len(self.plan.kernels), self.offsets, self.reach, taps_h, self.plan.columns.taps,
                how, root, self.parameters, tally.extremes, tally.counts, samples, blocks.step,
                sums, blocks.sums_step, total, result, blocks.rows, blocks.columns, tile_width,
                tile, self.variety,
            )  # fmt: skip

        return run

    def _transformed(self) -> tuple[int, int, int]:
        """Return rows and columns of one transform, and the numbers of a line of its scratch.

        A line is an odd number of vectors, so that a column spreads over the first-level cache.
        """
        axis = self.plan.rows
        size = transform_size(-(-axis.size // axis.dilation), axis.taps)
        row_width = filter_transform.ROW_VECTORS * self.lanes
        columns = _rounded(min(self.out_width, 512, TRANSFORMED // size), row_width)
        return size, columns, (-(-(columns + self.reach) // self.lanes) | 1) * self.lanes

    def _transform(self) -> Runner:
        taps_h, taps_w = self.plan.rows.taps, self.plan.columns.taps
        size, columns, step = self._transformed()
        taps = filter_transform.complex_taps(self.plan.kernels[0], size).astype(self.number)
        turns = filter_transform.turns(size).astype(self.number)
        row_width = filter_transform.ROW_VECTORS * self.lanes
        planes = _aligned(2 * size * step, self.number).reshape(2, -1)
        whole, largest = self.plan.whole_sums, np.finfo(self.number).max
        loudest = largest if whole else self.loudest

        def run(part: Part, tally: _Tally) -> None:
            begin = part.begin
            while begin < part.end:
                begin = filter_transform.transform_strip(
                    *self._picture(part), *self._border(), begin, part.end, taps.reshape(-1),
                    turns.reshape(-1), self.offsets, self.reach, taps_h, taps_w, whole, largest,
                    loudest, self.parameters, tally.extremes, tally.counts, planes, step, size,
                    columns, self.lanes, row_width, self.variety,
                )  # fmt: skip
                if begin < part.end:
                    end = min(begin + columns, part.end)
                    self._dense()(part._replace(begin=begin, end=end), tally)
                    begin = end

        return run

    def _separable(self) -> Runner:
        taps_h = self.plan.rows.taps
        tile = (0,) * tile_lines(taps_h)
        up_width, level_width = (
            filter_tile.tile_vectors(lines) * self.lanes for lines in (len(tile), 1)
        )
        blocks = self._blocks(len(tile), math.lcm(up_width, level_width))
        edge = _aligned(blocks.step + self.reach + level_width, self.number)
        middle = _aligned((blocks.rows + taps_h + len(tile)) * blocks.step, self.number)
        sums = _aligned((blocks.rows + len(tile)) * blocks.sums_step, self.number)
        how, root = self._how()
        total = None if how < 0 else _aligned(sums.size, self.finish)
        result = sums if total is None else total
        uprights, levels, terms = self.weights[0]
        short = taps_h <= SHORT_COLUMN and terms == len(self.plan.kernels) == 1
        straight = short and self.number == self.finish == np.float32
        down = (0,) * taps_h if straight else None
        lines = (0,) * filter_codelet.LINES
        starts = np.zeros(len(lines) + taps_h, np.int64)
        products = None if terms == 1 else _aligned(sums.size, self.number)

        def run(part: Part, tally: _Tally) -> None:
            filter_compiled.separable_strip(
                *self._picture(part), *self._border(), part.begin, part.end, uprights, levels,
                len(self.plan.kernels), terms, self.offsets, self.reach, taps_h,
                self.plan.columns.taps, how, root, self.parameters, tally.extremes, tally.counts,
                edge, middle, blocks.step, sums, products, blocks.sums_step, total, result,
                blocks.rows, blocks.columns, up_width, tile, level_width, (0,), self.variety,
                starts, filter_codelet.codelet_width(filter_codelet.LINES, 1, 4), lines, down,
            )  # fmt: skip

        return run

    def _box(self) -> Runner:
        channels = self.plan.shape_hwc[2]
        columns = np.zeros(self.width, np.int32)
        totals = np.zeros(self.out_width + self.reach + channels, np.int32)
        sums = _aligned(self.out_width, self.finish)
        outside = int(self.plan.cval)

        def run(part: Part, tally: _Tally) -> None:
            filter_box.box_strip(
                *self._picture(part), self.columns_source, *self.inner, outside,
                self.plan.rows.taps, self.reach, channels, self.parameters, tally.extremes,
                tally.counts, columns, totals, sums, self.variety,
            )  # fmt: skip

        return run

    def _small(self, codelet: _Codelet) -> Runner:
        starts = np.zeros(len(codelet.lines) + self.plan.rows.taps, np.int64)

        def run(part: Part, tally: _Tally) -> None:
            filter_compiled.codelet_strip(
                *self._picture(part), self.inner[2], part.begin, part.end, codelet.weights,
                self.offsets, codelet.parameters, tally.extremes, tally.counts, starts,
                codelet.width, codelet.lines, (0,) * self.plan.rows.taps,
                (0,) * self.plan.columns.taps, (0,) * codelet.norm, self.variety,
            )  # fmt: skip

        return run


def _cut(first: int, last: int, threads: int, multiple: int) -> Iterable[tuple[int, int]]:
    """Return ranges of rows, several for each thread, whose lengths are multiples."""
    pieces = 1 if threads == 1 else STRIPS_PER_THREAD * threads
    height = max(LEAST_STRIP, -(-(last - first) // pieces))
    height = -(-height // multiple) * multiple
    for start in range(first, last, height):
        yield start, min(start + height, last)


def total_figures(results: list[Figures]) -> Figures:
    """Return the figures of the whole from those of its parts."""
    lowest, highest, below, above = zip(*results, strict=True)
    return min(lowest), max(highest), sum(below), sum(above)


def _codelet(plan: FilterPlan) -> _Codelet | None:
    """Return how the small kernels of this plan run straight from pixels, if they do."""
    if plan.path != "codelet":
        return None
    whole = plan.accumulator == "int16"
    norm = {"none": 1, "l2": 2, "l1": 3, "max": 4}[plan.norm]
    lines = (0,) * filter_codelet.LINES
    number = np.dtype(plan.accumulator)
    weights = np.concatenate([kernel.ravel() for kernel in plan.kernels]).astype(number)
    parameters, _ = conversion(plan)
    if whole and plan.norm == "none" and plan.divisor == 1 and plan.output_dtype == np.uint8:
        low, high = plan.value_range
        parameters = np.zeros(filter_tile.PARAMETERS, number)
        parameters[filter_tile.OFFSET] = plan.offset
        parameters[filter_tile.LOW : filter_tile.HIGH + 1] = low, high
        parameters[filter_tile.BELOW], parameters[filter_tile.ABOVE] = low, high + 1
    width = filter_codelet.codelet_width(len(lines), norm, number.itemsize)
    return _Codelet(weights, parameters, lines, norm, width)


def tile_lines(taps_h: int) -> int:
    """Return how many lines of output a tile makes at once for kernels of that height.

    >>> tile_lines(1)
    1
    """
    if taps_h == 1:
        return 1
    return min(taps_h + 1, filter_tile.MOST_ROWS) if taps_h != 4 else 4


def conversion(plan: FilterPlan) -> tuple[Any, tuple[int, ...]]:
    """Return the parameters of `convert_row`, and the tuple whose length says what it does."""
    number = np.dtype(plan.finish)
    low, high = plan.value_range
    divisor = plan.divisor if plan.norm == "none" else abs(plan.divisor)
    if plan.path == "box":  # the sums are those of a kernel of ones
        divisor /= float(plan.kernels[0][0, 0])
    values = np.zeros(filter_tile.PARAMETERS)
    values[filter_tile.RECIPROCAL] = 1 / divisor
    values[filter_tile.DIVISOR] = divisor
    values[filter_tile.BIAS] = plan.offset * divisor
    values[filter_tile.OFFSET] = plan.offset
    values[filter_tile.LOW], values[filter_tile.HIGH] = low, high
    values[filter_tile.BELOW], values[filter_tile.ABOVE] = low, math.inf
    if plan.output_dtype.kind in "iu":
        values[filter_tile.BELOW], values[filter_tile.ABOVE] = low - 0.5, high + 0.5
    elif high < math.inf:
        values[filter_tile.ABOVE] = np.nextafter(number.type(high), number.type(math.inf))
    variety = 0
    if plan.exact and math.frexp(abs(divisor))[0] != 0.5:
        variety |= filter_tile.EXACT_QUOTIENT
    if plan.mapping == "abs":
        variety |= filter_tile.MAGNITUDES
    if plan.may_saturate:
        variety |= filter_tile.COUNTS_OUTSIDE
    return values.astype(number), (0,) * variety


def _weights(plan: FilterPlan, number: Any) -> tuple[Any, Any]:
    """Return ((columns, rows, terms per kernel), None), or (None, whole kernels) as flat arrays."""
    splits = [terms for terms in plan.terms if terms is not None]
    if len(splits) < len(plan.kernels) or plan.path == "transform":
        return None, np.concatenate([kernel.ravel() for kernel in plan.kernels]).astype(number)
    most = max(len(split) for split in splits)
    uprights = np.zeros((len(splits), most, plan.rows.taps), number)
    levels = np.zeros((len(splits), most, plan.columns.taps), number)
    for kernel, split in enumerate(splits):
        for term, (column, row) in enumerate(split):
            uprights[kernel, term], levels[kernel, term] = column, row
    return (uprights.ravel(), levels.ravel(), most), None


def _in_channels(axis: Axis, channels: int) -> Any:
    """Return the axis' sources counted in numbers, for `channels` numbers a pixel."""
    if channels == 1:
        return np.ascontiguousarray(axis.source)
    places = axis.source[:, None] * channels + np.arange(channels)
    return np.where(axis.source[:, None] < 0, axis.source[:, None], places).ravel()


def _aligned(count: int, number: Any) -> Any:
    """Return `count` zeros that begin on a cache line."""
    raw = np.zeros(count * number.itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count * number.itemsize].view(number)


def _rounded(count: int, lanes: int) -> int:
    return -(-count // lanes) * lanes
