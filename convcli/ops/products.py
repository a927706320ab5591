"""The tile in loops: convolutions, dense layers and all their gradients are products of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from convcli.engine.calls import FAST, Operands, Operation, each_sample, operand
from convcli.engine.llvm import advance
from convcli.engine.tile import (
    PANEL,
    RELUS,
    TILE_ROWS,
    Extent,
    Left,
    Right,
    Rows,
    bounds_of,
    narrow_tile,
    wide_tile,
)  # fmt: skip
from convcli.net.trace import Step
from convcli.ops import winograd
from convcli.ops.program import Address, Map, Program, Tensor, Three, copy

CACHE_LINE = 16
SAMPLES_ARE_LOOP, SAMPLES_ARE_ROWS, SAMPLES_ARE_STEPS = 0, 1, 2

PRODUCT = Operands(
    "c start a b",
    "c_row start_row a_row a_block a_step b_block b_step rows columns blocks steps relu samples "
    "i i_c i_start i_a i_b j j_c j_start j_a j_b k k_c k_start k_a k_b",
)


TILE: Any = None
"""What each copy of `_product` calls."""


def _product(bases, row, first, count):
    """Run the tile in three nested loops.

    The samples of the chunk are a loop around all, or the rows (a dense layer), or the steps (its
    weight gradient); then the strides from sample to sample stand for c_row, start_row and a_row,
    or for a_step and b_step.
    """
    rows, steps, samples = row[PRODUCT.rows], row[PRODUCT.steps], count
    c_row, start_row = row[PRODUCT.c_row], row[PRODUCT.start_row]
    a_row, a_step, b_step = row[PRODUCT.a_row], row[PRODUCT.a_step], row[PRODUCT.b_step]
    if row[PRODUCT.samples] == SAMPLES_ARE_ROWS:
        rows, samples = count, 1
        c_row, start_row = row[PRODUCT.c + 2], row[PRODUCT.start + 2]
        a_row = row[PRODUCT.a + 2]
    elif row[PRODUCT.samples] == SAMPLES_ARE_STEPS:
        steps, samples, a_step, b_step = count, 1, row[PRODUCT.a + 2], row[PRODUCT.b + 2]
    for sample in range(first, first + samples):
        c0 = operand(bases, row, PRODUCT.c, sample)
        start0 = operand(bases, row, PRODUCT.start, sample)
        a0 = operand(bases, row, PRODUCT.a, sample)
        b0 = operand(bases, row, PRODUCT.b, sample)
        for i in range(row[PRODUCT.i]):
            for j in range(row[PRODUCT.j]):
                for k in range(row[PRODUCT.k]):
                    c = i * row[PRODUCT.i_c] + j * row[PRODUCT.j_c] + k * row[PRODUCT.k_c]
                    start = i * row[PRODUCT.i_start] + j * row[PRODUCT.j_start]
                    start += k * row[PRODUCT.k_start]
                    a = i * row[PRODUCT.i_a] + j * row[PRODUCT.j_a] + k * row[PRODUCT.k_a]
                    b = i * row[PRODUCT.i_b] + j * row[PRODUCT.j_b] + k * row[PRODUCT.k_b]
                    TILE(
                        Rows(advance(c0, c), c_row),
                        Rows(advance(start0, start), start_row),
                        Left(advance(a0, a), a_row, row[PRODUCT.a_block], a_step),
                        Right(advance(b0, b), row[PRODUCT.b_block], b_step),
                        Extent(rows, row[PRODUCT.columns], row[PRODUCT.blocks], steps),
                        bounds_of(row[PRODUCT.relu]),
                    )


def _operation(name: str, tile: Any) -> Operation:
    run = FunctionType(_product.__code__, globals() | {"TILE": tile}, name)
    run.__qualname__ = name
    return Operation(run, PRODUCT, FAST)


wide_product, narrow_product = (
    _operation("wide_product", wide_tile), _operation("narrow_product", narrow_tile),
)  # fmt: skip
"""For a multiple of `PANEL` columns, and for any; two, since two processes then compile them."""


@each_sample(Operands("to source", "taps groups inputs outputs reverse"))
def flip_kernel(o):
    """Flip a kernel for the input gradient: taps reversed, in and out channels exchanged.

    Written once a batch, from [tap][input][group, output] to [tap][output][group, input]; inputs
    and outputs are those of a group.
    """
    size = o.groups * o.inputs * o.outputs
    for tap in range(o.taps):
        there = o.taps - 1 - tap if o.reverse else tap
        for group in range(o.groups):
            for begin in range(0, o.inputs, CACHE_LINE):  # a line of `to` at a time
                end = min(begin + CACHE_LINE, o.inputs)
                for n in range(o.outputs):
                    for i in range(begin, end):
                        o.to[there * size + (n * o.groups + group) * o.inputs + i] = o.source[
                            tap * size + (i * o.groups + group) * o.outputs + n
                        ]


class Loop(NamedTuple):
    """One loop around the tile: how often, and the jumps of the four operands."""

    times: int = 1
    c: int = 0
    start: int = 0
    a: int = 0
    b: int = 0


class Product(NamedTuple):
    """`c[row, column] = start[row, column] + the sum over blocks and steps of a * b`."""

    rows: int
    columns: int
    steps: int
    blocks: int = 1
    c_row: int = 0
    start_row: int = 0
    a_row: int = 0
    a_block: int = 0
    a_step: int = 1
    b_block: int = 0
    b_step: int = 0
    relu: int = 0
    samples: int = SAMPLES_ARE_LOOP
    loops: tuple[Loop, ...] = ()

    def append(
        self, to: Callable[..., None], *, c: Address, start: Address, a: Address, b: Address
    ) -> None:
        """Append the instructions `to` a program's samples or chunks."""
        named = self._asdict()
        loops = named.pop("loops")
        for name, loop in zip("ijk", (*loops, *[Loop()] * (3 - len(loops))), strict=True):
            named |= {
                name: loop.times, f"{name}_c": loop.c, f"{name}_start": loop.start,
                f"{name}_a": loop.a, f"{name}_b": loop.b,
            }  # fmt: skip
        rest = named.pop("columns") % PANEL
        done = self.columns - rest
        if done:
            to(wide_product, c=c, start=start, a=a, b=b, columns=done, **named)
        if rest:
            places = {"c": c.after(done), "start": start.after(done), "b": b.after(done)}
            to(narrow_product, a=a, columns=rest, **places, **named)


