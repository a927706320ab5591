"""`Picture` values into files, as deep as they are; what a format cannot hold is refused."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from convcli.errors import InputProblem, UsageMistake, did_you_mean
from convcli.files import new_file
from convcli.imaging.picture import Frame, Metadata, Picture
from convcli.imaging.png import write_png

KINDS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pnm": "PPM",
}
"""What a file name's ending asks for."""

WITHOUT_ALPHA = frozenset({"JPEG", "PPM", "BMP"})
MANY_FRAMES = frozenset({"GIF", "TIFF", "WEBP"})


def kind_of(path: Path) -> str:
    """Return the format that the file name asks for, in Pillow's word.

    >>> kind_of(Path("edges.TIF"))
    'TIFF'

    Raises:
        UsageMistake: the ending is missing or not known.
    """
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        said = f"the ending {suffix!r}" if suffix else "a name without an ending"
        raise UsageMistake(
            f"{path}: {said} is no picture format that can be written.{did_you_mean(suffix, KINDS)}"
            f" Use one of {' '.join(KINDS)}"
        )
    return KINDS[suffix]


def write_picture(
    path: Path,
    picture: Picture,
    *,
    force: bool = False,
    inputs: Iterable[Path] = (),
    compress: bool = False,
    threads: int = 1,
) -> tuple[str, ...]:
    """Write a picture, whole or not at all; return sentences on what the format could not keep.

    JPEG is written with quality 95 and full colour resolution, WebP without loss.

    Args:
        path: its ending chooses the format.
        picture: all frames where the format holds several.
        force: replace an existing file.
        inputs: files that are never replaced.
        compress: the smallest file instead of the fastest.
        threads: for large PNG files.

    Raises:
        UsageMistake: unknown ending, or `path` is an input.
        InputProblem: the format cannot hold these pixels; folder missing or not writable.
        WouldOverwrite: the file exists and `force` is off.
    """
    kind = kind_of(path)
    check_fit(str(path), kind, picture)
    with new_file(path, force=force, inputs=inputs) as temporary, temporary.open("w+b") as file:
        return encode(file, kind, picture, compress=compress, threads=threads)


def check_fit(name: str, kind: str, picture: Picture) -> None:
    """Refuse pixels that the format would silently change.

    Raises:
        InputProblem: transparency, 16-bit or float pixels that `kind` does not hold.
    """
    frame = picture.frames[0]
    dtype, channels = frame.pixels.dtype, _channels(frame)
    if frame.has_alpha and kind in WITHOUT_ALPHA:
        raise InputProblem(
            f"{name}: {kind} has no transparency and the picture has. Write a .png, .tif or .webp."
        )
    if dtype == np.uint8:
        return
    if dtype == np.uint16 and (kind == "PNG" or (kind in {"TIFF", "PPM"} and channels == 1)):
        return
    if dtype == np.float32 and kind == "TIFF" and channels == 1:
        return
    what = "16-bit" if dtype == np.uint16 else "floating-point"
    way = ".png" if dtype == np.uint16 else (".tif or .npy" if channels == 1 else ".npy")
    raise InputProblem(
        f"{name}: {kind} files cannot hold this {what} picture of {channels} "
        f"channel{'s' * (channels > 1)}. Write a {way} file."
    )


def encode(
    file: BinaryIO, kind: str, picture: Picture, *, compress: bool = False, threads: int = 1
) -> tuple[str, ...]:
    """Write a picture in the format `kind` to an open file; return what was not kept."""
    notes = []
    frames = picture.frames
    if len(frames) > 1 and kind not in MANY_FRAMES:
        notes.append(f"{kind} holds one picture: the first of {len(frames)} frames was written.")
        frames = frames[:1]
    if kind == "PNG":
        write_png(file, frames[0].pixels, picture.metadata, compress=compress, threads=threads)
        return tuple(notes)
    if kind == "GIF" and _channels(frames[0]) > 1:
        notes.append("GIF holds 256 colours a frame: colours were rounded to them.")
    images = [_to_pillow(frame) for frame in frames]
    options = _options(kind, picture.metadata, images, compress)
    if len(frames) > 1:
        options |= _animation(kind, picture)
    images[0].save(file, kind, **options)
    if kind in {"BMP", "PPM", "GIF"} and (picture.metadata.exif or picture.metadata.icc):
        notes.append(f"{kind} holds no EXIF and no colour profile: they were left out.")
    return tuple(notes)


def encoded(kind: str, picture: Picture, **options: Any) -> bytes:
    """Return the bytes of a picture file."""
    file = io.BytesIO()
    encode(file, kind, picture, **options)
    return file.getvalue()


def _channels(frame: Frame) -> int:
    return 1 if frame.pixels.ndim == 2 else frame.pixels.shape[2]


def _to_pillow(frame: Frame) -> Image.Image:
    return Image.fromarray(frame.pixels)


def _options(
    kind: str, metadata: Metadata, images: list[Image.Image], compress: bool
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if metadata.exif and kind in {"JPEG", "WEBP", "TIFF"}:
        options["exif"] = (b"Exif\x00\x00" if kind == "JPEG" else b"") + metadata.exif
    if metadata.icc and kind in {"JPEG", "WEBP", "TIFF"}:
        options["icc_profile"] = metadata.icc
    if metadata.dots_per_inch and kind in {"JPEG", "TIFF", "BMP"}:
        options["dpi"] = metadata.dots_per_inch
    if kind == "JPEG":
        options |= {"quality": 95, "subsampling": 0, "optimize": compress}
    elif kind == "WEBP":
        options |= {"lossless": True, "quality": 100 if compress else 20, "exact": True}
    elif kind == "TIFF":
        options |= {"compression": "tiff_adobe_deflate" if compress else "tiff_lzw"}
    return options


def _animation(kind: str, picture: Picture) -> dict[str, Any]:
    options: dict[str, Any] = {
        "save_all": True,
        "append_images": [_to_pillow(frame) for frame in picture.frames[1:]],
    }
    if kind in {"GIF", "WEBP"}:
        options["duration"] = [round(1000 * (frame.seconds or 0.1)) for frame in picture.frames]
        options["loop"] = picture.metadata.loop if picture.metadata.loop is not None else 0
    if kind == "GIF":
        options["disposal"] = 2
    return options
