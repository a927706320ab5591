"""Notation to layers: one recursive descent over tokens, driven by the registry of words."""

from __future__ import annotations

from collections.abc import Mapping

from convcli.errors import InputError, UsageError, did_you_mean, nearest_names
from convcli.layers.activation import KINDS
from convcli.layers.base import Layer, Shape
from convcli.layers.join import (
    BLOCKS,
    MAX_DEPTH,
    OTHER_NAMES,
    Block,
    Branch,
    Concat,
    Repeat,
    Residual,
    Scale,
)
from convcli.layers.registry import WORDS, Word, word_for
from convcli.net.expression import evaluate
from convcli.net.text import ParseError, Token, mistake, sentence, sizes, tokens
from convcli.net.value import Network
from convcli.net.words import FLAGS, PADDING_WORDS, SHORT, read_value


def parse_notation(
    text: str,
    *,
    name: str = "network",
    variables: Mapping[str, int] | None = None,
    input_shape: Shape | None = None,
) -> Network:
    """Return the network that a text in the notation describes.

    Args:
        text: `input HxWxC, layer, layer`; newlines are commas, `#` begins a comment.
        name: the label of the network.
        variables: values that replace those of `let` lines.
        input_shape: replaces the shape after `input`.

    >>> parse_notation("let n = 8, input 28x28x1, conv {2*n} 3 relu").layers[0].filters
    16

    Raises:
        UsageError: the text is no notation; shows it with a caret under the word.
        InputError: the input shape cannot be used.
    """
    parser = _Parser(text, dict(variables or {}))
    return parser.network(name, input_shape)


def notation_variables(text: str) -> dict[str, int]:
    """Return the variables that stand at the top of a text in the notation, with their values.

    >>> notation_variables("let n = 8, let m = 2*n, input 28x28x1, conv {m} 3")
    {'n': 8, 'm': 16}

    Raises:
        UsageError: a `let` line is malformed.
    """
    return _Parser(text, {}).read_variables()