LEAST_PANELS = 2**15
"""Numbers of a right side from which on it is worth to be laid out anew."""


def append_constant(
    program: Program, to: Callable[..., None], product: Product, *, c: Address, start: Address,
    a: Address, b: Address,
) -> None:  # fmt: skip
    """Append a product whose right side stays, when predicting, from one batch to the next.

    There it is read in panels of as many columns as the tile takes, which lie in one piece.
    """
    panels, rest = divmod(product.columns, PANEL)
    if program.training or not panels or product.steps * product.columns < LEAST_PANELS:
        product.append(to, c=c, start=start, a=a, b=b)
        return
    size, done = product.steps * PANEL, panels * PANEL
    key = (b, product.steps, product.columns, product.b_step)
    if key not in program.panels:  # a recurrent layer has one kernel for all its steps
        program.panels[key] = program.shared_buffer(panels * size)
        program.once(
            copy, to=program.panels[key], source=b, run=PANEL, add=0, outer=panels, outer_to=size,
            outer_from=PANEL, middle=product.steps, middle_to=PANEL, middle_from=product.b_step,
            inner=1, inner_to=0, inner_from=0,
        )  # fmt: skip
    each = Loop(panels, PANEL, PANEL, 0, size)
    whole = product._replace(columns=PANEL, b_step=PANEL, loops=(each, *product.loops))
    whole.append(to, c=c, start=start, a=a, b=program.panels[key])
    if rest:
        last = product._replace(columns=rest)
        last.append(to, c=c.after(done), start=start.after(done), a=a, b=b.after(done))


@dataclass(frozen=True)
class Taps:
    """A kernel's geometry on three axes, for `groups` of `inputs` and `outputs` channels."""

    kernel: Three
    stride: Three
    dilation: Three
    groups: int
    inputs: int
    outputs: int

    @property
    def extent(self) -> Three:
        """Cells that the dilated kernel spans."""
        d, h, w = ((k - 1) * step + 1 for k, step in zip(self.kernel, self.dilation, strict=True))
        return d, h, w

    @property
    def weights(self) -> int:
        """Numbers in the kernel."""
        return prod(self.kernel) * self.inputs * self.groups * self.outputs

    @property
    def by_rows(self) -> bool:
        """Whether the numbers that meet one kernel row lie side by side."""
        return self.groups == 1 and self.dilation[2] == 1

    def back(self) -> Taps:
        """Return the geometry of the way back, from the outputs to the inputs."""
        return replace(self, inputs=self.outputs, outputs=self.inputs)


