"""Answers to one direction: first derivatives, compass and line masks, and pairs for magnitudes."""

import math

from convcli.kernels.formulas import ring_matrix
from convcli.kernels.value import Kernel, Magnitude, Rows, entry, group

FARID_SMOOTH = (0.0376593171958126, 0.249153396177344, 0.426374573253687)
FARID_SLOPE = (0.109603762960254, 0.276690988455557)
"""Halves of the 5-tap pair of Farid & Simoncelli (2004), table 1, as scikit-image has them."""

_SMOOTH = (*FARID_SMOOTH, *FARID_SMOOTH[1::-1])
_SLOPE = (-FARID_SLOPE[0], -FARID_SLOPE[1], 0, FARID_SLOPE[1], FARID_SLOPE[0])

_ANCHOR = "Even size: the output pixel lies on the lower right cell."

GRADIENT = group(
    "gradient",
    entry(
        "sobel-x",
        column="1 2 1",
        row="-1 0 1",
        aliases="sobelx sobel-right sobel-h-gradient sobel-vertical",
        source="OpenCV; scikit-image sobel_v (a quarter); ImageMagick Sobel; kornia; lecture",
        notes="Positive where brightness rises to the right: answers to vertical edges. "
        "scikit-image calls it sobel_v; fspecial('sobel') is the other one.",
    ),
    entry(
        "sobel-y",
        column="-1 0 1",
        row="1 2 1",
        aliases="sobely sobel-bottom sobel-v-gradient sobel-horizontal",
        source="OpenCV; scikit-image sobel_h (a quarter); libvips (negated); lecture",
        notes="Positive where brightness rises downward: answers to horizontal edges.",
    ),
    entry("sobel-left", column="1 2 1", row="1 0 -1", source="Setosa"),
    entry("sobel-top", column="1 0 -1", row="1 2 1", source="Setosa"),
    entry(
        "sobel-45",
        "0 1 2; -1 0 1; -2 -1 0",
        aliases="sobel-diag-up robinson-ne-gradient",
        source="Wikipedia, Robinson compass mask; ImageMagick Sobel:45",
        notes="Positive where brightness rises toward the upper right.",
    ),
    entry(
        "sobel-135",
        "-2 -1 0; -1 0 1; 0 1 2",
        aliases="sobel-diag-down",
        source="Wikipedia, Robinson compass mask; ImageMagick Sobel:135",
        notes="Positive where brightness rises toward the lower right.",
    ),
    entry(
        "sobel-5x5-x",
        column="1 4 6 4 1",
        row="-1 -2 0 2 1",
        aliases="sobel5-x",
        source="OpenCV getDerivKernels(1, 0, 5)",
    ),
    entry(
        "sobel-5x5-y",
        column="-1 -2 0 2 1",
        row="1 4 6 4 1",
        aliases="sobel5-y",
        source="OpenCV getDerivKernels(0, 1, 5)",
    ),
    entry(
        "sobel-7x7-x",
        column="1 6 15 20 15 6 1",
        row="-1 -4 -5 0 5 4 1",
        aliases="sobel7-x",
        source="OpenCV getDerivKernels(1, 0, 7)",
    ),
    entry(
        "sobel-7x7-y",
        column="-1 -4 -5 0 5 4 1",
        row="1 6 15 20 15 6 1",
        aliases="sobel7-y",
        source="OpenCV getDerivKernels(0, 1, 7)",
    ),
    entry(
        "sobel-xx-5x5",
        column="1 4 6 4 1",
        row="1 0 -2 0 1",
        source="OpenCV getDerivKernels(2, 0, 5); kornia 0.9 get_sobel_kernel_5x5_2nd_order",
        notes="Second derivative across. kornia before 0.9 had the opposite sign.",
    ),
    entry(
        "prewitt-x",
        column="1 1 1",
        row="-1 0 1",
        aliases="prewitt-right",
        source="scipy.ndimage.prewitt; scikit-image (a third); libvips; ImageMagick Prewitt",
        notes="Positive where brightness rises to the right.",
    ),
    entry(
        "prewitt-y",
        column="-1 0 1",
        row="1 1 1",
        aliases="prewitt-bottom",
        source="scipy.ndimage.prewitt; scikit-image (a third); fspecial('prewitt') negated",
        notes="Positive where brightness rises downward.",
    ),
    entry(
        "scharr-x",
        column="3 10 3",
        row="-1 0 1",
        aliases="scharr-right",
        source="OpenCV FILTER_SCHARR; scikit-image (a sixteenth); libvips",
        notes="Positive where brightness rises to the right; turns more evenly than Sobel.",
    ),
    entry(
        "scharr-y",
        column="-1 0 1",
        row="3 10 3",
        aliases="scharr-bottom",
        source="OpenCV FILTER_SCHARR; scikit-image (a sixteenth)",
        notes="Positive where brightness rises downward.",
    ),
    entry(
        "roberts-1",
        "1 0; 0 -1",
        aliases="roberts-x roberts-cross-x roberts-pos-diag",
        source="scikit-image ROBERTS_PD_WEIGHTS",
        notes=f"{_ANCHOR} scikit-image convolves.",
    ),
    entry(
        "roberts-2",
        "0 1; -1 0",
        aliases="roberts-y roberts-cross-y roberts-neg-diag",
        source="scikit-image ROBERTS_ND_WEIGHTS",
        notes=f"{_ANCHOR} scikit-image convolves.",
    ),
    entry(
        "roberts-1-3x3",
        "1 0 0; 0 -1 0; 0 0 0",
        aliases="roberts-45",
        source="ImageMagick Roberts:45",
        notes="roberts-1 with a cell in the middle. ImageMagick's Roberts without an angle is "
        "a horizontal difference, not the cross.",
    ),
    entry(
        "central-difference-x",
        column="1",
        row="-1 0 1",
        divisor=2,
        aliases="central-difference gradient-x diff-x",
        source="numpy.gradient inside the array; G'MIC gradient_norm",
    ),
    entry(
        "central-difference-y",
        column="-1 0 1",
        row="1",
        divisor=2,
        aliases="gradient-y diff-y",
        source="numpy.gradient inside the array",
    ),
    entry(
        "difference-x",
        column="1",
        row="-1 0 1",
        source="lecture; kornia get_diff_kernel_3x3",
        notes="central-difference-x without the division by 2.",
    ),
    entry(
        "difference-y",
        column="-1 0 1",
        row="1",
        source="lecture; kornia get_diff_kernel_3x3",
        notes="central-difference-y without the division by 2.",
    ),
    entry(
        "edge-vertical",
        column="1 1 1",
        row="1 0 -1",
        aliases="vertical-edge",
        source="lecture",
        notes="Positive where brightness falls to the right: prewitt-x with the other sign.",
    ),
    entry(
        "edge-horizontal",
        column="1 0 -1",
        row="1 1 1",
        aliases="horizontal-edge",
        source="lecture",
        notes="Positive where brightness falls downward: prewitt-y with the other sign.",
    ),
    entry(
        "farid-x",
        column=_SMOOTH,
        row=_SLOPE,
        aliases="farid-simoncelli-x",
        source="scikit-image farid_v, after Farid & Simoncelli (2004), table 1",
        notes="Positive where brightness rises to the right.",
    ),
    entry(
        "farid-y",
        column=_SLOPE,
        row=_SMOOTH,
        aliases="farid-simoncelli-y",
        source="scikit-image farid_h, after Farid & Simoncelli (2004), table 1",
        notes="Positive where brightness rises downward.",
    ),
    entry(
        "freichen-x",
        "-1 0 1; -√2 0 √2; -1 0 1",
        aliases="frei-chen-x isotropic-x",
        source="ImageMagick FreiChen (type 0)",
        notes="Sobel with √2 for 2, so that diagonals weigh as much as rows; not normalized.",
    ),
    entry(
        "freichen-y",
        "-1 -√2 -1; 0 0 0; 1 √2 1",
        aliases="frei-chen-y isotropic-y",
        source="ImageMagick FreiChen:90",
        notes="Sobel with √2 for 2, so that diagonals weigh as much as rows; not normalized.",
    ),
    entry(
        "edge-enhance-gimp",
        column="0 1 0",
        row="-1 1 0",
        aliases="edge-left",
        source="GIMP 'edge enhance'; CamanJS edgeEnhance",
    ),
    entry(
        "edge-wiki",
        column="1 0 -1",
        row="1 0 -1",
        aliases="mixed-derivative",
        source="Wikipedia",
        notes="The mixed second derivative: answers to corners and diagonals.",
    ),
)

