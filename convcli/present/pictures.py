"""What filtering has to say: files as rows, matrices as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convcli.imaging.batch import FileReport
from convcli.imaging.matrices import matrix_to_text, number_text
from convcli.report import Column, Report, render, to_json
from convcli.report.numbers import as_seconds

FILE_COLUMNS = (
    Column("output", "Output"),
    Column("shape", "Shape"),
    Column("dtype", "Dtype"),
    Column("min", "Min", "right"),
    Column("max", "Max", "right"),
    Column("below", "Below", "right"),
    Column("above", "Above", "right"),
    Column("range", "Range"),
    Column("engine", "Engine"),
    Column("seconds", "Time", "right", as_seconds),
)


def result_record(report: FileReport, kernel: str) -> dict[str, Any]:
    """Return the agreed fields of one file."""
    statistics = report.statistics
    return {
        "input": report.source,
        "output": report.output,
        "kernel": kernel,
        "shape": report.shape,
        "dtype": report.dtype,
        "min": statistics.minimum,
        "max": statistics.maximum,
        "below": statistics.below,
        "above": statistics.above,
        "range": report.value_range,
        "engine": report.engine,
        "seconds": round(report.seconds, 4),
        "notes": [*_saturation([report]), *report.notes],
    }


def files_report(reports: Sequence[FileReport], kernel: str, style: str | None = None) -> Report:
    """Return one row a file; min and max are the values before they became pixels.

    Notes stand under the table, said once for all files; in JSON and CSV each file has its own.
    """
    records = [result_record(report, kernel) for report in reports]
    columns = (
        (*FILE_COLUMNS, Column("notes", "Notes", text=" ".join)) if style == "csv" else FILE_COLUMNS
    )
    said: dict[str, list[str]] = {}
    for report in reports:
        for note in report.notes:
            said.setdefault(note, []).append(report.source)
    notes = [
        note if len(reports) == 1 else f"{_of(files, len(reports))}: {note}"
        for note, files in said.items()
    ]
    return Report(
        f"{kernel}: values before conversion",
        columns,
        tuple(tuple(record[column.key] for column in columns) for record in records),
        notes=(*_saturation(reports), *notes),
        document=records,
    )


def _of(files: list[str], total: int) -> str:
    """Return whom a note is about, in a few words."""
    if len(files) == 1:
        return files[0]
    return f"All {total} files" if len(files) == total else f"{len(files)} of {total} files"


def _saturation(reports: Sequence[FileReport]) -> list[str]:
    """Say how many values the conversion cut, and what would have kept them."""
    below = sum(report.statistics.below for report in reports)
    above = sum(report.statistics.above for report in reports)
    if not below + above:
        return []
    cut = [one for one in reports if one.statistics.below + one.statistics.above]
    total = sum(one.size for one in reports)
    share = f"{below + above:,} of {total:,} values ({100 * (below + above) / total:.3g} %)"
    where = f" in {len(cut)} of {len(reports)} files" if len(reports) > 1 else ""
    clipped = any(one.value_range == "clip" for one in cut)
    shifting = "offset, " if clipped and below > above else ""
    return [
        f"{share} saturated{where}: {below:,} low, {above:,} high. Keep them with "
        f"--range {shifting}stretch or raw."
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
