"""Files that were written here: the network that their notes name, once it is found to be theirs.

The noted network is written again, with numbers in place of its weights that count them. Where the
file has the same layers, each of its numbers goes back to where its count came from, and the words
are the very same: `same` and `ceil`, dropouts, names of blocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from convcli.errors import ConvcliError
from convcli.exchange.content import Content, Scaling
from convcli.exchange.layouts import Array
from convcli.layers.base import Shape
from convcli.net import Network, Trace, parse_notation

Arrays = Mapping[str, Array]

MAX_COUNT = 2**23
"""Counts twice as large are still exact as float32."""

Writer = Callable[[Trace, Arrays], Sequence[Array] | None]
"""Writes a network and returns all numbers of the file; None where the file is another one."""

Reader = Callable[[Sequence[Shape]], Sequence[Array]]


def noted(texts: Mapping[str, str], name: str, given: Reader, write: Writer) -> Content:
    """Return the network that a file's notes name, with the file's numbers.

    Args:
        texts: the notes.
        name: of the network.
        given: reads all arrays of numbers in the file, of the shapes that it gets.
        write: writes a network as the file was.

    Raises:
        LookupError: nothing is noted, or the file is of another network.
    """
    if "network" not in texts:
        raise LookupError("no note")
    try:
        trace = parse_notation(texts["network"], name=name).trace()
    except ConvcliError as problem:
        raise LookupError("malformed note") from problem
    shapes = {
        f"{step.name}.{key}": shape
        for step in trace.steps
        for key, shape in {**step.weights, **step.buffer_shapes}.items()
    }
    count = sum(int(np.prod(shape)) for shape in shapes.values())
    if count > MAX_COUNT:
        raise LookupError("too large")
    once, again = (write(trace, _counted(shapes, first)) for first in (1, 1 + count))
    if once is None or again is None or len(once) != len(again):
        raise LookupError("another network")
    found, flat = given([np.shape(array) for array in once]), np.zeros(count, np.float32)
    if len(found) != len(once):
        raise LookupError("another network")
    for first, second, numbers in zip(once, again, found, strict=True):
        _sent_back(np.asarray(first), np.asarray(second), np.asarray(numbers), flat)
    return Content(_network(trace, name), _parted(shapes, flat), texts)


def noted_scaling(texts: Mapping[str, str]) -> Scaling:
    """Return the preprocessing that is noted.

    Raises:
        LookupError: there is none.
    """
    try:
        record = json.loads(texts["preprocessing"])
        return Scaling(tuple(map(float, record["scale"])), tuple(map(float, record["offset"])))
    except (KeyError, TypeError, ValueError, RecursionError) as problem:
        raise LookupError("malformed note") from problem


def _network(trace: Trace, name: str) -> Network:
    return Network(trace.network.input_shape, trace.network.layers, name)


def _counted(shapes: Mapping[str, Shape], first: int) -> dict[str, Array]:
    """Return arrays whose numbers count all cells from `first` on."""
    total = sum(int(np.prod(shape)) for shape in shapes.values())
    return _parted(shapes, np.arange(first, first + total, dtype=np.float64))


def _parted(shapes: Mapping[str, Shape], flat: Array) -> dict[str, Array]:
    parts: dict[str, Array] = {}
    begin = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        parts[name] = flat[begin : begin + size].reshape(shape)
        begin += size
    return parts


def _sent_back(once: Array, again: Array, given: Array, flat: Array) -> None:
    """Put the numbers of one array of a file where their counts came from.

    Raises:
        LookupError: other numbers than those of the weights differ, or weights were calculated.
    """
    if not once.shape == again.shape == given.shape:
        raise LookupError("another shape")
    moved = again.astype(np.float64) - once
    weights = moved != 0
    if not np.array_equal(once[~weights], given[~weights]) or not set(moved[weights]) <= {
        len(flat)
    }:
        raise LookupError("another number")
    flat[once[weights].astype(np.int64) - 1] = given[weights]
