"""One number of a trained model, spelled out: the sum that made it, and its gradient's way back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError, UsageError
from convcli.inspect.arithmetic import PoolingWindow
from convcli.inspect.probe import Probe
from convcli.layers import AveragePool
from convcli.layers.base import shape_text
from convcli.net.field import check_place
from convcli.net.trace import Step
from convcli.ops.activation import apply
from convcli.sums import Place, Sum, Term

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Forward:
    """How one cell of a layer's output came about.

    Attributes:
        step: the layer.
        place: of the cell: row, column and channel, or the unit.
        source: a sum, or a pooling window.
        before: the number before the activation.
        output: the number as the layer hands it on.
    """

    step: Step
    place: Place
    source: Sum | PoolingWindow
    before: float
    output: float


@dataclass(frozen=True, slots=True)
class Share:
    """What one input of a cell gets back, and the weight through which it came in.

    A place of None is padding; a weight of None, a layer that has none to learn.
    """

    place: Place | None
    value: float
    weight: float | None
    to_input: float
    to_weight: float | None


@dataclass(frozen=True, slots=True)
class Backward:
    """One cell on the way back from the loss.

    Attributes:
        forward: how the cell came about.
        label: index of the class that is taken for the truth.
        loss: cross-entropy in nats, -log of that class' probability.
        upstream: dloss/doutput of the cell.
        slope: derivative of the activation at the cell.
        shares: what it hands on to each of its inputs and weights.
    """

    forward: Forward
    label: int
    loss: float
    upstream: float
    slope: float
    shares: tuple[Share, ...]

    @property
    def delta(self) -> float:
        """Dloss/d(number before the activation): what goes to inputs and weights."""
        return self.upstream * self.slope


def forward_unit(
    probe: Probe, inputs: Values, layer: str, place: tuple[int, ...], channel: int = 0
) -> Forward:
    """Return how one number of a layer came about for the first of `inputs`.

    `place` has a number for each spatial axis of the layer's output; of a vector it is the unit.
    """
    step, cell = _cell(probe, layer, place, channel)
    values = probe.run(inputs).values
    sources = [values[index][0] for index in step.sources]
    source = _source(probe, step, sources, cell)
    before = source.result if isinstance(source, PoolingWindow) else source.total
    return Forward(step, cell, source, before, float(values[step.index][0][cell]))


def backward_unit(
    probe: Probe,
    inputs: Values,
    layer: str,
    place: tuple[int, ...],
    channel: int = 0,
    label: int | None = None,
) -> Backward:
    """Return what one cell hears from the loss and hands on, for the first of `inputs`.

    The class taken for the truth is the likeliest unless told otherwise.
    """
    forward = forward_unit(probe, inputs, layer, place, channel)
    logits = probe.logits(inputs[:1])[0].astype(np.float64)
    label = int(logits.argmax()) if label is None else label
    probabilities = apply("softmax", logits)[0]
    seed = probabilities.copy()
    seed[label] -= 1
    _, slopes = probe.slopes_at(inputs[:1], forward.step, probe.seed(seed))
    upstream = float(slopes[0][forward.place])
    slope = _derivative(forward.step.activation, forward.before)
    shares = tuple(_shares(forward, upstream * slope))
    return Backward(forward, label, -math.log(probabilities[label]), upstream, slope, shares)


def _cell(probe: Probe, layer: str, place: tuple[int, ...], channel: int) -> tuple[Step, Place]:
    """Return the step and the full index into its output."""
    step = probe.trace.step(layer)
    shape = step.output_shape
    cell = (*place, channel) if len(shape) > 1 else place
    if len(cell) != len(shape):
        wanted = "UNIT" if len(shape) == 1 else ",".join(("DEPTH", "ROW", "COL")[-len(shape) + 1 :])
        raise UsageError(
            f"Layer {step.name} gives {shape_text(shape)}; its cells are written "
            f"{step.name}:{wanted}, not {step.name}:{','.join(map(str, place))}."
        )
    check_place(step, cell, shape)
    return step, cell


def _derivative(activation: str | None, value: float) -> float:
    _, back = apply(activation, np.array([value]))
    return float(back(np.ones(1))[0])


def _shares(forward: Forward, delta: float) -> list[Share]:
    source = forward.source
    if isinstance(source, PoolingWindow):
        return [
            Share(place, value, None, share * delta, None)
            for place, value, share in zip(source.places, source.values, source.shares, strict=True)
        ]
    learned = bool(forward.step.weights)
    return [
        Share(
            term.place,
            term.value,
            term.weight,
            delta * term.weight + 0.0,  # no -0
            delta * term.value + 0.0 if learned and forward.step.op != "bn" else None,
        )
        for term in source.terms
    ]


def _source(probe: Probe, step: Step, sources: list[Values], cell: Place) -> Sum | PoolingWindow:
    rule = RULES.get(step.layer.op)
    if rule is None:
        known = ", ".join(sorted(RULES))
        raise InputError(
            f"Layer {step.name} ({step.op}) makes no sum that can be spelled out; "
            f"these do: {known}."
        )
    weights = {name: probe.parameters[f"{step.name}.{name}"] for name in step.weights}
    buffers = probe.buffers
    weights |= {name: buffers[f"{step.name}.{name}"] for name in step.buffer_shapes}
    return rule(step, weights, sources, cell)


def _taps(step: Step, cell: Place) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return pairs of tap and input place, spatial axes only, taps row by row."""
    axes = [list(axis.reads(at)) for axis, at in zip(step.reads or (), cell, strict=False)]
    taps = itertools.product(*(range(len(reads)) for reads in axes))
    places = itertools.product(*axes)
    return list(zip(taps, places, strict=True))


