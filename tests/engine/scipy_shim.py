"""A pytest plugin that puts our correlate and convolve into scipy.ndimage, for scipy's own tests.

scipy's result has the input's dtype, and integers are cut off rather than rounded: that is done
here, to our values. Complex numbers are put together from real ones as scipy does, and what scipy
refuses with errors of its own kind, and we take, is refused here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from scipy import ndimage
from scipy._lib._array_api import xp_capabilities_table
from scipy.ndimage import _ni_support

import convcli
from convcli.errors import UsageError


def as_scipy(ours: Callable[..., Any], name: str) -> Callable[..., Any]:
    theirs = getattr(ndimage, name)

    @wraps(theirs)
    def call(
        input: Any,  # noqa: A002
        weights: Any,
        output: Any = None,
        mode: Any = "reflect",
        cval: Any = 0.0,
        origin: Any = 0,
        *,
        axes: Any = None,
    ) -> Any:
        array, kernel = np.asarray(input), np.asarray(weights)
        if "c" in {array.dtype.kind, kernel.dtype.kind}:
            return theirs(input, weights, output, mode, cval, origin, axes=axes)
        if not isinstance(mode, str):
            raise RuntimeError("A sequence of modes is not supported")
        try:
            values = ours(array, kernel, None, mode, cval, origin, axes=axes)
        except UsageError as problem:
            if "weights.ndim" in str(problem):
                raise RuntimeError(str(problem)) from problem
            if "nor one for each" in str(problem):
                text = "sequence argument must have length equal to input rank"
                raise RuntimeError(text) from problem
            raise
        made = _ni_support._get_output(output, array)
        made[...] = values.astype(made.dtype)
        return made

    return call


for word in ("correlate", "convolve"):
    changed = as_scipy(getattr(convcli, word), word)
    xp_capabilities_table[changed] = xp_capabilities_table[getattr(ndimage, word)]
    setattr(ndimage, word, changed)
