"""`convcli page`: one self-contained page on which the network answers live to what is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convcli.cli.console import Messages
from convcli.cli.learn_options import ModelArgument
from convcli.cli.options import ForceOption, QuietOption
from convcli.net.lookup import model_path
from convcli.report.numbers import as_bytes

EXAMPLES = """Examples:

  convcli page runs/first/model.safetensors

  convcli page model.safetensors -o lesson.html --title "Digits, layer by layer"
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("page", epilog=EXAMPLES)(page)


def page(
    model: ModelArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the page goes.")] = Path(
        "page.html"
    ),
    title: Annotated[
        str | None, typer.Option(help="Heading of the page.", show_default="the network's name")
    ] = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Write a page where one draws and watches every layer answer; it works without a network."""
    from convcli.files import check_target, write_text
    from convcli.inspect.live import page_network
    from convcli.learn.modelfile import load
    from convcli.report.live import build_page

    model = model_path(model)
    check_target(output, force=force, inputs=[model])
    trained = load(model)
    totals = trained.network.trace().totals
    accuracy = trained.metrics.get("test_accuracy")
    measured = f", {accuracy:.2%} right on test data" if isinstance(accuracy, float) else ""
    summary = f"{len(trained.class_names)} classes, {totals.params:,} parameters{measured}."
    text = build_page(title or f"{trained.network.name}, live", summary, page_network(trained))
    write_text(output, text, force=force, inputs=[model])
    size = as_bytes(output.stat().st_size)
    Messages(quiet=quiet).say(f"{output}: {size}; open it in a browser and draw.")
