"""The call that does the same in other programs, generated from a kernel's data.

Each Python snippet reads `image`, a gray uint8 array (a Pillow picture for Pillow), and leaves
`result`; borders are reflected like here, where the program can.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

from convcli.kernels.families import FAMILIES, shown
from convcli.kernels.value import Kernel, Magnitude, Number, Rows, Taps

LARGEST_SHOWN = 15
"""Matrices with a longer side are given by their factors, or not at all."""

LONGEST_SHOWN = 33
"""Factors with more taps than this are not written out."""

CLASSIC = 9
"""Cells of a matrix that is itself what people know, function or not."""

MOST_NUMBERS = 25
"""Cells of a family's matrix that is written out."""

LINE_WIDTH = 74
"""Characters of a line, so that it fits 80 columns indented."""

PILLOW_SIDES = (3, 5)


def number(value: Number) -> str:
    """Return a number as source text, whole where it is whole.

    >>> number(-0.0), number(2.0), number(0.1), number(-3)
    ('0', '2', '0.1', '-3')
    """
    return str(int(value)) if float(value).is_integer() else repr(value)


def equivalent_calls(kernel: Kernel | Magnitude) -> dict[str, str]:
    """Return program -> source text; a program that cannot do it is left out.

    >>> print(equivalent_calls(Kernel("k", matrix=((1, 0), (0, -1)), divisor=2))["OpenCV"])
    import cv2
    import numpy as np
    kernel = np.array([[1, 0], [0, -1]], float)
    kernel /= 2
    result = cv2.filter2D(image, cv2.CV_64F, kernel,
        borderType=cv2.BORDER_REFLECT)
    """
    if isinstance(kernel, Magnitude):
        return _of_magnitude(kernel)
    made = {
        "scipy": _scipy(kernel),
        "OpenCV": _opencv(kernel),
        "ImageMagick": _imagemagick(kernel),
        "Pillow": _pillow(kernel),
        **_by_function(kernel),
    }
    return {program: text for program, text in made.items() if text}


def _blur(sigma: str, kernel: Kernel, program: str) -> str:
    """Return the call that blurs `image` as far as the kernel reaches."""
    height, width = kernel.size_hw
    if program == "OpenCV":
        return f"cv2.GaussianBlur({_IMAGE}, ({width}, {height}), {sigma}, {_REFLECT}"
    usual = int(4 * float(sigma) + 0.5)  # scipy's radius where none is given
    radius = "" if height // 2 == usual else f", radius={height // 2}"
    return f"ndimage.gaussian_filter({_IMAGE}, {sigma}{radius})"


def _function(family: str, known: Mapping[str, str], kernel: Kernel, program: str) -> list[str]:
    """Return the statements in which a program makes a family itself, if it can."""
    match family, program:
        case "gaussian", _:
            return [f"result = {_blur(known['sigma'], kernel, program)}"]
        case "dog", _:
            wider = number(float(known["sigma"]) * float(known["ratio"]))
            fine, wide = _blur(known["sigma"], kernel, program), _blur(wider, kernel, program)
            return [f"fine = {fine}", f"wide = {wide}", "result = fine - wide"]
        case "unsharp", _:
            blurred = _blur(known["sigma"], kernel, program)
            added = f"{known['amount']} * ({_IMAGE} - blurred)"
            return [f"blurred = {blurred}", f"result = {_IMAGE} + {added}"]
        case "box", "scipy":
            return [f"result = ndimage.uniform_filter({_IMAGE}, {known['size']})"]
        case "box", _:
            size = f"({known['size']}, {known['size']})"
            return [f"result = cv2.blur({_IMAGE}, {size}, {_REFLECT}"]
        case "derivative", "scipy":
            order = f"order=({known['y']}, {known['x']})"
            return [f"result = ndimage.gaussian_filter({_IMAGE}, {known['sigma']}, {order})"]
        case "sobel-x" | "sobel-y", "OpenCV":
            order = "1, 0" if family == "sobel-x" else "0, 1"
            size = f"ksize={known['size']}"
            return [f"result = cv2.Sobel({_IMAGE}, cv2.CV_64F, {order}, {size}, {_REFLECT}"]
    return []


