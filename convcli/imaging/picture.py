"""A picture as numbers: its pixels, whether the last channel is transparency, and its metadata."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convcli.errors import InputError
from convcli.imaging.options import Limits

Pixels = NDArray[Any]

OnSize = Callable[[tuple[int, int, int]], None]
"""Told height, width and channels of an 8-bit file before its pixels are unpacked."""

PREVIEW_SMALLEST, PREVIEW_LARGEST = 128, 1200
"""The longer side of a preview in pixels: enlarged by a whole factor below, reduced above."""

CHANNEL_NAMES = {1: ("gray",), 2: ("gray", "alpha"), 3: ("red", "green", "blue")}
CHANNEL_NAMES[4] = (*CHANNEL_NAMES[3], "alpha")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The pixels of one picture, or of one frame of an animation or page of a TIFF.

    Attributes:
        pixels: H x W (gray) or H x W x C with C of 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha);
            uint8, uint16 or float32. Black is 0; white is 255, 65535 or 1.0.
        has_alpha: the last channel is transparency (0 is transparent), not color.
        seconds: how long an animation shows this frame; None for a still.
    """

    pixels: Pixels
    has_alpha: bool = False
    seconds: float | None = None

    def _repr_png_(self) -> bytes:
        """Return a picture to look at, for a notebook."""
        return preview_png(self)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says beside its pixels and a filtered copy keeps.

    Attributes:
        exif: an EXIF block without the `Exif` prefix, its orientation already reset to 1.
        icc: the color profile.
        dots_per_inch: horizontal and vertical resolution.
        loop: how often an animation repeats, 0 for ever; None when it does not, or is none.
        xmp: Adobe's packet of XML.
        iptc: the press's record.
        text: comments and the like, each with its keyword.
        dropped: sentences on what could not be kept.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    dots_per_inch: tuple[float, float] | None = None
    loop: int | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture file in memory.

    Attributes:
        frames: one `Frame`, or several for an animation or a TIFF of several pages.
        metadata: EXIF, color profile, resolution.
        kind: the format in Pillow's word, such as `PNG`; `matrix` for numbers.
        notes: sentences on what reading changed (palette expanded, CMYK converted, ...).
    """

    frames: tuple[Frame, ...]
    metadata: Metadata = field(default_factory=Metadata)
    kind: str = "PNG"
    notes: tuple[str, ...] = ()

    @property
    def is_matrix(self) -> bool:
        """It came from numbers, not from a picture file."""
        return self.kind == "matrix"

    def _repr_png_(self) -> bytes:
        """Return a picture to look at, for a notebook."""
        return preview_png(self.frames[0])


HEAD_BYTES = 16


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


def channels_of(pixels: Pixels) -> int:
    """Return the planes of H x W [x C] pixels, transparency with them."""
    return 1 if pixels.ndim == 2 else int(pixels.shape[2])


LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue lend to brightness (ITU-R BT.601)."""


def white_level(dtype: Any) -> float:
    """Return the value of white: the largest integer, or 1.0 for floating point.

    >>> white_level(np.uint8), white_level(np.uint16), white_level(np.float32)
    (255.0, 65535.0, 1.0)
    """
    kind = np.dtype(dtype)
    return float(np.iinfo(kind).max) if kind.kind in "ui" else 1.0


def as_bytes(pixels: Pixels) -> NDArray[np.uint8]:
    """Return pixels of any depth as 8 bits a channel, white at 255.

    >>> as_bytes(np.array([0, 257, 65535], np.uint16)), as_bytes(np.array([0.5, 1.2, -1]))
    (array([  0,   1, 255], dtype=uint8), array([128, 255,   0], dtype=uint8))
    """
    if pixels.dtype == np.uint8:
        return pixels
    shares = pixels.astype(np.float32) / white_level(pixels.dtype)
    levels: NDArray[np.uint8] = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    return levels


