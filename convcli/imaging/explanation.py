"""The arithmetic behind one output pixel, term by term."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.engine.borders import OUTSIDE, correlation_axis
from convcli.errors import UsageError
from convcli.imaging.chain import Chain, Step
from convcli.imaging.filtering import before_last, filter_frame, offset_scale
from convcli.imaging.matrices import number_text
from convcli.imaging.options import FilterOptions, parse_border
from convcli.imaging.picture import Frame, to_gray
from convcli.imaging.views import channel_name
from convcli.sums import Sum, Term


@dataclass(frozen=True, slots=True)
class Explanation:
    """One output pixel, explained.

    Attributes:
        row, column: of the output.
        channel: index of the channel, or None for a picture of one.
        components: one a kernel: two for a magnitude, one a channel for a kernel with channels.
        rule: how the components become the value, with its numbers.
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
    last = steps[-1]
    if not isinstance(last, Step) or (options.strength, options.blend) != (1.0, "normal"):
        raise UsageError(
            f"--explain shows the sum of a kernel; leave out --strength, --blend and what is no "
            f"kernel at the end{'' if isinstance(last, Step) else f' ({last.name})'}."
        )
    if options.linear:
        raise UsageError("--explain shows the file's own numbers; leave out --linear.")
    if options.gradient != "magnitude":
        raise UsageError("--explain shows sums; leave out --gradient direction and both.")
    if options.gray:
        frame = to_gray(frame)
    opaque = Frame(
        np.ascontiguousarray(frame.pixels[..., :-1]) if frame.has_alpha else frame.pixels
    )
    values = before_last(opaque.pixels, steps, options)
    stack = values if values.ndim == 3 else values[..., None]
    reads, outside = _reads(stack.shape, last, options, (row, column))
    done = filter_frame(opaque, steps, options)
    offset = last.offset * offset_scale(opaque.pixels.dtype)
    several = last.channels is None and stack.shape[2] > 1
    explained = []
    for channel, parts in enumerate(_groups(stack, last, options)):
        sums = tuple(_component(*part, reads, outside) for part in parts)
        value, rule = _joined(sums, last, options.magnitude, offset)
        pixel = done.frame.pixels[row, column]
        explained.append(
            Explanation(
                row,
                column,
                channel if several else None,
                sums,
                rule,
                value,
                float(pixel[channel] if several else pixel),
                options.border,
                done.value_range,
            )
        )
    return tuple(explained)


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
    if not all(0 <= at < axis.size for at, axis in zip(place, axes, strict=True)):
        height, width = (axis.size for axis in axes)
        raise UsageError(
            f"--explain {place[0]},{place[1]} lies outside the output of {height} x {width}: rows "
            f"go from 0 to {height - 1}, columns from 0 to {width - 1}."
        )
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