_BASIS = "Frei & Chen (1977), as in Wikipedia, Frei-Chen operator"
_IMAGEMAGICK_SCALE = "ImageMagick's FreiChen:1, 2, 11..14 are twice as large."

FREI_CHEN = group(
    "frei-chen",
    entry(
        "freichen-1",
        "1 √2 1; 0 0 0; -1 -√2 -1",
        divisor=2 * math.sqrt(2),
        aliases="frei-chen-w1",
        source=_BASIS,
        notes=f"The nine masks are an orthonormal basis of 3x3 pictures. {_IMAGEMAGICK_SCALE}",
    ),
    entry(
        "freichen-2",
        "1 0 -1; √2 0 -√2; 1 0 -1",
        divisor=2 * math.sqrt(2),
        aliases="frei-chen-w2",
        source=_BASIS,
        notes=_IMAGEMAGICK_SCALE,
    ),
    entry(
        "freichen-3",
        "0 -1 √2; 1 0 -1; -√2 1 0",
        divisor=2 * math.sqrt(2),
        aliases="frei-chen-w3",
        source=_BASIS,
        notes=_IMAGEMAGICK_SCALE,
    ),
    entry(
        "freichen-4",
        "√2 -1 0; -1 0 1; 0 1 -√2",
        divisor=2 * math.sqrt(2),
        aliases="frei-chen-w4",
        source=_BASIS,
        notes=_IMAGEMAGICK_SCALE,
    ),
    entry("freichen-5", "0 1 0; -1 0 -1; 0 1 0", divisor=2, aliases="frei-chen-w5", source=_BASIS),
    entry(
        "freichen-6",
        column="1 0 -1",
        row="-1 0 1",
        divisor=2,
        aliases="frei-chen-w6",
        source=_BASIS,
    ),
    entry(
        "freichen-7",
        column="1 -2 1",
        row="1 -2 1",
        divisor=6,
        aliases="frei-chen-w7",
        source=_BASIS,
        notes="ImageMagick's FreiChen:17 differs in one sign and sums to -1/3.",
    ),
    entry(
        "freichen-8", "-2 1 -2; 1 4 1; -2 1 -2", divisor=6, aliases="frei-chen-w8", source=_BASIS
    ),
    entry(
        "freichen-9",
        column="1 1 1",
        row="1 1 1",
        divisor=3,
        aliases="frei-chen-w9",
        source=_BASIS,
        notes="The mean, three times as large.",
    ),
)

