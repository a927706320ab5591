"""Kernels with parameters: `gaussian:sigma=2`, `emboss:45`, ...; each is the row of a registry."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from convcli.errors import UsageError
from convcli.kernels.formulas import (
    difference_of_gaussians,
    gaussian_derivative,
    gaussian_taps,
    laplacian_of_gaussian,
    ring_matrix,
)
from convcli.kernels.parse import MAX_SIDE
from convcli.kernels.table import KERNELS
from convcli.kernels.table.gradient import DIRECTIONS
from convcli.kernels.value import Kernel, Magnitude, Number, Rows, Taps
from convcli.option import parse_settings

Value = float | int | str
Made = TypeVar("Made")
MAX_RADIUS = (MAX_SIDE - 1) // 2
MAX_SIGMA = 125.0
MAX_OPENCV_SOBEL = 31
HIGHEST_ORDER = 4


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family; its meaning names the unit.

    A default of None follows from the other parameters; `words`, and texts that match `pattern`,
    are understood beside numbers, or instead of them where `low` is over `high`.
    """

    meaning: str
    default: Value | None
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    words: tuple[str, ...] = ()
    pattern: str = ""

    def read(self, text: str, place: str) -> Value:
        """Return the value that `text` writes; mistakes are named with their place."""
        if text.lower() in self.words or re.fullmatch(self.pattern or "$", text.lower()):
            return text.lower()
        if self.low > self.high:
            raise UsageError(f"{place} is none of {', '.join(self.words)}.")
        try:
            value = float(text)
        except ValueError:
            also = f" or one of {', '.join(self.words)}" * bool(self.words)
            raise UsageError(f"{place} is not a number{also}.") from None
        if not self.low <= value <= self.high:  # false for NaN too
            raise UsageError(
                f"{place} is outside {shown(self.low)} to {shown(self.high)} ({self.meaning})."
            )
        if self.whole and not value.is_integer():
            raise UsageError(f"{place} must be a whole number ({self.meaning}).")
        return int(value) if value.is_integer() else value


@dataclass(frozen=True)
class Family(Generic[Made]):
    """What has a name and parameters; `make` takes the full name, then the parameters' values."""

    name: str
    parameters: Mapping[str, Parameter]
    make: Callable[..., Made]
    source: str
    example: str

    def build(self, written: str = "") -> Made:
        """Return the member for parameters written as `sigma=2,radius=6`, or `2,6`."""
        what = f"Kernel {self.name}"
        words = parse_settings(written, self.parameters, what, self.example, in_order=True)
        given = {
            name: self.parameters[name].read(text, f"{what}: {name}={text[:20]}")
            for name, text in words.items()
        }
        values = {name: p.default for name, p in self.parameters.items()} | given
        told = ",".join(f"{name}={shown(value)}" for name, value in given.items())
        return self.make(f"{self.name}:{told}" if told else self.name, **values)


def shown(value: Value) -> str:
    """Return a parameter's value as it stands in a name."""
    return value if isinstance(value, str) else f"{value:.12g}"


FAMILIES: dict[str, Family[Kernel | Magnitude]] = {}
"""The families by name, in the order of lists."""


class Factors(NamedTuple):
    """A matrix as the product of a column and a row, over a divisor."""

    column: Taps
    row: Taps
    divisor: int = 1


Formula = Callable[..., Rows | Factors | Kernel | Magnitude]


def _family(
    group: str, example: str, source: str, notes: str = "", **parameters: Parameter
) -> Callable[[Formula], Formula]:
    """Enter a formula into the register, under the name that its example begins with."""

    def enter(formula: Formula) -> Formula:
        def make(name: str, **values: Value) -> Kernel | Magnitude:
            try:
                found = formula(**values)
            except UsageError as problem:
                raise UsageError(f"Kernel {name}: {problem}") from None
            if isinstance(found, Kernel | Magnitude):
                return replace(found, name=name, source=source, aliases=())
            told = notes.format(**values)
            if isinstance(found, Factors):
                column, row, divisor = found
                return Kernel(name, None, column, row, divisor, 0, (), group, source, told)
            return Kernel(name, found, group=group, source=source, notes=told)

        name = example.partition(":")[0]
        FAMILIES[name] = Family(name, parameters, make, source, example)
        return formula

    return enter


def _sigma(default: float, meaning: str = "width of the Gaussian in pixels") -> Parameter:
    return Parameter(meaning, default, 0.1, MAX_SIGMA)


def _angle(default: float, meaning: str) -> Parameter:
    return Parameter(f"{meaning}degrees counter-clockwise from the right", default, -360, 360)


def _one_of(meaning: str, default: str, words: tuple[str, ...]) -> Parameter:
    return Parameter(meaning, default, math.inf, -math.inf, words=words)


