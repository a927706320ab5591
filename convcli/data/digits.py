"""Handwritten-looking digits, made on the spot from models of strokes: no file, no network.

Sample i of a seed is the same however many are made, because every number comes from a counter.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.arrayfiles import MAX_BYTES, check_bytes
from convcli.data.dataset import ALLOW, Dataset, ProgressCallback, Split, make_dataset
from convcli.engine.stroke_renderer import SIDE, deal_digits, write_digits
from convcli.errors import UsageError

TRAIN_COUNT = 60_000
TEST_COUNT = 10_000
MOST = 10_000_000
BYTES_A_DIGIT = SIDE * SIDE + 8  # and its label
_CHUNK = 2_000
_TEST_FROM = 10**12
"""Test samples are numbered from here, so that no count of training samples reaches them."""

VARIATION_VALUES = {
    "slant_mean": 0.14,
    "slant": 0.3,
    "turn": 0.10,
    "aspect": 0.20,
    "jitter": 0.06,
    "bend": 0.045,
    "split": 0.16,
    "taper": 0.2,
    "pen_mean": 0.18,
    "pen": 0.34,
    "pressure": 0.12,
    "reach": 0.09,
    "softness": 1.1,
    "drift": 0.05,
}
"""How much hands differ: means and deviations, in heights of a digit, radians or logarithms.

Set by comparing contact sheets, and what a network trained on made digits confuses, with MNIST's
training images. `pen_mean` and `pen` are of the logarithm of the pen's radius in pixels."""


class _Styles(NamedTuple):
    points: NDArray[np.float64]
    corners: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    weights: NDArray[np.float64]


def digits_dataset(
    count: int = TRAIN_COUNT,
    test_count: int = TEST_COUNT,
    *,
    seed: int = 0,
    progress: ProgressCallback | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Return made digits as a data set like MNIST: N x 28 x 28 x 1 uint8, labels 0 to 9 in turn."""
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed {seed} is outside 0..{2**63 - 1}.")
    for wanted in (count, test_count):
        if not 10 <= wanted <= MOST:
            raise UsageError(f"{wanted:,} digits cannot be made; ask for 10 to {MOST:,}.")
    total = count + test_count
    check_bytes(f"{total:,} digits take", total * BYTES_A_DIGIT, max_bytes, ALLOW)
    splits = {
        "train": make_digits(count, seed=seed, progress=progress),
        "test": make_digits(test_count, seed=seed, first=_TEST_FROM, progress=progress),
    }
    return make_dataset(
        "digits",
        splits,
        provenance=f"{count:,} + {test_count:,} digits made from stroke models with seed {seed}",
    )


def make_digits(
    count: int, *, seed: int = 0, first: int = 0, progress: ProgressCallback | None = None
) -> Split:
    """Return samples number `first` to `first + count` of the made digits of `seed`."""
    styles = _styles()
    variation = np.array(list(VARIATION_VALUES.values()))
    labels = np.empty(count, np.int64)
    deal_digits(seed, first, labels)
    pictures = np.empty((count, SIDE, SIDE), np.uint8)
    for low in range(0, count, _CHUNK):
        part = slice(low, min(low + _CHUNK, count))
        write_digits(*styles, variation, seed, first + low, labels[part], pictures[part])
        if progress:
            progress("digits made", part.stop, count)
    return Split(pictures[..., np.newaxis], labels)


@cache
def _styles() -> _Styles:
    """Return the stroke models as the arrays that the engine walks through."""
    points: list[tuple[int, int]] = []
    corners: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    weights: list[list[float]] = []
    text = files("convcli.data").joinpath("digits.strokes").read_text(encoding="utf-8")
    for line in text.splitlines():
        head, _, strokes = line.partition("#")[0].partition(":")
        if not strokes:
            continue
        digit, share = head.split()
        first_stroke = len(starts)
        for stroke in strokes.split(";"):
            starts.append(len(points))
            for point in stroke.split():
                x, y = point.removesuffix("!").split(",")
                points.append((int(x), int(y)))
                corners.append(int(point.endswith("!")))
            ends.append(len(points))
        weights.append([int(digit), float(share), first_stroke, len(starts)])
    table = np.array(weights)
    for digit_rows in (table[:, 0] == digit for digit in range(10)):
        table[digit_rows, 1] = np.cumsum(table[digit_rows, 1]) / table[digit_rows, 1].sum()
    return _Styles(
        np.array(points) / 100, np.array(corners), np.array(starts), np.array(ends), table
    )
