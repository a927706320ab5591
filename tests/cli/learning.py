"""A small set of pictures that anything can learn, for the tests of the training commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NETWORK = "input 8x8x1, conv 4 3 relu, flatten, dense 4 softmax"


def quadrants(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy 8x8 pictures with one bright quarter, and which it is."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    pictures = random.integers(0, 90, (count, 8, 8, 1), dtype=np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        top, left = divmod(int(label), 2)
        picture[4 * top : 4 * top + 4, 4 * left : 4 * left + 4] += 100
    return pictures, labels


def write_quadrants(folder: Path, count: int = 160) -> Path:
    """Write the set as an .npz file with training and test samples; return its path."""
    place = folder / "quadrants.npz"
    x_train, y_train = quadrants(count)
    x_test, y_test = quadrants(40, seed=1)
    np.savez(place, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return place
