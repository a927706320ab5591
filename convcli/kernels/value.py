"""What a kernel is: a small matrix of weights that slides over a picture, as a frozen value.

`entry` makes one of a row of the tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from convcli.values import NotebookRepr

Number = int | float
Taps = tuple[Number, ...]
Rows = tuple[tuple[Number, ...], ...]

ROUNDING = 1e-13
"""Relative difference that counts as rounding when a matrix is compared with its own factors."""

RANK_SIDE_LIMIT = 64
"""Elimination grows with the cube of the side; beyond this it is not done."""


ZERO_SUM_TOLERANCE = 1e-9
"""A sum below this share of the sum of magnitudes counts as zero: rounding, not meaning."""


@dataclass(frozen=True)
class Kernel(NotebookRepr):
    """A kernel in correlation orientation: laid on the picture as printed.

    `output(y, x) = offset + sum_ij rows[i][j] / divisor * input(y + i - c_y, x + j - c_x)`
    with the center (c_y, c_x) at half the height and width, rounded down.

    A kernel is given by its `matrix` or, when it is defined as a product, by the one-dimensional
    factors `column` and `row`; `rows` and `factors` answer for both kinds.

    Attributes:
        name: canonical name; a family's carries its parameters (`gaussian:sigma=2`).
        matrix: rows of numbers before the divisor, or None when given by factors.
        column: vertical factor from top to bottom, or None.
        row: horizontal factor from left to right, or None.
        divisor: every number is divided by it.
        offset: added to each result, in 8-bit levels (0..255).
        aliases: other names that find it.
        group: heading in lists (`gradient`, `smooth`, ...); `custom` for a user's own.
        source: where the numbers come from.
        notes: what a user should know before using it.

    Raises:
        ValueError: neither or both forms given, rows of unequal length, or a zero divisor.

    >>> kernel = Kernel("sobel-x", column=(1, 2, 1), row=(-1, 0, 1))
    >>> kernel.rows
    ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
    >>> kernel.size_hw, kernel.sum, kernel.rank, kernel.is_zero_sum
    ((3, 3), 0.0, 1, True)
    """

    name: str
    matrix: Rows | None = None
    column: Taps | None = None
    row: Taps | None = None
    divisor: Number = 1
    offset: Number = 0
    aliases: tuple[str, ...] = ()
    group: str = "custom"
    source: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        by_factors = bool(self.column) and bool(self.row)
        if by_factors == bool(self.matrix):
            raise ValueError(f"kernel {self.name}: give a matrix, or a column and a row")
        if self.matrix and len({len(cells) for cells in self.matrix}) != 1:
            raise ValueError(f"kernel {self.name}: rows of unequal length")
        if self.divisor == 0:
            raise ValueError(f"kernel {self.name}: the divisor is 0")

    @cached_property
    def rows(self) -> Rows:
        """The numbers as printed, before the divisor."""
        if self.matrix is not None:
            return self.matrix
        column, row = self.column or (), self.row or ()
        return tuple(tuple(down * across for across in row) for down in column)

    @cached_property
    def weights(self) -> tuple[tuple[float, ...], ...]:
        """The numbers that multiply pixels: `rows` over `divisor`, as floats."""
        return tuple(tuple(cell / self.divisor for cell in cells) for cells in self.rows)

    @cached_property
    def factors(self) -> tuple[Taps, Taps] | None:
        """Column and row whose product is `rows`, given or found; None above rank 1.

        >>> Kernel("mine", matrix=((2, 4), (3, 6))).factors
        ((2, 3), (1, 2))
        """
        if self.column is not None and self.row is not None:
            return self.column, self.row
        return factors_of(self.rows)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in cells."""
        if self.matrix is None:
            return len(self.column or ()), len(self.row or ())
        return len(self.matrix), len(self.matrix[0])

    @property
    def components(self) -> tuple[Kernel]:
        """The kernel itself: a magnitude has two."""
        return (self,)

    @property
    def center(self) -> tuple[int, int]:
        """The cell that lies on the output pixel: scipy's and OpenCV's rule."""
        height, width = self.size_hw
        return height // 2, width // 2

    @cached_property
    def sum(self) -> float:
        """Sum of the weights, after the divisor: what a flat picture is multiplied by."""
        return self._total(float) / self.divisor

    @cached_property
    def sum_of_magnitudes(self) -> float:
        """Sum of the weights without their signs: bounds the output's range.

        >>> Kernel("sobel-x", column=(1, 2, 1), row=(-1, 0, 1)).sum_of_magnitudes
        8.0
        """
        return self._total(abs) / abs(self.divisor)

    def _total(self, of: Callable[[Number], Number]) -> float:
        """Return the sum of a property of the cells that is multiplicative, over the factors."""
        if self.matrix is None:
            return math.fsum(map(of, self.column or ())) * math.fsum(map(of, self.row or ()))
        return math.fsum(of(cell) for cells in self.matrix for cell in cells)

    @cached_property
    def rank(self) -> int | None:
        """Number of column-times-row products needed; None where it would take long to find."""
        return 1 if self.factors else rank_of(self.rows)

    @cached_property
    def symmetry(self) -> tuple[str, ...]:
        """Which turns and mirrors leave the matrix as it is, or only change its sign.

        >>> Kernel("sobel-x", column=(1, 2, 1), row=(-1, 0, 1)).symmetry
        ('odd left-right', 'even up-down', 'odd half turn')
        """
        return symmetries_of(self.rows)

    @property
    def is_zero_sum(self) -> bool:
        """A flat picture gives zero (or the offset): edges, lines, Laplacians."""
        return abs(self.sum) <= ZERO_SUM_TOLERANCE * self.sum_of_magnitudes

    @cached_property
    def is_smoothing(self) -> bool:
        """A weighted mean: no negative weight and a positive sum."""
        return self.sum > 0 and math.isclose(self.sum, self.sum_of_magnitudes, rel_tol=1e-12)

    @cached_property
    def direction_xy(self) -> tuple[float, float]:
        """Unit vector (right, down) along which brightness must rise for a positive result.

        It is the matrix's first moment; (0, 0) for a kernel that prefers no direction.

        >>> Kernel("roberts-2", matrix=((0, 1), (-1, 0))).direction_xy
        (0.7071067811865475, -0.7071067811865475)
        """
        middle = self.sum * self.divisor / (len(self.rows) * len(self.rows[0]))
        right = math.fsum(
            (cell - middle) * x for cells in self.rows for x, cell in enumerate(cells)
        )
        down = math.fsum((cell - middle) * y for y, cells in enumerate(self.rows) for cell in cells)
        length = math.hypot(right, down)
        if length <= ZERO_SUM_TOLERANCE * self.sum_of_magnitudes * abs(self.divisor):
            return 0.0, 0.0
        sign = math.copysign(1.0, self.divisor)
        return sign * right / length, sign * down / length

    def __repr__(self) -> str:
        return f"Kernel({self.name!r}, {'x'.join(map(str, self.size_hw))})"

    @property
    def slug(self) -> str:
        """The name as part of a file name.

        >>> Kernel("motion:length=9,angle=45", matrix=((1,),)).slug
        'motion-length9-angle45'
        """
        return self.name.replace("=", "").replace(":", "-").replace(",", "-")


