"""Every verb of the command line is a public call: typed, completed, named in help and README."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import typer

import convcli
from convcli.cli.main import CALLS, PANELS, program, run
from tests.options import COMMANDS

README = Path(__file__).parents[2] / "README.md"


def calls_of(command: str) -> list[str]:
    if " " in command:
        return [command.replace(" ", "_")]
    return CALLS[command].split()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_a_call(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    for name in calls_of(command):
        assert name in convcli.__all__
        assert callable(getattr(convcli, name))
    assert run([*command.split(), "--help"]) == 0
    assert f"convcli.{calls_of(command)[0]}" in capfd.readouterr().out


def public_calls() -> list[str]:
    found = {name: getattr(convcli, name) for name in convcli.__all__}
    return [name for name, value in found.items() if inspect.isroutine(value)]


@pytest.mark.parametrize("name", public_calls())
def test_arguments_are_named_typed_and_explained(name: str) -> None:
    call = getattr(convcli, name)
    for parameter in inspect.signature(call).parameters.values():
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD, "editors complete names"
        assert parameter.annotation is not inspect.Parameter.empty
    assert inspect.getdoc(call)


def verb_table() -> str:
    """Return README's table: each command, what it is for, and the calls."""
    group = typer.main.get_command(program())
    rows = ["| Command | What it does | In Python |", "|:---|:---|:---|"]
    for names in PANELS.values():
        for command in names:
            told = group.commands[command].get_short_help_str(200)  # type: ignore[attr-defined]
            calls = CALLS[command].split() if command in CALLS else [f"{command}_..."]
            rows.append(f"| `{command}` | {told} | {', '.join(f'`{one}`' for one in calls)} |")
    return "\n".join(rows)


def test_readme_has_the_table_of_verbs_and_calls() -> None:
    """Paste `verb_table()` after a deliberate change: python -m tests.test_readme --write."""
    assert verb_table() in README.read_text(encoding="utf-8")


TABLE = re.compile(r"^\| Command \| What it does \| In Python \|\n(?:\|.*\n)+", re.MULTILINE)
