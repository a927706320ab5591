"""Pages of networks in words, of plain numbers and of a plane; the tour, and lines between maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.cli.main import run
from convcli.learn.model import Model
from convcli.net import parse_notation
from tests.cli.pages import LAST_FRAME, draw, opened, settle

WORDS = "input 2, dense 6 tanh, dense 5 relu, dense 2 softmax"


def page_of(words: str, path: Path, *more: str) -> Path:
    assert run(["page", words, "-o", str(path), "--quiet", *more]) == 0
    return path


def flowers(folder: Path) -> Path:
    """Write a table of three kinds that four lengths tell apart."""
    random = np.random.default_rng(0)
    kinds = np.arange(60) % 3
    rows = random.normal(kinds[:, np.newaxis] + np.arange(4), 0.2)
    lines = [",".join(f"{value:.3f}" for value in row) for row in rows]
    text = "\n".join(f"{line},kind{kind}" for line, kind in zip(lines, kinds, strict=True))
    (folder / "flowers.csv").write_text(f"a,b,c,d,species\n{text}\n")
    return folder / "flowers.csv"


@pytest.mark.slow
def test_a_network_of_two_inputs_answers_all_over_a_plane(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, page_of(WORDS, tmp_path / "p.html"))
    said = page.evaluate("""({
        surface: convcli.state.surface.map((answers) => Array.from(answers)),
        levels: Array.from(convcli.state.levels),
    })""")
    model = Model.initialize(parse_notation(WORDS), seed=0)
    centers = 2 * 3.48 * (np.arange(24) + 0.5) / 24 - 3.48  # three deviations and a margin
    points = np.array([(x, -y) for y in centers for x in centers], np.float32)
    np.testing.assert_allclose(model.predict(points), said["surface"], atol=1e-5)
    page.locator("canvas[aria-label^=dense2]").click(position={"x": 15, "y": 20})
    settle(page)
    assert page.inner_text("#cell h2").startswith("dense2, unit 0 =")
    (x, y) = page.evaluate("Array.from(convcli.state.levels)")
    assert x < said["levels"][0]
    value = model.activations(np.array([[x, y]], np.float32))["dense2"][0, 0]
    assert page.inner_text("#cell h2").endswith(f"= {value:.3f}")
    assert page.locator(".link").count() == 6
    page.locator("#pad").focus()
    for key in ("ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    settle(page)
    assert page.evaluate("Array.from(convcli.state.levels)") != [x, y]
    page.select_option("#shown", "gradients")
    settle(page)
    assert page.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("data", ["circle", "xor", "gauss", "spiral"])
def test_points_of_a_plane_are_learned(data: str, browser: Any, tmp_path: Path) -> None:
    page = opened(browser, page_of(WORDS, tmp_path / "p.html"))
    page.select_option("#data", data)
    page.select_option("#learner", "small")
    page.fill("#filters", "12")
    page.select_option("#activation", "tanh")
    page.locator("#fresh").click()
    assert "12·(2 + 1) = 36 parameters" in page.inner_text("#sizes")
    assert "218 in all" in page.inner_text("#sizes")
    assert page.locator("#graph .box").count() == 4
    labels = page.evaluate("convcli.state.training.samples.map((one) => one.label)")
    assert 80 < sum(labels) < 112
    page.evaluate("""() => {
        const { training } = convcli.state;
        const isDone = ({ length: epochs, [epochs - 1]: last }) =>
            epochs > 900 || (epochs > 2 && last.accuracy > 0.94);
        do while (!training.advance()); while (!isDone(training.history));
    }""")
    history = page.evaluate("convcli.state.training.history")
    assert history[-1]["accuracy"] > 0.94
    page.select_option("#lr", "0.1")
    assert page.inner_text("#past summary") == "Earlier runs to compare: 1, thin in the curves"
    assert "dense 12 tanh, dense 12 tanh, dense 2 softmax; adam 0.01, batch 16: " in (
        page.locator("#past p").text_content()
    )
    assert page.complaints == []


@pytest.mark.slow
def test_plain_numbers_are_bars_to_drag_and_rows_of_a_table(browser: Any, tmp_path: Path) -> None:
    words = "input 4, dense 8 relu, dense 3 softmax"
    path = page_of(words, tmp_path / "p.html", "--data", str(flowers(tmp_path)))
    page = opened(browser, path)
    assert page.locator("#samples button").all_inner_texts()[:3] == ["kind0", "kind1", "kind2"]
    before = page.evaluate("Array.from(convcli.state.levels)")
    draw(page, [(270, 60), (271, 60)])  # the second of four bars, 34 pixels each
    after = page.evaluate("Array.from(convcli.state.levels)")
    assert after[1] > before[1]
    assert [*after[:1], *after[2:]] == [*before[:1], *before[2:]]
    (tmp_path / "one.csv").write_text("a,b,c,d\n0.5;1.5;2.5;3.5\n")
    page.set_input_files("#open", str(tmp_path / "one.csv"))
    page.wait_for_function("convcli.state.levels[0] === 0.5")
    said = page.evaluate(LAST_FRAME)
    assert said["levels"] == [0.5, 1.5, 2.5, 3.5]
    page.locator("#learn").click()
    page.locator("#train").click()
    page.wait_for_function("convcli.state.training.history.length >= 30")
    page.locator("#train").click()
    assert page.evaluate("convcli.state.training.history.at(-1).accuracy") > 0.9
    assert page.complaints == []


@pytest.mark.slow
def test_lines_lead_to_the_maps_that_feed_a_pinned_cell(digits_page: Path, browser: Any) -> None:
    page = opened(browser, digits_page)
    page.locator("canvas[aria-label^=conv2]").focus()
    page.keyboard.press("Enter")
    found = page.locator(".link").evaluate_all(
        "all => all.map((one) => [+one.getAttribute('stroke-width'), one.getAttribute('class')])"
    )
    assert len(found) == 16
    told = page.locator("#cell p").all_inner_texts()
    sums = [float(line.rsplit(" ", 1)[1]) for line in told if line.startswith("input map")]
    widest = sorted(found, reverse=True)[: len(sums)]
    assert widest[0][0] == 5
    for (width, kind), value in zip(widest, sums, strict=True):
        assert width == pytest.approx(0.6 + 4.4 * abs(value / sums[0]), abs=0.02)
        assert kind == f"link {'negative' if value < 0 else 'positive'}"
    page.locator("#linked").uncheck()
    settle(page)
    assert page.locator(".link").count() == 0


@pytest.mark.slow
def test_a_tour_goes_through_every_layer_by_keyboard(digits_page: Path, browser: Any) -> None:
    page = opened(browser, digits_page)
    page.locator("#startTour").focus()
    page.keyboard.press("Enter")
    titles = [page.inner_text("#tour h2")]
    while not titles[-1].endswith("Learning"):
        page.keyboard.press("Enter")  # the focus is on Next
        titles.append(page.inner_text("#tour h2"))
        if "maxpool1" in titles[-1]:
            assert "Of each window only the largest number is kept" in page.inner_text("#tour p")
            value = page.evaluate("Math.max(...convcli.state.run.values[2])")
            assert page.inner_text("#cell h2").endswith(f"= {value:.3f}")
        if "way back" in titles[-1]:
            assert page.input_value("#shown") == "gradients"
    assert [title.split(" · ")[1].split(":")[0] for title in titles] == [
        *("The input", "conv1", "maxpool1", "conv2", "maxpool2", "dense1", "dense2"),
        *("The answer", "The way back", "Learning"),
    ]
    page.keyboard.press("PageUp")
    assert page.inner_text("#tour h2") == titles[-2]
    page.keyboard.press("Escape")
    assert page.locator("#tour").is_hidden()
    assert page.input_value("#shown") == "values"
    assert page.evaluate("document.activeElement.id") == "startTour"
    assert page.complaints == []


def test_a_network_by_name_is_fitted_to_the_data(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["page", "mnist", "--data", "digits", "--quiet"]) == 0
    text = (tmp_path / "mnist_page.html").read_text()
    assert '"classes": ["0", "1", "2"' in text
