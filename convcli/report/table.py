"""A `Report` as a Rich table on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from convcli.report.value import Report


def print_table(report: Report, console: Console) -> None:
    """Draw `report` and its parts on `console`, fitted to the console's width."""
    if report.title:  # not the table's own title, which would wrap to the table's width
        console.print(report.title, style="bold", markup=False, highlight=False)
    if report.columns:
        console.print(build_table(report))
    for note in report.notes:
        console.print(note, markup=False, highlight=False)
    for part in report.parts:
        console.print()
        print_table(part, console)


def build_table(report: Report) -> Table:
    """Return the Rich table of one report, its totals under a rule."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_footer=False,
    )
    for column in report.columns:
        table.add_column(column.header, justify=column.align, overflow="fold")
    for row in report.rows:
        cells = zip(report.columns, row, strict=True)
        table.add_row(*(_escape(column.text(cell)) for column, cell in cells))
    if report.totals is not None:
        table.add_section()
        cells = zip(report.columns, report.totals, strict=True)
        table.add_row(
            *("" if cell is None else _escape(column.text(cell)) for column, cell in cells),
            style="bold",
        )
    return table


def _escape(text: str) -> str:
    return text.replace("[", "\\[")
