"""Data sets in idx files: pairs of samples and labels named as MNIST names them."""

from __future__ import annotations

from pathlib import Path

from convcli.arrayfiles import MAX_BYTES
from convcli.data.dataset import Dataset, Split, as_labels, as_samples, make_dataset
from convcli.data.idx import is_idx, read_idx
from convcli.errors import InputError

_TEST_PREFIXES = ("t10k", "test")


def dataset_from_idx(
    place: Path,
    *,
    name: str | None = None,
    class_names: tuple[str, ...] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Return the data set in a folder of idx files, or in one pair of them.

    Args:
        place: a folder with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and perhaps the
            `t10k-` or `test-` pair, each plain or `.gz`; or the images' file of one pair, or both
            files with a comma between them.
        name: what to call the data set; the place's own name when left out.
        class_names: names of the labels; numbers when left out.
        max_bytes: that the arrays of one file may take.
    """
    if "," in str(place):
        images, _, labels = str(place).partition(",")
        pairs = {"train": (Path(images), Path(labels))}
    elif place.is_dir():
        pairs = _pairs_in(place)
    else:
        pairs = {"train": (place, _labels_beside(place))}
    splits = {split: _read_pair(*pair, max_bytes) for split, pair in pairs.items()}
    return make_dataset(
        name or Path(str(place).partition(",")[0]).name,
        splits,
        class_names=class_names,
        provenance=f"read from {place}",
    )


def _pairs_in(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return the pairs of a folder by split; an unpacked file goes before its `.gz`."""
    images = sorted(path for path in folder.iterdir() if is_idx(path) and "image" in path.name)
    pairs: dict[str, tuple[Path, Path]] = {}
    for path in images:
        split = "test" if path.name.startswith(_TEST_PREFIXES) else "train"
        pairs.setdefault(split, (path, _labels_beside(path)))
    if "train" not in pairs:
        found = ", ".join(path.name for path in images) or "none"
        raise InputError(
            f"{folder} has no training images (train-images-idx3-ubyte or the like); "
            f"idx files of images there: {found}."
        )
    return pairs


def _labels_beside(images: Path) -> Path:
    """Return the labels' file that belongs to `images`."""
    plain = images.name.removesuffix(".gz")
    partner = plain.replace("images", "labels").replace("idx3", "idx1")
    for name in (partner, f"{partner}.gz"):
        if name != images.name and (images.parent / name).exists():
            return images.parent / name
    raise InputError(
        f"{images} needs a file of labels beside it ({partner}), which is missing. "
        "Name both with a comma between them: IMAGES,LABELS."
    )


def _read_pair(images: Path, labels: Path, max_bytes: int) -> Split:
    return Split(
        as_samples(
            str(images),
            read_idx(images, max_bytes=max_bytes),
            pictures=True,
            max_bytes=max_bytes,
        ),
        as_labels(str(labels), read_idx(labels, max_bytes=max_bytes)),
    )
