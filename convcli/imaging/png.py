"""PNG files, fast: strips deflated in threads, large files unpacked without a second copy.

Format: PNG specification, third edition (W3C 2025); deflate and zlib: RFC 1950, RFC 1951.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from convcli.engine.filter_plan import compiled_code_runs
from convcli.imaging.picture import Metadata, Pixels, channels_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels -> color type of the header."""

STRIP_BYTES = 1 << 21
UP = 2
"""The filter that takes the row above from each row (specification, section 9.2)."""


def write_png(
    file: BinaryIO,
    pixels: Pixels,
    metadata: Metadata | None = None,
    *,
    level: int = 1,
    threads: int = 1,
) -> None:
    """Write 8-bit or 16-bit pixels as a PNG file.

    Args:
        file: open for writing bytes.
        pixels: H x W or H x W x C, C of 1 to 4; uint8 or uint16.
        metadata: EXIF, color profile, resolution, XMP and texts to keep.
        level: of compression: 1 is ISA-L's fastest, above it zlib's.
        threads: strips deflated at the same time; the file does not depend on it.
    """
    height, width = pixels.shape[:2]
    channels = channels_of(pixels)
    depth = 8 * pixels.dtype.itemsize
    file.write(SIGNATURE)
    header = struct.pack(">IIBBBBB", width, height, depth, COLOR_TYPES[channels], 0, 0, 0)
    _write_chunk(file, b"IHDR", header)
    for kind, data in _metadata_chunks(metadata or Metadata()):
        _write_chunk(file, kind, data)
    for data in _strips(pixels, level, threads):
        _write_chunk(file, b"IDAT", data)
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


def _metadata_chunks(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    if metadata.icc:
        yield b"iCCP", b"ICC Profile\x00\x00" + zlib.compress(metadata.icc)
    if metadata.dots_per_inch:
        per_metre = (round(dots / 0.0254) for dots in metadata.dots_per_inch)
        yield b"pHYs", struct.pack(">IIB", *per_metre, 1)
    if metadata.exif:
        yield b"eXIf", metadata.exif
    if metadata.xmp:
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp
    for key, text in metadata.text:
        keyword = key.encode("latin-1", "replace")[:79] or b"Comment"
        yield b"iTXt", keyword + b"\0\0\0\0\0" + text.encode()


def _rows_as_bytes(pixels: Pixels, top: int, bottom: int) -> Any:
    """Return rows as H x (bytes of a row), 16-bit numbers with the high byte first."""
    rows = pixels[top:bottom]
    if rows.dtype.itemsize == 2:
        rows = rows.astype(">u2")
    return np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)


def _strips(pixels: Pixels, level: int, threads: int) -> Iterator[bytes]:
    """Yield one zlib stream in pieces: each strip deflated on its own, ended on a whole byte."""
    from isal import isal_zlib

    height = len(pixels)
    rows = max(1, STRIP_BYTES // (pixels.nbytes // height))
    edges = [*range(0, height, rows), height]

    def deflated(edge: tuple[int, int]) -> tuple[bytes, int, int]:
        top, bottom = edge
        filtered = _up_filtered(pixels, top, bottom)
        packer = (isal_zlib if level == 1 else zlib).compressobj(level, zlib.DEFLATED, -15)
        data = packer.compress(filtered)
        ending = zlib.Z_FINISH if bottom == height else zlib.Z_FULL_FLUSH
        return data + packer.flush(ending), isal_zlib.adler32(filtered), filtered.nbytes

    checksum, lead = 1, b"\x78\x01"
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for data, part, size in pool.map(deflated, pairwise(edges)):
            checksum = adler32_combine(checksum, part, size)
            yield lead + data
            lead = b""
    yield struct.pack(">I", checksum)


def _up_filtered(pixels: Pixels, top: int, bottom: int) -> Any:
    """Return rows with their filter byte: each minus the one above, modulo 256."""
    first = max(top - 1, 0)
    rows = _rows_as_bytes(pixels, first, bottom)
    out = np.empty((bottom - top, 1 + rows.shape[1]), np.uint8)
    out[:, 0] = UP
    if top == 0:
        out[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=out[1 if top == 0 else 0 :, 1:])
    return out


def adler32_combine(first: int, second: int, second_size: int) -> int:
    """Return the Adler-32 of two joined pieces from theirs and the second's length (RFC 1950).

    >>> adler32_combine(zlib.adler32(b"con"), zlib.adler32(b"volution"), 8) == zlib.adler32(
    ...     b"convolution"
    ... )
    True
    """
    prime = 65521
    low_1, high_1 = first & 0xFFFF, first >> 16
    low_2, high_2 = second & 0xFFFF, second >> 16
    low = (low_1 + low_2 - 1) % prime
    high = (high_1 + high_2 + second_size * (low_1 - 1)) % prime
    return high << 16 | low


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
