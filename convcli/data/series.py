"""Series cut into windows: tables of measurements, and the UCI smartphone data as they come."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.arrayfiles import check_bytes
from convcli.data.dataset import ALLOW, Dataset, ProgressCallback, Split, make_dataset
from convcli.data.source import Source
from convcli.data.table import (
    GROUP_NAMES,
    LABEL_NAMES,
    PIXEL,
    TIME_NAMES,
    Table,
    number_in,
    read_channels,
    read_rows,
    read_table,
)
from convcli.errors import InputError, UsageError, cannot_read, listed

WINDOW = 128
OVERLAP = 0.5
ROW_NOTE = "Each row is a sample"
LABEL_RULES = ("majority", "last")
_WINDOWS_A_BLOCK = 8
_SHORT_STRETCH = 4
"""A label that lasts fewer rows than this on average is that of a row, not of a time."""
_FEWEST_BLOCKS = 20
_TABLE_NAMES = {
    "train": ("train.csv", "datatraining.txt"),
    "validation": ("validation.csv", "val.csv"),
    "test": ("test.csv", "datatest.txt", "datatest2.txt"),
}
_SIGNALS = tuple(
    f"{kind}_{axis}" for kind in ("body_acc", "body_gyro", "total_acc") for axis in "xyz"
)


def is_series_folder(folder: Path) -> bool:
    """Return whether `folder` holds tables by split, or the UCI smartphone data."""
    tables = any((folder / name).is_file() for name in _TABLE_NAMES["train"])
    return tables or _smartphone_root(folder) is not None


def series_dataset(source: Source, progress: ProgressCallback | None = None) -> Dataset:
    """Return windows of series, N x window x channels float32.

    Windows never run across a change of person, a gap, or a block of eight windows' length; those
    of one person (where the file names them) or one block form a group, so that a split by groups
    never puts rows that two windows share on both sides.

    When no window is given, a table with a column of time is a series in windows of 128, one whose
    labels change from row to row has a sample in each row, and any other is refused: it may be
    either. Of equally many labels in a window the last row decides; values are those of the last
    row, and those of the rows that follow where `forecast` asks for them.
    """
    place = source.place
    root = _smartphone_root(place) if place.is_dir() else None
    if root is not None:
        return _smartphone(source, root, progress)
    files = _tables(place)
    read = {
        name: [
            read_table(
                path,
                label=source.label,
                group=source.group,
                task=source.task,
                forecast=source.forecast is not None,
                max_bytes=source.max_bytes,
            )
            for path in paths
        ]
        for name, paths in files.items()
    }
    first = read["train"][0]
    for path, table in (
        (p, t) for name in read for p, t in zip(files[name], read[name], strict=True)
    ):
        if table.channel_names != first.channel_names:
            raise InputError(
                f"{path}: its channels are {listed(table.channel_names)}, those of train "
                f"{listed(first.channel_names)}."
            )
    cut, task = _cut(source, read["train"])
    make = _windows if cut.size else _rows
    splits = {name: make(files[name], tables, cut) for name, tables in read.items()}
    notes = dict.fromkeys(note for tables in read.values() for one in tables for note in one.notes)
    how, splits = _described(source, first.channel_names, cut, splits)
    return make_dataset(
        place.stem,
        splits,
        class_names=cut.names,
        provenance=f"read from {place}",
        channel_names=first.channel_names if cut.size else (),
        notes=(*notes, how),
        task=task,
    )


def _cut(source: Source, tables: list[Table]) -> tuple[_Cut, str]:
    """Return how rows become samples, and the task."""
    first, ahead = tables[0], source.forecast
    size, share, rule = source.window, source.overlap, source.label_rule or LABEL_RULES[0]
    if rule not in LABEL_RULES:
        raise UsageError(f"Unknown label rule {rule!r}. There are: {', '.join(LABEL_RULES)}.")
    if isinstance(size, str):
        size = _rows_of(source.place, size, first)
    if size is None and share is None:
        size = _meant_window(source.place, first, forecast=ahead is not None)
    size = WINDOW if size is None else size
    share = (OVERLAP if size else 0.0) if share is None else share
    if size < 0 or not 0 <= share < 1 or (size == 0 and share):
        raise UsageError(
            f"--window {size} --overlap {share:g}: a window has at least 1 row, or 0 for one "
            "sample a row without --overlap, and the overlap is from 0 to under 1."
        )
    if ahead is not None and not size:
        raise UsageError("--forecast needs windows of rows before it: --window 64.")
    names, task = _class_names({text for table in tables for text in table.label_names}), "classes"
    if first.targets is not None:
        several = first.targets.shape[1] > 1
        yes_or_no = several and bool(((first.targets == 0) | (first.targets == 1)).all())
        names = first.target_names
        task = source.task or ("labels" if yes_or_no and ahead is None else "values")
    if ahead is not None:
        names = tuple(f"{name}+{k + 1}" for k in range(ahead) for name in names)
    return _Cut(size, share, rule, ahead or 0, names), task


def _described(
    source: Source, channels: tuple[str, ...], cut: _Cut, splits: dict[str, Split]
) -> tuple[str, dict[str, Split]]:
    """Return how samples were made, and rows that are pictures as those."""
    step = _step(cut.size, cut.share)
    if cut.ahead:
        return (
            f"Windows of {cut.size} rows every {step}, and the {cut.ahead} rows after each.",
            splits,
        )
    if cut.size:
        rule = "most rows" if cut.rule == "majority" else "the last row"
        return f"Windows of {cut.size} rows every {step}; the label is that of {rule}.", splits
    shape = _picture_shape(channels, splits)
    if shape is None:
        splits = {
            name: replace(split, stored=split.stored.astype(np.float32, copy=False))
            for name, split in splits.items()
        }
        return f"{ROW_NOTE}; --window {WINDOW} cuts a series instead.", splits
    splits = {
        name: replace(split, stored=split.stored.reshape(-1, *shape).astype(np.uint8, copy=False))
        for name, split in splits.items()
    }
    columns = "by the names of its columns"
    return f"{ROW_NOTE}: a picture of {shape[0]}x{shape[1]}, {columns}.", splits


class Recording(NamedTuple):
    """A series as it came, and the windows that a model takes of it.

    Attributes:
        samples: N x window x channels float32; N x channels where each row is a sample.
        firsts: row that each begins with, from 0.
        rows: of the file that could be read, each as its cells.
        header: names of the columns.
    """

    samples: NDArray[np.float32]
    firsts: tuple[int, ...]
    rows: tuple[list[str], ...]
    header: tuple[str, ...]


def read_recording(path: Path, source: Source, shape: tuple[int, ...]) -> Recording:
    """Return the windows of a table that needs no labels; those of the training's overlap.

    Args:
        path: of the table, whose channels are named as in the training's, or are as many.
        source: of the training.
        shape: window x channels, or channels alone.

    Raises:
        InputError: other columns, rows that are no numbers, or too few of them.
    """
    header, rows = read_rows(path)
    known = _training_channels(source)
    low = {name.lower() for name in (*LABEL_NAMES, *TIME_NAMES, *GROUP_NAMES)}
    asked = {name.strip() for name in (source.label or "").split(",")} | {source.group}
    free = [name for name in header if name.lower() not in low and name not in asked]
    chosen = known if known and set(known) <= set(header) else free
    if len(chosen) != shape[-1]:
        raise InputError(
            f"{path}: the model takes {shape[-1]} channels"
            f"{f' ({listed(known)})' if known else ''}, and these columns may be some: "
            f"{listed(free) or 'none'}."
        )
    at = [header.index(name) for name in chosen]
    values = np.empty((len(rows), len(at)), np.float32)
    for number, cells in enumerate(rows):
        numbers = [number_in(cells[place]) if len(cells) > place else None for place in at]
        if not all(one is not None and math.isfinite(one) for one in numbers):
            raise InputError(
                f"{path}: row {number + 1} has no numbers in {listed(chosen)}: "
                f"{', '.join(cells)[:60]}."
            )
        values[number] = numbers
    if len(shape) == 1:
        return Recording(values, tuple(range(len(rows))), tuple(rows), tuple(header))
    size = shape[0]
    if len(values) < size:
        raise InputError(f"{path} has {len(values):,} rows; a window of the model takes {size}.")
    share = OVERLAP if source.overlap is None else source.overlap
    firsts = [*range(0, len(values) - size + 1, _step(size, share))]
    if firsts[-1] + size < len(values):  # the end is told, too
        firsts.append(len(values) - size)
    samples = np.stack([values[first : first + size] for first in firsts])
    return Recording(samples, tuple(firsts), tuple(rows), tuple(header))


def _training_channels(source: Source) -> tuple[str, ...]:
    """Return the columns that the training read, where its file is still there."""
    try:
        place = _tables(source.place)["train"][0]
        return read_channels(place, label=source.label, group=source.group, task=source.task,
                             forecast=source.forecast is not None)  # fmt: skip
    except (InputError, UsageError, KeyError):
        return ()


class _Cut(NamedTuple):
    """How rows become samples: the rows of a window and what windows share, rule and names."""

    size: int
    share: float
    rule: str
    ahead: int
    names: tuple[str, ...]


def _picture_shape(
    channels: tuple[str, ...], splits: dict[str, Split]
) -> tuple[int, int, int] | None:
    """Return the shape of pictures whose columns are named as pixels, None for other tables.

    >>> _picture_shape(("pixel0", "pixel1", "pixel2", "pixel3"), {})
    (2, 2, 1)
    """
    side = math.isqrt(len(channels))
    pixels = all(PIXEL.fullmatch(name.lower()) for name in channels)
    bytes_only = all(split.stored.dtype == np.uint8 for split in splits.values())
    return (
        (side, side, 1) if pixels and side > 1 and side**2 == len(channels) and bytes_only else None
    )


def _rows_of(place: Path, window: str, table: Table) -> int:
    """Return how many rows are a window in seconds, by the column of time.

    Raises:
        UsageError: it is no time, or the table does not tell.
    """
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*s", window.strip())
    if match is None:
        raise UsageError(f"--window {window}: write rows, such as 128, or seconds, such as 2.56s.")
    if table.interval is None:
        raise UsageError(
            f"--window {window}: {place} has no column of time that rises ("
            f"{', '.join(TIME_NAMES)}). Name the rows of a window."
        )
    rows = round(float(match[1]) / table.interval)
    if rows < 1:
        raise UsageError(f"--window {window}: a row of {place} takes {table.interval:g} s.")
    return rows


def _meant_window(place: Path, table: Table, *, forecast: bool) -> int:
    """Return the window that a table asks for by itself; 0 for one sample a row."""
    if table.timed or forecast:
        return WINDOW
    if table.targets is not None or all(PIXEL.fullmatch(n.lower()) for n in table.channel_names):
        return 0
    stretch = len(table.labels) / (np.count_nonzero(np.diff(table.labels)) + 1)
    if stretch < _SHORT_STRETCH:
        return 0
    raise UsageError(
        f"{place} has no column of time, and a label lasts {stretch:.0f} rows on average: is it a "
        f"series, or is each row a sample? Use --window {WINDOW} for windows of a series, or "
        "--window 0 for one sample a row."
    )


def _tables(place: Path) -> dict[str, list[Path]]:
    if not place.is_dir():
        return {"train": [place]}
    found = {
        split: [place / name for name in names if (place / name).is_file()]
        for split, names in _TABLE_NAMES.items()
    }
    return {split: paths for split, paths in found.items() if paths}


def _class_names(found: set[str]) -> tuple[str, ...]:
    """Return the labels in order: whole numbers by size, texts by the alphabet."""
    if all(text.removeprefix("-").isdecimal() for text in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))


def _step(size: int, share: float) -> int:
    return max(1, round(size * (1 - share)))


def _windows(paths: list[Path], tables: list[Table], cut: _Cut) -> Split:
    """Return the windows of one split's tables, which share the memory of their rows."""
    size, whole, step = cut.size, cut.size + cut.ahead, _step(cut.size, cut.share)
    firsts, labels, groups = [], [], []
    rows = blocks = 0
    for path, table in zip(paths, tables, strict=True):
        classes, people = _classes(path, table, cut.names), blocks + table.groups
        blocks += int(table.groups.max(initial=-1)) + 1
        for start, stop in _blocks(table, whole):
            blocks += 1
            for first in range(start, stop - whole + 1, step):
                firsts.append(rows + first)
                labels.append(_label(table, classes, first, cut))
                groups.append(people[first] if len(people) else blocks)
        rows += len(table.values)
    if not firsts:
        longest = max(int(np.diff([*t.starts, len(t.values)]).max()) for t in tables)
        more = f" and the {cut.ahead} that follow" if cut.ahead else ""
        raise InputError(
            f"{paths[0]}: no window of {size} rows{more} fits; the longest stretch without a gap "
            f"has {longest:,}. Use --window {longest - cut.ahead} or less."
        )
    values = _together([table.values for table in tables]).astype(np.float32, copy=False)
    windows = np.lib.stride_tricks.sliding_window_view(values, (size, values.shape[1]))[:, 0]
    return Split(windows, np.array(labels), np.array(groups, np.int64), rows=np.array(firsts))


