"""`convcli show`, `convolutionalize` and `explain forward|backward` as a user meets them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from convcli.data.source import Source
from convcli.learn.modelfile import load
from convcli.learn.recipes import Recipe
from convcli.learn.runspec import RunSpec, fingerprint
from convcli.report import STYLES
from tests.inspect.models import DIGITS, model_of
from tests.present.layouts import written

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, made the current one, with a model, a picture and labeled samples."""
    random = np.random.default_rng(0)
    samples = random.integers(0, 256, (40, 12, 12, 1), np.uint8)
    np.savez(tmp_path / "data.npz", x=samples, y=np.arange(40) % 3, class_names=list("abc"))
    spec = RunSpec(DIGITS, Recipe(val=0.0), Source(name=str(tmp_path / "data.npz")))
    spec = dataclasses.replace(spec, fingerprint=fingerprint(spec.load_data()))
    model = model_of(DIGITS, seed=3, training=spec.record())
    model.save(tmp_path / "model.safetensors")
    Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def out(capfd: Capture, *words: str) -> str:
    assert run(list(words)) == 0, capfd.readouterr().err
    return capfd.readouterr().out


def svg_texts(path: Path) -> str:
    """Return what is written in an SVG file, a line for each text."""
    root = ElementTree.parse(path).getroot()  # noqa: S314  (our own file)
    return "\n".join(
        "".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")
    )


def document(capfd: Capture, *words: str) -> Any:
    return json.loads(out(capfd, *words, "--format", "json"))


MODEL_ONLY = ["filters", "maximize", "confusion", "errors"]
WITH_IMAGE = ["activations", "saliency", "occlusion", "cam"]


@pytest.mark.parametrize("what", MODEL_ONLY + WITH_IMAGE)
def test_each_picture_has_a_default_name_and_is_never_replaced_unasked(
    what: str, place: Path, capfd: Capture
) -> None:
    image = ["photo.png"] if what in WITH_IMAGE else []
    steps = ["--steps", "3"] if what == "maximize" else []
    words = ["show", what, "model.safetensors", *image, *steps]
    with written() as texts:
        assert run(words) == 0
    assert texts.boxes
    assert texts.unreadable() == []
    said = capfd.readouterr()
    made = place / f"{'photo' if image else 'model'}_{what}.png"
    assert str(made.name) in said.err
    with Image.open(made) as picture:
        assert picture.width > 200
    before = made.read_bytes()
    assert run(words) == 4
    assert "--force" in capfd.readouterr().err
    assert run([*words, "--force", "--quiet"]) == 0
    assert capfd.readouterr().err == ""
    assert made.read_bytes() == before  # same model, same picture, same bits
    assert run([*words, "-o", "photo.png", "--force"]) == (2 if image else 0)
    assert run([*words, "-o", "x.txt"]) in {2, 3}
    assert "x.txt" in capfd.readouterr().err


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("what", ["filters", "cam", "activations"])
def test_every_format_fits_80_columns(style: str, what: str, place: Path, capfd: Capture) -> None:
    image = ["photo.png"] if what in WITH_IMAGE else []
    said = out(capfd, "show", what, "model.safetensors", *image, "--format", style)
    assert ("cam" if what == "cam" else "conv") in said
    if style in {"plain", "table"}:
        assert max(map(len, said.splitlines())) <= 80
    if style == "table":
        assert "\x1b" not in said  # stdout is no terminal here: letters for shades
        assert re.search(r"[@%#*+=]{3}", said)


@pytest.mark.parametrize("what", ["filters", "cam", "confusion"])
def test_a_figure_takes_its_looks(what: str, place: Path, capfd: Capture) -> None:
    words = ["show", what, "model.safetensors", *(["photo.png"] if what in WITH_IMAGE else [])]
    out(capfd, *words, "-o", "a.png", "--quiet")
    out(capfd, *words, "-o", "b.png", "--dpi", "50", "--quiet")
    out(capfd, *words, "-o", "c.png", "--scale", "2", "--quiet")
    sizes = {}
    for name in "abc":
        with Image.open(place / f"{name}.png") as picture:
            sizes[name] = picture.width
    assert sizes["b"] == pytest.approx(sizes["a"] / 2, abs=1)
    assert sizes["c"] > 1.2 * sizes["a"]
    out(capfd, *words, "-o", "d.svg", "--title", "A title of my own")
    assert "A title of my own" in " ".join(svg_texts(place / "d.svg").split())


