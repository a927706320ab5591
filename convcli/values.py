"""Bases of values: frozen ones that cost little to define, and those that show themselves.

`@dataclass(frozen=True, slots=True)` compiles six methods, 0.4 ms for each class; forty layers
would take a sixth of the time that a whole command may. `Value` does what the six do, and
`@dataclass(slots=True, eq=False, repr=False)` compiles the constructor alone, 0.12 ms. Fields,
`dataclasses.replace` and pattern matching work as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, fields
from importlib import import_module

RENDERER = "convcli.present.notebook"
"""The module that renders values (`html_of`, `text_of`, `live`), loaded when one shows itself."""

_NAMES: dict[tuple[type, bool], tuple[str, ...]] = {}
"""Field names of each class met so far, all or those that equality looks at."""


def _names(cls: type, *, compared: bool) -> tuple[str, ...]:
    key = cls, compared
    if key not in _NAMES:
        _NAMES[key] = tuple(field.name for field in fields(cls) if field.compare or not compared)
    return _NAMES[key]


class Value:
    """Base of values: fields are set once, equality and hash are those of type and fields.

    >>> from dataclasses import dataclass
    >>> @dataclass(slots=True, eq=False, repr=False)
    ... class Point(Value):
    ...     x: int
    ...     y: int = 0
    >>> Point(3), Point(3) == Point(3, 0), len({Point(1), Point(1), Point(2)})
    (Point(x=3, y=0), True, 2)
    >>> Point(3).x = 4
    Traceback (most recent call last):
    dataclasses.FrozenInstanceError: cannot assign to field 'x'
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = _names(type(self), compared=True)
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __hash__(self) -> int:
        names = _names(type(self), compared=True)
        return hash((type(self), *(getattr(self, name) for name in names)))

    def __repr__(self) -> str:
        names = _names(type(self), compared=False)
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({told})"


class NotebookRepr:
    """Base of values that show themselves: `print` gives their tables, a notebook shows them.

    Their repr is one line. The rooms that hold figures import no renderer.

    >>> from convcli.kernels import find
    >>> "<table>" in find("sobel-x")._repr_html_()
    True
    """

    __slots__ = ()

    def __str__(self) -> str:
        text: str = import_module(RENDERER).text_of(self)
        return text

    def _repr_html_(self) -> str | None:
        text: str | None = import_module(RENDERER).html_of(self)
        return text


@contextmanager
def shown_live(value: NotebookRepr) -> Iterator[Callable[[], None]]:
    """Show a value in a notebook's cell while it changes; elsewhere do nothing.

    The block calls what it is given after every change, however often: drawing takes its time.
    """
    if "ipykernel" not in sys.modules:
        yield lambda: None
        return
    with import_module(RENDERER).live(value) as redraw:
        yield redraw
