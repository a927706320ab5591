"""Compiled bands: rows of a picture through one filter, block by block in a core's own cache.

A block is widened to floating point together with the pixels around it, taps are added up by the
register tile, and its sums are converted while they are still in the cache. Small kernels run from
pixels to pixels, means by running sums. Every function takes the records of `filter_job`; several
bands run at the same time in threads.
"""

from __future__ import annotations

import math

from convcli.engine.compilation import compiled_band, compiled_part
from convcli.engine.filter_vectors import (
    add_up_tile,
    convert_row,
    slide_row,
    small_tiles,
    small_vector,
    subtract_rows,
    widen_row,
)
from convcli.engine.llvm import pointer

SUM, SQUARES, MAGNITUDES, LARGEST = range(4)
"""How the sums of several kernels become one value."""

TILES_AT_ONCE = 2048
"""Tiles of a small kernel whose 16-bit counts cannot run over."""


@compiled_part
def widen_block(block, step, job, top, rows, left, count):
    """Fill `rows` lines of `block` with extended pixels from column `left` on, `count` of each."""
    begin = min(max(job.inner_begin, left), left + count)
    end = max(min(job.inner_end, left + count), begin)
    for line in range(rows):
        base = line * step
        row = job.source_rows[top + line]
        if row < 0:
            for place in range(count):
                block[base + place] = job.outside
            continue
        start = row * job.width
        for edge in range(begin + count - end):
            place = left + edge if left + edge < begin else end + edge - (begin - left)
            column = job.source_columns[place]
            block[base + place - left] = job.pixels[start + column] if column >= 0 else job.outside
        widen_row(
            pointer(block, base + begin - left),
            pointer(job.pixels, start + begin + job.shift),
            end - begin,
        )


