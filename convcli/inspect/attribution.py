"""What an answer depends on: gradients, class activation maps, and what covering costs.

Functions of callables and arrays, so that the arithmetic can be tried on any function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError

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


def grad_cam(maps: Values, slopes: Values) -> Values:
    """Return the maps summed with the mean gradient of each as its weight, negative sums as 0.

    Source: Selvaraju et al. 2017, Grad-CAM, equations 1 and 2.

    Args:
        maps: (h, w, channels), a layer's output for one sample.
        slopes: the score's gradient with respect to them, same shape.

    Returns:
        (h, w), not scaled.

    >>> maps = np.array([[[1.0, 5.0], [2.0, 0.0]]])
    >>> grad_cam(maps, np.array([[[1.0, -1.0], [1.0, 0.0]]]))  # weights 1 and -0.5
    array([[0., 2.]])
    """
    weights = slopes.mean(axis=(0, 1))
    support: Values = np.maximum(maps @ weights, 0)
    return support


def spread(
    values: Values,
    out_hw: tuple[int, int],
    first: tuple[float, float],
    stride: tuple[float, float],
) -> Values:
    """Return a map at every input cell, linear between the centers of its receptive fields.

    A cell speaks for half a stride around its center; beyond the outermost ones nothing is known
    and the map is 0.

    Args:
        values: (h, w).
        out_hw: height and width of the input.
        first: center of cell 0's receptive field on each axis, in input cells.
        stride: input cells from one center to the next, on each axis.

    >>> spread(np.array([[0.0, 4.0]]), (1, 6), first=(0, 1), stride=(1, 2))
    array([[0., 0., 2., 4., 4., 0.]])
    """
    rows = _shares(values.shape[0], out_hw[0], first[0], stride[0])
    columns = _shares(values.shape[1], out_hw[1], first[1], stride[1])
    wide: Values = rows @ values @ columns.T
    return wide


def _shares(cells: int, size: int, first: float, stride: float) -> Values:
    """Return the weight of each of `cells` centers at each of `size` places."""
    place = (np.arange(size) - first) / stride
    at = np.clip(place, 0, cells - 1)
    shares: Values = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(cells)[None, :]))
    shares[np.abs(place - at) > 0.5] = 0.0
    return shares


Score = Callable[[Values], Values]
"""(N, H, W, C) samples to (N,) scores."""

COVERED_AT_ONCE = 64


def occlusion_map(
    score: Score,
    sample: Values,
    *,
    window: int,
    step: int = 1,
    fill: float | Values = 0.0,
    on_windows: Callable[[int, int], object] | None = None,
) -> Values:
    """Return for each cell the mean drop of the score over the windows that cover it, (H, W).

    Positive where covering lowers the score. The last window of each axis ends at the border, so
    that every cell is covered.

    Args:
        score: of a batch of samples.
        sample: (H, W, C).
        window: side of the square that covers, in cells.
        step: cells from one position to the next, at most `window`.
        fill: what covers: one number, or one per channel.
        on_windows: called with the number of windows done, and of all.

    >>> brightness = lambda samples: samples.sum(axis=(1, 2, 3))
    >>> occlusion_map(brightness, np.array([[[5.0], [1.0], [1.0]]]), window=1)
    array([[5., 1., 1.]])
    """
    height, width = sample.shape[:2]
    if not 1 <= window <= min(height, width):
        raise InputError(
            f"A window of {window} does not fit {height}x{width}. Use 1 to {min(height, width)}."
        )
    if not 1 <= step <= window:
        raise InputError(
            f"Steps of {step} leave cells between windows of {window} uncovered. Use 1 to {window}."
        )
    corners = [(y, x) for y in _starts(height, window, step) for x in _starts(width, window, step)]
    whole = float(score(sample[None])[0])
    drops, covers = np.zeros((height, width)), np.zeros((height, width))
    done = 0
    for some in _batches(corners):
        covered = np.repeat(sample[None], len(some), axis=0)
        for picture, (y, x) in zip(covered, some, strict=True):
            picture[y : y + window, x : x + window] = fill
        for value, (y, x) in zip(score(covered).tolist(), some, strict=True):
            drops[y : y + window, x : x + window] += whole - value
            covers[y : y + window, x : x + window] += 1
        done += len(some)
        if on_windows:
            on_windows(done, len(corners))
    mean: Values = drops / covers
    return mean


def _starts(size: int, window: int, step: int) -> list[int]:
    """Return where windows begin; the last one ends at `size`."""
    return sorted({*range(0, size - window, step), size - window})


def _batches(corners: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for begin in range(0, len(corners), COVERED_AT_ONCE):
        yield corners[begin : begin + COVERED_AT_ONCE]
