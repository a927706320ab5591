"""The page of a run: everything is there, agrees with the run's files, and gaps are spoken of."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.cli.main import run
from convcli.errors import InputError
from convcli.present.run_page import run_document, write_run_page
from convcli.report.document import render_document
from tests.cli.learning import NETWORK, write_quadrants
from tests.present.pages import Page, check_page

SECTIONS = [
    "Result",
    "Network",
    "Learning curves",
    "Confusion",
    "Classes",
    "Worst mistakes",
    "Activations",
    "First-layer filters",
    "Recipe",
    "Environment",
]


def train(data: Path, place: Path, *more: str, network: str = NETWORK) -> None:
    words = ["train", network, "--data", str(data), "--batch", "16", "--quiet", "-o", str(place)]
    assert run([*words, "--format", "json", *more]) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, and a run of two epochs at a rate that leaves mistakes."""
    place = tmp_path_factory.mktemp("run_page")
    train(write_quadrants(place), place / "run", "--epochs", "2", "--lr", "3e-4")
    return place


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return check_page((folder / "run" / "report.html").read_text(encoding="utf-8"))


def test_training_leaves_a_page_with_all_sections(page: Page) -> None:
    assert page.headings == SECTIONS


def test_the_page_says_what_the_record_says(folder: Path, page: Page) -> None:
    record = json.loads((folder / "run" / "run.json").read_text())
    result = record["result"]
    assert page.facts["test accuracy"] == f"{result['test_accuracy']:.2%}"
    assert page.facts["test loss"] == f"{result['test_loss']:.4f}"
    assert page.facts["validation accuracy of the model"] == f"{result['val_accuracy']:.2%}"
    assert page.facts["best epoch"] == str(result["best_epoch"])
    assert page.facts["parameters"] == f"{result['params']:,}"
    assert page.facts["seed"] == "0"
    assert page.facts["batch"] == "16"
    assert page.facts["train samples"] == str(record["samples"]["train"])
    for name in ("python", "numpy", "numba", "processor", "threads"):
        assert page.facts[name] == str(record["environment"][name])


def test_key_figures_stand_on_cards_and_the_loss_has_two_scales(folder: Path) -> None:
    result = json.loads((folder / "run" / "run.json").read_text())["result"]
    text = (folder / "run" / "report.html").read_text(encoding="utf-8")
    cards = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert cards["Test accuracy"] == f"{result['test_accuracy']:.2%}"
    assert cards["Parameters"] == f"{result['params']:,}"
    assert cards["Best epoch"] == f"{result['best_epoch']} of 2"
    (switched,) = re.findall(r'<figure class="scales">(.*?)</figure>', text, re.DOTALL)
    assert switched.count('aria-label="Loss by epoch"') == 2
    ticks = [
        set(re.findall(r' y="(.*?)" text-anchor="end">(.*?)</text>', svg))
        for svg in switched.split("</svg>")
    ]
    assert ticks[0] != ticks[1]
    assert "<script" not in text


