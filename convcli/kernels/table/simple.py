"""Identity and shifts, and the line detectors."""

from convcli.kernels.table.entry import entry, group

BASIC = group(
    "basic",
    entry(
        "identity",
        column="0 1 0",
        row="0 1 0",
        aliases="none unity original",
        source="Wikipedia; ImageMagick Unity (1x1)",
    ),
    entry(
        "shift-right",
        column="0 1 0",
        row="1 0 0",
        aliases="test-shift-right",
        source="definition: output(x) = input(x - 1)",
        notes="Orientation test: with --convolve the same matrix moves the picture left.",
    ),
    entry(
        "shift-down",
        column="1 0 0",
        row="0 1 0",
        aliases="test-shift-down",
        source="definition: output(y) = input(y - 1); the kernel of Pillow issue 3678",
        notes="Pillow's ImageFilter.Kernel moves the picture up with this matrix.",
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