_RADIUS = Parameter("cells on each side of the center; 4 sigma unless given", None, 0, 510, True)
_SIZE = Parameter("side in cells, odd", 3, 3, MAX_OPENCV_SOBEL, True)


def _reach(sigma: float, radius: int | None = None) -> int:
    """Return the radius asked for, or scipy.ndimage's: four sigmas, rounded half up."""
    return int(4 * sigma + 0.5) if radius is None else radius


def _checked(radius: int, way: str) -> int:
    if radius > MAX_RADIUS:
        raise UsageError(
            f"it would reach {radius} pixels from its center, {MAX_RADIUS} is the most; use {way}."
        )
    return max(1, radius)


@_family(
    "smooth",
    "gaussian:sigma=2",
    "sampled and normalized, as scipy.ndimage.gaussian_filter",
    sigma=_sigma(1),
    radius=_RADIUS,
)
def gaussian(sigma: float, radius: int | None) -> Factors:
    taps = gaussian_taps(sigma, _reach(sigma, radius))
    return Factors(taps, taps)


@_family(
    "smooth",
    "anisotropic:angle=30",
    "exp(-(u^2 / along^2 + v^2 / across^2) / 2), sampled and normalized",
    along=_sigma(4, "width in the direction of the angle, in pixels"),
    across=_sigma(1, "width at a right angle to it, in pixels"),
    angle=_angle(0, ""),
)
def gaussian_anisotropic(along: float, across: float, angle: float) -> Rows | Factors:
    if angle % 90 == 0:
        wide, high = (along, across) if angle % 180 == 0 else (across, along)
        return Factors(gaussian_taps(high, _reach(high)), gaussian_taps(wide, _reach(wide)))
    right, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    reach_x = _checked(_reach(math.hypot(along * right, across * up)), "a smaller sigma")
    reach_y = _checked(_reach(math.hypot(along * up, across * right)), "a smaller sigma")

    def bell(x: int, y: int) -> float:
        u, v = (x * right - y * up) / along, (x * up + y * right) / across
        return math.exp(-(u * u + v * v) / 2)

    rows = [
        [bell(x, y) for x in range(-reach_x, reach_x + 1)] for y in range(-reach_y, reach_y + 1)
    ]
    return _summed_to_one(rows)


@_family(
    "gradient",
    "derivative:sigma=2,x=1",
    "scipy.ndimage.gaussian_filter with orders",
    "Derivative of order {x} across and {y} down of the picture under a Gaussian.",
    sigma=_sigma(1),
    x=Parameter("order across", 1, 0, HIGHEST_ORDER, True),
    y=Parameter("order down", 0, 0, HIGHEST_ORDER, True),
)
def gaussian_derivatives(sigma: float, x: int, y: int) -> Factors:
    radius = _reach(sigma)
    return Factors(gaussian_derivative(sigma, y, radius), gaussian_derivative(sigma, x, radius))


@_family(
    "gradient",
    "gradient:sigma=2",
    "scipy.ndimage.gaussian_gradient_magnitude",
    sigma=_sigma(1),
)
def gaussian_gradient(sigma: float) -> Magnitude:
    derivatives = FAMILIES["derivative"].build
    x, y = (derivatives(f"sigma={shown(sigma)},x={1 - k},y={k}") for k in (0, 1))
    assert isinstance(x, Kernel) and isinstance(y, Kernel)  # noqa: S101, PT018  (for the checker)
    return Magnitude("", x, y, notes="Magnitude of the gradient under a Gaussian.")


@_family(
    "smooth",
    "box:size=5",
    "definition",
    size=Parameter("side in cells", 3, 1, MAX_SIDE, True),
)
def box(size: int) -> Factors:
    return Factors((1,) * size, (1,) * size, size * size)


@_family(
    "smooth",
    "disk:radius=3",
    "definition: the mean of the cells whose middle lies within the radius",
    radius=Parameter("pixels from the center", 2, 1, MAX_RADIUS),
)
def disk(radius: float) -> Rows:
    span = range(-int(radius), int(radius) + 1)
    return _summed_to_one([[float(x * x + y * y <= radius * radius) for x in span] for y in span])


