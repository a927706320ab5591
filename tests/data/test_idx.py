"""idx files: the published layout, and every way in which one can lie."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from convcli.data import load_dataset
from convcli.data.idx import read_idx
from convcli.errors import InputError

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx_bytes(array: np.ndarray) -> bytes:
    """The format as its author describes it, written independently of the reader."""
    header = bytes([0, 0, CODES[array.dtype.name], array.ndim])
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_pair(folder: Path, images: np.ndarray, labels: np.ndarray, prefix: str = "train") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{prefix}-images-idx3-ubyte"
    path.write_bytes(idx_bytes(images))
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return path


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("packed", [False, True])
def test_every_type_comes_back_as_it_was_written(tmp_path: Path, dtype: str, packed: bool) -> None:
    ref = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "x.idx"
    path.write_bytes(gzip.compress(idx_bytes(ref)) if packed else idx_bytes(ref))
    got = read_idx(path)
    assert got.dtype == ref.dtype
    np.testing.assert_array_equal(ref, got)


HEADER = b"\0\0\x08\x01"
HOSTILE = {
    "empty": (b"", "begins with nothing"),
    "text": (b"P5 28 28 255", "begins with 50 35 20 32"),
    "type": (b"\0\0\x07\x01\0\0\0\x01a", "unknown idx type 07; known are 08, 09"),
    "no axes": (b"\0\0\x08\0", "names 0 axes; 1 to 5"),
    "many axes": (b"\0\0\x08\xff" + bytes(1020), "names 255 axes"),
    "cut header": (b"\0\0\x08\x03\0\0", "inside its header, after 6 bytes"),
    "short": (HEADER + b"\0\0\0\x05abc", "promises 5 values, 5 bytes"),
    "long": (HEADER + b"\0\0\0\x01abc", "more bytes follow than the 1"),
    "huge": (b"\0\0\x0e\x03" + b"\xff" * 12 + b"abc", "promises 4294967295x4294967295x4294967295"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("packed", [False, True])
def test_a_lying_file_gets_a_sentence_with_its_numbers(
    tmp_path: Path, case: str, packed: bool
) -> None:
    content, sentence = HOSTILE[case]
    path = tmp_path / "x.idx"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InputError, match=r"x\.idx") as caught:
        read_idx(path)
    assert sentence in str(caught.value)


def test_a_plain_file_shorter_than_promised_says_both_lengths(tmp_path: Path) -> None:
    path = tmp_path / "x.idx"
    path.write_bytes(HEADER + b"\0\0\0\x09" + b"abc")
    with pytest.raises(InputError, match=r"cut off: the header promises 9 values.* and 3 follow"):
        read_idx(path)


@pytest.mark.parametrize("keep", [3, 30, -1])
def test_a_cut_gzip_file_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.idx.gz"
    noise = np.random.default_rng(0).integers(0, 256, (10, 10), np.uint8)
    path.write_bytes(gzip.compress(idx_bytes(noise))[:keep])
    with pytest.raises(InputError, match="damaged or cut off"):
        read_idx(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*none\.idx: No such file"):
        read_idx(tmp_path / "none.idx")


IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([0, 1, 1], np.uint8)


def test_a_folder_holds_training_and_test_pairs(tmp_path: Path) -> None:
    write_pair(tmp_path, IMAGES, LABELS)
    write_pair(tmp_path, IMAGES[:1], LABELS[:1], "t10k")
    data = load_dataset(tmp_path)
    np.testing.assert_array_equal(IMAGES[..., None], data.train.samples)
    assert data.train.samples.dtype == np.uint8
    assert data.test is not None
    assert len(data.test) == 1
    assert data.class_names == ("0", "1")
    assert data.sample_shape == (4, 5, 1)


def test_one_pair_by_either_notation(tmp_path: Path) -> None:
    images = write_pair(tmp_path, IMAGES, LABELS)
    named = tmp_path / "answers.idx"
    named.write_bytes(idx_bytes(LABELS))
    for source in (images, f"{images},{named}"):
        assert load_dataset(source).train.labels.tolist() == [0, 1, 1]


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    images = write_pair(tmp_path, IMAGES, LABELS[:2])
    with pytest.raises(InputError, match="3 samples but 2 labels"):
        load_dataset(images)
    write_pair(tmp_path, IMAGES, np.zeros(3, np.uint8))
    with pytest.raises(InputError, match="all 3 training samples have one class, 0"):
        load_dataset(images)
    write_pair(tmp_path, IMAGES, np.array([0, 1, -7], np.int16))
    with pytest.raises(InputError, match=r"sample 2 has the label -7, outside 0\.\.1"):
        load_dataset(images)
    write_pair(tmp_path, IMAGES, np.array([0, 1, 70_000], np.int32))
    with pytest.raises(InputError, match="largest label is 70,000; at most 10,000 classes"):
        load_dataset(images)
    write_pair(tmp_path, IMAGES, LABELS)
    write_pair(tmp_path, IMAGES[:1], np.array([5], np.uint8), "t10k")
    with pytest.raises(InputError, match=r"test\): sample 0 has the label 5"):
        load_dataset(tmp_path)
    write_pair(tmp_path, IMAGES[:1, :3], LABELS[:1], "t10k")
    with pytest.raises(InputError, match="samples of test are 3x5x1, those of train 4x5x1"):
        load_dataset(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="needs a file of labels beside it"):
        load_dataset(tmp_path)