_IMPORTS = {"scipy": "from scipy import ndimage", "OpenCV": "import cv2"}
_IMAGE = "image.astype(float)"
_REFLECT = "borderType=cv2.BORDER_REFLECT)"
_SIZED = re.compile(r"(box)-(\d+)|(sobel)-(\d)x\d(-[xy])")
"""Tables that are a family's member of that size."""


def _member(kernel: Kernel) -> tuple[str, str]:
    """Return the family and the settings that make a kernel; a table has none."""
    family, _, words = _SIZED.sub(r"\1\3\5:size=\2\4", kernel.name).partition(":")
    height, width = kernel.size_hw
    is_classic = not words and height * width <= CLASSIC
    return (family, words) if family in FAMILIES and not is_classic else ("", "")


def _by_function(kernel: Kernel) -> dict[str, str]:
    """Return the calls that make a family's kernel themselves, rather than of its numbers."""
    family, words = _member(kernel)
    if not family:
        return {}
    usual = {name: one.default for name, one in FAMILIES[family].parameters.items()}
    known = {name: shown(value) for name, value in usual.items() if value is not None}
    known |= dict(word.split("=") for word in words.split(",") if word)
    made = {}
    for program, imports in _IMPORTS.items():
        if statements := _function(family, known, kernel, program):
            made[program] = "\n".join([imports, *map(_folded, statements)])
    return made


def _is_made(kernel: Kernel) -> bool:
    """Tell whether a formula makes the kernel, and of so many numbers that nobody reads them."""
    height, width = kernel.size_hw
    return bool(_member(kernel)[0]) and height * width > MOST_NUMBERS


def _is_shown_whole(kernel: Kernel) -> bool:
    return max(kernel.size_hw) <= LARGEST_SHOWN


def _shown_factors(kernel: Kernel) -> tuple[Taps, Taps] | None:
    """Return factors short enough to be written out."""
    if kernel.factors is None or max(kernel.size_hw) > LONGEST_SHOWN:
        return None
    return kernel.factors


