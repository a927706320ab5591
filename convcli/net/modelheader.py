"""What a model file says about itself, read without its numbers and without NumPy.

A safetensors file is an 8-byte little-endian length, that much JSON, and the numbers. The JSON maps
tensor names to type, shape and place; texts of the writer stand under `__metadata__`. Source: the
format's description at https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convcli.errors import InputError, UsageError, cannot_read
from convcli.net.lookup import OpenedNetwork
from convcli.net.notation import parse_notation

LONGEST_HEADER = 16 * 1024 * 1024
"""Headers over this many bytes are refused unread; a network of a thousand layers needs 100 KiB."""

TYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
TYPE_BYTES |= {"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Type, shape and place of one tensor.

    Attributes:
        kind: the format's name of the number type, such as F32.
        shape: lengths of its axes.
        start: first byte, counted from the end of the header.
        stop: the byte after the last.
    """

    kind: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """The head of a safetensors file, checked against the file's size.

    Attributes:
        texts: what the writer noted: network, classes, preprocessing, metrics, ...
        tensors: by name.
    """

    texts: dict[str, str]
    tensors: dict[str, TensorPlace]


def read_model_header(path: Path) -> ModelHeader:
    """Return the head of the safetensors file at `path`; the numbers are not read.

    Raises:
        InputError: no such file, or not a whole and honest safetensors file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 10 or length > size - 8:
                raise _broken(
                    path, f"its header should have {length:,} bytes, the file has {size:,}"
                )
            if length > LONGEST_HEADER:
                raise _broken(path, f"its header of {length:,} bytes is over {LONGEST_HEADER:,}")
            raw = file.read(length)
    except OSError as problem:
        raise cannot_read(path, problem) from problem
    try:
        head = json.loads(raw)
    except (ValueError, RecursionError) as problem:
        raise _broken(path, "its header is no JSON") from problem
    if not isinstance(head, dict):
        raise _broken(path, "its header is no JSON object")
    texts = head.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise _broken(path, "its notes are not all texts")
    tensors = {name: _place(path, name, entry) for name, entry in head.items()}
    _check_places(path, tensors, size - 8 - length)
    return ModelHeader(texts, tensors)


def network_text(path: Path) -> str:
    """Return the notation of the network in the model file at `path`.

    Raises:
        InputError: the file cannot be read, or has no network in it.
    """
    texts = read_model_header(path).texts
    if "network" not in texts:
        raise InputError(
            f"{path} holds numbers but no network: it was not written by convcli train. "
            "For weights of another program see: convcli import --help"
        )
    return texts["network"]


def read_model_network(path: Path, input_shape: tuple[int, ...] | None) -> OpenedNetwork:
    """Return the network that a model file holds.

    Raises:
        InputError: as `network_text`, or the network in it cannot be used.
    """
    try:
        found = parse_notation(network_text(path), name=path.stem, input_shape=input_shape)
    except UsageError as problem:
        raise InputError(f"{path}: the network in it cannot be used. {problem}") from None
    return OpenedNetwork(found)


def _place(path: Path, name: str, entry: Any) -> TensorPlace:
    match entry:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(start), int(stop)]} if (
            all(isinstance(length, int) and length >= 0 for length in shape)
        ):
            place = TensorPlace(kind, tuple(shape), start, stop)
        case _:
            raise _broken(path, f"the entry of its tensor {name!r} is malformed")
    if kind not in TYPE_BYTES:
        raise _broken(path, f"its tensor {name!r} has the unknown type {kind!r}")
    if stop - start != math.prod(shape) * TYPE_BYTES[kind]:
        raise _broken(
            path,
            f"its tensor {name!r} of shape {'x'.join(map(str, shape)) or '1'} needs "
            f"{math.prod(shape) * TYPE_BYTES[kind]:,} bytes and has {stop - start:,}",
        )
    return place


def _check_places(path: Path, tensors: dict[str, TensorPlace], data_bytes: int) -> None:
    """Tensors must lie end to end and fill the file, so that nothing overlaps or hides."""
    reached = 0
    for name, place in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if place.start != reached:
            raise _broken(path, f"its tensor {name!r} starts at {place.start:,}, not {reached:,}")
        reached = place.stop
    if reached != data_bytes:
        raise _broken(
            path, f"its tensors end at byte {reached:,} of {data_bytes:,}; perhaps it was cut off"
        )


def _broken(path: Path, fact: str) -> InputError:
    return InputError(
        f"{path} is not a whole safetensors file: {fact}. Copy or train it once more."
    )
