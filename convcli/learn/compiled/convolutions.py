"""Rules of the depthwise, separable and transposed convolutions."""

from __future__ import annotations

from math import prod
from typing import cast

from convcli.engine.calls import Operation
from convcli.engine.operations import copying, depthwise
from convcli.layers.conv import DepthwiseConv, SeparableConv, TransposedConv
from convcli.learn.compiled import products
from convcli.learn.compiled.layers import three, window_taps
from convcli.learn.compiled.motion import Motion, Value
from convcli.learn.compiled.products import Map, Taps, Three
from convcli.learn.compiled.program import Place
from convcli.net.trace import Step


class _Channelwise:
    """The depthwise half that two layers share; a multiplier repeats the channels first."""

    def __init__(
        self, motion: Motion, step: Step, x: Value, to: Map, kernel: str, bias: Place
    ) -> None:
        layer = cast(DepthwiseConv | SeparableConv, step.layer)
        self.motion, self.step, self.x, self.kernel = motion, step, x, kernel
        self.multiplier = layer.multiplier
        self.channels = step.input_shapes[0][-1] * self.multiplier
        axes = layer.windows(step.input_shapes[0])
        self.taps, self.before, self.after = window_taps(axes, 1, 1, self.channels)
        self.room = self._room()
        self._fill()
        self._run(depthwise.depthwise_forward, self.room, to, motion.weight(step, kernel), bias)

    def _room(self) -> Map:
        x = self.x.map
        if self.multiplier == 1 and not any(self.before) and not any(self.after):
            return x
        sizes = zip((x.depth, x.height, x.width), self.before, self.after, strict=True)
        d, h, w = (size + before + after for size, before, after in sizes)
        shape = (d, h, w, self.channels)
        return Map.whole(self.motion.builder.region(prod(shape), pinned=True), shape)

    def _inside(self, room: Map) -> Map:
        x = self.x.map
        return room.inside(self.before, (x.depth, x.height, x.width))

    def _fill(self) -> None:
        """Copy the input into its padded room, each channel `multiplier` times."""
        x, builder = self.x.map, self.motion.builder
        if self.room is x:
            return
        inside = self._inside(self.room)
        if self.multiplier == 1:
            products.move(builder, inside, x)
            return
        for d in range(x.depth):
            builder.sample(
                copying.copy, inside.place.after(d * inside.plane), x.place.after(d * x.plane),
                1, x.height, inside.line, x.line, x.width * x.channels, self.multiplier, 1,
                self.multiplier, 1, 0, 0,
            )  # fmt: skip

    def _run(self, operation: Operation, room: Map, y: Map, kernel: Place, bias: Place) -> None:
        self.motion.builder.sample(
            operation, room.place, y.place, kernel, bias, self.channels, room.plane, room.line,
            y.plane, y.line, y.depth, y.height, y.width, *self.taps.kernel, *self.taps.stride,
            *self.taps.dilation,
        )  # fmt: skip

    def backward(self, dy: Map) -> None:
        """Append the gradients of the kernel and of the input."""
        motion, builder, kernel = self.motion, self.motion.builder, self.kernel
        weight = motion.weight(self.step, kernel)
        if motion.learns(self.step):
            self._fill()
            slope = motion.weight_slope(self.step, kernel)
            self._run(depthwise.depthwise_weight_gradient, self.room, dy, slope, slope)

        def write(to: Place) -> None:
            dx = Map.whole(to, self.x.shape)
            direct = self.room is self.x.map or self.room.place.region is self.x.place.region
            shape = (self.room.depth, self.room.height, self.room.width, self.channels)
            room = dx if direct else Map.whole(builder.region(prod(shape)), shape)
            builder.sample(copying.clear, room.place, room.size)
            self._run(depthwise.depthwise_input_gradient, room, dy, weight, weight)
            if not direct:
                self._gather(dx, self._inside(room))

        motion.send(self.x, write)

    def _gather(self, dx: Map, inside: Map) -> None:
        """Sum the repeated channels of the padded gradient back into one."""
        builder = self.motion.builder
        if self.multiplier == 1:
            products.move(builder, dx, inside)
            return
        builder.sample(copying.clear, dx.place, dx.size)
        for d in range(dx.depth):
            builder.sample(
                copying.copy, dx.place.after(d * dx.plane), inside.place.after(d * inside.plane),
                1, dx.height, dx.line, inside.line, dx.width * dx.channels, 1, self.multiplier,
                self.multiplier, 0, 1, 1,
            )  # fmt: skip


