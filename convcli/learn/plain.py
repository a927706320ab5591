"""A network run layer by layer in NumPy: every activation and gradient, in any float type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.errors import InputError
from convcli.learn.arrays import Array
from convcli.learn.rules import activation, conv, dense, joins, norm, pool, rearrange, recurrent
from convcli.learn.rules.base import Context, Weights
from convcli.net.trace import Step, Trace

RULES: dict[str, Callable[..., tuple[Array, Any]]] = {
    "conv": conv.conv,
    "dwconv": conv.depthwise,
    "sepconv": conv.separable,
    "upconv": conv.transposed,
    "maxpool": pool.largest,
    "gmp": pool.largest,
    "avgpool": pool.mean,
    "gap": pool.mean,
    "adaptavg": pool.mean,
    "dense": dense.dense,
    "flatten": dense.reshape,
    "reshape": dense.reshape,
    "dropout": dense.dropout,
    "bn": norm.batch_norm,
    "ln": norm.layer_norm,
    "gn": norm.group_norm,
    "activation": activation.activation,
    "prelu": activation.prelu,
    "pad": rearrange.pad,
    "crop": rearrange.crop,
    "shuffle": rearrange.shuffle,
    "upsample": rearrange.upsample,
    "lstm": recurrent.lstm,
}
"""Layer class's `op` -> rule."""

JOINS: dict[str, Callable[..., tuple[Array, Any]]] = {
    "add": joins.add,
    "concat": joins.concat,
    "scale": joins.multiply,
}


def not_in_motion(step: Step) -> InputError:
    """Return the sentence for a layer that exists on paper only."""
    return InputError(
        f"layer {step.index} {step.name}: {step.op} can be calculated with `shape`, but not run "
        f"or trained. Leave it out or replace it; {', '.join(sorted({*RULES, *JOINS}))} can."
    )


@dataclass
class Pass:
    """One forward pass.

    Attributes:
        values: step index -> activations (N, *shape); 0 is the input.
        buffers: the running statistics behind it, `step.name` -> array.
    """

    trace: Trace
    values: dict[int, Array]
    buffers: dict[str, Array]
    halves: dict[int, Callable[[Array], tuple[tuple[Array, ...], Weights]]]

    @property
    def output(self) -> Array:
        """What the last step computed."""
        return self.values[len(self.trace.steps)]

    def backward(self, slopes: dict[int, Array]) -> tuple[Array, dict[str, Array]]:
        """Return the gradients of the input and of all parameters.

        Args:
            slopes: step index -> gradient of some number with respect to the step's value.
        """
        gradients: dict[str, Array] = {}
        arrived = self.arrivals(slopes, gradients)
        return arrived.get(0, np.zeros_like(self.values[0])), gradients

    def arrivals(
        self, slopes: dict[int, Array], gradients: dict[str, Array] | None = None
    ) -> dict[int, Array]:
        """Return the gradient with respect to the value of every step that `slopes` reach.

        Args:
            slopes: as for `backward`.
            gradients: takes up those of the parameters.
        """
        arrived = dict(slopes)
        for step in reversed(self.trace.steps):
            if step.index not in arrived:
                continue
            parts, found = self.halves[step.index](arrived[step.index])
            if gradients is not None:
                gradients |= {f"{step.name}.{name}": value for name, value in found.items()}
            for source, part in zip(step.sources, parts, strict=True):
                arrived[source] = arrived[source] + part if source in arrived else part
        return arrived


def run(
    trace: Trace,
    parameters: dict[str, Array],
    buffers: dict[str, Array],
    x: Array,
    *,
    training: bool = False,
    seed: int = 0,
    step_number: int = 0,
) -> Pass:
    """Run a network on samples `x` (N, *input shape), all steps in the type of `x`.

    Raises:
        InputError: a layer exists on paper only.
    """
    values, halves = {0: x}, {}
    renewed = dict(buffers)
    for step in trace.steps:
        own = {name: buffers[f"{step.name}.{name}"] for name in step.buffer_shapes}
        context = Context(training, own, step.index, seed, step_number)
        sources = tuple(values[source] for source in step.sources)
        values[step.index], halves[step.index] = _step(step, parameters, sources, context)
        renewed |= {f"{step.name}.{name}": value for name, value in context.buffers.items()}
    return Pass(trace, values, renewed, halves)


def alone(
    step: Step,
    parameters: dict[str, Array],
    buffers: dict[str, Array],
    sources: tuple[Array, ...],
    *,
    seed: int = 0,
) -> Array:
    """Return what one step makes of given inputs, in training mode."""
    own = {name: buffers[f"{step.name}.{name}"] for name in step.buffer_shapes}
    return _step(step, parameters, sources, Context(True, own, step.index, seed))[0]


def _step(
    step: Step, parameters: dict[str, Array], sources: tuple[Array, ...], context: Context
) -> tuple[Array, Callable[[Array], tuple[tuple[Array, ...], Weights]]]:
    if step.layer.op in JOINS:
        y, split = JOINS[step.layer.op](sources)
        return y, lambda dy: (split(dy), {})
    rule = RULES.get(step.layer.op)
    if rule is None:
        raise not_in_motion(step)
    weights = {name: parameters[f"{step.name}.{name}"] for name in step.weights}
    inner, backward = rule(step.layer, weights, sources[0], context)
    y, deactivate = activation.apply(step.activation, inner)

    def half(dy: Array) -> tuple[tuple[Array, ...], Weights]:
        dx, slopes = backward(deactivate(dy))
        return (dx,), slopes

    return y, half
