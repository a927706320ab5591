"""Handwriting: strokes through control points, bent as a hand bends them, inked by a round pen.

The picture is normalized as the MNIST digits are (LeCun, Bottou, Bengio and Haffner 1998): the ink
fits a box of 20 x 20 pixels and its center of mass stands in the middle of 28 x 28.
"""

from __future__ import annotations

import numpy as np

from convcli.engine.compilation import compiled
from convcli.engine.rng import derive_key, normal, uniform

SIDE = 28
BOX = 20.0
STEPS = 8  # straight pieces between two control points
MAX_NODES = 512
WAVES = 3

# Places in the vector of variation, the deviations that `convcli.data.digits` sets.
(
    SLANT_MEAN,
    SLANT,
    TURN,
    ASPECT,
    JITTER,
    BEND,
    SPLIT,
    TAPER,
    PEN_MEAN,
    PEN,
    PRESSURE,
    REACH,
    SOFTNESS,
    DRIFT,
    VARIATION,
) = range(15)


@compiled
def write_digits(styles, corners, starts, ends, weights, variation, seed, first, labels, pictures):
    """Draw one digit for each label, from the sample number `first` on.

    Args:
        styles: float64 control points x, y of all styles in a row, one box each, y downwards.
        corners: int64 per point, 1 where the pen turns sharply.
        starts: int64, first point of each stroke.
        ends: int64, one past the last point of each stroke.
        weights: float64 (styles, 4): digit, cumulated share of its digit, first stroke, one past
            the last stroke.
        variation: float64 (VARIATION,), see the names above.
        seed: of the whole set.
        first: number of the first sample.
        labels: int64 (N,).
        pictures: uint8 (N, 28, 28), written.
    """
    nodes = np.empty((MAX_NODES, 3))
    breaks = np.empty(MAX_NODES, np.int64)
    points = np.empty((MAX_NODES, 2))
    canvas = np.empty((SIDE, SIDE))
    for i in range(labels.size):
        key = derive_key(seed, 0, first + i)
        style = _choose(weights, labels[i], uniform(key, 0))
        low, high = int(weights[style, 2]), int(weights[style, 3])
        _bend(styles, starts[low], ends[high - 1], variation, key, points)
        count = _trace(points, corners, starts, ends, low, high, variation, key, nodes, breaks)
        _draw(nodes, breaks, count, variation[SOFTNESS], canvas)
        _center(canvas, pictures[i])


@compiled
def deal_digits(seed, first, labels):
    """Write the labels of the samples from number `first` on: each ten hold every digit once."""
    order = np.empty(10, np.int64)
    for i in range(labels.size):
        block, place = divmod(first + i, 10)
        if i == 0 or place == 0:
            key = derive_key(seed, 1, block)
            for n in range(10):
                order[n] = n
            for n in range(9, 0, -1):  # Fisher and Yates
                other = int(uniform(key, n) * (n + 1))
                order[n], order[other] = order[other], order[n]
        labels[i] = order[place]


@compiled
def _choose(weights, digit, at):
    """Return the style of `digit` in whose share of 0..1 `at` falls."""
    last = 0
    for style in range(weights.shape[0]):
        if int(weights[style, 0]) == digit:
            last = style
            if at < weights[style, 1]:
                return style
    return last


@compiled
def _bend(styles, low, high, variation, key, points):
    """Write the control points low..high, moved as this hand moves them, into `points`."""
    shear = variation[SLANT_MEAN] + variation[SLANT] * normal(key, 1)
    angle = variation[TURN] * normal(key, 2)
    stretch = np.exp(variation[ASPECT] * normal(key, 3))
    power_y = np.exp(variation[SPLIT] * normal(key, 4))
    power_x = np.exp(variation[SPLIT] * normal(key, 5))
    taper = variation[TAPER] * normal(key, 6)
    shake = variation[JITTER] * (0.4 + 1.2 * uniform(key, 7))
    bend = variation[BEND] * (0.3 + 1.4 * uniform(key, 8))
    cos, sin = np.cos(angle), np.sin(angle)
    for n in range(low, high):
        x = styles[n, 0] + shake * normal(key, 100 + 2 * (n - low))
        y = styles[n, 1] + shake * normal(key, 101 + 2 * (n - low))
        x = _power(x, power_x)
        y = _power(y, power_y)
        bent_x, bent_y = x, y
        for wave in range(WAVES):
            at = 20 + 6 * wave
            u = 2.0 * np.pi * (0.9 * normal(key, at) * 0.7 * y + 0.5 * normal(key, at + 1) * x)
            v = 2.0 * np.pi * (0.9 * normal(key, at + 2) * 0.7 * x + 0.5 * normal(key, at + 3) * y)
            bent_x += bend * np.sin(u + 2.0 * np.pi * uniform(key, at + 4))
            bent_y += bend * np.sin(v + 2.0 * np.pi * uniform(key, at + 5))
        x = (bent_x - 0.5) * stretch * (1.0 + taper * (bent_y - 0.5))
        y = bent_y - 0.5
        x -= shear * y
        points[n - low, 0] = cos * x - sin * y
        points[n - low, 1] = sin * x + cos * y


@compiled
def _power(value, power):
    """Return value ** power inside 0..1, unchanged outside: moves where a waist or loop sits."""
    if 0.0 < value < 1.0:
        return value**power
    return value


