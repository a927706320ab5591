"""`convcli filter --region` and `--channels`: a part is filtered, the rest stays what it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run
from convcli.errors import InputError, UsageError

RNG = np.random.default_rng(11)
COLORS = RNG.integers(0, 256, (40, 50, 3)).astype(np.uint8)
CLEAR = RNG.integers(0, 256, (40, 50, 4)).astype(np.uint8)


@pytest.mark.parametrize("pixels", [COLORS, CLEAR, COLORS[..., 0], COLORS.astype(np.uint16) * 257])
@pytest.mark.parametrize("border", ["reflect", "wrap", "constant:9"])
@pytest.mark.parametrize("region", ["0,0,7,9", "20,15,11,6", "45,38,5,2"])
@pytest.mark.parametrize("kernel", ["gaussian:sigma=1", "sobel", ["box", "laplacian-4"]])
def test_a_region_is_the_whole_picture_filtered_and_cut(
    pixels: np.ndarray, border: str, region: str, kernel: object
) -> None:
    left, top, width, height = map(int, region.split(","))
    inside = np.s_[top : top + height, left : left + width]
    ref = pixels.copy()
    ref[inside] = convcli.filter_image(pixels, kernel, border=border)[inside]
    got = convcli.filter_image(pixels, kernel, border=border, region=region)
    assert got.dtype == ref.dtype
    assert np.array_equal(ref, got)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [("red", [0]), ("b,R", [0, 2]), ("1", [1]), ("alpha", [3]), ("green,alpha", [1, 3])],
)
def test_channels_are_filtered_each_like_a_gray_picture(words: str, numbers: list[int]) -> None:
    ref = CLEAR.copy()
    for number in numbers:
        ref[..., number] = convcli.filter_image(CLEAR[..., number], "box-5")
    assert np.array_equal(ref, convcli.filter_image(CLEAR, "box-5", channels=words))


def test_the_figures_are_those_of_the_region() -> None:
    pixels = np.zeros((30, 30), np.uint8)
    pixels[5, 5] = 255
    done = convcli.filter_result(pixels, "sobel-x", region="20,20,5,5", value_range="clip")
    assert (done.statistics.minimum, done.statistics.maximum) == (0, 0)
    done = convcli.filter_result(pixels, "sobel-x", region="4,4,3,3", value_range="clip")
    ref = convcli.filter_result(pixels, "sobel-x", value_range="clip").statistics
    assert done.statistics == ref


def test_raw_numbers_and_a_stretched_region() -> None:
    raw = convcli.filter_image(COLORS, "sobel-x", region="3,4,10,8", value_range="raw")
    assert raw.dtype == np.float32
    assert np.array_equal(raw[20:], COLORS[20:])
    inside = convcli.filter_image(COLORS, "sobel-x", value_range="raw")[4:12, 3:13]
    assert np.array_equal(raw[4:12, 3:13], inside)
    got = convcli.filter_image(COLORS, "sobel-x", region="3,4,10,8", value_range="stretch")
    ends = got[4:12, 3:13].min(), got[4:12, 3:13].max()
    assert ends == (0, 255)
    assert np.array_equal(got[20:], COLORS[20:])


def test_both_at_once_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, target = tmp_path / "photo.png", tmp_path / "part.png"
    Image.fromarray(COLORS).save(path)
    words = ["--region", "10,5,20,12", "--channels", "red,blue", "-o", str(target)]
    assert run(["filter", str(path), "-k", "box-5", *words, "--format", "json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["shape"] == [40, 50, 3]
    ref = COLORS.copy()
    blurred = convcli.filter_image(COLORS, "box-5")
    ref[5:17, 10:30, ::2] = blurred[5:17, 10:30, ::2]
    assert np.array_equal(ref, np.asarray(Image.open(target)))


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"region": "1,2,3"}, UsageError, "X,Y,WIDTH,HEIGHT"),
        ({"region": "1,2,0,3"}, UsageError, "holds no pixel"),
        ({"region": "45,2,6,3"}, InputError, "ends at 51,5, beyond the picture of 50 x 40"),
        ({"channels": "read"}, UsageError, "no channel 'read', only red, green, blue"),
        ({"channels": "3"}, UsageError, "no channel '3'"),
        ({"channels": "red", "stride": 2}, UsageError, "--stride 1"),
        ({"region": "1,2,3,4", "padding": "valid"}, UsageError, "--padding same"),
        ({"region": "1,2,3,4", "gradient": "both"}, UsageError, "no --gradient"),
    ],
)
def test_mistakes(options: dict, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        convcli.filter_image(COLORS, "sobel", **options)
