"""Equations that named kernels and families share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

from convcli.kernels.value import Number, Rows


def gaussian_taps(sigma: float, radius: int) -> tuple[float, ...]:
    """Return `exp(-x^2 / (2 sigma^2))` at whole x from -radius to radius, divided by its sum.

    The numbers of scipy.ndimage's gaussian_filter1d.

    >>> [round(tap, 4) for tap in gaussian_taps(1, 1)]
    [0.2741, 0.4519, 0.2741]
    """
    raw = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(-radius, radius + 1)]
    total = math.fsum(raw)
    return tuple(tap / total for tap in raw)


def gaussian_derivative(sigma: float, order: int, radius: int) -> tuple[float, ...]:
    """Return the taps that give the derivative of one order of a picture under a Gaussian.

    The Gaussian's own derivative is a polynomial in x times the Gaussian:
    `p' - p x / sigma^2` from one order to the next; turned, because taps are laid on as printed.
    Source: scipy.ndimage.gaussian_filter1d.

    >>> [round(tap, 4) for tap in gaussian_derivative(1, 1, 1)]
    [-0.2741, 0.0, 0.2741]
    """
    polynomial = [1.0]
    for _ in range(order):
        slope = [power * c for power, c in enumerate(polynomial)][1:]
        shifted = [0.0, *(-c / sigma**2 for c in polynomial)]
        polynomial = [a + b for a, b in zip_longest(slope, shifted, fillvalue=0.0)]
    return tuple(
        tap * math.fsum(c * (-x) ** power for power, c in enumerate(polynomial)) + 0.0
        for x, tap in zip(range(-radius, radius + 1), gaussian_taps(sigma, radius), strict=True)
    )


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


def ring_matrix(ring: Sequence[Number], center: Number) -> Rows:
    """Return the 3x3 matrix with these eight cells clockwise from the upper left.

    >>> ring_matrix((1, 2, 3, 4, 5, 6, 7, 8), 0)
    ((1, 2, 3), (8, 0, 4), (7, 6, 5))
    """
    a, b, c, d, e, f, g, h = ring
    return (a, b, c), (h, center, d), (g, f, e)


def negated(rows: Rows) -> Rows:
    return tuple(tuple(-cell for cell in cells) for cells in rows)
