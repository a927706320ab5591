"""`.npz` files: the usual names, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from convcli.data import load_dataset
from convcli.errors import InputError

X = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
Y = np.array([0, 1])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "x.npz"


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["x_train", "y_train", "x_test", "y_test"], ["train", "test"]),
        (["x_train", "y_train", "x_val", "y_val"], ["train", "validation"]),
        (["train_images", "train_labels", "val_images", "val_labels"], ["train", "validation"]),
        (["images", "labels"], ["train"]),
        (["x", "y"], ["train"]),
    ],
)
def test_the_usual_names_are_known(place: Path, names: list[str], splits: list[str]) -> None:
    np.savez_compressed(place, **{name: (X, Y)[i % 2] for i, name in enumerate(names)})
    data = load_dataset(place)
    assert list(data.splits()) == splits
    for split in data.splits().values():
        np.testing.assert_array_equal(X[..., None], split.samples)
        assert split.samples.dtype == np.uint8
        np.testing.assert_array_equal(Y, split.labels)


def test_shapes_and_types_become_what_networks_eat(place: Path) -> None:
    cases = [
        (X.astype(np.int64), (3, 4, 1), np.uint8),
        (X.astype(np.float64), (3, 4), np.float32),
        (X.astype(np.float64)[..., None], (3, 4, 1), np.float32),
        (X.astype(np.int32) * 1000, (3, 4), np.float32),
        (X.reshape(2, 12), (12,), np.float32),
        (X.reshape(2, 2, 3, 2, 1), (2, 3, 2, 1), np.uint8),
    ]
    for x, shape, dtype in cases:
        np.savez(place, x=x, y=Y)
        data = load_dataset(place)
        assert data.sample_shape == shape
        assert data.train.samples.dtype == dtype


def test_labels_may_be_a_column_one_hot_or_whole_floats(place: Path) -> None:
    for y in (Y[:, None], np.eye(2), Y.astype(float), np.array([False, True])):
        np.savez(place, x=X, y=y)
        assert load_dataset(place).train.labels.tolist() == [0, 1]


def test_class_names_are_taken(place: Path) -> None:
    np.savez(place, images=X, labels=Y, class_names=np.array(["cat", "dog"]))
    assert load_dataset(place).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": X}, "holds x; expected x_train and y_train"),
        ({"x": X, "y": np.array([{}, []], object)}, "y.npy holds Python objects"),
        ({"x": X, "y": np.array([[["a", "b"]]])}, "texts are names of classes, one for each"),
        ({"x": X, "y": np.array([1j, 2])}, "labels are of type complex128; they must be numbers"),
        ({"x": X, "y": np.array([0, np.nan])}, "1 of 2 samples have values to learn that are NaN"),
        ({"x": X, "y": np.full(X.shape[:3], 255)}, "the masks know no cell; all are 255"),
        ({"x": X, "y": Y, "class_names": np.array(["a", "a"])}, "both named 'a'"),
        ({"x": X[0, 0], "y": Y}, "samples have the shape 4;"),
        ({"x": np.zeros((2, 3, 8, 8)), "y": Y}, "2x3x8x8 has its channels first"),
        ({"x": np.full((2, 4), np.nan), "y": Y}, "2 of 2 samples hold NaN or infinity"),
        ({"x": X[:0], "y": Y[:0]}, "there are no samples"),
        ({"x": X[:, :0], "y": Y}, "hold no values"),
        ({"x": X, "y": Y, "class_names": np.array([1, 2])}, "class_names must be one row of"),
        ({"x": X, "y": Y + 1, "class_names": np.array(["a", "b"])}, "outside 0..1"),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(
    place: Path, arrays: dict[str, np.ndarray], sentence: str
) -> None:
    np.savez(place, **arrays)
    with pytest.raises(InputError) as caught:
        load_dataset(place)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("task", "y", "says"),
    [
        ("classes", np.array([0, 0.5]), "labels are no whole numbers"),
        ("classes", np.array([[1, 1], [0, 1]]), "row 0 has 2 ones"),
        ("classes", np.zeros((2, 2, 2)), "shape 2x2x2; give one integer per sample"),
        ("labels", np.array([[0, 2], [1, 0]]), "neither 0 nor 1"),
        ("mask", np.array([0.5, 1]), "masks hold classes, whole numbers from 0 to 255"),
        ("mask", np.zeros((2, 3, 3), int), "A mask has a class for every cell of its sample"),
        ("values", np.array(["a", "b"]), "texts are names of classes"),
    ],
)
def test_labels_that_are_not_what_was_said_get_a_sentence(
    place: Path, task: str, y: np.ndarray, says: str
) -> None:
    np.savez(place, x=X, y=y)
    with pytest.raises(InputError) as caught:
        load_dataset(place, task=task)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("y", "task", "shape"),
    [
        (np.array(["b", "a"]), "classes", (2,)),
        (np.array([0.0, 1.0]), "classes", (2,)),
        (np.array([[0, 1], [1, 0]]), "classes", (2,)),
        (np.array([[1, 1], [1, 0]]), "labels", (2, 2)),
        (np.array([0, 0.5]), "values", (2, 1)),
        (np.array([[0, 0.5, 3], [1, 2, 3]]), "values", (2, 3)),
        (np.ones((*X.shape[:3],), int), "mask", X.shape[:3]),
        (np.ones((*X.shape[:3], 1), int), "mask", X.shape[:3]),
        (np.full((*X.shape[:3], 1), 0.5), "values", (*X.shape[:3], 1)),
    ],
)
def test_the_task_follows_from_the_labels(
    place: Path, y: np.ndarray, task: str, shape: tuple[int, ...]
) -> None:
    np.savez(place, x=X, y=y)
    data = load_dataset(place)
    assert (data.task, data.train.labels.shape) == (task, shape)


def test_texts_are_classes_and_test_texts_mean_the_same(place: Path) -> None:
    x = np.zeros((3, 2, 2, 1))
    np.savez(place, x_train=x, y_train=["c", "a", "b"], x_test=x, y_test=["b", "c", "b"])
    data = load_dataset(place)
    assert (data.class_names, data.test.labels.tolist()) == (("a", "b", "c"), [1, 2, 1])
    np.savez(place, x_train=x, y_train=["c", "a", "b"], x_test=x, y_test=["b", "c", "d"])
    with pytest.raises(InputError, match="'d' is none of the classes that the training data have"):
        load_dataset(place)


def npy_with_shape(shape: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return out.getvalue()


def test_a_header_that_promises_more_than_there_is(place: Path) -> None:
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("x.npy", npy_with_shape((10**6, 1000, 1000)) + b"abc")
        archive.writestr("y.npy", npy_with_shape((3,)) + b"abc")
    with pytest.raises(InputError, match=r"promises 1000000x1000x1000 values.* and holds 3"):
        load_dataset(place)


def test_no_zip_and_cut_zip_and_nothing(place: Path) -> None:
    place.write_bytes(b"hello")
    with pytest.raises(InputError, match=r"is no \.npz file"):
        load_dataset(place)
    np.savez(place, x=X, y=Y)
    place.write_bytes(place.read_bytes()[:-30])
    with pytest.raises(InputError, match="damaged"):
        load_dataset(place)
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match="holds no arrays"):
        load_dataset(place)


def test_flipped_bytes_never_leave_as_anything_but_a_sentence(place: Path) -> None:
    np.savez_compressed(place, x=X, y=Y)
    good = place.read_bytes()
    for at in range(0, len(good), 3):
        broken = bytearray(good)
        broken[at] ^= 0x5A
        place.write_bytes(bytes(broken))
        try:
            data = load_dataset(place)
        except InputError:
            continue
        assert data.train.samples.size == X.size


def test_only_the_arrays_of_the_data_set_are_read(place: Path) -> None:
    with zipfile.ZipFile(place, "w") as archive:
        for name, array in (("x", X), ("y", Y)):
            with archive.open(f"{name}.npy", "w") as member:
                np.save(member, array)
        archive.writestr("weights.npy", b"no array at all")
        archive.writestr("huge.npy", npy_with_shape((2**60,)))
    assert len(load_dataset(place).train) == 2


def test_one_wild_label_is_refused_before_names_are_made_for_all(place: Path) -> None:
    np.savez(place, x=X, y=np.array([0, 2_000_000_000]))
    with pytest.raises(InputError, match="largest label is 2,000,000,000; at most 10,000"):
        load_dataset(place)


@pytest.mark.parametrize(
    "header",
    ["{'descr': '|u1', 'shape': (2,", "{'descr': ''' ", "(", "{'descr': [], 'shape': ()}", "10**9"],
)
def test_a_header_that_is_no_python_is_named(place: Path, header: str) -> None:
    text = f"{header:60}\n".encode()
    npy = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("x.npy", npy)
        archive.writestr("y.npy", npy)
    with pytest.raises(InputError, match=r"x.npy is no \.npy file, or damaged"):
        load_dataset(place)


def test_arrays_come_in_the_machines_byte_order_and_c_order(place: Path) -> None:
    turned = np.asfortranarray(X.astype(">u2"))
    np.savez(place, x=turned, y=Y.astype(">i8"))
    np.testing.assert_array_equal(load_dataset(place).train.samples[..., 0], X)
