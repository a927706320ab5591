"""Every command explains itself with an example, and every option with a sentence."""

from __future__ import annotations

import re

import pytest
from rich import markup
from typer.core import TyperCommand

from convcli.cli.main import run
from tests.options import COMMANDS, Option, all_options, noting


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does_and_shows_an_example(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*name.split(), "--help"]) == 0
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert len(re.findall(rf"convcli {name}\b", said)) >= 2, "usage alone is no example"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_sentence(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if parameter.name != "help":
            assert getattr(parameter, "help", None), f"{name} {parameter.name} has no help"


def test_given_options_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: set[Option] = set()
    monkeypatch.setattr(TyperCommand, "parse_args", noting(parsed))
    assert run(["kernels", "sobel", "--format", "json"]) == 0
    assert [spelled for spelled, _ in parsed] == ["--format"]
    assert parsed < all_options().keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_is_taken_for_markup(name: str) -> None:
    for parameter in COMMANDS[name].params:
        text = getattr(parameter, "help", None) or ""
        assert markup.render(text).plain == text, f"{name} {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_value_is_broken_and_no_range_takes_its_room(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*name.split(), "--help"]) == 0
    said = capfd.readouterr().out
    assert not re.search(r"\[(?:[\d.]+<=)?x[<>]", said)
    assert not re.search(r"<[\w-]+(?:\|[\w-]*)+[ │]*$", said, re.MULTILINE)


def test_examples_stand_out(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(["pool", "--help"]) == 0
    assert "\x1b[1;33m  convcli pool matrix.csv" in capfd.readouterr().out


def test_options_stand_as_they_are_typed_whatever_the_width(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 50 columns too: a name and its value are never broken, sentences go below them."""
    monkeypatch.setenv("COLUMNS", "50")
    for words, spelled in (
        (["shape"], ["--compare-dialects", "--trace [LAYER:]ROW,COL", "--threads N"]),
        (["sweep"], ["--layer-rate PATTERN=FACTOR", "-o, --out DIR", "[NETWORK] NAME=VALUES..."]),
        (["explain", "conv"], ["-k, --kernel TEXT"]),
    ):
        assert run([*words, "--help"]) == 0
        said = capfd.readouterr().out
        assert max(map(len, said.splitlines())) <= 50
        for name in spelled:
            assert re.search(rf"^│ {re.escape(name)}(?=  )", said, re.MULTILINE), name


def test_what_matters_comes_first(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    def panels(*words: str) -> list[str]:
        assert run([*words, "--help"]) == 0
        return re.findall(r"^╭─ (.*?) ─+╮$", capfd.readouterr().out, re.MULTILINE)

    assert panels("train") == ["Arguments", "Options", "Training", "Data", "Output"]
    assert panels("shape")[1] == "The network"
    assert panels("show", "cam")[-2:] == ["Figure", "Output"]
    assert panels()[0] == "Pictures"
    assert panels()[-1] == "Options"
