"""A classifier whose dense layers have become convolutions slides over any picture.

How it is made, and the map of its answers.

The idea is older than its name: Matan et al. 1992 (Multi-Digit Recognition Using a Space
Displacement Neural Network); Long, Shelhamer and Darrell 2015 call it fully convolutional.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcli import layers
from convcli.errors import InputError
from convcli.geometry import AxisMap, Window
from convcli.imaging.picture import Frame, as_sample
from convcli.inspect.attribution import spread
from convcli.layers import Layer
from convcli.layers.base import Shape, shape_text
from convcli.layers.join import Block
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel
from convcli.learn.pictures import REC_601
from convcli.net import Network

if TYPE_CHECKING:
    from convcli.learn.modelfile import TrainedModel

FITS_VECTORS = {"dense", "dropout", "activation", "prelu", "bn", "ln", "flatten"}
"""Layers that do to each cell of a map what they do to a vector."""


def convolutionalized(network: Network) -> Network:
    """Return the network with its dense layers and global pools as convolutions and windows.

    Arrays keep their numbers and their order: a dense layer that reads a flattened 5x5x32 map is a
    5x5 convolution, because flattening counts channels fastest, as the kernel's axes do.

    >>> from convcli.net import parse_notation, to_notation
    >>> dense = parse_notation("input 8x8x1, conv 4 3, flatten, dense 5 relu, dense 2 softmax")
    >>> to_notation(convolutionalized(dense))
    'input 8x8x1, conv 4 3, conv 5 6 relu, conv 2 1 softmax'
    """
    if len(network.input_shape) < 2:
        raise InputError(
            f"This network takes a vector of {network.input_shape[0]}; only one that begins with a "
            "map can slide over a larger one."
        )
    rewrite = _Rewrite(vector=False, window=())
    for index, layer in enumerate(network.layers):
        before = replace(network, layers=network.layers[:index]).trace().output_shape
        rewrite.add(layer, before)
    if rewrite.window:
        raise InputError(
            f"The network ends with a flattened {shape_text(rewrite.window)} map, and no dense "
            "layer reads it. End it with: flatten, dense CLASSES softmax"
        )
    if rewrite.done == list(network.layers):
        raise InputError(
            "The network has no dense layer and no global pool: it is fully convolutional already."
        )
    return replace(network, layers=tuple(rewrite.done))


@dataclass
class _Rewrite:
    """The layers so far, and what the next one stands on."""

    vector: bool
    """The classifier has a vector here, which the new network has as a map."""
    window: Shape
    """Extents of the map that was flattened, until a layer has read it."""

    done: list[Layer | Block] = field(default_factory=list)
    ones: Shape = ()
    """A window of one cell, for dense layers that read a vector."""

    def add(self, layer: Layer | Block, before: Shape) -> None:
        """Append what `layer` becomes on an input of the shape `before`."""
        if self.vector and getattr(layer, "op", "") not in FITS_VECTORS:
            raise InputError(
                f"`{layer.op}` behind a flattened map has no meaning for each cell of a map. "
                "Only dense layers, activations, dropout and normalization can stand there."
            )
        if not isinstance(layer, Layer):
            _refuse_global_views(layer, before)
            self.done.append(layer)
            return
        if isinstance(layer, layers.Flatten):
            self.window = self.window if self.vector else before[:-1]
            self.vector = True
        elif isinstance(layer, layers.Dense) and self.vector:
            kernel = self.window or self.ones
            self.done.append(_as_conv(layer, kernel))
            self.window = ()
        elif self.window and not _is_cell_by_cell(layer):
            raise InputError(
                f"`{layer.row_op}` reads a flattened {shape_text(self.window)} map; put it before "
                "`flatten` or behind the dense layer."
            )
        else:
            self.done.append(self._windowed(layer, before))
        if len(before) > 1:
            self.ones = (1,) * (len(before) - 1)

    def _windowed(self, layer: Layer, before: Shape) -> Layer:
        """Return the layer, a global pool as a window of fixed size."""
        extents = before[:-1]
        ones = (1,) * len(extents)
        match layer:
            case layers.GlobalAveragePool():
                self.vector = True
                return layers.AveragePool(extents, ones, name=layer.name)
            case layers.GlobalMaxPool():
                self.vector = True
                return layers.MaxPool(extents, ones, name=layer.name)
            case layers.AdaptiveAveragePool():
                return _fixed_pool(layer, before)
            case layers.GroupNorm():
                raise InputError(
                    "`gn` takes its statistics from the whole picture, so that a window in a "
                    "larger one gets another answer. Use `bn`."
                )
        return layer


def _is_cell_by_cell(layer: Layer) -> bool:
    return layer.op == "dropout" or (layer.op == "activation" and layer.row_op != "softmax")


def _as_conv(layer: layers.Dense, kernel: Shape) -> layers.Conv:
    return layers.Conv(
        layer.units, kernel, bias=layer.bias, activation=layer.activation, name=layer.name
    )


def _fixed_pool(layer: layers.AdaptiveAveragePool, before: Shape) -> layers.AveragePool:
    axes = layer.reads(before)
    windows = [axis for axis in axes if isinstance(axis, Window)]
    if len(windows) < len(axes):
        raise InputError(
            f"`adaptavg {shape_text(layer.size)}` cuts {shape_text(before[:-1])} into windows of "
            "different sizes, which do not slide. Use a size that divides the map."
        )
    kernel = tuple(axis.kernel for axis in windows)
    return layers.AveragePool(kernel, kernel, name=layer.name)


def _refuse_global_views(block: Block, before: Shape) -> None:
    """Refuse a block in which a layer reads the whole map, as squeeze-and-excite does."""
    for step in Network(before, (block,)).trace().steps:
        if step.fields is None or isinstance(step.layer, layers.GroupNorm):
            raise InputError(
                f"{step.name} inside a block reads the whole picture, so that a window in a larger "
                "one gets another answer. A network without such a block can be converted."
            )


def convolutionalize(model: TrainedModel | str | os.PathLike[str]) -> TrainedModel:
    """Return the fully convolutional model with the same numbers: it slides over any picture.

    Args:
        model: a classifier, its file, or its run's directory.

    Raises:
        InputError: a network that takes a vector, or ends otherwise than a classifier.
    """
    from convcli.learn.model import Model
    from convcli.learn.modelfile import model_of

    trained = model_of(model)
    network = convolutionalized(trained.network)
    made = Model.initialize(network, scaling=trained.model.scaling)
    for mine, theirs in (
        (made.parameters, trained.model.parameters),
        (made.buffers, trained.model.buffers),
    ):
        for new, old in zip(mine.values(), theirs.values(), strict=True):
            new[...] = old.reshape(new.shape)
    return replace(trained, model=made)


@dataclass(frozen=True, slots=True)
class Sliding:
    """How a fully convolutional network moves over a picture.

    Attributes:
        window: extents of the classifier's input, in cells.
        stride: cells from one answer to the next, per axis.
        exact: no layer pads; then each answer is the classifier's on that window.
    """

    window: Shape
    stride: Shape
    exact: bool


def sliding(network: Network) -> Sliding:
    """Return window and stride of a network whose output is a map.

    >>> from convcli.net import parse_notation
    >>> sliding(parse_notation("input 12x12x1, conv 4 3, maxpool 2, conv 2 5 softmax"))
    Sliding(window=(12, 12), stride=(2, 2), exact=True)
    """
    trace = network.trace()
    last = trace.steps[-1] if trace.steps else None
    if last is None or last.stride is None or len(last.output_shape) < 2:
        raise InputError(
            "The network answers with a vector, one answer for the whole picture. "
            "First: convcli convolutionalize MODEL -o FCN"
        )
    if any(not isinstance(step, int) for step in last.stride):
        raise InputError("The cells of the network's output are not evenly spaced in the input.")
    stride = tuple(int(step or 1) for step in last.stride)
    exact = not any(_pads(axis) for step in trace.steps for axis in step.reads or ())
    return Sliding(network.input_shape[:-1], stride, exact)


def _pads(axis: AxisMap) -> bool:
    return not isinstance(axis, Window) or axis.before > 0 or axis.after > 0


Values = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """The answers at every place.

    Attributes:
        answers: (rows, columns, classes): at [i, j] the answer for the window whose first cell is
            i * stride rows down and j * stride columns right.
        sliding: window and stride.
        picture: (H, W, 1 or 3) uint8, what the network was fed.
    """

    answers: Values
    sliding: Sliding
    picture: Pixels

    def best(self, label: int) -> tuple[float, tuple[int, int]]:
        """Return a class' largest answer, and the first picture row and column of its window."""
        values = self.answers[..., label]
        row, column = divmod(int(values.argmax()), values.shape[1])
        stride_h, stride_w = self.sliding.stride
        return float(values[row, column]), (row * stride_h, column * stride_w)

    def over_picture(self, label: int) -> Values:
        """Return a class' answers at every cell of the picture, each at its window's center."""
        (window_h, window_w), (stride_h, stride_w) = self.sliding.window, self.sliding.stride
        height, width = self.picture.shape[:2]
        return spread(
            self.answers[..., label],
            (height, width),
            ((window_h - 1) / 2, (window_w - 1) / 2),
            (stride_h, stride_w),
        )


