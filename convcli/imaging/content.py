"""A picture file before it is unpacked: its bytes, its name, and how much it may become."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from convcli.errors import InputError

DEFAULT_MAX_PIXELS = 200_000_000
"""Pictures with more pixels than this are refused unless the caller allows more."""

DEFAULT_MEMORY_LIMIT = 4 << 30
"""Pictures that would need more bytes than this are refused unless the caller allows more."""

COPIES = 3
"""Whole pictures in memory at a time: the decoder's, ours and the result."""

EDGE_BYTES = 32
"""For each row and column: where the kernel's taps read."""

HEAD_BYTES = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What an input may become in memory.

    Attributes:
        pixels: of all frames together.
        memory: bytes, all copies together.
        later_bytes: what becomes of it needs so many bytes more for each pixel.
    """

    pixels: int = DEFAULT_MAX_PIXELS
    memory: int = DEFAULT_MEMORY_LIMIT
    later_bytes: int = 0

    def check(self, name: str, height: int, width: int, pixel_bytes: int) -> None:
        """Refuse a picture that is larger than allowed, before its pixels are unpacked.

        Args:
            name: of the file.
            height: rows, of all frames together.
            width: columns.
            pixel_bytes: bytes of a pixel, all channels.
        """
        pixels = height * width
        if pixels > self.pixels:
            raise InputError(
                f"{name}: {width} x {height} = {pixels:,} pixels are more than the limit of "
                f"{self.pixels:,}. Allow more with --max-pixels {pixels}."
            )
        needed = pixels * (COPIES * pixel_bytes + self.later_bytes) + EDGE_BYTES * (height + width)
        if needed > self.memory:
            raise InputError(
                f"{name}: {width} x {height} pixels of {pixel_bytes} bytes need about "
                f"{_size(needed)} of memory, more than the limit of {_size(self.memory)}. "
                f"Allow more with --memory-limit {-(-needed // 1_000_000)}MB."
            )


def _size(count: int) -> str:
    """Return bytes as people read them.

    >>> _size(4 << 30), _size(3_500_000)
    ('4.29 GB', '3.5 MB')
    """
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


@dataclass(frozen=True, slots=True)
class Content:
    """A file, or the bytes of one.

    Attributes:
        place: where it is, or what it holds.
        name: what messages call it.
        limits: what it may become.
    """

    place: Path | bytes
    name: str
    limits: Limits = Limits()

    def head(self) -> bytes:
        """Return the first bytes, which tell formats apart."""
        if isinstance(self.place, bytes):
            return self.place[:HEAD_BYTES]
        if self.place.is_dir():
            raise InputError(
                f"{self.place} is a directory; add --recursive to filter what is in it."
            )
        with self.place.open("rb") as file:
            return file.read(HEAD_BYTES)

    def open(self) -> BinaryIO:
        """Return the bytes as an open file."""
        return io.BytesIO(self.place) if isinstance(self.place, bytes) else self.place.open("rb")

    def data(self) -> bytes:
        """Return all bytes."""
        return self.place if isinstance(self.place, bytes) else self.place.read_bytes()
