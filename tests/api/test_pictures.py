"""`convcli.filter_image` and `pool` on whatever people hold their pictures in."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.api.settings import FilterSettings, RecipeSettings
from convcli.errors import InputError, MissingFileError, UsageError, WrongTypeError
from convcli.imaging.options import FilterOptions
from convcli.learn.recipes import Recipe

SAMPLES = Path(__file__).parents[2] / "samples"
PHOTO = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
REF = convcli.filter_image(PHOTO, "sobel")


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray(PHOTO),
        np.repeat(PHOTO, 2, axis=1)[:, ::2],
        PHOTO[::-1][::-1],
        np.moveaxis(np.ascontiguousarray(np.moveaxis(PHOTO, -1, 0)), 0, -1),
        PHOTO.tolist(),
    ],
    ids=["fortran", "strided", "reversed", "planes", "list"],
)
def test_any_layout(layout: Any) -> None:
    got = convcli.filter_image(layout, "sobel", value_range="abs")
    np.testing.assert_array_equal(got, REF if isinstance(layout, np.ndarray) else got)
    assert got.shape == PHOTO.shape


@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64", "int32"])
def test_any_byte_order(dtype: str) -> None:
    native = PHOTO.astype(dtype)
    ref = convcli.filter_image(native, "gaussian:sigma=1")
    got = convcli.filter_image(native.astype(native.dtype.newbyteorder(">")), "gaussian:sigma=1")
    assert got.dtype == ref.dtype
    np.testing.assert_array_equal(got, ref)


def test_half_floats_are_pictures_and_stay_half_floats() -> None:
    half = (PHOTO / 255).astype(np.float16)
    got = convcli.filter_image(half, "gaussian:sigma=1")
    assert got.dtype == np.float16
    ref = convcli.filter_image(half.astype(np.float32), "gaussian:sigma=1")
    np.testing.assert_array_equal(got, ref.astype(np.float16))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "I;16"])
def test_a_pillow_picture_is_what_its_file_is(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(PHOTO)
    picture = Image.fromarray(PHOTO[..., 0].astype(np.uint16)) if mode == "I;16" else picture
    picture = picture.convert(mode) if mode != "I;16" else picture
    picture.save(tmp_path / "a.png")
    got = convcli.filter_image(picture, "box")
    ref = convcli.filter_image(tmp_path / "a.png", "box")
    assert got.dtype == ref.dtype
    np.testing.assert_array_equal(got, ref)


def test_torch_tensors_on_the_processor() -> None:
    torch = pytest.importorskip("torch", reason="tensors are of torch")
    np.testing.assert_array_equal(convcli.filter_image(torch.from_numpy(PHOTO), "sobel"), REF)
    learned = torch.from_numpy(PHOTO / np.float32(255)).requires_grad_()
    ref = convcli.filter_image(PHOTO / np.float32(255), "box")
    np.testing.assert_array_equal(convcli.filter_image(learned, "box"), ref)
    half = torch.from_numpy(PHOTO / np.float32(255)).half()
    assert convcli.filter_image(half, "box").dtype == np.float16


def test_out_is_filled_and_returned() -> None:
    out = np.zeros(REF.shape, np.uint16)
    assert convcli.filter_image(PHOTO, "sobel", out=out) is out
    np.testing.assert_array_equal(out, REF)
    with pytest.raises(UsageError, match=r"out holds uint8 of shape \(3, 3\)"):
        convcli.filter_image(PHOTO, "sobel", out=np.zeros((3, 3), np.uint8))
    with pytest.raises(UsageError, match="out holds uint8"):
        convcli.filter_image(PHOTO, "sobel", value_range="raw", out=np.zeros(REF.shape, np.uint8))


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: convcli.filter_image(PHOTO, "sobl"), ValueError, "Did you mean"),
        (lambda: convcli.filter_image(PHOTO, "box", bordr="wrap"), TypeError, "mean border"),
        (lambda: convcli.filter_image(PHOTO, "box", border="wrop"), ValueError, "mean wrap"),
        (lambda: convcli.filter_image(PHOTO, "box", stride="two"), TypeError, "must be int"),
        (lambda: convcli.filter_image(PHOTO, "box", alpha="no"), ValueError, "keep, filter"),
        (lambda: convcli.filter_image(None, "box"), TypeError, "real numbers"),
        (lambda: convcli.filter_image(PHOTO * 1j, "box"), TypeError, "complex128"),
        (lambda: convcli.filter_image([[1], [2, 3]], "box"), TypeError, "is no picture"),
        (lambda: convcli.filter_image(np.zeros(3), "box"), ValueError, "H x W"),
        (lambda: convcli.filter_image("nowhere.png", "box"), FileNotFoundError, "nowhere.png"),
        (lambda: convcli.pool(PHOTO), ValueError, "one of max= and avg="),
        (lambda: convcli.pool(PHOTO, max="2y2"), ValueError, "no size"),
    ],
)
def test_mistakes_are_errors_that_numpy_users_catch(call: Any, kind: type, says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        call()
    assert isinstance(caught.value, UsageError | InputError | MissingFileError | WrongTypeError)


def test_sizes_and_lists_are_what_the_options_say() -> None:
    ref = convcli.filter_image(PHOTO, "box", region="2,3,10,8", channels="red,blue")
    got = convcli.filter_image(PHOTO, "box", region=(2, 3, 10, 8), channels=["red", "blue"])
    np.testing.assert_array_equal(got, ref)
    assert convcli.filter_image(PHOTO, "box", stride=np.int64(2)).shape == (10, 15, 3)
    with pytest.raises(InputError, match="limit of 1 MB"):
        convcli.filter_image(SAMPLES / "photo.png", "box", memory_limit="1MB")


def test_kernels_by_name_chains_and_pools() -> None:
    sobel = convcli.kernel("sobel")
    np.testing.assert_array_equal(convcli.filter_image(PHOTO, sobel), REF)
    chain = [convcli.kernel("gaussian:sigma=1"), sobel]
    ref = convcli.filter_image(PHOTO, ["gaussian:sigma=1", "sobel"])
    np.testing.assert_array_equal(convcli.filter_image(PHOTO, chain), ref)
    assert {one.group for one in convcli.list_kernels("smooth")} == {"smooth"}
    for size in (2, "2x3", (2, 3)):
        got = convcli.pool(PHOTO, max=size, stride=2)
        assert got.dtype == np.uint8
        assert got[0, 0, 0] == PHOTO[:2, : (2 if size == 2 else 3), 0].max()


@pytest.mark.parametrize(
    ("settings", "group", "others"),
    [
        (FilterSettings, FilterOptions, {"recursive", "in_place", "skip_existing", "stretch_from",
                                         "on_compile", "format_out"}),
        (RecipeSettings, Recipe, {"network"}),
    ],
)  # fmt: skip
def test_the_names_for_type_checkers_are_the_fields(
    settings: type, group: type, others: set[str]
) -> None:
    assert get_type_hints(settings).keys() == get_type_hints(group).keys() - others


def test_arguments_are_completed() -> None:
    shown = inspect.signature(convcli.filter_image).parameters
    assert {"source", "kernel", "out", "border", "value_range"} <= shown.keys()
    assert shown["border"].default == "reflect"
    assert not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in shown.values())
    assert inspect.signature(convcli.fit).parameters["batch"].default == 128
