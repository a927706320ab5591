"""Numbers as colors: heat for strengths, blue and red for signs, laid over pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]

HEAT = ((0, 0, 0), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""Evenly spaced stops from black to pale yellow; every stop is lighter than the one before."""
SIGNED = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31))
"""Blue for negative, white for zero, red for positive; told apart by color-blind eyes too."""

FOR, AGAINST = (240, 80, 50), (60, 130, 240)
"""Colors of signs over a picture."""
HALF_LIGHT = 0.6
"""Light left to a picture under colors, so that they show on white too."""


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


def overlay(
    picture: Pixels, values: Values, strength: float = 0.8, *, with_signs: bool = False
) -> Pixels:
    """Return a picture in half light under colors: clear where `values` are 0.

    Args:
        picture: (H, W, 3) or (H, W).
        values: (H, W), any scale; without signs negative ones count as 0.
        strength: opacity of the largest magnitude, 0 to 1.
        with_signs: red for positive and blue for negative; else heat.

    >>> overlay(np.full((1, 2), 100, np.uint8), np.array([[0.0, 1.0]]), strength=1.0).tolist()
    [[[60, 60, 60], [252, 255, 164]]]
    """
    values = values if with_signs else np.maximum(values, 0)
    shares = values / (float(np.abs(values).max(initial=0)) or 1.0)
    under = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    opacity = strength * np.sqrt(np.abs(shares))[..., None]  # the root keeps small shares visible
    over = np.where(shares[..., None] < 0, AGAINST, FOR) if with_signs else _stops(HEAT, shares)
    mixed: Pixels = np.rint(HALF_LIGHT * under * (1 - opacity) + over * opacity).astype(np.uint8)
    return mixed


def _stops(stops: tuple[tuple[int, int, int], ...], shares: Values) -> Pixels:
    """Return colors linear between `stops` for shares from 0 to 1."""
    table = np.array(stops, np.float64)
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(shares, places, table[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
