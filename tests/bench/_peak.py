"""How many multiply-adds one core can start, measured; and how many the tile does."""

from __future__ import annotations

import time

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from convcli.engine.llvm import LANES, VECTOR, pointer
from convcli.engine.tile import NO_BOUNDS, Extent, Left, Right, Rows, wide_tile

CHAINS = 12
"""Independent sums: more than latency times units, fewer than registers."""


@intrinsic
def _chains(typingctx, count, number):
    signature = types.float32(types.int64, types.float32)

    def emit(context, builder, signature, arguments):
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        name = f"llvm.fma.v{LANES}f32"
        fma = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        undefined = ir.Constant(VECTOR, ir.Undefined)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        first = builder.insert_element(undefined, arguments[1], ir.IntType(32)(0))
        factor = builder.shuffle_vector(first, undefined, zeros)
        before, body = builder.block, builder.append_basic_block("body")
        after = builder.append_basic_block("after")
        builder.branch(body)
        builder.position_at_end(body)
        trip = builder.phi(ir.IntType(64))
        trip.add_incoming(ir.IntType(64)(0), before)
        sums = [builder.phi(VECTOR) for _ in range(CHAINS)]
        for place, chain in enumerate(sums):
            chain.add_incoming(ir.Constant(VECTOR, [float(place)] * LANES), before)
        news = [builder.call(fma, [factor, factor, chain]) for chain in sums]
        for chain, new in zip(sums, news, strict=True):
            chain.add_incoming(new, body)
        following = builder.add(trip, ir.IntType(64)(1))
        trip.add_incoming(following, body)
        builder.cbranch(builder.icmp_signed("<", following, arguments[0]), body, after)
        builder.position_at_end(after)
        total = news[0]
        for new in news[1:]:
            total = builder.fadd(total, new)
        return builder.extract_element(total, ir.IntType(32)(0))

    return signature, emit


@njit
def _run_chains(count, number):
    return _chains(count, number)


@njit
def _convolve(c, x, w, bias, times):
    for _ in range(times):
        for y in range(11):
            wide_tile(
                Rows(pointer(c, y * 352), 32),
                Rows(pointer(bias, 0), 0),
                Left(pointer(x, y * 208), 16, 208, 1),
                Right(pointer(w, 0), 1536, 32),
                Extent(11, 32, 3, 48),
                NO_BOUNDS,
            )


def _best(run, work: float) -> float:
    run()
    best = 0.0
    for _ in range(5):
        start = time.thread_time()  # one core, whatever else runs on it
        run()
        best = max(best, work / (time.thread_time() - start) / 1e9)
    return best


def peak_gflops() -> float:
    """Return the multiply-adds of independent chains, in GFLOP/s."""
    count = 1_000_000
    return _best(lambda: _run_chains(count, np.float32(0.5)), 2.0 * count * CHAINS * LANES)


def tile_gflops() -> float:
    """Return what the tile does on the layer 13x13x16 -> 11x11x32, 3x3."""
    random = np.random.default_rng(0)
    sizes = (121 * 32, 169 * 16, 144 * 32, 32)
    c, x, w, bias = (random.standard_normal(size).astype(np.float32) for size in sizes)
    return _best(lambda: _convolve(c, x, w, bias, 300), 2.0 * 300 * 121 * 144 * 32)
