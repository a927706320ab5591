"""A trained model under examination: every value and every gradient, for a few samples.

Runs in NumPy, layer by layer: for single pictures that is faster than loading compiled code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import UsageMistake, did_you_mean
from convcli.learn import plain
from convcli.network.trace import Step, Trace
from convcli.network.value import Network

if TYPE_CHECKING:
    from convcli.learn.modelfile import TrainedModel

Values = NDArray[np.floating[Any]]


@dataclass
class Subject:
    """A model whose inner values can be asked for.

    Samples here are the network's inputs: prepared, (N, *input shape), float32.

    Attributes:
        trained: the model with its classes and preprocessing.
        trace: its steps without a softmax at the end: what it answers are logits.
    """

    trained: TrainedModel
    trace: Trace = field(init=False)

    def __post_init__(self) -> None:
        self.trace = without_softmax(self.trained.network).trace()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.trained.network.input_shape

    @property
    def parameters(self) -> Mapping[str, Values]:
        """`step.weight` to array."""
        return self.trained.model.parameters

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

    def run(self, inputs: Values, last: Step | None = None) -> plain.Pass:
        """Return the values of all steps, up to `last` if it is given."""
        trace = self.trace if last is None else replace(self.trace, steps=self._until[last.name])
        model = self.trained.model
        return plain.run(trace, model.parameters, model.buffers, inputs)

    @cached_property
    def _until(self) -> dict[str, tuple[Step, ...]]:
        return {step.name: self.trace.steps[: step.index] for step in self.trace.steps}

    def logits(self, inputs: Values) -> Values:
        """Return the network's answers before the softmax, (N, classes)."""
        return self.run(inputs).output

    def answers(self, inputs: Values) -> Values:
        """Return the network's answers as it gives them, (N, classes): probabilities mostly."""
        model = self.trained.model
        return plain.run(model.trace, model.parameters, model.buffers, inputs).output

    def slopes(self, inputs: Values, step: Step, seed: Values) -> Values:
        """Return the gradient of sum(seed * value of `step`) with respect to the inputs.

        Args:
            inputs: (N, *input shape).
            step: any step of `trace`.
            seed: of the step's output shape, or (N, *output shape).
        """
        passed = self.run(inputs, step)
        whole = np.broadcast_to(seed, passed.values[step.index].shape).astype(inputs.dtype)
        return passed.backward({step.index: whole})[0]

    def slope_at(self, inputs: Values, step: Step, seed: Values) -> tuple[Values, Values]:
        """Return a step's values and the gradient of sum(seed * logits) with respect to them.

        Args:
            inputs: (N, *input shape).
            step: any step of `trace`.
            seed: of the output's shape.
        """
        passed = self.run(inputs)
        whole = np.broadcast_to(seed, passed.output.shape).astype(inputs.dtype)
        arrived = passed.arrivals({len(self.trace.steps): whole})
        values = passed.values[step.index]
        return values, arrived.get(step.index, np.zeros_like(values))

    def class_index(self, name: str | None, inputs: Values) -> int:
        """Return the number of a class by name or number; the likeliest for the first sample.

        Raises:
            UsageMistake: there is no such class.
        """
        names = self.trained.class_names
        if name is None:
            return int(self.logits(inputs[:1])[0].ravel().argmax())
        if name in names:
            return names.index(name)
        if name.isdecimal() and int(name) < len(names):
            return int(name)
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise UsageMistake(
            f"There is no class {name!r}. Classes: {listed}.{did_you_mean(name, names)}"
        )

    def one_hot(self, index: int) -> Values:
        """Return a seed for one logit."""
        seed = np.zeros(self.trace.output_shape, np.float32)
        seed[..., index] = 1
        return seed


def without_softmax(network: Network) -> Network:
    """Return the network without a softmax at its end; names of other steps stay.

    >>> from convcli.network import parse_notation, to_notation
    >>> to_notation(without_softmax(parse_notation("input 4, dense 2 softmax")))
    'input 4, dense 2'
    """
    if not network.layers:
        return network
    *before, last = network.layers
    if getattr(last, "activation", None) == "softmax":
        return replace(network, layers=(*before, replace(last, activation=None)))  # type: ignore[call-arg]  # it has that field
    if getattr(last, "row_op", "") == "softmax":
        return replace(network, layers=tuple(before))
    return network
