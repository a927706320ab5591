"""Samples as they might also have been: moved, turned, bent, covered and noisy, by counted chance.

`augment_sample` is called by the batch loop for each sample; what it draws depends on its key
alone, so that threads, batch sizes and interruptions change nothing. Positions outside a sample
take the nearest cell's value. A series is a picture one cell high.
"""

from __future__ import annotations

import colorsys

import numpy as np

from convcli.engine.compilation import compiled
from convcli.engine.rng import derive_key, normal, uniform

# Places in the vector of figures; each is a largest amount, evenly drawn from both sides of zero.
(
    SHIFT,  # cells
    ROTATE,  # radians
    SCALE,  # share: 0.1 is from 0.9 to 1.1
    SHEAR,  # radians
    ELASTIC,  # deviation of the bends, in cells
    CUTOUT,  # side of the covered square, in cells
    NOISE,  # deviation, in units of the sample's values
    HFLIP,  # share of samples mirrored left to right
    VFLIP,  # share of samples mirrored top to bottom
    CROP,  # share of each side that is cut away
    BRIGHTNESS,  # share of the values
    CONTRAST,  # share of the distance from the mean gray
    SATURATION,  # share of the distance from gray
    HUE,  # radians
    TOP,  # the largest value that colors may have
    FIGURES,
) = range(16)

KNOTS = 7
"""Knots of the elastic bend along each axis: four cells of a cubic B-spline and their borders."""

_DEPTH_AT, _CROP_AT, _COLOR_AT, _CUTOUT_AT, _ELASTIC_AT, _NOISE_AT = 7, 8, 11, 16, 32, 1024
_TO_YIQ = np.array([colorsys.rgb_to_yiq(*color) for color in np.eye(3)]).T
"""Luma and two axes of color (NTSC 1953)."""
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


@compiled
def augment_sample(source, key, figures, out):
    """Write what chance `key` makes of one sample.

    Args:
        source: uint8 or float32, height x width x channels.
        key: uint64 of `rng.derive_key(seed, epoch, sample)`.
        figures: float64 (FIGURES,).
        out: float32, height x width x channels, in the units of `source`; written.
    """
    ax, bx, cx, ay, by, cy = _way_back(key, figures, source.shape[0], source.shape[1])
    if figures[ELASTIC] > 0.0 or bx != 0.0 or ay != 0.0:
        _move(source, key, figures, (ax, bx, cx, ay, by, cy), out)
    else:
        _slide(source, ax, cx, by, cy, out)
    if figures[BRIGHTNESS] + figures[CONTRAST] + figures[SATURATION] + figures[HUE] > 0.0:
        _recolor(key, figures, out)
    if figures[CUTOUT] > 0.0:
        _cover(key, int(figures[CUTOUT]), out)
    if figures[NOISE] > 0.0:
        _add_noise(key, figures[NOISE], out)


@compiled
def _move(source, key, figures, way_back, out):
    """Write what stands at the place that each cell comes from, between four cells."""
    height, width, channels = source.shape
    ax, bx, cx, ay, by, cy = way_back
    elastic = figures[ELASTIC] > 0.0
    knots = np.empty((2, KNOTS, KNOTS))
    across = np.empty((2, KNOTS))
    shares = np.empty((width, 4))
    cells = np.empty(width, np.int64)
    if elastic:
        _draw_knots(key, figures[ELASTIC], knots)
        for col in range(width):
            cells[col] = _spline(col / max(width - 1, 1), shares[col])
    for row in range(height):
        if elastic:
            _blend_rows(knots, row / max(height - 1, 1), across)
        for col in range(width):
            x = ax * col + bx * row + cx
            y = ay * col + by * row + cy
            if elastic:
                for n in range(4):
                    x += shares[col, n] * across[0, cells[col] + n]
                    y += shares[col, n] * across[1, cells[col] + n]
            x = min(max(x, 0.0), width - 1.0)
            y = min(max(y, 0.0), height - 1.0)
            left, top = int(x), int(y)
            right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
            part_x, part_y = np.float32(x - left), np.float32(y - top)
            for channel in range(channels):
                upper = np.float32(source[top, left, channel])
                upper += part_x * (np.float32(source[top, right, channel]) - upper)
                lower = np.float32(source[bottom, left, channel])
                lower += part_x * (np.float32(source[bottom, right, channel]) - lower)
                out[row, col, channel] = upper + part_y * (lower - upper)


