"""Reports and sheets of data sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from convcli.errors import UsageError
from convcli.report import Report, tabulate
from convcli.report.value import as_text

if TYPE_CHECKING:
    from convcli.data import Dataset
    from convcli.data.checks import Finding
    from convcli.present.panels import Panel


def names_report() -> Report:
    """Return the sets that have names: what they are, and where each is."""
    from convcli.data.made import MADE_SETS
    from convcli.data.published import PUBLISHED, VARIABLE, cache_folder, own_folder

    records: list[dict[str, str | None]] = []
    for item in PUBLISHED.values():
        own, cached = own_folder(item.name), cache_folder(item.name)
        place = own or (cached if cached.is_dir() else None)
        records.append(
            {"name": item.name, "source": item.source, "place": str(place) if place else None}
        )
    titles = {"digits": "from stroke models"} | {n: one.title for n, one in MADE_SETS.items()}
    for name, title in titles.items():
        told = f"made on the spot: {title}"
        records.append({"name": name, "source": told, "place": None})
    note = (
        f"A set is looked for in ${VARIABLE}/NAME, then in {cache_folder('NAME')}, "
        "and downloaded if it is in neither."
    )
    columns = {"name": "Name", "source": "Source", "place": "Here in"}
    return tabulate(records, columns, notes=[note])


def description(data: Dataset, findings: tuple[Finding, ...] | None) -> Report:
    """Return what `data` holds, and what its checks found if they were made."""
    from convcli.data.checks import summarize

    summaries = summarize(data)
    values = data.task == "values"
    classes = [
        {"name": name}
        | {
            item.name: data.splits()[item.name].labels[..., label].mean(dtype=float)
            if values
            else item.counts[label]
            for item in summaries
        }
        for label, name in enumerate(data.class_names)
    ]
    kind = str(data.train.stored.dtype)
    size = sum(split.nbytes for split in data.splits().values())
    document: dict[str, Any] = {
        "name": data.name,
        "provenance": data.provenance,
        "sample_shape": data.sample_shape,
        "dtype": kind,
        "bytes": size,
        "channels": data.channel_names,
        "task": data.task,
        "classes": [] if values else classes,
        **({"values": classes} if values else {}),
        "splits": {
            item.name: {"n": item.n, "mean": item.means, "deviation": item.deviations}
            for item in summaries
        },
        "notes": data.notes,
    }
    parts = [_moments(data, summaries)]
    if findings is not None:
        parts.append(_checks(findings))
        document["checks"] = parts[-1].document
    headers = {item.name: item.name.capitalize() for item in summaries}
    return tabulate(
        classes,
        {"name": COUNTED[data.task], **headers},
        title=f"{data.name}: {as_text(data.sample_shape)} {kind}, {data.classes} "
        f"{'values' if values else 'labels' if data.task == 'labels' else 'classes'}",
        totals={"name": "samples" if data.task != "classes" else "total"}
        | {item.name: item.n for item in summaries},
        notes=(f"{data.provenance}.", f"{size:,} bytes in memory.", *data.notes),
        document=document,
        parts=parts,
    )


COUNTED = {
    "classes": "Class", "labels": "Label", "values": "Value (mean)", "mask": "Class (cells)",
}  # fmt: skip
"""What the rows of a data set are, and what of them is told."""


def _moments(data: Dataset, summaries: tuple[Any, ...]) -> Report:
    records = [
        {"split": item.name, "channel": name, "mean": mean, "deviation": deviation}
        for item in summaries
        for name, mean, deviation in zip(
            data.channel_names or map(str, range(len(item.means))),
            item.means,
            item.deviations,
            strict=True,
        )
    ]
    columns = {"split": "Split", "channel": "Channel", "mean": "Mean", "deviation": "Deviation"}
    return tabulate(records, columns, title="Values", name="values")


def _checks(findings: tuple[Finding, ...]) -> Report:
    if not findings:
        return Report("", (), (), notes=("Checks: nothing found.",), document=[])
    columns = {"check": "Check", "failed": "Failed", "count": "Count", "text": "What"}
    return tabulate(findings, columns, title="Checks", name="checks")


def sheet_panels(data: Dataset, per_class: int) -> Iterator[Panel]:
    """Yield the first samples of each class, a heading before each class.

    Raises:
        UsageError: the samples are no pictures.
    """
    from convcli.data.dataset import TASKS
    from convcli.imaging.picture import gray_levels
    from convcli.present.panels import Panel

    split = data.train
    if len(split.sample_shape) != 3 or split.sample_shape[2] not in {1, 3}:
        shape = "x".join(map(str, data.sample_shape))
        raise UsageError(f"--sheet draws pictures; samples of {data.name} are {shape}.")
    if data.task != "classes":
        raise UsageError(
            f"--sheet draws samples of each class; to be learned of {data.name} is "
            f"{TASKS[data.task]}."
        )
    for label, name in enumerate(data.class_names):
        heading = f"{name} ({int((split.labels == label).sum()):,})"
        for at in np.flatnonzero(split.labels == label)[:per_class].tolist():
            sample = split.some([at])[0]
            pixels = sample if sample.dtype == np.uint8 else gray_levels(sample)
            yield Panel("", pixels[..., 0] if pixels.shape[2] == 1 else pixels, heading)
            heading = ""
