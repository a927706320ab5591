"""The arithmetic behind one output pixel, term by term."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.engine.borders import OUTSIDE, correlation_axis
from convcli.engine.points import Point, point_text
from convcli.errors import UsageError
from convcli.imaging.chain import Chain, Step
from convcli.imaging.filtering import Stage, filter_frame, staged
from convcli.imaging.matrices import number_text
from convcli.imaging.options import FilterOptions, parse_border
from convcli.imaging.picture import Frame, to_gray
from convcli.imaging.ranges import offset_scale
from convcli.imaging.views import channel_name
from convcli.sums import Sum, Term


@dataclass(frozen=True, slots=True)
class Explanation:
    """One output pixel, explained.

    Attributes:
        row, column: of the output.
        channel: index of the channel, or None for a picture of one.
        components: one a kernel: two for a magnitude, one a channel for a kernel with channels.
        rule: how the components become the kernel's value, with its numbers.
        kernel_value: what the kernel comes to; without one the pixel that steps begin with.
        steps: behind the kernel, each with its arithmetic and what comes out.
        value: before conversion.
        pixel: after conversion.
        border: the rule by which cells beyond the edge were filled.
        value_range: the conversion.
    """

    row: int
    column: int
    channel: int | None
    components: tuple[Sum, ...]
    rule: str
    kernel_value: float
    steps: tuple[tuple[str, str, float], ...]
    value: float
    pixel: float
    border: str
    value_range: str


def explain_frame(
    frame: Frame, steps: Chain, options: FilterOptions, row: int, column: int
) -> tuple[Explanation, ...]:
    """Explain an output pixel of the last kernel: one explanation for each channel of color.

    Transparency lends no term: colors are explained as `--alpha keep` filters them.

    >>> picture = Frame(np.array([[3, 0, 1], [1, 5, 8], [2, 7, 2]], np.uint8))
    >>> from convcli.imaging.chain import make_steps
    >>> options = FilterOptions(padding="valid")
    >>> steps = make_steps("1 0 -1; 1 0 -1; 1 0 -1", options)
    >>> explain_frame(picture, steps, options, 0, 0)[0].value  # 3 + 1 + 2 - (1 + 8 + 2)
    -5.0
    """
    if options.gradient != "magnitude":
        raise UsageError("--explain shows sums; leave out --gradient direction and both.")
    if options.linear:
        raise UsageError("--explain shows the file's own numbers; leave out --linear.")
    if options.gray:
        frame = to_gray(frame)
    opaque = Frame(
        np.ascontiguousarray(frame.pixels[..., :-1]) if frame.has_alpha else frame.pixels
    )
    stage = staged(opaque.pixels, steps, options)
    done = stage.done
    while stage.before is not None:
        stage = stage.before
        done = (*stage.done, *done)
    if stage.maker:
        raise UsageError(
            f"--explain shows the sums of a kernel and steps of single values behind it; "
            f"{stage.maker} is neither: leave it out."
        )
    pixels = filter_frame(opaque, steps, options)
    place = row, column
    found = _kernel_values(stage, options, place, opaque.pixels.dtype)
    original = np.atleast_1d(opaque.pixels[place]) if done else np.zeros(len(found))
    explained = []
    for channel, (parts, rule, value) in enumerate(found):
        taken, last = _taken(done, value, float(original[channel]))
        pixel = pixels.frame.pixels[row, column]
        explained.append(
            Explanation(
                row=row,
                column=column,
                channel=channel if len(found) > 1 else None,
                components=parts,
                rule=rule,
                kernel_value=value,
                steps=taken,
                value=last,
                pixel=float(pixel[channel] if len(found) > 1 else pixel),
                border=options.border,
                value_range=pixels.value_range,
            )
        )
    return tuple(explained)


def _kernel_values(
    stage: Stage, options: FilterOptions, place: tuple[int, int], dtype: Any
) -> list[tuple[tuple[Sum, ...], str, float]]:
    """Return the sums of the last kernel at a place, their rule and value, for each channel."""
    stack = stage.values if stage.values.ndim == 3 else stage.values[..., None]
    kernel = stage.kernel
    if kernel is None:
        _check_place(place, stack.shape[:2])
        pixels = [float(one) for one in stack[place]]
        return [((), number_text(pixel), pixel) for pixel in pixels]
    reads, outside = _reads(stack.shape, kernel, options, place)
    offset = kernel.offset * offset_scale(dtype)
    found = []
    for parts in _groups(stack, kernel, options):
        sums = tuple(_component(*part, reads, outside) for part in parts)
        value, rule = _joined(sums, kernel, options.magnitude, offset)
        found.append((sums, rule, value))
    return found


def _taken(
    done: Iterable[tuple[str, tuple[Point, ...]]], value: float, original: float
) -> tuple[tuple[tuple[str, str, float], ...], float]:
    """Return the arithmetic of each step on one value, and what comes out at the end."""
    taken = []
    for name, points in done:
        texts = []
        for point in points:
            text, value = point_text(point, value, original)
            texts.append(text)
        if texts:
            taken.append((name, "; ".join(texts), value))
    return tuple(taken), value


def _check_place(place: tuple[int, int], shape: tuple[int, ...]) -> None:
    """Refuse a place outside the output."""
    height, width = shape
    if not (0 <= place[0] < height and 0 <= place[1] < width):
        raise UsageError(
            f"--explain {place[0]},{place[1]} lies outside the output of {height} x {width}: rows "
            f"go from 0 to {height - 1}, columns from 0 to {width - 1}."
        )


Reads = list[tuple[int, bool]]
"""For each tap along an axis the index it reads, and whether the tap lies beyond the edge."""


def _reads(
    shape: tuple[int, ...], step: Step, options: FilterOptions, place: tuple[int, int]
) -> tuple[tuple[Reads, Reads], float]:
    """Return what the taps of an output pixel read along both axes, and what lies outside."""
    mode, outside = parse_border(options.border)
    axes = [
        correlation_axis(
            shape[axis],
            step.weights[0].shape[axis],
            mode=mode,
            padding=options.padding,
            stride=options.stride,
            dilation=options.dilation,
            turned=options.convolve,
        )
        for axis in (0, 1)
    ]
    _check_place(place, tuple(axis.size for axis in axes))
    found = []
    for at, axis, length in zip(place, axes, shape, strict=False):
        places = at * axis.stride + np.arange(axis.taps) * axis.dilation
        beyond = (places < axis.before) | (places >= axis.before + length)
        found.append(list(zip(axis.source[places].tolist(), beyond.tolist(), strict=True)))
    return (found[0], found[1]), outside


def _component(
    name: str, plane: Any, weights: Any, reads: tuple[Reads, Reads], outside: float
) -> Sum:
    """Return the products of one kernel on one plane, row by row."""
    terms = []
    for (y, y_beyond), cells in zip(reads[0], weights.tolist(), strict=True):
        for (x, x_beyond), weight in zip(reads[1], cells, strict=True):
            known = OUTSIDE not in (y, x)
            value = float(plane[y, x]) if known else outside
            terms.append(Term(value, weight, (y, x) if known else None, y_beyond or x_beyond))
    return Sum(name, tuple(terms))


def _groups(stack: Any, step: Step, options: FilterOptions) -> list[list[tuple[str, Any, Any]]]:
    """Return per explained value its parts: name, plane, and the weights as laid on it."""
    count = stack.shape[2]
    turn = slice(None, None, -1) if options.convolve else slice(None)
    if step.channels is not None:
        weights = step.weights[0][turn, turn, turn]
        return [[(channel_name(c, count), stack[..., c], weights[..., c]) for c in range(count)]]
    kernels = [
        (name, weights[turn, turn]) for name, weights in zip(step.names, step.weights, strict=True)
    ]
    return [
        [
            (name if count == 1 else f"{channel_name(c, count)} {name}", stack[..., c], weights)
            for name, weights in kernels
        ]
        for c in range(count)
    ]


def _joined(parts: tuple[Sum, ...], step: Step, magnitude: str, offset: float) -> tuple[float, str]:
    """Return the value before conversion and how it came from the parts, in numbers."""
    sums = [part.total for part in parts]
    alone = len(sums) == 1
    words = [number_text(one) if alone or one >= 0 else f"({number_text(one)})" for one in sums]
    if not step.is_gradient:
        total, text = float(sum(sums)), " + ".join(words)
    elif magnitude == "l2":
        total = math.sqrt(sum(one * one for one in sums))
        text = f"sqrt({' + '.join(f'{word}^2' for word in words)})"
    elif magnitude == "l1":
        total = sum(map(abs, sums))
        text = " + ".join(f"|{number_text(one)}|" for one in sums)
    else:
        total = max(map(abs, sums))
        text = f"max({', '.join(f'|{number_text(one)}|' for one in sums)})"
    divisor = abs(step.divisor) if step.is_gradient else step.divisor
    value = total / divisor + offset
    if divisor != 1:
        text = f"({text}) / {number_text(divisor)}" if " " in text else f"{text} / {divisor:g}"
    if offset:
        text += f" + {number_text(offset)}" if offset > 0 else f" - {number_text(-offset)}"
    return value, text if text == number_text(value) else f"{text} = {value:.7g}"
