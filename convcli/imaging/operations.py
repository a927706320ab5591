"""The steps of a chain that are no kernels: points, and what looks at a whole picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from convcli.engine import filter as engine
from convcli.engine.points import Code, Point, strips
from convcli.engine.values import percentiles, spread_counts
from convcli.errors import InputError, UsageError
from convcli.imaging.options import DEFAULT_MAX_PIXELS
from convcli.imaging.picture import LUMA
from convcli.kernels import Operation
from convcli.kernels.families import Value
from convcli.kernels.formulas import gaussian_taps


@dataclass(frozen=True)
class Surroundings:
    """What a step that looks at a whole picture is told.

    Attributes:
        white: the level of white.
        run: settings of the engine: its name, threads, what is called before compilation.
        notes: what was measured is added here.
    """

    white: float
    run: dict[str, Any]
    notes: list[str]


def _level(value: Value, white: float) -> float:
    """Return a level as it was written: of 255, or a share of white in percent."""
    if isinstance(value, str):
        return float(value.rstrip("%")) / 100 * white
    return value * white / 255


_POINTS: dict[str, Callable[..., Point]] = {
    "threshold": lambda white, level: Point(Code.STEP, _level(level, white), white),
    "invert": lambda white: Point(Code.LINE, -1, white),
    "gamma": lambda white, value: Point(Code.POWER, 1 / value, white),
    "abs": lambda white: Point(Code.ABS),
    "relu": lambda white: Point(Code.CUT, 0, np.inf),
    "scale": lambda white, factor, add: Point(Code.LINE, factor, _level(add, white)),
    "add": lambda white, level: Point(Code.LINE, 1, _level(level, white)),
}


def done_on_all(
    operation: Operation, planes: Any, around: Surroundings
) -> tuple[Any, tuple[Point, ...]]:
    """Return what a step that looks at all makes of a picture, and points that are left to do.

    Args:
        operation: the step.
        planes: H x W [x C], pixels or values in their levels.
        around: what it may look at.
    """
    return _WHOLE[operation.word](planes, around, **operation.values)


def point_of(operation: Operation, white: float) -> Point:
    """Return a step of single values as a point."""
    return _POINTS[operation.word](white, **operation.values)


def _otsu(planes: Any, around: Surroundings, level: Value) -> tuple[Any, tuple[Point, ...]]:
    white = around.white
    limit = otsu_threshold(planes, **around.run)
    around.notes.append(f"Otsu's threshold: {limit * 255 / white:.4g} of 255.")
    return planes, (Point(Code.STEP, limit, white),)


def otsu_threshold(values: Any, **run: Any) -> float:
    """Return the level that parts values so that the two classes differ most (Otsu 1979).

    Whole levels of 8 bits are counted each, others in 256 bins from the smallest to the largest,
    as scikit-image does.

    >>> otsu_threshold(np.array([10.0, 10, 12, 200, 210]))
    12.0
    """
    counts, centers = spread_counts(values, 256, **run)
    if len(centers) == 1:
        return float(centers[0])
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centers) / np.maximum(below, 1)
    mean_above = np.cumsum((counts * centers)[::-1])[::-1] / np.maximum(above, 1)
    spread = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return float(centers[int(np.argmax(spread))])


def _levels(
    planes: Any, around: Surroundings, low: float, high: float
) -> tuple[Any, tuple[Point, ...]]:
    if low >= high:
        raise UsageError(f"levels: low={low:g} must be below high={high:g} (percentiles).")
    black, bright = percentiles(planes, (low, high), **around.run)
    told = " to ".join(f"{one * 255 / around.white:.4g}" for one in (black, bright))
    around.notes.append(f"Levels {told} of 255 spread from black to white.")
    gain = around.white / (bright - black) if bright > black else 0.0
    shift, stretch = Point(Code.LINE, 1, -black), Point(Code.LINE, gain, 0)
    return planes, (shift, stretch, Point(Code.CUT, 0, around.white))


def size_of(written: Value, height: int, width: int) -> tuple[int, int]:
    """Return height and width of what is resized to a factor, percent or WIDTHxHEIGHT.

    >>> size_of("50%", 90, 121), size_of("30x20", 90, 120), size_of(2, 5, 6)
    ((45, 60), (20, 30), (10, 12))
    """
    text = str(written)
    if match := re.fullmatch(r"(\d+)x(\d+)", text):
        size = int(match[2]), int(match[1])
    else:
        factor = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
        size = max(1, round(height * factor)), max(1, round(width * factor))
    if min(size) < 1 or max(size) > 1 << 16:
        raise UsageError(f"resize:size={text}: a side has 1 to 65,536 pixels.")
    if size[0] * size[1] > DEFAULT_MAX_PIXELS:
        raise UsageError(
            f"resize:size={text} makes {size[1]} x {size[0]} = {size[0] * size[1]:,} pixels, more "
            f"than {DEFAULT_MAX_PIXELS:,}. Take a smaller size."
        )
    return size


def resized(planes: Any, settings: Mapping[str, Value]) -> Any:
    """Return floating-point planes of another size, by Pillow."""
    height, width = size_of(settings["size"], *planes.shape[:2])
    how = Image.Resampling[str(settings["method"]).upper()]
    stack = planes if planes.ndim == 3 else planes[..., None]
    depth = np.float64 if planes.dtype.itemsize > 4 else np.float32
    out = np.empty((height, width, stack.shape[2]), depth)
    for channel in range(stack.shape[2]):
        plane = Image.fromarray(stack[..., channel].astype(np.float32))
        out[..., channel] = np.asarray(plane.resize((width, height), how))
    return out if planes.ndim == 3 else out[..., 0]


def _canny(
    planes: Any, around: Surroundings, low: Value, high: Value, sigma: float
) -> tuple[Any, tuple[Point, ...]]:
    """Return the edges of each plane, of colors those of their brightness."""
    weak, strong = _level(low, around.white), _level(high, around.white)
    if weak > strong:
        raise UsageError(f"canny: low={low} is above high={high}.")
    if planes.ndim == 3 and planes.shape[2] == 3:
        around.notes.append("Canny's edges are those of the brightness (Rec. 601).")
        colors, planes = planes, np.empty(planes.shape[:2], np.float32)
        for rows in strips(colors):
            planes[rows] = colors[rows] @ np.array(LUMA, np.float32)
    if min(planes.shape[:2]) < 3:
        raise InputError(
            f"canny needs at least 3 x 3 pixels, not {' x '.join(map(str, planes.shape))}."
        )
    from convcli.engine.canny import find_edges

    taps = np.array(gaussian_taps(sigma, int(4 * sigma + 0.5)))
    settings = {"mapping": "raw", "output_dtype": np.float64, **around.run}
    edges = np.empty(planes.shape, np.uint8)
    for channel in np.ndindex(planes.shape[2:]):
        plane = np.ascontiguousarray(planes[(..., *channel)])
        smooth = engine.apply(plane, np.outer(taps, taps), **settings).values
        edges[(..., *channel)] = find_edges(smooth, weak, strong, around.run.get("threads"))
    return edges, (Point(Code.LINE, around.white, 0),)


_WHOLE: dict[str, Callable[..., tuple[Any, tuple[Point, ...]]]] = {
    "threshold": _otsu,
    "levels": _levels,
    "resize": lambda planes, around, **settings: (resized(planes, settings), ()),
    "canny": _canny,
}


def laid_on_original(blend: str, strength: float, white: float) -> tuple[Point, ...]:
    """Return the points that lay a result on what it was made of, as in GIMP.

    >>> laid_on_original("normal", 0.5, 255)
    (Point(code=<Code.MIX: 13>, a=0.5, b=0.0),)
    """
    over = () if blend == "normal" else (Point(Code[blend.upper()], white),)
    return (*over, Point(Code.MIX, strength)) if strength != 1 else over


def to_light(pixels: Any, *, has_alpha: bool = False) -> Any:
    """Return levels of sRGB as light, float32 from 0 to the same white (IEC 61966-2-1).

    >>> to_light(np.array([[0, 188, 255]], np.uint8)).round().tolist()
    [[0.0, 128.0, 255.0]]
    """
    white = np.iinfo(pixels.dtype).max
    shares = np.arange(white + 1) / white
    curve = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    light = np.empty(pixels.shape, np.float32)
    table = (curve * white).astype(np.float32)
    for rows in strips(pixels):
        np.take(table, pixels[rows], out=light[rows], mode="clip")
    if has_alpha:
        light[..., -1] = pixels[..., -1]
    return light
