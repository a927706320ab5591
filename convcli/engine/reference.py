"""The tile's product in plain NumPy, for any float type: the oracle of `convcli.engine.tile`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

NO_BOUND = np.float32(-np.inf)
"""`lowest` for results that are not cut off below."""


def product(
    c: Any, c_at: int, c_row: int, start: Any, start_at: int, start_row: int,
    a: Any, a_at: int, a_row: int, a_block: int, a_step: int,
    b: Any, b_at: int, b_block: int, b_step: int,
    rows: int, columns: int, blocks: int, steps: int, lowest: float | np.float32 = NO_BOUND,
) -> None:  # fmt: skip
    """Write `max(lowest, start + A * B)` to `rows` x `columns` numbers of the flat array `c`.

    A is read at `a_at + m*a_row + r*a_block + k*a_step`, B at `b_at + r*b_block + k*b_step + n`.

    >>> c, a, b = np.zeros(4), np.array([1.0, 2, 3, 4]), np.array([5.0, 6, 7, 8])
    >>> product(c, 0, 2, c, 0, 2, a, 0, 2, 0, 1, b, 0, 0, 2, 2, 2, 1, 2)
    >>> c.reshape(2, 2)  # [[1, 2], [3, 4]] @ [[5, 6], [7, 8]]
    array([[19., 22.],
           [43., 50.]])
    """
    a_mrk = _view(a, a_at, (rows, blocks, steps), (a_row, a_block, a_step))
    b_rkn = _view(b, b_at, (blocks, steps, columns), (b_block, b_step, 1))
    start_mn = _view(start, start_at, (rows, columns), (start_row, 1))
    c_mn = _view(c, c_at, (rows, columns), (c_row, 1))
    c_mn[...] = np.maximum(start_mn + np.einsum("mrk,rkn->mn", a_mrk, b_rkn), lowest)


def _view(flat: Any, at: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    size = flat.itemsize
    return as_strided(flat[at:], shape, [stride * size for stride in strides])
