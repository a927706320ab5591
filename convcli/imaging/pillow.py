"""Pillow's readers: every plain format, 16-bit PNG exactly, every conversion said."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from convcli.errors import InputError
from convcli.imaging.metadata import picture_metadata, tiff_metadata
from convcli.imaging.picture import Content, Frame, OnSize, Picture, Pixels, upright
from convcli.imaging.png import read_large_png

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "PPM", "WEBP", "JPEG2000", "TGA", "AVIF")
"""Pillow's readers in use: plain pixel formats, none that starts another program."""

_SAME_MODES = {"L": False, "RGB": False, "LA": True, "RGBA": True}
_TO_MODE = {"1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}
_TO_MODE |= {"La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "PA": "RGBA"}
_SAID = {
    "1": "1-bit picture promoted to 8-bit gray.",
    "RGBX": "A fourth channel without a meaning was left out.",
    "P": "Palette expanded to colors.",
    "PA": "Palette expanded to colors.",
    "CMYK": "CMYK converted to RGB; its color profile was dropped.",
}


def read_with_pillow(content: Content, on_size: OnSize | None = None) -> Picture:
    """Return the picture as Pillow reads it; arguments and errors as `read_picture`."""
    with _open(content) as image:
        count = getattr(image, "n_frames", 1)
        _check_size(content, image, count)
        if on_size and image.mode in _SAME_MODES and not _deep_color(image):
            on_size((image.height, image.width, len(image.getbands())))
        return _read_all(image, content, count)


def from_pillow(image: Image.Image) -> Picture:
    """Return the current frame of a picture that Pillow holds, by the rules of files."""
    pixels, has_alpha = _shallow_pixels(image, "the picture")
    return Picture((Frame(pixels, has_alpha),), notes=tuple(_notes(image)))


def _check_size(content: Content, image: Image.Image, count: int) -> None:
    deep = 4 if image.mode in {"I", "F"} else 2 if ";16" in image.mode else 1
    deep = 2 if _deep_color(image) else deep
    channels = 4 if image.mode == "P" else len(image.getbands())
    content.limits.check(content.name, (image.height, image.width, channels, deep), count)


def _open(content: Content) -> Image.Image:
    place = content.place if isinstance(content.place, Path) else content.open()
    try:
        return _quick_open(place, content.head()) or Image.open(place, formats=FORMATS)
    except UnidentifiedImageError as problem:
        raise InputError(
            f"{content.name}: not a picture that can be read ({', '.join(FORMATS)})."
        ) from problem
    except Image.DecompressionBombError as problem:
        raise InputError(f"{content.name}: {problem}") from problem


def _quick_open(place: Path | BinaryIO, head: bytes) -> Image.Image | None:
    """Open PNG and JPEG with their own reader: the general door first loads six."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        from PIL import PngImagePlugin

        return PngImagePlugin.PngImageFile(place)
    if head.startswith(b"\xff\xd8\xff"):
        from PIL import JpegImagePlugin

        return JpegImagePlugin.JpegImageFile(place)
    return None


def _read_all(image: Image.Image, content: Content, count: int) -> Picture:
    kind, notes = image.format or "PNG", dict.fromkeys(_notes(image))
    if kind == "AVIF" and (bits := _avif_bits(content)) > 8:
        notes[f"{bits}-bit AVIF read at 8 bits a channel: finer steps are lost."] = None
    deep = count > 1 and kind == "PNG" and _deep_color(image)
    if deep:
        notes["Only the first frame of this 16-bit animated PNG is read."] = None
        count = 1
    first = int(count > 1 and bool(image.info.get("default_image")))  # no frame of the animation
    frames = []
    for index in range(first, count):
        if index:
            image.seek(index)
            _check_size(content, image, count)
            notes |= dict.fromkeys(_notes(image))
        frames.append(_frame(image, content, count))
    if kind == "TIFF":
        with content.open() as file:
            metadata, orientation = tiff_metadata(file)[0], 1  # Pillow has turned it already
    else:
        metadata, orientation = picture_metadata(image, count)
    if count == 1:
        frames = [replace(frames[0], pixels=upright(frames[0].pixels, orientation))]
    return Picture(tuple(_alike(frames)), metadata, kind, (*notes, *metadata.dropped))


def _avif_bits(content: Content) -> int:
    """Return the bits of a channel, from the record of the codec (AV1 in ISOBMFF, section 2.3)."""
    with content.open() as file:
        _, found, record = file.read(1 << 14).partition(b"av1C")
    flags = record[2] if found and len(record) > 2 else 0
    return 8 + 2 * bool(flags & 0x40) + 2 * (flags & 0x60 == 0x60)


def _frame(image: Image.Image, content: Content, count: int) -> Frame:
    pixels, has_alpha = _pixels(image, content)
    milliseconds = image.info.get("duration") if count > 1 else None
    return Frame(pixels, has_alpha, None if milliseconds is None else milliseconds / 1000)


def _alike(frames: list[Frame]) -> list[Frame]:
    """Give all frames of an animation the channels of the richest: some may have no alpha."""
    shapes = {frame.pixels.shape[2:] for frame in frames}
    if len(shapes) == 1 or any(frame.pixels.dtype != np.uint8 for frame in frames):
        return frames
    with_alpha = any(frame.has_alpha for frame in frames)
    mode = "RGBA" if with_alpha else "RGB"
    return [
        replace(
            frame,
            pixels=np.asarray(Image.fromarray(frame.pixels).convert(mode)),
            has_alpha=with_alpha,
        )
        for frame in frames
    ]


def _notes(image: Image.Image) -> Iterator[str]:
    if image.mode in _SAID and not (image.mode == "P" and image.format == "GIF"):
        yield _SAID[image.mode]
    elif image.mode == "I" and image.format != "PPM":
        yield "32-bit integers read as float32: exact up to 16,777,216."


def _pixels(image: Image.Image, content: Content) -> tuple[Pixels, bool]:
    """Return the pixels of the current frame and whether the last channel is alpha."""
    if _deep_color(image):
        key = image.info.get("transparency")
        deep, has_alpha = _sixteen_bit_color(image, content)
        return (deep, has_alpha) if key is None else (_keyed(deep, key), True)
    if image.format == "PNG" and image.mode in _SAME_MODES and isinstance(content.place, Path):
        large = None
        if "transparency" not in image.info and not getattr(image, "is_animated", False):
            large = read_large_png(content.place)
        if large is not None:
            return large, _SAME_MODES[image.mode]
    return _shallow_pixels(image, content.name)


def _shallow_pixels(image: Image.Image, name: str) -> tuple[Pixels, bool]:
    """Return the pixels that Pillow holds in full."""
    key = image.info.get("transparency")
    mode = image.mode
    if mode.startswith("I;16"):
        gray = _copied(image, np.uint16)
        return (gray, False) if key is None else (_keyed(gray[..., None], [key]), True)
    if mode == "I":
        return _integers(image, name), False
    if mode == "F":
        return _copied(image, np.float32), False
    if mode in _SAME_MODES and key is None:
        return _copied(image, np.uint8), _SAME_MODES[mode]
    converted = image.convert(_plain_mode(image))
    return _copied(converted, np.uint8), _SAME_MODES[converted.mode]


def _keyed(deep: Pixels, key: Sequence[int]) -> Pixels:
    """Return 16-bit pixels with transparency: none of the color that a PNG declares clear.

    >>> _keyed(np.array([[[7, 8, 9], [7, 8, 0]]], np.uint16), (7, 8, 9))[..., 3]
    array([[    0, 65535]], dtype=uint16)
    """
    opaque = (deep != np.array(key, np.uint16)).any(axis=2)
    return np.dstack([deep, opaque * np.uint16(65535)])


def _plain_mode(image: Image.Image) -> str:
    if image.has_transparency_data:
        return "LA" if image.mode in {"L", "LA", "La"} else "RGBA"
    return _TO_MODE.get(image.mode, "RGB" if image.mode != "L" else "L")


def _copied(image: Image.Image, dtype: type[np.generic]) -> Any:
    """Return the pixels as an array of our own; strips keep a second whole copy from being made."""
    bands = len(image.getbands())
    width, height = image.size
    image.load()
    pixels = np.empty((height, width) if bands == 1 else (height, width, bands), dtype)
    rows = max(1, (1 << 20) // (width * bands))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _integers(image: Image.Image, name: str) -> Pixels:
    """Return 32-bit integer pixels as uint16 where they are 16-bit in truth, else float32."""
    numbers: NDArray[np.int32] = _copied(image, np.int32)
    if image.format in {"PNG", "PPM", "JPEG2000"}:
        return numbers.astype(np.uint16)
    if numbers.size and np.abs(numbers.astype(np.float64)).max() > 2**24:
        raise InputError(f"{name}: 32-bit integers above 16,777,216 would lose digits.")
    return numbers.astype(np.float32)


def _deep_color(image: Image.Image) -> bool:
    """Tell whether the file holds more than 8 bits per channel where Pillow would keep 8."""
    if image.mode not in _SAME_MODES or not isinstance(image, ImageFile.ImageFile):
        return False
    return any(
        (tile.codec_name == "ppm" and max(_numbers(tile.args), default=255) > 255)
        or ";16" in _raw_mode(tile)
        for tile in image.tile
    )


def _numbers(args: Any) -> list[int]:
    return [part for part in args if isinstance(part, int)] if isinstance(args, tuple) else []


def _raw_mode(tile: Any) -> str:
    return str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)


def _sixteen_bit_color(image: Image.Image, content: Content) -> tuple[Pixels, bool]:
    """Read 16-bit color exactly, where Pillow alone keeps only the high byte of each number.

    The decoder runs twice over the file: told that numbers are big-endian it keeps the first byte
    of each, told that they are little-endian the second.
    """
    if image.format != "PNG":
        raise InputError(
            f"{content.name}: 16-bit color in a {image.format} file cannot be read in full. "
            f"Save it as a 16-bit PNG first."
        )
    raw_mode = _raw_mode(getattr(image, "tile", [])[0])
    if raw_mode.startswith("LA;"):  # four bytes a pixel: read them as they are
        bytes_hwc = _decoded_as(content, "RGBA")
        high, low = bytes_hwc[..., 0::2], bytes_hwc[..., 1::2]
    else:
        high = _decoded_as(content, f"{image.mode};16B")
        low = _decoded_as(content, f"{image.mode};16L")
    deep = high.astype(np.uint16)
    deep <<= 8
    deep |= low
    return deep, raw_mode.startswith("LA;") or image.mode == "RGBA"


def _decoded_as(content: Content, raw_mode: str) -> Any:
    """Return the bytes that the decoder keeps when told that the file holds `raw_mode`."""
    with _open(content) as image:
        tiled: Any = image
        tiled.tile = [
            tile._replace(
                args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
            )
            for tile in tiled.tile
        ]
        return _copied(image, np.uint8)


def read_levels(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Return the palette indices or gray levels of a picture, H x W; 1-bit ones are 0 and 1.

    Args:
        path: of the picture.
        size: height and width to bring it to, each cell taking that of the nearest one.

    Raises:
        InputError: it cannot be read, or its cells have colors or deeper levels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.mode not in {"1", "L", "P"}:
                    raise InputError(
                        f"{path} has cells of mode {image.mode}; a mask has palette indices or "
                        "gray levels of one byte."
                    )
                if size is None:
                    return np.array(image, np.uint8)
                return np.array(image.resize(size[::-1], Image.Resampling.NEAREST), np.uint8)
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning) as problem:
        raise InputError(f"{path} cannot be read as a mask: {problem}.") from problem
