"""What is derived from a kernel, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convcli.kernels import Kernel, all_kernels, find

MATRICES = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(-3, 3), min_size=size[1], max_size=size[1]).map(tuple),
        min_size=size[0],
        max_size=size[0],
    ).map(tuple)
)
KERNELS = [kernel for kernel in all_kernels() if isinstance(kernel, Kernel)]


@given(MATRICES.filter(lambda rows: any(map(any, rows))))
@settings(deadline=None, max_examples=150)
def test_rank_and_factors_are_numpys(rows: tuple[tuple[int, ...], ...]) -> None:
    kernel = Kernel("any", matrix=rows)
    assert np.linalg.matrix_rank(np.array(rows)) == kernel.rank
    assert (kernel.factors is not None) == (kernel.rank == 1)
    if kernel.factors:
        np.testing.assert_array_equal(np.array(rows), np.outer(*kernel.factors))


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_rank_of_decimals_is_numpys(seed: int, rank: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(5, rank)) @ random.normal(size=(rank, 6))
    kernel = Kernel("any", matrix=tuple(map(tuple, matrix.tolist())))
    assert rank == kernel.rank


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_derived_figures_of_every_kernel_are_numpys(kernel: Kernel) -> None:
    weights = np.array(kernel.rows) / kernel.divisor
    assert weights.sum() == pytest.approx(kernel.sum, abs=1e-12)
    assert np.abs(weights).sum() == pytest.approx(kernel.sum_of_magnitudes)
    assert kernel.is_zero_sum == (abs(weights.sum()) < 1e-9)
    assert kernel.is_smoothing == bool((weights >= 0).all() and weights.sum() > 0)
    images = {
        "left-right": weights[:, ::-1],
        "up-down": weights[::-1],
        "half turn": weights[::-1, ::-1],
        "transpose": weights.T,
    }
    for name, image in images.items():
        for word, sign in (("even", 1), ("odd", -1)):
            same = weights.shape == image.shape and np.allclose(weights, sign * image, atol=1e-12)
            assert (f"{word} {name}" in kernel.symmetry) == same


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("sobel-x", (1, 0)),
        ("sobel-y", (0, 1)),
        ("sobel-left", (-1, 0)),
        ("kirsch-n", (0, -1)),
        ("scharr-y", (0, 1)),
        ("roberts-1", (-(0.5**0.5), -(0.5**0.5))),
        ("gaussian-5", (0, 0)),
        ("laplacian", (0, 0)),
    ],
)
def test_the_direction_of_rising_brightness(name: str, direction: tuple[float, float]) -> None:
    kernel = find(name)
    assert isinstance(kernel, Kernel)
    assert kernel.direction_xy == pytest.approx(direction, abs=1e-12)


def test_large_kernels_keep_their_factors_and_leave_their_rank_open() -> None:
    wide = find("gaussian:sigma=60")
    assert isinstance(wide, Kernel)
    assert wide.rank == 1
    line = find("motion:length=200,angle=45")
    assert isinstance(line, Kernel)
    assert line.rank is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"matrix": ((1, 2), (3,))},
        {"matrix": ((1,),), "column": (1,), "row": (1,)},
        {"column": (1,)},
        {"matrix": ((1,),), "divisor": 0},
    ],
)
def test_an_impossible_kernel_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="kernel bad"):
        Kernel("bad", **fields)  # type: ignore[arg-type]  (wrong on purpose)


def test_kernels_are_values() -> None:
    assert find("gaussian:sigma=2") == find("gaussian:sigma=2")
    assert len({find("sobel-x"), find("sobelx"), find("sobel-y")}) == 2
    assert find("motion:length=9,angle=45").slug == "motion-length9-angle45"
    assert find("sobel:size=5").slug == "sobel-size5"
