"""Activations: one row each, its value and its gradient, compiled and in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import erf, pi, sqrt
from typing import Any, NamedTuple, cast

import numpy as np
from numba import njit

from convcli.engine.calls import Operands, Operation, each_sample
from convcli.engine.elementary import (
    error_function,
    exponential,
    hyperbolic_tangent,
    logarithm,
    logistic,
)
from convcli.engine.llvm import advance
from convcli.layers.activation import ACTIVATIONS, Activation, Numbers, PReLU
from convcli.net.trace import Step
from convcli.ops.program import Address, Operand, ProgramBuilder, Tensor
from convcli.ops.rule import Array, Backward, Context, Kind, Weights, cells

ZERO, ONE, HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
THREE, SIX, SIXTH = np.float32(3.0), np.float32(6.0), np.float32(1 / 6)
TWENTY = np.float32(20.0)
ROOT_HALF = np.float32(0.7071067811865476)
ROOT_TWO_PI_INVERSE = np.float32(0.3989422804014327)
_ERF = np.frompyfunc(erf, 1, 1)


class Element(NamedTuple):
    """An activation that works cell by cell; `n` are its numbers on paper, such as a slope.

    Attributes:
        value: y of x and n, compiled.
        grad: dx of dy, y, x and n, compiled. In place x is y.
        numpy: y of x and n.
        slope: dy/dx of x, y and n, in NumPy.
        reads_input: `grad` needs x itself; without it a layer's own may work in place.
    """

    value: Callable[..., Any]
    grad: Callable[..., Any]
    numpy: Callable[[Array, Numbers], Array]
    slope: Callable[[Array, Array, Numbers], Array]
    reads_input: bool = False


def _numpy_logistic(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _numpy_below(x: Array) -> Array:
    """Return the normal distribution's share below `x`."""
    return 0.5 * (1 + np.asarray(_ERF(x / sqrt(2)), x.dtype))


inlined = njit(inline="always")


@inlined
def _softplus(x):
    """Log(1 + exp(x)): the logarithm's error is divided out (Kahan), and nothing overflows."""
    small = exponential(-abs(x))
    whole = ONE + small
    log = small if whole == ONE else logarithm(whole) * small / (whole - ONE)
    return max(x, ZERO) + log


@inlined
def _tanh_of_softplus(x):
    raised = exponential(min(x, TWENTY))
    part = raised * (raised + ONE + ONE)
    return part / (part + ONE + ONE)


