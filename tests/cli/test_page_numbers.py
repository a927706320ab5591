"""The live page's numbers are those of predict, show and our own gradients, layer by layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.cli.main import run
from convcli.inspect.explaining import class_activation
from convcli.inspect.probe import Probe
from convcli.layers.activation import ACTIVATIONS, Activation
from convcli.learn.modelfile import load
from convcli.learn.pictures import samples_from_source
from convcli.net import parse_notation
from convcli.ops import reference
from convcli.ops.lowering import KINDS
from tests.cli.pages import (
    LAST_FRAME,
    NETWORKS,
    SEVEN,
    draw,
    opened,
    pictures_of_a_seven,
    settle,
    stored,
    trained,
)

GRADIENTS = """(() => {
    const { network, state } = convcli;
    const label = Math.min(2, network.description.classes.length - 1);
    const found = network.gradientsOf(state.run, label);
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


def test_every_kind_that_runs_is_in_one_of_the_networks() -> None:
    steps = [step for text in NETWORKS.values() for step in parse_notation(text).trace().steps]
    assert {step.layer.op for step in steps} == set(KINDS)
    rows = {step.layer.kind for step in steps if isinstance(step.layer, Activation)}
    assert {step.activation for step in steps} - {None} | rows == set(ACTIVATIONS)


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
    np.testing.assert_allclose(ref, said["answers"], atol=1e-5)
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
    label = min(2, len(probe.trained.class_names) - 1)
    passed = reference.run(probe.trace, parameters, buffers, sample)
    seed = probe.one_hot(label).astype(np.float64)[np.newaxis]
    upstream = passed.upstream({len(probe.trace.steps): seed}, found := {})
    for index, gradient in upstream.items():
        got = np.array(said["values"][index]).reshape(gradient.shape)
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(gradient, got, atol=1e-5 * largest, err_msg=str(index))
    for name, gradient in found.items():
        got = np.array(said["weights"][name]).reshape(gradient.shape)
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(gradient, got, atol=1e-5 * largest, err_msg=name)


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
        settle(page)
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
        const cam = Engine.cam(step, state.run.values[3], gradients[3]);
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
    page.locator(".layer details").first.evaluate("fold => { fold.open = true; }")
    settle(page)
    assert page.locator(".layer details canvas").first.evaluate("canvas => canvas.width") == 16 * 4
    assert page.complaints == []
