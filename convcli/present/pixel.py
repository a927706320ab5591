"""One filtered pixel, explained: the products behind it as tables, and as agreed fields."""

from __future__ import annotations

from typing import Any

from convcli.imaging.explanation import Explanation, channel_name
from convcli.imaging.matrices import number_text
from convcli.present.sums import place_text, sum_document
from convcli.report import Column, Report
from convcli.sums import Sum, Term


def _number(value: float | None) -> str:
    return "" if value is None else number_text(value)


COLUMNS = (
    Column("from", "from"),
    Column("value", "value", "right", _number),
    Column("weight", "weight", "right", _number),
    Column("product", "product", "right", lambda value: f"{value:.10g}"),
)


def explanation_report(explanations: tuple[Explanation, ...]) -> Report:
    """Return one table a component, the rule under the last one of each channel."""
    first = explanations[0]
    parts = []
    for one in explanations:
        tables = [_table(component, one.border) for component in one.components]
        tables[-1] = Report(
            tables[-1].title,
            COLUMNS,
            tables[-1].rows,
            tables[-1].totals,
            notes=(*tables[-1].notes, *_conclusion(one, len(explanations))),
        )
        parts += tables
    return Report(
        f"output pixel {first.row},{first.column}",
        (),
        (),
        parts=tuple(parts),
        document=explanation_document(explanations),
    )


def _conclusion(one: Explanation, count: int) -> list[str]:
    name = "value" if one.channel is None else channel_name(one.channel, count)
    converted = f"{one.value_range}: the pixel becomes {number_text(one.pixel)}"
    return [f"{name}: {one.rule}", *([] if one.pixel == one.value else [converted])]


def _table(component: Sum, border: str) -> Report:
    rows = tuple(
        (_where(term, border), term.value, term.weight, term.product) for term in component.terms
    )
    return Report(component.name, COLUMNS, rows, ("sum", None, None, component.total))


def _where(term: Term, border: str) -> str:
    if term.place is None:
        return f"beyond ({border})"
    place = place_text(term.place)
    return f"{place} ({border})" if term.is_beyond else place


def explanation_document(explanations: tuple[Explanation, ...]) -> dict[str, Any]:
    """Return the agreed fields; for several channels `sum` is null and `channels` has each."""
    several = len(explanations) > 1
    first = explanations[0]
    document: dict[str, Any] = {
        "row": first.row,
        "col": first.column,
        "channel": first.channel,
        "components": [
            {**sum_document(component), "channel": one.channel}
            for one in explanations
            for component in one.components
        ],
        "sum": None if several else first.value,
        "pixel": None if several else first.pixel,
    }
    if several:
        document["channel"] = None
        document["channels"] = [
            {
                "channel": one.channel,
                "name": channel_name(one.channel or 0, len(explanations)),
                "sum": one.value,
                "pixel": one.pixel,
            }
            for one in explanations
        ]
    return document
