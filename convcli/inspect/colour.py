"""Numbers as colours: heat for strengths, blue and red for signs, laid over pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]

HEAT = ((0, 0, 0), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""Evenly spaced stops from black to pale yellow; every stop is lighter than the one before."""
SIGNED = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31))
"""Blue for negative, white for zero, red for positive; told apart by colour-blind eyes too."""


def heat(values: Values) -> Pixels:
    """Return RGB of real numbers, the smallest black and the largest pale yellow.

    >>> heat(np.array([[0.0, 2.0]])).tolist()
    [[[0, 0, 0], [252, 255, 164]]]
    """
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return _stops(HEAT, (values - low) / ((high - low) or 1.0))


def signed(values: Values) -> Pixels:
    """Return RGB of real numbers: zero white, the largest magnitude dark blue or dark red.

    >>> signed(np.array([[0.0, 2.0, -2.0]])).tolist()
    [[[247, 247, 247], [103, 0, 31], [5, 48, 97]]]
    """
    scale = float(np.abs(values).max()) if values.size else 1.0
    return _stops(SIGNED, 0.5 + values / (2 * (scale or 1.0)))


def overlay(picture: Pixels, values: Values, strength: float = 0.6) -> Pixels:
    """Return a picture under heat: opaque where `values` are largest, clear where they are least.

    Args:
        picture: (H, W, 3) or (H, W).
        values: (H, W), any scale; negative ones count as 0.
        strength: opacity of the largest value, 0 to 1.

    >>> overlay(np.full((1, 2), 100, np.uint8), np.array([[0.0, 1.0]]), strength=1.0).tolist()
    [[[100, 100, 100], [252, 255, 164]]]
    """
    shares = np.maximum(values, 0)
    shares = shares / (float(shares.max()) or 1.0)
    under = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    opacity = strength * np.sqrt(shares)[..., None]  # the root keeps weak support visible
    mixed = under * (1 - opacity) + _stops(HEAT, shares) * opacity
    return np.rint(mixed).astype(np.uint8)


def _stops(stops: tuple[tuple[int, int, int], ...], shares: Values) -> Pixels:
    """Return colours linear between `stops` for shares from 0 to 1."""
    table = np.array(stops, np.float64)
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(shares, places, table[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
