"""Activations element by element, and the softmax.

row of the forward operations: y 0, x 3, size 6. row of the backward ones: dx 0, dy 3, y 6, x 9,
size 12. Both may work in place. Softmax: the size of one vector stands behind, at 7 and 13.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from convcli.engine.calls import FAST, Operation, operand, operation
from convcli.engine.operations.elementary import (
    error_function,
    exponential,
    hyperbolic_tangent,
    logistic,
)
from convcli.engine.tile import advance

ZERO, ONE, HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
LEAK = np.float32(0.01)
ROOT_HALF = np.float32(0.7071067811865476)
ROOT_TWO_PI_INVERSE = np.float32(0.3989422804014327)


@operation
def relu_forward(bases, row, first, count):
    """max(0, x)."""
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[6]):
            y[i] = ZERO if x[i] < ZERO else x[i]


@operation
def relu_backward(bases, row, first, count):
    """Dy where y > 0."""
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        y = operand(bases, row, 6, sample)
        for i in range(row[12]):
            dx[i] = dy[i] if y[i] > ZERO else ZERO


@operation
def relu6_forward(bases, row, first, count):
    """min(6, max(0, x))."""
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[6]):
            y[i] = min(max(x[i], ZERO), np.float32(6.0))


@operation
def relu6_backward(bases, row, first, count):
    """Dy where 0 < y < 6."""
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        y = operand(bases, row, 6, sample)
        for i in range(row[12]):
            dx[i] = dy[i] if ZERO < y[i] < np.float32(6.0) else ZERO


@operation
def leakyrelu_forward(bases, row, first, count):
    """Return x where positive, else x / 100 (Maas et al. 2013)."""
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[6]):
            y[i] = x[i] if x[i] > ZERO else LEAK * x[i]


@operation
def leakyrelu_backward(bases, row, first, count):
    """Return dy where y > 0, else dy / 100."""
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        y = operand(bases, row, 6, sample)
        for i in range(row[12]):
            dx[i] = dy[i] if y[i] > ZERO else LEAK * dy[i]


@operation
def elu_forward(bases, row, first, count):
    """Return x where positive, else exp(x) - 1 (Clevert et al. 2016)."""
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[6]):
            y[i] = x[i] if x[i] > ZERO else exponential(x[i]) - ONE


@operation
def elu_backward(bases, row, first, count):
    """Dy where y > 0, else dy * (y + 1)."""
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        y = operand(bases, row, 6, sample)
        for i in range(row[12]):
            dx[i] = dy[i] if y[i] > ZERO else dy[i] * (y[i] + ONE)


@operation
def tanh_forward(bases, row, first, count):
    """tanh(x)."""
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[6]):
            y[i] = hyperbolic_tangent(x[i])


@operation
def tanh_backward(bases, row, first, count):
    """Dy * (1 - y * y)."""
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        y = operand(bases, row, 6, sample)
        for i in range(row[12]):
            dx[i] = dy[i] * (ONE - y[i] * y[i])


@operation
def sigmoid_forward(bases, row, first, count):
    """1 / (1 + exp(-x))."""
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[6]):
            y[i] = logistic(x[i])


@operation
def sigmoid_backward(bases, row, first, count):
    """Dy * y * (1 - y)."""
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        y = operand(bases, row, 6, sample)
        for i in range(row[12]):
            dx[i] = dy[i] * y[i] * (ONE - y[i])


@operation
def silu_forward(bases, row, first, count):
    """Return x * sigmoid(x) (Elfwing et al. 2018)."""
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[6]):
            y[i] = x[i] * logistic(x[i])


@operation
def silu_backward(bases, row, first, count):
    """Dy * s * (1 + x * (1 - s)) with s = sigmoid(x)."""
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        x = operand(bases, row, 9, sample)
        for i in range(row[12]):
            s = logistic(x[i])
            dx[i] = dy[i] * s * (ONE + x[i] * (ONE - s))


@operation
def hardswish_forward(bases, row, first, count):
    """Return x * relu6(x + 3) / 6 (Howard et al. 2019)."""
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[6]):
            gate = min(max(x[i] + np.float32(3.0), ZERO), np.float32(6.0))
            y[i] = x[i] * gate * np.float32(1 / 6)


@operation
def hardswish_backward(bases, row, first, count):
    """0 up to -3, dy from 3 on, between them dy * (2 x + 3) / 6."""
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        x = operand(bases, row, 9, sample)
        for i in range(row[12]):
            middle = (x[i] + x[i] + np.float32(3.0)) * np.float32(1 / 6)
            slope = ZERO if x[i] <= np.float32(-3.0) else middle
            dx[i] = dy[i] * (ONE if x[i] >= np.float32(3.0) else slope)


@operation
def gelu_forward(bases, row, first, count):
    """Return x times the normal distribution function, by erf (Hendrycks and Gimpel 2016)."""
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[6]):
            y[i] = x[i] * HALF * (ONE + error_function(x[i] * ROOT_HALF))


@operation
def gelu_backward(bases, row, first, count):
    """Dy * (Phi(x) + x * phi(x))."""
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        x = operand(bases, row, 9, sample)
        for i in range(row[12]):
            below = HALF * (ONE + error_function(x[i] * ROOT_HALF))
            density = ROOT_TWO_PI_INVERSE * exponential(-HALF * x[i] * x[i])
            dx[i] = dy[i] * (below + x[i] * density)


@njit(fastmath=FAST, error_model="numpy")
def softmax(y, x, size):
    """Write exp(x - max x) over its sum."""
    largest = x[0]
    for i in range(1, size):
        largest = max(largest, x[i])
    total = ZERO
    for i in range(size):
        y[i] = exponential(x[i] - largest)
        total += y[i]
    for i in range(size):
        y[i] /= total


@operation
def softmax_forward(bases, row, first, count):
    """Softmax of every vector of row[7] numbers."""
    vectors = row[6] // row[7]
    for sample in range(first, first + count):
        for part in range(vectors):
            y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
            softmax(advance(y, part * row[7]), advance(x, part * row[7]), row[7])


@operation
def softmax_backward(bases, row, first, count):
    """Y * (dy - sum of dy * y) for every vector of row[13] numbers."""
    size = row[13]
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        y = operand(bases, row, 6, sample)
        for at in range(0, row[12], size):
            inner = ZERO
            for i in range(at, at + size):
                inner += dy[i] * y[i]
            for i in range(at, at + size):
                dx[i] = y[i] * (dy[i] - inner)


FORWARD: dict[str, Operation] = {
    "relu": relu_forward, "relu6": relu6_forward, "leakyrelu": leakyrelu_forward,
    "elu": elu_forward, "tanh": tanh_forward, "sigmoid": sigmoid_forward, "silu": silu_forward,
    "hardswish": hardswish_forward, "gelu": gelu_forward, "softmax": softmax_forward,
}  # fmt: skip
BACKWARD: dict[str, Operation] = {
    "relu": relu_backward, "relu6": relu6_backward, "leakyrelu": leakyrelu_backward,
    "elu": elu_backward, "tanh": tanh_backward, "sigmoid": sigmoid_backward,
    "silu": silu_backward, "hardswish": hardswish_backward, "gelu": gelu_backward,
    "softmax": softmax_backward,
}  # fmt: skip
NEEDS_INPUT = frozenset({"silu", "hardswish", "gelu"})
"""Activations whose gradient is read from x; that of the others from y alone."""
