"""`convcli explain`: the arithmetic behind one number, with the reader's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convcli.cli.console import emit
from convcli.cli.options import FormatOption, ImageArgument, ModelArgument, load_probe, load_sample
from convcli.errors import UsageError
from convcli.option import parse_place

if TYPE_CHECKING:
    from convcli.inspect.probe import Probe

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


CellOption = Annotated[
    str,
    typer.Option(
        "--at", metavar="LAYER:ROW,COL", help="A cell of a layer's output; LAYER:UNIT of a vector."
    ),
]
ChannelOption = Annotated[int, typer.Option("--channel", min=0, help="Of a map, from 0.")]
TermsOption = Annotated[
    int, typer.Option("--terms", min=1, help="Most terms printed, the largest; JSON has all.")
]

FORWARD_EXAMPLES = """Examples:

  convcli explain forward runs/mnist digit.png --at conv1:10,12 --channel 3

  convcli explain forward model.safetensors digit.png --at dense2:7 --format json
"""
BACKWARD_EXAMPLES = """Examples:

  convcli explain backward runs/mnist digit.png --at conv2:5,5 --channel 8

  convcli explain backward model.safetensors digit.png --at maxpool1:3,3 --class 7
"""


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
    emit(conv_report(slide, _cell(at, "--at"), gradients), style)


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
    from convcli.present.sums import pool_report

    place = _cell(at, "--at")
    window = pooling_window(_rows(matrix, "The matrix"), size, stride or size, *place, kind)
    emit(pool_report(window, place, kind, gradient), style)


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
    from convcli.present.sums import dense_report

    unit = dense_unit(_numbers(inputs, "The row of inputs"), _numbers(weights, "--weights"), bias)
    emit(dense_report(unit, activation, activate(activation, unit.total)), style)


@explain.command("softmax", epilog='Example: convcli explain softmax "2 1 0.1" --target 0')
def explain_softmax(
    logits: NumbersArgument,
    target: Annotated[int, typer.Option(min=0, help="The true class, from 0.")] = 0,
    style: FormatOption = None,
) -> None:
    """Softmax and cross-entropy of one sample, and the gradient that starts the way back."""
    from convcli.inspect.arithmetic import softmax_cross_entropy
    from convcli.present.sums import softmax_report

    numbers = _numbers(logits, "The row of logits")
    emit(softmax_report(softmax_cross_entropy(numbers, target)), style)


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
    from convcli.inspect.arithmetic import adam_steps
    from convcli.present.sums import adam_report

    numbers = _numbers(gradients, "The row of gradients")
    emit(adam_report(adam_steps(weight, numbers, lr, beta1, beta2, epsilon)), style)


@explain.command("forward", epilog=FORWARD_EXAMPLES)
def explain_forward(
    model: ModelArgument,
    image: ImageArgument,
    at: CellOption,
    channel: ChannelOption = 0,
    terms: TermsOption = 20,
    style: FormatOption = None,
) -> None:
    """One number of a model's layer: every input times its weight, bias, activation."""
    from convcli.inspect.unit import forward_unit
    from convcli.present.sums import forward_report

    probe, sample, layer, place = _asked(model, image, at)
    found = forward_unit(probe, sample, layer, place, channel)
    emit(forward_report(found, terms), style)


@explain.command("backward", epilog=BACKWARD_EXAMPLES)
def explain_backward(
    model: ModelArgument,
    image: ImageArgument,
    at: CellOption,
    channel: ChannelOption = 0,
    class_: Annotated[
        str | None,
        typer.Option(
            "--class", help="The class taken for the truth.", show_default="the likeliest"
        ),
    ] = None,
    terms: TermsOption = 20,
    style: FormatOption = None,
) -> None:
    """What the loss tells one cell, and what the cell hands on to its inputs and weights."""
    from convcli.inspect.unit import backward_unit
    from convcli.present.sums import backward_report

    probe, sample, layer, place = _asked(model, image, at)
    label = None if class_ is None else probe.class_index(class_, sample)
    found = backward_unit(probe, sample, layer, place, channel, label)
    emit(backward_report(found, probe.trained.class_names[found.label], terms), style)


def _asked(model: Any, image: str, at: str) -> tuple[Probe, Any, str, tuple[int, ...]]:
    """Return model, sample, layer and place that the words mean."""
    from convcli.option import parse_place

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
