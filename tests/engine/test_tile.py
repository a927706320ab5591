"""The tile against a triple loop, against its NumPy twin, and on narrower processors."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convcli.engine import reference
from convcli.engine.tile import product

OPERANDS = 4000


def naive_product(c, c_at, c_row, start, start_at, start_row, a, a_at, a_row, a_block, a_step,
                  b, b_at, b_block, b_step, rows, columns, blocks, steps, lowest):  # fmt: skip
    result = c.copy()
    for m in range(rows):
        for n in range(columns):
            total = float(start[start_at + m * start_row + n])
            for r in range(blocks):
                for k in range(steps):
                    one = a[a_at + m * a_row + r * a_block + k * a_step]
                    total += float(one) * float(b[b_at + r * b_block + k * b_step + n])
            result[c_at + m * c_row + n] = max(total, lowest)
    return result


def small_integers(seed: int) -> np.ndarray:
    """Integers, so that float32 sums are exact in any order."""
    return np.random.default_rng(seed).integers(-4, 5, OPERANDS).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(0, 31),
    columns=st.integers(0, 70),
    blocks=st.integers(0, 3),
    steps=st.integers(0, 9),
    a_row=st.integers(-5, 5),
    b_step=st.sampled_from([0, 1, 33, 70]),
    relu=st.booleans(),
)
@pytest.mark.parametrize("implementation", [product, reference.product])
def test_every_size_and_stride_gives_the_sum(
    implementation, rows, columns, blocks, steps, a_row, b_step, relu
) -> None:
    a, b, bias = small_integers(1), small_integers(2), small_integers(3)
    c = small_integers(4)
    lowest = np.float32(0.0) if relu else reference.NO_BOUND
    call = (c, 7, 72, bias, 5, 0, a, 400, a_row, 40, 3, b, 11, 300, b_step)
    size = (rows, columns, blocks, steps, lowest)
    ref = naive_product(*call, *size)
    implementation(*call, *size)
    np.testing.assert_array_equal(c, ref)


@pytest.mark.parametrize("implementation", [product, reference.product])
def test_start_at_the_result_accumulates(implementation) -> None:
    c = np.ones(6, np.float32)
    a = np.array([1, 2], np.float32)
    b = np.array([10, 20, 30], np.float32)
    implementation(c, 0, 3, c, 0, 3, a, 0, 1, 0, 0, b, 0, 0, 0, 2, 3, 1, 1)
    ref = np.array([11, 21, 31, 21, 41, 61], np.float32)
    np.testing.assert_array_equal(c, ref)


def test_a_convolution_needs_no_copy_of_its_input() -> None:
    rng = np.random.default_rng(0)
    image_HWC = rng.integers(0, 9, (6, 8, 3)).astype(np.float32)
    kernel_HWIO = rng.integers(-3, 4, (3, 2, 3, 5)).astype(np.float32)
    ref = np.zeros((4, 7, 5), np.float32)
    for y, x in np.ndindex(4, 7):
        patch = image_HWC[y : y + 3, x : x + 2]
        ref[y, x] = np.einsum("hwi,hwio->o", patch, kernel_HWIO)
    got, zeros = np.empty_like(ref), np.zeros(5, np.float32)
    for y in range(4):
        product(got.ravel(), y * 35, 5, zeros, 0, 0, image_HWC.ravel(), y * 24, 3, 24, 1,
                kernel_HWIO.ravel(), 0, 30, 5, 7, 5, 3, 6)  # fmt: skip
    np.testing.assert_array_equal(got, ref)


def test_a_not_a_number_is_not_hidden_by_the_bound() -> None:
    c = np.zeros(1, np.float32)
    a = np.array([np.nan], np.float32)
    product(c, 0, 1, c, 0, 1, a, 0, 1, 1, 1, np.ones(1, np.float32), 0, 1, 1, 1, 1, 1, 1,
            np.float32(0))  # fmt: skip
    assert np.isnan(c[0])


SMOKE = """
import numpy as np
from convcli.engine.tile import HOST, product
a = np.arange(40, dtype=np.float32); b = np.arange(60, dtype=np.float32)
c = np.zeros(200, np.float32)
product(c, 0, 20, c, 0, 20, a, 0, 4, 0, 1, b, 0, 0, 15, 10, 15, 1, 4)
ref = a.reshape(10, 4) @ b.reshape(4, 15)
assert np.array_equal(c.reshape(10, 20)[:, :15], ref)
print(HOST.lanes)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "lanes"),
    [
        ({"NUMBA_CPU_NAME": "haswell"}, "8"),
        ({"NUMBA_CPU_NAME": "x86-64"}, "4"),
        ({"NUMBA_DISABLE_JIT": "1"}, None),
    ],
)
def test_narrow_processors_and_no_compiler_at_all(setting, lanes, tmp_path) -> None:
    environment = os.environ | setting | {"NUMBA_CACHE_DIR": str(tmp_path)}
    got = subprocess.run(
        [sys.executable, "-c", SMOKE], env=environment, capture_output=True, text=True, check=True
    )
    assert lanes is None or got.stdout.strip() == lanes