def test_filters_by_layer_filter_channel_and_limit(place: Path, capfd: Capture) -> None:
    model = load(place / "model.safetensors").model
    words = ["show", "filters", "model.safetensors", "--layer", "conv2"]
    got = document(capfd, *words, "--filter", "5", "--channel", "2")
    assert [(one["layer"], one["filter"], one["channel"]) for one in got] == [("conv2", 5, 2)]
    np.testing.assert_allclose(model.parameters["conv2.kernel"][:, :, 2, 5], got[0]["weights"])
    assert (place / "model_filters-conv2.png").exists()
    said = out(capfd, *words, "--limit", "7", "--force")
    assert "17 more kernels are not drawn" in said
    assert run(["show", "filters", "model.safetensors", "--layer", "conv9"]) == 2
    assert "there is no layer 'conv9'" in capfd.readouterr().err


def test_maximize_takes_units_a_limit_steps_and_a_seed(place: Path, capfd: Capture) -> None:
    words = ["show", "maximize", "model.safetensors", "--steps", "5"]
    got = document(capfd, *words, "--unit", "dense2:1", "--unit", "conv1")
    assert [(one["layer"], one["channel"]) for one in got] == [
        *(("conv1", channel) for channel in range(4)),
        ("dense2", 1),
    ]
    first = (place / "model_maximize-dense2-1-conv1.png").read_bytes()
    few = document(capfd, *words, "--limit", "1", "-o", "few.png")
    assert [one["layer"] for one in few] == ["conv1", "conv2", "dense1"] + ["dense2"] * 3
    other = [*words, "--unit", "dense2:1", "--unit", "conv1", "--seed", "9", "-o", "other.png"]
    out(capfd, *other)
    assert (place / "other.png").read_bytes() != first
    assert run([*words, "--unit", "conv1:x"]) == 2
    assert "LAYER:CHANNEL" in capfd.readouterr().err
    assert run([*words, "--unit", "conv1:4"]) == 2
    assert "has no channel 4. Use 0 to 3" in capfd.readouterr().err


def test_saliency_by_every_method_and_class(place: Path, capfd: Capture) -> None:
    words = ["show", "saliency", "model.safetensors", "photo.png"]
    got = document(capfd, *words, "--method", "all", "--class", "b", "--samples", "4")
    assert [one["method"] for one in got] == ["gradient", "smoothgrad", "integrated"]
    assert {one["class"] for one in got} == {"b"}
    assert np.shape(got[0]["values"]) == (12, 12)
    rise = got[2]["logit"] - got[2]["baseline_logit"]
    assert got[2]["sum"] == pytest.approx(np.sum(got[2]["values"]), rel=1e-4)
    assert got[2]["sum"] == pytest.approx(rise, abs=0.05 * abs(rise) + 0.01)
    assert (place / "photo_saliency-all.png").exists()
    smooth = [*words, "--method", "smoothgrad", "--noise", "0.5", "--force"]
    one, same, other = (
        document(capfd, *smooth, "--seed", seed)[0]["values"] for seed in ("1", "1", "2")
    )
    assert one == same != other
    coarse = document(capfd, *words, "--method", "integrated", "--steps", "1", "--class", "1")
    assert coarse[0]["class"] == "b"
    assert run([*words, "--class", "bb", "-o", "z.png"]) == 2
    assert "Classes: a, b, c. Did you mean b?" in capfd.readouterr().err


def test_occlusion_takes_window_step_and_fill(place: Path, capfd: Capture) -> None:
    words = ["show", "occlusion", "model.safetensors", "photo.png", "--force"]
    default = document(capfd, *words)[0]["values"]
    got = document(capfd, *words, "--window", "6", "--step", "6", "--fill", "white")[0]["values"]
    blocks = np.array(got).reshape(2, 6, 2, 6)
    assert (blocks == blocks[:, :1, :, :1]).all()  # four windows, side by side
    assert got != default
    black = document(capfd, *words, "--window", "6", "--step", "6", "--fill", "black")
    assert black[0]["values"] != got
    assert run([*words, "--window", "13"]) == 3
    assert "does not fit 12x12" in capfd.readouterr().err
    assert run([*words, "--step", "5"]) == 3


