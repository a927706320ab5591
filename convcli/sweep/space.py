"""Search spaces: `n=1,2,4 lr=1e-3..1e-1:log` as frozen values, and the trials drawn from them.

Standard library only, so that a mistake in the words is told at once.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args, get_type_hints

from convcli.errors import UsageError, did_you_mean
from convcli.learn.recipes import Recipe

Value = int | float | str

FIXED = ("val", "freeze", "layer_rate", "monitor", "calibrate", "phases")
"""Fields of a recipe that all trials share, to be comparable, or that hold several values."""


def setting_field(name: str) -> str:
    """Return the field of a recipe that a setting's name on the command line stands for."""
    return name.replace("-", "_")


def _plain_type(hint: object) -> type:
    """Return the number or text that a field's type is, or may be."""
    return next(kind for kind in (int, float, str) if hint is kind or kind in get_args(hint))


SETTINGS: dict[str, type] = {
    name.replace("_", "-"): _plain_type(hint)
    for name, hint in get_type_hints(Recipe).items()
    if name not in FIXED
}
"""What may be swept of a recipe: name on the command line -> type."""

GRID_POINTS = 5
"""Points of a range in a grid, unless its third part says otherwise."""
MAX_TRIALS = 10_000

_AXIS = re.compile(r"([A-Za-z_][\w-]*)=(.*)", re.DOTALL)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?(?::(\d{{1,6}}))?")


@dataclass(frozen=True, slots=True)
class Listed:
    """A setting with the values to try.

    Attributes:
        name: of a training's setting or a network's variable.
        values: at least one, all different.
    """

    name: str
    values: tuple[Value, ...]

    def points(self) -> tuple[Value, ...]:
        """Return the values."""
        return self.values

    def at(self, share: float) -> Value:
        """Return one value for a share from 0 to under 1."""
        return self.values[int(share * len(self.values))]


@dataclass(frozen=True, slots=True)
class Range:
    """A setting that may have any number between two.

    Attributes:
        name: of a training's setting or a network's variable.
        low: the least.
        high: the largest.
        logarithmic: equal ratios are equally likely.
        whole: integers only.
        count: points in a grid.
    """

    name: str
    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False
    count: int = GRID_POINTS

    def points(self) -> tuple[Value, ...]:
        """Return `count` values from low to high; whole numbers that meet count once.

        >>> Range("lr", 0.001, 0.1, logarithmic=True, count=3).points()
        (0.001, 0.01, 0.1)
        """
        shares = [k / max(1, self.count - 1) for k in range(self.count)]
        return tuple(dict.fromkeys(self._between(share) for share in shares))

    def at(self, share: float) -> Value:
        """Return one value for a share from 0 to under 1.

        >>> Range("n", 1, 4, whole=True).at(0.99), Range("clip", 0.5, 1).at(0.5)
        (4, 0.75)
        """
        if not self.whole:
            return self._between(share)
        if self.logarithmic:
            edge = (self.low - 0.5) * ((self.high + 0.5) / (self.low - 0.5)) ** share
            return int(min(max(round(edge), self.low), self.high))
        return int(self.low) + int(share * (self.high - self.low + 1))

    def _between(self, share: float) -> Value:
        """Return the number at a share of the way, to four figures so that it can be typed."""
        if self.logarithmic:
            number = self.low * (self.high / self.low) ** share
        else:
            number = self.low + share * (self.high - self.low)
        return round(number) if self.whole else float(f"{number:.4g}")


Axis = Listed | Range


@dataclass(frozen=True, slots=True)
class Trial:
    """One point of a search space.

    Attributes:
        number: from 1.
        values: (name, value) of each axis, in order.
    """

    number: int
    values: tuple[tuple[str, Value], ...]


def is_axis(word: str) -> bool:
    """Tell whether a word of the command line is `NAME=VALUES`, and not a network.

    >>> is_axis("n=1,2"), is_axis("rps:n=16"), is_axis("let n=2, input 8x8x1")
    (True, False, False)
    """
    return _AXIS.fullmatch(word) is not None


