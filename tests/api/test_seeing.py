"""`show_...`, `explain_...` and `write_report` give what the commands of these names give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run
from convcli.errors import InputError, OutputExistsError, UsageError
from convcli.report import to_json
from tests.cli.learning import NETWORK, quadrants, write_quadrants


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and a picture."""
    folder = tmp_path_factory.mktemp("seeing")
    words = ["train", NETWORK, "--data", str(write_quadrants(folder)), "--epochs", "2"]
    assert run([*words, "-o", str(folder / "run"), "--quiet"]) == 0
    Image.fromarray(quadrants(1)[0][0, ..., 0]).save(folder / "a.png")
    assert (
        run(["convolutionalize", str(folder / "run"), "-o", str(folder / "fcn.safetensors")]) == 0
    )
    Image.fromarray(np.tile(quadrants(1)[0][0, ..., 0], (2, 2))).save(folder / "large.png")
    return folder


SHOWN: dict[str, Any] = {
    "filters run": lambda p: convcli.show_filters(p / "run"),
    "filters run --layer conv1 --filter 2": lambda p: convcli.show_filters(
        p / "run", layer="conv1", filter=2
    ),
    "maximize run --unit conv1:1 --steps 3": lambda p: convcli.show_maximize(
        p / "run", [("conv1", 1)], steps=3
    ),
    "activations run a.png": lambda p: convcli.show_activations(p / "run", p / "a.png"),
    "saliency run a.png --method all": lambda p: convcli.show_saliency(
        p / "run", p / "a.png", method="all"
    ),
    "occlusion run a.png --class 1": lambda p: convcli.show_occlusion(
        p / "run", p / "a.png", class_="1"
    ),
    "cam run a.png": lambda p: convcli.show_cam(p / "run", Image.open(p / "a.png")),
    "receptive mnist --at conv2:5,5": lambda p: convcli.show_receptive("mnist", "conv2:5,5"),
    "heatmap fcn.safetensors large.png": lambda p: convcli.show_heatmap(
        p / "fcn.safetensors", p / "large.png"
    ),
    "confusion run": lambda p: convcli.show_confusion(p / "run"),
    "errors run": lambda p: convcli.show_errors(p / "run"),
    "curves run": lambda p: convcli.show_curves(p / "run"),
}


@pytest.mark.parametrize("words", SHOWN)
def test_shown_is_what_the_command_shows(
    words: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    output = ["-o", str(tmp_path / "command.png")]
    capfd.readouterr()
    assert run(["show", *words.split(), *output, "--format", "json", "--quiet"]) == 0
    ref = json.loads(capfd.readouterr().out)
    drawn = SHOWN[words](place)
    report = drawn.report
    got = json.loads(to_json(report.records() if report.document is None else report.document))
    assert got == ref
    drawn.save(tmp_path / "call.png")
    if (tmp_path / "command.png").exists():
        one, other = (Image.open(tmp_path / f"{name}.png") for name in ("command", "call"))
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert drawn._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(OutputExistsError):
        drawn.save(tmp_path / "call.png")
    assert str(drawn) == str(report)
    assert "\n" not in repr(drawn)


EXPLAINED: dict[str, Any] = {
    "conv~1 2 3; 4 5 6; 7 8 9~-k~1 0; 0 -1~--at~1,0": lambda p: convcli.explain_conv(
        np.arange(1, 10).reshape(3, 3), [[1, 0], [0, -1]], (1, 0)
    ),
    "conv~1 2 3; 4 5 6; 7 8 9~-k~sobel-x~--padding~1": lambda p: convcli.explain_conv(
        "1 2 3; 4 5 6; 7 8 9", convcli.kernel("sobel-x"), padding=1
    ),
    "conv~1 2; 3 4 | 5 6; 7 8~-k~1 0; 0 1 | 2 0; 0 1~--convolve": lambda p: convcli.explain_conv(
        [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], "1 0; 0 1 | 2 0; 0 1", convolve=True
    ),
    "conv~a.png~-k~sobel-x~--at~1,1": lambda p: convcli.explain_conv(p / "a.png", "sobel-x", "1,1"),
    "pool~1 2; 3 4~--kind~avg": lambda p: convcli.explain_pool([[1, 2], [3, 4]], kind="avg"),
    "dense~1 2 3~--weights~0.5 -1 2~--bias~0.1~--activation~tanh": lambda p: convcli.explain_dense(
        [1, 2, 3], "0.5 -1 2", bias=0.1, activation="tanh"
    ),
    "softmax~2 1 0.1~--target~1": lambda p: convcli.explain_softmax([2, 1, 0.1], target=1),
    "adam~0.5 0.4~--lr~0.1": lambda p: convcli.explain_adam([0.5, 0.4], lr=0.1),
    "forward~run~a.png~--at~conv1:2,3~--channel~1": lambda p: convcli.explain_forward(
        p / "run", p / "a.png", "conv1:2,3", channel=1
    ),
    "backward~run~a.png~--at~conv1:2,3~--class~2": lambda p: convcli.explain_backward(
        p / "run", p / "a.png", "conv1:2,3", class_="2"
    ),
}


@pytest.mark.parametrize("words", EXPLAINED)
def test_explained_is_what_the_command_explains(
    words: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    capfd.readouterr()
    assert run(["explain", *words.split("~"), "--format", "json"]) == 0
    ref = json.loads(capfd.readouterr().out)
    report = EXPLAINED[words](place)
    got = report.records() if report.document is None else report.document
    assert json.loads(to_json(got)) == ref


def test_mistakes_are_told(place: Path) -> None:
    with pytest.raises(UsageError, match="made of several kernels"):
        convcli.explain_conv([[1]], "sobel")
    with pytest.raises(InputError, match="rows of numbers"):
        convcli.explain_conv([1, 2], [[1]])
    with pytest.raises(UsageError, match="names no layer"):
        convcli.explain_forward(place / "run", place / "a.png", "2,3")


def test_reports_and_pages_are_written(place: Path, tmp_path: Path) -> None:
    assert convcli.write_report(place / "run") == place / "run" / "report.html"
    page = convcli.write_report([place / "run"], tmp_path / "page.html")
    assert "<h2>Confusion</h2>" in page.read_text(encoding="utf-8")
    with pytest.raises(OutputExistsError):
        convcli.write_report(place / "run", page)
    assert convcli.write_page(place / "run", tmp_path / "live.html").stat().st_size > 10_000
    words = "input 2, dense 3 tanh, dense 2 softmax"
    for network in (words, convcli.network(words)):
        page = convcli.write_page(network, tmp_path / "play.html", force=True)
        assert '"words": "dense 3 tanh"' in page.read_text()
    beside = convcli.write_page(place / "run")
    assert beside == place / "run" / "model_page.html"
    assert beside.stat().st_size > 10_000
    bare, filled = (
        convcli.write_page(place / "run", tmp_path / f"{name}.html", data=data).stat().st_size
        for name, data in (("bare", None), ("filled", str(place / "quadrants.npz")))
    )
    assert filled > bare + 1_000  # samples of 8x8


def test_a_lesson_shows_itself() -> None:
    assert convcli.lesson().records()[0]["topic"] == "numbers"
    assert "7 9" in convcli.lesson("pooling").notes
    with pytest.raises(UsageError, match="Did you mean pooling"):
        convcli.lesson("poling")
