"""Which samples: one group of options for every command that reads labeled data."""

from __future__ import annotations

import copy
import dataclasses
import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

import convcli
from convcli.cli.main import program, run
from convcli.data import Source, load_dataset
from convcli.learn.modelfile import load
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
    assert json.loads((tmp_path / "runs" / "sweep.json").read_text())["source"].items() >= {
        "label": "kind", "overlap": 0.0, "window": 8,
    }.items()  # fmt: skip


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


def idx(folder: Path, name: str, values: np.ndarray) -> None:
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    (folder / name).write_bytes(head + values.astype(np.uint8).tobytes())


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """A source of every kind whose samples take a little under 100,000 bytes."""
    folder = tmp_path_factory.mktemp("sources")
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (120, 28, 28), dtype=np.uint8)
    for kind in ("a", "b"):
        (folder / "folders" / kind).mkdir(parents=True)
        for i in range(25):
            pixels = np.broadcast_to(pictures[i, :, :, np.newaxis], (28, 28, 3))
            Image.fromarray(pixels).save(folder / "folders" / kind / f"{i}.png")
    (folder / "idx").mkdir()
    idx(folder / "idx", "train-images-idx3-ubyte", pictures)
    idx(folder / "idx", "train-labels-idx1-ubyte", np.arange(120) % 3)
    np.savez(folder / "packed.npz", x=pictures, y=np.arange(120) % 3)
    np.savez_compressed(folder / "vectors.npz", x=pictures[:30].reshape(30, -1), y=range(30))
    rows = [f"{i},{i % 7},{i % 5},{i // 50 % 2}" for i in range(1000)]
    (folder / "walks.csv").write_text("\n".join(["time,u,v,label", *rows]))
    return {
        "folders": [str(folder / "folders")],
        "idx": [str(folder / "idx")],
        "npz": [str(folder / "packed.npz")],
        "vectors": [str(folder / "vectors.npz")],
        "rows": [str(folder / "walks.csv"), "--window", "0"],
        "windows": [str(folder / "walks.csv"), "--window", "32", "--overlap", "0.9"],
        "digits": ["digits", "--samples", "100"],
    }


@pytest.mark.parametrize("kind", ["folders", "idx", "npz", "vectors", "rows", "windows", "digits"])
def test_every_source_keeps_to_a_memory_limit(
    kind: str,
    sources: dict[str, list[str]],
    capfd: Captured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["data", *sources[kind], "--format", "json"]
    assert run([*words, "--memory-limit", "1MB"]) == 0
    needed = json.loads(capfd.readouterr().out)["bytes"]
    assert 8_000 <= needed <= 200_000
    if kind == "folders":  # decoded to disk instead
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert run([*words, "--memory-limit", f"{needed - 1}B"]) == 0
        assert "are kept on disk" in capfd.readouterr().out
        return
    assert run([*words, "--memory-limit", f"{needed - 1}B"]) == 3
    said = capfd.readouterr().err
    assert "bytes in memory; at most" in said
    assert "llow more with --memory-limit 1MB." in said


def test_a_limit_no_byte_too_small(sources: dict[str, list[str]], capfd: Captured) -> None:
    assert run(["data", *sources["idx"], "--memory-limit", f"{120 * 28 * 28}"]) == 0
    assert run(["data", *sources["idx"], "--memory-limit", "8XB"]) == 2
    assert "'8XB' is no size" in capfd.readouterr().err


def test_windows_that_overlap_a_thousandfold_take_the_memory_of_their_rows(tmp_path: Path) -> None:
    rows = [f"{i},{i % 7},{i // 5000 % 2}" for i in range(20_000)]
    (tmp_path / "long.csv").write_text("\n".join(["time,u,label", *rows]))
    tracemalloc.start()
    train = load_dataset(tmp_path / "long.csv", window=400, overlap=0.998).train
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert train.sample_shape == (400, 1)
    assert 10_000 < len(train) < 20_000
    assert train.nbytes == 80_000
    assert peak < 12_000_000  # the windows would be 19 MB, besides
    np.testing.assert_array_equal(train.some([5])[0, :, 0], np.arange(5, 405) % 7)
    sent = copy.copy(train.take([5, 7]))  # as it goes to another process
    assert sent.stored.shape == (2, 400, 1)
    np.testing.assert_array_equal(sent.samples, train.some([5, 7]))


def test_a_picture_that_needs_more_alone_is_skipped_and_said(
    tmp_path: Path, capfd: Captured
) -> None:
    for kind in "ab":
        (tmp_path / kind).mkdir()
        Image.new("L", (3000, 2000)).save(tmp_path / kind / "large.png")
    words = ["data", str(tmp_path), "--size", "8x8"]
    assert run([*words, "--memory-limit", "1MB"]) == 3
    said = capfd.readouterr().err
    assert "no readable picture" in said
    assert "Skipped 2, the first because:" in said
    assert "Allow more with --memory-limit" in said
    assert run(words) == 0


def test_a_training_notes_the_limit_for_who_goes_on_with_it(
    sources: dict[str, list[str]], tmp_path: Path, capfd: Captured
) -> None:
    network = "input 28x28x1, maxpool 4, flatten, dense 3 softmax"
    out = str(tmp_path / "run")
    words = ["train", network, "--data", *sources["npz"], "--epochs", "1", "-o", out, "--quiet"]
    assert run([*words, "--memory-limit", "10kB"]) == 3
    assert "--memory-limit 1MB" in capfd.readouterr().err
    assert run([*words, "--memory-limit", "1MB"]) == 0
    noted = load(tmp_path / "run" / "model.safetensors").training
    assert noted["source"]["memory_limit"] == "1MB"
    assert run(["evaluate", out, "--quiet"]) == 0
    assert run(["evaluate", out, "--memory-limit", "9kB"]) == 3


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
