"""The arithmetic behind one output pixel, term by term."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.engine.borders import OUTSIDE, Axis, correlation_axis
from convcli.errors import UsageError
from convcli.imaging.chain import Chain, Step
from convcli.imaging.filtering import FilteredFrame, before_last, filter_frame, offset_scale
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
    if options.gray:
        frame = to_gray(frame)
    pixels = frame.pixels[..., :-1] if frame.has_alpha else frame.pixels
    opaque = Frame(np.ascontiguousarray(pixels))
    done = filter_frame(opaque, steps, options)
    values = before_last(opaque.pixels, steps, options)
    stack = values if values.ndim == 3 else values[..., None]
    place = _Place.of(stack.shape, opaque.pixels.dtype, last, options, row, column)
    several = last.channels is None and stack.shape[2] > 1
    groups = _groups(stack, last, options)
    return tuple(
        _explained(
            channel if several else None,
            tuple(place.component(*part) for part in parts),
            last,
            options,
            done,
            place,
        )
        for channel, parts in enumerate(groups)
    )


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


@dataclass(frozen=True, slots=True)
class _Place:
    """An output pixel, and where each kernel cell reads for it."""

    row: int
    column: int
    rows: Axis
    columns: Axis
    shape_hw: tuple[int, int]
    outside: float
    dtype: Any

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        dtype: Any,
        step: Step,
        options: FilterOptions,
        row: int,
        column: int,
    ) -> _Place:
        mode, outside = parse_border(options.border)
        taps = step.weights[0].shape
        rows, columns = (
            correlation_axis(
                shape[axis],
                taps[axis],
                mode=mode,
                padding=options.padding,
                stride=options.stride,
                dilation=options.dilation,
                turned=options.convolve,
            )
            for axis in (0, 1)
        )
        if not (0 <= row < rows.size and 0 <= column < columns.size):
            raise UsageError(
                f"--explain {row},{column} lies outside the output of {rows.size} x "
                f"{columns.size}: rows go from 0 to {rows.size - 1}, columns from 0 to "
                f"{columns.size - 1}."
            )
        return cls(row, column, rows, columns, (shape[0], shape[1]), outside, dtype)

    def component(self, name: str, plane: Any, weights: Any) -> Sum:
        """Return the products of one kernel on one plane, row by row."""
        down = _reads(self.rows, self.row, self.shape_hw[0])
        across = _reads(self.columns, self.column, self.shape_hw[1])
        terms = []
        for (y, y_beyond), cells in zip(down, weights.tolist(), strict=True):
            for (x, x_beyond), weight in zip(across, cells, strict=True):
                known = OUTSIDE not in (y, x)
                value = float(plane[y, x]) if known else self.outside
                terms.append(Term(value, weight, (y, x) if known else None, y_beyond or x_beyond))
        return Sum(name, tuple(terms))


def _reads(axis: Axis, output: int, length: int) -> list[tuple[int, bool]]:
    """Return for each tap the index it reads, and whether the tap lies beyond the edge."""
    places = output * axis.stride + np.arange(axis.taps) * axis.dilation
    beyond = (places < axis.before) | (places >= axis.before + length)
    return list(zip(axis.source[places].tolist(), beyond.tolist(), strict=True))


def _explained(
    channel: int | None,
    parts: tuple[Sum, ...],
    step: Step,
    options: FilterOptions,
    done: FilteredFrame,
    place: _Place,
) -> Explanation:
    pixels = done.frame.pixels
    offset = step.offset * offset_scale(place.dtype)
    value, rule = _joined(parts, step, options.magnitude, offset)
    pixel = pixels[place.row, place.column]
    return Explanation(
        place.row,
        place.column,
        channel,
        parts,
        rule,
        value,
        float(pixel if channel is None else pixel[channel]),
        options.border,
        done.value_range,
    )


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
