"""The live page in a real browser: its numbers are predict's, whatever the network's layers."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from convcli.cli.main import run
from convcli.errors import InputError
from convcli.inspect.arithmetic import adam_steps
from convcli.inspect.explaining import class_activation
from convcli.inspect.live import page_network
from convcli.inspect.probe import Probe
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel, load
from convcli.learn.pictures import samples_from_source
from convcli.learn.prepare import Preprocessing
from convcli.net import parse_notation
from convcli.ops import reference

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
LAST_FRAME = """({
    levels: Array.from(convcli.state.levels),
    values: convcli.state.run.values.map((values) => Array.from(values)),
})"""
GRADIENTS = """(() => {
    const { network, state } = convcli;
    const found = Gradients.backward(network, state.run, Gradients.ofClass(network, 2));
    const weights = {};
    for (const step of network.steps) {
        for (const [name, [first, count]] of Object.entries(step.weights)) {
            const part = found.weights.subarray(first, first + count);
            weights[`${step.name}.${name}`] = Array.from(part);
        }
    }
    const values = found.values.map((values) => values && Array.from(values));
    return { levels: Array.from(state.levels), values, weights };
})()"""
NEXT_FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]

NETWORKS = {
    "mnist": "input 28x28x1, conv 16 3 relu, maxpool 2, conv 32 3 relu, maxpool 2, flatten, "
    "dense 32 relu, dense 10 softmax",
    "lenet5": "input 28x28x1, conv 6 5 same tanh, avgpool 2, conv 16 5 tanh, avgpool 2, flatten, "
    "dense 120 tanh, dense 84 tanh, dense 10 softmax",
    "blocks": "input 15x14x3, conv 8 3 s2 same nobias, bn, silu, instancenorm, residual("
    "dwconv 3 same, conv 8 1 gelu), scale(gap, dense 4 hardswish, dense 8 sigmoid), "
    "concat(conv 4 3 p1 g2 elu | maxpool 3 s1 p1 | ), "
    "dropout 0.2, sepconv 6 3 d2 leakyrelu, prelu, adaptavg 3, gmp, dense 5 softmax",
    "series": "input 40x3, conv 6 5 s2 same relu, maxpool 3 s2 p1, bn, dwconv 3 same, "
    "residual(conv 6 3 d2 same), concat(conv 2 1 | avgpool 3 s1 p1), flatten, dense 7 tanh, "
    "dense 4 softmax",
    "averages": "input 9x9x1, pad 1, avgpool 3 s2 p1, avgpool 2 s1 p1 countpad, relu6, gap, "
    "dense 3 softmax",
}


def trained(notation: str, **preparation: Any) -> TrainedModel:
    """Return a network with asymmetric weights and running statistics, as if it were trained."""
    network = parse_notation(notation)
    model = Model.initialize(network, seed=7)
    random = np.random.default_rng(7)
    for name, array in {**model.parameters, **model.buffers}.items():
        noise = random.normal(scale=0.2, size=array.shape)
        array[...] += np.abs(noise) if name.endswith("variance") else noise
    classes = tuple(f"class {index}" for index in range(network.trace().output_shape[-1]))
    given = {"scale": (1 / 255,), "offset": (0.0,)} | preparation
    return TrainedModel(model, classes, Preprocessing(network.input_shape, **given))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the page is run in a browser; extra [browser]"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def opened(browser: Any, path: Path) -> Any:
    """Open the page at `path` and fail on anything the browser complains about."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.complaints = []
    page.on("pageerror", lambda problem: page.complaints.append(str(problem)))
    page.on("request", lambda request: page.complaints.append(request.url))
    page.goto(path.as_uri())
    page.complaints.remove(path.as_uri())
    return page


def draw(page: Any, points: list[tuple[int, int]]) -> None:
    """Draw one stroke on the pad, and wait for the answer to it."""
    pad = page.locator("#pad").bounding_box()
    scale = pad["width"] / 280
    moves = [(pad["x"] + x * scale, pad["y"] + y * scale) for x, y in points]
    page.mouse.move(*moves[0])
    page.mouse.down()
    for move in moves[1:]:
        page.mouse.move(*move, steps=4)
    page.mouse.up()
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def stored(levels: list[float], model: TrainedModel) -> Any:
    """Return what the page read of a drawing as `predict` takes it: bytes, or a series."""
    shape = model.network.input_shape
    return np.array(levels, np.float32 if len(shape) == 2 else np.uint8).reshape(shape)


