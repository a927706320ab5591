"""Folders of pictures: trees, sizes, colors, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from convcli.data import load_dataset
from convcli.errors import InputError, UsageError


def picture(path: Path, gray: int = 0, hw: tuple[int, int] = (4, 6), mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, hw[::-1], gray if mode == "L" else (gray, 0, 0, 128)[: len(mode)]).save(path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for label, name in enumerate(("cat", "dog")):
        for number in range(3):
            picture(tmp_path / name / f"{number}.png", 100 * label + number)
    return tmp_path


def test_one_tree_becomes_the_training_split(tree: Path) -> None:
    (tree / ".hidden").mkdir()
    (tree / "cat" / "notes.txt").write_text("not a picture")
    calls = []
    data = load_dataset(tree, progress=lambda *call: calls.append(call))
    assert data.class_names == ("cat", "dog")
    assert list(data.splits()) == ["train"]
    assert data.train.samples[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.sample_shape == (4, 6, 1)
    assert [Path(name).name for name in data.train.files] == ["0.png", "1.png", "2.png"] * 2
    assert calls[-1] == ("pictures read", 6, 6)
    assert data.train.take([5]).files == (data.train.files[5],)


def test_folders_named_as_splits_are_the_splits(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            picture(tmp_path / split / name / "x.png")
    assert list(load_dataset(tmp_path).splits()) == ["train", "validation", "test"]
    picture(tmp_path / "test" / "c" / "x.png")
    with pytest.raises(InputError, match=r"c is a class that the training pictures do not have"):
        load_dataset(tmp_path)


def test_an_unreadable_picture_is_skipped_and_named(tree: Path) -> None:
    (tree / "cat" / "broken.png").write_bytes((tree / "cat" / "0.png").read_bytes()[:40])
    (tree / "dog" / "empty.jpg").write_bytes(b"")
    data = load_dataset(tree)
    assert len(data.train) == 6
    assert data.notes[0].startswith("Skipped 2: ")
    assert "broken.png" in data.notes[0]
    assert "empty.jpg: the file is empty" in data.notes[0]


def test_mixed_sizes_are_named_and_size_mends_them(tree: Path) -> None:
    picture(tree / "cat" / "big.png", 50, (8, 12))
    with pytest.raises(InputError, match=r"4x6 \(6\), 8x12 \(1\).*--size 4x6"):
        load_dataset(tree)
    data = load_dataset(tree, size=(2, 3))
    assert data.train.samples.shape == (7, 2, 3, 1)
    assert data.train.samples[3, 0, 0, 0] == 50
    assert "brought to 2x3, height x width" in data.notes[0]


def test_pictures_of_more_bytes_than_allowed_are_kept_on_disk(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert not load_dataset(tree, size=(40, 60), memory_limit=14_400).train.on_disk
    assert load_dataset(tree, size=(40, 60), memory_limit=14_399).train.on_disk


def test_one_color_picture_makes_all_of_them_rgb(tree: Path) -> None:
    picture(tree / "cat" / "red.png", 200, mode="RGB")
    picture(tree / "dog" / "faint.png", 200, mode="RGBA")
    data = load_dataset(tree)
    assert data.sample_shape == (4, 6, 3)
    assert data.train.samples[3, 0, 0].tolist() == [200, 0, 0]
    assert data.train.samples[1, 0, 0].tolist() == [1, 1, 1]
    assert data.train.samples[7, 0, 0].tolist() == [100, 0, 0]  # 200 at half over black


def test_what_is_no_data_set_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no folders of classes"):
        load_dataset(tmp_path)
    picture(tmp_path / "cat" / "x.png")
    with pytest.raises(InputError, match="has one class, cat"):
        load_dataset(tmp_path)
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match=r"no readable picture of dog \(1 files seen\)"):
        load_dataset(tmp_path)
    (tmp_path / "dog" / "x.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"no readable picture of dog \(2 files seen\)"):
        load_dataset(tmp_path)


def test_sources_that_are_none_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"file mnits\. Did you mean mnist\? Names: mnist"):
        load_dataset("mnits")
    (tmp_path / "x.pkl").write_bytes(b"")
    with pytest.raises(InputError, match=r"no data set is read from a file named \*\.pkl"):
        load_dataset(tmp_path / "x.pkl")
    with pytest.raises(UsageError, match="digits is a made set, which takes no window"):
        load_dataset("digits", window=3)
