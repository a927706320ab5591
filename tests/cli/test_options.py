"""Options as fields: what a command is called with, for words on a real command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
import typer

from convcli.cli.options import Given, Output, takes
from convcli.errors import UsageError
from convcli.option import option
from convcli.report import Column, Report


@dataclass(frozen=True)
class Recipe:
    """A group of options; `seen` is a field that is none."""

    epochs: int = option("Passes over the samples.", default=10, min=1)
    lr: float | None = option("Learning rate.", "--lr")
    flip: bool = option("Turned left to right.", "--flip/--no-flip", default=True)
    loss: Literal["mse", "mae"] = option("What is made small.", default="mse")
    freeze: tuple[str, ...] = option("Layers that keep their weights.", metavar="NAME", default=())
    seen: int = 7


def call(words: list[str], group: Any = Recipe) -> Any:
    """Return what a command with this group is called with."""
    app = typer.Typer(pretty_exceptions_enable=False)
    got: list[Any] = []

    @app.command()
    @takes(recipe=group)
    def learn(name: Annotated[str, typer.Argument()], *, recipe: Any) -> None:
        got.append((name, recipe))

    app(args=words, standalone_mode=False)
    return got[0] if got else None


def test_without_options_the_value_has_its_defaults() -> None:
    assert call(["lenet"]) == ("lenet", Recipe())


def test_every_option_reaches_its_field() -> None:
    words = "lenet --epochs 3 --lr 0.5 --no-flip --loss mae --freeze conv1 --freeze conv2"
    ref = Recipe(3, 0.5, False, "mae", ("conv1", "conv2"))
    assert call(words.split()) == ("lenet", ref)


def test_given_tells_the_options_apart_from_their_defaults() -> None:
    assert call(["lenet"], Given(Recipe)) == ("lenet", {})
    got = call(["lenet", "--epochs", "10", "--no-flip"], Given(Recipe))
    assert got == ("lenet", {"epochs": 10, "flip": False})


@pytest.mark.parametrize("words", [["--epochs", "0"], ["--loss", "huber"], ["--seen", "1"]])
def test_what_a_field_does_not_take_is_refused(words: list[str]) -> None:
    with pytest.raises(typer.TyperException):
        call(["lenet", *words])


def test_the_help_names_flags_sentences_and_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    call(["--help"])
    got = " ".join(capsys.readouterr().out.split())
    for word in ("--epochs", "Passes over the samples.", "10", "--lr", "--no-flip", "NAME"):
        assert word in got


def test_a_parameter_whose_default_is_an_option_is_one() -> None:
    app = typer.Typer(pretty_exceptions_enable=False)
    got: list[Any] = []

    @app.command()
    @takes()
    def learn(
        *,
        filter_: int | None = option("Only this one.", min=0),
        layer: tuple[str, ...] = option("Only these.", default=()),
    ) -> None:
        got.append((filter_, layer))

    for words in ([], ["--filter", "3", "--layer", "a", "--layer", "b"]):
        app(args=words, standalone_mode=False)
    assert got == [(None, ()), (3, ("a", "b"))]


SIZES, TIMES = (
    Report(name, (Column("n", "N"), Column("what", "What")), ((1, name),), name=name)
    for name in ("sizes", "times")
)
BOTH = Report("Both", (), (), parts=(SIZES, TIMES))


@pytest.mark.parametrize(
    ("output", "ref"),
    [
        (Output("csv"), "n,what\n1,sizes\n"),
        (Output("csv", "times"), "n,what\n1,times\n"),
        (Output("plain", "times"), "times\nN  What\n1  times\n"),
        (Output("json", "times"), '[\n  {\n    "n": 1,\n    "what": "times"\n  }\n]\n'),
    ],
)
def test_one_table_of_a_report(output: Output, ref: str, capfd: pytest.CaptureFixture[str]) -> None:
    output.emit(BOTH)
    assert capfd.readouterr().out == ref


def test_an_unknown_table_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"--table x: .* its tables are sizes, times"):
        Output(table="x").emit(BOTH)
    with pytest.raises(UsageError, match="it is one table"):
        Output(table="x").emit(Report("", SIZES.columns, SIZES.rows))


def test_a_quiet_summary_is_printed_where_it_was_asked_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Output(quiet=True).emit_summary(BOTH)
    assert capfd.readouterr().out == ""
    Output("csv", quiet=True).emit_summary(BOTH)
    assert capfd.readouterr().out
