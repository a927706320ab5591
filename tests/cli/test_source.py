"""Which samples: one group of options for every command that reads labeled data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

import convcli
from convcli.cli.main import program, run
from convcli.data import Source
from tests.cli.learning import NETWORK, quadrants, write_quadrants

Captured = pytest.CaptureFixture[str]
SERIES = "input 8x2, conv 4 3 relu, gap, dense 2 softmax"
FLAGS = {
    (field.metadata["option"][0] or [f"--{field.name.replace('_', '-')}"])[0]
    for field in dataclasses.fields(Source)
}


def flags_of(command: str) -> set[str]:
    found = get_command(program())
    for word in command.split():
        found = found.commands[word]  # type: ignore[attr-defined]
    return {flag for parameter in found.params for flag in parameter.opts}


@pytest.mark.parametrize(
    "command",
    ["train", "sweep", "evaluate", "lr-find", "features", "data", "show confusion", "show errors"],
)
def test_every_command_that_reads_data_takes_the_whole_group(command: str) -> None:
    positional = {"--data"} if command in {"features", "data"} else set()
    assert FLAGS - positional <= flags_of(command)
    assert {"--data", "--window", "--label"} <= FLAGS


@pytest.fixture
def walks(tmp_path: Path) -> Path:
    """A series whose labels stand in a column of no usual name, between two of texts."""
    rows = [
        f"{np.sin(i / 3) * (1 + i // 30 % 2):.4f},{i % 7},{'ab'[i // 30 % 2]},z{i % 3}"
        for i in range(600)
    ]
    path = tmp_path / "walks.csv"
    path.write_text("\n".join(["u,v,kind,note", *rows]) + "\n")
    return path


def test_the_label_that_an_error_recommends_can_be_given(
    walks: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ["--data", str(walks), "--window", "8", "--overlap", "0"]
    out = str(tmp_path / "run")
    for command in (
        ["train", SERIES, "--epochs", "1", "-o", out],
        ["evaluate", out],
        ["lr-find", SERIES, "--steps", "10"],
        ["sweep", SERIES, "batch=8,16", "--epochs", "1", "--jobs", "1", "-o", f"{out}s"],
        ["show", "confusion", out, "-o", f"{out}.svg"],
    ):
        if command[0] not in {"evaluate", "show"}:  # these two know it from the training
            assert run([*command, *words]) == 2
            assert "Name it with --label" in capfd.readouterr().err
        assert run([*command, *words, "--label", "kind", "--quiet", "--format", "json"]) == 0
    assert json.loads((tmp_path / "runs" / "sweep.json").read_text())["shaping"] == {
        "label": "kind", "overlap": 0.0, "window": 8,
    }  # fmt: skip


def test_what_is_given_as_zero_is_given(walks: Path, capfd: Captured) -> None:
    words = ["data", str(walks), "--label", "kind", "--format", "json"]
    assert run([*words, "--window", "0"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert (got["sample_shape"], got["splits"]["train"]["n"]) == ([2], 600)
    assert run([*words, "--window", "8", "--overlap", "0"]) == 0
    assert json.loads(capfd.readouterr().out)["splits"]["train"]["n"] < 600 // 8 + 1


def test_a_table_that_may_be_either_is_refused_with_both_ways_out(
    walks: Path, capfd: Captured
) -> None:
    assert run(["data", str(walks), "--label", "kind"]) == 2
    said = capfd.readouterr().err
    assert "a label lasts 30 rows on average" in said
    assert "--window 128 for windows of a series, or --window 0 for one sample a row" in said


def test_a_table_of_one_sample_a_row_has_one_sample_a_row(tmp_path: Path, capfd: Captured) -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn's digits as a table")
    digits = datasets.load_digits()
    table = np.column_stack([digits.data, digits.target]).astype(int)
    head = ",".join([*(f"p{i}" for i in range(64)), "label"])
    path = tmp_path / "digits.csv"
    np.savetxt(path, table, fmt="%d", delimiter=",", header=head, comments="")
    data = convcli.load_dataset(str(path))
    np.testing.assert_array_equal(digits.data, data.train.samples)
    np.testing.assert_array_equal(digits.target, data.train.labels)
    assert any("Each row is a sample" in note for note in data.notes)
    network = "input 64, dense 10 softmax"
    out = str(tmp_path / "run")
    words = ["--epochs", "8", "--lr", "0.01", "--quiet", "--format", "json"]
    assert run(["train", network, "--data", str(path), "-o", out, *words]) == 0
    assert json.loads(capfd.readouterr().out)["val_accuracy"] > 0.9


def test_rows_of_one_person_stay_together(tmp_path: Path) -> None:
    rows = [f"{i % 5},{i},{i * 2},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "x.csv").write_text("\n".join(["person,u,v,label", *rows]))
    train = convcli.load_dataset(str(tmp_path / "x.csv")).train
    np.testing.assert_array_equal(train.groups, np.arange(40) % 5)
    np.testing.assert_array_equal(train.samples, [[i, 2 * i] for i in range(40)])


@pytest.fixture(scope="module")
def without_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on data without test samples, in which a fifth was held out."""
    folder = tmp_path_factory.mktemp("held")
    x, y = quadrants(160)
    np.savez(folder / "all.npz", x=x, y=y)
    words = ["train", NETWORK, "--data", str(folder / "all.npz"), "--val", "0.2", "--epochs", "2"]
    assert run([*words, "--batch", "16", "--seed", "3", "-o", str(folder / "r"), "--quiet"]) == 0
    return folder


