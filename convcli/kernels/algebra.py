"""What can be read off a matrix: its factors, rank and symmetry."""

from __future__ import annotations

import math
from collections.abc import Sequence

Number = int | float
Taps = tuple[Number, ...]
Rows = tuple[tuple[Number, ...], ...]

ROUNDING = 1e-13
"""Relative difference that counts as rounding when a matrix is compared with its own factors."""

RANK_SIDE_LIMIT = 64
"""Elimination grows with the cube of the side; beyond this it is not done."""


def whole(values: Sequence[Number]) -> bool:
    return all(float(value).is_integer() for value in values)


def factors_of(rows: Rows) -> tuple[Taps, Taps] | None:
    """Return column and row with `rows[i][j] == column[i] * row[j]`, or None above rank 1.

    Whole numbers stay whole: the row is divided by its greatest common divisor.

    >>> factors_of(((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)))
    ((1, 2, 1), (-1, 0, 1))
    >>> factors_of(((0, 1), (1, 0))) is None
    True
    """
    pivot = max(rows, key=lambda cells: max(map(abs, cells)))
    at = max(range(len(pivot)), key=lambda column: abs(pivot[column]))
    if pivot[at] == 0:
        return None
    if all(whole(cells) for cells in rows):
        return _whole_factors(rows, at)
    column = tuple(cells[at] / pivot[at] for cells in rows)
    limit = ROUNDING * abs(pivot[at])
    for down, cells in zip(column, rows, strict=True):
        if any(
            abs(down * across - cell) > limit for across, cell in zip(pivot, cells, strict=True)
        ):
            return None
    return column, pivot


def _whole_factors(rows: Rows, at: int) -> tuple[Taps, Taps] | None:
    first = next(cells for cells in rows if cells[at])
    shared = math.gcd(*(int(cell) for cell in first))
    row = tuple(int(cell) // shared for cell in first)
    column = tuple(int(cells[at]) // row[at] for cells in rows)
    product = tuple(tuple(down * across for across in row) for down in column)
    return (column, row) if product == rows else None


def rank_of(rows: Rows) -> int | None:
    """Return the rank by elimination, exact for whole numbers; None for large matrices.

    Decimals that differ from dependence by rounding alone (1e-12 of the largest) are dependent.

    >>> rank_of(((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    3
    >>> rank_of(((0, 1, 0), (1, -4, 1), (0, 1, 0)))
    2
    """
    if min(len(rows), len(rows[0])) > RANK_SIDE_LIMIT:
        return None
    exact = all(whole(cells) for cells in rows)
    left: list[list[Number]] = [
        [int(cell) if exact else float(cell) for cell in cells] for cells in rows
    ]
    threshold = 0 if exact else 1e-12 * max(abs(cell) for cells in left for cell in cells)
    rank = 0
    while left:
        pivots = max(left, key=lambda cells: max(map(abs, cells)))
        at = max(range(len(pivots)), key=lambda column: abs(pivots[column]))
        if abs(pivots[at]) <= threshold:
            break
        left.remove(pivots)
        eliminated = _eliminated_whole if exact else _eliminated
        left = [eliminated(cells, pivots, at) for cells in left]
        rank += 1
    return rank


def _eliminated(cells: list[Number], pivots: list[Number], at: int) -> list[Number]:
    share = cells[at] / pivots[at]
    return [cell - share * pivot for cell, pivot in zip(cells, pivots, strict=True)]


def _eliminated_whole(cells: list[Number], pivots: list[Number], at: int) -> list[Number]:
    """Eliminate without division; the common divisor is taken out so that numbers stay small."""
    ours, theirs = int(pivots[at]), int(cells[at])
    rest = [int(cell) * ours - theirs * int(p) for cell, p in zip(cells, pivots, strict=True)]
    shared = math.gcd(*rest) or 1
    return [cell // shared for cell in rest]


def convolved(first: Rows, second: Rows) -> Rows:
    """Return the matrix that does what one laid on behind the other does (full convolution).

    >>> convolved(((1, 1),), ((1, -1),))
    ((1, 0, -1),)
    """
    height, width = len(first) + len(second) - 1, len(first[0]) + len(second[0]) - 1
    sums: list[list[Number]] = [[0] * width for _ in range(height)]
    for y, line in enumerate(first):
        for x, cell in enumerate(line):
            for v, others in enumerate(second):
                for u, other in enumerate(others):
                    sums[y + v][x + u] += cell * other
    return tuple(map(tuple, sums))


def symmetries_of(rows: Rows) -> tuple[str, ...]:
    """Return the turns and mirrors that keep the matrix (`even`) or flip its sign (`odd`).

    >>> symmetries_of(((1, 2, 1), (2, 4, 2), (1, 2, 1)))[:3]
    ('even left-right', 'even up-down', 'even half turn')
    """
    largest = max(abs(cell) for cells in rows for cell in cells)
    images = {
        "left-right": tuple(cells[::-1] for cells in rows),
        "up-down": rows[::-1],
        "half turn": tuple(cells[::-1] for cells in rows[::-1]),
        "transpose": tuple(zip(*rows, strict=True)),
    }
    found = []
    for name, image in images.items():
        for word, sign in (("even", 1), ("odd", -1)):
            if largest and _same(rows, image, sign, 1e-12 * largest):
                found.append(f"{word} {name}")
    return tuple(found)


def _same(rows: Rows, image: Rows, sign: int, limit: float) -> bool:
    if (len(rows), len(rows[0])) != (len(image), len(image[0])):
        return False
    pairs = zip(rows, image, strict=True)
    return all(
        abs(cell - sign * other) <= limit
        for cells, others in pairs
        for cell, other in zip(cells, others, strict=True)
    )
