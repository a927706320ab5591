"""Values, labels and masks: trained, evaluated, predicted, exported, refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import convcli
from convcli.cli.main import run
from convcli.learn.fit import balanced_order, batch_order

Captured = pytest.CaptureFixture[str]
QUICK = ["--quiet", "--format", "json"]


def got(capfd: Captured, *words: object) -> dict:
    assert run([str(word) for word in words]) == 0, capfd.readouterr().err
    return json.loads(capfd.readouterr().out)


def write_values(folder: Path) -> Path:
    """Write numbers that are a line of the samples plus noise of deviation 1: R2 is about 0.99."""
    random = np.random.default_rng(0)
    x = random.standard_normal((600, 6)).astype(np.float32)
    y = 300 + 10 * x @ random.standard_normal((6, 2)) * [1, 2] + random.standard_normal((600, 2))
    place = folder / "values.npz"
    np.savez(place, x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])
    return place


def write_labels(folder: Path) -> Path:
    """Write pictures each of whose quarters may be bright, any number of them."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, (400, 4))
    x = random.integers(0, 60, (400, 8, 8, 1)) + 120 * y.reshape(-1, 2, 2, 1).repeat(4, 1).repeat(
        4, 2
    )
    place = folder / "labels.npz"
    np.savez(place, x_train=x[:320], y_train=y[:320], x_test=x[320:], y_test=y[320:],
             class_names=["a", "b", "c", "d"])  # fmt: skip
    return place


