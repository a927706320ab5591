"""Kernels with parameters: `gaussian:sigma=2`, `emboss:angle=45`, ..."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from convcli.errors import UsageError
from convcli.kernels import formulas
from convcli.kernels.parse import MAX_SIDE
from convcli.kernels.table.compass import COMPASS, DIRECTIONS
from convcli.kernels.table.simple import LINE
from convcli.kernels.value import Kernel, Magnitude
from convcli.option import parse_settings

Value = float | int | str
MAX_RADIUS = (MAX_SIDE - 1) // 2
MAX_SIGMA = 125.0
MAX_OPENCV_SOBEL = 31


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family; its meaning names the unit.

    A default of None follows from the other parameters; `words` are for one that is no number.
    """

    meaning: str
    default: Value | None
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A kernel with parameters; `make` takes name and source, then the parameters' values."""

    name: str
    parameters: Mapping[str, Parameter]
    make: Callable[..., Kernel | Magnitude]
    source: str
    example: str

    def build(self, written: str = "") -> Kernel | Magnitude:
        """Return the kernel for parameters written as `sigma=2,radius=6`."""
        words = parse_settings(written, self.parameters, f"Kernel {self.name}", self.example)
        given = {name: self._value(name, text) for name, text in words.items()}
        values = {name: p.default for name, p in self.parameters.items()} | given
        shown = ",".join(f"{name}={_shown(value)}" for name, value in given.items())
        name = f"{self.name}:{shown}" if shown else self.name
        return self.make(name, self.source, **values)

    def _value(self, name: str, text: str) -> Value:
        parameter, place = self.parameters[name], f"Kernel {self.name}: {name}={text[:20]}"
        if parameter.words:
            if text.lower() not in parameter.words:
                raise UsageError(f"{place} is none of {', '.join(parameter.words)}.")
            return text.lower()
        try:
            value = float(text)
        except ValueError:
            raise UsageError(f"{place} is not a number.") from None
        if not parameter.low <= value <= parameter.high:  # false for NaN too
            raise UsageError(
                f"{place} is outside {_shown(parameter.low)} to {_shown(parameter.high)} "
                f"({parameter.meaning})."
            )
        if parameter.whole and not value.is_integer():
            raise UsageError(f"{place} must be a whole number ({parameter.meaning}).")
        return int(value) if value.is_integer() else value


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.12g}"


def _gaussian(name: str, source: str, sigma: float, radius: int | None) -> Kernel:
    taps = formulas.gaussian_taps(sigma, _radius_of(sigma, radius))
    return Kernel(name, column=taps, row=taps, group="smooth", source=source)


def _radius_of(sigma: float, radius: int | None) -> int:
    """Return the radius asked for, or scipy.ndimage's: four sigmas, rounded half up."""
    return int(4 * sigma + 0.5) if radius is None else radius


def _box(name: str, source: str, size: int) -> Kernel:
    ones = (1,) * size
    return Kernel(name, column=ones, row=ones, divisor=size * size, group="smooth", source=source)


def _log(name: str, source: str, sigma: float, radius: int | None) -> Kernel:
    rows = formulas.laplacian_of_gaussian(sigma, max(1, _radius_of(sigma, radius)))
    return Kernel(name, matrix=rows, group="log", source=source, notes="Positive center.")


def _dog(name: str, source: str, sigma: float, ratio: float) -> Kernel:
    if sigma * ratio > MAX_SIGMA:
        raise UsageError(
            f"Kernel {name}: the wide Gaussian's sigma {sigma * ratio:g} is over {MAX_SIGMA:g}; "
            "use a smaller sigma or ratio."
        )
    rows = formulas.difference_of_gaussians(sigma, ratio, max(1, _radius_of(sigma * ratio, None)))
    return Kernel(name, matrix=rows, group="log", source=source, notes="Positive center.")


def _motion(name: str, source: str, length: float, angle: float) -> Kernel:
    rows = formulas.motion_line(length, angle)
    return Kernel(name, matrix=rows, group="smooth", source=source)


def _gabor(
    name: str,
    source: str,
    sigma: float,
    angle: float,
    wavelength: float,
    aspect: float,
    phase: float,
) -> Kernel:
    radius = max(1, int(3 * sigma / min(aspect, 1.0) + 0.5))
    if radius > MAX_RADIUS:
        raise UsageError(
            f"Kernel {name} would reach {radius} pixels from its center, {MAX_RADIUS} is the "
            "most; use a smaller sigma or a larger aspect."
        )
    rows = formulas.gabor_wave(sigma, angle, wavelength, aspect, phase, radius)
    return Kernel(name, matrix=rows, group="gabor", source=source)


def _unsharp(name: str, source: str, sigma: float, amount: float, radius: int | None) -> Kernel:
    rows = formulas.unsharp_mask(sigma, amount, max(1, _radius_of(sigma, radius)))
    return Kernel(name, matrix=rows, group="sharpen", source=source)


def _emboss(name: str, source: str, angle: float) -> Kernel:
    rows = formulas.ring_matrix(formulas.emboss_ring(angle), 1)
    return Kernel(name, matrix=rows, group="emboss", source=source, notes=f"Light from {angle:g}°.")


def _sobel(name: str, source: str, size: int) -> Magnitude:
    x, y = (_sobel_component(name.replace("sobel", f"sobel-{axis}"), source, size) for axis in "xy")
    return Magnitude(name, x, y, source=source, notes="Magnitude of the gradient.")


