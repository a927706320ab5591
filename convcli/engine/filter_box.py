"""Mean filters by running sums: the time does not grow with the size of the box.

Crow, "Summed-area tables for texture mapping" (1984), one axis at a time: a row of column sums
moves down by adding the line that enters and taking away the one that leaves; differences of their
running total are the sums of boxes. Integers, so nothing drifts, and wrapping around is harmless.
"""

from __future__ import annotations

from convcli.engine.compilation import compiled, compiled_part
from convcli.engine.filter_tile import address, convert_row


@compiled_part
def move_line(columns, pixels, width, row, outside, sign):
    """Add line `row` of the picture to the column sums, or take it away."""
    if row < 0:
        for place in range(width):
            columns[place] += sign * outside
        return
    line = pixels[row * width : row * width + width]
    if sign > 0:
        for place in range(width):
            columns[place] += line[place]
    else:
        for place in range(width):
            columns[place] -= line[place]


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
        move_line(columns, pixels, width, source_rows[first + tap], outside, 1)
    for row in range(first, last):
        if row > first:
            move_line(columns, pixels, width, source_rows[row - 1 + taps_h], outside, 1)
            move_line(columns, pixels, width, source_rows[row - 1], outside, -1)
        for channel in range(channels):
            totals[channel] = 0
            total = 0
            for place in range(channel, extended, channels):
                if inner_begin <= place < inner_end:
                    total += columns[place + shift]
                elif source_columns[place] >= 0:
                    total += columns[source_columns[place]]
                else:
                    total += outside * taps_h
                totals[place + channels] = total
        ahead = totals[reach + channels : reach + channels + out_width]
        for place in range(out_width):
            difference = columns.dtype.type(ahead[place] - totals[place])
            sums[place] = difference
        convert_row(
            address(out, (out_first + row * out_step) * out_width), address(sums, 0), out_width,
            address(parameters, 0), address(extremes, 0), address(counts, 0), variety,
        )  # fmt: skip
