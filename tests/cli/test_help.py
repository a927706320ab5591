"""Every command explains itself with an example, and every option it names has a test."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from rich import markup

from convcli.cli.main import program

TESTS = Path(__file__).parent.parent


def walk(command: Any, path: str = "") -> dict[str, Any]:
    """Return every command by its words, those of groups included."""
    found = {}
    for name, child in getattr(command, "commands", {}).items():
        words = f"{path} {name}".strip()
        found |= walk(child, words) if hasattr(child, "commands") else {words: child}
    return found


COMMANDS = walk(typer.main.get_command(program()))


@cache
def text_of_the_tests() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does_and_shows_an_example(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from convcli.cli import main as door

    monkeypatch.setenv("COLUMNS", "80")
    assert door.run([*name.split(), "--help"]) == 0
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert len(re.findall(rf"convcli {name}\b", said)) >= 2, "usage alone is no example"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_test_and_a_sentence(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if parameter.name == "help":
            continue
        assert getattr(parameter, "help", None), f"{name} {parameter.name} has no help"
        if parameter.param_type_name == "option":
            for spelled in filter(None, (parameter.opts, parameter.secondary_opts)):
                tested = any(
                    re.search(rf"{word}(?![\w-])", text_of_the_tests()) for word in spelled
                )
                assert tested, f"no test uses {name} {' '.join(spelled)}"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_is_taken_for_markup(name: str) -> None:
    for parameter in COMMANDS[name].params:
        text = getattr(parameter, "help", None) or ""
        assert markup.render(text).plain == text, f"{name} {parameter.name}"
