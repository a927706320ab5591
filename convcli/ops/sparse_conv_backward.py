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

from convcli.engine.calls import AT, Operands, as_bytes, each_sample
from convcli.engine.llvm import (
    FLOATS,
    I32,
    LANES,
    VECTOR,
    WORD,
    _fill,
    _fused,
    _load,
    _store,
    advance,
)
from convcli.net.trace import Step
from convcli.ops import products
from convcli.ops.products import Taps, matrix
from convcli.ops.program import Address, Map, MaxPooled, ProgramBuilder, Tensor, Three, three

MOST_SUMS, MOST_VECTORS = 12, 6
"""Registers for sums: more than latency times units, and 16 registers are enough. Of one row."""
ROW_COUNTS = (5, 3, 1)
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
            for vector_count in range(1, min(MOST_VECTORS, MOST_SUMS // row_count) + 1):
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


@njit(inline="always")
def _sum_rows(c, c_row, slopes, offsets, count, v, v_row, width, rows):
    """Add the weighted rows of the list, in blocks whose sums stay in registers."""
    at = 0
    while at < width and count > 0:
        block = min(width - at, MOST_VECTORS * LANES)
        vectors = (block + LANES - 1) // LANES
        row = 0
        while row < rows:
            group = 1
            if rows - row >= 5 and 5 * vectors <= MOST_SUMS:
                group = 5
            elif rows - row >= 3 and 3 * vectors <= MOST_SUMS:
                group = 3
            _sums(
                advance(c, row * c_row + at), c_row, slopes, offsets, count,
                advance(v, row * v_row + at), v_row, block, group, vectors,
            )  # fmt: skip
            row += group
        at += block


WINDOWS = "channels pitch pooled_h pooled_w window_h window_w kernel_h kernel_row line cell"
"""`dy` is the gradient behind the pooling. A row of the kernel has `kernel_row` numbers; `line` and
`cell` are those of a row and a cell of the padded map."""


@each_sample(Operands("dy choice x gradient bias scratch", f"{WINDOWS} bias_learns"))
def sparse_weight_grad(o):
    """Add to the gradients of the kernel, by output channel, and of the bias; x is padded."""
    cells, size, taps = o.pooled_h * o.pooled_w, o.kernel_h * o.kernel_row, o.window_h * o.window_w
    offsets, choice = _as_integers(advance(o.scratch, cells)), as_bytes(o.choice)
    for c in range(o.channels):
        listed, total = 0, np.float32(0.0)
        cell = 0
        for i in range(o.pooled_h):
            corner = i * o.window_h * o.line
            for _ in range(o.pooled_w):
                chosen = np.int64(choice[cell * o.pitch + c])
                slope = o.dy[cell * o.channels + c]
                o.scratch[listed] = slope
                down = chosen // o.window_w
                across = chosen - down * o.window_w
                offsets[listed] = np.int32(corner + down * o.line + across * o.cell)
                kept = chosen < taps
                listed += kept
                total += slope if kept else np.float32(0.0)
                corner += o.window_w * o.cell
                cell += 1
        _sum_rows(
            advance(o.gradient, c * size), o.kernel_row, o.scratch, offsets, listed, o.x,
            o.line, o.kernel_row, o.kernel_h,
        )  # fmt: skip
        if o.bias_learns:
            o.bias[c] += total


@each_sample(Operands("dy choice dx by_channel scratch", WINDOWS))
def sparse_input_grad(o):
    """Add to the padded gradient dx; `by_channel` is the kernel by output channel."""
    size, taps = o.kernel_h * o.kernel_row, o.window_h * o.window_w
    listed_at_most = (taps + 1) * o.channels
    offsets = _as_integers(advance(o.scratch, listed_at_most))
    counts, choice = advance(offsets, listed_at_most), as_bytes(o.choice)
    for cell in range(o.pooled_h * o.pooled_w):
        i, j = cell // o.pooled_w, cell % o.pooled_w
        for tap in range(taps + 1):
            counts[tap] = 0
        for c in range(o.channels):
            chosen = min(np.int64(choice[cell * o.pitch + c]), taps)
            at = np.int64(counts[chosen])
            o.scratch[chosen * o.channels + at] = o.dy[cell * o.channels + c]
            offsets[chosen * o.channels + at] = np.int32(c * size)
            counts[chosen] = np.int32(at + 1)
        for tap in range(taps):
            down, across = tap // o.window_w, tap % o.window_w
            corner = (i * o.window_h + down) * o.line + (j * o.window_w + across) * o.cell
            _sum_rows(
                advance(o.dx, corner), o.line, advance(o.scratch, tap * o.channels),
                advance(offsets, tap * o.channels), np.int64(counts[tap]), o.by_channel,
                o.kernel_row, o.kernel_row, o.kernel_h,
            )  # fmt: skip


@each_sample(Operands("sums gradient", "size channels"))
def merge_by_channel(o):
    """Add all shards' kernel gradients, kept by output channel, to that of the first shard."""
    for shard in range(1, o.bases[AT.shards]):
        part = advance(o.sums, shard * o.bases[AT.shard_sums])
        for i in range(o.size * o.channels):
            o.sums[i] += part[i]
    for i in range(o.size):
        for c in range(o.channels):
            o.gradient[i * o.channels + c] += o.sums[c * o.size + i]


def lower_sparse_backward(
    program: ProgramBuilder,
    step: Step,
    x: Tensor,
    behind: MaxPooled,
    padded: Map,
    taps: Taps,
    before: Three,
) -> None:
    """Append the gradients of a convolution from the few that a max-pooling behind it chose."""
    channels, kernel_h = taps.outputs, taps.kernel[1]
    _, pooled_h, pooled_w = three(behind.tensor.shape[:-1], 1)
    dy, kernel = program.grad_of(behind.tensor), program.weight(step, "kernel")
    window_h, window_w = behind.window
    kernel_row = taps.kernel[2] * taps.inputs
    size = kernel_h * kernel_row
    sizes = {
        "channels": channels, "pitch": behind.pitch, "pooled_h": pooled_h, "pooled_w": pooled_w,
        "window_h": window_h, "window_w": window_w, "kernel_h": kernel_h, "kernel_row": kernel_row,
        "cell": padded.channels,
    }  # fmt: skip
    if program.learns(step):
        sums, gradient = program.shard_buffer(size * channels), program.weight_grad(step, "kernel")
        bias_learns = "bias" in step.weights
        program.sample(
            sparse_weight_grad, dy=dy, choice=behind.choice, x=padded.address, gradient=sums,
            bias=program.weight_grad(step, "bias") if bias_learns else sums,
            scratch=program.buffer(2 * pooled_h * pooled_w), line=padded.line,
            bias_learns=int(bias_learns), **sizes,
        )  # fmt: skip
        program.finish(merge_by_channel, sums=sums, gradient=gradient, size=size, channels=channels)

    def write(to: Address) -> None:
        dx = Map.whole(to, x.shape)
        direct = not any(before) and padded.extent == dx.extent
        wide = dx if direct else program.map(padded.shape)
        program.clear(wide.address, wide.size)
        by_channel = products.flipped(program, kernel, matrix(size, channels), reverse=False)
        taps_listed = window_h * window_w + 1
        program.sample(
            sparse_input_grad, dy=dy, choice=behind.choice, dx=wide.address,
            by_channel=by_channel, scratch=program.buffer(taps_listed * (2 * channels + 1)),
            line=wide.line, **sizes,
        )  # fmt: skip
        if not direct:
            program.copy_map(dx, wide.inside(before, dx.extent))

    program.accumulate_grad(x, write)
