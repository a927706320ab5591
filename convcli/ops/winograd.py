"""Convolutions 3x3 with a quarter of the products: F(4x4, 3x3) of Winograd's minimal algorithms.

Tiles of 6x6 input cells become 36 numbers for each channel, these meet those of the kernel in 36
matrix products, and the results become tiles of 4x4 output cells (Lavin and Gray 2016):

    Y = A^T [(G g G^T) * (B^T d B)] A

The polynomials behind it are taken at 0, +-3/4, +-5/4 and infinity: their squares and cubes are
exact in float32, and the largest error stays at 2e-6 of the largest output, a quarter of what
0, +-1, +-2 give (Barabasz et al. 2020 on the choice of points).
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from convcli.engine.calls import AT, Operands, each_sample
from convcli.engine.llvm import LANES, add, advance, fused, load, splat, store, times, where_greater

OUT, IN, POINTS = 4, 6, 36
LINES = POINTS * LANES
"""Numbers of scratch memory for the lines of one tile."""
P, Q = np.float32(3 / 4), np.float32(5 / 4)
PP, QQ, PPP, QQQ = P * P, Q * Q, P * P * P, Q * Q * Q
PPQQ, PP_QQ = PP * QQ, PP + QQ
AT_ZERO, AT_P, AT_Q = np.float32(1 / PPQQ), np.float32(-1 / 1.125), np.float32(1 / 3.125)
"""1 over the product of a point's distances from the others."""
ONE, MINUS, NO_BOUND = np.float32(1.0), np.float32(-1.0), np.float32(-np.inf)

inlined = register_jitable(forceinline=True)


@inlined
def _scaled_sum(a, x, b, y):
    return fused(splat(a), x, times(splat(b), y))


@inlined
def _six(first, jump, count):
    """Load six vectors."""
    return (
        load(first, count),
        load(advance(first, jump), count),
        load(advance(first, 2 * jump), count),
        load(advance(first, 3 * jump), count),
        load(advance(first, 4 * jump), count),
        load(advance(first, 5 * jump), count),
    )


@inlined
def _input(d0, d1, d2, d3, d4, d5):
    """B^T d: six cells of a line at the six points."""
    first = fused(splat(PPQQ), d0, fused(splat(-PP_QQ), d2, d4))
    even, odd = fused(splat(-QQ), d2, d4), fused(splat(-QQ), d1, d3)
    p, minus_p = fused(splat(P), odd, even), fused(splat(-P), odd, even)
    even, odd = fused(splat(-PP), d2, d4), fused(splat(-PP), d1, d3)
    q, minus_q = fused(splat(Q), odd, even), fused(splat(-Q), odd, even)
    last = fused(splat(PPQQ), d1, fused(splat(-PP_QQ), d3, d5))
    return first, p, minus_p, q, minus_q, last


@inlined
def _kernel(g0, g1, g2):
    """G g: three taps of a line at the six points."""
    even, odd = _scaled_sum(AT_P, g0, AT_P * PP, g2), times(splat(AT_P * P), g1)
    p, minus_p = add(even, odd), fused(splat(MINUS), odd, even)
    even, odd = _scaled_sum(AT_Q, g0, AT_Q * QQ, g2), times(splat(AT_Q * Q), g1)
    q, minus_q = add(even, odd), fused(splat(MINUS), odd, even)
    return times(splat(AT_ZERO), g0), p, minus_p, q, minus_q, g2


@inlined
def _output(m0, m1, m2, m3, m4, m5):
    """A^T m: from the six points to four cells of a line."""
    even_p, odd_p = add(m1, m2), fused(splat(MINUS), m2, m1)
    even_q, odd_q = add(m3, m4), fused(splat(MINUS), m4, m3)
    y0 = add(m0, add(even_p, even_q))
    y1 = _scaled_sum(P, odd_p, Q, odd_q)
    y2 = _scaled_sum(PP, even_p, QQ, even_q)
    return y0, y1, y2, fused(splat(PPP), odd_p, fused(splat(QQQ), odd_q, m5))


