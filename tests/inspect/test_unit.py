"""One cell spelled out: its sum is the model's number, its gradients are those of the network."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose

from convcli.errors import InputError, UsageError
from convcli.inspect.arithmetic import PoolingWindow, Sum
from convcli.inspect.probe import Probe
from convcli.inspect.unit import backward_unit, forward_unit
from tests.inspect.models import probe_of, some_inputs

EVERYTHING = """
    input 9x9x4, conv 6 3 s2 p1 g2 tanh, dwconv 3 m2 p1, bn, relu, residual(conv 12 1),
    maxpool 3 s1 p1, avgpool 2 countpad p1, avgpool 2 same, adaptavg 2, gap, dense 5 sigmoid,
    dense 3 softmax
"""


def cells_of(probe: Probe) -> list[tuple[str, tuple[int, ...], int]]:
    """Return corner, middle and far cells of every layer that makes a sum."""
    chosen = []
    for step in probe.trace.steps:
        shape = step.output_shape
        if len(shape) == 1:
            chosen += [(step.name, (unit,), 0) for unit in {0, shape[0] - 1}]
            continue
        spots = itertools.product(*({0, size // 2, size - 1} for size in shape[:-1]))
        channels = itertools.cycle(range(shape[-1]))
        chosen += [(step.name, spot, next(channels)) for spot in spots]
    return chosen


def test_every_cell_of_every_layer_sums_to_the_model_s_number() -> None:
    probe = probe_of(EVERYTHING, seed=5)
    sample = some_inputs(probe)
    values = probe.run(sample).values
    kinds = set()
    for layer, place, channel in cells_of(probe):
        found = forward_unit(probe, sample, layer, place, channel)
        step = probe.trace.step(layer)
        ref = float(values[step.index][0][found.place])
        assert found.output == ref
        if step.activation is None and step.op not in {"relu"}:
            assert found.before == pytest.approx(ref, rel=1e-4, abs=1e-6), layer
        kinds.add(step.op)
    assert kinds >= {
        "conv",
        "dwconv",
        "bn",
        "add",
        "maxpool",
        "avgpool",
        "adaptavg",
        "gap",
        "dense",
    }


def test_activations_turn_the_sum_into_the_output() -> None:
    probe = probe_of(EVERYTHING, seed=5)
    sample = some_inputs(probe)
    found = forward_unit(probe, sample, "conv1", (2, 2), 1)
    assert np.tanh(found.before) == pytest.approx(found.output, rel=1e-5)
    found = forward_unit(probe, sample, "dense1", (3,))
    assert 1 / (1 + np.exp(-found.before)) == pytest.approx(found.output, rel=1e-5)


def test_terms_name_where_they_read_and_padding_reads_nothing() -> None:
    probe = probe_of("input 4x4x1, conv 2 3 p1, flatten, dense 2 softmax", seed=1)
    sample = some_inputs(probe)
    found = forward_unit(probe, sample, "conv1", (0, 0), 1)
    assert isinstance(found.source, Sum)
    places = [term.place for term in found.source.terms]
    inside = [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]
    assert [place for place in places if place is not None] == inside
    assert places.count(None) == 5
    kernel = probe.parameters["conv1.kernel"]
    assert found.source.terms[4].weight == kernel[1, 1, 0, 1]
    assert found.source.bias == probe.parameters["conv1.bias"][1]


def loss_of(probe: Probe, values: np.ndarray, index: int, sample: np.ndarray) -> float:
    """Run the layers behind step `index` on changed values, and return the loss of class 1."""
    from convcli.ops import reference

    model = probe.trained.model
    known = reference.run(probe.trace, model.parameters, model.buffers, sample).values
    known[index] = values
    for step in probe.trace.steps[index:]:
        sources = tuple(known[source] for source in step.sources)
        own = {name: model.buffers[f"{step.name}.{name}"] for name in step.buffer_shapes}
        context = reference.Context(False, own, step.index, 0, 0)
        known[step.index] = reference._step(step, model.parameters, sources, context)[0]
    logits = known[len(probe.trace.steps)][0].astype(np.float64)
    return float(np.log(np.exp(logits).sum()) - logits[1])


SMALL = "input 8x8x2, conv 3 3 relu, maxpool 2, conv 4 2 tanh, gap, dense 3 softmax"


@pytest.mark.parametrize("layer", ["conv1", "maxpool1", "conv2"])
def test_what_arrives_is_the_slope_of_the_loss(layer: str) -> None:
    probe = probe_of(SMALL, seed=8)
    sample = some_inputs(probe).astype(np.float64)
    step = probe.trace.step(layer)
    values = probe.run(sample).values[step.index]
    for place, channel in (((0, 0), 0), ((1, 1), 2)):
        found = backward_unit(probe, sample, layer, place, channel, label=1)
        moved = [values.copy(), values.copy()]
        for sign, one in zip((1, -1), moved, strict=True):
            one[(0, *place, channel)] += sign * 1e-4
        high, low = (loss_of(probe, one, step.index, sample) for one in moved)
        assert found.upstream == pytest.approx((high - low) / 2e-4, abs=1e-6)
        assert found.loss == pytest.approx(loss_of(probe, values, step.index, sample), rel=1e-5)


def test_shares_of_all_cells_add_up_to_the_network_s_gradients() -> None:
    probe = probe_of(SMALL, seed=8)
    sample = some_inputs(probe).astype(np.float64)
    step = probe.trace.step("conv2")
    weights = np.zeros(step.weights["kernel"])
    inputs = np.zeros(step.input_shapes[0])
    height, width, channels = step.output_shape
    for y, x, c in itertools.product(range(height), range(width), range(channels)):
        found = backward_unit(probe, sample, "conv2", (y, x), c, label=1)
        taps = itertools.product(*map(range, step.weights["kernel"][:3]))
        for tap, share in zip(taps, found.shares, strict=True):
            weights[(*tap, c)] += share.to_weight
            inputs[share.place] += share.to_input
    probabilities = probe.answers(sample)[0]
    seed = probabilities - np.array([0, 1, 0])
    passed = probe.run(sample)
    _, gradients = passed.backward({len(probe.trace.steps): seed[None]})
    assert_allclose(gradients["conv2.kernel"], weights, atol=1e-6)
    arrived = passed.upstream({len(probe.trace.steps): seed[None]})
    assert_allclose(arrived[step.sources[0]][0], inputs, atol=1e-6)


def test_only_the_largest_of_a_window_hears_of_the_loss() -> None:
    probe = probe_of(SMALL, seed=8)
    found = backward_unit(probe, some_inputs(probe), "maxpool1", (1, 1), 1)
    assert isinstance(found.forward.source, PoolingWindow)
    sent = [share.to_input for share in found.shares]
    largest = max(range(4), key=lambda i: found.shares[i].value)
    assert [i for i in range(4) if sent[i]] == [largest]
    assert sent[largest] == found.upstream
    assert all(share.weight is None and share.to_weight is None for share in found.shares)


def test_without_a_label_the_likeliest_class_is_the_truth() -> None:
    probe = probe_of(SMALL, seed=8)
    sample = some_inputs(probe)
    found = backward_unit(probe, sample, "dense1", (0,))
    answers = probe.answers(sample)[0]
    assert found.label == answers.argmax()
    assert found.loss == pytest.approx(-np.log(answers.max()), rel=1e-5)
    assert found.upstream == pytest.approx(answers[0] - (found.label == 0), abs=1e-6)


@pytest.mark.parametrize(
    ("layer", "place", "said"),
    [
        ("conv1", (9, 0), "There is no cell 9,0,0 in layer 1 conv1 (6x6x3)"),
        ("conv1", (1,), "its cells are written conv1:ROW,COL, not conv1:1"),
        ("dense1", (1, 1), "written dense1:UNIT"),
        ("conv7", (0, 0), "There is no layer 'conv7'"),
    ],
)
def test_places_that_are_none_are_refused(layer: str, place: tuple[int, ...], said: str) -> None:
    probe = probe_of(SMALL)
    with pytest.raises(UsageError) as caught:
        forward_unit(probe, some_inputs(probe), layer, place)
    assert said in str(caught.value)


def test_layers_without_a_sum_say_so() -> None:
    probe = probe_of("input 4x4x1, flatten, dense 2 softmax")
    with pytest.raises(InputError, match="flatten1 \\(flatten\\) makes no sum"):
        forward_unit(probe, some_inputs(probe), "flatten1", (3,))
