"""Convolutions 3x3 with a quarter of the products: F(4x4, 3x3) of Winograd's minimal algorithms.

Tiles of 6x6 input cells become 36 numbers for each channel, these meet those of the kernel in 36
matrix products, and the results become tiles of 4x4 output cells (Lavin and Gray 2016):

    Y = A^T [(G g G^T) * (B^T d B)] A

The polynomials behind it are taken at 0, +-3/4, +-5/4 and infinity: their squares and cubes are
exact in float32, and the largest error stays at 2e-6 of the largest output, a quarter of what
0, +-1, +-2 give (Barabasz et al. 2020 on the choice of points).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types
from numba.extending import intrinsic

from convcli.engine.calls import AT, Operands, Operation, each_sample
from convcli.engine.llvm import (
    FLOAT,
    FLOATS,
    LANES,
    WORD,
    Vectors,
    add,
    advance,
    bounded,
    load,
    store,
)  # fmt: skip
from convcli.engine.tile import bounds_of

OUT, IN, POINTS = 4, 6, 36
LINES = POINTS * LANES
"""Numbers of scratch memory for the lines of one tile."""
P, Q = 3 / 4, 5 / 4
PP, QQ = P * P, Q * Q

Matrix = Sequence[Sequence[float]]
"""A row for each point, in the order 0, P, -P, Q, -Q, infinity; a column for each cell of a line.

The rows of a pair differ in the signs of every second column."""


def _powers(cells: int, scales: Sequence[float]) -> Matrix:
    """Return the powers of the points, each row times its scale."""
    rows = [[scale * point**k for k in range(cells)] for scale, point in
            zip(scales, (0.0, P, -P, Q, -Q), strict=True)]  # fmt: skip
    return [*rows, [0.0] * (cells - 1) + [1.0]]


AT_P, AT_Q = -1 / 1.125, 1 / 3.125
"""1 over the product of a point's distances from the others."""
OUTPUT = _powers(OUT, (1.0,) * 5)
KERNEL = _powers(3, (1 / (PP * QQ), AT_P, AT_P, AT_Q, AT_Q))
INPUT = [
    [PP * QQ, 0, -PP - QQ, 0, 1, 0],
    *([0, sign * P * QQ, -QQ, -sign * P, 1, 0] for sign in (-1, 1)),
    *([0, sign * Q * PP, -PP, -sign * Q, 1, 0] for sign in (-1, 1)),
    [0, PP * QQ, 0, -PP - QQ, 0, 1],
]
PAIRS = (1, 2), (3, 4)


class _Line:
    """Emits a line of cells, each a vector of channels, to the points or back from them."""

    def __init__(self, builder: Any, matrix: Matrix):
        self.wide, self.builder, self.matrix = Vectors(builder, FLOAT, LANES), builder, matrix
        self.cells = range(len(matrix[0]))

    def to_points(self, line: Sequence[Any]) -> list[Any]:
        """Return matrix @ line; a pair of points shares the sums of even and of odd cells."""
        points = [self._sum(self.matrix[0], line, self.cells)] + [None] * 4
        for one, other in PAIRS:
            row = self.matrix[one]
            even = self._sum(row, line, self.cells[::2])
            odd = self._sum(row, line, self.cells[1::2])
            points[one], points[other] = self.builder.fadd(even, odd), self.builder.fsub(even, odd)
        return [*points, self._sum(self.matrix[-1], line, self.cells)]

    def from_points(self, points: Sequence[Any]) -> list[Any]:
        """Return matrix.T @ points; a cell reads the sums or the differences of the pairs."""
        joined = [
            [join(points[one], points[other]) for one, other in PAIRS]
            for join in (self.builder.fadd, self.builder.fsub)
        ]
        return [
            self._sum(
                [self.matrix[at][cell] for at in (0, 1, 3, 5)],
                [points[0], *joined[cell % 2], points[5]],
                range(4),
            )
            for cell in self.cells
        ]

    def _sum(self, factors: Sequence[float], line: Sequence[Any], cells: range) -> Any:
        total = None
        for cell in cells:
            factor, value = factors[cell], line[cell]
            if total is not None and factor:
                total = self.wide.fused(self.wide.constant(factor), value, total)
            elif factor:
                times = self.wide.constant(factor)
                total = value if factor == 1 else self.builder.fmul(times, value)
        return total


def _line_intrinsic(matrix: Matrix, *, back: bool = False) -> Any:
    """Return what transforms a line of `count` channels, from places `jump` apart to others.

    `lines` of it, from the first, are inside the map; the others count as zeros.
    """

    @intrinsic
    def line(typingctx, source, jump, lines, count, to, to_jump, to_count):
        word = types.int64
        signature = types.void(FLOATS, word, word, word, FLOATS, word, word)

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, jump, lines, count, to, to_jump, to_count = arguments
            emitter = _Line(builder, matrix)
            wide, given = emitter.wide, []
            for place in range(len(matrix) if back else len(matrix[0])):
                inside = builder.icmp_signed(">", lines, WORD(place))
                mask = wide.places(WORD(0), builder.select(inside, count, WORD(0)))
                given.append(wide.load(source, builder.mul(jump, WORD(place)), mask=mask))
            made = (emitter.from_points if back else emitter.to_points)(given)
            mask = wide.places(WORD(0), to_count)
            for place, value in enumerate(made):
                wide.store(value, to, builder.mul(to_jump, WORD(place)), mask)
            return context.get_dummy_value()

        return signature, emit

    return line


