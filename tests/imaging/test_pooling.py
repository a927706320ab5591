"""Pooling against loops written out, and the lecture's slide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as some

from convcli.errors import InputError, UsageError
from convcli.imaging.picture import Frame, Picture
from convcli.imaging.pooling import parse_size, pool, pool_picture


@settings(deadline=None, max_examples=60)
@given(
    shape=some.tuples(some.integers(4, 12), some.integers(4, 12), some.integers(1, 3)),
    window=some.tuples(some.integers(1, 4), some.integers(1, 4)),
    stride=some.tuples(some.integers(1, 5), some.integers(1, 5)),
    seed=some.integers(0, 99),
)
def test_against_loops(
    shape: tuple[int, int, int], window: tuple[int, int], stride: tuple[int, int], seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    rows = range(0, shape[0] - window[0] + 1, stride[0])
    columns = range(0, shape[1] - window[1] + 1, stride[1])
    windows = [[pixels[y : y + window[0], x : x + window[1]] for x in columns] for y in rows]
    largest = np.array([[one.max(axis=(0, 1)) for one in line] for line in windows])
    means = np.array([[one.mean(axis=(0, 1)) for one in line] for line in windows])
    assert np.array_equal(largest, pool(pixels, "max", window, stride))
    assert np.array_equal(np.rint(means), pool(pixels, "avg", window, stride))


def test_rows_in_blocks_give_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 30)).astype(np.uint8)
    ref = pool(pixels, "avg", (3, 2), (2, 3))
    monkeypatch.setattr("convcli.imaging.pooling.BLOCK_ROWS_BYTES", 300)
    assert np.array_equal(ref, pool(pixels, "avg", (3, 2), (2, 3)))


def test_a_window_that_does_not_fit() -> None:
    with pytest.raises(InputError, match=r"window of 5x5 does not fit into 4x9.*at most 4"):
        pool(np.zeros((4, 9)), "max", (5, 5))


@pytest.mark.parametrize("text", ["", "0", "2x", "x3", "-1", "2.5", "2x0"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="write K or HEIGHTxWIDTH"):
        parse_size(text, "--max")


def test_words_that_are_no_pooling_are_refused() -> None:
    for word in ("median", "Max"):
        with pytest.raises(UsageError, match=r"no pooling .*use max or avg"):
            pool(np.eye(4), word, (2, 2))


def test_hidden_colors_have_no_say_in_a_pool() -> None:
    pixels = np.full((2, 4, 4), 255, np.uint8)
    pixels[..., :3] = 100
    pixels[0, 0] = (255, 0, 0, 0)  # red that nobody sees
    pixels[:, 2:, 3] = 0
    picture = Picture((Frame(pixels, True),))
    averages = pool_picture(picture, "avg", (2, 2)).pixels
    assert averages.tolist() == [[[100, 100, 100, 191], [100, 100, 100, 0]]]
    largest = pool_picture(picture, "max", (2, 2)).pixels
    assert largest[0, 0].tolist() == [100, 100, 100, 255]
