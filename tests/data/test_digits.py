"""Made digits: the same for the same seed, centered as MNIST is, and like what they are named."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.data import load_dataset
from convcli.data.digits import make_digits
from convcli.engine import stroke_renderer as renderer
from convcli.engine.filter_plan import compiled_code_runs
from convcli.errors import UsageError

# without compilation NumPy warns of the overflow that the counter is made of
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")


def test_a_sample_depends_on_seed_and_number_alone() -> None:
    whole = make_digits(100, seed=3)
    part = make_digits(25, seed=3, first=35)
    np.testing.assert_array_equal(whole.samples[35:60], part.samples)
    np.testing.assert_array_equal(whole.labels[35:60], part.labels)
    assert (make_digits(100, seed=4).samples != whole.samples).any(axis=(1, 2, 3)).all()


def test_every_ten_hold_each_digit_once_in_changing_order() -> None:
    tens = make_digits(200).labels.reshape(20, 10)
    assert (np.sort(tens, axis=1) == np.arange(10)).all()
    assert len({tuple(ten) for ten in tens.tolist()}) > 15


def test_ink_fits_the_box_and_its_center_of_mass_is_the_middle() -> None:
    samples = make_digits(500).samples[..., 0].astype(float)
    mass = samples.sum(axis=(1, 2))
    axis = np.arange(28)
    for across in (1, 2):
        middle = (samples.sum(axis=3 - across) * axis).sum(axis=1) / mass
        assert np.abs(middle - 13.5).max() < 0.75  # half a pixel of rounding, and clipped ink
    rows, cols = (samples > 127).any(axis=2).sum(axis=1), (samples > 127).any(axis=1).sum(axis=1)
    assert (np.maximum(rows, cols) >= 18).all()
    assert (np.maximum(rows, cols) <= 21).all()


def test_a_straight_stroke_is_inked_by_its_distance() -> None:
    """A vertical pen stroke of radius 2 from (14, 6) to (14, 22): a box of width 4, round ends."""
    nodes = np.array([[14.0, 6.0, 2.0], [14.0, 22.0, 2.0]])
    canvas = np.empty((28, 28))
    renderer._draw(nodes, np.zeros(2, np.int64), 2, 1.0, canvas)
    cols = np.abs(np.arange(28) + 0.5 - 14)
    np.testing.assert_allclose(canvas[14], np.clip(0.5 + 2 - cols, 0, 1))
    assert canvas[:, 14].sum() == pytest.approx(20, abs=0.2)


def test_compiled_loops_are_the_same_as_plain_python() -> None:
    """The strokes through the engine's own functions, run once more without compilation."""
    if not compiled_code_runs():
        pytest.skip("there is nothing compiled to compare with")
    key = np.uint64(12345)
    points = np.array([[0.0, 0.0], [0.5, 0.2], [1.0, 1.0]])
    for t in (0.0, 0.25, 1.0):
        ref = renderer._curve.py_func(0.0, 0.1, 0.7, 0.9, t)
        assert renderer._curve(0.0, 0.1, 0.7, 0.9, t) == pytest.approx(ref)
    got = np.empty((3, 2))
    ref = np.empty((3, 2))
    variation = np.full(renderer.VARIATION, 0.1)
    renderer._bend(points, 0, 3, variation, key, got)
    renderer._bend.py_func(points, 0, 3, variation, key, ref)
    np.testing.assert_allclose(ref, got, rtol=1e-9)


def test_a_nearest_neighbor_knows_most_digits_of_other_hands() -> None:
    """Made digits are varied, yet each looks more like its own name than like another."""
    known, new = make_digits(4000, seed=1), make_digits(300, seed=2)
    a = known.samples.reshape(4000, -1).astype(np.float32) / 255
    b = new.samples.reshape(300, -1).astype(np.float32) / 255
    distance = (a**2).sum(axis=1) - 2 * b @ a.T
    assert (known.labels[distance.argmin(axis=1)] == new.labels).mean() > 0.6


def test_the_data_set_has_both_splits_and_says_how_it_was_made() -> None:
    calls = []
    data = load_dataset("digits", seed=5, samples=60, progress=lambda *call: calls.append(call))
    assert data.test is not None
    assert (len(data.train), len(data.test), data.sample_shape) == (60, 10, (28, 28, 1))
    assert "60 + 10 digits made from stroke models with seed 5" in data.provenance
    assert calls == [("digits made", 60, 60), ("digits made", 10, 10)]
    with pytest.raises(UsageError, match="5 digits cannot be made; ask for 10 to 10,000,000"):
        load_dataset("digits", samples=5)
    with pytest.raises(UsageError, match=r"--seed 9223372036854775808 is outside"):
        load_dataset("digits", seed=2**63)


def test_training_and_test_samples_are_not_the_same_hands() -> None:
    data = load_dataset("digits", samples=300)
    assert data.test is not None
    assert np.bincount(data.test.labels).tolist() == [5] * 10
    train = {sample.tobytes() for sample in data.train.samples}
    assert not any(sample.tobytes() in train for sample in data.test.samples)