SEVEN = [(80, 70), (120, 65), (185, 70), (190, 85), (150, 140), (125, 220)]


@pytest.mark.slow
@pytest.mark.parametrize("notation", NETWORKS.values(), ids=NETWORKS)
def test_the_page_answers_as_predict_does(notation: str, browser: Any, tmp_path: Path) -> None:
    model = trained(notation)
    model.save(tmp_path / "model.safetensors")
    assert run(["page", str(tmp_path / "model.safetensors"), "-o", str(tmp_path / "p.html")]) == 0
    page = opened(browser, tmp_path / "p.html")
    draw(page, SEVEN)
    said = page.evaluate(LAST_FRAME)
    assert page.complaints == []
    levels = stored(said["levels"], model)
    assert np.ptp(levels) > 100, "the stroke arrived"
    model = load(tmp_path / "model.safetensors")
    ref = model.predict(levels[np.newaxis])[0]
    np.testing.assert_allclose(ref, said["values"][-1], atol=1e-5)
    activations = model.model.activations(levels[np.newaxis])
    for step in model.network.trace().steps[:-1]:
        got = np.array(said["values"][step.index]).reshape(step.output_shape)
        np.testing.assert_allclose(activations[step.name][0], got, atol=1e-4, err_msg=step.name)


@pytest.mark.slow
@pytest.mark.parametrize("notation", NETWORKS.values(), ids=NETWORKS)
def test_the_way_back_gives_our_gradients(notation: str, browser: Any, tmp_path: Path) -> None:
    trained(notation).save(tmp_path / "model.safetensors")
    assert run(["page", str(tmp_path / "model.safetensors"), "-o", str(tmp_path / "p.html")]) == 0
    page = opened(browser, tmp_path / "p.html")
    draw(page, SEVEN)
    said = page.evaluate(GRADIENTS)
    assert page.complaints == []
    probe = Probe(load(tmp_path / "model.safetensors"))
    levels = stored(said["levels"], probe.trained)
    sample = probe.prepared(levels[np.newaxis]).astype(np.float64)
    parameters = {name: array.astype(np.float64) for name, array in probe.parameters.items()}
    buffers = {name: array.astype(np.float64) for name, array in probe.buffers.items()}
    passed = reference.run(probe.trace, parameters, buffers, sample)
    seed = probe.one_hot(2).astype(np.float64)[np.newaxis]
    upstream = passed.upstream({len(probe.trace.steps): seed}, found := {})
    for index, gradient in upstream.items():
        got = np.array(said["values"][index]).reshape(gradient.shape)
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(gradient, got, atol=1e-5 * largest, err_msg=str(index))
    for name, gradient in found.items():
        got = np.array(said["weights"][name]).reshape(gradient.shape)
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(gradient, got, atol=1e-5 * largest, err_msg=name)


def pictures_of_a_seven(folder: Path) -> Iterator[Path]:
    """Draw it thin and thick, dark on light and light on dark, with dirt, large, and in color."""
    for number, (side, pen, ink) in enumerate(
        [(100, 6, 20), (128, 16, 20), (280, 18, 250), (700, 40, 20)]
    ):
        paper = 270 - ink
        picture = Image.new("RGB", (side, side + 20), (paper, paper, paper))
        brush = ImageDraw.Draw(picture)
        line = [(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]
        brush.line([(x * side, y * side) for x, y in line], (ink, ink, 40), pen, "curve")
        brush.point((3, 3), (ink, ink, ink))
        picture.save(folder / f"{number}.png")
        yield folder / f"{number}.png"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notation", "rule"), [("mnist", "digit"), ("mnist", "resize"), ("blocks", "resize")]
)
def test_an_opened_picture_gets_predicts_answer(
    notation: str, rule: str, browser: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trained(NETWORKS[notation], pictures=rule).save(tmp_path / "m.safetensors")
    assert run(["page", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "p.html")]) == 0
    page = opened(browser, tmp_path / "p.html")
    for picture in pictures_of_a_seven(tmp_path):
        page.set_input_files("#open", str(picture))
        page.wait_for_function("convcli.state.opened !== null")
        page.evaluate(NEXT_FRAME)
        said = page.evaluate(LAST_FRAME)
        model = load(tmp_path / "m.safetensors")
        ref = samples_from_source(picture, picture.name, model.preprocessing)[0]
        got = np.array(said["levels"]).reshape(ref.shape)
        assert np.abs(got - ref.astype(int)).max() <= 1, picture
        capfd.readouterr()
        assert (
            run(["predict", str(tmp_path / "m.safetensors"), str(picture), "--format", "json"]) == 0
        )
        (predicted,) = json.loads(capfd.readouterr().out)
        answer = f"{predicted['label']}, {100 * predicted['probability']:.1f} %"
        assert page.inner_text("#answer") == answer
        page.locator("#clear").click()
    assert page.complaints == []


