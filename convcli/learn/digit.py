"""A photo of a digit becomes a picture such as MNIST's: white ink on black, 20 tall, centered.

The rule is the one by which MNIST was made (LeCun et al. 1998, section III.A): the digit is fitted
into a box of 20x20 keeping its proportions, and its center of mass goes to the center of 28x28.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputError

Gray = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

WORK_SIDE = 320
"""The longer side of the picture in which the digit is looked for."""
BACKGROUND_GRID = 8
"""The light on the paper is estimated on a grid of this many cells each way."""
LEAST_CONTRAST = 0.12
"""Ink must differ from the paper by this share of the range from black to white."""
SPECK_SHARE = 0.06
"""Pieces with less than this share of the largest piece's ink are dirt."""
LEAST_DIGIT = 0.001
"""A piece with this share of the pixels may be the digit, whatever darkness reaches the edge."""
BOX_SHARE = 20 / 28
"""The digit's longer side as a share of the picture's."""
THINNEST_STROKE = 2.2
"""Strokes under this width, in output pixels, are thickened to it: MNIST's pens were broad."""
FINE = 4
"""The digit is drawn this many times as large before its last averaging."""


def digit_picture(image: npt.NDArray[Any], side: int = 28) -> npt.NDArray[np.uint8]:
    """Return the digit of a photo as (side, side) uint8, white on black.

    A picture that is already `side` x `side` with a dark edge is taken as it is.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) or with alpha (H, W, 2 or 4); uint8, or 0 to 1.
        side: height and width of the result.

    Raises:
        InputError: nothing in the picture stands out from its background.

    >>> photo = np.full((100, 80), 255, np.uint8)
    >>> photo[20:80, 38:42] = 0  # a one, in black on white
    >>> digit = digit_picture(photo)
    >>> np.flatnonzero(digit.any(axis=1))[[0, -1]], digit.max()  # 20 rows of 28
    (array([ 4, 23]), np.uint8(255))
    """
    gray = gray_picture(image)
    if gray.shape == (side, side) and _edge(gray).mean() < 0.25:
        return np.rint(gray * 255).astype(np.uint8)
    ink = _ink(_shrink(gray, WORK_SIDE))
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    crop = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _centered(_fit_box(crop, round(side * BOX_SHARE)), side)


def gray_picture(image: npt.NDArray[Any]) -> Gray:
    """Return (H, W) float32 from 0 to 1: Rec. 601 luma, transparent parts as white paper.

    >>> gray_picture(np.array([[[255, 255, 255, 0]]], np.uint8))
    array([[1.]], dtype=float32)
    """
    values = image.astype(np.float32)
    if image.dtype.kind in "iu":
        values /= np.float32(np.iinfo(image.dtype).max)
    elif values.size and (values.min() < 0 or values.max() > 1):
        low, high = float(values.min()), float(values.max())
        values = (values - low) / max(high - low, 1e-12)
    if values.ndim == 2:
        return values
    alpha = values[..., -1] if values.shape[-1] in {2, 4} else np.float32(1)
    if values.shape[-1] >= 3:
        luma = values[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    else:
        luma = values[..., 0]
    over_white: Gray = (luma * alpha + (1 - alpha)).astype(np.float32)
    return over_white


def resized(gray: npt.NDArray[Any], height: int, width: int) -> Gray:
    """Return (height, width) by linear interpolation whose window widens where it shrinks.

    >>> resized(np.array([[0.0, 0.0, 7.0, 7.0]]), 1, 2)
    array([[1., 6.]], dtype=float32)
    """
    rows, columns = _resize_weights(gray.shape[0], height), _resize_weights(gray.shape[1], width)
    fitted: Gray = (rows @ gray @ columns.T).astype(np.float32)
    return fitted


def _resize_weights(size: int, new_size: int) -> npt.NDArray[np.float64]:
    """Return the matrix (new_size, size) of weights, which fall linearly with the distance.

    >>> (_resize_weights(4, 2) * 7).round(6)  # distances 0.25, 0.25, 0.75 of 1: weights 3, 3, 1
    array([[3., 3., 1., 0.],
           [0., 1., 3., 3.]])
    """
    scale = size / new_size
    centers = (np.arange(new_size) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(size)[None, :] - centers[:, None]) / max(1.0, scale)
    weights = np.maximum(0.0, 1.0 - distance)
    shares: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _shrink(gray: Gray, side: int) -> Gray:
    longer = max(gray.shape)
    if longer <= side:
        return gray
    height, width = (max(1, round(length * side / longer)) for length in gray.shape)
    return resized(gray, height, width)


def _edge(gray: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])


