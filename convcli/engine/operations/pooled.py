"""Backward through a convolution that a max-pooling of disjoint windows follows.

Of each window one cell alone has a gradient, so three quarters (2x2) of the products of the plain
way are zero, and more where a ReLU cut. Here the few gradients are listed instead: for the weights
by output channel, for the input by the chosen cell. Both then are sums of rows,

    C[row, n] += sum over the list of g[i] * V[offset[i] + row * v_row + n].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from convcli.engine.calls import byte_operand, operand, operation
from convcli.engine.tile import FLOATS, LANES, VECTOR, WORD, advance
from convcli.engine.vector import I32, _fill, _fused, _load, _store

MOST_SUMS = 12
"""Registers for sums: more than latency times units, and 16 registers are enough."""
ROW_COUNTS = (5, 3, 2, 1)
INTEGERS = types.CPointer(types.int32)


def _emit_sums(builder: Any, arguments: Any, rows: int, vectors: int) -> None:
    c, c_row, slopes, offsets, count, v, v_row, width = arguments
    places = [(row, vector) for row in range(rows) for vector in range(vectors)]

    def at(base: Any, stride: Any, row: int, vector: int) -> Any:
        jump = builder.add(builder.mul(stride, WORD(row)), WORD(vector * LANES))
        return builder.gep(base, [jump])

    def rest(vector: int) -> Any:
        return builder.sub(width, WORD(vector * LANES))

    def load(base: Any, stride: Any, row: int, vector: int) -> Any:
        place = at(base, stride, row, vector)
        if vector == vectors - 1:
            return _load(builder, place, rest(vector))
        return builder.load(builder.bitcast(place, VECTOR.as_pointer()), align=4)

    sums = [load(c, c_row, *place) for place in places]
    before, body = builder.block, builder.append_basic_block("sum")
    after = builder.append_basic_block("summed")
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(WORD)
    index.add_incoming(WORD(0), before)
    phis = [builder.phi(VECTOR) for _ in sums]
    for phi, first in zip(phis, sums, strict=True):
        phi.add_incoming(first, before)
    slope = _fill(builder, builder.load(builder.gep(slopes, [index])), VECTOR)
    offset = builder.sext(builder.load(builder.gep(offsets, [index])), WORD)
    here = builder.gep(v, [offset])
    news = [
        _fused(builder, slope, load(here, v_row, *place), phi)
        for phi, place in zip(phis, places, strict=True)
    ]
    following = builder.add(index, WORD(1))
    index.add_incoming(following, body)
    for phi, new in zip(phis, news, strict=True):
        phi.add_incoming(new, body)
    builder.cbranch(builder.icmp_signed("<", following, count), body, after)
    builder.position_at_end(after)
    for new, (row, vector) in zip(news, places, strict=True):
        place = at(c, c_row, row, vector)
        if vector == vectors - 1:
            _store(builder, place, new, rest(vector))
        else:
            builder.store(new, builder.bitcast(place, VECTOR.as_pointer()), align=4)


@intrinsic
def _sums(typingctx, c, c_row, slopes, offsets, count, v, v_row, width, rows, vectors):
    word = types.int64
    signature = types.void(FLOATS, word, FLOATS, INTEGERS, word, FLOATS, word, word, word, word)

    def emit(context, builder, signature, arguments):
        *shared, rows, vectors = arguments
        end = builder.append_basic_block("end")
        choice = builder.switch(builder.add(builder.mul(rows, WORD(64)), vectors), end)
        for row_count in ROW_COUNTS:
            for vector_count in range(1, MOST_SUMS // row_count + 1):
                block = builder.append_basic_block("sums")
                choice.add_case(WORD(64 * row_count + vector_count), block)
                builder.position_at_end(block)
                _emit_sums(builder, shared, row_count, vector_count)
                builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def _as_integers(typingctx, base):
    signature = INTEGERS(FLOATS)

    def emit(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], I32.as_pointer())

    return signature, emit


@njit
def _sum_rows(c, c_row, slopes, offsets, count, v, v_row, width, rows):
    """Add the weighted rows of the list, in blocks whose sums stay in registers."""
    at = 0
    while at < width and count > 0:
        block = min(width - at, MOST_SUMS * LANES)
        vectors = (block + LANES - 1) // LANES
        row = 0
        while row < rows:
            group = 1
            if rows - row >= 5 and 5 * vectors <= MOST_SUMS:
                group = 5
            elif rows - row >= 3 and 3 * vectors <= MOST_SUMS:
                group = 3
            elif rows - row >= 2 and 2 * vectors <= MOST_SUMS:
                group = 2
            _sums(
                advance(c, row * c_row + at), c_row, slopes, offsets, count,
                advance(v, row * v_row + at), v_row, block, group, vectors,
            )  # fmt: skip
            row += group
        at += block


@operation
def pooled_backward(bases, row, first, count):
    """Add a convolution's gradients from the gradient behind the pooling.

    row: gradient behind the pooling 0, choice 3, x (padded) 6, gradient of x (padded, begun) 9,
    kernel by output channel 12, its gradient 15 (of the lane), bias gradient 18, scratch 21;
    output channels 24, choice pitch 25, pooled height 26, width 27, window height 28, width 29,
    kernel rows 30, numbers of a kernel row 31, line of x 32 and of its gradient 33, numbers of a
    cell 34; weights wanted 35, bias wanted 36, input wanted 37.
    """
    channels, pitch, pooled_h, pooled_w = row[24], row[25], row[26], row[27]
    window_h, window_w, kernel_h, width = row[28], row[29], row[30], row[31]
    cells, size, taps = pooled_h * pooled_w, row[30] * row[31], row[28] * row[29]
    kernel, gradient = operand(bases, row, 12, 0), operand(bases, row, 15, 0)
    bias = operand(bases, row, 18, 0)
    slopes = operand(bases, row, 21, 0)
    room = max(cells, (taps + 1) * channels)
    offsets = _as_integers(advance(slopes, room))
    counts = _as_integers(advance(slopes, 2 * room))
    for sample in range(first, first + count):
        dy, x = operand(bases, row, 0, sample), operand(bases, row, 6, sample)
        choice, dx = byte_operand(bases, row, 3, sample), operand(bases, row, 9, sample)
        if row[35] or row[36]:
            for c in range(channels):
                listed, total = 0, np.float32(0.0)
                cell = 0
                for i in range(pooled_h):
                    corner = i * window_h * row[32]
                    for _ in range(pooled_w):
                        chosen = np.int64(choice[cell * pitch + c])
                        slope = dy[cell * channels + c]
                        slopes[listed] = slope
                        down = chosen // window_w
                        across = chosen - down * window_w
                        offsets[listed] = np.int32(corner + down * row[32] + across * row[34])
                        kept = chosen < taps
                        listed += kept
                        total += slope if kept else np.float32(0.0)
                        corner += window_w * row[34]
                        cell += 1
                if row[35]:
                    _sum_rows(
                        advance(gradient, c * size), width, slopes, offsets, listed, x, row[32],
                        width, kernel_h,
                    )  # fmt: skip
                if row[36]:
                    bias[c] += total
        if row[37]:
            for cell in range(cells):
                i, j = cell // pooled_w, cell % pooled_w
                for tap in range(taps + 1):
                    counts[tap] = 0
                for c in range(channels):
                    chosen = min(np.int64(choice[cell * pitch + c]), taps)
                    at = np.int64(counts[chosen])
                    slopes[chosen * channels + at] = dy[cell * channels + c]
                    offsets[chosen * channels + at] = np.int32(c * size)
                    counts[chosen] = np.int32(at + 1)
                for tap in range(taps):
                    down, across = tap // window_w, tap % window_w
                    corner = (i * window_h + down) * row[33] + (j * window_w + across) * row[34]
                    _sum_rows(
                        advance(dx, corner), row[33], advance(slopes, tap * channels),
                        advance(offsets, tap * channels), np.int64(counts[tap]), kernel, width,
                        width, kernel_h,
                    )  # fmt: skip


@operation
def merge_by_channel(bases, row, first, count):
    """Add all lanes' kernel gradients, kept by output channel, to that of the first lane.

    row: lane sums 0, gradient 3, numbers of a channel 6, channels 7.
    """
    lanes, size, channels = bases[14], row[6], row[7]
    total = operand(bases, row, 0, 0)
    for lane in range(1, lanes):
        part = advance(total, lane * bases[15])
        for i in range(size * channels):
            total[i] += part[i]
    gradient = operand(bases, row, 3, 0)
    for i in range(size):
        for c in range(channels):
            gradient[i * channels + c] += total[c * size + i]
