"""`convcli kernels`: what kernels there are, and everything about one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from convcli.cli.options import (
    ForceOption,
    FormatOption,
    OutputOption,
    QuietOption,
    refuse_without_effect,
)

HELP = """List the named kernels, or show one in full: matrix, divisor, offset, sum, rank,
symmetry, source, and the same call in scipy, OpenCV, ImageMagick and Pillow.

A kernel is laid on the picture as printed (correlation). Families take parameters:
gaussian:sigma=2, emboss:angle=45.
"""

EXAMPLES = """Examples:

  convcli kernels

  convcli kernels sobel-x

  convcli kernels gaussian:sigma=2 --format json

  convcli kernels -- "-1 0 1; -2 0 2; -1 0 1"

  convcli kernels --group smooth --sheet photo.png -o smooth.png
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("kernels", help=HELP, epilog=EXAMPLES)(kernels)


def kernels(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A name, a family with parameters, or rows; all are listed without it.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", help="Only this group, such as smooth.", show_default=False),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            help="Only kernels with this word in name, aliases, source or notes.",
            show_default=False,
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            help="Apply the listed kernels to this picture: a labeled contact sheet (-o).",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = None,
    style: FormatOption = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import emit
    from convcli.kernels import find
    from convcli.present.kernels import catalog_report, kernel_report

    if name is not None and sheet is None:
        refuse_without_effect({"--group": group, "--search": search, "-o": output}, "without NAME")
        emit(kernel_report(find(name), style), style)
        return
    chosen = [find(name)] if name is not None else _chosen(group, search)
    if sheet is not None:
        _draw_sheet(chosen, sheet, output, quiet=quiet, force=force)
        return
    refuse_without_effect({"-o": output}, "with --sheet PICTURE")
    emit(catalog_report(chosen, families=group is None and search is None), style)


def _draw_sheet(
    chosen: list[Any], picture: Path, output: Path | None, *, quiet: bool, force: bool
) -> None:
    from convcli.cli.console import Messages
    from convcli.errors import UsageError
    from convcli.files import check_target
    from convcli.imaging.kernel_sheet import kernel_cells, read_small, save_sheet

    if output is None:
        raise UsageError("--sheet needs a place for the result: -o SHEET.png")
    check_target(output, force=force, inputs=[picture])
    messages = Messages(quiet=quiet)
    small = read_small(picture)
    with messages.progress() as progress:
        cells = progress.track(
            kernel_cells(small, chosen), total=len(chosen) + 1, description="kernels"
        )
        height, width = save_sheet(cells, output, force=force, inputs=[picture])
    count = "1 kernel" if len(chosen) == 1 else f"{len(chosen)} kernels"
    messages.say(f"{output}: {count}, {width}x{height} pixels")


def _chosen(group: str | None, search: str | None) -> list[Any]:
    """Return the kernels of a group that have a word in their text."""
    from convcli.errors import UsageError, did_you_mean
    from convcli.kernels import all_kernels

    kernels = list(all_kernels())
    groups = list(dict.fromkeys(kernel.group for kernel in kernels))
    if group is not None:
        if group not in groups:
            raise UsageError(
                f"There is no group {group!r}; there are {', '.join(groups)}."
                f"{did_you_mean(group, groups)}"
            )
        kernels = [kernel for kernel in kernels if kernel.group == group]
    if search is not None:
        word = search.lower()
        kernels = [kernel for kernel in kernels if word in _searchable(kernel)]
        if not kernels:
            raise UsageError(f"No kernel mentions {search!r}. List all: convcli kernels")
    return kernels


def _searchable(kernel: Any) -> str:
    return " ".join((kernel.name, *kernel.aliases, kernel.source, kernel.notes)).lower()
