"""Recurrent layers: one product for all inputs, then a product and a cell for each step.

Gates follow one another, `units` each: i f g o in an LSTM, r z n in a GRU. The way back through the
series has arrays of its own, and its outputs stand behind those of the way there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

import numpy as np

from convcli.engine.calls import Operands, each_sample
from convcli.engine.elementary import hyperbolic_tangent, logistic
from convcli.layers.recurrent import Recurrent
from convcli.net.trace import Step
from convcli.ops import products
from convcli.ops.activation import apply
from convcli.ops.products import matrix
from convcli.ops.program import Address, Map, ProgramBuilder, Tensor
from convcli.ops.rule import Array, Backward, Context, Kind, Weights

ONE = np.float32(1.0)

SeriesRule = Callable[[Weights, Array], tuple[Array, Backward]]
"""Arrays and a series (N, length, channels) -> the states (N, length, units), and the way back."""


def _in_directions(rule: SeriesRule) -> Callable[..., tuple[Array, Backward]]:
    """Return the rule of a layer whose series goes through `rule`, in one direction or two."""

    def run(
        layer: Recurrent, weights: Weights, x: Array, context: Context
    ) -> tuple[Array, Backward]:
        ways = []
        for prefix in layer.directions:
            own = {
                name.removeprefix(prefix): array
                for name, array in weights.items()
                if name.startswith("reverse_") == bool(prefix)
            }
            turn = slice(None, None, -1 if prefix else 1)
            hidden, back = rule(own, x[:, turn])
            ways.append((prefix, turn, hidden, back))

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx = np.zeros_like(x)
            grads: Weights = {}
            parts = np.split(dy, len(ways), axis=-1)
            for part, (prefix, turn, hidden, back) in zip(parts, ways, strict=True):
                dhidden = np.zeros_like(hidden)
                if layer.sequence:
                    dhidden[:] = part[:, turn]
                else:
                    dhidden[:, -1] = part
                dseries, own = back(dhidden)
                dx += dseries[:, turn]
                grads |= {prefix + name: array for name, array in own.items()}
            return dx, grads

        outputs = [
            hidden[:, turn] if layer.sequence else hidden[:, -1] for _, turn, hidden, _ in ways
        ]
        return np.concatenate(outputs, axis=-1), backward

    return run


@_in_directions
def lstm(weights: Weights, x: Array) -> tuple[Array, Backward]:
    """Run c = f c + i g, h = o tanh(c), gates in the order i f g o.

    Hochreiter and Schmidhuber 1997; the forget gate is from Gers et al. 2000.
    """
    kernel, recurrent = weights["kernel"], weights["recurrent"]
    bias = weights["bias"] + weights.get("recurrent_bias", np.zeros(1, x.dtype))
    (samples, length, _), units = x.shape, len(recurrent)
    hidden = np.zeros((length + 1, samples, units), x.dtype)
    cell = np.zeros_like(hidden)
    gates = np.empty((length, 4, samples, units), x.dtype)
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
            dhidden = dhidden + dy[:, t]
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
            _add_grads(grads, x[:, t], hidden[t], dtotal, dtotal)
            dx[:, t] = dtotal @ kernel.T
            dhidden, dcell = dtotal @ recurrent.T, dcell * f
        return dx, grads

    return hidden[1:].swapaxes(0, 1), backward


@_in_directions
def gru(weights: Weights, x: Array) -> tuple[Array, Backward]:
    """Run h = z h + (1 - z) n, n = tanh(x part + r * h part), gates in the order r z n.

    Cho et al. 2014; the reset gate weighs what the recurrent kernel made of h, as in cuDNN.
    """
    kernel, recurrent = weights["kernel"], weights["recurrent"]
    again = weights.get("recurrent_bias", np.zeros(recurrent.shape[1], x.dtype))
    (samples, length, _), units = x.shape, len(recurrent)
    hidden = np.zeros((length + 1, samples, units), x.dtype)
    gates = np.empty((length, 4, samples, units), x.dtype)
    for t in range(length):
        x_r, x_z, x_n = np.split(x[:, t] @ kernel + weights["bias"], 3, axis=-1)
        h_r, h_z, h_n = np.split(hidden[t] @ recurrent + again, 3, axis=-1)
        r, z = apply("sigmoid", x_r + h_r)[0], apply("sigmoid", x_z + h_z)[0]
        n = np.tanh(x_n + r * h_n)
        gates[t] = r, z, n, h_n
        hidden[t + 1] = z * hidden[t] + (1 - z) * n

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx = np.empty_like(x)
        grads = {name: np.zeros_like(array) for name, array in weights.items()}
        dhidden = np.zeros_like(hidden[0])
        for t in reversed(range(length)):
            dhidden = dhidden + dy[:, t]
            r, z, n, h_n = gates[t]
            dn = dhidden * (1 - z) * (1 - n * n)
            dr, dz = dn * h_n * r * (1 - r), dhidden * (hidden[t] - n) * z * (1 - z)
            from_x = np.concatenate((dr, dz, dn), axis=-1)
            from_h = np.concatenate((dr, dz, dn * r), axis=-1)
            _add_grads(grads, x[:, t], hidden[t], from_x, from_h)
            dx[:, t] = from_x @ kernel.T
            dhidden = dhidden * z + from_h @ recurrent.T
        return dx, grads

    return hidden[1:].swapaxes(0, 1), backward


def _add_grads(grads: Weights, x: Array, hidden: Array, from_x: Array, from_h: Array) -> None:
    """Add one step's gradients from those of what both kernels gave."""
    grads["kernel"] += x.T @ from_x
    grads["recurrent"] += hidden.T @ from_h
    grads["bias"] += from_x.sum(axis=0)
    if "recurrent_bias" in grads:
        grads["recurrent_bias"] += from_h.sum(axis=0)


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


