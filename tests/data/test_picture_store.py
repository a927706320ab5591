"""Pictures that are too many for memory: decoded once to disk, and trained on from there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from convcli.data import load_dataset, picture_store
from convcli.errors import InputError
from convcli.learn.modelfile import load

NETWORK = "input 8x8x{}, conv 4 3 relu, flatten, dense 2 softmax"
SETTINGS = ["--epochs", "2", "--batch", "8", "--quiet", "--val", "0.25"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty gray pictures, of which one is none, and a cache of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for number in range(40):
        place = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 120, (8, 8), np.uint8) + np.uint8(100 * (number % 2))
        Image.fromarray(pixels).save(place)
    (tmp_path / "photos" / "a" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def kept_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").rglob("pictures/*"))


def test_more_than_may_be_in_memory_lies_on_disk(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = load_dataset(folder)
    assert not small.train.on_disk
    assert kept_files(tmp_path) == []
    monkeypatch.setattr(picture_store, "IN_MEMORY", 1000)
    large = load_dataset(folder)
    assert large.train.on_disk
    np.testing.assert_array_equal(small.train.samples, large.train.samples)
    np.testing.assert_array_equal(small.train.labels, large.train.labels)
    assert small.train.files == large.train.files
    assert any("2,560 bytes of pictures are kept on disk" in note for note in large.notes)
    assert len(kept_files(tmp_path)) == 2
    again = load_dataset(folder)  # not decoded again
    assert again.notes == large.notes
    np.testing.assert_array_equal(again.train.samples, large.train.samples)


def test_what_is_on_disk_is_used_again_until_a_file_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_store, "IN_MEMORY", 1000)
    load_dataset(folder)
    with monkeypatch.context() as patched:
        patched.setattr(picture_store, "_decoded", lambda *_: pytest.fail("decoded again"))
        load_dataset(folder)
    Image.new("L", (8, 8), 7).save(folder / "b" / "01.png")
    os.utime(folder / "b" / "01.png", (1, 1))
    changed = load_dataset(folder)
    assert changed.train.samples[20, 0, 0, 0] == 7
    assert load_dataset(folder, size=(4, 4)).sample_shape == (4, 4, 1)
    month = 31 * 24 * 3600
    for path in kept_files(tmp_path):
        os.utime(path, (path.stat().st_mtime - month,) * 2)
    load_dataset(folder, size=(5, 5))
    assert len(kept_files(tmp_path)) == 2  # what nobody used for a month has gone
    monkeypatch.setattr(picture_store, "MOST_ON_DISK", 5000)
    load_dataset(folder, size=(6, 6))
    load_dataset(folder)
    assert len(kept_files(tmp_path)) == 4  # nor do all take more than they may
    assert picture_store.bytes_on_disk() <= 5000


def test_one_late_color_picture_makes_those_on_disk_rgb(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8), (1, 2, 3)).save(folder / "b" / "last.png")
    small = load_dataset(folder)
    monkeypatch.setattr(picture_store, "IN_MEMORY", 1000)
    large = load_dataset(folder)
    assert large.sample_shape == (8, 8, 3)
    np.testing.assert_array_equal(small.train.samples, large.train.samples)


@pytest.mark.parametrize("augment", ["none", "shift=1,rotate=5"])
def test_the_bits_are_those_of_memory_on_any_number_of_workers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: str
) -> None:
    words = ["train", NETWORK.format(1), "--data", str(folder), "--augment", augment, *SETTINGS]
    assert run([*words, "-o", str(tmp_path / "memory")]) == 0
    monkeypatch.setattr(picture_store, "IN_MEMORY", 1000)
    weights = load(tmp_path / "memory").model.flat
    for threads in ("1", "3"):
        place = tmp_path / f"disk{threads}"
        assert run([*words, "--threads", threads, "-o", str(place)]) == 0
        np.testing.assert_array_equal(weights, load(place).model.flat)
    assert run(["evaluate", str(place), "--quiet"]) == 0


def test_a_run_on_disk_goes_on_to_the_same_bits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_store, "IN_MEMORY", 1000)
    words = ["train", NETWORK.format(1), "--data", str(folder), "--schedule", "constant"]
    rest = ["--batch", "8", "--quiet", "--augment", "shift=1"]
    whole, parted = str(tmp_path / "whole"), str(tmp_path / "parted")
    assert run([*words, *rest, "--epochs", "3", "-o", whole]) == 0
    assert run([*words, *rest, "--epochs", "1", "-o", parted]) == 0
    assert run(["train", "--resume", parted, "--epochs", "3", "--quiet"]) == 0
    np.testing.assert_array_equal(load(whole).model.flat, load(parted).model.flat)


def test_a_disk_without_room_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture_store, "IN_MEMORY", 1000)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(InputError, match="no room for them: No space left on device"):
        load_dataset(folder)
    assert kept_files(tmp_path) == []


def test_parts_of_a_data_set_share_its_samples() -> None:
    whole = load_dataset("digits", samples=60).train
    part = whole.take([5, 3]).take([1])
    assert part.stored is whole.stored
    np.testing.assert_array_equal(part.samples, whole.samples[[3]])
    np.testing.assert_array_equal(part.some([0, 0]), whole.samples[[3, 3]])
    np.testing.assert_array_equal(np.concatenate([*part.blocks()]), whole.samples[[3]])
