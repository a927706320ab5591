"""Activations: one row each, its value and its gradient, compiled and in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import erf, pi, sqrt
from typing import Any, NamedTuple, cast

import numpy as np
from numba import njit
from numba.extending import register_jitable

from convcli.engine.calls import FAST, Operands, Operation, each_sample
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


class Element(NamedTuple):
    """An activation that works cell by cell.

    Attributes:
        value: y of x, compiled.
        grad: dx of dy, y and x, compiled.
        numpy: y of x.
        slope: dy/dx of x and y, in NumPy.
        reads_input: `grad` reads x; without it the activation may work in place.
    """

    value: Callable[..., Any]
    grad: Callable[..., Any]
    numpy: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    reads_input: bool = False


def _numpy_logistic(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _numpy_below(x: Array) -> Array:
    """Return the normal distribution's share below `x`."""
    return 0.5 * (1 + np.asarray(_ERF(x / sqrt(2)), x.dtype))


ELEMENTS = {
    "relu": Element(
        lambda x: ZERO if x < ZERO else x,
        lambda dy, y, x: dy if y > ZERO else ZERO,
        lambda x: np.maximum(x, 0),
        lambda x, y: x > 0,
    ),
    "relu6": Element(
        lambda x: min(max(x, ZERO), SIX),
        lambda dy, y, x: dy if ZERO < y < SIX else ZERO,
        lambda x: np.clip(x, 0, 6),
        lambda x, y: (x > 0) & (x < 6),
    ),
    "leakyrelu": Element(  # Maas et al. 2013
        lambda x: x if x > ZERO else LEAK * x,
        lambda dy, y, x: dy if y > ZERO else LEAK * dy,
        lambda x: x * np.where(x > 0, 1, 0.01),
        lambda x, y: np.where(x > 0, 1, 0.01),
    ),
    "elu": Element(  # Clevert et al. 2016
        lambda x: x if x > ZERO else exponential(x) - ONE,
        lambda dy, y, x: dy if y > ZERO else dy * (y + ONE),
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x, y: np.where(x > 0, 1, y + 1),
    ),
    "tanh": Element(
        lambda x: hyperbolic_tangent(x),  # noqa: PLW0108  (rows hold plain functions)
        lambda dy, y, x: dy * (ONE - y * y),
        np.tanh,
        lambda x, y: 1 - y * y,
    ),
    "sigmoid": Element(
        lambda x: logistic(x),  # noqa: PLW0108  (rows hold plain functions)
        lambda dy, y, x: dy * y * (ONE - y),
        _numpy_logistic,
        lambda x, y: y * (1 - y),
    ),
    "silu": Element(  # Elfwing et al. 2018
        lambda x: x * logistic(x),
        lambda dy, y, x: dy * logistic(x) * (ONE + x * (ONE - logistic(x))),
        lambda x: x * _numpy_logistic(x),
        lambda x, y: (s := _numpy_logistic(x)) * (1 + x * (1 - s)),
        reads_input=True,
    ),
    "hardswish": Element(  # Howard et al. 2019
        lambda x: x * min(max(x + THREE, ZERO), SIX) * SIXTH,
        lambda dy, y, x: (
            dy * (ONE if x >= THREE else ZERO if x <= -THREE else (x + x + THREE) * SIXTH)
        ),
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        lambda x, y: np.where(x >= 3, 1, np.where(x <= -3, 0, (2 * x + 3) / 6)),
        reads_input=True,
    ),
    "gelu": Element(  # x times the normal distribution function: Hendrycks and Gimpel 2016
        lambda x: x * HALF * (ONE + error_function(x * ROOT_HALF)),
        lambda dy, y, x: (
            dy
            * (
                HALF * (ONE + error_function(x * ROOT_HALF))
                + x * (ROOT_TWO_PI_INVERSE * exponential(-HALF * x * x))
            )
        ),
        lambda x: x * _numpy_below(x),
        lambda x, y: _numpy_below(x) + x * np.exp(-0.5 * x * x) / sqrt(2 * pi),
        reads_input=True,
    ),
}

FORWARD, BACKWARD = Operands("y x", "size in_place"), Operands("dx dy y x", "size in_place")


def _pair(kind: str, row: Element) -> tuple[Operation, Operation]:
    """Compile a row; only what is inlined into the loop around it becomes vector code.

    Nor would a loop whose two pointers are the same place.
    """
    value, grad = (register_jitable(forceinline=True)(part) for part in (row.value, row.grad))

    def forward(o):
        if o.in_place:
            for i in range(o.size):
                o.y[i] = value(o.y[i])
        else:
            for i in range(o.size):
                o.y[i] = value(o.x[i])

    def backward(o):
        if o.in_place:
            for i in range(o.size):
                o.dx[i] = grad(o.dx[i], o.y[i], o.x[i])
        else:
            for i in range(o.size):
                o.dx[i] = grad(o.dy[i], o.y[i], o.x[i])

    return each_sample(FORWARD, name=kind)(forward), each_sample(BACKWARD, name=kind)(backward)


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


