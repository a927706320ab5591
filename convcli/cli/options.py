"""Options that mean the same on every command."""

from __future__ import annotations

from collections.abc import Mapping
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
