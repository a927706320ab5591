"""Compiled strips: rows of a picture through one filter, block by block in a core's own cache.

A block is widened to floating point together with the pixels around it, taps are added up by the
register tile, and its sums are converted while they are still in the cache. Every function works
on flat contiguous arrays; several strips run at the same time in threads.
"""

from __future__ import annotations

import math

from convcli.engine.compilation import compiled, compiled_part
from convcli.engine.filter_codelet import codelet_tile
from convcli.engine.filter_tile import add_up_tile, address, convert_row, widen_row

SUM, SQUARES, MAGNITUDES, LARGEST = range(4)
"""How the sums of several kernels become one value."""


@compiled_part
def widen_block(
    block, step, pixels, width, source_rows, first, rows, source_columns, left, count,
    inner_begin, inner_end, shift, outside,
):  # fmt: skip
    """Fill `rows` lines of `block` with extended pixels from column `left` on, `count` of each."""
    begin = min(max(inner_begin, left), left + count)
    end = max(min(inner_end, left + count), begin)
    for line in range(rows):
        base = line * step
        row = source_rows[first + line]
        if row < 0:
            for place in range(count):
                block[base + place] = outside
            continue
        start = row * width
        for edge in range(begin + count - end):
            place = left + edge if left + edge < begin else end + edge - (begin - left)
            column = source_columns[place]
            block[base + place - left] = pixels[start + column] if column >= 0 else outside
        widen_row(
            address(block, base + begin - left), address(pixels, start + begin + shift), end - begin
        )


@compiled_part
def add_up(
    sums, sums_step, samples, samples_step, rows, columns, weights, weights_at, offsets, taps_h,
    taps_w, tile_width, tile,
):  # fmt: skip
    """Write the sums of `rows` x `columns` places, rounded up to whole tiles."""
    for row in range(0, rows, len(tile)):
        for column in range(0, columns, tile_width):
            add_up_tile(
                address(sums, row * sums_step + column), sums_step,
                address(samples, row * samples_step + column), samples_step,
                address(weights, weights_at), address(offsets, 0), taps_h, taps_w, tile,
            )  # fmt: skip


@compiled_part
def join(total, sums, step, rows, columns, how, first):
    """Join the sums of one kernel to the total of several: SUM, SQUARES, MAGNITUDES or LARGEST."""
    for row in range(rows):
        for place in range(row * step, row * step + columns):
            value = total.dtype.type(sums[place])
            before = total[place] * (not first)
            if how == SQUARES:
                total[place] = before + value * value
            elif how == MAGNITUDES:
                total[place] = before + abs(value)
            elif how == LARGEST:
                total[place] = max(before, abs(value))
            else:
                total[place] = before + value


@compiled
def dense_strip(
    pixels, width, out, out_width, out_first, out_step, source_rows, first, last,
    source_columns, inner_begin, inner_end, shift, outside, column_begin, column_end,
    weights, kernels, offsets, reach, taps_h, taps_w, how, root,
    parameters, extremes, counts, samples, samples_step, sums, sums_step, total, result,
    block_rows, block_columns, tile_width, tile, variety,
):  # fmt: skip
    """Filter rows `first` to `last`, columns `column_begin` to `column_end` with whole kernels.

    `reach` is how many samples a row of taps spans, in numbers, less one.
    """
    for top in range(first, last, block_rows):
        rows = min(block_rows, last - top)
        for left in range(column_begin, column_end, block_columns):
            columns = min(block_columns, column_end - left)
            widen_block(
                samples, samples_step, pixels, width, source_rows, top, rows + taps_h - 1,
                source_columns, left, columns + reach, inner_begin, inner_end, shift, outside,
            )  # fmt: skip
            for kernel in range(kernels):
                add_up(
                    sums, sums_step, samples, samples_step, rows, columns, weights,
                    kernel * taps_h * taps_w, offsets, taps_h, taps_w, tile_width, tile,
                )  # fmt: skip
                if total is not None:
                    join(total, sums, sums_step, rows, columns, how, kernel == 0)
            convert_block(
                out, out_width, (out_first + top * out_step) * out_width + left, out_step,
                result, sums_step, rows, columns, root,
                parameters, extremes, counts, variety,
            )  # fmt: skip


@compiled_part
def convert_block(
    out, out_width, start, out_step, sums, sums_step, rows, columns, root, parameters, extremes,
    counts, variety,
):  # fmt: skip
    """Convert the sums of one block, or their roots, and write them to their place."""
    for row in range(rows):
        base = row * sums_step
        if root is not None:
            for place in range(base, base + columns):
                sums[place] = math.sqrt(sums[place])
        convert_row(
            address(out, start + row * out_step * out_width), address(sums, base), columns,
            address(parameters, 0), address(extremes, 0), address(counts, 0), variety,
        )  # fmt: skip


