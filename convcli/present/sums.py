"""Sums and their terms, for people and for programs: convolution, pooling, units, softmax, Adam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from convcli.report import Column, Report, tabulate
from convcli.sums import Sum, Term

if TYPE_CHECKING:
    from convcli.imaging.explanation import Explanation
    from convcli.inspect.arithmetic import AdamStep, BatchNorm, PoolingWindow, Sliding, SoftmaxLoss
    from convcli.inspect.unit import Backward, Forward, Share

PATCHES_SHOWN = 16
LAYER_COLUMNS_SHOWN = 36


def place_text(place: Sequence[int] | str | None) -> str:
    """Return a place with commas, `padding` for None.

    >>> place_text((3, 4)), place_text(None)
    ('3,4', 'padding')
    """
    if isinstance(place, str):
        return place
    return "padding" if place is None else ",".join(map(str, place))


FROM = Column("from", "From", text=place_text)


def _number(value: float | None) -> str:
    """Return a number, never a negative zero; nothing for None."""
    return "" if value is None else f"{value + 0.0:g}"


PRODUCTS: dict[str, str | Column] = {
    "from": FROM,
    "value": Column("value", "Value", "right", _number),
    "weight": Column("weight", "Weight", "right", _number),
    "product": Column("product", "Product", "right", _number),
}


def sum_document(value: Sum) -> dict[str, Any]:
    terms = [_term(term) for term in value.terms]
    return {"name": value.name, "terms": terms, "bias": value.bias, "sum": value.total}


def _term(term: Term) -> dict[str, Any]:
    return {
        "value": term.value,
        "weight": term.weight,
        "product": term.product + 0.0,  # never a negative zero
        "from": term.place,
    }


def sum_report(
    value: Sum,
    document: Any = None,
    parts: Sequence[Report] = (),
    notes: Sequence[str] = (),
    *,
    most: int | None = None,
) -> Report:
    """Return the table of one sum, its total under the products.

    Args:
        value: the sum.
        document: what JSON prints.
        parts: further tables.
        notes: sentences below.
        most: only so many terms, the largest products first, and one row for all others.
    """
    terms: Sequence[Term] = value.terms
    rest = []
    if most is not None and len(terms) > most:
        terms = sorted(terms, key=lambda term: -abs(term.product))
        others = terms[most:]
        terms = terms[:most]
        left = sum(term.product for term in others)
        rest = [{"from": f"{len(others)} others", "product": left}]
    if value.bias:
        rest.append({"from": "bias", "product": value.bias})
    return tabulate(
        [*map(_term, terms), *rest],
        PRODUCTS,
        title=f"{value.name} = {value.total:g}",
        totals={"from": "sum", "product": value.total},
        notes=notes,
        document=document,
        parts=parts,
    )


def conv_report(
    slide: Sliding,
    at: tuple[int, int],
    gradients: dict[str, Sum],
    *,
    as_layer: bool = False,
    notes: Sequence[str] = (),
) -> Report:
    """Return one cell, the whole output, the matrix product, and gradients by their JSON field.

    `as_layer` adds the dense layer that does the same.
    """
    one, output, patches = slide.cell(*at), slide.output(), slide.patches()
    kernel_column = [number for plane in slide.kernels for line in plane for number in line]
    document = {
        "output": output,
        **sum_document(one),
        "patches": patches,
        "kernel_column": kernel_column,
        **{name: sum_document(value) for name, value in gradients.items()},
    }
    parts = [
        _grid("The whole output", output, at),
        _product_report(slide.output_hw[1], patches, kernel_column, slide.bias),
        *map(sum_report, gradients.values()),
    ]
    if as_layer:
        document["layer"], tables = _layer(slide.layer(), len(kernel_column))
        parts += tables
    return sum_report(one, document, parts, notes)


def _layer(matrix: list[list[float]], weights: int) -> tuple[dict[str, Any], list[Report]]:
    """Return a convolution as a dense layer: its banded matrix, and what a dense one has more."""
    outputs, inputs = len(matrix), len(matrix[0])
    wires = sum(cell != 0 for line in matrix for cell in line)
    document = {
        "matrix": matrix,
        "wires": wires,
        "dense_wires": outputs * inputs,
        "weights": weights,
        "dense_weights": outputs * inputs,
    }
    tables = []
    if outputs <= PATCHES_SHOWN and inputs <= LAYER_COLUMNS_SHOWN:
        columns = tuple(Column(str(x), str(x), "right", str) for x in range(inputs))
        rows = tuple(tuple(_number(cell) if cell else "." for cell in line) for line in matrix)
        title = f"The same as a dense layer: {outputs}x{inputs}, output cells by input cells"
        told = (
            "The same weights in each row, moved on: equal along the diagonals. Dots are no wires."
        )
        tables.append(Report(title, columns, rows, notes=(told,), name="layer"))
    counts = tabulate(
        [
            {"layer": "convolution", "wires": wires, "weights": weights},
            {"layer": "dense", "wires": outputs * inputs, "weights": outputs * inputs},
        ],
        {
            "layer": "Layer",
            "wires": Column("wires", "Wires", "right", "{:,}".format),
            "weights": Column("weights", "Weights", "right", "{:,}".format),
        },
        title="Sparse connections, shared weights",
        name="sharing",
        notes=["Weights without biases; wires of weight 0 are not counted."],
    )
    return document, [*tables, counts]


def _grid(title: str, rows: list[list[float]], mark: tuple[int, int]) -> Report:
    """Return a matrix as a table whose explained cell stands in brackets."""
    columns = tuple(Column(str(x), str(x), "right", str) for x in range(len(rows[0])))
    cells = tuple(
        tuple(
            f"[{_number(cell)}]" if (y, x) == mark else _number(cell) for x, cell in enumerate(line)
        )
        for y, line in enumerate(rows)
    )
    return Report(title, columns, cells, name="output")


def _product_report(
    width: int, patches: list[list[float]], kernel_column: list[float], offset: float
) -> Report:
    """Return the convolution as a matrix product: unrolled patches times the kernel column."""

    def row(numbers: list[float]) -> str:
        return "  ".join(map(_number, numbers))

    shown = patches[:PATCHES_SHOWN]
    left = len(patches) - len(shown)
    return tabulate(
        [
            {"cell": place_text(divmod(index, width)), "patch": row(patch)}
            for index, patch in enumerate(shown)
        ],
        {"cell": "Output", "patch": "Patch, row by row"},
        title=f"The same as a matrix product: {len(patches)}x{len(kernel_column)} times "
        f"{len(kernel_column)}x1",
        name="product",
        notes=[
            *([f"... and {left} more rows; --format json has all."] if left else []),
            f"times the kernel as a column: {row(kernel_column)}",
            *([f"plus the kernel's offset of {offset:g}, the bias"] if offset else []),
        ],
    )


def pool_report(
    window: PoolingWindow,
    at: tuple[int, int],
    kind: str,
    gradient: float,
    output: list[list[float]],
) -> Report:
    backs = [share * gradient for share in window.shares]
    document = {
        "row": at[0],
        "col": at[1],
        "kind": kind,
        "result": window.result,
        "output": output,
    }
    note = (
        "Only the largest cell (the first of equals) receives the gradient."
        if kind == "max"
        else "Every cell receives an equal share of the gradient."
    )
    title = f"{kind} of the window at {place_text(at)} = {window.result:g}"
    one = _window_report(title, window, "gradient", backs, document, (note,))
    return replace(one, parts=(*one.parts, _grid("The whole output", output, at)))


def _window_report(
    title: str,
    window: PoolingWindow,
    what: str,
    numbers: Sequence[float],
    document: dict[str, Any],
    notes: tuple[str, ...] = (),
) -> Report:
    """Return what a pooling window reads, and a number beside each cell."""
    cells = [
        {"from": place, "value": value, what: number}
        for place, value, number in zip(window.places, window.values, numbers, strict=True)
    ]
    columns: dict[str, str | Column] = {"from": FROM, "value": "Value", what: what.capitalize()}
    return tabulate(cells, columns, title=title, notes=notes, document=document | {"cells": cells})


def dense_report(unit: Sum, activation: str, output: float) -> Report:
    document = {**sum_document(unit), "activation": activation, "output": output}
    note = f"{activation}({unit.total:g}) = {output:g}"
    return sum_report(unit, document, notes=(note,) if activation != "none" else ())


def softmax_report(step: SoftmaxLoss) -> Report:
    columns = {
        "class": "Class",
        "logit": "Logit",
        "exponential": "exp(logit - max)",
        "probability": "Probability",
        "gradient": "Gradient",
    }
    numbers = step.logits, step.exponentials, step.probabilities, step.gradient
    rows = zip(range(len(step.logits)), *numbers, strict=True)
    sums = map(sum, numbers[1:])
    told = f"loss = -log({step.probabilities[step.target]:.4g}) = {step.loss:.4g}"
    return tabulate(
        [dict(zip(columns, row, strict=True)) for row in rows],
        columns,
        title="Softmax and cross-entropy",
        totals=dict(zip(("exponential", "probability", "gradient"), sums, strict=True)),
        notes=(
            f"{told} (class {step.target} is true)",
            "gradient = probability - 1 for the true class, probability for the others.",
        ),
        document={
            name: getattr(step, name)
            for name in ("target", "loss", "logits", "probabilities", "gradient")
        },
    )


def norm_report(found: BatchNorm, gamma: float, beta: float) -> Report:
    """Return every value's way through batch norm, and what a sigmoid's slope is at both ends."""
    columns = {
        "value": "Value|.4g",
        "centered": "Minus mean|.4g",
        "normalized": "Normalized|.4g",
        "output": "Output|.4g",
        "slope_before": "Sigmoid's slope before|.3g",
        "slope_after": "After|.3g",
    }
    count = len(found.values)
    slopes = [
        sum(getattr(one, name) for one in found.values) / count
        for name in ("slope_before", "slope_after")
    ]
    return tabulate(
        found.values,
        columns,
        title=f"Batch norm: mean {found.mean:.4g}, variance {found.variance:.4g}",
        notes=(
            "normalized = (value - mean) / sqrt(variance + epsilon): mean 0 and variance 1.",
            f"output = gamma x normalized + beta = {gamma:g} x normalized + {beta:g}; gamma and "
            "beta are learned. In use mean and variance are running averages of the training.",
            "The slope of a sigmoid is s x (1 - s), 0.25 in the middle and nearly 0 in its flat "
            f"parts, where nothing is learned: on average {slopes[0]:.3g} before, {slopes[1]:.3g} "
            "after.",
        ),
        document={
            "mean": found.mean,
            "variance": found.variance,
            **{name: [getattr(one, name) for one in found.values] for name in list(columns)[1:]},
        },
    )


def adam_report(steps: Sequence[AdamStep]) -> Report:
    columns = {
        "step": "Step",
        "gradient": "Gradient",
        "mean": "Mean",
        "square": "Mean square",
        "mean_corrected": "Corrected",
        "square_corrected": "Corrected square",
        "change": "Change",
        "weight": "Weight",
    }
    note = "change = -lr x corrected / (sqrt(corrected square) + epsilon)"
    return tabulate(steps, columns, title="Adam, step by step", notes=[note])


def forward_report(found: Forward, terms: int) -> Report:
    """Return how one number of a layer came about; of a sum, its `terms` largest."""
    document = _unit_document(found)
    activation = found.step.activation
    if isinstance(found.source, Sum):
        notes = [f"{activation}({found.before:.6g}) = {found.output:.6g}"] if activation else []
        document |= sum_document(found.source)
        return sum_report(found.source, document, notes=notes, most=terms)
    title = f"{found.step.name}[{place_text(found.place)}] = {found.output:.6g}"
    return _window_report(title, found.source, "share", found.source.shares, document)


def _unit_document(found: Forward) -> dict[str, Any]:
    return {
        "layer": found.step.name,
        "place": found.place,
        "before": found.before,
        "activation": found.step.activation,
        "output": found.output,
    }


def backward_report(found: Backward, truth: str, terms: int) -> Report:
    """Return what the loss tells one number, and what that hands on; `terms` rows of it."""
    forward = found.forward
    activation = forward.step.activation
    shown = sorted(found.shares, key=_size)[:terms]
    left = len(found.shares) - len(shown)
    learns = any(share.to_weight is not None for share in shown)
    columns: dict[str, str | Column] = {"from": FROM, "value": "Value"}
    if any(share.weight is not None for share in shown):
        columns["weight"] = "Weight"
    columns["to_input"] = "To the input"
    if learns:
        columns["to_weight"] = "To the weight"
    notes = [
        f"The loss is {found.loss:.4g}: -log of the probability of {truth}.",
        f"It tells this cell {found.upstream:.4g}"
        + (f", times {found.slope:.4g}, the slope of {activation}." if activation else "."),
        f"So {found.delta:.4g} goes back: {_ways(found, learns=learns)}.",
        *([f"{left} smaller rows are left out; see --terms."] if left > 0 else []),
        "An input adds up what all cells that read it send"
        + ("; a weight, all places it is used at." if learns else "."),
    ]
    document = {
        **_unit_document(forward),
        "class": truth,
        "loss": found.loss,
        "upstream": found.upstream,
        "slope": found.slope,
        "delta": found.delta,
        "shares": [_share(share) for share in found.shares],
    }
    name = f"{forward.step.name}[{place_text(forward.place)}]"
    title = f"What {name} = {forward.output:.6g} hands back"
    return tabulate(map(_share, shown), columns, title=title, notes=notes, document=document)


def _share(share: Share) -> dict[str, Any]:
    return {"from" if key == "place" else key: value for key, value in asdict(share).items()}


def _ways(found: Backward, *, learns: bool) -> str:
    """Return how a cell hands its gradient on."""
    if any(share.weight is not None for share in found.shares):
        return "times the weight to each input" + (", times the input to each weight" * learns)
    received = [share for share in found.shares if share.to_input]
    if len(received) == 1 < len(found.shares):
        return "all of it to the largest input"
    return "in equal shares to the inputs"


def _size(share: Share) -> float:
    """Return the sorting key that puts the largest gradients first."""
    return -max(abs(share.to_input), abs(share.to_weight or 0.0))


# ---- one filtered pixel -------------------------------------------------------------------------


def explanation_report(explanations: tuple[Explanation, ...]) -> Report:
    """Return one table a component, the rule under the last one of each channel."""
    first = explanations[0]
    parts: list[Report] = []
    for one in explanations:
        tables = [_component_report(component, one.border) for component in one.components]
        last = tables.pop() if tables else Report("", (), ())
        parts += [*tables, replace(last, notes=_conclusion(one, len(explanations)))]
    title = f"Output pixel {first.row},{first.column}"
    document = explanation_document(explanations)
    return Report(title, (), (), parts=tuple(parts), document=document)


def _component_report(component: Sum, border: str) -> Report:
    def where(term: Term) -> str:
        if term.place is None:
            return f"beyond ({border})"
        return place_text(term.place) + (f" ({border})" if term.is_beyond else "")

    return tabulate(
        [_term(term) | {"from": where(term)} for term in component.terms],
        PRODUCTS,
        title=component.name,
        totals={"from": "sum", "product": component.total},
    )


def _conclusion(one: Explanation, count: int) -> tuple[str, ...]:
    from convcli.imaging.matrices import number_text
    from convcli.imaging.views import channel_name

    name = "value" if one.channel is None else channel_name(one.channel, count)
    converted = f"{one.value_range}: the pixel becomes {number_text(one.pixel)}"
    steps = (f"{step}: {text}" for step, text, _ in one.steps)
    return (f"{name}: {one.rule}", *steps, *([] if one.pixel == one.value else [converted]))


def explanation_document(explanations: tuple[Explanation, ...]) -> dict[str, Any]:
    """Return the agreed fields; for several channels `sum` is null and `channels` has each."""
    from convcli.imaging.views import channel_name

    several = len(explanations) > 1
    first = explanations[0]
    channels = [
        {
            "channel": one.channel,
            "name": channel_name(one.channel or 0, len(explanations)),
            "sum": one.kernel_value,
            "pixel": one.pixel,
        }
        for one in explanations
    ]
    return {
        "row": first.row,
        "col": first.column,
        "channel": None if several else first.channel,
        "components": [
            {**sum_document(component), "channel": one.channel}
            for one in explanations
            for component in one.components
        ],
        "sum": None if several else first.kernel_value,
        "steps": [
            {"name": name, "rule": rule, "value": value, "channel": one.channel}
            for one in explanations
            for name, rule, value in one.steps
        ],
        "pixel": None if several else first.pixel,
        **({"channels": channels} if several else {}),
    }
