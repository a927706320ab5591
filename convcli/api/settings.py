"""Arguments that a call shares with the options of a command, as names that editors complete.

A command's options are the fields of a dataclass. The dictionaries here name the same fields with
the same types for type checkers, `convcli.option.completes` puts them into a function's signature
for `help` and notebooks, and `settings_of` checks what was given as the command line does.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, TypedDict, get_type_hints

from convcli.errors import WrongTypeError, did_you_mean
from convcli.imaging.options import (
    AlphaName,
    BlendName,
    CompareName,
    EngineName,
    GradientName,
    MagnitudeName,
    PaddingName,
    RangeName,
)
from convcli.records import fits


class FilterSettings(TypedDict, total=False):
    """The fields of `convcli.imaging.options.FilterOptions` that one picture has a use for."""

    output: str | os.PathLike[str] | None
    force: bool
    compress: bool
    quality: int | None
    max_pixels: int
    memory_limit: int | str
    threads: int | None
    convolve: bool
    border: str
    padding: PaddingName
    stride: int
    dilation: int
    divisor: float | None
    offset: float | None
    normalize: bool
    value_range: RangeName | None
    gray: bool
    alpha: AlphaName | None
    channels: str | Collection[str] | None
    region: str | tuple[int, int, int, int] | None
    strength: float
    blend: BlendName
    linear: bool
    compare: CompareName | None
    stats: bool
    magnitude: MagnitudeName
    gradient: GradientName
    engine: EngineName


class RecipeSettings(TypedDict, total=False):
    """The fields of `convcli.learn.recipes.Recipe` besides the network."""

    epochs: int
    batch: int
    lr: float | None
    optimizer: str
    momentum: float | None
    weight_decay: float | None
    schedule: str
    augment: str
    loss: str | None
    monitor: str | None
    label_smoothing: float
    class_weights: str
    sampler: str
    accumulate: int
    clip: float | None
    ema: float | None
    val: float
    patience: int | None
    steps_per_epoch: int | None
    phases: str
    calibrate: bool
    freeze: str | Collection[str]
    layer_rate: str | Collection[str]


_hints = cache(get_type_hints)
"""A class's types: reading them takes longer than filtering a small picture."""


def settings_of(group: type, settings: type, given: Mapping[str, Any], call: str) -> dict[str, Any]:
    """Return the given settings as values of the fields of `group`.

    Text is read where the command line would read it, several words are joined or kept as the field
    has them.

    Args:
        group: a dataclass of options.
        settings: the dictionary that names its public fields.
        given: to the call.
        call: its name.

    Raises:
        UsageError: a malformed value.
        WrongTypeError: a name that is none, or a value of another type.
    """
    known = _hints(settings)
    fields = {field.name: field for field in dataclasses.fields(group)}
    kinds = _hints(group)
    found = {}
    for name, value in given.items():
        if name not in known:
            hint = did_you_mean(name, known) or f" There are {', '.join(known)}."
            raise WrongTypeError(f"{call} has no argument {name!r}.{hint}")
        plain = _plain(value, str(kinds[name]))
        _, more = fields[name].metadata.get("option", ((), {}))
        if isinstance(plain, str) and "parser" in more:
            plain = more["parser"](plain)
        word = isinstance(plain, str) and "Literal" in str(kinds[name])
        if not word and not fits(plain, kinds[name]):  # of unknown words the field says more
            kind = kinds[name].__name__ if isinstance(kinds[name], type) else str(kinds[name])
            raise WrongTypeError(f"{call}: {name} is {value!r}; it must be {kind}.")
        found[name] = plain
    return found


def _plain(value: Any, kind: str) -> Any:
    """Return a value as a command line would have given it: no NumPy number, no path, no list."""
    value = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) if "tuple" not in kind else tuple(value)
    return (value,) if isinstance(value, str) and kind.startswith("tuple") else value