@compiled_part
def level_rows(
    middle, step, pixels, width, source_rows, top, rows, source_columns, inner_begin, inner_end,
    shift, outside, left, columns, edge, levels, levels_at, offsets, reach, taps_w, level_width,
    level_tile,
):  # fmt: skip
    """Run a row of taps over `rows` extended lines, from column `left` on, `columns` of each.

    Inside the picture tiles read its pixels; at the edges a widened copy in `edge`.
    """
    begin = min(max(inner_begin, left), left + columns)
    end = (
        begin + max(min(inner_end - reach, left + columns) - begin, 0) // level_width * level_width
    )
    for line in range(rows):
        base = line * step
        row = source_rows[top + line]
        for side in range(2):
            start = left if side == 0 else end
            count = begin - left if side == 0 else left + columns - end
            if row < 0:
                start, count = left, columns
            if count > 0:
                widen_block(
                    edge, 0, pixels, width, source_rows, top + line, 1, source_columns, start,
                    count + reach, inner_begin, inner_end, shift, outside,
                )  # fmt: skip
                for place in range(0, count, level_width):
                    add_up_tile(
                        address(middle, base + start - left + place), 0, address(edge, place), 0,
                        address(levels, levels_at), address(offsets, 0), 1, taps_w, level_tile,
                    )  # fmt: skip
            if side == 0 and row >= 0:
                for column in range(begin, end, level_width):
                    add_up_tile(
                        address(middle, base + column - left), 0,
                        address(pixels, row * width + column + shift), 0,
                        address(levels, levels_at), address(offsets, 0), 1, taps_w, level_tile,
                    )  # fmt: skip


@compiled_part
def convert_columns(
    middle, step, rows, columns, out, out_start, out_step, uprights, offsets, parameters, extremes,
    counts, starts, codelet_width, lines, down, variety,
):  # fmt: skip
    """Run a short column of taps over whole tiles of `middle`, from there straight to pixels."""
    for row in range(0, rows, len(lines)):
        for sample in range(len(lines) + len(down) - 1):
            starts[sample] = (row + sample) * step
        for column in range(0, columns, codelet_width):
            codelet_tile(
                address(out, out_start + row * out_step + column), out_step,
                address(middle, column), address(starts, 0), address(uprights, 0),
                address(offsets, 0), address(parameters, 0), address(extremes, 0),
                address(counts, 0), lines, down, (0,), (0,), variety,
            )  # fmt: skip


@compiled
def separable_strip(
    pixels, width, out, out_width, out_first, out_step, source_rows, first, last,
    source_columns, inner_begin, inner_end, shift, outside, column_begin, column_end,
    uprights, levels, kernels, terms, offsets, reach, taps_h, taps_w, how, root,
    parameters, extremes, counts, edge, middle, step, sums, products, sums_step, total,
    result, block_rows, block_columns, up_width, up_tile, level_width, level_tile, variety,
    starts, codelet_width, lines, down,
):  # fmt: skip
    """Filter rows `first` to `last` with `terms` pairs of a column and a row for each kernel.

    The row runs first, over the block and the lines around it, then the column over that. `down` is
    None, or a tuple as long as the only column: then whole tiles of it go straight to pixels.
    """
    for top in range(first, last, block_rows):
        rows = min(block_rows, last - top)
        for left in range(column_begin, column_end, block_columns):
            columns = min(block_columns, column_end - left)
            start = (out_first + top * out_step) * out_width + left
            begin = 0
            for pair in range(kernels * terms):
                level_rows(
                    middle, step, pixels, width, source_rows, top, rows + taps_h - 1,
                    source_columns, inner_begin, inner_end, shift, outside, left, columns, edge,
                    levels, pair * taps_w, offsets, reach, taps_w, level_width, level_tile,
                )  # fmt: skip
                if down is not None and rows % len(lines) == 0:
                    begin = columns // codelet_width * codelet_width
                    convert_columns(
                        middle, step, rows, begin, out, start, out_step * out_width, uprights,
                        offsets, parameters, extremes, counts, starts, codelet_width, lines, down,
                        variety,
                    )  # fmt: skip
                add_up(
                    sums if products is None else products, sums_step, middle[begin:], step, rows,
                    columns - begin, uprights, pair * taps_h, offsets, taps_h, 1, up_width, up_tile,
                )  # fmt: skip
                if products is not None:
                    join(sums, products, sums_step, rows, columns, SUM, pair % terms == 0)
                if total is not None and pair % terms == terms - 1:
                    join(total, sums, sums_step, rows, columns, how, pair < terms)
            convert_block(
                out, out_width, start + begin, out_step, result, sums_step, rows, columns - begin,
                root, parameters, extremes, counts, variety,
            )  # fmt: skip


@compiled
def codelet_strip(
    pixels, width, out, out_width, out_first, out_step, source_rows, first, last, shift,
    column_begin, column_end, weights, offsets, parameters, extremes, counts, starts,
    codelet_width, lines, down, across, norm, variety,
):  # fmt: skip
    """Filter whole tiles, all of whose taps lie inside the picture, straight from its pixels.

    `first` to `last` and `column_begin` to `column_end` are multiples of the tile apart.
    """
    for top in range(first, last, len(lines)):
        for row in range(len(lines) + len(down) - 1):
            starts[row] = source_rows[top + row] * width + shift
        base = (out_first + top * out_step) * out_width
        for column in range(column_begin, column_end, codelet_width):
            codelet_tile(
                address(out, base + column), out_step * out_width, address(pixels, column),
                address(starts, 0), address(weights, 0), address(offsets, 0),
                address(parameters, 0), address(extremes, 0), address(counts, 0),
                lines, down, across, norm, variety,
            )  # fmt: skip
