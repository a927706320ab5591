"""How a layer is spelled: its fields as words, read and written, and layers back to notation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from convcli.errors import InputError
from convcli.layers.base import Layer, padding_text, shape_text
from convcli.layers.join import Block, Branch, From, Repeat, Residual
from convcli.layers.registry import WORDS, Word
from convcli.net.text import ParseError, decimal, pads, sizes, whole

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
    "bi": "bidirectional",
    "bilinear": "bilinear",
}
"""Bare words and the field that each sets away from its default."""

_LETTER = {field: short for short, field in SHORT.items()}
_FLAG = {field: flag for flag, field in FLAGS.items()}

PADDING_WORDS = ("valid", "same", "causal")

OTHER_FIELDS = {
    "out_channels": "filters",
    "out_features": "units",
    "hidden_size": "units",
    "kernel_size": "kernel",
    "output_size": "size",
    "num_groups": "groups",
    "num_heads": "heads",
    "scale_factor": "factor",
    "upscale_factor": "factor",
    "downscale_factor": "factor",
    "negative_slope": "numbers",
    "dims": "order",
}
"""PyTorch's names of fields; those of Keras stand beside each layer, see `Elsewhere`."""


def field_named(word: Word, name: str) -> str:
    """Return the field of a word that a name means, also one of PyTorch or Keras.

    >>> from convcli.layers import WORDS
    >>> field_named(WORDS["upconv"], "output_size"), field_named(WORDS["maxpool"], "pool_size")
    ('size', 'kernel')
    """
    keras = word.elsewhere.keras
    theirs = OTHER_FIELDS | (dict(keras.settings) if keras else {})
    known = {*word.positional, *word.options}
    found = name if name in known else theirs.get(name)
    return found if isinstance(found, str) and found in known else name


def written(word: Word, field: str) -> str:
    """Return how a field of a word is written, for help and errors.

    >>> from convcli.layers import WORDS
    >>> [written(WORDS["conv"], field) for field in ("kernel", "stride", "bias")]
    ['KERNEL', 'sN', 'nobias']
    """
    if field in (*word.positional, *word.bare):
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
    if FLAGS.get(text) == field:
        return not cls.__dataclass_fields__[field].default
    if field == "activation" or (field == "padding" and text in PADDING_WORDS):
        return text
    kind = str(cls.__dataclass_fields__[field].type)
    if kind not in READERS:
        raise ParseError(f"{field} is a bare word, it takes no value")
    if kind == "int" and "x" in text:
        raise ParseError(f"{field} is one whole number, not {text}")
    return READERS[kind](text)


def _factors(text: str) -> tuple[float, ...]:
    """Return the numbers of `2` or `1.5x2`; whole ones stay whole.

    >>> _factors("1.5x2")
    (1.5, 2)
    """
    parts = [decimal(part) if "." in part else whole(part, 1) for part in text.split("x")]
    return tuple(int(part) if part == int(part) else part for part in parts)


def _kept_sizes(text: str) -> tuple[int, ...]:
    """Return the numbers of `7` or `_x5`, where `_` is 0: the axis keeps its size.

    >>> _kept_sizes("_x5")
    (0, 5)
    """
    return tuple(0 if part == "_" else whole(part, 1) for part in text.split("x"))


def _channel_range(text: str) -> tuple[int, int | None]:
    """Return the ends of `0:16`, `:16` or `16:`.

    >>> _channel_range(":16"), _channel_range("16:")
    ((0, 16), (16, None))
    """
    start, colon, stop = text.partition(":")
    if not colon:
        raise ParseError(f"{text[:20]!r} is no range of channels; write 0:16 or 16:")
    return whole(start, 0) if start else 0, whole(stop, 0) if stop else None


READERS: dict[str, Callable[[str], object]] = {
    "int": partial(whole, lowest=1),
    "float": decimal,
    "Shape": sizes,
    "tuple[int, ...]": sizes,
    "Order": partial(sizes, lowest=0),
    "Extra": partial(sizes, lowest=0),
    "Padding": pads,
    "tuple[tuple[int, int], ...]": pads,
    "Numbers": lambda text: tuple(map(decimal, text.split(":"))),
    "Factors": _factors,
    "KeptSizes": _kept_sizes,
    "ChannelRange": _channel_range,
}
"""A field's type, as its class spells it, and what reads its text."""


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
    if isinstance(item, From):
        return f"from {item.point}"
    count = f" {item.count} " if isinstance(item, Repeat) else ""
    parts = item.parts if not isinstance(item, Residual) or item.shortcut else item.parts[:1]
    name = f" name={item.name}" if item.name else ""
    return f"{item.op}{count}({' | '.join(', '.join(_texts(part)) for part in parts)}){name}"


def _words(layer: Layer, word: Word) -> list[str]:
    words = [word.text]
    words += [_value(layer, field) for field in word.positional]
    for field in word.options:
        value, plain = getattr(layer, field), layer.default_of(field)
        if value == plain or (isinstance(plain, tuple) and _same_everywhere(value, plain)):
            continue
        if field == "activation" or isinstance(value, str):
            words.append(str(value))
        elif field in _FLAG:
            words.append(_FLAG[field])
        elif field in word.bare:
            words.append(_value(layer, field))
        else:
            words.append(_LETTER.get(field, f"{field}=") + _value(layer, field))
    if layer.name:
        words.append(f"name={layer.name}")
    return words


def _same_everywhere(value: object, plain: tuple[object, ...]) -> bool:
    return isinstance(value, tuple) and len(plain) == 1 and set(value) == set(plain)


def _value(layer: Layer, field: str) -> str:
    value = getattr(layer, field)
    kind = layer.__dataclass_fields__[field].type
    if kind == "ChannelRange":
        start, stop = value
        return f"{start}:{'' if stop is None else stop}"
    if not isinstance(value, tuple):
        return _number(value)
    if isinstance(value[0], tuple):
        return padding_text(value)
    if kind == "Numbers":
        return ":".join(map(_number, value))
    parts = ["_" if part == 0 and kind == "KeptSizes" else _number(part) for part in value]
    alike = len(set(parts)) == 1 and kind not in {"Shape", "Order"}
    return parts[0] if alike else "x".join(parts)


def _number(value: object) -> str:
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)
