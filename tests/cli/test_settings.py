"""A field of `Recipe` is known at once wherever a training is told something."""

from __future__ import annotations

import dataclasses

import pytest
import typer

from convcli.cli.main import program, run
from convcli.cli.train import WITHOUT_EPOCHS
from convcli.learn.recipes import Recipe
from convcli.sweep.space import FIXED, SETTINGS

FIELDS = [field for field in dataclasses.fields(Recipe) if "option" in field.metadata]


def options_of(command: str) -> set[str]:
    found = typer.main.get_command(program(command)).commands[command]  # type: ignore[attr-defined]
    return {word for parameter in found.params for word in parameter.opts}


@pytest.mark.parametrize("command", ["train", "sweep", "lr-find"])
def test_every_setting_is_an_option_of_its_own_name(command: str) -> None:
    left_out = WITHOUT_EPOCHS if command == "lr-find" else ()
    ref = {f"--{field.name.replace('_', '-')}" for field in FIELDS if field.name not in left_out}
    assert ref - options_of(command) == set()
    assert not {f"--{name}" for name in left_out} & options_of(command)


def test_every_setting_is_swept_or_said_to_be_fixed() -> None:
    names = {field.name for field in FIELDS}
    assert {name.replace("-", "_") for name in SETTINGS} == (names - set(FIXED)) | {"network"}


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_setting_but_epochs_is_refused_beside_resume(
    field: dataclasses.Field[object], capfd: pytest.CaptureFixture[str]
) -> None:
    word = f"--{field.name.replace('_', '-')}"
    words = [word] if field.type == "bool" else [word, "1"]
    code = run(["train", "--resume", "nowhere", *words])
    said = capfd.readouterr().err
    if field.name == "epochs":
        assert (code, "there is no checkpoint" in said) == (3, True)
    else:
        assert (code, f"leave out: {word}" in said) == (2, True)
