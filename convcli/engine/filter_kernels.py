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
    add_rows,
    add_up_tile,
    convert_row,
    copy_row,
    short_row,
    slide_row,
    small_part,
    small_tiles,
    widen_row,
)
from convcli.engine.llvm import advance, pointer

SUM, SQUARES, MAGNITUDES, LARGEST = range(4)
"""How the sums of several kernels become one value."""

MOST_COLUMNS = 1 << 14
"""Of a row of tiles: counts of 16 bits hold what saturates in them, and tiles divide it."""


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
def rows_of_taps(job, work, middle, top, rows, left, columns, weights):
    """Run a row of taps over `rows` extended lines, from column `left` on, `columns` of each."""
    for line in range(rows):
        widen_block(work.samples, 0, job, top + line, 1, left, columns + job.reach)
        add_up(
            work.row_tile, middle[line * work.step :], 0, work.samples, 0, 1, columns, weights,
            job.offsets, 1, job.taps_w,
        )  # fmt: skip


@compiled_part
def small_tiles_of(job, statistics, work, samples, step, top, left, rows, columns):
    """Run a small kernel over lines of samples, straight to pixels.

    What whole tiles leave, the last columns and rows, takes tiles of one vector through memory, of
    which the rows and columns that exist are copied.
    """
    lines, lanes, tiles = len(work.lines), len(work.lanes), columns // work.width
    for line in range(0, rows, lines):
        some, done = min(lines, rows - line), 0
        if some == lines:
            row, done = job.residue + (top + line) * job.step, tiles * work.width
            small_tiles(
                pointer(job.out, row * job.out_width + left), job.step * job.out_width,
                advance(samples, line * step), step, tiles, statistics, work,
            )  # fmt: skip
        for column in range(done, columns, lanes):
            count = min(lanes, columns - column)
            small_part(
                pointer(work.last, 0), advance(samples, line * step + column), step, some, count,
                statistics, work,
            )  # fmt: skip
            for m in range(some):
                row = job.residue + (top + line + m) * job.step
                copy_row(
                    pointer(job.out, row * job.out_width + left + column),
                    pointer(work.last, m * lanes), count,
                )  # fmt: skip


@compiled_band
def small_band(job, part, statistics, work, small):
    """Filter whole lines of `part` with one small kernel, or the norm of two."""
    for top in range(part.first, part.last, work.rows):
        rows = min(work.rows, part.last - top)
        for left in range(part.begin, part.end, work.columns):
            columns = min(work.columns, part.end - left)
            lines, count = rows + job.taps_h - 1, columns + job.reach
            widen_block(work.samples, work.step, job, top, lines, left, count)
            samples = pointer(work.samples, 0)
            small_tiles_of(job, statistics, small, samples, work.step, top, left, rows, columns)


@compiled_band
def direct_band(job, part, statistics, work, small):
    """Filter as `small_band` does, but where all taps lie inside tiles read the picture itself."""
    width = small.width
    for top in range(part.first, part.last, work.rows):
        rows = min(work.rows, part.last - top)
        lines = rows + job.taps_h - 1
        first = job.source_rows[top]
        begin = (max(job.inner_begin, 0) + width - 1) // width * width
        end = begin + (min(job.out_width, job.inner_end - job.reach) - begin) // width * width
        ascending = first >= 0
        for line in range(1, lines):
            ascending &= job.source_rows[top + line] == first + line
        if not ascending or rows % len(small.lines) != 0 or end <= begin:
            begin = end = 0
        for start, stop in (
            (begin, end),
            (0, begin),
            (end, job.out_width),
        ):  # then edges are cached
            left = start
            while left < stop:
                if begin <= left < end:
                    columns, step = min(MOST_COLUMNS, end - left), job.width
                    samples = pointer(job.pixels, first * step + left + job.shift)
                else:
                    columns, step = min(work.columns, stop - left), work.step
                    samples = pointer(work.samples, 0)
                    widen_block(work.samples, step, job, top, lines, left, columns + job.reach)
                small_tiles_of(job, statistics, small, samples, step, top, left, rows, columns)
                left += columns


