"""A `Report` as Rich tables on a terminal: the theme, and what gives way when it is narrow."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from shutil import get_terminal_size
from typing import Any, TextIO

from rich.box import HORIZONTALS, Box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from convcli.report.printable import printable
from convcli.report.value import Column, Report

THEME = Theme(
    {
        "report.title": "bold",
        "report.header": "bold",
        "report.name": "cyan",
        "report.shape": "magenta",
        "report.number": "green",
        "report.words": "none",
        "report.missing": "dim",
        "report.total": "bold",
        "report.note": "dim",
    }
)
"""The colors of all tables: the sixteen that every terminal has, readable on black and white."""

PLAIN_BOX = Box(" -- \n    \n -- \n    \n -- \n -- \n    \n -- \n", ascii=True)
"""`HORIZONTALS` for terminals without box drawing letters."""

NARROWEST, NAMES = 12, 22
"""Columns of words are not folded below this; the first one, of names, not below that."""
GAP = 2
"""Blanks between columns."""


def terminal(stream: TextIO | None = None, **settings: Any) -> Console:
    """Return a Rich console with the theme of all tables; NO_COLOR, FORCE_COLOR and TERM count.

    Rich takes every dumb terminal for one of 80 columns.
    """
    if os.environ.get("TERM") in {"dumb", "unknown"}:
        columns, lines = get_terminal_size()
        settings = {"width": columns, "height": lines, **settings}
    return Console(
        file=stream,
        theme=THEME,
        highlight=False,
        markup=False,
        emoji=False,
        **settings,
    )


def print_table(report: Report, console: Console) -> None:
    """Print a report and its parts: titles, tables, totals and notes.

    A table that is too wide first folds its words, then leaves out columns from the right (the
    first one stays) and names them; where more than a third would go, rows become columns.
    """
    if report.title:
        console.print(_text(report.title, "report.title"))
    if report.columns:
        _print_body(report, console)
    for note in report.notes:
        console.print(_note(note, "report.note" if report.columns else "report.words"))
    for part in report.parts:
        console.print()
        print_table(part, console)


def _text(text: str, style: str, **settings: Any) -> Text:
    return Text(printable(text), style, **settings)


def _note(text: str, style: str) -> Text:
    """Return a sentence whose further lines keep the indentation of its first."""
    return _text(text, style, tab_size=len(text) - len(text.lstrip()))


@dataclass(frozen=True)
class _Cells:
    """A table's texts with their styles, before anyone decides how they are laid out."""

    columns: tuple[Column, ...]
    header: list[Text]
    rows: list[list[Text]]
    totals: list[Text] | None

    @staticmethod
    def of(report: Report) -> _Cells:
        columns = report.columns
        rows = [
            [
                _cell(column, cell, number)
                for number, (column, cell) in enumerate(_pairs(columns, row))
            ]
            for row in report.rows
        ]
        totals = None
        if report.totals is not None:
            totals = [
                _text("" if cell is None else column.text(cell), "report.total")
                for column, cell in _pairs(columns, report.totals)
            ]
        header = [_text(column.header, "report.header") for column in columns]
        return _Cells(columns, header, rows, totals)

    def widths(self) -> list[int]:
        """Return the letters that each column would like to have."""
        lines = [self.header, *self.rows, *([self.totals] if self.totals else [])]
        return [max(cell_len(line[k].plain) for line in lines) for k in range(len(self.columns))]

    def least(self) -> list[int]:
        """Return the letters that each column needs: words can be folded, figures cannot.

        In a table of three columns at most anything can: none of them is left out.
        """
        if len(self.columns) <= 3:
            return [1] * len(self.columns)
        return [
            width if column.align == "right" else min(width, NARROWEST if number else NAMES)
            for number, (column, width) in enumerate(_pairs(self.columns, self.widths()))
        ]


def _pairs(columns: Sequence[Column], row: Sequence[Any]) -> list[tuple[Column, Any]]:
    return list(zip(columns, row, strict=True))


def _cell(column: Column, cell: object, number: int) -> Text:
    text = column.text(cell)
    if text in {"-", ""}:
        return _text(text, "report.missing")
    if isinstance(cell, tuple):
        return _text(text, "report.shape")
    if column.align == "right":
        return _text(text, "report.number")
    return _text(text, "report.name" if number == 0 else "report.words")


def _print_body(report: Report, console: Console) -> None:
    cells = _Cells.of(report)
    count = len(cells.columns)
    least = cells.least()
    fits = (n for n in range(count, 0, -1) if sum(least[:n]) <= _room(console, n))
    kept = next(fits, 1)
    if 3 * (count - kept) > count:
        _print_turned(cells, console)
        return
    table = _empty(console)
    table.show_footer = cells.totals is not None
    for number, width in enumerate(_fitted(cells, kept, _room(console, kept))):
        table.add_column(
            cells.header[number],
            cells.totals[number] if cells.totals else "",
            justify=cells.columns[number].align,
            overflow="fold",
            width=width,
        )
    for number, row in enumerate(cells.rows):
        table.add_row(*row[:kept], end_section=number + 1 in report.sections)
    console.print(table)
    if kept < count:
        missing = ", ".join(column.header for column in cells.columns[kept:])
        console.print(_text(f"Too narrow for: {missing} (--format plain has them).", "report.note"))


def _room(console: Console, columns: int) -> int:
    """Return the letters that `columns` columns share, without the gaps and the two edges."""
    return console.width - GAP * columns - 1


def _fitted(cells: _Cells, kept: int, room: int) -> list[int]:
    """Return the widths of the first columns; the widest column of words gives way first."""
    widths, least = cells.widths()[:kept], cells.least()
    words = [k for k in range(kept) if cells.columns[k].align == "left"]
    while sum(widths) > room:
        spare = [k for k in words if widths[k] > max(least[k], 6)]
        spare = spare or [k for k in range(kept) if widths[k] > least[k]]
        if not spare:
            break
        widths[max(spare, key=lambda k: widths[k])] -= 1
    return widths


def _print_turned(cells: _Cells, console: Console) -> None:
    """Print rows as columns, as many beside each other as the terminal has room for."""
    records = iter([*cells.rows, *([cells.totals] if cells.totals else [])])
    room = console.width - max(cell_len(text.plain) for text in cells.header)
    widest = max(cells.widths())
    beside = max(1, room // (min(widest, room) + GAP))
    while group := list(islice(records, beside)):
        table = _empty(console)
        table.show_header = False
        table.add_column(no_wrap=True)
        for _ in group:
            table.add_column(overflow="fold")
        for number, header in enumerate(cells.header):
            table.add_row(header, *(record[number] for record in group))
        console.print(table)


def _empty(console: Console) -> Table:
    box = PLAIN_BOX if console.options.ascii_only else HORIZONTALS
    return Table(box=box, padding=(0, 1, 0, 0), border_style="report.missing")


def ruled(
    columns: Mapping[str, int], rows: Sequence[Sequence[str]], width: int, right: Collection[str]
) -> str:
    """Return a table with lines between its rows, in the box that Rich draws without being told.

    Args:
        columns: head -> its width.
        rows: of texts.
        width: of all.
        right: heads of columns that are set flush right.
    """
    table = Table(width=width, show_lines=True)
    for head, cells in columns.items():
        table.add_column(head, width=cells, justify="right" if head in right else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    return out.getvalue()
