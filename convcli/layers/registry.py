"""The words of the notation: a layer class is its own row, see `word`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache, cached_property
from typing import Any, TypeVar, dataclass_transform

from convcli.layers.base import Layer
from convcli.layers.elsewhere import Elsewhere, plain

AnyLayer = TypeVar("AnyLayer", bound=Layer)


@dataclass(frozen=True)
class Word:
    """One word: parser, writer and help read it."""

    text: str
    layer: type[Layer]
    example: str
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Fields that the word itself decides."""
    described: str = ""
    """What it does, where the class has several words."""
    named: Elsewhere | None = None
    """What it is called elsewhere, where the class has several words."""

    @cached_property
    def positional(self) -> tuple[str, ...]:
        """Fields written as bare values: those without a default."""
        return tuple(one.name for one in self._said if one.default is MISSING)

    @cached_property
    def bare(self) -> tuple[str, ...]:
        """Fields with a default that are written as bare values too, behind the others."""
        return tuple(one.name for one in self._said if one.name in self.layer.bare_fields)

    @cached_property
    def options(self) -> tuple[str, ...]:
        """Fields written as options, in the order of the canonical form: an activation last."""
        names = [one.name for one in self._said if one.default is not MISSING]
        return tuple(sorted(names, key="activation".__eq__))

    @property
    def _said(self) -> list[Field[Any]]:
        left = {"name", *self.fixed, *self.layer.unsaid}
        return [one for one in fields(self.layer) if one.name not in left]

    @property
    def about(self) -> str:
        """The first sentence of the class's description."""
        return self.described or (self.layer.__doc__ or "").partition("\n")[0]

    @property
    def elsewhere(self) -> Elsewhere:
        """What it is called in other programs."""
        return self.named or self.layer.elsewhere


WORDS: dict[str, Word] = {}
"""The words of single layers; importing `convcli.layers` fills it."""


@cache
def _by_other_names() -> dict[str, str]:
    """Return names elsewhere -> words; a word itself is never another one's name."""
    others = {plain(name): one.text for one in WORDS.values() for name in one.elsewhere.names()}
    return others | {plain(text): text for text in WORDS}


def word_for(name: str) -> Word | None:
    """Return the word that is meant by a name, also by one of PyTorch, Keras or ONNX.

    >>> import convcli.layers
    >>> [word_for(name).text for name in ("nn.Conv2d", "Dense", "MaxPooling2D", "swish")]
    ['conv', 'dense', 'maxpool', 'silu']
    """
    known = name if name in WORDS else name.lower()
    return WORDS.get(known) or WORDS.get(_by_other_names().get(plain(name), ""))


@dataclass_transform(eq_default=False, field_specifiers=(field,))
def word(text: str, example: str, **fixed: object) -> Callable[[type[AnyLayer]], type[AnyLayer]]:
    """Make a class a frozen layer with a word of the notation.

    Its fields without a default are written as bare values, in order; the others are options.

    Args:
        text: the word, and the op in tables.
        example: a usable layer, for help and errors.
        fixed: fields that the word itself decides.
    """

    def enter(cls: type[AnyLayer]) -> type[AnyLayer]:
        cls.op = text
        made = dataclass(slots=True, eq=False, repr=False)(cls)
        WORDS[text] = Word(text, made, example, fixed)
        return made

    return enter
