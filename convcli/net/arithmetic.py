"""Whole-number arithmetic for variables: `{2*n}`. A small grammar, no evaluation of code.

sum     = product (("+" | "-") product)*
product = factor (("*" | "/" | "//" | "%") factor)*
factor  = number | name | "-" factor | "(" sum ")"
"""

from __future__ import annotations

from collections.abc import Mapping

from convcli.errors import did_you_mean

MAX_VALUE = 10**9
MAX_LENGTH = 200


class Unreadable(ValueError):
    """The expression has no value; the message says why."""


def evaluate(text: str, variables: Mapping[str, int]) -> int:
    """Return the value of a whole-number expression.

    `/` must divide exactly; `//` rounds down.

    >>> evaluate("2*(n + 1)", {"n": 3})
    8

    Raises:
        Unreadable: not an expression, an unknown variable, or a value beyond a thousand million.
    """
    if len(text) > MAX_LENGTH:
        raise Unreadable(f"expressions hold at most {MAX_LENGTH} characters")
    reader = _Reader(_tokens(text), variables)
    value = reader.sum()
    if reader.rest:
        raise Unreadable(f"{reader.rest[0]!r} is not expected here")
    return value


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    place = 0
    while place < len(text):
        sign = text[place]
        if sign.isspace():
            place += 1
            continue
        end = place + 1
        if sign.isascii() and (sign.isalnum() or sign == "_"):
            while end < len(text) and (text[end].isalnum() or text[end] == "_"):
                end += 1
        elif text.startswith("//", place):
            end += 1
        elif sign not in "+-*/%()":
            raise Unreadable(f"{sign!r} has no meaning here; known are + - * / // % ( )")
        tokens.append(text[place:end])
        place = end
    return tokens


class _Reader:
    def __init__(self, tokens: list[str], variables: Mapping[str, int]) -> None:
        self.rest = tokens
        self.variables = variables

    def _next_is(self, *signs: str) -> str | None:
        return self.rest.pop(0) if self.rest and self.rest[0] in signs else None

    def sum(self) -> int:
        value = self.product()
        while sign := self._next_is("+", "-"):
            other = self.product()
            value = _bounded(value + other if sign == "+" else value - other)
        return value

    def product(self) -> int:
        value = self.factor()
        while sign := self._next_is("*", "/", "//", "%"):
            value = _bounded(_combine(value, sign, self.factor()))
        return value

    def factor(self) -> int:
        if not self.rest:
            raise Unreadable("a number or a variable is missing")
        if self._next_is("-"):
            return -self.factor()
        if self._next_is("("):
            value = self.sum()
            if not self._next_is(")"):
                raise Unreadable("a closing ) is missing")
            return value
        word = self.rest.pop(0)
        if word.isascii() and word.isdigit():
            if len(word) > 10:
                raise Unreadable(f"numbers go up to {MAX_VALUE:,}")
            return _bounded(int(word))
        if word in self.variables:
            return self.variables[word]
        if not word.isidentifier():
            raise Unreadable(f"a number or a variable is missing before {word!r}")
        known = ", ".join(sorted(self.variables)) or "none; write `let n = 16` at the top"
        hint = did_you_mean(word, self.variables)
        raise Unreadable(f"variable {word!r} is unknown (known: {known}).{hint}")


def _combine(value: int, sign: str, other: int) -> int:
    if sign == "*":
        return value * other
    if other == 0:
        raise Unreadable("division by zero")
    if sign == "/" and value % other:
        raise Unreadable(f"{value} / {other} is no whole number; // rounds down")
    return value % other if sign == "%" else value // other


def _bounded(value: int) -> int:
    if abs(value) > MAX_VALUE:
        raise Unreadable(f"values go up to {MAX_VALUE:,}")
    return value
