"""A `Report` as a table on a terminal, fitted to its width.

Drawn here rather than by Rich: for the 175 rows of ResNet-50 Rich needs 20 ms to load and 70 ms
to lay out, more than everything else that `convcli shape` does; this needs 2 ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

from convcli.report.value import Column, Report

GAP = 2
"""Blanks between columns."""
NARROWEST = 6
"""A column of words is not folded below this."""

BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def draw_table(report: Report, width: int, *, colour: bool) -> str:
    """Return `report` and its parts as lines of at most `width` letters, each with its newline.

    Args:
        report: what to draw.
        width: letters in a line of the terminal.
        colour: bold and dim letters by escape codes.
    """
    lines = list(_lines(report, width, colour))
    for part in report.parts:
        lines += ["", *draw_table(part, width, colour=colour).splitlines()]
    return "".join(line.rstrip() + "\n" for line in lines)


def _lines(report: Report, width: int, colour: bool) -> Iterator[str]:
    """Yield the title, the rows under their header, the totals and the notes."""
    if report.title:
        for line in _folded(report.title, width):
            yield _styled(line, BOLD, colour)
    if report.columns:
        yield from _body(report, width, colour)
    for note in report.notes:
        yield from _folded(note, width)


def _body(report: Report, width: int, colour: bool) -> Iterator[str]:
    columns = report.columns
    texts = [_texts(columns, row) for row in report.rows]
    header = [column.header for column in columns]
    totals = None
    if report.totals is not None:
        filled = zip(columns, report.totals, strict=True)
        totals = ["" if cell is None else column.text(cell) for column, cell in filled]
    everything = [header, *texts, *([totals] if totals else [])]
    natural = [max(_width(line[k]) for line in everything) for k in range(len(columns))]
    widths = _fitted([column.align for column in columns], natural, width)
    rule = "─" * (sum(widths) + GAP * (len(widths) - 1))
    thin = _styled("┈" * len(rule), DIM, colour)
    yield from _row(header, columns, widths, BOLD, colour)
    yield _styled(rule, DIM, colour)
    for number, line in enumerate(texts):
        if number in report.sections and number:
            yield thin
        yield from _row(line, columns, widths, "", colour)
    if totals:
        yield _styled(rule, DIM, colour)
        yield from _row(totals, columns, widths, BOLD, colour)


def _texts(columns: Sequence[Column], row: Sequence[object]) -> list[str]:
    return [column.text(cell) for column, cell in zip(columns, row, strict=True)]


def _row(
    texts: Sequence[str],
    columns: Sequence[Column],
    widths: Sequence[int],
    style: str,
    colour: bool,
) -> Iterator[str]:
    """Yield the lines of one row; a cell wider than its column is folded."""
    cells = [_folded(text, room) for text, room in zip(texts, widths, strict=True)]
    for number in range(max(map(len, cells))):
        parts = []
        for cell, column, room in zip(cells, columns, widths, strict=True):
            text = cell[number] if number < len(cell) else ""
            blanks = " " * (room - _width(text))
            faint = DIM if text == "-" and not style else style
            text = _styled(text, faint, colour) if text else text
            parts.append(blanks + text if column.align == "right" else text + blanks)
        yield (" " * GAP).join(parts)


def _fitted(aligns: Sequence[str], natural: Sequence[int], width: int) -> list[int]:
    """Return column widths that fit: the widest column of words gives way first, then figures."""
    widths = list(natural)
    room = max(width - GAP * (len(widths) - 1), len(widths))
    for floor, allowed in ((NARROWEST, {"left"}), (1, {"left", "right"})):
        while sum(widths) > room:
            open_ = [k for k, align in enumerate(aligns) if align in allowed and widths[k] > floor]
            if not open_:
                break
            widest = max(open_, key=lambda k: widths[k])
            widths[widest] -= 1
    return widths


def _folded(text: str, width: int) -> list[str]:
    """Return the text in lines of at most `width`, broken at blanks where there are any.

    >>> _folded("conv 64 3 same relu", 12)
    ['conv 64 3', 'same relu']
    >>> _folded("concat1.concat1.conv1", 18), _folded("parameters", 4)
    (['concat1.concat1.', 'conv1'], ['para', 'mete', 'rs'])
    >>> _folded("  height: floor((13 - 3) / 1) + 1 = 11", 24)
    ['  height: floor((13 - 3)', '  / 1) + 1 = 11']
    """
    if _width(text) <= width:
        return [text]
    indent = text[: len(text) - len(text.lstrip(" "))]
    if indent and len(indent) < width - NARROWEST:
        return [indent + line for line in _folded(text.lstrip(" "), width - len(indent))]
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if _width(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while _width(word) > width:  # a word longer than the column
            cut = _cut(word, width)
            lines.append(word[:cut])
            word = word[cut:]  # noqa: PLW2901  (what is left of it)
        line = word
    return [*lines, line]


def _cut(word: str, width: int) -> int:
    """Return how many letters of a word fit, up to its last dot where it has one."""
    taken, fits = 0, 0
    for letter in word:
        taken += _width(letter)
        if taken > width:
            break
        fits += 1
    return word.rfind(".", 0, fits) + 1 or max(1, fits)


def _width(text: str) -> int:
    """Return the cells that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(letter) in {"W", "F"} else 1 for letter in text)


def _styled(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{PLAIN}" if colour and style else text
