"""Convolution and pooling step by step: scenes of grids, each a moment of a film."""

from __future__ import annotations

from collections.abc import Iterator

from convcli.errors import UsageError
from convcli.imaging.scenes import Grid, Scene
from convcli.inspect.arithmetic import Matrix, Sliding, Volume
from convcli.sums import Sum

MOST_TERMS = 9
"""Products that are written out; of more, only their number."""


def conv_scenes(slide: Sliding, *, heading: str = "") -> Iterator[Scene]:
    """Yield a scene for each output cell of a convolution, the output filling up.

    >>> last = list(conv_scenes(Sliding([[1, 2, 3]], [[1, -1]])))[-1]
    >>> last.text, last.grids[0][-1].rows
    ('2·1 + 3·(-1) = -1', [[-1.0, -1.0]])
    """
    name = "Convolution" if slide.convolve else "Cross-correlation"
    heading = heading or name + _how(slide)
    if slide.convolve:
        yield _turning(slide, heading)
    height, width = slide.output_hw
    done: list[list[float | None]] = [[None] * width for _ in range(height)]
    for row in range(height):
        for column in range(width):
            one = slide.cell(row, column)
            done[row][column] = one.total
            yield Scene(heading, _conv_grids(slide, done, row, column), sum_text(one))


def _how(slide: Sliding) -> str:
    told = (
        ("stride", slide.stride, 1),
        ("padding", slide.padding, 0),
        ("dilation", slide.dilation, 1),
    )
    return "".join(f", {name} {value}" for name, value, usual in told if value != usual)


def _turning(slide: Sliding, heading: str) -> Scene:
    given = Sliding(slide.image, slide.kernel)
    grids = tuple(
        (Grid("Kernel as written", before), Grid("turned by 180 degrees", after))
        for before, after in zip(given.kernels, slide.kernels, strict=True)
    )
    return Scene(heading, grids, "A convolution lays the kernel on turned by 180 degrees.")


def _conv_grids(
    slide: Sliding, done: list[list[float | None]], row: int, column: int
) -> tuple[tuple[Grid, ...], ...]:
    rows, columns = slide.windows()
    top, left = rows.before, columns.before
    down, across = rows.reads(row), columns.reads(column)
    rim = (top, left, rows.after, columns.after)
    window = frozenset((y + top, x + left) for y in down for x in across)
    lines = []
    for channel, (plane, kernel) in enumerate(zip(slide.planes, slide.kernels, strict=True)):
        padded = _padded(plane, rim)
        products = [
            [padded[y + top][x + left] * kernel[i][j] + 0.0 for j, x in enumerate(across)]
            for i, y in enumerate(down)
        ]
        of = f", channel {channel}" if len(slide.planes) > 1 else ""
        lines.append(
            [
                Grid(f"Input{of}", padded, window, rim=rim),
                Grid("Kernel", kernel),
                Grid("Products", products),
            ]
        )
    output = Grid("Output", [list(line) for line in done], frozenset({(row, column)}))
    lines[0].append(output)
    return tuple(map(tuple, lines))


def _padded(plane: Matrix, rim: tuple[int, int, int, int]) -> list[list[float]]:
    top, left, bottom, right = rim
    width = left + len(plane[0]) + right
    inner = [[0.0] * left + list(line) + [0.0] * right for line in plane]
    return [[0.0] * width for _ in range(top)] + inner + [[0.0] * width for _ in range(bottom)]


def sum_text(one: Sum) -> str:
    """Return a sum in numbers, of many products only how many.

    >>> sum_text(Sliding([[1, 2]], [[3, -1]]).cell(0, 0))
    '1·3 + 2·(-1) = 1'
    """
    bias = f" + {_number(one.bias)} (bias)" if one.bias else ""
    if len(one.terms) > MOST_TERMS:
        return f"{len(one.terms)} products{bias} = {_number(one.total)}"
    products = [f"{_number(term.value)}·{_factor(term.weight)}" for term in one.terms]
    return f"{' + '.join(products)}{bias} = {_number(one.total)}"


def _number(value: float) -> str:
    return f"{value + 0.0:.4g}"


def _factor(value: float) -> str:
    return f"({_number(value)})" if value < 0 else _number(value)


