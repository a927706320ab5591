"""Compass operators: one mask a direction, each the one before turned by 45 degrees."""

from convcli.kernels.algebra import Rows
from convcli.kernels.formulas import ring_matrix
from convcli.kernels.table.entry import entry, group
from convcli.kernels.value import Kernel

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
