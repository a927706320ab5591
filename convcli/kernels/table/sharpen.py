"""Sharpening and embossing."""

from convcli.kernels.value import entry, group

SHARPEN = group(
    "sharpen",
    entry(
        "sharpen",
        "0 -1 0; -1 5 -1; 0 -1 0",
        aliases="sharpen-4",
        source="GIMP; Wikipedia; Setosa; lecture",
    ),
    entry(
        "sharpen-8",
        "-1 -1 -1; -1 9 -1; -1 -1 -1",
        aliases="mean-removal edge-enhance-more high-pass-9",
        source="Pillow EDGE_ENHANCE_MORE; libgd gdImageMeanRemoval; Lode",
    ),
    entry(
        "sharpen-pillow",
        "-2 -2 -2; -2 32 -2; -2 -2 -2",
        divisor=16,
        aliases="sharpen-soft",
        source="Pillow SHARPEN",
    ),
    entry(
        "sharpen-11",
        "0 -2 0; -2 11 -2; 0 -2 0",
        divisor=3,
        aliases="sharpen-gdiplus",
        source="'Image Processing for Dummies with C# and GDI+', part 2; widespread in public code",
    ),
    entry(
        "detail",
        "0 -1 0; -1 10 -1; 0 -1 0",
        divisor=6,
        aliases="pillow-detail",
        source="Pillow DETAIL",
    ),
    entry(
        "edge-enhance",
        "-1 -1 -1; -1 10 -1; -1 -1 -1",
        divisor=2,
        aliases="pillow-edge-enhance",
        source="Pillow EDGE_ENHANCE",
    ),
    entry(
        "unsharp-5",
        "-1 -4 -6 -4 -1; -4 -16 -24 -16 -4; -6 -24 476 -24 -6; -4 -16 -24 -16 -4; -1 -4 -6 -4 -1",
        divisor=256,
        aliases="unsharp unsharp-mask",
        source="Wikipedia",
        notes="Twice the identity minus gaussian-5.",
    ),
    entry(
        "unsharp-3",
        "-1 -2 -1; -2 28 -2; -1 -2 -1",
        divisor=16,
        source="definition: twice the identity minus gaussian-3",
    ),
    entry(
        "unsharp-matlab-0.2",
        "-1 -4 -1; -4 26 -4; -1 -4 -1",
        divisor=6,
        source="fspecial('unsharp', 0.2): the identity minus fspecial('laplacian', 0.2)",
    ),
    entry(
        "high-boost-1.7",
        "-1 -1 -1; -1 9.7 -1; -1 -1 -1",
        aliases="high-boost-a1.7",
        source="Gonzalez & Woods: center A + 8 with A = 1.7",
        notes="The sum is A: brightens by A.",
    ),
    entry(
        "high-boost-2",
        "-1 -1 -1; -1 17 -1; -1 -1 -1",
        divisor=9,
        aliases="high-boost",
        source="definition: twice the identity minus box-3",
    ),
    entry(
        "high-pass-3",
        "-1 -1 -1; -1 8 -1; -1 -1 -1",
        divisor=9,
        aliases="high-pass",
        source="definition: the identity minus box-3",
    ),
    entry(
        "sharpen-5x5-lode",
        "-1 -1 -1 -1 -1; -1 2 2 2 -1; -1 2 8 2 -1; -1 2 2 2 -1; -1 -1 -1 -1 -1",
        divisor=8,
        source="Lode",
    ),
    entry(
        "excessive-edges",
        "1 1 1; 1 -7 1; 1 1 1",
        aliases="sharpen-excessive",
        source="Lode",
        notes="Sum 1 like sharpen, with the other sign around: edges are exaggerated.",
    ),
)

EMBOSS = group(
    "emboss",
    entry(
        "emboss",
        "-2 -1 0; -1 1 1; 0 1 2",
        aliases="emboss-gimp emboss-strong",
        source="GIMP; Setosa; lecture",
        notes="Light from the upper left; sum 1, so no offset.",
    ),
    entry(
        "emboss-pillow",
        "-1 0 0; 0 1 0; 0 0 0",
        offset=128,
        aliases="emboss-light",
        source="Pillow EMBOSS",
        notes="As Pillow lists it; Pillow applies rows from the bottom, so that there the light "
        "comes from the lower left.",
    ),
    entry(
        "emboss-gd",
        "1.5 0 0; 0 0 0; 0 0 -1.5",
        offset=127,
        aliases="emboss-php",
        source="libgd gdImageEmboss",
    ),
    entry(
        "emboss-laplacian",
        "-1 0 -1; 0 4 0; -1 0 -1",
        offset=127,
        aliases="edge-detect-quick",
        source="libgd gdImageEdgeDetectQuick",
    ),
    entry(
        "emboss-php-manual",
        "2 0 0; 0 -1 0; 0 0 -1",
        offset=127,
        source="PHP manual, imageconvolution, example 1",
    ),
    entry(
        "emboss-lode",
        "-1 -1 0; -1 0 1; 0 1 1",
        offset=128,
        aliases="emboss-45",
        source="Lode",
    ),
    entry(
        "emboss-lode-5x5",
        "-1 -1 -1 -1 0; -1 -1 -1 0 1; -1 -1 0 1 1; -1 0 1 1 1; 0 1 1 1 1",
        offset=128,
        source="Lode",
    ),
    entry(
        "emboss-vertical",
        column="1 0 -1",
        row="0 1 0",
        offset=128,
        source="NetVips samples, Emboss",
    ),
    entry(
        "contour",
        "-1 -1 -1; -1 8 -1; -1 -1 -1",
        offset=255,
        aliases="pillow-contour",
        source="Pillow CONTOUR",
    ),
)
