"""Filters, maps, fields, colors and excited inputs, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from convcli.errors import InputError, UsageError
from convcli.inspect.activation_maximization import Ascent, climb, excite, units_of
from convcli.inspect.probe import layer_maps
from convcli.inspect.render import by_cell, filters_of, input_limits, sample_picture
from convcli.learn.prepare import Preprocessing
from convcli.net import network, parse_notation
from convcli.net.field import input_rectangle
from convcli.present.inspection import (
    excited_panels,
    field_panel,
    filter_panels,
    map_panels,
    sample_panel,
)
from tests.inspect.models import DIGITS, probe_of, some_inputs


def test_the_first_layer_s_kernels_are_the_weights_as_laid_on_the_picture() -> None:
    probe = probe_of()
    kernel = probe.parameters["conv1.kernel"]
    found = filters_of(probe.trace, probe.parameters)
    assert [one.filter for one in found] == [0, 1, 2, 3]
    for out, one in enumerate(found):
        assert_array_equal(kernel[:, :, 0, out], one.weights)
    panels = filter_panels(found)
    assert len(panels) == 4
    (scale,) = {panel.scale for panel in panels}  # one for all: kernels can be compared
    assert (scale.kind, scale.high) == ("signed", pytest.approx(np.abs(kernel).max()))
    for out, panel in enumerate(panels):
        red, _, blue = np.moveaxis(panel.pixels.astype(int), -1, 0)
        weights = kernel[:, :, 0, out]
        strong = np.abs(weights) > 0.1 * scale.high
        assert_array_equal((weights > 0)[strong], (red > blue)[strong])


def test_over_a_color_picture_kernels_are_in_color() -> None:
    probe = probe_of("input 8x8x3, conv 5 3, conv 2 3, flatten, dense 2 softmax")
    found = filters_of(probe.trace, probe.parameters)
    assert [one.weights.shape for one in found] == [(3, 3, 3)] * 5
    assert filter_panels(found)[0].pixels.shape == (3, 3, 3)
    red = filters_of(probe.trace, probe.parameters, channel=0)
    assert red[1].weights.shape == (3, 3)
    assert_array_equal(found[1].weights[..., 0], red[1].weights)


def test_deeper_layers_show_a_row_of_input_channels_for_each_filter() -> None:
    probe = probe_of()
    found = filters_of(probe.trace, probe.parameters, "conv2")
    assert [(one.filter, one.channel) for one in found] == [
        (o, i) for o in range(6) for i in range(4)
    ]
    panels = filter_panels(found)
    assert [panel.heading for panel in panels[:5]] == [
        "conv2, filter 0",
        "",
        "",
        "",
        "conv2, filter 1",
    ]
    one = filters_of(probe.trace, probe.parameters, "conv2", filter_=3, channel=2)
    (kernel,) = one
    assert_array_equal(probe.parameters["conv2.kernel"][:, :, 2, 3], kernel.weights)


def test_a_dense_unit_is_a_picture_of_the_map_it_reads() -> None:
    probe = probe_of("input 5x7x2, flatten, dropout 0.5, dense 3 softmax")
    (one,) = filters_of(probe.trace, probe.parameters, filter_=2, channel=1)
    for y in range(5):
        for x in range(7):
            weight = probe.parameters["dense1.kernel"][(y * 7 + x) * 2 + 1, 2]
            assert one.weights[y, x] == weight
    deep = probe_of("input 4, dense 3 relu, dense 2 softmax")
    assert filters_of(deep.trace, deep.parameters, "dense2")[0].weights.shape == (1, 3)


@pytest.mark.parametrize(
    ("notation", "shape", "count"),
    [
        ("input 20x3, conv 5 4, gap, dense 2 softmax", (3, 4), 5),
        ("input 6x6x6x1, conv 2 3, gap, dense 2 softmax", (3, 9), 2),
        ("input 9x9x4, dwconv 3 m2, gap, dense 2 softmax", (3, 3), 8),
        ("input 9x9x4, sepconv 5 3, gap, dense 2 softmax", (3, 3), 4),
        ("input 9x9x2, upconv 5 2 s2, gap, dense 2 softmax", (2, 2), 10),
    ],
)
def test_kernels_of_every_kind_of_layer(notation: str, shape: tuple[int, int], count: int) -> None:
    probe = probe_of(notation)
    found = filters_of(probe.trace, probe.parameters)
    assert (found[0].weights.shape, len(found)) == (shape, count)


def test_what_is_not_there_is_named() -> None:
    probe = probe_of()
    with pytest.raises(UsageError, match=r"Layer maxpool1 has no kernels.*conv1, conv2, dense1"):
        filters_of(probe.trace, probe.parameters, "maxpool1")
    with pytest.raises(UsageError, match=r"has no filter 6\. It has 6: 0 to 5"):
        filters_of(probe.trace, probe.parameters, "conv2", filter_=6)
    with pytest.raises(UsageError, match="has no channel 4"):
        filters_of(probe.trace, probe.parameters, "conv2", channel=4)
    plain = parse_notation("input 4x4x1, maxpool 2, flatten").trace()
    with pytest.raises(InputError, match="no layer with kernels"):
        filters_of(plain, {})


def test_maps_are_the_layers_values_on_one_scale() -> None:
    probe = probe_of()
    sample = some_inputs(probe)
    values = probe.all_values(sample)
    trace = probe.trained.model.trace
    maps = layer_maps(trace, values)
    assert [one.step.name for one in maps] == ["conv1", "maxpool1", "conv2", "dense1", "dense2"]
    panels = map_panels(maps, probe.trained.class_names)
    assert panels[0].heading == "conv1  10x10x4, field 3x3, every 1x1"
    conv1 = values[1][0]
    assert_array_equal(conv1[..., 2], panels[2].values)
    assert {panel.scale.high for panel in panels[:4]} == {conv1.max()}
    answers = probe.answers(sample)[0]
    *_, hidden, last = panels
    assert (hidden.form, last.form) == ("bars", "bars")
    assert_array_equal(probe.all_values(sample)[len(probe.trace.steps) - 1][0], hidden.values)
    assert last.names == tuple("abc"[label] for label in np.argsort(-answers))
    assert_array_equal(np.sort(answers)[::-1], last.values)
    assert last.heading == "dense2  3, sees the whole input"


def test_silent_channels_and_zeros_are_counted() -> None:
    kernel = np.array([1.0, -1.0]).reshape(1, 1, 1, 2)
    probe = probe_of(
        "input 3x3x1, conv 2 1 relu, flatten, dense 2 softmax",
        arrays={"conv1.kernel": kernel, "conv1.bias": [0, 0]},
    )
    sample = np.ones((1, 3, 3, 1), np.float32)
    sample[0, 0, 0] = 0
    first = layer_maps(probe.trace, probe.all_values(sample))[0]
    assert first.silent == 1
    assert first.zeros == pytest.approx(10 / 18)
    captions = [panel.caption for panel in map_panels([first])]
    assert captions == ["0", "1: all 0"]


def test_the_limit_says_what_is_left_out_and_layers_can_be_chosen() -> None:
    probe = probe_of()
    values = probe.all_values(some_inputs(probe))
    maps = layer_maps(probe.trained.model.trace, values, ["conv2", "1"])
    assert [one.step.name for one in maps] == ["conv2", "conv1"]
    panels = map_panels(maps, limit=5)
    assert len(panels) == 5 + 4
    assert panels[0].heading.endswith(": the first 5 of 6 channels")


def test_series_are_lines_and_vectors_are_bars() -> None:
    probe = probe_of("input 12x2, conv 3 3 tanh, gap, dense 7 relu, dense 2 softmax")
    sample = some_inputs(probe)
    panels = map_panels(layer_maps(probe.trace, probe.all_values(sample)))
    assert [panel.form for panel in panels] == ["lines", "bars", "bars", "bars"]
    assert panels[0].values.shape == (10, 3)
    assert panels[2].values.shape == (7,)
    shown = sample_panel(probe, sample[0], "the input")
    assert (shown.form, shown.values.shape) == ("lines", (12, 2))
    assert sample_picture(probe, sample[0]).shape == (2, 12, 3)


FIELDS = [
    ("input 20x17x1, conv 2 3, maxpool 2, conv 3 3 p1", "conv2", (0, 3)),
    ("input 20x17x1, conv 2 3 s2 same, conv 2 5 p2, avgpool 3", "avgpool1", (2, 1)),
    ("input 15x15x1, residual(conv 1 3 same), maxpool 3 s2", "maxpool1", (6, 6)),
]


@pytest.mark.parametrize(("notation", "layer", "cell"), FIELDS)
def test_cells_outside_the_drawn_field_change_nothing_and_its_corners_do(
    notation: str, layer: str, cell: tuple[int, int]
) -> None:
    trace = parse_notation(notation).trace()
    (top, bottom), (left, right) = input_rectangle(trace, layer, cell)
    probe = probe_of(notation.replace("maxpool", "avgpool") + ", gap, dense 2 softmax")
    step = probe.trace.step(layer.replace("maxpool", "avgpool"))
    seed = np.zeros(step.output_shape, np.float32)
    seed[cell] = 1
    slope = probe.slopes(some_inputs(probe), step, seed)[0, ..., 0]
    rows, columns = np.nonzero(slope)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (top, bottom, left, right)


def test_the_drawing_keeps_the_field_and_dims_the_rest() -> None:
    trace = parse_notation("input 6x8x1, conv 2 3").trace()
    fed = np.full((6, 8, 3), 100, np.uint8)
    panel = field_panel(trace, trace.step("conv1"), "1,2", ((1, 3), (2, 4)), fed)
    assert panel.box == (1, 2, 3, 3)
    assert (panel.pixels[1:4, 2:5] == 100).all()
    outside = panel.pixels.copy()
    outside[1:4, 2:5] = 35
    assert (outside == 35).all()
    assert panel.caption == "cell 1,2 of conv1 sees this of the input 6x8x1"
    grid = field_panel(trace, trace.step("conv1"), "0,0", ((0, 2), (0, 2)), None)
    assert len(np.unique(grid.pixels[:3, :3])) == 2  # single cells can be told apart
    everywhere = field_panel(trace, trace.step("conv1"), "0,0", (None, (0, 1)), fed)
    assert (everywhere.pixels == 35).all()  # only padding is seen
    assert everywhere.box is None


def test_fields_are_of_maps_over_pictures() -> None:
    mnist, series = network("mnist").trace(), parse_notation("input 20x3, conv 2 3").trace()
    with pytest.raises(InputError, match="gives 32, no map"):
        field_panel(mnist, mnist.step("dense1"), "0", ((0, 27), (0, 27)), None)
    with pytest.raises(InputError, match="is no picture"):
        field_panel(series, series.step("conv1"), "0", ((0, 2),), None)


def test_ascent_on_a_linear_score_goes_to_the_limit_of_each_sign() -> None:
    weights = np.array([1.0, -2.0, 0.5, 0.0]).reshape(2, 2, 1)
    plain = Ascent(decay=0, blur=0, jitter=0)
    way = list(climb(lambda x: np.broadcast_to(weights, x.shape), 1, (2, 2, 1), (0.0, 1.0), plain))
    assert len(way) == 1 + plain.steps
    assert_allclose([[1.0, 0.0], [1.0, 0.5]], way[-1][0, ..., 0], atol=0.1)


def test_decay_and_blur_hold_the_input_back_and_seeds_repeat() -> None:
    def gradient(x: np.ndarray) -> np.ndarray:
        return np.sign(np.indices(x.shape)[1] % 2 - 0.5).astype(np.float32)

    def contrast(ascent: Ascent) -> float:
        *_, last = climb(gradient, 1, (8, 8, 1), (-1.0, 1.0), ascent)
        return float(np.std(last))

    free = contrast(Ascent(decay=0, blur=0, jitter=0, steps=20))
    assert contrast(Ascent(decay=0.3, blur=0, jitter=0, steps=20)) < 0.8 * free
    assert contrast(Ascent(decay=0, blur=0.5, jitter=0, steps=20)) < 0.8 * free
    first, same, other = (
        list(climb(gradient, 2, (8, 8, 1), (0.0, 1.0), Ascent(steps=3, seed=seed)))[-1]
        for seed in (1, 1, 2)
    )
    assert_array_equal(first, same)
    assert (first != other).any()


def test_a_first_layer_s_cell_is_excited_by_the_signs_of_its_kernel() -> None:
    probe = probe_of()
    ((unit, *_),) = units_of(probe, [("conv1", 2)], limit=8)
    (found,) = excite(probe, [unit], Ascent(decay=0, blur=0))
    kernel = probe.parameters["conv1.kernel"][:, :, 0, 2]
    assert found.sample.shape == (3, 3, 1)
    assert_allclose((kernel > 0).astype(float), found.sample[..., 0], atol=0.15)
    bias = probe.parameters["conv1.bias"][2]
    assert found.before == pytest.approx(kernel.sum() / 2 + bias, rel=1e-4)
    assert found.after > found.before
    assert found.after <= kernel[kernel > 0].sum() + bias + 1e-4


def test_units_excited_rise_shallow_to_deep() -> None:
    probe = probe_of(seed=3)
    layers = units_of(probe, [], limit=2)
    assert [[unit.step.name for unit in some] for some in layers] == [
        ["conv1"] * 2, ["conv2"] * 2, ["dense1"] * 2, ["dense2"] * 3,
    ]  # fmt: skip
    found = [one for some in layers for one in excite(probe, some, Ascent(steps=40))]
    assert all(one.after > one.before for one in found)
    panels = excited_panels(probe, found)
    assert [panel.heading for panel in panels if panel.heading] == [
        "conv1, field 3x3",
        "conv2, field 8x8",
        "dense1, field the whole input",
        "dense2, field the whole input",
    ]
    assert panels[-1].caption.startswith("c: ")
    with pytest.raises(UsageError, match=r"no channel 6\. Use 0 to 5"):
        units_of(probe, [("conv2", 6)], limit=8)
    bare = probe_of("input 4x4x2, gap, softmax")
    with pytest.raises(InputError, match="no layer with weights"):
        units_of(bare, [], limit=8)


def test_limits_are_black_and_white_or_deviations() -> None:
    low, high = input_limits(probe_of())
    assert (low.min(), high.max()) == (0.0, 1.0)
    centered = Preprocessing((12, 12, 1), (0.5,), (-3.0,))
    low, high = input_limits(probe_of(DIGITS, preprocessing=centered))
    assert (low.min(), high.max()) == (-2.5, 2.5)


def test_a_sample_looks_as_it_was_stored() -> None:
    probe = probe_of()
    stored = np.arange(144, dtype=np.uint8).reshape(1, 12, 12, 1)
    got = sample_picture(probe, probe.prepared(stored)[0])
    assert_array_equal(np.repeat(stored[0], 3, axis=2), got)
    color = probe_of("input 4x4x3, flatten, dense 2 softmax")
    stored = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    assert_array_equal(stored[0], sample_picture(color, color.prepared(stored)[0]))


def test_volumes_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="volumes"):
        by_cell(np.zeros((2, 2, 2, 1)), "sum")
