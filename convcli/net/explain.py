"""Each figure of a step in words: the formula, the same with its numbers, and what got lost.

Lines are plain text; whoever shows them decides how. Only the wording lives here, the numbers
come from the step and its layer.
"""

from __future__ import annotations

from math import prod

from convcli.geometry import Adaptive, AxisMap, Enlarge, Spread, Window, effective_kernel
from convcli.layers.base import Join, Shape, elements, shape_text
from convcli.net.trace import Step, Trace
from convcli.net.words import layer_text

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
"""Names of the spatial axes by their number."""

_WHOLE_REASON = {
    "gap": "Every output is the mean of one whole channel.",
    "gmp": "Every output is the largest value of one whole channel.",
    "flatten": "All cells stand in one row, channel last: (row * width + column) * channels + c.",
    "reshape": "The same numbers in the same order under another shape.",
    "lstm": "The state carries every earlier step, so that an output can see the whole series.",
    "unfold": "Every row of the output is one window, its cells and channels in a row.",
}


def explain(trace: Trace, which: int | str) -> tuple[str, ...]:
    """Return the figures of one step in words, one line for each.

    >>> from convcli.net import network
    >>> for line in explain(network("mnist").trace(), 1)[:3]:
    ...     print(line)
    layer 1 conv1: conv 16 3 relu
    height: floor((28 + 0 + 0 - 3) / 1) + 1 = 26
    width: floor((28 + 0 + 0 - 3) / 1) + 1 = 26

    Raises:
        UsageError: there is no such step.
    """
    step = trace.step(which)
    lines = [f"layer {step.index} {step.name}: {layer_text(step.layer)}"]
    lines += _shape_lines(step)
    lines.append(
        f"output: {' and '.join(map(shape_text, step.input_shapes))} -> "
        f"{shape_text(step.output_shape)}, {elements(step.output_shape):,} numbers"
    )
    lines += _parameter_lines(step)
    lines += _work_lines(step)
    lines += _field_lines(trace, step)
    return tuple(lines)


def _shape_lines(step: Step) -> list[str]:
    if isinstance(step.layer, Join):
        return _join_lines(step)
    if step.reads is None:
        return [_WHOLE_REASON[step.op]] if step.op in _WHOLE_REASON else []
    names = AXES.get(len(step.reads), ())
    lines = []
    for axis, (name, reads) in enumerate(zip(names, step.reads, strict=False)):
        size, out = step.input_shapes[0][axis], step.output_shape[axis]
        lines += [f"{name}: {text}" for text in _axis_lines(step, reads, size, out)]
    return lines


def _join_lines(step: Step) -> list[str]:
    shapes = step.input_shapes
    if step.op == "concat":
        channels = " + ".join(str(shape[-1]) for shape in shapes)
        return [f"channels: {channels} = {step.output_shape[-1]}"]
    if step.op == "add":
        return [f"sum of {len(shapes)} equal maps, element by element"]
    return [f"each element times its factor of {shape_text(shapes[1])}"]


def _axis_lines(step: Step, reads: AxisMap, size: int, out: int) -> list[str]:
    if isinstance(reads, Window):
        if step.op in {"pad", "crop"}:
            sign, first, second = ("+", reads.before, reads.after)
            if step.op == "crop":
                sign, first, second = ("-", -reads.before, -reads.after)
            return [f"{size} {sign} {first} {sign} {second} = {out}"]
        return _window_lines(step, reads, size, out)
    if isinstance(reads, Spread):
        return _spread_lines(step, reads, size, out)
    if isinstance(reads, Enlarge):
        return [f"{size} x {reads.factor} = {out}"]
    shortest, longest = _adaptive_lengths(reads)
    return [
        f"{out} windows over {size} cells, from floor(i * {size} / {out}) to "
        f"ceil((i + 1) * {size} / {out}): {shortest} to {longest} cells each"
    ]


def _adaptive_lengths(reads: Adaptive) -> tuple[int, int]:
    lengths = [len(reads.reads(cell)) for cell in range(min(reads.period, 4096))]
    return min(lengths), max(lengths)


