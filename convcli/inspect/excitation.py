"""Which units to excite, and the inputs that do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError, UsageError
from convcli.imaging.sheet import Cell
from convcli.inspect.maximize import Ascent, maximize
from convcli.inspect.portrait import input_limits, sample_picture
from convcli.inspect.subject import Subject
from convcli.layers.base import shape_text
from convcli.net.rectangle import input_rectangle
from convcli.net.trace import Step

Values = NDArray[np.floating[Any]]

BATCH = 16
"""Units climbed for at a time; bounds the memory."""
ANSWERS = 12
"""Classes shown of the last layer, whatever the limit for others."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One channel of a layer."""

    step: Step
    channel: int


@dataclass(frozen=True, slots=True, eq=False)
class Excited:
    """An input that excites a unit.

    Attributes:
        step: the layer.
        channel: of the layer.
        sample: the input, prepared, or the part of it that the unit sees.
        before: the unit's value for a flat gray input, before its activation.
        after: its value for the input found.
    """

    step: Step
    channel: int
    sample: Values
    before: float
    after: float


def units_of(
    subject: Subject, wanted: Sequence[tuple[str, int | None]], limit: int
) -> list[list[Unit]]:
    """Return the units to excite, a list for each layer, shallow to deep.

    Args:
        subject: the model.
        wanted: layer and channel, or a layer for its first channels; none for all layers with
            weights.
        limit: most channels of a layer that is named without a channel.

    Raises:
        UsageError: no such layer or channel.
        InputError: the network has no layer with weights.
    """
    if not wanted:
        wanted = [(step.name, None) for step in subject.trace.steps if "kernel" in step.weights]
        if not wanted:
            raise InputError("The network has no layer with weights whose units could be shown.")
    units = []
    for layer, channel in wanted:
        step = subject.trace.step(layer)
        count = step.output_shape[-1]
        if channel is not None and channel >= count:
            raise UsageError(
                f"Layer {step.name} ({shape_text(step.output_shape)}) has no channel {channel}. "
                f"Use 0 to {count - 1}."
            )
        most = limit if step.index < len(subject.trace.steps) else max(limit, ANSWERS)
        channels = range(min(count, most)) if channel is None else [channel]
        units += [Unit(step, one) for one in channels]
    units.sort(key=lambda unit: unit.step.index)
    return [list(some) for _, some in groupby(units, key=lambda unit: unit.step.index)]


def excite(
    subject: Subject,
    units: Sequence[Unit],
    ascent: Ascent,
    *,
    on_step: Callable[[], object] | None = None,
) -> list[Excited]:
    """Return an input for each of a layer's units; all climb from the same first noise.

    Of a map the middle cell is excited, and the input is cut to what that cell sees. A silent unit
    finds the way up: what climbs is the number before the activation.

    Args:
        subject: the model.
        units: of one layer.
        ascent: how the inputs climb.
        on_step: called after each step of each `BATCH` of units.
    """
    step = replace(units[0].step, activation=None)
    middle = tuple(extent // 2 for extent in step.output_shape[:-1])
    limits = input_limits(subject)
    at_rest = subject.values(((limits[0] + limits[1]) / 2)[np.newaxis], step)[0]
    is_part = step.fields is not None
    if is_part:  # what lies where matters to a single cell
        ascent = replace(ascent, jitter=0)
    found = []
    for begin in range(0, len(units), BATCH):
        some = units[begin : begin + BATCH]
        seeds = np.zeros((len(some), *step.output_shape), np.float32)
        for seed, unit in zip(seeds, some, strict=True):
            seed[(*middle, unit.channel)] = 1

        def gradient(inputs: Values, seeds: Values = seeds) -> Values:
            return subject.slopes(inputs, step, seeds)

        inputs = maximize(gradient, len(some), subject.input_shape, limits, ascent, on_step=on_step)
        values = subject.values(inputs, step)
        found += [
            Excited(
                step,
                unit.channel,
                _cut(subject, step, middle, sample) if is_part else sample,
                float(at_rest[(*middle, unit.channel)]),
                float(value[(*middle, unit.channel)]),
            )
            for unit, sample, value in zip(some, inputs, values, strict=True)
        ]
    return found


def _cut(subject: Subject, step: Step, cell: tuple[int, ...], sample: Values) -> Values:
    """Return the part of an input that one cell depends on; all of it where that is nothing."""
    seen = input_rectangle(subject.trace, step.index, cell)
    if None in seen:
        return sample
    return sample[tuple(slice(span[0], span[1] + 1) for span in seen if span is not None)]


def excited_cells(subject: Subject, found: Sequence[Excited]) -> list[Cell]:
    """Return a cell for each input found, a heading for each layer."""
    names = subject.trained.class_names
    last = subject.trace.steps[-1]
    cells = []
    for number, one in enumerate(found):
        is_answer = one.step.index == last.index
        name = names[one.channel] if is_answer else str(one.channel)
        new = number == 0 or found[number - 1].step.index != one.step.index
        field = shape_text(one.step.receptive_field) if one.step.stride else "the whole input"
        heading = f"{one.step.name}, field {field}" if new else ""
        cells.append(Cell(f"{name}: {one.after:.3g}", sample_picture(subject, one.sample), heading))
    return cells
