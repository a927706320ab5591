"""Every case of the shared reference file, by each engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from convcli.engine.correlation import convolve, correlate
from convcli.engine.filter import apply, plan_filter

CASES = json.loads((Path(__file__).parent.parent / "reference" / "filters.json").read_text())[
    "cases"
]


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_reference_values(case: dict, engine: str) -> None:
    ref = np.array(case["expected"], dtype=case["output_dtype"])
    image = np.array(case["image"], dtype=case["image_dtype"])
    kernel = np.array(case["kernel"])
    settings = {
        "cval": case["cval"],
        "stride": tuple(case["stride"]),
        "dilation": tuple(case["dilation"]),
        "engine": engine,
    }
    got = apply(
        image,
        kernel,
        border=case["mode"],
        offset=case["offset"],
        output_dtype=case["output_dtype"],
        convolve=case["operation"] == "convolve",
        **settings,
    ).values
    assert got.dtype == ref.dtype
    np.testing.assert_allclose(got, ref, rtol=0, atol=case["tolerance"])
    if case["offset"] or image.ndim > 2:
        return
    call = {"convolve": convolve, "correlate": correlate}[case["operation"]]
    got = call(image, kernel, case["output_dtype"], case["mode"], **settings)
    np.testing.assert_allclose(got, ref, rtol=0, atol=case["tolerance"])


def test_a_plan_is_made_once_for_pictures_of_a_size() -> None:
    kernel = np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    first = plan_filter((90, 80), np.uint8, kernel, divisor=16.0)
    assert plan_filter([90, 80], "uint8", kernel.tolist(), divisor=16) is first
    assert plan_filter((90, 80), np.uint8, kernel, divisor=8) is not first
    kernel[0, 0] = 9
    assert plan_filter((90, 80), np.uint8, kernel, divisor=16) is not first
    assert first.kernels[0][0, 0] == 1
