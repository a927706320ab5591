"""A table from records: their keys are the JSON, a mapping names the columns and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from typing import Any

from convcli.report.numbers import as_bytes, as_seconds, percent, with_prefix
from convcli.report.value import Column, Report, as_text

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
