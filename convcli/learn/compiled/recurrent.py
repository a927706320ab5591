"""The rule of the LSTM: one product for all inputs, then a product and a cell for each step."""

from __future__ import annotations

from typing import cast

from convcli.engine.operations import copying, recurrent
from convcli.layers.recurrent import LSTM
from convcli.learn.compiled import products
from convcli.learn.compiled.motion import Motion, Value
from convcli.learn.compiled.products import Map, Taps
from convcli.learn.compiled.program import Place
from convcli.learn.compiled.simple import plain_copy
from convcli.net.trace import Step


def lstm(motion: Motion, step: Step, x: Value) -> Value:
    """An LSTM over a series, back through all its steps."""
    layer = cast(LSTM, step.layer)
    builder, y = motion.builder, motion.value(step, x)
    (length, inputs), units = x.shape, layer.units
    wide = 4 * units
    one = (1, 1, 1)
    taps = Taps(one, one, one, 1, inputs, wide)
    kernel, again = motion.weight(step, "kernel"), motion.weight(step, "recurrent")
    gates = Map.whole(builder.region(length * wide), (length, wide))
    products.convolve(builder, gates, x.map, kernel, taps, motion.weight(step, "bias"))
    if "recurrent_bias" in step.weights:
        builder.sample(
            copying.copy, gates.place, motion.weight(step, "recurrent_bias"), wide,
            length, wide, 0, 1, 0, 0, 1, 0, 0, 1,
        )  # fmt: skip
    hidden, cell = (builder.region((length + 1) * units) for _ in range(2))
    builder.sample(copying.clear, hidden, units)
    builder.sample(copying.clear, cell, units)
    for t in range(length):
        here, now, then = gates.place.after(t * wide), t * units, (t + 1) * units
        products.dense(builder, here, hidden.after(now), again, here, units, wide)
        builder.chunk(
            recurrent.lstm_forward, here, cell.after(now), cell.after(then), hidden.after(then),
            units,
        )  # fmt: skip
    output = hidden.after(units if layer.sequence else length * units)
    plain_copy(motion, y.place, output, y.size)

    def backward() -> None:
        dy = motion.slope_of(y)
        turned = products.turned(builder, again, Taps(one, one, one, 1, units, wide), reverse=False)
        slopes = Map.whole(builder.region(length * wide), (length, wide))
        dhidden, dcell = builder.region(units), builder.region(units)
        builder.sample(copying.clear, dcell, units)
        plain_copy(motion, dhidden, dy.after((length - 1) * units * layer.sequence), units)
        none = products.zeros(builder, units)
        for t in reversed(range(length)):
            here, now = slopes.place.after(t * wide), t * units
            builder.chunk(
                recurrent.lstm_backward, gates.place.after(t * wide), cell.after(now),
                cell.after(now + units), dhidden, dcell, here, units,
            )  # fmt: skip
            if not t:
                continue
            start = dy.after((t - 1) * units) if layer.sequence else none
            products.dense(builder, dhidden, here, turned, start, wide, units)
        _weight_gradients(motion, step, x, hidden, slopes)

        def write(to: Place) -> None:
            matrix = products.turned(builder, kernel, taps, reverse=False)
            back = Taps(one, one, one, 1, wide, inputs)
            zero = products.zeros(builder, inputs)
            products.convolve(builder, Map.whole(to, x.shape), slopes, matrix, back, zero)

        motion.send(x, write)

    motion.backward(backward)
    return y


def _weight_gradients(motion: Motion, step: Step, x: Value, hidden: Place, slopes: Map) -> None:
    if not motion.learns(step):
        return
    builder, one = motion.builder, (1, 1, 1)
    length, wide = slopes.width, slopes.channels
    units = wide // 4
    before = Map.whole(hidden, (length, units))
    for name, source in (("kernel", x.map), ("recurrent", before)):
        taps = Taps(one, one, one, 1, source.channels, wide)
        products.weight_gradient(builder, motion.weight_slope(step, name), source, slopes, taps)
    for name in ("bias", "recurrent_bias"):
        if name in step.weights:
            products.bias_gradient(builder, motion.weight_slope(step, name), slopes)
