"""Options are fields: a frozen dataclass is the one description of what a command may be told."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(help: str, *flags: str, default: Any = None, **more: Any) -> Any:  # noqa: A002
    """Return a dataclass field that is also an option of the command line.

    The command line reads it with `convcli.cli.options.takes`; for everyone else it is a field with
    a default, and this module costs nothing but the standard library.

    Args:
        help: one sentence for `--help`.
        flags: how it is spelled; `--field-name` when left out.
        default: the value without the option; it stands in the help.
        more: what the command line's library knows besides: `min`, `max`, `metavar`, `parser`.
    """
    return field(default=default, metadata={"option": (flags, {"help": help, **more})})
