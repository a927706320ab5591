"""How a layer is spelled: its fields as words, read and written, and layers back to notation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcli.errors import InputError
from convcli.layers.base import Layer, padding_text, shape_text
from convcli.layers.join import Block, Branch, Repeat, Residual
from convcli.layers.registry import WORDS, Word
from convcli.net.text import ParseError, decimal, pads, sizes

if TYPE_CHECKING:
    from convcli.net.value import Network

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

_LETTER = {field: short for short, field in SHORT.items()}
_FLAG = {field: flag for flag, field in FLAGS.items()}

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
    if field == "padding":
        return "|".join([f"{_LETTER[field]}N", *PADDING_WORDS])
    if field in _LETTER:
        return f"{_LETTER[field]}N"
    return _FLAG.get(field) or f"{field}=VALUE"


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


def to_notation(network: Network) -> str:
    """Return the network in words; reading them gives an equal network.

    >>> from convcli.net import parse_notation
    >>> to_notation(parse_notation("input 8x8x3, maxpool 2x2 stride=2"))
    'input 8x8x3, maxpool 2'

    Raises:
        InputError: a layer has no word in the notation.
    """
    return ", ".join([f"input {shape_text(network.input_shape)}", *_texts(network.layers)])


def layer_text(layer: Layer) -> str:
    """Return one layer in words, as `to_notation`; any layer's op when it has no words.

    >>> from convcli.layers import Conv
    >>> layer_text(Conv(16, (3, 3), padding="same", activation="relu"))
    'conv 16 3 same relu'
    """
    layer = layer.described
    word = WORDS.get(layer.row_op)
    if word is None:
        return layer.row_op
    return " ".join(_words(layer, word))


def _texts(branch: Branch) -> list[str]:
    return [_text(item) for item in branch]


def _text(item: Layer | Block) -> str:
    if isinstance(item, Layer):
        word = WORDS.get(item.row_op)
        if word is None or getattr(item, "padding_mode", "zeros") != "zeros":
            raise InputError(
                f"{type(item).__name__} has no word in the notation. Keep it as a Python value."
            )
        return " ".join(_words(item, word))
    count = f" {item.count} " if isinstance(item, Repeat) else ""
    parts = item.parts if not isinstance(item, Residual) or item.shortcut else item.parts[:1]
    name = f" name={item.name}" if item.name else ""
    return f"{item.op}{count}({' | '.join(', '.join(_texts(part)) for part in parts)}){name}"


def _words(layer: Layer, word: Word) -> list[str]:
    fields = type(layer).__dataclass_fields__
    words = [word.text]
    words += [_value(layer, field) for field in word.positional]
    for field in word.options:
        value = getattr(layer, field)
        plain = fields[field].default
        if field == "stride" and "kernel" in word.positional and plain == ():
            plain = layer.kernel  # type: ignore[attr-defined]  # pools step by their window
        if value == plain or (isinstance(plain, tuple) and _same_everywhere(value, plain)):
            continue
        if field == "activation" or isinstance(value, str):
            words.append(str(value))
        elif field in _FLAG:
            words.append(_FLAG[field])
        elif field in _LETTER:
            words.append(_LETTER[field] + _value(layer, field))
        else:
            words.append(f"{field}={_value(layer, field)}")
    if layer.name:
        words.append(f"name={layer.name}")
    return words


def _same_everywhere(value: object, plain: tuple[object, ...]) -> bool:
    return isinstance(value, tuple) and len(plain) == 1 and set(value) == set(plain)


def _value(layer: Layer, field: str) -> str:
    value = getattr(layer, field)
    if not isinstance(value, tuple):
        return (
            f"{value:g}"
            if isinstance(value, float) and float(f"{value:g}") == value
            else str(value)
        )
    if field in layer.pads_fields and isinstance(value[0], tuple):
        return padding_text(value)
    if field != "shape" and len(set(value)) == 1:
        return str(value[0])
    return shape_text(value)
