"""What a kernel makes of a small picture, ready to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convcli.engine.correlation import correlate
from convcli.imaging.formats import read_picture
from convcli.imaging.picture import as_bytes, to_gray, white_level
from convcli.kernels import Kernel, Magnitude

Pixels = NDArray[np.uint8]

PICTURE_WIDTH, TALLEST = 176, 2
"""The picture is reduced to this width, and at most twice as high, first: filtered larger, a 3x3
kernel would not show."""

STRETCHED_TO_WHITE = 99.5
"""Percentile of the magnitudes of edges that is drawn white."""


def read_small(path: Path, width: int = PICTURE_WIDTH) -> Pixels:
    """Return a picture as gray levels, reduced to at most `width` pixels across (and twice down).

    Transparency is laid on white; of numbers without a white the largest is white.
    """
    frame = to_gray(read_picture(path).frames[0])
    shares = frame.pixels / np.float32(white_level(frame.pixels.dtype))
    if frame.has_alpha:
        shares = 1 - shares[..., 1] * (1 - shares[..., 0])
    if shares.ndim == 3:
        shares = shares[..., 0]
    if frame.pixels.dtype.kind == "f":
        shares = shares / (float(shares.max()) or 1.0)
    gray = Image.fromarray(as_bytes(shares))
    share = min(1.0, width / gray.width, TALLEST * width / gray.height)
    if share < 1:
        size = (max(1, round(gray.width * share)), max(1, round(gray.height * share)))
        gray = gray.resize(size, Image.Resampling.BOX)
    return np.asarray(gray, np.uint8)


def filtered(picture: Pixels, kernel: Kernel | Magnitude) -> Pixels:
    """Return a uint8 picture (gray or RGB) under a kernel, ready to be looked at.

    Zero-sum kernels and magnitudes give magnitudes, stretched so that one value in 200 is white:
    at their own scale some would be all black and others all white. All others keep their scale
    and are cut off at 0 and 255.
    """
    if isinstance(kernel, Magnitude):
        x, y = (_response(picture, component) for component in kernel.components)
        values = np.hypot(x, y)
    else:
        values = _response(picture, kernel) + kernel.offset
    if isinstance(kernel, Magnitude) or (kernel.is_zero_sum and not kernel.offset):
        values = np.abs(values)
        values *= 255 / (float(np.percentile(values, STRETCHED_TO_WHITE)) or 1.0)
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def signed_share(picture: Pixels, kernel: Kernel | Magnitude) -> NDArray[Any]:
    """Return a picture under a kernel to be colored: edges as shares of the strongest, signed.

    The strongest is one value in 200, as in `filtered`; pictures that stay pictures are bytes.
    """
    if isinstance(kernel, Magnitude) or (kernel.is_zero_sum and not kernel.offset):
        sums = [_response(picture, part) for part in kernel.components]
        values = np.hypot(*sums) if len(sums) > 1 else sums[0]
        most = float(np.percentile(np.abs(values), STRETCHED_TO_WHITE)) or 1.0
        return np.asarray((values / most).clip(-1, 1))
    return filtered(picture, kernel)


def rise(picture: Pixels, gradient: Magnitude) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return which way a gray picture grows brighter, in degrees, and how strongly, as a share.

    0 is to the right, 90 up. The strongest is one value in 200, as in `filtered`.

    >>> from convcli.kernels import find
    >>> ramp = np.tile(np.arange(0, 60, 10, dtype=np.uint8), (6, 1))
    >>> degrees, share = rise(ramp, find("sobel"))
    >>> float(degrees[3, 3]), float(share[3, 3])
    (0.0, 1.0)
    """
    sums = np.stack([_response(picture, part) for part in gradient.components], axis=-1)
    right, down = np.moveaxis(sums @ [part.direction_xy for part in gradient.components], -1, 0)
    length = np.hypot(right, down)
    most = float(np.percentile(length, STRETCHED_TO_WHITE)) or 1.0
    return np.degrees(np.arctan2(-down, right)) % 360, (length / most).clip(0, 1)


def _response(picture: Pixels, kernel: Kernel) -> NDArray[np.float64]:
    rows = np.array(kernel.rows, np.float64)
    if picture.ndim == 3:
        rows = rows[:, :, None]
    values = correlate(picture, rows, engine="numpy")
    return np.asarray(values / kernel.divisor, np.float64)
