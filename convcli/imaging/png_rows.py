"""Large PNG files unpacked without a second copy: ISA-L inflates, compiled code unfilters."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.engine.filter_plan import compiled_code_runs
from convcli.imaging.png import COLOR_TYPES, SIGNATURE

WORTH_PIXELS = 4_000_000
"""From here on loading compiled code costs less than it saves."""

PIECE_BYTES = 1 << 20
CHANNELS = {kind: channels for channels, kind in COLOR_TYPES.items()}
PLAIN_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND", b"pHYs", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
"""A file with others before its end is left to Pillow, which knows what they mean."""


def read_large_png(path: Path) -> NDArray[np.uint8] | None:
    """Return the pixels of a large plain 8-bit PNG file, or None where Pillow should read it.

    None also stands for a damaged file, whose error is Pillow's to tell.
    """
    with path.open("rb") as file:
        head = file.read(29)
        if len(head) < 29 or head[:8] != SIGNATURE or head[12:16] != b"IHDR":
            return None
        width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", head[16:29])
        is_plain = depth == 8 and kind in CHANNELS and not interlaced
        if not is_plain or width * height < WORTH_PIXELS or not compiled_code_runs():
            return None
        data = memoryview(head + file.read())
    channels = CHANNELS[kind]
    stored = np.empty(height * (width * channels + 1), np.uint8)
    if not _inflate(data, stored):
        return None
    from convcli.engine.row_filters import unfilter_rows

    if unfilter_rows(stored, height, width * channels, channels) >= 0:
        return None
    plain = stored[: height * width * channels]
    return plain.reshape((height, width) if channels == 1 else (height, width, channels))


def _inflate(data: memoryview, stored: Any) -> bool:
    """Fill `stored` from the file's IDAT chunks; tell whether they held exactly that."""
    from isal import isal_zlib

    unpacker = isal_zlib.decompressobj()
    filled = 0
    try:
        for piece in _pieces(data):
            part = unpacker.decompress(piece, stored.size - filled + 1)
            if filled + len(part) > stored.size:
                return False
            stored[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
            filled += len(part)
    except (isal_zlib.error, ValueError):  # type: ignore[misc]  # isal carries no types
        return False
    return filled == stored.size and bool(unpacker.eof)


def _pieces(data: memoryview) -> Iterator[bytes]:
    """Yield the content of the IDAT chunks, joined to pieces of about a megabyte."""
    waiting: list[memoryview] = []
    size, at, kind = 0, len(SIGNATURE), b""
    while kind != b"IEND":
        header = data[at : at + 8]
        if len(header) < 8:
            raise ValueError("cut off")
        length, kind = int.from_bytes(header[:4], "big"), bytes(header[4:])
        if kind not in PLAIN_CHUNKS or at + 12 + length > len(data):
            raise ValueError("not plain")
        if kind == b"IDAT":
            waiting.append(data[at + 8 : at + 8 + length])
            size += length
        if size >= PIECE_BYTES or kind == b"IEND":
            yield b"".join(waiting)
            waiting, size = [], 0
        at += 12 + length
