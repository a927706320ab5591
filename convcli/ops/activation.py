"""Activations: one row each, its value and its gradient, compiled and in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt
from typing import Any, NamedTuple, cast

import numpy as np
from numba import njit
from numba.extending import register_jitable

from convcli.engine.calls import FAST, Operands, Operation, operand, operation
from convcli.engine.elementary import error_function, exponential, hyperbolic_tangent, logistic
from convcli.engine.llvm import advance
from convcli.layers.activation import Activation, PReLU
from convcli.net.trace import Step
from convcli.ops.program import Address, ProgramBuilder, Tensor
from convcli.ops.rule import Array, Backward, Context, Kind, Weights, cells

ZERO, ONE, HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
THREE, SIX, SIXTH = np.float32(3.0), np.float32(6.0), np.float32(1 / 6)
LEAK = np.float32(0.01)
ROOT_HALF = np.float32(0.7071067811865476)
ROOT_TWO_PI_INVERSE = np.float32(0.3989422804014327)
_ERF = np.frompyfunc(erf, 1, 1)


number = register_jitable(forceinline=True)
"""A function of single numbers; only inlined into the loop around it does it become vector code."""


class Element(NamedTuple):
    """An activation that works cell by cell.

    Attributes:
        value: y of x, compiled.
        grad: dx of dy, y and x, compiled.
        numpy: y and dy/dx of x.
        reads_input: `grad` reads x; without it the activation may work in place.
    """

    value: Callable[..., Any]
    grad: Callable[..., Any]
    numpy: Callable[[Array], tuple[Array, Array]]
    reads_input: bool = False


@number
def _relu(x):
    return ZERO if x < ZERO else x


@number
def _relu_grad(dy, y, x):
    return dy if y > ZERO else ZERO


@number
def _relu6(x):
    return min(max(x, ZERO), SIX)


@number
def _relu6_grad(dy, y, x):
    return dy if ZERO < y < SIX else ZERO


@number
def _leakyrelu(x):
    """Maas et al. 2013."""
    return x if x > ZERO else LEAK * x


@number
def _leakyrelu_grad(dy, y, x):
    return dy if y > ZERO else LEAK * dy


@number
def _elu(x):
    """Clevert et al. 2016."""
    return x if x > ZERO else exponential(x) - ONE


@number
def _elu_grad(dy, y, x):
    return dy if y > ZERO else dy * (y + ONE)


@number
def _tanh(x):
    return hyperbolic_tangent(x)


@number
def _tanh_grad(dy, y, x):
    return dy * (ONE - y * y)


@number
def _sigmoid(x):
    return logistic(x)


@number
def _sigmoid_grad(dy, y, x):
    return dy * y * (ONE - y)


@number
def _silu(x):
    """Elfwing et al. 2018."""
    return x * logistic(x)


@number
def _silu_grad(dy, y, x):
    s = logistic(x)
    return dy * s * (ONE + x * (ONE - s))


@number
def _hardswish(x):
    """Howard et al. 2019."""
    return x * min(max(x + THREE, ZERO), SIX) * SIXTH


@number
def _hardswish_grad(dy, y, x):
    inner = ZERO if x <= -THREE else (x + x + THREE) * SIXTH
    return dy * (ONE if x >= THREE else inner)


@number
def _gelu(x):
    """X times the normal distribution function (Hendrycks and Gimpel 2016)."""
    return x * HALF * (ONE + error_function(x * ROOT_HALF))


@number
def _gelu_grad(dy, y, x):
    below = HALF * (ONE + error_function(x * ROOT_HALF))
    density = ROOT_TWO_PI_INVERSE * exponential(-HALF * x * x)
    return dy * (below + x * density)


def _numpy_leakyrelu(x: Array) -> tuple[Array, Array]:
    slope = np.where(x > 0, 1, 0.01)
    return x * slope, slope


def _numpy_elu(x: Array) -> tuple[Array, Array]:
    y = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    return y, np.where(x > 0, 1, y + 1)


def _numpy_tanh(x: Array) -> tuple[Array, Array]:
    y = np.tanh(x)
    return y, 1 - y * y


def _numpy_logistic(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _numpy_sigmoid(x: Array) -> tuple[Array, Array]:
    y = _numpy_logistic(x)
    return y, y * (1 - y)


def _numpy_silu(x: Array) -> tuple[Array, Array]:
    s = _numpy_logistic(x)
    return x * s, s * (1 + x * (1 - s))


def _numpy_hardswish(x: Array) -> tuple[Array, Array]:
    middle = np.where(x <= -3, 0, (2 * x + 3) / 6)
    return x * np.clip(x + 3, 0, 6) / 6, np.where(x >= 3, 1, middle)


def _numpy_gelu(x: Array) -> tuple[Array, Array]:
    below = 0.5 * (1 + np.asarray(_ERF(x / sqrt(2)), x.dtype))
    return x * below, below + x * np.exp(-0.5 * x * x) / sqrt(2 * pi)


ELEMENTS = {
    "relu": Element(_relu, _relu_grad, lambda x: (np.maximum(x, 0), x > 0)),
    "relu6": Element(_relu6, _relu6_grad, lambda x: (np.clip(x, 0, 6), (x > 0) & (x < 6))),
    "leakyrelu": Element(_leakyrelu, _leakyrelu_grad, _numpy_leakyrelu),
    "elu": Element(_elu, _elu_grad, _numpy_elu),
    "tanh": Element(_tanh, _tanh_grad, _numpy_tanh),
    "sigmoid": Element(_sigmoid, _sigmoid_grad, _numpy_sigmoid),
    "silu": Element(_silu, _silu_grad, _numpy_silu, reads_input=True),
    "hardswish": Element(_hardswish, _hardswish_grad, _numpy_hardswish, reads_input=True),
    "gelu": Element(_gelu, _gelu_grad, _numpy_gelu, reads_input=True),
}

FORWARD, BACKWARD = Operands("y x", "size"), Operands("dx dy y x", "size")


def _forward(value: Callable[..., Any]) -> Operation:
    def activate(bases, row, first, count):
        for sample in range(first, first + count):
            y = operand(bases, row, FORWARD.y, sample)
            x = operand(bases, row, FORWARD.x, sample)
            for i in range(row[FORWARD.size]):
                y[i] = value(x[i])

    return operation(FORWARD)(activate)


def _backward(grad: Callable[..., Any]) -> Operation:
    def deactivate(bases, row, first, count):
        for sample in range(first, first + count):
            dx = operand(bases, row, BACKWARD.dx, sample)
            dy = operand(bases, row, BACKWARD.dy, sample)
            y = operand(bases, row, BACKWARD.y, sample)
            x = operand(bases, row, BACKWARD.x, sample)
            for i in range(row[BACKWARD.size]):
                dx[i] = grad(dy[i], y[i], x[i])

    return operation(BACKWARD)(deactivate)


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


SOFTMAX, SOFTMAX_BACK = Operands("y x", "size width"), Operands("dx dy y x", "size width")


@operation(SOFTMAX)
def softmax_forward(bases, row, first, count):
    """Softmax of every vector of `width` numbers."""
    width = row[SOFTMAX.width]
    vectors = row[SOFTMAX.size] // width
    for sample in range(first, first + count):
        for part in range(vectors):
            y = operand(bases, row, SOFTMAX.y, sample)
            x = operand(bases, row, SOFTMAX.x, sample)
            softmax(advance(y, part * width), advance(x, part * width), width)


@operation(SOFTMAX_BACK)
def softmax_backward(bases, row, first, count):
    """Y * (dy - sum of dy * y)."""
    width = row[SOFTMAX_BACK.width]
    for sample in range(first, first + count):
        dx = operand(bases, row, SOFTMAX_BACK.dx, sample)
        dy = operand(bases, row, SOFTMAX_BACK.dy, sample)
        y = operand(bases, row, SOFTMAX_BACK.y, sample)
        for at in range(0, row[SOFTMAX_BACK.size], width):
            inner = ZERO
            for i in range(at, at + width):
                inner += dy[i] * y[i]
            for i in range(at, at + width):
                dx[i] = y[i] * (dy[i] - inner)


OPERATIONS = {kind: (_forward(e.value), _backward(e.grad)) for kind, e in ELEMENTS.items()}
OPERATIONS["softmax"] = softmax_forward, softmax_backward


def _width(kind: str, shape: tuple[int, ...]) -> dict[str, int]:
    return {"width": shape[-1]} if kind == "softmax" else {}


def activate(program: ProgramBuilder, kind: str | None, y: Tensor) -> Address:
    """Apply a layer's own activation, in place if its gradient allows; return its input."""
    x = y.address
    if kind is None:
        return x
    if kind in ELEMENTS and ELEMENTS[kind].reads_input:
        y.address = program.buffer(y.size)
    program.sample(OPERATIONS[kind][0], y=y.address, x=x, size=y.size, **_width(kind, y.shape))
    return x


