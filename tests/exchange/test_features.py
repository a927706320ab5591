"""Features are what the network's own last weights would read, for maps, blocks and series."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.errors import InputError, UsageError
from convcli.exchange.features import BATCH, FeatureExtractor, features
from tests.exchange.models import samples_last, trained

BLOCKS = (
    "input 6x8x2, residual(conv 3 3 same relu, conv 2 1), conv 4 3 relu, gap, dropout 0.5, dense 3"
)


def test_the_default_is_what_the_output_reads() -> None:
    model = trained(scale=(0.5, 0.25), offset=(0.0, 1.0))
    samples = samples_last(model, count=BATCH + 3)
    got = features(model, samples)
    assert (got.shape, got.dtype) == ((BATCH + 3, 7), np.float32)
    weights = model.model.parameters
    sums = got.astype(float) @ weights["dense2.kernel"] + weights["dense2.bias"]
    ref = np.exp(sums) / np.exp(sums).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ref, model.predict(samples), atol=1e-5)


@pytest.mark.parametrize("layer", ["conv2", "4", "flatten1", "maxpool1"])
def test_each_layer_equals_the_plain_pass(layer: str) -> None:
    model = trained(scale=(0.5, 0.25), offset=(0.0, 1.0))
    samples = samples_last(model, count=5)
    prepared = model.preprocessing.engine_samples(samples)
    name = model.network.trace().step(layer).name
    ref = model.model.activations(prepared)[name]
    np.testing.assert_allclose(ref.reshape(5, -1), features(model, samples, layer), atol=1e-5)
    if ref.ndim == 4:
        ref = ref.mean(axis=(1, 2))
        np.testing.assert_allclose(ref, features(model, samples, layer, pool=True), atol=1e-5)


def test_blocks_and_dropout() -> None:
    model = trained(BLOCKS)
    samples = samples_last(model, count=4)
    every = model.model.activations(samples)
    assert FeatureExtractor(model).step.name == "gap1"
    for name in ("residual1.conv1", "residual1.add1", "conv1", "gap1"):
        ref = every[name].reshape(4, -1)
        np.testing.assert_allclose(ref, features(model, samples, name), atol=1e-5)


def test_no_samples_make_no_rows() -> None:
    model = trained()
    assert features(model, samples_last(model, count=0)).shape == (0, 7)


def test_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()
    samples = samples_last(model, count=9)
    with pytest.raises(UsageError, match=r"There is no layer 'conv3'.*Did you mean conv"):
        features(model, samples, "conv3")
    with pytest.raises(UsageError, match="dense1 gives a row of 7 numbers; --pool averages maps"):
        features(model, samples, pool=True)
    with pytest.raises(UsageError, match="no layer before its output; name one"):
        features(trained("input 4, dense 2"), np.zeros((1, 4)))
    with pytest.raises(InputError, match="12 x 10 x 2"):
        features(model, samples[:, 1:])
    monkeypatch.setattr("convcli.exchange.features.MAX_BYTES", 100)
    with pytest.raises(InputError, match=r"9 rows of 7 features .* Use --pool"):
        features(model, samples)
