"""Make series and volumes of a described shape: `python -m samples.series activity FILE.csv`.

The measurements of the UCI repository were not at hand. What is made here has their shape only:
the rates, windows, columns and classes of Anguita et al. 2013 (human activity) and Candanedo and
Feldheim 2016 (room occupancy); its figures say nothing about people or rooms.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERTZ = 50
ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "lying")
SENSORS = tuple(
    f"{sensor}_{axis}" for sensor in ("body_acc", "body_gyro", "total_acc") for axis in "xyz"
)
ROOM = ("Temperature", "Humidity", "Light", "CO2", "HumidityRatio")
STEPS_A_SECOND = {"walking": 1.9, "upstairs": 1.5, "downstairs": 2.3}
GRAVITY = {
    "walking": (0.95, -0.2, 0.1),
    "upstairs": (0.92, -0.3, 0.15),
    "downstairs": (0.93, -0.2, 0.2),
    "sitting": (0.75, 0.45, 0.4),
    "standing": (0.98, -0.1, 0.05),
    "lying": (0.1, 0.7, 0.7),
}
"""Direction of gravity at the waist, in units of g."""


def activity_rows(
    people: int = 10, seconds: int = 30, seed: int = 0
) -> Iterator[tuple[object, ...]]:
    """Yield a header, then rows: person, time in s, nine signals, activity.

    Each person does every activity for `seconds` at 50 Hz. Steps are a sine and its first
    harmonic, with each person's own rate and strength; the rest is noise.
    """
    random = np.random.Generator(np.random.Philox(seed))
    yield ("person", "time", *SENSORS, "activity")
    for person in range(1, people + 1):
        begin = 0.0
        for activity in ACTIVITIES:
            time = begin + np.arange(seconds * HERTZ) / HERTZ
            signals = _person(random, activity, time)
            for moment, values in zip(time.tolist(), signals.tolist(), strict=True):
                yield (person, f"{moment:.2f}", *(f"{v:.4f}" for v in values), activity)
            begin += seconds


def _person(
    random: np.random.Generator, activity: str, time: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return nine signals (rows x 9) of one person at one activity."""
    rate = STEPS_A_SECOND.get(activity, 0.0) * random.normal(1, 0.06)
    strength = 0.3 * random.uniform(0.7, 1.3) if rate else 0.0
    turn = 2 * np.pi * rate * time
    phases = np.arange(6) + random.normal(0, 0.3, 6) + random.uniform(0, 2 * np.pi)
    harmonic = {"upstairs": 0.2, "downstairs": 0.9}.get(activity, 0.5)
    moving = np.stack(
        [strength * (np.sin(turn + p) + harmonic * np.sin(2 * turn + 2 * p)) for p in phases],
        axis=1,
    )
    moving += random.normal(0, 0.04, moving.shape)
    gravity = np.array(GRAVITY[activity]) + random.normal(0, 0.05, 3)
    return np.concatenate([moving, moving[:, :3] + gravity], axis=1)


def occupancy_rows(days: int = 4, seed: int = 0) -> Iterator[tuple[object, ...]]:
    """Yield a header, then one row a minute: date, five signals, occupancy 0 or 1.

    People come in the morning and leave in the evening, with breaks; light follows at once, warmth,
    moisture and CO2 by and by. The humidity ratio follows from the two before it.
    """
    random = np.random.Generator(np.random.Philox(seed))
    yield ("date", *ROOM, "Occupancy")
    warmth, moisture, gas = 20.0, 25.0, 440.0
    for day in range(days):
        first, last = random.integers(450, 540), random.integers(1000, 1110)
        pauses = [int(random.integers(start, start + 60)) for start in (600, 720, 900)]
        for minute in range(24 * 60):
            in_a_pause = any(start <= minute < start + 25 for start in pauses)
            here = first <= minute < last and not in_a_pause
            sun = max(0.0, np.sin(np.pi * (minute - 420) / 720)) * 90
            light = sun + (430 if here else 0) + random.normal(0, 12)
            warmth += (19.6 + 2.6 * here + sun / 60 - warmth) / 60 + random.normal(0, 0.01)
            moisture += (24 + 5 * here - moisture) / 80 + random.normal(0, 0.03)
            gas += (430 + 600 * here - gas) / 45 + random.normal(0, 4)
            signals = (warmth, moisture, max(0.0, light), gas, _humidity_ratio(warmth, moisture))
            date = f"2015-02-{4 + day:02d} {minute // 60:02d}:{minute % 60:02d}:00"
            yield (date, *(f"{value:.6g}" for value in signals), int(here))


def _humidity_ratio(celsius: float, percent: float) -> float:
    """Return kg of water per kg of dry air at sea level (Magnus formula for the saturation)."""
    pressure = percent / 100 * 610.94 * float(np.exp(17.625 * celsius / (celsius + 243.04)))
    return 0.622 * pressure / (101_325 - pressure)


def volumes(count: int = 240, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return noisy volumes (count, 12, 12, 12, 1) and labels: 0 a ball, 1 a rod, 2 a plate.

    Rods and plates lie along an axis that chance chooses, so that no single slice tells.
    """
    random = np.random.Generator(np.random.Philox(seed))
    labels = np.arange(count) % 3
    grid = np.stack(np.meshgrid(*[np.arange(12.0)] * 3, indexing="ij"))
    made = np.empty((count, 12, 12, 12, 1), np.uint8)
    for place, label in enumerate(labels.tolist()):
        center = random.uniform(4, 7, 3)
        away = np.abs(grid - center[:, None, None, None])
        axis = int(random.integers(3))
        along, across = away[axis], np.delete(away, axis, axis=0)
        inside = {
            0: (away**2).sum(axis=0) < random.uniform(2.2, 3.2) ** 2,
            1: (along < 4.5) & ((across**2).sum(axis=0) < 1.7**2),
            2: (along < 1.2) & (across.max(axis=0) < 3.8),
        }[label]
        shade = 110 * inside + random.normal(70, 12, inside.shape)
        made[place, ..., 0] = np.clip(shade, 0, 255)
    return made, labels


def write_table(path: Path, rows: Iterator[tuple[object, ...]]) -> None:
    """Write rows as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def write_volumes(path: Path, count: int = 240, seed: int = 0) -> None:
    """Write volumes to train and test on, as an .npz file."""
    x_train, y_train = volumes(count, seed)
    x_test, y_test = volumes(count // 4, seed + 1)
    np.savez_compressed(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


KINDS: dict[str, Callable[[Path], None]] = {
    "activity": lambda path: write_table(path, activity_rows()),
    "occupancy": lambda path: write_table(path, occupancy_rows()),
    "volumes": write_volumes,
}


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in KINDS:
        sys.exit(f"usage: python -m samples.series {'|'.join(KINDS)} FILE")
    if Path(sys.argv[2]).exists():
        sys.exit(f"{sys.argv[2]} exists; name another file.")
    KINDS[sys.argv[1]](Path(sys.argv[2]))
