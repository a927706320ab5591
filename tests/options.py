"""Which options of which commands the tests gave to the program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperCommand

from convcli.cli.main import program

Option = tuple[str, str]
"""One side of an option and its help: commands share what is declared once."""


def walk(command: Any, path: str = "") -> dict[str, Any]:
    """Return every command by its words, those of groups included."""
    found = {}
    for name, child in getattr(command, "commands", {}).items():
        words = f"{path} {name}".strip()
        found |= walk(child, words) if hasattr(child, "commands") else {words: child}
    return found


COMMANDS = walk(typer.main.get_command(program()))


def all_options() -> dict[Option, str]:
    """Return all options but `--help`, the two sides of a switch as two, with a command of each."""
    return {
        (spelled[0], parameter.help): name
        for name, command in COMMANDS.items()
        for parameter in command.params
        if parameter.param_type_name == "option" and parameter.name != "help"
        for spelled in (parameter.opts, parameter.secondary_opts)
        if spelled
    }


def given_options(command: TyperCommand, context: Any) -> Iterator[Option]:
    """Yield the options that the words of a parsed command line named."""
    for parameter in command.params:
        source = context.get_parameter_source(parameter.name)
        named = source is not None and source.name == "COMMANDLINE"
        if named and parameter.param_type_name == "option":
            off = parameter.secondary_opts and context.params.get(parameter.name) is False
            yield (parameter.secondary_opts if off else parameter.opts)[0], parameter.help


def noting(parsed: set[Option]) -> Callable[..., list[str]]:
    """Return a parser of command lines that notes in `parsed` what it was given."""
    parse = TyperCommand.parse_args

    def parse_and_note(self: TyperCommand, context: Any, args: list[str]) -> list[str]:
        rest = parse(self, context, args)
        parsed.update(given_options(self, context))
        return rest

    return parse_and_note
