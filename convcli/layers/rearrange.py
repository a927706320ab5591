"""Layers that move cells and compute little or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from convcli.geometry import AxisMap, Enlarge, Window, output_size
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

__all__ = [
    "ChannelShuffle",
    "Crop",
    "Input",
    "Pad",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "Reshape",
    "Slice",
    "Unfold",
    "Upsample",
]


Factors = tuple[float, ...]
"""By how much each axis grows: whole where it can be."""

Order = tuple[int, ...]
"""Axes of a sample, counted from 0."""

ChannelRange = tuple[int, int | None]
"""The first channel, and the one behind the last; None is the end."""


@word("input", "input 16x16x3 name=right")
class Input(Layer):
    """One more input, with a name and a shape of its own; what follows reads it.

    >>> Input((16, 16, 3)).output_shape((16, 16, 3))
    (16, 16, 3)
    """

    shape: Shape

    role = "input"
    is_source = True
    axes_fields = ("shape",)

    def at_rank(self, rank: int) -> Input:
        """Return the layer: it reads nothing."""
        return self

    def output_rank(self, rank: int) -> int:
        """Return the number of spatial axes."""
        return len(self.shape) - 1

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return its shape."""
        return self.shape


@word("reshape", "reshape 7x7x16")
class Reshape(Layer):
    """The same numbers under another shape, channels last.

    >>> Reshape((7, 7, 16)).output_shape((784,))
    (7, 7, 16)
    """

    shape: Shape

    role = "rearrange"
    elsewhere = Elsewhere(
        onnx=Onnx("Reshape"),
        keras=Keras("Reshape", {"target_shape": "shape"}),
        also=("view", "unflatten"),
    )
    is_view = True
    axes_fields = ("shape",)

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        if len(self.shape) > 4:
            raise ShapeError(f"reshape names {len(self.shape)} axes. Use 1 to 4, channels last.")

    def at_rank(self, rank: int) -> Reshape:
        """Return the layer itself: its shape counts channels too."""
        return self

    def output_rank(self, rank: int) -> int:
        """Return the spatial axes of the new shape."""
        return len(self.shape) - 1

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the new shape."""
        have, want = elements(input_shape), elements(self.shape)
        if have != want:
            raise ShapeError(
                f"reshape {shape_text(self.shape)} holds {want:,} numbers, its input "
                f"{shape_text(input_shape)} has {have:,}. Use factors of {have:,}."
            )
        return self.shape

    def reads(self, input_shape: Shape) -> None:
        """Return None: the whole input."""


@word("pad", "pad 1")
class Pad(Layer):
    """Zeros around the map, (before, after) for every axis.

    >>> Pad(((0, 1), (1, 2))).output_shape((10, 10, 3))
    (11, 13, 3)
    """

    cells: tuple[tuple[int, int], ...]

    role = "rearrange"
    elsewhere = Elsewhere(
        Torch("ZeroPad{rank}d"), Onnx("Pad"), Keras("ZeroPadding{rank}D", {"padding": "cells"})
    )
    needs_map = True
    pads_fields = ("cells",)

    def __post_init__(self) -> None:
        if any(cells < 0 for pair in self.cells for cells in pair):
            raise ShapeError("pad has negative cells. Use `crop`.")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the grown map."""
        grown = zip(input_shape, self.cells, strict=False)
        return (*(size + before + after for size, (before, after) in grown), input_shape[-1])

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...]:
        """Return windows of one cell, moved."""
        return tuple(Window(1, before=before, after=after) for before, after in self.cells)