@each_sample(Operands("gates again before hidden", "units"))
def gru_forward(cell):
    """Turn the sums into r, z and n, in place, and the state before into the one after."""
    gates, units = cell.gates, cell.units
    for u in range(units):
        r = logistic(gates[u] + cell.again[u])
        z = logistic(gates[units + u] + cell.again[units + u])
        n = hyperbolic_tangent(gates[2 * units + u] + r * cell.again[2 * units + u])
        gates[u], gates[units + u], gates[2 * units + u] = r, z, n
        cell.hidden[u] = z * cell.before[u] + (ONE - z) * n


@each_sample(Operands("gates again before dhidden dgates dagain upstream dbefore", "units"))
def gru_backward(cell):
    """Turn the gradient of the state into those of what both kernels gave.

    `dbefore` is what the state before gets past the gates, on top of its own `upstream`.
    """
    gates, units = cell.gates, cell.units
    for u in range(units):
        r, z, n = gates[u], gates[units + u], gates[2 * units + u]
        dn = cell.dhidden[u] * (ONE - z) * (ONE - n * n)
        dr = dn * cell.again[2 * units + u] * r * (ONE - r)
        dz = cell.dhidden[u] * (cell.before[u] - n) * z * (ONE - z)
        cell.dgates[u], cell.dgates[units + u], cell.dgates[2 * units + u] = dr, dz, dn
        cell.dagain[u], cell.dagain[units + u], cell.dagain[2 * units + u] = dr, dz, dn * r
        cell.dbefore[u] = cell.dhidden[u] * z + cell.upstream[u]


class _Series(NamedTuple):
    """One direction through a series: where the states lie, and in which order places are visited.

    State rows are one more than places: place p reads row p + read and writes row p + written.
    """

    order: list[int]
    read: int
    written: int

    @staticmethod
    def of(length: int, prefix: str) -> _Series:
        places = list(range(length))
        return _Series(places[::-1], 1, 0) if prefix else _Series(places, 0, 1)


