"""Inputs and what is known about their cells as pictures to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError
from convcli.imaging.picture import gray_levels
from convcli.inspect.probe import Probe
from convcli.layers.base import shape_text

Values = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]


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

    A series has time to the right and its channels below each other, a vector is one row; neither
    is joined.

    Args:
        values: (H, W, C), (L, C) or (N,).
        how: `mean`, `sum` or `strongest` (the largest magnitude).

    >>> by_cell(np.array([[[1.0, -4.0]]]), "strongest"), by_cell(np.array([[[1.0, -4.0]]]), "sum")
    (array([[4.]]), array([[-3.]]))
    """
    if values.ndim == 1:
        return values[np.newaxis]
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
