"""The ends of blocks: the sum, the stack and the product of branches; a factor for each channel."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from convcli.engine.calls import Operands, each_sample
from convcli.layers.activation import LayerScale
from convcli.net.trace import Step
from convcli.ops.program import Address, Map, ProgramBuilder, Tensor
from convcli.ops.rule import Array, Backward, Context, JoinBackward, Kind, Weights, cells

ZERO, LOWEST = np.float32(0.0), np.float32(-np.inf)


def add(branches: tuple[Array, ...]) -> tuple[Array, JoinBackward]:
    """The sum; each branch gets the whole gradient."""
    return sum(branches[1:], start=branches[0]), lambda dy: (dy,) * len(branches)


@each_sample(Operands("y x other", "size relu"))
def add_forward(o):
    low = ZERO if o.relu else LOWEST
    for i in range(o.size):
        total = o.x[i] + o.other[i]
        o.y[i] = low if total < low else total


def lower_add(program: ProgramBuilder, step: Step, *branches: Tensor) -> Iterator[Tensor]:
    y = program.tensor(step, *branches)
    x, other = (branch.address for branch in branches)
    y.activated = step.activation == "relu"
    program.sample(add_forward, y=y.address, x=x, other=other, size=y.size, relu=int(y.activated))
    yield y
    dy = program.grad_of(y)
    for branch in branches:
        program.accumulate_grad(branch, lambda dx: program.copy(dx, dy, y.size))


def concat(branches: tuple[Array, ...]) -> tuple[Array, JoinBackward]:
    """The channels one after the other; each branch gets its own back."""
    ends = np.cumsum([branch.shape[-1] for branch in branches])

    def backward(dy: Array) -> tuple[Array, ...]:
        return tuple(np.split(dy, ends[:-1], axis=-1))

    return np.concatenate(branches, axis=-1), backward


def lower_concat(program: ProgramBuilder, step: Step, *branches: Tensor) -> Iterator[Tensor]:
    y = program.tensor(step, *branches)
    channels = y.shape[-1]
    cells, own = y.size // channels, [branch.shape[-1] for branch in branches]
    begins = [sum(own[:number]) for number in range(len(own))]
    for branch, begin, width in zip(branches, begins, own, strict=True):
        program.copy(y.address.after(begin), branch.address, width, (cells, channels, width))
    yield y
    dy = program.grad_of(y)
    for branch, begin, width in zip(branches, begins, own, strict=True):

        def write(dx: Address, begin: int = begin, width: int = width) -> None:
            program.copy(dx, dy.after(begin), width, (cells, width, channels))

        program.accumulate_grad(branch, write)


def multiply(branches: tuple[Array, ...]) -> tuple[Array, JoinBackward]:
    """The input times its gates, which are broadcast over missing or single axes."""
    first, *gates = branches
    wide = [g.reshape(len(g), *(1,) * (first.ndim - g.ndim), *g.shape[1:]) for g in gates]
    factors = [first, *wide]

    def backward(dy: Array) -> tuple[Array, ...]:
        grads = []
        for place, (branch, factor) in enumerate(zip(branches, factors, strict=True)):
            others = factors[:place] + factors[place + 1 :]
            whole = dy * prod(others[1:], start=others[0])
            axes = tuple(a for a in range(1, dy.ndim) if factor.shape[a] == 1 < dy.shape[a])
            grads.append(whole.sum(axis=axes, keepdims=True).reshape(branch.shape))
        return tuple(grads)

    return prod(wide[1:], start=first * wide[0]), backward


def layer_scale(
    layer: LayerScale, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Each channel times its factor."""
    scale = weights["scale"]
    return x * scale, lambda dy: (dy * scale, {"scale": cells(x * dy).sum(axis=0)})


MULTIPLY = Operands("y x gate", "depth height width channels gate_d gate_h gate_w")
"""The jumps of the gate are zeros along axes over which it is broadcast."""


@each_sample(MULTIPLY)
def gate_forward(o):
    """Y = x * gate."""
    at = 0
    for i in range(o.depth):
        for j in range(o.height):
            for k in range(o.width):
                factor = i * o.gate_d + j * o.gate_h
                factor += k * o.gate_w
                for c in range(o.channels):
                    o.y[at + c] = o.x[at + c] * o.gate[factor + c]
                at += o.channels


@each_sample(MULTIPLY)
def gate_grad(o):
    """Add dy * x to the gate's gradient; y is a gradient here."""
    at = 0
    for i in range(o.depth):
        for j in range(o.height):
            for k in range(o.width):
                factor = i * o.gate_d + j * o.gate_h
                factor += k * o.gate_w
                for c in range(o.channels):
                    o.gate[factor + c] += o.y[at + c] * o.x[at + c]
                at += o.channels


def _product(
    program: ProgramBuilder, y: Address, x: Tensor, gate: Address, shape: tuple[int, ...]
) -> dict[str, int]:
    """Write x times a gate of this shape; return the sizes of the operations."""
    whole = Map.whole(x.address, x.shape)
    narrow = Map.whole(gate, (1,) * (len(x.shape) - len(shape)) + shape)
    sizes = {
        "depth": whole.depth, "height": whole.height, "width": whole.width,
        "channels": whole.channels,
        "gate_d": narrow.plane * (narrow.depth > 1), "gate_h": narrow.line * (narrow.height > 1),
        "gate_w": narrow.channels * (narrow.width > 1),
    }  # fmt: skip
    program.sample(gate_forward, y=y, x=x.address, gate=gate, **sizes)
    return sizes


def lower_multiply(
    program: ProgramBuilder, step: Step, x: Tensor, gate: Tensor, *others: Tensor
) -> Iterator[Tensor]:
    y = program.tensor(step, x, gate)
    sizes = _product(program, y.address, x, gate.address, gate.shape)
    rest = lower_multiply(program, step, y, *others) if others else iter([y])
    yield next(rest)
    next(rest, None)
    dy = program.grad_of(y)

    def write_dx(dx: Address) -> None:
        program.sample(gate_forward, y=dx, x=dy, gate=gate.address, **sizes)

    def write_dgate(dgate: Address) -> None:
        program.clear(dgate, gate.size)
        program.sample(gate_grad, y=dy, x=x.address, gate=dgate, **sizes)

    program.accumulate_grad(x, write_dx)
    program.accumulate_grad(gate, write_dgate)


def lower_layer_scale(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    y, scale = program.tensor(step, x), program.weight(step, "scale")
    sizes = _product(program, y.address, x, scale, x.shape[-1:])
    yield y
    dy = program.grad_of(y)
    if program.learns(step):
        gradient = program.weight_grad(step, "scale")
        program.sample(gate_grad, y=dy, x=x.address, gate=gradient, **sizes)
    program.accumulate_grad(
        x, lambda dx: program.sample(gate_forward, y=dx, x=dy, gate=scale, **sizes)
    )


KINDS = {
    "add": Kind(add, lower_add),
    "concat": Kind(concat, lower_concat),
    "scale": Kind(multiply, lower_multiply),
    "mul": Kind(multiply, lower_multiply),
    "layerscale": Kind(layer_scale, lower_layer_scale),
}