def lower_recurrent(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """Each direction for itself, back through all its steps."""
    layer, y = cast(Recurrent, step.layer), program.tensor(step, x)
    lower = _lower_lstm if step.op == "lstm" else _lower_gru
    units, (length, _) = layer.units, x.shape
    wide = y.shape[-1]
    ways = []
    for place, prefix in enumerate(layer.directions):
        series = _Series.of(length, prefix)
        hidden = program.buffer((length + 1) * units)
        program.clear(hidden.after((series.order[0] + series.read) * units), units)
        ways.append((place * units, series, lower(program, step, prefix, series, x, hidden)))
        if layer.sequence:
            rows = hidden.after(series.written * units)
            program.copy(y.address.after(place * units), rows, units, (length, wide, units))
        else:
            last = hidden.after((series.order[-1] + series.written) * units)
            program.copy(y.address.after(place * units), last, units)
    yield y
    dy, none = program.grad_of(y), program.zeros(units)
    for offset, series, backward in ways:

        def upstream(place: int, offset: int = offset, last: int = series.order[-1]) -> Address:
            if layer.sequence:
                return dy.after(place * wide + offset)
            return dy.after(offset) if place == last else none

        backward(upstream)


def _lower_lstm(
    program: ProgramBuilder, step: Step, prefix: str, series: _Series, x: Tensor, hidden: Address
) -> Callable[[Callable[[int], Address]], None]:
    (length, inputs), units = x.shape, cast(Recurrent, step.layer).units
    wide = 4 * units
    taps, again_taps = matrix(inputs, wide), matrix(units, wide)
    kernel = program.weight(step, f"{prefix}kernel")
    again = program.weight(step, f"{prefix}recurrent")
    gates = program.map((length, wide))
    bias = program.weight(step, f"{prefix}bias")
    products.convolve(program, gates, x.map, kernel, taps, bias)
    if f"{prefix}recurrent_bias" in step.weights:
        bias = program.weight(step, f"{prefix}recurrent_bias")
        program.copy(gates.address, bias, wide, (length, wide, 0), add=True)
    cell = program.buffer((length + 1) * units)
    program.clear(cell.after((series.order[0] + series.read) * units), units)
    for place in series.order:
        here = gates.address.after(place * wide)
        before, after = (place + series.read) * units, (place + series.written) * units
        products.dense(program, here, hidden.after(before), again, here, again_taps)
        program.chunk(
            lstm_forward, gates=here, before=cell.after(before), after=cell.after(after),
            hidden=hidden.after(after), units=units,
        )  # fmt: skip

    def backward(upstream: Callable[[int], Address]) -> None:
        by_gate = products.flipped(program, again, again_taps, reverse=False)
        dgates = program.map((length, wide))
        dhidden, dcell = program.buffer(units), program.buffer(units)
        program.clear(dcell, units)
        program.copy(dhidden, upstream(series.order[-1]), units)
        for number in reversed(range(length)):
            place = series.order[number]
            here = dgates.address.after(place * wide)
            program.chunk(
                lstm_backward, gates=gates.address.after(place * wide),
                before=cell.after((place + series.read) * units),
                after=cell.after((place + series.written) * units), dhidden=dhidden, dcell=dcell,
                dgates=here, units=units,
            )  # fmt: skip
            if number:
                start = upstream(series.order[number - 1])
                products.dense(program, dhidden, here, by_gate, start, again_taps.back())
        before = Map.whole(hidden.after(series.read * units), (length, units))
        _weight_grads(program, step, prefix, (x.map, before), (dgates, dgates))
        _input_grad(program, x, kernel, dgates)

    return backward


def _lower_gru(
    program: ProgramBuilder, step: Step, prefix: str, series: _Series, x: Tensor, hidden: Address
) -> Callable[[Callable[[int], Address]], None]:
    (length, inputs), units = x.shape, cast(Recurrent, step.layer).units
    wide = 3 * units
    taps, again_taps = matrix(inputs, wide), matrix(units, wide)
    kernel = program.weight(step, f"{prefix}kernel")
    recurrent = program.weight(step, f"{prefix}recurrent")
    bias = program.zeros(wide)
    if f"{prefix}recurrent_bias" in step.weights:
        bias = program.weight(step, f"{prefix}recurrent_bias")
    gates, again = program.map((length, wide)), program.map((length, wide))
    products.convolve(program, gates, x.map, kernel, taps, program.weight(step, f"{prefix}bias"))

    def at(place: int) -> dict[str, Address]:
        return {
            "gates": gates.address.after(place * wide),
            "again": again.address.after(place * wide),
            "before": hidden.after((place + series.read) * units),
        }

    for place in series.order:
        here = at(place)
        products.dense(program, here["again"], here["before"], recurrent, bias, again_taps)
        after = hidden.after((place + series.written) * units)
        program.chunk(gru_forward, hidden=after, units=units, **here)

    def backward(upstream: Callable[[int], Address]) -> None:
        by_gate = products.flipped(program, recurrent, again_taps, reverse=False)
        dgates, dagain = program.map((length, wide)), program.map((length, wide))
        dhidden, dbefore = program.buffer(units), program.buffer(units)
        program.copy(dhidden, upstream(series.order[-1]), units)
        for number in reversed(range(length)):
            place = series.order[number]
            there = dagain.address.after(place * wide)
            earlier = upstream(series.order[number - 1]) if number else program.zeros(units)
            program.chunk(
                gru_backward, dhidden=dhidden, dgates=dgates.address.after(place * wide),
                dagain=there, upstream=earlier, dbefore=dbefore, units=units, **at(place),
            )  # fmt: skip
            if number:
                products.dense(program, dhidden, there, by_gate, dbefore, again_taps.back())
        before = Map.whole(hidden.after(series.read * units), (length, units))
        _weight_grads(program, step, prefix, (x.map, before), (dgates, dagain))
        _input_grad(program, x, kernel, dgates)

    return backward


def _weight_grads(
    program: ProgramBuilder, step: Step, prefix: str, sources: tuple[Map, Map],
    slopes: tuple[Map, Map],
) -> None:  # fmt: skip
    """Append the gradients of kernel and recurrent kernel, then of their biases."""
    if not program.learns(step):
        return
    for name, source, slope in zip(("kernel", "recurrent"), sources, slopes, strict=True):
        gradient = program.weight_grad(step, prefix + name)
        taps = matrix(source.channels, slope.channels)
        products.weight_grad(program, gradient, source, slope, taps)
    for name, slope in zip(("bias", "recurrent_bias"), slopes, strict=True):
        if prefix + name in step.weights:
            products.bias_grad(program, program.weight_grad(step, prefix + name), slope)


def _input_grad(program: ProgramBuilder, x: Tensor, kernel: Address, dgates: Map) -> None:
    inputs, taps = x.shape[-1], matrix(x.shape[-1], dgates.channels)

    def write(dx: Address) -> None:
        by_output = products.flipped(program, kernel, taps, reverse=False)
        whole, zeros = Map.whole(dx, x.shape), program.zeros(inputs)
        products.convolve(program, whole, dgates, by_output, taps.back(), zeros)

    program.accumulate_grad(x, write)


KINDS = {"lstm": Kind(lstm, lower_recurrent), "gru": Kind(gru, lower_recurrent)}
