"""Activations and their derivatives; sources stand with the compiled ones."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt

import numpy as np

from convcli.layers.activation import Activation, PReLU
from convcli.learn.arrays import Array
from convcli.learn.rules.base import Backward, Context, Weights

Inner = Callable[[Array], Array]
_ERF = np.frompyfunc(erf, 1, 1)


def activation(
    layer: Activation, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """An activation in a row of its own."""
    y, inner = apply(layer.kind, x)
    return y, lambda dy: (inner(dy), {})


def prelu(layer: PReLU, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """X where positive, else slope * x, one slope for each channel (He et al. 2015)."""
    slope, positive = weights["slope"], x > 0

    def backward(dy: Array) -> tuple[Array, Weights]:
        below = np.where(positive, 0, x * dy).sum(axis=tuple(range(x.ndim - 1)))
        return dy * np.where(positive, 1, slope), {"slope": below}

    return np.where(positive, x, slope * x), backward


def apply(kind: str | None, x: Array) -> tuple[Array, Inner]:
    """Return the activation of `x`, and dY -> dX.

    >>> y, backward = apply("relu", np.array([-1.0, 2.0]))
    >>> y, backward(np.array([5.0, 5.0]))
    (array([0., 2.]), array([0., 5.]))
    """
    if kind is None:
        return x, lambda dy: dy
    if kind == "softmax":
        return _softmax(x)
    y, slope = _KINDS[kind](x)
    return y.astype(x.dtype), lambda dy: (dy * slope).astype(x.dtype)


def _softmax(x: Array) -> tuple[Array, Inner]:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    y = raised / raised.sum(axis=-1, keepdims=True)
    return y, lambda dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def _logistic(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _leaky(x: Array) -> tuple[Array, Array]:
    slope = np.where(x > 0, 1, 0.01)
    return x * slope, slope


def _elu(x: Array) -> tuple[Array, Array]:
    y = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    return y, np.where(x > 0, 1, y + 1)


def _tanh(x: Array) -> tuple[Array, Array]:
    y = np.tanh(x)
    return y, 1 - y * y


def _sigmoid(x: Array) -> tuple[Array, Array]:
    y = _logistic(x)
    return y, y * (1 - y)


def _silu(x: Array) -> tuple[Array, Array]:
    s = _logistic(x)
    return x * s, s * (1 + x * (1 - s))


def _hardswish(x: Array) -> tuple[Array, Array]:
    middle = np.where(x <= -3, 0, (2 * x + 3) / 6)
    return x * np.clip(x + 3, 0, 6) / 6, np.where(x >= 3, 1, middle)


def _gelu(x: Array) -> tuple[Array, Array]:
    below = 0.5 * (1 + np.asarray(_ERF(x / sqrt(2)), x.dtype))
    return x * below, below + x * np.exp(-0.5 * x * x) / sqrt(2 * pi)


_KINDS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "relu": lambda x: (np.maximum(x, 0), x > 0),
    "relu6": lambda x: (np.clip(x, 0, 6), (x > 0) & (x < 6)),
    "leakyrelu": _leaky,
    "elu": _elu,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "hardswish": _hardswish,
    "gelu": _gelu,
}
