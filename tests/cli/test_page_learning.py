"""Networks that learn in the live page, by the numbers of our own trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.inspect.arithmetic import adam_steps
from convcli.learn.modelfile import load
from convcli.net import parse_notation
from convcli.ops import reference
from tests.cli.pages import LAST_FRAME, made_page, opened, settle


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
    assert page.locator(".layer h3").all_inner_texts()[0].startswith("conv1 conv 8 3 s2 p1 relu")
    page.locator("#learning > summary").click()
    page.wait_for_function(f"convcli.network.weights.length === {len(before)}")
    assert page.evaluate("Array.from(convcli.network.weights)") == before
    assert page.complaints == []


STEP = """(() => {
    const { training } = convcli.state, { network } = training;
    const batch = training.samples.slice(0, 5);
    const found = { before: Array.from(network.weights) };
    training.step(batch);
    const places = network.steps.flatMap(({ name, weights }) =>
        Object.entries(weights).map(([array, place]) => [`${name}.${array}`, place]));
    found.after = Array.from(network.weights);
    found.gradient = Array.from(training.gradient);
    found.batch = batch.map(({ levels, label }) => ({ levels: Array.from(levels), label }));
    return { ...found, places: Object.fromEntries(places) };
})()"""


@pytest.mark.slow
def test_batch_norm_learns_by_the_batch_and_keeps_running_averages(
    browser: Any, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (20, 9, 9, 1), np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 3)
    words = (
        "input 9x9x1, conv 4 3 nobias, bn momentum=0.2, relu, conv 5 3, bn noscale, tanh, "
        "dwconv 3 same, gap, dense 3 softmax"
    )
    page = opened(browser, made_page(tmp_path, words, "--data", str(tmp_path / "data.npz")))
    page.locator("#learn").click()
    page.select_option("#learner", "given")
    said = page.evaluate(STEP)
    model = load(tmp_path / "model.safetensors").model

    def arrays(numbers: list[float], like: dict[str, Any]) -> dict[str, Any]:
        return {
            name: np.array(numbers[first : first + count]).reshape(like[name].shape)
            for name, (first, count) in said["places"].items()
            if name in like
        }

    samples = np.array([one["levels"] for one in said["batch"]]).reshape(-1, 9, 9, 1) / 255
    truth = np.eye(3)[[one["label"] for one in said["batch"]]]
    passed = reference.run(
        model.trace, arrays(said["before"], model.parameters),
        arrays(said["before"], model.buffers), samples, training=True,
    )  # fmt: skip
    _, ref = passed.backward({len(model.trace.steps): -truth / passed.output / len(samples)})
    for name, got in arrays(said["gradient"], model.parameters).items():
        atol = 1e-5 * max(np.abs(ref[name]).max(), 1e-3)
        np.testing.assert_allclose(ref[name], got, atol=atol, err_msg=name)
    for name, got in arrays(said["after"], model.buffers).items():
        np.testing.assert_allclose(passed.buffers[name], got, atol=1e-6, err_msg=name)
    assert not np.allclose(passed.buffers["bn1.mean"], model.buffers["bn1.mean"], atol=1e-3)
    assert page.complaints == []
