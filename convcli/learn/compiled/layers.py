"""Rules of the layers with products: convolutions of all kinds and dense layers."""

from __future__ import annotations

from typing import cast

from convcli.engine.operations import copying, pooled
from convcli.geometry import Window
from convcli.layers.conv import Conv
from convcli.layers.dense import Dense
from convcli.learn.compiled import products
from convcli.learn.compiled.motion import Motion, Pooled, Value
from convcli.learn.compiled.products import KernelOrder, Map, Taps, Three
from convcli.learn.compiled.program import Place
from convcli.learn.rules.conv import refuse_other_borders
from convcli.net.trace import Step


def three(numbers: tuple[int, ...], fill: int) -> Three:
    """Return per-axis numbers for depth, height and width.

    >>> three((3,), 1)
    (1, 1, 3)
    """
    d, h, w = (fill,) * (3 - len(numbers)) + tuple(numbers)
    return (d, h, w)


def window_taps(
    axes: tuple[Window, ...], groups: int, inputs: int, outputs: int
) -> tuple[Taps, Three, Three]:
    """Return the taps of sliding windows, and the padding before and after."""
    taps = Taps(
        three(tuple(axis.kernel for axis in axes), 1),
        three(tuple(axis.stride for axis in axes), 1),
        three(tuple(axis.dilation for axis in axes), 1),
        groups,
        inputs,
        outputs,
    )
    before = three(tuple(axis.before for axis in axes), 0)
    return taps, before, three(tuple(axis.after for axis in axes), 0)


def conv(motion: Motion, step: Step, x: Value) -> Value:
    """Convolution over 1, 2 or 3 axes with stride, padding, dilation and groups."""
    layer = cast(Conv, step.layer)
    refuse_other_borders(layer)
    if _reads_all_at_once(step, layer):
        return dense_rows(motion, step, x, x.size, layer.filters)
    channels = step.input_shapes[0][-1]
    taps, before, after = window_taps(
        layer.windows(step.input_shapes[0]),
        layer.groups,
        channels // layer.groups,
        layer.filters // layer.groups,
    )
    builder, y = motion.builder, motion.value(step, x, honors_extent=True)
    room = products.padded(builder, x.map, before, after)
    kernel, fused = motion.weight(step, "kernel"), layer.activation == "relu"
    bias = motion.bias(step, layer.filters)
    products.convolve(builder, y.map, room, kernel, taps, bias, relu=fused)
    kind = layer.activation
    inner = y.place if fused else motion.activate(kind, y)
    y.listable = _can_list(motion, step, taps, kind)

    def backward() -> None:
        if y.pooled is not None:
            products.refill(builder, room, x.map, before)
            pooled_backward(motion, step, x, y.pooled, room, taps, before)
            return
        motion.deactivate(kind, y, inner)
        dy = motion.slope_map(y)
        if motion.learns(step):
            if "bias" in step.weights:
                products.bias_gradient(builder, motion.weight_slope(step, "bias"), dy)
            products.refill(builder, room, x.map, before)
            slope = motion.weight_slope(step, "kernel")
            products.weight_gradient(builder, slope, room, dy, taps)
        motion.send(x, lambda to: input_gradient(motion, to, x, dy, kernel, taps, before))

    motion.backward(backward)
    return y


FEW_CHANNELS = 12
"""Input channels up to which whole kernel rows are spread, so that vectors are filled."""
LEAST_ROW = 12
"""Numbers of a kernel row from which on lists of gradients beat plain products."""


def _can_list(motion: Motion, step: Step, taps: Taps, kind: str | None) -> bool:
    """Tell whether the backward half may read its gradient as a list behind a pooling."""
    plain = taps.stride == taps.dilation == (1, 1, 1) and taps.groups == 1 and taps.kernel[0] == 1
    wide = taps.kernel[2] * taps.inputs >= LEAST_ROW
    return plain and wide and kind in {None, "relu"} and motion.only_reader(step) is not None


