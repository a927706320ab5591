"""PGM, PPM and PFM files: numbers in rows behind a header of text.

Formats: netpbm's manual pages pgm(5) and ppm(5); Paul Debevec's PFM, rows from the bottom.
"""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np

from convcli.errors import InputError
from convcli.imaging.content import Content
from convcli.imaging.picture import Frame, Picture, Pixels, to_sixteen_bits

_TOKEN = rb"(?:\s|#[^\n]*\n)+(-?[\d.]+(?:[eE][-+]?\d+)?)"
_HEADER = re.compile(rb"(P[56Ff])" + 3 * _TOKEN + rb"\s")
LONGEST_HEADER = 4096


def read_deep_pnm(content: Content) -> Picture | None:
    """Return a binary PGM or PPM of more than 8 bits; the others are left to Pillow."""
    data = content.data()
    found = _HEADER.match(data[:LONGEST_HEADER])
    if found is None or not found[4].isdigit() or not 255 < int(found[4]) < 65536:
        return None
    largest = int(found[4])
    pixels = _numbers(content, data, found, 3 if found[1] == b"P6" else 1, ">u2")
    values, notes = to_sixteen_bits(pixels.astype(np.uint16), largest)
    return Picture((Frame(values),), kind="PPM", notes=notes)


def read_pfm(content: Content) -> Picture:
    """Return a PFM, gray or color, as float32; its scale's sign is the order of bytes."""
    data = content.data()
    found = _HEADER.match(data[:LONGEST_HEADER])
    if found is None:
        raise InputError(f"{content.name}: the header of this PFM file is damaged.")
    order = "<f4" if float(found[4]) < 0 else ">f4"
    pixels = _numbers(content, data, found, 3 if found[1] == b"PF" else 1, order)
    return Picture((Frame(np.ascontiguousarray(pixels[::-1], np.float32)),), kind="PFM")


def _numbers(
    content: Content, data: bytes, found: re.Match[bytes], channels: int, dtype: str
) -> Pixels:
    width, height = int(found[2]), int(found[3])
    count, size = width * height * channels, np.dtype(dtype).itemsize
    content.limits.check(content.name, height, width, channels * size)
    start = found.end()
    if not count or len(data) - start < count * size:
        raise InputError(
            f"{content.name}: the file is damaged or cut off ({len(data) - start:,} bytes behind "
            f"the header, {count * size:,} are needed)."
        )
    flat = np.frombuffer(data, dtype, count, start)
    return flat.reshape((height, width) if channels == 1 else (height, width, channels))


def write_pnm(file: BinaryIO, pixels: Pixels) -> None:
    """Write gray or RGB pixels, 8 or 16 bits, as a binary PGM or PPM."""
    height, width = pixels.shape[:2]
    magic, largest = "P5" if pixels.ndim == 2 else "P6", np.iinfo(pixels.dtype).max
    file.write(f"{magic}\n{width} {height}\n{largest}\n".encode())
    file.write(pixels.astype(f">u{pixels.dtype.itemsize}").tobytes())


def write_pfm(file: BinaryIO, pixels: Pixels) -> None:
    """Write gray or RGB float pixels as a PFM."""
    height, width = pixels.shape[:2]
    file.write(f"{'Pf' if pixels.ndim == 2 else 'PF'}\n{width} {height}\n-1.0\n".encode())
    file.write(pixels[::-1].astype("<f4").tobytes())
