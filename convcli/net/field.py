"""The receptive field as it moves through a network: one forward step at a time, or one cell back.

Along one axis the field of output cell u is an interval of input cells. In a plain stack it is
`[first + u * jump, last + u * jump]` (Araujo, Norris and Sim, Computing Receptive Fields of
Convolutional Neural Networks, Distill 2019). Behind an enlargement neighboring cells differ, but
the pattern repeats: `spans` holds one interval for each cell of a period and `advance` the input
cells by which it moves on. A plain stack is the case of one span. Nothing is clipped at borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, lcm, sqrt
from typing import TYPE_CHECKING

from convcli.errors import UsageError
from convcli.geometry import AxisMap, Enlarge, Window
from convcli.layers.base import shape_text
from convcli.values import Value

if TYPE_CHECKING:
    from convcli.net.trace import Step, Trace

Span = tuple[int, int]
"""First and last input cell that one output cell depends on."""

MAX_PHASES = 4096
"""Longest period that is followed; beyond it the field counts as the whole input."""

HOLE: Span = (1, 0)
"""The empty span: an output cell that no input reaches (a transposed kernel below its stride)."""


@dataclass(slots=True, eq=False, repr=False)
class AxisField(Value):
    """The receptive fields of all cells along one axis.

    >>> POINT.through(Window(3)).through(Window(2, stride=2)).size
    4
    """

    advance: int
    spans: tuple[Span, ...]
    drifting: bool = False
    """Branches of different scale were merged: the period is the whole axis."""
    clamped: bool = False
    """Behind a linear enlargement: border cells read fewer cells, none before the input."""

    @property
    def size(self) -> int:
        """Cells of the largest field."""
        return max(last - first + 1 for first, last in self.spans)

    @property
    def smallest(self) -> int:
        """Cells of the smallest field."""
        return min(last - first + 1 for first, last in self.spans)

    @property
    def stride(self) -> int | float | None:
        """Input cells from one output cell to the next (its mean); None when it is not constant."""
        if self.drifting:
            return None
        whole, rest = divmod(self.advance, len(self.spans))
        return self.advance / len(self.spans) if rest else whole

    @property
    def padding(self) -> int | None:
        """Cells by which the field of output cell 0 begins before the input; None if not known."""
        known = not self.drifting and not self.clamped and self.spans[0] != HOLE
        return -self.spans[0][0] if known else None

    def span(self, cell: int) -> Span:
        """Return the interval of any cell, also of one in the padding."""
        periods, phase = divmod(cell, len(self.spans))
        first, last = self.spans[phase]
        return (
            HOLE
            if first > last
            else (first + periods * self.advance, last + periods * self.advance)
        )

    def through(self, axis: AxisMap) -> AxisField | None:
        """Return the field one layer later, or None if its pattern has too many phases."""
        if isinstance(axis, Window) and len(self.spans) == 1:
            (first, last), jump = self.spans[0], self.advance
            lowest = -axis.before
            highest = lowest + (axis.kernel - 1) * axis.dilation
            span = first + lowest * jump, last + highest * jump
            return AxisField(jump * axis.stride, (span,), clamped=self.clamped)
        repeats = len(self.spans) // gcd(len(self.spans), axis.advance)
        period = axis.period * repeats
        if period > MAX_PHASES:
            return None
        advance = axis.advance * repeats // len(self.spans) * self.advance
        spans = tuple(self._hull(axis.reads(cell)) for cell in range(period))
        clamped = self.clamped or (isinstance(axis, Enlarge) and axis.linear)
        return AxisField(advance, spans, self.drifting, clamped).shortened()

    def _hull(self, cells: range) -> Span:
        """Return the interval that covers the fields of `cells`.

        Cells one period apart differ by a shift alone, so the first and last of them decide.
        """
        count = len(self.spans)
        ends = cells if len(cells) <= 2 * count else (*cells[:count], *cells[-count:])
        spans = [span for span in map(self.span, ends) if span != HOLE]
        if not spans:
            return HOLE
        return min(first for first, _ in spans), max(last for _, last in spans)

    def shortened(self) -> AxisField:
        """Return the same field with the shortest period that describes it."""
        count = len(self.spans)
        for period in range(1, count // 2 + 1):
            advance, rest = divmod(self.advance * period, count)
            if count % period or rest:
                continue
            shorter = AxisField(advance, self.spans[:period], self.drifting, self.clamped)
            if all(shorter.span(cell) == self.spans[cell] for cell in range(period, count)):
                return shorter
        return self


POINT = AxisField(1, ((0, 0),))
"""The field of an input cell: itself."""


def union(fields: list[AxisField], extent: int) -> tuple[AxisField | None, bool]:
    """Return the field that covers all branches of an axis with `extent` cells, and whether the
    branches are aligned: centered on the same input cells.

    >>> union([AxisField(1, ((-1, 1),)), POINT], extent=28)
    (AxisField(advance=1, spans=((-1, 1),), drifting=False, clamped=False), True)
    """  # noqa: D205  (the sentence is one)
    first = fields[0]
    if all(field == first for field in fields):
        return first, True
    period = lcm(*(len(field.spans) for field in fields))
    paces = {field.advance * (period // len(field.spans)) for field in fields}
    drifting = len(paces) > 1 or any(field.drifting for field in fields)
    if drifting:
        period = extent
        paces = {field.span(extent)[0] - field.span(0)[0] for field in fields}
    if period > MAX_PHASES:
        return None, False
    spans = tuple(_cover([field.span(cell) for field in fields]) for cell in range(period))
    merged = AxisField(max(paces), spans, drifting, any(field.clamped for field in fields))
    centers = {sum(sum(field.span(cell)) for cell in range(period)) for field in fields}
    return (merged if drifting else merged.shortened()), not drifting and len(centers) == 1


def _cover(spans: list[Span]) -> Span:
    real = [span for span in spans if span != HOLE]
    if not real:
        return HOLE
    return min(first for first, _ in real), max(last for _, last in real)


def effective_fields(trace: Trace) -> tuple[tuple[float, ...] | None, ...]:
    """Return for each step, per axis, how many input cells hold 95 % of what a cell depends on.

    The receptive field says what can matter, this what does: cells in the middle reach an output
    by many more paths. With equal weights the shares of the input cells are a stack of windows
    laid over one another, whose variances add up to those of a bell curve; two standard deviations
    on both sides hold 95 %. Branches that are joined count alike. None where places are lost.

    Source: Luo, Li, Urtasun and Zemel, Understanding the Effective Receptive Field in Deep
    Convolutional Neural Networks, 2016.

    >>> from convcli.net import parse_notation
    >>> trace = parse_notation("input 99x99x1, repeat 20 (conv 1 3)").trace()
    >>> trace.steps[-1].receptive_field, round(effective_fields(trace)[-1][0], 1)
    ((41, 41), 14.6)
    """
    rank = len(trace.network.input_shape) - 1
    known: dict[int, tuple[float, ...] | None] = {0: (0.0,) * rank if rank else None}
    for step in trace.steps:
        sources = [found for source in step.sources if (found := known[source]) is not None]
        if not step.sources:
            known[step.index] = (0.0,) * (len(step.output_shape) - 1) or None
            continue
        if step.fields is None or not sources:
            known[step.index] = None
            continue
        means = [sum(axis) / len(sources) for axis in zip(*sources, strict=True)]
        known[step.index] = tuple(
            variance + _spread(step.reads[axis], trace, step, axis) if step.reads else variance
            for axis, variance in enumerate(means)
        )
    return tuple(
        None if (found := known[step.index]) is None else tuple(max(1, 4 * sqrt(v)) for v in found)
        for step in trace.steps
    )


def _spread(axis: AxisMap, trace: Trace, step: Step, number: int) -> float:
    """Return the variance, in input cells, of the cells that one window reads."""
    source = step.sources[0]
    before = trace.steps[source - 1].fields if source else (POINT,)
    field = before[number if source else 0] if before else POINT
    jump = field.advance / len(field.spans)
    cells = [cell for phase in range(min(axis.period, 64)) for cell in [axis.reads(phase)]]
    spreads = [(len(read) ** 2 - 1) / 12 * read.step**2 for read in cells if len(read)]
    return jump**2 * sum(spreads) / max(1, len(spreads))


MAX_CELLS = 200_000
"""Above this many cells along an axis the exact set is replaced by its hull."""

Rectangle = tuple[tuple[int, int] | None, ...]
"""First and last input cell per axis; None for an axis that only padding reaches."""

Cells = range | set[int]


def input_rectangle(trace: Trace, which: int | str, cell: tuple[int, ...]) -> Rectangle:
    """Return the input cells, per axis, that one output cell of a step depends on.

    Unlike the field of `Step`, which is the same for every cell, this is clipped at each layer's
    borders: cells of the padding depend on nothing. Gates by the whole map are left out, as there.

    Args:
        trace: the network followed.
        which: index or name of the step.
        cell: zero-based place in that step's output, one number for each spatial axis.

    >>> from convcli.net import parse_notation
    >>> trace = parse_notation("input 28x28x1, conv 16 3, maxpool 2, conv 32 3 p1").trace()
    >>> input_rectangle(trace, "conv2", (0, 5))
    ((0, 5), (8, 15))

    Raises:
        UsageError: no such step, or no such cell.
    """
    step = trace.step(which)
    extents = step.output_shape[:-1]
    if len(cell) != len(extents):
        raise UsageError(
            f"A cell of layer {step.index} {step.name} ({shape_text(step.output_shape)}) has "
            f"{len(extents)} coordinates, not {len(cell)}."
        )
    check_place(step, cell, extents)
    whole = trace.network.input_shape[:-1] or trace.network.input_shape
    if step.fields is None:
        return tuple((0, extent - 1) for extent in whole)
    return tuple(_hull(_input_cells(trace, step, axis, place)) for axis, place in enumerate(cell))


def check_place(step: Step, place: tuple[int, ...], extents: tuple[int, ...]) -> None:
    """Refuse a place outside the extents of a step's output.

    Raises:
        UsageError: with the place, the shape and the axis' last number.
    """
    for number, extent in zip(place, extents, strict=True):
        if not 0 <= number < extent:
            raise UsageError(
                f"There is no cell {','.join(map(str, place))} in layer {step.index} {step.name} "
                f"({shape_text(step.output_shape)}). Use 0 to {extent - 1} on that axis."
            )


def _input_cells(trace: Trace, step: Step, axis: int, place: int) -> Cells:
    """Return the cells of the input, along one axis, that a cell of `step` depends on."""
    wanted: dict[int, Cells] = {step.index: {place}}
    for current in reversed(trace.steps[: step.index]):
        cells = wanted.pop(current.index, None)
        if not cells:
            continue
        for source, shape in zip(current.sources, current.input_shapes, strict=False):
            if source and trace.steps[source - 1].fields is None:
                continue  # a gate, see `GATED`
            read = cells
            if current.reads:
                read = _read(cells, current.reads[axis], shape[axis])
            wanted[source] = _merged(wanted.get(source, set()), read)
    return wanted.get(0, set())


def _read(cells: Cells, axis: AxisMap, extent: int) -> Cells:
    """Return the cells of the layer's input, inside its borders, that `cells` read."""
    first, last = _ends(cells)
    ends = axis.reads(first), axis.reads(last)
    if len(cells) * max(1, *map(len, ends)) > MAX_CELLS:
        reached = [cell for end in ends for cell in (*end[:1], *end[-1:])]
        return range(max(0, min(reached, default=0)), min(extent, max(reached, default=-1) + 1))
    return {read for cell in cells for read in axis.reads(cell) if 0 <= read < extent}


def _merged(one: Cells, other: Cells) -> Cells:
    if not one or not other:
        return one or other
    if len(one) + len(other) > MAX_CELLS:
        return range(min(*_ends(one), *_ends(other)), max(*_ends(one), *_ends(other)) + 1)
    return {*one, *other}


def _ends(cells: Cells) -> tuple[int, int]:
    """Return the first and last of some cells; ranges here go upwards."""
    return (cells[0], cells[-1]) if isinstance(cells, range) else (min(cells), max(cells))


def _hull(cells: Cells) -> tuple[int, int] | None:
    return _ends(cells) if cells else None
