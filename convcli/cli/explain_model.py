"""`convcli explain forward|backward`: the arithmetic behind one number of a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.learn_options import ImageArgument, ModelArgument, load_probe, load_sample
from convcli.cli.options import FormatOption
from convcli.errors import UsageError

if TYPE_CHECKING:
    from convcli.inspect.probe import Probe

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


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    group.command("forward", epilog=FORWARD_EXAMPLES)(explain_forward)
    group.command("backward", epilog=BACKWARD_EXAMPLES)(explain_backward)


def explain_forward(
    model: ModelArgument,
    image: ImageArgument,
    at: CellOption,
    channel: ChannelOption = 0,
    terms: TermsOption = 20,
    style: FormatOption = None,
) -> None:
    """One number of a model's layer: every input times its weight, bias, activation."""
    from convcli.cli.console import emit
    from convcli.inspect.unit import forward_unit
    from convcli.present.sums import forward_report

    probe, sample, layer, place = _asked(model, image, at)
    found = forward_unit(probe, sample, layer, place, channel)
    emit(forward_report(found, terms), style)


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
    from convcli.cli.console import emit
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
