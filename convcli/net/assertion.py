"""Checks over totals for scripts: `params < 5e6 and receptive_field >= 224`. No code is evaluated.

either     = both ("or" both)*
both       = negation ("and" negation)*
negation   = "not" negation | comparison
comparison = sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)+ | "(" either ")"
sum        = product (("+" | "-") product)*
product    = value (("*" | "/") value)*
value      = number | name | "-" value | "(" sum ")"
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import NamedTuple

from convcli.errors import UsageMistake, did_you_mean
from convcli.net.text import Token, mistake
from convcli.net.trace import Trace

MAX_LENGTH = 1000
MAX_DEPTH = 20

Number = int | float

COMPARISONS: dict[str, Callable[[Number, Number], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


class Verdict(NamedTuple):
    """Whether an expression holds, and each comparison in it with its numbers."""

    holds: bool
    comparisons: tuple[tuple[str, bool], ...]
    """`params 30762 < 5e6` and whether it holds."""


def assertion_values(trace: Trace) -> dict[str, Number]:
    """Return the names an assertion may use; fields per axis count with their smaller axis.

    >>> from convcli.net import network
    >>> assertion_values(network("mnist").trace())["receptive_field"]
    10
    """
    totals = trace.totals
    return {
        "params": totals.params,
        "trainable": totals.trainable,
        "non_trainable": totals.non_trainable,
        "buffers": totals.buffers,
        "macs": totals.macs,
        "flops": totals.flops,
        "activation_bytes": totals.activation_bytes,
        "weight_bytes": totals.weight_bytes,
        "receptive_field": min(totals.receptive_field),
        "receptive_field_min": min(totals.receptive_field_min),
        "layers": len(trace.steps),
    }


def check(expression: str, values: Mapping[str, Number]) -> Verdict:
    """Return whether the expression holds for these values.

    >>> check("params < 5e6 and macs > 0", {"params": 30762, "macs": 680832}).holds
    True
    >>> check("params < 30000", {"params": 30762})
    Verdict(holds=False, comparisons=(('params 30762 < 30000', False),))

    Raises:
        UsageMistake: not an expression of comparisons, or an unknown name; shows the place.
    """
    if len(expression) > MAX_LENGTH:
        raise UsageMistake(f"An assertion holds at most {MAX_LENGTH} characters.")
    reader = _Reader(expression, values)
    holds = reader.either(0)
    if reader.rest[0].text:
        raise mistake(expression, reader.rest[0], f"{reader.rest[0].text} is not expected here.")
    return Verdict(holds, tuple(reader.comparisons))


def _tokens(text: str) -> list[Token]:
    found = []
    place = 0
    while place < len(text):
        sign = text[place]
        if sign.isspace():
            place += 1
            continue
        end = place + 1
        if text[place : place + 2] in COMPARISONS:
            end += 1
        elif sign.isascii() and (sign.isalnum() or sign in "_."):
            while end < len(text) and _continues(text, place, end):
                end += 1
        elif sign not in "<>+-*/()":
            known = " ".join(COMPARISONS)
            raise mistake(text, Token(sign, place), f"{sign} has no meaning. Use {known} and or.")
        found.append(Token(text[place:end], place))
        place = end
    return [*found, Token("", len(text))]


def _continues(text: str, start: int, end: int) -> bool:
    """Tell whether a word or number goes on; the sign in `5e-3` is part of it."""
    sign = text[end]
    if sign.isascii() and (sign.isalnum() or sign in "_."):
        return True
    is_number = text[start].isdigit() or text[start] == "."
    return is_number and sign in "+-" and text[end - 1] in "eE"


class _Reader:
    def __init__(self, text: str, values: Mapping[str, Number]) -> None:
        self.text = text
        self.values = values
        self.rest = _tokens(text)
        self.comparisons: list[tuple[str, bool]] = []

    def _next_is(self, *words: str) -> str | None:
        return self.rest.pop(0).text if self.rest[0].text in words else None

    def _wrong(self, reason: str) -> UsageMistake:
        return mistake(self.text, self.rest[0], reason)

    def either(self, depth: int) -> bool:
        holds = self.both(depth)
        while self._next_is("or"):
            other = self.both(depth)
            holds = holds or other
        return holds

    def both(self, depth: int) -> bool:
        holds = self.negation(depth)
        while self._next_is("and"):
            other = self.negation(depth)
            holds = holds and other
        return holds

    def negation(self, depth: int) -> bool:
        self._check_depth(depth)
        if self._next_is("not"):
            return not self.negation(depth + 1)
        if self.rest[0].text == "(" and self._bracket_compares():
            self.rest.pop(0)
            holds = self.either(depth + 1)
            self._close()
            return holds
        return self.comparison(depth)

    def _bracket_compares(self) -> bool:
        """Tell whether the bracket that opens here holds a comparison, not a plain number."""
        level = 0
        for token in self.rest:
            level += (token.text == "(") - (token.text == ")")
            if token.text in COMPARISONS:
                return True
            if level == 0:
                break
        return False

    def comparison(self, depth: int) -> bool:
        start = self.rest[0].place
        left = self.sum(depth)
        if self.rest[0].text not in COMPARISONS:
            raise self._wrong(f"a comparison is missing here: one of {' '.join(COMPARISONS)}.")
        holds = True
        while sign := self._next_is(*COMPARISONS):
            middle = self.rest[0].place
            right = self.sum(depth)
            fine = COMPARISONS[sign](left, right)
            written = self.text[start:middle].removesuffix(" ").removesuffix(sign).strip()
            value = "" if written == f"{left}" or _is_number(written) else f" {left:.12g}"
            other = self.text[middle : self.rest[0].place].strip()
            self.comparisons.append((f"{written}{value} {sign} {other}", fine))
            holds = holds and fine
            left, start = right, middle
        return holds

    def sum(self, depth: int) -> Number:
        value = self.product(depth)
        while sign := self._next_is("+", "-"):
            other = self.product(depth)
            value = value + other if sign == "+" else value - other
        return value

    def product(self, depth: int) -> Number:
        value = self.value(depth)
        while sign := self._next_is("*", "/"):
            other = self.value(depth)
            if sign == "/" and other == 0:
                raise self._wrong("this divides by zero.")
            value = value * other if sign == "*" else value / other
        return value

    def value(self, depth: int) -> Number:
        self._check_depth(depth)
        if self._next_is("-"):
            return -self.value(depth + 1)
        if self._next_is("("):
            value = self.sum(depth + 1)
            self._close()
            return value
        word = self.rest[0].text
        if word in self.values:
            self.rest.pop(0)
            return self.values[word]
        if _is_number(word):
            self.rest.pop(0)
            return int(word) if word.isdigit() else float(word)
        if not word:
            raise self._wrong("a number or a name is missing at the end.")
        known = ", ".join(self.values)
        raise self._wrong(f"{word} is no total.{did_you_mean(word, self.values)} Known: {known}.")

    def _close(self) -> None:
        if not self._next_is(")"):
            raise self._wrong("a closing ) is missing here.")

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._wrong(f"brackets are nested more than {MAX_DEPTH} deep.")


def _is_number(word: str) -> bool:
    """Tell whether a word is a plain number of bearable length: 5, 5e6, 0.5."""
    if not word or len(word) > 30 or "_" in word or word[0] not in ".0123456789":
        return False
    try:
        return abs(float(word)) < 1e100
    except ValueError:
        return False
