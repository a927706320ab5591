"""Which input cells an answer depends on: plain, smoothed and integrated gradients.

Functions of a callable that gives gradients, so that the arithmetic can be tried on any function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Gradient = Callable[[Values], Values]
"""(N, *shape) samples to the (N, *shape) gradients of one score with respect to them."""

BATCH = 32
"""Samples asked about at a time; bounds the memory."""


def plain_gradient(gradient: Gradient, sample: Values) -> Values:
    """Return the gradient of the score at `sample` (Simonyan, Vedaldi and Zisserman 2013).

    >>> plain_gradient(lambda x: 2 * x, np.array([1.0, 3.0]))
    array([2., 6.])
    """
    slope: Values = gradient(sample[None])[0]
    return slope


def smooth_gradient(
    gradient: Gradient, sample: Values, *, count: int = 32, noise: float = 0.15, seed: int = 0
) -> Values:
    """Return the mean gradient over noisy copies of `sample` (SmoothGrad, Smilkov et al. 2017).

    Args:
        gradient: of the score.
        sample: where; any shape.
        count: how many copies.
        noise: standard deviation of the noise, as a share of the sample's range.
        seed: of the noise.

    >>> smooth_gradient(lambda x: 0 * x + 3, np.array([0.0, 1.0]), count=5)
    array([3., 3.])
    """
    random = np.random.default_rng(seed)
    width = noise * float(np.ptp(sample))
    copies = sample + width * random.standard_normal((count, *sample.shape))
    return _mean_gradient(gradient, copies.astype(sample.dtype))


def integrated_gradient(
    gradient: Gradient, sample: Values, *, baseline: Values | float = 0.0, steps: int = 64
) -> Values:
    """Return the gradients along the line from `baseline` to `sample`, times its length per cell.

    Their sum is the score of the sample less that of the baseline, up to the error of the midpoint
    rule: every difference in the score is given to some cell (Sundararajan, Taly and Yan 2017).

    >>> squares = integrated_gradient(lambda x: 2 * x, np.array([1.0, 3.0]))
    >>> squares.round(6)  # the score is the sum of squares
    array([1., 9.])
    """
    start = np.broadcast_to(np.asarray(baseline, sample.dtype), sample.shape)
    shares = ((np.arange(steps) + 0.5) / steps).reshape(-1, *(1,) * sample.ndim)
    line = (start + shares * (sample - start)).astype(sample.dtype)
    attribution: Values = (sample - start) * _mean_gradient(gradient, line)
    return attribution


def _mean_gradient(gradient: Gradient, samples: Values) -> Values:
    """Return the mean over samples, summed in float64 in a fixed order."""
    total = np.zeros(samples.shape[1:])
    for begin in range(0, len(samples), BATCH):
        total += gradient(samples[begin : begin + BATCH]).sum(axis=0, dtype=np.float64)
    mean: Values = total / len(samples)
    return mean