@pytest.mark.slow
def test_the_switch_changes_the_scale_without_a_script(folder: Path, browser: Any) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto((folder / "run" / "report.html").as_uri())
    logarithmic, linear = page.locator(".scales > svg"), page.locator(".scales > .linear")
    assert (logarithmic.is_visible(), linear.is_visible()) == (True, False)
    page.locator(".scales .log input").uncheck()
    assert (logarithmic.is_visible(), linear.is_visible()) == (False, True)
    chart = page.locator(".scales .linear svg")
    small = chart.bounding_box()["width"]
    page.locator(".scales .large input").check()
    assert chart.bounding_box()["width"] > 1.5 * small
    page.emulate_media(media="print")
    assert page.locator(".switch:visible").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_window(scheme: str, folder: Path, browser: Any) -> None:
    for width, side_by_side in ((390, False), (1024, False), (1440, True), (1920, True)):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.goto((folder / "run" / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        tops = [page.locator(f"#part-{part}").bounding_box()["y"] for part in (1, 2)]
        assert (tops[0] == tops[1]) == side_by_side
        page.close()


PAPERS = {"A4": (210, 297), "A5": (148, 210), "Letter": (216, 279), "low": (200, 150)}
"""Width and height in millimeters."""


@pytest.mark.slow
@pytest.mark.parametrize("paper", PAPERS)
def test_no_heading_stands_alone_at_the_foot_of_a_sheet(
    paper: str, folder: Path, tmp_path: Path, browser: Any
) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext (poppler) on this machine")
    page = browser.new_page()
    page.goto((folder / "run" / "report.html").as_uri())
    wide, high = (f"{size}mm" for size in PAPERS[paper])
    page.pdf(path=tmp_path / "report.pdf", width=wide, height=high)
    said = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "report.pdf", "-"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    sheets = [[" ".join(line.split()) for line in one.splitlines() if line.strip()]
              for one in said.stdout.split("\f")]  # fmt: skip
    heads = {
        " ".join(text.split())
        for text in page.locator("h2, caption, thead tr, .gallery > p").all_inner_texts()
    }
    assert len(sheets) > 3
    assert {"Result", "Figure Value", "Epochs"} <= heads & {line for s in sheets for line in s}
    assert not heads & {sheet[-1] for sheet in sheets if sheet}


def test_the_epochs_are_those_of_the_history(folder: Path, page: Page) -> None:
    with (folder / "run" / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    first = page.cells.index(next(row for row in page.cells if row[0] == "Epoch")) + 1
    for ref, got in zip(history, page.cells[first : first + len(history)], strict=True):
        assert got[0] == ref["number"]
        assert got[1] == f"{float(ref['train_loss']):.4f}"
        assert got[4] == f"{float(ref['val_accuracy']):.2%}"


def test_the_confusion_is_counted_again(folder: Path, page: Page) -> None:
    from convcli.learn.modelfile import load

    data = np.load(folder / "quadrants.npz")
    answers = load(folder / "run" / "model.safetensors").predict(data["x_test"]).argmax(axis=1)
    text = "".join(page.words)
    for truth in range(4):
        for answer in range(4):
            count = int(((data["y_test"] == truth) & (answers == answer)).sum())
            assert f"true {truth}, predicted {answer}: {count}" in text
    wrong = int((answers != data["y_test"]).sum())
    assert wrong > 0, "the run must be poor enough to have mistakes"
    named = [p for p in page.pictures if (p["alt"] or "").startswith("test sample")]
    assert len(named) == min(24, wrong)
    recall = float((answers == data["y_test"])[data["y_test"] == 2].mean())
    assert ["2", f"{recall:.2%}"] in [[row[0], row[2]] for row in page.cells if len(row) > 2]


def test_filters_and_maps_are_drawn(folder: Path, page: Page) -> None:
    from convcli.learn.modelfile import load

    data = np.load(folder / "quadrants.npz")
    told = load(folder / "run" / "model.safetensors").predict(data["x_test"])
    surest = np.where(told.argmax(axis=1) == data["y_test"], 0, told.max(axis=1)).argmax()
    samples = {0, 1, int(surest)}  # labels go 0 1 2 3 0 1 ...: samples 0 and 1 differ
    alternatives = [picture["alt"] or "" for picture in page.pictures]
    assert sum(words.startswith("Filter ") for words in alternatives) == 4
    assert sum(words.startswith("Maps of conv1 6x6x4") for words in alternatives) == len(samples)
    filters = [
        size
        for size, words in zip(page.sizes(), alternatives, strict=True)
        if words.startswith("Filter ")
    ]
    assert set(filters) == {(3, 3)}, "single weights stay single cells"


def test_without_its_data_a_run_still_has_a_page(folder: Path, tmp_path: Path) -> None:
    data = write_quadrants(tmp_path)
    train(data, tmp_path / "run", "--epochs", "1")
    data.unlink()
    got = check_page(render_document(run_document(tmp_path / "run")))
    text = " ".join(got.words)
    assert "need the samples, which cannot be had" in text
    assert "quadrants.npz" in text
    assert "Confusion" not in got.headings
    assert "First-layer filters" in got.headings
    x, y = np.zeros((40, 8, 8, 1), np.uint8), np.arange(40) % 4
    np.savez(data, x_train=x, y_train=y, x_test=x, y_test=y)
    assert "no longer those" in " ".join(
        Page(render_document(run_document(tmp_path / "run"))).words
    )


def test_a_run_before_its_first_epoch(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    for name in ("model.safetensors", "history.csv"):
        (tmp_path / "run" / name).unlink()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    record |= {"status": "interrupted", "result": None, "epochs_done": 0}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    got = check_page(render_document(run_document(tmp_path / "run")))
    text = " ".join(got.words)
    assert "was interrupted after 0 epochs" in text
    assert "No epoch was finished" in text
    assert "There is no model to look at" in text


def test_an_unfinished_run_does_not_read_its_test_samples(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    record |= {"status": "interrupted", "result": None}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    text = " ".join(Page(render_document(run_document(tmp_path / "run"))).words)
    assert "validation samples are right" in text
    assert "test samples are right" not in text


@pytest.mark.parametrize(
    ("key", "value"), [("network", "no layers"), ("recipe", 3), ("samples", None), ("result", [])]
)
def test_a_record_that_was_tampered_with(
    folder: Path, tmp_path: Path, key: str, value: object
) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {key: value}))
    check_page(render_document(run_document(tmp_path / "run")))


def test_names_from_outside_are_escaped(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "<script>alert(1)<"
    shutil.copytree(folder / "run", place)
    got = check_page(write_run_page(place).read_text(encoding="utf-8"))
    assert "Run <script>alert(1)<" in got.words


def test_a_series_is_drawn_as_lines(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    series = random.normal(labels[:, None, None], 1, (60, 12, 2)).astype(np.float32)
    np.savez(tmp_path / "s.npz", x_train=series, y_train=labels, x_test=series, y_test=labels)
    network = "input 12x2, conv 3 3 relu, flatten, dense 2 softmax"
    train(tmp_path / "s.npz", tmp_path / "run", "--epochs", "1", network=network)
    got = check_page((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert got.headings == SECTIONS
    told = [picture["alt"] or "" for picture in got.pictures]
    assert any("Maps of conv1 10x3" in text for text in told)
    assert any("Filter 2 of conv1" in text for text in told)
    assert "sees the whole input: the probability of each class" in " ".join(got.words)


def test_a_page_that_cannot_be_written_loses_no_run(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from convcli.present import run_page

    def fails(*_: object, **__: object) -> Path:
        raise InputError("The disk is full.")

    monkeypatch.setattr(run_page, "write_run_page", fails)
    words = ["train", NETWORK, "--data", str(folder / "quadrants.npz"), "--epochs", "1"]
    assert run([*words, "-o", str(tmp_path / "run"), "--format", "json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)["epochs"] == 1
    assert "The report could not be written: The disk is full. Again: convcli report" in said.err
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.slow
def test_large_pictures_make_a_small_page(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(12) % 3
    pictures = random.integers(0, 256, (12, 96, 64, 3), dtype=np.uint8)
    np.savez(tmp_path / "p.npz", x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    network = "input 96x64x3, conv 40 5 same relu, maxpool 8, conv 70 3 relu, gap, dense 3 softmax"
    train(tmp_path / "p.npz", tmp_path / "run", "--epochs", "1", "--val", "0", network=network)
    path = tmp_path / "run" / "report.html"
    got = check_page(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 1_000_000
    assert any("16 of 40 channels" in (picture["alt"] or "") for picture in got.pictures)
    assert any("Filter 39 of conv1" in (picture["alt"] or "") for picture in got.pictures)


def test_no_run_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no run\.json"):
        run_document(tmp_path)
    with pytest.raises(InputError, match="is no directory"):
        run_document(tmp_path / "nowhere")