@compiled
def _slide(source, ax, cx, by, cy, out):
    """Write the same numbers where rows stay rows: each is brought along its width once."""
    height, width, channels = source.shape
    lefts = np.empty(width, np.int64)
    parts = np.empty(width, np.float32)
    for col in range(width):
        x = min(max(ax * col + cx, 0.0), width - 1.0)
        lefts[col] = int(x)
        parts[col] = np.float32(x - lefts[col])
    lines = np.empty((2, width, channels), np.float32)
    held = np.full(2, -1)
    for row in range(height):
        y = min(max(by * row + cy, 0.0), height - 1.0)
        top = int(y)
        bottom = min(top + 1, height - 1)
        for place in (top, bottom):
            if held[place % 2] == place:
                continue
            held[place % 2] = place
            line = lines[place % 2]
            for col in range(width):
                left, part = lefts[col], parts[col]
                right = min(left + 1, width - 1)
                for channel in range(channels):
                    value = np.float32(source[place, left, channel])
                    value += part * (np.float32(source[place, right, channel]) - value)
                    line[col, channel] = value
        part_y = np.float32(y - top)
        upper, lower = lines[top % 2].ravel(), lines[bottom % 2].ravel()
        result = out[row].ravel()
        for at in range(result.size):
            result[at] = upper[at] + part_y * (lower[at] - upper[at])


@compiled
def augment_batch(samples, numbers, seed, epoch, figures, out, depths):
    """Write `out[i]` from `samples[i]` (N x height x width x channels) for every i.

    Chance goes by seed, epoch and `numbers[i]`; `depths[i]` gets a number of it from [0, 1).
    """
    for i in range(numbers.size):
        key = derive_key(seed, epoch, numbers[i])
        augment_sample(samples[i], key, figures, out[i])
        depths[i] = uniform(key, _DEPTH_AT)


@compiled
def _way_back(key, figures, height, width):
    """Return the affine map from a cell of the result to its place in the source.

    x = ax * col + bx * row + cx and y = ay * col + by * row + cy; turning, shearing and scaling
    leave the middle of the sample where it is, and shifting moves it.
    """
    middle_x, middle_y = (width - 1) / 2.0, (height - 1) / 2.0
    move_x = figures[SHIFT] * _both_sides(key, 0)
    move_y = figures[SHIFT] * _both_sides(key, 1) if height > 1 else 0.0
    angle = figures[ROTATE] * _both_sides(key, 2)
    larger = 1.0 + figures[SCALE] * _both_sides(key, 3)
    lean = np.tan(figures[SHEAR] * _both_sides(key, 4))
    cos, sin = np.cos(angle) / larger, np.sin(angle) / larger
    ax, bx = cos, sin + cos * lean
    ay, by = -sin, cos - sin * lean
    if height == 1:
        ax, bx, ay, by = 1.0 / larger, 0.0, 0.0, 1.0
    if uniform(key, 5) < figures[HFLIP]:
        ax, bx = -ax, -bx
    if uniform(key, 6) < figures[VFLIP]:
        ay, by = -ay, -by
    cx = middle_x - ax * (middle_x + move_x) - bx * (middle_y + move_y)
    cy = middle_y - ay * (middle_x + move_x) - by * (middle_y + move_y)
    cut = figures[CROP]
    if cut > 0.0:  # the window that is left, brought to the whole size
        part = 1.0 - cut * uniform(key, _CROP_AT)
        skip_x = (1.0 - part) * uniform(key, _CROP_AT + 1) * (width - 1)
        skip_y = (1.0 - part) * uniform(key, _CROP_AT + 2) * (height - 1)
        cx += ax * skip_x + bx * skip_y
        cy += ay * skip_x + by * skip_y
        ax, bx, ay, by = ax * part, bx * part, ay * part, by * part
    return ax, bx, cx, ay, by, cy


