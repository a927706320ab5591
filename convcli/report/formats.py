"""A `Report` as text: plain columns, JSON, CSV, Markdown, LaTeX."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from convcli.report.printable import printable
from convcli.report.value import Report


def render(report: Report, style: str) -> str:
    """Return `report` in one of `FORMATS`, ending in a newline.

    Raises:
        KeyError: `style` is not one of `FORMATS`.
    """
    return printable(FORMATS[style](report))


def to_json(document: Any, *, indent: int | None = 2) -> str:
    """Return one JSON document; NaN and infinity become null, as JSON has no word for them.

    Indented, a list of plain values stays on one line, so that shapes and rows of a matrix read as
    such.

    >>> to_json({"loss": float("nan"), "shape": (2, 3)}, indent=None)
    '{"loss": null, "shape": [2, 3]}'
    >>> print(to_json({"shape": (2, 3), "rows": [[1, 2], [3, 4]]}))
    {
      "shape": [2, 3],
      "rows": [
        [1, 2],
        [3, 4]
      ]
    }
    """
    plain = _finite(document)
    return _ENCODE(plain) if indent is None else _indented(plain, "", " " * indent)


_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _indented(value: Any, margin: str, indent: str) -> str:
    inner = margin + indent
    if isinstance(value, dict) and value:
        pairs = (f"{_ENCODE(key)}: {_indented(item, inner, indent)}" for key, item in value.items())
        return "{\n" + ",\n".join(inner + pair for pair in pairs) + f"\n{margin}}}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items = (_indented(item, inner, indent) for item in value)
        return "[\n" + ",\n".join(inner + item for item in items) + f"\n{margin}]"
    return _ENCODE(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _json(report: Report) -> str:
    document = report.records() if report.document is None else report.document
    return to_json(document) + "\n"


def _text_rows(report: Report) -> tuple[list[list[str]], list[str] | None]:
    """Return the body rows and the totals row as texts."""

    def texts(row: tuple[Any, ...]) -> list[str]:
        return [column.text(cell) for column, cell in zip(report.columns, row, strict=True)]

    totals = None
    if report.totals is not None:
        pairs = zip(report.columns, report.totals, strict=True)
        totals = ["" if cell is None else column.text(cell) for column, cell in pairs]
    return [texts(row) for row in report.rows], totals


def _plain(report: Report) -> str:
    body, totals = _text_rows(report)
    lines = [[column.header for column in report.columns], *body]
    if totals is not None:
        lines.append(totals)
    widths = [max(len(line[i]) for line in lines) for i in range(len(report.columns))]
    aligns = [column.align for column in report.columns]
    out = [report.title] if report.title else []
    if report.columns:
        for line in lines:
            cells = (
                cell.rjust(width) if align == "right" else cell.ljust(width)
                for cell, width, align in zip(line, widths, aligns, strict=True)
            )
            out.append("  ".join(cells).rstrip())
    out += report.notes
    return "\n".join(out) + "\n" + "".join("\n" + _plain(part) for part in report.parts)


def _csv(report: Report) -> str:
    """Return the one table that stands for all; words alone are a line each."""
    table = report.main()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if table.columns:
        writer.writerow([column.key for column in table.columns])
    else:
        writer.writerows([line] for line in _words(table))
    writer.writerows([_csv_cell(cell) for cell in row] for row in table.rows)
    return out.getvalue()


def _words(report: Report) -> list[str]:
    """Return all that a report without columns says."""
    return [line for line in (report.title, *report.notes) if line]


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, tuple):
        return "x".join(str(part) for part in cell)
    return "" if cell is None else cell


def _markdown(report: Report) -> str:
    body, totals = _text_rows(report)
    out = [f"**{report.title}**", ""] if report.title else []
    if report.columns:
        out.append("| " + " | ".join(column.header for column in report.columns) + " |")
        rules = ["---:" if column.align == "right" else ":---" for column in report.columns]
        out.append("| " + " | ".join(rules) + " |")
        out += [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in body
        ]
        if totals is not None:
            out.append("| " + " | ".join(f"**{cell}**" if cell else "" for cell in totals) + " |")
    if report.notes:
        out += ["", *report.notes]
    return "\n".join(out) + "\n" + "".join("\n" + _markdown(part) for part in report.parts)


_LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


PAGE = 45
"""Rows of a LaTeX table that fit on a page; a longer one breaks over pages, its header repeated."""


def _tex(text: str) -> str:
    return printable(text).translate(_LATEX_ESCAPES)


def _latex(report: Report) -> str:
    """Return a table in the style of the LaTeX package booktabs; words alone stay verbatim."""
    below = "".join("\n" + _latex(part) for part in report.parts)
    if not report.columns:
        words = _words(report)
        if not words:
            return below.removeprefix("\n")
        return "\n".join([r"\begin{verbatim}", *words, r"\end{verbatim}"]) + "\n" + below
    body, totals = _text_rows(report)

    def line(cells: list[str]) -> str:
        return " & ".join(_tex(cell) for cell in cells) + r" \\"

    head = [r"\toprule", line([column.header for column in report.columns]), r"\midrule"]
    foot = [*([r"\midrule", line(totals)] if totals is not None else []), r"\bottomrule"]
    columns = "{" + "".join("r" if c.align == "right" else "l" for c in report.columns) + "}"
    caption = [r"\caption{" + _tex(report.title) + "}"] if report.title else []
    notes = [r"\par " + _tex(note) for note in report.notes if note]
    rows = [line(cells) for cells in body]
    if len(rows) > PAGE:
        ended = [text + r" \\" for text in caption]
        out = [r"% \usepackage{booktabs,longtable}", r"\begin{longtable}" + columns, *ended, *head]
        out += [r"\endhead", *rows, *foot, r"\end{longtable}", *notes]
    else:
        out = [r"% \usepackage{booktabs}", r"\begin{table}", r"\centering", *caption]
        out += [r"\begin{tabular}" + columns, *head, *rows, *foot, r"\end{tabular}"]
        out += [*notes, r"\end{table}"]
    return "\n".join(out) + "\n" + below


FORMATS: dict[str, Callable[[Report], str]] = {
    "plain": _plain,
    "json": _json,
    "csv": _csv,
    "markdown": _markdown,
    "latex": _latex,
}
"""The text formats by name: a function here is all that one more takes."""

STYLES = ("table", *FORMATS)
"""What can be asked for; `table` is drawn by `convcli.report.table` on a terminal."""
