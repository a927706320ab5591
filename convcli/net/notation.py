"""Notation to layers: one recursive descent over tokens, driven by the registry of words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

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
    From,
    Repeat,
    Residual,
    Scale,
)
from convcli.layers.registry import WORDS, Word, word_for
from convcli.net.expression import FUNCTIONS, Function, Number, evaluate
from convcli.net.text import ParseError, Token, mistake, sentence, sizes, tokens
from convcli.net.trace import MAX_STEPS
from convcli.net.value import Network
from convcli.net.words import FLAGS, PADDING_WORDS, SHORT, field_named, read_value


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
        self.words: dict[str, str] = {}
        """Arguments that are words: the activation of a block."""
        self.blocks: dict[str, tuple[list[str], list[Token]]] = {}
        """Blocks with arguments: their names, and the tokens of their layers."""
        self.functions = dict(FUNCTIONS)
        """Values with arguments."""
        self.items = 0
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
        return self._words()

    def _words(self) -> list[Token]:
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
            value = self.words.get(inner) or self._value(inner, token)
            text = f"{before}{value}{after}"
        return Token(text, token.place) if text is not token.text else token

    def _value(self, expression: str, token: Token) -> int:
        try:
            return evaluate(expression, self.variables, self.functions)
        except ParseError as problem:
            raise self._wrong(token, sentence(problem)) from None

    def _let(self, words: list[Token]) -> None:
        if (sign := self.tokens[self.next]).text == "(" and len(words) == 2:
            return self._let_block(words[1])
        if sign.text not in {"", ","}:
            raise self._wrong(
                sign, f"a bare {sign.text} ends the line; put braces: let m = {{(n + 1)*2}}"
            )
        name, equals, expression = " ".join(word.text for word in words[1:]).partition("=")
        name = name.strip()
        if not equals or not _is_name(name):
            raise self._wrong(words[0], "a variable is written: let n = 16")
        value = self._value(expression, words[-1])
        self.variables[name] = self.given.get(name, value)
        return None

    def _let_block(self, name: Token) -> None:
        """Read `let block(c, s) = (conv {c} 3 s{s}, bn)`; without brackets up to the line's end."""
        hint = "Write: let block(c, s) = (conv {c} 3 s{s}, bn, relu)"
        if not _is_name(name.text) or name.text in {*BLOCKS, *WORDS}:
            raise self._wrong(name, f"a block needs a name that no layer has. {hint}")
        parameters = self._arguments(name)
        if not all(_is_name(one.text) for one in parameters):
            raise self._wrong(name, f"a block names its arguments. {hint}")
        if self.tokens[self.next].text != "=":
            raise self._wrong(self.tokens[self.next], f"here comes a = and the layers. {hint}")
        self.next += 1
        start, depth = self.next, 0
        while (sign := self.tokens[self.next]).text:
            depth += (sign.text == "(") - (sign.text == ")")
            if sign.text == "," and not depth and self._ends_block():
                break
            self.next += 1
        body = self.tokens[start : self.next]
        if not body or depth:
            raise self._wrong(name, f"the layers of {name.text} have no end. {hint}")
        if body[0].text == "(" and self._closing(body) == len(body) - 1:
            body = body[1:-1]
        names = [one.text for one in parameters]
        if len(body) == 1 and body[0].text.startswith("{"):
            self.functions[name.text] = self._function(names, body[0])
        else:
            self.blocks[name.text] = names, body

    def _function(self, names: list[str], body: Token) -> Function:
        """Return what `let wide(c) = {c*width//100}` gives for its arguments."""
        variables, functions = self.variables, dict(self.functions)

        def value(*given: Number) -> int:
            if len(given) != len(names):
                raise TypeError
            bound = {name: int(one) for name, one in zip(names, given, strict=True)}
            return evaluate(body.text[1:-1], variables | bound, functions)

        return value

    def _ends_block(self) -> bool:
        """Return whether the comma here is a line's end, or stands before `let` or `input`."""
        sign, after = self.tokens[self.next : self.next + 2]
        return self.text[sign.place] == "\n" or after.text in {"let", "input"}

    @staticmethod
    def _closing(body: list[Token]) -> int:
        """Return where the bracket that opens a block's text is closed."""
        depth = 0
        for place, token in enumerate(body):
            depth += (token.text == "(") - (token.text == ")")
            if not depth:
                return place
        return -1

    def _arguments(self, head: Token) -> list[Token]:
        """Return the words between brackets, with commas between; the cursor goes behind them."""
        found: list[Token] = []
        self.next += 1
        while (token := self.tokens[self.next]).text != ")":
            if token.text in {"", "(", "|"}:
                raise self._wrong(head, f"the arguments of {head.text} are never closed.")
            if token.text != ",":
                found.append(self._filled(token))
            self.next += 1
        self.next += 1
        return found

    def _input(self, words: list[Token]) -> Shape:
        hint = "Write input 28x28x1: height x width x channels."
        if len(words) > 2 and (words[2].text in BLOCKS or word_for(words[2].text)):
            told = f"Put a comma before it: input {words[1].text}, {words[2].text}"
            raise self._wrong(words[2], f"input takes no {words[2].text} behind it. {told}")
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
            words, label = self._labeled(self._item())
            sign = self.tokens[self.next]
            if sign.text == "(":
                if not words:
                    raise self._wrong(sign, f"a bracket belongs to a block: {', '.join(BLOCKS)}.")
                made = self._bracketed(words, depth + 1)
            elif words and words[0].text == "from":
                made = (self._from(words),)
            else:
                made = (self._layer(words),) if words else ()
                if made and made[0].is_source and not (label or made[0].name):
                    raise self._wrong(
                        words[0],
                        "input stands at the top, before the layers, and once; one more has a "
                        "name: right: input 16x16x3",
                    )
            self.items += len(made) + bool(words)
            if self.items > MAX_STEPS:
                raise self._wrong(words[0], f"this is more than {MAX_STEPS:,} layers. Repeat less.")
            layers += self._named(made, label)
            if self.tokens[self.next].text != ",":
                return tuple(layers)

    def _labeled(self, words: list[Token]) -> tuple[list[Token], Token | None]:
        """Return the words of an item without the `a:` before them, and that."""
        if not words or not words[0].text.endswith(":") or words[0].text[:1] in ":-+.0123456789":
            return words, None
        label, *rest = words
        if not rest:
            raise self._wrong(label, f"{label.text} names nothing. Write {label.text} conv 16 3")
        return rest, Token(self._checked_name(label, label.text[:-1]), label.place)

    def _named(self, made: Branch, label: Token | None) -> Branch:
        """Return the items, the last of them with the name that stood before them."""
        if label is None:
            return made
        if not made or isinstance(made[-1], Repeat | From) or made[-1].name:
            raise self._wrong(label, f"{label.text}: names one layer or block that has no name.")
        return (*made[:-1], replace(made[-1], name=label.text))

    def _from(self, words: list[Token]) -> From:
        if len(words) != 2:
            raise self._wrong(words[0], f"from takes one name: {From.example}")
        return From(words[1].text)

    def _bracketed(self, words: list[Token], depth: int) -> Branch:
        """Return what a word with brackets stands for: a block, or the layers of several."""
        head = words[0]
        if depth > MAX_DEPTH:
            raise self._wrong(head, f"blocks are nested more than {MAX_DEPTH} deep.")
        if head.text in self.blocks:
            return self._expanded(words, depth)
        if head.text == "repeat" and len(words) == 2 and "=" in words[1].text:
            return self._counted(words[1], depth)
        block = self._block(words, depth)
        return (block,) if block else ()

    def _expanded(self, words: list[Token], depth: int) -> Branch:
        """Return the layers of a block with arguments."""
        head, (names, body) = words[0], self.blocks[words[0].text]
        if len(words) > 1:
            raise self._wrong(words[1], f"{head.text} takes nothing before its bracket.")
        given = self._arguments(head)
        if len(given) != len(names):
            wanted = f"{head.text}({', '.join(names)})"
            raise self._wrong(head, f"{wanted} takes {len(names)} arguments, not {len(given)}.")
        outside = self.tokens, self.next, self.variables, self.words
        told = [self.words.get(one.text, one.text) for one in given]
        spoken = {name: text for name, text in zip(names, told, strict=True) if text in WORDS}
        self.variables = self.variables | {
            name: self._value(text, one)
            for name, text, one in zip(names, told, given, strict=True)
            if name not in spoken
        }
        self.words = {n: text for n, text in self.words.items() if n not in names} | spoken
        self.tokens, self.next = [*body, Token("", head.place)], 0
        layers = self._branch(depth)
        if (token := self.tokens[self.next]).text:
            raise self._wrong(token, f"this {token.text} has no partner before it.")
        self.tokens, self.next, self.variables, self.words = outside
        return layers

    def _counted(self, counter: Token, depth: int) -> Branch:
        """Return the layers of `repeat i=1..3 (...)`, each time with another value of `i`."""
        found = re.fullmatch(r"([A-Za-z_]\w*)=(-?\d{1,9})\.\.(-?\d{1,9})", counter.text)
        if not found or int(found[2]) > int(found[3]):
            raise self._wrong(
                counter, "a counter is written repeat i=1..3 (conv {16*i} 3), both ends included."
            )
        opening, outside = self.next, self.variables
        layers: list[Layer | Block] = []
        for value in range(int(found[2]), int(found[3]) + 1):
            self.next = opening
            self.variables = outside | {found[1]: value}
            body, *more = self._branches(Token("repeat", counter.place), depth)
            if more or not body:
                raise self._wrong(
                    counter, f"repeat has one branch that is not empty: {Repeat.example}"
                )
            layers += body
        self.variables = outside
        return tuple(layers)

    def _block(self, words: list[Token], depth: int) -> Block | None:
        head = words[0]
        text = head.text if head.text in BLOCKS else head.text.lower()
        words = [head := Token(OTHER_NAMES.get(text, text), head.place), *words[1:]]
        if head.text not in BLOCKS:
            if layer := word_for(head.text):
                raise self._wrong(head, f"{layer.text} takes no brackets: {layer.example}")
            hint = did_you_mean(head.text, [*BLOCKS, *self.blocks])
            raise self._wrong(
                head, f"{head.text} takes no brackets.{hint or f' Blocks: {_known_blocks()}'}"
            )
        branches = self._branches(head, depth)
        return self._build_block(words, branches, self._name_after())

    def _branches(self, head: Token, depth: int) -> tuple[Branch, ...]:
        """Return the branches between the brackets that open here; the cursor goes behind them."""
        opening = self.tokens[self.next]
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
        return tuple(branches)

    def _name_after(self) -> str | None:
        """Return the `name=` behind a closing bracket."""
        words = self._words()
        if self.tokens[self.next].text == "(":
            raise self._wrong(self.tokens[self.next], "a comma is missing before this bracket.")
        if not words:
            return None
        if len(words) > 1 or not words[0].text.startswith("name="):
            raise self._wrong(words[0], "after the bracket comes a comma, or name=NAME.")
        return self._checked_name(words[0], words[0].text.removeprefix("name="))

    def _checked_name(self, token: Token, name: str) -> str:
        plain = name.replace(".", "_").replace("-", "_")
        if len(name) > 80 or not plain.isidentifier():
            raise self._wrong(
                token, "a name has letters, digits, _ - and dots, and begins with a letter."
            )
        return name

    def _build_block(
        self, words: list[Token], branches: tuple[Branch, ...], name: str | None
    ) -> Block | None:
        head, kind = words[0], BLOCKS[words[0].text]
        if kind is Repeat:
            return self._repeat(words, branches, name)
        if len(words) > 1:
            raise self._wrong(
                words[1], f"{head.text} takes nothing before its bracket: {kind.example}"
            )
        if issubclass(kind, Concat):
            return kind(branches, name=name)
        if kind is Scale:
            if len(branches) > 1 or not branches[0]:
                more = " The product of two is written mul(a | b)." * (len(branches) > 1)
                raise self._wrong(head, f"scale has one branch: {kind.example}.{more}")
            return Scale(branches[0], name=name)
        if len(branches) > 2:
            raise self._wrong(head, f"residual has a body and one shortcut: {kind.example}")
        return Residual(*branches, name=name)

    def _repeat(
        self, words: list[Token], branches: tuple[Branch, ...], name: str | None
    ) -> Repeat | None:
        """Return the layers several times; nothing for none, as `{n - 1}` may say."""
        if len(words) != 2 or not (words[1].text.isascii() and words[1].text.isdigit()):
            raise self._wrong(words[-1], f"repeat takes one number: {Repeat.example}")
        if len(branches) > 1 or not branches[0]:
            raise self._wrong(
                words[0], f"repeat has one branch that is not empty: {Repeat.example}"
            )
        try:
            (count,) = sizes(words[1].text, 0)
        except ParseError as problem:
            raise self._wrong(words[1], sentence(problem)) from None
        return Repeat(count, branches[0], name=name) if count else None

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
        waiting = [*word.positional, *word.bare]
        for token in words[1:]:
            field, text = self._field_of(token, word, waiting)
            if field in values:
                raise self._wrong(token, f"{head.text} has {field} twice.")
            if field == "name":
                values[field] = self._checked_name(token, text)
                continue
            try:
                values[field] = read_value(word.layer, field, text)
            except ParseError as problem:
                raise self._wrong(token, sentence(problem)) from None
        missing = [field for field in word.positional if field not in values]
        if missing:
            raise self._wrong(
                head, f"{head.text} needs {' and '.join(missing)}. Example: {word.example}"
            )
        try:
            return word.layer(**values)  # type: ignore[arg-type]  # fields come from the class
        except InputError as problem:
            raise self._wrong(head, str(problem)) from None

    def _field_of(self, token: Token, word: Word, waiting: list[str]) -> tuple[str, str]:
        """Return which field a word sets, and the text of its value."""
        text, head = token.text, word.text
        allowed = {*word.positional, *word.options}
        field, equals, value = text.partition("=")
        if equals:
            field = field_named(word, field)
            if field in allowed or field == "name":
                if field in waiting:
                    waiting.remove(field)
                return field, value
            raise self._wrong(token, f"{head} has no {field}=.{did_you_mean(field, allowed)}")
        if text[0].isdigit() or text[0] in "-+._:":
            if not waiting:
                takes = " ".join(map(str.upper, (*word.positional, *word.bare))) or "no number"
                raise self._wrong(
                    token, f"{head} takes {takes}, and this is one more: {word.example}"
                )
            return waiting.pop(0), text
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


MEANT = dict.fromkeys(
    ("split", "chunk"), "Parts of the channels are branches: concat(slice :8, conv 8 1 | slice 8:)."
) | dict.fromkeys(
    ("droppath", "stochasticdepth"), "Stochastic depth does nothing in prediction. Leave it out."
)  # fmt: skip
"""What people type, and no word near it would do."""


def _unknown_word(text: str) -> str:
    known = [*WORDS, *BLOCKS]
    if text in BLOCKS:
        return f"{text} needs brackets: {BLOCKS[text].example}"
    if text == "let":
        return "let stands at the top, before the layers."
    if text in MEANT:
        return MEANT[text]
    if nearest_names(text, known):
        return f"there is no layer {text!r}.{did_you_mean(text, known)}"
    return f"there is no layer {text!r}. Known: {' '.join(known)}"


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _known_blocks() -> str:
    return ", ".join(BLOCKS)
