"""Inputs and what is known about their cells as pictures to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError
from convcli.imaging.sheet import Cell, Pixels, gray_levels
from convcli.inspect.color import heat, overlay, signed
from convcli.inspect.maps import near_square
from convcli.inspect.subject import Subject
from convcli.layers.base import shape_text

Values = NDArray[np.floating[Any]]


def sample_picture(subject: Subject, sample: Values) -> Pixels:
    """Return one prepared sample as it looks: (H, W, 3), or a series or vector as gray rows.

    Bytes look as they are; other figures are spread from their smallest to their largest.
    """
    stored = subject.stored(sample)
    if _holds_bytes(subject):
        shown = stored * (255 / subject.trained.preprocessing.white)
        levels: Pixels = np.rint(np.clip(shown, 0, 255)).astype(np.uint8)
    else:
        levels = gray_levels(stored)
    if levels.ndim == 3 and levels.shape[-1] == 3:
        return levels
    gray = np.rint(by_cell(levels.astype(np.float32), "mean")).astype(np.uint8)
    return np.repeat(gray[..., np.newaxis], 3, axis=2)


def input_limits(subject: Subject) -> tuple[Values, Values]:
    """Return the smallest and largest prepared input: black and white, or 2.5 deviations."""
    if not _holds_bytes(subject):
        ones = np.ones(subject.input_shape, np.float32)
        return -2.5 * ones, 2.5 * ones
    zeros = np.zeros((1, *subject.input_shape), np.float32)
    white = subject.trained.preprocessing.white
    return subject.prepared(zeros)[0], subject.prepared(zeros + white)[0]


def _holds_bytes(subject: Subject) -> bool:
    """Tell whether samples are stored as bytes: they are divided by 255, others are centered."""
    rule = subject.trained.preprocessing
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

    Raises:
        InputError: a volume.
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


def check_is_picture(subject: Subject, what: str) -> None:
    """Refuse a model of anything but pictures.

    Raises:
        InputError: its samples are not H x W x C.
    """
    if len(subject.input_shape) != 3:
        raise InputError(
            f"{what} is made for pictures; this model takes {shape_text(subject.input_shape)}."
        )


def attribution_cells(
    picture: Pixels, name: str, values: Values, *, with_signs: bool, heading: str = ""
) -> list[Cell]:
    """Return the values as colors, and laid over the picture.

    Args:
        picture: (H, W, 3), the input.
        name: caption of the values.
        values: (H, W).
        with_signs: blue to red about zero; else from black to pale yellow.
        heading: a new row begins under it.
    """
    drawn = signed(values) if with_signs else heat(values)
    return [
        Cell(name, drawn, heading),
        Cell("over the input", overlay(picture, values, with_signs=with_signs)),
    ]