def matrix(inputs: int, outputs: int) -> Taps:
    """Return a kernel of one tap."""
    return Taps((1, 1, 1), (1, 1, 1), (1, 1, 1), 1, inputs, outputs)


def fused_relu(step: Step, y: Tensor) -> int:
    """Return which of `RELUS` a product applies to `y`, which then is activated."""
    y.activated = step.activation in RELUS
    return RELUS.get(step.activation or "", 0)


def padded(program: Program, x: Map, before: Three, after: Three) -> Map:
    """Return `x` with zeros around it; itself when there are none."""
    if not any(before) and not any(after):
        return x
    d, h, w = (size + b + a for size, b, a in zip(x.extent, before, after, strict=True))
    whole = program.frame((d, h, w, x.channels), before, x.extent)
    program.copy_map(whole.inside(before, x.extent), x)
    return whole


def refill(program: Program, whole: Map, x: Map, before: Three) -> None:
    """Copy `x` into its padded map once more, for the backward half."""
    if whole.address.buffer is not x.address.buffer:
        program.copy_map(whole.inside(before, x.extent), x)


def convolve(
    program: Program,
    y: Map,
    x: Map,
    kernel: Address,
    taps: Taps,
    bias: Address,
    *,
    relu: int = 0,
) -> None:
    """Write the valid convolution of `x` (already padded); kernel [tap][input][group, output]."""
    if _is_tiled(taps, y):
        _convolve_tiles(program, y, x, kernel, bias, relu=relu)
        return
    if _is_gathered(taps, y):
        x, taps = _gathered(program, y, x, taps), matrix(taps.weights // taps.outputs, taps.outputs)
    pointwise = _is_pointwise(taps, x, y)
    if taps.groups == prod(taps.kernel) == 1 and (pointwise or y.depth == 1):
        _convolve_cells(program, y, x, kernel, taps, bias, relu)
        return
    kernel_d, kernel_h, kernel_w = taps.kernel
    stride_d, stride_h, stride_w = taps.stride
    apart_d, apart_h, apart_w = taps.dilation
    outputs = taps.groups * taps.outputs
    row = kernel_w * taps.inputs * outputs
    rows, blocks, steps = y.width, kernel_w, taps.inputs
    a_block, b_block = apart_w * x.channels, taps.inputs * outputs
    if taps.by_rows:
        blocks, steps = kernel_h, kernel_w * taps.inputs
        a_block, b_block = apart_h * x.line, row
    if pointwise:
        rows = y.cells
    runs = [(d, h) for d in range(kernel_d) for h in range(1 if taps.by_rows else kernel_h)]
    for number, (d, h) in enumerate(runs):
        again = number > 0
        cells = (
            Loop(y.depth, y.plane, y.plane * again, stride_d * x.plane),
            Loop(y.height, y.line, y.line * again, stride_h * x.line),
        )
        groups = Loop(taps.groups, taps.outputs, taps.outputs, taps.inputs, taps.outputs)
        Product(
            rows=rows, columns=taps.outputs, blocks=blocks, steps=steps, c_row=y.channels,
            start_row=y.channels if again else 0, a_row=stride_w * x.channels, a_block=a_block,
            b_block=b_block, b_step=outputs, relu=relu if number == len(runs) - 1 else 0,
            loops=((Loop(), Loop()) if pointwise else cells) + (groups,),
        ).append(
            program.sample, c=y.address, start=y.address if again else bias,
            a=x.address.after(d * apart_d * x.plane + h * apart_h * x.line),
            b=kernel.after((d * kernel_h + h) * row),
        )  # fmt: skip


LEAST_CHANNELS, MOST_WEIGHTS, LEAST_TILES = 16, 256 * 256, 4
"""Where tiles of 4x4 cells beat plain products: inputs and outputs, both multiplied, tiles of a
map. The kernel's 36 points for each pair of channels must come from a cache."""


NEAR_WEIGHTS, ENOUGH_TILES = 128 * 128, 16
"""Inputs times outputs up to which their points lie in a near cache; tiles that pay for them."""
NEAR_FLOATS = 2**17
"""Numbers of a block of tiles that lie in a near cache."""


def _is_tiled(taps: Taps, y: Map) -> bool:
    """Tell whether a convolution goes faster in tiles, see `winograd`."""
    return (
        taps.kernel == (1, 3, 3)
        and taps.stride == taps.dilation == (1, 1, 1)
        and taps.groups == y.depth == 1
        and min(taps.inputs, taps.outputs) >= LEAST_CHANNELS
        and taps.inputs * taps.outputs <= MOST_WEIGHTS
        and -(-y.height // 4) * -(-y.width // 4) >= LEAST_TILES
    )


def _convolve_tiles(
    program: Program, y: Map, x: Map, kernel: Address, bias: Address, *, relu: int
) -> None:
    """Write the valid convolution of `x` by tiles, in blocks of them; see `winograd`."""
    inputs, outputs, lines = x.channels, y.channels, program.buffer(winograd.LINES)
    points = program.shared_buffer(winograd.POINTS * inputs * outputs)
    panel = outputs if outputs % PANEL else PANEL
    program.once(
        winograd.transform_kernel, kernel=kernel, points=points, inputs=inputs, outputs=outputs,
        panel=panel,
    )  # fmt: skip
    none = program.zeros(outputs)
    most = TILE_ROWS * (1 if inputs * outputs <= NEAR_WEIGHTS else 2)
    for block in _blocks(y, most):
        count = block["count"]
        gathered = program.buffer(winograd.POINTS * count * inputs)
        products = program.buffer(winograd.POINTS * count * outputs)
        program.sample(
            winograd.gather_tiles, x=x.address, points=gathered, lines=lines, channels=inputs,
            line=x.line, height=x.height, width=x.width, **block,
        )  # fmt: skip
        each = Loop(winograd.POINTS, count * outputs, 0, count * inputs, inputs * outputs)
        columns = Loop(outputs // panel, panel, panel, 0, inputs * panel)
        Product(
            rows=count, columns=panel, steps=inputs, c_row=outputs, a_row=inputs, b_step=panel,
            loops=(each, columns),
        ).append(program.sample, c=products, start=none, a=gathered, b=points)  # fmt: skip
        program.sample(
            winograd.scatter_tiles, y=y.address, points=products, bias=bias, lines=lines,
            channels=outputs, line=y.line, height=y.height, width=y.width, relu=relu, **block,
        )  # fmt: skip


def _sum_tiles(program: Program, gradient: Address, x: Map, dy: Map) -> None:
    """Add the kernel's gradient by tiles: sums at the points, merged when all shards have them."""
    inputs, outputs, lines = x.channels, dy.channels, program.buffer(winograd.LINES)
    sums = program.shard_buffer(winograd.POINTS * inputs * outputs)
    for block in _blocks(dy, max(1, NEAR_FLOATS // (winograd.POINTS * (inputs + outputs)))):
        count = block["count"]
        gathered = program.buffer(winograd.POINTS * count * inputs)
        grads = program.buffer(winograd.POINTS * count * outputs)
        program.sample(
            winograd.gather_tiles, x=x.address, points=gathered, lines=lines, channels=inputs,
            line=x.line, height=x.height, width=x.width, **block,
        )  # fmt: skip
        program.sample(
            winograd.gather_grads, x=dy.address, points=grads, lines=lines, channels=outputs,
            line=dy.line, height=dy.height, width=dy.width, **block,
        )  # fmt: skip
        size = inputs * outputs
        each = Loop(winograd.POINTS, size, size, count * inputs, count * outputs)
        Product(
            rows=inputs, columns=outputs, steps=count, c_row=outputs, start_row=outputs, a_row=1,
            a_step=inputs, b_step=outputs, loops=(each,),
        ).append(program.sample, c=sums, start=sums, a=gathered, b=grads)  # fmt: skip
    program.finish(
        winograd.merge_kernel_points, sums=sums, gradient=gradient, inputs=inputs, outputs=outputs
    )


def _blocks(y: Map, most: int) -> Iterator[dict[str, int]]:
    """Yield runs of about equally many tiles of 4x4 cells of a map, at most `most`."""
    tiles_x = -(-y.width // 4)
    tiles = -(-y.height // 4) * tiles_x
    blocks = -(-tiles // most)
    ends = [number * tiles // blocks for number in range(blocks + 1)]
    for first, end in pairwise(ends):
        yield {"first": first, "count": end - first, "tiles_x": tiles_x}


def _sums_in_tiles(taps: Taps, dy: Map) -> bool:
    """Tell whether a map has enough tiles to pay for the kernel's points, read and written."""
    near = taps.inputs * taps.outputs <= NEAR_WEIGHTS
    return near and -(-dy.height // 4) * -(-dy.width // 4) >= ENOUGH_TILES


FAR_WEIGHTS = 2**18
"""Numbers of a kernel that lie in no near cache: they are read once for all cells of a map."""


def _is_gathered(taps: Taps, y: Map) -> bool:
    """Tell whether what a small map's cells read is copied side by side for one product."""
    flat = y.depth == taps.kernel[0] == 1 < prod(taps.kernel) and taps.by_rows
    return flat and taps.weights > FAR_WEIGHTS and y.width < TILE_ROWS


def _gathered(program: Program, y: Map, x: Map, taps: Taps) -> Map:
    """Return a map with the numbers that each cell of `y` reads."""
    run = taps.kernel[2] * taps.inputs
    wide = (y.height, y.width, taps.kernel[1] * run)
    to = Map.whole(program.buffer(prod(wide)), wide)
    for row in range(taps.kernel[1]):
        program.copy(
            to.address.after(row * run), x.address.after(row * taps.dilation[1] * x.line), run,
            (to.height, to.line, taps.stride[1] * x.line),
            (to.width, to.channels, taps.stride[2] * x.channels),
        )  # fmt: skip
    return to


def _convolve_cells(
    program: Program, y: Map, x: Map, kernel: Address, taps: Taps, bias: Address, relu: int
) -> None:
    """Write the product of each cell's channels with a matrix: all in one, or row by row."""
    _, stride_h, stride_w = taps.stride
    lines = (Loop(y.height, y.line, 0, stride_h * x.line),)
    pointwise = _is_pointwise(taps, x, y)
    product = Product(
        rows=y.cells if pointwise else y.width, columns=taps.outputs, steps=taps.inputs,
        c_row=y.channels, a_row=stride_w * x.channels, b_step=taps.outputs, relu=relu,
        loops=() if pointwise else lines,
    )  # fmt: skip
    append_constant(
        program, program.sample, product, c=y.address, start=bias, a=x.address, b=kernel
    )


def _is_pointwise(taps: Taps, x: Map, y: Map) -> bool:
    solid = all(m.line == m.width * m.channels and m.plane == m.line * m.height for m in (x, y))
    return solid and taps.kernel == taps.stride == (1, 1, 1)


def weight_grad(program: Program, gradient: Address, x: Map, dy: Map, taps: Taps) -> None:
    """Add the kernel's gradient; `x` is padded as for `convolve`."""
    if _is_tiled(taps, dy) and _sums_in_tiles(taps, dy):
        _sum_tiles(program, gradient, x, dy)
        return
    kernel_d, kernel_h, kernel_w = taps.kernel
    stride_d, stride_h, stride_w = taps.stride
    apart_d, apart_h, apart_w = taps.dilation
    outputs = taps.groups * taps.outputs
    row = kernel_w * taps.inputs * outputs
    loops = (
        Loop(kernel_h, row, row, apart_h * x.line),
        Loop(dy.depth, 0, 0, stride_d * x.plane, dy.plane),
    )
    for d, w, g in np.ndindex(kernel_d, 1 if taps.by_rows else kernel_w, taps.groups):
        c = gradient.after(d * kernel_h * row + w * taps.inputs * outputs + g * taps.outputs)
        a = d * apart_d * x.plane + w * apart_w * x.channels + g * taps.inputs
        Product(
            rows=taps.inputs * (kernel_w if taps.by_rows else 1), columns=taps.outputs,
            blocks=dy.height, steps=dy.width, c_row=outputs, start_row=outputs, a_row=1,
            a_block=stride_h * x.line, a_step=stride_w * x.channels, b_block=dy.line,
            b_step=dy.channels, loops=loops,
        ).append(
            program.sample, c=c, start=c, a=x.address.after(a),
            b=dy.address.after(g * taps.outputs),
        )  # fmt: skip


class KernelOrder(NamedTuple):
    """How a kernel's numbers follow: from one input to the next, and from group to group."""

    step: int
    group: int


def scatter(
    program: Program, y: Map, x: Map, kernel: Address, taps: Taps, order: KernelOrder
) -> None:
    """Add every cell of `x`, scattered by the kernel, to `y`.

    This is the transposed convolution, and the input gradient of one with strides. `inputs` counts
    the channels of a group of `x`, `outputs` those of `y`.
    """
    stride_d, stride_h, stride_w = taps.stride
    loops = (
        Loop(x.depth, stride_d * y.plane, stride_d * y.plane, x.plane),
        Loop(x.height, stride_h * y.line, stride_h * y.line, x.line),
        Loop(taps.groups, taps.outputs, taps.outputs, taps.inputs, order.group),
    )
    for number, tap in enumerate(np.ndindex(*taps.kernel)):
        to = y.address.after(_tap_offset(y, taps, tap))
        Product(
            rows=x.width, columns=taps.outputs, steps=taps.inputs, c_row=stride_w * y.channels,
            start_row=stride_w * y.channels, a_row=x.channels, b_step=order.step, loops=loops,
        ).append(
            program.sample, c=to, start=to, a=x.address,
            b=kernel.after(number * taps.groups * taps.inputs * taps.outputs),
        )  # fmt: skip


def scatter_rows(program: Program, dx: Map, dy: Map, kernel: Address, taps: Taps) -> None:
    """Add the gradient of a convolution's input to `dx`, a whole kernel row at a time.

    One product gives what each output cell sends to one row of its window; these overlap, and are
    added one after the other.
    """
    width = taps.kernel[2] * taps.inputs
    rows = replace(matrix(width, taps.outputs), kernel=(1, taps.kernel[1], 1))
    by_row = flipped(program, kernel, rows, reverse=False)
    back = matrix(taps.outputs, width)
    sent, none = program.map((*dy.extent, width)), program.zeros(width)
    for row in range(taps.kernel[1]):
        convolve(program, sent, dy, by_row.after(row * width * taps.outputs), back, none)
        program.copy(
            dx.address.after(row * taps.dilation[1] * dx.line), sent.address, width,
            (dy.depth, taps.stride[0] * dx.plane, sent.plane),
            (dy.height, taps.stride[1] * dx.line, sent.line),
            (dy.width, taps.stride[2] * dx.channels, width), add=True,
        )  # fmt: skip


def scatter_weight_grad(program: Program, gradient: Address, x: Map, dy: Map, taps: Taps) -> None:
    """Add the gradient of a transposed kernel [tap][group, input][output]; `dy` is not cropped."""
    stride_d, stride_h, stride_w = taps.stride
    size = taps.inputs * taps.outputs
    loops = (
        Loop(taps.groups, size, size, taps.inputs, taps.outputs),
        Loop(x.depth, 0, 0, x.plane, stride_d * dy.plane),
    )
    for number, tap in enumerate(np.ndindex(*taps.kernel)):
        to = gradient.after(number * taps.groups * size)
        Product(
            rows=taps.inputs, columns=taps.outputs, blocks=x.height, steps=x.width,
            c_row=taps.outputs, start_row=taps.outputs, a_row=1, a_block=x.line,
            a_step=x.channels, b_block=stride_h * dy.line, b_step=stride_w * dy.channels,
            loops=loops,
        ).append(
            program.sample, c=to, start=to, a=x.address,
            b=dy.address.after(_tap_offset(dy, taps, tap)),
        )  # fmt: skip


def _tap_offset(wide: Map, taps: Taps, tap: tuple[int, ...]) -> int:
    jumps = (wide.plane, wide.line, wide.channels)
    return sum(t * step * j for t, step, j in zip(tap, taps.dilation, jumps, strict=True))


def bias_grad(program: Program, gradient: Address, dy: Map) -> None:
    """Add the sum of `dy` over its cells: the product of a row of ones with it."""
    Product(
        rows=1, columns=dy.channels, blocks=dy.height, steps=dy.width, a_step=0, b_block=dy.line,
        b_step=dy.channels, loops=(Loop(dy.depth, b=dy.plane),),
    ).append(
        program.sample, c=gradient, start=gradient, a=program.constant([1.0]), b=dy.address
    )  # fmt: skip


def flipped(program: Program, kernel: Address, taps: Taps, *, reverse: bool) -> Address:
    """Return a copy of the kernel for gradients, renewed every batch; see `flip_kernel`."""
    to = program.shared_buffer(taps.weights)
    program.once(
        flip_kernel, to=to, source=kernel, taps=prod(taps.kernel), groups=taps.groups,
        inputs=taps.inputs, outputs=taps.outputs, reverse=int(reverse),
    )  # fmt: skip
    return to


def dense(
    program: Program, y: Address, x: Address, kernel: Address, bias: Address, taps: Taps,
    *, relu: int = 0,
) -> None:  # fmt: skip
    """Write `x @ kernel + bias` for all samples of the chunk as one product."""
    product = Product(
        rows=1, columns=taps.outputs, steps=taps.inputs, b_step=taps.outputs, relu=relu,
        samples=SAMPLES_ARE_ROWS,
    )  # fmt: skip
    append_constant(program, program.chunk, product, c=y, start=bias, a=x, b=kernel)


def dense_weight_grad(
    program: Program, gradient: Address, x: Address, dy: Address, taps: Taps
) -> None:
    """Add `x.T @ dy` over all samples of the chunk as one product."""
    Product(
        rows=taps.inputs, columns=taps.outputs, steps=0, c_row=taps.outputs,
        start_row=taps.outputs, a_row=1, a_step=0, samples=SAMPLES_ARE_STEPS,
    ).append(program.chunk, c=gradient, start=gradient, a=x, b=dy)  # fmt: skip


def dense_bias_grad(program: Program, gradient: Address, dy: Address, outputs: int) -> None:
    """Add the sum of `dy` over all samples of the chunk."""
    Product(rows=1, columns=outputs, steps=0, a_step=0, samples=SAMPLES_ARE_STEPS).append(
        program.chunk, c=gradient, start=gradient, a=program.constant([1.0]), b=dy
    )


def around_grad(dx: Map, dy: Map, taps: Taps, before: Three) -> tuple[Three, Three] | None:
    """Return the zeros around `dy` in which flipped taps give `dx`; None with strides."""
    d, h, w = (e - 1 - b for e, b in zip(taps.extent, before, strict=True))
    ahead = (d, h, w)
    sizes = zip(dx.extent, taps.extent, ahead, dy.extent, strict=True)
    d, h, w = (size + e - 1 - a - count for size, e, a, count in sizes)
    behind = (d, h, w)
    fits = taps.stride == (1, 1, 1) and min(*ahead, *behind) >= 0
    return (ahead, behind) if fits else None


FEW_CHANNELS = 12
"""Input channels up to which whole kernel rows are scattered, so that vectors are filled."""


def input_grad(
    program: Program, dx: Map, dy: Map, kernel: Address, taps: Taps, before: Three
) -> None:
    """Write the gradient of a convolution's input.

    With stride 1 it is a convolution of the padded gradient with the flipped kernel; else every
    gradient is scattered over its window.
    """
    around = around_grad(dx, dy, taps, before)
    few = dx.channels < FEW_CHANNELS and taps.kernel[0] == taps.groups == taps.dilation[2] == 1
    if not few and around is not None:
        back = flipped(program, kernel, taps, reverse=True)
        wide = padded(program, dy, *around)
        convolve(program, dx, wide, back, taps.back(), program.zeros(dx.channels))
        return
    reached = (
        (count - 1) * stride + e
        for count, stride, e in zip(dy.extent, taps.stride, taps.extent, strict=True)
    )
    d, h, w = (max(size + b, r) for size, b, r in zip(dx.extent, before, reached, strict=True))
    exact = (d, h, w) == dx.extent and not any(before)
    wide = dx if exact else program.map((d, h, w, dx.channels))
    program.clear(wide.address, wide.size)
    if few:
        scatter_rows(program, wide, dy, kernel, taps)
    else:
        back = flipped(program, kernel, taps, reverse=False)
        order = KernelOrder(step=taps.groups * taps.inputs, group=taps.inputs)
        scatter(program, wide, dy, back, taps.back(), order)
    if not exact:
        program.copy_map(dx, wide.inside(before, dx.extent))
