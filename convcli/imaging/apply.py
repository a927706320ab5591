"""From a file, bytes or an array to a filtered one: what `convcli filter` and `filter_image` do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convcli.arrayfiles import NPY_MAGIC
from convcli.engine.filter import Statistics, total_statistics
from convcli.errors import InputError, UsageError
from convcli.files import check_target, new_file
from convcli.imaging.content import DEFAULT_MAX_PIXELS, DEFAULT_MEMORY_LIMIT, Limits
from convcli.imaging.filtering import FilteredFrame, filter_frame, make_ready, make_steps
from convcli.imaging.matrices import (
    MATRIX_SUFFIXES,
    encode_matrix,
    is_matrix_name,
    read_matrix,
)
from convcli.imaging.options import FilterOptions
from convcli.imaging.picture import Frame, Picture, as_bytes
from convcli.imaging.pillow import OnSize, from_pillow
from convcli.imaging.reading import read_picture
from convcli.imaging.steps import Step
from convcli.imaging.writing import Written, check_fit, encoded, kind_of, write_picture


@dataclass(frozen=True, eq=False)
class FilteredPicture:
    """A filtered picture or matrix in memory.

    Attributes:
        picture: all frames.
        is_matrix: it came from numbers, not from a picture file.
        statistics: over all frames.
        value_range: clip, abs, offset, stretch or raw.
        engine: numba or numpy.
        notes: what reading and filtering changed or decided.
    """

    picture: Picture
    is_matrix: bool
    statistics: Statistics
    value_range: str
    engine: str
    notes: tuple[str, ...]

    @property
    def pixels(self) -> Any:
        """The pixels of the first frame."""
        return self.picture.frames[0].pixels

    def _repr_png_(self) -> bytes:
        """Return a picture to look at, for a notebook."""
        from convcli.imaging.preview import preview_png

        return preview_png(self.picture.frames[0])


def filter_image(
    source: Any,
    kernel: Any,
    *,
    output: Path | str | None = None,
    force: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    **options: Any,
) -> NDArray[Any]:
    """Filter a picture by the rules of `convcli filter`.

    Args:
        source: a path, or an array H x W or H x W x C (2: gray and alpha, 3: RGB, 4: RGB and
            alpha), or a Pillow picture. uint8, uint16 and float32 arrays are pictures and keep
            their dtype; others are matrices and come out as float64, unconverted. Asked for pixels
            (`value_range`), a matrix of fractions within 0..1 is brightness, its white 1, and any
            other one holds 8-bit levels.
        kernel: a name, family, rows, file or array, or a list of names: a chain.
        output: also write the result here; the ending chooses the format.
        force: replace an existing output.
        max_pixels: refuse files with more pixels.
        memory_limit: refuse files that would need more bytes of memory.
        options: the fields of `FilterOptions`: `convolve`, `border`, `padding`, `stride`,
            `dilation`, `divisor`, `offset`, `normalize`, `value_range`, `gray`, `alpha`,
            `magnitude`, `gradient`, `engine`, `threads`.

    Returns:
        the filtered pixels (of a file's first frame); `filter_result` returns all there is to know.

    >>> edge = np.array([[0, 0, 9, 9]], np.uint8)
    >>> filter_image(edge, "1 0 -1")  # zero-sum: magnitudes
    array([[0, 9, 9, 0]], dtype=uint8)
    >>> filter_image(edge, "1 0 -1", value_range="raw")
    array([[ 0., -9., -9.,  0.]], dtype=float32)

    Raises:
        UsageError: unknown kernel or option.
        InputError: a file or array that cannot be used.
        OutputExistsError: `output` exists and `force` is off.
    """
    pixels: NDArray[Any] = filter_result(
        source,
        kernel,
        output=output,
        force=force,
        max_pixels=max_pixels,
        memory_limit=memory_limit,
        **options,
    ).pixels
    return pixels


def filter_result(
    source: Any,
    kernel: Any,
    *,
    output: Path | str | None = None,
    force: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    **options: Any,
) -> FilteredPicture:
    """Return what `filter_image` filters with its statistics; a notebook shows it as a picture.

    Arguments and errors are those of `filter_image`.

    >>> result = filter_result(np.array([[0, 0, 9, 9]], np.uint8), "1 0 -1")
    >>> result.value_range, result.pixels.tolist()
    ('abs', [[0, 9, 9, 0]])
    """
    choices = FilterOptions(**options)
    steps = make_steps(kernel, choices)
    inputs = [Path(source)] if isinstance(source, str | Path) else []
    if output is not None:
        check_target(Path(output), force=force, inputs=inputs)
    if isinstance(source, str | Path):
        getting_ready = partial(make_ready, steps=steps, options=choices)
        picture, is_matrix = read_any(
            Path(source), limits=Limits(max_pixels, memory_limit), on_size=getting_ready
        )
    else:
        picture, is_matrix = picture_of(source)
    done = filter_picture(picture, is_matrix, steps, choices)
    if output is not None:
        write_result(Path(output), done, force=force, inputs=inputs)
    return done


def picture_of(array: Any) -> tuple[Picture, bool]:
    """Return an array or a Pillow picture as a picture, and whether it counts as a matrix."""
    if isinstance(array, Image.Image):
        return from_pillow(array), False
    pixels = np.asarray(array)
    if pixels.dtype.kind not in "uifb" or pixels.ndim not in {2, 3} or pixels.size == 0:
        raise InputError(
            f"an array of {pixels.dtype}, shape {pixels.shape}: pictures are real numbers, "
            "H x W or H x W x C."
        )
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    is_picture = pixels.dtype in (np.uint8, np.uint16, np.float32)
    if not is_picture:
        pixels = pixels.astype(np.float64)
    has_alpha = is_picture and pixels.ndim == 3 and pixels.shape[2] in {2, 4}
    return Picture((Frame(pixels, has_alpha),)), not is_picture


def read_any(
    source: Path | bytes,
    *,
    limits: Limits = Limits(),  # noqa: B008  (a frozen value)
    on_size: OnSize | None = None,
) -> tuple[Picture, bool]:
    """Read a picture, or a matrix as a picture of one float64 frame; tell which it was."""
    if isinstance(source, Path):
        is_matrix, name = is_matrix_name(source), str(source)
    else:
        is_matrix, name = bytes_are_matrix(source), "stdin"
    if not is_matrix:
        return read_picture(source, name=name, limits=limits, on_size=on_size), False
    matrix = read_matrix(source, name=name, limits=limits)
    return Picture((Frame(matrix.astype(np.float64)),), kind="matrix"), True


def bytes_are_matrix(data: bytes) -> bool:
    """Tell an NPY file or text from a picture: no picture format begins with digits.

    >>> bytes_are_matrix(b"1 0 -1"), bytes_are_matrix(b"P6 2 2 255 ...")
    (True, False)
    """
    head = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    numeric = bool(head) and all(byte in b"0123456789.,;+-eE \t\r\n#" for byte in head[:2])
    return numeric or data.startswith(NPY_MAGIC)


def filter_picture(
    picture: Picture, is_matrix: bool, steps: Sequence[Step], options: FilterOptions
) -> FilteredPicture:
    """Filter every frame of a picture."""
    if is_matrix and options.value_range not in {None, "raw"} and _is_brightness(picture):
        frames = [replace(one, pixels=one.pixels.astype(np.float32)) for one in picture.frames]
        said = (*picture.notes, "Fractions within 0..1 are taken for brightness: white is 1.")
        picture = replace(picture, frames=tuple(frames), notes=said)
    if options.value_range == "stretch" and len(picture.frames) > 1:
        # one stretch for all frames: an animation must not flicker
        raw = replace(options, value_range="raw")
        seen = [filter_frame(frame, steps, raw).statistics for frame in picture.frames]
        ends = min(one.minimum for one in seen), max(one.maximum for one in seen)
        options = replace(options, stretch_from=ends)
    done: list[FilteredFrame] = [filter_frame(frame, steps, options) for frame in picture.frames]
    figures = [
        (one.statistics.minimum, one.statistics.maximum, one.statistics.below, one.statistics.above)
        for one in done
    ]
    notes = dict.fromkeys((*picture.notes, *(note for one in done for note in one.notes)))
    metadata = picture.metadata
    if metadata.icc and _colors(done[0].frame) != _colors(picture.frames[0]):
        metadata = replace(metadata, icc=None)
        notes["The color profile describes other channels than the result's: left out."] = None
    return FilteredPicture(
        replace(picture, frames=tuple(one.frame for one in done), metadata=metadata, notes=()),
        is_matrix,
        total_statistics(figures),
        done[0].value_range,
        done[0].engine,
        tuple(notes),
    )


def _is_brightness(matrix: Picture) -> bool:
    pixels = matrix.frames[0].pixels
    return bool(pixels.min() >= 0 and pixels.max() <= 1 and (pixels % 1).any())


def _colors(frame: Frame) -> int:
    """Return the number of channels that are no transparency."""
    channels = 1 if frame.pixels.ndim == 2 else int(frame.pixels.shape[2])
    return channels - frame.has_alpha


def write_result(
    path: Path,
    result: FilteredPicture,
    *,
    force: bool = False,
    inputs: Iterable[Path] = (),
    how: Written = Written(),  # noqa: B008  (a frozen value)
) -> tuple[str, ...]:
    """Write a result as a picture or, by its ending, as numbers; return what was not kept.

    Raises:
        UsageError: an ending that cannot hold it, or `path` is an input.
        InputError, OutputExistsError: as `convcli.files.new_file`.
    """
    if is_matrix_name(path):
        check_matrix_fit(path, result)
        data = encode_matrix(result.pixels, path.suffix.lower())
        with new_file(path, force=force, inputs=inputs) as temporary:
            temporary.write_bytes(data)
        return ()
    return write_picture(
        path,
        _with_known_depth(path, result),
        force=force,
        inputs=inputs,
        how=how,
    )


def encode_result(result: FilteredPicture, how: Written) -> bytes:
    """Return a result as the bytes of a file for a pipe: text for a matrix, else PNG or TIFF.

    Raises:
        InputError: float colors, which neither format holds.
    """
    if result.is_matrix and result.pixels.dtype.kind == "f":
        return encode_matrix(result.pixels, ".txt")
    kind = "TIFF" if result.pixels.dtype.kind == "f" else "PNG"
    check_fit("stdout", kind, result.picture)
    return encoded(kind, result.picture, how)


def check_matrix_fit(path: Path, result: FilteredPicture) -> None:
    """Refuse colors in a text file, where planes would be hard to tell from rows."""
    if path.suffix.lower() != ".npy" and result.pixels.ndim == 3 and not result.is_matrix:
        raise UsageError(
            f"{path}: text files hold one plane, the result has {result.pixels.shape[2]} channels. "
            "Use .npy, or --gray."
        )


def _with_known_depth(path: Path, result: FilteredPicture) -> Picture:
    """Return the picture to write; raw numbers are no pixels except in a float TIFF."""
    picture = result.picture
    if result.pixels.dtype == np.float32 and result.is_matrix and result.value_range != "raw":
        if kind_of(path) == "TIFF":
            return picture
        frames = [replace(one, pixels=as_bytes(one.pixels)) for one in picture.frames]
        return replace(picture, frames=tuple(frames))
    if result.pixels.dtype != np.float64:
        return picture
    if path.suffix.lower() in {".tif", ".tiff"}:
        frames = [replace(one, pixels=one.pixels.astype(np.float32)) for one in picture.frames]
        return replace(picture, frames=tuple(frames))
    raise UsageError(
        f"{path}: the result is a matrix of raw numbers. Name a file in "
        f"{' '.join(sorted(MATRIX_SUFFIXES))} .tif, or add --range clip, abs, offset or stretch."
    )


Transform = Callable[[Picture, bool], FilteredPicture]
"""What a command does to a picture; the second argument tells whether it is a matrix."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was done to one file.

    Attributes:
        source: the input's name, `-` for stdin.
        output: the output's name, `-` for stdout.
        result: without its pixels' history; `notes` say what was changed, left out or decided.
        seconds: from opening the input to the finished output.
    """

    source: str
    output: str
    result: FilteredPicture
    notes: tuple[str, ...]
    seconds: float


def transform_file(
    source: Path | bytes,
    output: Path,
    transform: Transform,
    *,
    force: bool = False,
    inputs: Iterable[Path] = (),
    how: Written = Written(),  # noqa: B008  (a frozen value)
    limits: Limits = Limits(),  # noqa: B008  (a frozen value)
    on_size: OnSize | None = None,
) -> FileReport:
    """Read one file, change it and write the result, whole or not at all.

    `on_size` is told the size of an 8-bit picture before its pixels are unpacked.

    Raises:
        UsageError, InputError, OutputExistsError: as `read_any` and `write_result`.
    """
    start = time.perf_counter()
    picture, is_matrix = read_any(source, limits=limits, on_size=on_size)
    result = transform(picture, is_matrix)
    left_out = write_result(output, result, force=force, inputs=inputs, how=how)
    name = str(source) if isinstance(source, Path) else "-"
    seconds = time.perf_counter() - start
    return FileReport(name, str(output), result, (*result.notes, *left_out), seconds)