def made_page(folder: Path, notation: str, *words: str) -> Path:
    """Return the page of an untrained network."""
    trained(notation).save(folder / "model.safetensors")
    call = ["page", str(folder / "model.safetensors"), "-o", str(folder / "p.html"), "--quiet"]
    assert run([*call, *words]) == 0
    return folder / "p.html"


@pytest.fixture
def digits_page(tmp_path: Path) -> Path:
    """Return the page of a network on samples of three classes, of which it knows the data."""
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "data.npz",
        x=random.integers(0, 256, (30, 28, 28, 1), np.uint8),
        y=np.arange(30) % 10,
    )
    trained(NETWORKS["mnist"]).save(tmp_path / "model.safetensors")
    words = ["page", str(tmp_path / "model.safetensors"), "--title", "A <title>", "--quiet"]
    words += ["--data", str(tmp_path / "data.npz"), "--output", str(tmp_path / "p.html")]
    assert run(words) == 0
    return tmp_path / "p.html"


def settle(page: Any) -> None:
    page.evaluate(NEXT_FRAME)


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
def test_gradients_and_grad_cam_of_what_is_drawn_are_those_of_show(
    digits_page: Path, browser: Any
) -> None:
    page = opened(browser, digits_page)
    draw(page, SEVEN)
    page.select_option("#label", "4")
    page.select_option("#shown", "gradients")
    page.select_option("#over", "cam")
    settle(page)
    said = page.evaluate("""(() => {
        const { network, state } = convcli, step = network.steps[2];
        const gradients = state.gradients.values;
        const cam = Gradients.cam(step, state.run.values[3], gradients[3]);
        const [levels, gradient] = [Array.from(state.levels), Array.from(gradients[0])];
        return { levels, cam: Array.from(cam), gradient };
    })()""")
    probe = Probe(load(digits_page.with_name("model.safetensors")))
    sample = probe.prepared(np.array(said["levels"], np.uint8).reshape(1, 28, 28, 1))
    ref = np.array(class_activation(probe, sample, 4, "conv2").figures["map"])
    np.testing.assert_allclose(ref.ravel(), said["cam"], atol=1e-5 * max(1.0, ref.max()))
    slope = probe.class_slopes(sample, 4)
    np.testing.assert_allclose(slope.ravel(), said["gradient"], atol=1e-5 * np.abs(slope).max())
    page.select_option("#over", "gradient")
    page.locator("details").first.evaluate("fold => { fold.open = true; }")
    settle(page)
    assert page.locator("details canvas").first.evaluate("canvas => canvas.width") == 16 * 4
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
@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"filters": "4", "kernel": "5", "stride": "2", "padding": "1"}, "conv 4 5 s2 p1"),
        ({"filters": "3", "kernel": "3", "stride": "1", "padding": "0"}, "conv 3 3 s1 p0"),
    ],
)
def test_a_small_network_learns_in_the_page(
    chosen: dict[str, str], words: str, digits_page: Path, browser: Any
) -> None:
    page = opened(browser, digits_page)
    page.locator("#learning summary").first.click()
    page.fill("#filters", chosen["filters"])
    for name in ("kernel", "stride", "padding"):
        page.select_option(f"#{name}", chosen[name])
    page.locator("#fresh").click()
    notation = f"input 28x28x1, {words} relu, maxpool 2, flatten, dense 10 softmax"
    trace = parse_notation(notation).trace()
    told = page.inner_text("#sizes")
    assert "x".join(map(str, trace.steps[0].output_shape)) in told
    assert f"{trace.totals.params} in all" in told
    said = page.evaluate("""(() => {
        const training = convcli.state.training, batch = training.samples.slice(0, 6);
        const before = Array.from(training.network.weights);
        training.step(batch);
        const told = batch.map(({ levels, label }) => ({ levels: Array.from(levels), label }));
        return { before, after: Array.from(training.network.weights), batch: told };
    })()""")
    parameters, first = {}, 0
    for step in trace.steps:
        for name, shape in step.weights.items():
            count = int(np.prod(shape))
            part = np.array(said["before"][first : first + count])
            parameters[f"{step.name}.{name}"] = part.reshape(shape)
            first += count
    samples = np.array([one["levels"] for one in said["batch"]]).reshape(-1, 28, 28, 1) / 255
    passed = reference.run(trace, parameters, {}, samples)
    truth = np.eye(10)[[one["label"] for one in said["batch"]]]
    loss_gradient = -truth / passed.output / len(samples)
    _, gradients = passed.backward({len(trace.steps): loss_gradient})
    ref = np.concatenate([gradients[name].ravel() for name in parameters])
    steps = [adam_steps(w, [g], 0.01)[0].weight for w, g in zip(said["before"], ref, strict=True)]
    plain = np.abs(ref) > 1e-7  # a gradient of nothing but rounding errors has any sign
    np.testing.assert_allclose(np.array(steps)[plain], np.array(said["after"])[plain], atol=1e-5)
    page.locator("#fresh").click()
    page.locator("#train").click()
    page.wait_for_function("convcli.state.training.history.length >= 12")
    page.locator("#train").click()
    history = page.evaluate("convcli.state.training.history")
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert f"Epoch {len(history)}" in page.inner_text("#progress")
    every = "convcli.state.training.samples.length + convcli.state.training.kept.length"
    count = page.evaluate(every)
    page.locator("#add").click()
    assert page.evaluate(every) == count + 1
    kept = page.evaluate("convcli.state.training.kept.map((one) => one.label)")
    assert len(set(kept)) > 2, "validation is not of two classes that training never saw"
    assert page.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("start", ["scratch", "given"])
