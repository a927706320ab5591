"""Kernels as `Report` values: the list, and one kernel in full."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convcli.kernels import FAMILIES, OPERATIONS, AnyKernel, Family, Kernel, Magnitude, Operation
from convcli.kernels.calls import LARGEST_SHOWN, equivalent_calls
from convcli.report import Column, Report

if TYPE_CHECKING:
    from convcli.present.panels import Panel, Pixels

ALIASES_WIDTH = 24
"""Characters of the aliases in lists: a line fits 80 columns. JSON and CSV have them all."""

LARGEST_WRITTEN = 9
"""Cells of a matrix that is written out below its picture."""

ROOM = 76
"""Columns of a line of a matrix, which is indented by four."""

CELL_STYLES = frozenset({"csv", "markdown", "latex"})
"""Formats that others lay out."""


def catalog_report(kernels: Sequence[AnyKernel], *, families: bool) -> Report:
    """Return the list of kernels, grouped; `families` puts the table of families before it."""
    columns = (
        Column("group", "Group"),
        Column("name", "Kernel"),
        Column("size", "Size", "right"),
        Column("sum", "Sum", "right", _signed),
        Column("rank", "Rank", "right"),
        Column(
            "aliases",
            "Also",
            text=lambda text: textwrap.shorten(
                text, ALIASES_WIDTH, placeholder=" ...", break_on_hyphens=False
            ),
        ),
    )
    groups = [kernel.group for kernel in kernels]
    listed = Report(
        f"{len(kernels)} kernels" if len(kernels) != 1 else "1 kernel",
        columns,
        tuple(_catalog_row(kernel) for kernel in kernels),
        notes=("", "One in full: convcli kernels NAME"),
        document=[_document(kernel, calls=False) for kernel in kernels],
        sections=frozenset(n for n in range(1, len(groups)) if groups[n] != groups[n - 1]),
        name="kernels",
    )
    if not families:
        return listed
    parts = (
        _families_report("Families, with parameters", "families", FAMILIES),
        _families_report("Steps of a chain that are no kernels", "operations", OPERATIONS),
        listed,
    )
    title = f"{len(FAMILIES)} families, and {len(kernels)} kernels by name"
    return Report(title, (), (), document=listed.document, parts=parts, name="kernels")


def kernel_report(kernel: AnyKernel, style: str | None = None) -> Report:
    """Return everything about one kernel.

    Args:
        kernel: a kernel or a magnitude of two.
        style: of `--format`; on a screen long facts are folded and matrices laid out, in CSV,
            Markdown and LaTeX each fact and each weight has a cell of its own.
    """
    on_screen = style not in CELL_STYLES
    facts = [row for what, text in _facts(kernel) for row in _wrapped(what, text, on_screen)]
    parts = [_matrix_report(part, style) for part in kernel.components]
    family = FAMILIES.get(kernel.name.partition(":")[0])
    if family is not None:
        parts.append(_parameters_report(family))
    parts += [
        Report(program, (), (), notes=tuple(f"    {line}" for line in text.splitlines()))
        for program, text in equivalent_calls(kernel).items()
    ]
    return Report(
        "",
        (Column("kernel", "Kernel"), Column(kernel.name, kernel.name)),
        tuple(facts),
        document=_document(kernel, calls=True),
        parts=tuple(parts),
        name="facts",
    )


def sheet_panels(
    picture: Pixels, kernels: Sequence[AnyKernel], *, grouped: bool = True
) -> Iterator[Panel]:
    """Yield the original and then what each kernel makes of it, under headings if `grouped`.

    Edges keep their signs: red where the sum is positive, blue where it is negative. Behind the
    magnitude of a gradient stands its direction.
    """
    from convcli.imaging.sheet import rise, signed_share
    from convcli.present.panels import Panel, Scale

    signed = Scale("signed", -1.0, 1.0, "sum, as a share of the strongest")
    strength = Scale("magnitude", 0.0, 1.0, "magnitude, as a share of the strongest")
    ways = Scale("direction", 0.0, 360.0, "where it grows brighter; black where it does not")

    yield Panel("original", picture)
    group = ""
    for kernel in kernels:
        heading = kernel.group * (grouped and kernel.group != group)
        name = "" if kernel.name == "custom" else f"{kernel.name}\n"
        values = signed_share(picture, kernel)
        scale = None if values.dtype == "uint8" else signed
        if isinstance(kernel, Magnitude):
            scale = strength
        yield Panel(name + _one_line(kernel), values, heading, scale)
        group = kernel.group
        if isinstance(kernel, Magnitude):
            degrees, share = rise(picture, kernel)
            hues = ways.colors(degrees) * share[..., None] ** 0.5  # the root keeps faint edges
            yield Panel(f"{name}its direction", hues.round().astype("uint8"), scale=ways)


def _one_line(kernel: AnyKernel) -> str:
    """Return a small matrix as rows on one line, of larger ones and pairs the size."""
    height, width = kernel.size_hw
    if isinstance(kernel, Magnitude):
        return f"{height}x{width}, {' and '.join(part.name for part in kernel.components)}"
    if height * width > LARGEST_WRITTEN:
        return f"{height}x{width}"
    rows = "; ".join(" ".join(map(_cell, row)) for row in kernel.rows)
    return rows if kernel.divisor == 1 else f"({rows}) / {_cell(kernel.divisor)}"


def _catalog_row(kernel: AnyKernel) -> tuple[Any, ...]:
    total = kernel.sum if isinstance(kernel, Kernel) else None
    rank = kernel.rank if isinstance(kernel, Kernel) else None
    return (kernel.group, kernel.name, kernel.size_hw, total, rank, " ".join(kernel.aliases))


def _signed(value: float | None) -> str:
    """Return a sum for people; a sum of rounding errors is 0."""
    return "-" if value is None else f"{round(value, 9) + 0.0:.4g}"


def _facts(kernel: AnyKernel) -> list[tuple[str, str]]:
    facts = [
        ("group", kernel.group),
        ("also called", ", ".join(kernel.aliases)),
    ]
    if isinstance(kernel, Magnitude):
        facts.append(("components", " and ".join(part.name for part in kernel.components)))
    else:
        facts += [
            ("size", "x".join(map(str, kernel.size_hw))),
            ("divisor", f"{kernel.divisor:.6g}"),
            ("offset", f"{kernel.offset:g} of 255"),
            ("sum", f"{_signed(kernel.sum)} ({_kind(kernel)})"),
            ("rank", _rank_text(kernel)),
            ("symmetry", ", ".join(kernel.symmetry) or "none"),
        ]
    facts += [("source", kernel.source), ("notes", kernel.notes)]
    return [(what, text) for what, text in facts if text]


def _kind(kernel: Kernel) -> str:
    if kernel.is_zero_sum:
        return "a flat picture gives zero"
    if kernel.is_smoothing:
        return "a weighted mean"
    return "after the divisor"


def _rank_text(kernel: Kernel) -> str:
    if kernel.factors is not None:
        return "1: separable, runs as two passes"
    return "not calculated at this size" if kernel.rank is None else str(kernel.rank)


def _wrapped(what: str, text: str, folded: bool) -> list[tuple[str, str]]:
    """Return a fact as one table row, or as several whose lines fit 80 columns."""
    lines = textwrap.wrap(text, 64) if folded else [text]
    return [(what if number == 0 else "", line) for number, line in enumerate(lines)]


def _matrix_report(kernel: Kernel, style: str | None) -> Report:
    """Return the rows before the divisor; of a large separable kernel, the factors."""
    title = f"Matrix of {kernel.name}"
    if kernel.divisor != 1:
        title += f", to be divided by {kernel.divisor:.6g}"
    if style == "csv" or (style in CELL_STYLES and max(kernel.size_hw) <= LARGEST_SHOWN):
        numbers = range(kernel.size_hw[1])
        columns = (Column(f"{kernel.name} {n}", str(n), "right", _cell) for n in numbers)
        return Report(title, tuple(columns), tuple(map(tuple, kernel.rows)), name=kernel.name)
    if max(kernel.size_hw) <= LARGEST_SHOWN:
        lines = _aligned(kernel.rows)
    elif kernel.factors is not None:
        column, row = kernel.factors
        words = [f"column: {' '.join(map(_cell, column))}", f"row: {' '.join(map(_cell, row))}"]
        lines = [
            line for text in words for line in textwrap.wrap(text, 72, subsequent_indent="    ")
        ]
    else:
        height, width = kernel.size_hw
        lines = [f"{height}x{width} numbers: convcli kernels {kernel.name} --format json"]
    return Report(title, (), (), notes=tuple(f"    {line}" for line in lines), name=kernel.name)


def _aligned(rows: Sequence[Sequence[float]]) -> list[str]:
    """Return the rows with as many digits, three at the most, as 80 columns have room for."""
    lines: list[str] = []
    for digits in (3, 2, 1):
        words = [[_cell(cell, digits) for cell in cells] for cells in rows]
        width = max(len(word) for line in words for word in line)
        lines = [" ".join(word.rjust(width) for word in line) for line in words]
        if len(lines[0]) <= ROOM:
            break
    return lines


def _cell(value: float, digits: int = 3) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.{digits}g}"


SINGLE = "single values: behind a kernel no pass through memory of its own"
WHOLE = "a whole picture: what is before it is kept, 4 bytes a value (--memory-limit counts them)"


def operation_report(operation: Operation) -> Report:
    """Return what a step of a chain that is no kernel does, and its parameters."""
    family = OPERATIONS[operation.word]
    facts = (
        ("is", "a step of a chain: convcli filter PICTURE -k sobel -k threshold:otsu"),
        ("needs", WHOLE if operation.needs_all else SINGLE),
    )
    rows = [
        row
        for what, text in (*facts, ("does", family.source))
        for row in _wrapped(what, text, True)
    ]
    document = {"name": operation.name, "does": family.source, "values": dict(operation.values)}
    columns = (Column("step", "Step"), Column(operation.name, operation.name))
    parts = (_parameters_report(family),) if family.parameters else ()
    return Report("", columns, tuple(rows), document=document, parts=parts, name="facts")


def _parameters_report(family: Family[Any]) -> Report:
    columns = (
        Column("parameter", "Parameter"),
        Column("default", "Default", "right"),
        Column("meaning", "Meaning", text=lambda text: text),
    )
    rows = tuple((name, p.default, p.meaning) for name, p in family.parameters.items())
    return Report(f"Parameters, as in {family.example}", columns, rows, name="parameters")


def _families_report(title: str, name: str, families: Mapping[str, Family[Any]]) -> Report:
    columns = (
        Column("family", "Step" if families is OPERATIONS else "Family"),
        Column("parameters", "Parameters"),
        Column("example", "Example"),
    )
    rows = tuple((one.name, ", ".join(one.parameters), one.example) for one in families.values())
    return Report(title, columns, rows, name=name)


def _document(kernel: AnyKernel, *, calls: bool) -> dict[str, Any]:
    """Return the JSON form of a kernel."""
    document: dict[str, Any] = {
        "name": kernel.name,
        "aliases": kernel.aliases,
        "group": kernel.group,
        "size": kernel.size_hw,
        "offset": kernel.offset,
        "source": kernel.source,
        "notes": kernel.notes,
    }
    if isinstance(kernel, Magnitude):
        document["components"] = [_document(part, calls=False) for part in kernel.components]
    else:
        column, row = kernel.factors or (None, None)
        document |= {
            "rows": kernel.rows,
            "divisor": kernel.divisor,
            "sum": kernel.sum,
            "rank": kernel.rank,
            "column": column,
            "row": row,
            "symmetry": kernel.symmetry,
            "zero_sum": kernel.is_zero_sum,
            "smoothing": kernel.is_smoothing,
        }
    if calls:
        document["calls"] = equivalent_calls(kernel)
    return document
