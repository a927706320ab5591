"""A classifier as convolutions: the same numbers at every place as on that window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from convcli.errors import InputError
from convcli.imaging.picture import Frame
from convcli.inspect.convolutionalize import (
    convolutionalize,
    convolutionalized,
    field_picture,
    heatmap,
    sliding,
)
from convcli.learn.modelfile import load
from convcli.learn.prepare import Preprocessing
from convcli.net import parse_notation, to_notation
from convcli.ops import reference
from tests.inspect.models import DIGITS, model_of

SLIDE = {
    "plain": DIGITS,
    "one dense": "input 6x9x1, flatten, dense 3 softmax",
    "global average": "input 8x8x3, conv 4 3 relu, gap, dense 3 softmax",
    "global largest": "input 9x8x1, conv 4 3 relu, gmp, dropout 0.5, dense 5 relu, dense 2 softmax",
    "strides": "input 15x15x1, conv 4 3 s2 relu, avgpool 2, flatten, dense 3 softmax",
    "leftover rows": "input 11x10x1, conv 2 2, maxpool 3, flatten, dropout 0.2, dense 4 softmax",
    "batch norm": "input 8x8x1, conv 3 3, bn, relu, flatten, dense 4, bn, tanh, dense 2, softmax",
    "dilated": "input 12x12x1, conv 3 3 d2 nobias relu, maxpool 3 s1, flatten, dense 2 softmax",
    "adaptive": "input 10x10x1, conv 3 3 relu, adaptavg 4, flatten, dense 2 softmax",
    "residual of ones": "input 8x8x2, residual(conv 2 1), conv 3 3, flatten, dense 2 softmax",
}


@pytest.mark.parametrize("name", SLIDE)
def test_every_answer_is_the_classifier_s_on_that_window(name: str) -> None:
    classifier = model_of(SLIDE[name], seed=7)
    convolutional = convolutionalize(classifier)
    how = sliding(convolutional.network)
    assert how.exact
    (window_h, window_w), (stride_h, stride_w) = how.window, how.stride
    channels = classifier.network.input_shape[-1]
    random = np.random.default_rng(1)
    picture = random.integers(
        0, 256, (window_h + 3 * stride_h + 1, window_w + 2 * stride_w, channels), np.uint8
    )
    found = heatmap(convolutional, picture)
    rows, columns = found.answers.shape[:2]
    assert rows >= 4
    assert columns >= 3
    for i in range(4):
        for j in range(3):
            top, left = i * stride_h, j * stride_w
            window = picture[top : top + window_h, left : left + window_w]
            ref = classifier.predict(window[None])[0]
            assert_allclose(ref, found.answers[i, j], rtol=1e-4, atol=1e-6)


def test_the_mnist_preset_in_words() -> None:
    got = to_notation(
        convolutionalized(
            parse_notation("""
        input 28x28x1, conv 16 3 relu, maxpool 2, conv 32 3 relu, maxpool 2, flatten,
        dropout 0.5, dense 32 relu name=hidden, dense 10 softmax
    """)
        )
    )
    ref = (
        "input 28x28x1, conv 16 3 relu, maxpool 2, conv 32 3 relu, maxpool 2, dropout 0.5, "
        "conv 32 5 relu name=hidden, conv 10 1 softmax"
    )
    assert ref == got
    how = sliding(parse_notation(ref))
    assert (how.window, how.stride, how.exact) == ((28, 28), (4, 4), True)


def test_padding_is_told_and_not_claimed_exact() -> None:
    network = parse_notation("input 8x8x1, conv 2 3 same, flatten, dense 2 softmax")
    assert not sliding(convolutionalized(network)).exact
    after_only = parse_notation("input 8x8x1, conv 2 2 p0:1, flatten, dense 2 softmax")
    assert not sliding(convolutionalized(after_only)).exact


def test_numbers_classes_and_preprocessing_survive_the_file(tmp_path: Path) -> None:
    classifier = model_of(SLIDE["batch norm"], seed=2)
    path = tmp_path / "fcn.safetensors"
    convolutionalize(classifier).save(path)
    got = load(path)
    assert got.class_names == classifier.class_names
    assert got.preprocessing == classifier.preprocessing
    for name, pairs in {
        "parameters": (classifier.model.parameters, got.model.parameters),
        "buffers": (classifier.model.buffers, got.model.buffers),
    }.items():
        refs, gots = pairs
        assert len(refs) == len(gots), name
        for ref, array in zip(refs.values(), gots.values(), strict=True):
            assert_array_equal(ref.ravel(), array.ravel())


@pytest.mark.parametrize(
    ("notation", "said"),
    [
        ("input 5, dense 2 softmax", "takes a vector of 5"),
        ("input 8x8x1, conv 2 3", "fully convolutional already"),
        ("input 8x8x1, conv 2 3, flatten", "no dense layer reads it"),
        ("input 8x8x1, conv 2 3, flatten, bn, dense 2", "`bn` reads a flattened 6x6 map"),
        ("input 8x8x2, gn 2, flatten, dense 2", "`gn` takes its statistics"),
        ("input 8x8x2, scale(gap, dense 2 sigmoid), flatten, dense 2", "reads the whole picture"),
        ("input 8x8x1, adaptavg 3, flatten, dense 2", "different sizes"),
        ("input 8x8x1, flatten, dense 4, reshape 2x2, flatten, dense 2", "`reshape` behind"),
    ],
)
def test_what_cannot_slide_is_refused_with_a_reason(notation: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        convolutionalized(parse_notation(notation))
    assert said in str(caught.value)


def test_a_vector_s_network_does_not_slide() -> None:
    with pytest.raises(InputError, match="convcli convolutionalize MODEL"):
        sliding(parse_notation(DIGITS))


def test_a_picture_smaller_than_the_window_names_the_scale() -> None:
    convolutional = convolutionalize(model_of(DIGITS))
    with pytest.raises(InputError, match=r"--scale 2\.0"):
        heatmap(convolutional, np.zeros((6, 30, 1), np.uint8))


def test_best_place_and_spreading_know_the_window() -> None:
    # one 3x3 window whose only weight, at its middle, says "a" for white
    kernel = np.zeros((9, 2), np.float32)
    kernel[4, 0] = 10
    arrays = {"dense1.kernel": kernel, "dense1.bias": [-5, 0]}
    convolutional = convolutionalize(
        model_of("input 3x3x1, flatten, dense 2 softmax", arrays=arrays)
    )
    picture = np.zeros((7, 9, 1), np.uint8)
    picture[4, 6] = 255
    found = heatmap(convolutional, picture)
    probability, (row, column) = found.best(0)
    assert (row, column) == (3, 5)  # the window begins one above and left of its middle
    assert probability == pytest.approx(1 / (1 + np.exp(-5)), rel=1e-5)
    over = found.over_picture(0)
    assert over.shape == (7, 9)
    assert over[4, 6] == pytest.approx(probability)
    assert np.unravel_index(over.argmax(), over.shape) == (4, 6)


def test_dark_ink_on_light_paper_becomes_white_on_black() -> None:
    digits = Preprocessing((12, 12, 1), (1 / 255,), (0.0,), "digit")
    trained = model_of(DIGITS, preprocessing=digits)
    page = np.full((20, 30), 240, np.uint8)
    page[5:9, 5:7] = 40
    got, note = field_picture(Frame(page), trained)
    assert got.shape == (20, 30, 1)
    assert (got[5:9, 5:7] == 255).all()
    assert got[0, 0] == 0
    assert "turned into white on black" in note
    same, silent = field_picture(Frame(255 - page), trained)
    assert_array_equal(got, same)
    assert not silent
    small, _ = field_picture(Frame(page), trained, scale=0.5)
    assert small.shape == (10, 15, 1)
    colors, _ = field_picture(
        Frame(page), model_of("input 4x4x3, flatten, dense 2 softmax"), scale=2
    )
    assert colors.shape == (40, 60, 3)


def test_a_large_picture_has_the_plain_network_s_answers_on_any_number_of_threads() -> None:
    convolutional = convolutionalize(model_of(DIGITS, seed=9))
    picture = np.random.default_rng(2).integers(0, 256, (90, 141, 1), np.uint8)
    model = convolutional.model
    trace = convolutional.network.with_input(picture.shape).trace()
    inputs = picture[None].astype(np.float64) / 255
    ref = reference.run(trace, model.parameters, model.buffers, inputs).output[0]
    one, two = (heatmap(convolutional, picture, threads=threads).answers for threads in (1, 2))
    assert_allclose(ref, one, rtol=1e-4, atol=1e-6)
    assert_array_equal(one, two)
