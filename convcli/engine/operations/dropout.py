"""Dropout by a counter: the mask of a cell is a function of seed, step, sample, layer and cell.

Nothing is stored, the gradient asks the same function again, and the order of work is free. The
mixing is the finaliser of MurmurHash3 (Appleby 2011) on 32 bits, twice.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from convcli.engine.calls import operand, operation


@njit(inline="always")
def mixed(x):
    """Return 32 well-mixed bits of 32 bits."""
    x ^= x >> np.uint32(16)
    x = np.uint32(x * np.uint32(0x85EBCA6B))
    x ^= x >> np.uint32(13)
    x = np.uint32(x * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@njit(inline="always")
def key_of(seed, step, sample, layer):
    """Return the key of one layer's mask for one sample at one step."""
    key = mixed(np.uint32(seed) ^ np.uint32(0x9E3779B9))
    key = mixed(key ^ np.uint32(seed >> 32))
    key = mixed(key ^ np.uint32(step))
    key = mixed(key ^ np.uint32(sample + 0x51ED27))
    return mixed(key ^ np.uint32(layer * 0x632BE5AB))


@operation
def dropout(bases, row, first, count):
    """Write kept cells divided by the share kept, zeros elsewhere (Srivastava et al. 2014).

    row: to 0, from 3; size 6, layer 7, share of 2**32 that is dropped 8, cells of one channel
    apart 9 (whole channels: the channel count, else 0). Forward and backward are the same.
    """
    limit = np.uint32(row[8])
    scale = np.float32(4294967296.0 / (4294967296.0 - row[8]))
    for sample in range(first, first + count):
        to, source = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        key = key_of(bases[12], bases[13], bases[11] + sample, row[7])
        channels = row[9] if row[9] else row[6]
        for start in range(0, row[6], channels):
            for i in range(channels):
                bits = mixed(np.uint32(np.uint32(i) * np.uint32(0x9E3779B1)) ^ key)
                kept = source[start + i] * scale
                to[start + i] = kept if bits >= limit else np.float32(0.0)
