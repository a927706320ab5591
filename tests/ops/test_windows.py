"""Windows of the pools against a count of cells that shares nothing with them.

The compiled pools and the NumPy rules read one list of windows, so neither can catch its mistakes.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convcli.layers.pool import AdaptiveAveragePool, AveragePool, MaxPool
from convcli.net import parse_notation
from convcli.ops import reference
from convcli.ops.pool import spans

CASES = [
    (size, kernel, stride, (before, after), ceil)
    for size, kernel, stride, before, after, ceil in product(
        (5, 8), (2, 3), (1, 2, 3), (0, 1), (0, 1), (False, True)
    )
]


def cells_of(size, kernel, stride, padding, ceil, dilation=1):
    """Return for each output cell its real input cells and how many of the padded map it covers."""
    before, after = padding
    padded = ["pad"] * before + list(range(size)) + ["pad"] * after
    found, start, extent = [], 0, (kernel - 1) * dilation + 1
    while start + extent <= len(padded) or (
        ceil and start < size + before and start - stride + extent < len(padded)
    ):
        window = padded[start : start + extent : dilation]
        found.append(([cell for cell in window if cell != "pad"], len(window)))
        start += stride
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("count_padding", [False, True])
def test_windows_are_those_that_a_count_finds(case, count_padding: bool) -> None:
    size, kernel, stride, padding, ceil = case
    layer = AveragePool((kernel,), (stride,), (padding,), ceil, count_padding)
    ref = [(cells, covered if count_padding else len(cells)) for cells, covered in cells_of(*case)]
    assert listed(layer, size) == ref
    largest = listed(MaxPool((kernel,), (stride,), (padding,), ceil), size)
    assert [cells for cells, _ in largest] == [cells for cells, _ in ref]


DILATED = [
    (case, dilation)
    for case in CASES
    for dilation in (2, 3)
    if (case[1] - 1) * dilation < case[0] + sum(case[3])  # it fits the map
]


@pytest.mark.parametrize(("case", "dilation"), DILATED, ids=str)
def test_dilated_windows_are_those_that_a_count_finds(case, dilation: int) -> None:
    size, kernel, stride, padding, ceil = case
    layer = MaxPool((kernel,), (stride,), (padding,), ceil, (dilation,))
    ref = [cells for cells, _ in cells_of(*case, dilation)]
    assert [cells for cells, _ in listed(layer, size)] == ref


def listed(layer, size: int) -> list[tuple[list[int], int]]:
    (axis,) = spans(layer, (size, 1))
    return [(list(cells), count) for cells, count in axis]


@pytest.mark.parametrize(("size", "count"), [(7, 3), (5, 5), (13, 4), (3, 7), (11, 1)])
def test_adaptive_windows_are_those_that_a_count_finds(size: int, count: int) -> None:
    """Cell j belongs to window i where any part of it lies in the i-th of `count` equal shares."""
    ref = []
    for i in range(count):
        cells = [
            j for j in range(size) if (j + 1) * count > i * size and j * count < (i + 1) * size
        ]
        ref.append((cells, len(cells)))
    assert listed(AdaptiveAveragePool((count,)), size) == ref


@pytest.mark.parametrize(
    "word", ["maxpool 3x2 s2x1 p1x0", "avgpool 2x3 s3x2 p0x1", "maxpool 2 ceil"]
)
def test_pools_of_a_map_are_those_of_its_counted_cells(word: str) -> None:
    trace = parse_notation(f"input 7x8x1, {word}").trace()
    layer = trace.steps[0].layer
    x = np.random.default_rng(0).standard_normal((1, 7, 8, 1))
    got = reference.run(trace, {}, {}, x).output[0, ..., 0]
    pads = ((0, 0), (0, 0)) if layer.padding == "valid" else layer.padding
    rows, columns = (
        cells_of(size, kernel, stride, pad, layer.ceil)
        for size, kernel, stride, pad in zip((7, 8), layer.kernel, layer.stride, pads, strict=True)
    )
    take = np.max if word.startswith("max") else np.mean
    ref = [[take(x[0, r][:, c]) for c, _ in columns] for r, _ in rows]
    np.testing.assert_allclose(got, ref, rtol=1e-12)
