"""Options are fields: a frozen dataclass is the one description of what a command may be told.

Here too is the text of the values that several options share: sizes in bytes, places, settings.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import field, fields
from typing import Any, TypeVar, get_type_hints

from convcli.errors import UsageError, did_you_mean

Choice = TypeVar("Choice")
F = TypeVar("F", bound=Callable[..., Any])


def option(help: str, *flags: str, default: Any = None, **more: Any) -> Any:  # noqa: A002  (typer's)
    """Return a dataclass field that is also an option of the command line.

    The command line reads it with `convcli.cli.options.takes`; for everyone else it is a field with
    a default, and this module costs nothing but the standard library.

    Args:
        help: one sentence for `--help`.
        flags: how it is spelled; `--field-name` when left out.
        default: the value without the option; it stands in the help.
        more: what the command line's library knows besides: `min`, `max`, `metavar`, `parser`;
            and `choices`, where a table has them.
    """
    return field(default=default, metadata={"option": (flags, {"help": help, **more})})


def completes(group: type, settings: type) -> Callable[[F], F]:
    """Show the fields of `group` that `settings` names in the signature of a function.

    Args:
        group: the dataclass whose defaults hold.
        settings: the dictionary that its `**settings` are.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        *own, _ = signature.parameters.values()
        hints = get_type_hints(settings)
        named = [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default,
                annotation=hints[field.name],
            )
            for field in fields(group)
            if field.name in hints
        ]  # fmt: skip
        shown = signature.replace(parameters=[*own, *named])
        function.__signature__ = shown  # type: ignore[attr-defined]  # inspect and help read it
        return function

    return decorate


UNITS = {
    "": 1,
    "b": 1,
    **{letter: 1000 ** (k + 1) for k, letter in enumerate("kmgt")},
    **{f"{letter}b": 1000 ** (k + 1) for k, letter in enumerate("kmgt")},
    **{f"{letter}ib": 1024 ** (k + 1) for k, letter in enumerate("kmgt")},
}
"""Unit in small letters -> bytes."""


def byte_count(text: str) -> int:
    """Return the bytes in `8GiB`, `500 MB` or `2e9`.

    >>> byte_count("8GiB"), byte_count("1.5 kB")
    (8589934592, 1500)

    Raises:
        UsageError: no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:[eE]\d{1,2})?)\s*([A-Za-z]{0,3})\s*", text[:40])
    if match is None or match[2].lower() not in UNITS:
        raise UsageError(f"{text[:40]!r} is no size. Write it as 8GiB, 500MB or 2e9.")
    unit: int = UNITS[match[2].lower()]
    return round(float(match[1]) * unit)


def parse_place(
    text: str, option: str = "--at", *, layers: bool = True
) -> tuple[str | None, tuple[int, ...]]:
    """Return layer and place of `[LAYER:]ROW,COL`; a series has one number, a volume three.

    >>> parse_place("conv2:3,4"), parse_place("3, 4"), parse_place("dense1:7")
    (('conv2', (3, 4)), (None, (3, 4)), ('dense1', (7,)))

    Args:
        text: the place.
        option: that it was given to.
        layers: whether it may name a layer; if not, it is a row and a column.

    Raises:
        UsageError: it is malformed.
    """
    layer, _, place = text.rpartition(":")
    words = [word.strip() for word in place.split(",")]
    numbers = all(re.fullmatch(r"[0-9]{1,9}", word) for word in words)
    if not numbers or len(words) > 3 or (not layers and (layer or len(words) != 2)):
        example = "[LAYER:]ROW,COL, such as conv2:3,4" if layers else "ROW,COL, such as 3,4"
        raise UsageError(f"{option} {text[:60]!r} is no place. Write {example}, counted from 0.")
    return layer or None, tuple(map(int, words))


def parse_settings(
    text: str, known: Collection[str], what: str, example: str, *, in_order: bool = False
) -> dict[str, str]:
    """Return the settings in `name=value,name=value`, each value as text.

    >>> parse_settings("sigma=2, radius = 3", ("sigma", "radius"), "Kernel gaussian", "sigma=2")
    {'sigma': '2', 'radius': '3'}
    >>> parse_settings("2,radius=3", ("sigma", "radius"), "Kernel", "2", in_order=True)
    {'sigma': '2', 'radius': '3'}

    Args:
        text: the settings.
        known: names that there are.
        what: takes them.
        example: one that is right.
        in_order: values without a name are those of the first names, in their order.

    Raises:
        UsageError: an unknown or repeated name, or no value.
    """
    found: dict[str, str] = {}
    for place, word in enumerate(filter(None, (part.strip() for part in text.split(",")))):
        name, equals, value = (part.strip() for part in word.partition("="))
        if in_order and not equals and place == len(found) < len(known):
            name, equals, value = list(known)[place], "=", word
        name = name.lower()
        if not known:
            raise UsageError(f"{what} takes no figures; leave out {word[:40]!r}.")
        if not equals:
            raise UsageError(
                f"{what}: {word[:40]!r} has no value; write it as NAME=VALUE, "
                f"for example {example}."
            )
        if name not in known:
            raise UsageError(
                f"{what} has no parameter {name[:40]!r}; it has {', '.join(known)}."
                f"{did_you_mean(name, known)}"
            )
        if name in found:
            raise UsageError(f"{what}: {name} is given twice in {text[:60]!r}.")
        found[name] = value
    return found


def read_choice(
    text: str, choices: Mapping[str, type[Choice]], what: str, **defaults: Any
) -> Choice:
    """Return the value that `text` names, written as `name:key=value,key=value`.

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
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]  # the table holds dataclasses
    chosen = {key: value for key, value in defaults.items() if key in known and value is not None}
    example = f"{name}:{next(iter(known), '')}=..."
    for key, value in parse_settings(figures, known, f"{what} {name}", example).items():
        chosen[key] = _figure(value, known[key].type, f"{what} {text!r}")
    try:
        return kind(**chosen)
    except UsageError as problem:
        raise UsageError(f"{what} {text!r}: {problem}") from None


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