def pooled_backward(
    motion: Motion, step: Step, x: Value, behind: Pooled, room: Map, taps: Taps, before: Three
) -> None:
    """Append the gradients of a convolution from the few that a max-pooling behind it chose."""
    builder, channels = motion.builder, taps.outputs
    _, pooled_h, pooled_w = three(behind.value.shape[:-1], 1)
    dy = motion.slope_of(behind.value)
    learns, has_bias = motion.learns(step), "bias" in step.weights
    size = taps.kernel[1] * taps.kernel[2] * taps.inputs
    rows = Taps((1, 1, 1), (1, 1, 1), (1, 1, 1), 1, size, channels)
    kernel = motion.weight(step, "kernel")
    by_channel = (
        products.turned(builder, kernel, rows, reverse=False) if x.needs_gradient else kernel
    )
    slope = builder.lane_place(size * channels) if learns else kernel
    bias = motion.weight_slope(step, "bias") if learns and has_bias else kernel
    cells = pooled_h * pooled_w
    taps_of_window = behind.window[0] * behind.window[1]
    lists = max(cells, (taps_of_window + 1) * channels)
    scratch = builder.region(2 * lists + taps_of_window + 1)
    head = (
        channels, behind.pitch, pooled_h, pooled_w, *behind.window, taps.kernel[1],
        taps.kernel[2] * taps.inputs,
    )  # fmt: skip

    def append(dx: Map) -> None:
        builder.sample(
            pooled.pooled_backward, dy, behind.choice, room.place, dx.place, by_channel, slope,
            bias, scratch, *head, room.line, dx.line, room.channels, int(learns),
            int(learns and has_bias), int(x.needs_gradient),
        )  # fmt: skip

    def write(to: Place) -> None:
        dx = Map.whole(to, x.shape)
        shape = (room.depth, room.height, room.width, room.channels)
        direct = not any(before) and shape[:3] == (dx.depth, dx.height, dx.width)
        wide = dx if direct else Map.whole(builder.region(room.size), shape)
        builder.sample(copying.clear, wide.place, wide.size)
        append(wide)
        if not direct:
            products.move(builder, dx, wide.inside(before, (dx.depth, dx.height, dx.width)))

    if x.needs_gradient:
        motion.send(x, write)
    elif learns:
        append(room)
    if learns:
        gradient = motion.weight_slope(step, "kernel")
        builder.finish(pooled.merge_by_channel, slope, gradient, size, channels)


def _reads_all_at_once(step: Step, layer: Conv) -> bool:
    """Tell whether one window covers the whole input: a dense layer in disguise."""
    covers = layer.kernel == step.input_shapes[0][:-1]
    return covers and layer.padding == "valid" and layer.groups == 1


