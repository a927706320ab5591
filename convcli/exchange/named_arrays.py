"""Arrays without a network: put into the layers of a given one, by name or by order and shape.

Names are ours (`conv1.kernel`, as Keras lays them out) or PyTorch's (`conv1.weight`), whose axes
are turned. Where the layers have other names in the file, those of equal shapes are taken in order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from convcli.errors import InputError
from convcli.exchange.layouts import AS_OURS, Array, ours, theirs
from convcli.exchange.torch_write import attribute
from convcli.layers import Activation, BatchNorm, Dense, Dropout, Flatten, PReLU
from convcli.layers.base import Shape
from convcli.net import Step, Trace

Arrays = Mapping[str, Array]

LEAVES = ("weight", "bias", "num_batches_tracked", "bias_hh_l0", "bias_hh_l0_reverse")
"""Last names of arrays that PyTorch's modules may have beside those that we need."""

BATCHES = "num_batches_tracked"
"""PyTorch's count of batches that a norm has seen; it plays no part in the outputs."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Arrays of a step that stand under one name in PyTorch: all, or those of one of its parts."""

    step: Step
    suffix: str
    leaves: Mapping[str, str]
    """PyTorch's last name -> ours."""

    @property
    def name(self) -> str:
        """What a module that is written here calls it."""
        return attribute(self.step) + self.suffix


