"""`convcli train` through the door: options, run directory, Ctrl-C, kill, resume, mistakes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import convcli
from convcli.cli.main import run
from convcli.learn.run_directory import this_process
from convcli.net.modelheader import network_text
from tests.cli.learning import NETWORK, quadrants, write_quadrants

RESULT_KEYS = [
    "params", "epochs", "best_epoch", "train_seconds", "compile_seconds", "val_accuracy",
    "test_accuracy", "test_loss", "samples_per_second", "model", "val_loss", "task",
    "val_figures", "test_figures", "baseline",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_quadrants(tmp_path)


def train(data: Path, out: Path, *words: str) -> int:
    return run([
        "train", NETWORK, "--data", str(data), "-o", str(out), "--batch", "16", "--lr", "0.01",
        *words,
    ])  # fmt: skip


def weights(run_directory: Path) -> dict[str, np.ndarray]:
    return load_file(run_directory / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    return (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def result(capfd: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capfd.readouterr().out)


def test_a_training_learns_and_leaves_its_files(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(data, out, "--epochs", "6", "--format", "json") == 0
    got = result(capfd)
    assert list(got) == RESULT_KEYS
    assert got["test_accuracy"] == 1
    assert got["params"] == 4 * 9 + 4 + 36 * 4 * 4 + 4
    assert got["epochs"] == 6
    assert {path.name for path in out.iterdir()} == {
        "model.safetensors", "last.safetensors", "history.csv", "run.json",
        "validation_indices.txt", "report.html",
    }  # fmt: skip
    assert network_text(out / "model.safetensors") == NETWORK
    assert len((out / "history.csv").read_text().splitlines()) == 7
    record = json.loads((out / "run.json").read_text())
    assert (record["status"], record["result"]["test_accuracy"]) == ("done", 1)
    held = [int(line) for line in (out / "validation_indices.txt").read_text().splitlines()]
    assert len(held) == 16
    assert np.bincount(quadrants(160)[1][held]).tolist() == [4, 4, 4, 4]


def test_people_see_curves_classes_and_what_to_try_next(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "run", "--epochs", "3") == 0
    said = capfd.readouterr()
    assert "Loss by epoch (logarithmic)  o training  * validation" in said.out
    assert "Accuracy by epoch" in said.out
    assert len(re.findall(r"^  convcli (evaluate|predict|show)", said.out, re.M)) == 3
    assert max(map(len, said.out.splitlines()[:26])) <= 80
    assert len(re.findall(r"^ *\d/3 ", said.err, re.M)) == 3


def test_quiet_is_quiet(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(data, tmp_path / "run", "--epochs", "1", "--quiet", "--format", "json") == 0
    assert capfd.readouterr().err == ""


OPTIONS = {
    "adam": ["--momentum", "0.8", "--optimizer", "adam:beta2=0.99"],
    "nesterov": ["--optimizer", "nesterov", "--weight-decay", "0.001", "--schedule", "cosine"],
    "average": ["--ema", "0.9", "--clip", "1", "--schedule", "step:every=1,by=0.5"],
    "losses": ["--label-smoothing", "0.1", "--class-weights", "balanced", "--optimizer", "adamw"],
    "squared": ["--loss", "mse", "--optimizer", "rmsprop", "--schedule", "plateau"],
    "changes": ["--augment", "shift=1,noise=0.05", "--schedule", "constant"],
}


@pytest.mark.parametrize("words", OPTIONS.values(), ids=OPTIONS)
def test_each_option_trains_to_the_same_bits_on_any_threads_and_after_a_pause(
    words: list[str], data: Path, tmp_path: Path
) -> None:
    words = ["--epochs", "2", "--quiet", *words]
    assert train(data, tmp_path / "one", *words, "--threads", "1") == 0
    assert train(data, tmp_path / "two", *words, "--threads", "2") == 0
    assert same(tmp_path / "one", tmp_path / "two")
    assert train(data, tmp_path / "other", *words, "--seed", "1") == 0
    assert not same(tmp_path / "one", tmp_path / "other")


def test_options_change_the_training(data: Path, tmp_path: Path) -> None:
    base = ["--epochs", "1", "--quiet"]
    assert train(data, tmp_path / "base", *base) == 0
    for name, words in OPTIONS.items():
        assert train(data, tmp_path / name, *base, *words) == 0
        assert not same(tmp_path / "base", tmp_path / name), name


def start(data: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "convcli", "train", NETWORK, "--data", str(data), "-o", str(out),
            "--batch", "4", "--lr", "0.001", *words,
        ],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def wait_for_epoch(process: subprocess.Popen[str], number: int) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.lstrip().startswith(f"{number}/"):
            return
    raise AssertionError("the training ended too early")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, and a run of 60 epochs on them that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    data = write_quadrants(folder, count=800)
    with start(data, folder / "run", "--epochs", "60") as process:
        process.communicate(timeout=120)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_it_goes_on_to_the_same_bits(
    how: signal.Signals, undisturbed: Path, tmp_path: Path
) -> None:
    with start(undisturbed / "quadrants.npz", tmp_path / "cut", "--epochs", "60") as cut:
        wait_for_epoch(cut, 3)
        cut.send_signal(how)
        _, said = cut.communicate(timeout=60)
    if how == signal.SIGKILL:
        assert cut.returncode == -signal.SIGKILL
    else:
        assert cut.returncode == 130
        assert f"convcli train --resume {tmp_path / 'cut'}" in said
        page = (tmp_path / "cut" / "report.html").read_text(encoding="utf-8")
        assert "This run was interrupted after" in page
    epochs_done = json.loads((tmp_path / "cut" / "run.json").read_text())["epochs_done"]
    assert 2 <= epochs_done < 60
    assert run(["train", "--resume", str(tmp_path / "cut"), "--quiet", "--threads", "1"]) == 0
    assert same(undisturbed / "run", tmp_path / "cut")


def test_patience_names_metric_and_best_epoch(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--epochs", "60", "--patience", "2", "--val", "0.2", "--format", "json"]
    assert train(data, tmp_path / "run", *words) == 0
    said = capfd.readouterr()
    got = json.loads(said.out)
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    place = rows[0].split(",").index("val_accuracy")
    accuracies = [float(row.split(",")[place]) for row in rows[1:]]
    risen = accuracies.index(max(accuracies)) + 1
    assert got["epochs"] == len(accuracies) == risen + 2
    assert re.search(
        rf"Stopped after epoch {risen + 2}: validation accuracy has not risen for 2 epochs. "
        rf"The best epoch was {got['best_epoch']}, with [\d.]+%\.",
        said.err,
    )


def test_without_validation_the_last_epoch_is_taken(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "run", "--epochs", "2", "--val", "0", "--format", "json") == 0
    got = result(capfd)
    assert (got["val_accuracy"], got["best_epoch"]) == (None, 2)
    assert train(data, tmp_path / "other", "--val", "0", "--patience", "2") == 2
    assert "--patience needs validation samples" in capfd.readouterr().err


def test_init_and_freeze_keep_the_first_layer(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "first", "--epochs", "2", "--quiet") == 0
    words = ["--init", str(tmp_path / "first"), "--freeze", "conv*", "--epochs", "1", "--quiet"]
    assert train(data, tmp_path / "second", *words, "--seed", "9") == 0
    ref, got = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert (ref["conv1.kernel"] == got["conv1.kernel"]).all()
    assert (ref["conv1.bias"] == got["conv1.bias"]).all()
    assert (ref["dense1.kernel"] != got["dense1.kernel"]).any()


def test_layers_may_learn_at_rates_of_their_own(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "first", "--epochs", "1", "--quiet") == 0
    words = ["--init", str(tmp_path / "first"), "--epochs", "1", "--val", "0", "--quiet"]
    words += ["--optimizer", "sgd:momentum=0", "--schedule", "constant", "--batch", "9999"]
    assert train(data, tmp_path / "plain", *words) == 0
    slower = ["--layer-rate", "*=0.5", "--layer-rate", "conv*=0.1"]
    assert train(data, tmp_path / "slower", *words, *slower) == 0
    start, plain, got = (weights(tmp_path / name) for name in ("first", "plain", "slower"))
    for name, factor in (("conv1.kernel", 0.1), ("dense1.kernel", 0.5)):
        step = plain[name] - start[name]
        assert abs(step).max() > 1e-5
        np.testing.assert_allclose(factor * step, got[name] - start[name], atol=1e-7)


def test_a_time_limit_ends_the_training(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--epochs", "1000000", "--time-limit", "0.2", "--format", "json"]
    assert train(data, tmp_path / "run", *words) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)["epochs"] < 1_000_000
    assert "the time limit of 0.2 s was reached" in said.err


def test_fail_under(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--epochs", "1", "--lr", "1e-6", "--quiet"]
    assert train(data, tmp_path / "run", *words, "--fail-under", "0.99") == 5
    assert "under the 0.99 of --fail-under" in capfd.readouterr().err


def test_folds(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--epochs", "3", "--folds", "3", "--format", "json"]
    assert train(data, tmp_path / "run", *words) == 0
    got = result(capfd)
    assert [fold["fold"] for fold in got["folds"]] == [1, 2, 3]
    accuracies = [fold["val_accuracy"] for fold in got["folds"]]
    assert got["mean"] == pytest.approx(np.mean(accuracies))
    assert got["deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    assert all(fold["test_accuracy"] is None for fold in got["folds"])
    held = [
        set((tmp_path / "run" / f"fold{i}" / "validation_indices.txt").read_text().split())
        for i in (1, 2, 3)
    ]
    assert len(set.union(*held)) == sum(map(len, held)) == 160


def test_seeds(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--epochs", "3", "--seeds", "2", "--format", "json"]
    assert train(data, tmp_path / "run", *words, "--seed", "5") == 0
    got = result(capfd)
    assert [one["seed"] for one in got["seeds"]] == [5, 6]
    assert not same(tmp_path / "run" / "seed5", tmp_path / "run" / "seed6")
    assert got["of"] == "test_accuracy"


def test_overfit_learns_a_few_samples(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "run", "--overfit", "20", "--format", "json") == 0
    assert result(capfd)["val_accuracy"] == 1
    words = ["--overfit", "20", "--lr", "1e-9", "--epochs", "2", "--quiet"]
    assert train(data, tmp_path / "stuck", *words) == 5
    assert "of 20 samples in 2 epochs, not all" in capfd.readouterr().err


def test_a_dry_run_writes_nothing(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "run", "--dry-run", "--epochs", "7", "--format", "json") == 0
    got = result(capfd)
    assert not (tmp_path / "run").exists()
    assert (got["params"], got["samples"], got["steps"]) == (620, 144, 7 * 9)
    assert got["macs"] == 36 * 4 * 9 + 36 * 4 * 4
    assert got["train_seconds"] == pytest.approx(63 * got["step_seconds"])


def test_a_recipe_and_fewer_samples(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--recipe", "fast", "--samples", "40", "--epochs", "1", "--format", "json"]
    assert train(data, tmp_path / "run", *words) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["samples"]["train"] == 36
    assert train(data, tmp_path / "no", "--recipe", "fats") == 2
    assert "Did you mean fast" in capfd.readouterr().err


def test_a_run_is_not_replaced_without_force(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "run", "--epochs", "1", "--quiet") == 0
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert train(data, tmp_path / "run", "--epochs", "1", "--quiet") == 4
    assert "--resume" in capfd.readouterr().err
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
    assert train(data, tmp_path / "run", "--epochs", "2", "--quiet", "--force") == 0


def test_a_loss_that_is_no_number_stops_with_good_weights(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--optimizer", "sgd", "--lr", "1e30", "--schedule", "constant", "--quiet"]
    assert train(data, tmp_path / "run", *words) == 3
    said = capfd.readouterr().err
    assert re.search(r"no longer a number, in epoch 1, step \d+, at the learning rate 1e\+30", said)
    assert all(np.isfinite(array).all() for array in weights(tmp_path / "run").values())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "diverged"


def test_a_finite_explosion_ends_with_a_sentence(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "run", "--lr", "1e9", "--epochs", "2", "--quiet") == 3
    assert re.search(r"guessing has 1.39. The training blew up", capfd.readouterr().err)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "diverged"


def test_the_test_loss_is_the_loss_that_was_trained_with(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--loss", "mse", "--epochs", "4", "--format", "json", "--quiet"]
    assert train(data, tmp_path / "run", *words) == 0
    got = result(capfd)
    x, y = quadrants(40, seed=1)
    told = convcli.load(tmp_path / "run" / "model.safetensors").predict(x)
    ref = ((told - np.eye(4, dtype=np.float32)[y]) ** 2).mean()
    assert got["test_loss"] == pytest.approx(ref, rel=1e-5)
    assert run(["evaluate", str(tmp_path / "run"), "--format", "json"]) == 0
    assert result(capfd)["loss"] == pytest.approx(ref, rel=1e-5)


MISTAKES = {
    "network": (["input 8x8x1, comv 4 3"], 2, "comv"),
    "shape": (["input 9x9x1, flatten, dense 4 softmax"], 3, "input 8x8x1"),
    "classes": (["input 8x8x1, flatten, dense 3 softmax"], 3, "dense 4 softmax"),
    "epochs": ([NETWORK, "--epochs", "0"], 2, "at least 1"),
    "optimizer": ([NETWORK, "--optimizer", "adamm"], 2, "Did you mean adam"),
    "schedule": ([NETWORK, "--schedule", "onecycle"], 2, "Did you mean one-cycle"),
    "augment": ([NETWORK, "--augment", "rotat=3"], 2, "Did you mean rotate"),
    "loss": ([NETWORK, "--loss", "hing"], 2, "Did you mean hinge"),
    "freeze": ([NETWORK, "--freeze", "cnov*"], 2, "matches no layer"),
    "rate": ([NETWORK, "--layer-rate", "conv*"], 2, "PATTERN=FACTOR"),
    "rated": ([NETWORK, "--layer-rate", "cnov*=0.1"], 2, "matches no layer with weights"),
    "still": ([NETWORK, "--layer-rate", "conv*=0"], 2, "--freeze 'conv*'"),
    "frozen": ([NETWORK, "--freeze", "*"], 2, "nothing is left to train"),
    "together": ([NETWORK, "--folds", "2", "--dry-run"], 2, "cannot go together"),
    "folds": ([NETWORK, "--folds", "1"], 2, "at least 2"),
    "size": ([NETWORK, "--size", "8by8"], 2, "height x width"),
    "useless": ([NETWORK, "--window", "5", "--overlap", "0.5"], 2, "takes no window"),
    "resume": ([NETWORK, "--resume", "nowhere"], 2, "leave out"),
    "softmax": (["input 8x8x1, flatten, dense 4"], 3, "softmax` last, or use --loss mse"),
    "vectors": ([NETWORK, "--augment", "hflip=2"], 2, "hflip=2 is outside 0..1"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_gets_a_sentence_and_leaves_nothing(
    case: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words, code, says = MISTAKES[case]
    source = [] if case == "resume" else ["--data", str(data), "-o", str(tmp_path / "run")]
    assert run(["train", *words, *source]) == code
    assert says in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def write_vectors(folder: Path) -> Path:
    place = folder / "vectors.npz"
    random = np.random.default_rng(0)
    np.savez(place, x=random.random((40, 6), np.float32), y=np.arange(40) % 4)
    return place


@pytest.mark.parametrize("mode", [["--folds", "2"], ["--seeds", "2"], ["--overfit", "8"], []])
def test_an_augmentation_that_does_not_fit_is_refused_before_anything_is_made(
    mode: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "input 6, dense 4 softmax", "--data", str(write_vectors(tmp_path))]
    changes = [] if "--overfit" in mode else ["--augment", "shift=1"]
    if "--overfit" in mode:
        words[1] = "input 6, dense 4"
    out = tmp_path / "run"
    assert run([*words, *changes, *mode, "-o", str(out)]) in {2, 3}
    assert re.search("shift needs a series; samples of 6|needs a softmax", capfd.readouterr().err)
    assert not out.exists()


NAMES = {
    "empty": (["a", "", "c", "d"], r"class 1 is named '', which nobody can see"),
    "a space": (["a", "b", "\u3000", "d"], r"class 2 is named '\\u3000'"),
    "no width": (["a", "b", "c", "\u200b"], r"class 3 is named '\\u200b'"),
    "twice": (["a", "b", "a", "d"], "classes 0 and 2 are both named 'a'"),
}


def named(data: Path, names: list[str]) -> Path:
    with np.load(data) as arrays:
        kept = dict(arrays)
    np.savez(data.with_name("named.npz"), **kept, class_names=np.array(names))
    return data.with_name("named.npz")


@pytest.mark.parametrize("case", NAMES)
def test_a_class_without_a_name_of_its_own_is_refused_at_the_start(
    case: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names, says = NAMES[case]
    assert train(named(data, names), tmp_path / "run", "--epochs", "1") == 3
    assert re.search(says, capfd.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_every_name_that_is_trained_with_is_loaded(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ["a\u3000b", "c\u00a0d", "e\u200df", "\x1b[2Jg"]
    place = named(data, names)
    assert train(place, tmp_path / "run", "--epochs", "1") == 0
    assert convcli.load(tmp_path / "run" / "model.safetensors").class_names == tuple(names)
    assert run(["evaluate", str(tmp_path / "run"), "--data", str(place)]) == 0
    said = capfd.readouterr()
    assert "\x1b" not in said.out + said.err


def test_a_network_that_nobody_wrote_is_not_blamed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{i},{i % 7},{i // 150}\n" for i in range(600))
    (tmp_path / "walks.csv").write_text("x,y_axis,label\n" + rows)
    words = ["train", "--data", str(tmp_path / "walks.csv"), "--window", "16"]
    assert run([*words, "-o", str(tmp_path / "run")]) == 3
    said = capfd.readouterr().err
    assert "the default network reads 28x28x1, and the samples of walks are 16x2" in said
    assert "layer 1" not in said
    found = re.search(r"'(input .*)'", said)
    assert found is not None
    out = str(tmp_path / "run")
    assert run(["train", found[1], *words[1:], "--epochs", "1", "-o", out, "--quiet"]) == 0


def test_pictures_too_small_for_the_default_network_get_one_in_words(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--data", str(data), "-o", str(tmp_path / "run")]) == 3
    said = capfd.readouterr().err
    assert "the default network cannot be made to fit samples of 8x8x1" in said
    assert "'input 8x8x1, conv 16 3 same relu, gap, dense 4 softmax'" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "vgg16"], "takes 224x224x3"),
        (["train", "resnet18", "--dry-run"], "takes 224x224x3"),
        (["train", "resnet18", "--folds", "2"], "takes 224x224x3"),
        (["lr-find", "vgg16"], "takes 224x224x3"),
        (["sweep", "network=resnet18,vgg16"], "takes 224x224x3"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_preset_without_data_of_its_own_says_what_it_takes(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    said = capfd.readouterr().err
    assert says in said
    assert "--data" in said
    assert not list(tmp_path.iterdir())


def test_init_without_words_takes_the_network_of_its_model(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "first", "--epochs", "2", "--quiet") == 0
    words = ["--data", str(data), "--epochs", "1", "--lr", "1e-9", "--quiet"]
    for place in (tmp_path / "first", tmp_path / "first" / "model.safetensors"):
        out = tmp_path / f"second-{place.suffix}"
        assert run(["train", "--init", str(place), *words, "-o", str(out)]) == 0
        assert network_text(out / "model.safetensors") == NETWORK
        np.testing.assert_allclose(
            weights(out)["conv1.kernel"], weights(tmp_path / "first")["conv1.kernel"], atol=1e-6
        )


def killed(data: Path, out: Path, how: signal.Signals, *before: str) -> subprocess.Popen[str]:
    words = [
        *before, sys.executable, "-m", "convcli", "train", NETWORK, "--data", str(data),
        "-o", str(out), "--batch", "4", "--epochs", "4000",
    ]  # fmt: skip
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as p:
        assert p.stderr is not None
        next(line for line in p.stderr if re.match(r" *\d+/4000 ", line))
        p.send_signal(how)
        if how == signal.SIGINT and before:  # it is ignored, and goes on
            next(line for line in p.stderr if re.match(r" *\d+/4000 ", line))
            assert p.poll() is None
            p.send_signal(signal.SIGTERM)
        p.communicate(timeout=60)
    return p


def test_a_terminal_that_goes_is_a_polite_kill(data: Path, tmp_path: Path) -> None:
    assert killed(data, tmp_path / "run", signal.SIGHUP).returncode == 130
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"


def test_a_background_job_keeps_its_ignored_interrupt(data: Path, tmp_path: Path) -> None:
    ignoring = [sys.executable, "-c", IGNORE_INTERRUPT]
    assert killed(data, tmp_path / "run", signal.SIGINT, *ignoring).returncode == 130


IGNORE_INTERRUPT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def test_runs_tells_the_dead_from_the_living(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert killed(data, tmp_path / "run", signal.SIGKILL).returncode == -signal.SIGKILL
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "running"
    for name, process in {
        "living": this_process(), "elsewhere": {"host": "another", "pid": 1, "began": "1"}
    }.items():  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(record | {"process": process}))
    assert run(["runs", str(tmp_path), "--format", "json"]) == 0
    got = {Path(one["run"]).name: one["status"] for one in result(capfd)}
    assert got == {"run": "died", "living": "running", "elsewhere": "running"}
    assert run(["runs", str(tmp_path)]) == 0
    assert f"--resume {tmp_path}/run" in capfd.readouterr().out


def test_a_checkpoint_of_other_data_is_refused(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "run", "--epochs", "1", "--quiet") == 0
    write_quadrants(tmp_path, count=200)
    assert run(["train", "--resume", str(tmp_path / "run")]) == 3
    assert "no longer those" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["model.safetensors", "nothing", "picture.png"])
def test_only_a_checkpoint_is_resumed(
    name: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path, "--epochs", "1", "--quiet", "--force") == 0
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(90))
    assert run(["train", "--resume", str(tmp_path / name)]) == 3
    assert "checkpoint" in capfd.readouterr().err or name == "picture.png"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--folds", "2"], "fold2"),
        (["--seeds", "2"], "seed1"),
        (["--overfit", "12"], "."),
        (["--val", "0"], "."),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_every_kind_of_run_goes_on_with_its_own_samples(
    words: list[str], part: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--epochs", "3", "--quiet", *words, "--lr", "0.0003"]
    train(data, tmp_path / "whole", *words)
    kept = tmp_path / "kept.safetensors"
    from convcli.learn import run as runs

    save = runs.save_checkpoint

    def keep_one_of_the_middle(path: Path, training: object, setting: object) -> None:
        save(path, training, setting)
        if len(training.history) == 1 and path.parent == tmp_path / "cut" / part:
            kept.write_bytes(path.read_bytes())

    monkeypatch.setattr(runs, "save_checkpoint", keep_one_of_the_middle)
    train(data, tmp_path / "cut", *words)
    place = tmp_path / "cut" / part
    (place / "last.safetensors").write_bytes(kept.read_bytes())
    (place / "model.safetensors").unlink()
    assert run(["train", "--resume", str(place), "--quiet"]) == 0
    assert same(tmp_path / "whole" / part, place)


def test_a_run_goes_on_beyond_its_last_epoch(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(data, out, "--epochs", "2", "--schedule", "cosine", "--quiet") == 0
    again = ["train", "--resume", str(out), "--epochs"]
    assert run([*again, "5", "--format", "json"]) == 0
    said = capfd.readouterr()
    assert "The last epoch is 5 instead of 2; the schedule cosine is stretched to it." in said.err
    assert "Going on in epoch 3, after step 18." in said.err
    assert json.loads(said.out)["epochs"] == 5
    history = (out / "history.csv").read_text().splitlines()
    place = history[0].split(",").index("lr")
    lrs = [float(row.split(",")[place]) for row in history[1:]]
    steps = 45
    ref = [0.01 * (1 + np.cos(np.pi * (9 * epoch - 1) / (steps - 1))) / 2 for epoch in (3, 4)]
    assert lrs[2:4] == pytest.approx(ref, rel=1e-6)
    assert json.loads((out / "run.json").read_text())["recipe"]["epochs"] == 5
    assert convcli.load(out).training["recipe"]["epochs"] == 5
    assert run([*again, "5"]) == 2
    assert "--epochs 5: the run has done 5 epochs" in capfd.readouterr().err
    assert run(["train", "--resume", str(out), "--lr", "0.1"]) == 2
    assert "leave out: --lr" in capfd.readouterr().err


def test_a_living_run_is_not_resumed_by_another_process(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with start(data, out, "--epochs", "40000", "--quiet") as living:
        try:
            while not (out / "history.csv").is_file():
                assert living.poll() is None
                time.sleep(0.05)
            before = (out / "run.json").read_bytes()
            assert run(["train", "--resume", str(out)]) == 3
            assert "is being trained by another process" in capfd.readouterr().err
            assert json.loads(before)["process"]["pid"] == living.pid
            assert living.poll() is None
        finally:
            living.kill()
    assert run(["train", "--resume", str(out), "--time-limit", "0.01", "--quiet"]) == 0


def test_init_needs_a_layer_in_common(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "first", "--epochs", "1", "--quiet") == 0
    words = ["train", "input 8x8x1, conv 5 5 relu, gap, dense 4 softmax", "--data", str(data)]
    out = tmp_path / "second"
    assert run([*words, "-o", str(out), "--init", str(tmp_path / "first")]) == 3
    assert "shares no layer with the network" in capfd.readouterr().err
