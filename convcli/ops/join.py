"""The ends of blocks: the sum, the stack and the product of branches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convcli.engine.calls import Operands, each_sample
from convcli.net.trace import Step
from convcli.ops.program import Address, Map, ProgramBuilder, Tensor
from convcli.ops.rule import Array, JoinBackward, Kind

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
    """The input times its gate, which is broadcast over missing or single axes."""
    data, gate = branches
    missing = data.ndim - gate.ndim
    wide = gate.reshape(len(gate), *(1,) * missing, *gate.shape[1:])

    def backward(dy: Array) -> tuple[Array, ...]:
        axes = tuple(a for a in range(1, dy.ndim) if wide.shape[a] == 1 < dy.shape[a])
        dgate = (dy * data).sum(axis=axes, keepdims=True).reshape(gate.shape)
        return dy * wide, dgate

    return data * wide, backward


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


def lower_multiply(
    program: ProgramBuilder, step: Step, x: Tensor, gate: Tensor
) -> Iterator[Tensor]:
    y, cells = program.tensor(step, x, gate), Map.whole(x.address, x.shape)
    missing = len(x.shape) - len(gate.shape)
    narrow = Map.whole(gate.address, (1,) * missing + gate.shape)
    sizes = {
        "depth": cells.depth, "height": cells.height, "width": cells.width,
        "channels": cells.channels,
        "gate_d": narrow.plane * (narrow.depth > 1), "gate_h": narrow.line * (narrow.height > 1),
        "gate_w": narrow.channels * (narrow.width > 1),
    }  # fmt: skip
    program.sample(gate_forward, y=y.address, x=x.address, gate=gate.address, **sizes)
    yield y
    dy = program.grad_of(y)

    def write_dx(dx: Address) -> None:
        program.sample(gate_forward, y=dx, x=dy, gate=gate.address, **sizes)

    def write_dgate(dgate: Address) -> None:
        program.clear(dgate, gate.size)
        program.sample(gate_grad, y=dy, x=x.address, gate=dgate, **sizes)

    program.accumulate_grad(x, write_dx)
    program.accumulate_grad(gate, write_dgate)


KINDS = {
    "add": Kind(add, lower_add),
    "concat": Kind(concat, lower_concat),
    "scale": Kind(multiply, lower_multiply),
}