def _sobel_component(name: str, source: str, size: int) -> Kernel:
    if size % 2 == 0:
        raise UsageError(f"Kernel {name}: the size must be odd, such as {size - 1} or {size + 1}.")
    smooth, slope = formulas.sobel_factors(size)
    across = name.startswith("sobel-x")
    column, row = (smooth, slope) if across else (slope, smooth)
    return Kernel(name, column=column, row=row, group="gradient", source=source)


def _named_direction(operator: str) -> Callable[..., Kernel]:
    def make(name: str, source: str, direction: str) -> Kernel:
        mask = next(kernel for kernel in COMPASS if kernel.name == f"{operator}-{direction}")
        return Kernel(name, matrix=mask.rows, group=mask.group, source=source, notes=mask.notes)

    return make


def _line(name: str, source: str, angle: float) -> Kernel:
    if angle % 45:
        raise UsageError(
            f"Kernel {name}: a 3x3 line detector has only the angles 0, 45, 90 and 135; "
            "for others use gabor:angle=... or motion:angle=..."
        )
    mask = next(kernel for kernel in LINE if f"line-{angle % 180:g}" in kernel.aliases)
    return Kernel(name, matrix=mask.rows, group=mask.group, source=source, notes=mask.notes)


def _sigma(default: float) -> Parameter:
    return Parameter("width of the Gaussian in pixels", default, 0.1, MAX_SIGMA)


_RADIUS = Parameter("cells on each side of the center; 4 sigma unless given", None, 0, 510, True)
_ANGLE = "degrees counter-clockwise from the right"
_SIZE = Parameter("side in cells, odd", 3, 3, MAX_OPENCV_SOBEL, True)


def _angle(default: float, meaning: str = _ANGLE) -> Parameter:
    return Parameter(meaning, default, -360, 360)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "gaussian",
            {"sigma": _sigma(1), "radius": _RADIUS},
            _gaussian,
            "sampled and normalized, as scipy.ndimage.gaussian_filter",
            "gaussian:sigma=2",
        ),
        Family(
            "box",
            {"size": Parameter("side in cells", 3, 1, MAX_SIDE, True)},
            _box,
            "definition",
            "box:size=5",
        ),
        Family(
            "motion",
            {
                "length": Parameter("pixels covered", 9, 1, MAX_RADIUS, False),
                "angle": _angle(0),
            },
            _motion,
            "closeness to the path, after MATLAB's fspecial('motion')",
            "motion:length=9,angle=45",
        ),
        Family(
            "unsharp",
            {
                "sigma": _sigma(1),
                "amount": Parameter("how much of the difference is added", 1, 0.01, 100),
                "radius": _RADIUS,
            },
            _unsharp,
            "definition: the picture plus amount times (picture - Gaussian)",
            "unsharp:sigma=2,amount=1.5",
        ),
        Family(
            "sobel", {"size": _SIZE}, _sobel, "OpenCV getDerivKernels, both axes", "sobel:size=5"
        ),
        Family(
            "sobel-x",
            {"size": _SIZE},
            _sobel_component,
            "OpenCV getDerivKernels(1, 0, size)",
            "sobel-x:size=5",
        ),
        Family(
            "sobel-y",
            {"size": _SIZE},
            _sobel_component,
            "OpenCV getDerivKernels(0, 1, size)",
            "sobel-y:size=5",
        ),
        Family(
            "kirsch",
            {"direction": Parameter("the brighter side", "n", words=DIRECTIONS)},
            _named_direction("kirsch"),
            "Kirsch (1971)",
            "kirsch:direction=ne",
        ),
        Family(
            "robinson",
            {"direction": Parameter("the brighter side", "n", words=DIRECTIONS)},
            _named_direction("robinson"),
            "Robinson (1977)",
            "robinson:direction=ne",
        ),
        Family(
            "log",
            {"sigma": _sigma(1.4), "radius": _RADIUS},
            _log,
            "Marr & Hildreth (1980), sampled, its mean taken off",
            "log:sigma=2",
        ),
        Family(
            "dog",
            {
                "sigma": _sigma(1),
                "ratio": Parameter("wide sigma over narrow sigma", 1.6, 1.01, 20),
            },
            _dog,
            "Marr & Hildreth (1980): a ratio of 1.6 comes closest to their Laplacian of Gaussian",
            "dog:sigma=1,ratio=1.6",
        ),
        Family(
            "gabor",
            {
                "sigma": Parameter("width of the envelope in pixels", 3, 0.3, MAX_SIGMA),
                "angle": _angle(0, f"direction of the wave, {_ANGLE}"),
                "wavelength": Parameter("pixels from crest to crest", 6, 2, 1000),
                "aspect": Parameter("below 1: longer along the stripes", 0.5, 0.1, 10),
                "phase": Parameter("of the wave, in degrees", 0, -360, 360),
            },
            _gabor,
            "OpenCV getGaborKernel, without its answer to flat pictures (Lee 1996)",
            "gabor:angle=45,wavelength=8",
        ),
        Family(
            "line",
            {"angle": _angle(0, f"of the line, {_ANGLE}: a multiple of 45")},
            _line,
            "Gonzalez & Woods",
            "line:angle=45",
        ),
        Family(
            "emboss",
            {"angle": _angle(135, f"where the light comes from, {_ANGLE}")},
            _emboss,
            "GIMP's emboss, its ring turned",
            "emboss:angle=45",
        ),
    )
}
"""The families by name, in the order of lists."""
