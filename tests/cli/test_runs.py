"""`convcli runs` and `convcli lr-find` through the door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convcli.cli.main import run
from tests.cli.learning import NETWORK, write_quadrants
from tests.present.test_figures import svg_texts


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and two runs; the second has more epochs and a smaller rate."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_quadrants(folder)
    base = ["train", NETWORK, "--data", str(data), "--batch", "16", "--quiet"]
    assert run([*base, "--epochs", "3", "--lr", "0.01", "-o", str(folder / "runs" / "good")]) == 0
    assert run([*base, "--epochs", "4", "--lr", "1e-6", "-o", str(folder / "runs" / "poor")]) == 0
    return folder


def test_runs_are_listed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert run(["runs"]) == 0
    said = capfd.readouterr().out
    assert "runs/good" in said
    assert run(["runs", "runs", "--sort", "val_accuracy", "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert [one["run"] for one in got] == ["runs/poor", "runs/good"]
    assert got[1]["result"]["epochs"] == 3


def test_runs_are_compared(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    words = [str(place / "runs" / name) for name in ("good", "poor")]
    assert run(["runs", *words, "--format", "json"]) == 0
    got = {row["figure"]: (row["run1"], row["run2"]) for row in json.loads(capfd.readouterr().out)}
    assert got["recipe.epochs"] == (3, 4)
    assert got["recipe.lr"] == (0.01, 1e-6)
    assert "network" not in got


def test_a_damaged_record_is_named_and_passed_over(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    assert run(["runs", str(tmp_path)]) == 3
    said = capfd.readouterr().err
    assert "is no JSON" in said
    assert "there are no runs" in said
    assert run(["runs", str(tmp_path / "nowhere")]) == 3
    assert "Train first" in capfd.readouterr().err
    assert run(["runs", str(tmp_path), "--quiet"]) == 3
    assert "is no JSON" not in capfd.readouterr().err


def test_a_learning_rate_is_found(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    words = ["lr-find", NETWORK, "--data", str(place / "quadrants.npz"), "--batch", "16"]
    words += ["--steps", "60", "--from", "1e-5", "--to", "1", "--optimizer", "sgd"]
    assert run([*words, "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    rates = [point["lr"] for point in got["points"]]
    assert rates[0] == pytest.approx(1e-5)
    assert rates == sorted(rates)
    losses = [point["loss"] for point in got["points"]]
    best = rates[losses.index(min(losses))]
    assert got["suggestion"] == pytest.approx(best / 10)
    assert 1e-4 < got["suggestion"] <= 0.1 + 1e-9
    assert run(words) == 0
    said = capfd.readouterr().out
    assert "Suggestion: --lr" in said
    assert max(map(len, said.splitlines())) <= 80
    assert run([*words, "-o", str(place / "losses.svg")]) == 0
    drawn = " ".join(svg_texts(place / "losses.svg").split())
    assert "learning rate" in drawn.lower()
    assert "loss" in drawn.lower()


def test_rates_in_the_wrong_order(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["lr-find", NETWORK, "--data", str(place / "quadrants.npz")]
    assert run([*words, "--from", "1", "--to", "0.1"]) == 2
    assert "0 < from < to" in capfd.readouterr().err


@pytest.mark.parametrize("figure", ["[0.9]", '{"a": 1}', '"x"', "true", "1" + 400 * "0"])
def test_a_result_without_figures_is_named_and_the_others_are_listed(
    figure: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, accuracy in (("good", "0.5"), ("bad", figure)):
        (tmp_path / name).mkdir()
        record = f'{{"status": "done", "result": {{"val_accuracy": {accuracy}}}}}'
        (tmp_path / name / "run.json").write_text(record)
    assert run(["runs", str(tmp_path)]) == 0
    told = capfd.readouterr()
    assert "50.00%" in told.out
    assert "val_accuracy of its result is" in told.err