@each_sample(Operands("y x", "size width"))
def softmax_forward(o):
    """Softmax of every vector of `width` numbers."""
    for at in range(0, o.size // o.width * o.width, o.width):
        softmax(advance(o.y, at), advance(o.x, at), o.width)


@each_sample(Operands("dx dy y x", "size width"))
def softmax_backward(o):
    """Y * (dy - sum of dy * y)."""
    for at in range(0, o.size, o.width):
        inner = ZERO
        for i in range(at, at + o.width):
            inner += o.dy[i] * o.y[i]
        for i in range(at, at + o.width):
            o.dx[i] = o.y[i] * (o.dy[i] - inner)


OPERATIONS = {kind: _pair(kind, row) for kind, row in ELEMENTS.items()}
OPERATIONS["softmax"] = softmax_forward, softmax_backward


def _sizes(kind: str, y: Tensor, *, in_place: bool = False) -> dict[str, int]:
    if kind == "softmax":
        return {"size": y.size, "width": y.shape[-1]}
    return {"size": y.size, "in_place": int(in_place)}


def activate(program: ProgramBuilder, kind: str, y: Tensor) -> Address:
    """Apply a layer's own activation, in place if its gradient allows; return its input."""
    x = y.address
    if kind in ELEMENTS and ELEMENTS[kind].reads_input:
        y.address = program.buffer(y.size)
    sizes = _sizes(kind, y, in_place=y.address is x)
    program.sample(OPERATIONS[kind][0], y=y.address, x=x, **sizes)
    return x


def deactivate(program: ProgramBuilder, kind: str, y: Tensor, x: Address) -> None:
    """Turn the gradient behind an activation into that before it, in place."""
    if not y.relu_fused:
        grad, sizes = program.grad_of(y), _sizes(kind, y, in_place=True)
        program.sample(OPERATIONS[kind][1], dx=grad, dy=grad, y=y.address, x=x, **sizes)


def lower_activation(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    kind = cast(Activation, step.layer).kind
    y, sizes = program.tensor(step, x), _sizes(kind, x)
    forward, back = OPERATIONS[kind]
    program.sample(forward, y=y.address, x=x.address, **sizes)
    yield y
    dy = program.grad_of(y)

    def write(dx: Address) -> None:
        if y.relu_fused:
            program.copy(dx, dy, x.size)
        else:
            program.sample(back, dx=dx, dy=dy, y=y.address, x=x.address, **sizes)

    program.accumulate_grad(x, write)


def apply(kind: str | None, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Return the activation of `x`, and dY -> dX.

    >>> y, backward = apply("relu", np.array([-1.0, 2.0]))
    >>> y, backward(np.array([5.0, 5.0]))
    (array([0., 2.]), array([0., 5.]))
    """
    if kind is None:
        return x, lambda dy: dy
    if kind == "softmax":
        raised = np.exp(x - x.max(axis=-1, keepdims=True))
        y = raised / raised.sum(axis=-1, keepdims=True)
        return y, lambda dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    row = ELEMENTS[kind]
    y = row.numpy(x).astype(x.dtype)
    return y, lambda dy: (dy * row.slope(x, y)).astype(x.dtype)


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


@each_sample(Operands("y x slope", "cells channels"))
def prelu_forward(o):
    for cell in range(o.cells):
        for c in range(o.channels):
            value = o.x[cell * o.channels + c]
            o.y[cell * o.channels + c] = value if value > ZERO else o.slope[c] * value


@each_sample(Operands("dx dy x slope gradient", "cells channels learns"))
def prelu_backward(o):
    """Write dx, add to the gradient of the slopes."""
    for cell in range(o.cells):
        for c in range(o.channels):
            at = cell * o.channels + c
            below = o.x[at] <= ZERO
            if o.learns:
                o.gradient[c] += o.dy[at] * o.x[at] if below else ZERO
            o.dx[at] = o.dy[at] * o.slope[c] if below else o.dy[at]


def lower_prelu(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    y, channels = program.tensor(step, x), x.shape[-1]
    sizes = {"cells": x.size // channels, "channels": channels}
    slope = program.weight(step, "slope")
    program.sample(prelu_forward, y=y.address, x=x.address, slope=slope, **sizes)
    yield y
    dy, gradient = program.grad_of(y), program.weight_grad(step, "slope")
    program.grad_through(
        step, x,
        lambda dx: program.sample(
            prelu_backward, dx=dx, dy=dy, x=x.address, slope=slope, gradient=gradient,
            learns=int(program.learns(step)), **sizes,
        ),
    )  # fmt: skip


KINDS = {
    "activation": Kind(activation, lower_activation),
    "prelu": Kind(prelu, lower_prelu),
}
