"""The oracle of `convcli.engine.augment`: whole arrays, and integers without limits."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from convcli.engine.augment import (
    BRIGHTNESS,
    CONTRAST,
    CROP,
    CUTOUT,
    ELASTIC,
    HFLIP,
    HUE,
    KNOTS,
    NOISE,
    ROTATE,
    SATURATION,
    SCALE,
    SHEAR,
    SHIFT,
    TOP,
    VFLIP,
)

_LIMIT = 2**64
_GOLDEN = 0x9E3779B97F4A7C15


def derive_key(seed: int, epoch: int, sample: int) -> int:
    """Return the key of one sample in one epoch, as `rng.derive_key`."""
    key = _mix(seed + _GOLDEN)
    key = _mix(key + epoch * _GOLDEN + 1)
    return _mix(key + sample * _GOLDEN + 1)


def uniform(key: int, n: int) -> float:
    """Return number `n` of `key` from [0, 1), as `rng.uniform`."""
    return float((_mix(key + (n + 1) * _GOLDEN) >> 11) / 2**53)


def normal(key: int, n: int) -> float:
    """Return number `n` of `key` from the normal curve, as `rng.normal`."""
    bits = _mix(key + (n + 1) * _GOLDEN)
    total = sum((bits >> shift) & 0xFFFF for shift in (0, 16, 32, 48))
    return float((total - 131070) * (np.sqrt(3.0) / 65536.0))


def augment_sample(
    source: NDArray[np.generic], key: int, figures: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return what chance `key` makes of one sample, as `augment.augment_sample` writes it."""
    height, width, _ = source.shape
    x, y = _places(key, figures, height, width)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    part_x, part_y = (x - left)[..., np.newaxis], (y - top)[..., np.newaxis]
    values = source.astype(np.float64)
    upper = values[top, left] * (1 - part_x) + values[top, right] * part_x
    lower = values[bottom, left] * (1 - part_x) + values[bottom, right] * part_x
    out = upper * (1 - part_y) + lower * part_y
    if figures[[BRIGHTNESS, CONTRAST, SATURATION, HUE]].any():
        out = _recolored(out, key, figures)
    side = int(figures[CUTOUT])
    if side:
        above = int(uniform(key, 16) * height) - side // 2 if height > 1 else 0
        before = int(uniform(key, 17) * width) - side // 2
        out[max(above, 0) : max(above + side, 0), max(before, 0) : max(before + side, 0)] = 0
    if figures[NOISE]:
        noise = [normal(key, 1024 + n) for n in range(out.size)]
        out += figures[NOISE] * np.reshape(noise, out.shape)
    result: NDArray[np.float32] = out.astype(np.float32)
    return result


def _recolored(
    pixels: NDArray[np.float64], key: int, figures: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return pixels with other colors, by way of the standard library's YIQ."""
    sides = [2 * uniform(key, 11 + n) - 1 for n in range(4)]
    factor, spread, color = (
        1 + figures[[BRIGHTNESS, CONTRAST, SATURATION]] * np.array(sides[:3])
    ).tolist()
    turn = color * np.exp(1j * figures[HUE] * sides[3])
    result = np.empty_like(pixels)
    for place in np.ndindex(pixels.shape[:2]):
        y, i, q = colorsys.rgb_to_yiq(*pixels[place])
        chroma = turn * complex(i, q)
        # without the clipping of the standard library's own way back
        result[place] = np.linalg.solve(_YIQ, [y, chroma.real, chroma.imag])
    middle = factor * (pixels @ _YIQ[0]).mean()
    return np.clip(middle + spread * (factor * result - middle), 0, figures[TOP])


_YIQ = np.array([colorsys.rgb_to_yiq(*row) for row in np.eye(3)]).T


def _places(
    key: int, figures: NDArray[np.float64], height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where each cell of the result stands in the source, kept inside it."""
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    sides = [2 * uniform(key, n) - 1 for n in range(5)]
    angle, lean = figures[ROTATE] * sides[2], np.tan(figures[SHEAR] * sides[4])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    back = turn @ np.array([[1, lean], [0, 1]]) / (1 + figures[SCALE] * sides[3])
    move = figures[SHIFT] * np.array(sides[:2])
    if height == 1:
        back = np.diag([1 / (1 + figures[SCALE] * sides[3]), 1.0])
        move[1] = 0
    flips = uniform(key, 5) < figures[HFLIP], uniform(key, 6) < figures[VFLIP]
    back = np.diag(np.where(flips, -1.0, 1.0)) @ back
    cells = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    part = 1 - figures[CROP] * uniform(key, 8)
    skipped = (1 - part) * np.array([uniform(key, 9), uniform(key, 10)])
    cells = part * cells + skipped * (width - 1, height - 1)
    place = (cells - center - move) @ back.T + center
    if figures[ELASTIC]:
        knots = [normal(key, 32 + n) for n in range(2 * KNOTS * KNOTS)]
        field = np.reshape(knots, (2, KNOTS, KNOTS)) * figures[ELASTIC]
        place += np.moveaxis(_spline(height) @ field @ _spline(width).T, 0, -1)
    return np.clip(place[..., 0], 0, width - 1), np.clip(place[..., 1], 0, height - 1)


def _spline(cells: int) -> NDArray[np.float64]:
    """Return the share of each knot in each cell, cells x KNOTS: a uniform cubic B-spline."""
    place = np.arange(cells) / max(cells - 1, 1) * (KNOTS - 3)
    distance = np.abs(place[:, np.newaxis] + 1 - np.arange(KNOTS))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far)


def _mix(x: int) -> int:
    x %= _LIMIT
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % _LIMIT
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % _LIMIT
    return x ^ (x >> 31)