def _ink(gray: Gray) -> Gray:
    """Return how much each pixel differs from the paper around it, 0 for paper and 1 for ink."""
    if _is_light_on_dark(gray):
        gray = 1 - gray
    difference = np.maximum(0, _paper(gray) - gray)
    full = float(np.quantile(difference, 0.995)) if difference.size > 400 else difference.max()
    full = max(full, 0.7 * float(difference.max()))
    if full < LEAST_CONTRAST:
        raise InputError(
            f"Nothing stands out: ink and paper differ by {full:.0%} of the range, under "
            f"{LEAST_CONTRAST:.0%}. Use a picture of one dark digit on light paper, or the reverse."
        )
    threshold = max(otsu_threshold(difference), 0.35 * full)
    kept = _without_dirt(difference > threshold, difference)
    soft = np.clip((difference - threshold / 2) / (full - threshold / 2), 0, 1)
    return np.where(_grown(kept), soft, 0).astype(np.float32)


def _is_light_on_dark(gray: Gray) -> bool:
    """Tell whether the background, which most cells of a neighborhood show, is its dark side.

    A cell that is all paper or all ink only says which it is beside its neighbors.
    """
    middle, low, high = (_per_cell(gray, figure) for figure in (np.median, np.min, np.max))
    low = 1 - _widest(1 - low, reach=1, corners=True)
    high = _widest(high, reach=1, corners=True)
    return bool((middle - (low + high) / 2).sum() < 0)


def _per_cell(gray: Gray, figure: Callable[[Gray], Any]) -> Gray:
    return np.array([[figure(cell) for cell in row] for row in _cells(gray)], np.float32)