@compiled_part
def line_of_taps(job, work, row, line, target, left, columns):
    """Run a short row of taps over extended line `line`: where it lies inside, over the picture."""
    source = job.source_rows[line]
    begin = min(max(job.inner_begin - left, 0), columns)
    inside = max(min(job.inner_end - job.reach - left, columns) - begin, 0)
    end = begin + inside // len(row.lanes) * len(row.lanes)
    if source < 0:
        begin = end = 0
    for at, stop in ((0, begin), (begin, end), (end, columns)):
        samples = pointer(job.pixels, max(source, 0) * job.width + left + begin + job.shift)
        if not at == begin < end:
            widen_block(work.edges, 0, job, line, 1, left + at, stop - at + job.reach)
            samples = pointer(work.edges, 0)
        short_row(
            advance(target, at), samples, stop - at, pointer(work.row_factors, 0),
            pointer(job.offsets, 0), row.across,
        )  # fmt: skip


@compiled_band
def rank_one_band(job, part, statistics, work, row, column):
    """Filter `part` with one column and one row, which runs first and over each line once.

    Whole lines of the picture are read, as far as a cache allows, one after the other; those that
    the next rows need, too, are kept. `row` is None or what a short one is compiled for; `column`
    is None, or a short one as a small kernel, which goes straight to pixels.
    """
    kept = job.taps_h - 1
    for left in range(part.begin, part.end, work.columns):
        columns = min(work.columns, part.end - left)
        for top in range(part.first, part.last, work.rows):
            rows, known = min(work.rows, part.last - top), 0
            if top > part.first:
                known = kept
                for line in range(kept):
                    copy_row(
                        pointer(work.middle, line * work.step),
                        pointer(work.middle, (work.rows + line) * work.step), columns,
                    )  # fmt: skip
            if row is None:
                middle = work.middle[known * work.step :]
                rows_of_taps(
                    job, work, middle, top + known, rows + kept - known, left, columns,
                    work.row_factors,
                )  # fmt: skip
            else:
                for line in range(known, rows + kept):
                    target = pointer(work.middle, line * work.step)
                    line_of_taps(job, work, row, top + line, target, left, columns)
            if column is not None:
                middle = pointer(work.middle, 0)
                small_tiles_of(job, statistics, column, middle, work.step, top, left, rows, columns)
            else:
                lines = len(work.tile.lines)
                for line in range(0, rows, lines):
                    some = min(lines, rows - line)
                    add_up(
                        work.tile, work.sums, work.sums_step, work.middle[line * work.step :],
                        work.step, some, columns, work.column_factors, job.offsets, job.taps_h, 1,
                    )  # fmt: skip
                    convert_block(
                        job, statistics, top + line, left, work.sums, work.sums_step, some,
                        columns, None,
                    )  # fmt: skip


@compiled_band
def separable_band(job, part, statistics, work, products, total, root):
    """Filter `part` with `work.terms` pairs of a column and a row for each kernel.

    The row runs first, over the block and the lines around it, then the column over that.
    """
    for top in range(part.first, part.last, work.rows):
        rows = min(work.rows, part.last - top)
        for left in range(part.begin, part.end, work.columns):
            columns = min(work.columns, part.end - left)
            for pair in range(work.kernels * work.terms):
                factors = work.row_factors[pair * job.taps_w :]
                lines = rows + job.taps_h - 1
                rows_of_taps(job, work, work.middle, top, lines, left, columns, factors)
                add_up(
                    work.tile, work.sums if products is None else products, work.sums_step,
                    work.middle, work.step, rows, columns, work.column_factors[pair * job.taps_h :],
                    job.offsets, job.taps_h, 1,
                )  # fmt: skip
                if products is not None:
                    first = pair % work.terms == 0
                    join(work.sums, products, work.sums_step, rows, columns, SUM, first)
                if total is not None and pair % work.terms == work.terms - 1:
                    first = pair < work.terms
                    join(total, work.sums, work.sums_step, rows, columns, work.how, first)
            convert_block(
                job, statistics, top, left, work.result, work.sums_step, rows, columns, root
            )


