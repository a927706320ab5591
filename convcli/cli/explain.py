"""`convcli explain`: the arithmetic behind one number, with the reader's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convcli.cli.options import ImageArgument, ModelArgument, Output, load_probe, load_sample, takes
from convcli.errors import UsageError
from convcli.option import option, parse_place

if TYPE_CHECKING:
    from convcli.inspect.probe import Probe

EXAMPLE = "Example: convcli explain "
HELP = "The arithmetic behind one number, term by term, with your own numbers."

MatrixArgument = Annotated[
    str, typer.Argument(help='Rows such as "1 2; 3 4", or a text file of rows.', metavar="MATRIX")
]
NumbersArgument = Annotated[
    str, typer.Argument(help='Numbers such as "0.2 1.5 -1".', metavar="NUMBERS")
]
CellOption = Annotated[
    str,
    typer.Option(
        "--at", metavar="LAYER:ROW,COL", help="A cell of a layer's output; LAYER:UNIT of a vector."
    ),
]
CELL: dict[str, Any] = {"metavar": "ROW,COL", "default": "0,0"}
AT = "The output cell to explain, from 0."
CHANNEL: dict[str, Any] = {"help": "Of a map, from 0.", "min": 0, "default": 0}
TERMS: dict[str, Any] = {
    "help": "Most terms printed, the largest; JSON has all.",
    "min": 1,
    "default": 20,
}


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    conv = '"3 0 1; 1 5 8; 2 7 2" --kernel "1 0 -1; 1 0 -1; 1 0 -1"'
    explain = typer.Typer(help=HELP, no_args_is_help=True, epilog=f"{EXAMPLE}conv {conv}")
    for command, example in (
        (explain_conv, '"1 2 3; 4 5 6; 7 8 9" --kernel "1 0; 0 -1" --at 1,0'),
        (explain_pool, '"2 3 1 9; 4 7 3 5; 8 2 2 2; 1 3 4 5" --size 2'),
        (explain_dense, '"1 2 3" --weights "0.5 -1 2" --bias 0.1'),
        (explain_softmax, '"2 1 0.1" --target 0'),
        (explain_adam, '"0.5 0.4 -0.1" --weight 1 --lr 0.1'),
        (explain_forward, "runs/mnist digit.png --at conv1:10,12 --channel 3"),
        (explain_backward, "runs/mnist digit.png --at maxpool1:3,3 --class 7"),
    ):
        name = command.__name__.removeprefix("explain_")
        explain.command(name, epilog=f"{EXAMPLE}{name} {example}")(command)
    app.add_typer(explain, name="explain")


@takes(out=Output)
def explain_conv(
    matrix: MatrixArgument,
    kernel: Annotated[
        str, typer.Option("-k", "--kernel", help="Rows of the kernel, or a kernel's name.")
    ],
    *,
    at: str = option(AT, **CELL),
    stride: int = option("Step of the kernel in cells.", min=1, default=1),
    padding: int = option("Zeros on every side.", min=0, default=0),
    dilation: int = option("Distance of the taps in cells.", min=1, default=1),
    backward: bool = option("Also one weight's and one input's gradient.", default=False),
    gradient: str | None = option("Rows of dL/doutput for --backward.", show_default="all ones"),
    weight: str = option("The kernel cell for --backward.", **CELL),
    cell: str = option("The input cell for --backward.", **CELL),
    out: Output,
) -> None:
    """One output cell of a convolution, the whole output, and the same as a matrix product."""
    from convcli.inspect.arithmetic import Sliding
    from convcli.present.sums import conv_report

    weights, offset = _kernel(kernel)
    slide = Sliding(_rows(matrix, "The matrix"), weights, stride, padding, dilation, offset)
    gradients = {}
    if backward:
        height, width = slide.output_hw
        ones = [[1.0] * width] * height
        upstream = ones if gradient is None else _rows(gradient, "--gradient")
        gradients = {
            "weight_gradient": slide.weight_gradient(*_cell(weight, "--weight"), upstream),
            "input_gradient": slide.input_gradient(*_cell(cell, "--cell"), upstream),
        }
    out.emit(conv_report(slide, _cell(at, "--at"), gradients))


@takes(out=Output)
def explain_pool(
    matrix: MatrixArgument,
    *,
    kind: Literal["max", "avg"] = option("What the window keeps.", default="max"),
    size: int = option("Side of the window in cells.", min=1, default=2),
    stride: int | None = option("Step of the window.", min=1, show_default="the size"),
    at: str = option(AT, **CELL),
    gradient: float = option("dL/doutput of that cell, to follow its way back.", default=1.0),
    out: Output,
) -> None:
    """One pooling window: what it reads, what it keeps, and which inputs get the gradient."""
    from convcli.inspect.arithmetic import pooling_window
    from convcli.present.sums import pool_report

    place = _cell(at, "--at")
    window = pooling_window(_rows(matrix, "The matrix"), size, stride or size, *place, kind)
    out.emit(pool_report(window, place, kind, gradient))


@takes(out=Output)
def explain_dense(
    inputs: NumbersArgument,
    weights: Annotated[str, typer.Option(help="One weight per input.", metavar="NUMBERS")],
    *,
    bias: float = option("Added once.", default=0.0),
    activation: Literal["none", "relu", "sigmoid", "tanh"] = option(
        "Applied to the sum.", default="none"
    ),
    out: Output,
) -> None:
    """One dense unit: inputs times weights plus bias, then its activation."""
    from convcli.inspect.arithmetic import activate, dense_unit
    from convcli.present.sums import dense_report

    unit = dense_unit(_numbers(inputs, "The row of inputs"), _numbers(weights, "--weights"), bias)
    out.emit(dense_report(unit, activation, activate(activation, unit.total)))


@takes(out=Output)
def explain_softmax(
    logits: NumbersArgument,
    *,
    target: int = option("The true class, from 0.", min=0, default=0),
    out: Output,
) -> None:
    """Softmax and cross-entropy of one sample, and the gradient that starts the way back."""
    from convcli.inspect.arithmetic import softmax_cross_entropy
    from convcli.present.sums import softmax_report

    out.emit(softmax_report(softmax_cross_entropy(_numbers(logits, "The row of logits"), target)))


@takes(out=Output)
def explain_adam(
    gradients: NumbersArgument,
    *,
    weight: float = option("The weight before the first step.", default=0.0),
    lr: float = option("The learning rate.", default=0.001),
    beta1: float = option("Memory of the mean.", min=0, max=0.999999, default=0.9),
    beta2: float = option("Memory of the mean square.", min=0, max=0.999999, default=0.999),
    epsilon: float = option("Keeps the division finite.", min=0, default=1e-8),
    out: Output,
) -> None:
    """Adam's steps of one weight: both averages, their corrections, and the change."""
    from convcli.inspect.arithmetic import adam_steps
    from convcli.present.sums import adam_report

    numbers = _numbers(gradients, "The row of gradients")
    out.emit(adam_report(adam_steps(weight, numbers, lr, beta1, beta2, epsilon)))


