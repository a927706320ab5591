"""From what a user writes to a kernel: names, aliases, families, rows."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.errors import UsageError
from convcli.kernels import FAMILIES, Kernel, Magnitude, all_kernels, combine, find, names

REFERENCE = json.loads(
    (Path(__file__).parent.parent / "reference" / "kernels.json").read_text(encoding="utf-8")
)
OURS_WINS = {"frei-chen", "edge-detect"}
"""Aliases that the command line gives another meaning: a magnitude, and GIMP's edge detector."""


@pytest.mark.parametrize("ref", REFERENCE, ids=lambda ref: ref["name"])
def test_every_reference_kernel_is_found_by_each_of_its_names(ref: dict[str, Any]) -> None:
    expected = [[cell / ref["divisor"] for cell in cells] for cells in ref["matrix"]]
    for name in {ref["name"], *ref["aliases"]} - OURS_WINS:
        got = find(name)
        assert isinstance(got, Kernel)
        assert got.size_hw == (len(expected), len(expected[0]))
        flat = [cell for cells in got.weights for cell in cells]
        assert [c for cells in expected for c in cells] == pytest.approx(flat, rel=1e-14, abs=1e-16)
        assert ref["offset"] == got.offset
        assert ref["sum"] == pytest.approx(got.sum, abs=1e-12)
        assert ref["separable"] == (got.factors is not None) == (got.rank == 1)


def test_every_kernel_names_its_source_and_no_two_share_a_name() -> None:
    kernels = all_kernels()
    assert all(kernel.source for kernel in kernels)
    spoken = [name for kernel in kernels for name in (kernel.name, *kernel.aliases)]
    assert len(spoken) == len(set(spoken))


def test_bare_gradient_operators_are_magnitudes_of_their_components() -> None:
    for name in ("sobel", "prewitt", "scharr", "roberts", "frei-chen"):
        got = find(name)
        assert isinstance(got, Magnitude)
        assert got.components == (find(f"{name}-x"), find(f"{name}-y"))
        (a, b), (c, d) = (component.direction_xy for component in got.components)
        assert a * c + b * d == pytest.approx(0, abs=1e-12)
        assert math.hypot(a, b) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("emboss", ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))),
        ("edge-detect", ((0, -1, 0), (-1, 4, -1), (0, -1, 0))),
        ("sharpen", ((0, -1, 0), (-1, 5, -1), (0, -1, 0))),
        ("line", ((-1, -1, -1), (2, 2, 2), (-1, -1, -1))),
        ("difference-x", ((-1, 0, 1),)),
        ("edge-vertical", ((1, 0, -1),) * 3),
        ("laplacian", ((0, 1, 0), (1, -4, 1), (0, 1, 0))),
        ("laplacian-8", ((1, 1, 1), (1, -8, 1), (1, 1, 1))),
    ],
)
def test_kernels_printed_in_lectures(name: str, rows: tuple[tuple[int, ...], ...]) -> None:
    got = find(name)
    assert isinstance(got, Kernel)
    assert rows == got.rows


def test_the_lectures_gaussian_sums_to_1068_before_its_divisor() -> None:
    got = find("gaussian-lecture")
    assert isinstance(got, Kernel)
    top = ((0, 0, 0, 5, 0, 0, 0), (0, 5, 18, 32, 18, 5, 0), (0, 18, 64, 100, 64, 18, 0))
    assert (*top, (5, 32, 100, 100, 100, 32, 5), *top[::-1]) == got.rows
    assert sum(map(sum, got.rows)) == 1068 == got.divisor


@pytest.mark.parametrize("spec", ["Sobel-X", "sobel_x", "  sobel-x ", "SOBELX"])
def test_spelling_is_forgiven(spec: str) -> None:
    assert find(spec) is find("sobel-x")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("gausian", r"no kernel called 'gausian'\. Did you mean gaussian"),
        ("sobl-x", "sobel-x"),
        ("qqq", r"no kernel called 'qqq'\. List them: convcli kernels"),
        ("", "No kernel was given"),
        ("q" * 5000, r"'q{40}\.\.\.'"),
        ("sharpen-8:amount=2", "sharpen-8 has no parameters; these have: gaussian"),
        ("gausian:sigma=2", "Did you mean gaussian"),
        ("gaussian:radius=2,1", "radius is given twice"),
        ("augment:x", "no kernel called"),
        ("gaussian:sgma=2", r"no parameter 'sgma'; it has sigma, radius\. Did you mean sigma"),
        ("gaussian:sigma=2,sigma=3", "sigma is given twice"),
        ("gaussian:sigma=x", "sigma=x is not a number"),
        ("gaussian:sigma=nan", "outside 0.1 to 125"),
        ("gaussian:sigma=1e9", r"sigma=1e9 is outside 0\.1 to 125 \(width of the Gaussian"),
        ("gaussian:sigma=-1", "outside"),
        ("gaussian:radius=1e9", "radius=1e9 is outside 0 to 510"),
        ("gaussian:radius=1.5", "must be a whole number"),
        ("box:size=0", "outside 1 to 1023"),
        ("dog:sigma=100,ratio=10", "sigma 1000 is over 125"),
        ("gabor:sigma=100,aspect=0.1", "reach 3000 pixels"),
        ("sobel:size=4", "must be odd, such as 3 or 5"),
        ("sobel:size=33", "outside 3 to 31"),
        ("kirsch:direction=up", "none of n, ne, e, se, s, sw, w, nw"),
        ("line:angle=30", "0, 45, 90 and 135"),
        ("motion:length=inf", "outside"),
    ],
)
def test_a_mistake_is_told_with_the_way_out(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find(spec)


def test_a_chain_of_linear_kernels_equals_one() -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="the oracle for filters")
    picture = np.random.default_rng(1).random((30, 31))
    for chain in (["gaussian-3", "sobel-x"], ["1 1", "1 -1"], ["roberts-1", "box-3", "1 2; 3 4"]):
        ref = picture
        for name in chain:
            ref = ndimage.correlate(ref, np.array(find(name).weights))
        one = combine([find(name) for name in chain])
        got = ndimage.correlate(picture, np.array(one.weights))
        np.testing.assert_allclose(ref[8:-8, 8:-8], got[8:-8, 8:-8], atol=1e-12)
    assert combine([find("box-3")]).rows == find("box-3").rows
    for wrong in (["sobel", "box-3"], ["emboss-pillow"], ["gaussian:20", "gaussian:20"]):
        with pytest.raises(UsageError, match=r"no one kernel|more than 129"):
            combine([find(name) for name in wrong])


def test_the_lectures_names_are_understood() -> None:
    assert find("sobel-vertical").name == "sobel-x"
    assert find("sobel-horizontal").name == "sobel-y"
    assert find("central-difference").name == "central-difference-x"


def test_names_are_all_that_can_be_found() -> None:
    assert {"sobel-x", "blur", "gabor", "frei-chen"} <= set(names())
    for name in names():
        assert find(name).name


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_familys_example_works_and_keeps_its_name(family: Any) -> None:
    assert find(family.example).name == family.example


def test_the_anchor_of_even_kernels_is_noted() -> None:
    for name in ("roberts", "roberts-1", "roberts-2"):
        assert "the output pixel lies on the lower right cell" in find(name).notes
    assert "Even" not in find("sobel").notes