def arrays_by_name(
    trace: Trace,
    given: Arrays,
    *,
    rows_channels_last: bool,
    renamed: Mapping[str, str] | None = None,
) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays that a network needs by `step.weight`, in our layout, and whence they are.

    Args:
        trace: the network's steps.
        given: arrays by their names in the file.
        rows_channels_last: whether PyTorch's dense weights behind a flatten expect its cells
            channels last, as the modules that are written here do, or channels first, as others.
        renamed: the file's name of a layer -> ours, for those that are not to be guessed.

    Raises:
        InputError: an array is missing, has another shape, or has no place in the network.

    >>> from convcli.net import parse_notation
    >>> trace = parse_notation("input 3, dense 2 name=out").trace()
    >>> weight = np.array([[1, 2, 3], [4, 5, 6]])  # PyTorch: outputs x inputs
    >>> files = {"out.weight": weight, "out.bias": np.zeros(2)}
    >>> arrays_by_name(trace, files, rows_channels_last=True)[0]["out.kernel"].tolist()
    [[1, 4], [2, 5], [3, 6]]
    """
    steps = [step for step in trace.steps if step.weights]
    needed = {f"{s.name}.{name}": shape for s in steps for name, shape in _needed(s).items()}
    units, places = list[Unit](), list[str]()
    if needed.keys() <= given.keys():
        found, used = {name: given[name] for name in needed}, set(needed)
        whence: dict[str, str] = {}
    else:
        found, used = {}, set()
        units = [unit for step in steps for unit in _units(step)]
        rows = [None if rows_channels_last else _flattened(trace, unit.step) for unit in units]
        given = _windows_in_rows(units, rows, given)
        places = _places(units, given, renamed or {})
        for unit, place, row in zip(units, places, rows, strict=True):
            for name, array in _read(unit, place, given, used, row):
                found[f"{unit.step.name}.{name}"] = array
        whence = {place: unit.step.name for unit, place in zip(units, places, strict=True)}
    spare = [name for name in given if name not in used and not name.endswith(BATCHES)]
    if whence and any(place != unit.name for unit, place in zip(units, places, strict=True)):
        parts = {place.partition(".")[0] for place in whence}  # others are side branches
        spare = [name for name in spare if name.partition(".")[0] in parts]
    if spare:
        raise InputError(f"the network has no place for the array {spare[0]}.")
    for name, shape in needed.items():
        if found[name].shape != shape:
            raise InputError(
                f"the array for {name} gives the shape {found[name].shape}, "
                f"the network needs {shape}."
            )
    return found, whence


def _needed(step: Step) -> dict[str, Shape]:
    return {**step.weights, **step.buffer_shapes}


def _units(step: Step) -> Iterator[Unit]:
    """Yield the parts of a step that PyTorch names; a separable convolution is two there."""
    said = step.layer.elsewhere.torch
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for name in _needed(step):
        leaf = said.arrays.get(name) if said else None
        if leaf is None:
            raise InputError(f"layer {step.index} {step.name}: PyTorch has no such arrays.")
        suffix, _, last = leaf.rpartition(".")
        parts[suffix][last] = name
    for suffix, leaves in parts.items():
        yield Unit(step, suffix, leaves)


def _places(units: list[Unit], given: Arrays, renamed: Mapping[str, str]) -> list[str]:
    """Return what the file calls each unit: the same, or what has its shapes in the same order."""
    groups: dict[str, dict[str, Shape]] = defaultdict(dict)
    leaves = {leaf for unit in units for leaf in unit.leaves} | {*LEAVES}
    for name, array in given.items():
        place, _, leaf = name.rpartition(".")
        place, leaf = (place, leaf) if leaf in leaves else (name, "")
        groups[place][leaf] = array.shape
    said = {layer: place for place, layer in renamed.items()}
    for layer, place in said.items():
        if place not in groups or layer not in {unit.step.name for unit in units}:
            raise InputError(
                f"--map {place}={layer}: there is no such layer in the "
                f"{'network' if place in groups else 'file'}. In the file are "
                f"{', '.join(list(groups)[:6])}, ..."
            )
    named = [said.get(unit.step.name, unit.name) for unit in units]
    if all(name in groups for name in named):
        return named
    free = [unit for unit in units if unit.step.name not in said]
    left = {place: leaves for place, leaves in groups.items() if place not in renamed}
    found = _in_order(free, left)
    return [said.get(unit.step.name) or found.get(unit.name, unit.name) for unit in units]


def _in_order(units: list[Unit], groups: Mapping[str, Mapping[str, Shape]]) -> dict[str, str]:
    """Return unit -> the file's name, those of equal shapes in order; {} where no order is safe.

    The order is that of the numbers in the names; files keep none of their own.
    """
    for early in (STEMS, (*STEMS, "downsample")):  # before a stage in ConvNeXt, not in ResNet
        order = sorted(groups, key=partial(_by_numbers, early))
        for kept in (order, _without_side_branches(order, units, groups)):
            found = _paired(units, {place: groups[place] for place in kept})
            if found:
                return found
    return {}


def _paired(units: list[Unit], groups: Mapping[str, Mapping[str, Shape]]) -> dict[str, str]:
    wanted: dict[object, list[Unit]] = defaultdict(list)
    for unit in units:
        wanted[_kind(_shapes(unit))].append(unit)
    held: dict[object, list[str]] = defaultdict(list)
    for place, leaves in groups.items():
        held[_kind(leaves)].append(place)
    if any(len(held[kind]) != len(same) for kind, same in wanted.items()):
        return {}
    found: dict[str, str] = {}
    steps: dict[int, str] = {}
    for unit in units:
        places = held[_kind(_shapes(unit))]
        before = steps.get(unit.step.sources[0])
        chosen = places[0]
        if before is not None and "running_mean" in unit.leaves:  # norms stand beside their layers
            parent = before.rpartition(".")[0]
            beside = (place for place in places if place.rpartition(".")[0] == parent)
            chosen = next(beside, chosen)
        found[unit.name] = chosen
        places.remove(chosen)
        steps[unit.step.index] = chosen
    number = {place: index for index, place in enumerate(groups)}
    doubtful = [u.name for u in units if len(wanted[_kind(_shapes(u))]) > 1]
    for before, after in pairwise(doubtful):
        first, second = found[before], found[after]
        if number[first] > number[second] and not _neighbors(first, second):
            return {}
    return found


def _neighbors(first: str, second: str) -> bool:
    """Tell whether two names differ in their last two parts at most."""
    a, b = first.split("."), second.split(".")
    return a[: max(len(a), len(b)) - 2] == b[: max(len(a), len(b)) - 2]


HEADS = ("classifier", "fc", "head", "logits", "output")
"""How names of a network's last layers begin, which have no number to stand behind the others."""

STEMS = ("embed", "stem")
"""And those of its first."""


def _by_numbers(early: tuple[str, ...], place: str) -> list[tuple[int, int, list[tuple[str, int]]]]:
    """Order names by the first number in each part, then as people count: branch7_3, branch7b_1.

    So stand denseblock1, transition1, denseblock2, behind them what has none; `early` ones stand
    before all, and heads last.
    """
    order = []
    for part in place.split("."):
        words = [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d{0,9})", part)]
        first = next((int(digits) for digits in re.findall(r"\d{1,9}", part)), None)
        ranks = (part.startswith(early), first is not None, not part.startswith(HEADS), True)
        order.append((ranks.index(True), first or 0, words))
    return order


