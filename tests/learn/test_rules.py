"""Compiled programs against plain NumPy, and plain NumPy against finite differences and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.learn.gradcheck import gradcheck
from convcli.learn.model import Model
from convcli.learn.trainer import Loss, Trainer
from convcli.net import parse_notation
from convcli.ops import reference

NETWORKS = [
    "input 7x8x3, conv 5 3",
    "input 7x8x3, conv 5 2x3 s2x1 p1 tanh",
    "input 9x9x2, conv 3 3 same d2 relu6",
    "input 9x9x4, conv 6 3 g2 p1 elu",
    "input 9x9x4, conv 6 3 s2 g2 d2 p2 nobias silu",
    "input 5x6x40, conv 33 3 same relu, conv 3 5x6",
    "input 8x8x3, conv 4 5 p3, conv 3 3 s3 p0:1x1:2",
    "input 20x3, conv 4 5 causal leakyrelu, conv 5 3 s2 gelu",
    "input 5x6x7x2, conv 3 2 hardswish, conv 4 3 same s2, conv 3 2x1x2 g1 p1",
    "input 8x7x3, dwconv 3, dwconv 3 s2 p1 m2 relu",
    "input 9x4, dwconv 3 d2 causal m3",
    "input 7x11x18, dwconv 3 p1 nobias, dwconv 3 s2 relu, dwconv 3 p2 relu6",
    "input 8x7x5, sepconv 6 3 same relu, sepconv 4 2 m2 s2 tanh",
    "input 4x5x3, upconv 4 3 s2 p1 op1 relu, upconv 2 2 s3",
    "input 4x5x6, upconv 4 3 s2 g2 same sigmoid",
    "input 3x3x3x2, upconv 3 2 s2 nobias",
    "input 9x9x5, maxpool 2, maxpool 3 s1 p1",
    "input 9x10x5, conv 20 3 relu, maxpool 2, conv 3 3 relu, maxpool 2 s1 same",
    "input 9x10x5, relu, maxpool 3 s2 ceil",
    "input 6x7x8x2, maxpool 2, gmp",
    "input 20x20x3, gmp",
    "input 9x9x5, avgpool 2, avgpool 3 s2 p1, avgpool 2 p1 countpad",
    "input 7x11x3, adaptavg 3, gap",
    "input 6, dense 5 relu, dense 4 tanh, dense 3 softmax",
    "input 4x3x6, dense 5 gelu, flatten, dense 7",
    "input 6x5x3, conv 4 3, bn, relu, flatten, dense 3",
    "input 6x5x3, bn noscale, conv 4 3, bn, gap",
    "input 6x5x8, ln, conv 6 3, gn 3, prelu",
    "input 6x5x3, ln",
    "input 6x5x3, conv 18 3, l2norm, flatten, l2norm",
    "input 6x5x7, instancenorm, conv 18 3, instancenorm eps=1e-3, relu, gap",
    "input 6x5x3, relu, sigmoid, softmax",
    "input 6x5x3, conv 4 1, dropout 0.4, dropout2d 0.3, flatten, dense 3",
    "input 6x6x4, residual(conv 4 3 same relu, bn), relu, residual(conv 6 3 same | conv 6 1)",
    "input 6x6x4, concat(conv 2 1 relu | conv 3 3 same | maxpool 3 s1 same | ), conv 2 2",
    "input 6x6x4, conv 4 1, scale(gap, dense 2 relu, dense 4 sigmoid), scale(conv 1 1, conv 4 1)",
    "input 5x6x3, conv 3 1, pad 0:1x2:0, crop 1, upsample 2 bilinear, upsample 2x1, shuffle 3",
    "input 6x2x3, conv 4 1, reshape 12x4, lstm 5 seq, lstm 4",
]


def filled(notation: str, samples: int = 5) -> tuple[Model, np.ndarray, np.ndarray]:
    model = Model.initialize(parse_notation(notation), 1)
    random = np.random.default_rng(2)
    for name, values in model.parameters.items():
        if values.ndim == 1:
            model.parameters[name] += random.uniform(-0.3, 0.3, values.shape).astype(np.float32)
    for name, values in model.buffers.items():
        model.buffers[name] = values + random.uniform(0, 0.4, values.shape).astype(np.float32)
    x = random.standard_normal((samples, *model.network.input_shape)).astype(np.float32)
    target = random.standard_normal((samples, *model.trace.output_shape)).astype(np.float32)
    return model, x, target


def doubled(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values.astype(np.float64) for name, values in arrays.items()}


def close(got: np.ndarray, ref: np.ndarray) -> None:
    np.testing.assert_allclose(got, ref, rtol=1e-4, atol=2e-5 * max(1.0, np.abs(ref).max()))


@pytest.mark.parametrize("notation", NETWORKS)
def test_compiled_values_and_gradients_are_those_of_the_twin(notation: str) -> None:
    model, x, target = filled(notation)
    parameters, buffers = doubled(model.parameters), doubled(model.buffers)
    ref = reference.run(model.trace, parameters, buffers, x.astype(np.float64))
    assert ref.output.shape[1:] == model.trace.output_shape
    close(model.predict(x, batch=4), ref.output)
    run = reference.run(
        model.trace, parameters, buffers, x.astype(np.float64), training=True, seed=9, step_number=4
    )
    error = run.output - target
    _, slopes = run.backward({len(model.trace.steps): 2 * error / error.size})
    trainer = Trainer(model, Loss("mse"), batch=5, seed=9)
    loss, _, flat = trainer.gradients(x, target, step=4)
    assert loss == pytest.approx((error**2).mean() * len(x), rel=1e-4)
    for name, slot in model.slots.items():
        close(flat[slot.offset : slot.offset + slot.size].reshape(slot.shape), slopes[name])
    for name, ref_statistic in run.buffers.items():
        close(model.buffers[name], ref_statistic)


@pytest.mark.parametrize("notation", NETWORKS)
def test_shapes_and_counts_on_paper_are_those_in_motion(notation: str) -> None:
    model, x, _ = filled(notation, samples=2)
    run = reference.run(model.trace, model.parameters, model.buffers, x)
    for step in model.trace.steps:
        assert run.values[step.index].shape[1:] == step.output_shape
        own = [a for name, a in model.parameters.items() if name.rpartition(".")[0] == step.name]
        assert sum(array.size for array in own) == step.params


@pytest.mark.parametrize("notation", NETWORKS)
def test_gradients_are_those_of_finite_differences(notation: str) -> None:
    for check in gradcheck(parse_notation(notation)):
        assert check.holds, check