@dataclass(frozen=True)
class Magnitude(NotebookRepr):
    """A gradient's magnitude: two kernels, combined pixel by pixel.

    Each component measures the rise of brightness along its own `direction_xy`; the components of
    Roberts' cross run along the diagonals.

    Attributes:
        name: `sobel`, `prewitt`, `scharr`, `roberts`, `frei-chen` or `sobel:size=5`.
        x: first component; across the picture, for Roberts along the falling diagonal.
        y: second component, at a right angle to the first.
        aliases: other names that find it.
        source: where the idea comes from.
        notes: what a user should know before using it.
    """

    name: str
    x: Kernel
    y: Kernel
    aliases: tuple[str, ...] = ()
    source: str = ""
    notes: str = ""
    group: str = "gradient"
    offset: Number = 0

    def __repr__(self) -> str:
        return f"Magnitude({self.name!r}, {self.x!r}, {self.y!r})"

    @property
    def components(self) -> tuple[Kernel, Kernel]:
        return self.x, self.y

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in cells that cover both components."""
        (x_h, x_w), (y_h, y_w) = self.x.size_hw, self.y.size_hw
        return max(x_h, y_h), max(x_w, y_w)

    @property
    def slug(self) -> str:
        """The name as part of a file name."""
        return self.name.replace("=", "").replace(":", "-")


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


SQUARE_ROOT_OF_2 = "√2"


def entry(
    name: str,
    rows: str | Rows = "",
    *,
    column: str | Taps = "",
    row: str | Taps = "",
    divisor: Number = 1,
    offset: Number = 0,
    aliases: str = "",
    source: str,
    notes: str = "",
) -> Kernel:
    """Return the kernel of one table row, written as rows or as column and row.

    Rows end with `;`; numbers, and aliases, are parted by spaces; √2 is a number too.

    >>> entry("mean", column="1 1", row="1 1", divisor=4, source="definition").weights
    ((0.25, 0.25), (0.25, 0.25))
    """
    matrix = (
        tuple(_taps(line) for line in rows.split(";") if line) if isinstance(rows, str) else rows
    )
    return Kernel(
        name,
        matrix=matrix or None,
        column=_taps(column) or None,
        row=_taps(row) or None,
        divisor=divisor,
        offset=offset,
        aliases=tuple(aliases.split()),
        source=source,
        notes=notes,
    )


def group(name: str, *kernels: Kernel) -> tuple[Kernel, ...]:
    return tuple(replace(kernel, group=name) for kernel in kernels)


def _taps(text: str | Taps) -> Taps:
    return tuple(_number(word) for word in text.split()) if isinstance(text, str) else text


def _number(word: str) -> Number:
    if word.endswith(SQUARE_ROOT_OF_2):
        return -math.sqrt(2) if word.startswith("-") else math.sqrt(2)
    return float(word) if "." in word else int(word)