@compiled
def _both_sides(key, n):
    return 2.0 * uniform(key, n) - 1.0


@compiled
def _draw_knots(key, deviation, knots):
    for axis in range(2):
        for i in range(KNOTS):
            for j in range(KNOTS):
                number = _ELASTIC_AT + (axis * KNOTS + i) * KNOTS + j
                knots[axis, i, j] = deviation * normal(key, number)


@compiled
def _blend_rows(knots, at, across):
    """Write the knots of one row of cells, `at` from 0 (top) to 1."""
    shares = np.empty(4)
    cell = _spline(at, shares)
    for axis in range(2):
        for j in range(KNOTS):
            across[axis, j] = 0.0
            for n in range(4):
                across[axis, j] += shares[n] * knots[axis, cell + n, j]


@compiled
def _spline(at, shares):
    """Write the shares of four knots at 0..1 and return the first of them.

    The uniform cubic B-spline (de Boor 1978, A practical guide to splines).
    """
    place = at * (KNOTS - 3)
    cell = min(int(place), KNOTS - 4)
    t = place - cell
    rest = 1.0 - t
    shares[0] = rest * rest * rest / 6.0
    shares[1] = (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0
    shares[2] = (3.0 * rest * rest * rest - 6.0 * rest * rest + 4.0) / 6.0
    shares[3] = t * t * t / 6.0
    return cell


@compiled
def _recolor(key, figures, out):
    """Change brightness and contrast, and of three channels saturation and hue.

    Of gray and other channels all take the same factors; nothing leaves 0..TOP where that is
    finite.
    """
    height, width, channels = out.shape
    factor = 1.0 + figures[BRIGHTNESS] * _both_sides(key, _COLOR_AT)
    spread = 1.0 + figures[CONTRAST] * _both_sides(key, _COLOR_AT + 1)
    color = 1.0 + figures[SATURATION] * _both_sides(key, _COLOR_AT + 2)
    angle = figures[HUE] * _both_sides(key, _COLOR_AT + 3)
    middle = 0.0
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                weight = _TO_YIQ[0, channel] if channels == 3 else 1.0 / channels
                middle += weight * out[row, col, channel]
    middle = factor * middle / (height * width)
    cos, sin = color * np.cos(angle), color * np.sin(angle)
    turn = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            y, q, r = _TO_YIQ[0, j], _TO_YIQ[1, j], _TO_YIQ[2, j]
            turn[i, j] = _FROM_YIQ[i, 0] * y + _FROM_YIQ[i, 1] * (cos * q - sin * r)
            turn[i, j] += _FROM_YIQ[i, 2] * (sin * q + cos * r)
    before = np.empty(3)
    bounded = figures[TOP] < np.inf
    for row in range(height):
        for col in range(width):
            if channels == 3:
                for channel in range(3):
                    before[channel] = out[row, col, channel]
            for channel in range(channels):
                if channels == 3:
                    value = turn[channel, 0] * before[0]
                    value += turn[channel, 1] * before[1] + turn[channel, 2] * before[2]
                else:
                    value = 1.0 * out[row, col, channel]
                value = middle + spread * (factor * value - middle)
                if bounded:
                    value = min(max(value, 0.0), figures[TOP])
                out[row, col, channel] = np.float32(value)


@compiled
def _cover(key, side, out):
    """Set a square to zero whose middle lies anywhere (DeVries and Taylor 2017, Cutout)."""
    height, width, channels = out.shape
    top = int(uniform(key, _CUTOUT_AT) * height) - side // 2
    left = int(uniform(key, _CUTOUT_AT + 1) * width) - side // 2
    if height == 1:
        top = 0
    for row in range(max(top, 0), min(top + side, height)):
        for col in range(max(left, 0), min(left + side, width)):
            for channel in range(channels):
                out[row, col, channel] = 0.0


@compiled
def _add_noise(key, deviation, out):
    height, width, channels = out.shape
    number = _NOISE_AT
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                out[row, col, channel] += np.float32(deviation * normal(key, number))
                number += 1
