"""Convolutions tap by tap: each tap is one strided view of the padded input times one matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from convcli.errors import InputError
from convcli.geometry import Window
from convcli.layers.conv import Conv, DepthwiseConv, SeparableConv, TransposedConv, slide
from convcli.learn.arrays import Array
from convcli.learn.rules.base import Backward, Context, Weights, cells, spatial_axes

Slices = tuple[slice, ...]
KernelBackward = Callable[[Array], tuple[Array, Array]]


def conv(layer: Conv, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """y[n, p, o] = bias[o] + the sum over t and i of x[n, p s + t d - before, i] w[t, i, o].

    Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning.
    """
    refuse_other_borders(layer)
    axes = layer.windows(x.shape[1:])
    kernel, groups = weights["kernel"], layer.groups
    padded = pad(x, [(axis.before, axis.after) for axis in axes])
    shape = (len(x), *layer.output_shape(x.shape[1:]))
    y = np.zeros((*shape[:-1], groups, layer.filters // groups), x.dtype)
    for tap, view in taps(axes, shape[1:-1]):
        matrix = tap_of(kernel, tap, groups)
        y += np.einsum("...gi,gio->...go", by_group(padded[view], groups), matrix)
    y = add_bias(y.reshape(shape), weights)

    def backward(dy: Array) -> tuple[Array, Weights]:
        dy_groups = by_group(dy, groups)
        dx, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
        for tap, view in taps(axes, shape[1:-1]):
            matrix = tap_of(kernel, tap, groups)
            part = np.einsum("...go,gio->...gi", dy_groups, matrix)
            dx[view] += part.reshape(*dy.shape[:-1], -1)
            slope = _outer(by_group(padded[view], groups), dy_groups).transpose(1, 0, 2)
            dkernel[tap] = slope.reshape(dkernel[tap].shape)
        return unpad(dx, axes), {"kernel": dkernel} | bias_slope(dy, weights)

    return y, backward


def depthwise(
    layer: DepthwiseConv, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """y[n, p, c, m] = bias + sum over taps t of x[n, p s + t d - before, c] w[t, c, m]."""
    y, backward = _depthwise(layer, weights["kernel"], x)

    def whole(dy: Array) -> tuple[Array, Weights]:
        dx, dkernel = backward(dy)
        return dx, {"kernel": dkernel} | bias_slope(dy, weights)

    return add_bias(y, weights), whole


def separable(
    layer: SeparableConv, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """A depthwise convolution, then a matrix on the channels of each cell (Chollet 2017)."""
    middle, depth_backward = _depthwise(layer, weights["depthwise"], x)
    matrix = weights["pointwise"].reshape(weights["pointwise"].shape[-2:])

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx, ddepthwise = depth_backward(dy @ matrix.T)
        dmatrix = cells(middle).T @ cells(dy)
        slopes = {"depthwise": ddepthwise, "pointwise": dmatrix.reshape(weights["pointwise"].shape)}
        return dx, slopes | bias_slope(dy, weights)

    return add_bias(middle @ matrix, weights), backward


def transposed(
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
    room = np.zeros((len(x), *wide, layer.filters), x.dtype)
    x_groups = by_group(x, groups)

    def matrix(tap: tuple[int, ...]) -> Array:
        grouped: Array = kernel[tap].reshape(groups, -1, layer.filters // groups)
        return grouped

    for tap, view in taps(axes, x.shape[1:-1]):
        part = np.einsum("...gi,gio->...go", x_groups, matrix(tap))
        room[view] += part.reshape(*x.shape[:-1], layer.filters)

    def backward(dy: Array) -> tuple[Array, Weights]:
        wide_dy = np.zeros_like(room)
        wide_dy[inside] = dy
        dx, dkernel = np.zeros_like(x_groups), np.zeros_like(kernel)
        for tap, view in taps(axes, x.shape[1:-1]):
            dy_groups = by_group(wide_dy[view], groups)
            dx += np.einsum("...go,gio->...gi", dy_groups, matrix(tap))
            slope = _outer(x_groups, dy_groups)
            dkernel[tap] = slope.reshape(dkernel[tap].shape)
        return dx.reshape(x.shape), {"kernel": dkernel} | bias_slope(dy, weights)

    return add_bias(room[inside], weights), backward


def _depthwise(
    layer: DepthwiseConv | SeparableConv, kernel: Array, x: Array
) -> tuple[Array, KernelBackward]:
    axes = layer.windows(x.shape[1:])
    padded = pad(x, [(axis.before, axis.after) for axis in axes])
    spatial = slide(x.shape[1:-1], axes)
    y = np.zeros((len(x), *spatial, *kernel.shape[-2:]), x.dtype)
    for tap, view in taps(axes, spatial):
        y += padded[view][..., None] * kernel[tap]

    def backward(dy: Array) -> tuple[Array, Array]:
        dy_cm = dy.reshape(y.shape)
        dx, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
        everywhere = tuple(range(dy_cm.ndim - 2))
        for tap, view in taps(axes, spatial):
            dx[view] += (dy_cm * kernel[tap]).sum(axis=-1)
            dkernel[tap] = (padded[view][..., None] * dy_cm).sum(axis=everywhere)
        return unpad(dx, axes), dkernel

    return y.reshape(*y.shape[:-2], -1), backward


def _outer(x: Array, dy: Array) -> Array:
    """Return the sum over samples and cells of x[..., g, i] dy[..., g, o], as (g, i, o)."""
    groups = x.shape[-2]
    total: Array = np.einsum(
        "ngi,ngo->gio", x.reshape(-1, groups, x.shape[-1]), dy.reshape(-1, groups, dy.shape[-1])
    )
    return total


def refuse_other_borders(layer: Conv) -> None:
    """Refuse borders that training does not know.

    Raises:
        InputError: a border other than zeros.
    """
    if layer.padding_mode != "zeros":
        raise InputError(
            f"conv with {layer.padding_mode} borders can be calculated, but not run. Use zeros."
        )


def taps(
    axes: tuple[Window, ...], spatial: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Slices]]:
    """Yield every tap with the view of the padded input that it reads for all output cells."""
    for tap in np.ndindex(*(axis.kernel for axis in axes)):
        view = tuple(
            slice(t * axis.dilation, t * axis.dilation + (n - 1) * axis.stride + 1, axis.stride)
            for t, axis, n in zip(tap, axes, spatial, strict=True)
        )
        yield tap, (slice(None), *view)


def pad(x: Array, cells: list[tuple[int, int]]) -> Array:
    """Return `x` with zeros around its spatial axes."""
    return np.pad(x, [(0, 0), *cells, (0, 0)])


def unpad(dx: Array, axes: tuple[Window, ...]) -> Array:
    """Cut the padding off."""
    cut = (
        slice(axis.before, size - axis.after)
        for axis, size in zip(axes, dx.shape[1:-1], strict=True)
    )
    return dx[(slice(None), *cut)]


def by_group(x: Array, groups: int) -> Array:
    """Return the channels as (groups, channels of a group)."""
    return x.reshape(*x.shape[:-1], groups, -1)


def tap_of(kernel: Array, tap: tuple[int, ...], groups: int) -> Array:
    """Return one tap of a grouped kernel as (group, input, output)."""
    inputs = kernel.shape[-2]
    grouped: Array = kernel[tap].reshape(inputs, groups, -1).transpose(1, 0, 2)
    return grouped


def add_bias(y: Array, weights: Weights) -> Array:
    """Return `y` plus the bias, if there is one."""
    return y + weights["bias"] if "bias" in weights else y


def bias_slope(dy: Array, weights: Weights) -> Weights:
    """Return the bias's gradient, if there is a bias."""
    return {"bias": dy.sum(axis=(0, *spatial_axes(dy)))} if "bias" in weights else {}
