"""The LSTM step by step, and back through time."""

from __future__ import annotations

import numpy as np

from convcli.layers.recurrent import LSTM
from convcli.learn.arrays import Array
from convcli.learn.rules.activation import apply
from convcli.learn.rules.base import Backward, Context, Weights


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
        slopes = {name: np.zeros_like(array) for name, array in weights.items()}
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
            slopes["kernel"] += x[:, t].T @ dtotal
            slopes["recurrent"] += hidden[t].T @ dtotal
            for name in ("bias", "recurrent_bias"):
                if name in slopes:
                    slopes[name] += dtotal.sum(axis=0)
            dx[:, t] = dtotal @ kernel.T
            dhidden, dcell = dtotal @ recurrent.T, dcell * f
        return dx, slopes

    return (hidden[1:].swapaxes(0, 1) if layer.sequence else hidden[-1]), backward
