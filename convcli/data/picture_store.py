"""Decoded pictures of one size: in memory, or, where they are many, once on disk and mapped.

What is on disk lies in the user's cache, named by its files (place, size, time) and options, and is
read again by the next training. What nobody has used for a month is removed, and what was unused
longest where all would take more than `MOST_ON_DISK`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.data.dataset import BLOCK_BYTES, ProgressCallback, Samples, axes, release
from convcli.data.published import cache_folder
from convcli.environment import made_ahead, thread_count
from convcli.errors import InputError
from convcli.imaging.options import Limits

IN_MEMORY = 2**28
"""Pictures of more bytes than this are kept on disk."""
MOST_ON_DISK = 100 * 2**30
UNUSED_SECONDS = 30 * 24 * 3600
_VERSION = 1
_AHEAD = 4
"""Pictures under way for each worker."""


class Pictures(NamedTuple):
    """Pictures of one size: those that could be read, and what was said of the others.

    Attributes:
        stored: M x H x W x C uint8.
        rows: path -> row of `stored`.
        skipped: why others are missing, a sentence each.
    """

    stored: Samples
    rows: dict[Path, int]
    skipped: list[str]

    @property
    def note(self) -> tuple[str, ...]:
        """A sentence where they are on disk."""
        if not isinstance(self.stored, np.memmap):
            return ()
        return (
            f"{self.stored.nbytes:,} bytes of pictures are kept on disk, in {self.stored.filename}"
            ", and read from there.",
        )


def read_pictures(
    root: Path,
    paths: Sequence[Path],
    size: tuple[int, int] | None,
    progress: ProgressCallback | None,
    max_bytes: int,
) -> Pictures:
    """Return the pictures at `paths`, gray where all of them are, else RGB.

    Threads decode and resize them; the order is that of `paths`.

    Args:
        root: what to call them in messages.
        paths: of the files.
        size: height and width that they are brought to.
        progress: called while it takes long.
        max_bytes: that decoding one may take, and all that stay in memory.

    Raises:
        InputError: they have several sizes, or the disk has no room for them.
    """
    place = cache_folder("pictures") / _key(paths, size)
    kept = _kept(place, paths)
    if kept is not None:
        return kept
    sizes: Counter[tuple[int, ...]] = Counter()
    room = _Room(place, len(paths), min(IN_MEMORY, max_bytes))
    rows: dict[Path, int] = {}
    skipped: list[str] = []
    try:
        for number, (path, made) in enumerate(_decoded(paths, size, Limits(memory=max_bytes)), 1):
            if isinstance(made, InputError):
                skipped.append(str(made))
            else:
                sizes[made.shape[:2]] += 1
                if len(sizes) == 1:  # of mixed sizes only the sizes are wanted
                    rows[path] = len(rows)
                    room.add(made)
            if progress:
                progress("pictures read", number, len(paths))
        _check_sizes(root, sizes)
        numbers = {path: number for number, path in enumerate(paths)}
        note = {"rows": [numbers[path] for path in rows], "skipped": skipped}
        return Pictures(room.finished(note), rows, skipped)
    finally:
        room.part.unlink(missing_ok=True)


def _key(paths: Sequence[Path], size: tuple[int, int] | None) -> str:
    """Return what names these files, as they are now, and what is made of them."""
    digest = hashlib.sha256(repr((_VERSION, size)).encode())
    for path in paths:
        try:
            found = path.stat()
            digest.update(repr((str(path.resolve()), found.st_size, found.st_mtime_ns)).encode())
        except OSError:
            digest.update(repr((str(path), None)).encode())
    return digest.hexdigest()[:32]


def _decoded(
    paths: Sequence[Path], size: tuple[int, int] | None, limits: Limits
) -> Iterator[tuple[Path, NDArray[np.uint8] | InputError]]:
    """Return each picture, H x W x 1 or H x W x 3 uint8, or why there is none, in order."""

    def decode(path: Path) -> NDArray[np.uint8] | InputError:
        from convcli.imaging.formats import read_picture
        from convcli.imaging.picture import as_sample

        try:
            return as_sample(read_picture(path, limits=limits).frames[0], size)
        except InputError as problem:
            return problem

    workers = thread_count()
    return made_ahead(decode, paths, threads=workers, waiting=_AHEAD * workers)


def _check_sizes(root: Path, sizes: Counter[tuple[int, ...]]) -> None:
    if len(sizes) > 1:
        (height, width), _ = sizes.most_common(1)[0]
        named = [f"{h}x{w} ({count:,})" for (h, w), count in sizes.most_common(4)]
        rest = f" and {len(sizes) - 4:,} more" if len(sizes) > 4 else ""
        raise InputError(
            f"{root}: the pictures have {len(sizes):,} sizes, height x width: {', '.join(named)}"
            f"{rest}. Bring them to one with --size, such as --size {height}x{width}."
        )


def _kept(place: Path, paths: Sequence[Path]) -> Pictures | None:
    """Return pictures that were decoded before, None where there are none that can be used."""
    try:
        note = json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))
        stored = np.memmap(place, np.uint8, "r", shape=tuple(note["shape"]))
        rows = {paths[number]: row for row, number in enumerate(note["rows"])}
        os.utime(place)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return Pictures(stored, rows, list(map(str, note["skipped"])))


@dataclass(slots=True)
class _Room:
    """Where pictures are put one after the other.

    Attributes:
        place: of the file, if they are too many for memory.
        count: at most.
        in_memory: bytes up to which they stay there.
    """

    place: Path
    count: int
    in_memory: int
    filled: int = 0
    array: Samples = field(default_factory=lambda: np.empty((0, 0, 0, 0), np.uint8))

    @property
    def part(self) -> Path:
        """The file while it is being written."""
        return self.place.with_name(f".{self.place.name}.{os.getpid()}")

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Put one picture behind the others; all become RGB with the first that is."""
        if picture.shape[2] > self.array.shape[3]:
            before = self.array
            self.array = self._made((self.count, *picture.shape))
            step = max(1, BLOCK_BYTES // picture.size)
            for first in range(0, self.filled, step):
                part = slice(first, min(first + step, self.filled))
                self.array[part] = before[part]
                release(self.array)
        self.array[self.filled] = picture
        self.filled += 1
        if self.filled % 256 == 0:
            release(self.array)

    def _made(self, shape: tuple[int, ...]) -> Samples:
        size = int(np.prod(shape))
        if size <= self.in_memory:
            return np.empty(shape, np.uint8)
        try:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self.part.unlink(missing_ok=True)  # a gray one is still mapped
            with self.part.open("wb") as file:
                _reserve(file.fileno(), size)
            return np.memmap(self.part, np.uint8, "r+", shape=shape)
        except OSError as problem:
            raise InputError(
                f"{shape[0]:,} pictures of {axes(shape[1:])} take {size:,} bytes on disk, and "
                f"{self.part.parent} has no room for them: {problem.strerror}. Reduce them with "
                "--size, such as --size 64x64, or name another place with XDG_CACHE_HOME."
            ) from problem

    def finished(self, note: dict[str, Any]) -> Samples:
        """Return the pictures; those on disk under their name, and read only."""
        stored = self.array[: self.filled]
        if not isinstance(self.array, np.memmap) or not self.filled:
            return stored
        self.array.flush()
        release(self.array)
        _remove_unused(self.place.parent, self.array.nbytes)
        self.part.replace(self.place)
        text = json.dumps({"shape": stored.shape, **note})
        self.place.with_suffix(".json").write_text(text, encoding="utf-8")
        return np.memmap(self.place, np.uint8, "r", shape=stored.shape)


def _reserve(file: int, size: int) -> None:
    """Take the room on disk now: a mapped file that finds none later ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def bytes_on_disk() -> int:
    """Return what all pictures that were decoded take."""
    return sum(path.stat().st_size for path in cache_folder("pictures").glob("[!.]*"))


def _remove_unused(folder: Path, needed: int) -> None:
    """Remove what nobody uses, before `needed` bytes come in."""
    found = []
    for note in folder.glob("*.json"):
        old = note.with_suffix("")
        found.append((old.stat().st_mtime if old.is_file() else 0.0, old, note))
    for used, old, note in sorted(found):
        if used < time.time() - UNUSED_SECONDS or bytes_on_disk() + needed > MOST_ON_DISK:
            old.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