_PAIRS = {
    "sobel": ("sobel-x", "sobel-y", "Sobel & Feldman (1968)"),
    "prewitt": ("prewitt-x", "prewitt-y", "Prewitt (1970)"),
    "scharr": ("scharr-x", "scharr-y", "Scharr (2000)"),
    "roberts": ("roberts-1", "roberts-2", "Roberts (1963)"),
    "frei-chen": ("freichen-x", "freichen-y", "Frei & Chen (1977)"),
    "farid": ("farid-x", "farid-y", "Farid & Simoncelli (2004)"),
}
_BY_NAME = {kernel.name: kernel for kernel in GRADIENT}

MAGNITUDES = tuple(
    Magnitude(
        name,
        _BY_NAME[x],
        _BY_NAME[y],
        aliases=(f"{name}-magnitude",),
        source=source,
        notes=f"Magnitude of the gradient; {x} and {y} are its components."
        + f" {_ANCHOR}" * (_BY_NAME[x].size_hw == (2, 2)),
    )
    for name, (x, y, source) in _PAIRS.items()
)
"""The operators whose bare name means both components together."""


DIRECTIONS = ("n", "ne", "e", "se", "s", "sw", "w", "nw")
"""Clockwise; `n` is positive where the top is brighter."""


def _compass(
    name: str, ring: tuple[int, ...], center: int, source: str, notes: str = ""
) -> tuple[Kernel, ...]:
    """Return the eight masks of one operator; `ring` is that of `n`, clockwise from upper left."""

    def turned(eighths: int) -> Rows:
        return ring_matrix((*ring[8 - eighths :], *ring[: 8 - eighths]), center)

    return tuple(
        entry(
            f"{name}-{direction}",
            turned(eighths),
            aliases=name if direction == "n" and name in {"kirsch", "robinson"} else "",
            source=source,
            notes=notes,
        )
        for eighths, direction in enumerate(DIRECTIONS)
    )


COMPASS = group(
    "compass",
    *_compass(
        "kirsch",
        (5, 5, 5, -3, -3, -3, -3, -3),
        0,
        "Kirsch (1971), as in Wikipedia, Kirsch operator; HALCON kirsch_dir; ImageMagick Kirsch",
        "Positive where the named side is brighter; the operator is the largest of the eight.",
    ),
    *_compass(
        "robinson",
        (1, 2, 1, 0, -1, -2, -1, 0),
        0,
        "Robinson (1977), as in Wikipedia, Robinson compass mask",
        "Wikipedia names the masks by their line of zeros: its West is this n.",
    ),
    *_compass(
        "robinson3",
        (1, 1, 1, 0, -1, -1, -1, 0),
        0,
        "Robinson (1977), three-level masks; Prewitt's gradient turned",
    ),
    *_compass(
        "prewitt-compass",
        (1, 1, 1, 1, -1, -1, -1, 1),
        -2,
        "Prewitt (1970); ImageMagick Compass",
    ),
)


LINE = group(
    "line",
    entry(
        "line-horizontal",
        column="-1 2 -1",
        row="1 1 1",
        aliases="line line-h line-0",
        source="Gonzalez & Woods; lecture",
        notes="Answers to a bright horizontal line, one pixel wide.",
    ),
    entry(
        "line-vertical",
        column="1 1 1",
        row="-1 2 -1",
        aliases="line-v line-90",
        source="Gonzalez & Woods; lecture",
        notes="Answers to a bright vertical line, one pixel wide.",
    ),
    entry(
        "line-slash",
        "-1 -1 2; -1 2 -1; 2 -1 -1",
        aliases="line-45 line-diag-up",
        source="Gonzalez & Woods; lecture",
        notes="Answers to a bright line that rises to the right (/). Books that count angles "
        "with y pointing down call this one -45 or 135.",
    ),
    entry(
        "line-backslash",
        "2 -1 -1; -1 2 -1; -1 -1 2",
        aliases="line-135 line-diag-down",
        source="Gonzalez & Woods; lecture",
        notes="Answers to a bright line that falls to the right (\\).",
    ),
)
