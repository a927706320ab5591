"""`convcli explain` and `lesson`: the arithmetic behind one number, and what to learn from it.

Explanations take the reader's own numbers; lessons run their commands here, and ask.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import convcli
from convcli.cli.options import (
    FileOutput,
    ImageArgument,
    ModelArgument,
    Output,
    SeedOption,
    ThreadsOption,
    refuse_without_effect,
    takes,
)
from convcli.cli.show import Drawing, content
from convcli.errors import UsageError
from convcli.option import option, parse_place
from convcli.present.look import SUFFIXES

if TYPE_CHECKING:
    from convcli.imaging.scenes import Scene
    from convcli.inspect.arithmetic import Sliding
    from convcli.sums import Sum

EXAMPLE = "Example: convcli explain "
HELP = "The arithmetic behind one number, term by term, with your own numbers."

MatrixArgument = Annotated[
    str, typer.Argument(help='Rows such as "1 2; 3 4", or a text file of rows.', metavar="MATRIX")
]
VolumeArgument = Annotated[
    str,
    typer.Argument(
        help='Rows such as "1 2; 3 4", "|" between channels; a text file of rows; or a picture, '
        "reduced to few gray pixels.",
        metavar="MATRIX",
    ),
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


@dataclass(frozen=True)
class PoolFilm:
    """Where a film of the calculation goes."""

    output: Path | None = option(
        "Write the calculation as a film, a scene for each output cell: .gif, .html, .webp, .png.",
        "-o",
        "--output",
        metavar="FILE",
    )
    seconds: float | None = option("How long a scene of the film is shown.", show_default="0.8")

    def write(self, scenes: Iterable[Scene], out: FileOutput) -> None:
        """Write the film and say where it is."""
        from convcli.present.film import SUFFIXES, save_film

        assert self.output is not None  # noqa: S101  (asked before)
        path = out.place(self.output, self.output, "", suffixes=SUFFIXES)
        seconds = 0.8 if self.seconds is None else self.seconds
        out.messages.say(save_film(list(scenes), path, seconds=seconds, force=out.force))

    def refuse(self) -> None:
        """Refuse what only a film has."""
        refuse_without_effect({"--seconds": self.seconds}, "with -o FILM")


@dataclass(frozen=True)
class Film(PoolFilm):
    """Where a film of a convolution goes, and which."""

    transposed: bool = option(
        "The film of the transposed convolution: each input cell stamps the kernel.",
        "--transposed",
        default=False,
    )
    both: bool = option(
        "The film of correlation above convolution, cell by cell.", "--both", default=False
    )

    def __post_init__(self) -> None:
        if self.transposed and self.both:
            raise UsageError("--transposed and --both are two films: ask for one.")

    def refuse(self) -> None:
        """Refuse what only a film has."""
        super().refuse()
        which = {"--transposed": self.transposed, "--both": self.both}
        refuse_without_effect(which, "with -o FILM")


@dataclass(frozen=True)
class Backward:
    """Which gradients of a convolution are explained too."""

    backward: bool = option("Also one weight's and one input's gradient.", default=False)
    gradient: str | None = option("Rows of dL/doutput for --backward.", show_default="all ones")
    weight: str = option("The kernel cell for --backward.", **CELL)
    cell: str = option("The input cell for --backward.", **CELL)

    def sums(self, slide: Sliding) -> dict[str, Sum]:
        """Return the gradients by their JSON field."""
        if not self.backward:
            return {}
        from convcli.api.explaining import rows_of

        height, width = slide.output_hw
        ones = [[1.0] * width] * height
        upstream = ones if self.gradient is None else rows_of(self.gradient, "--gradient")
        return {
            "weight_gradient": slide.weight_gradient(*_cell(self.weight, "--weight"), upstream),
            "input_gradient": slide.input_gradient(*_cell(self.cell, "--cell"), upstream),
        }


def register(app: typer.Typer) -> None:
    """Add the group, and the lessons, to the program."""
    conv = '"3 0 1; 1 5 8; 2 7 2" --kernel "1 0 -1; 1 0 -1; 1 0 -1"'
    explain = typer.Typer(help=HELP, no_args_is_help=True, epilog=f"{EXAMPLE}conv {conv}")
    for command, example in (
        (explain_conv, '"1 2 3; 4 5 6; 7 8 9" -k "1 0; 0 -1" --padding same -o film.gif'),
        (explain_pool, '"2 3 1 9; 4 7 3 5; 8 2 2 2; 1 3 4 5" --size 2'),
        (explain_dense, '"1 2 3" --weights "0.5 -1 2" --bias 0.1'),
        (explain_softmax, '"2 1 0.1" --target 0'),
        (explain_bn, '"12 8 -3 15" --gamma 1 --beta 0'),
        (explain_translation, "photo.png --shift 2,3"),
        (explain_permutation, "--samples 600 --epochs 2 -o permutation.png"),
        (explain_adam, '"0.5 0.4 -0.1" --weight 1 --lr 0.1'),
        (explain_forward, "runs/mnist digit.png --at conv1:10,12 --channel 3"),
        (explain_backward, "runs/mnist digit.png --at maxpool1:3,3 --class 7"),
    ):
        name = command.__name__.removeprefix("explain_")
        explain.command(name, epilog=f"{EXAMPLE}{name} {example}")(command)
    app.add_typer(explain, name="explain")
    app.command("lesson", epilog=LESSON_EXAMPLES)(lesson)


@takes(backward=Backward, film=Film, out=FileOutput)
def explain_conv(
    matrix: VolumeArgument,
    kernel: Annotated[
        str,
        typer.Option(
            "-k", "--kernel", help="Rows of the kernel, or a kernel's name; '|' between channels."
        ),
    ],
    *,
    at: str = option(AT, **CELL),
    stride: int = option("Step of the kernel in cells.", min=1, default=1),
    padding: str = option(
        "Zeros on every side, or same, valid, full.", metavar="N|WORD", default="0"
    ),
    dilation: int = option("Distance of the taps in cells.", min=1, default=1),
    convolve: bool = option(
        "Turn the kernel by 180 degrees first, as mathematics does.", "--convolve", default=False
    ),
    as_layer: bool = option(
        "Also the dense layer that does the same: its matrix, wires and weights.",
        "--as-layer",
        default=False,
    ),
    backward: Backward = Backward(),
    film: Film = Film(),
    out: FileOutput,
) -> None:
    """One output cell of a convolution, the whole output, and the same as a matrix product."""
    from convcli.api.explaining import kernel_of, volume_of
    from convcli.inspect.arithmetic import Sliding
    from convcli.present.sums import conv_report

    image, note = volume_of(matrix, "The matrix")
    weights, offset = kernel_of(kernel)
    zeros = _padding(padding)
    if film.output is not None and film.transposed:
        from convcli.inspect.films import transposed_scenes

        if dilation != 1 or convolve or not isinstance(zeros, int):
            raise UsageError("--transposed takes --stride and a number for --padding only.")
        film.write(transposed_scenes(image, weights, stride, zeros), out)
        return
    slide = Sliding(image, weights, stride, zeros, dilation, offset, convolve)
    if film.output is not None:
        from convcli.inspect.films import both_scenes, conv_scenes

        film.write(both_scenes(slide) if film.both else conv_scenes(slide), out)
        return
    film.refuse()
    place, gradients = _cell(at, "--at"), backward.sums(slide)
    out.emit(conv_report(slide, place, gradients, as_layer=as_layer, notes=note))


@takes(film=PoolFilm, out=FileOutput)
def explain_pool(
    matrix: VolumeArgument,
    *,
    kind: Literal["max", "avg"] = option("What the window keeps.", default="max"),
    size: int = option("Side of the window in cells.", min=1, default=2),
    largest: int | None = option("--kind max --size K in one.", "--max", min=1, metavar="K"),
    mean: int | None = option("--kind avg --size K in one.", "--avg", min=1, metavar="K"),
    stride: int | None = option("Step of the window.", min=1, show_default="the size"),
    at: str = option(AT, **CELL),
    gradient: float = option("dL/doutput of that cell, to follow its way back.", default=1.0),
    film: PoolFilm = PoolFilm(),
    out: FileOutput,
) -> None:
    """One pooling window: what it reads, what it keeps, and which inputs get the gradient."""
    from convcli.api.explaining import volume_of

    if largest is not None and mean is not None:
        raise UsageError("Give one of --max K and --avg K.")
    if largest is not None or mean is not None:
        kind, size = ("max" if mean is None else "avg"), largest or mean or size
    (image, *more), _ = volume_of(matrix, "The matrix")
    if more:
        raise UsageError("Pooling keeps channels apart: explain one of them.")
    place = _cell(at, "--at")
    if film.output is not None:
        from convcli.inspect.films import pool_scenes

        film.write(pool_scenes(image, kind, size, stride or size), out)
        return
    film.refuse()
    out.emit(
        convcli.explain_pool(image, place, kind=kind, size=size, stride=stride, gradient=gradient)
    )


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
    out.emit(convcli.explain_dense(inputs, weights, bias=bias, activation=activation))


@takes(out=Output)
def explain_softmax(
    logits: NumbersArgument,
    *,
    target: int = option("The true class, from 0.", min=0, default=0),
    out: Output,
) -> None:
    """Softmax and cross-entropy of one sample, and the gradient that starts the way back."""
    out.emit(convcli.explain_softmax(logits, target=target))


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
    figures = {"weight": weight, "lr": lr, "beta1": beta1, "beta2": beta2, "epsilon": epsilon}
    out.emit(convcli.explain_adam(gradients, **figures))


@takes(out=Output)
def explain_bn(
    values: NumbersArgument,
    *,
    gamma: float = option("The learned scale.", default=1.0),
    beta: float = option("The learned offset.", default=0.0),
    epsilon: float = option("Keeps the division finite.", min=0, default=1e-5),
    out: Output,
) -> None:
    """Batch norm on one channel's values: mean, variance, gamma, beta, and a sigmoid's slope."""
    out.emit(convcli.explain_bn(values, gamma=gamma, beta=beta, epsilon=epsilon))


@dataclass(frozen=True)
class Figure(Drawing):
    """A figure that is written where it is asked for."""

    output: Path | None = option(
        "Write it as a figure: .png, .svg, .pdf, .webp, .tif or .bmp.", "-o", "--output"
    )

    def asked(self, *inputs: str) -> Path | None:
        """Return where the figure goes, None where nobody asked for it."""
        if self.output is None:
            return None
        return self.place(self.output, self.output, "", inputs=inputs, suffixes=SUFFIXES)


@takes(out=Figure)
def explain_translation(
    picture: Annotated[str, typer.Argument(help="A picture.", metavar="PICTURE")],
    *,
    shift: str = option("Rows down and columns to the right.", **CELL | {"default": "1,2"}),
    kernel: str = option("A kernel's name.", "-k", "--kernel", default="sobel-x"),
    pool: int = option("Side of the pooling window.", min=1, default=8),
    out: Figure,
) -> None:
    """Why convolution: what is shifted in comes shifted out, and pooled it hardly changes."""
    path, moved = out.asked(picture), _cell(shift, "--shift")
    out.show(convcli.explain_translation(picture, shift=moved, kernel=kernel, pool=pool), path)


@takes(out=Figure)
def explain_permutation(
    *,
    samples: int = option("Digits to learn from.", min=100, max=100_000, default=3000),
    epochs: int = option("Of each of the four trainings.", min=1, default=8),
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    out: Figure,
) -> None:
    """Why convolution: an MLP learns permuted pixels as well as plain ones, a CNN does not."""
    path = out.asked()
    with out.messages.counted() as progress:
        drawn = convcli.explain_permutation(
            samples=samples,
            epochs=epochs,
            seed=seed,
            threads=threads,
            progress=lambda done, total: progress("epochs", done, total),
        )
    out.show(drawn, path)


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
    sample = content(image)
    out.emit(convcli.explain_forward(model, sample, at, channel=channel, terms=terms))


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
    chosen: dict[str, Any] = {"channel": channel, "class_": class_, "terms": terms}
    out.emit(convcli.explain_backward(model, content(image), at, **chosen))


def _padding(text: str) -> int | str:
    """Return the padding that `text` names.

    Raises:
        UsageError: it names none.
    """
    word = text.strip().lower()
    if word in {"same", "valid", "full"}:
        return word
    if not re.fullmatch(r"[0-9]{1,4}", word):
        raise UsageError(f"--padding {text[:40]!r}: write a number of cells, same, valid or full.")
    return int(word)


def _cell(text: str, option: str) -> tuple[int, int]:
    _, (row, column) = parse_place(text, option, layers=False)
    return row, column


LESSON_EXAMPLES = """Examples:

  convcli lesson

  convcli lesson window

  convcli lesson padding -o padding.html