def test_cam_takes_a_layer(place: Path, capfd: Capture) -> None:
    words = ["show", "cam", "model.safetensors", "photo.png", "--force"]
    assert document(capfd, *words)[0]["layer"] == "conv2"
    first = document(capfd, *words, "--layer", "conv1", "--class", "0")[0]
    assert (first["layer"], np.shape(first["map"])) == ("conv1", (10, 10))
    assert run([*words, "--layer", "dense1"]) == 3
    assert "no map with places" in capfd.readouterr().err


def test_activations_of_chosen_layers(place: Path, capfd: Capture) -> None:
    words = ["show", "activations", "model.safetensors", "photo.png"]
    got = document(capfd, *words, "--layer", "conv2", "--layer", "dense2", "--limit", "2")
    assert [one["name"] for one in got] == ["conv2", "dense2"]
    assert got[0]["output"] == [3, 3, 6]
    assert got[0]["receptive_field"] == [8, 8]
    assert got[1]["mean"] == pytest.approx(1 / 3)
    assert (place / "photo_activations-conv2-dense2.png").exists()


def test_confusion_is_png_or_svg_with_counts_and_shares(place: Path, capfd: Capture) -> None:
    words = ["show", "confusion", "model.safetensors", "--data", "data.npz"]
    got = document(capfd, *words, "-o", "matrix.svg", "--split", "train", "--threads", "1")
    assert np.sum(got["counts"]) == 40
    np.testing.assert_allclose(np.sum(got["shares"], axis=1), 1)
    told = svg_texts(place / "matrix.svg").splitlines()
    assert {str(count) for row in got["counts"] for count in row if count} <= set(told)
    mixed = [share for row in got["shares"] for share in row if 0 < share < 1]
    assert {f"{share:.1%}" for share in mixed} <= set(told)
    assert run([*words, "--split", "test"]) == 2
    assert "has no test samples" in capfd.readouterr().err
    assert run(["show", "confusion", "model.safetensors", "--data", "none.npz"]) == 3