@takes(out=Output)
def explain_forward(
    model: ModelArgument,
    image: ImageArgument,
    at: CellOption,
    *,
    channel: int = option(**CHANNEL),
    terms: int = option(**TERMS),
    out: Output,
) -> None:
    """One number of a model's layer: every input times its weight, bias, activation."""
    from convcli.inspect.unit import forward_unit
    from convcli.present.sums import forward_report

    probe, sample, layer, place = _asked(model, image, at)
    out.emit(forward_report(forward_unit(probe, sample, layer, place, channel), terms))


@takes(out=Output)
def explain_backward(
    model: ModelArgument,
    image: ImageArgument,
    at: CellOption,
    *,
    channel: int = option(**CHANNEL),
    class_: str | None = option("The class taken for the truth.", show_default="the likeliest"),
    terms: int = option(**TERMS),
    out: Output,
) -> None:
    """What the loss tells one cell, and what the cell passes on to its inputs and weights."""
    from convcli.inspect.unit import backward_unit
    from convcli.present.sums import backward_report

    probe, sample, layer, place = _asked(model, image, at)
    label = None if class_ is None else probe.class_index(class_, sample)
    found = backward_unit(probe, sample, layer, place, channel, label)
    out.emit(backward_report(found, probe.trained.class_names[found.label], terms))


def _asked(model: Any, image: str, at: str) -> tuple[Probe, Any, str, tuple[int, ...]]:
    """Return model, sample, layer and place that the words mean."""
    layer, place = parse_place(at)
    if layer is None:
        raise UsageError(f"--at {at} names no layer. Write LAYER:ROW,COL, such as conv1:{at}.")
    probe = load_probe(model)
    return probe, load_sample(probe, image), layer, place


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


def _cell(text: str, option: str) -> tuple[int, int]:
    _, (row, column) = parse_place(text, option, layers=False)
    return row, column