def _window_lines(step: Step, window: Window, size: int, out: int) -> list[str]:
    """Return the window formula with its numbers, and what was added or dropped."""
    extent = effective_kernel(window.kernel, window.dilation)
    rounding = "ceil" if getattr(step.layer, "ceil", False) else "floor"
    lines = []
    if window.dilation > 1:
        lines.append(
            f"kernel {window.kernel} with dilation {window.dilation} spans "
            f"({window.kernel} - 1) * {window.dilation} + 1 = {extent}"
        )
    padding = getattr(step.layer, "padding", "valid")
    if padding == "same":
        lines.append(
            f"same: ceil({size} / {window.stride}) = {out} outputs need "
            f"max(0, ({out} - 1) * {window.stride} + {extent} - {size}) = "
            f"{window.before + window.after} cells of padding: {window.before} before, "
            f"{window.after} after"
        )
    elif padding == "causal":
        lines.append(f"causal: {extent} - 1 = {window.before} cells of padding, all before")
    room = size + window.before + window.after - extent
    formula = (
        f"{rounding}(({size} + {window.before} + {window.after} - {extent}) / {window.stride}) + 1"
    )
    planned = (-(-room // window.stride) if rounding == "ceil" else room // window.stride) + 1
    lines.append(f"{formula} = {planned}")
    if planned != out:
        lines.append(
            f"the last window would begin after the input and its padding before: {out} are left"
        )
    lost = size + window.before + window.after - ((out - 1) * window.stride + extent)
    if lost > 0:
        cells = "cell" if lost == 1 else "cells"
        lines.append(f"the division leaves a rest: the last {lost} {cells} are never read")
    elif lost < 0:
        lines.append(f"the last window hangs {-lost} over the end and counts what is there")
    if window.stride > extent:
        lines.append(f"stride {window.stride} steps over {window.stride - extent} cells each time")
    return lines


def _spread_lines(step: Step, spread: Spread, size: int, out: int) -> list[str]:
    extent = effective_kernel(spread.kernel, spread.dilation)
    full = (size - 1) * spread.stride + extent
    change = out - full
    lines = [
        f"({size} - 1) * {spread.stride} + {extent} = {full}"
        + (f", {'plus' if change > 0 else 'less'} {abs(change)} = {out}" if change else "")
    ]
    if extent < spread.stride:
        lines.append(f"kernel {extent} is below stride {spread.stride}: some outputs stay empty")
    elif extent % spread.stride:
        lines.append(
            f"kernel {extent} is no multiple of stride {spread.stride}: outputs get unequal "
            f"numbers of contributions (a checkerboard)"
        )
    return lines


def _parameter_lines(step: Step) -> list[str]:
    lines = []
    if step.weights:
        terms = " + ".join(
            f"{_product_text(shape)} ({name})" for name, shape in step.weights.items()
        )
        lines.append(f"parameters: {terms} = {step.params:,}")
    if step.buffers:
        terms = " + ".join(f"{_product_text(shape)}" for shape in step.buffer_shapes.values())
        names = " and ".join(step.buffer_shapes)
        lines.append(f"statistics: {terms} = {step.buffers:,} ({names}, not learned)")
    return lines


def _product_text(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _work_lines(step: Step) -> list[str]:
    lines = []
    if step.macs:
        formula = _mac_formula(step)
        lines.append(f"multiply-accumulates: {formula}{step.macs:,}")
    if step.flops:
        kinds = {kind: work for kind, work in step.flops_breakdown.items() if work}
        terms = " + ".join(f"{work:,} {kind}" for kind, work in kinds.items())
        total = f" = {step.flops:,}" if len(kinds) > 1 else ""
        lines.append(f"floating-point operations: {terms}{total}")
    return lines


def _mac_formula(step: Step) -> str:
    """Return the product that gives the multiply-accumulates, where it is a plain one."""
    kernel = step.weights.get("kernel")
    if kernel is None or step.op == "lstm":
        return ""
    cells = step.input_shapes[0] if step.op == "upconv" else step.output_shape
    per_cell = kernel[:-2] + kernel[-1:] if step.op == "upconv" else kernel[:-1]
    if step.op == "dwconv":
        per_cell = kernel[:-2]
    if prod(cells) * prod(per_cell) != step.macs:
        return ""
    return f"{_product_text(cells)} cells x {_product_text(per_cell)} = "


def _field_lines(trace: Trace, step: Step) -> list[str]:
    if step.stride is None:
        return [f"receptive field: the whole input, {shape_text(step.receptive_field)}"]
    lines = []
    source = step.sources[0]
    before = trace.steps[source - 1].fields if source else None
    plain = [reads for reads in step.reads or () if isinstance(reads, Window)]
    names = AXES.get(len(step.receptive_field), ())
    for axis, name in enumerate(names):
        size, smallest = step.receptive_field[axis], step.receptive_field_min[axis]
        if size != smallest:
            lines.append(f"receptive field, {name}: {smallest} to {size}, by position")
            continue
        formula = ""
        if len(plain) == len(names) and (source == 0 or before is not None):
            seen = before[axis].size if before is not None else 1
            jump = before[axis].stride if before is not None else 1
            extent = effective_kernel(plain[axis].kernel, plain[axis].dilation)
            formula = f"{seen} + ({extent} - 1) * {jump} = "
        lines.append(f"receptive field, {name}: {formula}{size}")
    lines.append(
        f"one step here is {_numbers(step.stride)} input cells; the first field begins "
        f"{_numbers(step.padding)} before the input"
    )
    return lines


def _numbers(values: tuple[int | float | None, ...] | None) -> str:
    return " x ".join("?" if value is None else f"{value:g}" for value in values or ())
