"""The steps of a chain that are no kernels, on values: point by point in strips, or as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image

from convcli.engine.correlation import correlate
from convcli.errors import InputError, UsageError
from convcli.imaging.options import DEFAULT_MAX_PIXELS
from convcli.imaging.picture import LUMA
from convcli.kernels import Operation
from convcli.kernels.families import Value
from convcli.kernels.formulas import gaussian_taps

STRIP_BYTES = 1 << 20
"""Point steps that follow each other go through the picture together, in strips of the cache."""

Point = Callable[[Any], Any]


def run_operations(
    planes: Any, operations: Iterable[Operation], white: float, notes: list[str]
) -> Any:
    """Return H x W [x C] floating-point values behind some operations.

    Args:
        planes: values in the levels of a picture.
        operations: in their order.
        white: the level of white.
        notes: what was measured is added here.
    """
    waiting: list[Point] = []
    for one in operations:
        rule = _WHOLE.get("otsu" if one.values.get("level") == "otsu" else one.word)
        if rule is None:
            waiting.append(_POINTS[one.word](white, **one.values))
            continue
        planes = rule(in_strips(planes, waiting), white, notes, **one.values)
        waiting = []
    return in_strips(planes, waiting)


def in_strips(planes: Any, points: list[Point]) -> Any:
    """Return `planes` behind functions of single values, all of them strip by strip."""
    if not points:
        return planes
    out = np.empty_like(planes)
    rows = max(1, STRIP_BYTES // max(1, planes[0].nbytes))
    for top in range(0, len(planes), rows):
        strip = planes[top : top + rows]
        for point in points:
            strip = point(strip)
        out[top : top + rows] = strip
    return out


def _level(value: Value, white: float) -> float:
    """Return a level as it was written: of 255, or a share of white in percent."""
    if isinstance(value, str):
        return float(value.rstrip("%")) / 100 * white
    return value * white / 255


def _threshold(white: float, level: Value) -> Point:
    limit = _level(level, white)
    return lambda strip: np.where(strip > limit, white, 0)


def _gamma(white: float, value: float) -> Point:
    return lambda strip: white * (strip.clip(0) / white) ** (1 / value)


def _scale(white: float, factor: float, add: Value) -> Point:
    shift = _level(add, white)
    return lambda strip: strip * factor + shift


_POINTS: dict[str, Callable[..., Point]] = {
    "threshold": _threshold,
    "invert": lambda white: lambda strip: white - strip,
    "gamma": _gamma,
    "abs": lambda white: np.abs,
    "relu": lambda white: lambda strip: strip.clip(0),
    "scale": _scale,
    "add": lambda white, level: _scale(white, 1, level),
}


def _otsu(planes: Any, white: float, notes: list[str], level: Value) -> Any:
    limit = otsu_threshold(planes)
    notes.append(f"Otsu's threshold: {limit * 255 / white:.4g} of 255.")
    return in_strips(planes, [lambda strip: np.where(strip > limit, white, 0)])


def otsu_threshold(values: Any) -> float:
    """Return the level that parts values so that the two classes differ most (Otsu 1979).

    Whole levels of 8 bits are counted each, others in 256 bins from the smallest to the largest,
    as scikit-image does.

    >>> otsu_threshold(np.array([10.0, 10, 12, 200, 210]))
    12.0
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    if low >= 0 and high <= 255 and not (values % 1).any():
        counts = np.bincount(values.astype(np.uint8).ravel())[int(low) :].astype(np.float64)
        centers = np.arange(low, high + 1)
    else:
        counts, edges = np.histogram(values, 256)
        centers = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centers) / np.maximum(below, 1)
    mean_above = np.cumsum((counts * centers)[::-1])[::-1] / np.maximum(above, 1)
    spread = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return float(centers[int(np.argmax(spread))])


def _levels(planes: Any, white: float, notes: list[str], low: float, high: float) -> Any:
    if low >= high:
        raise UsageError(f"levels: low={low:g} must be below high={high:g} (percentiles).")
    black, bright = (float(one) for one in np.percentile(planes, (low, high)))
    told = " to ".join(f"{one * 255 / white:.4g}" for one in (black, bright))
    notes.append(f"Levels {told} of 255 spread from black to white.")
    gain = white / (bright - black) if bright > black else 0.0
    return in_strips(planes, [lambda strip: ((strip - black) * gain).clip(0, white)])


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


