"""Pictures that are more than their folder says: with masks beside them, or in a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convcli.data.dataset import IGNORED, Dataset, ProgressCallback, Split, as_targets, make_dataset
from convcli.data.folders import picture_split, reading_notes, split_folders
from convcli.data.picture_store import read_pictures
from convcli.data.source import Source, read_size
from convcli.data.table import GROUP_NAMES, LABEL_NAMES, named_column, number_in
from convcli.errors import InputError, UsageError, cannot_read, listed

PICTURES, MASKS = ("images", "image", "pictures"), ("masks", "mask", "labels", "annotations")
"""What the folders of a set of pairs are called."""
FILE_NAMES = ("file", "filename", "image", "path", "picture", "image_id", "id")
"""What a column of picture files is called."""
MOST_FILES_TRIED = 20


def is_folder_of_pairs(root: Path) -> bool:
    """Tell whether a folder, or its part for training, holds pictures and masks."""
    return _pair_folders(split_folders(root).get("train", root)) is not None


def _pair_folders(tree: Path) -> tuple[Path, Path] | None:
    pictures, masks = (
        next((tree / name for name in names if (tree / name).is_dir()), None)
        for names in (PICTURES, MASKS)
    )
    return None if pictures is None or masks is None else (pictures, masks)


def pairs_dataset(source: Source, progress: ProgressCallback | None = None) -> Dataset:
    """Return pictures with a mask each, which has the class of every cell.

    The folder, or its folders `train`, `val` and `test`, hold `images` and `masks`; a picture and
    its mask have one name before the suffix. A mask's classes are palette indices or gray levels;
    255 is no class, unless 0 and 255 are all that there is.
    """
    root, size = source.place, read_size(source.size)
    splits: dict[str, Split] = {}
    trees = split_folders(root) or {"train": root}
    listed = {split: _pairs(tree) for split, tree in trees.items()}
    paths = [picture for pairs in listed.values() for picture, _ in pairs]
    pictures = read_pictures(root, paths, size, progress, source.max_bytes)
    shape = pictures.stored.shape[1:3]
    for split, pairs in listed.items():
        known = [pair for pair in pairs if pair[0] in pictures.rows]
        if not known:
            raise InputError(f"{trees[split]}: no readable picture with a mask.")
        masks = np.empty((len(known), *shape), np.uint8)
        for at, (_, mask) in enumerate(known):
            masks[at] = _read_mask(mask, shape, resized=size is not None)
        splits[split] = picture_split(pictures, [picture for picture, _ in known], masks)
    levels = set(np.unique(np.concatenate([np.unique(one.labels) for one in splits.values()])))
    notes = list(reading_notes(pictures, size))
    if levels <= {0, IGNORED}:
        for part in splits.values():
            part.labels[part.labels == IGNORED] = 1
        notes.append("Masks are 0 and 255: 255 is class 1.")
    data = make_dataset(
        root.resolve().name,
        splits,
        provenance=f"pictures and masks read from {root}",
        notes=tuple(notes),
        task="mask",
    )
    return replace(data, skipped=tuple(pictures.skipped))


def _pairs(tree: Path) -> list[tuple[Path, Path]]:
    """Return each picture with its mask.

    Raises:
        InputError: there are none, or a picture lacks its mask.
    """
    from convcli.imaging.formats import READABLE_SUFFIXES

    folders = _pair_folders(tree)
    if folders is None:
        raise InputError(f"{tree} has no folders {PICTURES[0]} and {MASKS[0]}.")
    found = [
        {path.stem: path for path in sorted(folder.rglob("*"))
         if path.suffix.lower() in READABLE_SUFFIXES and path.name[0] != "."}
        for folder in folders
    ]  # fmt: skip
    alone = [stem for stem in found[0] if stem not in found[1]]
    if alone:
        raise InputError(
            f"{folders[1]} has no mask for {len(alone):,} of {len(found[0]):,} pictures, such as "
            f"{found[0][alone[0]].name}. A mask has its picture's name before the suffix."
        )
    return [(picture, found[1][stem]) for stem, picture in found[0].items()]


def _read_mask(path: Path, shape: Sequence[int], *, resized: bool) -> NDArray[np.uint8]:
    from convcli.imaging.pillow import read_levels

    levels = read_levels(path, (shape[0], shape[1]) if resized else None)
    if levels.shape != tuple(shape):
        raise InputError(
            f"{path} is {levels.shape[0]}x{levels.shape[1]}, its picture {shape[0]}x{shape[1]}; "
            "a mask has the size of its picture."
        )
    return levels


def file_column(path: Path) -> int | None:
    """Return the column of a table that names picture files, None in any other table."""
    try:
        rows = _rows(path, MOST_FILES_TRIED)
    except (InputError, StopIteration):
        return None
    for place, name in enumerate(rows[0] if rows else ()):
        cells = [row[place] for row in rows[1:] if len(row) > place]
        known = [cell for cell in cells if number_in(cell) is None and _find(path, cell)]
        if cells and (known == cells or (known and name.lower() in FILE_NAMES)):
            return place
    return None


def _rows(path: Path, most: int | None = None) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = []
            for row in csv.reader(file):
                if row:
                    found.append([cell.strip() for cell in row])
                if len(found) == most:
                    break
            return found
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is no text: byte {problem.start} is not UTF-8.") from problem
    except csv.Error as problem:
        raise InputError(f"{path} is no table of comma separated values: {problem}.") from problem
    except OSError as problem:
        raise cannot_read(path, problem) from problem


def _find(table: Path, cell: str) -> Path | None:
    """Return the file that a cell names: beside the table, or in a folder of pictures there."""
    from convcli.imaging.formats import READABLE_SUFFIXES

    for folder in (table.parent, *(table.parent / name for name in PICTURES)):
        for suffix in ("", ".png", ".jpg"):
            path = folder / f"{cell}{suffix}"
            if path.suffix.lower() in READABLE_SUFFIXES and path.is_file():
                return path
    return None


def listed_dataset(source: Source, progress: ProgressCallback | None = None) -> Dataset:
    """Return the pictures that a table names, with what its other columns say of each.

    One column of labels gives classes, or values where they are no whole numbers; several columns
    of 0 and 1 give labels, others values. A column of a person or recording groups the samples.
    """
    path, size = source.place, read_size(source.size)
    header, *rows = _rows(path)
    column = file_column(path)
    if column is None:
        raise InputError(f"{path} no longer names picture files.")
    rows = [row for row in rows if len(row) == len(header)]
    group = _column(path, header, source.group, GROUP_NAMES)
    others = [at for at in range(len(header)) if at not in {column, group}]
    labels = _label_columns(path, header, others, source.label)
    found = {row[column]: _find(path, row[column]) for row in rows}
    missing = [name for name, one in found.items() if one is None]
    paths = [one for one in found.values() if one is not None]
    pictures = read_pictures(path, paths, size, progress, source.max_bytes)
    pictures.skipped.extend(f"{path.parent / name} is not there." for name in missing)
    kept = [row for row in rows if found[row[column]] in pictures.rows]
    if not kept:
        raise InputError(f"{path}: none of its {len(rows):,} pictures can be read.")
    files = [one for row in kept if (one := found[row[column]]) is not None]
    texts = [[row[at] for at in labels] for row in kept]
    numbers = [[number_in(cell) for cell in row] for row in texts]
    whole_table = all(cell is not None for row in numbers for cell in row)
    array = np.array(numbers if whole_table else texts)
    if len(labels) == 1:
        array = array[:, 0]
    elif not whole_table:
        raise InputError(f"{path}: several columns of labels hold numbers, and these hold texts.")
    targets, task, names = as_targets(str(path), array, pictures.stored.shape[1:], source.task)
    if task in {"labels", "values"}:
        names = tuple(header[at] for at in labels)
    groups = None
    if group is not None:
        groups = np.unique([row[group] for row in kept], return_inverse=True)[1].astype(np.int64)
    data = make_dataset(
        path.stem,
        {"train": picture_split(pictures, files, targets, groups)},
        class_names=names,
        provenance=f"pictures named in {path}",
        notes=(
            f"{path.name}: labels are in {', '.join(repr(header[at]) for at in labels)}.",
            *reading_notes(pictures, size),
        ),
        task=task,
    )
    return replace(data, skipped=tuple(pictures.skipped))


def _label_columns(
    path: Path, header: list[str], others: list[int], label: str | None
) -> list[int]:
    if label is not None:
        return [named_column(path, header, name.strip()) for name in label.split(",")]
    usual = [at for at in others if header[at].lower() in LABEL_NAMES]
    chosen = usual[:1] or (others if len(others) == 1 else [])
    if not chosen:
        raise UsageError(
            f"{path}: which column holds the labels? Name it with --label, or several with commas. "
            f"Columns: {listed(header)}."
        )
    return chosen


def _column(path: Path, header: list[str], name: str | None, usual: Sequence[str]) -> int | None:
    if name is not None:
        return named_column(path, header, name)
    return next((at for at, text in enumerate(header) if text.lower() in usual), None)
