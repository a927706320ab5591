"""Figures of a data set, what its checks find, and the file it is kept in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.data import Dataset, Split, load_dataset, make_dataset
from convcli.data.checks import check_dataset, summarize
from convcli.data.npz import save_npz
from convcli.errors import InputError


def made(
    train: list[tuple[int, int]], test: list[tuple[int, int]] = (), names: str = "ab"
) -> Dataset:
    """A data set whose samples are 1 x 2 pictures (value, 0) with labels."""

    def split(pairs: list[tuple[int, int]]) -> Split:
        samples = np.array([[[[value], [0]]] for value, _ in pairs], np.uint8)
        return Split(samples, np.array([label for _, label in pairs]))

    splits = {"train": split(train)} | ({"test": split(test)} if test else {})
    return make_dataset("made", splits, class_names=tuple(names))


def names_of(data: Dataset) -> list[tuple[str, bool, int]]:
    return [(item.check, item.failed, item.count) for item in check_dataset(data)]


def test_a_sound_data_set_has_no_findings() -> None:
    assert names_of(made([(1, 0), (2, 1)], [(3, 0), (4, 1)])) == []


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (made([(1, 0), (1, 0), (1, 0), (2, 1)]), [("duplicates", False, 2)]),
        (
            made([(1, 0), (1, 1), (2, 1), (3, 0)]),
            [("two labels", True, 1), ("duplicates", False, 1)],
        ),
        (
            made([(1, 0), (2, 1)], [(1, 0), (1, 0), (3, 1)]),
            [("leakage", True, 2), ("duplicates", False, 2)],
        ),
        (made([(1, 0), (2, 1)], names="abc"), [("missing class", True, 1)]),
        (made([(1, 0), (2, 1)], [(3, 0)]), [("missing class", False, 1)]),
        (made([(0, 0), (2, 1)]), [("flat samples", False, 1)]),
        (made([(n, 0) for n in range(1, 8)] + [(9, 1), (10, 1)]), [("imbalance", False, 2)]),
    ],
    ids=["twice", "two labels", "leak", "missing", "missing in test", "flat", "imbalance"],
)
def test_each_flaw_is_found(data: Dataset, found: list[tuple[str, bool, int]]) -> None:
    assert names_of(data) == found


def test_means_and_deviations_are_those_of_numpy() -> None:
    generator = np.random.default_rng(0)
    for shape in ((2500, 3, 4, 3), (2500, 7, 2), (2500, 6)):
        samples = generator.normal(5, 2, shape).astype(np.float32)
        data = make_dataset("x", {"train": Split(samples, np.arange(2500) % 2)})
        (got,) = summarize(data)
        flat = samples.astype(np.float64).reshape(-1, shape[-1] if len(shape) > 2 else 1)
        np.testing.assert_allclose(flat.mean(axis=0), got.means)
        np.testing.assert_allclose(flat.std(axis=0), got.deviations)


def test_a_kept_data_set_reads_back_the_same(tmp_path: Path) -> None:
    data = made([(1, 0), (2, 1)], [(3, 0), (4, 1)], names="xy")
    save_npz(data, tmp_path / "kept.npz")
    again = load_dataset(tmp_path / "kept.npz")
    assert again.class_names == ("x", "y")
    for name, split in data.splits().items():
        np.testing.assert_array_equal(split.samples, again.splits()[name].samples)
        np.testing.assert_array_equal(split.labels, again.splits()[name].labels)
    with pytest.raises(InputError, match=r"written as \.npz"):
        save_npz(data, tmp_path / "kept.zip")


def test_near_copies_between_splits_and_unreadable_files_are_found(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 6)):
        for number in range(count):
            place = tmp_path / split / "ab"[number % 2] / f"{number:02}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 255, (24, 20), np.uint8)).save(place)
    source = Image.open(tmp_path / "train" / "a" / "04.png")
    brighter = np.clip(0.9 * np.asarray(source) + 12 + random.normal(0, 3, (24, 20)), 0, 255)
    Image.fromarray(brighter.astype(np.uint8)).save(tmp_path / "test" / "a" / "04.png")
    (tmp_path / "train" / "b" / "broken.png").write_bytes(b"nothing")
    found = {one.check: one for one in check_dataset(load_dataset(tmp_path))}
    assert found["near copies"].count == 1
    assert not found["near copies"].failed
    for name in ("test/a/04.png", "train/a/04.png"):
        assert str(tmp_path / name) in found["near copies"].text
    assert found["unreadable"].count == 1
    assert "broken.png" in found["unreadable"].text


def test_samples_of_their_own_are_no_near_copies() -> None:
    for name in ("digits", "activity", "volumes"):
        data = load_dataset(name, samples=200)
        assert "near copies" not in {one.check for one in check_dataset(data)}
