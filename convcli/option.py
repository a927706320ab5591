"""Options are fields: a frozen dataclass is the one description of what a command may be told."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any

from convcli.errors import UsageError


def option(help: str, *flags: str, default: Any = None, **more: Any) -> Any:  # noqa: A002
    """Return a dataclass field that is also an option of the command line.

    The command line reads it with `convcli.cli.options.takes`; for everyone else it is a field with
    a default, and this module costs nothing but the standard library.

    Args:
        help: one sentence for `--help`.
        flags: how it is spelled; `--field-name` when left out.
        default: the value without the option; it stands in the help.
        more: what the command line's library knows besides: `min`, `max`, `metavar`, `parser`.
    """
    return field(default=default, metadata={"option": (flags, {"help": help, **more})})


UNITS = {
    "": 1,
    "b": 1,
    **{letter: 1000 ** (k + 1) for k, letter in enumerate("kmgt")},
    **{f"{letter}b": 1000 ** (k + 1) for k, letter in enumerate("kmgt")},
    **{f"{letter}ib": 1024 ** (k + 1) for k, letter in enumerate("kmgt")},
}
"""Unit in small letters -> bytes."""


def byte_count(text: str) -> int:
    """Return the bytes in `8GiB`, `500 MB` or `2e9`.

    >>> byte_count("8GiB"), byte_count("1.5 kB")
    (8589934592, 1500)

    Raises:
        UsageError: no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:[eE]\d{1,2})?)\s*([A-Za-z]{0,3})\s*", text[:40])
    if match is None or match[2].lower() not in UNITS:
        raise UsageError(f"{text[:40]!r} is no size. Write it as 8GiB, 500MB or 2e9.")
    unit: int = UNITS[match[2].lower()]
    return round(float(match[1]) * unit)