def _together(arrays: list[Any]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _label(
    table: Table, classes: NDArray[np.int64], first: int, cut: _Cut
) -> int | NDArray[np.float32]:
    """Return what is to be learned of the window that begins at a row."""
    end = first + cut.size
    if table.targets is None:
        return _window_class(classes[first:end], cut.rule)
    if cut.ahead:
        return table.targets[end : end + cut.ahead].ravel()
    return np.asarray(table.targets[end - 1])


def _rows(paths: list[Path], tables: list[Table], cut: _Cut) -> Split:
    """Return the rows of one split's tables; those of one person form a group."""
    labels, groups, people = [], [], 0
    for path, table in zip(paths, tables, strict=True):
        classes = _classes(path, table, cut.names)
        labels.append(classes if table.targets is None else table.targets)
        groups.append(people + table.groups.astype(np.int64))
        people += int(table.groups.max(initial=-1)) + 1
    return Split(
        _together([table.values for table in tables]),
        _together(labels),
        _together(groups) if people else None,
    )


def _classes(path: Path, table: Table, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the class of each row, a place in `names`."""
    unknown = sorted(set(table.label_names) - set(names))
    if unknown:
        raise InputError(
            f"{path}: the label {unknown[0]!r} does not occur in the training data "
            f"({', '.join(names)})."
        )
    places = np.array([names.index(text) for text in table.label_names], np.int64)
    return places[table.labels]


def _blocks(table: Table, size: int) -> list[tuple[int, int]]:
    """Return the stretches (first row, one past the last) that windows are cut from."""
    rows = len(table.values)
    length = max(size, min(_WINDOWS_A_BLOCK * size, rows // _FEWEST_BLOCKS))
    blocks = []
    for start, stop in pairwise([*table.starts.tolist(), rows]):
        blocks += [(at, min(at + length, stop)) for at in range(start, stop, length)]
    return blocks


def _window_class(classes: NDArray[np.int64], rule: str) -> int:
    """Return the class of one window.

    >>> _window_class(np.array([0, 1, 1, 0]), "majority")
    0
    """
    counts = np.bincount(classes)
    latest = classes[::-1]
    return int(latest[0] if rule == "last" else latest[counts[latest] == counts.max()][0])


def _smartphone_root(folder: Path) -> Path | None:
    """Return the folder of the UCI smartphone data, given it or the folder around it."""
    for root in (folder, folder / "UCI HAR Dataset"):
        if (root / "train" / "Inertial Signals").is_dir():
            return root
    return None


def _smartphone(source: Source, root: Path, progress: ProgressCallback | None) -> Dataset:
    """Return the raw signals of the UCI data of human activity (Anguita et al. 2013)."""
    if source.window not in {None, WINDOW} or source.overlap not in {None, OVERLAP}:
        raise UsageError(
            f"{source.name} comes in windows of {WINDOW} rows that overlap by half; "
            "leave --window and --overlap out."
        )
    useless = [name for name in ("task", "forecast", "group") if getattr(source, name)]
    if useless:
        raise UsageError(f"{source.name} comes with labels and persons; it takes no {useless[0]}.")
    max_bytes = source.max_bytes
    names = _activities(root / "activity_labels.txt")
    splits = {}
    for number, split in enumerate(("train", "test")):
        signals = []
        for place, signal in enumerate(_SIGNALS):
            path = root / split / "Inertial Signals" / f"{signal}_{split}.txt"
            signals.append(_numbers_in(path, WINDOW, max_bytes // len(_SIGNALS)))
            if progress:
                progress("signals read", number * len(_SIGNALS) + place + 1, 2 * len(_SIGNALS))
        lengths = {signal: len(rows) for signal, rows in zip(_SIGNALS, signals, strict=True)}
        if len(set(lengths.values())) > 1:
            raise InputError(f"{root / split}: the signals differ in length: {lengths}.")
        labels, people = (
            _numbers_in(root / split / f"{name}_{split}.txt", 1, max_bytes)[:, 0].astype(np.int64)
            for name in ("y", "subject")
        )
        if len(people) != len(labels):
            raise InputError(
                f"{root / split}: {len(labels):,} labels but {len(people):,} subjects."
            )
        samples = np.stack(signals, axis=-1).astype(np.float32)
        splits[split] = Split(samples, labels - 1, people)
    return make_dataset(
        "smartphone",
        splits,
        class_names=names,
        provenance=f"UCI human activity recognition using smartphones, read from {root}",
        channel_names=_SIGNALS,
        notes=("Windows of 128 rows at 50 Hz, half shared, as published; groups are persons.",),
    )


def _activities(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"Cannot read {path}: {problem}.") from problem
    return tuple(lines[1::2])


def _numbers_in(path: Path, columns: int, max_bytes: int) -> NDArray[np.float64]:
    """Return a text file of numbers between blanks, rows x columns."""
    try:
        rows = np.loadtxt(path, ndmin=2, max_rows=max_bytes // (8 * columns) + 1)
    except OSError as problem:
        raise cannot_read(path, problem) from problem
    except ValueError as problem:
        raise InputError(f"{path}: {problem}.") from problem
    if rows.shape[1] != columns:
        raise InputError(f"{path}: rows have {rows.shape[1]} numbers; expected {columns}.")
    check_bytes(f"{path}: its rows up to number {len(rows):,} take", rows.nbytes, max_bytes, ALLOW)
    return np.asarray(rows)
