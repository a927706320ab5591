"""What compiled bands are told: records of arrays and numbers, whose types are compiled in."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from convcli.engine.points import Statistics

Switch = bool | None
"""A part of compiled code's types: True, or None for off."""


def switch(condition: bool) -> Switch:
    """Return a switch of compiled code."""
    return True if condition else None


class Flags(NamedTuple):
    """What a conversion does, see `filter_vectors.Conversion`."""

    exact_quotient: Switch = None
    magnitudes: Switch = None
    counts: Switch = None
    by_power: Switch = None
    by_reciprocal: Switch = None
    ties: Switch = None


class Job(NamedTuple):
    """What all bands of one picture share; counted in numbers of a row, which has all channels.

    Attributes:
        pixels, width: the picture, flat, and numbers of one of its rows.
        out, out_width: the same of the result.
        residue, step: row r of a band is row `residue + r * step` of the result: a kernel with gaps
            between its rows sees every dilation-th, which are filtered as pictures of their own.
        source_rows, source_columns: where each place of the extended picture is read, -1 for none.
        inner_begin, inner_end, shift: extended columns that lie in the picture, and what is added.
        outside: the value behind a constant border, in the numbers of a block of samples.
        offsets, reach: of each tap of a row, and of the last.
        taps_h, taps_w: rows and columns of the kernel.
        parameters, flags: of the conversion.
    """

    pixels: Any
    width: int
    out: Any
    out_width: int
    residue: int
    step: int
    source_rows: Any
    source_columns: Any
    inner_begin: int
    inner_end: int
    shift: int
    outside: Any
    offsets: Any
    reach: int
    taps_h: int
    taps_w: int
    parameters: Any
    flags: Flags


class Part(NamedTuple):
    """Rows of a residue and columns that one call filters."""

    first: int
    last: int
    begin: int
    end: int


class Tallies(NamedTuple):
    """Running vectors of extremes and counts of one thread."""

    extremes: Any
    counts: Any

    @classmethod
    def empty(cls, number: Any, lanes: int) -> Tallies:
        """Return the tallies of no values in vectors of `lanes` `number`s."""
        ends = (math.inf, -math.inf)
        if number.kind in "iu":
            ends = (np.iinfo(number).max, np.iinfo(number).min)
        extremes = np.repeat(np.array(ends, number), lanes)
        return cls(extremes, np.zeros(2 * lanes, f"i{max(4, number.itemsize)}"))

    def statistics(self) -> Statistics:
        """Return what they come to."""
        lowest, highest = self.extremes.reshape(2, -1)
        if lowest.min() > highest.max():
            return Statistics(math.nan, math.nan, 0, 0)
        below, above = self.counts.reshape(2, -1).sum(axis=1, dtype=np.int64)
        return Statistics(float(lowest.min()), float(highest.max()), int(below), int(above))


class Tile(NamedTuple):
    """Numbers and lines of one register tile."""

    width: int
    lines: tuple[int, ...]


class SmallKernel(NamedTuple):
    """A small kernel: its taps, its own conversion, and a vector of pixels.

    What is compiled for it stands in lengths of tuples and in switches.
    """

    weights: Any
    offsets: Any
    parameters: Any
    flags: Flags
    kernels: tuple[int, ...]
    lines: tuple[int, ...]
    down: tuple[int, ...]
    across: tuple[int, ...]
    lanes: tuple[int, ...]
    width: int
    last: Any
    length: Switch = None
    taxicab: Switch = None
    factored: Switch = None
    ones: Switch = None
    no_middle_row: Switch = None
    no_middle_column: Switch = None
    cross: Switch = None


class SmallWork(NamedTuple):
    """The size of a block, and scratch memory for it."""

    rows: int
    columns: int
    samples: Any
    step: int


class DenseWork(NamedTuple):
    """Whole kernels one after the other, the size of a block, and scratch memory for it."""

    weights: Any
    kernels: int
    how: int
    rows: int
    columns: int
    tile: Tile
    samples: Any
    step: int
    sums: Any
    sums_step: int
    result: Any


class ShortRow(NamedTuple):
    """What a short row of taps is compiled for, in lengths of tuples: its taps, and a vector."""

    across: tuple[int, ...]
    lanes: tuple[int, ...]


class SeparableWork(NamedTuple):
    """Columns and rows of factors, the size of a block, and scratch memory for it.

    `samples` are of one line, `edges` the same as pixels, `middle` what rows of taps give.
    """

    column_factors: Any
    row_factors: Any
    kernels: int
    terms: int
    how: int
    rows: int
    columns: int
    tile: Tile
    row_tile: Tile
    samples: Any
    edges: Any
    middle: Any
    step: int
    sums: Any
    sums_step: int
    result: Any


class BoxWork(NamedTuple):
    """Column sums of an extended line, lines of sums over some of them, how many at once."""

    extended: Any
    channels: int
    lines: Any
    step: int
    segment: int


class TransformWork(NamedTuple):
    """Taps of every frequency, turns of the transform, two planes, and what a sample may be."""

    taps: Any
    turns: Any
    planes: Any
    step: int
    size: int
    columns: int
    row_width: int
    whole: bool
    largest: float
    loudest: float
