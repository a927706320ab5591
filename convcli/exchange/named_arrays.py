"""Arrays without a network: matched to a given network by the names of its layers.

Names are ours (`conv1.kernel`, as Keras lays them out) or PyTorch's (`conv1.weight`), whose axes
are turned; numbered layers of a Sequential are taken in their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputError
from convcli.exchange.torch_layers import attribute
from convcli.layers import (
    LSTM,
    Activation,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    Layer,
    PReLU,
    SeparableConv,
    TransposedConv,
)
from convcli.layers.base import Shape
from convcli.net import Step, Trace

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

BATCHES = ".num_batches_tracked"
"""PyTorch's count of batches that a norm has seen; it plays no part in the outputs."""


def arrays_by_name(trace: Trace, given: Arrays, *, rows_channels_last: bool) -> dict[str, Array]:
    """Return the arrays that a network needs by `step.weight`, in our layout.

    Args:
        trace: the network's steps.
        given: arrays by their names in the file.
        rows_channels_last: whether PyTorch's dense weights behind a flatten expect its cells
            channels last, as the modules that are written here do, or channels first, as others.

    Raises:
        InputError: an array is missing, has another shape, or has no place in the network.

    >>> from convcli.net import parse_notation
    >>> trace = parse_notation("input 3, dense 2 name=out").trace()
    >>> weight = np.array([[1, 2, 3], [4, 5, 6]])  # PyTorch: outputs x inputs
    >>> files = {"out.weight": weight, "out.bias": np.zeros(2)}
    >>> arrays_by_name(trace, files, rows_channels_last=True)["out.kernel"].tolist()
    [[1, 4], [2, 5], [3, 6]]
    """
    steps = [step for step in trace.steps if step.weights]
    ours = {f"{step.name}.{name}" for step in steps for name in _needed(step)}
    if ours <= set(given):
        found = {name: given[name] for name in ours}
        used = ours
    else:
        found, used = {}, set()
        prefixes = _prefixes(steps, given)
        for step in steps:
            parts = _Parts(step, given, prefixes[step.index], used)
            read = _READERS.get(type(step.layer), _named)
            row = None if rows_channels_last else _flattened(trace, step)
            found |= {f"{step.name}.{key}": array for key, array in read(parts, row).items()}
    spare = [name for name in given if name not in used and not name.endswith(BATCHES)]
    if spare:
        raise InputError(f"the network has no place for the array {spare[0]}.")
    for step in steps:
        for name, shape in _needed(step).items():
            array = found[f"{step.name}.{name}"]
            if array.shape != shape:
                raise InputError(
                    f"the array for {step.name}.{name} gives the shape {array.shape}, "
                    f"the network needs {shape}."
                )
    return found


def _needed(step: Step) -> dict[str, Shape]:
    return {**step.weights, **step.buffer_shapes}


def _prefixes(steps: list[Step], given: Arrays) -> dict[int, str]:
    """Return step index -> how the file names its layer: by its name, or by a running number."""
    groups = dict.fromkeys(name.rpartition(".")[0] for name in given)
    named = {step.index: attribute(step) for step in steps}
    if any(name in groups or f"{name}_depthwise" in groups for name in named.values()):
        return named
    numbered = {}
    for group in groups:
        match = re.fullmatch(r"(.*?)(\d{1,9})", group)
        numbered[group] = (match[1], int(match[2])) if match else (group, -1)
    same_stem = len({stem for stem, _ in numbered.values()}) == 1
    if not same_stem or len(groups) != len(steps):
        return named
    ordered = sorted(groups, key=lambda group: numbered[group][1])
    return {step.index: group for step, group in zip(steps, ordered, strict=True)}


class _Parts:
    """The arrays of one layer by PyTorch's words; notes which were used."""

    def __init__(self, step: Step, given: Arrays, prefix: str, used: set[str]) -> None:
        self.step, self.given, self.prefix, self.used = step, given, prefix, used

    def __call__(self, word: str, suffix: str = "") -> Array:
        name = f"{self.prefix}{suffix}.{word}"
        if name not in self.given:
            has = ", ".join(list(self.given)[:6]) or "none"
            raise InputError(
                f"layer {self.step.index} {self.step.name} needs an array {name} "
                f"(or {self.step.name}.{next(iter(self.step.weights))}); the file has {has}, ... "
                "Name the layers as the file does: `conv 16 3 name=NAME`."
            )
        self.used.add(name)
        return self.given[name]

    def bias(self, suffix: str = "") -> dict[str, Array]:
        """Return the bias, where the layer has one."""
        return {"bias": self("bias", suffix)} if "bias" in self.step.weights else {}

    def ranked(self, array: Array, rank: int) -> Array:
        """Return an array that must have so many axes."""
        if array.ndim != rank:
            raise InputError(f"the array for {self.step.name} has {array.ndim} axes, not {rank}.")
        return array

    @property
    def axes(self) -> int:
        """Spatial axes of the input."""
        return len(self.step.input_shapes[0]) - 1