@compiled_part
def add_line(columns, job, row, sign):
    """Add line `row` of the picture to the column sums, or take it away."""
    if row < 0:
        for place in range(job.width):
            columns[place] += sign * job.outside
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
def extend_line(line, columns, job):
    """Write the column sums that lie before and behind those of the picture."""
    extended, outside = job.out_width + job.reach, job.taps_h * job.outside
    begin = min(job.inner_begin, extended)
    end = max(min(job.inner_end, extended), begin)
    for edge in range(begin + extended - end):
        place = edge if edge < begin else end + edge - begin
        column = job.source_columns[place]
        line[place] = columns[column] if column >= 0 else outside


@compiled_part
def windows(job, work, start, count):
    """Return where sums over `taps_w` numbers of the extended line begin, `count` from `start` on.

    Sums over 2, 4, 8 ... numbers are each the sum of two of those before; those that the binary
    digits of `taps_w` name are joined.
    """
    here = pointer(work.extended, start)
    total, size, done, used = here, 1, 0, 0
    while size <= job.taps_w:
        if job.taps_w & size:
            target = here
            if done > 0:
                target = pointer(work.lines, used * work.step)
                left = job.reach - (done + size - 1) * work.channels
                add_rows(target, total, advance(here, done * work.channels), count + left)
                used += 1
            total = target
            done += size
        if 2 * size <= job.taps_w:
            target = pointer(work.lines, used * work.step)
            left = job.reach - (2 * size - 1) * work.channels
            add_rows(target, here, advance(here, size * work.channels), count + left)
            here = target
            used += 1
        size *= 2
    return total


@compiled_part
def running_totals(totals, line, count, channels):
    """Write running totals of a line, from `totals[channels]` on."""
    totals[:channels] = 0
    fours = count // 4 * 4 if channels == 1 else 0
    total, before, after = totals[0], totals[:count], totals[channels : channels + count]
    for place in range(0, fours, 4):  # four at a time: one addition waits for the last four
        pair = line[place] + line[place + 1]
        four = pair + (line[place + 2] + line[place + 3])
        after[place] = total + line[place]
        after[place + 1] = total + pair
        after[place + 2] = total + (pair + line[place + 2])
        total = totals.dtype.type(total + four)
        after[place + 3] = total
    for place in range(fours, count):
        after[place] = before[place] + line[place]


@compiled_band
def box_band(job, part, statistics, work, totals):
    """Write the converted sums of boxes; the time hardly grows with their size.

    One axis at a time (Crow, "Summed-area tables for texture mapping", 1984): a row of column sums
    moves down by adding the line that enters and taking away the one that leaves. Sums over their
    neighbors double their length; with `totals`, where more steps than that take longer, they are
    differences of a running total. Integers, so nothing drifts, and wrapping around is harmless.
    """
    columns = work.extended[job.inner_begin : job.inner_begin + job.width]
    columns[:] = 0
    for tap in range(job.taps_h):
        add_line(columns, job, job.source_rows[part.first + tap], 1)
    for row in range(part.first, part.last):
        if row > part.first:
            move_down(columns, job, job.source_rows[row - 1 + job.taps_h], job.source_rows[row - 1])
        extend_line(work.extended, columns, job)
        out = pointer(job.out, (job.residue + row * job.step) * job.out_width)
        if totals is not None:
            running_totals(totals, work.extended, job.out_width + job.reach, work.channels)
            behind = totals[job.reach + work.channels :]
            for place in range(job.out_width):
                work.lines[place] = behind[place] - totals[place]
            convert_row(out, pointer(work.lines, 0), job.out_width, job, statistics)
            continue
        for start in range(0, job.out_width, work.segment):
            count = min(work.segment, job.out_width - start)
            sums = windows(job, work, start, count)
            convert_row(advance(out, start), sums, count, job, statistics)
