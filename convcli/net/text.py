"""The notation as tokens with places, the numbers in them, and the caret under what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from convcli.errors import UsageError
from convcli.layers.base import MAX_EXTENT

if TYPE_CHECKING:
    import ast

MAX_TEXT = 200_000
"""Characters; the longest preset has a tenth of this."""

SIGNS = "(),|\n"


class ParseError(ValueError):
    """A word or an expression has no value; the message says why, `node` where."""

    def __init__(self, reason: str, node: ast.expr | None = None) -> None:
        super().__init__(reason)
        self.node = node


class Token(NamedTuple):
    """A word, or one of the signs `( ) , |`; an empty text is the end."""

    text: str
    place: int


def tokens(text: str) -> list[Token]:
    """Return the tokens; comments are left out, a newline is a comma.

    >>> [token.text for token in tokens("conv 16 3, gap  # done")]
    ['conv', '16', '3', ',', 'gap', '']

    Raises:
        UsageError: the text is absurdly long, holds a control character, or a `{` is not closed.
    """
    if len(text) > MAX_TEXT:
        raise UsageError(
            f"The notation has {len(text):,} characters; {MAX_TEXT:,} is the limit. "
            f"Use `repeat` and blocks."
        )
    found: list[Token] = []
    place = 0
    while place < len(text):
        sign = text[place]
        if sign in SIGNS:
            found.append(Token("," if sign == "\n" else sign, place))
            place += 1
        elif sign.isspace():
            place += 1
        elif sign == "#":
            end = text.find("\n", place)
            place = len(text) if end < 0 else end
        else:
            end = _word_end(text, place)
            found.append(Token(text[place:end], place))
            place = end
    found.append(Token("", len(text)))
    return found


def _word_end(text: str, place: int) -> int:
    """Return where the word that begins at `place` ends; `{...}` is part of it, blanks and all."""
    end = place
    while end < len(text) and text[end] not in SIGNS and text[end] != "#":
        if text[end].isspace():
            break
        if not text[end].isprintable():
            raise mistake(text, Token(text[end], end), "this is no text, it holds control codes.")
        if text[end] == "{":
            close = text.find("}", end)
            if close < 0 or "\n" in text[end:close]:
                raise mistake(text, Token(text[end], end), "this { is not closed.")
            end = close
        end += 1
    return end


def sentence(problem: Exception) -> str:
    """Return what is wrong with a full stop behind it, unless it ends with a mark of its own.

    >>> sentence(ValueError("3x is no whole number"))
    '3x is no whole number.'
    """
    told = str(problem)
    return told if told.endswith((".", "?")) else f"{told}."


def mistake(text: str, token: Token, reason: str) -> UsageError:
    """Return the error that shows the line with a caret under the token.

    >>> print(mistake("conv 16 3, mxpool 2", Token("mxpool", 11), "mxpool is unknown."))
    mxpool is unknown.
      conv 16 3, mxpool 2
                 ^^^^^^
    """
    start = text.rfind("\n", 0, token.place) + 1
    end = text.find("\n", token.place)
    line = text[start : len(text) if end < 0 else end].expandtabs(1)
    column = token.place - start
    width = max(1, min(len(token.text), 40))
    if len(line) > 76:
        left = max(0, column - 30)
        line = ("..." if left else "") + line[left : left + 70] + "..." * (left + 70 < len(line))
        column -= left - 3 * (left > 0)
    shown = "".join(sign if sign.isprintable() else "?" for sign in line)
    number = text.count("\n", 0, start)
    place = f" (line {number + 1})" if "\n" in text.strip() else ""
    return UsageError(f"{reason}{place}\n  {shown}\n  {' ' * column}{'^' * width}")


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