def gray_levels(values: NDArray[np.floating], *, about_zero: bool = False) -> NDArray[np.uint8]:
    """Return any real array as gray levels 0..255 that show it best.

    Args:
        values: finite numbers of any shape.
        about_zero: map zero to the middle gray 128 and the largest magnitude to an end, so that
            signs can be told apart; else the smallest is black and the largest white.

    >>> gray_levels(np.array([-1.0, 0.0, 0.5]), about_zero=True).tolist()
    [1, 128, 192]
    >>> gray_levels(np.array([3.0, 4.0, 5.0])).tolist()
    [0, 128, 255]
    """
    if values.size == 0:
        return np.zeros(values.shape, np.uint8)
    if about_zero:
        scale = float(np.abs(values).max()) or 1.0
        return np.asarray(np.rint(128 + 127 * (values / scale)), np.uint8)
    low, high = float(values.min()), float(values.max())
    return np.asarray(np.rint(255 * ((values - low) / ((high - low) or 1.0))), np.uint8)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Return the pixels as the EXIF orientation (1..8) wants them seen.

    >>> upright(np.array([[1, 2, 3]], np.uint8), 6)  # turn clockwise
    array([[1],
           [2],
           [3]], dtype=uint8)
    """
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def to_sixteen_bits(values: Pixels, largest: int) -> tuple[Pixels, tuple[str, ...]]:
    """Return numbers of fewer bits spread over 16, white at 65535, and a note if they were.

    >>> to_sixteen_bits(np.array([0, 1, 4095], np.uint16), 4095)[0]
    array([    0,    16, 65535], dtype=uint16)
    """
    if largest == 65535:
        return values, ()
    spread = (values.clip(0, largest) * (65535 / largest)).round().astype(np.uint16)
    return spread, (f"Values of 0 to {largest} spread over 16 bits (0 to 65535).",)


def cmyk_to_rgb(pixels: Pixels) -> Pixels:
    """Return RGB of CMYK at any depth, without a color profile: (1 - C) (1 - K) and so on."""
    white = white_level(pixels.dtype)
    paper = 1 - pixels / np.float64(white)
    levels = paper[..., :3] * paper[..., 3:] * white
    return (levels.round() if pixels.dtype.kind == "u" else levels).astype(pixels.dtype)


def to_gray(frame: Frame) -> Frame:
    """Return the brightness of a color frame by ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.

    Integer pictures are rounded to their own depth; transparency stays. Gray frames are returned
    as they are.

    >>> to_gray(Frame(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))).pixels
    array([[ 76, 150,  29]], dtype=uint8)
    """
    pixels = frame.pixels
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return frame
    gray = np.empty(pixels.shape[:2], pixels.dtype)
    for top in range(0, len(pixels), 256):  # strips keep the temporary arrays in the cache
        strip = pixels[top : top + 256]
        if pixels.dtype.kind == "f":
            gray[top : top + 256] = strip[..., :3] @ np.array(LUMA, pixels.dtype)
        else:
            sums = strip[..., :3].astype(np.uint32) @ np.array([299, 587, 114], np.uint32)
            gray[top : top + 256] = (sums + 500) // 1000
    if not frame.has_alpha:
        return Frame(gray, seconds=frame.seconds)
    return Frame(np.dstack([gray, pixels[..., -1]]), True, frame.seconds)


def as_sample(frame: Frame, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
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
    if frame.has_alpha:
        shares = pixels.astype(np.float32) / white_level(pixels.dtype)
        pixels = shares[..., :-1] * shares[..., -1:]
    pixels = as_bytes(pixels)
    if size is None or pixels.shape[:2] == size:
        return np.ascontiguousarray(pixels, np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    resized = picture.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8).reshape(*size, pixels.shape[2])


def png_bytes(pixels: Pixels) -> bytes:
    """Return uint8 pixels, H x W or H x W x 1 to 4, as a PNG file.

    >>> png_bytes(np.zeros((2, 3), np.uint8))[1:4]
    b'PNG'
    """
    file = io.BytesIO()
    plain = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    Image.fromarray(np.ascontiguousarray(plain)).save(file, "PNG", optimize=True)
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
    if frame.pixels.dtype == np.uint8 and PREVIEW_SMALLEST <= longest <= PREVIEW_LARGEST:
        return png_bytes(frame.pixels)  # transparency and all
    share = min(1.0, PREVIEW_LARGEST / longest)
    size = max(1, round(height * share)), max(1, round(width * share))
    small = as_sample(frame, size)
    factor = max(1, PREVIEW_SMALLEST // longest)
    return png_bytes(small.repeat(factor, axis=0).repeat(factor, axis=1))
