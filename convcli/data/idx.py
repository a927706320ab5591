"""The idx format of MNIST: a type, the sizes of the axes, then the numbers, big-endian.

Source: the description on Yann LeCun's page of the MNIST database. Bytes 0 and 1 are zero, byte 2
is the type, byte 3 the number of axes, then one unsigned 32-bit integer per axis.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from convcli.arrayfiles import MAX_BYTES, MAX_DEFLATE_RATIO, check_bytes, fill
from convcli.data.dataset import ALLOW, Dataset, Split, as_labels, as_samples, make_dataset
from convcli.errors import InputError, cannot_read

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_AXES = 5
DAMAGED: tuple[type[Exception], ...] = (
    EOFError,
    zlib.error,
    cast(type[Exception], isal_zlib.error),  # its stub gives no base class
    igzip.BadGzipFile,
)
"""What reading a damaged gzip file raises."""


def read_idx(path: Path, *, max_bytes: int = MAX_BYTES) -> NDArray[np.generic]:
    """Return the array in an idx file, gzipped or not, in the machine's byte order.

    The header is believed only as far as the file's length allows, so a lying one cannot make
    this allocate more than the file can hold.
    """
    try:
        stored = path.stat().st_size
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed:
                return _read(path, raw, stored, max_bytes)
            with open_gzip(raw) as stream:
                return _read(path, stream, stored * MAX_DEFLATE_RATIO, max_bytes)
    except DAMAGED as problem:
        raise InputError(f"{path}: the gzip data is damaged or cut off ({problem}).") from problem
    except OSError as problem:
        raise cannot_read(path, problem) from problem


def open_gzip(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, igzip.IGzipFile(fileobj=raw))


def is_idx(path: Path) -> bool:
    """Return whether the name looks like idx: `train-images-idx3-ubyte`, `x.idx`, either `.gz`.

    >>> is_idx(Path("t10k-labels-idx1-ubyte.gz")), is_idx(Path("a.idx")), is_idx(Path("a.png"))
    (True, True, False)
    """
    name = path.name.lower().removesuffix(".gz")
    return any(mark in name for mark in ("-idx", ".idx", "_idx")) or name.endswith("-ubyte")


def _read(path: Path, stream: BinaryIO, most: int, max_bytes: int) -> NDArray[np.generic]:
    """Return the array in `stream`, which cannot hold more than `most` bytes."""
    dtype, shape = _read_header(path, stream)
    promised = math.prod(shape) * dtype.itemsize
    sizes = "x".join(str(size) for size in shape)
    if promised > most:
        raise InputError(
            f"{path}: the header promises {sizes} values, {promised:,} bytes, "
            f"more than the file can hold ({most:,})."
        )
    check_bytes(f"{path}: {sizes} values take", promised, max_bytes, ALLOW)
    values = np.empty(shape, dtype)
    found = fill(stream, memoryview(values.reshape(-1).view(np.uint8).data))
    if found < promised:
        raise InputError(
            f"{path} is cut off: the header promises {sizes} values, {promised:,} bytes, "
            f"and {found:,} follow."
        )
    if stream.read(1):
        raise InputError(
            f"{path}: more bytes follow than the {promised:,} that the header promises ({sizes})."
        )
    return values.astype(dtype.newbyteorder("="), copy=False)


def _read_header(path: Path, stream: BinaryIO) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise InputError(
            f"{path} is no idx file: it begins with {magic.hex(' ') or 'nothing'} instead of 00 00."
        )
    kind, axes = magic[2], magic[3]
    if kind not in _DTYPES:
        known = ", ".join(f"{code:02x}" for code in _DTYPES)
        raise InputError(f"{path}: unknown idx type {kind:02x}; known are {known}.")
    if not 1 <= axes <= _MAX_AXES:
        raise InputError(f"{path}: the header names {axes} axes; 1 to {_MAX_AXES} make sense.")
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise InputError(f"{path} is cut off inside its header, after {4 + len(sizes)} bytes.")
    return np.dtype(_DTYPES[kind]), struct.unpack(f">{axes}I", sizes)


_TEST_PREFIXES = ("t10k", "test")


def dataset_from_idx(
    place: Path,
    *,
    name: str | None = None,
    class_names: tuple[str, ...] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Return the data set in a folder of idx files, or in one pair of them.

    A folder holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and perhaps the `t10k-` or
    `test-` pair, each plain or `.gz`; a pair is named by its images' file, or as both files with a
    comma between them.
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
