"""Convolutions: plain, depthwise, separable and transposed.

In NumPy tap by tap: each tap is one strided view of the padded input times one matrix. Compiled as
products of the tile, the depthwise ones by their own loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from convcli.engine.calls import Operation
from convcli.errors import InputError
from convcli.geometry import Window
from convcli.layers.conv import Conv, DepthwiseConv, SeparableConv, TransposedConv, slide
from convcli.net.trace import Step
from convcli.ops import depthwise, products
from convcli.ops.products import Taps, matrix
from convcli.ops.program import Address, Map, ProgramBuilder, Tensor, Three, three
from convcli.ops.rule import (
    Array,
    Backward,
    Context,
    Kind,
    Weights,
    add_bias,
    bias_grad,
    cells,
)  # fmt: skip
from convcli.ops.sparse_conv_backward import lower_sparse_backward

Windows = tuple[Window, ...]
KernelBackward = Callable[[Array], tuple[Array, Array]]


def conv(layer: Conv, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """y[n, p, o] = bias[o] + the sum over t and i of x[n, p s + t d - before, i] w[t, i, o].

    Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning.
    """
    refuse_other_borders(layer)
    kernel, spatial = weights["kernel"], layer.output_shape(x.shape[1:])[:-1]
    grouped = kernel.reshape(*kernel.shape[:-1], layer.groups, -1).swapaxes(-3, -2)
    y, inner = _slid(x, grouped, layer.windows(x.shape[1:]), spatial)

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx, dgrouped = inner(dy)
        dkernel = dgrouped.swapaxes(-3, -2).reshape(kernel.shape)
        return dx, {"kernel": dkernel} | bias_grad(dy, weights)

    return add_bias(y, weights), backward


def depthwise_conv(
    layer: DepthwiseConv, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """y[n, p, c, m] = bias + sum over taps t of x[n, p s + t d - before, c] w[t, c, m]."""
    y, inner = _depthwise(layer, weights["kernel"], x)

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx, dkernel = inner(dy)
        return dx, {"kernel": dkernel} | bias_grad(dy, weights)

    return add_bias(y, weights), backward


def separable_conv(
    layer: SeparableConv, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """A depthwise convolution, then a matrix on the channels of each cell (Chollet 2017)."""
    middle, inner = _depthwise(layer, weights["depthwise"], x)
    pointwise = weights["pointwise"]
    matrix = pointwise.reshape(pointwise.shape[-2:])

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx, ddepthwise = inner(dy @ matrix.T)
        dpointwise = (cells(middle).T @ cells(dy)).reshape(pointwise.shape)
        return dx, {"depthwise": ddepthwise, "pointwise": dpointwise} | bias_grad(dy, weights)

    return add_bias(middle @ matrix, weights), backward


def transposed_conv(
    layer: TransposedConv, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Each input cell p adds x[n, p, i] w[t, i, o] to output cell p s + t d - before."""
    crops, kernel, spatial = layer.crops(), weights["kernel"], x.shape[1:-1]
    out = layer.output_shape(x.shape[1:])
    axes = tuple(map(Window, layer.kernel, layer.stride, layer.dilation))
    wide = [
        max(size + before, (count - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1)
        for size, (before, _, _), count, axis in zip(out, crops, spatial, axes, strict=False)
    ]
    inside = (slice(None), *(slice(c[0], c[0] + n) for c, n in zip(crops, out, strict=False)))
    grouped = kernel.reshape(*kernel.shape[:-2], layer.groups, -1, kernel.shape[-1])
    turned = grouped.swapaxes(-1, -2)
    wide_y = np.zeros((len(x), *wide, layer.filters), x.dtype)
    _scatter(wide_y, x, turned, axes)

    def backward(dy: Array) -> tuple[Array, Weights]:
        wide_dy = np.zeros_like(wide_y)
        wide_dy[inside] = dy
        dturned = _kernel_grad(wide_dy, x, turned, axes)
        dkernel = dturned.swapaxes(-1, -2).reshape(kernel.shape)
        return _gather(wide_dy, turned, axes, spatial), {"kernel": dkernel} | bias_grad(dy, weights)

    return add_bias(wide_y[inside], weights), backward


def _depthwise(
    layer: DepthwiseConv | SeparableConv, kernel: Array, x: Array
) -> tuple[Array, KernelBackward]:
    axes = layer.windows(x.shape[1:])
    y, inner = _slid(x, kernel[..., None, :], axes, slide(x.shape[1:-1], axes))

    def backward(dy: Array) -> tuple[Array, Array]:
        dx, dkernel = inner(dy)
        return dx, dkernel[..., 0, :]

    return y, backward


def _slid(
    x: Array, kernel: Array, axes: Windows, spatial: tuple[int, ...]
) -> tuple[Array, KernelBackward]:
    """Slide a kernel (*taps, group, input, output) over `x` with the windows' zeros around it."""
    padded = np.pad(x, [(0, 0), *((axis.before, axis.after) for axis in axes), (0, 0)])
    inside = tuple(
        slice(axis.before, axis.before + size)
        for axis, size in zip(axes, x.shape[1:-1], strict=True)
    )

    def backward(dy: Array) -> tuple[Array, Array]:
        dpadded = np.zeros_like(padded)
        _scatter(dpadded, dy, kernel, axes)
        return dpadded[(slice(None), *inside)], _kernel_grad(padded, dy, kernel, axes)

    return _gather(padded, kernel, axes, spatial), backward


def _gather(wide: Array, kernel: Array, axes: Windows, spatial: tuple[int, ...]) -> Array:
    """Return the sum over taps of the cells they read times their matrices."""
    groups, outputs = kernel.shape[-3], kernel.shape[-1]
    y = np.zeros((len(wide), *spatial, groups, outputs), wide.dtype)
    for tap, view in _views(axes, spatial):
        y += np.einsum("...gi,gio->...go", _by_group(wide[view], groups), kernel[tap])
    return y.reshape(*y.shape[:-2], -1)


def _scatter(wide: Array, y: Array, kernel: Array, axes: Windows) -> None:
    """Add every cell of `y`, times the matrix of each tap, to the cell that the tap reads."""
    grouped = _by_group(y, kernel.shape[-3])
    for tap, view in _views(axes, y.shape[1:-1]):
        part = np.einsum("...go,gio->...gi", grouped, kernel[tap])
        wide[view] += part.reshape(*y.shape[:-1], -1)


def _kernel_grad(wide: Array, dy: Array, kernel: Array, axes: Windows) -> Array:
    """Return the sum over samples and cells of what each tap reads times dy."""
    dkernel, groups = np.empty_like(kernel), kernel.shape[-3]
    columns = dy.reshape(-1, groups, kernel.shape[-1])
    for tap, view in _views(axes, dy.shape[1:-1]):
        rows = wide[view].reshape(-1, groups, kernel.shape[-2])
        dkernel[tap] = np.einsum("ngi,ngo->gio", rows, columns)
    return dkernel


def _views(
    axes: Windows, spatial: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield every tap with the view of the padded input that it reads for all output cells."""
    for tap in np.ndindex(*(axis.kernel for axis in axes)):
        view = tuple(
            slice(t * axis.dilation, t * axis.dilation + (n - 1) * axis.stride + 1, axis.stride)
            for t, axis, n in zip(tap, axes, spatial, strict=True)
        )
        yield tap, (slice(None), *view)


def _by_group(x: Array, groups: int) -> Array:
    """Return the channels as (groups, channels of a group)."""
    return x.reshape(*x.shape[:-1], groups, -1)


def refuse_other_borders(layer: Conv) -> None:
    """Refuse borders that training does not know."""
    if layer.padding_mode != "zeros":
        raise InputError(
            f"conv with {layer.padding_mode} borders can be calculated, but not run. Use zeros."
        )


def lower_whole(
    program: ProgramBuilder, step: Step, x: Tensor, inputs: int, outputs: int
) -> Iterator[Tensor]:
    """A product over all samples of the chunk at once: a dense layer."""
    y, taps = program.tensor(step, x), matrix(inputs, outputs)
    kernel, bias = program.weight(step, "kernel"), program.bias(step, outputs)
    relu = products.fused_relu(step, y)
    products.dense(program, y.address, x.address, kernel, bias, taps, relu=relu)
    yield y
    dy = program.grad_of(y)
    if program.learns(step):
        if "bias" in step.weights:
            gradient = program.weight_grad(step, "bias")
            products.dense_bias_grad(program, gradient, dy, outputs)
        gradient = program.weight_grad(step, "kernel")
        products.dense_weight_grad(program, gradient, x.address, dy, taps)

    def write(dx: Address) -> None:
        by_output = products.flipped(program, kernel, taps, reverse=False)
        none = program.zeros(inputs)
        products.dense(program, dx, dy, by_output, none, taps.back())

    program.accumulate_grad(x, write)


def lower_conv(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """Convolution over 1, 2 or 3 axes with stride, padding, dilation and groups."""
    layer, shape = cast(Conv, step.layer), step.input_shapes[0]
    refuse_other_borders(layer)
    if layer.kernel == shape[:-1] and layer.padding == "valid" and layer.groups == 1:
        return lower_whole(program, step, x, x.size, layer.filters)  # one window covers the input
    taps, before, after = _window_taps(layer.windows(shape))
    inputs, outputs = shape[-1] // layer.groups, layer.filters // layer.groups
    taps = replace(taps, groups=layer.groups, inputs=inputs, outputs=outputs)
    return lower_taps(program, step, x, taps, before, after)


def lower_taps(
    program: ProgramBuilder,
    step: Step,
    x: Tensor,
    taps: Taps,
    before: Three = (0, 0, 0),
    after: Three = (0, 0, 0),
) -> Iterator[Tensor]:
    """A product for every kernel row, and back."""
    y = program.tensor(step, x, honors_extent=True)
    padded = x.frame or products.padded(program, x.map, before, after)
    kernel, bias = program.weight(step, "kernel"), program.bias(step, step.output_shape[-1])
    relu = products.fused_relu(step, y)
    products.convolve(program, y.map, padded, kernel, taps, bias, relu=relu)
    y.sparse_grad_ok = _sparse_grad_ok(program, step, taps)
    yield y
    if y.pooled is not None:
        products.refill(program, padded, x.map, before)
        lower_sparse_backward(program, step, x, y.pooled, padded, taps, before)
        return
    dy = program.grad_map(y)
    _bias_grad(program, step, dy)
    if program.learns(step):
        products.refill(program, padded, x.map, before)
        gradient = program.weight_grad(step, "kernel")
        products.weight_grad(program, gradient, padded, dy, taps)

    def write(dx: Address) -> None:
        whole = Map.whole(dx, x.shape)
        products.input_grad(program, whole, dy, kernel, taps, before)

    program.accumulate_grad(x, write)


def _window_taps(axes: Windows) -> tuple[Taps, Three, Three]:
    """Return the taps of sliding windows for one channel, and the padding before and after."""

    def of(name: str, fill: int) -> Three:
        return three(tuple(getattr(axis, name) for axis in axes), fill)

    taps = Taps(of("kernel", 1), of("stride", 1), of("dilation", 1), 1, 1, 1)
    return taps, of("before", 0), of("after", 0)


LEAST_ROW = 12
"""Numbers of a kernel row from which on lists of gradients beat plain products."""


def _sparse_grad_ok(program: ProgramBuilder, step: Step, taps: Taps) -> bool:
    """Tell whether the backward half may read its gradient as a list behind a pooling."""
    plain = taps.stride == taps.dilation == (1, 1, 1) and taps.groups == 1 and taps.kernel[0] == 1
    wide = step.op == "conv" and taps.kernel[2] * taps.inputs >= LEAST_ROW
    only = program.only_reader(step) is not None
    return plain and wide and step.activation in {None, "relu"} and only


def _bias_grad(program: ProgramBuilder, step: Step, dy: Map) -> None:
    if program.learns(step) and "bias" in step.weights:
        products.bias_grad(program, program.weight_grad(step, "bias"), dy)


def _lower_channelwise(
    program: ProgramBuilder, step: Step, x: Tensor, to: Map, kernel: str, bias: Address,
    relu: int = 0,
) -> Callable[[Map], None]:  # fmt: skip
    """Append the depthwise half of two layers; return what appends its way back from dy.

    A multiplier repeats the channels first.
    """
    layer, source = cast(DepthwiseConv | SeparableConv, step.layer), x.map
    times, channels = layer.multiplier, x.shape[-1] * layer.multiplier
    taps, before, after = _window_taps(layer.windows(step.input_shapes[0]))
    weight = program.weight(step, kernel)
    direct = x.frame is not None or (times == 1 and not any((*before, *after)))
    d, h, w = (sum(sizes) for sizes in zip(source.extent, before, after, strict=True))
    padded = x.frame or source
    if not direct:
        padded = program.frame((d, h, w, channels), before, source.extent)

    def fill() -> None:
        inside = padded.inside(before, source.extent)
        if times == 1 and not direct:
            program.copy_map(inside, source)
        for d in range(source.depth if times > 1 else 0):
            program.copy(
                inside.address.after(d * inside.plane), source.address.after(d * source.plane), 1,
                (source.height, inside.line, source.line),
                (source.width * source.channels, times, 1), (times, 1, 0),
            )  # fmt: skip

    def gather(dx: Map, inside: Map) -> None:
        if times == 1:
            program.copy_map(dx, inside)
            return
        program.clear(dx.address, dx.size)
        for d in range(dx.depth):
            program.copy(
                dx.address.after(d * dx.plane), inside.address.after(d * inside.plane), 1,
                (dx.height, dx.line, inside.line), (dx.width * dx.channels, 1, times),
                (times, 0, 1), add=True,
            )  # fmt: skip

    def run(
        operation: Operation, x: Map, y: Map, kernel: Address, bias: Address, relu: int = 0
    ) -> None:
        steps = (x.plane, x.line, channels)
        axes = {
            f"{name}_{axis}": number * jump
            for name, numbers in (("jump", taps.stride), ("tap", taps.dilation))
            for axis, number, jump in zip("dhw", numbers, steps, strict=True)
        }
        kernel_d, kernel_h, kernel_w = taps.kernel
        program.sample(
            operation, x=x.address, y=y.address, kernel=kernel, bias=bias, channels=channels,
            x_plane=x.plane, x_line=x.line, y_plane=y.plane, y_line=y.line, depth=y.depth,
            height=y.height, width=y.width, kernel_d=kernel_d, kernel_h=kernel_h,
            kernel_w=kernel_w, relu=relu, **axes,
        )  # fmt: skip

    forward, weight_grad = depthwise.forward, depthwise.weight_grad
    small = taps.kernel == (1, 3, 3) and taps.dilation == (1, 1, 1) and source.depth == 1
    if small and taps.stride[2] in depthwise.THREE_BY_THREE:
        forward, weight_grad = depthwise.THREE_BY_THREE[taps.stride[2]]

    def backward(dy: Map) -> None:
        if program.learns(step):
            fill()
            gradient = program.weight_grad(step, kernel)
            run(weight_grad, padded, dy, gradient, gradient)

        def write(to: Address) -> None:
            dx = Map.whole(to, x.shape)
            around = products.around_grad(dx, dy, taps, before)
            if small and around is not None and times == 1:
                each = replace(taps, groups=channels)
                back = products.flipped(program, weight, each, reverse=True)
                wide = products.padded(program, dy, *around)
                run(forward, wide, dx, back, program.zeros(channels))
                return
            wide = dx if direct else program.map(padded.shape)
            program.clear(wide.address, wide.size)
            run(depthwise.input_grad, wide, dy, weight, weight)
            if not direct:
                gather(dx, wide.inside(before, source.extent))

        program.accumulate_grad(x, write)

    fill()
    run(forward, padded, to, weight, bias, relu)
    return backward


def lower_depthwise(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """One small kernel for each channel."""
    y = program.tensor(step, x)
    bias = program.bias(step, step.output_shape[-1])
    relu = products.fused_relu(step, y)
    backward = _lower_channelwise(program, step, x, y.map, "kernel", bias, relu)
    yield y
    dy = program.grad_map(y)
    _bias_grad(program, step, dy)
    backward(dy)


def lower_separable(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """A depthwise convolution, then a matrix on the channels."""
    layer = cast(SeparableConv, step.layer)
    y = program.tensor(step, x)
    inputs = step.input_shapes[0][-1] * layer.multiplier
    middle = program.map((*step.output_shape[:-1], inputs))
    backward = _lower_channelwise(program, step, x, middle, "depthwise", program.zeros(inputs))
    taps = matrix(inputs, layer.filters)
    pointwise, bias = program.weight(step, "pointwise"), program.bias(step, layer.filters)
    relu = products.fused_relu(step, y)
    products.convolve(program, y.map, middle, pointwise, taps, bias, relu=relu)
    yield y
    dy = program.grad_map(y)
    _bias_grad(program, step, dy)
    if program.learns(step):
        gradient = program.weight_grad(step, "pointwise")
        products.weight_grad(program, gradient, middle, dy, taps)
    by_output = products.flipped(program, pointwise, taps, reverse=False)
    dmiddle = program.map((*step.output_shape[:-1], inputs))
    products.convolve(program, dmiddle, dy, by_output, taps.back(), program.zeros(inputs))
    backward(dmiddle)


def lower_transposed(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """Each input cell scatters one kernel over the output."""
    layer = cast(TransposedConv, step.layer)
    y, groups, channels = program.tensor(step, x), layer.groups, step.input_shapes[0][-1]
    taps = Taps(
        three(layer.kernel, 1), three(layer.stride, 1), three(layer.dilation, 1), groups,
        channels // groups, layer.filters // groups,
    )  # fmt: skip
    before = three(tuple(crop[0] for crop in layer.crops()), 0)
    source, out = x.map, y.map
    axes = zip(source.extent, taps.stride, taps.extent, before, out.extent, strict=True)
    d, h, w = (max((n - 1) * stride + e, cut + size) for n, stride, e, cut, size in axes)
    wide = program.map((d, h, w, layer.filters))
    kernel = program.weight(step, "kernel")
    program.clear(wide.address, wide.size)
    order = products.KernelOrder(step=taps.outputs, group=taps.inputs * taps.outputs)
    products.scatter(program, wide, source, kernel, taps, order)
    program.copy_map(out, wide.inside(before, out.extent))
    bias = program.bias(step, layer.filters)
    program.copy(y.address, bias, layer.filters, (out.cells, layer.filters, 0), add=True)
    yield y
    dy = program.grad_map(y)
    _bias_grad(program, step, dy)
    wide_dy = program.frame(wide.shape, before, out.extent)
    program.copy_map(wide_dy.inside(before, out.extent), dy)
    if program.learns(step):
        gradient = program.weight_grad(step, "kernel")
        products.scatter_weight_grad(program, gradient, source, wide_dy, taps)

    def write(dx: Address) -> None:
        whole = Taps(taps.kernel, taps.stride, taps.dilation, 1, channels, taps.outputs)
        by_output = products.flipped(program, kernel, whole, reverse=False)
        none = program.zeros(channels)
        to = Map.whole(dx, x.shape)
        products.convolve(program, to, wide_dy, by_output, taps.back(), none)

    program.accumulate_grad(x, write)


KINDS = {
    "conv": Kind(conv, lower_conv),
    "dwconv": Kind(depthwise_conv, lower_depthwise),
    "sepconv": Kind(separable_conv, lower_separable),
    "upconv": Kind(transposed_conv, lower_transposed),
}
