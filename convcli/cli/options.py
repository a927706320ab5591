"""Options that mean the same on every command."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from convcli.errors import UsageMistake

Style = Literal["table", "plain", "json", "csv", "markdown", "latex"]
EngineName = Literal["auto", "numba", "numpy"]

FormatOption = Annotated[
    Style | None,
    typer.Option(
        "--format",
        help="How to print: a table on a terminal, plain when piped, unless you say.",
        show_default=False,
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", help="No messages and no progress; results and errors only.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace an existing output file (never an input).")
]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", help="Where the result goes.", show_default=False)
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=0, help="Processor threads; 0 means all there are.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Same seed, same bits, on any number of threads.")
]
EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", help="Compiled, plain NumPy, or chosen from the amount of work."),
]


def refuse_beside_resume(context: typer.Context, allowed: Collection[str], what: str) -> None:
    """Refuse what was given beside `--resume` and would not hold, since the place decides it.

    Args:
        context: of the command.
        allowed: names of the parameters that mean something all the same.
        what: that is resumed.

    Raises:
        UsageMistake: something else was given, even with its default value.
    """
    given = [
        max(parameter.opts, key=len) if parameter.param_type_name == "option" else "NETWORK"
        for parameter in context.command.params
        if parameter.name not in {*allowed, "resume"}
        and (source := context.get_parameter_source(str(parameter.name))) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        raise UsageMistake(
            f"--resume takes everything from the {what}; leave out: {', '.join(given)}."
        )


def refuse_without_effect(given: Mapping[str, object], where: str) -> None:
    """Refuse options that would change nothing in this call.

    Args:
        given: option -> its value; None, False and empty lists were not given.
        where: what they need, as in `only means something {where}`.

    Raises:
        UsageMistake: one was given.
    """
    for option, value in given.items():
        if value is not None and value is not False and value != []:
            raise UsageMistake(f"{option} only means something {where}.")
