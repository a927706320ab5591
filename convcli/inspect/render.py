"""Inputs and what is known about their cells as pictures to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError
from convcli.imaging.picture import gray_levels
from convcli.imaging.sheet import Cell, Pixels
from convcli.inspect.maps import near_square
from convcli.inspect.probe import Probe
from convcli.layers.base import shape_text

Values = NDArray[np.floating[Any]]

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


def sample_picture(probe: Probe, sample: Values) -> Pixels:
    """Return one prepared sample as it looks: (H, W, 3), or a series or vector as gray rows.

    Bytes look as they are; other figures are spread from their smallest to their largest.
    """
    stored = probe.stored(sample)
    if _holds_bytes(probe):
        shown = stored * (255 / probe.trained.preprocessing.white)
        levels: Pixels = np.rint(np.clip(shown, 0, 255)).astype(np.uint8)
    else:
        levels = gray_levels(stored)
    if levels.ndim == 3 and levels.shape[-1] == 3:
        return levels
    gray = np.rint(by_cell(levels.astype(np.float32), "mean")).astype(np.uint8)
    return np.repeat(gray[..., np.newaxis], 3, axis=2)


def input_limits(probe: Probe) -> tuple[Values, Values]:
    """Return the smallest and largest prepared input: black and white, or 2.5 deviations."""
    if not _holds_bytes(probe):
        ones = np.ones(probe.input_shape, np.float32)
        return -2.5 * ones, 2.5 * ones
    zeros = np.zeros((1, *probe.input_shape), np.float32)
    white = probe.trained.preprocessing.white
    return probe.prepared(zeros)[0], probe.prepared(zeros + white)[0]


def _holds_bytes(probe: Probe) -> bool:
    """Tell whether samples are stored as bytes: they are divided by 255, others are centered."""
    rule = probe.trained.preprocessing
    return set(rule.offset) == {0.0} and np.allclose(rule.scale, 1 / rule.white)


def by_cell(values: Values, how: str) -> Values:
    """Return values of a sample's shape as a picture (h, w), channels joined by `how`.

    A series is drawn with time to the right and its channels below each other, a vector row by row;
    neither is joined.

    Args:
        values: (H, W, C), (L, C) or (N,).
        how: `mean`, `sum` or `strongest` (the largest magnitude).

    >>> by_cell(np.array([[[1.0, -4.0]]]), "strongest"), by_cell(np.array([[[1.0, -4.0]]]), "sum")
    (array([[4.]]), array([[-3.]]))
    """
    if values.ndim == 1:
        return near_square(values)
    if values.ndim == 2:
        return values.T
    if values.ndim > 3:
        raise InputError(
            f"Samples of {shape_text(values.shape)} are volumes; those cannot be drawn."
        )
    if how == "strongest":
        magnitudes: Values = np.abs(values).max(axis=-1)
        return magnitudes
    joined: Values = values.sum(axis=-1) if how == "sum" else values.mean(axis=-1)
    return joined


def check_is_picture(probe: Probe, what: str) -> None:
    """Refuse a model of anything but pictures."""
    if len(probe.input_shape) != 3:
        raise InputError(
            f"{what} is made for pictures; this model takes {shape_text(probe.input_shape)}."
        )


def attribution_cells(
    picture: Pixels, name: str, values: Values, *, with_signs: bool, heading: str = ""
) -> list[Cell]:
    """Return the values (H, W) as colors, and laid over the picture (H, W, 3)."""
    drawn = signed(values) if with_signs else heat(values)
    return [
        Cell(name, drawn, heading),
        Cell("over the input", overlay(picture, values, with_signs=with_signs)),
    ]
