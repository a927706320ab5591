"""Pictures in folders that are named after their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.data.dataset import Dataset, ProgressCallback, Split, make_dataset
from convcli.data.picture_store import Pictures, read_pictures
from convcli.data.source import Source, read_size
from convcli.errors import InputError

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_LISTED = 5
"""How many skipped files a note names."""


def folders_dataset(source: Source, progress: ProgressCallback | None = None) -> Dataset:
    """Return the pictures below a folder as a data set, N x H x W x C uint8.

    It holds one folder for each class, or the folders `train`, `val` and `test` that do. All
    pictures become gray if all of them are, else RGB; transparency is laid on black. One that
    cannot be read is skipped and named in the notes. Hidden files and other kinds are passed over.
    """
    root, size = source.place, read_size(source.size)
    trees = split_folders(root)
    if "train" not in trees:
        trees = {"train": root}
    classes = _class_folders(trees["train"])
    listed = {split: _list_tree(tree, classes) for split, tree in trees.items()}
    paths = [path for files in listed.values() for path, _ in files]
    pictures = read_pictures(root, paths, size, progress, source.max_bytes)
    splits = {
        split: _chosen(root, split, files, pictures, classes) for split, files in listed.items()
    }
    data = make_dataset(
        root.resolve().name,
        splits,
        class_names=classes,
        provenance=f"pictures read from {root}",
        notes=reading_notes(pictures, size),
    )
    return replace(data, skipped=tuple(pictures.skipped))


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folders in `root` that hold a split of its own."""
    return {
        split: root / name
        for split, names in _SPLIT_FOLDERS.items()
        for name in names
        if (root / name).is_dir()
    }


def _class_folders(tree: Path) -> tuple[str, ...]:
    """Return the names of the folders in `tree`, which are its classes."""
    classes = tuple(
        sorted(item.name for item in tree.iterdir() if item.is_dir() and item.name[0] != ".")
    )
    if not classes:
        raise InputError(
            f"{tree} has no folders of classes. Put the pictures of each class in a folder of its "
            "own: CLASS/PICTURE.png."
        )
    if len(classes) < 2:
        raise InputError(
            f"{tree} has one class, {classes[0]}; a classifier needs at least two folders."
        )
    return classes


def _list_tree(tree: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """Return the picture files of one split with their labels, in the order of their names."""
    from convcli.imaging.formats import READABLE_SUFFIXES

    unknown = sorted(
        item.name
        for item in tree.iterdir()
        if item.is_dir() and item.name[0] != "." and item.name not in classes
    )
    if unknown:
        raise InputError(
            f"{tree / unknown[0]} is a class that the training pictures do not have "
            f"({', '.join(classes)})."
        )
    return [
        (path, label)
        for label, name in enumerate(classes)
        if (tree / name).is_dir()
        for path in sorted((tree / name).rglob("*"))
        if path.suffix.lower() in READABLE_SUFFIXES and path.name[0] != "." and path.is_file()
    ]


def _chosen(
    root: Path,
    split: str,
    files: list[tuple[Path, int]],
    pictures: Pictures,
    classes: tuple[str, ...],
) -> Split:
    """Return one split of the pictures that could be read."""
    read = [(path, label) for path, label in files if path in pictures.rows]
    counts = Counter(label for _, label in read)
    empty = [name for label, name in enumerate(classes) if not counts[label]]
    if not read or (empty and split == "train"):
        what = f"in {split} " if split != "train" else ""
        raise InputError(
            f"{root}: no readable picture {what}of {', '.join(empty[:5])} "
            f"({len(files):,} files seen). Fill or remove the folder.{_first(pictures.skipped)}"
        )
    return picture_split(
        pictures, [path for path, _ in read], np.array([label for _, label in read], np.int64)
    )


def picture_split(
    pictures: Pictures,
    files: Sequence[Path],
    labels: NDArray[Any],
    groups: NDArray[np.int64] | None = None,
) -> Split:
    """Return the pictures of these files with their labels."""
    rows = np.array([pictures.rows[path] for path in files], np.int64)
    every = len(rows) == len(pictures.stored) and bool((rows == np.arange(len(rows))).all())
    names = tuple(map(str, files))
    return Split(pictures.stored, labels, groups, files=names, rows=None if every else rows)


def _first(skipped: list[str]) -> str:
    return f" Skipped {len(skipped):,}, the first because: {skipped[0]}" if skipped else ""


def reading_notes(pictures: Pictures, size: tuple[int, int] | None) -> tuple[str, ...]:
    notes, skipped = list(pictures.note), pictures.skipped
    if skipped:
        rest = f" And {len(skipped) - _LISTED:,} more." if len(skipped) > _LISTED else ""
        notes.append(f"Skipped {len(skipped):,}: {' '.join(skipped[:_LISTED])}{rest}")
    if size is not None:
        notes.append(f"Every picture was brought to {size[0]}x{size[1]}, height x width.")
    return tuple(notes)
