"""Text -> kernel: rows of numbers, with the place of whatever is wrong."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from convcli.errors import UsageError
from convcli.kernels.value import Kernel, Number, Rows

MAX_SIDE = 1023
"""Cells along one side; a direct sum beyond it would take minutes even for a small picture."""

MAX_NUMBER = 1e30
"""Largest magnitude of one number: sums over a picture must stay finite in single precision."""

MAX_DENOMINATOR = 10**6
"""Fractions with a common denominator up to this keep their rows whole, under one divisor."""

Cell = int | float | Fraction

FRACTION = re.compile(r"([+-]?\d+)/(\d+)")


def parse_rows(text: str, name: str = "custom", source: str = "given as rows") -> Kernel:
    """Return the kernel written as rows.

    Rows end with `;` or a line break, numbers are parted by spaces or commas, `#` starts a comment,
    square brackets are allowed. Numbers are whole, decimal, or fractions like 1/9; fractions keep
    their numerators whole under a common divisor, so that integer pictures stay exact.

    Args:
        text: the rows.
        name: what the kernel is called in reports and in the mistake's sentence.
        source: where the text comes from.

    Raises:
        UsageError: no numbers, rows of unequal length, a cell that is no finite number (row and
            column are named, from 1), all zero, or a side over 1023.

    >>> parse_rows("1 0 -1; 1 0 -1; 1 0 -1").rows
    ((1, 0, -1), (1, 0, -1), (1, 0, -1))
    >>> third = parse_rows("1/3, 1/3, 1/3")
    >>> third.rows, third.divisor
    (((1, 1, 1),), 3)
    """
    rows, divisor = parse_numbers(text, _named(name))
    if not any(cell for line in rows for cell in line):
        raise UsageError(f"{_named(name)} is all zeros: every picture would become black.")
    return Kernel(name, matrix=rows, divisor=divisor, source=source)


def parse_numbers(text: str, what: str = "The matrix") -> tuple[Rows, int]:
    """Return the rows that `text` writes, as `parse_rows` explains, and what divides them.

    Args:
        text: the rows; all zeros are rows too.
        what: how the mistake's sentence begins.

    >>> parse_numbers("1/2 1; 0 0")
    (((1, 2), (0, 0)), 2)
    """
    lines = _split_rows(text, what)
    if not lines:
        raise UsageError(f"{what} has no numbers. Write rows like '1 0 -1; 2 0 -2; 1 0 -1'.")
    cells = [
        [_number(word, row, column, what) for column, word in enumerate(line, start=1)]
        for row, line in enumerate(lines, start=1)
    ]
    _check_shape(cells, what)
    return _common_divisor(cells)


def _named(name: str) -> str:
    return "The kernel" if name == "custom" else f"Kernel {name}"


def _split_rows(text: str, what: str) -> list[list[str]]:
    """Return the words of each row that has any."""
    plain = (
        re.sub(r"#[^\n]*", "", text).replace("\N{MINUS SIGN}", "-").lstrip("\N{BYTE ORDER MARK}")
    )
    plain = re.sub(r"\]\s*,?\s*\[", ";", plain).replace("[", " ").replace("]", " ")
    lines = [line for line in plain.splitlines() if line.strip()]
    if len(lines) > 1 and any(";" in line.strip().rstrip(";") for line in lines):
        raise UsageError(
            f"{what}: rows end with a line break or with ';', not both; part the numbers of a "
            "line with spaces or commas."
        )
    pieces = [piece for line in lines for piece in line.split(";") if piece.strip()]
    return [_words(piece) for piece in pieces]


def _words(piece: str) -> list[str]:
    """Return the cells of one row; between two commas there must be one number."""
    cells = piece.strip().rstrip(",").split(",")
    return [word for cell in cells for word in (cell.split() or [""])]


def _number(word: str, row: int, column: int, what: str) -> Cell:
    place = f"{what}, row {row}, column {column}"
    value: Cell
    try:
        if match := FRACTION.fullmatch(word):
            value = Fraction(int(match[1]), int(match[2]))
        else:
            value = int(word) if re.fullmatch(r"[+-]?\d+", word) else float(word)
    except ZeroDivisionError:
        raise UsageError(f"{place}: {word} divides by zero.") from None
    except ValueError:
        shown = repr(word if len(word) <= 20 else word[:20] + "...")
        raise UsageError(f"{place}: {shown} is not a number.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{place}: {word} is not finite; finite numbers are needed.")
    if value > MAX_NUMBER or value < -MAX_NUMBER:
        raise UsageError(f"{place}: the number is over {MAX_NUMBER:g}, the largest allowed.")
    return value


def _check_shape(cells: list[list[Cell]], what: str) -> None:
    width = len(cells[0])
    for row, line in enumerate(cells, start=1):
        if len(line) != width:
            raise UsageError(
                f"{what}: row {row} has {len(line)} number{'s' * (len(line) != 1)}, "
                f"row 1 has {width}. All rows need the same length."
            )
    if max(width, len(cells)) > MAX_SIDE:
        raise UsageError(
            f"{what} is {len(cells)}x{width}; a side may have at most {MAX_SIDE} numbers."
        )


def _common_divisor(cells: list[list[Cell]]) -> tuple[Rows, int]:
    """Return whole rows and the divisor that fractions share; decimals keep theirs at 1."""
    flat = [cell for line in cells for cell in line]
    if not any(isinstance(cell, Fraction) for cell in flat):
        return tuple(tuple(_plain(cell) for cell in line) for line in cells), 1
    if not any(isinstance(cell, float) for cell in flat):
        divisor = math.lcm(*(Fraction(cell).denominator for cell in flat))
        if divisor <= MAX_DENOMINATOR:
            return tuple(tuple(int(cell * divisor) for cell in line) for line in cells), divisor
    return tuple(tuple(_plain(cell) for cell in line) for line in cells), 1


def _plain(cell: Cell) -> Number:
    return float(cell) if isinstance(cell, Fraction) else cell
