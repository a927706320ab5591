"""Each figure of a step in words: the formula, the same with its numbers, and what got lost.

Letters are those of the lectures: n input, f kernel, s stride, p padding (p before and q after
where they differ), c channels, k filters or units, g groups, m multiplier, t length of a series,
h heads, u factor of an enlargement. Receptive fields: r cells, j input cells from one cell to the
next, P cells before the input.

Lines are plain text; whoever shows them decides how. Only the wording lives here, the numbers
come from the step and its layer.
"""

from __future__ import annotations

import re
from math import prod

from convcli.geometry import Adaptive, AxisMap, Enlarge, Spread, Window, effective_kernel
from convcli.layers.base import Join, Shape, elements, shape_text
from convcli.layers.pool import AdaptivePool
from convcli.net.field import POINT, AxisField
from convcli.net.trace import BYTES, Step, Trace
from convcli.net.words import layer_text

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
"""Names of the spatial axes by their number."""

FORMULAS = {
    # op: (parameters, multiply-accumulates), without the bias that `explain` adds
    "conv": ("F x c/g x k", "cells x k x F x c/g"),
    "dwconv": ("F x c x m", "cells x c x m x F"),
    "sepconv": ("F x c x m + c x m x k", "cells x c x m x (F + k)"),
    "upconv": ("F x c x k/g", "n-cells x c x F x k/g"),
    "dense": ("c x k", "cells x c x k"),
    "bn": ("c + c", ""),
    "ln": ("c + c", ""),
    "gn": ("c + c", ""),
    "instancenorm": ("c + c", ""),
    "rmsnorm": ("c", ""),
    "prelu": ("c", ""),
    "layerscale": ("c", ""),
    "lstm": ("4 x (c x k + k x k", "t x 4 x k x (c + k)"),
    "gru": ("3 x (c x k + k x k", "t x 3 x k x (c + k)"),
    "attention": ("4 x c x c", "4 x t x c x c + 2 x t x t x c"),
    "classtoken": ("c", ""),
    "posembed": ("cells x c", ""),
}
"""The formulas of the layers that have parameters; F is one f for each axis of the kernel."""

CHANNELS = {
    **dict.fromkeys(("conv", "sepconv", "upconv", "lstm", "gru"), "k"),
    "dwconv": "c x m",
    "pixelshuffle": "c / U",
    "pixelunshuffle": "c x U",
    "slice": "b - a",
}
"""The channels of the output where they are not those of the input; U is one u for each axis."""

FLOPS = {
    "maxpool": "(F - 1) x outputs",
    "avgpool": "F x outputs",
    "gap": "inputs",
    "gmp": "inputs - c",
    "adaptavg": "window-cells",
    "adaptmax": "window-cells - outputs",
    "lrn": "(size + 4) x outputs",
}
"""The operations of layers that cost other than so many for each output."""

UNITS = {"lstm": "t x k", "gru": "t x k", "attention": "h x t x t"}
"""What the operations beside the products are counted by."""

SAME = "Every number of the output belongs to the one at its place: the shape stays."
MOVED = "The same numbers at other places."
_WHOLE_REASON = {
    "gap": "Every output is the mean of one whole channel.",
    "gmp": "Every output is the largest value of one whole channel.",
    "flatten": "All cells stand in one row, channel last: (row * width + column) * channels + c.",
    "reshape": "The same numbers in the same order under another shape.",
    "lstm": "The state carries every earlier step, so that an output can see the whole series.",
    "gru": "The state carries every earlier step, so that an output can see the whole series.",
    "attention": "Every cell asks all others, and the heads share the channels: the shape stays.",
    "classtoken": "One learned cell is put before the others.",
    "slice": "The channels from a up to b, which is left out, of all cells.",
    "permute": "Output axis k is the input's axis named in place k, counted from 0.",
    "input": "Another input, of its own shape.",
    "unfold": "Every row of the output is one window, its cells and channels in a row.",
}


def explain(trace: Trace, which: int | str) -> tuple[str, ...]:
    """Return the figures of one step in words, one line for each.

    >>> from convcli.net import network
    >>> for line in explain(network("mnist").trace(), 1)[:3]:
    ...     print(line)
    layer 1 conv1: conv 16 3 relu
    height: floor((n + 2p - f) / s) + 1 = floor((28 + 0 + 0 - 3) / 1) + 1 = 26
    width: floor((n + 2p - f) / s) + 1 = floor((28 + 0 + 0 - 3) / 1) + 1 = 26

    Raises:
        UsageError: there is no such step.
    """
    step = trace.step(which)
    lines = [f"layer {step.index} {step.name}: {layer_text(step.layer)}"]
    lines += _shape_lines(step)
    if channels := formula(step, "channels"):
        numbers = "" if channels == "k" else f" = {step.output_shape[-1]}"
        lines.append(f"channels: {_filled(step, channels)}{numbers}")
    lines.append(
        f"output: {' and '.join(map(shape_text, step.input_shapes))} -> "
        f"{shape_text(step.output_shape)}, {elements(step.output_shape):,} numbers"
    )
    lines.append(_memory_line(trace, step))
    lines += _parameter_lines(step)
    lines += _work_lines(step)
    lines += _field_lines(trace, step)
    return tuple(lines)


