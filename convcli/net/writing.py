"""Layers back to notation, in one canonical form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcli.errors import InputError
from convcli.layers.base import Layer, padding_text, shape_text
from convcli.layers.join import Block, Branch, Repeat, Residual, Scale
from convcli.layers.registry import WORDS, Word
from convcli.net.words import FLAGS, SHORT

if TYPE_CHECKING:
    from convcli.net.value import Network

_LETTER = {field: short for short, field in SHORT.items()}
_FLAG = {field: flag for flag, field in FLAGS.items()}


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
    name = f" name={item.name}" if item.name else ""
    if isinstance(item, Repeat):
        return f"repeat {item.count} ({', '.join(_texts(item.body))}){name}"
    if isinstance(item, Scale):
        branches: tuple[Branch, ...] = (item.body,)
    elif isinstance(item, Residual):
        branches = (item.body, item.shortcut) if item.shortcut else (item.body,)
    else:
        branches = item.branches
    return f"{item.op}({' | '.join(', '.join(_texts(branch)) for branch in branches)}){name}"


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