def _cells(gray: Gray) -> list[list[Gray]]:
    """Return the picture cut into rows of cells, each at least 8 pixels high and wide."""
    cells_h, cells_w = (max(1, min(BACKGROUND_GRID, length // 8)) for length in gray.shape)
    return [np.array_split(row, cells_w, axis=1) for row in np.array_split(gray, cells_h)]


def _paper(gray: Gray) -> Gray:
    """Return the light on the paper: the bright level of coarse cells, joined smoothly."""
    level = _per_cell(gray, lambda cell: np.quantile(cell, 0.9))
    (height, width), (cells_h, cells_w) = gray.shape, level.shape
    padded = np.pad(level, 1, mode="edge")
    around = [padded[i : i + cells_h, j : j + cells_w] for i in range(3) for j in range(3)]
    level = np.maximum(level, np.median(around, axis=0))  # a cell full of ink has no paper
    return resized(level, height, width)


def otsu_threshold(values: Gray) -> float:
    """Return the level that parts `values` with the largest variance between the two classes.

    Source: Otsu 1979, A Threshold Selection Method from Gray-Level Histograms.

    >>> 0.1 < otsu_threshold(np.array([0.0, 0.1, 0.1, 0.8, 0.9], np.float32)) < 0.8
    True
    """
    counts, edges = np.histogram(values, bins=128)
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sum_below = np.cumsum(counts * centers)
    parted = (below > 0) & (above > 0)
    mean_below = sum_below / np.maximum(below, 1)
    mean_above = (sum_below[-1] - sum_below) / np.maximum(above, 1)
    between = np.where(parted, below * above * (mean_below - mean_above) ** 2.0, 0)
    return float(edges[int(between.argmax()) + 1])


def _without_dirt(mask: Mask, strength: Gray) -> Mask:
    """Keep the pieces that carry ink; those cut by the picture's edge only if nothing else is."""
    pieces = connected_pieces(mask)
    count = int(pieces.max())
    mass = np.bincount(pieces.ravel(), weights=strength.ravel(), minlength=count + 1)
    mass[0] = 0
    at_edge = np.unique(_edge(pieces))
    inside = np.setdiff1d(np.flatnonzero(mass), at_edge)
    pixels = np.bincount(pieces.ravel(), minlength=count + 1)
    if (pixels[inside] >= LEAST_DIGIT * mask.size).any():
        mass[at_edge] = 0
    kept: Mask = mass >= SPECK_SHARE * mass.max()
    return kept[pieces] & mask


def connected_pieces(mask: Mask) -> npt.NDArray[np.int64]:
    """Return for each pixel the number of its 8-connected piece, from 1; 0 outside the mask.

    >>> connected_pieces(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]], bool)).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 0], [2, 2, 0]]
    """
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:  # every pixel takes the smallest number it can see, along whole runs at once
        before = numbers
        padded = np.pad(np.where(mask, numbers, mask.size + 1), 1, constant_values=mask.size + 1)
        height, width = mask.shape
        seen = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
        numbers = np.where(mask, np.minimum.reduce(seen), 0)
        roots = np.concatenate([[0], numbers.ravel()])
        numbers = roots[numbers]  # and the number that this one's owner has taken
        if (numbers == before).all():
            break
    return np.unique(numbers, return_inverse=True)[1].reshape(mask.shape) + int(mask.all())


def _grown(mask: Mask) -> Mask:
    """Return the mask and its neighbors, so that the soft rim of the ink stays."""
    return _widest(mask, reach=1, corners=True)


def _widest(values: npt.NDArray[Any], reach: int, *, corners: bool) -> npt.NDArray[Any]:
    """Return the largest value within `reach` steps of each pixel, perhaps diagonal."""
    for _ in range(reach):
        height, width = values.shape
        padded = np.pad(values, 1)
        values = np.maximum.reduce(
            [
                padded[i : i + height, j : j + width]
                for i in range(3)
                for j in range(3)
                if corners or i == 1 or j == 1
            ]
        )
    return values


def _fit_box(ink: Gray, box: int) -> Gray:
    """Return the ink with its longer side `box`, strokes at least `THINNEST_STROKE` wide."""
    longer = max(ink.shape)
    height, width = (max(FINE, round(length * box * FINE / longer)) for length in ink.shape)
    fine = resized(ink, height, width)
    thicker = round(max(0.0, THINNEST_STROKE - _stroke_width(fine > 0.5) / FINE) * FINE / 2)
    fine = _widest(np.pad(fine, thicker), thicker, corners=False)
    longer = max(fine.shape)
    height, width = (max(1, round(length * box / longer)) for length in fine.shape)
    small = resized(fine, height, width)
    return small / max(float(small.max()), 1e-6)


def _stroke_width(solid: Mask) -> float:
    """Return the mean width of the strokes: twice the area over the pixels on the rim."""
    hidden = ~_widest(~np.pad(solid, 1), 1, corners=False)[1:-1, 1:-1]
    rim = int(solid.sum()) - int(hidden.sum())
    return 2 * float(solid.sum()) / max(1, rim)


def _centered(small: Gray, side: int) -> npt.NDArray[np.uint8]:
    """Return (side, side) uint8 with the center of mass of `small` at the center."""
    top, left = (
        _start(small.sum(axis=1 - axis), length, side) for axis, length in enumerate(small.shape)
    )
    picture = np.zeros((side, side), np.float32)
    picture[top : top + small.shape[0], left : left + small.shape[1]] = small
    return np.rint(picture * 255).astype(np.uint8)


def _start(mass: npt.NDArray[np.float32], length: int, side: int) -> int:
    """Return where `length` pixels begin in `side` to put the center of `mass` in the middle."""
    center = float(mass @ np.arange(length)) / float(mass.sum())
    return min(max(round((side - 1) / 2 - center), 0), side - length)
