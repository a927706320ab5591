"""A fully convolutional classifier over a picture larger than its window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError
from convcli.imaging.picture import Frame, as_sample
from convcli.inspect.attribution import spread
from convcli.inspect.convolutionalize import Sliding, sliding
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel
from convcli.learn.pictures import REC_601

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