def _memory_line(trace: Trace, step: Step) -> str:
    """Return the bytes of the output: cells x channels x batch x bytes of a number."""
    batch = f" x {trace.batch} samples" if trace.batch > 1 else ""
    return (
        f"memory: {elements(step.output_shape):,} numbers{batch} x {BYTES[trace.dtype]} bytes = "
        f"{step.activation_bytes:,} bytes"
    )


def _shape_lines(step: Step) -> list[str]:
    if isinstance(step.layer, Join):
        return _join_lines(step)
    if step.op == "dense":
        values = symbols(step)
        return [f"k = {values['k']} outputs, each a sum over all c = {values['c']} inputs"]
    if not step.reads:
        same = step.output_shape == step.input_shapes[0]
        return [_WHOLE_REASON.get(step.op) or (SAME if same else MOVED)]
    names = AXES.get(len(step.reads), ())
    lines = []
    for axis, (name, reads) in enumerate(zip(names, step.reads, strict=False)):
        size, out = step.input_shapes[0][axis], step.output_shape[axis]
        lines += [f"{name}: {text}" for text in _axis_lines(step, reads, size, out)]
    return lines


def _join_lines(step: Step) -> list[str]:
    shapes = step.input_shapes
    if step.op == "concat":
        letters = " + ".join(f"c{number}" for number, _ in enumerate(shapes, 1))
        channels = " + ".join(str(shape[-1]) for shape in shapes)
        return [f"channels: {letters} = {channels} = {step.output_shape[-1]}"]
    if step.op == "add":
        return [f"sum of {len(shapes)} equal maps, element by element"]
    return [f"each element times its factor of {shape_text(shape)}" for shape in shapes[1:]]