@word("crop", "crop 1")
class Crop(Layer):
    """Cells cut off around the map, (before, after) for every axis.

    >>> Crop(((1, 2), (0, 3))).output_shape((10, 10, 3))
    (7, 7, 3)
    """

    cells: tuple[tuple[int, int], ...] = ()
    """Without any it stands at the end of a block's branch, and fits it to the others."""

    role = "rearrange"
    elsewhere = Elsewhere(keras=Keras("Cropping{rank}D", {"cropping": "cells"}))
    needs_map = True
    bare_fields = ("cells",)
    pads_fields = ("cells",)

    def __post_init__(self) -> None:
        if any(cells < 0 for pair in self.cells for cells in pair):
            raise ShapeError("crop has negative cells. Use `pad`.")

    def onto(self, input_shape: Shape, extents: Shape) -> Crop:
        """Return the crop that leaves the middle `extents`, an odd cell being cut at the end.

        >>> Crop().onto((64, 65, 8), (56, 56))
        Crop(name=None, cells=((4, 4), (4, 5)))
        """
        lost = [size - kept for size, kept in zip(input_shape, extents, strict=False)]
        if len(extents) != len(input_shape) - 1 or min(lost, default=0) < 0:
            raise ShapeError(
                f"crop fits a map to the other branches, and {shape_text(input_shape)} does not "
                f"hold {shape_text(extents)}. Put `crop` at the end of the larger branch."
            )
        return replace(self, cells=tuple((cells // 2, cells - cells // 2) for cells in lost))

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shrunk map."""
        if not self.cells:
            raise ShapeError(
                "crop without cells fits a branch of a block to the others, and stands at its end: "
                "concat( | from a, crop). Here write the cells: crop 1."
            )
        spatial = tuple(
            size - before - after
            for size, (before, after) in zip(input_shape, self.cells, strict=False)
        )
        if min(spatial) < 1:
            raise ShapeError(
                f"crop leaves nothing of input {shape_text(input_shape)}. "
                f"Cut at most {min(input_shape[:-1]) - 1} cells of the shortest axis."
            )
        return (*spatial, input_shape[-1])

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...]:
        """Return windows of one cell, moved."""
        return tuple(Window(1, before=-before, after=-after) for before, after in self.cells)


@word("upsample", "upsample 2")
class Upsample(Layer):
    """An enlargement by a factor or to a size: nearest cell, or linear between cell centers.

    >>> Upsample((2, 3)).output_shape((5, 7, 4)), Upsample(size=(7, 9)).output_shape((5, 7, 4))
    ((10, 21, 4), (7, 9, 4))
    >>> Upsample((1.5, 2)).output_shape((5, 7, 4))
    (7, 14, 4)
    """

    factor: Factors = ()
    bilinear: bool = False
    size: tuple[int, ...] = ()
    """The output's extents, instead of a factor."""

    role = "rearrange"
    elsewhere = Elsewhere(
        Torch("Upsample"),
        Onnx("Resize"),
        Keras("UpSampling{rank}D", {"size": "factor", "interpolation": "bilinear"}),
        ("interpolate",),
    )
    needs_map = True
    bare_fields = ("factor",)
    pads_fields = ("factor", "size")

    def __post_init__(self) -> None:
        if bool(self.factor) == bool(self.size):
            raise ShapeError("upsample takes a factor or a size: upsample 2, upsample size=14x14.")
        if min(self.factor or self.size) <= 0:
            raise ShapeError("upsample makes nothing of a map. Use a factor above 0.")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the enlarged map."""
        pairs = zip(input_shape, self.factor, strict=False)
        spatial = self.size or tuple(int(size * factor) for size, factor in pairs)
        if 0 in spatial:
            raise ShapeError(
                f"its output {shape_text(spatial)} is empty for input {shape_text(input_shape)}. "
                f"Use a larger factor."
            )
        return (*spatial, input_shape[-1])

    def flops(self, input_shape: Shape) -> Work:
        """Return 0 for nearest; linear weighs 2 neighbors per axis: 2n - 1 for n neighbors."""
        if not self.bilinear:
            return {}
        neighbors = 2 ** (len(input_shape) - 1)
        return {"elementwise": elements(self.output_shape(input_shape)) * (2 * neighbors - 1)}

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...]:
        """Return the enlargements; a single cell has no neighbor to mix with."""
        spatial = input_shape[:-1]
        ratios = zip(self.size, spatial, strict=False) if self.size else map(_ratio, self.factor)
        return tuple(
            Enlarge(factor, self.bilinear and extent > 1, over)
            for extent, (factor, over) in zip(spatial, ratios, strict=True)
        )


def _ratio(factor: float) -> tuple[int, int]:
    """Return a factor as a quotient of whole numbers, the smallest that a decimal can mean.

    >>> _ratio(2), _ratio(1.5), _ratio(1.3)
    ((2, 1), (3, 2), (13, 10))
    """
    for over in range(1, 1001):
        if round(factor * over) / over == factor:
            return round(factor * over), over
    return factor.as_integer_ratio()


@word("shuffle", "shuffle 3")
class ChannelShuffle(Layer):
    """Channels of `groups` groups dealt out in turn (ShuffleNet, Zhang et al. 2018).

    >>> ChannelShuffle(2).output_shape((8, 8, 6))
    (8, 8, 6)
    """

    groups: int

    role = "rearrange"
    elsewhere = Elsewhere(Torch("ChannelShuffle"))
    positive_fields = ("groups",)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        if input_shape[-1] % self.groups:
            raise ShapeError(
                f"{self.groups} groups do not divide {input_shape[-1]} channels. "
                f"Use shuffle {nearest_divisor(self.groups, input_shape[-1])}."
            )
        return input_shape


@word("pixelshuffle", "pixelshuffle 2")
class PixelShuffle(Layer):
    """Channels become space: (H, W, C * f * f) to (H * f, W * f, C) (Shi et al. 2016).

    >>> PixelShuffle(2).output_shape((8, 8, 16))
    (16, 16, 4)
    """

    factor: int

    role = "rearrange"
    elsewhere = Elsewhere(Torch("PixelShuffle"), Onnx("DepthToSpace"))
    needs_map = True
    positive_fields = ("factor",)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the enlarged map with fewer channels."""
        *spatial, channels = input_shape
        share = self.factor ** len(spatial)
        if channels % share:
            raise ShapeError(
                f"{channels} channels are not divisible by {share}, the factor "
                f"{self.factor} on {len(spatial)} axes. Use {-(-channels // share) * share} "
                f"channels before it."
            )
        return (*(size * self.factor for size in spatial), channels // share)

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...]:
        """Return nearest-cell enlargements."""
        return (Enlarge(self.factor),) * (len(input_shape) - 1)


@word("pixelunshuffle", "pixelunshuffle 2")
class PixelUnshuffle(Layer):
    """Space becomes channels: (H, W, C) to (H / f, W / f, C * f * f).

    >>> PixelUnshuffle(2).output_shape((8, 8, 3))
    (4, 4, 12)
    """

    factor: int

    role = "rearrange"
    elsewhere = Elsewhere(Torch("PixelUnshuffle"), Onnx("SpaceToDepth"))
    needs_map = True
    positive_fields = ("factor",)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shrunk map with more channels."""
        *spatial, channels = input_shape
        if any(size % self.factor for size in spatial):
            raise ShapeError(
                f"input {shape_text(input_shape)} is not divisible by {self.factor} on every "
                f"axis. Use `crop` or `pad` before it."
            )
        share = self.factor ** len(spatial)
        return (*(size // self.factor for size in spatial), channels * share)

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...]:
        """Return windows side by side."""
        return (Window(self.factor, self.factor),) * (len(input_shape) - 1)


@word("permute", "permute 1x0x2")
class Permute(Layer):
    """Axes in another order: output axis k is the input's axis `order[k]`, counted from 0.

    >>> Permute((2, 0, 1)).output_shape((5, 7, 4))
    (4, 5, 7)
    """

    order: Order

    role = "rearrange"
    elsewhere = Elsewhere(Torch("permute"), Onnx("Transpose"), Keras("Permute"), ("transpose",))

    def __post_init__(self) -> None:
        if sorted(self.order) != list(range(len(self.order))):
            raise ShapeError(
                f"permute {shape_text(self.order)} does not name every axis once. Write 1x0x2 "
                f"to exchange height and width."
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the extents in their new order."""
        if len(self.order) != len(input_shape):
            raise ShapeError(
                f"permute {shape_text(self.order)} names {len(self.order)} axes, and its input "
                f"{shape_text(input_shape)} has {len(input_shape)}. Name each once, from 0."
            )
        return tuple(input_shape[axis] for axis in self.order)

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...] | None:
        """Return None: places mean something else behind it; cell by cell if none moves."""
        return () if self.order == tuple(range(len(self.order))) else None


@word("slice", "slice 0:16")
class Slice(Layer):
    """The channels from START up to STOP, which is left out; to the last one without STOP.

    >>> Slice((0, 16)).output_shape((8, 8, 24)), Slice((16, None)).output_shape((8, 8, 24))
    ((8, 8, 16), (8, 8, 8))
    """

    channels: ChannelRange

    role = "rearrange"
    elsewhere = Elsewhere(onnx=Onnx("Slice"), also=("narrow",))

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the map with the channels that are left."""
        start, stop = self.channels
        stop = input_shape[-1] if stop is None else stop
        if not start < stop <= input_shape[-1]:
            raise ShapeError(
                f"channels {start}:{stop} are not in the {input_shape[-1]} of input "
                f"{shape_text(input_shape)}. Use 0 <= START < STOP <= {input_shape[-1]}."
            )
        return (*input_shape[:-1], stop - start)


@dataclass(slots=True, eq=False, repr=False)
class Unfold(Layer):
    """The matrix of patches (im2col): one row for each window, its cells and channels in a row.

    >>> Unfold(kernel=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1))).output_shape((8, 8, 3))
    (16, 27)
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    padding: tuple[tuple[int, int], ...] = ((0, 0),)

    role = "rearrange"
    op = "unfold"
    needs_map = True
    axes_fields = ("kernel", "stride")
    pads_fields = ("padding",)

    def output_rank(self, rank: int) -> int:
        """Return 1: a series of patches."""
        return 1

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (windows, cells of one window x in_channels)."""
        count, cells = 1, input_shape[-1]
        for axis, kernel in enumerate(self.kernel):
            before, after = self.padding[axis]
            count *= output_size(input_shape[axis], kernel, self.stride[axis], before, after)
            cells *= kernel
        if not count:
            raise ShapeError(
                f"window {shape_text(self.kernel)} does not fit input {shape_text(input_shape)}. "
                f"Use a smaller window or more padding."
            )
        return (count, cells)

    def reads(self, input_shape: Shape) -> None:
        """Return None: its rows are no map any more."""
