"""What `filter` and `kernels` show besides results: figures, surfaces, before and after."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run
from convcli.kernels import find

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small color picture with noise and an edge."""
    pixels = np.random.default_rng(7).integers(0, 40, (24, 31, 3)).astype(np.uint8)
    pixels[:, 15:] += 180
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_stats_are_numpys_of_the_values_before_conversion(photo: Path, capsys: Capture) -> None:
    words = ["filter", str(photo), "-k", "sobel-x", "--stats", "--format"]
    assert run([*words, "json"]) == 0
    (got,) = json.loads(capsys.readouterr().out)
    raw = convcli.filter_image(photo, "sobel-x", value_range="raw").astype(float)
    for channel, one in enumerate(got["stats"]):
        values = raw[..., channel]
        assert one["channel"] == ("red", "green", "blue")[channel]
        assert one["mean"] == pytest.approx(values.mean())
        assert one["deviation"] == pytest.approx(values.std())
        assert (one["min"], one["max"]) == (values.min(), values.max())
        assert one["p25"] == pytest.approx(np.percentile(values, 25))
        ref, _ = np.histogram(values, 32, (values.min(), values.max()))
        assert one["histogram"] == ref.tolist()
    assert run([*words, "plain", "--force"]) == 0
    told = capsys.readouterr().out
    assert "Deviation" in told
    assert "█" in told


def test_a_flat_picture_has_stats_too() -> None:
    done = convcli.filter_result(np.full((5, 6), 7, np.uint8), "box", stats=True)
    assert (done.figures[0].mean, done.figures[0].deviation) == (7, 0)
    assert sum(done.figures[0].counts) == 30


def test_compare_sets_original_and_result_side_by_side_or_half_by_half(
    photo: Path, capsys: Capture
) -> None:
    before, after = opened(photo), convcli.filter_image(photo, "sobel")
    words = ["filter", str(photo), "-k", "sobel", "--quiet"]
    assert run([*words, "--compare", "side"]) == 0
    side = opened(photo.with_name("photo_sobel-side.png"))
    assert np.array_equal(before, side[:, :31])
    assert np.array_equal(after, side[:, -31:])
    assert (side[:, 31:-31] == 255).all()
    assert run([*words, "--compare", "wipe"]) == 0
    wipe = opened(photo.with_name("photo_sobel-wipe.png"))
    assert np.array_equal(before[:, :14], wipe[:, :14])
    assert np.array_equal(after[:, 16:], wipe[:, 16:])
    assert run([*words, "-k", "resize:0.5", "--compare", "wipe"]) == 2
    assert "two pictures of one size, not 31 x 24 and 16 x 12" in capsys.readouterr().err
    assert run([*words, "-k", "resize:0.5", "--compare", "side"]) == 0
    assert run([*words, "--range", "raw", "--compare", "side", "-o", "x.npy"]) == 2
    assert run([*words, "--gray", "--compare", "side", "-o", f"{photo.parent}/gray.png"]) == 0
    assert opened(photo.parent / "gray.png").ndim == 2


def test_compare_keeps_transparency_and_depth() -> None:
    pixels = np.full((8, 8, 4), 60000, np.uint16)
    pixels[..., 3] = 30000
    both = convcli.filter_image(pixels, "box", compare="side")
    assert (both.dtype, both.shape) == (np.uint16, (8, 24, 4))
    assert (both[:, :8] == pixels).all()
    colors = np.dstack([np.full((8, 8), 9, np.uint8)] * 3)
    mixed = convcli.filter_image(colors, "canny", compare="side")
    assert mixed.shape == (8, 24, 3)