def _resize(planes: Any, white: float, notes: list[str], size: Value, method: str) -> Any:
    height, width = size_of(size, *planes.shape[:2])
    how = Image.Resampling[method.upper()]
    stack = planes if planes.ndim == 3 else planes[..., None]
    out = np.empty((height, width, stack.shape[2]), planes.dtype)
    for channel in range(stack.shape[2]):
        plane = Image.fromarray(stack[..., channel].astype(np.float32))
        out[..., channel] = np.asarray(plane.resize((width, height), how))
    return out if planes.ndim == 3 else out[..., 0]


def _canny(
    planes: Any, white: float, notes: list[str], low: Value, high: Value, sigma: float
) -> Any:
    """Return the edges of each plane, of colors those of their brightness."""
    weak, strong = _level(low, white), _level(high, white)
    if weak > strong:
        raise UsageError(f"canny: low={low} is above high={high}.")
    if planes.ndim == 3 and planes.shape[2] == 3:
        notes.append("Canny's edges are those of the brightness (Rec. 601).")
        planes = planes @ np.array(LUMA, planes.dtype)
    if planes.ndim == 3:
        each = np.moveaxis(planes, 2, 0)
        return np.dstack([_canny(one, white, notes, low, high, sigma) for one in each])
    from convcli.engine.canny import thin_and_follow

    if min(planes.shape) < 3:
        raise InputError(
            f"canny needs at least 3 x 3 pixels, not {' x '.join(map(str, planes.shape))}."
        )
    taps = np.array(gaussian_taps(sigma, int(4 * sigma + 0.5)))
    smooth = correlate(correlate(planes.astype(np.float64), taps[:, None]), taps[None])
    right = correlate(smooth, np.outer([1, 2, 1], [-1, 0, 1]))
    down = correlate(smooth, np.outer([-1, 0, 1], [1, 2, 1]))
    edges = np.zeros(planes.shape, np.uint8)
    thin_and_follow(right, down, np.hypot(right, down), weak, strong, edges)
    return edges.astype(planes.dtype) * planes.dtype.type(white)


_WHOLE: dict[str, Callable[..., Any]] = {
    "otsu": _otsu,
    "levels": _levels,
    "resize": _resize,
    "canny": _canny,
}


BLENDS: dict[str, Callable[[Any, Any, float], Any]] = {
    "normal": lambda base, top, white: top,
    "difference": lambda base, top, white: abs(top - base),
    "add": lambda base, top, white: base + top,
    "subtract": lambda base, top, white: base - top,
    "multiply": lambda base, top, white: base * top / white,
    "screen": lambda base, top, white: white - (white - base) * (white - top) / white,
    "darken": lambda base, top, white: np.minimum(base, top),
    "lighten": lambda base, top, white: np.maximum(base, top),
}
"""How a result is laid on what it was made of: of both and white, as in GIMP."""


def to_light(pixels: Any, *, has_alpha: bool = False) -> Any:
    """Return levels of sRGB as light, float32 from 0 to the same white (IEC 61966-2-1).

    >>> to_light(np.array([[0, 188, 255]], np.uint8)).round().tolist()
    [[0.0, 128.0, 255.0]]
    """
    white = np.iinfo(pixels.dtype).max
    shares = np.arange(white + 1) / white
    curve = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    light = (curve * white).astype(np.float32)[pixels]
    if has_alpha:
        light[..., -1] = pixels[..., -1]
    return light


def to_srgb(light: Any, white: float) -> Any:
    """Return the levels of sRGB for light; below black and above white straight on.

    >>> to_srgb(np.array([-1.0, 127.5, 300]), 255.0).round(1).tolist()
    [-12.9, 187.5, 273.8]
    """
    shares = light / white
    curve = 1.055 * shares.clip(0.0031308) ** (1 / 2.4) - 0.055
    return white * np.where(shares <= 0.0031308, shares * 12.92, curve)
