"""How a model does on each class, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from convcli.report import Column, Report
from convcli.report.numbers import percent

if TYPE_CHECKING:
    from convcli.learn.answers import ClassFigures


def class_report(classes: Iterable[ClassFigures], counted: str) -> Report:
    """Return recall and precision of each class as a table.

    Args:
        classes: their figures.
        counted: heading of the column of samples.
    """
    columns = (
        Column("class", "class"),
        Column("recall", "found", "right", percent),
        Column("precision", "right when said", "right", percent),
        Column("n", counted, "right"),
    )
    rows = tuple((one.name, one.recall, one.precision, one.n) for one in classes)
    return Report("", columns, rows)
