"""A sum and its terms, for people and for programs."""

from __future__ import annotations

from typing import Any

from convcli.report import Column, Report

PRODUCTS = (
    Column("place", "from"),
    Column("value", "value", "right"),
    Column("weight", "weight", "right"),
    Column("product", "product", "right"),
)


def place_text(place: tuple[int, ...] | None) -> str:
    """Return a place with commas, `padding` for None.

    >>> place_text((3, 4)), place_text(None)
    ('3,4', 'padding')
    """
    return "padding" if place is None else ",".join(map(str, place))


def sum_document(value: Any) -> dict[str, Any]:
    """Return a sum and its terms as plain values."""
    return {
        "name": value.name,
        "terms": [
            {
                "value": term.value,
                "weight": term.weight,
                "product": term.product,
                "from": None if term.place is None else list(term.place),
            }
            for term in value.terms
        ],
        "bias": value.bias,
        "sum": value.total,
    }


def sum_report(
    value: Any,
    document: Any = None,
    parts: tuple[Report, ...] = (),
    notes: tuple[str, ...] = (),
    *,
    most: int | None = None,
) -> Report:
    """Return the table of one sum, its total under the products.

    Args:
        value: a `convcli.inspect.arithmetic.Sum`.
        document: what JSON prints.
        parts: further tables.
        notes: sentences below.
        most: only so many terms, the largest products first, and one row for all others.
    """
    terms = value.terms
    rest = []
    if most is not None and len(terms) > most:
        terms = sorted(terms, key=lambda term: -abs(term.product))
        others = terms[most:]
        rest = [(f"{len(others)} others", None, None, sum(term.product for term in others))]
        terms = terms[:most]
    rows = [(place_text(term.place), term.value, term.weight, term.product) for term in terms]
    rows += rest
    if value.bias:
        rows.append(("bias", None, None, value.bias))
    title = f"{value.name} = {value.total:g}"
    return Report(
        title, PRODUCTS, tuple(rows), ("sum", None, None, value.total), notes, document, parts
    )
