"""Steps of a chain that are no kernels, and words for filters that are found elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from convcli.errors import UsageError
from convcli.kernels.families import Family, Parameter, Value


@dataclass(frozen=True)
class Operation:
    """One step of a chain that is no kernel: what it is called, and its parameters' values.

    Attributes:
        name: with its parameters, such as `threshold:level=otsu`.
        values: of the parameters.
        keeps_signs: negative values come out as negative ones, so that their range is still open.
        is_linear: it is a weighted sum, so that transparency can be divided out behind it.
        changes_size: the result is not as large as what it is laid on.
        reach: cells around one that it reads.
        needs_all: it looks at a whole picture; else at one value after the other.
    """

    name: str
    values: Mapping[str, Value] = field(default_factory=dict)
    keeps_signs: bool = False
    is_linear: bool = False
    changes_size: bool = False
    reach: float = 0
    needs_all: bool = False

    @property
    def word(self) -> str:
        """The name without its parameters."""
        return self.name.partition(":")[0]

    @property
    def slug(self) -> str:
        """The name as part of a file name."""
        plain = self.name.replace("=", "").replace("%", "pc")
        return plain.replace(":", "-").replace(",", "-")


OPERATIONS: dict[str, Family[Operation]] = {}
"""The operations by name, in the order of lists."""


def _operation(
    example: str,
    source: str,
    *,
    keeps_signs: bool = False,
    is_linear: bool = False,
    changes_size: bool = False,
    reach: Callable[[Mapping[str, Value]], float] = lambda _: 0,
    needs_all: Callable[[Mapping[str, Value]], bool] = lambda _: False,
    **parameters: Parameter,
) -> None:
    def make(name: str, **values: Value) -> Operation:
        about = keeps_signs, is_linear, changes_size, reach(values), needs_all(values)
        return Operation(name, values, *about)

    word = example.partition(":")[0]
    OPERATIONS[word] = Family(word, parameters, make, source, example)


_LEVEL = "8-bit levels, or of white with a %"
_PERCENT = r"\d+(?:\.\d+)?%"

_operation(
    "threshold:level=otsu",
    "white above the level, else black; Otsu (1979) as scikit-image's threshold_otsu",
    needs_all=lambda values: values["level"] == "otsu",
    level=Parameter(_LEVEL, 128, words=("otsu",), pattern=_PERCENT),
)
_operation("invert", "white minus the value")
_operation(
    "gamma:value=2.2",
    "white times (value / white) to the power 1 / gamma: above 1 brighter",
    value=Parameter("the gamma", 2.2, 0.01, 100),
)
_operation(
    "levels:low=1,high=99",
    "spreads what lies between two percentiles from black to white",
    needs_all=lambda _: True,
    low=Parameter("percentile that becomes black", 1, 0, 100),
    high=Parameter("percentile that becomes white", 99, 0, 100),
)
_operation("abs", "the value without its sign")
_operation("relu", "negative values become 0")
_operation(
    "scale:factor=2,add=10",
    "value times factor plus add",
    keeps_signs=True,
    factor=Parameter("multiplies", 1),
    add=Parameter(f"added, in {_LEVEL}", 0, pattern="-?" + _PERCENT),
)
_operation(
    "add:level=10",
    "value plus a level",
    keeps_signs=True,
    level=Parameter(_LEVEL, 0, pattern="-?" + _PERCENT),
)
_operation(
    "resize:size=50%",
    "Pillow's Image.resize, which averages where it reduces",
    keeps_signs=True,
    is_linear=True,
    changes_size=True,
    needs_all=lambda _: True,
    size=Parameter(
        "factor, percent or WIDTHxHEIGHT", 0.5, 0.001, 64, pattern=_PERCENT + r"|\d+x\d+"
    ),
    method=Parameter(
        "how",
        "bicubic",
        math.inf,
        -math.inf,
        words=("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
    ),
)
_operation(
    "canny:low=25,high=50",
    "Canny (1986) as skimage.feature.canny: Gaussian, Sobel, thinning, hysteresis",
    reach=lambda values: 4 * float(values["sigma"]) + 3,
    needs_all=lambda _: True,
    low=Parameter(f"weakest edge that is followed, {_LEVEL}", "10%", 0, pattern=_PERCENT),
    high=Parameter(f"weakest edge that begins one, {_LEVEL}", "20%", 0, pattern=_PERCENT),
    sigma=Parameter("width of the Gaussian in pixels", 1, 0.1, 125),
)

_SORTS = (
    "sorts the cells of a window: scipy.ndimage.{0}_filter, cv2.{1}, ImageMagick -statistic {2}"
)
_SHAPES = "compares the cells of a window: scipy.ndimage.grey_{0}, cv2.{1}, ImageMagick -morphology"
ELSEWHERE = {
    "median": _SORTS.format("median", "medianBlur", "Median"),
    "minimum": _SORTS.format("minimum", "erode", "Minimum"),
    "maximum": _SORTS.format("maximum", "dilate", "Maximum")
    + "; or convcli pool --max K --stride 1",
    "rank": "sorts the cells of a window: scipy.ndimage.rank_filter",
    "mode": _SORTS.format("generic", "medianBlur", "Mode"),
    "bilateral": "weighs cells by how alike they are: cv2.bilateralFilter, "
    "skimage.restoration.denoise_bilateral",
    "kuwahara": "chooses the quietest quarter of a window: ImageMagick -kuwahara",
    "nlmeans": "looks for alike patches: cv2.fastNlMeansDenoising, "
    "skimage.restoration.denoise_nl_means",
    "erode": _SHAPES.format("erosion", "erode"),
    "dilate": _SHAPES.format("dilation", "dilate"),
    "opening": _SHAPES.format("opening", "morphologyEx"),
    "closing": _SHAPES.format("closing", "morphologyEx"),
    "tophat": "compares the cells of a window: scipy.ndimage.white_tophat, cv2.morphologyEx",
    "equalize": "spreads the histogram: cv2.equalizeHist, ImageMagick -equalize; "
    "a plain stretch is -k levels or --range stretch",
    "clahe": "spreads histograms of tiles: cv2.createCLAHE, skimage.exposure.equalize_adapthist",
    "hough": "counts votes for lines: cv2.HoughLines, skimage.transform.hough_line",
    "watershed": "floods from markers: skimage.segmentation.watershed, cv2.watershed",
    "distance": "measures ways to the nearest edge: scipy.ndimage.distance_transform_edt",
    "rotate": "moves pixels: ImageMagick -rotate, Pillow's Image.rotate",
    "flip": "moves pixels: ImageMagick -flip and -flop",
    "crop": "cuts pixels away: ImageMagick -crop; --region filters a part",
    "gray": "weighs channels: write --gray",
}
"""Words of other programs -> what the filter does instead of convolving, and who has it."""

_ALSO = {"erosion": "erode", "dilation": "dilate", "open": "opening", "close": "closing"} | {
    "medianblur": "median", "min": "minimum", "max": "maximum", "maxpool": "maximum",
    "nl-means": "nlmeans", "non-local-means": "nlmeans", "histeq": "equalize",
    "grayscale": "gray", "grey": "gray", "despeckle": "median", "denoise": "nlmeans",
    "top-hat": "tophat", "morphology": "erode", "bilateral-filter": "bilateral",
    "percentile": "rank", "flop": "flip",
}  # fmt: skip


def refuse_elsewhere(word: str) -> None:
    """Refuse the name of a filter that is no convolution, with where to find it."""
    name = _ALSO.get(word, word)
    if name in ELSEWHERE:
        raise UsageError(f"{word} is no convolution; it {ELSEWHERE[name]}.")
