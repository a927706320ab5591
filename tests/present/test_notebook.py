"""Values show themselves in a notebook: asked the way a notebook asks."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.imaging.picture import Frame, Picture
from convcli.kernels import Kernel, find
from convcli.learn.evaluation import evaluate
from convcli.report import Column, Report
from convcli.report.document import Document, Section
from tests.present.pages import Page


@pytest.fixture(scope="module")
def shown() -> Any:
    """What a notebook makes of a value: kind -> content."""
    formatters = pytest.importorskip(
        "IPython.core.formatters", reason="IPython asks values for their rendering"
    )
    formatter = formatters.DisplayFormatter()
    return lambda value: formatter.format(value)[0]


@pytest.fixture(scope="module")
def training() -> Any:
    data = convcli.load_dataset("digits", samples=120)
    made = convcli.fit("input 28x28x1, conv 2 5, gap, dense 10 softmax", data, epochs=2)
    list(made)
    return made


def test_a_network_is_its_table(shown: Any) -> None:
    network = convcli.network("input 28x28x1, conv 16 3 relu, maxpool 2, flatten, dense 10")
    for value in (network, network.trace()):
        page = Page(shown(value)["text/html"])
        totals = network.trace().totals
        assert f"{totals.params:,}" in page.cells[-1]
        assert [row[0] for row in page.cells[1:-1]] == ["conv1", "maxpool1", "flatten1", "dense1"]


def test_a_network_that_does_not_fit_still_prints(shown: Any) -> None:
    network = convcli.network("input 8x8x1, conv 4 3").with_input((2, 2, 1))
    got = shown(network)
    assert "text/html" not in got
    assert got["text/plain"] == "Network('network', 2x2x1, 1 layer)"


def test_a_kernel_is_its_numbers(shown: Any) -> None:
    page = Page(shown(find("sobel-x"))["text/html"])
    assert page.cells[1:] == [["-1", "0", "1"], ["-2", "0", "2"], ["-1", "0", "1"]]
    assert "3x3, divisor 1, offset 0, sum 0" in "".join(page.words)
    both = Page(shown(find("sobel"))["text/html"])
    assert both.cells[5:] == [["-1", "-2", "-1"], ["0", "0", "0"], ["1", "2", "1"]]
    large = Kernel("wide", column=(1,) * 31, row=(1,) * 31)
    assert "31x31" in shown(large)["text/html"]
    assert "<table" not in shown(large)["text/html"]


def test_epochs_and_trainings(shown: Any, training: Any) -> None:
    row = Page(shown(training.history[0])["text/html"]).cells[1]
    assert row[:2] == ["1", f"{training.history[0].train_loss:.4f}"]
    page = Page(shown(training)["text/html"])
    assert "2 of 2 epochs." in page.words
    titles = [chart["aria-label"] for chart in page.charts]
    assert titles == ["Loss by epoch", "Loss by epoch", "Accuracy by epoch"]  # two scales of one
    assert [row[0] for row in page.cells[1:]] == ["1", "2"]


def test_models_and_evaluations(shown: Any, training: Any) -> None:
    model = training.best_model()
    page = Page(shown(model)["text/html"])
    assert any(row[0] == "val accuracy" for row in page.cells)
    assert any(row[0] == "conv1" for row in page.cells)
    found = evaluate(model, training.data, training.data.test)
    rows = Page(shown(found)["text/html"]).cells
    assert [row[4] for row in rows[1 : 1 + len(found.classes)]] == [
        str(one.n) for one in found.classes
    ]


def test_reports_and_documents(shown: Any) -> None:
    report = Report("T", (Column("n", "<N>", "right"),), ((1234,),))
    html = shown(report)["text/html"]
    assert Page(html).cells == [["<N>"], ["1,234"]]
    rules = html.partition("<style>")[2].partition("</style>")[0].split("}")
    selectors = [one for rule in rules[:-1] for one in rule.partition("{")[0].split(",")]
    assert all(one.strip().startswith(".convcli ") for one in selectors), (
        "the notebook keeps its own"
    )
    frame = shown(Document("A page", "", (Section("One", ('He said "no" & left.',)),)))["text/html"]
    assert frame.startswith("<iframe srcdoc=")
    assert " sandbox " in frame
    parsed = Page(frame)
    assert parsed.tags == {"iframe"}, "the page's own tags stay inside the frame"


def size_of(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_filter_results_are_pictures(shown: Any) -> None:
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (150, 200, 3), dtype=np.uint8)
    result = convcli.filter_result(photo, "gaussian:sigma=2")
    png = shown(result)["image/png"]
    decoded = Image.open(io.BytesIO(png)) if isinstance(png, bytes) else None
    assert decoded is not None
    np.testing.assert_array_equal(np.asarray(decoded), result.pixels)
    np.testing.assert_array_equal(result.pixels, convcli.filter_image(photo, "gaussian:sigma=2"))


def test_numbers_are_spread_over_gray_levels(shown: Any) -> None:
    result = convcli.filter_result(np.array([[0.0, 0, 9, 9], [0, 0, 9, 9]]), "1 0 -1")
    got = np.asarray(Image.open(io.BytesIO(shown(result)["image/png"])))
    assert got.shape == (64, 128), "small ones are enlarged"
    levels = [int(got[10, x]) for x in (10, 40, 70, 100)]
    assert levels[0] == levels[3] == 128, "zero is the middle gray"
    assert levels[1] == levels[2] == 1, "negative numbers are darker"


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_frames_of_every_depth_and_size(shown: Any, kind: Any) -> None:
    small = Frame(np.ones((5, 2), kind))
    assert size_of(shown(small)["image/png"]) == (50, 125)
    large = Picture((Frame(np.ones((3000, 30, 3), kind)),))
    assert size_of(shown(large)["image/png"]) == (12, 1200)
    clear = Frame(np.zeros((130, 4, 4), kind), has_alpha=True)
    assert shown(clear)["image/png"][:4] == b"\x89PNG"


def test_planes_that_are_no_colors_are_averaged() -> None:
    planes = np.stack([np.full((130, 130), share) for share in (0.0, 0.5, 1.0, 0.5, 0.5)], axis=2)
    got = np.asarray(Image.open(io.BytesIO(Frame(planes)._repr_png_())))
    assert got.shape == (130, 130)
    assert set(got.ravel()) == {128}


def test_what_is_not_finite_is_black_or_middle_gray() -> None:
    numbers = np.full((130, 2), np.nan)
    numbers[0] = -3, np.inf
    got = np.asarray(Image.open(io.BytesIO(Frame(numbers)._repr_png_())))
    assert got[0].tolist() == [1, 128]
    assert got[5, 0] == 128


def test_nothing_is_loaded_before_a_value_is_asked() -> None:
    script = (
        "import sys; from convcli.net import parse_notation\n"
        "net = parse_notation('input 4, dense 2')\n"
        "before = 'convcli.report' in sys.modules\n"
        "html = net._repr_html_()\n"
        "print(before, '<table>' in html, 'numpy' in sys.modules)"
    )
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert got.stdout == "False True False\n"


def test_printed_values_are_their_tables(training: Any) -> None:
    network = convcli.network("input 28x28x1, conv 16 3 relu, maxpool 2, flatten, dense 10")
    lines = str(network.trace()).splitlines()
    assert lines[0] == "network on 28x28x1"
    assert lines[2].split()[:4] == ["conv1", "conv", "16", "3"]
    assert str(network) == str(network.trace())
    assert str(convcli.kernel("sobel-x")).splitlines()[-1].split() == ["-1", "0", "1"]
    assert "val accuracy" in str(training.best_model())
    assert str(training).startswith("2 of 2 epochs.")
    assert "total" in str(training.data)
    found = training.best_model().evaluate(training.data)
    assert "Precision" in str(found)
    assert str(convcli.compare("lenet5", "mnist")).startswith("lenet5 and mnist\n")


def test_a_repr_is_one_line(training: Any) -> None:
    network, data = convcli.network("mnist"), training.data
    kernels = "Kernel('sobel-x', 3x3), Kernel('sobel-y', 3x3)"
    counts = "train 100, validation 20, test 20"
    for value, ref in (
        (network, "Network('mnist', 28x28x1, 7 layers)"),
        (network.trace(), "Trace('mnist', 28x28x1 -> 10, 7 steps, 30,762 parameters)"),
        (convcli.kernel("sobel"), f"Magnitude('sobel', {kernels})"),
        (training, "Training('network' on 'digits', 2 of 2 epochs)"),
        (data, f"Dataset('digits', 28x28x1 uint8, 10 classes, {counts})"),
        (data.test, "Split(20 samples of 28x28x1 uint8)"),
        (convcli.compare("lenet5", "mnist"), "Report('lenet5 and mnist', 12 rows x 4 columns)"),
    ):
        assert repr(value) == ref
    model = training.best_model()
    assert repr(model).startswith("TrainedModel('network', 28x28x1 -> 10 classes, val_accuracy")
    for value in (model, model.evaluate(data), training.history[0]):
        assert "\n" not in repr(value)
        assert len(repr(value)) < 250


def test_a_sweep_is_its_trials(shown: Any) -> None:
    data = convcli.load_dataset("digits", samples=60)
    words = "input 28x28x1, flatten, dense 10 softmax"
    sweep = convcli.run_sweep(words, {"lr": [0.001, 0.01]}, data, epochs=1, jobs=1)
    assert repr(sweep).startswith("Sweep('input 28x28x1, flatten")
    header, first, second = Page(shown(sweep)["text/html"]).cells
    assert header[:3] == ["", "Trial", "lr"]
    best = sweep.best()
    assert best is not None
    assert first[:3] == ["*", str(best.trial.number), str(dict(best.trial.values)["lr"])]
    assert second[0] == ""
    assert "Val accuracy" in str(sweep)


LIVE = """
import convcli
from convcli.present import notebook
notebook.PAUSE = 0
data = convcli.load_dataset("digits", samples=300)
training = convcli.fit("input 28x28x1, conv 2 5, gap, dense 10 softmax", data, epochs=3, batch=4)
for epoch in training:
    pass
