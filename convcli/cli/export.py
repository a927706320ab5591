"""`convcli export`: a model for another program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from convcli.cli.learn_options import ModelArgument
from convcli.cli.options import ForceOption, FormatOption, OutputOption, QuietOption

if TYPE_CHECKING:
    from convcli.exchange.export import Exported
    from convcli.report import Report

HELP = """Export a model to ONNX, PyTorch (source and tensors), Keras (.keras, .h5) or NumPy.

ONNX and PyTorch take channels first, Keras channels last; the outputs are the same to rounding.
"""

EXAMPLES = """Examples:

  convcli export runs/fashion -o fashion.onnx --with-preprocessing

  convcli export model.safetensors --to torch

  convcli export model.safetensors -o model.keras
"""

FormatName = Literal["onnx", "torch", "keras", "h5", "npz"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("export", help=HELP, epilog=EXAMPLES)(export)


def export(
    model: ModelArgument,
    to: Annotated[
        FormatName | None,
        typer.Option("--to", help="The format; by the suffix of -o otherwise.", show_default=False),
    ] = None,
    output: OutputOption = None,
    with_preprocessing: Annotated[
        bool,
        typer.Option(
            "--with-preprocessing", help="Put scale and offset inside: it takes raw levels."
        ),
    ] = False,
    style: FormatOption = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import Messages, emit_summary
    from convcli.exchange.export import SUFFIXES, export_model, format_for, preprocessing_words
    from convcli.learn.modelfile import load
    from convcli.net.lookup import model_path

    kind = format_for(output, to)
    source = model_path(model)
    trained = load(source)
    place = output or source.with_suffix(SUFFIXES[kind])
    exported = export_model(
        trained,
        place,
        to=kind,
        with_preprocessing=with_preprocessing,
        force=force,
        inputs=[source],
    )
    messages = Messages(quiet=quiet)
    if exported.preprocessing == "outside":
        messages.say(
            f"Its input is {preprocessing_words(trained)}; --with-preprocessing puts that inside."
        )
    emit_summary(export_report(exported), style, messages)


def export_report(exported: Exported) -> Report:
    """Return what was written, one row for each file."""
    from convcli.layers.base import shape_text
    from convcli.report import Column, Report

    columns = (
        Column("file", "file"),
        Column("bytes", "bytes", "right"),
        Column("input", "input", "right"),
        Column("output", "output", "right"),
    )
    shapes = shape_text(exported.input), shape_text(exported.output)
    return Report(
        title="",
        columns=columns,
        rows=tuple((str(path), path.stat().st_size, *shapes) for path in exported.files),
        document={
            "format": exported.format,
            "files": [str(path) for path in exported.files],
            "input": list(exported.input),
            "output": list(exported.output),
            "preprocessing": exported.preprocessing,
        },
    )