@compiled
def _trace(points, corners, starts, ends, low, high, variation, key, nodes, breaks):
    """Write the nodes of the pen's way (x, y, radius in pixels); return how many.

    `breaks[n]` is 1 where the pen comes down anew.
    """
    count = 0
    base = starts[low]
    for stroke in range(low, high):
        first, last = starts[stroke] - base, ends[stroke] - base - 1
        drift_x = variation[DRIFT] * normal(key, 50 + 2 * (stroke - low))
        drift_y = variation[DRIFT] * normal(key, 51 + 2 * (stroke - low))
        if stroke == low:
            drift_x = drift_y = 0.0
        for n in range(first, last):
            begin = 0 if n == first else 1
            before = n if n == first or corners[base + n] else n - 1
            after = n + 1 if n + 1 == last or corners[base + n + 1] else n + 2
            for step in range(begin, STEPS + 1):
                t = step / STEPS
                x = _curve(points[before, 0], points[n, 0], points[n + 1, 0], points[after, 0], t)
                y = _curve(points[before, 1], points[n, 1], points[n + 1, 1], points[after, 1], t)
                if count < MAX_NODES:
                    nodes[count, 0] = x + drift_x
                    nodes[count, 1] = y + drift_y
                    breaks[count] = 1 if n == first and step == 0 else 0
                    count += 1
    _reach(nodes, count, variation[REACH] * normal(key, 60), variation[REACH] * normal(key, 61))
    _fit(nodes, count, variation, key)
    return count


@compiled
def _curve(before, start, end, after, t):
    """Return the Catmull-Rom curve from `start` (t = 0) to `end` (t = 1)."""
    a = -0.5 * before + 1.5 * start - 1.5 * end + 0.5 * after
    b = before - 2.5 * start + 2.0 * end - 0.5 * after
    c = 0.5 * (end - before)
    return ((a * t + b) * t + c) * t + start


@compiled
def _reach(nodes, count, at_start, at_end):
    """Lengthen or shorten the first and the last piece of the pen's way along its direction."""
    if count < 3:
        return
    for end in range(2):
        tip = 0 if end == 0 else count - 1
        inner = 2 if end == 0 else count - 3
        dx, dy = nodes[tip, 0] - nodes[inner, 0], nodes[tip, 1] - nodes[inner, 1]
        length = np.sqrt(dx * dx + dy * dy) + 1e-9
        by = (at_start if end == 0 else at_end) / length
        by = max(by, -0.8)
        nodes[tip, 0] += by * dx
        nodes[tip, 1] += by * dy


@compiled
def _fit(nodes, count, variation, key):
    """Give each node its pen radius and scale the way so that its ink fits the box."""
    pen = np.exp(variation[PEN_MEAN] + variation[PEN] * normal(key, 10))
    swing = variation[PRESSURE] * normal(key, 11)
    phase = uniform(key, 12)
    beats = 0.5 + 2.0 * uniform(key, 13)
    for n in range(count):
        along = n / max(count - 1, 1)
        nodes[n, 2] = pen * max(0.4, 1.0 + swing * np.sin(2.0 * np.pi * (phase + beats * along)))
    low_x = low_y = 1e9
    high_x = high_y = -1e9
    for n in range(count):
        low_x, high_x = min(low_x, nodes[n, 0]), max(high_x, nodes[n, 0])
        low_y, high_y = min(low_y, nodes[n, 1]), max(high_y, nodes[n, 1])
    scale = (BOX - 2.0 * pen) / max(high_x - low_x, high_y - low_y, 1e-6)
    for n in range(count):
        nodes[n, 0] = SIDE / 2 + scale * (nodes[n, 0] - 0.5 * (low_x + high_x))
        nodes[n, 1] = SIDE / 2 + scale * (nodes[n, 1] - 0.5 * (low_y + high_y))


@compiled
def _draw(nodes, breaks, count, softness, canvas):
    """Draw the way with a round pen: full ink inside, a ramp of `softness` pixels at the edge."""
    canvas[:] = 0.0
    for n in range(count - 1):
        if breaks[n + 1] == 1:
            continue
        ax, ay, ar = nodes[n, 0], nodes[n, 1], nodes[n, 2]
        dx, dy, dr = nodes[n + 1, 0] - ax, nodes[n + 1, 1] - ay, nodes[n + 1, 2] - ar
        square = dx * dx + dy * dy + 1e-12
        wide = max(ar, ar + dr) + softness
        left = max(0, int(min(ax, ax + dx) - wide))
        right = min(SIDE - 1, int(max(ax, ax + dx) + wide) + 1)
        top = max(0, int(min(ay, ay + dy) - wide))
        bottom = min(SIDE - 1, int(max(ay, ay + dy) + wide) + 1)
        for row in range(top, bottom + 1):
            for col in range(left, right + 1):
                px, py = col + 0.5 - ax, row + 0.5 - ay
                t = min(1.0, max(0.0, (px * dx + py * dy) / square))
                ex, ey = px - t * dx, py - t * dy
                inside = ar + t * dr - np.sqrt(ex * ex + ey * ey)
                ink = min(1.0, max(0.0, 0.5 + inside / softness))
                canvas[row, col] = max(canvas[row, col], ink)


@compiled
def _center(canvas, picture):
    """Write the ink as bytes with its center of mass in the middle, moved by whole pixels."""
    mass = across = down = 0.0
    for row in range(SIDE):
        for col in range(SIDE):
            mass += canvas[row, col]
            across += canvas[row, col] * col
            down += canvas[row, col] * row
    move_x = int(np.rint((SIDE - 1) / 2 - across / mass))
    move_y = int(np.rint((SIDE - 1) / 2 - down / mass))
    for row in range(SIDE):
        for col in range(SIDE):
            y, x = row - move_y, col - move_x
            inside = 0 <= y < SIDE and 0 <= x < SIDE
            picture[row, col] = np.uint8(255.0 * canvas[y, x] + 0.5) if inside else np.uint8(0)
