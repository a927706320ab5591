"""Class activation maps: where in a layer's maps an answer finds its support."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]


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
