"""`convcli features`: what a layer makes of every sample, for another classifier."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.learn_options import ModelArgument
from convcli.cli.options import ForceOption, FormatOption, OutputOption, QuietOption, takes
from convcli.data.source import SOURCES, Shaping, Source
from convcli.errors import UsageError

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.data import Dataset
    from convcli.exchange.features import FeatureExtractor
    from convcli.report import Report

HELP = """Write what a layer makes of every sample, with labels: features for another classifier.

An .npz holds x_train, y_train, x_test, y_test and class_names, for scikit-learn or again for
train; a .csv has one row for each sample.
"""

EXAMPLES = """Examples:

  convcli features runs/fashion fashion -o features.npz

  convcli features model.safetensors photos --layer conv2 --pool -o features.csv
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("features", help=HELP, epilog=EXAMPLES)(features)


@takes(shaping=Shaping)
def features(
    model: ModelArgument,
    source: Annotated[str, typer.Argument(metavar="DATA", help=f"The samples: {SOURCES}.")],
    output: OutputOption = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            help="Name or number; the one before the output when left out.",
            show_default=False,
        ),
    ] = None,
    pool: Annotated[
        bool, typer.Option("--pool", help="Average maps over their cells: one number a channel.")
    ] = False,
    *,
    shaping: Shaping,
    style: FormatOption = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import Messages, emit_summary
    from convcli.cli.learn_options import load_source
    from convcli.exchange.features import FeatureExtractor
    from convcli.files import check_target
    from convcli.learn.modelfile import load
    from convcli.net.lookup import model_path

    place = output or Path("features.npz")
    if place.suffix.lower() not in {".npz", ".csv"}:
        raise UsageError(f"{place}: features are written as .npz or .csv.")
    path = model_path(model)
    inputs = [path, Path(source)]
    check_target(place, force=force, inputs=inputs)
    extractor = FeatureExtractor(load(path), layer, pool=pool)
    messages = Messages(quiet=quiet)
    data = load_source(Source(name=source, **shaping.given()), messages)
    found = computed(extractor, data, messages)
    write(found, place, force=force, inputs=inputs)
    emit_summary(features_report(extractor, found, place), style, messages)


def computed(extractor: FeatureExtractor, data: Dataset, messages: Messages) -> Dataset:
    """Return the data with each sample's features in its place."""
    import numpy as np

    parts: dict[str, Any] = {}
    with messages.counted() as progress:
        for name, split in data.splits().items():
            rows = []
            for batch in extractor.batches(split.samples):
                rows.append(batch)
                progress(name, sum(map(len, rows)), len(split))
            parts[name] = dataclasses.replace(split, samples=np.concatenate(rows))
    return dataclasses.replace(data, **parts)


def write(data: Dataset, place: Path, *, force: bool, inputs: list[Path]) -> None:
    """Write features by the suffix of their place."""
    if place.suffix.lower() == ".npz":
        from convcli.data.export import save_npz

        save_npz(data, place, force=force, inputs=inputs)
        return
    from convcli.exchange.features import write_csv

    splits = {name: (split.samples, split.labels) for name, split in data.splits().items()}
    write_csv(place, splits, data.class_names, force=force, inputs=inputs)  # type: ignore[arg-type]  # float32 rows


def features_report(extractor: FeatureExtractor, data: Dataset, place: Path) -> Report:
    """Return one row for each split."""
    from convcli.exchange.features import described
    from convcli.report import Column, Report

    columns = (
        Column("split", "split"),
        Column("samples", "samples", "right"),
        Column("features", "features", "right"),
    )
    counts = {name: len(split) for name, split in data.splits().items()}
    return Report(
        title=f"{place}: {described(extractor)}",
        columns=columns,
        rows=tuple((name, count, extractor.length) for name, count in counts.items()),
        document={
            "file": str(place),
            "layer": extractor.step.name,
            "features": extractor.length,
            "pooled": extractor.pool,
            "samples": counts,
            "classes": list(data.class_names),
        },
    )
