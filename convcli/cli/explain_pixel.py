"""`convcli filter --explain ROW,COL`: the products behind one output pixel as a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from convcli.cli.console import emit, standard_input
from convcli.errors import UsageError
from convcli.imaging.apply import read_any
from convcli.imaging.content import Limits
from convcli.imaging.explanation import Component, Explanation, Term, channel_name, explain_frame
from convcli.imaging.jobs import find_sources
from convcli.imaging.matrices import number_text
from convcli.imaging.options import FilterOptions
from convcli.imaging.steps import Step
from convcli.report import Column, Report

COLUMNS = (
    Column("from", "from"),
    Column("value", "value", "right", lambda value: "" if value is None else number_text(value)),
    Column("weight", "weight", "right", lambda value: "" if value is None else number_text(value)),
    Column("product", "product", "right", lambda value: f"{value:.10g}"),
)


def explain_pixel(
    inputs: Sequence[str],
    place: str,
    steps: Sequence[Step],
    options: FilterOptions,
    *,
    limits: Limits,
    style: str | None,
) -> None:
    """Print the explanation of one output pixel of one input.

    Raises:
        UsageError: several inputs, or a place that is not ROW,COL of the output.
    """
    sources = find_sources(inputs)
    if len(sources) != 1:
        raise UsageError(f"--explain takes one input, not {len(sources)}.")
    row, column = parse_place(place)
    path = sources[0].path
    picture, _ = read_any(path or standard_input(), limits=limits)
    emit(explanation_report(explain_frame(picture.frames[0], steps, options, row, column)), style)


def parse_place(text: str) -> tuple[int, int]:
    """Return the row and column of `ROW,COL`.

    >>> parse_place("3,14")
    (3, 14)

    Raises:
        UsageError: anything else.
    """
    match = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text)
    if not match:
        raise UsageError(f"{text!r} is no place; write ROW,COL from 0, such as 3,14.")
    return int(match[1]), int(match[2])


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


def _table(component: Component, border: str) -> Report:
    rows = tuple(
        (_where(term, border), term.value, term.weight, term.product) for term in component.terms
    )
    return Report(component.name, COLUMNS, rows, ("sum", None, None, component.sum))


def _where(term: Term, border: str) -> str:
    if term.place is None:
        return f"beyond ({border})"
    place = f"{term.place[0]},{term.place[1]}"
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
            _component_document(component, one.channel)
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


def _component_document(component: Component, channel: int | None) -> dict[str, Any]:
    terms = [
        {
            "value": term.value,
            "weight": term.weight,
            "product": term.product,
            "from": None if term.place is None else list(term.place),
        }
        for term in component.terms
    ]
    return {"name": component.name, "channel": channel, "terms": terms, "sum": component.sum}