@inlined
def _kernel_back(u0, u1, u2, u3, u4, u5):
    """G^T u: from the six points to three taps of a line."""
    even_p, odd_p = add(u1, u2), fused(splat(MINUS), u2, u1)
    even_q, odd_q = add(u3, u4), fused(splat(MINUS), u4, u3)
    g0 = fused(splat(AT_ZERO), u0, _scaled_sum(AT_P, even_p, AT_Q, even_q))
    g1 = _scaled_sum(AT_P * P, odd_p, AT_Q * Q, odd_q)
    g2 = fused(splat(AT_P * PP), even_p, fused(splat(AT_Q * QQ), even_q, u5))
    return g0, g1, g2


@inlined
def _output_back(y0, y1, y2, y3):
    """A y: four cells of a line at the six points."""
    even, odd = fused(splat(PP), y2, y0), _scaled_sum(P, y1, PPP, y3)
    p, minus_p = add(even, odd), fused(splat(MINUS), odd, even)
    even, odd = fused(splat(QQ), y2, y0), _scaled_sum(Q, y1, QQQ, y3)
    return y0, p, minus_p, add(even, odd), fused(splat(MINUS), odd, even), y3


@each_sample(Operands("kernel points", "inputs outputs"))
def transform_kernel(o):
    """Write G g G^T, [point][input][output], from [tap][input][output]."""
    size = o.inputs * o.outputs
    for c in range(o.inputs):
        for k in range(0, o.outputs, LANES):
            rest = o.outputs - k
            here, to = advance(o.kernel, c * o.outputs + k), advance(o.points, c * o.outputs + k)
            for column in range(3):  # lines downwards first; the last three rows hold them
                column_of = (
                    load(advance(here, column * size), rest),
                    load(advance(here, (column + 3) * size), rest),
                    load(advance(here, (column + 6) * size), rest),
                )
                line = _kernel(*column_of)
                for row in range(IN):
                    store(advance(to, (row * IN + column) * size), line[row], rest)
            for row in range(IN):
                across = _kernel(
                    load(advance(to, row * IN * size), rest),
                    load(advance(to, (row * IN + 1) * size), rest),
                    load(advance(to, (row * IN + 2) * size), rest),
                )
                for column in range(IN):
                    store(advance(to, (row * IN + column) * size), across[column], rest)


TILES = "first count tiles_x"
"""Which tiles of a map, of so many in a row of them; their numbers stand [point][tile][channel]."""


@inlined
def _gather(o, to, tile_y, tile_x, jump):
    """Write B^T d B of one tile for all channels; cells beyond the map are zeros."""
    wide = LANES
    for c in range(0, o.channels, LANES):
        rest = o.channels - c
        for column in range(IN):
            x = OUT * tile_x + column
            here = advance(o.x, OUT * tile_y * o.x_line + x * o.channels + c)
            inside = rest if x < o.columns else 0
            rows = o.rows - OUT * tile_y
            line = _input(
                load(here, inside),
                load(advance(here, o.x_line), inside if rows > 1 else 0),
                load(advance(here, 2 * o.x_line), inside if rows > 2 else 0),
                load(advance(here, 3 * o.x_line), inside if rows > 3 else 0),
                load(advance(here, 4 * o.x_line), inside if rows > 4 else 0),
                load(advance(here, 5 * o.x_line), inside if rows > 5 else 0),
            )
            for row in range(IN):
                store(advance(o.lines, (row * IN + column) * wide), line[row], wide)
        for row in range(IN):
            line = advance(o.lines, row * IN * wide)
            across = _input(*_six(line, wide, wide))
            for column in range(IN):
                store(advance(to, (row * IN + column) * jump + c), across[column], rest)