def evaluated(capfd: Captured, *words: str) -> tuple[dict[str, object], str]:
    capfd.readouterr()
    assert run(["evaluate", *words, "--format", "json"]) == 0
    said = capfd.readouterr()
    return json.loads(said.out), said.err


@pytest.mark.parametrize("place", ["r", "r/model.safetensors"])
@pytest.mark.parametrize("given", [[], ["--data"], ["--split", "validation"]])
def test_a_run_without_test_samples_is_judged_by_those_it_held_out(
    place: str, given: list[str], without_test: Path, capfd: Captured
) -> None:
    more = [*given, str(without_test / "all.npz")] if given == ["--data"] else given
    got, _ = evaluated(capfd, str(without_test / place), *more)
    held = [*map(int, (without_test / "r" / "validation_indices.txt").read_text().split())]
    x, y = quadrants(160)
    told = convcli.load(without_test / "r" / "model.safetensors").predict(x[held])
    assert (got["n"], got["split"]) == (32, "validation")
    assert got["accuracy"] == (told.argmax(1) == y[held]).mean()
    record = json.loads((without_test / "r" / "run.json").read_text())
    assert got["accuracy"] == record["result"]["val_accuracy"]


def test_the_title_says_which_samples_they_are(without_test: Path, capfd: Captured) -> None:
    assert run(["evaluate", str(without_test / "r")]) == 0
    assert "all, validation, held out of the training: accuracy" in capfd.readouterr().out
    got, said = evaluated(capfd, str(without_test / "r"), "--split", "train")
    assert (got["n"], got["split"]) == (128, "train")
    assert "those the model was trained on" in said


def test_other_data_are_taken_whole(without_test: Path, tmp_path: Path, capfd: Captured) -> None:
    x, y = quadrants(80, seed=9)
    np.savez(tmp_path / "other.npz", x=x, y=y)
    got, said = evaluated(capfd, str(without_test / "r"), "--data", str(tmp_path / "other.npz"))
    assert (got["n"], got["split"]) == (80, "train")
    assert "trained on" not in said


def test_data_with_test_samples_are_judged_by_them(tmp_path: Path, capfd: Captured) -> None:
    place = write_quadrants(tmp_path)
    words = ["train", NETWORK, "--data", str(place), "--epochs", "1", "-o", str(tmp_path / "r")]
    assert run([*words, "--quiet"]) == 0
    for more in ([], ["--data", str(place)]):
        got, _ = evaluated(capfd, str(tmp_path / "r"), *more)
        assert (got["n"], got["split"]) == (40, "test")
    got, _ = evaluated(capfd, str(tmp_path / "r"), "--split", "validation")
    assert got["n"] == 16


def test_data_that_changed_since_cannot_be_parted_again(tmp_path: Path, capfd: Captured) -> None:
    x, y = quadrants(80)
    np.savez(tmp_path / "all.npz", x=x, y=y)
    words = ["train", NETWORK, "--data", str(tmp_path / "all.npz"), "--epochs", "1"]
    assert run([*words, "-o", str(tmp_path / "r"), "--quiet"]) == 0
    x, y = quadrants(120)
    np.savez(tmp_path / "all.npz", x=x, y=y)
    assert run(["evaluate", str(tmp_path / "r")]) == 3
    assert "are no longer those that the model was trained on" in capfd.readouterr().err


def test_each_fold_is_judged_by_its_own_samples(without_test: Path, capfd: Captured) -> None:
    out = without_test / "folds"
    words = ["train", NETWORK, "--data", str(without_test / "all.npz"), "--epochs", "1"]
    assert run([*words, "--folds", "2", "-o", str(out), "--quiet"]) == 0
    for fold in ("fold1", "fold2"):
        got, _ = evaluated(capfd, str(out / fold))
        record = json.loads((out / fold / "run.json").read_text())
        assert (got["n"], got["accuracy"]) == (80, record["result"]["val_accuracy"])
