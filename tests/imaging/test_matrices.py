"""Matrices read from text and NPY, and written so that they read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as some

from convcli.errors import InputError
from convcli.imaging.matrices import encode_matrix, parse_matrix, read_matrix

NUMBERS = some.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=50)
@given(
    rows=some.integers(1, 4).flatmap(
        lambda width: some.lists(some.lists(NUMBERS, min_size=width, max_size=width), min_size=1)
    ),
    suffix=some.sampled_from([".csv", ".txt", ".npy"]),
)
def test_what_is_written_reads_back(rows: list[list[float]], suffix: str) -> None:
    ref = np.array(rows)
    assert np.array_equal(ref, read_matrix(encode_matrix(ref, suffix)))


def test_planes_between_blank_lines_become_the_last_axis() -> None:
    got = parse_matrix("1 2\n3 4\n\n5 6\n7 8\n")
    assert got.shape == (2, 2, 2)
    assert got[0, 1].tolist() == [2, 6]
    assert np.array_equal(got, read_matrix(encode_matrix(got, ".txt")))


@pytest.mark.parametrize(
    "text", ["1 2 3\n4 5 6", "1,2,3\n4,5,6\n", "1; 2; 3\n4;5;6", "1\t2 3 # top\n#\n4 5 6"]
)
def test_separators_and_comments(text: str) -> None:
    assert parse_matrix(text).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3\n4 5", "line 2: 2 numbers where the first row has 3"),
        ("1,2\n3,x", "line 2, column 2: 'x' is no number"),
        ("1,,3", "line 1, column 2: an empty cell is no number"),
        ("1 nan", "line 1, column 2: nan is not finite"),
        ("# only words", "no numbers"),
        ("1 2\n\n1 2 3", "planes between blank lines differ"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_matrix(text)


def test_npy_files_of_other_things_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        read_matrix(path)
    np.save(path, np.array(["word"]))
    with pytest.raises(InputError, match="no real numbers"):
        read_matrix(path)
    np.save(path, np.zeros((2, 2, 2, 2)))
    with pytest.raises(InputError, match=r"shape \(2, 2, 2, 2\)"):
        read_matrix(path)
    path.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(InputError, match="or damaged"):
        read_matrix(path)
    np.save(path, np.array([[np.nan]]))
    with pytest.raises(InputError, match="NaN"):
        read_matrix(path)