@_family(
    "smooth",
    "motion:length=9,angle=45",
    "closeness to the path, after MATLAB's fspecial('motion')",
    length=Parameter("pixels covered", 9, 1, MAX_RADIUS),
    angle=_angle(0, ""),
)
def motion(length: float, angle: float) -> Rows:
    """Return the path of a pixel that moves `length` pixels at an angle; the sum is 1.

    A cell weighs one minus its distance from the segment of `length - 1` through the center, which
    is the idea of MATLAB's fspecial('motion'). The angle runs counter-clockwise from the right.

    >>> motion(3, 0)
    ((0.3333333333333333, 0.3333333333333333, 0.3333333333333333),)
    """
    half = (length - 1) / 2
    right, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    reach_x, reach_y = math.ceil(half * abs(right)) + 1, math.ceil(half * abs(up)) + 1

    def closeness(x: int, y: int) -> float:
        along = min(half, max(-half, x * right - y * up))
        weight = 1 - math.hypot(x - along * right, y + along * up)
        return weight if weight > 1e-9 else 0.0

    rows = [
        [closeness(x, y) for x in range(-reach_x, reach_x + 1)]
        for y in range(-reach_y, reach_y + 1)
    ]
    while len(rows) > 1 and not any(rows[0]):  # the same after half a turn: borders go in pairs
        rows = rows[1:-1]
    while len(rows[0]) > 1 and not any(cells[0] for cells in rows):
        rows = [cells[1:-1] for cells in rows]
    return _summed_to_one(rows)


def _summed_to_one(rows: Sequence[Sequence[float]]) -> Rows:
    total = math.fsum(cell for cells in rows for cell in cells)
    return tuple(tuple(cell / total for cell in cells) for cells in rows)


@_family(
    "sharpen",
    "sharpen:amount=0.5",
    "definition: the picture minus amount times its Laplacian with 4 neighbors",
    amount=Parameter("1 is the classic kernel", 1, 0.01, 100),
)
def sharpen(amount: float) -> Rows:
    return ring_matrix((0, -amount) * 4, 1 + 4 * amount)


@_family(
    "sharpen",
    "unsharp:sigma=2,amount=1.5",
    "definition: the picture plus amount times (picture - Gaussian)",
    sigma=_sigma(1),
    amount=Parameter("how much of the difference is added", 1, 0.01, 100),
    radius=_RADIUS,
)
def unsharp(sigma: float, amount: float, radius: int | None) -> Rows:
    middle = max(1, _reach(sigma, radius))
    taps = gaussian_taps(sigma, middle)
    return tuple(
        tuple(
            (1 + amount if x == y == middle else 0.0) - amount * down * across
            for x, across in enumerate(taps)
        )
        for y, down in enumerate(taps)
    )


@_family("gradient", "sobel:size=5", "OpenCV getDerivKernels, both axes", size=_SIZE)
def sobel(size: int) -> Magnitude:
    sobel_factors(size)  # names its own mistakes
    x, y = (FAMILIES[f"sobel-{axis}"].build(f"size={size}") for axis in "xy")
    assert isinstance(x, Kernel) and isinstance(y, Kernel)  # noqa: S101, PT018  (for the checker)
    return Magnitude("", x, y, notes="Magnitude of the gradient.")


@_family("gradient", "sobel-x:size=5", "OpenCV getDerivKernels(1, 0, size)", size=_SIZE)
def sobel_x(size: int) -> Factors:
    return Factors(*sobel_factors(size))


@_family("gradient", "sobel-y:size=5", "OpenCV getDerivKernels(0, 1, size)", size=_SIZE)
def sobel_y(size: int) -> Factors:
    smooth, slope = sobel_factors(size)
    return Factors(slope, smooth)


def sobel_factors(size: int) -> tuple[Taps, Taps]:
    """Return the smoothing and the derivative taps of a Sobel operator: OpenCV's getDerivKernels.

    The derivative is a central difference smoothed by the binomial coefficients of order size - 3.

    >>> sobel_factors(5)
    ((1, 4, 6, 4, 1), (-1, -2, 0, 2, 1))
    """
    if size % 2 == 0:
        raise UsageError(f"the size must be odd, such as {size - 1} or {size + 1}.")
    inner = (0, 0, *_binomial(size - 3), 0, 0)
    slope = tuple(inner[k] - inner[k + 2] for k in range(size))
    return _binomial(size - 1), slope


def _binomial(order: int) -> tuple[int, ...]:
    return tuple(math.comb(order, k) for k in range(order + 1))


def _named(name: str) -> Kernel:
    return next(kernel for kernel in KERNELS if name in {kernel.name, *kernel.aliases})


_DIRECTION = _one_of("the brighter side", "n", DIRECTIONS)


@_family("compass", "kirsch:direction=ne", "Kirsch (1971)", direction=_DIRECTION)
def kirsch(direction: str) -> Kernel:
    return _named(f"kirsch-{direction}")


@_family("compass", "robinson:direction=ne", "Robinson (1977)", direction=_DIRECTION)
def robinson(direction: str) -> Kernel:
    return _named(f"robinson-{direction}")


@_family(
    "laplacian",
    "laplacian:alpha=0.2",
    "MATLAB's fspecial('laplacian', alpha)",
    alpha=Parameter("share of the diagonal neighbors: 0 none, 0.5 half", 0, 0, 1),
)
def laplacian(alpha: float) -> Kernel:
    rows = ring_matrix((alpha, 1 - alpha) * 4, -4)
    return Kernel("laplacian", rows, divisor=1 + alpha, group="laplacian")