def depthwise_conv(motion: Motion, step: Step, x: Value) -> Value:
    """One small kernel for each channel."""
    layer = cast(DepthwiseConv, step.layer)
    y = motion.value(step, x)
    bias = motion.bias(step, step.output_shape[-1])
    half = _Channelwise(motion, step, x, y.map, "kernel", bias)
    inner = motion.activate(layer.activation, y)

    def backward() -> None:
        motion.deactivate(layer.activation, y, inner)
        dy = motion.slope_map(y)
        _bias_gradient(motion, step, dy)
        half.backward(dy)

    motion.backward(backward)
    return y


def separable_conv(motion: Motion, step: Step, x: Value) -> Value:
    """A depthwise convolution, then a matrix on the channels."""
    layer = cast(SeparableConv, step.layer)
    builder, y = motion.builder, motion.value(step, x)
    inputs = step.input_shapes[0][-1] * layer.multiplier
    middle = Map.whole(
        builder.region(prod(step.output_shape[:-1]) * inputs), (*step.output_shape[:-1], inputs)
    )
    half = _Channelwise(motion, step, x, middle, "depthwise", products.zeros(builder, inputs))
    one: Three = (1, 1, 1)
    taps = Taps(one, one, one, 1, inputs, layer.filters)
    pointwise, bias = motion.weight(step, "pointwise"), motion.bias(step, layer.filters)
    products.convolve(builder, y.map, middle, pointwise, taps, bias)
    inner = motion.activate(layer.activation, y)

    def backward() -> None:
        motion.deactivate(layer.activation, y, inner)
        dy = motion.slope_map(y)
        _bias_gradient(motion, step, dy)
        if motion.learns(step):
            slope = motion.weight_slope(step, "pointwise")
            products.weight_gradient(builder, slope, middle, dy, taps)
        turned = products.turned(builder, pointwise, taps, reverse=False)
        back = Taps(one, one, one, 1, layer.filters, inputs)
        dmiddle = Map.whole(builder.region(middle.size), (*step.output_shape[:-1], inputs))
        products.convolve(builder, dmiddle, dy, turned, back, products.zeros(builder, inputs))
        half.backward(dmiddle)

    motion.backward(backward)
    return y


def _bias_gradient(motion: Motion, step: Step, dy: Map) -> None:
    if motion.learns(step) and "bias" in step.weights:
        products.bias_gradient(motion.builder, motion.weight_slope(step, "bias"), dy)


def transposed_conv(motion: Motion, step: Step, x: Value) -> Value:
    """Each input cell spreads one kernel over the output."""
    layer = cast(TransposedConv, step.layer)
    builder, y = motion.builder, motion.value(step, x)
    groups, channels = layer.groups, step.input_shapes[0][-1]
    taps = Taps(
        three(layer.kernel, 1), three(layer.stride, 1), three(layer.dilation, 1), groups,
        channels // groups, layer.filters // groups,
    )  # fmt: skip
    before = three(tuple(crop[0] for crop in layer.crops()), 0)
    source, out = x.map, y.map
    inside = (out.depth, out.height, out.width)
    wide = tuple(
        max((count - 1) * stride + extent, cut + size)
        for count, stride, extent, cut, size in zip(
            (source.depth, source.height, source.width), taps.stride, taps.extent, before, inside,
            strict=True,
        )
    )  # fmt: skip
    shape = (*wide, layer.filters)
    room = Map.whole(builder.region(prod(shape)), shape)
    kernel = motion.weight(step, "kernel")
    builder.sample(copying.clear, room.place, room.size)
    order = products.KernelOrder(step=taps.outputs, group=taps.inputs * taps.outputs)
    products.spread(builder, room, source, kernel, taps, order)
    products.move(builder, out, room.inside(before, inside))
    bias = motion.bias(step, layer.filters)
    builder.sample(
        copying.copy, y.place, bias, layer.filters, out.cells, layer.filters, 0, 1, 0, 0, 1, 0, 0, 1
    )
    inner = motion.activate(layer.activation, y)

    def backward() -> None:
        motion.deactivate(layer.activation, y, inner)
        dy = motion.slope_map(y)
        _bias_gradient(motion, step, dy)
        wide_dy = Map.whole(builder.region(room.size, pinned=True), shape)
        products.move(builder, wide_dy.inside(before, inside), dy)
        if motion.learns(step):
            slope = motion.weight_slope(step, "kernel")
            products.spread_weight_gradient(builder, slope, source, wide_dy, taps)

        def write(to: Place) -> None:
            whole = Taps(taps.kernel, taps.stride, taps.dilation, 1, channels, taps.outputs)
            turned = products.turned(builder, kernel, whole, reverse=False)
            back = Taps(taps.kernel, taps.stride, taps.dilation, groups, taps.outputs, taps.inputs)
            none = products.zeros(builder, channels)
            products.convolve(builder, Map.whole(to, x.shape), wide_dy, turned, back, none)

        motion.send(x, write)

    motion.backward(backward)
    return y
