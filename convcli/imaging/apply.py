"""From a file, bytes or an array to a filtered one: what `convcli filter` and `filter_image` do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convcli.arrayfiles import NPY_MAGIC
from convcli.engine.points import total_statistics
from convcli.errors import InputError, UsageError, WrongTypeError
from convcli.files import check_target, new_file
from convcli.imaging.chain import Chain, later_bytes, make_steps
from convcli.imaging.filtering import Outcome, filter_frame, make_ready
from convcli.imaging.formats import check_fit, encoded, kind_of, read_picture, write_picture
from convcli.imaging.matrices import MATRIX_SUFFIXES, encode_matrix, is_matrix_name, read_matrix
from convcli.imaging.options import FileOptions, FilterOptions, Limits
from convcli.imaging.picture import Frame, OnSize, Picture, as_bytes, channels_of, preview_png
from convcli.imaging.pillow import from_pillow


@dataclass(frozen=True, eq=False, kw_only=True)
class FilteredPicture(Outcome):
    """A filtered picture or matrix in memory: all its frames, and what happened to them."""

    picture: Picture

    @property
    def pixels(self) -> Any:
        """The pixels of the first frame."""
        return self.picture.frames[0].pixels

    def __repr__(self) -> str:
        shape, seen = "x".join(map(str, self.pixels.shape)), self.statistics
        values = f"{seen.minimum:.4g} to {seen.maximum:.4g}, range {self.value_range}"
        return f"FilteredPicture({shape} {self.pixels.dtype}, values {values})"

    def _repr_png_(self) -> bytes:
        """Return a picture to look at, for a notebook."""
        return preview_png(self.picture.frames[0])


def filter_source(source: Any, kernel: Any, options: FilterOptions) -> FilteredPicture:
    """Return a filtered file, array or Pillow picture, written to `options.output` too.

    Raises:
        UsageError: an unknown kernel.
        InputError: a file or array that cannot be used.
        OutputExistsError: the output exists and `force` is off.
    """
    steps = make_steps(kernel, options)
    inputs = [Path(source)] if isinstance(source, str | Path) else []
    target = None if options.output is None else Path(options.output)
    if target is not None:
        check_target(target, force=options.force, inputs=inputs)
    getting_ready = partial(make_ready, steps=steps, options=options)
    limits = replace(options.limits, later=partial(later_bytes, steps, options))
    picture = read_any(source, limits=limits, on_size=getting_ready)
    done = filter_picture(picture, steps, options)
    if target is not None:
        write_result(target, done, options, inputs=inputs)
    return done


def read_any(
    source: Any,
    *,
    limits: Limits = Limits(),
    on_size: OnSize | None = None,
) -> Picture:
    """Return a file, the bytes of one, an array or a Pillow picture as a picture.

    A matrix is a picture of one float64 frame. `on_size` is told the size of an 8-bit file before
    its pixels are unpacked.
    """
    if isinstance(source, Image.Image):
        return from_pillow(source)
    if isinstance(source, os.PathLike):
        source = Path(source)
    if not isinstance(source, str | Path | bytes):
        return _picture_of(source)
    if isinstance(source, bytes):
        is_matrix, name = bytes_are_matrix(source), "stdin"
    else:
        source = Path(source)
        is_matrix, name = is_matrix_name(source), str(source)
    if not is_matrix:
        return read_picture(source, name=name, limits=limits, on_size=on_size)
    matrix = read_matrix(source, name=name, limits=limits)
    return Picture((Frame(matrix.astype(np.float64)),), kind="matrix")


def _picture_of(source: Any) -> Picture:
    """Return an array, or what NumPy makes one of, as a picture."""
    if hasattr(source, "detach"):  # a torch tensor, which may belong to a graph of gradients
        source = source.detach()
    try:
        pixels = np.asarray(source)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise WrongTypeError(f"a {type(source).__name__} is no picture: {problem}") from problem
    if pixels.dtype.kind not in "uifb":
        raise WrongTypeError(
            f"{type(source).__name__} of {pixels.dtype}: a picture is a path, a Pillow picture, or "
            "an array of real numbers."
        )
    if pixels.ndim not in {2, 3} or pixels.size == 0:
        raise InputError(
            f"an array of {pixels.dtype}, shape {pixels.shape}: pictures are H x W or H x W x C."
        )
    kind = np.dtype(np.float32) if pixels.dtype == np.float16 else pixels.dtype.newbyteorder("=")
    pixels = pixels.astype(kind, copy=False)
    if kind not in (np.uint8, np.uint16, np.float32):
        return Picture((Frame(pixels.astype(np.float64)),), kind="matrix")
    return Picture((Frame(pixels, pixels.ndim == 3 and pixels.shape[2] in {2, 4}),))


def bytes_are_matrix(data: bytes) -> bool:
    """Tell an NPY file or text from a picture: no picture format begins with digits.

    >>> bytes_are_matrix(b"1 0 -1"), bytes_are_matrix(b"P6 2 2 255 ...")
    (True, False)
    """
    head = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    numeric = bool(head) and all(byte in b"0123456789.,;+-eE \t\r\n#" for byte in head[:2])
    return numeric or data.startswith(NPY_MAGIC)


def filter_picture(picture: Picture, steps: Chain, options: FilterOptions) -> FilteredPicture:
    """Filter every frame of a picture."""
    if picture.is_matrix and options.value_range not in {None, "raw"} and _is_brightness(picture):
        frames = [replace(one, pixels=one.pixels.astype(np.float32)) for one in picture.frames]
        said = (*picture.notes, "Fractions within 0..1 are taken for brightness: white is 1.")
        picture = replace(picture, frames=tuple(frames), notes=said)
    if options.value_range == "stretch" and len(picture.frames) > 1:
        # one stretch for all frames: an animation must not flicker
        raw = replace(options, value_range="raw", stats=False, compare=None)
        seen = [filter_frame(frame, steps, raw).statistics for frame in picture.frames]
        ends = min(one.minimum for one in seen), max(one.maximum for one in seen)
        options = replace(options, stretch_from=ends)
    done = [filter_frame(frame, steps, options) for frame in picture.frames]
    results, metadata = tuple(one.frame for one in done), picture.metadata
    notes = dict.fromkeys((*picture.notes, *(note for one in done for note in one.notes)))
    if metadata.icc and _colors(results[0]) != _colors(picture.frames[0]):
        metadata = replace(metadata, icc=None)
        notes["The color profile describes other channels than the result's: left out."] = None
    return FilteredPicture(
        picture=replace(picture, frames=results, metadata=metadata, notes=()),
        statistics=total_statistics(one.statistics for one in done),
        value_range=done[0].value_range,
        engine=done[0].engine,
        figures=done[0].figures,
        notes=tuple(notes),
    )


def _is_brightness(matrix: Picture) -> bool:
    pixels = matrix.frames[0].pixels
    return bool(pixels.min() >= 0 and pixels.max() <= 1 and (pixels % 1).any())


def _colors(frame: Frame) -> int:
    """Return the number of channels that are no transparency."""
    return channels_of(frame.pixels) - frame.has_alpha


def write_result(
    path: Path,
    result: FilteredPicture,
    options: FileOptions = FileOptions(),
    inputs: Iterable[Path] = (),
) -> tuple[str, ...]:
    """Write a result as a picture or, by its ending, as numbers; return what was not kept.

    Raises:
        UsageError: an ending that cannot hold it, or `path` is an input.
        InputError, OutputExistsError: as `convcli.files.new_file`.
    """
    if not is_matrix_name(path):
        picture = _with_known_depth(path, result)
        return write_picture(path, picture, force=options.force, inputs=inputs, options=options)
    if path.suffix.lower() != ".npy" and result.pixels.ndim == 3 and not result.picture.is_matrix:
        raise UsageError(  # planes would be hard to tell from rows
            f"{path}: text files hold one plane, the result has {result.pixels.shape[2]} channels. "
            "Use .npy, or --gray."
        )
    data = encode_matrix(result.pixels, path.suffix.lower())
    with new_file(path, force=options.force, inputs=inputs) as temporary:
        temporary.write_bytes(data)
    return ()


def encode_result(result: FilteredPicture, options: FileOptions) -> tuple[bytes, tuple[str, ...]]:
    """Return a result as the bytes of a file for a pipe, and what was not kept.

    Text for a matrix, else PNG or TIFF; `format_out` names another format.

    Raises:
        InputError: pixels that the format cannot hold.
    """
    if options.format_out is not None:
        place = Path(f"stdout.{options.format_out}")
        if is_matrix_name(place):
            return encode_matrix(result.pixels, place.suffix.lower()), ()
        picture, kind = _with_known_depth(place, result), kind_of(place)
        check_fit("stdout", kind, picture)
        return encoded(kind, picture, options)
    if result.picture.is_matrix and result.pixels.dtype.kind == "f":
        return encode_matrix(result.pixels, ".txt"), ()
    kind = "TIFF" if result.pixels.dtype.kind == "f" else "PNG"
    check_fit("stdout", kind, result.picture)
    return encoded(kind, result.picture, options)


def _with_known_depth(path: Path, result: FilteredPicture) -> Picture:
    """Return the picture to write; raw numbers are no pixels except in a float TIFF."""
    picture, dtype = result.picture, result.pixels.dtype
    is_tiff = kind_of(path) == "TIFF"
    if dtype == np.float64 and is_tiff:
        frames = [replace(one, pixels=one.pixels.astype(np.float32)) for one in picture.frames]
        return replace(picture, frames=tuple(frames))
    if dtype == np.float64:
        raise UsageError(
            f"{path}: the result is a matrix of raw numbers. Name a file in "
            f"{' '.join(sorted(MATRIX_SUFFIXES))} .tif, or add "
            "--range clip, abs, offset or stretch."
        )
    is_brightness = dtype == np.float32 and picture.is_matrix and result.value_range != "raw"
    if is_brightness and not is_tiff:
        frames = [replace(one, pixels=as_bytes(one.pixels)) for one in picture.frames]
        return replace(picture, frames=tuple(frames))
    return picture


WARMED = (
    "sobel",
    "sobel-x",
    "sharpen",
    "gaussian-5",
    "gaussian:sigma=4",
    "box-7",
    "motion-blur-9",
    "gaussian:sigma=2 levels",
)
"""A chain for each compiled way: magnitudes, small, dense, two passes, running sums, points."""


def warm_filters() -> list[tuple[str, Callable[[], object]]]:
    """Return what filters a small picture of each kind by each way, with a name."""
    from convcli.engine.row_filters import unfilter_rows

    tasks: list[tuple[str, Callable[[], object]]] = [
        ("rows of a PNG", lambda: unfilter_rows(np.zeros(8, np.uint8), 2, 3, 3))
    ]
    options = FilterOptions(engine="numba")
    for dtype in (np.uint8, np.uint16, np.float32):
        for channels, colors in ((1, "gray"), (3, "color")):
            picture = np.ones((64, 64, channels)[: 2 if channels == 1 else 3], dtype)
            tasks += [
                (
                    f"{chain}, {colors} {np.dtype(dtype).name}",
                    partial(filter_source, picture, chain.split(), options),
                )
                for chain in WARMED
            ]
    return [*tasks, ("canny", partial(filter_source, picture, "canny", options))]