def deactivate(program: ProgramBuilder, kind: str | None, y: Tensor, x: Address) -> None:
    """Turn the gradient behind an activation into that before it, in place."""
    if kind is None or y.relu_fused:
        return
    grad, width = program.grad_of(y), _width(kind, y.shape)
    program.sample(OPERATIONS[kind][1], dx=grad, dy=grad, y=y.address, x=x, size=y.size, **width)


def lower_activation(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    kind = cast(Activation, step.layer).kind
    y, width = program.tensor(step, x), _width(kind, x.shape)
    forward, back = OPERATIONS[kind]
    program.sample(forward, y=y.address, x=x.address, size=x.size, **width)

    def backward() -> None:
        dy = program.grad_of(y)

        def write(dx: Address) -> None:
            if y.relu_fused:
                program.copy(dx, dy, x.size)
            else:
                program.sample(back, dx=dx, dy=dy, y=y.address, x=x.address, size=x.size, **width)

        program.accumulate_grad(x, write)

    program.on_backward(backward)
    return y


def apply(kind: str | None, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Return the activation of `x`, and dY -> dX.

    >>> y, backward = apply("relu", np.array([-1.0, 2.0]))
    >>> y, backward(np.array([5.0, 5.0]))
    (array([0., 2.]), array([0., 5.]))
    """
    if kind is None:
        return x, lambda dy: dy
    if kind == "softmax":
        return _numpy_softmax(x)
    y, slope = ELEMENTS[kind].numpy(x)
    return y.astype(x.dtype), lambda dy: (dy * slope).astype(x.dtype)


def _numpy_softmax(x: Array) -> tuple[Array, Callable[[Array], Array]]:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    y = raised / raised.sum(axis=-1, keepdims=True)
    return y, lambda dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def activation(
    layer: Activation, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    y, inner = apply(layer.kind, x)
    return y, lambda dy: (inner(dy), {})


def prelu(layer: PReLU, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """X where positive, else slope * x, one slope for each channel (He et al. 2015)."""
    slope, positive = weights["slope"], x > 0

    def backward(dy: Array) -> tuple[Array, Weights]:
        below = cells(np.where(positive, 0, x * dy)).sum(axis=0)
        return dy * np.where(positive, 1, slope), {"slope": below}

    return np.where(positive, x, slope * x), backward


PRELU = Operands("y x slope", "cells channels")
PRELU_BACK = Operands("dx dy x slope gradient", "cells channels learns")


@operation(PRELU)
def prelu_forward(bases, row, first, count):
    slope, channels = operand(bases, row, PRELU.slope, 0), row[PRELU.channels]
    for sample in range(first, first + count):
        y, x = operand(bases, row, PRELU.y, sample), operand(bases, row, PRELU.x, sample)
        for cell in range(row[PRELU.cells]):
            for c in range(channels):
                value = x[cell * channels + c]
                y[cell * channels + c] = value if value > ZERO else slope[c] * value


@operation(PRELU_BACK)
def prelu_backward(bases, row, first, count):
    """Write dx, add to the gradient of the slopes."""
    slope = operand(bases, row, PRELU_BACK.slope, 0)
    gradient = operand(bases, row, PRELU_BACK.gradient, 0)
    channels = row[PRELU_BACK.channels]
    for sample in range(first, first + count):
        dx = operand(bases, row, PRELU_BACK.dx, sample)
        dy = operand(bases, row, PRELU_BACK.dy, sample)
        x = operand(bases, row, PRELU_BACK.x, sample)
        for cell in range(row[PRELU_BACK.cells]):
            for c in range(channels):
                at = cell * channels + c
                below = x[at] <= ZERO
                if row[PRELU_BACK.learns]:
                    gradient[c] += dy[at] * x[at] if below else ZERO
                dx[at] = dy[at] * slope[c] if below else dy[at]


def lower_prelu(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    y, channels = program.tensor(step, x), x.shape[-1]
    sizes = {"cells": x.size // channels, "channels": channels}
    slope = program.weight(step, "slope")
    program.sample(prelu_forward, y=y.address, x=x.address, slope=slope, **sizes)

    def backward() -> None:
        dy, gradient = program.grad_of(y), program.weight_grad(step, "slope")
        learns = program.learns(step)

        def write(dx: Address) -> None:
            program.sample(
                prelu_backward, dx=dx, dy=dy, x=x.address, slope=slope, gradient=gradient,
                learns=int(learns), **sizes,
            )  # fmt: skip

        if x.needs_grad:
            program.accumulate_grad(x, write)
        elif learns:
            write(program.buffer(x.size))

    program.on_backward(backward)
    return y


KINDS = {
    "activation": Kind(activation, lower_activation),
    "prelu": Kind(prelu, lower_prelu),
}
