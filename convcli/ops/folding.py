"""What a network needs not compute when it only predicts.

A batch norm behind a convolution is one factor and one summand for each channel: they go into its
weights. A layer scale does too, dropout is nothing, and an activation with a row of its own is that
of the layer before it, which then applies it while its numbers are at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from convcli.layers.activation import ACTIVATIONS, Activation
from convcli.layers.conv import TransposedConv
from convcli.layers.norm import BatchNorm
from convcli.net.trace import Step, Trace
from convcli.ops.rule import Array

SCALED = {"conv": "kernel", "dwconv": "kernel", "sepconv": "pointwise", "upconv": "kernel",
          "dense": "kernel"}  # fmt: skip
"""Layers whose output channels can be scaled by an array, and its name."""
VIEWS = {"flatten", "reshape"}
"""Layers whose output lies where their input does, so that it must not be changed in place."""


@dataclass
class Folding:
    """A network as it predicts.

    Attributes:
        trace: the steps that are left, numbered anew.
        outputs: where the network's outputs stand among them, 0 for its input; the last step of a
            network with one.
        norms: name of a step -> the steps that went into its weights, in order.
    """

    trace: Trace
    outputs: tuple[int, ...] = ()
    norms: dict[str, list[Step]] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, tuple[int, ...]]:
        """`step.array` -> shape of what differs from the network's own parameters."""
        steps = (self.trace.step(name) for name in self.norms)
        return {
            f"{step.name}.{name}": step.weights[name]
            for step in steps
            for name in (SCALED[step.op], "bias")
        }

    def folded(self, numbers: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        """Yield the arrays from the network's parameters and running statistics by name."""
        for name, norms in self.norms.items():
            step = self.trace.step(name)
            kernel = numbers[f"{name}.{SCALED[step.op]}"]
            bias: Array = np.zeros(step.weights["bias"])
            if f"{name}.bias" in numbers:
                bias = bias + numbers[f"{name}.bias"]
            factor = np.ones_like(bias)
            for norm in norms:
                by, plus = _affine(norm, numbers)
                factor, bias = factor * by, bias * by + plus
            yield f"{name}.{SCALED[step.op]}", kernel * _by_output(step, factor).astype(np.float32)
            yield f"{name}.bias", bias


def fold(trace: Trace, steps: tuple[Step, ...]) -> Folding:
    """Return what is left of the steps of a trace."""
    readers: dict[int, int] = {}
    for step in steps:
        for source in step.sources:
            readers[source] = readers.get(source, 0) + 1
    ends = [step.index for step in steps if step.index not in readers] or [0]
    kept: list[Step] = []
    now = {0: 0}
    norms: dict[str, list[Step]] = {}
    for step in steps:
        if not step.sources:
            now[step.index] = len(kept) + 1
            kept.append(replace(step, index=len(kept) + 1))
            continue
        before = now[step.sources[0]]
        alone = before > 0 and readers[step.sources[0]] == 1
        now[step.index] = before
        if step.op in {"dropout", "dropout2d"}:
            readers[step.sources[0]] += readers.get(step.index, 1) - 1  # an output is read, too
            readers[step.index] = readers[step.sources[0]]
        elif alone and _takes_norm(kept[before - 1], step):
            last = kept[before - 1]
            norms.setdefault(last.name, []).append(step)
            bias = last.weights | {"bias": step.output_shape[-1:]}
            kept[before - 1] = replace(last, weights=bias)
        elif alone and _takes_activation(kept[before - 1], step):
            kept[before - 1] = replace(kept[before - 1], activation=step.layer.kind)  # type: ignore[attr-defined]  # it is one
        else:
            sources = tuple(now[source] for source in step.sources)
            now[step.index] = len(kept) + 1
            kept.append(replace(step, index=len(kept) + 1, sources=sources))
    return Folding(replace(trace, steps=tuple(kept)), tuple(now[end] for end in ends), norms)


def _takes_norm(last: Step, step: Step) -> bool:
    return step.op in {"bn", "layerscale"} and last.op in SCALED and last.activation is None


def _takes_activation(last: Step, step: Step) -> bool:
    return (
        isinstance(step.layer, Activation)
        and step.layer.numbers == ACTIVATIONS[step.layer.kind].numbers
        and last.activation is None
        and last.op not in VIEWS
        and not isinstance(last.layer, Activation)
    )


def _affine(norm: Step, numbers: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return by what a step multiplies each channel, and what it adds."""

    def of(name: str) -> Array:
        return numbers[f"{norm.name}.{name}"].astype(np.float64)

    if not isinstance(norm.layer, BatchNorm):
        return of("scale"), np.zeros(norm.weights["scale"])
    inverse = 1 / np.sqrt(of("variance") + norm.layer.eps)
    factor = of("scale") * inverse if norm.layer.scale else inverse
    return factor, of("shift") - of("mean") * factor


def _by_output(step: Step, factor: Array) -> Array:
    """Return a factor for each output channel as it multiplies the step's array."""
    if step.op == "dwconv":
        return factor.reshape(step.weights["kernel"][-2:])
    if isinstance(step.layer, TransposedConv):
        *_, inputs, outputs = step.weights["kernel"]
        return np.repeat(factor.reshape(-1, outputs), inputs // step.layer.groups, axis=0)
    return factor
