"""The notation as tokens with places, and the caret under a word that is wrong."""

from __future__ import annotations

from typing import NamedTuple

from convcli.errors import UsageError

MAX_TEXT = 200_000
"""Characters; the longest preset has a tenth of this."""

SIGNS = "(),|\n"


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