def _axis_lines(step: Step, reads: AxisMap, size: int, out: int) -> list[str]:
    if isinstance(reads, Window):
        if step.op in {"pad", "crop"}:
            sign, first, second = ("+", reads.before, reads.after)
            if step.op == "crop":
                sign, first, second = ("-", -reads.before, -reads.after)
            return [f"n {sign} p {sign} q = {size} {sign} {first} {sign} {second} = {out}"]
        return _window_lines(step, reads, size, out)
    if isinstance(reads, Spread):
        return _spread_lines(step, reads, size, out)
    if isinstance(reads, Enlarge):
        over = f" / {reads.over}" if reads.over > 1 else ""
        return [f"n x factor = {size} x {reads.factor}{over} = {out}"]
    shortest, longest = _adaptive_lengths(reads)
    return [
        f"{out} windows over {size} cells, from floor(i * n / out) to ceil((i + 1) * n / out) = "
        f"floor(i * {size} / {out}) to "
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
            f"kernel {window.kernel} with dilation {window.dilation} spans (f - 1) * d + 1 = "
            f"({window.kernel} - 1) * {window.dilation} + 1 = {extent}, which is f below"
        )
    padding = getattr(step.layer, "padding", "valid")
    if padding == "same":
        lines.append(
            f"same: ceil(n / s) = ceil({size} / {window.stride}) = {out} outputs need "
            f"max(0, (out - 1) * s + f - n) = "
            f"max(0, ({out} - 1) * {window.stride} + {extent} - {size}) = "
            f"{window.before + window.after} cells of padding: {window.before} before, "
            f"{window.after} after"
        )
    elif padding == "causal":
        lines.append(f"causal: f - 1 = {extent} - 1 = {window.before} cells of padding, all before")
    room = size + window.before + window.after - extent
    pads = "2p" if window.before == window.after else "p + q"
    formula = (
        f"{rounding}((n + {pads} - f) / s) + 1 = "
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
        cells = "cell is" if lost == 1 else f"{lost} cells are"
        lines.append(f"the division leaves a rest: the last {cells} never read")
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
        f"(n - 1) * s + f = ({size} - 1) * {spread.stride} + {extent} = {full}"
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
        lines.append(f"parameters: {formula(step, 'params')} = {terms} = {step.params:,}")
    if step.op in {"conv", "dwconv", "sepconv"}:
        ends = elements(step.input_shapes[0]), elements(step.output_shape)
        dense = ends[0] * ends[1] + ends[1]
        lines.append(
            f"a dense layer between the same maps: n x k + k = {ends[0]:,} x {ends[1]:,} + "
            f"{ends[1]:,} = {dense:,} parameters, {dense / step.params:,.0f} times as many"
        )
    if step.buffers:
        terms = " + ".join(f"{_product_text(shape)}" for shape in step.buffer_shapes.values())
        names = " and ".join(step.buffer_shapes)
        lines.append(f"statistics: c + c = {terms} = {step.buffers:,} ({names}, not learned)")
    return lines


def formula(step: Step, figure: str) -> str:
    """Return the formula of a step's `params`, `macs` or `channels` in letters, or nothing.

    >>> from convcli.net import parse_notation
    >>> trace = parse_notation("input 8x8x4, conv 6 3 g2, upconv 4 2").trace()
    >>> formula(trace.steps[0], "params"), formula(trace.steps[1], "macs")
    ('f x f x c/g x k + k', 'n-cells x c x f x f x k')
    """
    params, macs = FORMULAS.get(step.op, ("", ""))
    found = {"params": params, "macs": macs, "channels": CHANNELS.get(step.op, "")}[figure]
    if figure == "params" and found:
        found += _bias_terms(step)
    if getattr(step.layer, "bidirectional", False):
        found = f"2 x ({found})" if figure == "macs" else f"2 x {found}"
    found = found.replace("/g", "") if getattr(step.layer, "groups", 1) == 1 else found
    if step.op == "dense" and len(step.output_shape) == 1:
        found = found.replace("cells x ", "")
    return _each_axis(step, found)


def _each_axis(step: Step, found: str) -> str:
    """Return a formula with one f, and one u, for each axis of the kernel and of the map."""
    rank = len(step.input_shapes[0]) - 1
    axes = [name for name in symbols(step) if name.startswith("f")]
    axes = axes * rank if axes == ["f"] else axes
    sign = " x " if "x U" in found else " / "
    return found.replace("F", " x ".join(axes)).replace("U", sign.join(["u"] * rank))


def _bias_terms(step: Step) -> str:
    """Return what the biases add to a formula of parameters."""
    if step.op in {"lstm", "gru"}:
        return " + 2 x k)" if "recurrent_bias" in step.weights else " + k)"
    if "bias" not in step.weights:
        return ""
    return {"dwconv": " + c x m", "attention": " + 4 x c"}.get(step.op, " + k")


def symbols(step: Step) -> dict[str, int]:
    """Return the letters of a step's formulas with their values."""
    layer, shape = step.layer, step.input_shapes[0]
    filters = getattr(layer, "filters", 0) or getattr(layer, "units", 0)
    found = {"c": shape[-1], "t": shape[0], "k": filters, "g": getattr(layer, "groups", 1)}
    found["m"] = getattr(layer, "multiplier", 1)
    for axis, cells in enumerate(getattr(layer, "kernel", ()), 1):
        found["f" if len(set(layer.kernel)) == 1 else f"f{axis}"] = cells  # type: ignore[attr-defined]  # sliding layers have it
    for letter, name in (("h", "heads"), ("u", "factor"), ("size", "size")):
        if isinstance(value := getattr(layer, name, None), int):
            found[letter] = value
    if step.op == "slice":
        found["a"] = layer.channels[0]  # type: ignore[attr-defined]  # the op says it is a slice
        found["b"] = found["a"] + step.output_shape[-1]
    if isinstance(layer, AdaptivePool):
        found["window-cells"] = layer.cells_read(shape)
    return found | {
        "cells": prod(step.output_shape[:-1]),
        "n-cells": prod(shape[:-1]),
        "outputs": elements(step.output_shape),
        "inputs": elements(shape),
        "MACs": step.macs,
    }


def _filled(step: Step, found: str) -> str:
    """Return a formula, and behind it the same with its numbers put in."""
    values = symbols(step)
    words = r"n-cells|window-cells|\b(?:cells|outputs|inputs|size|MACs|[a-wyz]\d?)\b"
    return f"{found} = {re.sub(words, lambda word: f'{values[word[0]]:,}', found)}"


def _product_text(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _work_lines(step: Step) -> list[str]:
    lines = []
    if step.macs:
        lines.append(f"multiply-accumulates: {_mac_text(step)} = {step.macs:,}")
    if step.flops:
        kinds = {kind: work for kind, work in step.flops_breakdown.items() if work}
        terms = " + ".join(f"{work:,} {kind}" for kind, work in kinds.items())
        total = f" = {step.flops:,}" if len(kinds) > 1 else ""
        rates = " + ".join(_rate(step, kind, work) for kind, work in kinds.items())
        lines.append(f"floating-point operations: {_filled(step, rates)} = {terms}{total}")
    return lines


def _rate(step: Step, kind: str, work: int) -> str:
    """Return how many operations of a kind each of something takes: `2 x MACs`."""
    if step.op in FLOPS:
        return _each_axis(step, FLOPS[step.op])
    if kind in {"conv", "dense"}:
        return "2 x MACs"
    unit = UNITS.get(step.op, "outputs") if (step.op, kind) != ("attention", "bias") else "outputs"
    values = symbols(step)
    return f"{work // prod(values[letter] for letter in unit.split(' x '))} x {unit}"


def _mac_text(step: Step) -> str:
    """Return the formula of the multiply-accumulates, and the same with the numbers put in."""
    kernel, symbolic = step.weights.get("kernel"), formula(step, "macs")
    if kernel is None or step.op in {"lstm", "gru", "attention", "dense"}:
        return _filled(step, symbolic)
    cells = step.input_shapes[0] if step.op == "upconv" else step.output_shape
    per_cell = kernel[:-2] + kernel[-1:] if step.op == "upconv" else kernel[:-1]
    if step.op == "dwconv":
        per_cell = kernel[:-2]
    return f"{symbolic} = {_product_text(cells)} cells x {_product_text(per_cell)}"


def _field_lines(trace: Trace, step: Step) -> list[str]:
    if step.fields is None or step.stride is None:
        return [f"receptive field: the whole input, {shape_text(step.receptive_field)}"]
    lines = []
    source = step.sources[0] if step.sources else 0
    before = trace.steps[source - 1].fields if source else (POINT,) * len(step.fields)
    for axis, name in enumerate(AXES[len(step.fields)]):
        if isinstance(step.layer, Join) or not (step.reads and before):
            told = _joined_numbers(trace, step, axis) if isinstance(step.layer, Join) else "r = "
            lines.append(f"receptive field, {name}: {told}{_extent(step.fields[axis])}")
        else:
            found = _moved_field(step, axis, before[axis])
            lines += [f"{what}, {name}: {text}" for what, text in found.items()]
    lines.append(
        f"one step here is {_numbers(step.stride)} input cells; the first field begins "
        f"{_numbers(step.padding)} before the input"
    )
    return lines


def _extent(field: AxisField) -> str:
    """Return the cells of a field, smallest and largest where they differ by position."""
    unequal = field.size != field.smallest
    return f"{field.smallest} to {field.size}, by position" if unequal else str(field.size)


def _moved_field(step: Step, axis: int, before: AxisField) -> dict[str, str]:
    """Return how step, padding and size of a field come from those of the layer before."""
    (reads, field), jump = ((step.reads or ())[axis], (step.fields or ())[axis]), before.stride
    read = [reads.reads(cell) for cell in range(min(reads.period, 4096))]
    if len(before.spans) > 1 or not all(read):
        return {"receptive field": f"what the cells it reads see together: {_extent(field)}"}
    lines = {}
    if isinstance(reads, Window):
        if reads.stride > 1:
            lines["step"] = f"j * s = {jump} * {reads.stride} = {field.stride}"
        if reads.before and field.padding is not None:
            own = f"{before.padding} + {reads.before} * {jump}"
            lines["padding"] = f"P + p * j = {own} = {field.padding}"
    elif (reads.advance, reads.period) != (1, 1):
        ratio = f"j / s = {jump} / {reads.period}"
        if not isinstance(reads, Spread):
            ratio = f"j * n / out = {jump} * {step.input_shapes[0][axis]} / "
            ratio += str(step.output_shape[axis])
        lines["step"] = f"{ratio} = {field.stride:g}"
    lengths = [max(cells) - min(cells) + 1 for cells in read]
    letter = "f" if isinstance(reads, Window) else "m"
    sums = [f"{before.size} + ({m} - 1) * {jump}" for m in sorted({min(lengths), max(lengths)})]
    lines["receptive field"] = f"r + ({letter} - 1) * j = {' to '.join(sums)} = {_extent(field)}"
    return lines


def _joined_numbers(trace: Trace, step: Step, axis: int) -> str:
    """Return what the field of joined branches is made of."""
    fields = [trace.steps[source - 1].fields if source else (POINT,) * 3 for source in step.sources]
    sizes = [str(known[axis].size) for known in fields if known]
    letters = ", ".join(f"r{number}" for number, _ in enumerate(sizes, 1))
    return f"union of {letters} = union of {', '.join(sizes)} = " if len(sizes) > 1 else ""


def _numbers(values: tuple[int | float | None, ...] | None) -> str:
    return " x ".join("?" if value is None else f"{value:g}" for value in values or ())
