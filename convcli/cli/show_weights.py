"""`convcli show filters` and `show maximize`: what the weights are, and what they look for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convcli.cli.learn_options import ModelArgument
from convcli.cli.options import ForceOption, FormatOption, QuietOption, SeedOption
from convcli.cli.show_output import (
    LimitOption,
    PictureOption,
    find_target,
    load_probe,
    parse_unit,
    show_cells,
)

FILTERS_EXAMPLES = """Examples:

  convcli show filters runs/mnist

  convcli show filters model.safetensors --layer conv2 --filter 3 -o conv2.png

  convcli show filters model.safetensors --layer conv2 --channel 0 --format json
"""

MAXIMIZE_EXAMPLES = """Examples:

  convcli show maximize runs/mnist

  convcli show maximize model.safetensors --unit conv2:7 --unit dense2:3 -o units.png
"""


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    group.command("filters", epilog=FILTERS_EXAMPLES)(show_filters)
    group.command("maximize", epilog=MAXIMIZE_EXAMPLES)(show_maximize)


def show_filters(
    model: ModelArgument,
    layer: Annotated[
        str | None,
        typer.Option("--layer", help="Name or number.", show_default="the first with kernels"),
    ] = None,
    filter_: Annotated[
        int | None,
        typer.Option("--filter", min=0, help="Only this output channel.", show_default=False),
    ] = None,
    channel: Annotated[
        int | None,
        typer.Option("--channel", min=0, help="Only this input channel.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most kernels shown.")] = 512,
    output: PictureOption = None,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw a layer's kernels: in color over a color picture, else gray by input channel.

    Zero is middle gray; black and white are the largest weight of each kernel.
    """
    target = find_target(
        output,
        _file_of(model),
        f"filters-{layer}" if layer else "filters",
        force=force,
        quiet=quiet,
        inputs=[_file_of(model)],
    )
    from convcli.inspect.filters import filter_cells, filters_of
    from convcli.present.inspection import filters_report

    probe = load_probe(model)
    filters = filters_of(probe.trace, probe.parameters, layer, filter_=filter_, channel=channel)
    shown = filters[:limit]
    inputs = len({one.channel for one in shown})
    show_cells(
        filter_cells(shown),
        filters_report(filters, len(shown)),
        target,
        style,
        title=f"Kernels of {filters[0].layer}",
        cell_width=112 if inputs == 1 else 64,
        columns=16 if inputs > 1 else None,
    )


def show_maximize(
    model: ModelArgument,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            "--unit",
            metavar="LAYER[:CHANNEL]",
            help="What to excite; again for more.",
            show_default="some of each layer, shallow to deep",
        ),
    ] = None,
    limit: LimitOption = 8,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of gradient ascent.")] = 100,
    output: PictureOption = None,
    seed: SeedOption = 0,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find inputs that excite units most, by gradient ascent on the input."""
    target = find_target(
        output,
        _file_of(model),
        "maximize" + "".join(f"-{one.replace(':', '-')}" for one in unit or ()),
        force=force,
        quiet=quiet,
        inputs=[_file_of(model)],
    )
    from convcli.inspect.activation_maximization import (
        BATCH,
        Ascent,
        excite,
        excited_cells,
        units_of,
    )
    from convcli.present.inspection import maximize_report

    probe = load_probe(model)
    units = units_of(probe, [parse_unit(one) for one in unit or ()], limit)
    ascent = Ascent(steps=steps, seed=seed)
    with target.messages.progress() as progress:
        batches = sum(-(-len(some) // BATCH) for some in units)
        task = progress.add_task("gradient ascent", total=batches * steps)
        found = [
            one
            for some in units
            for one in excite(probe, some, ascent, on_step=lambda: progress.advance(task))
        ]
    show_cells(
        excited_cells(probe, found),
        maximize_report(found),
        target,
        style,
        title="Inputs that excite units most",
    )


def _file_of(model: Path) -> Path:
    from convcli.net.lookup import model_path

    return model_path(model)
