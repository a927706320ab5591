"""What else one may ask of a network on paper, each answer as a `Report`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from convcli.errors import InputError, UsageError
from convcli.layers.base import shape_text
from convcli.net import Network, Trace
from convcli.net.conventions import flops_table
from convcli.net.dialects import DIALECTS, compare_dialects
from convcli.net.expression import check
from convcli.net.field import input_rectangle
from convcli.net.memory import assertion_values
from convcli.net.selftest import SelfCheck
from convcli.option import parse_place
from convcli.present.network_table import sizes_text
from convcli.report import Column, Report, tabulate


def dialects_report(network: Network) -> Report:
    """Return the layers on which frameworks make something else of the same words."""
    found = [
        {"index": row.index, "name": row.name, **row.said} for row in compare_dialects(network)
    ]
    says = "differ on these layers" if found else "agree on every layer"
    columns = {"index": "#", "name": "Layer", **{dialect: dialect for dialect in DIALECTS}}
    return tabulate(
        found,
        columns if found else {},
        title=f"{network.name}: {', '.join(DIALECTS)} {says}",
        document={"name": network.name, "differences": found},
    )


def rectangle_report(trace: Trace, place: str, layer: str | None) -> Report:
    """Return the part of the input that one output cell depends on.

    Args:
        trace: the network.
        place: `[LAYER:]ROW,COL` in the layer's output, zero-based; one number for a series.
        layer: the layer's name or number where `place` names none.
    """
    named, cell = parse_place(place, "--trace")
    if named and layer:
        raise UsageError(f"--trace names the layer {named}, and --at the layer {layer}. Drop one.")
    step = trace.step(named or layer or last_map(trace))
    seen = input_rectangle(trace, step.index, cell)
    shape = trace.network.input_shape
    axes = {1: ["cells"], 2: ["rows", "columns"], 3: ["slices", "rows", "columns"]}[len(seen)]
    rows = []
    for axis, part, extent, full in zip(axes, seen, shape, step.receptive_field, strict=False):
        first, last = part or (None, None)
        cells = 0 if part is None else part[1] - part[0] + 1
        rows.append({"axis": axis, "first": first, "last": last, "cells": cells,
                     "receptive_field": full, "input": extent})  # fmt: skip
    notes = ["Zero-based, both ends included; clipped at the input's borders."]
    if step.stride is None:
        notes.append(f"Every cell of {step.name} depends on the whole input.")
    at = ",".join(map(str, cell))
    return tabulate(
        rows,
        {
            "axis": "Axis",
            "first": "First",
            "last": "Last",
            "cells": "Cells",
            "receptive_field": "Unclipped",
            "input": "Input",
        },
        title=f"What cell {at} of {step.name} sees of the input {shape_text(shape)}",
        notes=notes,
        document={
            "layer": step.name,
            "cell": cell,
            "input": dict(zip(axes, seen, strict=True)),
            "receptive_field": step.receptive_field,
        },
    )


def last_map(trace: Trace) -> int:
    """Return the index of the last layer whose cells see a part of the input."""
    for step in reversed(trace.steps):
        if step.stride is not None:
            return step.index
    raise UsageError("No layer of this network is a map, so every cell sees the whole input.")


def explained(trace: Trace, which: str) -> Report:
    """Return every figure of one layer, or of all if `which` is empty, with its numbers put in."""
    from convcli.net.explain import explain

    steps = [trace.step(which)] if which else list(trace.steps)
    told = {step.name: explain(trace, step.index) for step in steps}
    lines = []
    for number, (head, *rest) in enumerate(told.values()):
        lines += [*([""] if number else []), head, *(f"  {line}" for line in rest)]
    document = [{"name": name, "lines": said} for name, said in told.items()]
    return Report("", (), (), notes=tuple(lines), document=document)


def solutions(question: str) -> Report:
    """Return the settings that turn one size into another, such as `28 -> 14, kernel 3`."""
    from convcli.net.solving import Inputs, solve

    found = solve(question)
    title = f"{question.strip()}: {len(found)} way{'s' * (len(found) != 1)}"
    if isinstance(found[0], Inputs):
        columns = {"words": "Words behind conv, pool", "first": "From", "last": "To"}
        note = "Every input from the one to the other becomes that size; the last lose most."
        return tabulate(found, columns, title=title, notes=[note])
    columns = {
        "words": f"Words behind {'upconv' if found[0].transposed else 'conv, pool'}",
        "kernel": "Kernel",
        "stride": "Stride",
        "before": "Before",
        "after": "After",
        "dilation": "Dilation",
        "output_padding": "Out pad",
        "dropped": "Dropped",
    }
    note = "Before and after: cells of padding. Dropped: cells at the end never read."
    return tabulate(found, columns, title=title, notes=[note])


def varied(source: str, condition: str, variable: str, trace_of: Callable[[int], Trace]) -> Report:
    """Return the value of a variable at which a condition turns, and what the network has there.

    Args:
        source: names the network.
        condition: an expression as `--assert` takes.
        variable: its name.
        trace_of: the network on paper for a value; an `InputError` counts as not holding.
    """
    from convcli.net.solving import solve_for

    def holds(value: int) -> bool:
        try:
            return check(condition, assertion_values(trace_of(value))).holds
        except InputError:
            return False

    found = solve_for(condition, holds)
    rows = []
    for value in (found - 1, found, found + 1):
        if value > 0:
            totals = trace_of(value).totals
            rows.append({variable: value, "holds": holds(value), "params": totals.params,
                         "macs": totals.macs, "activation_bytes": totals.activation_bytes,
                         "receptive_field": totals.receptive_field})  # fmt: skip
    columns: dict[str, str | Column] = {
        variable: variable,
        "holds": "Holds",
        "params": "Params",
        "macs": "MACs|k",
        "activation_bytes": "Memory|B",
        "receptive_field": Column("receptive_field", "Field", "right", sizes_text),
    }
    return tabulate(
        rows,
        columns,
        title=f"{source}: {condition.strip()} turns at {variable} = {found}",
        document={"variable": variable, "value": found, "condition": condition, "around": rows},
    )


def input_sizes(network: Network) -> Report:
    """Return the smallest input, those at which no layer drops a cell, and flattened lengths."""
    from convcli.net.solving import dropped, in_features, lossless_inputs, smallest_input

    trace = network.trace()
    smallest = smallest_input(network)
    lossless = lossless_inputs(network)
    lost = {step.name: cells for step in trace.steps if any(cells := dropped(step))}
    flat = in_features(trace)
    now = shape_text(network.input_shape)
    notes = [
        f"Smallest input: {shape_text(smallest)}.",
        f"Nothing dropped at these heights and widths alike: {_listed(lossless)}."
        if lossless
        else "No size from half to twice the input's loses nothing.",
        f"At {now} these layers never read the last cells of their input (per axis): "
        + ", ".join(f"{name} {shape_text(cells)}" for name, cells in lost.items())
        + "."
        if lost
        else f"At {now} no layer drops a cell.",
        *(f"in_features behind {name}: {product} = {count:,}." for name, count, product in flat),
    ]
    return Report(
        f"Input sizes for {network.name}",
        (),
        (),
        notes=tuple(notes),
        document={
            "name": network.name,
            "input": network.input_shape,
            "smallest": smallest,
            "lossless": lossless,
            "dropped": lost,
            "in_features": {name: count for name, count, _ in flat},
        },
    )


def _listed(numbers: tuple[int, ...]) -> str:
    """Return the numbers, a long even row of them by its ends and its step."""
    steps = {after - before for before, after in pairwise(numbers)}
    if len(numbers) > 6 and len(steps) == 1:
        return f"{numbers[0]}, {numbers[1]} ... {numbers[-1]} (every {steps.pop()})"
    return ", ".join(map(str, numbers))


def flops_report() -> Report:
    """Return the rules by which `flops` counts, one row for each kind of work."""
    return tabulate(
        [rule._asdict() for rule in flops_table()],
        {"work": "Work", "operations": "FLOPs|", "per": "For each", "made_of": "Made of"},
        title="Floating-point operations, by kind of work",
        notes=["k is the number of cells in a window."],
    )


def selftest_report(checks: Sequence[SelfCheck]) -> Report:
    """Return how many figures were checked and hold, by group, and each that does not."""
    rows = []
    for group in dict.fromkeys(one.group for one in checks):
        own = [one for one in checks if one.group == group]
        cases = len({one.name for one in own})
        rows.append({"group": group, "cases": cases, "figures": len(own), "hold": _holding(own)})
    failed = [one for one in checks if not one.holds]
    return tabulate(
        rows,
        {"group": "Group", "cases": "Cases", "figures": "Figures", "hold": "Hold"},
        title="Figures that ship, against what others computed",
        totals={
            "group": "total",
            "cases": sum(row["cases"] for row in rows),
            "figures": len(checks),
            "hold": _holding(checks),
        },
        notes=[
            f"{one.name} {one.figure}: {one.got}, and {one.source} says {one.expected}"
            for one in failed
        ],
        document={
            "figures": len(checks),
            "hold": _holding(checks),
            "failed": [one._asdict() for one in failed],
        },
    )


def _holding(checks: Sequence[SelfCheck]) -> int:
    return sum(check.holds for check in checks)
