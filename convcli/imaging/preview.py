"""Pixels as a PNG to look at: pictures as they are, numbers as gray levels, small ones enlarged."""

from __future__ import annotations

import io

import numpy as np

from convcli.imaging.picture import Frame, Pixels
from convcli.imaging.png import write_png
from convcli.imaging.samples import as_sample
from convcli.imaging.sheet import gray_levels

SMALLEST, LARGEST = 128, 1200
"""The longer side of a preview in pixels: enlarged by a whole factor below, reduced above."""


def png_bytes(pixels: Pixels) -> bytes:
    """Return uint8 pixels, H x W or H x W x 1 to 4, as a PNG file.

    >>> png_bytes(np.zeros((2, 3), np.uint8))[1:4]
    b'PNG'
    """
    file = io.BytesIO()
    write_png(file, np.ascontiguousarray(pixels), compress=True)
    return file.getvalue()


def preview_png(frame: Frame) -> bytes:
    """Return a frame as a PNG of a size to look at.

    Numbers outside 0..1 are no colors: they are spread over the gray levels, zero in the middle
    where there are negative ones; what is not finite counts as 0.

    >>> import struct
    >>> struct.unpack(">II", preview_png(Frame(np.eye(4)))[16:24])
    (128, 128)
    """
    pixels = frame.pixels
    if pixels.ndim == 3 and pixels.shape[2] not in ({2, 4} if frame.has_alpha else {1, 3}):
        pixels = pixels.mean(axis=2)  # planes that are no colors
        frame = Frame(pixels)
    if pixels.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        finite = np.where(np.isfinite(pixels), pixels, 0).astype(np.float64)
        if finite.min() < 0 or finite.max() > 1:
            finite = gray_levels(finite, about_zero=bool(finite.min() < 0)) / 255
        frame = Frame(finite, frame.has_alpha)
    height, width = frame.pixels.shape[:2]
    longest = max(height, width)
    if frame.pixels.dtype == np.uint8 and SMALLEST <= longest <= LARGEST:
        return png_bytes(frame.pixels)  # transparency and all
    share = min(1.0, LARGEST / longest)
    size = max(1, round(height * share)), max(1, round(width * share))
    small = as_sample(frame, size)
    factor = max(1, SMALLEST // longest)
    return png_bytes(small.repeat(factor, axis=0).repeat(factor, axis=1))