def test_numbers_are_those_of_input_and_result(photo: Path, capsys: Capture) -> None:
    words = ["filter", str(photo), "-k", "box", "--numbers", "13,5,4"]
    assert run([*words, "--format", "json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["input"] == opened(photo)[5:9, 13:17].tolist()
    assert got["result"] == convcli.filter_image(photo, "box")[5:9, 13:17].tolist()
    assert not list(photo.parent.glob("photo_*"))
    assert run([*words, "--gray"]) == 0
    told = capsys.readouterr().out
    assert "Input\n" in told
    assert "Result\n" in told
    for wrong, said in (
        ("1,2", "Write X,Y,N"),
        ("1,2,99", "1 to 40 values"),
        ("31,0,2", "outside the input of 31 x 24"),
    ):
        assert run([*words[:-1], wrong]) == 2
        assert said in capsys.readouterr().err
    assert run([*words, "--explain", "1,1"]) == 2
    assert "--explain and --numbers each show one thing" in capsys.readouterr().err
    assert run([*words, "-o", "x.png"]) == 2


def test_a_surface_is_drawn_and_never_replaces_a_file(photo: Path, capsys: Capture) -> None:
    pytest.importorskip("matplotlib", reason="draws figures")
    target = photo.with_name("surface.png")
    words = ["filter", str(photo), "-k", "gaussian:2", "--surface", str(target)]
    assert run(words) == 0
    assert opened(target).std() > 10
    assert "800 x 800 pixels" in capsys.readouterr().err
    assert run(words) == 4
    assert run([*words[:-1], str(photo), "--force"]) == 2


@pytest.mark.parametrize("name", ["sobel", "gaussian:2", "motion", "1 0 -1", "gabor:angle=30"])
def test_a_kernel_is_drawn_as_matrix_surface_and_response(
    name: str, tmp_path: Path, capsys: Capture
) -> None:
    pytest.importorskip("matplotlib", reason="draws figures")
    target = tmp_path / "kernel.svg"
    assert run(["kernels", name, "-o", str(target), "--title", "A kernel"]) == 0
    text = target.read_text()
    for word in ("A kernel", "weight", "cycles a pixel, across", "frequency response"):
        assert word in text
    assert run(["kernels", name, "-o", str(target)]) == 4
    assert run(["kernels", name, "--dpi", "90"]) == 2
    assert "--dpi only means something with -o FILE" in capsys.readouterr().err


def test_the_response_is_numpys_fourier_transform() -> None:
    pytest.importorskip("matplotlib", reason="draws figures")
    from convcli.present.surfaces import GRID, response

    for name in ("sobel-x", "gaussian:1", "emboss", "1 2 3; 4 5 6"):
        kernel = find(name)
        padded = np.zeros((GRID - 1, GRID - 1))
        rows = np.array(kernel.weights)  # type: ignore[union-attr]
        padded[: rows.shape[0], : rows.shape[1]] = rows
        ref = np.fft.fftshift(np.abs(np.fft.fft2(padded)))
        np.testing.assert_allclose(ref, response(kernel)[:-1, :-1], atol=1e-9)  # type: ignore[arg-type]


def test_a_sheet_takes_kernels_by_k_and_keeps_signs(photo: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="draws figures")
    sheet = tmp_path / "sheet.png"
    words = ["kernels", "--sheet", str(photo), "-o", str(sheet), "-k", "sobel-x", "-k", "1 0 -1"]
    assert run([*words, "--quiet"]) == 0
    pixels = opened(sheet)[..., :3].astype(int)
    reds = ((pixels[..., 0] - pixels[..., 2]) > 100).sum()
    blues = ((pixels[..., 2] - pixels[..., 0]) > 100).sum()
    assert reds > 50
    assert blues > 50
    assert run([*words, "--group", "smooth", "--force"]) == 2
    assert run(["kernels", "sobel", "-k", "box"]) == 2


def test_format_out_names_the_ending_of_results(photo: Path, capsys: Capture) -> None:
    words = ["filter", str(photo), "-k", "box", "--quiet"]
    for ending in ("jpg", "webp", "jp2", "tga", "tif", "npy"):
        assert run([*words, "--format-out", ending]) == 0
        assert photo.with_name(f"photo_box-3.{ending}").stat().st_size > 0
    with Image.open(photo.with_name("photo_box-3.tga")) as image:
        assert image.format == "TGA"
        assert np.array_equal(convcli.filter_image(photo, "box"), np.asarray(image))
    assert run([*words, "--format-out", "gifx"]) == 2
    assert run([*words, "--format-out", "png", "-o", "x.jpg"]) == 2
    assert "-o x.jpg is a .jpg file: leave out --format-out png" in capsys.readouterr().err
    assert run([*words, "--format-out", "png", "--in-place", "--force"]) == 2


def test_format_out_is_for_pipes_too(
    photo: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    words = ["filter", str(photo), "-k", "box", "--quiet", "-o", "-", "--format-out"]
    assert run([*words, "jpg", "--quality", "40"]) == 0
    small = capfdbinary.readouterr().out
    assert small.startswith(b"\xff\xd8\xff")
    assert run([*words, "jpg", "--quality", "95"]) == 0
    assert len(capfdbinary.readouterr().out) > len(small)
    assert run([*words, "npy"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"\x93NUMPY")


def test_quality_is_noted_where_it_means_nothing(photo: Path, capsys: Capture) -> None:
    assert run(["filter", str(photo), "-k", "box", "--quality", "50", "--format", "json"]) == 0
    (got,) = json.loads(capsys.readouterr().out)
    assert got["notes"] == ["PNG files have no quality to choose: --quality changes nothing."]


def test_a_white_picture_of_a_kernel_with_a_sum_is_told_why() -> None:
    pixels = np.random.default_rng(0).integers(40, 255, (20, 20)).astype(np.uint8)
    note = "Most values saturate because the kernel's sum is 9, not 1: --normalize divides by it."
    assert convcli.filter_result(pixels, "1 1 1; 1 1 1; 1 1 1").notes == (note,)
    assert convcli.filter_result(pixels, "1 1 1; 1 1 1; 1 1 1", divisor=9).notes == ()
    assert convcli.filter_result(pixels, "sharpen").notes == ()
