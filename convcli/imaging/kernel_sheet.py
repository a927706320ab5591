"""Kernels on one picture, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convcli.engine.correlation import correlate
from convcli.errors import InputError
from convcli.files import new_file
from convcli.imaging.picture import as_bytes, to_gray, white_level
from convcli.imaging.reading import read_picture
from convcli.imaging.sheet import TALLEST, Cell, Pixels, contact_sheet
from convcli.kernels import Kernel, Magnitude

CELL_WIDTH = 176
"""The picture is reduced to this width first: filtered larger, a 3x3 kernel would not show."""

STRETCHED_TO_WHITE = 99.5
"""Percentile of the magnitudes of edges that is drawn white."""

SHEET_SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp")


def read_small(path: Path, width: int = CELL_WIDTH) -> Pixels:
    """Return a picture as gray levels, reduced to at most `width` pixels across (and twice down).

    Transparency is laid on white; of numbers without a white the largest is white.
    """
    frame = to_gray(read_picture(path).frames[0])
    shares = frame.pixels / np.float32(white_level(frame.pixels.dtype))
    if frame.has_alpha:
        shares = 1 - shares[..., 1] * (1 - shares[..., 0])
    if shares.ndim == 3:
        shares = shares[..., 0]
    if frame.pixels.dtype.kind == "f":
        shares = shares / (float(shares.max()) or 1.0)
    gray = Image.fromarray(as_bytes(shares))
    share = min(1.0, width / gray.width, TALLEST * width / gray.height)
    if share < 1:
        size = (max(1, round(gray.width * share)), max(1, round(gray.height * share)))
        gray = gray.resize(size, Image.Resampling.BOX)
    return np.asarray(gray, np.uint8)


def filtered(picture: Pixels, kernel: Kernel | Magnitude) -> Pixels:
    """Return a uint8 picture (gray or RGB) under a kernel, ready to be looked at.

    Zero-sum kernels and magnitudes give magnitudes, stretched so that one value in 200 is white:
    at their own scale some would be all black and others all white. All others keep their scale
    and are cut off at 0 and 255.
    """
    if isinstance(kernel, Magnitude):
        x, y = (_response(picture, component) for component in kernel.components)
        values = np.hypot(x, y)
    else:
        values = _response(picture, kernel) + kernel.offset
    if isinstance(kernel, Magnitude) or (kernel.is_zero_sum and not kernel.offset):
        values = np.abs(values)
        values *= 255 / (float(np.percentile(values, STRETCHED_TO_WHITE)) or 1.0)
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _response(picture: Pixels, kernel: Kernel) -> NDArray[np.float64]:
    rows = np.array(kernel.rows, np.float64)
    if picture.ndim == 3:
        rows = rows[:, :, None]
    values = correlate(picture, rows, engine="numpy")
    return np.asarray(values / kernel.divisor, np.float64)


def kernel_cells(picture: Pixels, kernels: Sequence[Kernel | Magnitude]) -> Iterator[Cell]:
    """Yield the original and then one cell a kernel, a heading where the group changes."""
    yield Cell("original", picture)
    group = ""
    for kernel in kernels:
        yield Cell(kernel.name, filtered(picture, kernel), kernel.group * (kernel.group != group))
        group = kernel.group


def check_sheet_suffix(path: Path) -> None:
    """Refuse a name that no sheet is written to."""
    if path.suffix.lower() not in SHEET_SUFFIXES:
        raise InputError(
            f"{path}: a sheet is written as {', '.join(SHEET_SUFFIXES)}; "
            f"{path.suffix or 'no suffix'} is none of them."
        )


def save_sheet(
    cells: Iterable[Cell],
    path: Path,
    *,
    force: bool = False,
    inputs: Iterable[Path] = (),
    cell_width: int = CELL_WIDTH,
    columns: int | None = None,
    title: str = "",
) -> tuple[int, int]:
    """Write a contact sheet as a picture and return its height and width."""
    check_sheet_suffix(path)
    sheet = contact_sheet(list(cells), cell_width=cell_width, columns=columns, title=title)
    with new_file(path, force=force, inputs=inputs) as temporary:
        Image.fromarray(sheet).save(temporary)
    return sheet.shape[0], sheet.shape[1]
