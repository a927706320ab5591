"""`convcli explain forward|backward`: the arithmetic behind one number of a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.learn_options import ModelArgument
from convcli.cli.options import FormatOption
from convcli.cli.show_output import ImageArgument
from convcli.errors import UsageError

if TYPE_CHECKING:
    from convcli.inspect.arithmetic import PoolingWindow
    from convcli.inspect.cell import Backward, Forward, Share
    from convcli.inspect.subject import Subject
    from convcli.report import Report

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
    from convcli.inspect.cell import forward_cell

    subject, sample, layer, place = _asked(model, image, at)
    found = forward_cell(subject, sample, layer, place, channel)
    emit(_forward_report(found, terms), style)


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
    from convcli.inspect.cell import backward_cell

    subject, sample, layer, place = _asked(model, image, at)
    label = None if class_ is None else subject.class_index(class_, sample)
    found = backward_cell(subject, sample, layer, place, channel, label)
    emit(_backward_report(found, subject.trained.class_names[found.label], terms), style)


def _asked(model: Any, image: str, at: str) -> tuple[Subject, Any, str, tuple[int, ...]]:
    """Return model, sample, layer and place that the words mean."""
    from convcli.cli.show_output import load_sample, load_subject, parse_place

    layer, place = parse_place(at)
    if layer is None:
        raise UsageError(f"--at {at} names no layer. Write LAYER:ROW,COL, such as conv1:{at}.")
    subject = load_subject(model)
    return subject, load_sample(subject, image), layer, place


def _forward_report(found: Forward, terms: int) -> Report:
    from convcli.cli.sum_reports import sum_document, sum_report
    from convcli.inspect.arithmetic import Sum

    document = _document(found)
    activation = found.step.activation
    notes = [f"{activation}({found.before:.6g}) = {found.output:.6g}"] if activation else []
    if isinstance(found.source, Sum):
        document |= sum_document(found.source)
        return sum_report(found.source, document, notes=tuple(notes), most=terms)
    return _window_report(found, found.source, document)


def _window_report(found: Forward, window: PoolingWindow, document: dict[str, Any]) -> Report:
    """Return what a pooling window reads and keeps."""
    from convcli.cli.sum_reports import place_text
    from convcli.report import Column, Report

    columns = (
        Column("place", "from"),
        Column("value", "value", "right"),
        Column("share", "share", "right"),
    )
    rows = tuple(
        (place_text(place), value, share)
        for place, value, share in zip(window.places, window.values, window.shares, strict=True)
    )
    document["cells"] = [
        {"from": list(place), "value": value, "share": share}
        for place, value, share in zip(window.places, window.values, window.shares, strict=True)
    ]
    title = f"{found.step.name}[{place_text(found.place)}] = {found.output:.6g}"
    return Report(title, columns, rows, None, (), document)


def _document(found: Forward) -> dict[str, Any]:
    return {
        "layer": found.step.name,
        "place": list(found.place),
        "before": found.before,
        "activation": found.step.activation,
        "output": found.output,
    }


def _backward_report(found: Backward, truth: str, terms: int) -> Report:
    from convcli.cli.sum_reports import place_text
    from convcli.report import Column, Report

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
        **_document(forward),
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
