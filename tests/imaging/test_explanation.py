"""Explained terms add up to what the filter gives, at every kind of place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as some

from convcli.errors import UsageError
from convcli.imaging.chain import make_steps
from convcli.imaging.explanation import explain_frame
from convcli.imaging.filtering import filter_frame
from convcli.imaging.options import FilterOptions
from convcli.imaging.picture import Frame

KERNELS = ["1 2 -1; 0 3 1", "sobel", "box", "emboss-pillow", "roberts"]


@settings(deadline=None, max_examples=60)
@given(
    kernel=some.sampled_from(KERNELS),
    border=some.sampled_from(["reflect", "mirror", "nearest", "wrap", "constant:9"]),
    padding=some.sampled_from(["same", "valid", "full"]),
    convolve=some.booleans(),
    stride=some.integers(1, 2),
    dilation=some.integers(1, 2),
    magnitude=some.sampled_from(["l2", "l1", "max"]),
    place=some.tuples(some.floats(0, 0.999), some.floats(0, 0.999)),
)
def test_terms_add_up_to_the_filtered_value(
    kernel: str,
    border: str,
    padding: str,
    convolve: bool,
    stride: int,
    dilation: int,
    magnitude: str,
    place: tuple[float, float],
) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (7, 8, 3)).astype(np.uint8)
    options = FilterOptions(
        convolve=convolve,
        border=border,
        padding=padding,
        stride=stride,
        dilation=dilation,
        magnitude=magnitude if make_steps(kernel, FilterOptions())[0].is_gradient else "l2",
        value_range="raw",
        engine="numpy",
    )
    steps = make_steps(kernel, options)
    ref = filter_frame(Frame(pixels), steps, options).frame.pixels
    row, column = (int(share * size) for share, size in zip(place, ref.shape, strict=False))
    got = explain_frame(Frame(pixels), steps, options, row, column)
    assert [one.value for one in got] == pytest.approx(ref[row, column].tolist(), rel=1e-6)
    for one in got:
        for term in (term for part in one.components for term in part.terms):
            if term.place is None:
                assert term.value == 9
            else:
                assert term.value == pixels[*term.place, one.channel]


def test_a_chain_is_explained_from_what_the_first_kernels_gave() -> None:
    picture = Frame(np.array([[0, 9, 0]], np.uint8))
    options = FilterOptions(border="constant", value_range="raw")
    (got,) = explain_frame(picture, make_steps(["box", "1 1 1"], options), options, 0, 1)
    assert [term.value for term in got.components[0].terms] == [1, 1, 1]  # 9/9 each
    assert got.value == 3


def test_the_rule_has_its_numbers() -> None:
    picture = Frame(np.array([[3, 0], [0, 4]], np.uint8))
    options = FilterOptions(padding="valid")
    (got,) = explain_frame(picture, make_steps("roberts", options), options, 0, 0)
    assert got.rule in {"sqrt((-1)^2 + 0^2) = 1", "sqrt(1^2 + 0^2) = 1"}
    (got,) = explain_frame(picture, make_steps("1 1; 1 1", options), options, 0, 0)
    assert (got.rule, got.value) == ("7", 7)
    options = FilterOptions(padding="valid", divisor=2, offset=10)
    (got,) = explain_frame(picture, make_steps("1 1; 1 1", options), options, 0, 0)
    assert (got.rule, got.value, got.pixel) == ("7 / 2 + 10 = 13.5", 13.5, 14)


def test_a_place_outside_names_the_size() -> None:
    options = FilterOptions(padding="valid")
    steps = make_steps("box", options)
    with pytest.raises(UsageError, match=r"outside the output of 2 x 1: rows go from 0 to 1"):
        explain_frame(Frame(np.zeros((4, 3), np.uint8)), steps, options, 2, 0)


@pytest.mark.parametrize(
    ("kernels", "settings"),
    [
        (["gaussian:1", "threshold:100"], {}),
        (["box", "threshold:otsu"], {}),
        (["sobel-x", "abs", "levels:5,90", "gamma:1.8"], {}),
        (["sobel", "scale:factor=-1,add=20", "relu"], {}),
        (["invert"], {}),
        (["box"], {"strength": 0.5}),
        (["box", "invert"], {"blend": "multiply", "strength": 0.25}),
        (["sobel-x"], {"blend": "difference", "value_range": "stretch"}),
        *((["sobel-x"], {"blend": word}) for word in ("screen", "darken", "lighten", "add")),
    ],
)
def test_steps_behind_a_kernel_are_explained_to_the_pixel(
    kernels: list[str], settings: dict[str, object]
) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    options = FilterOptions(**settings)  # type: ignore[arg-type]
    steps = make_steps(kernels, options)
    ref = filter_frame(Frame(pixels), steps, options).frame.pixels
    for place in ((0, 0), (4, 5)):
        got = explain_frame(Frame(pixels), steps, options, *place)
        assert [one.pixel for one in got] == ref[place].tolist()
        ends = [one.value for one in got]
        if settings == {} and not steps[-1].name.startswith("scale"):
            ends = [min(255, max(0, end)) for end in ends]
        assert np.allclose(np.clip(np.rint(ends), 0, 255), ref[place], atol=0.6)
        for one in got:
            assert one.steps[-1][2] == one.value
            if steps[0].name != "invert":
                assert len(one.components[0].terms) >= 9
            else:
                assert one.kernel_value == pixels[place][one.channel]


def test_a_step_is_explained_with_its_numbers() -> None:
    picture, options = Frame(np.array([[30, 60]], np.uint8)), FilterOptions(border="constant")
    (got,) = explain_frame(picture, make_steps(["1 1 1", "threshold:80"], options), options, 0, 0)
    assert got.steps == (("threshold:level=80", "90 > 80: 255", 255.0),)
    with pytest.raises(UsageError, match="resize:size=2 is neither: leave it out"):
        explain_frame(picture, make_steps(["box", "resize:2"], options), options, 0, 0)
    with pytest.raises(UsageError, match="outside the output of 1 x 2"):
        explain_frame(picture, make_steps("invert", options), options, 1, 0)
