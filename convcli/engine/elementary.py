"""exp, log, tanh and erf in plain arithmetic, so that loops over them become vector code."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import intrinsic


@intrinsic
def _float_of_bits(typingctx, bits):
    signature = types.float32(types.int32)

    def emit(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return signature, emit


@intrinsic
def _bits_of_float(typingctx, number):
    signature = types.int32(types.float32)

    def emit(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(types.int32))

    return signature, emit


LOG2_E = np.float32(1.4426950408889634)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
ROUNDER = np.float32(12582912.0)  # 1.5 * 2**23: adding it leaves the nearest integer in the bits


@njit(inline="always")
def exponential(x):
    """Return exp(x) of a float32, to 2 units in the last place; 0 below -87, about 2e38 above 88.

    x = n ln 2 + r, exp(x) = 2**n exp(r), a polynomial for exp(r): Cephes' `expf` (Moshier 1992).
    """
    x = min(max(x, np.float32(-87.3)), np.float32(88.3))
    n = (x * LOG2_E + ROUNDER) - ROUNDER
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1.0)
    return p * _float_of_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))


@njit(inline="always")
def logarithm(x):
    """Return log(x) of a positive normal float32, to 1 unit in the last place.

    x = 2**n m, 0.7 < m < 1.42, and a polynomial for log(m): Cephes' `logf` (Moshier 1992).
    """
    bits = _bits_of_float(x)
    n = np.float32(np.int32(bits >> np.int32(23)) - np.int32(126))
    m = _float_of_bits(np.int32((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000)))
    low = m < np.float32(0.707106781186547524)
    n = n - np.float32(1.0) if low else n
    m = (m + m if low else m) - np.float32(1.0)
    p = np.float32(7.0376836292e-2)
    p = p * m + np.float32(-1.1514610310e-1)
    p = p * m + np.float32(1.1676998740e-1)
    p = p * m + np.float32(-1.2420140846e-1)
    p = p * m + np.float32(1.4249322787e-1)
    p = p * m + np.float32(-1.6668057665e-1)
    p = p * m + np.float32(2.0000714765e-1)
    p = p * m + np.float32(-2.4999993993e-1)
    p = p * m + np.float32(3.3333331174e-1)
    s = m * m
    return m + (p * m * s + n * LN2_LOW - np.float32(0.5) * s) + n * LN2_HIGH


@njit(inline="always")
def hyperbolic_tangent(x):
    """Return tanh(x) of a float32: a rational minimax function on |x| < 7.9, as in Eigen's `ptanh`.

    It is exact to a few units in the last place, also near zero.
    """
    x = min(max(x, np.float32(-7.90531110763549805)), np.float32(7.90531110763549805))
    s = x * x
    p = np.float32(-2.76076847742355e-16)
    p = p * s + np.float32(2.00018790482477e-13)
    p = p * s + np.float32(-8.60467152213735e-11)
    p = p * s + np.float32(5.12229709037114e-08)
    p = p * s + np.float32(1.48572235717979e-05)
    p = p * s + np.float32(6.37261928875436e-04)
    p = p * s + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * s + np.float32(1.18534705686654e-04)
    q = q * s + np.float32(2.26843463243900e-03)
    q = q * s + np.float32(4.89352518554385e-03)
    return x * p / q


@njit(inline="always")
def logistic(x):
    """Return 1 / (1 + exp(-x))."""
    return np.float32(1.0) / (np.float32(1.0) + exponential(-x))


@njit(inline="always")
def error_function(x):
    """Return erf(x), wrong by at most 2e-7: Abramowitz and Stegun 1964, formula 7.1.26."""
    a = abs(x)
    t = np.float32(1.0) / (np.float32(1.0) + np.float32(0.3275911) * a)
    p = np.float32(1.061405429)
    p = p * t + np.float32(-1.453152027)
    p = p * t + np.float32(1.421413741)
    p = p * t + np.float32(-0.284496736)
    p = p * t + np.float32(0.254829592)
    value = np.float32(1.0) - p * t * exponential(-a * a)
    return value if x >= np.float32(0.0) else -value
