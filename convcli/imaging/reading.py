"""Picture files into `Picture` values: every depth kept, every conversion said."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from convcli.errors import InputProblem
from convcli.imaging.picture import (
    DEFAULT_MAX_PIXELS,
    Frame,
    Metadata,
    Picture,
    Pixels,
    check_pixel_count,
)
from convcli.imaging.png_rows import read_large_png

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "PPM", "WEBP", "JPEG2000", "TGA", "AVIF")
"""Pillow's readers in use: plain pixel formats, none that starts another program."""

READABLE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".gif", ".bmp", ".ppm", ".pgm", ".pbm"}
    | {".pnm", ".webp", ".jp2", ".tga", ".avif"}
)
"""What a directory is searched for."""

OnSize = Callable[[tuple[int, int, int]], None]

_SAME_MODES = {"L": False, "RGB": False, "LA": True, "RGBA": True}
_TO_MODE = {"1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}
_TO_MODE |= {"La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "PA": "RGBA"}
_SAID = {
    "1": "1-bit picture promoted to 8-bit grey.",
    "P": "Palette expanded to colours.",
    "PA": "Palette expanded to colours.",
    "CMYK": "CMYK converted to RGB; its colour profile was dropped.",
}


def read_picture(
    source: Path | bytes,
    *,
    name: str | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    on_size: OnSize | None = None,
) -> Picture:
    """Read a picture file, or its bytes, with all frames, at its full depth.

    The EXIF orientation is applied. Palettes become colours, 1-bit pictures grey, CMYK and the
    like RGB, each with a note.

    Args:
        source: a path, or the content of a file.
        name: what to call it in messages; the path when left out.
        max_pixels: refuse pictures with more pixels (all frames together) than this.
        on_size: told height, width and channels of an 8-bit picture before its pixels are
            unpacked, so that other things can be made ready meanwhile.

    Raises:
        InputProblem: missing, empty, truncated, too large or no picture that can be read in full.
    """
    name = name or (str(source) if isinstance(source, Path) else "the input")
    try:
        with _open(source, name) as image:
            check_pixel_count(
                name, image.height * getattr(image, "n_frames", 1), image.width, max_pixels
            )
            if on_size and image.mode in _SAME_MODES and not _deep_colour(image):
                on_size((image.height, image.width, len(image.getbands())))
            return _read_all(image, source, name, max_pixels)
    except FileNotFoundError as problem:
        raise InputProblem(f"{name}: there is no such file.") from problem
    except OSError as problem:
        raise InputProblem(f"{name}: {_reason(problem)}") from problem
    except (SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError) as problem:
        # Pillow's readers answer broken files with any of these
        raise InputProblem(f"{name}: damaged picture ({problem}).") from problem


def _open(source: Path | bytes, name: str) -> Image.Image:
    head = source[:16] if isinstance(source, bytes) else _head(source)
    if not head:
        raise InputProblem(f"{name}: the file is empty.")
    place = io.BytesIO(source) if isinstance(source, bytes) else source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # size and metadata warnings; the sizes are checked below
        try:
            return _quick_open(place, head) or Image.open(place, formats=FORMATS)
        except UnidentifiedImageError as problem:
            raise InputProblem(
                f"{name}: not a picture that can be read ({', '.join(FORMATS)})."
            ) from problem
        except Image.DecompressionBombError as problem:
            raise InputProblem(f"{name}: {problem}") from problem


def _quick_open(place: Path | io.BytesIO, head: bytes) -> Image.Image | None:
    """Open PNG and JPEG with their own reader: the general door first loads six."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        from PIL import PngImagePlugin

        return PngImagePlugin.PngImageFile(place)
    if head.startswith(b"\xff\xd8\xff"):
        from PIL import JpegImagePlugin

        return JpegImagePlugin.JpegImageFile(place)
    return None


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise InputProblem(f"{path} is a directory; add --recursive to filter what is in it.")
    with path.open("rb") as file:
        return file.read(16)


def _reason(problem: OSError) -> str:
    if problem.errno is not None:
        return f"{problem.strerror}."
    text = str(problem)
    if "truncated" in text or "broken data stream" in text:
        return f"the file is damaged or cut off ({text})."
    return f"cannot be read as a picture ({text})."


def _read_all(image: Image.Image, source: Path | bytes, name: str, max_pixels: int) -> Picture:
    count = getattr(image, "n_frames", 1)
    kind, notes = image.format or "PNG", dict.fromkeys(_notes(image))
    if kind == "PNG" and count > 1:
        notes["Only the first frame of this animated PNG is read."] = None
        count = 1
    frames = [_frame(image, source, name, count)]
    metadata, orientation = _metadata(image, count)  # after the pixels: it unpacks some files
    if count == 1:
        frames = [replace(frames[0], pixels=_upright(frames[0].pixels, orientation))]
    for index in range(1, count):
        image.seek(index)
        check_pixel_count(name, image.height * count, image.width, max_pixels)
        notes |= dict.fromkeys(_notes(image))
        frames.append(_frame(image, source, name, count))
    return Picture(tuple(_alike(frames)), metadata, kind, tuple(notes))


def _frame(image: Image.Image, source: Path | bytes, name: str, count: int) -> Frame:
    pixels, has_alpha = _pixels(image, source, name)
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


def _metadata(image: Image.Image, count: int) -> tuple[Metadata, int]:
    """Return what a filtered copy keeps, and the orientation, which is reset in the copy."""
    exif = Image.Exif()
    if image.format != "PNG" or "exif" in image.info:  # without one, a PNG is unpacked to look
        exif = image.getexif()
    orientation = exif.get(0x0112, 1)
    block = None
    if image.info.get("exif") or (image.format == "TIFF" and _has_camera_tags(exif)):
        exif[0x0112] = 1
        block = exif.tobytes().removeprefix(b"Exif\x00\x00")
    dpi = image.info.get("dpi")
    converted = image.mode in {"CMYK", "LAB"}
    metadata = Metadata(
        exif=block,
        icc=None if converted else image.info.get("icc_profile"),
        dots_per_inch=(float(dpi[0]), float(dpi[1])) if dpi else None,
        loop=image.info.get("loop", 1) if count > 1 else None,
    )
    return metadata, orientation if count == 1 else 1


def _has_camera_tags(exif: Image.Exif) -> bool:
    """Tell whether a TIFF carries more than the tags that describe its own strips."""
    return bool(exif.get(0x8769)) or any(tag in exif for tag in (0x010F, 0x0110, 0x013B, 0x8298))


def _pixels(image: Image.Image, source: Path | bytes, name: str) -> tuple[Pixels, bool]:
    """Return the pixels of the current frame and whether the last channel is alpha."""
    key = image.info.get("transparency")
    if _deep_colour(image):
        deep, has_alpha = _sixteen_bit_colour(image, source, name)
        return (deep, has_alpha) if key is None else (_keyed(deep, key), True)
    mode = image.mode
    if mode.startswith("I;16"):
        grey = _copied(image, np.uint16)
        return (grey, False) if key is None else (_keyed(grey[..., None], [key]), True)
    if mode == "I":
        return _integers(image, name), False
    if mode == "F":
        return _copied(image, np.float32), False
    if mode in _SAME_MODES and "transparency" not in image.info:
        if image.format == "PNG" and isinstance(source, Path):
            large = read_large_png(source)
            if large is not None:
                return large, _SAME_MODES[mode]
        return _copied(image, np.uint8), _SAME_MODES[mode]
    converted = image.convert(_plain_mode(image))
    return _copied(converted, np.uint8), _SAME_MODES[converted.mode]


def _keyed(deep: Pixels, key: Sequence[int]) -> Pixels:
    """Return 16-bit pixels with transparency: none of the colour that a PNG declares clear.

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
        raise InputProblem(f"{name}: 32-bit integers above 16,777,216 would lose digits.")
    return numbers.astype(np.float32)


def _deep_colour(image: Image.Image) -> bool:
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


def _sixteen_bit_colour(image: Image.Image, source: Path | bytes, name: str) -> tuple[Pixels, bool]:
    """Read 16-bit colour exactly, where Pillow alone keeps only the high byte of each number.

    The decoder runs twice over the file: told that numbers are big-endian it keeps the first byte
    of each, told that they are little-endian the second.
    """
    tiles = getattr(image, "tile", [])
    if image.format not in {"PNG", "TIFF"} or not tiles:
        raise InputProblem(
            f"{name}: 16-bit colour in a {image.format} file cannot be read in full. "
            f"Save it as a 16-bit PNG first."
        )
    frame, raw_mode, codec = image.tell(), _raw_mode(tiles[0]), tiles[0].codec_name
    if raw_mode.startswith("LA;"):  # four bytes a pixel: read them as they are
        bytes_hwc = _decoded_as(source, "RGBA", frame)
        first, second = bytes_hwc[..., 0::2], bytes_hwc[..., 1::2]
    else:
        first = _decoded_as(source, f"{image.mode};16B", frame)
        second = _decoded_as(source, f"{image.mode};16L", frame)
    little = sys.byteorder == "little" if codec == "libtiff" else raw_mode.endswith(";16L")
    high, low = (second, first) if little else (first, second)
    deep = high.astype(np.uint16)
    deep <<= 8
    deep |= low
    return deep, raw_mode.startswith("LA;") or image.mode == "RGBA"


def _decoded_as(source: Path | bytes, raw_mode: str, frame: int) -> Any:
    """Return the bytes that the decoder keeps when told that the file holds `raw_mode`."""
    with _open(source, "the input") as image:
        image.seek(frame)
        tiled: Any = image
        tiled.tile = [
            tile._replace(
                args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
            )
            for tile in tiled.tile
        ]
        return _copied(image, np.uint8)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Return the pixels as the EXIF orientation (1..8) wants them seen.

    >>> _upright(np.array([[1, 2, 3]], np.uint8), 6)  # turn clockwise
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
