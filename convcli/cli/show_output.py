"""What the commands `show` share: which sample, where the picture goes, and how it is printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.console import Messages, emit_summary, has_color, standard_input
from convcli.errors import UsageError
from convcli.report.printable import printable

if TYPE_CHECKING:
    from convcli.imaging.sheet import Cell
    from convcli.inspect.probe import Probe
    from convcli.report import Report

ImageArgument = Annotated[
    str, typer.Argument(metavar="IMAGE", help="A picture, a matrix (.npy .csv .txt), or -.")
]
PictureOption = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Where the picture goes.",
        show_default="NAME_WHAT.png beside the input",
    ),
]
ClassOption = Annotated[
    str | None,
    typer.Option("--class", help="Name or number of a class.", show_default="the likeliest"),
]
LimitOption = Annotated[
    int, typer.Option("--limit", min=1, help="Most channels shown of each layer.")
]

STANDARD_STREAM = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a picture goes.

    Attributes:
        path: its file.
        force: an existing file may be replaced.
        inputs: files that are never replaced.
        messages: says what was written.
    """

    path: Path
    force: bool
    inputs: tuple[Path, ...]
    messages: Messages


def find_target(
    output: Path | None,
    beside: Path | str,
    label: str,
    *,
    force: bool,
    quiet: bool,
    inputs: Sequence[Path | str] = (),
    suffixes: Sequence[str] = (),
) -> Target:
    """Return where the picture goes, refused before any work is done if it cannot go there.

    Args:
        output: what `-o` named.
        beside: the input that the default name is made from; `-` for stdin.
        label: end of the default name, such as `saliency`.
        force: the option.
        quiet: the option.
        inputs: files that are never replaced.
        suffixes: endings that can be written, the default first; those of sheets when left out.

    Raises:
        UsageError, InputError, OutputExistsError: as `convcli.files.check_target`; also an ending
            that is none of `suffixes`.
    """
    from convcli.files import check_target

    beside = Path("stdin") if str(beside) == STANDARD_STREAM else Path(beside)
    ending = suffixes[0] if suffixes else ".png"
    path = output or beside.with_name(f"{beside.stem}_{label}{ending}")
    if not suffixes:
        from convcli.imaging.kernel_sheet import check_sheet_suffix

        check_sheet_suffix(path)
    elif path.suffix.lower() not in suffixes:
        raise UsageError(f"{path}: this is written as {' or '.join(suffixes)}.")
    kept = tuple(Path(one) for one in inputs if str(one) != STANDARD_STREAM)
    check_target(path, force=force, inputs=kept)
    return Target(path, force, kept, Messages(quiet=quiet))


def show_cells(
    cells: Sequence[Cell],
    report: Report,
    target: Target,
    style: str | None,
    *,
    title: str = "",
    cell_width: int = 112,
    columns: int | None = None,
) -> None:
    """Write the sheet, draw it where a table is printed, and print the report."""
    from convcli.imaging.kernel_sheet import save_sheet

    height, width = save_sheet(
        cells,
        target.path,
        force=target.force,
        inputs=target.inputs,
        cell_width=cell_width,
        columns=columns,
        title=title,
    )
    drawn_by_default = sys.stdout.isatty() and not target.messages.quiet
    if style == "table" or (style is None and drawn_by_default):
        from shutil import get_terminal_size

        from convcli.imaging.terminal_sheet import draw_cells

        size = get_terminal_size()
        drawn = draw_cells(
            [
                replace(cell, caption=printable(cell.caption), heading=printable(cell.heading))
                for cell in cells
            ],
            columns=size.columns,
            rows=size.lines,
            color=has_color(),
            title=printable(title),
        )
        sys.stdout.write(drawn + "\n")
    emit_summary(report, style, target.messages)
    target.messages.say(f"{target.path}: {width} x {height} pixels.")


def load_probe(model: Path) -> Probe:
    """Return the model at a path, or in a run's directory, ready to be examined."""
    from convcli.inspect.probe import Probe
    from convcli.learn.modelfile import load

    return Probe(load(model))


def load_sample(probe: Probe, image: str) -> Any:
    """Return the first sample of a file, or of stdin, prepared: (1, *input shape)."""
    from convcli.learn.pictures import samples_from_source

    content = standard_input() if image == STANDARD_STREAM else Path(image)
    samples = samples_from_source(content, image, probe.trained.preprocessing)
    return probe.prepared(samples[:1])


def parse_unit(text: str) -> tuple[str, int | None]:
    """Return layer and channel of LAYER or LAYER:CHANNEL.

    >>> parse_unit("conv2:7"), parse_unit("conv2")
    (('conv2', 7), ('conv2', None))

    Raises:
        UsageError: it is malformed.
    """
    layer, colon, channel = text.partition(":")
    if not layer or (colon and not (channel.isascii() and channel.isdigit())):
        raise UsageError(f"{text[:60]!r} is no unit. Write LAYER:CHANNEL, such as conv2:7.")
    return layer, int(channel) if colon else None
