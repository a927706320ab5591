"""`convcli explain`: the arithmetic behind one number, with the reader's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from convcli.cli.console import emit
from convcli.cli.explain_model import register as register_model
from convcli.cli.options import FormatOption
from convcli.cli.sum_reports import place_text, sum_document, sum_report
from convcli.errors import UsageError
from convcli.report import Column, Report

explain = typer.Typer(
    help="The arithmetic behind one number, term by term, with your own numbers.",
    no_args_is_help=True,
    epilog='Example: convcli explain conv "3 0 1; 1 5 8; 2 7 2" --kernel "1 0 -1; 1 0 -1; 1 0 -1"',
)

MatrixArgument = Annotated[
    str, typer.Argument(help='Rows such as "1 2; 3 4", or a text file of rows.', metavar="MATRIX")
]
NumbersArgument = Annotated[
    str, typer.Argument(help='Numbers such as "0.2 1.5 -1".', metavar="NUMBERS")
]
AtOption = Annotated[
    str, typer.Option("--at", help="The output cell to explain, ROW,COL from 0.", metavar="ROW,COL")
]


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    app.add_typer(explain, name="explain")


@explain.command(
    "conv",
    epilog='Example: convcli explain conv "1 2 3; 4 5 6; 7 8 9" --kernel "1 0; 0 -1" --at 1,0',
)
def explain_conv(
    matrix: MatrixArgument,
    kernel: Annotated[
        str, typer.Option("-k", "--kernel", help="Rows of the kernel, or a kernel's name.")
    ],
    at: AtOption = "0,0",
    stride: Annotated[int, typer.Option(min=1, help="Step of the kernel in cells.")] = 1,
    padding: Annotated[int, typer.Option(min=0, help="Zeros on every side.")] = 0,
    dilation: Annotated[int, typer.Option(min=1, help="Distance of the taps in cells.")] = 1,
    backward: Annotated[
        bool, typer.Option("--backward", help="Also one weight's and one input's gradient.")
    ] = False,
    gradient: Annotated[
        str | None,
        typer.Option(help="Rows of dL/doutput for --backward.", show_default="all ones"),
    ] = None,
    weight: Annotated[
        str, typer.Option(help="The kernel cell for --backward.", metavar="ROW,COL")
    ] = "0,0",
    cell: Annotated[
        str, typer.Option(help="The input cell for --backward.", metavar="ROW,COL")
    ] = "0,0",
    style: FormatOption = None,
) -> None:
    """One output cell of a convolution, the whole output, and the same as a matrix product."""
    from convcli.inspect.arithmetic import Sliding

    weights, offset = _kernel(kernel)
    slide = Sliding(_rows(matrix, "The matrix"), weights, stride, padding, dilation, offset)
    row, column = _place(at, "--at")
    one = slide.cell(row, column)
    patches = slide.patches()
    document: dict[str, Any] = {
        "output": slide.output(),
        **sum_document(one),
        "patches": patches,
        "kernel_column": [number for line in slide.kernel for number in line],
    }
    parts = [
        _grid("The whole output", slide.output(), mark=(row, column)),
        _product_report(slide.output_hw, patches, document["kernel_column"], offset),
    ]
    if backward:
        height, width = slide.output_hw
        ones = [[1.0] * width] * height
        upstream = ones if gradient is None else _rows(gradient, "--gradient")
        sums = {
            "weight_gradient": slide.weight_gradient(*_place(weight, "--weight"), upstream),
            "input_gradient": slide.input_gradient(*_place(cell, "--cell"), upstream),
        }
        document |= {name: sum_document(value) for name, value in sums.items()}
        parts += [sum_report(value) for value in sums.values()]
    emit(sum_report(one, document, tuple(parts)), style)


@explain.command(
    "pool", epilog='Example: convcli explain pool "2 3 1 9; 4 7 3 5; 8 2 2 2; 1 3 4 5" --size 2'
)
def explain_pool(
    matrix: MatrixArgument,
    kind: Annotated[Literal["max", "avg"], typer.Option(help="What the window keeps.")] = "max",
    size: Annotated[int, typer.Option(min=1, help="Side of the window in cells.")] = 2,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Step of the window.", show_default="the size")
    ] = None,
    at: AtOption = "0,0",
    gradient: Annotated[
        float, typer.Option(help="dL/doutput of that cell, to follow its way back.")
    ] = 1.0,
    style: FormatOption = None,
) -> None:
    """One pooling window: what it reads, what it keeps, and which inputs get the gradient."""
    from convcli.inspect.arithmetic import pooling_window

    place = _place(at, "--at")
    window = pooling_window(_rows(matrix, "The matrix"), size, stride or size, *place, kind)
    columns = (
        Column("place", "from"),
        Column("value", "value", "right"),
        Column("gradient", "gradient", "right"),
    )
    backs = [share * gradient for share in window.shares]
    rows = tuple(zip(map(place_text, window.places), window.values, backs, strict=True))
    document = {
        "row": place[0],
        "col": place[1],
        "kind": kind,
        "result": window.result,
        "cells": [
            {"from": list(where), "value": value, "gradient": back}
            for where, value, back in zip(window.places, window.values, backs, strict=True)
        ],
    }
    note = (
        "Only the largest cell (the first of equals) receives the gradient."
        if kind == "max"
        else "Every cell receives an equal share of the gradient."
    )
    title = f"{kind} of the window at {place_text(place)} = {window.result:g}"
    emit(Report(title, columns, rows, None, (note,), document), style)


@explain.command(
    "dense", epilog='Example: convcli explain dense "1 2 3" --weights "0.5 -1 2" --bias 0.1'
)
def explain_dense(
    inputs: NumbersArgument,
    weights: Annotated[str, typer.Option(help="One weight per input.", metavar="NUMBERS")],
    bias: Annotated[float, typer.Option(help="Added once.")] = 0.0,
    activation: Annotated[
        Literal["none", "relu", "sigmoid", "tanh"], typer.Option(help="Applied to the sum.")
    ] = "none",
    style: FormatOption = None,
) -> None:
    """One dense unit: inputs times weights plus bias, then its activation."""
    from convcli.inspect.arithmetic import activate, dense_unit

    unit = dense_unit(_numbers(inputs, "The row of inputs"), _numbers(weights, "--weights"), bias)
    output = activate(activation, unit.total)
    document = {**sum_document(unit), "activation": activation, "output": output}
    note = f"{activation}({unit.total:g}) = {output:g}" if activation != "none" else ""
    emit(sum_report(unit, document, (), (note,) if note else ()), style)


@explain.command("softmax", epilog='Example: convcli explain softmax "2 1 0.1" --target 0')
def explain_softmax(
    logits: NumbersArgument,
    target: Annotated[int, typer.Option(min=0, help="The true class, from 0.")] = 0,
    style: FormatOption = None,
) -> None:
    """Softmax and cross-entropy of one sample, and the gradient that starts the way back."""
    from convcli.inspect.arithmetic import softmax_cross_entropy

    step = softmax_cross_entropy(_numbers(logits, "The row of logits"), target)
    columns = (
        Column("class", "class", "right"),
        Column("logit", "logit", "right"),
        Column("exponential", "exp(logit - max)", "right"),
        Column("probability", "probability", "right"),
        Column("gradient", "gradient", "right"),
    )
    rows = tuple(
        zip(
            range(len(step.logits)),
            step.logits,
            step.exponentials,
            step.probabilities,
            step.gradient,
            strict=True,
        )
    )
    totals = (None, None, sum(step.exponentials), sum(step.probabilities), sum(step.gradient))
    notes = (
        f"loss = -log({step.probabilities[target]:.4g}) = {step.loss:.4g} (class {target} is true)",
        "gradient = probability - 1 for the true class, probability for the others.",
    )
    document = {
        "target": target,
        "loss": step.loss,
        "logits": step.logits,
        "probabilities": step.probabilities,
        "gradient": step.gradient,
    }
    emit(Report("Softmax and cross-entropy", columns, rows, totals, notes, document), style)


@explain.command("adam", epilog='Example: convcli explain adam "0.5 0.4 -0.1" --weight 1 --lr 0.1')
def explain_adam(
    gradients: NumbersArgument,
    weight: Annotated[float, typer.Option(help="The weight before the first step.")] = 0.0,
    lr: Annotated[float, typer.Option(help="The learning rate.")] = 0.001,
    beta1: Annotated[float, typer.Option(min=0, max=0.999999, help="Memory of the mean.")] = 0.9,
    beta2: Annotated[
        float, typer.Option(min=0, max=0.999999, help="Memory of the mean square.")
    ] = 0.999,
    epsilon: Annotated[float, typer.Option(min=0, help="Keeps the division finite.")] = 1e-8,
    style: FormatOption = None,
) -> None:
    """Adam's steps of one weight: both averages, their corrections, and the change."""
    from dataclasses import asdict

    from convcli.inspect.arithmetic import adam_steps

    steps = adam_steps(
        weight, _numbers(gradients, "The row of gradients"), lr, beta1, beta2, epsilon
    )
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
    emit(Report("Adam, step by step", columns, rows, None, notes, records), style)


