"""Gradients against finite differences, in float64, for every layer of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convcli.errors import CheckError
from convcli.learn.first_weights import first_buffers, first_weights
from convcli.net.trace import Step
from convcli.net.value import Network
from convcli.ops import reference
from convcli.ops.rule import Array

STEPS = (1e-6, 1e-7)
"""Distances of the finite difference; its error is about step**2 plus 1e-16 / step."""
TOLERANCE = 1e-5
PROBES = 6
"""Places tried in each array: the largest error is wanted, not every cell."""


@dataclass(frozen=True)
class Checked:
    """One array of one layer: its largest relative error over the places tried."""

    layer: str
    array: str
    places: int
    error: float

    @property
    def holds(self) -> bool:
        """Whether the error is below `TOLERANCE`."""
        return self.error < TOLERANCE


def gradcheck(network: Network, *, seed: int = 0, samples: int = 2) -> list[Checked]:
    """Compare the gradient of each layer's arrays and of its input with finite differences.

    The number that is differentiated is a random weighting of the network's output, in training
    mode (dropout drops, batch norm uses the batch). Biases and statistics are made random first, so
    that none hides behind a zero.

    Args:
        network: any network whose layers can be run.
        seed: of the weights, the samples and the places tried.
        samples: how many; at least 2 for batch norm.

    Raises:
        InputError: a layer exists on paper only.

    >>> from convcli.net import parse_notation
    >>> checks = gradcheck(parse_notation("input 3, dense 2 tanh"))
    >>> [(check.layer, check.array, check.holds) for check in checks]
    [('dense1', 'kernel', True), ('dense1', 'bias', True), ('dense1', 'input', True)]
    """
    trace = network.trace()
    random = np.random.default_rng(seed)
    parameters = {
        name: values.astype(np.float64) + 0.1 * random.standard_normal(values.shape)
        for name, values in first_weights(trace, seed).items()
    }
    buffers = {
        name: values + random.uniform(0, 0.5, values.shape)
        for name, values in first_buffers(trace).items()
    }
    x = random.standard_normal((samples, *network.input_shape))
    base = reference.run(trace, parameters, buffers, x, training=True, seed=seed)
    weighting = random.standard_normal(base.output.shape)
    slopes = _all_slopes(base, weighting)
    checks = []
    for step in trace.steps:
        for name in step.weights:
            key = f"{step.name}.{name}"

            def total(changed: Array, key: str = key) -> float:
                run = reference.run(trace, parameters | {key: changed}, buffers, x, training=True,
                                seed=seed)  # fmt: skip
                return float((run.output * weighting).sum())

            error, places = _compare(total, parameters[key], slopes[key], random)
            checks.append(Checked(step.name, name, places, error))
        checks.append(_input_check(step, base, parameters, buffers, seed, random))
    return checks


def require(checks: Sequence[Checked]) -> None:
    """Refuse gradients that do not hold.

    Raises:
        CheckError: one does not; the worst is named.
    """
    wrong = [check for check in checks if not check.holds]
    if wrong:
        worst = max(wrong, key=lambda check: check.error)
        raise CheckError(
            f"{len(wrong)} of {len(checks)} gradients do not hold; the worst is {worst.array} of "
            f"{worst.layer}: {worst.error:.1e}, and at most {TOLERANCE:.0e} is right."
        )


def _all_slopes(base: reference.Pass, weighting: Array) -> dict[str, Array]:
    return base.backward({len(base.trace.steps): weighting})[1]


def _input_check(
    step: Step,
    base: reference.Pass,
    parameters: dict[str, Array],
    buffers: dict[str, Array],
    seed: int,
    random: np.random.Generator,
) -> Checked:
    """Check one layer alone, on the input it had: every branch of a join."""
    inputs = tuple(base.values[source] for source in step.sources)
    weighting = random.standard_normal(base.values[step.index].shape)
    parts, _ = base.halves[step.index](weighting)
    worst, tried = 0.0, 0
    for branch, (given, slope) in enumerate(zip(inputs, parts, strict=True)):

        def total(changed: Array, branch: int = branch) -> float:
            sources = (*inputs[:branch], changed, *inputs[branch + 1 :])
            y = reference.alone(step, parameters, buffers, sources, seed=seed)
            return float((y * weighting).sum())

        error, places = _compare(total, given, slope, random)
        worst, tried = max(worst, error), tried + places
    return Checked(step.name, "input", tried, worst)


def _compare(
    total: Callable[[Array], float], at: Array, slope: Array, random: np.random.Generator
) -> tuple[float, int]:
    """Return the largest error over some places, relative to the gradient's largest number there.

    A place where the function bends within the step (a ReLU at zero, equal maxima) has no
    derivative there; it shows in one-sided differences that disagree, and is passed over. What
    they disagree by is twice what the bend adds to the error, so less than the tolerance is no bend
    worth the name; curvature, which a smaller step makes harmless, is none at all.
    """
    places = random.permutation(at.size)[: 10 * PROBES]
    scale = max(1e-3, float(np.abs(slope).max()))
    middle = total(at)
    worst, tried = 0.0, 0
    for place in places:
        if tried == PROBES:
            break
        for step in STEPS:
            ahead = (total(_moved(at, place, step)) - middle) / step
            behind = (middle - total(_moved(at, place, -step))) / step
            if abs(ahead - behind) <= TOLERANCE * scale:
                error = abs((ahead + behind) / 2 - float(slope.flat[place])) / scale
                worst, tried = max(worst, error), tried + 1
                break
    return worst, tried


def _moved(array: Array, place: int, distance: float) -> Array:
    moved = array.copy()
    moved.flat[place] += distance
    return moved
