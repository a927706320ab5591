"""Random numbers by counting: number n of a key is always the same, whoever asks first.

Keys come from a seed, an epoch and a sample, so threads, batch sizes and interruptions change
nothing. Source: the output function of SplitMix64 (Steele, Lea and Flood 2014, Fast splittable
pseudorandom number generators) over a Weyl sequence.
"""

from __future__ import annotations

import numpy as np

from convcli.engine.compilation import compiled

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)
_11, _16, _32, _48 = np.uint64(11), np.uint64(16), np.uint64(32), np.uint64(48)
_LOW_16 = np.uint64(0xFFFF)
_ONE = np.uint64(1)
_TO_UNIT = 1.0 / 2.0**53
_TO_DEVIATIONS = np.sqrt(3.0) / 65536.0


@compiled
def mix(x):
    """Return a uint64 whose every bit depends on every bit of the uint64 `x`."""
    x = (x ^ (x >> _30)) * _FIRST
    x = (x ^ (x >> _27)) * _SECOND
    return x ^ (x >> _31)


@compiled
def derive_key(seed, epoch, sample):
    """Return the uint64 key of one sample in one epoch."""
    key = mix(np.uint64(seed) + GOLDEN)
    key = mix(key + np.uint64(epoch) * GOLDEN + _ONE)
    return mix(key + np.uint64(sample) * GOLDEN + _ONE)


@compiled
def uniform(key, n):
    """Return number `n` of `key`, evenly from [0, 1)."""
    return np.float64(mix(key + (np.uint64(n) + _ONE) * GOLDEN) >> _11) * _TO_UNIT


@compiled
def normal(key, n):
    """Return number `n` of `key` from a bell curve of mean 0, deviation 1, within +-3.5.

    The sum of four even 16-bit numbers: near enough to the normal curve, without a logarithm, so
    that every processor gives the same bits.
    """
    bits = mix(key + (np.uint64(n) + _ONE) * GOLDEN)
    total = (bits & _LOW_16) + ((bits >> _16) & _LOW_16) + ((bits >> _32) & _LOW_16) + (bits >> _48)
    return (np.float64(total) - 131070.0) * _TO_DEVIATIONS
