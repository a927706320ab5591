"""A network run layer by layer in NumPy: every activation and gradient, in any float type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convcli.layers.base import Join
from convcli.net.trace import Step, Trace, check_single
from convcli.ops.activation import apply
from convcli.ops.lowering import kind_of
from convcli.ops.rule import Array, Context, Weights


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

    def backward(self, grads: dict[int, Array]) -> tuple[Array, dict[str, Array]]:
        """Return the gradients of the input and of all parameters.

        Args:
            grads: step index -> gradient of some number with respect to the step's value.
        """
        gradients: dict[str, Array] = {}
        upstream = self.upstream(grads, gradients)
        return upstream.get(0, np.zeros_like(self.values[0])), gradients

    def upstream(
        self, grads: dict[int, Array], gradients: dict[str, Array] | None = None
    ) -> dict[int, Array]:
        """Return the gradient with respect to the value of every step that `grads` reach.

        Args:
            grads: as for `backward`.
            gradients: takes up those of the parameters.
        """
        upstream = dict(grads)
        for step in reversed(self.trace.steps):
            if step.index not in upstream:
                continue
            parts, found = self.halves[step.index](upstream[step.index])
            if gradients is not None:
                gradients |= {f"{step.name}.{name}": value for name, value in found.items()}
            for source, part in zip(step.sources, parts, strict=True):
                upstream[source] = upstream[source] + part if source in upstream else part
        return upstream


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
        InputError: a layer exists on paper only, or there are several inputs or outputs.
    """
    check_single(trace, "this looks at a network with one. Leave out the layers of the others.")
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
    rule = kind_of(step).numpy
    if isinstance(step.layer, Join):
        y, split = rule(sources)
        return y, lambda dy: (split(dy), {})
    weights = {name: parameters[f"{step.name}.{name}"] for name in step.weights}
    inner, backward = rule(step.layer, weights, sources[0], context)
    y, deactivate = apply(step.activation, inner)

    def half(dy: Array) -> tuple[tuple[Array, ...], Weights]:
        dx, grads = backward(deactivate(dy))
        return (dx,), grads

    return y, half