"""


def test_a_training_shows_its_curves_while_it_runs() -> None:
    """A real kernel runs the cell; what it sent to the notebook is looked at."""
    pytest.importorskip("ipykernel", reason="the kernel of notebooks")
    client = pytest.importorskip("jupyter_client", reason="what a notebook talks to it with")
    sent = []
    manager, kernel = client.manager.start_new_kernel(kernel_name="python3")
    try:
        told = kernel.execute_interactive(LIVE, timeout=120, output_hook=sent.append)
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
    assert told["content"]["status"] == "ok"
    shown = [one for one in sent if one["header"]["msg_type"] == "display_data"]
    drawn = [one for one in sent if one["header"]["msg_type"] == "update_display_data"]
    assert len(shown) == 1, "one display for the whole run"
    assert len(drawn) >= 2
    assert "0 of 3 epochs." in Page(shown[0]["content"]["data"]["text/html"]).words
    last = Page(drawn[-1]["content"]["data"]["text/html"])
    assert "3 of 3 epochs." in last.words
    assert len(last.charts) >= 2


def test_inside_an_epoch_a_training_says_where_it_stands() -> None:
    data = convcli.load_dataset("digits", samples=60)
    training = convcli.fit("input 28x28x1, flatten, dense 10 softmax", data, epochs=2, batch=9)
    events = training.events()
    first, second = next(events), next(events)
    assert f"Epoch 1: step 2 of 6, loss {second.loss:.4f}." in str(training)
    assert first.loss != second.loss


def test_outside_of_a_notebook_a_training_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = convcli.load_dataset("digits", samples=60)
    list(convcli.fit("input 28x28x1, flatten, dense 10 softmax", data, epochs=1))
    assert capfd.readouterr() == ("", "")