def parse_axes(words: Sequence[str], variables: Mapping[str, object]) -> tuple[Axis, ...]:
    """Return the axes that words such as `n=1,2,4` and `lr=1e-3..1e-1:log` describe.

    Args:
        words: each `NAME=VALUES`; values with commas of their own are parted by semicolons.
        variables: names of the network's variables, which take whole numbers.

    Raises:
        UsageError: an unknown name, one name twice, or values that cannot be read.

    >>> parse_axes(["n=1,2"], {"n": 16})
    (Listed(name='n', values=(1, 2)),)
    """
    axes: dict[str, Axis] = {}
    for word in words:
        found = _AXIS.fullmatch(word)
        if found is None:
            raise UsageError(f"{word[:60]!r} is no axis. Write NAME=VALUES: n=1,2,4 or lr=0.01.")
        name, text = found[1], found[2].strip()
        if name not in variables and name not in SETTINGS:
            known = [*variables, *SETTINGS]
            variables_told = ", ".join(variables) or "none"
            raise UsageError(
                f"There is no setting {name!r}.{did_you_mean(name, known)} Variables of the "
                f"network: {variables_told}. Settings: {', '.join(SETTINGS)}."
            )
        if name in axes:
            raise UsageError(f"{name} is given twice; put all its values behind one {name}=.")
        kind = int if name in variables else SETTINGS[name]
        axes[name] = _read_axis(name, text, kind)
    return tuple(axes.values())


def _read_axis(name: str, text: str, kind: type) -> Axis:
    if kind is not str and (found := _RANGE.fullmatch(text)):
        return _read_range(name, text, found, whole=kind is int)
    if kind is not str and ".." in text:
        raise UsageError(
            f"{name}={text}: a range is LOW..HIGH, then perhaps :log and a number of points for a "
            "grid, such as 1e-3..1e-1:log:7."
        )
    parts = [part.strip() for part in text.split(";" if ";" in text else ",")]
    values = tuple(_read_value(name, part, kind) for part in parts)
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise UsageError(f"{name}={text[:60]}: {twice} is there twice.")
    return Listed(name, values)


def _read_value(name: str, text: str, kind: type) -> Value:
    if kind is str and text:
        return text
    try:
        value: float = int(text) if kind is int else float(text)
    except ValueError:
        wanted = {int: "a whole number", float: "a number", str: "a value"}[kind]
        raise UsageError(f"{name}: {text[:60]!r} is not {wanted}.") from None
    if not math.isfinite(value):
        raise UsageError(f"{name}: {text} is no finite number.")
    return value


def _read_range(name: str, text: str, found: re.Match[str], *, whole: bool) -> Range:
    low, high = float(found[1]), float(found[2])
    count = int(found[4]) if found[4] else GRID_POINTS
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"{name}={text}: the first number must be below the second.")
    if found[3] and low <= 0:
        raise UsageError(f"{name}={text}: a logarithmic range begins above 0.")
    if whole and not (low.is_integer() and high.is_integer()):
        raise UsageError(f"{name}={text}: {name} takes whole numbers.")
    if count < 2:
        raise UsageError(f"{name}={text}: a range has at least 2 points in a grid.")
    return Range(name, low, high, bool(found[3]), whole, count)


def grid(axes: Sequence[Axis]) -> list[Trial]:
    """Return every combination; the last axis changes fastest.

    Raises:
        UsageError: there are too many.

    >>> [trial.values for trial in grid([Listed("n", (1, 2)), Listed("lr", (0.1,))])]
    [(('n', 1), ('lr', 0.1)), (('n', 2), ('lr', 0.1))]
    """
    points = [axis.points() for axis in axes]
    total = math.prod(map(len, points))
    if total > MAX_TRIALS:
        raise UsageError(
            f"The grid has {total:,} trials; {MAX_TRIALS:,} is the limit. Use fewer values, or "
            "--search random --trials N."
        )
    names = [axis.name for axis in axes]
    return [
        Trial(number, tuple(zip(names, values, strict=True)))
        for number, values in enumerate(itertools.product(*points), start=1)
    ]


def draw(axes: Sequence[Axis], count: int, seed: int) -> list[Trial]:
    """Return `count` trials by chance; of a grid without ranges none comes twice.

    Only `random()` is asked for chance: its numbers are the same in every version of Python.

    >>> len(draw([Listed("n", (1, 2, 4))], 2, seed=0))
    2
    """
    chance = random.Random(seed)  # noqa: S311  (chooses settings, keeps no secret)
    total = math.prod(len(axis.values) for axis in axes if isinstance(axis, Listed))
    if all(isinstance(axis, Listed) for axis in axes) and total <= MAX_TRIALS:
        whole = grid(axes)
        drawn = sorted(whole, key=lambda _: chance.random())[:count]
        return [Trial(number, trial.values) for number, trial in enumerate(drawn, start=1)]
    return [
        Trial(number, tuple((axis.name, axis.at(chance.random())) for axis in axes))
        for number in range(1, count + 1)
    ]
