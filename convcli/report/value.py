"""What a command has to say, before anyone decides how it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import partial
from typing import Any, Literal

from convcli.errors import UsageError
from convcli.report.numbers import as_bytes, as_seconds, percent, with_prefix
from convcli.values import NotebookRepr


def as_text(cell: Any) -> str:
    """Return the text of a cell for people: integers with thousands marks, None as a dash.

    >>> as_text(30762), as_text(None), as_text(0.25), as_text("conv1"), as_text((28, 28, 1))
    ('30,762', '-', '0.25', 'conv1', '28x28x1')
    """
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    if isinstance(cell, tuple):
        return "x".join(str(part) for part in cell)
    return str(cell)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its field name for programs, its header and its text for people."""

    key: str
    header: str
    align: Literal["left", "right"] = "left"
    text: Callable[[Any], str] = as_text


@dataclass(frozen=True, slots=True)
class Report(NotebookRepr):
    """A titled table with totals and notes, and the JSON document that says the same.

    Attributes:
        title: what the table is about; may be empty.
        columns: one `Column` per cell of a row.
        rows: cells as numbers, names or tuples of sizes; None where there is no figure.
        totals: one more row, set apart at the end.
        notes: sentences under the table.
        document: what `--format json` prints; made from the rows when left out.
        parts: further tables that belong under this one.
        sections: numbers of the rows before which the table draws a thin rule.
        name: what `--table` calls it beside its parts.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    totals: tuple[Any, ...] | None = None
    notes: tuple[str, ...] = ()
    document: Any = None
    parts: tuple[Report, ...] = ()
    sections: frozenset[int] = frozenset()
    name: str = ""

    def __post_init__(self) -> None:
        width = len(self.columns)
        for row in (*self.rows, *([self.totals] if self.totals else [])):
            if len(row) != width:
                raise ValueError(f"a row of {len(row)} cells in a report of {width} columns")

    def __repr__(self) -> str:
        return f"Report({self.title!r}, {len(self.rows)} rows x {len(self.columns)} columns)"

    def tables(self) -> list[Report]:
        """Return this report and those that belong under it, each by itself."""
        own = replace(self, parts=()) if self.parts else self
        return [own, *(table for part in self.parts for table in part.tables())]

    def main(self) -> Report:
        """Return the one table that stands for all: that of its own name, or else the first."""
        tables = self.tables()
        filled = [table for table in tables if table.columns]
        return next((table for table in filled if table.name == self.name), [*filled, *tables][0])

    def table(self, name: str) -> Report:
        """Return the table of that name.

        Raises:
            UsageError: there is none.
        """
        named = {table.name: table for table in self.tables() if table.name}
        if name not in named:
            known = f"its tables are {', '.join(named)}" if named else "it is one table"
            raise UsageError(f"--table {name}: the report has no such part; {known}.")
        return named[name]

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries from column key to cell."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, row, strict=True)) for row in self.rows]


KINDS: dict[str, Callable[[Any], str]] = {
    "%": percent,
    "s": as_seconds,
    "B": as_bytes,
    "k": with_prefix,
}
"""What a column may hold besides plain values: shares, seconds, bytes, counts with a prefix."""


def tabulate(
    records: Iterable[Any],
    columns: Mapping[str, str | Column],
    *,
    title: str = "",
    name: str = "",
    totals: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    document: Any = None,
    parts: Sequence[Report] = (),
    sections: Iterable[int] = (),
) -> Report:
    """Return records as a table; figures and sizes stand right by themselves.

    Args:
        records: mappings, or dataclasses.
        columns: key -> `Header` or `Header|kind`; a kind is one of `KINDS` or how Python formats a
            number, such as `.4f`. What else it takes, a `Column` tells.
        title: as `Report`.
        name: as `Report`.
        totals: one more record, set apart at the end; what it lacks stays empty.
        notes: as `Report`.
        document: as `Report`; the whole records when left out.
        parts: as `Report`.
        sections: as `Report`.

    >>> report = tabulate([{"file": "a.npz", "size": 2048}], {"file": "File", "size": "Size|B"})
    >>> report.columns[1].align, report.columns[1].text(2048)
    ('right', '2.00 KiB')
    """
    found = [_record(one) for one in records]
    return Report(
        title,
        tuple(_column(key, told, [one.get(key) for one in found]) for key, told in columns.items()),
        tuple(tuple(one.get(key) for key in columns) for one in found),
        None if totals is None else tuple(totals.get(key) for key in columns),
        tuple(notes),
        found if document is None else document,
        tuple(parts),
        frozenset(sections),
        name,
    )


def _record(value: Any) -> Mapping[str, Any]:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _column(key: str, told: str | Column, cells: list[Any]) -> Column:
    if isinstance(told, Column):
        return told
    header, _, kind = told.partition("|")
    figures = all(
        isinstance(cell, int | float | tuple | None) and not isinstance(cell, bool)
        for cell in cells
    )
    return Column(
        key, header, "right" if figures else "left", partial(figure, kind=kind) if kind else as_text
    )


def figure(cell: Any, kind: str) -> str:
    """Return a cell as a column of that kind shows it; None is a dash.

    >>> figure(0.25, "%"), figure(0.25, ".4f"), figure(None, "s")
    ('25.00%', '0.2500', '-')
    """
    written = KINDS.get(kind) or f"{{:{kind}}}".format
    return "-" if cell is None else written(cell)
