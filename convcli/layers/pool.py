"""Pooling: windows that take a maximum or a mean, and their global and adaptive forms."""

from __future__ import annotations

from dataclasses import replace
from math import gcd, prod
from typing import Any, ClassVar

from convcli.geometry import Adaptive, AxisMap, Padding, Window, windows
from convcli.layers.base import Layer, Shape, ShapeError, Work, elements, shape_text
from convcli.layers.conv import canonical_padding, check_padding, slide
from convcli.layers.elsewhere import Elsewhere, Keras, Onnx, Torch
from convcli.layers.registry import word

__all__ = ["AdaptiveAveragePool", "AdaptiveMaxPool", "AveragePool", "GlobalAveragePool"]
__all__ += ["GlobalMaxPool", "MaxPool"]


KeptSizes = tuple[int, ...]
"""Cells of the output per axis; 0, written `_`, keeps those of the input."""


KERAS_WINDOW = {"pool_size": "kernel", "strides": "stride", "padding": "padding"}


class Pool(Layer):
    """What the sliding pools share; the fields are declared by each of them."""

    __slots__ = ()
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Padding
    ceil: bool

    role = "pool"
    needs_map = True
    axes_fields: ClassVar[tuple[str, ...]] = ("kernel", "stride")
    pads_fields = ("padding",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stride", self.stride or self.kernel)
        Layer.__post_init__(self)
        check_padding(self.padding)
        if self.padding == "causal":
            raise ShapeError("pooling has no causal padding. Use valid, same or numbers.")
        object.__setattr__(self, "padding", canonical_padding(self.padding))

    def default_of(self, name: str) -> object:
        """Return what a field is where nothing is written: pools step by their window."""
        return self.kernel if name == "stride" else Layer.default_of(self, name)

    def windows(self, input_shape: Shape) -> tuple[Window, ...]:
        """Return one window per axis with its padding in cells."""
        dilation = getattr(self, "dilation", (1,) * len(self.kernel))
        return windows(input_shape[:-1], self.kernel, self.stride, self.padding, dilation)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (..., in_channels); see `Layer.output_shape`."""
        axes = self.windows(input_shape)
        for axis in axes:
            if max(axis.before, axis.after) > axis.kernel // 2:
                raise ShapeError(
                    f"padding {max(axis.before, axis.after)} is more than half of window "
                    f"{axis.kernel}: a window could hold nothing but padding. "
                    f"Use p{axis.kernel // 2} at most."
                )
        return (*slide(input_shape[:-1], axes, ceil=self.ceil), input_shape[-1])

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...]:
        """Return the windows."""
        return self.windows(input_shape)


@word("maxpool", "maxpool 2")
class MaxPool(Pool):
    """The largest value of each window; the stride is the window unless given.

    >>> MaxPool(kernel=(3, 3), stride=(2, 2)).output_shape((112, 112, 4))
    (55, 55, 4)
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: Padding = "valid"
    ceil: bool = False
    dilation: tuple[int, ...] = (1,)

    axes_fields = ("kernel", "stride", "dilation")
    elsewhere = Elsewhere(
        Torch("MaxPool{rank}d"), Onnx("MaxPool"), Keras("MaxPooling{rank}D", KERAS_WINDOW)
    )
    keeps = "input"

    def flops(self, input_shape: Shape) -> Work:
        """Return window - 1 comparisons for each output cell."""
        return {"pooling": elements(self.output_shape(input_shape)) * (prod(self.kernel) - 1)}

    def keeps_besides(self, input_shape: Shape) -> tuple[int, int]:
        """Return where each maximum stood."""
        return 0, elements(self.output_shape(input_shape))


@word("avgpool", "avgpool 2")
class AveragePool(Pool):
    """The mean of each window: of its real cells, or with `count_padding` of all its cells.

    >>> AveragePool(kernel=(2, 2)).output_shape((8, 8, 64))
    (4, 4, 64)
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: Padding = "valid"
    ceil: bool = False
    count_padding: bool = False

    elsewhere = Elsewhere(
        Torch("AvgPool{rank}d"),
        Onnx("AveragePool"),
        Keras("AveragePooling{rank}D", KERAS_WINDOW),
        ("avgpooling",),
    )
    keeps = "input"

    def flops(self, input_shape: Shape) -> Work:
        """Return window - 1 additions and a division for each output cell."""
        return {"pooling": elements(self.output_shape(input_shape)) * prod(self.kernel)}


class GlobalPool(Layer):
    """What the global pools share: a map becomes one number for each channel."""

    __slots__ = ()
    role = "pool"
    needs_map = True

    def output_rank(self, rank: int) -> int:
        """Return 0: a vector."""
        return 0

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (in_channels,)."""
        return input_shape[-1:]

    def reads(self, input_shape: Shape) -> None:
        """Return None: the whole input."""


@word("gap", "gap")
class GlobalAveragePool(GlobalPool):
    """The mean of each channel.

    >>> GlobalAveragePool().output_shape((7, 7, 512))
    (512,)
    """

    elsewhere = Elsewhere(
        onnx=Onnx("GlobalAveragePool"),
        keras=Keras("GlobalAveragePooling{rank}D"),
        also=("globalavgpool",),
    )

    def flops(self, input_shape: Shape) -> Work:
        """Return one addition for each cell but the first, and one division."""
        return {"pooling": elements(input_shape)}


@word("gmp", "gmp")
class GlobalMaxPool(GlobalPool):
    """The largest value of each channel.

    >>> GlobalMaxPool().output_shape((7, 7, 512))
    (512,)
    """

    elsewhere = Elsewhere(onnx=Onnx("GlobalMaxPool"), keras=Keras("GlobalMaxPooling{rank}D"))
    keeps = "input"

    def flops(self, input_shape: Shape) -> Work:
        """Return one comparison for each cell but the first."""
        return {"pooling": elements(input_shape) - input_shape[-1]}

    def keeps_besides(self, input_shape: Shape) -> tuple[int, int]:
        """Return where each maximum stood."""
        return 0, elements(self.output_shape(input_shape))


class AdaptivePool(Layer):
    """What the adaptive pools share: as many uneven windows as the output shall have cells."""

    __slots__ = ()
    size: KeptSizes

    role = "pool"
    keeps = "input"
    needs_map = True
    pads_fields = ("size",)

    def __post_init__(self) -> None:
        if not self.size or min(self.size) < 0:
            size = shape_text(self.size) or "empty"
            raise ShapeError(f"size is {size}. Use at least 1 per axis.")

    def fitted(self, input_shape: Shape) -> Layer:
        """Return the pool with the input's extents where it keeps them."""
        if 0 not in self.size:
            return self
        sizes = zip(self.size, input_shape, strict=False)
        changed: dict[str, Any] = {"size": tuple(size or extent for size, extent in sizes)}
        return replace(self, **changed)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (*size, in_channels); the map may also grow."""
        return (*self.size, input_shape[-1])

    def cells_read(self, input_shape: Shape) -> int:
        """Return the cells of all windows together."""
        pairs = zip(input_shape, self.size, strict=False)
        return input_shape[-1] * prod(_total_reads(size, count) for size, count in pairs)

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...]:
        """Return the uneven windows."""
        return tuple(
            Window(size // count, size // count) if size % count == 0 else Adaptive(size, count)
            for size, count in zip(input_shape, self.size, strict=False)
        )


@word("adaptavg", "adaptavg 7")
class AdaptiveAveragePool(AdaptivePool):
    """Means over as many uneven windows as the output shall have cells; `_` keeps an axis.

    >>> AdaptiveAveragePool(size=(7, 7)).output_shape((13, 13, 512))
    (7, 7, 512)
    """

    size: KeptSizes

    elsewhere = Elsewhere(
        Torch("AdaptiveAvgPool{rank}d"),
        keras=Keras("AdaptiveAveragePooling{rank}D", {"output_size": "size"}),
        also=("adaptivepool",),
    )

    def flops(self, input_shape: Shape) -> Work:
        """Return one operation for each cell of each window."""
        return {"pooling": self.cells_read(input_shape)}


@word("adaptmax", "adaptmax 7")
class AdaptiveMaxPool(AdaptivePool):
    """The largest values of as many uneven windows as the output shall have cells.

    >>> AdaptiveMaxPool(size=(7, 0)).fitted((13, 5, 512)).output_shape((13, 5, 512))
    (7, 5, 512)
    """

    size: KeptSizes

    elsewhere = Elsewhere(
        Torch("AdaptiveMaxPool{rank}d"),
        keras=Keras("AdaptiveMaxPooling{rank}D", {"output_size": "size"}),
    )

    def flops(self, input_shape: Shape) -> Work:
        """Return one comparison for each cell of each window but its first."""
        cells = elements(self.output_shape(input_shape))
        return {"pooling": self.cells_read(input_shape) - cells}

    def keeps_besides(self, input_shape: Shape) -> tuple[int, int]:
        """Return where each maximum stood."""
        return 0, elements(self.output_shape(input_shape))


def _total_reads(size: int, count: int) -> int:
    """Return the sum of the lengths of all windows along one axis.

    Neighboring windows share one cell, except at the `gcd` places where both ends are whole.

    >>> _total_reads(5, 3)  # windows of 2, 3 and 2
    7
    """
    return size + count - gcd(size, count)
