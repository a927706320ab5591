"""Arrays in NumPy's `.npy` and `.npz`, read without pickle and without believing their headers.

The header of an array is a Python literal of up to 10,000 characters; NumPy's parser answers
damage with whatever its tokenizer, its literals or its types come upon.
"""

from __future__ import annotations

import io
import lzma
import math
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from convcli.errors import InputError, cannot_read

MAX_BYTES = 8 * 2**30
"""The most that the arrays read from one file may take in memory, unless another limit is given."""
MAX_DEFLATE_RATIO = 1032
"""Deflate cannot pack more: 258 bytes in two bits (zlib's technical details)."""
_AT_ONCE = 2**20
NPY_MAGIC: bytes = npy.MAGIC_PREFIX

_BAD_HEADER = (
    ValueError, TypeError, KeyError, SyntaxError, tokenize.TokenError, OverflowError,
    RecursionError, MemoryError, EOFError,
)  # fmt: skip
_BAD_ZIP = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError,
    RuntimeError,
)  # fmt: skip


def read_npy(source: Path | bytes, name: str, *, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """Return the array in an `.npy` file, or in the bytes of one.

    Raises:
        InputError: no such file, no `.npy`, Python objects, or sizes that are not true.
    """
    try:
        if isinstance(source, bytes):
            return _read(io.BytesIO(source), len(source), name, max_bytes)
        with source.open("rb") as stream:
            return _read(stream, source.stat().st_size, name, max_bytes)
    except OSError as problem:
        raise cannot_read(name, problem) from problem


def read_npz(
    path: Path,
    choose: Callable[[list[str]], Iterable[str]] = list,
    *,
    max_bytes: int = MAX_BYTES,
    allow: str = "",
) -> dict[str, NDArray[Any]]:
    """Return arrays of an `.npz` file by name.

    Args:
        path: the file.
        choose: picks from the names that there are; the others are not read.
        max_bytes: that all chosen arrays may take together.
        allow: as `check_bytes`.

    Raises:
        InputError: no zip file, no arrays, a chosen one of Python objects, or sizes that are not
            true.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                item.filename.removesuffix(".npy"): item
                for item in archive.infolist()
                if item.filename.endswith(".npy")
            }
            if not members:
                raise InputError(f"{path} holds no arrays (.npy members).")
            chosen = {name: members[name] for name in choose(list(members))}
            _check_packed(path, chosen.values())
            total = sum(item.file_size for item in chosen.values())
            check_bytes(f"{path}: its arrays take", total, max_bytes, allow)
            found = {}
            for name, item in chosen.items():
                with archive.open(item) as stream:
                    where = f"{path}: {item.filename}"
                    found[name] = _read(stream, item.file_size, where, max_bytes)
            return found
    except _BAD_ZIP as problem:
        raise InputError(f"{path} is no .npz file, or damaged: {problem}.") from problem
    except OSError as problem:
        raise cannot_read(path, problem) from problem


def check_bytes(what: str, needed: int, max_bytes: int, allow: str = "") -> None:
    """Refuse arrays that would take more memory than they may, before they do.

    Args:
        what: the beginning of the sentence, up to the number of bytes.
        needed: bytes.
        max_bytes: that there may be.
        allow: how to allow more, up to the number of bytes.

    Raises:
        InputError: there would be more.
    """
    if needed > max_bytes:
        way = f" {allow} {-(-needed // 1_000_000)}MB." if allow else ""
        raise InputError(f"{what} {needed:,} bytes in memory; at most {max_bytes:,} are read.{way}")


def _check_packed(path: Path, members: Iterable[zipfile.ZipInfo]) -> None:
    """Refuse members that promise more bytes than theirs can unpack to."""
    for item in members:
        if item.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} and (
            item.file_size > MAX_DEFLATE_RATIO * item.compress_size
        ):
            raise InputError(
                f"{path}: {item.filename} promises {item.file_size:,} bytes from "
                f"{item.compress_size:,} packed ones, more than they can hold."
            )


def _read(stream: IO[bytes], size: int, name: str, max_bytes: int) -> NDArray[Any]:
    """Return the array in a stream of `size` bytes."""
    shape, fortran_order, dtype = _read_header(stream, name)
    if dtype.hasobject:
        raise InputError(
            f"{name} holds Python objects, which only pickle could read, and a pickle can "
            "run code. Save plain numbers: numpy.stack the samples to one shape."
        )
    promised, stored = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if promised != stored or min(shape, default=0) < 0:
        raise InputError(
            f"{name} promises {'x'.join(map(str, shape)) or 'one'} values, {promised:,} bytes, "
            f"and holds {stored:,}."
        )
    check_bytes(f"{name} takes", promised, max_bytes)
    try:
        values = np.empty(promised, np.uint8)
        if fill(stream, values.data) < promised:
            raise InputError(f"{name} is cut off.")
        array: NDArray[Any] = np.ndarray(
            shape, dtype, values.data, order="F" if fortran_order else "C"
        )
    except _BAD_HEADER as problem:
        raise InputError(f"{name} is damaged: {problem}.") from problem
    if dtype.kind == "U" and promised:  # NumPy hands out any 32 bits as a letter
        letters = np.ndarray(
            promised // 4, np.dtype(np.uint32).newbyteorder(dtype.byteorder), values.data
        )
        if int(letters.max()) > sys.maxunicode:
            raise InputError(f"{name} is damaged: it holds letters beyond U+{sys.maxunicode:X}.")
    return array.astype(dtype.newbyteorder("="), copy=False)


def fill(stream: IO[bytes], room: memoryview) -> int:
    """Fill `room` from `stream`; return how many bytes there were."""
    done = 0
    while done < len(room):
        part = room[done : done + _AT_ONCE]  # a member of a zip file takes bytes for it once more
        count = stream.readinto(part)  # type: ignore[attr-defined]  # all binary files have it
        if not count:
            break
        done += count
    return done


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(stream)
        if version == (1, 0):
            return npy.read_array_header_1_0(stream)
        if version == (2, 0):
            return npy.read_array_header_2_0(stream)
    except _BAD_HEADER as problem:
        raise InputError(f"{name} is no .npy file, or damaged: {problem}.") from problem
    raise InputError(f"{name} has the unknown npy version {version[0]}.{version[1]}.")