def _folded(statement: str) -> str:
    """Return a statement with line breaks inside its brackets, for 80 columns."""
    if len(statement) <= LINE_WIDTH:
        return statement
    lines = textwrap.wrap(
        statement,
        LINE_WIDTH,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def _taps(taps: Taps) -> str:
    return "[" + ", ".join(number(tap) for tap in taps) + "]"


def _assigned(name: str, cells: Rows | Taps, divisor: Number = 1) -> list[str]:
    """Return the statements that make a floating-point array of rows or taps."""
    lines = [_taps(line) if isinstance(line, tuple) else number(line) for line in cells]
    made = [_folded(f"{name} = np.array([{', '.join(lines)}], float)")]
    return made if divisor == 1 else [*made, f"{name} /= {number(divisor)}"]


def _made_here(kernel: Kernel) -> str:
    return f'import convcli\nkernel = np.array(convcli.kernel("{kernel.name}").weights)'


def _scipy(kernel: Kernel) -> str:
    made = ["import numpy as np", "from scipy import ndimage"]
    if _is_made(kernel):
        made += [
            _made_here(kernel),
            "result = ndimage.correlate(image.astype(float), kernel)",
        ]
    elif _is_shown_whole(kernel):
        made += [
            *_assigned("kernel", kernel.rows, kernel.divisor),
            "result = ndimage.correlate(image.astype(float), kernel)",
        ]
    elif factors := _shown_factors(kernel):
        made += [
            *_assigned("column", factors[0], kernel.divisor),
            *_assigned("row", factors[1]),
            "down = ndimage.correlate1d(image.astype(float), column, axis=0)",
            "result = ndimage.correlate1d(down, row, axis=1)",
        ]
    else:
        return ""
    return "\n".join([*made, *([f"result += {number(kernel.offset)}"] if kernel.offset else [])])


def _opencv(kernel: Kernel) -> str:
    made = ["import cv2", "import numpy as np"]
    delta = f"delta={number(kernel.offset)}, " if kernel.offset else ""
    rest = f"{delta}borderType=cv2.BORDER_REFLECT)"
    if _is_made(kernel):
        made += [
            _made_here(kernel),
            _folded(f"result = cv2.filter2D(image, cv2.CV_64F, kernel, {rest}"),
        ]
    elif _is_shown_whole(kernel):
        made += [
            *_assigned("kernel", kernel.rows, kernel.divisor),
            _folded(f"result = cv2.filter2D(image, cv2.CV_64F, kernel, {rest}"),
        ]
    elif factors := _shown_factors(kernel):
        made += [
            *_assigned("column", factors[0], kernel.divisor),
            *_assigned("row", factors[1]),
            _folded(f"result = cv2.sepFilter2D(image, cv2.CV_64F, row, column, {rest}"),
        ]
    else:
        return ""
    return "\n".join(made)


def _imagemagick(kernel: Kernel) -> str:
    """Correlate lays the kernel on as printed; the origin is named because sizes may be even.

    Seven digits are more than its 16-bit levels can show.
    """
    if _is_made(kernel) or not _is_shown_whole(kernel):
        return ""
    (height, width), (y, x) = kernel.size_hw, kernel.center
    cells = ", ".join(f"{cell + 0.0:.7g}" for line in kernel.weights for cell in line)
    bias = f" -define convolve:bias={kernel.offset / 2.55:.6g}%" if kernel.offset else ""
    written = _folded(f"    '{width}x{height}+{x}+{y}: {cells}' out.png")
    lines = (
        "# ImageMagick 7; in version 6 the program is called convert",
        f"magick in.png -virtual-pixel mirror{bias} \\",
        "    -morphology Correlate \\",
        written.replace("'\n", "' \\\n"),  # a line may end inside quotes, not behind them
    )
    return "\n".join(lines)


def _pillow(kernel: Kernel) -> str:
    """Pillow takes 3x3 and 5x5 only, lays the rows on from the bottom and leaves the border."""
    side = next((side for side in PILLOW_SIDES if side >= max(kernel.size_hw)), None)
    if side is None:
        return ""
    rows = centered(kernel.rows, kernel.center, side)
    cells = ", ".join(number(cell) for line in reversed(rows) for cell in line)
    more = f", scale={number(kernel.divisor)}, offset={number(kernel.offset)})"
    made = [
        "from PIL import ImageFilter",
        "# Pillow lays the rows on from the bottom up.",
        _folded(f"kernel = ImageFilter.Kernel(({side}, {side}), [{cells}]{more}"),
        "result = image.filter(kernel)",
    ]
    return "\n".join(made)


def centered(rows: Rows, center: tuple[int, int], side: int) -> Rows:
    """Return the matrix in a square of zeros, its center in the middle.

    >>> centered(((1, 2), (3, 4)), (1, 1), 3)
    ((1, 2, 0), (3, 4, 0), (0, 0, 0))
    """
    up, left = side // 2 - center[0], side // 2 - center[1]

    def cell(y: int, x: int) -> Number:
        inside = 0 <= y - up < len(rows) and 0 <= x - left < len(rows[0])
        return rows[y - up][x - left] if inside else 0

    return tuple(tuple(cell(y, x) for x in range(side)) for y in range(side))


def _of_magnitude(magnitude: Magnitude) -> dict[str, str]:
    """Combine both components' calls; ImageMagick and Pillow have no single call for it."""
    made = {}
    for program, combined in (("scipy", "np.hypot(x, y)"), ("OpenCV", "cv2.magnitude(x, y)")):
        parts = [equivalent_calls(component).get(program, "") for component in magnitude.components]
        if all(parts):
            first, second = (
                part.replace("result =", f"{axis} =")
                for axis, part in zip("xy", parts, strict=True)
            )
            imports = {line for line in first.splitlines() if line.startswith(("import", "from"))}
            rest = [line for line in second.splitlines() if line not in imports]
            needs = ["import numpy as np"] if program == "scipy" else []
            needs = [line for line in needs if line not in imports]
            made[program] = "\n".join([*needs, first, *rest, f"result = {combined}"])
    return made
