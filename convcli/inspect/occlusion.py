"""What an answer loses when a part of the picture is covered (Zeiler and Fergus 2014)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError

Values = NDArray[np.floating[Any]]
Score = Callable[[Values], Values]
"""(N, H, W, C) samples to (N,) scores."""

BATCH = 64


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

    Raises:
        InputError: the window is larger than the sample, or the step would leave cells out.

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
    for begin in range(0, len(corners), BATCH):
        yield corners[begin : begin + BATCH]
