"""What a NumPy user's `except` catches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli.errors import ConvcliError, InputError, UsageError

PICTURE = np.zeros((4, 4), np.uint8)
WRONG: dict[str, Callable[[], object]] = {
    "kernel": lambda: convcli.filter_image(PICTURE, "sobl"),
    "notation": lambda: convcli.network("input 8x8x1, cnv 4 3"),
    "preset": lambda: convcli.network("resnet51"),
    "fit": lambda: convcli.network("input 4x4x1, conv 4 7").trace(),
}
MISSING: dict[str, Callable[[Path], object]] = {
    "picture": lambda place: convcli.filter_image(place / "no.png", "sobel"),
    "model": lambda place: convcli.load(place / "no.safetensors"),
    "network": lambda place: convcli.network(str(place / "no.net")),
    "data": lambda place: convcli.load_dataset(str(place / "no.csv")),
    "arrays": lambda place: convcli.load_dataset(str(place / "no.npz")),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_wrong_words_are_value_errors(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        call()
    assert isinstance(caught.value, UsageError | InputError)


@pytest.mark.parametrize("call", MISSING.values(), ids=MISSING)
def test_a_missing_file_is_a_file_not_found_error(
    call: Callable[[Path], object], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        call(tmp_path)
    assert isinstance(caught.value, ConvcliError)
    assert "no." in str(caught.value)
