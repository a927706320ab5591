"""A picture as networks take it: bytes, gray or RGB, of one size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convcli.imaging.picture import Frame, white_level

Sample = NDArray[np.uint8]


def as_sample(frame: Frame, size: tuple[int, int] | None = None) -> Sample:
    """Return the pixels of `frame` as uint8, H x W x 1 (gray) or H x W x 3 (RGB).

    Transparency is laid on black. Deeper pictures are brought to 0..255.

    Args:
        frame: of any depth.
        size: height and width to resize to; reducing averages, so that fine lines do not vanish.

    >>> deep = Frame(np.array([[0, 65535], [257, 514]], np.uint16))
    >>> as_sample(deep)[..., 0].tolist()
    [[0, 255], [1, 2]]
    >>> as_sample(deep, (1, 1)).shape
    (1, 1, 1)
    """
    pixels = frame.pixels if frame.pixels.ndim == 3 else frame.pixels[..., np.newaxis]
    if pixels.dtype != np.uint8 or frame.has_alpha:
        shares = pixels.astype(np.float32) / white_level(pixels.dtype)
        if frame.has_alpha:
            shares = shares[..., :-1] * shares[..., -1:]
        pixels = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    if size is None or pixels.shape[:2] == size:
        return np.ascontiguousarray(pixels, np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    resized = picture.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8).reshape(*size, pixels.shape[2])