def _without_side_branches(
    places: list[str], units: list[Unit], groups: Mapping[str, Mapping[str, Shape]]
) -> list[str]:
    """Leave out parts of the file, by their first names, in which something has no place at all."""
    wanted = {_kind(_shapes(unit)) for unit in units}
    aside = {p.partition(".")[0] for p in places if _kind(groups[p]) not in wanted}
    return [place for place in places if place.partition(".")[0] not in aside]


def _shapes(unit: Unit) -> dict[str, Shape]:
    """Return PyTorch's shapes of a unit's arrays."""
    empty, elsewhere = np.zeros((), np.float32), unit.step.layer.elsewhere
    shapes = {}
    for leaf, name in unit.leaves.items():
        ones = np.broadcast_to(empty, _needed(unit.step)[name])
        shapes[leaf] = theirs(ones, elsewhere.arrays.get(name, AS_OURS)).shape
    return shapes


def _kind(leaves: Mapping[str, Shape]) -> frozenset[tuple[str, Shape]]:
    """Return what tells layers apart; a 1x1 convolution and a dense layer are the same here."""
    norm = "running_mean" in leaves
    apart = {BATCHES, "bias_hh_l0", "bias_hh_l0_reverse", "weight" if norm else ""}
    return frozenset((leaf, _flat(shape)) for leaf, shape in leaves.items() if leaf not in apart)


def _flat(shape: Shape) -> Shape:
    """Return a shape without the axes of 1 at its end."""
    length = len(shape)
    while length > 1 and shape[length - 1] == 1:
        length -= 1
    return shape[:length]


def _flattened(trace: Trace, step: Step) -> Shape | None:
    """Return the map whose cells a dense layer reads in one row, None where there is none."""
    while isinstance(step.layer, Dense | Dropout | Activation) and step.sources[0]:
        step = trace.steps[step.sources[0] - 1]
        if isinstance(step.layer, Flatten):
            return step.input_shapes[0]
        if isinstance(step.layer, Dense):
            return None
    return None


def _windows_in_rows(units: list[Unit], rows: list[Shape | None], given: Arrays) -> Arrays:
    """Return arrays, those of convolutions that stand for a dense layer behind a map in rows.

    Such are the dense layers of VGG in timm: windows as large as the map.
    """
    windows = {
        (_shapes(unit)["weight"][0], row[-1], *row[:-1])
        for unit, row in zip(units, rows, strict=True)
        if row
    } - {_shapes(unit).get("weight") for unit in units}
    return {
        name: array.reshape(len(array), -1) if array.shape in windows else array
        for name, array in given.items()
    }


def _read(
    unit: Unit, place: str, given: Arrays, used: set[str], row: Shape | None
) -> Iterator[tuple[str, Array]]:
    """Yield our arrays of a unit; `used` notes those of the file."""
    step, layer = unit.step, unit.step.layer

    def take(leaf: str) -> Array:
        name = f"{place}.{leaf}" if leaf else place
        if name not in given:
            has = ", ".join(list(given)[:6]) or "none"
            raise InputError(
                f"layer {step.index} {step.name} needs an array {name} "
                f"(or {step.name}.{next(iter(step.weights))}); the file has {has}, ... "
                "Name the layers as the file does: `conv 16 3 name=NAME`."
            )
        used.add(name)
        return given[name]

    for leaf, name in unit.leaves.items():
        array, shape = take(leaf), _shapes(unit)[leaf]
        if leaf == "weight" and isinstance(layer, PReLU) and array.size == 1:
            array = np.broadcast_to(array, shape)
        if array.ndim != len(shape) and _flat(array.shape) == _flat(shape):
            array = array.reshape(shape)
        if array.ndim != len(shape):
            raise InputError(f"the array for {step.name} has {array.ndim} axes, not {len(shape)}.")
        second = leaf.replace("bias_ih", "bias_hh")
        if second != leaf and second not in unit.leaves:
            array = array + take(second)  # a layer with one bias gets the sum of two
        channels = step.input_shapes[0][-1]
        try:
            found = ours(array, layer.elsewhere.arrays.get(name, AS_OURS), c=channels)
        except ValueError:
            raise InputError(f"the array for {step.name} has the shape {array.shape}.") from None
        if row is not None and name == "kernel" and found.shape[0] == np.prod(row):
            *spatial, depth = row
            found = np.moveaxis(found.reshape(depth, *spatial, -1), 0, -2).reshape(found.shape)
        yield name, found
    noscale = isinstance(layer, BatchNorm) and not layer.scale and f"{place}.weight" in given
    if noscale and not (take("weight") == 1).all():
        raise InputError(f"{place}.weight is not all ones, and {step.name} is `noscale`.")