def _flattened(trace: Trace, step: Step) -> Shape | None:
    """Return the map whose cells a dense layer reads in one row, None where there is none."""
    while step.sources[0]:
        step = trace.steps[step.sources[0] - 1]
        if isinstance(step.layer, Flatten):
            return step.input_shapes[0]
        if not isinstance(step.layer, Dropout | Activation):
            return None
    return None


def _conv(parts: _Parts, _: Shape | None) -> dict[str, Array]:
    weight = parts.ranked(parts("weight"), parts.axes + 2)
    return {"kernel": np.moveaxis(weight, (0, 1), (-1, -2))} | parts.bias()


def _by_channel(parts: _Parts, weight: Array) -> Array:
    """(channels * multiplier, 1, *window) becomes (*window, channels, multiplier)."""
    channels = parts.step.input_shapes[0][-1]
    weight = parts.ranked(weight, parts.axes + 2)
    if weight.shape[0] % channels or weight.shape[1] != 1:
        raise InputError(f"the array for {parts.step.name} has the shape {weight.shape}.")
    parted = weight.reshape(channels, -1, *weight.shape[2:])
    return np.moveaxis(parted, (0, 1), (-2, -1))


def _depthwise(parts: _Parts, _: Shape | None) -> dict[str, Array]:
    return {"kernel": _by_channel(parts, parts("weight"))} | parts.bias()


def _separable(parts: _Parts, _: Shape | None) -> dict[str, Array]:
    pointwise = parts.ranked(parts("weight", "_pointwise"), parts.axes + 2)
    return {
        "depthwise": _by_channel(parts, parts("weight", "_depthwise")),
        "pointwise": np.moveaxis(pointwise, (0, 1), (-1, -2)),
    } | parts.bias("_pointwise")


def _transposed(parts: _Parts, _: Shape | None) -> dict[str, Array]:
    weight = parts.ranked(parts("weight"), parts.axes + 2)
    return {"kernel": np.moveaxis(weight, (0, 1), (-2, -1))} | parts.bias()


def _dense(parts: _Parts, row: Shape | None) -> dict[str, Array]:
    weight = parts("weight")
    if set(weight.shape[2:]) == {1}:  # on a map PyTorch has a 1x1 convolution
        weight = weight.reshape(weight.shape[:2])
    kernel = parts.ranked(weight, 2).T
    if row is not None and kernel.shape[0] == int(np.prod(row)):
        *spatial, channels = row
        kernel = np.moveaxis(kernel.reshape(channels, *spatial, -1), 0, -2)
        kernel = kernel.reshape(int(np.prod(row)), -1)
    return {"kernel": kernel} | parts.bias()


def _named(parts: _Parts, _: Shape | None) -> dict[str, Array]:
    """Read a layer's arrays by the names that stand on its class."""
    said = parts.step.layer.elsewhere.torch
    if said is None or not said.arrays.keys() >= _needed(parts.step).keys():
        raise InputError(f"layer {parts.step.index} {parts.step.name}: PyTorch has no such arrays.")
    return {name: parts(said.arrays[name]) for name in _needed(parts.step)}


def _batch_norm(parts: _Parts, row: Shape | None) -> dict[str, Array]:
    return _named(parts, row) | _unit_scale(parts)


def _unit_scale(parts: _Parts) -> dict[str, Array]:
    """A norm without scale may stand for one whose scales are all 1."""
    name = f"{parts.prefix}.weight"
    spare = "scale" not in parts.step.weights and name in parts.given
    if spare and not (parts("weight") == 1).all():
        raise InputError(f"{name} is not all ones, and {parts.step.name} is `noscale`.")
    return {}


def _prelu(parts: _Parts, _: Shape | None) -> dict[str, Array]:
    slope, (shape,) = parts("weight").reshape(-1), parts.step.weights.values()
    return {"slope": np.broadcast_to(slope, shape) if slope.size == 1 else slope}


def _lstm(parts: _Parts, _: Shape | None) -> dict[str, Array]:
    """Both order their gates i f g o; a layer with one bias gets the sum of PyTorch's two."""
    biases = parts("bias_ih_l0"), parts("bias_hh_l0")
    arrays = {"kernel": parts("weight_ih_l0").T, "recurrent": parts("weight_hh_l0").T}
    if "recurrent_bias" in parts.step.weights:
        return arrays | {"bias": biases[0], "recurrent_bias": biases[1]}
    return arrays | {"bias": biases[0] + biases[1]}


_READERS: dict[type[Layer], Callable[[_Parts, Shape | None], dict[str, Array]]] = {
    Conv: _conv,
    DepthwiseConv: _depthwise,
    SeparableConv: _separable,
    TransposedConv: _transposed,
    Dense: _dense,
    BatchNorm: _batch_norm,
    PReLU: _prelu,
    LSTM: _lstm,
}
"""Layers whose arrays lie otherwise; the others have a name for each, see `_named`."""