@_family(
    "log",
    "log:sigma=2",
    "Marr & Hildreth (1980), sampled, its mean taken off",
    "Positive center.",
    sigma=_sigma(1.4),
    radius=_RADIUS,
)
def log(sigma: float, radius: int | None) -> Rows:
    return laplacian_of_gaussian(sigma, max(1, _reach(sigma, radius)))


@_family(
    "log",
    "dog:sigma=1,ratio=1.6",
    "Marr & Hildreth (1980): a ratio of 1.6 comes closest to their Laplacian of Gaussian",
    "Positive center.",
    sigma=_sigma(1),
    ratio=Parameter("wide sigma over narrow sigma", 1.6, 1.01, 20),
)
def dog(sigma: float, ratio: float) -> Rows:
    if sigma * ratio > MAX_SIGMA:
        raise UsageError(
            f"the wide Gaussian's sigma {sigma * ratio:g} is over {MAX_SIGMA:g}; "
            "use a smaller sigma or ratio."
        )
    return difference_of_gaussians(sigma, ratio, max(1, _reach(sigma * ratio)))


@_family(
    "gabor",
    "gabor:angle=45",
    "OpenCV getGaborKernel, without its answer to flat pictures (Lee 1996)",
    sigma=Parameter("width of the envelope in pixels", 3, 0.3, MAX_SIGMA),
    angle=_angle(0, "direction of the wave, "),
    wavelength=Parameter("pixels from crest to crest", 6, 2, 1000),
    aspect=Parameter("below 1: longer along the stripes", 0.5, 0.1, 10),
    phase=Parameter("of the wave, in degrees", 0, -360, 360),
)
def gabor(sigma: float, angle: float, wavelength: float, aspect: float, phase: float) -> Rows:
    """Return a cosine wave under a Gaussian envelope, without its answer to flat pictures.

    With u along the wave and v across it:
    `exp(-(u^2 + aspect^2 v^2) / (2 sigma^2)) * (cos(2 pi u / wavelength + phase) - c)`, where c
    makes the sum zero (Lee 1996, "Image representation using 2D Gabor wavelets"; without c these
    are the numbers of OpenCV's getGaborKernel). Scaled so that the magnitudes sum to 2: the output
    then spans at most the picture's own range on either side of zero. Lengths are in pixels, angles
    in degrees counter-clockwise from the right.
    """
    right, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    furthest = int(3 * sigma / min(aspect, 1.0) + 0.5)
    radius = _checked(furthest, "a smaller sigma or a larger aspect")
    span = range(-radius, radius + 1)

    def envelope_and_wave(x: int, y: int) -> tuple[float, float]:
        along, across = x * right - y * up, x * up + y * right
        squares = along * along + (aspect * across) ** 2
        turn = 2 * math.pi * along / wavelength + math.radians(phase)
        return math.exp(-squares / (2 * sigma * sigma)), math.cos(turn)

    cells = [[envelope_and_wave(x, y) for x in span] for y in span]
    flat = [pair for line in cells for pair in line]
    level = math.fsum(e * wave for e, wave in flat) / math.fsum(e for e, _ in flat)
    scale = math.fsum(abs(e * (wave - level)) for e, wave in flat) / 2
    return tuple(tuple(e * (wave - level) / scale for e, wave in line) for line in cells)


@_family(
    "line",
    "line:angle=45",
    "Gonzalez & Woods",
    angle=_angle(0, "of the line, a multiple of 45, "),
)
def line(angle: float) -> Kernel:
    if angle % 45:
        raise UsageError(
            "a 3x3 line detector has only the angles 0, 45, 90 and 135; "
            "for others use gabor:angle=... or motion:angle=..."
        )
    return _named(f"line-{angle % 180:g}")


@_family(
    "emboss",
    "emboss:angle=45",
    "GIMP's emboss, its ring turned",
    "Light from {angle:g}°.",
    angle=_angle(135, "where the light comes from, "),
)
def emboss(angle: float) -> Rows:
    return ring_matrix(emboss_ring(angle), 1)


def emboss_ring(degrees: float) -> tuple[Number, ...]:
    """Return the ring of an emboss kernel lit from an angle, counter-clockwise from the right.

    The classic ring `-2 -1 0 1 2 1 0 -1` falls evenly from 2 away from the light to -2 towards it;
    between multiples of 45 degrees the cells are read off the same slope.

    >>> emboss_ring(135)
    (-2, -1, 0, 1, 2, 1, 0, -1)
    """

    def cell(position: int) -> Number:
        bearing = 135 - 45 * position
        apart = abs((bearing - degrees + 180) % 360 - 180)
        value = apart / 45 - 2
        return int(value) if value.is_integer() else value

    return tuple(cell(position) for position in range(8))
