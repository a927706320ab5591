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
    shift=3, rotate=20, scale=0.2, shear=10, elastic=1, cutout=4, noise=0.05, hflip=0.5, vflip=0.5
)


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


CASES = [{}, *({name: value} for name, value in asdict(EVERYTHING).items()), asdict(EVERYTHING)]


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
    with pytest.raises(UsageError, match="rotate needs pictures; a series takes shift"):
        Augmentation(rotate=1).apply(series[np.arange(2)], Key(0, 0, np.arange(2)))
    with pytest.raises(UsageError, match="samples of 32 cannot be moved"):
        Augmentation(shift=1).apply(series[..., 0], Key(0, 0, np.arange(2)))


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
