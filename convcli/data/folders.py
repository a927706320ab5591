"""Pictures in folders that are named after their classes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convcli.arrayfiles import check_bytes
from convcli.data.dataset import ALLOW, Dataset, ProgressCallback, Split, make_dataset
from convcli.data.source import Source, read_size
from convcli.errors import InputError
from convcli.imaging.options import Limits

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
    pictures, skipped = read_pictures(root, paths, size, progress, source.max_bytes)
    color = any(picture.shape[2] == 3 for picture in pictures.values())
    splits = {
        split: _stack(root, split, files, pictures, skipped, classes, color=color)
        for split, files in listed.items()
    }
    return make_dataset(
        root.resolve().name,
        splits,
        class_names=classes,
        provenance=f"pictures read from {root}",
        notes=reading_notes(skipped, size),
    )


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


def _read(path: Path, size: tuple[int, int] | None, limits: Limits) -> NDArray[np.uint8]:
    """Return one picture, H x W x 1 (gray) or H x W x 3 (RGB) uint8."""
    from convcli.imaging.formats import read_picture
    from convcli.imaging.picture import as_sample

    return as_sample(read_picture(path, limits=limits).frames[0], size)


def read_pictures(
    root: Path,
    paths: list[Path],
    size: tuple[int, int] | None,
    progress: ProgressCallback | None,
    max_bytes: int,
) -> tuple[dict[Path, NDArray[np.uint8]], list[str]]:
    """Return the pictures that could be read, all of one size, and what was said of the others."""
    pictures: dict[Path, NDArray[np.uint8]] = {}
    skipped: list[str] = []
    sizes: Counter[tuple[int, ...]] = Counter()
    limits, channels = Limits(memory=max_bytes), 1
    for number, path in enumerate(paths, 1):
        try:
            picture = _read(path, size, limits)
        except InputError as problem:
            skipped.append(str(problem))
        else:
            sizes[picture.shape[:2]] += 1
            if len(sizes) == 1:  # of mixed sizes only the sizes are wanted
                pictures[path] = picture
            height, width = picture.shape[:2]
            channels = max(channels, picture.shape[2])
            check_bytes(
                f"{root}: {len(paths):,} pictures of {height}x{width} take",
                len(paths) * height * width * channels,
                max_bytes,
                f"Reduce them with --size, such as --size 64x64. {ALLOW}",
            )
        if progress:
            progress("pictures read", number, len(paths))
    _check_sizes(root, sizes)
    return pictures, skipped


def _check_sizes(root: Path, sizes: Counter[tuple[int, ...]]) -> None:
    if len(sizes) > 1:
        (height, width), _ = sizes.most_common(1)[0]
        named = [f"{h}x{w} ({count:,})" for (h, w), count in sizes.most_common(4)]
        rest = f" and {len(sizes) - 4:,} more" if len(sizes) > 4 else ""
        raise InputError(
            f"{root}: the pictures have {len(sizes):,} sizes, height x width: {', '.join(named)}"
            f"{rest}. Bring them to one with --size, such as --size {height}x{width}."
        )


def _stack(
    root: Path,
    split: str,
    files: list[tuple[Path, int]],
    pictures: dict[Path, NDArray[np.uint8]],
    skipped: list[str],
    classes: tuple[str, ...],
    *,
    color: bool,
) -> Split:
    """Return one split of the pictures that could be read."""
    read = [(path, label) for path, label in files if path in pictures]
    counts = Counter(label for _, label in read)
    empty = [name for label, name in enumerate(classes) if not counts[label]]
    if not read or (empty and split == "train"):
        what = f"in {split} " if split != "train" else ""
        raise InputError(
            f"{root}: no readable picture {what}of {', '.join(empty[:5])} "
            f"({len(files):,} files seen). Fill or remove the folder.{_first(skipped)}"
        )
    channels = 3 if color else 1
    samples = [
        np.broadcast_to(pictures[path], (*pictures[path].shape[:2], channels)) for path, _ in read
    ]
    return Split(
        np.stack(samples),
        np.array([label for _, label in read], np.int64),
        files=tuple(str(path) for path, _ in read),
    )


def _first(skipped: list[str]) -> str:
    return f" Skipped {len(skipped):,}, the first because: {skipped[0]}" if skipped else ""


def reading_notes(skipped: list[str], size: tuple[int, int] | None) -> tuple[str, ...]:
    notes = []
    if skipped:
        rest = f" And {len(skipped) - _LISTED:,} more." if len(skipped) > _LISTED else ""
        notes.append(f"Skipped {len(skipped):,}: {' '.join(skipped[:_LISTED])}{rest}")
    if size is not None:
        notes.append(f"Every picture was brought to {size[0]}x{size[1]}, height x width.")
    return tuple(notes)