_input_line, _kernel_line = _line_intrinsic(INPUT), _line_intrinsic(KERNEL)
_gradient_line = _line_intrinsic(OUTPUT)
_output_line = _line_intrinsic(OUTPUT, back=True)
_kernel_gradient_line = _line_intrinsic(KERNEL, back=True)


@each_sample(Operands("kernel points", "inputs outputs panel"))
def transform_kernel(o):
    """Write G g G^T, [point][panel][input][output of it], from [tap][input][output]."""
    size = o.inputs * o.outputs
    for c in range(o.inputs):
        for k in range(0, o.outputs, LANES):
            rest = o.outputs - k
            here = advance(o.kernel, c * o.outputs + k)
            panel = k // o.panel * o.inputs * o.panel
            to = advance(o.points, panel + c * o.panel + k % o.panel)
            for column in range(3):  # lines downwards first; the last three rows hold them
                down = advance(to, column * size)
                _kernel_line(advance(here, column * size), 3 * size, 3, rest, down, IN * size, rest)
            for row in range(IN):
                line = advance(to, row * IN * size)
                _kernel_line(line, size, 3, rest, line, size, rest)


TILES = "first count tiles_x"
"""Which tiles of a map, of so many in a row of them; their numbers stand [point][tile][channel]."""


def _gather(name: str, transform: Any, cells: int) -> Operation:
    """Return the operation that writes what tiles of cells x cells are at the points.

    The map has height x width cells; those beyond are zeros.
    """

    def gather(o):
        for at in range(o.count):
            number, jump = o.first + at, o.count * o.channels
            tile_y, tile_x = OUT * (number // o.tiles_x), OUT * (number % o.tiles_x)
            for c in range(0, o.channels, LANES):
                rest, to = o.channels - c, advance(o.points, at * o.channels + c)
                for column in range(cells):
                    x = tile_x + column
                    transform(
                        advance(o.x, tile_y * o.line + x * o.channels + c), o.line,
                        o.height - tile_y if x < o.width else 0, rest,
                        advance(o.lines, column * LANES), IN * LANES, LANES,
                    )  # fmt: skip
                for row in range(IN):
                    transform(
                        advance(o.lines, row * IN * LANES), LANES, cells, LANES,
                        advance(to, row * IN * jump), jump, rest,
                    )  # fmt: skip

    return each_sample(
        Operands("x points lines", f"channels line height width {TILES}"), name=name
    )(gather)


gather_tiles = _gather("gather_tiles", _input_line, IN)
"""B^T d B of the padded input's tiles."""
gather_grads = _gather("gather_grads", _gradient_line, OUT)
"""A dy A^T of the output's gradient."""


@each_sample(Operands("y points bias lines", f"channels line height width relu {TILES}"))
def scatter_tiles(o):
    """Write A^T m A, the output cells of products at the points, plus the bias."""
    bounds = bounds_of(o.relu)
    for at in range(o.count):
        number, jump = o.first + at, o.count * o.channels
        tile_y, tile_x = OUT * (number // o.tiles_x), OUT * (number % o.tiles_x)
        rows, columns = min(OUT, o.height - tile_y), min(OUT, o.width - tile_x)
        for k in range(0, o.channels, LANES):
            rest, source = o.channels - k, advance(o.points, at * o.channels + k)
            for column in range(IN):
                _output_line(
                    advance(source, column * jump), IN * jump, IN, rest,
                    advance(o.lines, column * LANES), IN * LANES, LANES,
                )  # fmt: skip
            bias = load(advance(o.bias, k), rest)
            for row in range(rows):
                line = advance(o.lines, row * IN * LANES)
                y = advance(o.y, (tile_y + row) * o.line + tile_x * o.channels + k)
                _output_line(line, LANES, IN, LANES, line, LANES, LANES)
                for column in range(columns):
                    value = add(load(advance(line, column * LANES), LANES), bias)
                    value = bounded(value, bounds.low, bounds.high)
                    store(advance(y, column * o.channels), value, rest)


@each_sample(Operands("sums gradient", "inputs outputs"))
def merge_kernel_points(o):
    """Add the shards in order, and G^T dU G to the gradient of the first shard."""
    size = o.inputs * o.outputs
    for shard in range(1, o.bases[AT.shards]):
        part = advance(o.sums, shard * o.bases[AT.shard_sums])
        for i in range(POINTS * size):
            o.sums[i] += part[i]
    for c in range(o.inputs):
        for k in range(0, o.outputs, LANES):
            rest = o.outputs - k
            here, to = advance(o.sums, c * o.outputs + k), advance(o.gradient, c * o.outputs + k)
            for column in range(IN):
                down = advance(here, column * size)
                _kernel_gradient_line(down, IN * size, IN, rest, down, IN * size, rest)
            for row in range(3):
                line = advance(here, row * IN * size)
                _kernel_gradient_line(line, size, IN, rest, line, size, rest)
                for column in range(3):
                    place = advance(to, (row * 3 + column) * size)
                    value = load(advance(line, column * size), rest)
                    store(place, add(value, load(place, rest)), rest)
