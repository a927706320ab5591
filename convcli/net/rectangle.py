"""Which part of the input one output cell depends on: exact, clipped at the borders."""

from __future__ import annotations

from convcli.errors import UsageError
from convcli.geometry import AxisMap
from convcli.layers.base import shape_text
from convcli.net.trace import Step, Trace

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
    for place, extent in zip(cell, extents, strict=True):
        if not 0 <= place < extent:
            raise UsageError(
                f"There is no cell {','.join(map(str, cell))} in layer {step.index} {step.name} "
                f"({shape_text(step.output_shape)}). Use 0 to {extent - 1}."
            )
    whole = trace.network.input_shape[:-1] or trace.network.input_shape
    if step.fields is None:
        return tuple((0, extent - 1) for extent in whole)
    return tuple(_hull(_input_cells(trace, step, axis, place)) for axis, place in enumerate(cell))


def _input_cells(trace: Trace, step: Step, axis: int, place: int) -> Cells:
    """Return the cells of the input, along one axis, that a cell of `step` depends on."""
    wanted: dict[int, Cells] = {step.index: {place}}
    for current in reversed(trace.steps[: step.index]):
        cells = wanted.pop(current.index, None)
        if not cells:
            continue
        for source, shape in zip(current.sources, current.input_shapes, strict=True):
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
