"""Mean filters by running sums: the time does not grow with the size of the box.

Crow, "Summed-area tables for texture mapping" (1984), one axis at a time: a row of column sums
moves down by adding the line that enters and taking away the one that leaves; differences of their
running total are the sums of boxes. Integers, so nothing drifts, and wrapping around is harmless.
"""

from __future__ import annotations

from convcli.engine.compilation import compiled, compiled_part
from convcli.engine.filter_tile import address, convert_row


@compiled_part
def add_line(columns, pixels, width, row, outside, sign):
    """Add line `row` of the picture to the column sums, or take it away."""
    if row < 0:
        for place in range(width):
            columns[place] += sign * outside
        return
    line = pixels[row * width : row * width + width]
    for place in range(width):
        columns[place] += sign * columns.dtype.type(line[place])


@compiled_part
def move_down(columns, pixels, width, entering, leaving, outside):
    """Add line `entering` to the column sums and take `leaving` away, at once if both exist."""
    if entering < 0 or leaving < 0:
        add_line(columns, pixels, width, entering, outside, 1)
        add_line(columns, pixels, width, leaving, outside, -1)
        return
    new = pixels[entering * width : entering * width + width]
    old = pixels[leaving * width : leaving * width + width]
    for place in range(width):
        columns[place] += columns.dtype.type(new[place]) - columns.dtype.type(old[place])


@compiled_part
def run_totals(
    totals, columns, source_columns, inner_begin, inner_end, shift, extended, channels, outside
):
    """Write running totals of the extended column sums, from `totals[channels]` on."""
    begin = min(max(inner_begin, 0), extended)
    end = max(min(inner_end, extended), begin)
    for place in range(channels):
        totals[place] = 0
    for place in range(begin):
        column = source_columns[place]
        totals[place + channels] = totals[place] + (columns[column] if column >= 0 else outside)
    inner = columns[begin + shift : end + shift]
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
        column = source_columns[place]
        totals[place + channels] = totals[place] + (columns[column] if column >= 0 else outside)


@compiled
def box_strip(
    pixels, width, out, out_width, out_first, out_step, source_rows, first, last,
    source_columns, inner_begin, inner_end, shift, outside, taps_h, reach, channels,
    parameters, extremes, counts, columns, totals, sums, variety,
):  # fmt: skip
    """Write the converted sums of boxes of `taps_h` lines and `reach + channels` numbers.

    `columns` holds a sum per number of a line, `totals` their running total over the extended
    line, `channels` numbers apart; both are int32.
    """
    extended = out_width + reach
    for place in range(width):
        columns[place] = 0
    for tap in range(taps_h):
        add_line(columns, pixels, width, source_rows[first + tap], outside, 1)
    for row in range(first, last):
        if row > first:
            entering, leaving = source_rows[row - 1 + taps_h], source_rows[row - 1]
            move_down(columns, pixels, width, entering, leaving, outside)
        run_totals(
            totals, columns, source_columns, inner_begin, inner_end, shift, extended, channels,
            outside * taps_h,
        )  # fmt: skip
        ahead = totals[reach + channels : reach + channels + out_width]
        for place in range(out_width):
            sums[place] = columns.dtype.type(ahead[place] - totals[place])
        convert_row(
            address(out, (out_first + row * out_step) * out_width), address(sums, 0), out_width,
            address(parameters, 0), address(extremes, 0), address(counts, 0), variety,
        )  # fmt: skip
