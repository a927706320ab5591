"""From a traced network to the program that predicts with it or learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from convcli.engine.calls import Operation
from convcli.engine.operations import copying, losses
from convcli.errors import InputError
from convcli.learn.compiled import (
    convolutions,
    joins,
    layers,
    norm,
    pooling,
    recurrent,
    simple,
)
from convcli.learn.compiled.motion import Motion, Value
from convcli.learn.parameters import Slot
from convcli.learn.plain import not_in_motion
from convcli.net.trace import Step, Trace

Rule = Callable[..., Value]

RULES: dict[str, Rule] = {
    "conv": layers.conv,
    "dense": layers.dense,
    "maxpool": pooling.pool,
    "avgpool": pooling.pool,
    "gap": pooling.pool,
    "gmp": pooling.pool,
    "adaptavg": pooling.pool,
    "flatten": simple.same_numbers,
    "activation": simple.activation,
    "dropout": simple.drop,
    "reshape": simple.same_numbers,
    "dwconv": convolutions.depthwise_conv,
    "sepconv": convolutions.separable_conv,
    "upconv": convolutions.transposed_conv,
    "bn": norm.batch_norm,
    "ln": norm.sample_norm,
    "gn": norm.sample_norm,
    "prelu": joins.prelu,
    "lstm": recurrent.lstm,
    "add": joins.add,
    "concat": joins.concat,
    "scale": joins.multiply,
    "pad": joins.pad,
    "crop": joins.crop,
    "shuffle": joins.shuffle,
    "upsample": joins.upsample,
}
"""Layer class's `op` -> rule."""


def predicting(
    trace: Trace, places: dict[str, Slot], reader: Operation, *, logits: bool = False
) -> Motion:
    """Return the program that writes the network's output for each sample, or what softmax gets."""
    motion = Motion(trace, places, training=False)
    _read(motion, reader)
    steps = _without_softmax(trace.steps) if logits else trace.steps
    _forward(motion, steps)
    last = motion.values[steps[-1].index if steps else 0]
    motion.builder.sample(copying.write_output, last.place, last.size)
    return motion


def learning(
    trace: Trace,
    places: dict[str, Slot],
    reader: Operation,
    *,
    cross_entropy: bool,
    frozen: frozenset[str] = frozenset(),
    through_input: bool = False,
) -> Motion:
    """Return the program that adds up loss, correct answers and gradients of a batch.

    With `cross_entropy` the last activation must be a softmax; it is fused with the loss. Otherwise
    the loss is the mean squared error of the network's output. `through_input` goes on to the
    gradient of the input, as when further layers stood before.
    """
    motion = Motion(trace, places, training=True, frozen=frozen)
    _read(motion, reader)
    motion.values[0].needs_gradient = through_input
    steps = trace.steps
    if cross_entropy:
        steps = _without_softmax(steps)
    _forward(motion, steps)
    output = motion.values[steps[-1].index]
    builder = motion.builder
    output.slope = builder.region(output.size)
    if cross_entropy:
        probabilities = builder.region(output.size)
        builder.chunk(
            losses.cross_entropy, output.slope, output.place, probabilities, motion.constants,
            output.size,
        )  # fmt: skip
    else:
        builder.chunk(
            losses.squared_error, output.slope, output.place, output.place, motion.constants,
            output.size,
        )  # fmt: skip
    builder.backward()
    return motion


def _without_softmax(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps up to the logits."""
    last = steps[-1] if steps else None
    if last is not None and last.activation == "softmax":
        plain = replace(last.layer, activation=None)  # type: ignore[call-arg]  # it has that field
        return (*steps[:-1], replace(last, layer=plain, activation=None))
    if last is not None and last.op == "softmax" and len(steps) > 1:
        return steps[:-1]
    shape = " x ".join(map(str, last.output_shape)) if last else "its input"
    raise InputError(
        f"Logits and cross-entropy need a softmax at the end, and the network ends with "
        f"{last.name if last else 'nothing'} ({shape}). Write `dense CLASSES softmax` last, "
        f"or use the squared error."
    )


def _read(motion: Motion, reader: Operation) -> None:
    shape = motion.trace.network.input_shape
    value = Value(shape, motion.builder.region(prod(shape)), needs_gradient=False)
    motion.builder.sample(reader, value.place, value.size, motion.scaling)
    motion.values[0] = value


def _forward(motion: Motion, steps: tuple[Step, ...]) -> None:
    for step in steps:
        rule = RULES.get(step.layer.op)
        if rule is None:
            raise not_in_motion(step)
        sources = [motion.values[source] for source in step.sources]
        motion.values[step.index] = rule(motion, step, *sources)