ELEMENTS = {
    "relu": Element(
        lambda x, n: ZERO if x < ZERO else x,
        lambda dy, y, x, n: dy if y > ZERO else ZERO,
        lambda x, n: np.maximum(x, 0),
        lambda x, y, n: x > 0,
    ),
    "relu6": Element(
        lambda x, n: min(max(x, ZERO), SIX),
        lambda dy, y, x, n: dy if ZERO < y < SIX else ZERO,
        lambda x, n: np.clip(x, 0, 6),
        lambda x, y, n: (x > 0) & (x < 6),
    ),
    "clip": Element(
        lambda x, n: min(max(x, n[0]), n[1]),
        lambda dy, y, x, n: dy if n[0] < y < n[1] else ZERO,
        lambda x, n: np.clip(x, n[0], n[1]),
        lambda x, y, n: (x > n[0]) & (x < n[1]),
    ),
    "leakyrelu": Element(  # Maas et al. 2013
        lambda x, n: x if x > ZERO else n[0] * x,
        lambda dy, y, x, n: dy if x > ZERO else n[0] * dy,
        lambda x, n: x * np.where(x > 0, 1, n[0]),
        lambda x, y, n: np.where(x > 0, 1, n[0]),
    ),
    "elu": Element(  # Clevert et al. 2016
        lambda x, n: x if x > ZERO else n[0] * (exponential(x) - ONE),
        lambda dy, y, x, n: dy if x > ZERO else dy * (y + n[0]),
        lambda x, n: np.where(x > 0, x, n[0] * np.expm1(np.minimum(x, 0))),
        lambda x, y, n: np.where(x > 0, 1, y + n[0]),
    ),
    "tanh": Element(
        lambda x, n: hyperbolic_tangent(x),
        lambda dy, y, x, n: dy * (ONE - y * y),
        lambda x, n: np.tanh(x),
        lambda x, y, n: 1 - y * y,
    ),
    "sigmoid": Element(
        lambda x, n: logistic(x),
        lambda dy, y, x, n: dy * y * (ONE - y),
        lambda x, n: _numpy_logistic(x),
        lambda x, y, n: y * (1 - y),
    ),
    "hardsigmoid": Element(  # Courbariaux et al. 2015, as in PyTorch
        lambda x, n: min(max(x + THREE, ZERO), SIX) * SIXTH,
        lambda dy, y, x, n: dy * SIXTH if ZERO < y < ONE else ZERO,
        lambda x, n: np.clip(x + 3, 0, 6) / 6,
        lambda x, y, n: (np.abs(x) < 3) / 6,
    ),
    "softplus": Element(
        lambda x, n: _softplus(x),
        lambda dy, y, x, n: dy * logistic(x),
        lambda x, n: np.logaddexp(x, 0),
        lambda x, y, n: _numpy_logistic(x),
        reads_input=True,
    ),
    "silu": Element(  # Elfwing et al. 2018
        lambda x, n: x * logistic(x),
        lambda dy, y, x, n: dy * logistic(x) * (ONE + x * (ONE - logistic(x))),
        lambda x, n: x * _numpy_logistic(x),
        lambda x, y, n: (s := _numpy_logistic(x)) * (1 + x * (1 - s)),
        reads_input=True,
    ),
    "mish": Element(  # Misra 2020
        lambda x, n: x * _tanh_of_softplus(x),
        lambda dy, y, x, n: (
            dy
            * (
                _tanh_of_softplus(x)
                + x * logistic(x) * (ONE - _tanh_of_softplus(x) * _tanh_of_softplus(x))
            )
        ),
        lambda x, n: x * np.tanh(np.logaddexp(x, 0)),
        lambda x, y, n: (t := np.tanh(np.logaddexp(x, 0))) + x * _numpy_logistic(x) * (1 - t * t),
        reads_input=True,
    ),
    "hardswish": Element(  # Howard et al. 2019
        lambda x, n: x * min(max(x + THREE, ZERO), SIX) * SIXTH,
        lambda dy, y, x, n: (
            dy * (ONE if x >= THREE else ZERO if x <= -THREE else (x + x + THREE) * SIXTH)
        ),
        lambda x, n: x * np.clip(x + 3, 0, 6) / 6,
        lambda x, y, n: np.where(x >= 3, 1, np.where(x <= -3, 0, (2 * x + 3) / 6)),
        reads_input=True,
    ),
    "gelu": Element(  # x times the normal distribution function: Hendrycks and Gimpel 2016
        lambda x, n: x * HALF * (ONE + error_function(x * ROOT_HALF)),
        lambda dy, y, x, n: (
            dy
            * (
                HALF * (ONE + error_function(x * ROOT_HALF))
                + x * (ROOT_TWO_PI_INVERSE * exponential(-HALF * x * x))
            )
        ),
        lambda x, n: x * _numpy_below(x),
        lambda x, y, n: _numpy_below(x) + x * np.exp(-0.5 * x * x) / sqrt(2 * pi),
        reads_input=True,
    ),
}

FORWARD = Operands("y x numbers", "size in_place")
BACKWARD = Operands("dx dy y x numbers", "size in_place")


def _pair(kind: str, row: Element) -> tuple[Operation, Operation]:
    """Compile a row; only what is inlined into the loop around it becomes vector code.

    Nor would a loop whose two pointers are the same place.
    """
    value, grad = inlined(row.value), inlined(row.grad)

    def forward(o):
        n = o.numbers[0], o.numbers[1]
        if o.in_place:
            for i in range(o.size):
                o.y[i] = value(o.y[i], n)
        else:
            for i in range(o.size):
                o.y[i] = value(o.x[i], n)

    def backward(o):
        n = o.numbers[0], o.numbers[1]
        if o.in_place:
            for i in range(o.size):
                o.dx[i] = grad(o.dx[i], o.y[i], o.x[i], n)
        else:
            for i in range(o.size):
                o.dx[i] = grad(o.dy[i], o.y[i], o.x[i], n)

    return (
        each_sample(FORWARD, name=f"{kind}_forward")(forward),
        each_sample(BACKWARD, name=f"{kind}_backward")(backward),
    )


@njit(inline="always")
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


