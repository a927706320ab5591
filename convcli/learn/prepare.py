"""How samples become a network's input; saved with each model, so that prediction does the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.data import Split
from convcli.errors import InputError

BYTE, HALF = 255, 128
PICTURE_RULES = ("digit", "resize")
"""digit: found in the photo, drawn white on black, centered; resize: the whole picture, resized."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How samples become a network's input.

    Attributes:
        shape: of one sample, channels last.
        scale: each channel is multiplied by its figure,
        offset: and then this is added.
        pictures: one of `PICTURE_RULES`: how a picture of another size is brought to `shape`.
        white: what the largest value of a picture was in the training samples.
    """

    shape: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    pictures: str = "resize"
    white: int = BYTE

    @property
    def note(self) -> str | None:
        """A sentence where samples are scaled otherwise than most bytes are, else None."""
        if self.white == BYTE:
            return None
        return (
            f"The samples reach {self.white} of {BYTE}: they are multiplied by 1/{self.white}, and "
            f"a picture's white counts as {self.white}."
        )

    def doubt(self, samples: npt.NDArray[Any]) -> str | None:
        """Return a sentence where samples seem to be scaled already, else None."""
        scaled = len(self.scale) == 1 and 0 < self.scale[0] <= 1 / 2 and set(self.offset) == {0.0}
        if not scaled or samples.dtype.kind != "f" or not samples.size:
            return None
        largest = float(np.abs(samples).max())
        if not 0 < largest <= 1:
            return None
        return (
            f"The samples reach {largest:.3g}, and the model multiplies them by "
            f"1/{1 / self.scale[0]:.4g} itself: it was trained on values up to about "
            f"{1 / self.scale[0]:.4g}. Give the samples as they were before they were scaled."
        )

    def from_bytes(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return a picture of 0 to 255 in the range of the training samples."""
        if self.white == BYTE:
            return picture
        levels: npt.NDArray[np.uint8] = np.rint(picture * (self.white / BYTE)).astype(np.uint8)
        return levels

    def stack(self, samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return (N, *shape) for samples of that shape, or for one sample.

        A single channel's axis may be left out.

        Raises:
            InputError: the samples have another shape, or are no numbers.

        >>> Preprocessing((2, 2, 1), (1.0,), (0.0,)).stack(np.zeros((2, 2))).shape
        (1, 2, 2, 1)
        """
        if samples.dtype.kind not in "biuf":
            raise InputError(f"Samples are of type {samples.dtype}; they must be numbers.")
        shape = self.shape
        if shape[-1] == 1 and len(shape) > 1 and samples.shape[-len(shape) + 1 :] == shape[:-1]:
            samples = samples[..., np.newaxis]
        if samples.shape == shape:
            samples = samples[np.newaxis]
        if samples.shape[1:] != shape:
            raise InputError(
                f"Samples have the shape {_axes(samples.shape)}; "
                f"the network takes N x {_axes(shape)}."
            )
        return samples

    @property
    def engine_scaling(self) -> tuple[float, float]:
        """Factor and summand for the engine to apply: it knows one of each, not one a channel."""
        if len(self.scale) == len(self.offset) == 1:
            return self.scale[0], self.offset[0]
        return 1.0, 0.0

    def rescales(self, dtype: np.dtype[Any]) -> bool:
        """Tell whether `engine_samples` changes samples of a type, which takes memory for them."""
        known = dtype in {np.dtype(np.uint8), np.dtype(np.float32)}
        return not known or self.engine_scaling == (1.0, 0.0)

    def engine_samples(self, samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return samples as the engine takes them, with `engine_scaling` still to be applied.

        Bytes stay bytes, so that a data set takes a quarter of the memory.
        """
        if samples.dtype not in {np.dtype(np.uint8), np.dtype(np.float32)}:
            samples = samples.astype(np.float32)
        if self.engine_scaling == (1.0, 0.0):
            samples = samples * np.asarray(self.scale, np.float32)
            samples += np.asarray(self.offset, np.float32)
        return np.ascontiguousarray(samples)

    def record(self) -> dict[str, Any]:
        """Return the figures as plain values, for a file."""
        record = asdict(self)
        if self.white == BYTE:  # as files were before other whites were known
            del record["white"]
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any], input_shape: tuple[int, ...]) -> Preprocessing:
        """Return what `record` wrote, checked against the network's input.

        Raises:
            InputError: a figure is missing or malformed, or the shapes differ.
        """
        try:
            scale, offset = (
                tuple(float(figure) for figure in record[key]) for key in ("scale", "offset")
            )
            shape, pictures = tuple(record["shape"]), record["pictures"]
            white = int(record.get("white", BYTE))
        except (KeyError, TypeError, ValueError) as problem:
            raise InputError(
                f"The preprocessing in the model file cannot be read: {record!r}."
            ) from problem
        channels = {1, *input_shape[-1:]}
        if not 0 < white <= BYTE:
            raise InputError(f"The model file takes {white} for white; it must be 1 to {BYTE}.")
        if shape != input_shape or pictures not in PICTURE_RULES:
            raise InputError(
                f"The model file prepares samples of {shape} by {pictures!r}, "
                f"its network takes {_axes(input_shape)}."
            )
        if not {len(scale), len(offset)} <= channels or not np.isfinite([*scale, *offset]).all():
            raise InputError("The preprocessing in the model file has malformed figures.")
        return cls(shape, scale, offset, pictures, white)


def preprocessing_for(split: Split, *, pictures: str = "resize") -> Preprocessing:
    """Return how training samples are prepared: bytes by 1/255, others to mean 0 and deviation 1.

    Bytes that reach less than half of their range, such as scikit-learn's digits of 0 to 16, are
    divided by their largest value.

    Args:
        split: training samples; their statistics are taken per channel.
        pictures: one of `PICTURE_RULES`.

    >>> preprocessing_for(Split(np.array([[[1.0], [3.0]]], np.float32), np.array([0])))
    Preprocessing(shape=(2, 1), scale=(1.0,), offset=(-2.0,), pictures='resize', white=255)
    >>> preprocessing_for(Split(np.array([[[0], [16]]], np.uint8), np.array([0]))).scale
    (0.0625,)
    """
    shape = split.sample_shape
    if split.stored.dtype == np.uint8:
        largest = max(int(block.max(initial=0)) for block in split.blocks())
        white = largest if 0 < largest < HALF else BYTE
        return Preprocessing(shape, (1 / white,), (0.0,), pictures, white)
    mean, deviation = split.moments()
    deviation = np.maximum(deviation, 1e-6)
    scale, offset = 1 / deviation, -mean / deviation
    return Preprocessing(shape, tuple(scale.tolist()), tuple(offset.tolist()), pictures)


def _axes(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)