@compiled_part
def add_up(tile, sums, sums_step, samples, step, rows, columns, weights, offsets, taps_h, taps_w):
    """Write the sums of `rows` x `columns` places, rounded up to whole tiles."""
    for row in range(0, rows, len(tile.lines)):
        for column in range(0, columns, tile.width):
            add_up_tile(
                pointer(sums, row * sums_step + column), sums_step,
                pointer(samples, row * step + column), step,
                pointer(weights, 0), pointer(offsets, 0), taps_h, taps_w, tile.lines,
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


@compiled_part
def convert_block(job, statistics, top, left, sums, step, rows, columns, root):
    """Convert the sums of one block, or their roots, and write them to row `top`, column `left`."""
    for line in range(rows):
        base = line * step
        if root is not None:
            for place in range(base, base + columns):
                sums[place] = math.sqrt(sums[place])
        row = job.residue + (top + line) * job.step
        convert_row(
            pointer(job.out, row * job.out_width + left), pointer(sums, base), columns, job,
            statistics,
        )  # fmt: skip


@compiled_band
def dense_band(job, part, statistics, work, total, root):
    """Filter the rows and columns of `part` with whole kernels."""
    for top in range(part.first, part.last, work.rows):
        rows = min(work.rows, part.last - top)
        for left in range(part.begin, part.end, work.columns):
            columns = min(work.columns, part.end - left)
            widen_block(
                work.samples, work.step, job, top, rows + job.taps_h - 1, left, columns + job.reach
            )
            for kernel in range(work.kernels):
                add_up(
                    work.tile, work.sums, work.sums_step, work.samples, work.step, rows, columns,
                    work.weights[kernel * job.taps_h * job.taps_w :], job.offsets, job.taps_h,
                    job.taps_w,
                )  # fmt: skip
                if total is not None:
                    join(total, work.sums, work.sums_step, rows, columns, work.how, kernel == 0)
            convert_block(
                job, statistics, top, left, work.result, work.sums_step, rows, columns, root
            )


@compiled_part
def rows_of_taps(job, work, top, rows, left, columns, weights):
    """Run a row of taps over `rows` extended lines, from column `left` on, `columns` of each.

    Inside the picture tiles read its pixels; at the edges a widened copy in `work.edge`.
    """
    width = work.row_tile.width
    begin = min(max(job.inner_begin, left), left + columns)
    inner = max(min(job.inner_end - job.reach, left + columns) - begin, 0)
    end = begin + inner // width * width
    for line in range(rows):
        base = line * work.step - left
        row = job.source_rows[top + line]
        for side in range(2):
            start = left if side == 0 else end
            count = begin - left if side == 0 else left + columns - end
            if row < 0:
                start, count = left, columns
            if count > 0:
                widen_block(work.edge, 0, job, top + line, 1, start, count + job.reach)
                for place in range(0, count, width):
                    add_up_tile(
                        pointer(work.middle, base + start + place), 0, pointer(work.edge, place), 0,
                        pointer(weights, 0), pointer(job.offsets, 0), 1, job.taps_w,
                        work.row_tile.lines,
                    )  # fmt: skip
            if side == 0 and row >= 0:
                for column in range(begin, end, width):
                    add_up_tile(
                        pointer(work.middle, base + column), 0,
                        pointer(job.pixels, row * job.width + column + job.shift), 0,
                        pointer(weights, 0), pointer(job.offsets, 0), 1, job.taps_w,
                        work.row_tile.lines,
                    )  # fmt: skip


@compiled_part
def columns_to_pixels(job, statistics, work, column, top, left, rows, tiles):
    """Run a short column of taps over whole tiles of `work.middle`, from there to pixels."""
    for line in range(0, rows, len(column.lines)):
        for sample in range(len(column.lines) + len(column.down) - 1):
            work.starts[sample] = (line + sample) * work.step
        row = job.residue + (top + line) * job.step
        small_tiles(
            pointer(job.out, row * job.out_width + left), job.step * job.out_width,
            pointer(work.middle, 0), pointer(work.starts, 0), tiles, statistics, column,
        )  # fmt: skip


@compiled_band
def separable_band(job, part, statistics, work, column, products, total, root):
    """Filter `part` with `work.terms` pairs of a column and a row for each kernel.

    The row runs first, over the block and the lines around it, then the column over that. `column`
    is None, or the only column as a small kernel: then whole tiles of it go straight to pixels.
    """
    for top in range(part.first, part.last, work.rows):
        rows = min(work.rows, part.last - top)
        for left in range(part.begin, part.end, work.columns):
            columns = min(work.columns, part.end - left)
            begin = 0
            for pair in range(work.kernels * work.terms):
                factors = work.row_factors[pair * job.taps_w :]
                rows_of_taps(job, work, top, rows + job.taps_h - 1, left, columns, factors)
                if column is not None and rows % len(column.lines) == 0:
                    tiles = columns // column.width
                    begin = tiles * column.width
                    columns_to_pixels(job, statistics, work, column, top, left, rows, tiles)
                add_up(
                    work.tile, work.sums if products is None else products,
                    work.sums_step, work.middle[begin:], work.step, rows, columns - begin,
                    work.column_factors[pair * job.taps_h :], job.offsets, job.taps_h, 1,
                )  # fmt: skip
                if products is not None:
                    first = pair % work.terms == 0
                    join(work.sums, products, work.sums_step, rows, columns, SUM, first)
                if total is not None and pair % work.terms == work.terms - 1:
                    first = pair < work.terms
                    join(total, work.sums, work.sums_step, rows, columns, work.how, first)
            convert_block(
                job, statistics, top, left + begin, work.result, work.sums_step, rows,
                columns - begin, root,
            )  # fmt: skip


@compiled_part
def copy_edge(job, work, row, column, count):
    """Copy the samples of `count` places of one line, extended beyond the picture."""
    for tap in range(job.taps_h):
        line = job.source_rows[row + tap]
        for place in range(count + job.reach):
            source = job.source_columns[column + place]
            inside = line >= 0 and source >= 0
            work.edge[tap * work.edge_step + place] = (
                job.pixels[line * job.width + source] if inside else job.outside_pixel
            )


@compiled_part
def small_line(job, statistics, work, row, starts, left, begin, right):
    """Write what tiles left of one line, `begin` to `right` and the ends, in single vectors.

    From `left` to `right` all taps lie inside the picture, and the last vector overlaps the one
    before it; at the ends of a line samples are copied first.
    """
    base = (job.residue + row * job.step) * job.out_width
    for section in range(3):
        first = 0 if section == 0 else (begin if section == 1 else right)
        end = left if section == 0 else (right if section == 1 else job.out_width)
        for column in range(first, end, work.lanes):
            count = min(work.lanes, end - column)
            if section == 1:
                at = min(column, end - work.lanes)
                out, samples, rows = pointer(job.out, base + at), pointer(job.pixels, at), starts
                skipped, stop = column - at, work.lanes
            else:
                copy_edge(job, work, row, column, count)
                out, samples = pointer(work.edge_out, 0), pointer(work.edge, 0)
                rows, skipped, stop = pointer(work.edge_starts, 0), 0, count
            small_vector(out, samples, rows, skipped, stop, statistics, work)
            if section != 1:
                for place in range(count):
                    job.out[base + column + place] = work.edge_out[place]


@compiled_band
def small_band(job, part, statistics, work):
    """Filter whole lines of `part` straight from pixels to pixels.

    Tiles where all taps lie inside the picture, single vectors for the rest.
    """
    lines = len(work.lines)
    left = min(max(job.inner_begin, 0), job.out_width)
    right = max(min(job.out_width, job.inner_end - job.reach), left)
    for top in range(part.first, part.last, lines):
        count = min(lines, part.last - top)
        inside = right - left >= work.lanes
        for row in range(count + job.taps_h - 1):
            inside = inside and job.source_rows[top + row] >= 0
            work.starts[row] = job.source_rows[top + row] * job.width + job.shift
        begin = left
        tiles = (right - left) // work.width if inside and count == lines else 0
        base = (job.residue + top * job.step) * job.out_width
        for tile in range(0, tiles, TILES_AT_ONCE):
            some = min(TILES_AT_ONCE, tiles - tile)
            small_tiles(
                pointer(job.out, base + begin), job.step * job.out_width,
                pointer(job.pixels, begin), pointer(work.starts, 0), some, statistics, work,
            )  # fmt: skip
            begin += some * work.width
        first, second, third = (
            (left, begin, right) if inside else (job.out_width, job.out_width, job.out_width)
        )
        for line in range(count):
            starts = pointer(work.starts, line)
            small_line(job, statistics, work, top + line, starts, first, second, third)


@compiled_part
def add_line(columns, job, row, sign):
    """Add line `row` of the picture to the column sums, or take it away."""
    if row < 0:
        for place in range(job.width):
            columns[place] += sign * job.outside_pixel
        return
    line = job.pixels[row * job.width : (row + 1) * job.width]
    for place in range(job.width):
        columns[place] += sign * columns.dtype.type(line[place])


@compiled_part
def move_down(columns, job, entering, leaving):
    """Add line `entering` to the column sums and take `leaving` away, at once if both exist."""
    if entering < 0 or leaving < 0:
        add_line(columns, job, entering, 1)
        add_line(columns, job, leaving, -1)
        return
    slide_row(
        pointer(columns, 0), pointer(job.pixels, entering * job.width),
        pointer(job.pixels, leaving * job.width), job.width,
    )  # fmt: skip


@compiled_part
def running_totals(totals, columns, job, channels):
    """Write running totals of the extended column sums, from `totals[channels]` on."""
    extended = job.out_width + job.reach
    begin = min(max(job.inner_begin, 0), extended)
    end = max(min(job.inner_end, extended), begin)
    outside = job.taps_h * job.outside_pixel
    totals[:channels] = 0
    for place in range(begin):
        column = job.source_columns[place]
        totals[place + channels] = totals[place] + (columns[column] if column >= 0 else outside)
    inner = columns[begin + job.shift : end + job.shift]
    before = totals[begin : begin + inner.size]
    after = totals[begin + channels : begin + channels + inner.size]
    if channels == 1:
        total = totals[begin]
        fours = inner.size // 4 * 4
        for place in range(0, fours, 4):  # four at a time: one addition waits for the last four
            pair = inner[place] + inner[place + 1]
            four = pair + (inner[place + 2] + inner[place + 3])
            after[place] = total + inner[place]
            after[place + 1] = total + pair
            after[place + 2] = total + (pair + inner[place + 2])
            total = columns.dtype.type(total + four)
            after[place + 3] = total
        for place in range(fours, inner.size):
            total = columns.dtype.type(total + inner[place])
            after[place] = total
    else:
        for place in range(inner.size):
            after[place] = before[place] + inner[place]
    for place in range(end, extended):
        column = job.source_columns[place]
        totals[place + channels] = totals[place] + (columns[column] if column >= 0 else outside)


@compiled_band
def box_band(job, part, statistics, work):
    """Write the converted sums of boxes; the time does not grow with their size.

    Crow, "Summed-area tables for texture mapping" (1984), one axis at a time: a row of column sums
    moves down by adding the line that enters and taking away the one that leaves; differences of
    their running total, `channels` numbers apart, are the sums of boxes. Integers, so nothing
    drifts, and wrapping around is harmless.
    """
    columns, totals = work.columns, work.totals
    columns[:] = 0
    for tap in range(job.taps_h):
        add_line(columns, job, job.source_rows[part.first + tap], 1)
    for row in range(part.first, part.last):
        if row > part.first:
            move_down(columns, job, job.source_rows[row - 1 + job.taps_h], job.source_rows[row - 1])
        running_totals(totals, columns, job, work.channels)
        subtract_rows(
            pointer(work.sums, 0), pointer(totals, job.reach + work.channels), pointer(totals, 0),
            job.out_width,
        )  # fmt: skip
        convert_row(
            pointer(job.out, (job.residue + row * job.step) * job.out_width),
            pointer(work.sums, 0), job.out_width, job, statistics,
        )  # fmt: skip
