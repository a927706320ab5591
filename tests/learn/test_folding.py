"""Prediction folds norms into weights: the answers stay those of the layers one by one."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.learn.model import Model
from convcli.net import parse_notation
from convcli.ops import reference
from convcli.ops.folding import fold
from convcli.ops.lowering import compile_inference, read_floats

CASES = {
    "9x9x3, conv 8 3 nobias, bn, relu, conv 4 3 p1 g2, bn": "conv-relu conv",
    "9x9x4, dwconv 3 m2, bn, relu6, sepconv 6 3, bn noscale, silu": "dwconv-relu6 sepconv-silu",
    "5x6x4, upconv 6 3 s2 g2, bn, gelu, dense 5, bn, dropout 0.2, tanh": "upconv-gelu dense-tanh",
    "9x9x3, conv 4 3 relu, bn, bn, flatten, relu, dense 3, softmax":
        "conv-relu bn bn flatten activation dense-softmax",
    "9x9x4, residual(conv 4 3 p1, bn, relu, conv 4 1, bn | conv 4 1, bn), relu, gap, dropout 0.3":
        "conv-relu conv conv add-relu gap",
    "9x9x4, concat(conv 4 3 p1 | ), bn, relu, residual(bn, conv 8 1), maxpool 2, relu":
        "conv concat bn-relu bn conv add maxpool-relu",
    "9x9x4, conv 4 3, dropout 0.1, residual(bn), conv 2 1, dropout 0.2, bn": "conv bn add conv",
}  # fmt: skip


def model_of(notation: str) -> Model:
    model = Model.initialize(parse_notation(f"input {notation}"), 1)
    random = np.random.default_rng(2)
    model.flat += random.uniform(-0.3, 0.3, model.flat.shape).astype(np.float32)
    for values in model.buffers.values():
        values[...] = random.uniform(0.2, 2, values.shape)
    return model


def difference(model: Model) -> float:
    x = np.random.default_rng(3).standard_normal((3, *model.network.input_shape))
    x = x.astype(np.float32)
    exact = {name: array.astype(np.float64) for name, array in model.parameters.items()}
    ref = reference.run(model.trace, exact, model.buffers, x.astype(np.float64)).output
    return float(np.abs(model.predict(x) - ref).max() / max(1, np.abs(ref).max()))


@pytest.mark.parametrize("notation", CASES)
def test_what_is_left_answers_as_the_layers_one_by_one(notation: str) -> None:
    model = model_of(notation)
    left = fold(model.trace, model.trace.steps).trace.steps
    names = [f"{step.layer.op}-{step.activation}".removesuffix("-None") for step in left]
    assert " ".join(names) == CASES[notation]
    assert difference(model) < 1e-5


LAID_OUT = (
    "7x7x256, conv 260 3 p1 relu, conv 40 1 relu6", "7x7x190, conv 160 3 s2 p1, relu",
    "20x17x16, conv 16 3 p1 relu, conv 20 3 p1 relu6, dwconv 3 p1 relu6, conv 200 1 nobias, bn, "
    "relu6, dwconv 3 s2 p1, relu, conv 96 1 s2",
    "16x16x16, conv 16 3 p1, relu, conv 16 3 p1, relu, conv 16 3 p1, sepconv 8 3 same",
    "15x18x3, conv 8 1, dwconv 3 same m2, conv 9 3 same tanh, conv 8 3 same, concat(conv 4 3 p1| )",
    "40x9, conv 16 3 p1 relu, conv 16 3 p1, relu, dwconv 3 causal",
    "4000, dense 100 relu, dense 33",
    "4x15x14x3, conv 8 1, conv 8 3 p1, conv 4 2 s2 p1",
)  # fmt: skip


@pytest.mark.parametrize("notation", LAID_OUT)
def test_weights_and_maps_laid_out_for_prediction_answer_the_same(notation: str) -> None:
    assert difference(model_of(notation)) < 1e-5


@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize("layer", ["conv 16 3 p1", "conv 16 5 p2", "dwconv 3 p1", "dwconv 5 p2"])
def test_what_is_no_number_is_not_hidden_by_an_activation(layer: str, activation: str) -> None:
    model = model_of(f"8x8x16, {layer} {activation}")
    x = np.ones((1, 8, 8, 16), np.float32)
    x[0, 3, 4] = np.nan
    assert np.isnan(model.predict(x)[0, 2:5, 3:6]).all()


def test_predictions_follow_numbers_that_change_in_place() -> None:
    model = model_of("9x9x3, conv 8 3, bn, relu, gap, dense 3")
    assert difference(model) < 1e-5
    for array in (*model.parameters.values(), *model.buffers.values()):
        array.flat[-1] += 0.5
        assert difference(model) < 1e-5


@pytest.mark.parametrize("after", ["conv 5 3 p1", "maxpool 3", "relu", "bn, relu"])
def test_an_output_behind_a_dropout_stays_whole_where_another_layer_goes_on(after: str) -> None:
    begin = "16x16x3, c: conv 4 3 p1"
    both, one = model_of(f"{begin}, d: dropout 0.5, from c, {after}"), model_of(begin)
    one.copy_layers(both)
    x = np.random.default_rng(3).standard_normal((2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(both.outputs(x)["d"], one.predict(x))


@pytest.mark.parametrize("layer", ["lstm", "gru"])
def test_a_recurrent_layer_lays_its_kernel_out_once_for_all_steps(layer: str) -> None:
    models = [model_of(f"{length}x4, {layer} 110, dense 3") for length in (3, 30)]
    programs = [compile_inference(one.trace, one.slots, read_floats) for one in models]
    assert programs[0].shared == programs[1].shared
    assert difference(models[0]) < 1e-5
