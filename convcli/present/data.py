"""Reports and sheets of data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcli.data.dataset import IGNORED
from convcli.errors import UsageError
from convcli.report import Report, tabulate
from convcli.report.chart import PALETTE
from convcli.report.value import as_text

if TYPE_CHECKING:
    from convcli.data import Dataset
    from convcli.data.checks import Finding
    from convcli.present.panels import Panel


MIDDLE = "The middle plane of each volume"
PICTURES_DRAWN, SERIES_DRAWN = (6, 7), (2, 3)
"""How many samples a sheet of augmentation shows, and how many epochs of each."""


def names_report() -> Report:
    """Return the sets that have names: what they are, and where each is."""
    from convcli.data.made import MADE_SETS
    from convcli.data.published import PUBLISHED, VARIABLE, cache_folder, folder_of

    records: list[dict[str, str | None]] = []
    for item in PUBLISHED.values():
        place = folder_of(item)
        here = str(place) if place.is_dir() else None
        records.append({"name": item.name, "source": item.source, "place": here})
    titles = {"digits": "from stroke models"} | {n: one.title for n, one in MADE_SETS.items()}
    for name, title in titles.items():
        told = f"made on the spot: {title}"
        records.append({"name": name, "source": told, "place": None})
    note = (
        f"A set is looked for in ${VARIABLE}/NAME, where Debian's package has put it, then in "
        f"{cache_folder('NAME')}, and downloaded if it is in none of them."
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
    """Yield the first training samples, of each class where they have one, under headings.

    Masks lie over their pictures.
    """
    split = data.train
    chosen = [("", np.arange(len(split)))]
    if data.task in {"classes", "labels"}:
        ones = data.task == "labels"
        chosen = [
            (name, np.flatnonzero(split.labels[:, label] if ones else split.labels == label))
            for label, name in enumerate(data.class_names)
        ]
    for name, places in chosen:
        heading = f"{name} ({len(places):,})" if name else MIDDLE * (len(data.sample_shape) == 4)
        for at in places[:per_class].tolist():
            label = split.labels[at]
            yield sample_panel(data, split.some([at])[0], label, _caption(data, label), heading)
            heading = ""
    if data.task == "mask":
        yield from mask_key(data.class_names)


def mask_key(class_names: Sequence[str]) -> Iterator[Panel]:
    """Yield the colors of masks with their classes; the first class is clear."""
    from convcli.present.panels import Panel

    for label, name in enumerate(class_names[1:], start=1):
        swatch = masked(np.full((1, 4), 128, np.uint8), np.full((1, 4), label, np.uint8))
        yield Panel(name, swatch, "Colors of the masks" if label == 1 else "")


def _caption(data: Dataset, label: Any) -> str:
    """Return the values to be learned of a sample, where they are few."""
    if data.task != "values" or label.size > 4:
        return ""
    return " ".join(f"{value:.4g}" for value in label.ravel().tolist())


def sample_panel(
    data: Dataset, sample: Any, label: Any, caption: str = "", heading: str = ""
) -> Panel:
    """Return one sample as people can see it: a picture, a series' lines, a volume's middle slice.

    A mask lies over its picture; the rows that are learned of a series go on with it.
    """
    from convcli.present.panels import Panel

    if sample.ndim == 4:
        middle = len(sample) // 2
        sample, label = sample[middle], label[middle] if data.task == "mask" else label
    if sample.ndim == 3:
        pixels = seen_pixels(sample)
        return Panel(caption, masked(pixels, label) if data.task == "mask" else pixels, heading)
    if sample.ndim == 2:
        ahead = np.asarray(label).reshape(-1, sample.shape[1]) if goes_on(data) else sample[:0]
        names = data.channel_names or tuple(map(str, range(sample.shape[1])))
        return Panel(caption, np.concatenate([sample, ahead]), heading, form="lines", names=names)
    return Panel(caption, sample.astype(float), heading, form="bars")


def seen_pixels(sample: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a sample with rows and columns as bytes, gray or RGB; of other channels the first."""
    from convcli.imaging.picture import gray_levels

    pixels = sample if sample.dtype == np.uint8 else gray_levels(sample)
    return pixels if pixels.shape[2] == 3 else pixels[..., 0]


def goes_on(data: Dataset) -> bool:
    """Tell whether what is learned of a series is its next rows."""
    last = data.sample_shape[-1]
    if data.task != "values" or len(data.output_shape) > 1:
        return False
    return data.class_names[0].endswith("+1") and data.output_shape[0] % last == 0


def masked(pixels: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture under the colors of its mask; the first class is clear, no class white."""
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., np.newaxis], 3, axis=2)
    colors = np.array([[int(text[at : at + 2], 16) for at in (1, 3, 5)] for text in PALETTE])
    rows, cols = ((rgb.shape[axis] - mask.shape[axis]) // 2 for axis in (0, 1))
    inside = np.zeros(rgb.shape[:2], np.int64)
    inside[rows : rows + mask.shape[0], cols : cols + mask.shape[1]] = mask
    laid = np.where(inside[..., np.newaxis] == IGNORED, 255, colors[(inside - 1) % len(colors)])
    blended = np.where(inside[..., np.newaxis] > 0, (rgb + laid.astype(float)) / 2, rgb)
    return np.rint(blended).astype(np.uint8)


def augmented_panels(data: Dataset, words: str, *, seed: int = 0) -> Iterator[Panel]:
    """Yield training samples, each as it is and as the first epochs of a training see it.

    Raises:
        UsageError: the augmentation is none for these samples.
    """
    from convcli.data.augmentation import Key, read_augmentation
    from convcli.learn.prepare import preprocessing_for
    from convcli.learn.task import check_augmentation

    augmentation = read_augmentation(words)
    if not augmentation:
        raise UsageError(f"--augment {words}: that changes nothing to be drawn.")
    check_augmentation(augmentation, data)
    samples, epochs = SERIES_DRAWN if len(data.sample_shape) < 3 else PICTURES_DRAWN
    at = np.linspace(0, len(data.train) - 1, min(samples, len(data.train))).astype(np.int64)
    plain, labels = data.train.some(at), data.train.labels[at]
    rule = preprocessing_for(data.train)
    scaled = rule.rescales(plain.dtype)
    deviation = 1 / abs(rule.engine_scaling[0])
    seen = [(plain, labels)]
    for epoch in range(epochs):
        key = Key(seed, epoch, at)
        changed = augmentation.apply(rule.engine_samples(plain), key, deviation=deviation)
        if scaled:
            changed = (changed - np.asarray(rule.offset)) / np.asarray(rule.scale)
        masks = labels
        if data.task == "mask":
            masks = augmentation.apply_to_masks(labels, data.classes, key)
        if augmentation.mixes:
            changed, _ = augmentation.mixed(changed, np.zeros((len(at), 1), np.float32), key)
        if plain.dtype == np.uint8:
            changed = np.rint(np.clip(changed, 0, 255)).astype(np.uint8)
        seen.append((changed, masks))
    for number in range(len(at)):
        for epoch, (some, targets) in enumerate(seen):
            caption = ("as it is" if epoch == 0 else f"epoch {epoch}") if number == 0 else ""
            row = " " if epoch == 0 and number else ""
            yield sample_panel(data, some[number], targets[number], caption, row)
