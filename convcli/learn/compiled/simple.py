"""Rules of the layers that compute little: activations, flatten, dropout, joins, padding."""

from __future__ import annotations

from typing import cast

from convcli.engine.operations import activation as elements
from convcli.engine.operations import copying, dropout
from convcli.layers.activation import Activation
from convcli.layers.dense import Dropout
from convcli.learn.compiled.motion import Motion, Value
from convcli.learn.compiled.program import Place
from convcli.net.trace import Step


def plain_copy(motion: Motion, to: Place, source: Place, size: int) -> None:
    """Copy a whole value."""
    motion.builder.sample(copying.copy, to, source, size, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0)


def same_numbers(motion: Motion, step: Step, x: Value) -> Value:
    """Flatten: another shape for the same place."""
    y = Value(step.output_shape, x.place, x.needs_gradient)

    def backward() -> None:
        if not x.needs_gradient:
            return
        slope = motion.slope_of(y)
        if x.slope is None:
            x.slope = slope
        else:
            motion.send(x, lambda to: plain_copy(motion, to, slope, x.size))

    motion.backward(backward)
    return y


def activation(motion: Motion, step: Step, x: Value) -> Value:
    """An activation in a row of its own."""
    layer = cast(Activation, step.layer)
    y = motion.value(step, x)
    last = (x.shape[-1],) if layer.kind == "softmax" else ()
    forward, back = elements.FORWARD[layer.kind], elements.BACKWARD[layer.kind]
    motion.builder.sample(forward, y.place, x.place, x.size, *last)

    def backward() -> None:
        slope = motion.slope_of(y)

        def write(to: Place) -> None:
            if y.rectified:
                plain_copy(motion, to, slope, x.size)
            else:
                motion.builder.sample(back, to, slope, y.place, x.place, x.size, *last)

        motion.send(x, write)

    motion.backward(backward)
    return y


def drop(motion: Motion, step: Step, x: Value) -> Value:
    """Dropout of cells or whole channels; the identity outside training."""
    layer = cast(Dropout, step.layer)
    if not motion.training or layer.rate == 0 or step.name in motion.frozen:
        return same_numbers(motion, step, x)
    y = motion.value(step, x)
    channels = x.shape[-1] if layer.whole_channels else 0
    figures = (x.size, step.index, round(layer.rate * 2**32), channels)
    motion.builder.sample(dropout.dropout, y.place, x.place, *figures)

    def backward() -> None:
        slope = motion.slope_of(y)
        motion.send(x, lambda to: motion.builder.sample(dropout.dropout, to, slope, *figures))

    motion.backward(backward)
    return y
