"""How single values are written: numbers, sizes per axis, padding, flags; read and written here."""

from __future__ import annotations

from convcli.layers.base import MAX_EXTENT, Layer
from convcli.layers.registry import Word
from convcli.net.expression import ParseError

SHORT = {
    "op": "output_padding",
    "s": "stride",
    "p": "padding",
    "d": "dilation",
    "g": "groups",
    "m": "multiplier",
}
"""Letters in front of a number; the longest first."""

FLAGS = {
    "nobias": "bias",
    "noscale": "scale",
    "ceil": "ceil",
    "countpad": "count_padding",
    "seq": "sequence",
    "bilinear": "bilinear",
}
"""Bare words and the field that each sets away from its default."""

PADDING_WORDS = ("valid", "same", "causal")


def written(word: Word, field: str) -> str:
    """Return how a field of a word is written, for help and errors.

    >>> from convcli.layers import WORDS
    >>> [written(WORDS["conv"], field) for field in ("kernel", "stride", "bias")]
    ['KERNEL', 'sN', 'nobias']
    """
    if field in word.positional:
        return field.upper()
    if field == "activation":
        return "ACTIVATION"
    flags = {field: flag for flag, field in FLAGS.items()}
    shorts = {field: f"{short}N" for short, field in SHORT.items()}
    if field == "padding":
        return "|".join([shorts[field], *PADDING_WORDS])
    return flags.get(field) or shorts.get(field) or f"{field}=VALUE"


def read_value(cls: type[Layer], field: str, text: str) -> object:
    """Return the value of one field from its text.

    Raises:
        ParseError: the text is no such value; the message says what it should be.
    """
    kind = cls.__dataclass_fields__[field].type
    if FLAGS.get(text) == field:
        return not cls.__dataclass_fields__[field].default
    if field == "padding" and text in PADDING_WORDS:
        return text
    if field == "output_padding":
        return sizes(text, lowest=0)
    if field in cls.pads_fields:
        return pads(text)
    if field in cls.axes_fields:
        return sizes(text)
    if kind == "int":
        values = sizes(text)
        if len(values) > 1:
            raise ParseError(f"{field} is one whole number, not {text}")
        return values[0]
    if kind == "float":
        return decimal(text)
    if field == "activation":
        return text
    raise ParseError(f"{field} is a bare word, it takes no value")


def sizes(text: str, lowest: int = 1) -> tuple[int, ...]:
    """Return the numbers of `3` or `3x5`.

    >>> sizes("3x5")
    (3, 5)
    """
    return tuple(whole(part, lowest) for part in text.split("x"))


def pads(text: str) -> tuple[tuple[int, int], ...]:
    """Return (before, after) of `1`, `1x2` or `0:1x1:2`.

    >>> pads("0:1x2")
    ((0, 1), (2, 2))
    """
    pairs = []
    for part in text.split("x"):
        before, colon, after = part.partition(":")
        first = whole(before, 0)
        pairs.append((first, whole(after, 0) if colon else first))
    return tuple(pairs)


def whole(text: str, lowest: int) -> int:
    """Return a whole number from `lowest` to `MAX_EXTENT`.

    >>> whole("28", lowest=1)
    28
    """
    if not (text.isascii() and text.isdigit()):
        negative = text[1:].isdigit() and text[0] == "-"
        if negative:
            raise ParseError(f"{text[:20]} is negative; use at least {lowest}")
        raise ParseError(f"{text[:20]!r} is no whole number")
    value = int(text) if len(text) <= 10 else MAX_EXTENT + 1
    if value > MAX_EXTENT:
        raise ParseError(f"{text[:20]} is absurdly large; {MAX_EXTENT:,} is the limit")
    if value < lowest:
        raise ParseError(f"{value} is too small; use at least {lowest}")
    return value


def decimal(text: str) -> float:
    """Return a plain finite number.

    >>> decimal("1e-5")
    1e-05
    """
    try:
        value = float(text) if text.isascii() and len(text) <= 30 and "_" not in text else None
    except ValueError:
        value = None
    if value is None or value - value != 0:
        raise ParseError(f"{text[:20]!r} is no number")
    return value