def test_the_page_s_own_network_learns(start: str, browser: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.integers(0, 60, (20, 12, 12, 1), np.uint8)
    x[::2, :, :6] += 180
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 2)
    words = "input 12x12x1, conv 4 3 relu, residual(conv 4 3 same relu), bn, gap, dense 2 softmax"
    path = made_page(tmp_path, words, "--data", str(tmp_path / "data.npz"))
    page = opened(browser, path)
    before = page.evaluate("Array.from(convcli.network.weights)")
    page.locator("#learn").click()
    page.select_option("#learner", start)
    assert page.locator("#filters").is_disabled()
    now = page.evaluate("Array.from(convcli.network.weights)")
    assert (now == before) == (start == "given")
    page.locator("#train").click()
    page.wait_for_function("convcli.state.training.history.length >= 20")
    page.locator("#train").click()
    history = page.evaluate("convcli.state.training.history")
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    settle(page)
    answer = page.evaluate("convcli.state.training.answers(convcli.state.levels)")
    np.testing.assert_allclose(answer, page.evaluate(LAST_FRAME)["values"][-1])  # it is the page's
    page.select_option("#learner", "small")
    assert page.evaluate("Array.from(convcli.network.weights)") == before
    assert page.complaints == []


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
    assert page.locator("#openLabel").is_hidden()
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
    maps = "Cell.reads(convcli.network, convcli.state.pinned)[0].maps"
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
@pytest.mark.parametrize("width", [390, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("notation", ["mnist", "series"])
def test_nothing_stands_in_anyone_s_way(
    notation: str, scheme: str, width: int, browser: Any, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="extra [browser]")
    path = made_page(tmp_path, NETWORKS[notation])
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=2
    )
    page.goto(path.as_uri())
    page.locator("canvas[aria-label^=conv1]").focus()
    page.keyboard.press("Enter")
    page.locator("#learn").click()
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    settle(page)
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
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
    words = "input 12x12x1, conv 3 3 relu, upconv 2 2 s2, conv 2 3, gap, dense 2 softmax"
    page = opened(browser, made_page(tmp_path, words))
    draw(page, SEVEN)
    assert page.inner_text("#answer").startswith("No answer here: the page has no function for up")
    told = page.locator(".unknown").all_inner_texts()
    assert (
        told[0] == "This page has no function for upconv 2 2 s2; convcli show activations draws it."
    )
    assert told[1:] == ["Not calculated: it reads what upconv1 gives."] * 3
    assert page.locator(".layer > canvas").count() == 1  # the convolution before it answers
    assert page.locator("#graph .missing").count() == 1
    assert page.locator("#over").is_disabled()
    page.locator("#graph [aria-label='Show conv2']").click()
    page.locator("#learn").click()
    assert page.locator("#learner option:disabled").count() == 2
    assert page.complaints == []


def test_what_is_neither_picture_nor_series_has_no_page() -> None:
    with pytest.raises(InputError, match="pictures, or series; this one takes 6x6x6x1"):
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
