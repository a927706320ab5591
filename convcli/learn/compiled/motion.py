"""Walks a network's steps and lets each layer's rule append its rows, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from convcli.engine.calls import Base
from convcli.engine.operations import activation, copying
from convcli.learn.compiled.products import Map
from convcli.learn.compiled.program import Builder, Place, Region
from convcli.learn.parameters import Slot
from convcli.net.trace import Step, Trace


@dataclass(eq=False)
class Pooled:
    """The max-pooling behind a convolution: its value, its choices, its disjoint windows."""

    value: Value
    choice: Place
    pitch: int
    window: tuple[int, int]


@dataclass(eq=False)
class Value:
    """What a step computes: its place, and the place of the loss's gradient with respect to it."""

    shape: tuple[int, ...]
    place: Place
    needs_gradient: bool
    slope: Place | None = None
    arrived: int = 0
    """Gradients that consumers have sent so far."""
    rectified: bool = False
    """A ReLU whose gradient the following pooling applies, see `pooling`."""
    listable: bool = False
    """Whether its layer can read its gradient as a list, see `engine.operations.pooled`."""
    pooled: Pooled | None = None
    """A max-pooling that leaves its backward to the convolution before it."""
    used_extent: tuple[int, int, int] | None = None
    """Cells that the only consumer reads, from the first; None: all."""

    @property
    def size(self) -> int:
        """Numbers of one sample."""
        return prod(self.shape)

    @property
    def map(self) -> Map:
        """The value as a map, as far as it is used."""
        whole = Map.whole(self.place, self.shape)
        return whole.inside((0, 0, 0), self.used_extent) if self.used_extent else whole


class Motion:
    """One program in the making.

    Attributes:
        builder: collects the rows.
        values: step index -> value; 0 is the input.
        training: whether dropout drops and batch norm uses the batch's statistics.
        buffers: running statistic -> its place in the shared memory.
        scaling: place of the factor and summand of the samples.
        constants: of the loss, see `convcli.engine.operations.losses`.
    """

    def __init__(
        self,
        trace: Trace,
        places: dict[str, Slot],
        *,
        training: bool,
        frozen: frozenset[str] = frozenset(),
        lanes: int = 1,
    ) -> None:
        self.builder = Builder(lanes=lanes)
        self.trace = trace
        self.places = places
        self.training = training
        self.frozen = frozen
        self.values: dict[int, Value] = {}
        self.buffers: dict[str, Place] = {}
        self.scaling = self.builder.constant(np.array([1.0, 0.0], np.float32))
        self.constants = self.builder.constant(np.zeros(3, np.float32))
        self.readers: dict[int, list[Step]] = {}
        for step in trace.steps:
            for source in step.sources:
                self.readers.setdefault(source, []).append(step)

    def weight(self, step: Step, name: str) -> Place:
        """Return the place of a parameter."""
        slot = self.places[f"{step.name}.{name}"]
        return Place(Region(slot.size, Base.PARAMETERS, slot.offset))

    def bias(self, step: Step, size: int) -> Place:
        """Return the step's bias, or zeros."""
        if "bias" in step.weights:
            return self.weight(step, "bias")
        return self.builder.constant(np.zeros(size, np.float32))

    def weight_slope(self, step: Step, name: str) -> Place:
        """Return the place of a parameter's gradient in the lane."""
        slot = self.places[f"{step.name}.{name}"]
        return Place(Region(slot.size, Base.GRADIENT, slot.offset))

    def learns(self, step: Step) -> bool:
        """Tell whether the step has parameters that are not frozen."""
        return self.training and bool(step.weights) and step.name not in self.frozen

    def statistic(self, step: Step, name: str) -> Place:
        """Return the place of a running statistic, in the shared memory."""
        key = f"{step.name}.{name}"
        if key not in self.buffers:
            self.buffers[key] = self.builder.shared_place(prod(step.buffer_shapes[name]))
        return self.buffers[key]

    def value(self, step: Step, *sources: Value, honors_extent: bool = False) -> Value:
        """Return a fresh value for what the step computes.

        A rule that `honors_extent` writes and reads the value and its gradient as maps, which end
        where the only consumer stops reading; all others get the whole value.
        """
        needs = self.learns(step) or any(source.needs_gradient for source in sources)
        place = self.builder.region(prod(step.output_shape))
        value = Value(step.output_shape, place, needs)
        if honors_extent:
            value.used_extent = self._used_extent(step)
        return value

    def _used_extent(self, step: Step) -> tuple[int, int, int] | None:
        """Return how many cells the only reader, a pooling without padding, reads of each axis."""
        reader = self.only_reader(step)
        windows = getattr(reader.layer, "windows", None) if reader else None
        if reader is None or reader.op not in {"maxpool", "avgpool"} or windows is None:
            return None
        axes = windows(step.output_shape)
        if any(axis.before or axis.after for axis in axes):
            return None
        sizes = zip(axes, step.output_shape, reader.output_shape, strict=False)
        read = [min(size, (count - 1) * axis.stride + axis.kernel) for axis, size, count in sizes]
        d, h, w = (1,) * (3 - len(read)) + tuple(read)
        return (d, h, w)

    def only_reader(self, step: Step) -> Step | None:
        """Return the one step that reads this one, or None."""
        readers = self.readers.get(step.index, [])
        return readers[0] if len(readers) == 1 else None

    def backward(self, half: Callable[[], None]) -> None:
        """Remember the backward half of the rows just appended."""
        self.builder.tape.append(half)

    def slope_of(self, value: Value) -> Place:
        """Return the complete gradient of a value; zeros when nothing reads it."""
        if value.slope is None:
            value.slope = self.builder.region(value.size)
            self.builder.sample(copying.clear, value.slope, value.size)
        return value.slope

    def slope_map(self, value: Value) -> Map:
        """Return the gradient as a map, as far as the value is used."""
        whole = Map.whole(self.slope_of(value), value.shape)
        return whole.inside((0, 0, 0), value.used_extent) if value.used_extent else whole

    def send(self, value: Value, write: Callable[[Place], None]) -> None:
        """Let `write` append rows that write a gradient of `value`; later ones are added up."""
        if not value.needs_gradient:
            return
        if value.slope is None:
            value.slope = self.builder.region(value.size)
            write(value.slope)
            return
        part = self.builder.region(value.size)
        write(part)
        self.builder.sample(
            copying.copy, value.slope, part, value.size, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1
        )

    def activate(self, kind: str | None, value: Value) -> Place:
        """Apply an activation, in place if its gradient allows; return where its input is."""
        if kind is None:
            return value.place
        before = value.place
        if kind in activation.NEEDS_INPUT:
            value.place = self.builder.region(value.size)
        last = (value.shape[-1],) if kind == "softmax" else ()
        self.builder.sample(activation.FORWARD[kind], value.place, before, value.size, *last)
        return before

    def deactivate(self, kind: str | None, value: Value, before: Place) -> None:
        """Turn the gradient behind an activation into that before it, in place."""
        if kind is None or value.rectified:
            return
        slope = self.slope_of(value)
        last = (value.shape[-1],) if kind == "softmax" else ()
        self.builder.sample(
            activation.BACKWARD[kind], slope, slope, value.place, before, value.size, *last
        )
