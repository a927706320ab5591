"""The live page in a real browser: what is chosen, pointed at, pinned, pressed, tapped and seen."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.cli.main import run
from convcli.errors import InputError
from convcli.inspect.live import page_network
from convcli.learn.modelfile import load
from tests.cli.pages import (
    LAST_FRAME,
    NETWORKS,
    SEVEN,
    draw,
    made_page,
    opened,
    pictures_of_a_seven,
    settle,
    trained,
)


@pytest.mark.slow
def test_a_sample_is_chosen_from_ten(digits_page: Path, browser: Any) -> None:
    page = opened(browser, digits_page)
    with np.load(digits_page.with_name("data.npz")) as data:
        samples = data["x"]
    assert page.locator("#samples button").all_inner_texts() == [f"class {n}" for n in range(10)]
    assert page.inner_text("#answer") != "Draw something."  # the first one is there already
    page.locator("#samples button").nth(3).click()
    settle(page)
    np.testing.assert_array_equal(samples[3].ravel(), page.evaluate(LAST_FRAME)["levels"])
    assert page.complaints == []
    assert page.inner_text("h1") == "A <title>"


@pytest.mark.slow
def test_pointing_tells_a_value_and_pinning_the_sum_behind_it(
    digits_page: Path, browser: Any
) -> None:
    page = opened(browser, digits_page)
    conv1 = page.locator("canvas[aria-label^=conv1]")
    box = conv1.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    value = page.evaluate("convcli.state.run.values[1][(13 * 26 + 13) * 16]")
    assert page.inner_text("#sum") == f"conv1, map 0, row 13, column 13 = {value:.3f}"
    page.mouse.click(box["x"] + 40, box["y"] + 40)
    model = load(digits_page.with_name("model.safetensors"))
    levels = np.array(page.evaluate(LAST_FRAME)["levels"]).reshape(28, 28) / 255
    kernel = model.model.parameters["conv1.kernel"][:, :, 0, 0]
    ref = [levels[13:16, 13:16], kernel, levels[13:16, 13:16] * kernel]
    cells = page.locator("#cell table.heat td").evaluate_all("cells => cells.map(c => c.title)")
    np.testing.assert_allclose(np.ravel(ref), np.array(cells, float), atol=6e-4)
    total = float(np.sum(ref[2])) + float(model.model.parameters["conv1.bias"][0])
    assert f"= {total:.3f} → relu {max(total, 0):.3f}" in page.inner_text("#cell .total")
    assert page.complaints == []


@pytest.mark.slow
def test_the_keyboard_alone_pins_moves_and_draws(digits_page: Path, browser: Any) -> None:
    page = opened(browser, digits_page)
    conv2 = page.locator("canvas[aria-label^=conv2]")
    conv2.focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#cell h2").startswith("conv2, map 0, row 5, column 5 =")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "."):
        page.keyboard.press(key)
    assert page.inner_text("#cell h2").startswith("conv2, map 1, row 6, column 7 =")
    assert page.locator("#cell table.heat").count() == 3 * 4  # the four maps that weigh most
    assert "12 other maps" in page.inner_text("#cell")
    page.keyboard.press("Escape")
    assert page.locator("#cell").is_hidden()
    page.locator("#clear").click()
    page.locator("#pad").focus()
    for key in (" ", *["ArrowDown"] * 8):
        page.keyboard.press(key)
    settle(page)
    assert page.evaluate("Math.max(...convcli.state.levels)") > 100
    page.keyboard.press("Delete")
    settle(page)
    assert page.inner_text("#answer") == "Draw something."
    assert page.evaluate("Math.max(...convcli.state.levels)") == 0
    assert page.complaints == []


@pytest.mark.slow
def test_the_window_slides_and_pools_show_their_choice(digits_page: Path, browser: Any) -> None:
    page = opened(browser, digits_page)
    page.locator("canvas[aria-label^=maxpool1]").focus()
    page.keyboard.press("Enter")
    numbers = page.locator("#cell table.heat td").evaluate_all("cells => cells.map(c => +c.title)")
    assert len(numbers) == 4
    assert f"{max(numbers):.3f}; it alone gets the gradient" in page.inner_text("#cell .total")
    page.locator("canvas[aria-label^=conv1]").focus()
    page.keyboard.press("Enter")
    before = page.inner_text("#cell h2")
    page.locator("#slide").click()
    page.wait_for_function(
        "text => document.querySelector('#cell h2').innerText !== text", arg=before
    )
    page.locator("#slide").click()
    page.locator("canvas[aria-label^=dense2]").focus()
    page.keyboard.press("Enter")
    told = page.inner_text("#cell")
    assert "logit" in told
    assert "softmax: divided by their sum" in told
    answers = np.array(page.evaluate(LAST_FRAME)["values"][-1])
    for share in answers[:3]:
        assert f"{100 * share:.1f} %" in told
    assert page.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 820, 1920])
def test_it_fits_every_window(width: int, digits_page: Path, browser: Any) -> None:
    page = opened(browser, digits_page)
    page.set_viewport_size({"width": width, "height": 800})
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    widths = page.locator(".layer > canvas").evaluate_all("all => all.map(c => c.clientWidth)")
    assert max(widths) <= width
    page.locator("canvas[aria-label^=conv2]").click(position={"x": 10, "y": 10})
    assert page.locator("#cell").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_the_same_file_can_be_opened_twice(digits_page: Path, browser: Any) -> None:
    page = opened(browser, digits_page)
    picture = next(pictures_of_a_seven(digits_page.parent))
    for _ in range(2):
        page.locator("#clear").click()
        settle(page)
        page.set_input_files("#open", str(picture))
        page.wait_for_function("convcli.state.opened !== null")
        settle(page)
        assert page.inner_text("#answer") != "Draw something."


@pytest.mark.slow
def test_a_series_is_drawn_as_lines(browser: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    series = random.normal(size=(12, 40, 3)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=series, y=np.arange(12) % 4)
    path = made_page(tmp_path, NETWORKS["series"], "--data", str(tmp_path / "data.npz"))
    page = opened(browser, path)
    levels = np.array(page.evaluate(LAST_FRAME)["levels"]).reshape(40, 3)
    np.testing.assert_array_equal(series[0], levels)
    page.select_option("#channel", "1")
    draw(page, [(70, 20), (210, 20)])
    drawn = np.array(page.evaluate(LAST_FRAME)["levels"]).reshape(40, 3)
    changed = drawn != levels
    assert changed[11:29, 1].all()
    assert not changed[:, [0, 2]].any()
    assert not changed[:8].any()
    page.locator("canvas[aria-label^=conv1]").focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#cell h2").startswith("conv1, channel 0, time 10 =")
    assert page.locator("#cell table.heat").first.locator("td").count() == 5
    page.select_option("#over", "cam")
    settle(page)
    table = tmp_path / "walk.csv"
    np.savetxt(table, series[3], delimiter=",", header="x,y,z", comments="")
    page.set_input_files("#open", str(table))
    settle(page)
    np.testing.assert_allclose(series[3].ravel(), page.evaluate(LAST_FRAME)["levels"], rtol=1e-6)
    np.savetxt(table, series[3, :9])
    page.set_input_files("#open", str(table))
    page.wait_for_function("document.getElementById('answer').innerText.includes('holds')")
    told = "walk.csv holds 9 rows of 3 numbers; the network reads 40 rows of 3."
    assert page.inner_text("#answer") == told
    page.locator("#learn").click()
    page.locator("#train").click()
    page.wait_for_function("convcli.state.training.history.length >= 2")
    assert page.complaints == []


@pytest.mark.slow
def test_the_network_is_a_graph_and_a_cell_tells_what_feeds_it(
    browser: Any, tmp_path: Path
) -> None:
    page = opened(browser, made_page(tmp_path, NETWORKS["blocks"]))
    model = load(tmp_path / "model.safetensors")
    steps = model.network.trace().steps
    assert page.locator("#graph .box").count() == len(steps) + 1
    assert page.locator("#graph .edge").count() == sum(len(step.sources) for step in steps)
    draw(page, SEVEN)
    values = page.evaluate(LAST_FRAME)["values"]

    def pinned(name: str) -> tuple[str, list[str]]:
        page.locator(f"canvas[aria-label^='{name}:']").focus()
        page.keyboard.press("Enter")
        sources = page.locator("#graph .source title").all_text_contents()
        return page.inner_text("#cell .total"), [title.split(":")[0] for title in sources]

    (add,) = (step for step in steps if step.op == "add")
    told, sources = pinned(add.name)
    at = (4 * 7 + 3) * 8  # row 4, column 3 of 8x7x8, map 0
    parts = [f"{values[index][at]:.3f}" for index in (*add.sources, add.index)]
    assert told == f"{parts[0]} + {parts[1]} = {parts[2]}"
    assert sources == [steps[source - 1].name for source in sorted(add.sources)]
    grouped = next(step for step in steps if step.name.endswith("concat1.conv1"))
    pinned(grouped.name)
    maps = "Cell.reads(convcli.network, convcli.state.run, convcli.state.pinned)[0].maps"
    assert page.evaluate(maps) == [0, 1, 2, 3]  # the first of two groups
    told, _ = pinned("bn1")
    assert told.startswith("(")
    assert "mean" in told
    for step in steps:
        if page.locator(f"canvas[aria-label^='{step.name}:']").count():
            pinned(step.name)
    assert page.complaints == []


@pytest.mark.slow
def test_one_layer_at_a_time_for_a_projector(digits_page: Path, browser: Any) -> None:
    page = opened(browser, digits_page)
    conv1 = page.locator("canvas[aria-label^=conv1]")
    usual = conv1.bounding_box()["width"] * conv1.bounding_box()["height"]
    page.locator("#present").click()
    assert page.locator(".layer:visible").count() == 1
    large = conv1.bounding_box()
    assert large["width"] * large["height"] > 2.2 * usual
    page.keyboard.press("PageDown")
    assert page.inner_text("#which") == "2 of 6"
    assert page.locator("canvas[aria-label^=maxpool1]").is_visible()
    page.locator("canvas[aria-label^=maxpool1]").click(position={"x": 40, "y": 40})
    assert page.inner_text("#cell h2").startswith("maxpool1, map 0")
    page.locator("#graph [aria-label='Show dense2']").click()
    assert page.inner_text("#which") == "6 of 6"
    page.keyboard.press("Escape")
    assert page.locator(".layer:visible").count() == 6
    assert page.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme"), [(390, "light"), (768, "dark"), (1440, "light"), (1920, "dark")]
)
@pytest.mark.parametrize("notation", ["mnist", "series", "vector", "plane"])
def test_nothing_stands_in_anyone_s_way(
    notation: str, scheme: str, width: int, browser: Any, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="extra [browser]")
    plane = "input 2, dense 4 tanh, dense 2 softmax"
    path = made_page(tmp_path, NETWORKS.get(notation, plane))
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=2
    )
    page.goto(path.as_uri())
    page.locator("#startTour").click()
    page.locator("#tourNext").click()
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    page.keyboard.press("Escape")
    page.locator(".layer > canvas").first.focus()
    page.keyboard.press("Enter")
    page.locator("#learn").click()
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    settle(page)
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sharp = page.locator(".layer > canvas").first.evaluate("c => c.width / c.clientWidth")
    assert sharp == pytest.approx(2, rel=0.02)
    page.close()


@pytest.mark.slow
def test_fingers_draw_and_pin(digits_page: Path, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(digits_page.as_uri())
    page.locator("#clear").tap()
    page.locator("#pad").tap()
    settle(page)
    assert page.evaluate("Math.max(...convcli.state.levels)") > 100
    page.locator("#samples button").nth(4).tap()
    page.locator("canvas[aria-label^=conv1]").tap(position={"x": 30, "y": 30})
    assert page.inner_text("#cell h2").startswith("conv1, map 0")
    context.close()


def test_the_page_stands_alone_and_replaces_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = trained(NETWORKS["averages"])
    path, page = tmp_path / "model.safetensors", tmp_path / "p.html"
    model.save(path)
    assert run(["page", str(path), "-o", str(page)]) == 0
    assert "open it in a browser" in capfd.readouterr().err
    text = page.read_text()
    assert "http" not in text.replace("http-equiv", "")
    assert run(["page", str(path), "-o", str(page)]) == 4
    assert run(["page", str(path), "-o", str(page), "--force"]) == 0
    assert run(["page", str(path), "-o", str(path), "--force"]) == 2


def test_no_class_name_ends_or_blanks_the_page(tmp_path: Path) -> None:
    """Within a script, `<!--<script>` keeps `</script>` from ending it (HTML, 13.2.5.20)."""
    names = ("<!--<script>", "</script><b>", "&amp;")
    model = dataclasses.replace(trained(NETWORKS["averages"]), class_names=names)
    model.save(tmp_path / "m.safetensors")
    assert run(["page", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "p.html")]) == 0
    data = (tmp_path / "p.html").read_text().partition('id="network">')[2].partition("</script>")[0]
    assert "<" not in data
    assert tuple(json.loads(data)["classes"]) == names


def test_the_directory_of_a_run_stands_for_its_model(tmp_path: Path) -> None:
    trained(NETWORKS["averages"]).save(tmp_path / "model.safetensors")
    assert run(["page", str(tmp_path), "-o", str(tmp_path / "p.html"), "--quiet"]) == 0


@pytest.mark.slow
def test_what_the_page_cannot_run_is_shown_and_named(browser: Any, tmp_path: Path) -> None:
    words = "input 12x3, conv 4 3 relu, attention 2, conv 2 3, gap, dense 2 softmax"
    page = opened(browser, made_page(tmp_path, words))
    draw(page, SEVEN)
    told = "No answer here: the page has no function for attention1, attention 2."
    assert page.inner_text("#answer") == told
    told = page.locator(".unknown").all_inner_texts()
    assert told[0] == "This page has no function for attention 2."
    assert told[1:] == ["Not calculated: it reads what attention1 gives."] * 3
    assert page.locator(".layer > canvas").count() == 1  # the convolution before it answers
    assert page.locator("#graph .missing").count() == 1
    assert page.locator("#over").is_disabled()
    page.locator("#graph [aria-label='Show conv2']").click()
    page.locator("#learn").click()
    assert page.locator("#learner option:disabled").count() == 2
    assert page.complaints == []


def test_what_is_neither_picture_nor_series_has_no_page() -> None:
    with pytest.raises(InputError, match="plain numbers; this one takes 6x6x6x1"):
        page_network(trained("input 6x6x6x1, conv 4 3, gap, dense 2 softmax"))


def test_no_model_no_page(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["page", str(tmp_path / "no.safetensors"), "-o", str(tmp_path / "p.html")]) == 3
    assert "no.safetensors" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_page_needs_no_pillow(tmp_path: Path) -> None:
    model = trained(NETWORKS["averages"])
    model.save(tmp_path / "m.safetensors")
    words = ["page", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "p.html")]
    script = (
        "import sys; from convcli.cli.main import run;"
        f"code = run({words!r}); print(code, 'PIL' in sys.modules)"
    )
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert got.stdout == "0 False\n"
