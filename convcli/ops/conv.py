"""Convolutions: plain, depthwise, separable and transposed.

In NumPy tap by tap: each tap is one strided view of the padded input times one matrix. Compiled as
products of the tile, the depthwise ones by their own loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np

from convcli.engine.calls import Operands, Operation, operand, operation
from convcli.engine.llvm import LANES, advance, fused, load, splat, store
from convcli.errors import InputError
from convcli.geometry import Window
from convcli.layers.conv import Conv, DepthwiseConv, SeparableConv, TransposedConv, slide
from convcli.net.trace import Step
from convcli.ops import products
from convcli.ops.activation import activate, deactivate
from convcli.ops.dense import lower_whole
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

Slices = tuple[slice, ...]
KernelBackward = Callable[[Array], tuple[Array, Array]]


def conv(layer: Conv, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """y[n, p, o] = bias[o] + the sum over t and i of x[n, p s + t d - before, i] w[t, i, o].

    Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning.
    """
    refuse_other_borders(layer)
    axes = layer.windows(x.shape[1:])
    kernel, groups = weights["kernel"], layer.groups
    padded = _pad(x, [(axis.before, axis.after) for axis in axes])
    shape = (len(x), *layer.output_shape(x.shape[1:]))
    y = np.zeros((*shape[:-1], groups, layer.filters // groups), x.dtype)
    for tap, view in _views(axes, shape[1:-1]):
        matrix = _tap_of(kernel, tap, groups)
        y += np.einsum("...gi,gio->...go", _by_group(padded[view], groups), matrix)
    y = add_bias(y.reshape(shape), weights)

    def backward(dy: Array) -> tuple[Array, Weights]:
        dy_groups = _by_group(dy, groups)
        dx, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
        for tap, view in _views(axes, shape[1:-1]):
            matrix = _tap_of(kernel, tap, groups)
            part = np.einsum("...go,gio->...gi", dy_groups, matrix)
            dx[view] += part.reshape(*dy.shape[:-1], -1)
            slope = _outer(_by_group(padded[view], groups), dy_groups).transpose(1, 0, 2)
            dkernel[tap] = slope.reshape(dkernel[tap].shape)
        return _unpad(dx, axes), {"kernel": dkernel} | bias_grad(dy, weights)

    return y, backward


def depthwise_conv(
    layer: DepthwiseConv, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """y[n, p, c, m] = bias + sum over taps t of x[n, p s + t d - before, c] w[t, c, m]."""
    y, backward = _depthwise(layer, weights["kernel"], x)

    def whole(dy: Array) -> tuple[Array, Weights]:
        dx, dkernel = backward(dy)
        return dx, {"kernel": dkernel} | bias_grad(dy, weights)

    return add_bias(y, weights), whole


def separable_conv(
    layer: SeparableConv, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """A depthwise convolution, then a matrix on the channels of each cell (Chollet 2017)."""
    middle, depth_backward = _depthwise(layer, weights["depthwise"], x)
    matrix = weights["pointwise"].reshape(weights["pointwise"].shape[-2:])

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx, ddepthwise = depth_backward(dy @ matrix.T)
        dmatrix = cells(middle).T @ cells(dy)
        slopes = {"depthwise": ddepthwise, "pointwise": dmatrix.reshape(weights["pointwise"].shape)}
        return dx, slopes | bias_grad(dy, weights)

    return add_bias(middle @ matrix, weights), backward


def transposed_conv(
    layer: TransposedConv, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Each input cell p adds x[n, p, i] w[t, i, o] to output cell p s + t d - before."""
    crops, kernel, groups = layer.crops(), weights["kernel"], layer.groups
    out = layer.output_shape(x.shape[1:])
    axes = tuple(
        Window(kernel, layer.stride[axis], layer.dilation[axis])
        for axis, kernel in enumerate(layer.kernel)
    )
    wide = [
        max(size + before, (count - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1)
        for size, (before, _, _), count, axis in zip(out, crops, x.shape[1:], axes, strict=False)
    ]
    inside = (slice(None), *(slice(c[0], c[0] + n) for c, n in zip(crops, out, strict=False)))
    wide_y = np.zeros((len(x), *wide, layer.filters), x.dtype)
    x_groups = _by_group(x, groups)

    def matrix(tap: tuple[int, ...]) -> Array:
        grouped: Array = kernel[tap].reshape(groups, -1, layer.filters // groups)
        return grouped

    for tap, view in _views(axes, x.shape[1:-1]):
        part = np.einsum("...gi,gio->...go", x_groups, matrix(tap))
        wide_y[view] += part.reshape(*x.shape[:-1], layer.filters)

    def backward(dy: Array) -> tuple[Array, Weights]:
        wide_dy = np.zeros_like(wide_y)
        wide_dy[inside] = dy
        dx, dkernel = np.zeros_like(x_groups), np.zeros_like(kernel)
        for tap, view in _views(axes, x.shape[1:-1]):
            dy_groups = _by_group(wide_dy[view], groups)
            dx += np.einsum("...go,gio->...gi", dy_groups, matrix(tap))
            slope = _outer(x_groups, dy_groups)
            dkernel[tap] = slope.reshape(dkernel[tap].shape)
        return dx.reshape(x.shape), {"kernel": dkernel} | bias_grad(dy, weights)

    return add_bias(wide_y[inside], weights), backward


def _depthwise(
    layer: DepthwiseConv | SeparableConv, kernel: Array, x: Array
) -> tuple[Array, KernelBackward]:
    axes = layer.windows(x.shape[1:])
    padded = _pad(x, [(axis.before, axis.after) for axis in axes])
    spatial = slide(x.shape[1:-1], axes)
    y = np.zeros((len(x), *spatial, *kernel.shape[-2:]), x.dtype)
    for tap, view in _views(axes, spatial):
        y += padded[view][..., None] * kernel[tap]

    def backward(dy: Array) -> tuple[Array, Array]:
        dy_cm = dy.reshape(y.shape)
        dx, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
        everywhere = tuple(range(dy_cm.ndim - 2))
        for tap, view in _views(axes, spatial):
            dx[view] += (dy_cm * kernel[tap]).sum(axis=-1)
            dkernel[tap] = (padded[view][..., None] * dy_cm).sum(axis=everywhere)
        return _unpad(dx, axes), dkernel

    return y.reshape(*y.shape[:-2], -1), backward


def _outer(x: Array, dy: Array) -> Array:
    """Return the sum over samples and cells of x[..., g, i] dy[..., g, o], as (g, i, o)."""
    groups = x.shape[-2]
    total: Array = np.einsum(
        "ngi,ngo->gio", x.reshape(-1, groups, x.shape[-1]), dy.reshape(-1, groups, dy.shape[-1])
    )
    return total


def refuse_other_borders(layer: Conv) -> None:
    """Refuse borders that training does not know."""
    if layer.padding_mode != "zeros":
        raise InputError(
            f"conv with {layer.padding_mode} borders can be calculated, but not run. Use zeros."
        )


def _views(
    axes: tuple[Window, ...], spatial: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Slices]]:
    """Yield every tap with the view of the padded input that it reads for all output cells."""
    for tap in np.ndindex(*(axis.kernel for axis in axes)):
        view = tuple(
            slice(t * axis.dilation, t * axis.dilation + (n - 1) * axis.stride + 1, axis.stride)
            for t, axis, n in zip(tap, axes, spatial, strict=True)
        )
        yield tap, (slice(None), *view)


def _pad(x: Array, cells: list[tuple[int, int]]) -> Array:
    """Return `x` with zeros around its spatial axes."""
    return np.pad(x, [(0, 0), *cells, (0, 0)])


def _unpad(dx: Array, axes: tuple[Window, ...]) -> Array:
    cut = (
        slice(axis.before, size - axis.after)
        for axis, size in zip(axes, dx.shape[1:-1], strict=True)
    )
    return dx[(slice(None), *cut)]


def _by_group(x: Array, groups: int) -> Array:
    """Return the channels as (groups, channels of a group)."""
    return x.reshape(*x.shape[:-1], groups, -1)


def _tap_of(kernel: Array, tap: tuple[int, ...], groups: int) -> Array:
    """Return one tap of a grouped kernel as (group, input, output)."""
    inputs = kernel.shape[-2]
    grouped: Array = kernel[tap].reshape(inputs, groups, -1).transpose(1, 0, 2)
    return grouped


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


def lower_conv(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    """Convolution over 1, 2 or 3 axes with stride, padding, dilation and groups."""
    layer, shape = cast(Conv, step.layer), step.input_shapes[0]
    refuse_other_borders(layer)
    if layer.kernel == shape[:-1] and layer.padding == "valid" and layer.groups == 1:
        return lower_whole(program, step, x, x.size, layer.filters)  # one window covers the input
    taps, before, after = window_taps(
        layer.windows(shape), layer.groups, shape[-1] // layer.groups, layer.filters // layer.groups
    )
    y = program.tensor(step, x, honors_extent=True)
    padded = products.padded(program, x.map, before, after)
    kernel, kind = program.weight(step, "kernel"), layer.activation
    fuses_relu = kind == "relu"
    bias = program.bias(step, layer.filters)
    products.convolve(program, y.map, padded, kernel, taps, bias, relu=fuses_relu)
    inner = y.address if fuses_relu else activate(program, kind, y)
    y.sparse_grad_ok = _sparse_grad_ok(program, step, taps, kind)

    def backward() -> None:
        if y.pooled is not None:
            products.refill(program, padded, x.map, before)
            lower_sparse_backward(program, step, x, y.pooled, padded, taps, before)
            return
        deactivate(program, kind, y, inner)
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

    program.on_backward(backward)
    return y


LEAST_ROW = 12
"""Numbers of a kernel row from which on lists of gradients beat plain products."""


def _sparse_grad_ok(program: ProgramBuilder, step: Step, taps: Taps, kind: str | None) -> bool:
    """Tell whether the backward half may read its gradient as a list behind a pooling."""
    plain = taps.stride == taps.dilation == (1, 1, 1) and taps.groups == 1 and taps.kernel[0] == 1
    wide = taps.kernel[2] * taps.inputs >= LEAST_ROW
    return plain and wide and kind in {None, "relu"} and program.only_reader(step) is not None


def _bias_grad(program: ProgramBuilder, step: Step, dy: Map) -> None:
    if program.learns(step) and "bias" in step.weights:
        products.bias_grad(program, program.weight_grad(step, "bias"), dy)


DW = Operands(
    "x y kernel bias",
    "channels x_plane x_line y_plane y_line depth height width kernel_d kernel_h kernel_w "
    "stride_d stride_h stride_w apart_d apart_h apart_w",
)
"""Of all three depthwise operations. x is padded; in gradients x, y and kernel are gradients."""


@operation(DW)
def depthwise_forward(bases, row, first, count):
    """Y = bias + the sum over taps of x * kernel."""
    channels, x_plane, x_line = row[DW.channels], row[DW.x_plane], row[DW.x_line]
    out_d, out_h, out_w = row[DW.depth], row[DW.height], row[DW.width]
    kernel_d, kernel_h, kernel_w = row[DW.kernel_d], row[DW.kernel_h], row[DW.kernel_w]
    jump_d, jump_h = row[DW.stride_d] * x_plane, row[DW.stride_h] * x_line
    down_d, down_h = row[DW.apart_d] * x_plane, row[DW.apart_h] * x_line
    jump_w, apart_w = row[DW.stride_w] * channels, row[DW.apart_w] * channels
    y_plane, y_line = row[DW.y_plane], row[DW.y_line]
    kernel, bias = operand(bases, row, DW.kernel, 0), operand(bases, row, DW.bias, 0)
    for sample in range(first, first + count):
        x, y = operand(bases, row, DW.x, sample), operand(bases, row, DW.y, sample)
        for od in range(out_d):
            for oh in range(out_h):
                for ow in range(out_w):
                    corner = od * jump_d + oh * jump_h + ow * jump_w
                    to = od * y_plane + oh * y_line + ow * channels
                    for c in range(0, channels, LANES):
                        total = load(advance(bias, c), channels - c)
                        tap = c
                        for i in range(kernel_d):
                            for j in range(kernel_h):
                                at = corner + i * down_d + j * down_h + c
                                for _ in range(kernel_w):
                                    value = load(advance(x, at), channels - c)
                                    weight = load(advance(kernel, tap), channels - c)
                                    total = fused(value, weight, total)
                                    at += apart_w
                                    tap += channels
                        store(advance(y, to + c), total, channels - c)


@operation(DW)
def depthwise_input_grad(bases, row, first, count):
    """Add dy * kernel to every cell that was read."""
    channels, x_plane, x_line = row[DW.channels], row[DW.x_plane], row[DW.x_line]
    out_d, out_h, out_w = row[DW.depth], row[DW.height], row[DW.width]
    kernel_d, kernel_h, kernel_w = row[DW.kernel_d], row[DW.kernel_h], row[DW.kernel_w]
    jump_d, jump_h = row[DW.stride_d] * x_plane, row[DW.stride_h] * x_line
    down_d, down_h = row[DW.apart_d] * x_plane, row[DW.apart_h] * x_line
    jump_w, apart_w = row[DW.stride_w] * channels, row[DW.apart_w] * channels
    y_plane, y_line = row[DW.y_plane], row[DW.y_line]
    kernel = operand(bases, row, DW.kernel, 0)
    for sample in range(first, first + count):
        x, y = operand(bases, row, DW.x, sample), operand(bases, row, DW.y, sample)
        for od in range(out_d):
            for oh in range(out_h):
                for ow in range(out_w):
                    corner = od * jump_d + oh * jump_h + ow * jump_w
                    to = od * y_plane + oh * y_line + ow * channels
                    for c in range(0, channels, LANES):
                        slope = load(advance(y, to + c), channels - c)
                        tap = c
                        for i in range(kernel_d):
                            for j in range(kernel_h):
                                at = corner + i * down_d + j * down_h + c
                                for _ in range(kernel_w):
                                    weight = load(advance(kernel, tap), channels - c)
                                    old = load(advance(x, at), channels - c)
                                    store(advance(x, at), fused(slope, weight, old), channels - c)
                                    at += apart_w
                                    tap += channels


@operation(DW)
def depthwise_weight_grad(bases, row, first, count):
    """Add the sum over cells of x * dy to the kernel's gradient."""
    channels, x_plane, x_line = row[DW.channels], row[DW.x_plane], row[DW.x_line]
    out_d, out_h, out_w = row[DW.depth], row[DW.height], row[DW.width]
    kernel_d, kernel_h, kernel_w = row[DW.kernel_d], row[DW.kernel_h], row[DW.kernel_w]
    jump_d, jump_h = row[DW.stride_d] * x_plane, row[DW.stride_h] * x_line
    down_d, down_h = row[DW.apart_d] * x_plane, row[DW.apart_h] * x_line
    jump_w, apart_w = row[DW.stride_w] * channels, row[DW.apart_w] * channels
    y_plane, y_line = row[DW.y_plane], row[DW.y_line]
    gradient = operand(bases, row, DW.kernel, 0)
    for sample in range(first, first + count):
        x, y = operand(bases, row, DW.x, sample), operand(bases, row, DW.y, sample)
        tap = 0
        for i in range(kernel_d):
            for j in range(kernel_h):
                for k in range(kernel_w):
                    corner = i * down_d + j * down_h + k * apart_w
                    for c in range(0, channels, LANES):
                        total = splat(np.float32(0.0))
                        for od in range(out_d):
                            for oh in range(out_h):
                                at = corner + od * jump_d + oh * jump_h + c
                                to = od * y_plane + oh * y_line + c
                                for _ in range(out_w):
                                    value = load(advance(x, at), channels - c)
                                    slope = load(advance(y, to), channels - c)
                                    total = fused(value, slope, total)
                                    at += jump_w
                                    to += channels
                        place = advance(gradient, tap + c)
                        one = splat(np.float32(1.0))
                        store(place, fused(total, one, load(place, channels - c)), channels - c)
                    tap += channels


class _Channelwise:
    """The depthwise half that two layers share; a multiplier repeats the channels first."""

    def __init__(
        self, program: ProgramBuilder, step: Step, x: Tensor, to: Map, kernel: str, bias: Address
    ) -> None:
        layer = cast(DepthwiseConv | SeparableConv, step.layer)
        self.program, self.step, self.x, self.kernel = program, step, x, kernel
        self.multiplier = layer.multiplier
        self.channels = step.input_shapes[0][-1] * self.multiplier
        axes = layer.windows(step.input_shapes[0])
        self.taps, self.before, self.after = window_taps(axes, 1, 1, self.channels)
        self.padded = self._padded()
        self._fill()
        self._run(depthwise_forward, self.padded, to, program.weight(step, kernel), bias)

    def _padded(self) -> Map:
        x = self.x.map
        if self.multiplier == 1 and not any(self.before) and not any(self.after):
            return x
        sizes = zip(x.extent, self.before, self.after, strict=True)
        d, h, w = (size + before + after for size, before, after in sizes)
        return self.program.map((d, h, w, self.channels), pinned=True)

    def _fill(self) -> None:
        """Copy the input into its padded map, each channel `multiplier` times."""
        x, times = self.x.map, self.multiplier
        if self.padded == x:
            return
        inside = self.padded.inside(self.before, x.extent)
        if times == 1:
            self.program.copy_map(inside, x)
            return
        for d in range(x.depth):
            self.program.copy(
                inside.address.after(d * inside.plane), x.address.after(d * x.plane), 1,
                (x.height, inside.line, x.line), (x.width * x.channels, times, 1), (times, 1, 0),
            )  # fmt: skip

    def _run(self, operation: Operation, x: Map, y: Map, kernel: Address, bias: Address) -> None:
        taps = self.taps
        numbers = {"kernel": taps.kernel, "stride": taps.stride, "apart": taps.dilation}
        axes = {
            f"{name}_{axis}": number
            for name, three_axes in numbers.items()
            for axis, number in zip("dhw", three_axes, strict=True)
        }
        self.program.sample(
            operation, x=x.address, y=y.address, kernel=kernel, bias=bias, channels=self.channels,
            x_plane=x.plane, x_line=x.line, y_plane=y.plane, y_line=y.line, depth=y.depth,
            height=y.height, width=y.width, **axes,
        )  # fmt: skip

    def backward(self, dy: Map) -> None:
        """Append the gradients of the kernel and of the input."""
        program, x = self.program, self.x
        weight = program.weight(self.step, self.kernel)
        if program.learns(self.step):
            self._fill()
            gradient = program.weight_grad(self.step, self.kernel)
            self._run(depthwise_weight_grad, self.padded, dy, gradient, gradient)

        def write(to: Address) -> None:
            dx = Map.whole(to, x.shape)
            direct = self.padded.address.buffer is x.address.buffer
            wide = dx if direct else program.map(self.padded.shape)
            program.clear(wide.address, wide.size)
            self._run(depthwise_input_grad, wide, dy, weight, weight)
            if not direct:
                self._gather(dx, wide.inside(self.before, x.map.extent))

        program.accumulate_grad(x, write)

    def _gather(self, dx: Map, inside: Map) -> None:
        """Sum the repeated channels of the padded gradient back into one."""
        times = self.multiplier
        if times == 1:
            self.program.copy_map(dx, inside)
            return
        self.program.clear(dx.address, dx.size)
        for d in range(dx.depth):
            self.program.copy(
                dx.address.after(d * dx.plane), inside.address.after(d * inside.plane), 1,
                (dx.height, dx.line, inside.line), (dx.width * dx.channels, 1, times),
                (times, 0, 1), add=True,
            )  # fmt: skip


def lower_depthwise(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    """One small kernel for each channel."""
    kind = cast(DepthwiseConv, step.layer).activation
    y = program.tensor(step, x)
    bias = program.bias(step, step.output_shape[-1])
    half = _Channelwise(program, step, x, y.map, "kernel", bias)
    inner = activate(program, kind, y)

    def backward() -> None:
        deactivate(program, kind, y, inner)
        dy = program.grad_map(y)
        _bias_grad(program, step, dy)
        half.backward(dy)

    program.on_backward(backward)
    return y


def lower_separable(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    """A depthwise convolution, then a matrix on the channels."""
    layer = cast(SeparableConv, step.layer)
    y = program.tensor(step, x)
    inputs = step.input_shapes[0][-1] * layer.multiplier
    middle = program.map((*step.output_shape[:-1], inputs))
    half = _Channelwise(program, step, x, middle, "depthwise", program.zeros(inputs))
    taps = matrix(inputs, layer.filters)
    pointwise, bias = program.weight(step, "pointwise"), program.bias(step, layer.filters)
    products.convolve(program, y.map, middle, pointwise, taps, bias)
    inner = activate(program, layer.activation, y)

    def backward() -> None:
        deactivate(program, layer.activation, y, inner)
        dy = program.grad_map(y)
        _bias_grad(program, step, dy)
        if program.learns(step):
            gradient = program.weight_grad(step, "pointwise")
            products.weight_grad(program, gradient, middle, dy, taps)
        by_output = products.flipped(program, pointwise, taps, reverse=False)
        dmiddle = program.map((*step.output_shape[:-1], inputs))
        none = program.zeros(inputs)
        products.convolve(program, dmiddle, dy, by_output, taps.back(), none)
        half.backward(dmiddle)

    program.on_backward(backward)
    return y


def lower_transposed(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
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
    inner = activate(program, layer.activation, y)

    def backward() -> None:
        deactivate(program, layer.activation, y, inner)
        dy = program.grad_map(y)
        _bias_grad(program, step, dy)
        wide_dy = program.map(wide.shape, pinned=True)
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

    program.on_backward(backward)
    return y


KINDS = {
    "conv": Kind(conv, lower_conv),
    "dwconv": Kind(depthwise_conv, lower_depthwise),
    "sepconv": Kind(separable_conv, lower_separable),
    "upconv": Kind(transposed_conv, lower_transposed),
}