class _Parser:
    def __init__(self, text: str, given: dict[str, int]) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.next = 0
        self.given = given
        self.variables: dict[str, int] = {}
        self.known: dict[tuple[str, ...], Layer] = {}
        """Layers by their words: a network says the same thing often."""

    def network(self, name: str, input_shape: Shape | None) -> Network:
        item = self._first_item()
        for unknown in sorted(self.given.keys() - self.variables.keys()):
            known = ", ".join(sorted(self.variables)) or "none"
            hint = did_you_mean(unknown, self.variables)
            raise UsageError(f"{name}: there is no variable {unknown!r} (known: {known}).{hint}")
        if not item or item[0].text != "input":
            token = item[0] if item else self.tokens[-1]
            raise self._wrong(
                token, "a network begins with its input: input 28x28x1, conv 16 3, ..."
            )
        shape = self._input(item)
        layers = self._branch(depth=0)
        if (token := self.tokens[self.next]).text:
            raise self._wrong(token, f"this {token.text} has no partner before it.")
        return Network(input_shape or shape, layers, name)

    def read_variables(self) -> dict[str, int]:
        self._first_item()
        return self.variables

    def _first_item(self) -> list[Token]:
        """Read the `let` lines and return the words behind them."""
        while (item := self._item()) and item[0].text == "let":
            self._let(item)
        return item

    def _wrong(self, token: Token, reason: str) -> UsageError:
        return mistake(self.text, token, reason)

    def _item(self) -> list[Token]:
        """Return the words up to the next sign, skipping empty items."""
        while self.tokens[self.next].text == ",":
            self.next += 1
        words = []
        while (token := self.tokens[self.next]).text not in {"", ",", "(", ")", "|"}:
            words.append(self._filled(token))
            self.next += 1
        return words

    def _filled(self, token: Token) -> Token:
        """Return the word with the values of its `{...}` put in."""
        text = token.text
        while "{" in text:
            before, _, rest = text.partition("{")
            inner, _, after = rest.partition("}")
            try:
                text = f"{before}{evaluate(inner, self.variables)}{after}"
            except ParseError as problem:
                raise self._wrong(token, sentence(problem)) from None
        return Token(text, token.place) if text is not token.text else token

    def _let(self, words: list[Token]) -> None:
        if (sign := self.tokens[self.next]).text not in {"", ","}:
            raise self._wrong(
                sign, f"a bare {sign.text} ends the line; put braces: let m = {{(n + 1)*2}}"
            )
        name, equals, expression = " ".join(word.text for word in words[1:]).partition("=")
        name = name.strip()
        if not equals or not (name.isascii() and name.isidentifier()):
            raise self._wrong(words[0], "a variable is written: let n = 16")
        try:
            value = evaluate(expression, self.variables)
        except ParseError as problem:
            raise self._wrong(words[-1], sentence(problem)) from None
        self.variables[name] = self.given.get(name, value)

    def _input(self, words: list[Token]) -> Shape:
        hint = "Write input 28x28x1: height x width x channels."
        if len(words) != 2:
            raise self._wrong(words[0], f"input takes one shape. {hint}")
        try:
            return sizes(words[1].text)
        except ParseError as problem:
            raise self._wrong(words[1], f"{sentence(problem)} {hint}") from None

    def _branch(self, depth: int) -> Branch:
        """Return layers up to a `|`, a `)` or the end, which is left for the caller."""
        layers: list[Layer | Block] = []
        while True:
            words = self._item()
            sign = self.tokens[self.next]
            if sign.text == "(":
                if not words:
                    raise self._wrong(sign, f"a bracket belongs to a block: {', '.join(BLOCKS)}.")
                layers.append(self._block(words, depth + 1))
            elif words:
                layers.append(self._layer(words))
            if self.tokens[self.next].text != ",":
                return tuple(layers)

    def _block(self, words: list[Token], depth: int) -> Block:
        head, opening = words[0], self.tokens[self.next]
        text = head.text if head.text in BLOCKS else head.text.lower()
        words = [head := Token(OTHER_NAMES.get(text, text), head.place), *words[1:]]
        if head.text not in BLOCKS:
            hint = did_you_mean(head.text, BLOCKS)
            raise self._wrong(
                head, f"{head.text} takes no brackets.{hint or f' Blocks: {_known_blocks()}'}"
            )
        if depth > MAX_DEPTH:
            raise self._wrong(head, f"blocks are nested more than {MAX_DEPTH} deep.")
        branches = []
        while True:
            self.next += 1
            branches.append(self._branch(depth))
            sign = self.tokens[self.next]
            if sign.text == ")":
                break
            if sign.text != "|":
                raise self._wrong(opening, f"this bracket of {head.text} is never closed.")
        self.next += 1
        name = self._name_after()
        return self._build_block(words, tuple(branches), name)

    def _name_after(self) -> str | None:
        """Return the `name=` behind a closing bracket."""
        words = []
        while (token := self.tokens[self.next]).text not in {"", ",", "(", ")", "|"}:
            words.append(token)
            self.next += 1
        if self.tokens[self.next].text == "(":
            raise self._wrong(self.tokens[self.next], "a comma is missing before this bracket.")
        if not words:
            return None
        if len(words) > 1 or not words[0].text.startswith("name="):
            raise self._wrong(words[0], "after the bracket comes a comma, or name=NAME.")
        return self._checked_name(words[0])

    def _checked_name(self, token: Token) -> str:
        name = token.text.partition("=")[2]
        if (
            not name
            or len(name) > 80
            or not name.replace(".", "_").replace("-", "_").isidentifier()
        ):
            raise self._wrong(
                token, "a name has letters, digits, _ - and dots, and begins with a letter."
            )
        return name

    def _build_block(
        self, words: list[Token], branches: tuple[Branch, ...], name: str | None
    ) -> Block:
        head = words[0]
        if head.text == "repeat":
            return self._repeat(words, branches, name)
        if len(words) > 1:
            raise self._wrong(
                words[1], f"{head.text} takes nothing before its bracket: {_example(head)}"
            )
        if head.text == "concat":
            return Concat(branches, name=name)
        if head.text == "scale":
            if len(branches) > 1 or not branches[0]:
                raise self._wrong(head, f"scale has one branch: {_example(head)}")
            return Scale(branches[0], name=name)
        if len(branches) > 2:
            raise self._wrong(head, f"residual has a body and one shortcut: {_example(head)}")
        return Residual(*branches, name=name)

    def _repeat(self, words: list[Token], branches: tuple[Branch, ...], name: str | None) -> Repeat:
        if len(words) != 2 or not (words[1].text.isascii() and words[1].text.isdigit()):
            raise self._wrong(words[-1], f"repeat takes one number: {_example(words[0])}")
        if len(branches) > 1 or not branches[0]:
            raise self._wrong(
                words[0], f"repeat has one branch that is not empty: {_example(words[0])}"
            )
        try:
            (count,) = sizes(words[1].text)
        except ParseError as problem:
            raise self._wrong(words[1], sentence(problem)) from None
        return Repeat(count, branches[0], name=name)

    def _layer(self, words: list[Token]) -> Layer:
        key = tuple(word.text for word in words)
        if key not in self.known:
            self.known[key] = self._read_layer(words)
        return self.known[key]

    def _read_layer(self, words: list[Token]) -> Layer:
        head = words[0]
        word = word_for(head.text)
        if word is None:
            raise self._wrong(head, _unknown_word(head.text))
        values: dict[str, object] = dict(word.fixed)
        missing = list(word.positional)
        for token in words[1:]:
            field, text = self._field_of(token, word, missing)
            if field in values:
                raise self._wrong(token, f"{head.text} has {field} twice.")
            if field == "name":
                values[field] = self._checked_name(token)
                continue
            try:
                values[field] = read_value(word.layer, field, text)
            except ParseError as problem:
                raise self._wrong(token, sentence(problem)) from None
        missing = [field for field in missing if field not in values]
        if missing:
            raise self._wrong(
                head, f"{head.text} needs {' and '.join(missing)}. Example: {word.example}"
            )
        try:
            return word.layer(**values)  # type: ignore[arg-type]  # fields come from the class
        except InputError as problem:
            raise self._wrong(head, str(problem)) from None

    def _field_of(self, token: Token, word: Word, missing: list[str]) -> tuple[str, str]:
        """Return which field a word sets, and the text of its value."""
        text, head = token.text, word.text
        allowed = {*word.positional, *word.options}
        field, equals, value = text.partition("=")
        if equals:
            if field in allowed or field == "name":
                if field in missing:
                    missing.remove(field)
                return field, value
            raise self._wrong(token, f"{head} has no {field}=.{did_you_mean(field, allowed)}")
        if text[0].isdigit() or text[0] in "-+.":
            if not missing:
                takes = " ".join(name.upper() for name in word.positional) or "no number"
                raise self._wrong(
                    token, f"{head} takes {takes}, and this is one more: {word.example}"
                )
            return missing.pop(0), text
        if text in PADDING_WORDS and "padding" in allowed:
            return "padding", text
        if text in FLAGS and FLAGS[text] in allowed:
            return FLAGS[text], text
        if "activation" in allowed and (kind := word_for(text)) and kind.text in KINDS:
            return "activation", kind.text
        for short, field in SHORT.items():
            rest = text.removeprefix(short)
            if rest != text and rest[:1].isdigit() and field in allowed:
                return field, rest
        raise self._wrong(token, self._unknown_option(text, head, allowed))

    def _unknown_option(self, text: str, head: str, allowed: set[str]) -> str:
        if text in BLOCKS or word_for(text):
            return f"{head} takes no {text} behind it. Put a comma before it: {head} ..., {text}"
        options = [flag for flag, field in FLAGS.items() if field in allowed]
        if "padding" in allowed:
            options += PADDING_WORDS
        if "activation" in allowed:
            options += KINDS
        shorts = [f"{short}N" for short, field in SHORT.items() if field in allowed]
        known = " ".join([*shorts, *options, "name=NAME"])
        return f"{head} does not know {text!r}.{did_you_mean(text, options)} It takes: {known}"


def _unknown_word(text: str) -> str:
    known = [*WORDS, *BLOCKS]
    if text in BLOCKS:
        return f"{text} needs brackets: {BLOCKS[text].example}"
    if text in {"let", "input"}:
        return f"{text} stands at the top, before the layers, and once."
    if nearest_names(text, known):
        return f"there is no layer {text!r}.{did_you_mean(text, known)}"
    return f"there is no layer {text!r}. Known: {' '.join(known)}"


def _example(head: Token) -> str:
    return BLOCKS[head.text].example


def _known_blocks() -> str:
    return ", ".join(BLOCKS)
