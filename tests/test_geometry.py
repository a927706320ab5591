"""Window rules against counting windows one by one, and PyTorch where it is installed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from convcli.geometry import (
    Adaptive,
    AxisMap,
    Enlarge,
    Spread,
    Window,
    adaptive_window,
    causal_padding,
    dropped_cells,
    output_size,
    same_padding,
    transposed_same,
    transposed_size,
)

SIZES = st.integers(1, 40)
KERNELS = st.integers(1, 7)
STRIDES = st.integers(1, 5)


def count_windows(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int
) -> int:
    """Put windows down one by one until one would stick out of the padded input."""
    count = 0
    while count * stride + (kernel - 1) * dilation < size + before + after:
        count += 1
    return count


@settings(deadline=None)
@given(SIZES, KERNELS, STRIDES, st.integers(0, 5), st.integers(0, 5), st.integers(1, 4))
def test_floor_counts_the_windows_that_fit(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int
) -> None:
    ref = count_windows(size, kernel, stride, before, after, dilation)
    assert output_size(size, kernel, stride, before, after, dilation) == ref
    if ref:
        unread = size + before + after - ((ref - 1) * stride + (kernel - 1) * dilation + 1)
        assert dropped_cells(size, kernel, stride, before, after, dilation) == unread


@settings(deadline=None)
@given(SIZES, KERNELS, STRIDES, st.integers(1, 4))
def test_same_gives_the_rounded_up_quotient_with_least_padding(
    size: int, kernel: int, stride: int, dilation: int
) -> None:
    before, after = same_padding(size, kernel, stride, dilation)
    ref = -(-size // stride)
    assert count_windows(size, kernel, stride, before, after, dilation) == ref
    assert after - before in {0, 1}
    if after:  # one cell less would lose an output
        assert count_windows(size, kernel, stride, before, after - 1, dilation) < ref


@settings(deadline=None)
@given(SIZES, KERNELS, st.integers(1, 4))
def test_causal_never_reads_ahead(size: int, kernel: int, dilation: int) -> None:
    before, after = causal_padding(kernel, dilation)
    assert output_size(size, kernel, 1, before, after, dilation) == size
    window = Window(kernel, 1, dilation, before, after)
    assert all(max(window.reads(cell)) == cell for cell in range(size))


@settings(deadline=None)
@given(SIZES, KERNELS, STRIDES, st.integers(1, 3))
def test_transposed_same_multiplies_by_the_stride(
    size: int, kernel: int, stride: int, dilation: int
) -> None:
    before, after, extra = transposed_same(kernel, stride, dilation)
    assert transposed_size(size, kernel, stride, before, after, dilation, extra) == size * stride


@settings(deadline=None)
@given(SIZES, KERNELS, STRIDES, st.integers(0, 3), st.integers(1, 3))
def test_a_transposed_window_inverts_the_size_of_a_window(
    out: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    size = transposed_size(out, kernel, stride, padding, padding, dilation)
    if size > 0:
        assert output_size(size, kernel, stride, padding, padding, dilation) == out


@settings(deadline=None)
@given(SIZES, KERNELS, STRIDES, st.integers(0, 3))
def test_ceil_keeps_windows_that_begin_inside(
    size: int, kernel: int, stride: int, padding: int
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch's rule is held against PyTorch")
    if padding > kernel // 2:
        return
    got = output_size(size, kernel, stride, padding, padding, ceil=True)
    try:
        pooled = torch.nn.functional.max_pool1d(
            torch.zeros(1, 1, size), kernel, stride, padding, ceil_mode=True
        )
    except RuntimeError:
        assert got == 0
    else:
        assert got == pooled.shape[-1]


@pytest.mark.parametrize(("size", "count"), [(13, 7), (4, 7), (5, 5), (1, 3), (10, 4)])
def test_adaptive_windows_are_pytorchs(size: int, count: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch's rule is held against PyTorch")
    ramp = torch.arange(size, dtype=torch.float64)[None, None]
    ref = torch.nn.functional.adaptive_avg_pool1d(ramp, count)[0, 0].tolist()
    windows = [adaptive_window(size, count, cell) for cell in range(count)]
    assert [sum(window) / len(window) for window in windows] == pytest.approx(ref)


MAPS: list[Any] = [
    Window(3, 2, 2, 1, 1),
    Spread(3, 2, 1, 1),
    Spread(2, 3),
    Spread(5, 2, 3, 2),
    Enlarge(3),
    Enlarge(2, linear=True),
    Enlarge(3, linear=True),
    Adaptive(13, 7),
    Adaptive(4, 6),
]


@pytest.mark.parametrize("axis", MAPS, ids=repr)
def test_reads_repeat_after_a_period(axis: AxisMap) -> None:
    for cell in range(-5, 20):
        moved = [read + axis.advance for read in axis.reads(cell)]
        assert list(axis.reads(cell + axis.period)) == moved


@settings(deadline=None)
@given(KERNELS, STRIDES, st.integers(1, 4), st.integers(0, 4))
def test_a_spread_is_the_reverse_of_scattering(
    kernel: int, stride: int, dilation: int, before: int
) -> None:
    scattered: dict[int, set[int]] = {}
    for source in range(-60, 60):
        for tap in range(kernel):
            scattered.setdefault(source * stride - before + tap * dilation, set()).add(source)
    spread = Spread(kernel, stride, dilation, before)
    for cell in range(-10, 10):
        assert set(spread.reads(cell)) == scattered.get(cell, set())
