"""Sums and their terms, for people and for programs: convolution, pooling, units, softmax, Adam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convcli.report import Column, Report
from convcli.sums import Sum

if TYPE_CHECKING:
    from convcli.inspect.arithmetic import AdamStep, PoolingWindow, Sliding, SoftmaxLoss
    from convcli.inspect.unit import Backward, Forward, Share

PATCHES_SHOWN = 16

PRODUCTS = (
    Column("place", "from"),
    Column("value", "value", "right"),
    Column("weight", "weight", "right"),
    Column("product", "product", "right"),
)


def place_text(place: tuple[int, ...] | None) -> str:
    """Return a place with commas, `padding` for None.

    >>> place_text((3, 4)), place_text(None)
    ('3,4', 'padding')
    """
    return "padding" if place is None else ",".join(map(str, place))


def sum_document(value: Sum) -> dict[str, Any]:
    terms = [
        {
            "value": term.value,
            "weight": term.weight,
            "product": term.product,
            "from": None if term.place is None else list(term.place),
        }
        for term in value.terms
    ]
    return {"name": value.name, "terms": terms, "bias": value.bias, "sum": value.total}


def sum_report(
    value: Sum,
    document: Any = None,
    parts: tuple[Report, ...] = (),
    notes: tuple[str, ...] = (),
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
    terms: Sequence[Any] = value.terms
    rest = []
    if most is not None and len(terms) > most:
        terms = sorted(terms, key=lambda term: -abs(term.product))
        others = terms[most:]
        rest = [(f"{len(others)} others", None, None, sum(term.product for term in others))]
        terms = terms[:most]
    rows = [(place_text(term.place), term.value, term.weight, term.product) for term in terms]
    rows += rest
    if value.bias:
        rows.append(("bias", None, None, value.bias))
    title = f"{value.name} = {value.total:g}"
    return Report(
        title, PRODUCTS, tuple(rows), ("sum", None, None, value.total), notes, document, parts
    )


def conv_report(slide: Sliding, at: tuple[int, int], gradients: dict[str, Sum]) -> Report:
    """Return one cell, the whole output, the matrix product, and gradients by their JSON field."""
    one, output, patches = slide.cell(*at), slide.output(), slide.patches()
    kernel_column = [number for line in slide.kernel for number in line]
    document = {
        "output": output,
        **sum_document(one),
        "patches": patches,
        "kernel_column": kernel_column,
        **{name: sum_document(value) for name, value in gradients.items()},
    }
    parts = (
        _grid("The whole output", output, at),
        _product_report(slide.output_hw[1], patches, kernel_column, slide.bias),
        *map(sum_report, gradients.values()),
    )
    return sum_report(one, document, parts)


def _grid(title: str, rows: list[list[float]], mark: tuple[int, int]) -> Report:
    """Return a matrix as a table whose explained cell stands in brackets."""
    columns = tuple(Column(str(x), str(x), "right", str) for x in range(len(rows[0])))
    cells = tuple(
        tuple(f"[{cell:g}]" if (y, x) == mark else f"{cell:g}" for x, cell in enumerate(line))
        for y, line in enumerate(rows)
    )
    return Report(title, columns, cells)


def _product_report(
    width: int,
    patches: list[list[float]],
    kernel_column: list[float],
    offset: float,
) -> Report:
    """Return the convolution as a matrix product: unrolled patches times the kernel column."""
    columns = (Column("cell", "output"), Column("patch", "patch, row by row", "left", str))
    rows = tuple(
        (f"{index // width},{index % width}", "  ".join(f"{number:g}" for number in patch))
        for index, patch in enumerate(patches[:PATCHES_SHOWN])
    )
    left = len(patches) - len(rows)
    notes = (
        *((f"... and {left} more rows; --format json has all.",) if left else ()),
        "times the kernel as a column: " + "  ".join(f"{number:g}" for number in kernel_column),
        *((f"plus the kernel's offset of {offset:g}, the bias",) if offset else ()),
    )
    length = len(kernel_column)
    title = f"The same as a matrix product: {len(patches)}x{length} times {length}x1"
    return Report(title, columns, rows, None, notes)


def pool_report(window: PoolingWindow, at: tuple[int, int], kind: str, gradient: float) -> Report:
    backs = [share * gradient for share in window.shares]
    document = {"row": at[0], "col": at[1], "kind": kind, "result": window.result}
    note = (
        "Only the largest cell (the first of equals) receives the gradient."
        if kind == "max"
        else "Every cell receives an equal share of the gradient."
    )
    title = f"{kind} of the window at {place_text(at)} = {window.result:g}"
    return _window_report(title, window, "gradient", backs, document, (note,))


def _window_report(
    title: str,
    window: PoolingWindow,
    what: str,
    numbers: Sequence[float],
    document: dict[str, Any],
    notes: tuple[str, ...] = (),
) -> Report:
    """Return what a pooling window reads, and a number beside each cell."""
    columns = (
        Column("place", "from"),
        Column("value", "value", "right"),
        Column(what, what, "right"),
    )
    cells = list(zip(window.places, window.values, numbers, strict=True))
    rows = tuple((place_text(place), value, number) for place, value, number in cells)
    told = [{"from": list(p), "value": value, what: number} for p, value, number in cells]
    return Report(title, columns, rows, None, notes, {**document, "cells": told})


def dense_report(unit: Sum, activation: str, output: float) -> Report:
    document = {**sum_document(unit), "activation": activation, "output": output}
    note = f"{activation}({unit.total:g}) = {output:g}"
    return sum_report(unit, document, notes=(note,) if activation != "none" else ())


def softmax_report(step: SoftmaxLoss) -> Report:
    columns = (
        Column("class", "class", "right"),
        Column("logit", "logit", "right"),
        Column("exponential", "exp(logit - max)", "right"),
        Column("probability", "probability", "right"),
        Column("gradient", "gradient", "right"),
    )
    figures = step.logits, step.exponentials, step.probabilities, step.gradient
    rows = tuple(zip(range(len(step.logits)), *figures, strict=True))
    totals = (None, None, *(sum(one) for one in figures[1:]))
    told = f"loss = -log({step.probabilities[step.target]:.4g}) = {step.loss:.4g}"
    notes = (
        f"{told} (class {step.target} is true)",
        "gradient = probability - 1 for the true class, probability for the others.",
    )
    document = {
        name: getattr(step, name)
        for name in ("target", "loss", "logits", "probabilities", "gradient")
    }
    return Report("Softmax and cross-entropy", columns, rows, totals, notes, document)


def adam_report(steps: Sequence[AdamStep]) -> Report:
    headers = {
        "step": "step",
        "gradient": "gradient",
        "mean": "mean",
        "square": "mean square",
        "mean_corrected": "corrected",
        "square_corrected": "corrected square",
        "change": "change",
        "weight": "weight",
    }
    columns = tuple(Column(key, header, "right") for key, header in headers.items())
    records = [asdict(step) for step in steps]
    rows = tuple(tuple(record[key] for key in headers) for record in records)
    notes = ("change = -lr x corrected / (sqrt(corrected square) + epsilon)",)
    return Report("Adam, step by step", columns, rows, None, notes, records)


def forward_report(found: Forward, terms: int) -> Report:
    """Return how one number of a layer came about; of a sum, its `terms` largest."""
    document = _unit_document(found)
    activation = found.step.activation
    if isinstance(found.source, Sum):
        notes = [f"{activation}({found.before:.6g}) = {found.output:.6g}"] if activation else []
        document |= sum_document(found.source)
        return sum_report(found.source, document, notes=tuple(notes), most=terms)
    title = f"{found.step.name}[{place_text(found.place)}] = {found.output:.6g}"
    return _window_report(title, found.source, "share", found.source.shares, document)


def _unit_document(found: Forward) -> dict[str, Any]:
    return {
        "layer": found.step.name,
        "place": list(found.place),
        "before": found.before,
        "activation": found.step.activation,
        "output": found.output,
    }


def backward_report(found: Backward, truth: str, terms: int) -> Report:
    """Return what the loss tells one number, and what that hands on; `terms` rows of it."""
    forward = found.forward
    name = f"{forward.step.name}[{place_text(forward.place)}]"
    shares = sorted(found.shares, key=_size)[:terms]
    left = len(found.shares) - len(shares)
    columns = [Column("place", "from"), Column("value", "value", "right")]
    learns = any(share.to_weight is not None for share in shares)
    if any(share.weight is not None for share in shares):
        columns.append(Column("weight", "weight", "right"))
    columns.append(Column("to_input", "to the input", "right"))
    if learns:
        columns.append(Column("to_weight", "to the weight", "right"))
    keys = [column.key for column in columns[1:]]
    rows = tuple(
        (place_text(share.place), *(getattr(share, key) for key in keys)) for share in shares
    )
    activation = forward.step.activation
    notes = [
        f"The loss is {found.loss:.4g}: -log of the probability of {truth}.",
        f"It tells this cell {found.arrived:.4g}"
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
        "arrived": found.arrived,
        "slope": found.slope,
        "delta": found.delta,
        "shares": [
            {
                "from": None if share.place is None else list(share.place),
                "value": share.value,
                "weight": share.weight,
                "to_input": share.to_input,
                "to_weight": share.to_weight,
            }
            for share in found.shares
        ],
    }
    title = f"What {name} = {forward.output:.6g} hands back"
    return Report(title, tuple(columns), rows, None, tuple(notes), document)


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
