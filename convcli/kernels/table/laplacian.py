"""Laplacians, and Laplacians of Gaussians."""

from convcli.kernels.formulas import laplacian_of_gaussian, negated
from convcli.kernels.value import entry, group

LAPLACIAN = group(
    "laplacian",
    entry(
        "laplacian-4",
        "0 1 0; 1 -4 1; 0 1 0",
        aliases="laplacian laplace laplacian-cross",
        source="scipy.ndimage.laplace; OpenCV Laplacian(ksize=1); Wikipedia; lecture",
        notes="The mathematical sign: negative center. skimage.filters.laplace and "
        "ImageMagick's Laplacian:1 have the positive one, laplacian-4-pos.",
    ),
    entry(
        "laplacian-4-pos",
        "0 -1 0; -1 4 -1; 0 -1 0",
        aliases="edge-detect laplacian-neg edge-4",
        source="skimage.filters.laplace; ImageMagick Laplacian:1; SAGA GIS kernel 1; lecture",
    ),
    entry(
        "laplacian-8",
        "1 1 1; 1 -8 1; 1 1 1",
        aliases="laplacian-square",
        source="Wikipedia (negated); lecture",
    ),
    entry(
        "laplacian-8-pos",
        "-1 -1 -1; -1 8 -1; -1 -1 -1",
        aliases="outline find-edges point-detection edge-8",
        source="Pillow FIND_EDGES; ImageMagick Laplacian:0; Wikipedia; SAGA GIS kernel 2; Setosa",
    ),
    entry(
        "laplacian-12",
        "-1 -2 -1; -2 12 -2; -1 -2 -1",
        aliases="laplacian-saga-3",
        source="SAGA GIS Laplacian filter, kernel 3",
    ),
    entry(
        "laplacian-opencv-3",
        "2 0 2; 0 -8 0; 2 0 2",
        aliases="laplacian-diag",
        source="OpenCV Laplacian(ksize=3)",
        notes="Not the Laplacian with 8 neighbors: second Sobel derivatives added.",
    ),
    entry(
        "laplacian-opencv-5",
        "2 4 4 4 2; 4 0 -8 0 4; 4 -8 -24 -8 4; 4 0 -8 0 4; 2 4 4 4 2",
        source="OpenCV Laplacian(ksize=5)",
    ),
    entry("laplacian-im-2", "-2 1 -2; 1 4 1; -2 1 -2", source="ImageMagick Laplacian:2"),
    entry(
        "laplacian-im-3",
        column="1 -2 1",
        row="1 -2 1",
        aliases="laplacian-difference",
        source="ImageMagick Laplacian:3",
    ),
    entry(
        "laplacian-5x5",
        "-4 -1 0 -1 -4; -1 2 3 2 -1; 0 3 4 3 0; -1 2 3 2 -1; -4 -1 0 -1 -4",
        source="ImageMagick Laplacian:5",
    ),
    entry(
        "laplacian-7x7",
        "-10 -5 -2 -1 -2 -5 -10; -5 0 3 4 3 0 -5; -2 3 6 7 6 3 -2; -1 4 7 8 7 4 -1;"
        "-2 3 6 7 6 3 -2; -5 0 3 4 3 0 -5; -10 -5 -2 -1 -2 -5 -10",
        source="ImageMagick Laplacian:7",
    ),
    entry(
        "laplacian-5x5-24",
        "-1 -1 -1 -1 -1; -1 -1 -1 -1 -1; -1 -1 24 -1 -1; -1 -1 -1 -1 -1; -1 -1 -1 -1 -1",
        aliases="laplac5",
        source="SPIDER laplac5; kornia get_laplacian_kernel2d(5) (negated)",
    ),
    entry(
        "laplacian-isotropic",
        "1 4 1; 4 -20 4; 1 4 1",
        divisor=6,
        aliases="laplacian-9-point laplacian-patra-karttunen laplacian-matlab-0.2",
        source="Wikipedia, Nine-point stencil (Patra & Karttunen); fspecial('laplacian', 0.2)",
        notes="Error the same in all directions to leading order.",
    ),
    entry(
        "laplacian-oono-puri",
        "1 2 1; 2 -12 2; 1 2 1",
        divisor=4,
        source="Wikipedia, Nine-point stencil (Oono & Puri)",
    ),
)

LOG = group(
    "log",
    entry(
        "log-5x5",
        "0 0 -1 0 0; 0 -1 -2 -1 0; -1 -2 16 -2 -1; 0 -1 -2 -1 0; 0 0 -1 0 0",
        aliases="log laplacian-of-gaussian mexican-hat",
        source="ImageMagick Laplacian:15; ImageSharp LaplacianOfGaussian; lecture",
        notes="Positive center, the other sign than mathematics; sigma about 1.4.",
    ),
    entry(
        "log-9x9",
        "0 -1 -1 -2 -2 -2 -1 -1 0; -1 -2 -4 -5 -5 -5 -4 -2 -1; -1 -4 -5 -3 0 -3 -5 -4 -1;"
        "-2 -5 -3 12 24 12 -3 -5 -2; -2 -5 0 24 40 24 0 -5 -2; -2 -5 -3 12 24 12 -3 -5 -2;"
        "-1 -4 -5 -3 0 -3 -5 -4 -1; -1 -2 -4 -5 -5 -5 -4 -2 -1; 0 -1 -1 -2 -2 -2 -1 -1 0",
        aliases="log9",
        source="ImageMagick Laplacian:19",
        notes="Positive center; sigma about 1.4. Often printed with the other sign.",
    ),
    entry(
        "log-9x9-sampled-1.4",
        negated(laplacian_of_gaussian(1.4, 4)),
        source="the formula sampled at sigma 1.4, its mean taken off, as fspecial('log') does",
        notes="The mathematical sign: negative center.",
    ),
)
