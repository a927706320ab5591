"""Reports and sheets of data sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from convcli.errors import UsageError
from convcli.report import Column, Report

if TYPE_CHECKING:
    from convcli.data import Dataset
    from convcli.data.checks import Finding
    from convcli.present.panels import Panel


def names_report() -> Report:
    """Return the sets that have names: what they are, and where each is."""
    from convcli.data.published import PUBLISHED, VARIABLE, cache_folder, own_folder

    rows = []
    for item in PUBLISHED.values():
        own, cached = own_folder(item.name), cache_folder(item.name)
        place = own or (cached if cached.is_dir() else None)
        rows.append((item.name, item.source, None if place is None else str(place)))
    rows.append(("digits", "made on the spot from stroke models; no file, no network", None))
    notes = (
        f"A set is looked for in ${VARIABLE}/NAME, then in {cache_folder('NAME')}, "
        "and downloaded if it is in neither.",
    )
    columns = (Column("name", "name"), Column("source", "source"), Column("place", "here in"))
    return Report("", columns, tuple(rows), notes=notes)


def description(data: Dataset, findings: tuple[Finding, ...] | None) -> Report:
    """Return what `data` holds, and what its checks found if they were made."""
    from convcli.data.checks import summarize

    summaries = summarize(data)
    columns = (
        Column("class", "class"),
        *(Column(item.name, item.name, "right") for item in summaries),
    )
    rows = tuple(
        (name, *(item.counts[label] for item in summaries))
        for label, name in enumerate(data.class_names)
    )
    totals = ("total", *(sum(item.counts) for item in summaries))
    kind = str(data.train.samples.dtype)
    shape = "x".join(map(str, data.sample_shape))
    size = sum(split.samples.nbytes for split in data.splits().values())
    document: dict[str, Any] = {
        "name": data.name,
        "provenance": data.provenance,
        "sample_shape": list(data.sample_shape),
        "dtype": kind,
        "bytes": size,
        "channels": list(data.channel_names),
        "classes": [
            {"name": name} | {item.name: item.counts[label] for item in summaries}
            for label, name in enumerate(data.class_names)
        ],
        "splits": {
            item.name: {
                "n": sum(item.counts),
                "mean": list(item.means),
                "deviation": list(item.deviations),
            }
            for item in summaries
        },
        "notes": list(data.notes),
    }
    parts = [_moments(data, summaries)]
    if findings is not None:
        document["checks"] = [
            {"check": item.check, "failed": item.failed, "count": item.count, "text": item.text}
            for item in findings
        ]
        parts.append(_checks(findings))
    return Report(
        f"{data.name}: {shape} {kind}, {data.classes} classes",
        columns,
        rows,
        totals=totals,
        notes=(f"{data.provenance}.", f"{size:,} bytes in memory.", *data.notes),
        document=document,
        parts=tuple(parts),
    )


def _moments(data: Dataset, summaries: tuple[Any, ...]) -> Report:
    columns = (
        Column("split", "split"),
        Column("channel", "channel"),
        Column("mean", "mean", "right"),
        Column("deviation", "deviation", "right"),
    )
    rows = []
    for item in summaries:
        names = data.channel_names or tuple(str(number) for number in range(len(item.means)))
        pairs = zip(names, item.means, item.deviations, strict=True)
        rows += [(item.name, name, mean, deviation) for name, mean, deviation in pairs]
    return Report("Values", columns, tuple(rows))


def _checks(findings: tuple[Finding, ...]) -> Report:
    if not findings:
        return Report("", (), (), notes=("Checks: nothing found.",))
    columns = (
        Column("check", "check"),
        Column("failed", "failed"),
        Column("count", "count", "right"),
        Column("text", "what"),
    )
    rows = tuple((item.check, item.failed, item.count, item.text) for item in findings)
    return Report("Checks", columns, rows)


def sheet_panels(data: Dataset, per_class: int) -> Iterator[Panel]:
    """Yield the first samples of each class, a heading before each class.

    Raises:
        UsageError: the samples are no pictures.
    """
    from convcli.imaging.picture import gray_levels
    from convcli.present.panels import Panel

    split = data.train
    if split.samples.ndim != 4 or split.samples.shape[3] not in {1, 3}:
        shape = "x".join(map(str, data.sample_shape))
        raise UsageError(f"--sheet draws pictures; samples of {data.name} are {shape}.")
    for label, name in enumerate(data.class_names):
        heading = f"{name} ({int((split.labels == label).sum()):,})"
        for at in np.flatnonzero(split.labels == label)[:per_class].tolist():
            sample = split.samples[at]
            pixels = sample if sample.dtype == np.uint8 else gray_levels(sample)
            yield Panel("", pixels[..., 0] if pixels.shape[2] == 1 else pixels, heading)
            heading = ""