def input_gradient(
    motion: Motion, to: Place, x: Value, dy: Map, kernel: Place, taps: Taps, before: Three
) -> None:
    """Write the gradient of a convolution's input.

    With stride 1 it is a convolution of the padded gradient with the turned kernel; else every
    gradient is spread over its window.
    """
    builder, dx = motion.builder, Map.whole(to, x.shape)
    sizes = (dx.depth, dx.height, dx.width)
    ahead = [e - 1 - b for e, b in zip(taps.extent, before, strict=True)]
    have = (dy.depth, dy.height, dy.width)
    behind = [
        size + e - 1 - a - count
        for size, e, a, count in zip(sizes, taps.extent, ahead, have, strict=True)
    ]
    few = x.shape[-1] < FEW_CHANNELS and taps.kernel[0] == taps.groups == taps.dilation[2] == 1
    if not few and taps.stride == (1, 1, 1) and min(*ahead, *behind) >= 0:
        turned = products.turned(builder, kernel, taps, reverse=True)
        back = Taps(taps.kernel, (1, 1, 1), taps.dilation, taps.groups, taps.outputs, taps.inputs)
        room = products.padded(builder, dy, three(tuple(ahead), 0), three(tuple(behind), 0))
        zeros = products.zeros(builder, x.shape[-1])
        products.convolve(builder, dx, room, turned, back, zeros)
        return
    back = Taps(taps.kernel, taps.stride, taps.dilation, taps.groups, taps.outputs, taps.inputs)
    reached = [
        (count - 1) * stride + e
        for count, stride, e in zip(have, taps.stride, taps.extent, strict=True)
    ]
    wide = [max(size + b, r) for size, b, r in zip(sizes, before, reached, strict=True)]
    shape = (*wide, dx.channels)
    exact = tuple(wide) == sizes and not any(before)
    room = dx if exact else Map.whole(builder.region(_count(shape)), shape)
    builder.sample(copying.clear, room.place, room.size)
    if few:
        products.spread_rows(builder, room, dy, kernel, taps)
    else:
        turned = products.turned(builder, kernel, taps, reverse=False)
        order = KernelOrder(step=taps.groups * taps.inputs, group=taps.inputs)
        products.spread(builder, room, dy, turned, back, order)
    if not exact:
        products.move(builder, dx, room.inside(before, (dx.depth, dx.height, dx.width)))


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def dense(motion: Motion, step: Step, x: Value) -> Value:
    """A dense layer on vectors, or on the channels of every cell of a map."""
    layer = cast(Dense, step.layer)
    inputs = step.input_shapes[0][-1]
    if x.size == inputs:
        return dense_rows(motion, step, x, inputs, layer.units)
    one = (1, 1, 1)
    taps, none = Taps(one, one, one, 1, inputs, layer.units), (0, 0, 0)
    builder, y = motion.builder, motion.value(step, x, honors_extent=True)
    kernel, fused = motion.weight(step, "kernel"), layer.activation == "relu"
    bias = motion.bias(step, layer.units)
    products.convolve(builder, y.map, x.map, kernel, taps, bias, relu=fused)
    kind = layer.activation
    inner = y.place if fused else motion.activate(kind, y)

    def backward() -> None:
        motion.deactivate(kind, y, inner)
        dy = motion.slope_map(y)
        if motion.learns(step):
            if "bias" in step.weights:
                products.bias_gradient(builder, motion.weight_slope(step, "bias"), dy)
            slope = motion.weight_slope(step, "kernel")
            products.weight_gradient(builder, slope, x.map, dy, taps)
        motion.send(x, lambda to: input_gradient(motion, to, x, dy, kernel, taps, none))

    motion.backward(backward)
    return y


def dense_rows(motion: Motion, step: Step, x: Value, inputs: int, outputs: int) -> Value:
    """A dense layer over all samples of the chunk at once."""
    builder, y = motion.builder, motion.value(step, x)
    kernel = motion.weight(step, "kernel")
    kind: str | None = getattr(step.layer, "activation", None)
    fused = kind == "relu"
    bias = motion.bias(step, outputs)
    products.dense(builder, y.place, x.place, kernel, bias, inputs, outputs, relu=fused)
    inner = y.place if fused else motion.activate(kind, y)

    def backward() -> None:
        motion.deactivate(kind, y, inner)
        dy = motion.slope_of(y)
        if motion.learns(step):
            if "bias" in step.weights:
                slope = motion.weight_slope(step, "bias")
                products.dense_bias_gradient(builder, slope, dy, outputs)
            slope = motion.weight_slope(step, "kernel")
            products.dense_weight_gradient(builder, slope, x.place, dy, inputs, outputs)

        def write(to: Place) -> None:
            one = (1, 1, 1)
            taps = Taps(one, one, one, 1, inputs, outputs)
            turned = products.turned(builder, kernel, taps, reverse=False)
            zeros = products.zeros(builder, inputs)
            products.dense(builder, to, dy, turned, zeros, outputs, inputs)

        motion.send(x, write)

    motion.backward(backward)
    return y