def _inside(place: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(0 <= at < size for at, size in zip(place, shape, strict=False))


def _name(step: Step, cell: Place) -> str:
    return f"{step.name}[{','.join(map(str, cell))}]"


def _conv(step: Step, weights: Mapping[str, Values], sources: list[Values], cell: Place) -> Sum:
    kernel, (x,), out = weights["kernel"], sources, cell[-1]
    of_group = kernel.shape[-2]
    first = out // (kernel.shape[-1] // (x.shape[-1] // of_group)) * of_group
    terms = []
    for tap, place in _taps(step, cell):
        inside = _inside(place, x.shape)
        for channel in range(of_group):
            at = (*place, first + channel)
            value = float(x[at]) if inside else 0.0
            terms.append(Term(value, float(kernel[(*tap, channel, out)]), at if inside else None))
    return Sum(_name(step, cell), tuple(terms), _bias(weights, out))


def _depthwise(
    step: Step, weights: Mapping[str, Values], sources: list[Values], cell: Place
) -> Sum:
    kernel, (x,) = weights["kernel"], sources
    channel, multiple = divmod(cell[-1], kernel.shape[-1])
    terms = []
    for tap, place in _taps(step, cell):
        at = (*place, channel) if _inside(place, x.shape) else None
        value = float(x[at]) if at else 0.0
        terms.append(Term(value, float(kernel[(*tap, channel, multiple)]), at))
    return Sum(_name(step, cell), tuple(terms), _bias(weights, cell[-1]))


def _dense(step: Step, weights: Mapping[str, Values], sources: list[Values], cell: Place) -> Sum:
    row, kernel = sources[0][cell[:-1]], weights["kernel"]
    terms = tuple(
        Term(float(value), float(weight), (*cell[:-1], index))
        for index, (value, weight) in enumerate(zip(row, kernel[:, cell[-1]], strict=True))
    )
    return Sum(_name(step, cell), terms, _bias(weights, cell[-1]))


def _batch_norm(
    step: Step, weights: Mapping[str, Values], sources: list[Values], cell: Place
) -> Sum:
    """Batch norm of a trained model is one factor and one summand for each channel."""
    channel = cell[-1]
    variance, mean = (float(weights[name][channel]) for name in ("variance", "mean"))
    scale = float(weights["scale"][channel]) if "scale" in weights else 1.0
    factor = scale / math.sqrt(variance + getattr(step.layer, "eps", 0.0))
    term = Term(float(sources[0][cell]), factor, cell)
    return Sum(_name(step, cell), (term,), float(weights["shift"][channel]) - mean * factor)


def _added(step: Step, weights: Mapping[str, Values], sources: list[Values], cell: Place) -> Sum:
    terms = tuple(Term(float(source[cell]), 1.0, cell) for source in sources)
    return Sum(_name(step, cell), terms)


def _largest(
    step: Step, weights: Mapping[str, Values], sources: list[Values], cell: Place
) -> PoolingWindow:
    places, values = _window(step, sources[0], cell)
    chosen = values.index(max(values))
    shares = tuple(float(index == chosen) for index in range(len(values)))
    return PoolingWindow(places, values, max(values), shares)


def _mean(
    step: Step, weights: Mapping[str, Values], sources: list[Values], cell: Place
) -> PoolingWindow:
    places, values = _window(step, sources[0], cell)
    cells = len(values)
    if isinstance(step.layer, AveragePool) and step.layer.count_padding:
        cells = math.prod(step.layer.kernel)
    return PoolingWindow(places, values, math.fsum(values) / cells, (1 / cells,) * len(values))


def _window(step: Step, x: Values, cell: Place) -> tuple[tuple[Place, ...], tuple[float, ...]]:
    """Return the real cells of a pooling window and their values; all cells for a global pool."""
    if step.reads is None:
        spots = list(itertools.product(*map(range, x.shape[:-1])))
    else:
        spots = [place for _, place in _taps(step, cell) if _inside(place, x.shape)]
    places = tuple((*spot, cell[-1]) for spot in spots)
    return places, tuple(float(x[place]) for place in places)


def _bias(weights: Mapping[str, Values], out: int) -> float:
    return float(weights["bias"][out]) if "bias" in weights else 0.0


RULES: dict[str, Callable[..., Sum | PoolingWindow]] = {
    "conv": _conv,
    "dwconv": _depthwise,
    "dense": _dense,
    "bn": _batch_norm,
    "add": _added,
    "activation": _added,
    "maxpool": _largest,
    "gmp": _largest,
    "avgpool": _mean,
    "gap": _mean,
    "adaptavg": _mean,
}
"""Layer class's `op` to the rule that spells out one cell."""
