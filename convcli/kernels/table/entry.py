"""How a row of the table becomes a `Kernel`."""

from __future__ import annotations

import math
from dataclasses import replace

from convcli.kernels.value import Kernel, Number, Rows, Taps

SQUARE_ROOT_OF_2 = "√2"


def entry(
    name: str,
    rows: str | Rows = "",
    *,
    column: str | Taps = "",
    row: str | Taps = "",
    divisor: Number = 1,
    offset: Number = 0,
    aliases: str = "",
    source: str,
    notes: str = "",
) -> Kernel:
    """Return the kernel of one table row, written as rows or as column and row.

    Rows end with `;`; numbers, and aliases, are parted by spaces; √2 is a number too.

    >>> entry("mean", column="1 1", row="1 1", divisor=4, source="definition").weights
    ((0.25, 0.25), (0.25, 0.25))
    """
    matrix = (
        tuple(_taps(line) for line in rows.split(";") if line) if isinstance(rows, str) else rows
    )
    return Kernel(
        name,
        matrix=matrix or None,
        column=_taps(column) or None,
        row=_taps(row) or None,
        divisor=divisor,
        offset=offset,
        aliases=tuple(aliases.split()),
        source=source,
        notes=notes,
    )


def group(name: str, *kernels: Kernel) -> tuple[Kernel, ...]:
    return tuple(replace(kernel, group=name) for kernel in kernels)


def _taps(text: str | Taps) -> Taps:
    return tuple(_number(word) for word in text.split()) if isinstance(text, str) else text


def _number(word: str) -> Number:
    if word.endswith(SQUARE_ROOT_OF_2):
        return -math.sqrt(2) if word.startswith("-") else math.sqrt(2)
    return float(word) if "." in word else int(word)
