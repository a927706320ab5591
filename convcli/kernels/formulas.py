"""The numbers of parametric kernels; each equation stands here once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convcli.kernels.algebra import Number, Rows, Taps


def gaussian_taps(sigma: float, radius: int) -> tuple[float, ...]:
    """Return `exp(-x^2 / (2 sigma^2))` at whole x from -radius to radius, divided by its sum.

    The numbers of scipy.ndimage's gaussian_filter1d.

    >>> [round(tap, 4) for tap in gaussian_taps(1, 1)]
    [0.2741, 0.4519, 0.2741]
    """
    raw = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(-radius, radius + 1)]
    total = math.fsum(raw)
    return tuple(tap / total for tap in raw)


def laplacian_of_gaussian(sigma: float, radius: int) -> Rows:
    """Return the negated Laplacian of a Gaussian (positive center), its mean taken off.

    `(1 - r^2 / (2 sigma^2)) exp(-r^2 / (2 sigma^2)) / (pi sigma^4)` at whole coordinates; cutting
    it off leaves a small sum, which is spread over all cells so that flat pictures give zero
    (Marr & Hildreth 1980; MATLAB's fspecial('log') does the same, with the other sign).
    """
    span = range(-radius, radius + 1)

    def value(x: int, y: int) -> float:
        half_square = (x * x + y * y) / (2 * sigma * sigma)
        return (1 - half_square) * math.exp(-half_square) / (math.pi * sigma**4)

    rows = [[value(x, y) for x in span] for y in span]
    mean = math.fsum(cell for cells in rows for cell in cells) / (2 * radius + 1) ** 2
    return tuple(tuple(cell - mean for cell in cells) for cells in rows)


def difference_of_gaussians(sigma: float, ratio: float, radius: int) -> Rows:
    """Return a normalized Gaussian minus one `ratio` times as wide; the sum is zero."""
    narrow, wide = gaussian_taps(sigma, radius), gaussian_taps(sigma * ratio, radius)
    return tuple(
        tuple(narrow[y] * narrow[x] - wide[y] * wide[x] for x in range(len(narrow)))
        for y in range(len(narrow))
    )


def unsharp_mask(sigma: float, amount: float, radius: int) -> Rows:
    """Return `(1 + amount) * identity - amount * gaussian`; it sums to 1."""
    taps = gaussian_taps(sigma, radius)
    return tuple(
        tuple(
            (1 + amount if x == y == radius else 0.0) - amount * down * across
            for x, across in enumerate(taps)
        )
        for y, down in enumerate(taps)
    )


def motion_line(length: float, degrees: float) -> Rows:
    """Return the path of a pixel that moves `length` pixels at an angle; the sum is 1.

    A cell weighs one minus its distance from the segment of `length - 1` through the center, which
    is the idea of MATLAB's fspecial('motion'). The angle runs counter-clockwise from the right.

    >>> motion_line(3, 0)
    ((0.3333333333333333, 0.3333333333333333, 0.3333333333333333),)
    """
    half = (length - 1) / 2
    right, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    reach_x, reach_y = math.ceil(half * abs(right)) + 1, math.ceil(half * abs(up)) + 1

    def closeness(x: int, y: int) -> float:
        along = min(half, max(-half, x * right - y * up))
        weight = 1 - math.hypot(x - along * right, y + along * up)
        return weight if weight > 1e-9 else 0.0

    rows = [
        [closeness(x, y) for x in range(-reach_x, reach_x + 1)]
        for y in range(-reach_y, reach_y + 1)
    ]
    rows = _without_empty_border(rows)
    total = math.fsum(cell for cells in rows for cell in cells)
    return tuple(tuple(cell / total for cell in cells) for cells in rows)


def _without_empty_border(rows: list[list[float]]) -> list[list[float]]:
    """Drop empty outer rows and columns; the line is the same after half a turn, so in pairs."""
    while len(rows) > 1 and not any(rows[0]):
        rows = rows[1:-1]
    while len(rows[0]) > 1 and not any(cells[0] for cells in rows):
        rows = [cells[1:-1] for cells in rows]
    return rows


def gabor_wave(
    sigma: float, degrees: float, wavelength: float, aspect: float, phase: float, radius: int
) -> Rows:
    """Return a cosine wave under a Gaussian envelope, without its answer to flat pictures.

    With u along the wave and v across it:
    `exp(-(u^2 + aspect^2 v^2) / (2 sigma^2)) * (cos(2 pi u / wavelength + phase) - c)`, where c
    makes the sum zero (Lee 1996, "Image representation using 2D Gabor wavelets"; without c these
    are the numbers of OpenCV's getGaborKernel). Scaled so that the magnitudes sum to 2: the output
    then spans at most the picture's own range on either side of zero. Lengths are in pixels, angles
    in degrees counter-clockwise from the right.
    """
    right, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    span = range(-radius, radius + 1)

    def envelope_and_wave(x: int, y: int) -> tuple[float, float]:
        along, across = x * right - y * up, x * up + y * right
        squares = along * along + (aspect * across) ** 2
        angle = 2 * math.pi * along / wavelength + math.radians(phase)
        return math.exp(-squares / (2 * sigma * sigma)), math.cos(angle)

    cells = [[envelope_and_wave(x, y) for x in span] for y in span]
    flat = [pair for line in cells for pair in line]
    level = math.fsum(e * wave for e, wave in flat) / math.fsum(e for e, _ in flat)
    scale = math.fsum(abs(e * (wave - level)) for e, wave in flat) / 2
    return tuple(tuple(e * (wave - level) / scale for e, wave in line) for line in cells)


def binomial(order: int) -> tuple[int, ...]:
    """Return the binomial coefficients of one order.

    >>> binomial(4)
    (1, 4, 6, 4, 1)
    """
    return tuple(math.comb(order, k) for k in range(order + 1))


def sobel_factors(size: int) -> tuple[Taps, Taps]:
    """Return the smoothing and the derivative taps of a Sobel operator: OpenCV's getDerivKernels.

    The derivative is a central difference smoothed by the binomial coefficients of order size - 3.

    >>> sobel_factors(5)
    ((1, 4, 6, 4, 1), (-1, -2, 0, 2, 1))
    """
    inner = (0, 0, *binomial(size - 3), 0, 0)
    slope = tuple(inner[k] - inner[k + 2] for k in range(size))
    return binomial(size - 1), slope


def ring_matrix(ring: Sequence[Number], center: Number) -> Rows:
    """Return the 3x3 matrix with these eight cells clockwise from the upper left.

    >>> ring_matrix((1, 2, 3, 4, 5, 6, 7, 8), 0)
    ((1, 2, 3), (8, 0, 4), (7, 6, 5))
    """
    a, b, c, d, e, f, g, h = ring
    return (a, b, c), (h, center, d), (g, f, e)


def emboss_ring(degrees: float) -> tuple[Number, ...]:
    """Return the ring of an emboss kernel lit from an angle, counter-clockwise from the right.

    The classic ring `-2 -1 0 1 2 1 0 -1` falls evenly from 2 away from the light to -2 towards it;
    between multiples of 45 degrees the cells are read off the same slope.

    >>> emboss_ring(135)
    (-2, -1, 0, 1, 2, 1, 0, -1)
    """

    def cell(position: int) -> Number:
        bearing = 135 - 45 * position
        apart = abs((bearing - degrees + 180) % 360 - 180)
        value = apart / 45 - 2
        return int(value) if value.is_integer() else value

    return tuple(cell(position) for position in range(8))


def negated(rows: Rows) -> Rows:
    return tuple(tuple(-cell for cell in cells) for cells in rows)
