"""Integers only: how big a window's output is, where it is padded, and which cells it reads.

Every rule stands here once, with its source. All sizes are cells along one axis; "before" is the
top or left side. Nothing here knows what a layer is.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from convcli.values import Value

Padding = str | tuple[tuple[int, int], ...]
"""`valid`, `same`, `causal`, or (before, after) for every axis."""


def effective_kernel(kernel: int, dilation: int = 1) -> int:
    """Return the extent of a dilated kernel, holes included (Dumoulin and Visin 2016, section 5.1).

    >>> effective_kernel(3, dilation=4)
    9
    """
    return (kernel - 1) * dilation + 1


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    before: int = 0,
    after: int = 0,
    dilation: int = 1,
    *,
    ceil: bool = False,
) -> int:
    """Return how many windows fit: `floor((size + before + after - kernel) / stride) + 1`, or 0.

    With `ceil` the quotient is rounded up, and a last window that would start past the input and
    its padding before is dropped (PyTorch's rule; ONNX took it over).

    >>> output_size(224, 3, stride=2)
    111
    >>> output_size(5, 2, stride=2, before=1, after=1, ceil=True)  # plain rounding up would say 4
    3
    """
    room = size + before + after - effective_kernel(kernel, dilation)
    if not ceil:
        return max(0, room // stride + 1)
    count = -(-room // stride) + 1
    if (count - 1) * stride >= size + before:
        count -= 1
    return max(0, count)


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Return (before, after) so that the output is `ceil(size / stride)`; the odd cell goes after.

    This is TensorFlow's rule; ONNX calls it SAME_UPPER. The total is never negative.

    >>> same_padding(28, 4)
    (1, 2)
    >>> same_padding(10, 1, stride=4)
    (0, 0)
    """
    count = -(-size // stride)
    total = max(0, (count - 1) * stride + effective_kernel(kernel, dilation) - size)
    return total // 2, total - total // 2


def causal_padding(kernel: int, dilation: int = 1) -> tuple[int, int]:
    """Return (before, after) so that no output cell reads a later input cell (van den Oord 2016).

    >>> causal_padding(3, dilation=4)
    (8, 0)
    """
    return (kernel - 1) * dilation, 0


def dropped_cells(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1
) -> int:
    """Return how many padded cells at the end no window reaches, because the quotient was floored.

    >>> dropped_cells(224, 3, stride=2, before=0, after=0)
    1
    """
    room = size + before + after - effective_kernel(kernel, dilation)
    return room % stride if room >= 0 else size + before + after


def transposed_size(
    size: int,
    kernel: int,
    stride: int = 1,
    before: int = 0,
    after: int = 0,
    dilation: int = 1,
    output_padding: int = 0,
) -> int:
    """Return the output of a transposed window: each input cell spreads over one kernel.

    `(size - 1) * stride + kernel - before - after + output_padding`, PyTorch's rule.

    >>> transposed_size(14, 3, stride=2, before=1, after=1, output_padding=1)
    28
    >>> transposed_size(4, 2, stride=3)  # Keras says 12, see `keras_transposed`
    11
    """
    spread = (size - 1) * stride + effective_kernel(kernel, dilation)
    return max(0, spread - before - after + output_padding)


def transposed_same(kernel: int, stride: int, dilation: int = 1) -> tuple[int, int, int]:
    """Return (before, after, output padding) that make a transposed output `size * stride`.

    It is the gradient of the `same` window with that stride (TensorFlow; ONNX SAME_UPPER).

    >>> transposed_same(3, stride=2)
    (0, 1, 0)
    """
    surplus = effective_kernel(kernel, dilation) - stride
    total = max(0, surplus)
    return total // 2, total - total // 2, max(0, -surplus)


def keras_transposed(
    kernel: int, stride: int, dilation: int, extra: int | None, *, same: bool
) -> tuple[int, int, int]:
    """Return (before, after, output padding) as Keras crops a transposed output.

    Without a number as output padding a stride is never cut short (`valid`), or the output is
    `size * stride` (`same`). With one, 0 too, it is `(size - 1) * stride + kernel + extra`
    (`valid`) or `(size - 1) * stride + kernel % 2 + extra` (`same`, cropped at both ends alike).

    Source: keras/src/backend/common/backend_utils.py, _get_output_shape_given_tf_padding.

    >>> keras_transposed(2, 3, 1, None, same=False), keras_transposed(2, 3, 1, 0, same=False)
    ((0, 0, 1), (0, 0, 0))
    >>> keras_transposed(3, 2, 1, 1, same=True)
    (1, 1, 1)
    """
    span = effective_kernel(kernel, dilation)
    if same:
        half = span // 2
        return transposed_same(kernel, stride, dilation) if extra is None else (half, half, extra)
    return 0, 0, max(0, stride - span) if extra is None else extra


def adaptive_window(size: int, count: int, cell: int) -> range:
    """Return the input cells that adaptive pooling averages for output `cell` of `count`.

    From `floor(cell * size / count)` up to `ceil((cell + 1) * size / count)`, PyTorch's rule.

    >>> [list(adaptive_window(5, 3, cell)) for cell in range(3)]
    [[0, 1], [1, 2, 3], [3, 4]]
    """
    return range(cell * size // count, -(-(cell + 1) * size // count))


@dataclass(slots=True, eq=False, repr=False)
class Window(Value):
    """One axis of a sliding window, its padding resolved to numbers."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    period = 1
    """Output cells after which the pattern of read cells repeats."""

    @property
    def advance(self) -> int:
        """Input cells by which the pattern moves on in one period."""
        return self.stride

    def reads(self, cell: int) -> range:
        """Return the input cells that output `cell` reads, padding included.

        >>> list(Window(kernel=3, stride=2, before=1).reads(0))
        [-1, 0, 1]
        """
        first = cell * self.stride - self.before
        return range(first, first + (self.kernel - 1) * self.dilation + 1, self.dilation)


@dataclass(slots=True, eq=False, repr=False)
class Spread(Value):
    """One axis of a transposed window: input cell u adds to `u * stride - before + tap`."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0

    advance = 1

    @property
    def period(self) -> int:
        """Output cells after which the pattern of read cells repeats."""
        return self.stride

    def reads(self, cell: int) -> range:
        """Return the input cells that output `cell` reads; none when the kernel leaves a hole.

        >>> [list(Spread(kernel=2, stride=3).reads(cell)) for cell in range(4)]
        [[0], [0], [], [1]]
        """
        common = gcd(self.stride, self.dilation)
        every = self.stride // common
        for tap in range(min(self.kernel, every)):
            first, rest = divmod(cell + self.before - tap * self.dilation, self.stride)
            if rest == 0:
                step = -(self.dilation // common)
                count = (self.kernel - 1 - tap) // every + 1
                return range(first, first + count * step, step)
        return range(0)


@dataclass(slots=True, eq=False, repr=False)
class Enlarge(Value):
    """One axis of an enlargement by `factor / over`: nearest cell, or linear between centers."""

    factor: int
    linear: bool = False
    over: int = 1

    @property
    def period(self) -> int:
        """Output cells after which the pattern of read cells repeats."""
        return self.factor // gcd(self.factor, self.over)

    @property
    def advance(self) -> int:
        """Input cells by which the pattern moves on in one period."""
        return self.over // gcd(self.factor, self.over)

    def reads(self, cell: int) -> range:
        """Return the input cells that output `cell` reads.

        Linear puts output center `(cell + 1/2) over / factor - 1/2` between its two neighbors;
        at the ends of the map, where one is missing, the other stands for both.

        >>> [list(Enlarge(2).reads(cell)) for cell in range(3)]
        [[0], [0], [1]]
        >>> [list(Enlarge(2, linear=True).reads(cell)) for cell in range(3)]
        [[-1, 0], [0, 1], [0, 1]]
        >>> [list(Enlarge(3, over=2).reads(cell)) for cell in range(3)]
        [[0], [0], [1]]
        """
        if not self.linear:
            first = cell * self.over // self.factor
            return range(first, first + 1)
        first, rest = divmod((2 * cell + 1) * self.over - self.factor, 2 * self.factor)
        return range(first, first + 2 if rest else first + 1)


@dataclass(slots=True, eq=False, repr=False)
class Adaptive(Value):
    """One axis of adaptive pooling: `count` uneven windows over `size` cells."""

    size: int
    count: int

    @property
    def period(self) -> int:
        """Output cells after which the pattern of read cells repeats."""
        return self.count // gcd(self.size, self.count)

    @property
    def advance(self) -> int:
        """Input cells by which the pattern moves on in one period."""
        return self.size // gcd(self.size, self.count)

    def reads(self, cell: int) -> range:
        """Return the input cells that output `cell` reads; see `adaptive_window`."""
        return adaptive_window(self.size, self.count, cell)


AxisMap = Window | Spread | Enlarge | Adaptive
"""What one axis of a layer reads: `reads(cell + period)` is `reads(cell)` moved by `advance`."""


def resolve_padding(
    padding: Padding, size: int, axis: int, kernel: int, stride: int, dilation: int
) -> tuple[int, int]:
    """Return (before, after) in cells for one axis of any kind of padding.

    >>> resolve_padding("same", 28, 0, kernel=3, stride=1, dilation=1)
    (1, 1)
    """
    if not isinstance(padding, str):
        return padding[axis]
    if padding == "same":
        return same_padding(size, kernel, stride, dilation)
    if padding == "causal":
        return causal_padding(kernel, dilation)
    return 0, 0


def windows(
    spatial: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    dilation: tuple[int, ...],
) -> tuple[Window, ...]:
    """Return one resolved `Window` per axis of a map with extents `spatial`.

    >>> windows((10, 10), (3, 3), (2, 2), "same", (1, 1))[0].after
    1
    """
    return tuple(
        Window(
            kernel[axis],
            stride[axis],
            dilation[axis],
            *resolve_padding(padding, size, axis, kernel[axis], stride[axis], dilation[axis]),
        )
        for axis, size in enumerate(spatial)
    )
