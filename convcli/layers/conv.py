"""Convolutions: full, depthwise, separable, transposed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod

from convcli.geometry import (
    AxisMap,
    Padding,
    Spread,
    Window,
    effective_kernel,
    output_size,
    transposed_same,
    transposed_size,
    windows,
)
from convcli.layers.activation import ActivatedLayer
from convcli.layers.base import (
    Layer,
    Shape,
    ShapeError,
    Work,
    elements,
    nearest_divisor,
    shape_text,
)
from convcli.layers.elsewhere import Elsewhere, Keras, Onnx, Torch
from convcli.layers.registry import word

__all__ = ["Conv", "DepthwiseConv", "SeparableConv", "TransposedConv"]


Extra = tuple[int, ...]
"""Cells per axis, 0 or more; nothing is no number at all."""


def canonical_padding(padding: Padding) -> Padding:
    """Return `valid` for padding that is zero everywhere, else the padding itself.

    >>> canonical_padding(((0, 0), (0, 0)))
    'valid'
    """
    if isinstance(padding, str) or any(before or after for before, after in padding):
        return padding
    return "valid"


def check_padding(padding: Padding) -> None:
    """Refuse an unknown word and negative cells; `pad` and `crop` do what those would mean."""
    if isinstance(padding, str):
        if padding not in {"valid", "same", "causal"}:
            raise ShapeError(f"padding {padding!r} is unknown. Use valid, same, causal or numbers.")
    elif any(cells < 0 for pair in padding for cells in pair):
        raise ShapeError("padding is negative. Use `crop` before the layer.")


def slide(spatial: Shape, axes: tuple[Window, ...], *, ceil: bool = False) -> Shape:
    """Return the output extents of windows over a map.

    Raises:
        ShapeError: a window is larger than its padded input.
    """
    out = tuple(
        output_size(
            size, axis.kernel, axis.stride, axis.before, axis.after, axis.dilation, ceil=ceil
        )
        for size, axis in zip(spatial, axes, strict=True)
    )
    if 0 in out:
        axis = out.index(0)
        raise _too_large(spatial, axes[axis], axis)
    return out


def _too_large(spatial: Shape, window: Window, axis: int) -> ShapeError:
    extent = effective_kernel(window.kernel, window.dilation)
    padded = spatial[axis] + window.before + window.after
    missing = extent - padded
    largest = (padded - 1) // window.dilation + 1
    dilated = f" (kernel {window.kernel}, dilation {window.dilation})" * (window.dilation > 1)
    return ShapeError(
        f"window {extent}{dilated} does not fit input {shape_text(spatial)} "
        f"(padding {window.before}+{window.after}). Use a window of at most {largest}, "
        f"or padding {window.before + (missing + 1) // 2}."
    )


KERAS_WINDOW = {
    "kernel_size": "kernel",
    "strides": "stride",
    "padding": "padding",
    "dilation_rate": "dilation",
    "use_bias": "bias",
    "activation": "activation",
}


class Sliding(ActivatedLayer):
    """What the sliding convolutions share; the fields are declared by each of them."""

    __slots__ = ()
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    bias: bool

    role = "conv"
    needs_map = True
    axes_fields = ("kernel", "stride", "dilation")
    pads_fields = ("padding",)

    def __post_init__(self) -> None:
        ActivatedLayer.__post_init__(self)
        check_padding(self.padding)
        object.__setattr__(self, "padding", canonical_padding(self.padding))

    def windows(self, input_shape: Shape) -> tuple[Window, ...]:
        """Return one window per axis with its padding in cells."""
        return windows(input_shape[:-1], self.kernel, self.stride, self.padding, self.dilation)

    def flops(self, input_shape: Shape) -> Work:
        """Return 2 per multiply-accumulate and 1 per bias addition."""
        cells = elements(self.output_shape(input_shape))
        return {"conv": 2 * self.macs(input_shape), "bias": cells * self.bias}

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...]:
        """Return the windows."""
        return self.windows(input_shape)


@word("conv", "conv 16 3 same relu")
class Conv(Sliding):
    """A convolution over 1, 2 or 3 axes (cross-correlation, as in every framework).

    >>> conv = Conv(filters=10, kernel=(3, 3))
    >>> conv.output_shape((6, 6, 3)), conv.weights((6, 6, 3))["kernel"]
    ((4, 4, 10), (3, 3, 3, 10))
    """

    filters: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    padding: Padding = "valid"
    dilation: tuple[int, ...] = (1,)
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"
    """What stands in the padding: zeros, or reflect, replicate, circular (not in the notation)."""

    elsewhere = Elsewhere(
        Torch("Conv{rank}d", {"kernel": "weight", "bias": "bias"}),
        Onnx("Conv", {"group": "groups"}),
        Keras("Conv{rank}D", KERAS_WINDOW | {"filters": "filters", "groups": "groups"}),
        ("convolution",),
        {"kernel": "... i o -> o i ..."},
    )
    unsaid = ("padding_mode",)
    keeps = "input"
    positive_fields = ("filters", "groups")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (..., filters); see `Layer.output_shape`."""
        check_groups(self.groups, input_shape[-1], self.filters)
        axes = self.windows(input_shape)
        self._check_border(input_shape, axes)
        return (*slide(input_shape[:-1], axes), self.filters)

    def _check_border(self, input_shape: Shape, axes: tuple[Window, ...]) -> None:
        """Refuse a border that would need more cells than the input has."""
        spare = {"reflect": 1, "circular": 0}.get(self.padding_mode)
        if spare is None:
            return
        for size, axis in zip(input_shape, axes, strict=False):
            if max(axis.before, axis.after) > size - spare:
                raise ShapeError(
                    f"{self.padding_mode} padding {max(axis.before, axis.after)} needs a larger "
                    f"input than {shape_text(input_shape)}. Use padding of at most {size - spare}."
                )

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return kernel (*kernel, in_channels // groups, filters) and bias (filters,)."""
        kernel = (*self.kernel, input_shape[-1] // self.groups, self.filters)
        return {"kernel": kernel} | ({"bias": (self.filters,)} if self.bias else {})

    def macs(self, input_shape: Shape) -> int:
        """Return output cells x kernel cells x channels of one group."""
        cells = elements(self.output_shape(input_shape))
        return cells * prod(self.kernel) * (input_shape[-1] // self.groups)


def check_groups(groups: int, in_channels: int, filters: int) -> None:
    """Refuse groups that do not divide both channel counts, and name those that do."""
    if groups == 1 or not (in_channels % groups or filters % groups):
        return
    raise ShapeError(
        f"{groups} groups do not divide {in_channels} input channels and {filters} filters. "
        f"Use g{nearest_divisor(groups, in_channels, filters)}."
    )


@word("dwconv", "dwconv 3 p1")
class DepthwiseConv(Sliding):
    """One small kernel per channel, `multiplier` outputs each; no mixing of channels.

    >>> DepthwiseConv(kernel=(3, 3), multiplier=2).output_shape((9, 9, 16))
    (7, 7, 32)
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    padding: Padding = "valid"
    dilation: tuple[int, ...] = (1,)
    multiplier: int = 1
    bias: bool = True

    elsewhere = Elsewhere(
        Torch("", {"kernel": "weight", "bias": "bias"}),
        keras=Keras("DepthwiseConv{rank}D", KERAS_WINDOW | {"depth_multiplier": "multiplier"}),
        also=("depthwise",),
        arrays={"kernel": "... c m -> (c m) 1 ..."},
    )
    keeps = "input"
    positive_fields = ("multiplier",)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (..., in_channels * multiplier)."""
        spatial = slide(input_shape[:-1], self.windows(input_shape))
        return (*spatial, input_shape[-1] * self.multiplier)

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return kernel (*kernel, in_channels, multiplier) and bias (in_channels * multiplier,)."""
        channels = input_shape[-1]
        kernel = (*self.kernel, channels, self.multiplier)
        return {"kernel": kernel} | ({"bias": (channels * self.multiplier,)} if self.bias else {})

    def macs(self, input_shape: Shape) -> int:
        """Return output cells x kernel cells."""
        return elements(self.output_shape(input_shape)) * prod(self.kernel)


@word("sepconv", "sepconv 64 3 same")
class SeparableConv(Sliding):
    """A depthwise convolution and a 1x1 convolution in one row, with one bias at the end (Keras).

    >>> conv = SeparableConv(filters=64, kernel=(3, 3), padding="same")
    >>> [sum(1 for _ in shape) for shape in conv.weights((28, 28, 32)).values()]
    [4, 4, 1]
    """

    filters: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    padding: Padding = "valid"
    dilation: tuple[int, ...] = (1,)
    multiplier: int = 1
    bias: bool = True

    elsewhere = Elsewhere(
        Torch(
            "",
            {
                "depthwise": "_depthwise.weight",
                "pointwise": "_pointwise.weight",
                "bias": "_pointwise.bias",
            },
        ),
        keras=Keras(
            "SeparableConv{rank}D",
            KERAS_WINDOW | {"filters": "filters", "depth_multiplier": "multiplier"},
        ),
        also=("separable",),
        arrays={"depthwise": "... c m -> (c m) 1 ...", "pointwise": "... i o -> o i ..."},
    )
    keeps = "input"
    positive_fields = ("filters", "multiplier")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (..., filters)."""
        return (*slide(input_shape[:-1], self.windows(input_shape)), self.filters)

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return depthwise (*kernel, in, multiplier), pointwise (1.., in * multiplier, filters)."""
        channels = input_shape[-1]
        ones = (1,) * len(self.kernel)
        arrays: dict[str, Shape] = {
            "depthwise": (*self.kernel, channels, self.multiplier),
            "pointwise": (*ones, channels * self.multiplier, self.filters),
        }
        return arrays | ({"bias": (self.filters,)} if self.bias else {})

    def macs(self, input_shape: Shape) -> int:
        """Return output cells x (middle channels x kernel cells + middle channels x filters)."""
        cells = elements(self.output_shape(input_shape)[:-1])
        middle = input_shape[-1] * self.multiplier
        return cells * middle * (prod(self.kernel) + self.filters)

    def keeps_besides(self, input_shape: Shape) -> tuple[int, int]:
        """Return the map between the two convolutions."""
        cells = elements(self.output_shape(input_shape)[:-1])
        return cells * input_shape[-1] * self.multiplier, 0


@word("upconv", "upconv 64 2 s2")
class TransposedConv(ActivatedLayer):
    """A transposed convolution: every input cell spreads one kernel over the output.

    >>> TransposedConv(filters=512, kernel=(2, 2), stride=(2, 2)).output_shape((28, 28, 1024))
    (56, 56, 512)
    """

    filters: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    padding: Padding = "valid"
    output_padding: Extra = ()
    """Cells more at the end; Keras tells 0 from nothing."""
    dilation: tuple[int, ...] = (1,)
    groups: int = 1
    bias: bool = True
    size: tuple[int, ...] = ()
    """The output's extents; its padding at the end is chosen to give them."""
    fill: tuple[int, ...] = (0,)
    """Cells a framework adds by itself at the end (Keras, kernel below stride)."""

    role = "conv"
    elsewhere = Elsewhere(
        Torch("ConvTranspose{rank}d", {"kernel": "weight", "bias": "bias"}),
        Onnx("ConvTranspose", {"group": "groups"}),
        Keras(
            "Conv{rank}DTranspose",
            KERAS_WINDOW | {"filters": "filters"},
            {"kernel": "... i o -> ... o i"},
        ),
        ("deconv",),
        {"kernel": "... i o -> i o ..."},
    )
    unsaid = ("fill",)
    keeps = "input"
    needs_map = True
    axes_fields = ("kernel", "stride", "dilation")
    pads_fields = ("padding", "output_padding", "size", "fill")
    positive_fields = ("filters", "groups")

    def __post_init__(self) -> None:
        ActivatedLayer.__post_init__(self)
        check_padding(self.padding)
        if self.padding == "causal":
            raise ShapeError("a transposed convolution has no causal padding. Use valid or same.")
        object.__setattr__(self, "padding", canonical_padding(self.padding))
        if self.size and self.output_padding:
            raise ShapeError("size and output padding both decide the output. Drop one.")

    def fitted(self, input_shape: Shape) -> Layer:
        """Return the layer with the output padding that gives `size`."""
        if not self.size:
            return self
        bare = replace(self, size=(), output_padding=())
        least = bare.output_shape(input_shape)[:-1]
        extra = tuple(size - extent for size, extent in zip(self.size, least, strict=True))
        most = [max(pair) for pair in zip(self.stride, self.dilation, strict=True)]
        if any(not 0 <= cells < limit for cells, limit in zip(extra, most, strict=True)):
            ends = [(size, size + limit - 1) for size, limit in zip(least, most, strict=True)]
            reached = " x ".join(f"{low} to {high}" for low, high in ends)
            raise ShapeError(
                f"size {shape_text(self.size)} cannot be reached from input "
                f"{shape_text(input_shape)}: {reached} can. Use one of these, or another stride."
            )
        return replace(bare, output_padding=output_padding(extra))

    def crops(self) -> tuple[tuple[int, int, int], ...]:
        """Return (before, after, output padding) in cells for every axis."""
        crops = []
        for axis, kernel in enumerate(self.kernel):
            extra = (self.output_padding[axis] if self.output_padding else 0) + self.fill[axis]
            if self.padding == "same":
                before, after, needed = transposed_same(
                    kernel, self.stride[axis], self.dilation[axis]
                )
                crops.append((before, after, needed + extra))
            elif isinstance(self.padding, str):
                crops.append((0, 0, extra))
            else:
                crops.append((*self.padding[axis], extra))
        return tuple(crops)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (..., filters)."""
        check_groups(self.groups, input_shape[-1], self.filters)
        spatial = []
        for axis, (before, after, extra) in enumerate(self.crops()):
            stride, dilation = self.stride[axis], self.dilation[axis]
            written = self.output_padding[axis] if self.output_padding else 0
            if written and written >= max(stride, dilation):
                raise ShapeError(
                    f"output padding {written} is not below stride {stride} or dilation "
                    f"{dilation}. Use op{max(stride, dilation) - 1}."
                )
            size = input_shape[axis]
            kernel = self.kernel[axis]
            spatial.append(transposed_size(size, kernel, stride, before, after, dilation, extra))
        if 0 in spatial:
            raise ShapeError(
                f"padding {padding_words(self.padding)} leaves nothing of the output for input "
                f"{shape_text(input_shape)}. Use less padding."
            )
        return (*spatial, self.filters)

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return kernel (*kernel, in_channels, filters // groups) and bias (filters,)."""
        kernel = (*self.kernel, input_shape[-1], self.filters // self.groups)
        return {"kernel": kernel} | ({"bias": (self.filters,)} if self.bias else {})

    def macs(self, input_shape: Shape) -> int:
        """Return input cells x kernel cells x filters of one group: each input cell is spread."""
        return elements(input_shape) * prod(self.kernel) * (self.filters // self.groups)

    def flops(self, input_shape: Shape) -> Work:
        """Return 2 per multiply-accumulate and 1 per bias addition."""
        cells = elements(self.output_shape(input_shape))
        return {"conv": 2 * self.macs(input_shape), "bias": cells * self.bias}

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...]:
        """Return the spreading windows."""
        crops = self.crops()
        return tuple(
            Spread(kernel, self.stride[axis], self.dilation[axis], crops[axis][0])
            for axis, kernel in enumerate(self.kernel)
        )


def output_padding(cells: Iterable[int]) -> tuple[int, ...]:
    """Return the field of that name from another tool's numbers, where 0 means nothing.

    >>> output_padding([0, 0]), output_padding([0, 1])
    ((), (0, 1))
    """
    extra = tuple(cells)
    return extra if any(extra) else ()


def padding_words(padding: Padding) -> str:
    """Return a padding for a sentence.

    >>> padding_words(((1, 1), (2, 2)))
    '1+1 x 2+2'
    """
    if isinstance(padding, str):
        return padding
    return " x ".join(f"{before}+{after}" for before, after in padding)