def pool_scenes(image: Matrix, kind: str, size: int, stride: int) -> Iterator[Scene]:
    """Yield a scene for each window of a pooling (valid, floor)."""
    slide = Sliding(image, [[1.0] * size] * size, stride)
    (height, width), (rows, columns) = slide.output_hw, slide.windows()
    heading = f"{'Max' if kind == 'max' else 'Average'} pooling {size}x{size}, stride {stride}"
    done: list[list[float | None]] = [[None] * width for _ in range(height)]
    for row in range(height):
        for column in range(width):
            places = [(y, x) for y in rows.reads(row) for x in columns.reads(column)]
            values = [image[y][x] for y, x in places]
            result = max(values) if kind == "max" else sum(values) / len(values)
            chosen = frozenset({places[values.index(result)]} if kind == "max" else ())
            done[row][column] = result
            joined = ", ".join(map(_number, values))
            many = joined if len(values) <= MOST_TERMS else f"{len(values)} values"
            text = f"{'max' if kind == 'max' else 'mean'}({many}) = {_number(result)}"
            here = frozenset({(row, column)})
            grids = (
                Grid("Input", image, frozenset(places), chosen),
                Grid("Output", [list(line) for line in done], here),
            )
            yield Scene(heading, (grids,), text)


def transposed_scenes(
    image: Matrix | Volume, kernel: Matrix | Volume, stride: int = 1, padding: int = 0
) -> Iterator[Scene]:
    """Yield a scene for each input cell of a transposed convolution: it stamps the kernel.

    The output has (n - 1) stride + kernel - 2 padding cells along each axis.

    >>> list(transposed_scenes([[1, 2]], [[1, 10]], stride=1))[-1].grids[0][-1].rows
    [[1.0, 12.0, 20.0]]
    """
    slide = Sliding(image, kernel, padding="full")
    if len(slide.planes) > 1:
        raise UsageError("A film of a transposed convolution takes one channel.")
    (plane,), (weights,) = slide.planes, slide.kernels
    height, width = len(weights), len(weights[0])
    sizes = [
        (count - 1) * stride + taps - 2 * padding
        for count, taps in ((len(plane), height), (len(plane[0]), width))
    ]
    if min(sizes) < 1:
        raise UsageError(f"padding {padding} leaves nothing of the output; use a smaller one.")
    done = [[0.0] * sizes[1] for _ in range(sizes[0])]
    heading = f"Transposed convolution, stride {stride}" + (f", padding {padding}" * bool(padding))
    for y, line in enumerate(plane):
        for x, value in enumerate(line):
            window = set()
            for i in range(height):
                for j in range(width):
                    row, column = y * stride + i - padding, x * stride + j - padding
                    if 0 <= row < sizes[0] and 0 <= column < sizes[1]:
                        done[row][column] += value * weights[i][j]
                        window.add((row, column))
            stamped = [[value * weight + 0.0 for weight in row] for row in weights]
            grids = (
                Grid("Input", plane, frozenset({(y, x)})),
                Grid("Kernel", weights),
                Grid(f"{_number(value)} times the kernel", stamped),
                Grid("Output, added up", [list(row) for row in done], frozenset(window)),
            )
            corner = f"{y * stride - padding},{x * stride - padding}"
            text = f"{_number(value)} times the kernel is added from cell {corner} on."
            yield Scene(heading, (grids,), text)


def both_scenes(slide: Sliding) -> Iterator[Scene]:
    """Yield correlation above convolution, cell by cell."""
    pair = [
        Sliding(
            slide.image, slide.kernel, slide.stride, slide.padding, slide.dilation, slide.bias, turn
        )
        for turn in (False, True)
    ]
    above, below = (list(conv_scenes(one)) for one in pair)
    for one, other in zip(above, below[1:], strict=True):  # without the turning
        names = ("as written", "turned")
        grids = tuple(
            (line[0], Grid(name, line[1].rows), *line[2:])
            for name, scene in zip(names, (one, other), strict=True)
            for line in scene.grids
        )
        text = f"correlation {one.text}\nconvolution {other.text}"
        yield Scene("Correlation against convolution" + _how(slide), grids, text)
