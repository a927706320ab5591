"""`--dialect keras` on transposed convolutions, against Keras itself (PyTorch back end)."""

from __future__ import annotations

import os
from itertools import product
from typing import Any

import pytest

from convcli.errors import InputError
from convcli.net import parse_notation, to_notation

# kernel, stride, padding, output padding -> size, on 7x7; Keras 3.15.1
SIZES = {
    (2, 2, "valid", None): 14, (2, 2, "valid", 0): 14, (2, 2, "valid", 1): 15,
    (2, 2, "same", None): 14, (2, 2, "same", 0): 12, (2, 2, "same", 1): 13,
    (2, 3, "valid", None): 21, (2, 3, "valid", 0): 20, (2, 3, "valid", 1): 21,
    (2, 3, "same", None): 21, (2, 3, "same", 0): 18, (2, 3, "same", 1): 19,
    (3, 2, "valid", None): 15, (3, 2, "valid", 0): 15, (3, 2, "valid", 1): 16,
    (3, 2, "same", None): 14, (3, 2, "same", 0): 13, (3, 2, "same", 1): 14,
    (3, 3, "valid", None): 21, (3, 3, "valid", 0): 21, (3, 3, "valid", 1): 22,
    (3, 3, "same", None): 21, (3, 3, "same", 0): 19, (3, 3, "same", 1): 20,
}  # fmt: skip


@pytest.mark.parametrize(("case", "size"), SIZES.items(), ids=str)
def test_sizes(case: tuple[int, int, str, int | None], size: int) -> None:
    kernel, stride, padding, extra = case
    words = f"upconv 4 {kernel} s{stride} {padding}" + ("" if extra is None else f" op{extra}")
    net = parse_notation(f"input 7x7x1, {words}")
    assert net.trace(dialect="keras").output_shape == (size, size, 4)
    assert parse_notation(to_notation(net)) == net


def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="Keras is not installed")


def test_the_sizes_are_keras() -> None:
    layers = keras().layers
    for (kernel, stride, padding, extra), size in SIZES.items():
        layer = layers.Conv2DTranspose(
            4, kernel, strides=stride, padding=padding, output_padding=extra
        )
        assert tuple(layer.compute_output_shape((1, 7, 7, 1))) == (1, size, size, 4)


def test_op0_is_written_and_means_nothing_elsewhere() -> None:
    said = parse_notation("input 7x7x1, upconv 4 2 s3 op0")
    assert to_notation(said) == "input 7x7x1, upconv 4 2 s3 op0"
    for dialect in (None, "torch", "onnx"):
        assert said.trace(dialect=dialect).output_shape == (20, 20, 4)


@pytest.mark.parametrize("word", ["conv 4 3", "upconv 4 3"])
def test_keras_has_no_stride_with_a_dilation(word: str) -> None:
    net = parse_notation(f"input 12x12x2, {word} s2 d2")
    with pytest.raises(InputError, match="no stride together with a dilation"):
        net.trace(dialect="keras")


def test_that_is_keras_too() -> None:
    layers = keras().layers
    for name, padding in product(("Conv2D", "Conv2DTranspose"), ("valid", "same")):
        with pytest.raises(ValueError, match="strides > 1"):
            getattr(layers, name)(4, 3, strides=2, dilation_rate=2, padding=padding)
    depthwise = layers.DepthwiseConv2D(3, strides=2, dilation_rate=2)
    assert tuple(depthwise(keras().ops.zeros((1, 12, 12, 2))).shape) == (1, 4, 4, 2)
    net = parse_notation("input 12x12x2, dwconv 3 s2 d2")
    assert net.trace(dialect="keras").output_shape == (4, 4, 2)
