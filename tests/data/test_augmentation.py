"""Augmentation: the compiled loop against its twin and SciPy, its chance, and its words."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from convcli.data.augmentation import Augmentation, Key, read_augmentation
from convcli.engine import rng
from convcli.errors import UsageError
from tests.data import augment_reference

# without compilation NumPy warns of the overflow that the counter is made of
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")

EVERYTHING = Augmentation(
    shift=3, rotate=20, scale=0.2, shear=10, elastic=1, cutout=4, noise=0.05, hflip=0.5, vflip=0.5,
    crop=0.4, brightness=0.3, contrast=0.4, saturation=0.5, hue=40,
)  # fmt: skip


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (6, 12, 9, 3), np.uint8)


def test_counted_numbers_are_those_of_unlimited_integers() -> None:
    for seed, epoch, sample in [(0, 0, 0), (1, 2, 3), (2**40, 9, 2**41 + 1)]:
        key = np.uint64(rng.derive_key(seed, epoch, sample))
        assert int(key) == augment_reference.derive_key(seed, epoch, sample)
        for n in (0, 1, 77, 2000):
            assert rng.uniform(key, n) == augment_reference.uniform(int(key), n)
            assert rng.normal(key, n) == pytest.approx(
                augment_reference.normal(int(key), n), abs=1e-12
            )


def test_counted_numbers_spread_as_they_should() -> None:
    key = np.uint64(rng.derive_key(1, 2, 3))
    even = np.array([rng.uniform(key, n) for n in range(20_000)])
    counts = np.histogram(even, bins=20, range=(0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-square, 19 degrees, 0.1 %
    bells = np.array([rng.normal(key, n) for n in range(20_000)])
    assert abs(bells.mean()) < 0.03
    assert abs(bells.std() - 1) < 0.02
    assert abs(np.corrcoef(even[:-1], even[1:])[0, 1]) < 0.03


USED = {name: value for name, value in asdict(EVERYTHING).items() if value}
CASES = [{}, *({name: value} for name, value in USED.items()), USED]


@pytest.mark.parametrize("only", CASES, ids=lambda only: "+".join(only) or "nothing")
def test_the_compiled_loop_is_its_twin(pictures: np.ndarray, only: dict[str, float]) -> None:
    augmentation = Augmentation(**only)
    figures = augmentation.figures(pictures.shape[1:], pictures.dtype)
    indices = np.array([4, 0, 5])
    got = augmentation.apply(pictures[indices], Key(11, 2, indices))
    for place, index in enumerate(indices):
        key = augment_reference.derive_key(11, 2, int(index))
        ref = augment_reference.augment_sample(pictures[index], key, figures)
        np.testing.assert_allclose(ref, got[place], atol=2e-3)


def test_nothing_changes_nothing(pictures: np.ndarray) -> None:
    got = Augmentation().apply(pictures[np.arange(6)], Key(0, 0, np.arange(6)))
    np.testing.assert_array_equal(pictures.astype(np.float32), got)


def test_a_turn_is_the_turn_of_scipy(pictures: np.ndarray) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="the oracle for turning pictures")
    square = pictures[:1, :9]
    got = Augmentation(rotate=30).apply(square[np.array([0])], Key(3, 0, np.array([0])))[0]
    degrees = 30 * (2 * augment_reference.uniform(augment_reference.derive_key(3, 0, 0), 2) - 1)
    ref = ndimage.rotate(
        square[0].astype(np.float64), -degrees, reshape=False, order=1, mode="nearest"
    )
    np.testing.assert_allclose(ref, got, atol=1e-2)


def test_a_flip_mirrors_every_sample_when_its_share_is_one(pictures: np.ndarray) -> None:
    every = np.arange(6)
    got = Augmentation(hflip=1).apply(pictures[every], Key(0, 0, every))
    np.testing.assert_allclose(pictures[:, :, ::-1], got, atol=1e-3)
    got = Augmentation(vflip=1).apply(pictures[every], Key(0, 0, every))
    np.testing.assert_allclose(pictures[:, ::-1], got, atol=1e-3)


def test_a_sample_does_not_depend_on_its_batch_but_on_seed_and_epoch(pictures: np.ndarray) -> None:
    whole = EVERYTHING.apply(pictures[np.arange(6)], Key(1, 1, np.arange(6)))
    part = EVERYTHING.apply(pictures[np.array([5, 2])], Key(1, 1, np.array([5, 2])))
    np.testing.assert_array_equal(whole[[5, 2]], part)
    many = np.arange(200) % 6
    one = EVERYTHING.apply(pictures[many], Key(1, 1, many))
    np.testing.assert_array_equal(one, EVERYTHING.apply(pictures[many], Key(1, 1, many), threads=3))
    for other in ({"seed": 2, "epoch": 1}, {"seed": 1, "epoch": 2}):
        assert (
            (EVERYTHING.apply(pictures[np.arange(6)], Key(**other, numbers=np.arange(6))) != whole)
            .any(axis=(1, 2, 3))
            .all()
        )


def test_a_series_moves_along_its_length_only() -> None:
    series = np.zeros((40, 32, 2), np.float32)
    series[:, 16] = 1
    got = Augmentation(shift=4).apply(series[np.arange(40)], Key(0, 0, np.arange(40)))
    middles = (got[..., 0] * np.arange(32)).sum(axis=1)
    assert np.allclose(got.sum(axis=1), 1, atol=1e-5)
    assert middles.min() < 14
    assert middles.max() > 18
    assert np.abs(middles - 16).max() <= 4
    with pytest.raises(UsageError, match="rotate needs a picture; samples of 32x2 take shift"):
        Augmentation(rotate=1).apply(series[np.arange(2)], Key(0, 0, np.arange(2)))


def test_words_and_values_are_the_same_thing() -> None:
    assert read_augmentation(str(EVERYTHING)) == EVERYTHING
    assert not read_augmentation("none")
    assert not read_augmentation("")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rotat=5", "no parameter 'rotat'.*Did you mean rotate?"),
        ("shift", "'shift' has no value; write it as NAME=VALUE, for example shift=2"),
        ("shift=x", "shift=x needs a number, such as shift=2"),
        ("hflip=", "hflip= needs a number, such as hflip=0.5"),
        ("shift=1,shift=2", "shift is given twice"),
        ("rotate=200", r"rotate=200 is outside 0..180 \(degrees\)"),
        ("noise=-1", "noise=-1 is outside 0..1"),
        ("scale=nan", "scale=nan is outside"),
    ],
)
def test_wrong_words_get_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_augmentation(text)


def test_a_volume_moves_slice_by_slice_alike_and_turns_front_to_back() -> None:
    volumes = np.random.default_rng(2).integers(0, 256, (3, 4, 6, 5, 1), np.uint8)
    at = np.arange(3)
    moving = Augmentation(rotate=30, shift=1)
    got = moving.apply(volumes, Key(3, 1, at))
    for depth in range(4):
        np.testing.assert_array_equal(got[:, depth], moving.apply(volumes[:, depth], Key(3, 1, at)))
    turned = Augmentation(dflip=1).apply(volumes, Key(0, 0, at))
    np.testing.assert_allclose(turned, volumes[:, ::-1], atol=1e-3)


def test_jitter_and_amplitude_are_told_in_the_series_own_units() -> None:
    series = np.full((2, 4000, 1), 10, np.float32)
    noisy = Augmentation(jitter=0.5).apply(series, Key(0, 0, np.arange(2)), deviation=4.0)
    assert noisy.std() == pytest.approx(2.0, rel=0.05)
    larger = Augmentation(amplitude=0.3).apply(series, Key(0, 0, np.arange(2)))
    assert larger.min() >= 7
    assert larger.max() <= 13
    assert np.ptp(larger, axis=1).max() == 0


@pytest.mark.parametrize("words", ["mixup=0.4", "cutmix=1", "mixup=0.4,cutmix=1"])
def test_mixed_samples_have_the_targets_of_their_parts(words: str) -> None:
    """Each sample is one number everywhere, so that the mean of a mixed one tells the share."""
    numbers = np.arange(16)
    samples = np.broadcast_to(numbers[:, None, None, None], (16, 20, 20, 1)).astype(np.float32)
    targets = np.eye(16, dtype=np.float32)
    changed = 0
    for epoch in range(4):
        got, shares = read_augmentation(words).mixed(samples, targets, Key(1, epoch, numbers))
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(got.mean(axis=(1, 2, 3)), shares @ numbers, atol=1e-4)
        changed += int((shares.max(axis=1) < 0.99).sum())
    assert changed > 16


def test_what_a_change_is_for_is_told() -> None:
    with pytest.raises(UsageError, match="hue needs pictures in color; samples of 28x28x1 take"):
        Augmentation(hue=10).check((28, 28, 1))
    with pytest.raises(UsageError, match="jitter needs a series"):
        Augmentation(jitter=1).check((8, 8, 3))
    with pytest.raises(UsageError, match="shift needs a series; samples of 12 take mixup"):
        Augmentation(shift=1).check((12,))
