"""Convolutions in tiles against float64: values, gradients, borders, and that they are tiled."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.learn.model import Model
from convcli.learn.trainer import Loss, Trainer
from convcli.net import parse_notation
from convcli.ops import reference
from convcli.ops.lowering import compile_inference, read_floats
from convcli.ops.winograd import transform_kernel

CASES = [
    "16x16x32, conv 32 3 p1",
    "15x9x20, conv 40 3 relu",
    "9x14x17, conv 16 3 p1",
    "11x8x64, conv 33 3 p0:2x2:0 relu",
]


def tiled(model: Model) -> int:
    """How many convolutions run in tiles."""
    program = compile_inference(model.trace, model.slots, read_floats)
    return sum(one.operation is transform_kernel for one in program.prepare)


def model_of(notation: str) -> tuple[Model, np.ndarray]:
    model = Model.initialize(parse_notation(f"input {notation}"), 1)
    random = np.random.default_rng(2)
    model.flat += random.uniform(-0.05, 0.05, model.flat.shape).astype(np.float32)
    return model, random.standard_normal((3, *model.network.input_shape)).astype(np.float32)


def exact(model: Model, x: np.ndarray, *, training: bool = False) -> reference.Pass:
    weights = {name: array.astype(np.float64) for name, array in model.parameters.items()}
    return reference.run(
        model.trace, weights, model.buffers, x.astype(np.float64), training=training
    )


@pytest.mark.parametrize("notation", CASES)
def test_values_are_within_a_few_units_of_the_largest(notation: str) -> None:
    model, x = model_of(notation)
    assert tiled(model) == 1
    ref = exact(model, x).output
    assert np.abs(model.predict(x) - ref).max() < 4e-6 * np.abs(ref).max()
    model.flat *= np.float32(-0.5)
    ref = exact(model, x).output
    assert np.abs(model.predict(x) - ref).max() < 4e-6 * np.abs(ref).max()


@pytest.mark.parametrize("notation", CASES)
def test_gradients_through_tiles_are_those_of_the_rules(notation: str) -> None:
    size, _, layer = notation.partition(", ")
    spatial, channels = size.rsplit("x", 1)
    model, x = model_of(f"{spatial}x3, conv {channels} 1 tanh, {layer}")
    target = np.zeros((3, *model.trace.output_shape), np.float32)
    _, _, flat = Trainer(model, Loss("mse"), batch=3).gradients(x, target)
    run = exact(model, x, training=True)
    _, ref = run.backward({2: 2 * run.output / run.output.size})
    for name, slot in model.slots.items():
        got = flat[slot.offset : slot.offset + slot.size].reshape(slot.shape)
        assert np.abs(got - ref[name]).max() < 2e-5 * np.abs(ref[name]).max(), name


@pytest.mark.parametrize("layer", ["conv 32 3 s2", "conv 32 3 d2", "conv 32 3 g2", "conv 32 5"])
def test_other_convolutions_are_plain_products(layer: str) -> None:
    model, x = model_of(f"16x16x32, {layer}")
    assert tiled(model) == 0
    ref = exact(model, x).output
    assert np.abs(model.predict(x) - ref).max() < 2e-6 * np.abs(ref).max()
