"""The LSTM: one product for all inputs, then a product and a cell for each step.

Gates follow one another in the order i f g o, `units` each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from convcli.engine.calls import Operands, each_sample
from convcli.engine.elementary import hyperbolic_tangent, logistic
from convcli.layers.recurrent import LSTM
from convcli.net.trace import Step
from convcli.ops import products
from convcli.ops.activation import apply
from convcli.ops.products import matrix
from convcli.ops.program import Address, Map, ProgramBuilder, Tensor
from convcli.ops.rule import Array, Backward, Context, Kind, Weights

ONE = np.float32(1.0)


def lstm(layer: LSTM, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """Run c = f c + i g, h = o tanh(c), gates in the order i f g o.

    Hochreiter and Schmidhuber 1997; the forget gate is from Gers et al. 2000.
    """
    kernel, recurrent = weights["kernel"], weights["recurrent"]
    bias = weights["bias"] + weights.get("recurrent_bias", np.zeros(1, x.dtype))
    samples, length, _ = x.shape
    hidden = np.zeros((length + 1, samples, layer.units), x.dtype)
    cell = np.zeros_like(hidden)
    gates = np.empty((length, 4, samples, layer.units), x.dtype)
    for t in range(length):
        total = x[:, t] @ kernel + hidden[t] @ recurrent + bias
        for gate, part in enumerate(np.split(total, 4, axis=-1)):
            gates[t, gate] = apply("tanh" if gate == 2 else "sigmoid", part)[0]
        i, f, g, o = gates[t]
        cell[t + 1] = f * cell[t] + i * g
        hidden[t + 1] = o * np.tanh(cell[t + 1])

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx = np.empty_like(x)
        grads = {name: np.zeros_like(array) for name, array in weights.items()}
        dhidden, dcell = np.zeros_like(hidden[0]), np.zeros_like(hidden[0])
        for t in reversed(range(length)):
            if layer.sequence:
                dhidden = dhidden + dy[:, t]
            elif t == length - 1:
                dhidden = dhidden + dy
            i, f, g, o = gates[t]
            top = np.tanh(cell[t + 1])
            dcell = dcell + dhidden * o * (1 - top * top)
            parts = (
                dcell * g * i * (1 - i),
                dcell * cell[t] * f * (1 - f),
                dcell * i * (1 - g * g),
                dhidden * top * o * (1 - o),
            )
            dtotal = np.concatenate(parts, axis=-1)
            grads["kernel"] += x[:, t].T @ dtotal
            grads["recurrent"] += hidden[t].T @ dtotal
            for name in ("bias", "recurrent_bias"):
                if name in grads:
                    grads[name] += dtotal.sum(axis=0)
            dx[:, t] = dtotal @ kernel.T
            dhidden, dcell = dtotal @ recurrent.T, dcell * f
        return dx, grads

    return (hidden[1:].swapaxes(0, 1) if layer.sequence else hidden[-1]), backward


@each_sample(Operands("gates before after hidden", "units"))
def lstm_forward(cell):
    """C' = f c + i g, h' = o tanh(c'), for one step; the gates are activated in place."""
    gates, units = cell.gates, cell.units
    for u in range(units):
        i, f = logistic(gates[u]), logistic(gates[units + u])
        g, o = hyperbolic_tangent(gates[2 * units + u]), logistic(gates[3 * units + u])
        state = f * cell.before[u] + i * g
        gates[u], gates[units + u], gates[2 * units + u], gates[3 * units + u] = i, f, g, o
        cell.after[u] = state
        cell.hidden[u] = o * hyperbolic_tangent(state)


@each_sample(Operands("gates before after dhidden dcell dgates", "units"))
def lstm_backward(cell):
    """Turn the gradients of hidden and cell into those of the gates' sums and the cell before.

    That of the cell is renewed in place.
    """
    gates, units = cell.gates, cell.units
    for u in range(units):
        i, f, g, o = gates[u], gates[units + u], gates[2 * units + u], gates[3 * units + u]
        top = hyperbolic_tangent(cell.after[u])
        slope = cell.dcell[u] + cell.dhidden[u] * o * (ONE - top * top)
        cell.dgates[u] = slope * g * i * (ONE - i)
        cell.dgates[units + u] = slope * cell.before[u] * f * (ONE - f)
        cell.dgates[2 * units + u] = slope * i * (ONE - g * g)
        cell.dgates[3 * units + u] = cell.dhidden[u] * top * o * (ONE - o)
        cell.dcell[u] = slope * f


def lower_lstm(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """An LSTM over a series, back through all its steps."""
    layer, y = cast(LSTM, step.layer), program.tensor(step, x)
    (length, inputs), units = x.shape, layer.units
    wide = 4 * units
    taps, again_taps = matrix(inputs, wide), matrix(units, wide)
    kernel, again = program.weight(step, "kernel"), program.weight(step, "recurrent")
    gates = program.map((length, wide))
    products.convolve(program, gates, x.map, kernel, taps, program.weight(step, "bias"))
    if "recurrent_bias" in step.weights:
        bias = program.weight(step, "recurrent_bias")
        program.copy(gates.address, bias, wide, (length, wide, 0), add=True)
    hidden, cell = (program.buffer((length + 1) * units) for _ in range(2))
    program.clear(hidden, units)
    program.clear(cell, units)
    for t in range(length):
        here, now, then = gates.address.after(t * wide), t * units, (t + 1) * units
        products.dense(program, here, hidden.after(now), again, here, again_taps)
        program.chunk(
            lstm_forward, gates=here, before=cell.after(now), after=cell.after(then),
            hidden=hidden.after(then), units=units,
        )  # fmt: skip
    program.copy(y.address, hidden.after(units if layer.sequence else length * units), y.size)
    yield y
    dy = program.grad_of(y)
    by_gate = products.flipped(program, again, again_taps, reverse=False)
    dgates = program.map((length, wide))
    dhidden, dcell = program.buffer(units), program.buffer(units)
    program.clear(dcell, units)
    program.copy(dhidden, dy.after((length - 1) * units * layer.sequence), units)
    none = program.zeros(units)
    for t in reversed(range(length)):
        here, now = dgates.address.after(t * wide), t * units
        program.chunk(
            lstm_backward, gates=gates.address.after(t * wide), before=cell.after(now),
            after=cell.after(now + units), dhidden=dhidden, dcell=dcell, dgates=here,
            units=units,
        )  # fmt: skip
        if t:
            start = dy.after((t - 1) * units) if layer.sequence else none
            products.dense(program, dhidden, here, by_gate, start, again_taps.back())
    _weight_grads(program, step, x, hidden, dgates)

    def write(dx: Address) -> None:
        by_output = products.flipped(program, kernel, taps, reverse=False)
        whole, zeros = Map.whole(dx, x.shape), program.zeros(inputs)
        products.convolve(program, whole, dgates, by_output, taps.back(), zeros)

    program.accumulate_grad(x, write)


def _weight_grads(
    program: ProgramBuilder, step: Step, x: Tensor, hidden: Address, dgates: Map
) -> None:
    if not program.learns(step):
        return
    before = Map.whole(hidden, (dgates.width, dgates.channels // 4))
    for name, source in (("kernel", x.map), ("recurrent", before)):
        gradient, taps = program.weight_grad(step, name), matrix(source.channels, dgates.channels)
        products.weight_grad(program, gradient, source, dgates, taps)
    for name in ("bias", "recurrent_bias"):
        if name in step.weights:
            products.bias_grad(program, program.weight_grad(step, name), dgates)


KINDS = {"lstm": Kind(lstm, lower_lstm)}