def test_errors_draws_the_surest_mistakes(place: Path, capfd: Capture) -> None:
    got = document(capfd, "show", "errors", "model.safetensors", "--limit", "5", "--threads", "1")
    assert len(got) == 5
    sure = [one["probability"] for one in got]
    assert sure == sorted(sure, reverse=True)
    assert all(one["label"] != one["answer"] for one in got)
    folder = place / "pictures"
    for name in "abc":
        (folder / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((20, 20), 60 * number, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    words = ["show", "errors", "model.safetensors", "--data", "pictures", "--size", "12x12"]
    named = document(capfd, *words, "--force")
    assert named[0]["sample"].endswith(".png")
    matrix = ["show", "confusion", "model.safetensors", "--data", "pictures", "--size", "12x12"]
    assert document(capfd, *matrix)["accuracy"] == pytest.approx(1 - len(named) / 12)


def test_names_in_a_drawn_sheet_steer_no_terminal(place: Path, capfd: Capture) -> None:
    names = ["a\x1b[31mred", "b\x1b]0;title\x07", "c"]
    random = np.random.default_rng(0)
    samples = random.integers(0, 256, (30, 12, 12, 1), np.uint8)
    np.savez(place / "named\x9b.npz", x=samples, y=np.arange(30) % 3, class_names=names)
    dataclasses.replace(model_of(DIGITS, seed=3), class_names=tuple(names)).save(
        place / "m.safetensors"
    )
    words = ["show", "errors", "m.safetensors", "--data", "named\x9b.npz", "--limit", "9"]
    said = out(capfd, *words, "--format", "table")
    assert said.count(r"a\u001b[31m") > 1
    assert r"named\u009b" in said
    own = re.sub(r"\x1b\[[\d;]*m", "", said)  # the program's own colors
    assert not re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", own)
    assert "\x1b[31m" not in said


def test_without_a_mistake_nothing_is_drawn(place: Path, capfd: Capture) -> None:
    model = load(place / "model.safetensors")
    with np.load(place / "data.npz") as data:
        samples = data["x"]
    answers = model.predict(samples).argmax(axis=1)
    samples, answers = np.concatenate([samples, samples[:3]]), np.append(answers, [0, 1, 2])
    samples[-3:] = samples[0]
    keep = np.ones(len(samples), bool)
    keep[-3:] = [answers[0] == label for label in range(3)]
    np.savez(place / "right.npz", x=samples[keep], y=answers[keep], class_names=list("abc"))
    words = ["show", "errors", "model.safetensors", "--data", "right.npz"]
    assert run(words) == 0
    assert "no mistake" in capfd.readouterr().err
    assert not (place / "model_errors.png").exists()


def seen_in(terminal: dict[str, str], words: list[str], place: Path) -> str:
    """Return what a command writes to a terminal that answers certain questions."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals are of POSIX systems")
    pytest.importorskip("textual_image._geometry", reason="extra [pixels]")
    reader, writer = pty.openpty()
    pytest.importorskip("termios", reason="their sizes too").tcsetwinsize(writer, (24, 80))
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    done = subprocess.Popen(
        [sys.executable, "-m", "convcli", *words],
        cwd=place,
        env=clean | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
        **dict.fromkeys(("stdin", "stdout", "stderr"), writer),
    )
    os.close(writer)
    seen = ""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(reader, 1 << 16):
            seen += part.decode("utf-8", "replace")
            for question, answer in terminal.items():
                if re.search(question, part.decode("utf-8", "replace")):
                    os.write(reader, answer.encode())
    os.close(reader)
    assert done.wait() == 0, seen
    return seen


DEVICE, GRAPHICS = r"\x1b\[c", r"\x1b_Gi=\d+,.*a=q"
NO_GRAPHICS = {DEVICE: "\x1b[?62;22c"}


@pytest.mark.parametrize(
    ("terminal", "begins"),
    [
        ({DEVICE: "\x1b[?62;4;22c"}, r"\x1bP[\d;]*q"),  # Sixel: a device control string
        (NO_GRAPHICS | {GRAPHICS: "\x1b_Gi=1;OK\x1b\\"}, "\U0010eeee"),
        (NO_GRAPHICS, "\N{UPPER HALF BLOCK}"),
    ],
    ids=["sixel", "kitty", "neither"],
)
@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_figures_have_true_pixels_where_the_terminal_does(
    terminal: dict[str, str], begins: str, ending: str, place: Path
) -> None:
    words = ["show", "filters", "model.safetensors", "-o", f"f.{ending}", "--force"]
    seen = seen_in(terminal, words, place)
    assert re.search(begins, seen)
    assert "Failed" not in seen
    assert ("\N{UPPER HALF BLOCK}" in seen) == (begins == "\N{UPPER HALF BLOCK}")


def test_pictures_have_true_pixels_in_other_commands_too(place: Path) -> None:
    """`filter --show` and `predict --show`: figures' own way to a terminal."""
    sixel = {DEVICE: "\x1b[?62;4;22c"}
    for words in (
        ["filter", "photo.png", "-k", "box-3", "--show", "--force"],
        ["predict", "model.safetensors", "photo.png", "--show"],
    ):
        seen = seen_in(sixel, words, place)
        assert re.search(r"\x1bP[\d;]*q", seen)
        assert "\N{UPPER HALF BLOCK}" not in seen
        assert "\N{UPPER HALF BLOCK}" in seen_in(NO_GRAPHICS, words, place)


def test_a_wide_picture_is_made_as_wide_as_the_terminal(place: Path) -> None:
    kitty = NO_GRAPHICS | {GRAPHICS: "\x1b_Gi=1;OK\x1b\\"}
    Image.fromarray(np.zeros((40, 3000), np.uint8)).save(place / "wide.png")
    words = ["filter", "wide.png", "-k", "box-3", "--show"]
    lines = [line.count("\U0010eeee") for line in seen_in(kitty, words, place).splitlines()]
    assert max(lines) == 80


HISTORY = """\
number,train_loss,train_accuracy,val_loss,val_accuracy,lr,seconds,samples,best
1,1.5,0.4,1.6,0.35,0.001,2.0,100,True
2,0.5,0.8,,0.7,0.001,2.0,100,True
"""


def test_curves_come_from_the_run(place: Path, capfd: Capture) -> None:
    (place / "history.csv").write_text(HISTORY)
    said = out(capfd, "show", "curves", ".")
    assert "validation" in said
    assert max(map(len, said.splitlines())) <= 80
    told = svg_texts(place / "training_curves.svg")
    assert told.count("training") == told.count("validation") == 2  # of loss and of accuracy
    assert told.count("best epoch 2") == 2
    got = document(capfd, "show", "curves", "model.safetensors", "-o", "c.svg", "--quiet")
    assert got[1]["val_loss"] is None
    assert got[0]["train_accuracy"] == 0.4
    assert run(["show", "curves", ".", "-o", "curves.gif"]) == 2
    assert "written as .svg or .png" in capfd.readouterr().err
    (place / "empty").mkdir()
    assert run(["show", "curves", "empty"]) == 3
    assert "there is no run in empty" in capfd.readouterr().err


def test_a_receptive_field_of_a_model_and_of_a_network(place: Path, capfd: Capture) -> None:
    got = document(
        capfd, "show", "receptive", "model.safetensors", "--at", "conv2:1,2", "--image", "photo.png"
    )
    assert got["input"] == {"rows": [2, 9], "columns": [4, 11]}
    assert (place / "photo_receptive-conv2-1-2.png").exists()
    words = ["show", "receptive", "input 30x40x3, conv 2 5, maxpool 2", "--at", "3,4"]
    assert document(capfd, *words)["layer"] == "maxpool1"
    with Image.open(place / "receptive_3-4.png") as picture:
        frame = (np.asarray(picture.convert("RGB")) == (0, 160, 70)).all(axis=2)
    rows, columns = np.nonzero(frame)
    scale = (560 - 30) // 40
    for extent in (np.ptp(rows), np.ptp(columns)):
        assert extent == pytest.approx(6 * scale, abs=3)
    out(capfd, *words, "-o", "field.svg")
    told = svg_texts(place / "field.svg").splitlines()
    assert {"6", "11", "8", "13"} <= set(told)  # rows and columns of the window's ends
    small = ["show", "receptive", "input 6x6x1, conv 2 5 p2, conv 2 5 p2", "--at", "2,2"]
    out(capfd, *small, "-o", "small.svg")
    told = " ".join(svg_texts(place / "small.svg").split())
    assert "its field of 9x9 is larger than the input" in told
    out(capfd, *words, "--image", "photo.png", "-o", "on.png")
    for at, said in (("conv2:9,9", "no cell 9,9"), ("conv2:a", "is no place"), ("x:1,1", "'x'")):
        assert run(["show", "receptive", "model.safetensors", "--at", at]) == 2
        assert said in capfd.readouterr().err


def test_a_classifier_becomes_convolutions_and_slides(place: Path, capfd: Capture) -> None:
    got = document(capfd, "convolutionalize", "model.safetensors")
    assert got["network"].endswith("conv 8 3 relu, conv 3 1 softmax")
    assert (got["window"], got["stride"], got["exact"]) == ([12, 12], [2, 2], True)
    for what in ("saliency", "occlusion", "cam"):  # both models have the same reasons
        ref, got = (
            document(capfd, "show", what, model, "photo.png", "-o", f"{model}.png", "--force")[0]
            for model in ("model.safetensors", "model_fcn.safetensors")
        )
        assert ref["probability"] == pytest.approx(got["probability"], rel=1e-5)
        np.testing.assert_allclose(ref["values"], got["values"], rtol=1e-3, atol=1e-5)
    assert run(["convolutionalize", "model.safetensors"]) == 4
    assert run(["convolutionalize", "model_fcn.safetensors", "-o", "twice.safetensors"]) == 3
    assert "fully convolutional already" in capfd.readouterr().err
    assert run(["convolutionalize", "model.safetensors", "-o", "fcn.txt"]) == 2
    words = ["show", "heatmap", "model_fcn.safetensors", "photo.png"]
    found = document(capfd, *words, "--class", "c", "--threads", "1")
    (values,) = [np.array(one["values"]) for one in found["classes"]]
    with Image.open(place / "photo.png") as picture:
        gray = np.rint(np.asarray(picture) @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    window = gray[4:16, 6:18, None]
    ref = load(place / "model.safetensors").predict(window[None])[0, 2]
    assert values[2, 3] == pytest.approx(ref, rel=1e-4)
    assert (place / "photo_heatmap.png").exists()
    larger = document(capfd, *words, "--scale", "2", "-o", "two.png")
    assert larger["shape"] == [(60 - 12) // 2 + 1, (80 - 12) // 2 + 1]
    assert len(larger["classes"]) == 3
    areas = []  # larger panels stand in fewer columns
    for zoom in ("1", "3"):
        out(capfd, *words, "--zoom", zoom, "-o", f"{zoom}.png", "--quiet")
        with Image.open(place / f"{zoom}.png") as picture:
            areas.append(picture.width * picture.height)
    assert areas[1] > 2 * areas[0]
    assert run([*words, "--scale", "0.2", "-o", "small.png"]) == 3
    assert "--scale" in capfd.readouterr().err
    assert run(["show", "heatmap", "model.safetensors", "photo.png", "-o", "no.png"]) == 3
    assert "convcli convolutionalize" in capfd.readouterr().err


def test_forward_spells_out_a_model_s_number(place: Path, capfd: Capture) -> None:
    words = ["explain", "forward", "model.safetensors", "photo.png", "--at", "conv2:1,2"]
    got = document(capfd, *words, "--channel", "3")
    assert (got["layer"], got["place"], len(got["terms"])) == ("conv2", [1, 2, 3], 36)
    total = sum(term["value"] * term["weight"] for term in got["terms"]) + got["bias"]
    assert got["sum"] == pytest.approx(total)
    assert got["output"] == pytest.approx(max(0, total), rel=1e-4)
    said = out(capfd, *words, "--terms", "4")
    assert "32 others" in said
    assert "relu(" in said
    pooled = document(capfd, *words[:-1], "maxpool1:0,1")
    assert max(cell["value"] for cell in pooled["cells"]) == pytest.approx(pooled["output"])
    assert "From" in out(capfd, *words[:-1], "maxpool1:0,1")


def test_backward_spells_out_what_the_loss_tells_it(place: Path, capfd: Capture) -> None:
    words = ["explain", "backward", "model.safetensors", "photo.png", "--at"]
    got = document(capfd, *words, "dense2:1", "--class", "b")
    assert got["class"] == "b"
    assert got["loss"] == pytest.approx(-np.log(got["upstream"] + 1), rel=1e-4)
    for share in got["shares"]:
        assert share["to_input"] == pytest.approx(got["delta"] * share["weight"])
        assert share["to_weight"] == pytest.approx(got["delta"] * share["value"])
    said = out(capfd, *words, "conv2:1,1", "--channel", "1", "--terms", "3")
    assert "33 smaller rows are left out" in said
    assert "To the weight" in said
    assert "to the largest input" in out(capfd, *words, "maxpool1:1,1", "--channel", "1")
    for at, problem in (("1,2", "names no layer"), ("conv2:1", "written conv2:ROW,COL")):
        assert run([*words, at]) == 2
        assert problem in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["filters", "none.safetensors"], 3, "none.safetensors"),
        (["filters", "photo.png"], 3, "photo.png"),
        (["activations", "model.safetensors", "none.png"], 3, "none.png"),
        (["cam", "model.safetensors", "model.safetensors"], 3, "model.safetensors"),
        (["saliency", "model.safetensors"], 2, "missing argument"),
        (["saliency", "model.safetensors", "photo.png", "--method", "magic"], 2, "magic"),
        (["fliters", "model.safetensors"], 2, "filters"),
        (["heatmap", "model.safetensors", "photo.png", "--scale", "0"], 2, "0.01"),
    ],
)
def test_wrong_input_has_a_sentence(
    words: list[str], code: int, said: str, place: Path, capfd: Capture
) -> None:
    before = sorted(place.iterdir())
    assert run(["show", *words]) == code
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert sorted(place.iterdir()) == before


def test_a_series_is_shown_where_that_means_something(place: Path, capfd: Capture) -> None:
    model_of("input 16x2, conv 3 3 relu, gap, dense 2 softmax").save(place / "series.safetensors")
    np.save(place / "one.npy", np.random.default_rng(1).random((16, 2), np.float32))
    for what in ("activations", "saliency"):
        out(capfd, "show", what, "series.safetensors", "one.npy", "--format", "table")
    for what in ("filters", "maximize"):
        out(capfd, "show", what, "series.safetensors", "-o", f"{what}.png")
    for what in ("occlusion", "cam"):
        assert run(["show", what, "series.safetensors", "one.npy", "-o", "no.png"]) == 3
        assert "is made for pictures" in capfd.readouterr().err
