"""Kernels made ready for one kind of pixels: weights, divisor, offset and what they add up to."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convcli.errors import InputError, UsageError
from convcli.imaging.matrices import is_matrix_name, read_matrix
from convcli.kernels import FAMILIES, Kernel, Magnitude, all_kernels, find

GRAY_LEVELS = 255.0
"""Kernels state offsets in levels of an 8-bit picture."""


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel of a chain: value = sum of weight x pixel / divisor + offset.

    Attributes:
        name: as reports and file names show it.
        weights: H x W arrays, one or the components of a gradient; H x W x C for a kernel with
            channels. In correlation orientation.
        names: of the components.
        directions_xy: unit vectors along which each component measures a rise (right, down).
        divisor: every sum is divided by it.
        offset: added after that, in 8-bit levels.
        note: what a rule did to divisor and offset, for the report.
    """

    name: str
    slug: str
    weights: tuple[Any, ...]
    names: tuple[str, ...]
    directions_xy: tuple[tuple[float, float], ...] = ()
    divisor: float = 1.0
    offset: float = 0.0
    note: str = ""

    @property
    def is_gradient(self) -> bool:
        """Several components that become a magnitude."""
        return len(self.weights) > 1

    @property
    def channels(self) -> int | None:
        """Channels that the kernel has, or None when it is laid on each channel alike."""
        return self.weights[0].shape[2] if self.weights[0].ndim == 3 else None

    @property
    def gain(self) -> float:
        """What a flat picture is multiplied by; 0 within rounding is 0."""
        total = math.fsum(self.weights[0].ravel())
        size = math.fsum(np.abs(self.weights[0]).ravel())
        return 0.0 if abs(total) <= 1e-9 * size else total / self.divisor


def is_default_label(text: str) -> bool:
    """Tell whether `text` is what default outputs are called by: slugs of kernels joined by `_`.

    >>> is_default_label("gaussian-sigma2_sobel"), is_default_label("maxpool2")
    (True, True)
    >>> is_default_label("1")
    False
    """
    names = {kernel.slug for kernel in all_kernels()} | {"custom"}
    families = "|".join(map(re.escape, FAMILIES))
    return all(
        part in names or re.fullmatch(rf"(?:{families})-.*|(?:max|avg)pool\d.*", part)
        for part in text.split("_")
    )


def load_kernel(spec: str) -> Kernel | Magnitude | Step:
    """Return the kernel that a user wrote: a name, a family, rows, or the path of a matrix file.

    A file with several planes, or an array of three axes, is a kernel with channels.
    """
    path = Path(spec)
    if "\n" in spec or ";" in spec or not (is_matrix_name(path) or _is_file(path)):
        return find(spec)
    try:
        weights = read_matrix(path).astype(np.float64)
    except InputError as problem:
        raise UsageError(f"Kernel file {problem}") from problem
    if not weights.any():
        raise UsageError(f"Kernel file {spec} is all zeros: every picture would become black.")
    if max(weights.shape) > 1023:
        raise UsageError(f"Kernel file {spec}: a side may have at most 1023 numbers.")
    return Step(path.stem, path.stem, (weights,), (path.stem,))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for a path is no path
        return False


def make_step(
    kernel: str | Kernel | Magnitude | Step | Any,
    *,
    divisor: float | None = None,
    offset: float | None = None,
    normalize: bool = False,
) -> Step:
    """Return the step for a kernel, its divisor and offset replaced as asked.

    Args:
        kernel: what `load_kernel` takes, a kernel value, or an array of weights.
        divisor: replaces the kernel's own.
        offset: replaces the kernel's own; 8-bit levels.
        normalize: GIMP's rule for the convolution matrix: divide by the sum; a negative sum is
            made positive and 255 added; a zero sum keeps divisor 1 and 128 is added.

    >>> make_step("1 2 1; 2 4 2; 1 2 1", normalize=True).divisor
    16.0
    """
    step = _plain_step(kernel)
    if normalize:
        if divisor is not None or offset is not None:
            raise UsageError(
                "--normalize chooses divisor and offset itself: leave it out, or leave out "
                "--divisor and --offset."
            )
        return _normalized(step)
    divisor = float(step.divisor if divisor is None else divisor)
    offset = float(step.offset if offset is None else offset)
    if divisor == 0 or not math.isfinite(divisor) or not math.isfinite(offset):
        raise UsageError(f"divisor {divisor:g}, offset {offset:g}: finite, and not divided by 0.")
    return replace(step, divisor=divisor, offset=offset)


def _normalized(step: Step) -> Step:
    if step.is_gradient:
        raise UsageError(f"{step.name} is a magnitude of two kernels; --normalize is for one.")
    total = step.gain * step.divisor
    if total > 0:
        divisor, offset, said = total, 0.0, f"sum {total:g} > 0: divided by it"
    elif total < 0:
        divisor, offset, said = -total, 255.0, f"sum {total:g} < 0: divided by {-total:g}, plus 255"
    else:
        divisor, offset, said = 1.0, 128.0, "sum 0: divisor 1, plus 128"
    note = f"Normalized by GIMP's rule, {said}."
    return replace(step, divisor=divisor, offset=offset, note=note)


def _plain_step(kernel: Any) -> Step:
    if isinstance(kernel, str):
        kernel = load_kernel(kernel)
    if isinstance(kernel, Step):
        return kernel
    if isinstance(kernel, Kernel):
        slug = "custom" if kernel.group == "custom" and kernel.name == "custom" else kernel.slug
        return Step(
            kernel.name,
            slug,
            (np.array(kernel.rows, np.float64),),
            (kernel.name,),
            (kernel.direction_xy,),
            float(kernel.divisor),
            float(kernel.offset),
        )
    if isinstance(kernel, Magnitude):
        return _gradient_step(kernel)
    return _step_of_array(np.asarray(kernel))


def _step_of_array(array: Any) -> Step:
    if array.dtype.kind not in "uifb" or array.ndim not in {1, 2, 3} or array.size == 0:
        raise UsageError(
            f"a kernel is a name, rows of numbers, or an array of 2 or 3 axes, not {array!r:.60}."
        )
    weights = np.atleast_2d(array).astype(np.float64)
    if not np.isfinite(weights).all():
        raise UsageError("the kernel holds NaN or infinite numbers.")
    return Step("custom", "custom", (weights,), ("custom",))


def _gradient_step(magnitude: Magnitude) -> Step:
    """Give both components one size and one divisor."""
    parts = magnitude.components
    divisors = {float(part.divisor) for part in parts}
    common = divisors.pop() if len(divisors) == 1 else 1.0
    height, width = magnitude.size_hw
    weights = []
    for part in parts:
        rows = np.array(part.rows, np.float64) * (common / part.divisor)
        top, left = height // 2 - part.center[0], width // 2 - part.center[1]
        padded = np.zeros((height, width))
        padded[top : top + rows.shape[0], left : left + rows.shape[1]] = rows
        weights.append(padded)
    return Step(
        magnitude.name,
        magnitude.slug,
        tuple(weights),
        tuple(part.name for part in parts),
        tuple(part.direction_xy for part in parts),
        common,
        float(magnitude.offset),
    )
