"""Inputs that excite units most: gradient ascent on the input, mildly regularized."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError, UsageError
from convcli.inspect.probe import Probe
from convcli.inspect.render import input_limits
from convcli.layers.base import shape_text
from convcli.net.field import input_rectangle
from convcli.net.trace import Step

Values = NDArray[np.floating[Any]]
Gradient = Callable[[Values], Values]
"""(N, *shape) samples to the gradients of each one's own score."""


@dataclass(frozen=True, slots=True)
class Ascent:
    """How the input climbs.

    After Yosinski et al. 2015 (Understanding Neural Networks Through Deep Visualization): decay
    and blur keep the picture plain. The shifts are the jitter of Mordvintsev, Olah and Tyka 2015
    (Inceptionism): a pattern must excite the unit wherever it lies to the cell.

    Attributes:
        steps: how many; rate, decay and blur fall evenly to 0.
        rate: root mean square change of the first step, as a share of the range.
        decay: share of the way back to the middle in the first step.
        blur: share of each cell that is spread over its neighbors in the first step.
        jitter: the input is shifted by up to this many cells while a gradient is taken.
        seed: of the first noise and of the shifts.
    """

    steps: int = 100
    rate: float = 0.1
    decay: float = 0.04
    blur: float = 0.3
    jitter: int = 1
    seed: int = 0


def climb(
    gradient: Gradient,
    count: int,
    shape: tuple[int, ...],
    limits: tuple[Values | float, Values | float],
    ascent: Ascent = Ascent(),
) -> Iterator[Values]:
    """Yield `count` inputs, each of which excites its own unit: at first, and after each step.

    Args:
        gradient: of each sample's own score.
        count: units.
        shape: of one input, channels last.
        limits: smallest and largest input, a number or one per channel.
        ascent: how.

    >>> *_, bright = climb(lambda x: np.ones_like(x), 1, (2, 2, 1), (0.0, 255.0))
    >>> bool((bright > 200).all())
    True
    """
    low, high = (np.broadcast_to(np.asarray(limit, np.float32), shape) for limit in limits)
    middle, span = (low + high) / 2, high - low
    random = np.random.default_rng(ascent.seed)
    noise = random.standard_normal((1, *shape)) * 0.02
    inputs: Values = np.repeat(middle + span * noise, count, axis=0).astype(np.float32)
    spatial = tuple(range(1, len(shape)))
    yield inputs
    for step in range(ascent.steps):
        shift = [int(n) for n in random.integers(-ascent.jitter, ascent.jitter + 1, len(spatial))]
        shifted = np.ascontiguousarray(np.roll(inputs, shift, spatial))
        slope = np.roll(gradient(shifted), [-n for n in shift], spatial)
        left = 1 - step / ascent.steps
        inputs = inputs + ascent.rate * left * span * _unit(slope)
        inputs = middle + (1 - ascent.decay * left) * (inputs - middle)
        inputs = _blurred(inputs, ascent.blur * left, spatial)
        inputs = np.clip(inputs, low, high).astype(np.float32)
        yield inputs


def _unit(slopes: Values) -> Values:
    """Return each sample's slope with a root mean square of 1; a flat one stays flat."""
    axes = tuple(range(1, slopes.ndim))
    size = np.sqrt(np.mean(np.square(slopes, dtype=np.float64), axis=axes, keepdims=True))
    scaled: Values = np.divide(slopes, size, out=np.zeros_like(slopes), where=size > 0)
    return scaled


def _blurred(inputs: Values, share: float, axes: tuple[int, ...]) -> Values:
    """Return the inputs with `share` of each cell given to its two neighbors, axis by axis."""
    for axis in axes:
        if inputs.shape[axis] == 1:
            continue
        edge = [(0, 0)] * inputs.ndim
        edge[axis] = (1, 1)
        padded = np.pad(inputs, edge, mode="edge")
        size = inputs.shape[axis]
        before, after = (np.take(padded, range(k, k + size), axis) for k in (0, 2))
        inputs = (1 - share) * inputs + share / 2 * (before + after)
    return inputs


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
    """An input that excites a unit, prepared, or the part of it that the unit sees.

    `before` is the unit's value for a flat gray input, ahead of its activation; `after` for this,
    which `steps` of the ascent led to.
    """

    step: Step
    channel: int
    sample: Values
    before: float
    after: float
    steps: int


def units_of(
    probe: Probe, wanted: Sequence[tuple[str, int | None]], limit: int
) -> list[list[Unit]]:
    """Return the units to excite, a list for each layer, shallow to deep.

    `wanted` names layer and channel, or a layer for its first channels; none is all layers with
    weights.
    """
    if not wanted:
        wanted = [(step.name, None) for step in probe.trace.steps if "kernel" in step.weights]
        if not wanted:
            raise InputError("The network has no layer with weights whose units could be shown.")
    units = []
    for layer, channel in wanted:
        step = probe.trace.step(layer)
        count = step.output_shape[-1]
        if channel is not None and channel >= count:
            raise UsageError(
                f"Layer {step.name} ({shape_text(step.output_shape)}) has no channel {channel}. "
                f"Use 0 to {count - 1}."
            )
        most = limit if step.index < len(probe.trace.steps) else max(limit, ANSWERS)
        channels = range(min(count, most)) if channel is None else [channel]
        units += [Unit(step, one) for one in channels]
    units.sort(key=lambda unit: unit.step.index)
    return [list(some) for _, some in groupby(units, key=lambda unit: unit.step.index)]


def excite(
    probe: Probe,
    units: Sequence[Unit],
    ascent: Ascent,
    *,
    moments: Collection[int] = (),
    on_step: Callable[[], object] | None = None,
) -> list[Excited]:
    """Return an input for each of a layer's units; all climb from the same first noise.

    Of a map the middle cell is excited, and the input is cut to what that cell sees. A silent unit
    finds the way up: what climbs is the number before the activation. With `moments`, the inputs
    after so many steps, unit by unit.
    """
    step = replace(units[0].step, activation=None)
    middle = tuple(extent // 2 for extent in step.output_shape[:-1])
    limits = input_limits(probe)
    at_rest = probe.values(((limits[0] + limits[1]) / 2)[np.newaxis], step)[0]
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
            return probe.slopes(inputs, step, seeds)

        states = climb(gradient, len(some), probe.input_shape, limits, ascent)
        taken = []
        for number, inputs in enumerate(states):
            if number and on_step:
                on_step()
            if number not in (moments or (ascent.steps,)):
                continue
            values = probe.values(inputs, step)
            taken.append(
                [
                    Excited(
                        step,
                        unit.channel,
                        _cut(probe, step, middle, sample) if is_part else sample,
                        float(at_rest[(*middle, unit.channel)]),
                        float(value[(*middle, unit.channel)]),
                        number,
                    )
                    for unit, sample, value in zip(some, inputs, values, strict=True)
                ]
            )
        found += [one for unit_by_unit in zip(*taken, strict=True) for one in unit_by_unit]
    return found


def _cut(probe: Probe, step: Step, cell: tuple[int, ...], sample: Values) -> Values:
    """Return the part of an input that one cell depends on; all of it where that is nothing."""
    seen = input_rectangle(probe.trace, step.index, cell)
    if None in seen:
        return sample
    return sample[tuple(slice(span[0], span[1] + 1) for span in seen if span is not None)]
