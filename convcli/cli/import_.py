"""`convcli import`: another program's model as one of ours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from convcli.cli.options import ForceOption, FormatOption, OutputOption, QuietOption
from convcli.errors import UsageError

if TYPE_CHECKING:
    from convcli.learn.modelfile import TrainedModel
    from convcli.report import Report

HELP = """Import a model from ONNX, Keras (.keras, .h5) or arrays (.safetensors, .npz).

What comes out is a model file for evaluate, predict, show and train --init. Arrays alone need
--network; its layers are matched by name, ours (conv1.kernel) or PyTorch's (conv1.weight).
"""

EXAMPLES = """Examples:

  convcli import net.onnx -o net.safetensors --classes cat,dog --scale 1/255

  convcli import model.keras

  convcli import weights.npz --network lenet5-keras --scale 1/255 --pictures digit
"""

Pictures = Literal["digit", "resize"]
Outputs = Literal["classes", "values"]

OUTPUTS_SAID = {
    "classes": "Its outputs are taken for classes; --outputs values takes them as they are.",
    "values": "Its outputs are taken for values, not classes; --outputs classes says otherwise.",
}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("import", help=HELP, epilog=EXAMPLES)(import_)


def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="ONNX, Keras, or arrays.")],
    output: OutputOption = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network", help="For arrays: a preset, a file, or words.", show_default=False
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", help="Names of the outputs: a,b,c.", show_default=False),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            "--scale",
            help="Samples are multiplied by it: 1/255, or one a channel.",
            show_default=False,
        ),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option("--offset", help="Then this is added.", show_default=False),
    ] = None,
    pictures: Annotated[
        Pictures | None,
        typer.Option(
            "--pictures",
            help="resize whole pictures, or find the white-on-black digit in them.",
            show_default=False,
        ),
    ] = None,
    outputs: Annotated[
        Outputs | None,
        typer.Option(
            "--outputs",
            help="classes, which get a softmax where the network has none, or plain values.",
            show_default=False,
        ),
    ] = None,
    style: FormatOption = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Parse, call, render."""
    factors, summands = figures("--scale", scale), figures("--offset", offset)
    from convcli.cli.console import Messages, emit_summary
    from convcli.exchange.importing import import_model
    from convcli.files import check_target

    place = output or source.with_suffix(".safetensors")
    if place.suffix.lower() != ".safetensors":
        raise UsageError(f"{place}: a model file ends in .safetensors.")
    check_target(place, force=force, inputs=[source])
    imported = import_model(
        source,
        network=network,
        classes=tuple(classes.split(",")) if classes else None,
        scale=factors,
        offset=summands,
        pictures=pictures,
        outputs=outputs,
    )
    imported.model.save(place, force=force)
    messages = Messages(quiet=quiet)
    for note in imported.notes:
        messages.say(note)
    if imported.outputs_guessed:
        messages.say(OUTPUTS_SAID[imported.model.outputs])
    if _is_plain(imported.model):
        messages.say("Samples are taken as they are; --scale 1/255 brings bytes to 0..1.")
    emit_summary(import_report(imported.model, place), style, messages)


def figures(option: str, text: str | None) -> tuple[float, ...] | None:
    """Return numbers written as `0.5`, `1/255` or several with commas between them.

    >>> figures("--scale", "1/4,0.5")
    (0.25, 0.5)

    Raises:
        UsageError: something else.
    """
    if text is None:
        return None
    try:
        return tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UsageError(
            f"{option} {text[:40]!r}: write numbers such as 1/255 or 0.5,0.25,1."
        ) from None


def _is_plain(model: TrainedModel) -> bool:
    return set(model.preprocessing.scale) == {1.0} and set(model.preprocessing.offset) == {0.0}


def import_report(model: TrainedModel, place: Path) -> Report:
    """Return what was made of the file, in one row."""
    from convcli.layers.base import shape_text
    from convcli.net import to_notation
    from convcli.report import Column, Report

    trace = model.network.trace()
    shapes = shape_text(model.network.input_shape), shape_text(trace.output_shape)
    columns = (
        Column("model", "model"),
        Column("params", "parameters", "right"),
        Column("input", "input", "right"),
        Column("output", "output", "right"),
    )
    return Report(
        title=to_notation(model.network),
        columns=columns,
        rows=((str(place), trace.totals.params, *shapes),),
        document={
            "model": str(place),
            "network": to_notation(model.network),
            "params": trace.totals.params,
            "classes": list(model.class_names),
            "outputs": model.outputs,
            "scale": list(model.preprocessing.scale),
            "offset": list(model.preprocessing.offset),
        },
    )
