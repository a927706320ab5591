"""What filtering has to say: files as rows, matrices as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convcli.errors import UsageError
from convcli.imaging.batch import FileReport
from convcli.imaging.matrices import matrix_to_text, number_text
from convcli.imaging.picture import Frame
from convcli.imaging.views import PERCENTILES, ChannelFigures, channel_name
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
        **({"stats": [_figures(one) for one in report.figures]} if report.figures else {}),
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
        parts=tuple(_figures_report(one, len(reports) > 1) for one in reports if one.figures),
    )


def _figures(one: ChannelFigures) -> dict[str, Any]:
    percentiles = zip((f"p{place}" for place in PERCENTILES), one.percentiles, strict=True)
    return {
        "channel": one.channel,
        "mean": one.mean,
        "deviation": one.deviation,
        "min": one.low,
        **dict(percentiles),
        "max": one.high,
        "histogram": list(one.counts),
    }


def _figures_report(report: FileReport, several: bool) -> Report:
    """Return how the values of each channel were spread before conversion."""
    records = [_figures(one) for one in report.figures]
    numbers = [key for key in records[0] if key not in {"channel", "histogram"}]
    columns = (
        Column("channel", "Channel"),
        *(Column(key, key.capitalize(), "right", "{:.4g}".format) for key in numbers),
        Column("histogram", "Histogram", text=sparkline),
    )
    rows = tuple(tuple(record.values()) for record in records)
    title = f"Values of {report.source} before conversion" if several else "Values"
    return Report(title, columns, rows, name="stats")


def sparkline(counts: Sequence[int]) -> str:
    """Return counts as a row of blocks, each as high as its share of the largest.

    >>> sparkline([0, 1, 4, 8])
    ' ▁▄█'
    """
    top = max(counts) or 1
    return "".join(" ▁▂▃▄▅▆▇█"[-(-8 * count // top)] for count in counts)


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


MOST_NUMBERS = 40
"""Values along a side that are still read."""


def numbers_report(before: Frame, after: Frame, written: str) -> Report:
    """Return a square of input and result as numbers, each channel by itself.

    Args:
        before: the input.
        after: the result.
        written: `X,Y,N`: column and row of the first value, and how many along each side.
    """
    words = [word.strip() for word in written.split(",")]
    if len(words) != 3 or not all(word.isdecimal() and len(word) < 10 for word in words):
        raise UsageError(
            f"--numbers {written[:60]!r} is no place. Write X,Y,N: column, row and how many, such "
            "as 120,80,8."
        )
    left, top, count = map(int, words)
    if not 1 <= count <= MOST_NUMBERS:
        raise UsageError(f"--numbers {written}: 1 to {MOST_NUMBERS} values along a side.")
    parts, document = [], {"x": left, "y": top, "n": count}
    for name, frame in (("input", before), ("result", after)):
        height, width = frame.pixels.shape[:2]
        if left >= width or top >= height:
            raise UsageError(f"--numbers {written} lies outside the {name} of {width} x {height}.")
        cut = frame.pixels[top : top + count, left : left + count]
        document[name] = matrix_document(cut)["values"]
        planes = [cut] if cut.ndim == 2 else list(np.moveaxis(cut, 2, 0))
        for channel, plane in enumerate(planes):
            title = name if len(planes) == 1 else f"{name}, {channel_name(channel, len(planes))}"
            parts.append(_square(title, plane, left, top))
    return Report(
        f"Values from column {left} and row {top} on", (), (), document=document, parts=tuple(parts)
    )


def _square(title: str, plane: Any, left: int, top: int) -> Report:
    columns = (
        Column("row", "", "right"),
        *(Column(str(x), str(x), "right", _short) for x in range(left, left + plane.shape[1])),
    )
    rows = tuple((top + row, *cells) for row, cells in enumerate(plane.tolist()))
    return Report(title.capitalize(), columns, rows, name=title.replace(", ", "-"))


def _short(value: float) -> str:
    """Return a number of up to five digits, never a negative zero.

    >>> _short(200), _short(-0.0), _short(1.23456789)
    ('200', '0', '1.2346')
    """
    return f"{value + 0.0:.5g}"


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
