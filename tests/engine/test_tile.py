"""The tile against a triple loop, and on narrower processors."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from llvmlite import ir
from numba import njit

from convcli.engine.filter_plan import compiled_code_runs
from convcli.engine.llvm import Vectors, pointer
from convcli.engine.tile import (
    NO_BOUNDS,
    PANEL,
    RELUS,
    Extent,
    Left,
    Right,
    Rows,
    bounds_of,
    narrow_tile,
    wide_tile,
)  # fmt: skip

OPERANDS = 4000


@njit
def product(c, start, a, b, size, bounds):
    """Run the tiles on four flat arrays, each with the place where its operand begins."""
    left = Left(pointer(a[0], a[1].at), a[1].row, a[1].block, a[1].step)
    done = size.columns // PANEL * PANEL
    wide_tile(
        Rows(pointer(c[0], c[1].at), c[1].row),
        Rows(pointer(start[0], start[1].at), start[1].row), left,
        Right(pointer(b[0], b[1].at), b[1].block, b[1].step),
        Extent(size.rows, done, size.blocks, size.steps), bounds,
    )  # fmt: skip
    narrow_tile(
        Rows(pointer(c[0], c[1].at + done), c[1].row),
        Rows(pointer(start[0], start[1].at + done), start[1].row), left,
        Right(pointer(b[0], b[1].at + done), b[1].block, b[1].step),
        Extent(size.rows, size.columns - done, size.blocks, size.steps), bounds,
    )  # fmt: skip


def triple_loop(c, start, a, b, size, bounds) -> np.ndarray:
    """Return what `product` should leave in c, added in double precision."""
    (c, c_is), (start, start_is), (a, a_is), (b, b_is) = c, start, a, b
    result = c.copy()
    for m in range(size.rows):
        for n in range(size.columns):
            total = float(start[start_is.at + m * start_is.row + n])
            for r in range(size.blocks):
                for k in range(size.steps):
                    one = a[a_is.at + m * a_is.row + r * a_is.block + k * a_is.step]
                    total += float(one) * float(b[b_is.at + r * b_is.block + k * b_is.step + n])
            result[c_is.at + m * c_is.row + n] = min(max(total, bounds.low), bounds.high)
    return result


def small_integers(seed: int) -> np.ndarray:
    """Integers, so that float32 sums are exact in any order."""
    return np.random.default_rng(seed).integers(-4, 5, OPERANDS).astype(np.float32)


needs_compiler = pytest.mark.skipif(
    not compiled_code_runs(), reason="vector code exists only compiled"
)


@needs_compiler
@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(0, 31),
    columns=st.integers(0, 70),
    blocks=st.integers(0, 3),
    steps=st.integers(0, 9),
    a_row=st.integers(-5, 5),
    b_step=st.sampled_from([0, 1, 33, 70]),
    relu=st.sampled_from([0, *RELUS.values()]),
)
def test_every_size_and_stride_gives_the_sum(
    rows, columns, blocks, steps, a_row, b_step, relu
) -> None:
    operands = (
        (small_integers(4), Rows(7, 72)),
        (small_integers(3), Rows(5, 0)),
        (small_integers(1), Left(400, a_row, 40, 3)),
        (small_integers(2), Right(11, 300, b_step)),
    )
    size, bounds = Extent(rows, columns, blocks, steps), bounds_of.py_func(relu)
    ref = triple_loop(*operands, size, bounds)
    product(*operands, size, bounds)
    np.testing.assert_array_equal(operands[0][0], ref)


@needs_compiler
def test_start_at_the_result_accumulates() -> None:
    c = (np.ones(6, np.float32), Rows(0, 3))
    a = (np.array([1, 2], np.float32), Left(0, 1, 0, 0))
    b = (np.array([10, 20, 30], np.float32), Right(0, 0, 0))
    product(c, c, a, b, Extent(2, 3, 1, 1), NO_BOUNDS)
    np.testing.assert_array_equal(c[0], np.array([11, 21, 31, 21, 41, 61], np.float32))


@needs_compiler
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
        product(
            (got.ravel(), Rows(y * 35, 5)), (zeros, Rows(0, 0)),
            (image_HWC.ravel(), Left(y * 24, 3, 24, 1)), (kernel_HWIO.ravel(), Right(0, 30, 5)),
            Extent(7, 5, 3, 6), NO_BOUNDS,
        )  # fmt: skip
    np.testing.assert_array_equal(got, ref)


@needs_compiler
def test_a_not_a_number_is_not_hidden_by_the_bound() -> None:
    c, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    a = (np.array([np.nan], np.float32), Left(0, 1, 1, 1))
    to, relu6 = (c, Rows(0, 1)), bounds_of.py_func(2)
    product(to, to, a, (one, Right(0, 1, 1)), Extent(1, 1, 1, 1), relu6)
    assert np.isnan(c[0])


SMOKE = """
import numpy as np
from convcli.engine.llvm import host
from tests.engine.test_tile import NO_BOUNDS, Extent, Left, Right, Rows, product
a = np.arange(40, dtype=np.float32); b = np.arange(60, dtype=np.float32)
c = (np.zeros(200, np.float32), Rows(0, 20))
product(c, c, (a, Left(0, 4, 0, 1)), (b, Right(0, 0, 15)), Extent(10, 15, 1, 4), NO_BOUNDS)
ref = a.reshape(10, 4) @ b.reshape(4, 15)
assert np.array_equal(c[0].reshape(10, 20)[:, :15], ref)
print(host().lanes)
"""


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(("name", "lanes"), [("haswell", "8"), ("x86-64", "4")])
def test_narrow_processors(name, lanes) -> None:
    got = subprocess.run(
        [sys.executable, "-c", SMOKE], env=os.environ | {"NUMBA_CPU_NAME": name},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert got.stdout.strip() == lanes


@pytest.mark.parametrize(
    ("triple", "own"), [("x86_64-unknown-linux-gnu", True), ("arm64-apple-darwin", False)]
)
def test_instructions_of_one_processor_are_not_asked_of_another(triple, own) -> None:
    module = ir.Module()
    module.triple = triple
    kind = ir.VectorType(ir.IntType(16), 8)
    function = ir.Function(module, ir.FunctionType(kind, [kind, kind]), "upper")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(Vectors(builder, ir.IntType(16), 8).upper_product(*function.args))
    assert ("llvm.x86" in str(module)) == own
