"""Data sets made on the spot, for the lectures' networks on a machine without any data.

A sample of a seed is the same however many are made: its numbers come from a counter. Those of the
test split are counted from `TEST_FROM`, and are of other people, days or recordings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.arrayfiles import check_bytes
from convcli.data.dataset import ALLOW, Dataset, ProgressCallback, Split, make_dataset
from convcli.data.source import Source
from convcli.errors import UsageError

TEST_FROM = 10**9
PROGRESS_EVERY = 100
MOST = 1_000_000

Sample = tuple[NDArray[np.generic], NDArray[np.generic] | int, int]
"""What is seen, what is to be learned, and the group that it belongs to."""


class Made(NamedTuple):
    """A made data set.

    Attributes:
        sample: makes the sample of a number; the generator is that number's own.
        shape: of one sample.
        dtype: of the samples.
        usual: count of training samples when nothing is said; a quarter as many test.
        names: of classes or values.
        title: what it is, in a sentence.
        task: see `convcli.data.dataset.TASKS`.
        channels: names of the last axis.
    """

    sample: Callable[[int, int], Sample]
    shape: tuple[int, ...]
    dtype: type[np.uint8] | type[np.float32]
    usual: int
    names: tuple[str, ...]
    title: str
    task: str = "classes"
    channels: tuple[str, ...] = ()


def make(source: Source, seed: int, progress: ProgressCallback | None = None) -> Dataset:
    """Return the made data set that a source names."""
    if source.name == "digits":
        from convcli.data.digits import TRAIN_COUNT, digits_dataset

        wanted = source.samples or TRAIN_COUNT
        return digits_dataset(
            wanted, max(10, wanted // 6), seed=seed, progress=progress, max_bytes=source.max_bytes
        )
    made = MADE_SETS[str(source.name)]
    count = source.samples or made.usual
    if not 10 <= count <= MOST:
        raise UsageError(
            f"{count:,} samples of {source.name} cannot be made; ask for 10 to {MOST:,}."
        )
    each = int(np.prod(made.shape)) * np.dtype(made.dtype).itemsize
    total = count + max(10, count // 4)
    check_bytes(f"{total:,} samples take", total * each, source.max_bytes, ALLOW)
    splits = {}
    for name, first, wanted in (("train", 0, count), ("test", TEST_FROM, total - count)):
        samples: Any = np.empty((wanted, *made.shape), made.dtype)
        labels, groups = [], np.empty(wanted, np.int64)
        for at in range(wanted):
            samples[at], label, groups[at] = made.sample(seed, first + at)
            labels.append(label)
            if progress and (at + 1) % PROGRESS_EVERY == 0:
                progress(f"{source.name} made", at + 1, wanted)
        splits[name] = Split(samples, np.array(labels), groups)
    return make_dataset(
        str(source.name),
        splits,
        class_names=made.names,
        provenance=f"{made.title}, made with seed {seed}",
        channel_names=made.channels,
        task=made.task,
    )


def _random(seed: int, what: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, what * 2**40 + number]))


# --- people who walk, climb and rest, with a phone at the waist


ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "lying")
_GAITS = {0: (1.9, 1.0, 0.35), 1: (1.55, 0.8, 0.15), 2: (2.1, 1.5, 0.6)}
"""Of each activity with steps: how many a second, how hard, and how much of the second harmonic."""
_PERSON = 24
"""Windows in a row that are of one person."""
SIGNALS = tuple(
    f"{kind}_{axis}" for kind in ("body_acc", "body_gyro", "total_acc") for axis in "xyz"
)


def _activity(seed: int, number: int) -> Sample:
    """Return 2.56 s at 50 Hz, in g and radians a second, as the UCI smartphone data have them."""
    who = number // _PERSON
    person, random = _random(seed, 1, who), _random(seed, 2, number)
    tempo, vigor = person.normal(1, 0.06), person.lognormal(0, 0.2)
    tilt = person.normal(0, 0.15, 3)
    label = number % len(ACTIVITIES)
    time = np.arange(128) / 50 + random.uniform(0, 10)
    moving = np.zeros((128, 6))
    if label in _GAITS:
        rate, force, second = _GAITS[label]
        phase = 2 * np.pi * rate * tempo * time
        for axis in range(6):
            size = force * vigor * (0.25, 0.15, 0.2, 0.6, 0.4, 0.5)[axis]
            shift = person.uniform(0, 2 * np.pi)
            wave = np.sin(phase + shift) + second * np.sin(2 * phase + 2 * shift)
            moving[:, axis] = size * random.lognormal(0, 0.15) * wave
    posture = {3: (0.75, 0.1, 0.6), 5: (0.1, 0.9, 0.3)}.get(label, (0.98, 0.05, 0.1))
    gravity = np.array(posture) + tilt
    moving += random.normal(0, 0.03 if label in _GAITS else 0.012, (128, 6))
    total = moving[:, :3] + gravity / np.linalg.norm(gravity)
    return np.concatenate([moving, total], axis=1), label, who


# --- a room, by its air and light


ROOM = ("Temperature", "Humidity", "Light", "CO2", "HumidityRatio")
_DAY = 24


def _occupancy(seed: int, number: int) -> Sample:
    """Return ten minutes of a room, as the UCI occupancy data have them; the last one counts."""
    day = number // _DAY
    weather, random = _random(seed, 3, day), _random(seed, 4, number)
    outside, humid = weather.normal(20.5, 0.6), weather.normal(27, 4)
    hour = number % _DAY
    there = int(random.random() < (0.75 if 8 <= hour < 18 else 0.05))
    since = random.uniform(0, 90) if there else 0.0
    minutes = np.arange(10)
    lamp = (430 + random.normal(0, 40)) * (there or random.random() < 0.04)
    sun = max(0.0, 120 * np.sin(np.pi * (hour - 7) / 12)) * weather.uniform(0.3, 1)
    carbon = 440 + there * (6 * since + 8 * minutes) + weather.normal(0, 20)
    temperature = outside + 0.012 * since + 0.01 * there * minutes + random.normal(0, 0.05, 10)
    humidity = humid + 0.02 * since + random.normal(0, 0.1, 10)
    light = np.maximum(0, lamp + sun + random.normal(0, 6, 10))
    ratio = humidity / 100 * 0.0158 * np.exp(0.06 * (temperature - 20))
    rows = np.stack([temperature, humidity, light, carbon + random.normal(0, 8, 10), ratio], axis=1)
    return rows, there, day


# --- hands that show rock, paper or scissors


HANDS = ("paper", "rock", "scissors")
_SIDE = 32


def _hand(seed: int, number: int) -> Sample:
    """Return a drawn hand in color before a cluttered background, 32 x 32."""
    random = _random(seed, 5, number)
    label = number % 3
    y, x = (np.mgrid[:_SIDE, :_SIDE] + 0.5) / _SIDE - 0.5
    picture = np.broadcast_to(random.uniform(0.75, 1.0, 3), (_SIDE, _SIDE, 3)).copy()
    for _ in range(random.integers(1, 5)):
        cy, cx, h, w = random.uniform(-0.5, 0.5, 2).tolist() + random.uniform(0.05, 0.3, 2).tolist()
        picture[(abs(y - cy) < h) & (abs(x - cx) < w)] = random.uniform(0.55, 1.0, 3)
    turn, size = random.normal(0, 0.4), random.uniform(0.85, 1.1)
    up = (y - random.uniform(-0.1, 0.1)) / size, (x - random.uniform(-0.1, 0.1)) / size
    v = np.cos(turn) * up[0] + np.sin(turn) * up[1]
    u = -np.sin(turn) * up[0] + np.cos(turn) * up[1]
    hand = (v / 0.17) ** 2 + (u / 0.15) ** 2 < 1  # the palm
    hand |= (abs(u) < 0.09) & (v > 0) & (v < 0.5)  # the wrist
    angles = {0: (-0.75, -0.33, 0.0, 0.33, 0.75), 1: (), 2: (-0.3, 0.3)}[label]
    for angle in angles:
        lean = angle + random.normal(0, 0.05)
        along, across = -v * np.cos(lean) + u * np.sin(lean), v * np.sin(lean) + u * np.cos(lean)
        hand |= (along > 0) & (along < random.uniform(0.34, 0.42)) & (abs(across) < 0.05)
    skin = np.array([0.8, 0.55, 0.4]) * random.uniform(0.4, 1.0)
    shade = 1 + 0.4 * random.normal() * u + 0.4 * random.normal() * v
    picture = np.where(hand[..., np.newaxis], skin * shade[..., np.newaxis], picture)
    picture += random.normal(0, 0.03, picture.shape)
    return np.clip(np.rint(255 * picture), 0, 255).astype(np.uint8), label, number


# --- bodies in a volume


BODIES = ("ball", "box", "rod")


def _volume(seed: int, number: int) -> Sample:
    """Return a noisy volume, 16 x 16 x 16, with one body of about the same size."""
    random = _random(seed, 6, number)
    label = number % 3
    z, y, x = np.mgrid[:16, :16, :16] - random.uniform(5.5, 9.5, 3)[:, None, None, None]
    size = random.uniform(0.85, 1.2)
    if label == 0:
        body = z**2 + y**2 + x**2 < (3.7 * size) ** 2
    elif label == 1:
        body = np.maximum(np.maximum(abs(z), abs(y)), abs(x)) < 3 * size
    else:
        axes = [z, y, x]
        along = axes.pop(random.integers(3))
        body = (axes[0] ** 2 + axes[1] ** 2 < (2.2 * size) ** 2) & (abs(along) < 6.5 * size)
    levels = 70 + 110 * body + random.normal(0, 15, body.shape)
    return np.clip(levels, 0, 255).astype(np.uint8)[..., np.newaxis], label, number


# --- pictures whose every cell has a class, and a series whose future is half known


SHAPES = ("ground", "disk", "square")


def _shapes(seed: int, number: int) -> Sample:
    """Return a noisy picture, 32 x 32, of a disk and a square, and the class of every cell.

    Both are of one gray: only their outlines tell them apart. Nothing is ambiguous, so that an IoU
    of 1 is possible.
    """
    random = _random(seed, 7, number)
    y, x = np.mgrid[:32, :32]
    mask = np.zeros((32, 32), np.uint8)
    left, right = random.uniform(7, 10), random.uniform(22, 25)
    places = [left, right] if random.random() < 0.5 else [right, left]
    cy, reach = random.uniform(8, 24), random.uniform(4, 6.5)
    mask[(y - cy) ** 2 + (x - places[0]) ** 2 < reach**2] = 1
    cy, reach = random.uniform(8, 24), random.uniform(4, 6)
    mask[(abs(y - cy) < reach) & (abs(x - places[1]) < reach)] = 2
    levels = 70 + 100 * (mask > 0) + random.normal(0, 12, mask.shape)
    return np.clip(levels, 0, 255).astype(np.uint8)[..., np.newaxis], mask, number


AHEAD = 4
"""Values of `waves` that are to be told."""
_MEMORY = (1.75, -0.9)
"""What a value of `waves` takes over from the two before it; all else is new."""


def _waves(seed: int, number: int) -> Sample:
    """Return 32 values of a swinging series and the four that follow (Yule 1927).

    A value is 1.75 times the last less 0.9 times the one before, plus a normal number: nobody can
    tell that one, so that `waves_best_rmse` is the least error that there is.
    """
    random = _random(seed, 8, number)
    values = np.zeros(32 + AHEAD + 64)
    new = random.normal(size=values.size)
    for at in range(2, values.size):
        values[at] = _MEMORY[0] * values[at - 1] + _MEMORY[1] * values[at - 2] + new[at]
    values = values[64:]
    return values[:32, np.newaxis], values[32:].astype(np.float32), number


def waves_best_rmse() -> float:
    """Return the least possible RMSE over the values of `waves` that are to be told.

    >>> round(waves_best_rmse(), 3)
    2.618
    """
    weights = [1.0, _MEMORY[0]]
    while len(weights) < AHEAD:
        weights.append(_MEMORY[0] * weights[-1] + _MEMORY[1] * weights[-2])
    variances = np.cumsum(np.square(weights[:AHEAD]))
    return float(np.sqrt(variances.mean()))


MADE_SETS = {
    "activity": Made(
        _activity, (128, 9), np.float32, 3000, ACTIVITIES,
        "windows of people who walk, climb and rest; groups are persons", channels=SIGNALS,
    ),
    "occupancy": Made(
        _occupancy, (10, 5), np.float32, 2400, ("empty", "occupied"),
        "ten minutes of a room's air and light; groups are days", channels=ROOM,
    ),
    "hands": Made(
        _hand, (_SIDE, _SIDE, 3), np.uint8, 2000, HANDS, "drawn hands in color, cluttered",
    ),
    "volumes": Made(
        _volume, (16, 16, 16, 1), np.uint8, 900, BODIES, "noisy volumes with one body each",
    ),
    "shapes": Made(
        _shapes, (32, 32, 1), np.uint8, 600, SHAPES, "a disk and a square to be outlined",
        task="mask",
    ),
    "waves": Made(
        _waves, (32, 1), np.float32, 2000, tuple(f"value+{k + 1}" for k in range(AHEAD)),
        "a swinging series and the four values that follow", task="values",
    ),
}  # fmt: skip
"""The made data sets by name, but for `digits`."""
