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


def cells_of(size, kernel, stride, padding, ceil):
    """Return for each output cell its real input cells and how many of the padded map it covers."""
    before, after = padding
    padded = ["pad"] * before + list(range(size)) + ["pad"] * after
    found, start = [], 0
    while start + kernel <= len(padded) or (
        ceil and start < size + before and start - stride + kernel < len(padded)
    ):
        window = padded[start : start + kernel]
        found.append(([cell for cell in window if cell != "pad"], len(window)))
        start += stride
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("count_padding", [False, True])
def test_windows_are_those_that_a_count_finds(case, count_padding: bool) -> None:
    size, kernel, stride, padding, ceil = case
    layer = AveragePool((kernel,), (stride,), (padding,), ceil, count_padding)
    (got,) = spans(layer, (size, 1))
    ref = [
        (cells[0], cells[-1] + 1, covered if count_padding else len(cells))
        for cells, covered in cells_of(*case)
    ]
    assert got == ref
    assert [
        span[:2] for span in spans(MaxPool((kernel,), (stride,), (padding,), ceil), (size, 1))[0]
    ] == [span[:2] for span in ref]


@pytest.mark.parametrize(("size", "count"), [(7, 3), (5, 5), (13, 4), (3, 7), (11, 1)])
def test_adaptive_windows_are_those_that_a_count_finds(size: int, count: int) -> None:
    """Cell j belongs to window i where any part of it lies in the i-th of `count` equal shares."""
    ref = []
    for i in range(count):
        cells = [
            j for j in range(size) if (j + 1) * count > i * size and j * count < (i + 1) * size
        ]
        ref.append((cells[0], cells[-1] + 1, len(cells)))
    assert spans(AdaptiveAveragePool((count,)), (size, 1)) == [ref]


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
