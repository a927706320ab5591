"""From picture files, matrices and arrays to samples that a trained model takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.arrayfiles import NPY_MAGIC, read_npy
from convcli.errors import InputError
from convcli.imaging.apply import read_any
from convcli.imaging.formats import read_picture
from convcli.imaging.matrices import is_matrix_name, read_matrix
from convcli.imaging.options import Limits
from convcli.imaging.picture import Frame, as_sample
from convcli.layers.base import shape_text
from convcli.learn.digit import digit_picture
from convcli.learn.prepare import Preprocessing

DEFAULT_MEMORY_LIMIT = 2 << 30
"""Pictures that would need more bytes than this are refused unless the caller allows more."""

LATER_BYTES = 16
"""Finding the ink and resizing count in floating point: so many bytes a pixel."""

REC_601 = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in gray."""


def sample_from_frame(frame: Frame, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Return one sample, (H, W, C) uint8, from a picture of any size, gray or color.

    Raises:
        InputError: the network takes no pictures, or no digit stands out.

    >>> page = np.full((60, 60), 250, np.uint8)
    >>> page[10:50, 28:32] = 5
    >>> sample_from_frame(Frame(page), Preprocessing((28, 28, 1), (1,), (0,), "digit")).shape
    (28, 28, 1)
    """
    shape = preprocessing.shape
    if len(shape) != 3 or shape[-1] not in {1, 3}:
        raise InputError(
            f"This network takes samples of {shape_text(shape)}, which are no pictures. "
            "Give it .npy or .csv files of that shape."
        )
    height, width, channels = shape
    if preprocessing.pictures == "digit":
        return digit_picture(frame.pixels, height)[..., np.newaxis]
    sample = preprocessing.from_bytes(as_sample(frame, (height, width)))
    if channels == 3:
        return np.ascontiguousarray(np.broadcast_to(sample, shape))
    if sample.shape[-1] == 1:
        return sample
    luma: npt.NDArray[np.uint8] = np.rint(sample @ REC_601).astype(np.uint8)
    return luma[..., np.newaxis]


def samples_from_source(
    source: Path | bytes,
    name: str,
    preprocessing: Preprocessing,
    *,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> npt.NDArray[Any]:
    """Return (N, *shape) samples of a picture file, a matrix file, or the bytes of either.

    An `.npy` file may hold one sample or a stack of them; text and `.npy` have the values of the
    training samples. A picture has one sample, an animation or document one for each frame; one
    that would need more than `memory_limit` bytes is refused.

    Raises:
        InputError: it cannot be read, or does not fit the network.
    """
    numpy_bytes = isinstance(source, bytes) and source.startswith(NPY_MAGIC)
    if numpy_bytes or (isinstance(source, Path) and source.suffix.lower() == ".npy"):
        array = read_npy(source, name)
        if array.dtype.kind not in "uifb" or not array.size:
            raise InputError(f"{name}: the array holds no numbers.")
        return _from_array(array, name, preprocessing)
    if isinstance(source, Path) and is_matrix_name(source):
        return _from_array(read_matrix(source, name=name), name, preprocessing)
    limits = Limits(
        memory=memory_limit, later=lambda shape: (LATER_BYTES * shape[0] * shape[1], ())
    )
    picture = read_picture(source, name=name, limits=limits)
    try:
        return np.stack([sample_from_frame(frame, preprocessing) for frame in picture.frames])
    except InputError as problem:
        raise InputError(f"{name}: {problem}") from None


def samples_of(images: Any, preprocessing: Preprocessing) -> npt.NDArray[Any]:
    """Return (N, *shape) samples of arrays, files, Pillow pictures, or a list of these.

    Raises:
        InputError: one cannot be read, or does not fit the network.

    >>> samples_of([[0, 0]], Preprocessing((2,), (1,), (0,))).shape
    (1, 2)
    """
    if isinstance(images, str | os.PathLike):
        return samples_from_source(Path(images), os.fspath(images), preprocessing)
    if hasattr(images, "getbands"):  # a Pillow picture
        return sample_from_frame(read_any(images).frames[0], preprocessing)[np.newaxis]
    single = images[0] if isinstance(images, list | tuple) and images else None
    if isinstance(single, str | os.PathLike) or hasattr(single, "getbands"):
        return np.concatenate([samples_of(one, preprocessing) for one in images])
    array = images.detach() if hasattr(images, "detach") else images  # a torch tensor
    return preprocessing.stack(np.asarray(array))


def _from_array(
    array: npt.NDArray[Any], name: str, preprocessing: Preprocessing
) -> npt.NDArray[Any]:
    """Return samples; a gray matrix of another size is a picture whose largest value is white."""
    if not np.isfinite(array).all():
        raise InputError(f"{name}: the array holds NaN or infinity.")
    try:
        return preprocessing.stack(array)
    except InputError as problem:
        pictures = len(preprocessing.shape) == 3
        if array.ndim != 2 or not pictures:
            raise InputError(f"{name}: {problem}") from None
    frame = Frame(_as_bytes(array))
    return sample_from_frame(frame, preprocessing)[np.newaxis]


def _as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    low, high = float(array.min()), float(array.max())
    if low >= 0 and 1 < high <= 255:
        levels = array
    else:
        levels = (array - low) * (255 / max(high - low, 1e-12))
    rounded: npt.NDArray[np.uint8] = np.rint(levels).astype(np.uint8)
    return rounded
