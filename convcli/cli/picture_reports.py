"""What filtering files has to say: the fields that scripts read, and the sentences for people."""

from __future__ import annotations

from typing import Any

from convcli.imaging.apply import FileReport
from convcli.imaging.matrices import matrix_to_text, number_text
from convcli.report import Column, Report, render, to_json
from convcli.report.numbers import as_seconds

COLUMNS = (
    Column("output", "output"),
    Column("shape", "shape"),
    Column("dtype", "dtype"),
    Column("min", "min", "right"),
    Column("max", "max", "right"),
    Column("below", "below", "right"),
    Column("above", "above", "right"),
    Column("range", "range"),
    Column("engine", "engine"),
    Column("seconds", "time", "right", as_seconds),
)


def result_record(report: FileReport, kernel: str) -> dict[str, Any]:
    """Return the agreed fields of one file."""
    pixels, statistics = report.result.pixels, report.result.statistics
    return {
        "input": report.source,
        "output": report.output,
        "kernel": kernel,
        "shape": tuple(pixels.shape),
        "dtype": str(pixels.dtype),
        "min": statistics.minimum,
        "max": statistics.maximum,
        "below": statistics.below,
        "above": statistics.above,
        "range": report.result.value_range,
        "engine": report.result.engine,
        "seconds": round(report.seconds, 4),
    }


def files_report(reports: list[FileReport], kernel: str) -> Report:
    """Return one row a file; min and max are the values before they became pixels."""
    records = [result_record(report, kernel) for report in reports]
    notes: dict[str, None] = {}
    for report in reports:
        prefix = f"{report.source}: " if len(reports) > 1 else ""
        for note in (*_saturation(report), *report.notes):
            notes[prefix + note] = None
    return Report(
        f"{kernel}: values before conversion",
        COLUMNS,
        tuple(tuple(record[column.key] for column in COLUMNS) for record in records),
        notes=tuple(notes),
        document=records,
    )


def _saturation(report: FileReport) -> list[str]:
    """Say how many values the conversion cut, and what would have kept them."""
    result, statistics = report.result, report.result.statistics
    cut = statistics.below + statistics.above
    if not cut:
        return []
    total = sum(frame.pixels.size for frame in result.picture.frames)
    share = f"{cut:,} of {total:,} values ({100 * cut / total:.3g} %) saturated"
    below, above = statistics.below, statistics.above
    shifting = "offset, " if result.value_range == "clip" and below > above else ""
    return [
        f"{share}: {below:,} low, {above:,} high. Keep them with --range {shifting}stretch or raw."
    ]


def matrices_text(matrices: list[Any], style: str | None, *, several: bool) -> str:
    """Return printed matrices, in plain text and CSV readable again as inputs.

    Args:
        matrices: the results.
        style: of `--format`.
        several: several were asked for, so that JSON is a list even if one came out.
    """
    if style == "json":
        documents = [matrix_document(matrix) for matrix in matrices]
        return to_json(documents if several else documents[0]) + "\n"
    if style in {"markdown", "latex"}:
        return "\n".join(render(_matrix_report(matrix), style) for matrix in matrices)
    return "\n".join(matrix_to_text(matrix, "," if style == "csv" else " ") for matrix in matrices)


def _matrix_report(matrix: Any) -> Report:
    """Return a matrix as a table with its row and column numbers, one a channel."""
    if matrix.ndim == 3:
        planes = (_matrix_report(matrix[..., channel]) for channel in range(matrix.shape[2]))
        return next(planes) if matrix.shape[2] == 1 else Report("", (), (), parts=tuple(planes))
    numbers = (str(column) for column in range(matrix.shape[1]))
    columns = (Column("row", ""), *(Column(name, name, "right", number_text) for name in numbers))
    rows = tuple((str(row), *cells) for row, cells in enumerate(matrix.tolist()))
    return Report("", columns, rows)


def matrix_document(matrix: Any) -> dict[str, Any]:
    """Return the agreed fields of a printed matrix."""
    values = [[_plain(cell) for cell in row] for row in matrix.tolist()]
    return {"shape": list(matrix.shape), "values": values}


def _plain(cell: Any) -> Any:
    """Return whole numbers as integers, so that JSON shows 4 and not 4.0."""
    if isinstance(cell, list):
        return [_plain(part) for part in cell]
    return int(cell) if float(cell).is_integer() and abs(cell) < 2**53 else cell
