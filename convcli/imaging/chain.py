"""What a chain is made of: kernels as the engine takes them, from whatever names them.

And what it needs in memory beside pixels read and written, known before they are unpacked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convcli.errors import InputError, UsageError
from convcli.imaging.matrices import is_matrix_name, read_matrix
from convcli.imaging.operations import size_of
from convcli.imaging.options import FilterOptions, Later, Shape
from convcli.kernels import (
    FAMILIES,
    OPERATIONS,
    AnyKernel,
    Kernel,
    Magnitude,
    Operation,
    all_kernels,
    find_step,
)

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
    names |= set(OPERATIONS)
    families = "|".join(map(re.escape, (*FAMILIES, *OPERATIONS)))
    text = text.removesuffix("-side").removesuffix("-wipe")
    return all(
        part in names or re.fullmatch(rf"(?:{families})-.*|(?:max|avg)pool\d.*", part)
        for part in text.split("_")
    )


def load_kernel(spec: str) -> AnyKernel | Operation | Step:
    """Return the step that a user wrote: a name, a family, rows, or the path of a matrix file.

    A file with several planes, or an array of three axes, is a kernel with channels.
    """
    path = Path(spec)
    if "\n" in spec or ";" in spec or not (is_matrix_name(path) or _is_file(path)):
        return find_step(spec)
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


Chain = tuple[Step | Operation, ...]
_NAMED = (str, Step, Operation, Kernel, Magnitude)


def make_steps(kernels: Any, options: FilterOptions) -> Chain:
    """Return the steps of a chain.

    Args:
        kernels: a name, family, rows, file, `Kernel`, `Magnitude`, `Step` or array; a list of any
            of these but numbers is a chain.
        options: `divisor` and `offset` replace the last kernel's own; `normalize` is GIMP's rule
            for every one: divide by the sum; a negative sum is made positive and 255 added; a zero
            sum keeps divisor 1 and 128 is added.

    >>> make_steps("1 2 1; 2 4 2; 1 2 1", FilterOptions(normalize=True))[0].divisor
    16.0
    """
    is_chain = isinstance(kernels, list | tuple) and kernels and isinstance(kernels[0], _NAMED)
    steps = [_step(kernel) for kernel in (kernels if is_chain else [kernels])]
    places = [place for place, step in enumerate(steps) if isinstance(step, Step)]
    last = steps[places[-1]] if places else None
    name = last.name if last else steps[-1].name
    if last is None and (options.divisor, options.offset, options.normalize) != (None, None, False):
        raise UsageError(f"--divisor, --offset and --normalize are for kernels; {name} is none.")
    is_gradient = [step.is_gradient for step in steps if isinstance(step, Step)]
    if options.gradient != "magnitude" and not (is_gradient[-1:] == [True] and steps[-1] is last):
        raise UsageError(
            f"--gradient {options.gradient} needs a gradient as the last kernel, such as sobel; "
            f"{steps[-1].name} has no two components."
        )
    if options.magnitude != "l2" and not any(is_gradient):
        raise UsageError(
            f"--magnitude {options.magnitude} joins the two components of a gradient such as "
            f"sobel; {name} has none."
        )
    if isinstance(last, Step):
        steps[places[-1]] = _with_numbers(last, options)
    if options.normalize:
        return tuple(_normalized(one) if isinstance(one, Step) else one for one in steps)
    return tuple(steps)


def _with_numbers(step: Step, options: FilterOptions) -> Step:
    """Return the step with the divisor and offset that were given."""
    divisor, offset = options.divisor, options.offset
    if options.normalize and (divisor is not None or offset is not None):
        raise UsageError(
            "--normalize chooses divisor and offset itself: leave it out, or leave out "
            "--divisor and --offset."
        )
    divisor = float(step.divisor if divisor is None else divisor)
    offset = float(step.offset if offset is None else offset)
    if divisor == 0 or not math.isfinite(divisor) or not math.isfinite(offset):
        raise UsageError(f"divisor {divisor:g}, offset {offset:g}: finite, and not divided by 0.")
    return replace(step, divisor=divisor, offset=offset)


def chain_gain(steps: Sequence[Step]) -> float:
    """Return what kernels do to a flat picture; a magnitude starts anew, as brightness."""
    after = max((i + 1 for i, step in enumerate(steps) if step.is_gradient), default=0)
    return math.prod(step.gain for step in steps[after:])


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


def _step(kernel: Any) -> Step | Operation:
    if isinstance(kernel, str):
        kernel = load_kernel(kernel)
    if isinstance(kernel, Step | Operation):
        return kernel
    if isinstance(kernel, Kernel | Magnitude):
        return _step_of_kernel(kernel)
    array = np.asarray(kernel)
    if array.dtype.kind not in "uifb" or array.ndim not in {1, 2, 3} or array.size == 0:
        raise UsageError(
            f"a kernel is a name, rows of numbers, or an array of 2 or 3 axes, not {array!r:.60}."
        )
    weights = np.atleast_2d(array).astype(np.float64)
    if not np.isfinite(weights).all():
        raise UsageError("the kernel holds NaN or infinite numbers.")
    return Step("custom", "custom", (weights,), ("custom",))


def _step_of_kernel(kernel: AnyKernel) -> Step:
    """Give the components of a magnitude one size and one divisor."""
    parts = kernel.components
    divisors = {float(part.divisor) for part in parts}
    common = divisors.pop() if len(divisors) == 1 else 1.0
    height, width = kernel.size_hw
    weights = []
    for part in parts:
        rows = np.array(part.rows, np.float64)
        if part.divisor != common:
            rows *= common / part.divisor
        top, left = height // 2 - part.center[0], width // 2 - part.center[1]
        room = (top, height - top - len(rows)), (left, width - left - len(rows[0]))
        weights.append(np.pad(rows, room))
    return Step(
        kernel.name,
        kernel.slug,
        tuple(weights),
        tuple(part.name for part in parts),
        tuple(part.direction_xy for part in parts),
        common,
        float(kernel.offset),
    )


CANNY_BYTES = 16
"""A pixel: the smoothed picture in double precision, brightness, edges and those that wait."""

RESIZED_PLANES = 2
"""Floating-point pictures beside each other while one is made smaller or larger."""

FIGURES_BYTES = 16
"""A pixel: the values of one channel in double precision, and a copy in their order."""


def later_bytes(steps: Chain, options: FilterOptions, shape: Shape) -> Later:
    """Return the bytes of the floating-point pictures that are alive together, and what needs them.

    Kernels and steps of single values behind them go through memory once. What a kernel, or a step
    that looks at a whole picture, is laid on has to be there as a whole.

    Args:
        steps: of the chain.
        options: how to filter.
        shape: height, width, channels and bytes of a number of one frame.
    """
    height, width, channels, number = shape
    pixels = height * width
    each = float(pixels * channels * (8 if number == 8 else 4))
    alive = peak = each if options.linear and number < 4 else 0.0
    waits, names = False, ["--linear"] if alive else []
    for step in steps:
        if not isinstance(step, Step) and not step.needs_all:
            waits = True
            continue
        if waits:
            peak, alive = max(peak, alive + each), each
            names.append(step.name)
        waits = True
        if isinstance(step, Step):
            continue
        if step.changes_size:
            tall, wide = size_of(step.values["size"], height, width)
            after = each / pixels * tall * wide
            peak = max(peak, alive + RESIZED_PLANES * after)
            each = alive = after
            waits = False
        elif step.word == "canny":
            peak = max(peak, alive + CANNY_BYTES * pixels)
        else:
            continue
        names.append(step.name)
    if waits and options.value_range == "stretch":
        peak, names = max(peak, alive + each), [*names, "--range stretch"]
    if options.gradient != "magnitude":
        peak, names = peak + 3 * each, [*names, f"--gradient {options.gradient}"]
    if options.stats:
        peak, names = peak + each + FIGURES_BYTES * pixels, [*names, "--stats"]
    if options.compare is not None:
        peak, names = peak + 2 * pixels * channels * number, [*names, "--compare"]
    return int(peak), tuple(dict.fromkeys(names))
