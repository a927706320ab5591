"""How values become pixels: ranges, depths, transparency, and directions as colors."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.engine.filter_numpy import converted
from convcli.engine.points import Code, Point, Points, Statistics
from convcli.engine.values import run_points
from convcli.imaging.chain import GRAY_LEVELS
from convcli.imaging.picture import white_level


def offset_scale(dtype: Any) -> float:
    """Return what one 8-bit level is in pixels of `dtype`; matrices have no levels.

    >>> offset_scale(np.dtype(np.uint16)), offset_scale(np.dtype(np.float64))
    (257.0, 1.0)
    """
    return 1.0 if dtype == np.float64 else white_level(dtype) / GRAY_LEVELS


def as_depth(alpha: Any, white: float, dtype: Any) -> Any:
    """Return alpha in the depth of the colors: 0..1 beside raw values."""
    if alpha.dtype == dtype:
        return alpha
    top = white_level(dtype)
    return converted(alpha / white * top, np.dtype(dtype), 0.0, top)


def colored(degrees: Any, brightness: Any, dtype: Any) -> Any:
    """Return full colors of the given hue: red 0, green 120, blue 240 degrees (HSV)."""
    shift = np.array([5, 3, 1])
    place = (degrees[..., None] / 60 + shift) % 6
    share = 1 - np.clip(np.minimum(place, 4 - place), 0, 1)
    return converted(share * brightness[..., None], np.dtype(dtype), 0.0, white_level(dtype))


def middle_gray(dtype: Any) -> float:
    """Return what `offset` adds: 128 of 255.

    >>> middle_gray(np.dtype(np.uint8)), middle_gray(np.dtype(np.float32))
    (128.0, 0.5)
    """
    white = white_level(dtype)
    return (white + 1) // 2 if dtype.kind == "u" else white / 2


def range_points(
    value_range: str, dtype: Any, ends: tuple[float, float] | None
) -> tuple[Point, ...]:
    """Return what a range does to values before they are cut; `ends` are those of `stretch`."""
    if value_range == "abs":
        return (Point(Code.ABS),)
    if value_range == "offset":
        return (Point(Code.LINE, 1, middle_gray(dtype)),)
    if value_range == "stretch" and ends is not None:
        black, bright = ends
        gain = white_level(dtype) / (bright - black) if bright > black else 0.0
        return (Point(Code.LINE, gain, -black * gain),)
    return ()


def to_range(
    values: Any,
    value_range: str,
    dtype: Any,
    stretch_from: tuple[float, float] | None = None,
) -> tuple[Any, Statistics]:
    """Turn values into pixels and say what happened.

    Args:
        values: any shape.
        value_range: clip, abs, offset, stretch (lowest to 0, highest to white) or raw.
        dtype: of the pixels.
        stretch_from: what `stretch` takes for lowest and highest, instead of these values' own.

    >>> pixels, statistics = to_range(np.array([-10.0, 300.0]), "clip", np.dtype(np.uint8))
    >>> pixels, statistics
    (array([  0, 255], dtype=uint8), Statistics(minimum=-10.0, maximum=300.0, below=1, above=1))
    """
    dtype = np.dtype(dtype)
    ends = stretch_from or (float(values.min()), float(values.max()))
    white = np.inf if value_range == "raw" else white_level(dtype)
    depth = np.dtype(np.float64 if values.dtype.itemsize > 4 else np.float32)
    points = Points(
        then=range_points(value_range, dtype, ends), dtype=dtype, depth=depth, white=white
    )
    pixels, statistics = run_points(points, values, engine="numpy")
    return pixels, statistics._replace(below=0, above=0) if value_range == "stretch" else statistics
