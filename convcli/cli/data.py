"""`convcli data`: fetch, describe, check, draw and keep a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.options import FileOutput, Given, SeedOption, refuse_without_effect, takes
from convcli.data.source import Shaping, Source
from convcli.errors import CheckError, UsageError
from convcli.option import option
from convcli.present.look import SUFFIXES, Look

if TYPE_CHECKING:
    from convcli.data import Dataset
    from convcli.present.panels import Panel

HELP = (
    "Fetch a data set if need be and describe it: samples of each class, mean, deviation."
    "\n\n"
    "SOURCE is mnist, fashion, digits (made on the spot), a folder of class folders, idx files, "
    ".npz, or a .csv of series; without it the named sets are listed, and where they are looked "
    "for."
)

EXAMPLES = """Examples:

  convcli data

  convcli data photos --check

  convcli data digits --count 500 --sheet -o digits.png

  convcli data digits --count 500 --seed 7 -o digits.npz

  convcli data walks.csv --window 128 --overlap 0.5 --label activity

  convcli data hands --samples 60 --sheet -o hands.png

  convcli data hands --samples 60 --augment rotate=10,crop=0.2,hue=30 -o changed.png
"""

SHEET_SAMPLES, SHEET_SERIES = 12, 2
SHEET_CELL, SERIES_CELL = 84, 150


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("data", help=HELP, epilog=EXAMPLES)(data)


@takes(shaping=Shaping, look=Given(Look), out=FileOutput)
def data(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE]", help="A name, or a path.", show_default=False),
    ] = None,
    *,
    check: bool = option(
        "Look for missing classes, copies, leakage, near copies between splits, unreadable files "
        "and imbalance; exit 5 if results on these data would mislead.",
        default=False,
    ),
    sheet: bool = option(
        "Draw samples into the picture -o: of each class, with their masks, series as lines.",
        default=False,
    ),
    augment: str | None = option(
        "Draw what random augmentation makes of samples into -o, such as rotate=10,hue=20."
    ),
    output: Path | None = option(
        "Keep the data as this .npz file; with --sheet, the picture.", "-o", "--output"
    ),
    shaping: Shaping,
    look: dict[str, Any],
    count: int | None = option("The same as --samples, for digits."),
    seed: SeedOption = 0,
    out: FileOutput,
) -> None:
    """Parse, call, render."""
    from convcli.present.data import augmented_panels, description, names_report, sheet_panels

    if source is None:
        if check or sheet or augment or output is not None:
            raise UsageError("Name a data set, such as: convcli data mnist")
        out.emit(names_report())
        return
    drawn = sheet or augment is not None
    _check_target(source, output, drawn=drawn, look=look, out=out)
    if source == "digits":
        out.messages.say("Making digits (compiles once on first use).")
    if count is not None:
        if source != "digits":
            raise UsageError(f"{source} takes no count; use --samples.")
        shaping = dataclasses.replace(shaping, samples=count)
    from convcli.data.augmentation import read_augmentation
    from convcli.data.sources import read_source

    read_augmentation(augment or "")  # a mistake in it is told before anything is loaded
    with out.messages.counted() as progress:
        loaded = read_source(Source(name=source, **shaping.given()), seed=seed, progress=progress)
    findings = _findings(loaded, source) if check else None
    report = description(loaded, findings)
    if output is None:
        out.emit(report)
    else:
        out.emit_summary(report)
        panels = None
        if augment is not None:
            panels = augmented_panels(loaded, augment, seed=seed)
        elif sheet:
            series = len(loaded.sample_shape) < 3
            panels = sheet_panels(loaded, SHEET_SERIES if series else SHEET_SAMPLES)
        _keep(loaded, output, Path(source), panels, Look(**look), out)
    failed = [finding for finding in findings or () if finding.failed]
    if failed:
        raise CheckError(f"{source}: {' '.join(finding.text for finding in failed)}")


def _check_target(
    source: str, output: Path | None, *, drawn: bool, look: dict[str, Any], out: FileOutput
) -> None:
    """Refuse a place where nothing can be kept or drawn."""
    if drawn and output is None:
        raise UsageError("--sheet and --augment need a place for the picture: -o samples.png")
    if not drawn:
        refuse_without_effect({f"--{name}": value for name, value in look.items()}, "with --sheet")
    if output is not None and drawn:
        out.place(output, source, "", inputs=[source], suffixes=SUFFIXES)
    elif output is not None:
        from convcli.data.npz import check_name
        from convcli.files import check_target

        check_name(output)
        check_target(output, force=out.force, inputs=[Path(source)])


def _findings(loaded: Dataset, source: str) -> tuple[Any, ...]:
    """Return what the checks found, the published checksums among them."""
    from convcli.data.checks import Finding, check_dataset
    from convcli.data.published import PUBLISHED, differing_files, folder_of

    found = check_dataset(loaded)
    if source not in PUBLISHED:
        return found
    differing = differing_files(PUBLISHED[source], folder_of(PUBLISHED[source]))
    text = f"not the published files, by SHA-256: {', '.join(differing)}."
    return (*((Finding("checksum", True, len(differing), text),) if differing else ()), *found)


def _keep(
    loaded: Dataset,
    output: Path,
    source: Path,
    panels: Iterable[Panel] | None,
    look: Look,
    out: FileOutput,
) -> None:
    if panels is not None:
        from convcli.present.figures import save_panels

        series = len(loaded.sample_shape) < 3
        saved = save_panels(
            panels,
            output,
            look,
            title=loaded.name,
            panel_width=SERIES_CELL if series else SHEET_CELL,
            columns=None if series else SHEET_SAMPLES,
            force=out.force,
            inputs=[source],
        )
        out.messages.say("\n".join(saved.sentences))
        return
    from convcli.data.npz import save_npz

    save_npz(loaded, output, force=out.force, inputs=[source])
    out.messages.say(f"{output}: {output.stat().st_size:,} bytes.")