def _rows(text: str, what: str) -> tuple[tuple[float, ...], ...]:
    """Return the rows of a matrix given as text or as a file of text."""
    from convcli.kernels import parse_numbers

    path = Path(text)
    if ";" not in text and "\n" not in text and path.suffix and path.is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
    rows, divisor = parse_numbers(text, what)
    return tuple(tuple(number / divisor for number in line) for line in rows)


def _kernel(text: str) -> tuple[tuple[tuple[float, ...], ...], float]:
    """Return the rows and the offset of a kernel given by name or as rows."""
    from convcli.kernels import Kernel, find

    kernel = find(text)
    if not isinstance(kernel, Kernel):
        raise UsageError(f"{text} is made of several kernels; explain one, such as {text}-x.")
    rows = tuple(tuple(number / kernel.divisor for number in line) for line in kernel.rows)
    return rows, float(kernel.offset)


def _numbers(text: str, what: str) -> tuple[float, ...]:
    rows = _rows(text, what)
    if len(rows) != 1:
        raise UsageError(f"{what}: one row of numbers is needed; {len(rows)} rows were given.")
    return rows[0]


def _place(text: str, option: str) -> tuple[int, int]:
    """Return ROW,COL as two integers."""
    words = text.split(",")
    if len(words) != 2 or not all(word.strip().isdigit() for word in words):
        raise UsageError(f"{option} {text} is not ROW,COL: two whole numbers from 0, as in 2,3.")
    return int(words[0]), int(words[1])


def _grid(title: str, rows: list[list[float]], mark: tuple[int, int]) -> Report:
    """Return a matrix as a table whose explained cell stands in brackets."""
    columns = tuple(Column(str(x), str(x), "right", str) for x in range(len(rows[0])))
    cells = tuple(
        tuple(f"[{cell:g}]" if (y, x) == mark else f"{cell:g}" for x, cell in enumerate(line))
        for y, line in enumerate(rows)
    )
    return Report(title, columns, cells)


def _product_report(
    output_hw: tuple[int, int],
    patches: list[list[float]],
    kernel_column: list[float],
    offset: float,
) -> Report:
    """Return the convolution as a matrix product: unrolled patches times the kernel column."""
    _, width = output_hw
    columns = (Column("cell", "output"), Column("patch", "patch, row by row", "left", str))
    shown = 16
    rows = tuple(
        (f"{index // width},{index % width}", "  ".join(f"{number:g}" for number in patch))
        for index, patch in enumerate(patches[:shown])
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


register_model(explain)