def heatmap(trained: TrainedModel, picture: Pixels, *, threads: int = 0) -> Heatmap:
    """Return the answers of a fully convolutional model over a picture (H, W, C) of bytes."""
    network = trained.network
    how = sliding(network)
    window_h, window_w, channels = network.input_shape
    height, width = picture.shape[:2]
    if height < window_h or width < window_w or picture.shape[2] != channels:
        share = max(window_h / height, window_w / width)
        raise InputError(
            f"The picture is {height}x{width}x{picture.shape[2]}, the window {window_h}x{window_w}x"
            f"{channels}. Enlarge the picture with --scale {share + 0.005:.2f} or more."
        )
    model = Model(
        network.with_input(picture.shape),
        trained.model.flat,
        trained.model.buffers,
        trained.model.scaling,
    )
    samples = trained.preprocessing.engine_samples(picture[np.newaxis])
    answers = trained.finished(model.predict(samples, threads=threads, batch=1)[0])
    return Heatmap(answers, how, picture)


def field_picture(frame: Frame, trained: TrainedModel, *, scale: float = 1.0) -> tuple[Pixels, str]:
    """Return a picture as a fully convolutional model takes it, and what was done to it.

    A model of digits is used to white ink on black: dark ink on light paper is turned round, and
    the paper becomes black.
    """
    shape = trained.network.input_shape
    if len(shape) != 3 or shape[-1] not in {1, 3}:
        raise InputError("A heat map needs a model of gray or color pictures.")
    height, width = (max(1, round(size * scale)) for size in frame.pixels.shape[:2])
    picture = as_sample(frame, (height, width))
    if shape[-1] == 3:
        return np.ascontiguousarray(np.broadcast_to(picture, (height, width, 3))), ""
    if picture.shape[-1] == 3:
        picture = np.rint(picture @ REC_601).astype(np.uint8)[..., np.newaxis]
    if trained.preprocessing.pictures != "digit":
        return picture, ""
    return _white_ink(picture)


def _white_ink(picture: Pixels) -> tuple[Pixels, str]:
    gray = picture.astype(np.float32)
    paper = float(np.median(gray))
    note = ""
    if paper > 127:
        gray, paper = 255 - gray, 255 - paper
        note = "Dark ink on light paper was turned into white on black."
    span = float(gray.max()) - paper
    if span <= 0:
        return picture, note
    inked = np.clip((gray - paper) * (255 / span), 0, 255)
    return np.rint(inked).astype(np.uint8), note