def write_masks(folder: Path) -> Path:
    """Write noisy pictures of a bright and a dark rectangle on gray, and which cell is which."""
    random = np.random.default_rng(0)
    x = np.full((240, 16, 16, 1), 128)
    y = np.zeros((240, 16, 16), np.uint8)
    for picture, mask in zip(x, y, strict=True):
        for label, level in ((1, 220), (2, 30)):
            top, left = random.integers(1, 9, 2)
            picture[top : top + 6, left : left + 6] = level
            mask[top : top + 6, left : left + 6] = label
    x = np.clip(x + random.normal(0, 15, x.shape), 0, 255).astype(np.uint8)
    y[:, 0] = 255
    place = folder / "masks.npz"
    np.savez(place, x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    return place


def test_values_are_learned_in_their_own_units(tmp_path: Path, capfd: Captured) -> None:
    data, out = write_values(tmp_path), tmp_path / "run"
    words = ["--epochs", 40, "--lr", 0.1, "-o", out, *QUICK]
    told = got(capfd, "train", "input 6, dense 2", "--data", data, *words)
    assert (told["task"], told["test_accuracy"], told["baseline"]) == ("values", None, None)
    assert told["test_figures"]["r2"] > 0.98
    assert told["test_figures"]["rmse"] < 1.5
    judged = got(capfd, "evaluate", out, "--format", "json")
    assert judged["loss"] == pytest.approx(told["test_loss"], rel=1e-5)
    assert judged["figures"]["mae"] == pytest.approx(told["test_figures"]["mae"], rel=1e-5)
    with np.load(data) as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    np.save(tmp_path / "one.npy", x[:3])
    said = got(capfd, "predict", out, tmp_path / "one.npy", "--format", "json")
    assert all(one["label"] is None for one in said)
    np.testing.assert_allclose([one["values"] for one in said], y[:3], atol=5)
    predicted = convcli.load(out).predict(x)
    assert judged["figures"]["mae"] == pytest.approx(np.abs(predicted - y).mean(), rel=1e-4)
    assert (out / "history.csv").read_text().splitlines()[0].endswith("val_mae,val_rmse,val_r2")
    assert "R2" in (out / "report.html").read_text()


def test_what_was_learned_of_values_is_exported_and_gone_on_with(
    tmp_path: Path, capfd: Captured
) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="runs the exported network")
    pytest.importorskip("onnx", reason="writes it")
    data, out = write_values(tmp_path), tmp_path / "run"
    words = ["--epochs", 30, "--lr", 0.02, "-o", out, *QUICK]
    first = got(capfd, "train", "input 6, dense 2", "--data", data, *words)
    got(capfd, "export", out, "-o", tmp_path / "net.onnx", "--with-preprocessing", *QUICK)
    with np.load(data) as arrays:
        x = arrays["x_test"]
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"))
    (ref,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(convcli.load(out).predict(x), ref, rtol=1e-4)
    words = ["--epochs", 1, "--lr", 1e-6, "-o", tmp_path / "again", *QUICK]
    again = got(capfd, "train", "--init", out, "--data", data, *words)
    assert again["test_loss"] == pytest.approx(first["test_loss"], rel=0.01)


def test_resumed_values_are_the_same_bits(tmp_path: Path, capfd: Captured) -> None:
    data = write_values(tmp_path)
    words = ["--data", data, "--schedule", "constant", *QUICK]
    got(capfd, "train", "input 6, dense 2", *words, "--epochs", 3, "-o", tmp_path / "whole")
    got(capfd, "train", "input 6, dense 2", *words, "--epochs", 2, "-o", tmp_path / "half")
    got(capfd, "train", "--resume", tmp_path / "half", "--epochs", 3, *QUICK)
    whole, half = (convcli.load(tmp_path / name) for name in ("whole", "half"))
    np.testing.assert_array_equal(whole.model.flat, half.model.flat)


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_other_losses_of_values(loss: str, tmp_path: Path, capfd: Captured) -> None:
    words = ["--loss", loss, "--epochs", 40, "--lr", 0.02, "-o", tmp_path / "run", *QUICK]
    told = got(capfd, "train", "input 6, dense 2", "--data", write_values(tmp_path), *words)
    assert told["test_figures"]["r2"] > 0.97


def test_several_labels(tmp_path: Path, capfd: Captured) -> None:
    data, out = write_labels(tmp_path), tmp_path / "run"
    network = "input 8x8x1, avgpool 4, flatten, dense 4 sigmoid"
    words = ["--epochs", 30, "--lr", 0.1, "--monitor", "auc", "-o", out, *QUICK]
    told = got(capfd, "train", network, "--data", data, *words)
    assert told["task"] == "labels"
    assert told["test_accuracy"] > 0.97
    assert told["baseline"] < 0.7
    judged = got(capfd, "evaluate", out, "--format", "json")
    assert judged["figures"]["auc"] == told["test_figures"]["auc"] > 0.99
    assert [one["name"] for one in judged["classes"]] == ["a", "b", "c", "d"]
    with np.load(data) as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    np.save(tmp_path / "x.npy", x.astype(np.uint8))
    said = got(capfd, "predict", out, tmp_path / "x.npy", "--format", "json")
    right = [{*one["labels"]} == {n for n, v in zip("abcd", row, strict=True) if v}
             for one, row in zip(said, y, strict=True)]  # fmt: skip
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("loss", ["cross-entropy", "dice", "focal"])
def test_masks(loss: str, tmp_path: Path, capfd: Captured) -> None:
    data, out = write_masks(tmp_path), tmp_path / "run"
    network = "input 16x16x1, conv 8 3 same nobias, bn, relu, conv 3 1 softmax"
    words = ["--loss", loss, "--epochs", 25, "--lr", 0.1, "--batch", 16, "-o", out, *QUICK]
    told = got(capfd, "train", network, "--data", data, *words)
    assert told["task"] == "mask"
    assert told["test_figures"]["iou"] > 0.85
    assert told["test_accuracy"] > 0.95
    assert told["baseline"] < 0.95
    judged = got(capfd, "evaluate", out, "--format", "json")
    assert judged["figures"]["iou"] == pytest.approx(told["test_figures"]["iou"])
    with np.load(data) as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    np.save(tmp_path / "x.npy", x[:2])
    said = got(capfd, "predict", out, tmp_path / "x.npy", "--format", "json")
    known = y[:2] != 255
    assert (np.array([one["mask"] for one in said]) == y[:2])[known].mean() > 0.9
    assert np.sum(judged["confusion"]) == (y != 255).sum()


def test_a_small_u_net_comes_close_to_all_that_there_is(tmp_path: Path, capfd: Captured) -> None:
    network = (
        "input 16x16x1, a: conv 8 3 same nobias, bn, relu, maxpool 2, conv 16 3 same nobias, bn, "
        "relu, upconv 8 2 s2, concat(from a | ), conv 8 3 same relu, conv 3 1 softmax"
    )
    words = ["--epochs", 16, "--lr", 0.03, "--batch", 16, "-o", tmp_path / "run", *QUICK]
    told = got(capfd, "train", network, "--data", write_masks(tmp_path), *words)
    assert told["test_figures"]["iou"] > 0.95  # 1 is possible


def test_frames_are_foretold_but_for_what_is_new_in_them(tmp_path: Path, capfd: Captured) -> None:
    """A frame is the last one smoothed, plus noise of a deviation of 0.5: the least error."""
    random = np.random.default_rng(0)
    kernel = np.array([[0.05, 0.1, 0.05], [0.1, 0.35, 0.15], [0.05, 0.05, 0]])
    frames = [np.zeros((400, 10, 10))]
    while len(frames) < 20:
        smoothed = [ndimage.correlate(frame, kernel, mode="constant") for frame in frames[-1]]
        frames.append(smoothed + random.normal(0, 0.5, (400, 10, 10)))
    x, y = np.stack(frames[-4:-1], axis=1)[..., np.newaxis], frames[-1][..., np.newaxis]
    place = tmp_path / "frames.npz"
    np.savez(place, x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    network = "input 3x10x10x1, conv 1 3 p0x1x1, reshape 10x10x1"
    words = ["--epochs", 20, "--lr", 0.02, "--batch", 32, "-o", tmp_path / "run", *QUICK]
    told = got(capfd, "train", network, "--data", place, *words)
    assert told["test_figures"]["rmse"] == pytest.approx(0.5, rel=0.03)


def test_masks_of_a_network_without_padding_and_moved_by_augmentation(
    tmp_path: Path, capfd: Captured
) -> None:
    network = "input 16x16x1, conv 6 3 relu, conv 3 1 softmax"
    words = ["--epochs", 20, "--lr", 0.1, "--batch", 16, "--augment", "shift=2,hflip=0.5"]
    data = write_masks(tmp_path)
    told = got(capfd, "train", network, "--data", data, *words, "-o", tmp_path / "run", *QUICK)
    assert told["test_figures"]["iou"] > 0.8


def test_a_preset_gets_the_end_that_the_task_asks_for(tmp_path: Path, capfd: Captured) -> None:
    (tmp_path / "net.net").write_text("input 8x8x3, conv 8 3 same relu, conv 2 1\n")
    words = ["--data", write_masks(tmp_path), "--epochs", "1", "-o", tmp_path / "run"]
    assert run(["train", str(tmp_path / "net.net"), *map(str, words)]) == 0
    said = capfd.readouterr().err
    assert "the network was changed: its input is 16x16x1 and it has 3 outputs" in said
    assert convcli.load(tmp_path / "run").network.trace().steps[-1].activation == "softmax"


MISFITS = {
    "outputs": (write_values, "input 6, dense 3", [], 3, "values of 2. End the network with"),
    "softmax": (write_values, "input 6, dense 2", ["--loss", "bce"], 2, "are mse, mae, huber"),
    "sigmoid": (write_labels, "input 8x8x1, flatten, dense 4", [], 3, "needs a sigmoid at the end"),
    "flat": (write_masks, "input 16x16x1, flatten, dense 3 softmax", [], 3, "`conv 3 1 softmax`"),
    "monitor": (write_values, "input 6, dense 2", ["--monitor", "auc"], 2, "there are loss, mae"),
    "dice": (write_labels, "input 8x8x1, flatten, dense 4 sigmoid", ["--loss", "dice"], 2, "bce"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_refused_before_anything_is_made(
    case: str, tmp_path: Path, capfd: Captured
) -> None:
    write, network, more, code, says = MISFITS[case]
    words = ["--data", str(write(tmp_path)), "-o", str(tmp_path / "run"), *more]
    assert run(["train", network, *words]) == code
    assert says in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_model_of_values_is_not_judged_by_classes(tmp_path: Path, capfd: Captured) -> None:
    out = tmp_path / "run"
    words = ["--epochs", 1, "-o", out, *QUICK]
    got(capfd, "train", "input 6, dense 2", "--data", write_values(tmp_path), *words)
    np.savez(tmp_path / "classes.npz", x=np.zeros((4, 6), np.float32), y=[0, 1, 0, 1])
    assert run(["evaluate", str(out), "--data", str(tmp_path / "classes.npz")]) == 3
    assert "gives numbers, and the labels of classes are one class" in capfd.readouterr().err
    assert run(["show", "confusion", str(out), "-o", str(tmp_path / "x.png")]) == 3
    assert "the model gives numbers" in capfd.readouterr().err
    assert run(["evaluate", str(out), "--fail-under", "0.5"]) == 2


def test_the_task_can_be_said(tmp_path: Path, capfd: Captured) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 3)).astype(np.float32)
    place = tmp_path / "ages.npz"
    np.savez(place, x=x, y=np.rint(40 + 10 * x[:, 0]).astype(int))
    words = ["--data", place, "--task", "values", "--epochs", 30, "--lr", 0.05]
    told = got(capfd, "train", "input 3, dense 1", *words, "-o", tmp_path / "run", *QUICK)
    assert (told["task"], told["val_figures"]["r2"] > 0.9) == ("values", True)


def test_one_sigmoid_tells_two_classes(tmp_path: Path, capfd: Captured) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((300, 5)).astype(np.float32)
    place, out = tmp_path / "two.npz", tmp_path / "run"
    np.savez(place, x=x, y=np.where(x[:, 0] > x[:, 1], "yes", "no"))
    words = ["--epochs", 30, "--lr", 0.3, "-o", out, *QUICK]
    told = got(capfd, "train", "input 5, dense 1 sigmoid", "--data", place, *words)
    assert (told["task"], told["params"]) == ("classes", 6)
    assert told["val_accuracy"] > 0.9
    np.save(tmp_path / "x.npy", np.array([[9, 0, 0, 0, 0], [0, 9, 0, 0, 0]], np.float32))
    said = got(capfd, "predict", out, tmp_path / "x.npy", "--format", "json")
    assert [one["label"] for one in said] == ["yes", "no"]
    assert sum(top["probability"] for top in said[0]["top"]) == pytest.approx(1)
    assert got(capfd, "evaluate", out, "--split", "train", "--format", "json")["accuracy"] > 0.95


def test_a_linear_layer_learns_by_hinge(tmp_path: Path, capfd: Captured) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((300, 5)).astype(np.float32)
    place, out = tmp_path / "three.npz", tmp_path / "run"
    np.savez(place, x=x, y=x[:, :3].argmax(axis=1))
    words = ["--loss", "hinge", "--epochs", 30, "--lr", 0.1, "-o", out, *QUICK]
    assert got(capfd, "train", "input 5, dense 3", "--data", place, *words)["val_accuracy"] > 0.9
    judged = got(capfd, "evaluate", out, "--split", "train", "--format", "json")
    assert 0 < judged["loss"] < 0.3


@pytest.mark.parametrize("monitor", ["loss", "f1", "balanced_accuracy", "kappa"])
def test_the_epoch_is_chosen_by_what_is_monitored(
    monitor: str, tmp_path: Path, capfd: Captured
) -> None:
    out, data = tmp_path / "run", write_labels(tmp_path)
    with np.load(data) as arrays:
        x, y = arrays["x_train"], arrays["y_train"].argmax(axis=1)
    np.savez(tmp_path / "classes.npz", x=x, y=y)
    network = "input 8x8x1, flatten, dense 4 softmax"
    words = ["--epochs", 6, "--lr", 0.05, "--schedule", "constant", "--monitor", monitor]
    words += ["--patience", 6, "-o", out, *QUICK]
    told = got(capfd, "train", network, "--data", tmp_path / "classes.npz", *words)
    rows = convcli.learn.run_directory.RunDirectory(out).read_history()
    if monitor == "loss":
        assert told["best_epoch"] == min(rows, key=lambda row: row["val_loss"])["number"]
    else:
        best = max(rows, key=lambda row: (row[f"val_{monitor}"], -row["val_loss"]))
        assert told["best_epoch"] == best["number"]


def write_two(folder: Path) -> Path:
    """Write samples of a common and a rare class that overlap."""
    random = np.random.default_rng(0)
    y = (random.random(600) < 0.1).astype(int)
    x = (random.standard_normal((600, 3)) + y[:, np.newaxis]).astype(np.float32)
    place = folder / "two.npz"
    np.savez(place, x=x, y=y, class_names=["common", "rare"])
    return place


def test_classes_weigh_what_is_said(tmp_path: Path, capfd: Captured) -> None:
    data, recalls = write_two(tmp_path), {}
    for weights in ("none", "rare=1,common=1", "rare=9", "balanced"):
        out = tmp_path / weights
        words = ["--class-weights", weights, "--epochs", 20, "--lr", 0.05, "-o", out, *QUICK]
        got(capfd, "train", "input 3, dense 2 softmax", "--data", data, *words)
        judged = got(capfd, "evaluate", out, "--split", "train", "--format", "json")
        recalls[weights] = judged["classes"][1]["recall"]
    assert recalls["none"] == recalls["rare=1,common=1"] < 0.5
    assert recalls["rare=9"] == pytest.approx(recalls["balanced"], abs=0.1)
    assert recalls["rare=9"] > 0.6
    for weights, says in (
        ("rar=2", "there is no class 'rar'. Did you mean rare"),
        ("rare=0", "a weight above 0"),
        ("heavy", "use one of none, balanced"),
    ):
        words = ["--class-weights", weights, "--data", data, "-o", tmp_path / "x"]
        assert run(["train", "input 3, dense 2 softmax", *map(str, words)]) == 2
        assert says in capfd.readouterr().err
    words = ["--class-weights", "rare=2", "--loss", "mse", "--data", str(data)]
    assert run(["train", "input 3, dense 2 softmax", *words]) == 2


def test_rare_classes_are_drawn_as_often_as_common_ones(tmp_path: Path, capfd: Captured) -> None:
    data, recalls = write_two(tmp_path), {}
    for sampler in ("shuffle", "balanced"):
        out = tmp_path / sampler
        words = ["--sampler", sampler, "--epochs", 20, "--lr", 0.05, "-o", out, *QUICK]
        got(capfd, "train", "input 3, dense 2 softmax", "--data", data, *words)
        judged = got(capfd, "evaluate", out, "--split", "train", "--format", "json")
        recalls[sampler] = judged["classes"][1]["recall"]
    assert recalls["shuffle"] < 0.5
    assert recalls["balanced"] > 0.6
    words = ["--sampler", "balanced", "--data", "shapes", "-o", str(tmp_path / "x")]
    assert run(["train", "input 32x32x1, conv 4 1 softmax", *words]) == 2
    assert "one class for each sample" in capfd.readouterr().err


def test_a_balanced_pass_is_as_long_and_takes_each_class_in_turn() -> None:
    labels = np.array([0] * 50 + [1] * 7 + [2] * 3)
    places = balanced_order(labels, batch_order(60, seed=1, epoch=0))
    assert len(set(places)) == 60, "what comes again is told from what came before"
    order = places % 60
    assert labels[order].reshape(20, 3).tolist() == [[0, 1, 2]] * 20
    assert len(set(order[labels[order] == 0])) == 20, "no common one twice"
    assert set(np.bincount(order)[50:57]) == {2, 3}, "rare ones alike"


@pytest.mark.parametrize("weights", ["none", "rare=5"])
def test_steps_in_parts_are_the_same_steps(weights: str, tmp_path: Path, capfd: Captured) -> None:
    data, flat = write_two(tmp_path), []
    for parts in (1, 3):
        out = tmp_path / str(parts)
        words = ["--accumulate", parts, "--batch", 50, "--epochs", 2, "--class-weights", weights]
        words += ["--optimizer", "sgd", "-o", out, *QUICK]
        got(capfd, "train", "input 3, dense 8 tanh, dense 2 softmax", "--data", data, *words)
        flat.append(convcli.load(out).model.flat)
    np.testing.assert_allclose(flat[0], flat[1], rtol=1e-3, atol=1e-5)
    assert (flat[0] != flat[1]).any(), "sums are taken in another order"


def test_a_sweep_of_values_has_a_best_trial(tmp_path: Path, capfd: Captured) -> None:
    words = ["--epochs", 3, "--jobs", 1, "-o", tmp_path / "s", *QUICK]
    told = got(
        capfd, "sweep", "input 6, dense 2", "lr=1e-5,0.05", "--data", write_values(tmp_path), *words
    )
    assert told["best"] == 2


def test_the_lectures_run_holds_nothing_out(tmp_path: Path, capfd: Captured) -> None:
    out = tmp_path / "run"
    words = ["--recipe", "lecture", "--data", "digits", "--samples", 300, "--epochs", 2, "-o", out]
    assert run(["train", *map(str, words)]) == 0
    recipe = convcli.load(out).training["recipe"]
    assert (recipe["lr"], recipe["schedule"], recipe["val"], recipe["batch"]) == (
        0.001, "constant", 0.0, 128,
    )  # fmt: skip
    assert (
        "The lecture reports 99.48% on training and 98.92% on test data" in capfd.readouterr().out
    )


def test_seeds_and_folds_of_values_go_by_the_loss(tmp_path: Path, capfd: Captured) -> None:
    data = write_values(tmp_path)
    for words, of in ((["--seeds", 2], "test_loss"), (["--folds", 2], "val_loss")):
        out = tmp_path / of
        told = got(capfd, "train", "input 6, dense 2", "--data", data, *words,
                   "--epochs", 1, "-o", out, *QUICK)  # fmt: skip
        runs = told["seeds" if "--seeds" in words else "folds"]
        assert told["of"] == of
        assert told["mean"] == pytest.approx(np.mean([one[of] for one in runs]))
    for option in (["--fail-under", "0.5"], ["--overfit", "8"]):
        words = ["--data", str(data), "-o", str(tmp_path / "x"), *option]
        assert run(["train", "input 6, dense 2", *words]) == 2
        assert f"{option[0]} goes by accuracy, and values have none" in capfd.readouterr().err


def test_what_shows_classes_says_why_not(tmp_path: Path, capfd: Captured) -> None:
    data, out = write_masks(tmp_path), tmp_path / "run"
    network = "input 16x16x1, conv 4 3 same relu, conv 3 1 softmax"
    got(capfd, "train", network, "--data", data, "--epochs", 1, "-o", out, *QUICK)
    assert run(["page", str(out), "-o", str(tmp_path / "page.html")]) == 3
    assert "this model gives a class for every cell" in capfd.readouterr().err
    words = ["features", str(out), str(data), "--layer", "conv1", "--pool"]
    assert run([*words, "-o", str(tmp_path / "f.csv")]) == 3
    assert "write these as .npz" in capfd.readouterr().err
    assert run([*words, "-o", str(tmp_path / "f.npz")]) == 0
    assert run(["show", "confusion", str(out), "-o", str(tmp_path / "c.png")]) == 0
    assert run(["show", "errors", str(out), "-o", str(tmp_path / "e.png")]) == 0
