"""The printed calls are run: scipy, OpenCV, Pillow and ImageMagick must give what we say."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.kernels import AnyKernel, Kernel, Magnitude, all_kernels, find
from convcli.kernels.calls import equivalent_calls

FAMILY_EXAMPLES = (
    "gaussian:sigma=3",
    "gaussian:sigma=1.3",
    "gaussian:sigma=2,radius=5",
    "box:size=7",
    "box:size=4",
    "motion:length=7,angle=30",
    "gabor:sigma=1.5",
    "unsharp:sigma=1",
    "emboss:angle=45",
    "sobel:size=5",
    "sobel:size=7",
    "unsharp:sigma=2,amount=1.5",
    "dog:sigma=1.2,ratio=2",
    "derivative:sigma=2,x=1,y=1",
    "gradient:sigma=2",
    "log:sigma=2",
    "disk:radius=5",
    "gaussian:sigma=20",
)
KERNELS = (*all_kernels(), *(find(spec) for spec in FAMILY_EXAMPLES))
BY_NAME = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (37, 41)).astype(np.uint8)


def by_hand(image: np.ndarray, kernel: AnyKernel) -> np.ndarray:
    """Add up shifted copies of the reflected picture, one a cell."""
    if isinstance(kernel, Magnitude):
        x, y = (by_hand(image, component) for component in kernel.components)
        return np.sqrt(x**2 + y**2)
    (height, width), (cy, cx) = kernel.size_hw, kernel.center
    padded = np.pad(
        image.astype(float), ((cy, height - 1 - cy), (cx, width - 1 - cx)), mode="symmetric"
    )
    total = np.full(image.shape, float(kernel.offset))
    for i, cells in enumerate(kernel.rows):
        for j, cell in enumerate(cells):
            shifted = padded[i : i + image.shape[0], j : j + image.shape[1]]
            total += cell / kernel.divisor * shifted
    return total


def run_snippet(text: str, image: object) -> object:
    place = {"image": image}
    exec(text, place)  # noqa: S102  (the printed call is what is under test)
    return place["result"]


@BY_NAME
@pytest.mark.parametrize(
    ("program", "package", "tolerance"),
    [("scipy", "scipy.ndimage", 1e-12), ("OpenCV", "cv2", 1e-6)],  # OpenCV transforms large ones
    ids=["scipy", "cv2"],
)
def test_array_programs_give_our_numbers(
    kernel: AnyKernel, program: str, package: str, tolerance: float, image: np.ndarray
) -> None:
    pytest.importorskip(package, reason=f"{program} is the peer of this test")
    got = run_snippet(equivalent_calls(kernel)[program], image)
    scale = max(1.0, float(np.abs(by_hand(image, kernel)).max()))
    np.testing.assert_allclose(by_hand(image, kernel), got, rtol=0, atol=tolerance * scale)


@BY_NAME
def test_pillow_gives_our_pixels_inside_its_border(kernel: AnyKernel, image: np.ndarray) -> None:
    text = equivalent_calls(kernel).get("Pillow")
    if text is None:
        assert isinstance(kernel, Magnitude) or max(kernel.size_hw) > 5
        return
    got = np.asarray(run_snippet(text, Image.fromarray(image)), float)
    ref = np.clip(by_hand(image, kernel), 0, 255)
    inside = (slice(2, -2), slice(2, -2))
    assert np.abs(ref[inside] - got[inside]).max() <= 0.5 + 1e-3


def imagemagick() -> str | None:
    """Return the program if it is the real one; other programs are called convert, too."""
    for program in ("magick", "convert"):
        if found := shutil.which(program):
            told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
            if told.returncode == 0 and told.stdout.startswith("Version: ImageMagick"):
                return found
    return None


@pytest.mark.skipif(imagemagick() is None, reason="ImageMagick is not installed")
@pytest.mark.parametrize(
    "name",
    ["sobel-x", "roberts-2", "emboss", "gaussian-7", "emboss-gd", "shift-down", "farid-y",
     "motion-blur-v-9", "laplacian-8-pos", "contour", "unsharp-5"],
)  # fmt: skip
def test_imagemagick_gives_our_pixels(name: str, image: np.ndarray, tmp_path: Path) -> None:
    kernel = find(name)
    assert isinstance(kernel, Kernel)
    said, call = equivalent_calls(kernel)["ImageMagick"].split("\n", 1)
    assert said.startswith("# ImageMagick 7")
    words = shlex.split(call.replace("\\\n", " "))
    if "\n" in call.replace("\\\n", " ").split("'")[2]:
        pytest.fail("a line that ends outside quotes needs a backslash")
    assert words[0] == "magick"
    Image.fromarray(image).save(tmp_path / "in.png")
    subprocess.run([str(imagemagick()), *words[1:]], cwd=tmp_path, check=True)
    got = np.asarray(Image.open(tmp_path / "out.png").convert("L"), float)
    ref = np.clip(by_hand(image, kernel), 0, 255)
    assert np.abs(ref - got).max() <= 1.0


@BY_NAME
def test_calls_fit_80_columns_and_leave_out_only_what_is_too_large(kernel: AnyKernel) -> None:
    made = equivalent_calls(kernel)
    assert {"scipy", "OpenCV"} <= set(made)
    for text in made.values():
        assert max(map(len, text.splitlines())) <= 76


@pytest.mark.parametrize(
    ("spec", "program", "call"),
    [
        ("gaussian:sigma=100", "scipy", "ndimage.gaussian_filter(image.astype(float), 100)"),
        ("box-7", "OpenCV", "cv2.blur(image.astype(float), (7, 7)"),
        ("derivative:sigma=2,x=1", "scipy", "2, order=(0, 1))"),
        ("sobel-7x7-x", "OpenCV", "cv2.Sobel(image.astype(float), cv2.CV_64F, 1, 0, ksize=7"),
        ("log:sigma=10", "scipy", 'convcli.kernel("log:sigma=10")'),
    ],
)
def test_a_family_is_called_rather_than_written_out(spec: str, program: str, call: str) -> None:
    made = equivalent_calls(find(spec))
    assert call in made[program]
    for text in made.values():
        assert len(re.findall(r"-?[0-9.e-]+,", text)) <= 49, "a wall of numbers"
