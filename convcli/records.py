"""Dataclasses of plain values read back from JSON, each value checked against its field's type.

Standard library only: what a file says is believed nowhere without it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union

T = TypeVar("T")

LONGEST_NUMBER = 2**63
"""Integers beyond this are no figures of ours, and many libraries stumble over them."""


def from_record(kind: type[T], record: object) -> T:
    """Return the dataclass whose fields `record` names, each perhaps a dataclass again.

    Lists become tuples where the fields have those.

    Raises:
        ValueError: no dictionary, a field that is unknown or missing, or a value of another type.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point:
    ...     x: float
    ...     name: str | None = None
    >>> from_record(Point, {"x": 1})
    Point(x=1, name=None)
    >>> from_record(Point, {"x": "one"})
    Traceback (most recent call last):
    ValueError: x is 'one'; it must be float
    """
    hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]  # classes can be hashed
    values = checked(record, hints)
    try:
        return kind(**values)
    except TypeError as problem:
        raise ValueError(str(problem).partition("() ")[2] or str(problem)) from problem


def checked(record: object, hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return the named values of a record, each of which is of its type in `hints`.

    Raises:
        ValueError: no dictionary, a name without a type, or a value of another type.
    """
    if not isinstance(record, dict):
        raise ValueError(f"{str(record)[:40]!r} where named values belong")
    unknown = sorted(set(map(str, record)) - set(hints))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is unknown; there are {', '.join(hints)}")
    values = {name: _inner(value, hints[name]) for name, value in record.items()}
    for name, value in values.items():
        if not fits(value, hints[name]):
            kind = getattr(hints[name], "__name__", str(hints[name]))
            raise ValueError(f"{name} is {str(value)[:40]!r}; it must be {kind}")
    return values


def fits(value: object, hint: Any) -> bool:
    """Tell whether a plain value is of a field's type; a whole number will do for a float.

    >>> fits(3, float | None), fits(True, int), fits(("a",), tuple[str, ...]), fits({}, dict)
    (True, False, True, True)
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in {Union, types.UnionType}:
        return any(fits(value, part) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        hints = parts[:1] * len(value) if parts[-1:] == (...,) else parts
        return len(hints) == len(value) and all(map(fits, value, hints))
    if hint in {int, float} and isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < LONGEST_NUMBER
    return isinstance(value, origin or hint)


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _inner(value: object, hint: Any) -> object:
    """Return a value of a record with tuples, or a dataclass of its own, where it has those."""
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return from_record(hint, value)
    return _tuples(value) if "tuple" in str(hint) else value


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
