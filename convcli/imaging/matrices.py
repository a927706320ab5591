"""Matrices in text and NPY files: mistakes named with their place; what is written reads back."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.arrayfiles import NPY_MAGIC, read_npy
from convcli.errors import InputError, MissingFileError
from convcli.imaging.options import Limits

TEXT_SUFFIXES = frozenset({".csv", ".txt"})
MATRIX_SUFFIXES = TEXT_SUFFIXES | {".npy"}

Matrix = NDArray[np.float64]


def is_matrix_name(path: Path) -> bool:
    """Tell by its ending whether a file holds numbers rather than a picture."""
    return path.suffix.lower() in MATRIX_SUFFIXES


def read_matrix(
    source: Path | bytes,
    *,
    name: str | None = None,
    limits: Limits = Limits(),
) -> NDArray[Any]:
    """Read a matrix from a text or NPY file, or from the bytes of one.

    Text has one row a line, numbers parted by spaces, tabs, commas or semicolons, `#` comments;
    blank lines part the planes of a stack, which become the last axis (H x W x C).

    Returns:
        H x W or H x W x C; float64 from text, the file's own real numbers from NPY.
    """
    name = name or (str(source) if isinstance(source, Path) else "the input")
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
    except FileNotFoundError as problem:
        raise MissingFileError(f"{name}: there is no such file.") from problem
    except OSError as problem:
        raise InputError(f"{name}: {problem.strerror}.") from problem
    if not data.strip():
        raise InputError(f"{name}: the file is empty.")
    if data.startswith(NPY_MAGIC) or name.lower().endswith(".npy"):
        return _from_npy(data, name, limits)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError(f"{name}: neither a picture nor text with numbers.") from problem
    matrix = parse_matrix(text, name)
    _check_size(matrix, name, limits)
    return matrix


def _check_size(matrix: NDArray[Any], name: str, limits: Limits) -> None:
    channels = matrix.shape[2] if matrix.ndim == 3 else 1
    limits.check(name, (matrix.shape[0], matrix.shape[1], channels, matrix.itemsize))


def _from_npy(data: bytes, name: str, limits: Limits) -> NDArray[Any]:
    array = read_npy(data, name, max_bytes=limits.memory)
    if array.dtype.kind not in "uifb":
        raise InputError(f"{name}: the array holds no real numbers.")
    if array.ndim == 1:
        array = array[None]
    if array.ndim not in {2, 3} or 0 in array.shape:
        raise InputError(
            f"{name}: an array of shape {array.shape}; H x W or H x W x C numbers are needed."
        )
    _check_size(array, name, limits)
    if not np.isfinite(array).all():
        raise InputError(f"{name}: the array holds NaN or infinite values.")
    plain: NDArray[Any] = array.astype(np.uint8) if array.dtype.kind == "b" else array
    return plain


def parse_matrix(text: str, name: str = "the matrix") -> Matrix:
    r"""Return the matrix that `text` writes, as `read_matrix` explains.

    >>> parse_matrix("1 2 3\n4 5 6")
    array([[1., 2., 3.],
           [4., 5., 6.]])
    """
    planes: list[list[list[float]]] = [[]]
    for number, line in enumerate(text.splitlines(), start=1):
        words = _words(line.split("#")[0])
        if not words:
            if planes[-1] and not line.strip():
                planes.append([])
            continue
        row = [_cell(word, name, number, at) for at, word in enumerate(words, start=1)]
        if planes[-1] and len(row) != len(planes[-1][0]):
            raise InputError(
                f"{name}, line {number}: {len(row)} number{'s' * (len(row) != 1)} where the first "
                f"row has {len(planes[-1][0])}. All rows need the same length."
            )
        planes[-1].append(row)
    planes = [plane for plane in planes if plane]
    if not planes:
        raise InputError(f"{name}: no numbers in it.")
    shapes = {(len(plane), len(plane[0])) for plane in planes}
    if len(shapes) > 1:
        sizes = ", ".join(f"{len(plane)} x {len(plane[0])}" for plane in planes)
        raise InputError(f"{name}: the planes between blank lines differ in size: {sizes}.")
    stack = np.array(planes, np.float64)
    return stack[0] if len(stack) == 1 else np.ascontiguousarray(stack.transpose(1, 2, 0))


def _words(line: str) -> list[str]:
    """Return the cells of a line; an empty cell between two commas is kept, to be named."""
    line = line.strip().rstrip(",;")
    if re.search(r"[,;]", line):
        return [word for cell in re.split(r"[,;]", line) for word in (cell.split() or [""])]
    return line.split()


def _cell(word: str, name: str, line: int, column: int) -> float:
    try:
        value = float(word.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        shown = f"{word[:20]!r}" if word else "an empty cell"
        raise InputError(f"{name}, line {line}, column {column}: {shown} is no number.") from None
    if not math.isfinite(value):
        raise InputError(f"{name}, line {line}, column {column}: {word} is not finite.")
    return value


def matrix_to_text(matrix: NDArray[Any], separator: str = " ") -> str:
    """Return rows on lines, numbers as short as they can be read back exactly.

    >>> print(matrix_to_text(np.array([[1.0, -2.5], [30, 4]])), end="")
     1 -2.5
    30    4
    """
    planes = [matrix] if matrix.ndim == 2 else list(np.moveaxis(matrix, 2, 0))
    return "\n".join(_plane_to_text(plane, separator) for plane in planes)


def _plane_to_text(plane: NDArray[Any], separator: str) -> str:
    rows = [[number_text(cell) for cell in row] for row in plane.tolist()]
    if separator == " ":
        width = max(len(cell) for row in rows for cell in row)
        rows = [[cell.rjust(width) for cell in row] for row in rows]
    return "".join(separator.join(row) + "\n" for row in rows)


def number_text(value: float) -> str:
    """Return a number without needless digits.

    >>> number_text(4.0), number_text(0.1), number_text(-0.0)
    ('4', '0.1', '0')
    """
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def encode_matrix(matrix: NDArray[Any], suffix: str) -> bytes:
    """Return the bytes of a `.csv`, `.txt` or `.npy` file."""
    if suffix == ".npy":
        file = io.BytesIO()
        np.save(file, matrix, allow_pickle=False)
        return file.getvalue()
    return matrix_to_text(matrix, "," if suffix == ".csv" else " ").encode()
