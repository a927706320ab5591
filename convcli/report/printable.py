"""Names of files, classes and series come from anywhere: nothing in them may steer a terminal."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but for tab and newline
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # marks that turn the order of letters or lines
    "\ud800-\udfff\ufeff]"  # bytes of a file name that are no text, and a mark without a width
)


def printable(text: str) -> str:
    r"""Return text whose control characters are written out, as JSON writes them.

    >>> print(printable("red \x1b[31m"))
    red \u001b[31m
    """
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