@inlined
def _scatter(o, source, tile_y, tile_x, jump):
    """Write A^T m A of one tile, plus the bias, for all output channels."""
    wide = LANES
    low = splat(np.float32(0.0) if o.relu else NO_BOUND)
    rows, columns = min(OUT, o.height - OUT * tile_y), min(OUT, o.width - OUT * tile_x)
    for k in range(0, o.outputs, LANES):
        rest = o.outputs - k
        for column in range(IN):
            here = advance(source, column * jump + k)
            line = _output(*_six(here, IN * jump, rest))
            for row in range(OUT):
                store(advance(o.lines, (row * IN + column) * wide), line[row], wide)
        bias = load(advance(o.bias, k), rest)
        for row in range(rows):
            line = advance(o.lines, row * IN * wide)
            across = _output(*_six(line, wide, wide))
            y = advance(o.y, (OUT * tile_y + row) * o.y_line + OUT * tile_x * o.outputs + k)
            for column in range(columns):
                value = add(across[column], bias)
                value = where_greater(low, value, low, value)
                store(advance(y, column * o.outputs), value, rest)


@each_sample(Operands("x gathered lines", f"channels x_line rows columns {TILES}"))
def gather_tiles(o):
    """Write what a padded map of rows x columns cells is at the points."""
    for at in range(o.count):
        number = o.first + at
        to = advance(o.gathered, at * o.channels)
        _gather(o, to, number // o.tiles_x, number % o.tiles_x, o.count * o.channels)


@each_sample(Operands("y products bias lines", f"outputs y_line height width relu {TILES}"))
def scatter_tiles(o):
    """Write the output cells of products at the points, plus the bias."""
    for at in range(o.count):
        number = o.first + at
        source = advance(o.products, at * o.outputs)
        _scatter(o, source, number // o.tiles_x, number % o.tiles_x, o.count * o.outputs)


@inlined
def _gather_slopes(o, to, tile_y, tile_x, jump):
    """Write A dy A^T of one tile for all output channels; cells beyond the map are zeros."""
    wide = LANES
    for k in range(0, o.outputs, LANES):
        rest = o.outputs - k
        for column in range(OUT):
            x = OUT * tile_x + column
            here = advance(o.dy, OUT * tile_y * o.dy_line + x * o.outputs + k)
            inside = rest if x < o.width else 0
            rows = o.height - OUT * tile_y
            line = _output_back(
                load(here, inside),
                load(advance(here, o.dy_line), inside if rows > 1 else 0),
                load(advance(here, 2 * o.dy_line), inside if rows > 2 else 0),
                load(advance(here, 3 * o.dy_line), inside if rows > 3 else 0),
            )
            for row in range(IN):
                store(advance(o.lines, (row * IN + column) * wide), line[row], wide)
        for row in range(IN):
            line = advance(o.lines, row * IN * wide)
            across = _output_back(
                load(line, wide),
                load(advance(line, wide), wide),
                load(advance(line, 2 * wide), wide),
                load(advance(line, 3 * wide), wide),
            )
            for column in range(IN):
                store(advance(to, (row * IN + column) * jump + k), across[column], rest)


@each_sample(Operands("dy slopes lines", f"outputs dy_line height width {TILES}"))
def gather_slopes(o):
    """Write what the gradients of the output cells are at the points."""
    for at in range(o.count):
        number = o.first + at
        to = advance(o.slopes, at * o.outputs)
        _gather_slopes(o, to, number // o.tiles_x, number % o.tiles_x, o.count * o.outputs)


@each_sample(Operands("sums gradient", "inputs outputs"))
def merge_kernel_points(o):
    """Add the shards in order, and G^T dU G to the gradient of the first shard."""
    size = o.inputs * o.outputs
    for shard in range(1, o.bases[AT.shards]):
        part = advance(o.sums, shard * o.bases[AT.shard_sums])
        for i in range(POINTS * size):
            o.sums[i] += part[i]
    for c in range(o.inputs):
        for k in range(0, o.outputs, LANES):
            rest = o.outputs - k
            here, to = advance(o.sums, c * o.outputs + k), advance(o.gradient, c * o.outputs + k)
            for column in range(IN):
                line = _kernel_back(*_six(advance(here, column * size), IN * size, rest))
                for row in range(3):
                    store(advance(here, (row * IN + column) * size), line[row], rest)
            for row in range(3):
                across = _kernel_back(*_six(advance(here, row * IN * size), size, rest))
                for column in range(3):
                    place = advance(to, (row * 3 + column) * size)
                    store(place, add(across[column], load(place, rest)), rest)
