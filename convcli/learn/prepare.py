"""How samples become a network's input; saved with each model, so that prediction does the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputProblem
from convcli.learn.digit import digit_picture, grey_picture, resized

PICTURE_RULES = ("digit", "resize")
"""digit: found in the photo, drawn white on black, centred; resize: the whole picture, resized."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How samples become a network's input.

    Attributes:
        shape: of one sample, channels last.
        scale: each channel is multiplied by its figure,
        offset: and then this is added.
        pictures: one of `PICTURE_RULES`: how a picture of another size is brought to `shape`.

    >>> bytes_to_one = Preprocessing((2, 2, 1), (1 / 255,), (0.0,))
    >>> bytes_to_one.apply(np.full((1, 2, 2, 1), 255, np.uint8)).ravel()
    array([1., 1., 1., 1.], dtype=float32)
    """

    shape: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    pictures: str = "resize"

    def apply(self, samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return (N, *shape) float32 for samples of that shape, or for one sample.

        A single channel's axis may be left out.

        Raises:
            InputProblem: the samples have another shape, or are no numbers.
        """
        if samples.dtype.kind not in "biuf":
            raise InputProblem(f"Samples are of type {samples.dtype}; they must be numbers.")
        shape = self.shape
        if shape[-1] == 1 and len(shape) > 1 and samples.shape[-len(shape) + 1 :] == shape[:-1]:
            samples = samples[..., np.newaxis]
        if samples.shape == shape:
            samples = samples[np.newaxis]
        if samples.shape[1:] != shape:
            raise InputProblem(
                f"Samples have the shape {_axes(samples.shape)}; "
                f"the network takes N x {_axes(shape)}."
            )
        scale, offset = np.asarray(self.scale, np.float32), np.asarray(self.offset, np.float32)
        scaled: npt.NDArray[np.float32] = samples.astype(np.float32) * scale
        return scaled + offset

    def sample_from_picture(self, picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return one sample of `shape` from a picture of any size, grey or colour.

        Args:
            picture: (H, W) or (H, W, C) with C from 1 to 4; uint8, or 0 to 1.

        Raises:
            InputProblem: the network takes no pictures, or no digit stands out.
        """
        if len(self.shape) != 3 or self.shape[-1] not in {1, 3}:
            raise InputProblem(
                f"This network takes samples of {_axes(self.shape)}, which are no pictures. "
                "Give it .npy or .csv files of that shape."
            )
        height, width, channels = self.shape
        if self.pictures == "digit":
            return digit_picture(picture, height)[..., np.newaxis]
        planes = [grey_picture(picture)] if channels == 1 else _colours(picture)
        fitted = np.stack([resized(plane, height, width) for plane in planes], axis=-1)
        return np.rint(fitted * 255).astype(np.uint8)

    def record(self) -> dict[str, Any]:
        """Return the figures as plain values, for a file."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any], input_shape: tuple[int, ...]) -> Preprocessing:
        """Return what `record` wrote, checked against the network's input.

        Raises:
            InputProblem: a figure is missing or malformed, or the shapes differ.
        """
        try:
            scale, offset = (
                tuple(float(figure) for figure in record[key]) for key in ("scale", "offset")
            )
            shape, pictures = tuple(record["shape"]), record["pictures"]
        except (KeyError, TypeError, ValueError) as problem:
            raise InputProblem(
                f"The preprocessing in the model file cannot be read: {record!r}."
            ) from problem
        channels = {1, *input_shape[-1:]}
        if shape != input_shape or pictures not in PICTURE_RULES:
            raise InputProblem(
                f"The model file prepares samples of {shape} by {pictures!r}, "
                f"its network takes {_axes(input_shape)}."
            )
        if not {len(scale), len(offset)} <= channels or not np.isfinite([*scale, *offset]).all():
            raise InputProblem("The preprocessing in the model file has malformed figures.")
        return cls(shape, scale, offset, pictures)


def preprocessing_for(samples: npt.NDArray[Any], *, pictures: str = "resize") -> Preprocessing:
    """Return how training samples are prepared: bytes by 1/255, others to mean 0 and deviation 1.

    Args:
        samples: (N, ...) training samples, channels last; their statistics are taken per channel.
        pictures: one of `PICTURE_RULES`.

    >>> preprocessing_for(np.array([[[1.0], [3.0]]], np.float32))
    Preprocessing(shape=(2, 1), scale=(1.0,), offset=(-2.0,), pictures='resize')
    """
    shape = samples.shape[1:]
    if samples.dtype == np.uint8:
        return Preprocessing(shape, (1 / 255,), (0.0,), pictures)
    flat = samples.reshape(-1, shape[-1])
    mean = flat.mean(axis=0, dtype=np.float64)
    deviation = np.maximum(flat.std(axis=0, dtype=np.float64), 1e-6)
    scale, offset = 1 / deviation, -mean / deviation
    return Preprocessing(shape, tuple(scale.tolist()), tuple(offset.tolist()), pictures)


def _colours(picture: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
    """Return the planes red, green and blue from 0 to 1, transparent parts over white."""
    if picture.ndim == 2 or picture.shape[-1] < 3:
        return [grey_picture(picture)] * 3
    alpha = picture[..., 3:]
    return [
        grey_picture(np.concatenate([picture[..., plane : plane + 1], alpha], axis=-1))
        for plane in range(3)
    ]


def _axes(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)