"""

PAGES = (".html", ".htm")


@takes(out=FileOutput)
def lesson(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="[TOPIC]", help="What it is about; all are listed without it."),
    ] = None,
    *,
    output: Path | None = option(
        "Write the lesson as a page instead; without TOPIC all of them.", "-o", "--output"
    ),
    out: FileOutput,
) -> None:
    """Learn what convolution does, step by step: every command runs here, questions have answers.

    On a terminal Enter goes on; with --format, or piped, a lesson is printed as a whole.
    """
    from convcli.present.lesson import (
        find_lesson,
        lesson_page,
        lesson_report,
        lessons,
        tell_lesson,
        topics_report,
    )

    chosen = None if topic is None else find_lesson(topic)
    if output is not None:
        from convcli.files import write_text
        from convcli.report.document import render_document

        out.place(output, "", "", suffixes=PAGES)
        document = lesson_page(list(lessons().values()) if chosen is None else [chosen])
        write_text(output, render_document(document), force=out.force)
        out.tell_page(output)
    elif chosen is None:
        out.emit(topics_report())
    elif out.format is None and sys.stdout.isatty() and sys.stdin.isatty():
        from convcli.report.table import terminal

        tell_lesson(chosen, terminal(), _wait)
    else:
        out.emit(lesson_report(chosen))


def _wait(words: str) -> None:
    """Wait for Enter; the end of the input goes on too."""
    try:
        input(f"  [{words}] ")
    except EOFError:
        sys.stdout.write("\n")
