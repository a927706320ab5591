"""`convcli convolutionalize`: dense layers become convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convcli.cli.learn_options import ModelArgument
from convcli.cli.options import ForceOption, FormatOption, QuietOption

HELP = """Turn a classifier's dense layers into convolutions, so that it slides over any picture.

The numbers stay: at one place the new model answers what the old one does for that window.
"""

EXAMPLES = """Examples:

  convcli convolutionalize runs/mnist -o fcn.safetensors

  convcli show heatmap fcn.safetensors page.png --scale 0.5
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("convolutionalize", help=HELP, epilog=EXAMPLES)(convolutionalize_model)


def convolutionalize_model(
    model: ModelArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The new model file.", show_default="MODEL_fcn.safetensors"
        ),
    ] = None,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import emit_summary
    from convcli.cli.show_output import find_target
    from convcli.net.lookup import model_path
    from convcli.report import Column, Report

    path = model_path(model)
    target = find_target(
        output, path, "fcn", force=force, quiet=quiet, inputs=[path], suffixes=(".safetensors",)
    )
    from convcli.inspect.convolutionalize import convolutionalize, sliding
    from convcli.layers.base import shape_text
    from convcli.learn.modelfile import load
    from convcli.net import to_notation
    from convcli.net.writing import layer_text

    trained = load(path)
    converted = convolutionalize(trained)
    converted.save(target.path, force=force)
    how = sliding(converted.network)
    columns = (
        Column("index", "#", "right"),
        Column("layer", "layer"),
        Column("output", "output", "right"),
        Column("params", "parameters", "right"),
    )
    steps = converted.model.trace.steps
    rows = tuple((s.index, layer_text(s.layer), s.output_shape, s.params) for s in steps)
    notes = [
        f"One answer for every window of {shape_text(how.window)}, {shape_text(how.stride)} apart.",
    ]
    if not how.exact:
        notes.append(
            "Its layers pad, so inside a larger picture the answers differ from the classifier's "
            "on each window; without padding they would be equal."
        )
    document = {
        "model": str(target.path),
        "network": to_notation(converted.network),
        "window": list(how.window),
        "stride": list(how.stride),
        "exact": how.exact,
    }
    emit_summary(Report("", columns, rows, None, tuple(notes), document), style, target.messages)
    target.messages.say(f"{target.path}: {converted.model.trace.totals.params:,} parameters.")
