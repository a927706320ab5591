"""JPEG 2000 beyond 8 bits, which Pillow halves (needs imagecodecs)."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

from convcli.errors import missing_extra
from convcli.imaging.content import Content
from convcli.imaging.picture import Frame, Metadata, Picture, Pixels, to_sixteen_bits

SIZE_MARKER = b"\xff\x4f\xff\x51"
"""Start of a codestream, then its sizes (ISO/IEC 15444-1, A.5.1)."""


def read_deep_jpeg2000(content: Content) -> Picture | None:
    """Return a picture of more than 8 bits a channel; the others are left to Pillow."""
    data = content.data()
    at = data.find(SIZE_MARKER)
    if at < 0 or len(data) < at + 43:
        return None
    right, lower, left, top = struct.unpack(">4L", data[at + 8 : at + 24])
    (channels,) = struct.unpack(">H", data[at + 40 : at + 42])
    bits = 1 + (data[at + 42] & 0x7F)
    if bits <= 8 or data[at + 42] & 0x80:
        return None
    content.limits.check(content.name, lower - top, right - left, 2 * channels)
    try:
        import imagecodecs
    except ImportError as problem:
        what = f"{content.name}: files such as this {bits}-bit JPEG 2000"
        raise missing_extra("imagecodecs", "tiff", what) from problem
    values = imagecodecs.jpeg2k_decode(data)
    pixels, notes = to_sixteen_bits(values.astype(np.uint16, copy=False), (1 << bits) - 1)
    has_alpha = pixels.ndim == 3 and pixels.shape[2] in {2, 4}
    return Picture((Frame(np.ascontiguousarray(pixels), has_alpha),), Metadata(), "JPEG2000", notes)


def write_deep_jpeg2000(file: BinaryIO, pixels: Pixels) -> None:
    """Write 16-bit pixels without loss."""
    try:
        import imagecodecs
    except ImportError as problem:
        raise missing_extra("imagecodecs", "tiff", "16-bit JPEG 2000 files") from problem
    file.write(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True))
