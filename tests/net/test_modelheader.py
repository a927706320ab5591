"""Heads of model files: against the safetensors package, and against damaged and hostile files."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from safetensors.numpy import save

from convcli.errors import InputError
from convcli.net.lookup import network
from convcli.net.modelheader import network_text, read_model_header

TENSORS = {
    "conv1.weights": np.zeros((3, 3, 1, 2), np.float32),
    "conv1.bias": np.ones(2, np.float32),
}
WHOLE = save(TENSORS, {"network": "input 5x5x1, conv 2 3"})


def with_header(head: object, data: bytes = b"") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(content)
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    got = read_model_header(written(tmp_path, WHOLE))
    assert {name: place.shape for name, place in got.tensors.items()} == {
        name: array.shape for name, array in TENSORS.items()
    }
    assert network_text(tmp_path / "model.safetensors") == "input 5x5x1, conv 2 3"


def test_a_file_without_a_network(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no network"):
        network_text(written(tmp_path, save(TENSORS)))


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}

HOSTILE = {
    "empty": (b"", "should have"),
    "no length": (b"\x01\x02", "should have"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "should have"),
    "cut off": (WHOLE[:-3], "perhaps it was cut off"),
    "longer": (WHOLE + b"x", "perhaps it was cut off"),
    "no JSON": (with_header(b"{{{{"), "no JSON"),
    "not text": (with_header(b"\xff\xfe\x00"), "no JSON"),
    "deep": (with_header(b"[" * 100_000), "no JSON"),
    "long number": (with_header(b"1" * 10_000), "no JSON"),
    "a list": (with_header([1, 2]), "no JSON object"),
    "notes": (with_header({"__metadata__": {"network": 3}}), "not all texts"),
    "an entry": (with_header({"a": [1]}), "malformed"),
    "negative": (with_header({"a": ENTRY | {"shape": [-2]}}, bytes(8)), "malformed"),
    "a type": (with_header({"a": ENTRY | {"dtype": "O"}}, bytes(8)), "unknown type 'O'"),
    "a lying shape": (with_header({"a": ENTRY | {"shape": [10**12]}}, bytes(8)), "needs"),
    "overlap": (with_header({"a": ENTRY, "b": ENTRY}, bytes(8)), "starts at 0, not 8"),
    "a hole": (with_header({"a": ENTRY | {"data_offsets": [8, 16]}}, bytes(16)), "starts at 8"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_gets_a_sentence(tmp_path: Path, case: str) -> None:
    content, says = HOSTILE[case]
    with pytest.raises(InputError, match=says):
        read_model_header(written(tmp_path, content))


def test_a_huge_header_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2**33))
        file.truncate(2**34)  # a sparse file: no disk is used
    with pytest.raises(InputError, match="header of 8,589,934,592 bytes"):
        read_model_header(path)


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_model_header(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="Is a directory"):
        read_model_header(tmp_path)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
@settings(deadline=None, max_examples=200)
def test_one_changed_byte_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    changed = bytearray(WHOLE)
    changed[place] = value
    with suppress(InputError):  # anything else is a bug
        read_model_header(written(tmp_path_factory.getbasetemp(), bytes(changed)))


def test_the_network_of_a_model_file_is_found_by_its_name(tmp_path: Path) -> None:
    got = network(str(written(tmp_path, WHOLE)))
    assert (got, got.name) == (network("input 5x5x1, conv 2 3"), "model")


def test_a_malformed_network_in_a_model_file_is_bad_input(tmp_path: Path) -> None:
    path = written(tmp_path, save(TENSORS, {"network": "input 5x5x1, comv 2 3"}))
    with pytest.raises(InputError, match="the network in it cannot be used"):
        network(str(path))
