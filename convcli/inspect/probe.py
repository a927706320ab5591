"""A trained model under examination: every value and every gradient, for a few samples.

Runs in NumPy, layer by layer: for single pictures that is faster than loading compiled code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import UsageError, did_you_mean
from convcli.learn.modelfile import TrainedModel
from convcli.net.trace import Step, Trace
from convcli.ops import reference

Values = NDArray[np.floating[Any]]


@dataclass
class Probe:
    """A model whose inner values can be asked for.

    Samples here are the network's inputs: prepared, (N, *input shape), float32.

    Attributes:
        trained: the model with its classes and preprocessing.
        trace: its steps without a softmax at the end: what it answers are logits.
    """

    trained: TrainedModel
    trace: Trace = field(init=False)

    def __post_init__(self) -> None:
        self.trace = without_softmax(self.trained.model.trace)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.trained.network.input_shape

    @property
    def parameters(self) -> Mapping[str, Values]:
        """`step.weight` to array."""
        return self.trained.model.parameters

    @property
    def buffers(self) -> Mapping[str, Values]:
        """`step.buffer` to array: running statistics."""
        return self.trained.model.buffers

    def prepared(self, samples: NDArray[Any]) -> Values:
        """Return samples (N, *shape) as they are stored, such as bytes, as the network's inputs."""
        rule = self.trained.preprocessing
        scale, offset = np.asarray(rule.scale, np.float32), np.asarray(rule.offset, np.float32)
        inputs: Values = rule.stack(samples).astype(np.float32) * scale + offset
        return inputs

    def stored(self, inputs: Values) -> Values:
        """Return inputs as samples are stored: the way back from `prepared`."""
        rule = self.trained.preprocessing
        scale, offset = np.asarray(rule.scale, np.float32), np.asarray(rule.offset, np.float32)
        samples: Values = (inputs - offset) / scale
        return samples

    def run(self, inputs: Values) -> reference.Pass:
        return self._run(self.trace, inputs)

    def _run(self, trace: Trace, inputs: Values) -> reference.Pass:
        model = self.trained.model
        return reference.run(trace, model.parameters, model.buffers, inputs)

    def logits(self, inputs: Values) -> Values:
        """Return the answers before the softmax, (N, classes); of a map their mean."""
        outputs = _by_class(self.run(inputs).output)
        return np.concatenate([-outputs, outputs], axis=1) if self._one_of_two else outputs

    def answers(self, inputs: Values) -> Values:
        """Return the network's answers as it gives them, (N, classes): probabilities mostly."""
        outputs = _by_class(self._run(self.trained.model.trace, inputs).output)
        return np.concatenate([1 - outputs, outputs], axis=1) if self._one_of_two else outputs

    def all_values(self, inputs: Values) -> Mapping[int, Values]:
        """Return (N, *output shape) by step index, the softmax included."""
        return self._run(self.trained.model.trace, inputs).values

    def slopes(self, inputs: Values, step: Step, seed: Values) -> Values:
        """Return gradients of sum(seed * values of a step) with respect to the inputs.

        The values are those before the step's activation: a ReLU that is off would hide the way
        up. Steps behind it are not run. The seed is of the step's output shape, or one for each.
        """
        bare = replace(step, activation=None)
        passed = self._run(self._up_to(bare), inputs)
        whole = np.broadcast_to(seed, passed.output.shape).astype(inputs.dtype)
        return passed.backward({step.index: whole})[0]

    def values(self, inputs: Values, step: Step) -> Values:
        return self._run(self._up_to(step), inputs).output

    def _up_to(self, step: Step) -> Trace:
        return replace(self.trace, steps=(*self.trace.steps[: step.index - 1], step))

    def class_slopes(self, inputs: Values, label: int) -> Values:
        return self.slopes(inputs, self.trace.steps[-1], self.one_hot(label))

    def slopes_at(self, inputs: Values, step: Step, seed: Values) -> tuple[Values, Values]:
        """Return a step's values and the gradient of sum(seed * logits) with respect to them."""
        passed = self.run(inputs)
        whole = np.broadcast_to(seed, passed.output.shape).astype(inputs.dtype)
        upstream = passed.upstream({len(self.trace.steps): whole})
        values = passed.values[step.index]
        return values, upstream.get(step.index, np.zeros_like(values))

    def class_index(self, name: str | None, inputs: Values) -> int:
        """Return the number of a class by name or number; the likeliest for the first sample."""
        if name is None and self._one_of_two:
            return int(self.answers(inputs[:1])[0].argmax())
        if name is None:
            return int(self.logits(inputs[:1])[0].argmax())
        return class_number(name, self.trained.class_names)

    @property
    def _one_of_two(self) -> bool:
        """Whether one output speaks for the second of two classes, and against the first."""
        return self.trace.output_shape == (1,) and len(self.trained.class_names) == 2

    def one_hot(self, label: int) -> Values:
        if self._one_of_two:
            return self.seed(np.array([1.0 if label else -1.0]))
        return self.seed(np.eye(len(self.trained.class_names))[label])

    def seed(self, weights: Values) -> Values:
        """Return the seed of a weighted sum of `logits`, of the output's shape."""
        shape = self.trace.output_shape
        spread: Values = np.broadcast_to(weights / prod(shape[:-1]), shape).astype(np.float32)
        return spread


def _by_class(outputs: Values) -> Values:
    means: Values = outputs.reshape(len(outputs), -1, outputs.shape[-1]).mean(axis=1)
    return means


def without_softmax(trace: Trace) -> Trace:
    """Return the steps without a softmax at the end; names and numbers of the others stay.

    >>> from convcli.net import parse_notation
    >>> steps = without_softmax(parse_notation("input 4, dense 2 softmax").trace()).steps
    >>> [(step.name, step.activation) for step in steps]
    [('dense1', None)]
    """
    *before, last = trace.steps
    if last.activation == "softmax":
        return replace(trace, steps=(*before, replace(last, activation=None)))
    if last.op == "softmax" and before:
        return replace(trace, steps=tuple(before))
    return trace


def class_number(name: str, names: Sequence[str]) -> int:
    """Return the number of the class that `name` names or numbers.

    >>> class_number("dog", ("cat", "dog")), class_number("0", ("cat", "dog"))
    (1, 0)
    """
    if name in names:
        return names.index(name)
    if name.isascii() and name.isdigit() and int(name) < len(names):
        return int(name)
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    raise UsageError(
        f"There is no class {name[:60]!r}. Classes: {listed}.{did_you_mean(name, names)}"
    )


SAME_NUMBERS = {"flatten", "reshape", "dropout", "dropout2d"}
"""Layers that show nothing that the one before does not."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerMaps:
    """One layer's output for one sample, channels last."""

    step: Step
    values: Values

    @property
    def silent(self) -> int:
        return int((~self.values.reshape(-1, self.values.shape[-1]).any(axis=0)).sum())

    @property
    def zeros(self) -> float:
        """Share of cells that are zero, from 0 to 1."""
        return float((self.values == 0).mean())


def layer_maps(
    trace: Trace, values: Mapping[int, Values], layers: Sequence[str] = ()
) -> list[LayerMaps]:
    """Return the maps of the first sample, of all layers that show something or of those named."""
    if layers:
        steps = [trace.step(name) for name in layers]
    else:
        steps = [step for step in trace.steps if step.op not in SAME_NUMBERS]
    return [LayerMaps(step, values[step.index][0]) for step in steps]
