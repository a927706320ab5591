"""Every verb of the command line is a public call: typed, completed, named in help and README."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import typer

import convcli
from convcli.cli.main import CALLS, PANELS, program, run
from convcli.present.word_table import words_report
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


def word_table() -> str:
    """Return README's table of the notation: each word, what it takes, and an example."""
    rows = ["| Word | Takes | Example |", "|:---|:---|:---|"]
    for row in words_report().records():
        cells = [f"`{row[key]}`" if row[key] else "" for key in ("word", "takes", "example")]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def test_readme_has_the_words_of_the_notation() -> None:
    assert word_table() in README.read_text(encoding="utf-8")


TABLES = (
    (re.compile(r"^\| Command \| What it does \|.*\n(?:\|.*\n)+", re.MULTILINE), verb_table),
    (re.compile(r"^\| Word \| Takes \|.*\n(?:\|.*\n)+", re.MULTILINE), word_table),
)
"""What README's generated tables begin with, and what makes them."""


def test_a_model_is_a_value_a_file_or_a_run_and_a_network_any_form(tmp_path: Path) -> None:
    """One rule for every call, as the command line has it."""
    model = convcli.fit("input 4x4x1, flatten, dense 2 softmax", *squares(), epochs=1).best_model()
    (tmp_path / "run").mkdir()
    model.save(tmp_path / "run" / "model.safetensors")
    pictures = squares()[0]
    told = [
        convcli.features(one, pictures, "flatten1")
        for one in (model, tmp_path / "run", str(tmp_path / "run" / "model.safetensors"))
    ]
    assert np.array_equal(told[0], told[1])
    assert np.array_equal(told[0], told[2])
    assert convcli.convolutionalize(tmp_path / "run").network.layers
    written = convcli.export_model(tmp_path / "run", tmp_path / "m.npz", to="npz").files
    named = {"network": model.network, "classes": "a,b", "scale": 0.5}
    back = convcli.import_model(written[0], **named).model
    assert (back.class_names, back.preprocessing.scale) == (("a", "b"), (0.5,))
    with pytest.raises(TypeError, match="a model is a TrainedModel, or a path"):
        convcli.features(3, pictures)  # type: ignore[arg-type]
    (tmp_path / "own.net").write_text("input 4, dense 2")
    named_path = convcli.network(tmp_path / "own.net")
    assert convcli.network(named_path) is named_path
    with pytest.raises(TypeError, match="a network is a Network, words"):
        convcli.network(3)  # type: ignore[arg-type]


def squares() -> tuple[np.ndarray, np.ndarray]:
    """Return eight bright and dark pictures, and which they are."""
    pictures = np.zeros((8, 4, 4, 1), np.uint8)
    pictures[::2] = 200
    return pictures, np.arange(8) % 2


WORDS = {("export_model", "to"), ("import_model", "outputs"), ("import_model", "pictures")}


@pytest.mark.parametrize(("call", "argument"), sorted(WORDS))
def test_a_choice_of_words_is_a_literal_that_editors_complete(call: str, argument: str) -> None:
    kind = get_type_hints(getattr(convcli, call))[argument]
    assert any(get_origin(one) is Literal for one in get_args(kind))
