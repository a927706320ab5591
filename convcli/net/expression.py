"""Arithmetic and comparisons over named numbers: `{2*n}`, `params < 5e6 and macs > 0`.

Python reads the text (`ast`); only the operators below have a value here, so no code can run.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from convcli.errors import did_you_mean
from convcli.layers.base import shape_text
from convcli.net.text import ParseError, Token, mistake, sentence
from convcli.option import byte_count

Number = int | float
Sizes = tuple[int, ...]
MAX_LENGTH, MAX_DEPTH, MAX_VALUE, MAX_CONSTANT = 1000, 100, 10**9, 10**18
ARITHMETIC: dict[type, Callable[[Any, Any], Number]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


LITERAL = re.compile(r"(?<![\w.])(?:\d+(?:x\d+)+|\d+(?:\.\d+)?(?:[kKMGT]i?B?|B))(?![\w.])")
"""What Python does not read: sizes as `7x7x512`, and numbers with a unit as 1M, 1.5k, 8GiB."""


class Verdict(NamedTuple):
    """Whether an expression holds, and each comparison in it with its numbers."""

    holds: bool
    comparisons: tuple[tuple[str, bool], ...]
    """`params 30762 < 5e6` and whether it holds."""


Function = Callable[..., Number]


def _pick(key: Number, *pairs: Number) -> Number:
    """Return the number behind `key` in `50, 24, 100, 58`: a table of what a family has."""
    table = dict(zip(pairs[::2], pairs[1::2], strict=True))
    if key not in table:
        raise ParseError(f"{key} is none of {', '.join(map(str, table))}")
    return table[key]


FUNCTIONS: Mapping[str, Function] = {"max": max, "min": min, "pick": _pick}
"""What has a value with arguments in brackets."""


def evaluate(
    text: str, variables: Mapping[str, int], functions: Mapping[str, Function] = FUNCTIONS
) -> int:
    """Return the value of a whole-number expression; `/` must divide exactly, `//` rounds down.

    >>> evaluate("2*(n + 1)", {"n": 3}), evaluate("max(8, n//2)", {"n": 40})
    (8, 20)

    Raises:
        ParseError: not an expression, an unknown variable, or a value beyond a thousand million.
    """
    value = _Reader(text, variables, whole=True, functions=functions).value()
    if not isinstance(value, int):
        raise ParseError(f"{value} is no whole number")
    if abs(value) > MAX_VALUE:
        raise ParseError(f"values go up to {MAX_VALUE:,}")
    return value


def check(expression: str, values: Mapping[str, Number | Sizes]) -> Verdict:
    """Return whether an expression of comparisons holds for these values.

    >>> check("params < 5e6 and macs > 0", {"params": 30762, "macs": 680832}).holds
    True
    >>> check("params < 30000", {"params": 30762})
    Verdict(holds=False, comparisons=(('params 30762 < 30000', False),))
    >>> check("output == 7x7x512 and params < 1M", {"output": (7, 7, 512), "params": 9}).holds
    True

    Raises:
        UsageError: not an expression of comparisons, or an unknown name; shows the place.
    """
    try:
        reader = _Reader(expression, values, whole=False)
        return Verdict(reader.holds(), tuple(reader.comparisons))
    except ParseError as problem:
        text, node = expression.strip(), problem.node
        word = Token(ast.get_source_segment(text, node) or "", node.col_offset) if node else None
        raise mistake(text, word or Token(text, 0), sentence(problem)) from None


class _Reader:
    def __init__(
        self,
        text: str,
        names: Mapping[str, Number | Sizes],
        *,
        whole: bool,
        functions: Mapping[str, Function] = FUNCTIONS,
    ) -> None:
        self.functions = functions
        self.text, self.names, self.whole = text.strip(), names, whole
        self.literals: dict[str, Number | Sizes] = {}
        """Names of the same length that stand for `LITERAL`s, with their values."""
        self.comparisons: list[tuple[str, bool]] = []
        if len(text) > MAX_LENGTH:
            raise ParseError(f"expressions hold at most {MAX_LENGTH} characters")
        if not (self.text.isascii() and self.text):
            raise ParseError("a number or a variable is missing")
        try:
            with warnings.catch_warnings(action="ignore"):  # `1if` warns before it is refused
                masked = self.text if whole else LITERAL.sub(self._masked, self.text)
                self.tree = ast.parse(masked, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ParseError("this is no expression: a number or a variable is missing") from None

    def _masked(self, match: re.Match[str]) -> str:
        name = f"_{len(self.literals):0{len(match[0]) - 1}}"
        if "x" in match[0]:
            self.literals[name] = tuple(map(int, match[0].split("x")))
        else:
            self.literals[name] = byte_count(match[0])
        return name

    def holds(self, node: ast.expr | None = None, depth: int = 0) -> bool:
        node = self._shallow(node, depth)
        match node:
            case ast.BoolOp(op=ast.And()):
                return min(self._each(node.values, depth))
            case ast.BoolOp(op=ast.Or()):
                return max(self._each(node.values, depth))
            case ast.UnaryOp(op=ast.Not()):
                return not self.holds(node.operand, depth + 1)
            case ast.Compare():
                return self._compared(node, depth)
        raise ParseError("a comparison is missing: < <= == != >= >", node)

    def _each(self, parts: list[ast.expr], depth: int) -> list[bool]:
        """Return all verdicts: every comparison is shown, also behind one that decides."""
        return [self.holds(part, depth + 1) for part in parts]

    def _compared(self, node: ast.Compare, depth: int) -> bool:
        holds, left = True, node.left
        for sign, right in zip(node.ops, node.comparators, strict=True):
            if type(sign) not in COMPARISONS:
                raise ParseError("a comparison is one of < <= == != >= >", right)
            a, b = self.value(left, depth + 1), self.value(right, depth + 1)
            if isinstance(a, tuple) or isinstance(b, tuple):
                if not isinstance(sign, ast.Eq | ast.NotEq):
                    raise ParseError("sizes compare with == and != alone", right)
                a, b = (part if isinstance(part, tuple) else (part,) for part in (a, b))
            fine = COMPARISONS[type(sign)](a, b)
            between = self.text[left.end_col_offset : right.col_offset].strip()
            shown = shape_text(a) if isinstance(a, tuple) else f"{a:.12g}"
            known = isinstance(left, ast.Constant) or self._said(left) == shown
            number = "" if known else f" {shown}"
            told = f"{self._said(left)}{number} {between} {self._said(right)}"
            self.comparisons.append((told, fine))
            holds, left = holds and fine, right
        return holds

    def _said(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.text, node) or ""

    def value(self, node: ast.expr | None = None, depth: int = 0) -> Any:
        node = self._shallow(node, depth)
        match node:
            case ast.Constant(value=int() | float() as value) if self._is_plain(node):
                if not abs(value) <= MAX_CONSTANT:
                    raise ParseError(f"numbers go up to {MAX_CONSTANT:,}", node)
                return value
            case ast.Name(id=name) if name in self.literals:
                return self.literals[name]
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.Name(id=name):
                known = ", ".join(sorted(self.names)) or "none; write `let n = 16` at the top"
                hint = did_you_mean(name, self.names)
                what = "variable" if self.whole else "name"
                raise ParseError(f"{what} {name!r} is unknown (known: {known}).{hint}", node)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in self.functions:
                given = [self._number(argument, depth + 1) for argument in node.args]
                try:
                    return self.functions[name](*given)
                except ParseError:
                    raise
                except (TypeError, ValueError):
                    raise ParseError(f"{name} takes other arguments", node) from None
            case ast.UnaryOp(op=ast.USub()):
                return -self._number(node.operand, depth + 1)
            case ast.BinOp() if type(node.op) in ARITHMETIC:
                return self._combined(node, depth)
        raise ParseError("only numbers, names and + - * / // % ( ) have a meaning here", node)

    def _number(self, node: ast.expr, depth: int) -> Number:
        value: Number | Sizes = self.value(node, depth)
        if isinstance(value, tuple):
            raise ParseError("sizes are compared, not calculated with", node)
        return value

    def _combined(self, node: ast.BinOp, depth: int) -> Number:
        a, b = self._number(node.left, depth + 1), self._number(node.right, depth + 1)
        if b == 0 and isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod):
            raise ParseError("division by zero", node.right)
        if self.whole and isinstance(node.op, ast.Div):
            if a % b:
                raise ParseError(f"{a} / {b} is no whole number; // rounds down", node)
            return a // b
        return ARITHMETIC[type(node.op)](a, b)

    def _is_plain(self, node: ast.expr) -> bool:
        """Whether a number is written in decimal, without Python's underscores and prefixes."""
        return not set(self._said(node)) - set("0123456789.eE+-")

    def _shallow(self, node: ast.expr | None, depth: int) -> ast.expr:
        if depth > MAX_DEPTH:
            raise ParseError(f"expressions are nested at most {MAX_DEPTH} deep", node)
        return self.tree if node is None else node
