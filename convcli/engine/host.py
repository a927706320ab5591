"""What the processor that code is compiled for can hold in its vector registers."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numba
from llvmlite import binding

WIDE = re.compile(
    "avx512|icelake|tigerlake|cascadelake|cooperlake|rapids|rocketlake|znver[45]|x86-64-v4"
)
FUSED = re.compile("haswell|broadwell|skylake|alderlake|raptorlake|znver|x86-64-v3")


@dataclass(frozen=True)
class Host:
    """Floats in a vector register, the tile that keeps its sums in registers, fused multiply-add.

    `tile_rows` x `tile_vectors` sums, one vector of B each and one number of A fit the register
    file: 32 registers with AVX-512 and on ARM, 16 otherwise.
    """

    lanes: int
    tile_rows: int
    tile_vectors: int
    fused: bool


AVX512 = Host(lanes=16, tile_rows=14, tile_vectors=2, fused=True)
AVX2 = Host(lanes=8, tile_rows=6, tile_vectors=2, fused=True)
NEON = Host(lanes=4, tile_rows=12, tile_vectors=2, fused=True)
SSE2 = Host(lanes=4, tile_rows=6, tile_vectors=2, fused=False)


def host() -> Host:
    """Return the register file of the processor that Numba compiles for (`NUMBA_CPU_NAME`)."""
    name = numba.config.CPU_NAME
    if name is None or name == "host":
        return _from_features(dict(binding.get_host_cpu_features()))
    if WIDE.search(name):
        return AVX512
    return AVX2 if FUSED.search(name) else SSE2


def _from_features(features: dict[str, bool]) -> Host:
    if features.get("neon") or features.get("sve"):
        return NEON
    if features.get("avx512f"):
        return AVX512
    return AVX2 if features.get("avx2") and features.get("fma") else SSE2
