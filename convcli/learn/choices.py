"""Choices with figures, written as `name:key=value,key=value`, to frozen values and back.

Optimizers, schedules and augmentation are chosen this way on the command line, in recipes and in
the files of a run, so that the text is the one description of each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from convcli.errors import ConvcliError, UsageError, did_you_mean
from convcli.option import parse_settings

Choice = TypeVar("Choice")


def read_choice(
    text: str, choices: Mapping[str, type[Choice]], what: str, **defaults: Any
) -> Choice:
    """Return the value that `text` names.

    Args:
        text: a name of `choices`, then perhaps `:` and figures for the fields of its dataclass.
        choices: name -> frozen dataclass whose fields are numbers or yes/no.
        what: what is being chosen, for messages.
        defaults: figures that hold unless `text` says otherwise; those that the chosen
            dataclass does not have, or that are None, are passed over.

    Raises:
        UsageError: the name or a field is unknown, or a figure is malformed.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Step:
    ...     every: int = 10
    ...     factor: float = 0.1
    >>> read_choice("step:every=3", {"step": Step}, "schedule")
    Step(every=3, factor=0.1)
    """
    name, _, figures = text.strip().partition(":")
    if name not in choices:
        hint = did_you_mean(name, choices)
        raise UsageError(f"Unknown {what} {name!r}.{hint} There are: {', '.join(choices)}.")
    kind = choices[name]
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # the table holds dataclasses
    chosen = {key: value for key, value in defaults.items() if key in fields and value is not None}
    example = f"{name}:{next(iter(fields), '')}=..."
    for key, value in parse_settings(figures, fields, f"{what} {name}", example).items():
        chosen[key] = _figure(value, fields[key].type, f"{what} {text!r}")
    try:
        return kind(**chosen)
    except ConvcliError:  # has its own sentence
        raise
    except ValueError as problem:
        raise UsageError(f"{what} {text!r}: {problem}.") from problem


def write_choice(value: Any, choices: Mapping[str, type]) -> str:
    """Return the text that `read_choice` reads back as `value`, without figures at their default.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Cosine:
    ...     warmup: float = 0.0
    >>> write_choice(Cosine(warmup=0.1), {"cosine": Cosine})
    'cosine:warmup=0.1'
    """
    name = next(name for name, kind in choices.items() if type(value) is kind)
    changed = [
        f"{field.name}={_text(getattr(value, field.name))}"
        for field in dataclasses.fields(value)
        if getattr(value, field.name) != field.default
    ]
    return f"{name}:{','.join(changed)}" if changed else name


def _figure(text: str, kind: object, place: str) -> int | float | bool:
    """Return `text` as the field's type; annotations are texts, as the house postpones them."""
    if kind == "bool":
        if text not in {"yes", "no"}:
            raise UsageError(f"{place}: {text!r} is neither yes nor no.")
        return text == "yes"
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError as problem:
        wanted = "a whole number" if kind == "int" else "a number"
        raise UsageError(f"{place}: {text!r} is not {wanted}.") from problem


def _text(figure: float) -> str:
    if isinstance(figure, bool):
        return "yes" if figure else "no"
    return repr(figure)