@each_sample(Operands("y x", "size width"))
def logsoftmax_forward(o):
    """X less the logarithm of the sum of exp(x), of every vector of `width` numbers."""
    for at in range(0, o.size, o.width):
        largest, total = o.x[at], ZERO
        for i in range(at + 1, at + o.width):
            largest = max(largest, o.x[i])
        for i in range(at, at + o.width):
            total += exponential(o.x[i] - largest)
        level = largest + logarithm(total)
        for i in range(at, at + o.width):
            o.y[i] = o.x[i] - level


@each_sample(Operands("dx dy y x", "size width"))
def logsoftmax_backward(o):
    """Dy - exp(y) * sum of dy."""
    for at in range(0, o.size, o.width):
        total = ZERO
        for i in range(at, at + o.width):
            total += o.dy[i]
        for i in range(at, at + o.width):
            o.dx[i] = o.dy[i] - exponential(o.y[i]) * total


OPERATIONS = {kind: _pair(kind, row) for kind, row in ELEMENTS.items()} | {
    "softmax": (softmax_forward, softmax_backward),
    "logsoftmax": (logsoftmax_forward, logsoftmax_backward),
}


def _settings(
    program: ProgramBuilder, kind: str, y: Tensor, numbers: Numbers, *, in_place: bool
) -> dict[str, Operand]:
    if kind not in ELEMENTS:
        return {"size": y.size, "width": y.shape[-1]}
    two = program.constant([*numbers, 0.0, 0.0][:2])
    return {"size": y.size, "in_place": int(in_place), "numbers": two}


def activate(program: ProgramBuilder, kind: str, y: Tensor) -> Address:
    """Apply a layer's own activation, in place if its gradient allows; return its input."""
    x = y.address
    if kind in ELEMENTS and ELEMENTS[kind].reads_input:
        y.address = program.buffer(y.size)
    numbers = ACTIVATIONS[kind].numbers
    settings = _settings(program, kind, y, numbers, in_place=y.address is x)
    program.sample(OPERATIONS[kind][0], y=y.address, x=x, **settings)
    return x


def deactivate(program: ProgramBuilder, kind: str, y: Tensor, x: Address) -> None:
    """Turn the gradient behind an activation into that before it, in place."""
    if not y.relu_fused:
        grad = program.grad_of(y)
        settings = _settings(program, kind, y, ACTIVATIONS[kind].numbers, in_place=True)
        program.sample(OPERATIONS[kind][1], dx=grad, dy=grad, y=y.address, x=x, **settings)


def lower_activation(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    layer, y = cast(Activation, step.layer), program.tensor(step, x)
    settings = _settings(program, layer.kind, x, layer.numbers, in_place=False)
    forward, back = OPERATIONS[layer.kind]
    program.sample(forward, y=y.address, x=x.address, **settings)
    yield y
    dy = program.grad_of(y)

    def write(dx: Address) -> None:
        if y.relu_fused:
            program.copy(dx, dy, x.size)
        else:
            program.sample(back, dx=dx, dy=dy, y=y.address, x=x.address, **settings)

    program.accumulate_grad(x, write)


def apply(
    kind: str | None, x: Array, numbers: Numbers | None = None
) -> tuple[Array, Callable[[Array], Array]]:
    """Return the activation of `x`, and dY -> dX; with its usual numbers unless others are given.

    >>> y, backward = apply("relu", np.array([-1.0, 2.0]))
    >>> y, backward(np.array([5.0, 5.0]))
    (array([0., 2.]), array([0., 5.]))
    """
    if kind is None:
        return x, lambda dy: dy
    if kind not in ELEMENTS:
        raised = np.exp(x - x.max(axis=-1, keepdims=True))
        total = raised.sum(axis=-1, keepdims=True)
        share = raised / total
        if kind == "softmax":
            return share, lambda dy: share * (dy - (dy * share).sum(axis=-1, keepdims=True))
        log = x - x.max(axis=-1, keepdims=True) - np.log(total)
        return log, lambda dy: dy - share * dy.sum(axis=-1, keepdims=True)
    row = ELEMENTS[kind]
    n = ACTIVATIONS[kind].numbers if numbers is None else numbers
    y = row.numpy(x, n).astype(x.dtype)
    return y, lambda dy: (dy * row.slope(x, y, n)).astype(x.dtype)


def activation(
    layer: Activation, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    y, inner = apply(layer.kind, x, layer.numbers)
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
