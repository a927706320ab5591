"""Kernels as sums of products of a column and a row, so that two short passes replace a long one.

A k x k kernel of rank one costs 2k multiply-adds a pixel instead of k * k. Integer kernels are
split in integers, so that nothing is rounded; others by elimination.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

FLOAT32_EXACT = 2.0**24
"""Below this every integer is a float32."""

LARGEST_RANK = 12
"""More terms than this never pay."""

NEGLIGIBLE = 2.0**-30
"""Of the largest weight: what a split may leave out; float32 sums carry errors of 2**-24."""


LARGEST_DENOMINATOR = 10**6
"""Decimals of six digits; larger denominators make sums that no longer fit single precision."""


def over_common_denominator(kernels: Sequence[Any]) -> tuple[tuple[Any, ...], int]:
    """Return integer kernels and what divides them, or the kernels as they are and 1.

    A weight is a fraction when the fraction's double is that weight: 0.1 means 1/10, so that sums
    over integer pixels are exact and what lies half-way between two pixel values is seen as such.

    >>> over_common_denominator([np.array([[0.1, 0.25]])])
    ((array([[2., 5.]]),), 20)
    >>> over_common_denominator([np.array([[2.0, 1 / 3]])])
    ((array([[6., 1.]]),), 3)
    >>> over_common_denominator([np.array([[math.pi]])])[1]
    1
    """
    shared = 1
    for weight in np.unique(np.concatenate([kernel.ravel() for kernel in kernels])).tolist():
        if not math.isfinite(weight):
            return tuple(kernels), 1
        nearest = Fraction(weight).limit_denominator(LARGEST_DENOMINATOR)
        shared = math.lcm(shared, nearest.denominator)
        if float(nearest) != weight or shared > LARGEST_DENOMINATOR:
            return tuple(kernels), 1
    return tuple(np.rint(kernel * shared) for kernel in kernels), shared


def integer_kernel(kernel: Any) -> bool:
    """Return whether all weights are integers that a double holds exactly.

    >>> integer_kernel(np.array([[1.0, -2.0]])), integer_kernel(np.array([[0.5]]))
    (True, False)
    """
    finite = bool(np.isfinite(kernel).all())
    return finite and bool((kernel == np.rint(kernel)).all() and abs(kernel).max(initial=0) < 2**53)


def integer_factors(kernel: Any) -> tuple[Any, Any] | None:
    """Return integer (column, row) with `outer(column, row) == kernel`, or None if rank is not 1.

    >>> integer_factors(np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]))
    (array([1., 2., 1.]), array([ 1.,  0., -1.]))
    >>> integer_factors(np.eye(3)) is None
    True
    """
    whole = [[int(weight) for weight in line] for line in kernel.tolist()]
    first = next((line for line in whole if any(line)), None)
    if first is None:
        return None
    divisor = int(np.gcd.reduce(np.array(first, dtype=object)))
    row = [weight // divisor for weight in first]
    place = next(index for index, weight in enumerate(row) if weight)
    column = []
    for line in whole:
        factor, rest = divmod(line[place], row[place])
        if rest or line != [factor * weight for weight in row]:
            return None
        column.append(factor)
    return np.array(column, dtype=np.float64), np.array(row, dtype=np.float64)


def low_rank(kernel: Any, largest_rank: int = LARGEST_RANK) -> tuple[tuple[Any, Any], ...] | None:
    """Return few (column, row) pairs whose outer products add up to `kernel`, or None.

    Crosses through the largest weight left are taken away one by one, which is Gaussian elimination
    with complete pivoting: as many as the rank, with no decomposition of the whole. None when more
    than `largest_rank` of them leave more than NEGLIGIBLE of the largest weight.

    >>> [len(low_rank(kernel)) for kernel in (np.ones((5, 5)), np.eye(2))]
    [1, 2]
    >>> low_rank(np.eye(5), 4) is None
    True
    """
    if not np.isfinite(kernel).all():
        return None
    rest = kernel.astype(np.float64)
    enough = NEGLIGIBLE * np.abs(kernel).max()
    terms: list[tuple[Any, Any]] = []
    while not terms or np.abs(rest).max() > enough:
        if len(terms) == largest_rank:
            return None
        line, place = np.unravel_index(np.abs(rest).argmax(), rest.shape)
        pivot = rest[line, place]
        column = rest[:, place] / (pivot if pivot else 1.0)
        row = rest[line].copy()
        terms.append((column, row))
        rest = rest - np.outer(column, row)
    return tuple(terms)


def l1_norm(kernel: Any) -> float:
    """Return the sum of absolute weights: how far a picture of ones can be carried.

    >>> l1_norm(np.array([[-1.0, 0.0, 1.0]]))
    2.0
    """
    return float(np.abs(kernel).sum())
