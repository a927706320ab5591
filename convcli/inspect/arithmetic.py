"""The sums behind one number: convolution, pooling, dense unit, softmax and Adam, term by term.

Plain Python on small matrices, so that a reader can redo every line by hand; large arrays go
through the engine, which tests hold against these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convcli.errors import InputError, UsageError
from convcli.geometry import Window, effective_kernel, output_size
from convcli.sums import Place, Sum, Term

Matrix = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Sliding:
    """A kernel sliding over an image: every question about the same convolution has one answer.

    Attributes:
        image: rows of the input, image_h x image_w.
        kernel: rows of the kernel, laid on the image as printed (cross-correlation, as in CNNs).
        stride, dilation: cells, the same on both axes.
        padding: zeros on every side, in cells.
        bias: added to every output, such as a kernel's offset.
    """

    image: Matrix
    kernel: Matrix
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    bias: float = 0.0

    def __post_init__(self) -> None:
        sizes = zip(("rows", "columns"), self._image_hw, self._kernel_hw, strict=True)
        for axis, size, kernel in sizes:
            extent = effective_kernel(kernel, self.dilation)
            if extent > size + 2 * self.padding:
                raise InputError(
                    f"The kernel covers {extent} {axis}, the input with padding {self.padding} has "
                    f"{size + 2 * self.padding}. Use a padding of at least "
                    f"{-(-(extent - size) // 2)}, or a smaller kernel."
                )

    @property
    def _image_hw(self) -> tuple[int, int]:
        return len(self.image), len(self.image[0])

    @property
    def _kernel_hw(self) -> tuple[int, int]:
        return len(self.kernel), len(self.kernel[0])

    @property
    def output_hw(self) -> tuple[int, int]:
        """Height and width of the output.

        >>> Sliding([[1] * 6] * 6, [[1] * 3] * 3).output_hw
        (4, 4)
        """
        height, width = (
            output_size(size, kernel, self.stride, self.padding, self.padding, self.dilation)
            for size, kernel in zip(self._image_hw, self._kernel_hw, strict=True)
        )
        return height, width

    def _windows(self) -> tuple[Window, Window]:
        rows, columns = (
            Window(kernel, self.stride, self.dilation, self.padding, self.padding)
            for kernel in self._kernel_hw
        )
        return rows, columns

    def _inside(self, row: int, column: int) -> bool:
        height, width = self._image_hw
        return 0 <= row < height and 0 <= column < width

    def _value(self, row: int, column: int) -> float:
        return self.image[row][column] if self._inside(row, column) else 0.0

    def _patch(self, row: int, column: int) -> list[Place]:
        """Return the input places under the kernel at output (row, column), kernel row by row."""
        rows, columns = self._windows()
        return [(y, x) for y in rows.reads(row) for x in columns.reads(column)]

    def _weights(self) -> list[float]:
        return [weight for line in self.kernel for weight in line]

    def cell(self, row: int, column: int) -> Sum:
        """Return output cell (row, column) as its sum.

        >>> Sliding([[3, 0, 1], [1, 5, 8], [2, 7, 2]], [[1, 0, -1]] * 3).cell(0, 0).total
        -5.0
        """
        check_place((row, column), self.output_hw, "the output")
        terms = tuple(
            Term(self._value(*place), weight, place if self._inside(*place) else None)
            for place, weight in zip(self._patch(row, column), self._weights(), strict=True)
        )
        return Sum(f"output[{row},{column}]", terms, self.bias)

    def output(self) -> list[list[float]]:
        """Return the whole output.

        >>> Sliding([[1, 2, 3]], [[1, -1]]).output()
        [[-1.0, -1.0]]
        """
        height, width = self.output_hw
        return [[self.cell(row, column).total for column in range(width)] for row in range(height)]

    def patches(self) -> list[list[float]]:
        """Return the unrolled input (im2col): one row per output cell, one column per weight.

        The convolution is this matrix times the kernel read row by row as one column.

        >>> Sliding([[1, 2, 3]], [[1, -1]]).patches()
        [[1, 2], [2, 3]]
        """
        height, width = self.output_hw
        return [
            [self._value(*place) for place in self._patch(row, column)]
            for row in range(height)
            for column in range(width)
        ]

    def weight_gradient(self, row: int, column: int, output_gradient: Matrix) -> Sum:
        """Return dL/dkernel[row, column]: every output gradient times the input under that weight.

        >>> Sliding([[1, 2, 3]], [[1, -1]]).weight_gradient(0, 1, [[1, 1]]).total
        5.0
        """
        check_place((row, column), self._kernel_hw, "the kernel")
        self._check_gradient(output_gradient)
        height, width = self.output_hw
        tap = row * self._kernel_hw[1] + column
        terms = []
        for y in range(height):
            for x in range(width):
                place = self._patch(y, x)[tap]
                inside = place if self._inside(*place) else None
                terms.append(Term(self._value(*place), output_gradient[y][x], inside))
        return Sum(f"gradient of kernel[{row},{column}]", tuple(terms))

    def input_gradient(self, row: int, column: int, output_gradient: Matrix) -> Sum:
        """Return dL/dinput[row, column]: each output that read the cell sends its gradient back.

        >>> Sliding([[1, 2, 3]], [[1, -1]]).input_gradient(0, 1, [[10, 20]]).total
        10.0
        """
        check_place((row, column), self._image_hw, "the input")
        self._check_gradient(output_gradient)
        height, width = self.output_hw
        terms = []
        for y in range(height):
            for x in range(width):
                for place, weight in zip(self._patch(y, x), self._weights(), strict=True):
                    if place == (row, column):
                        terms.append(Term(output_gradient[y][x], weight, (y, x)))
        return Sum(f"gradient of input[{row},{column}]", tuple(terms))

    def _check_gradient(self, output_gradient: Matrix) -> None:
        got = len(output_gradient), len(output_gradient[0])
        if got != self.output_hw:
            raise InputError(
                f"The output gradient is {got[0]}x{got[1]}, the output is "
                f"{self.output_hw[0]}x{self.output_hw[1]}. Give one number per output cell."
            )


@dataclass(frozen=True, slots=True)
class PoolingWindow:
    """One pooling window: the cells read, the result, and where its gradient goes."""

    places: tuple[Place, ...]
    values: tuple[float, ...]
    result: float
    shares: tuple[float, ...]
    """The part of the output's gradient that each cell receives; they sum to 1."""


def pooling_window(
    image: Matrix, size: int, stride: int, row: int, column: int, kind: str
) -> PoolingWindow:
    """Return the pooling window (valid, floor) of output cell (row, column).

    Args:
        image: rows of the input.
        size: side of the window in cells.
        stride: step of the window in cells.
        row: row of the output.
        column: column of the output.
        kind: `max` (the first largest cell takes the whole gradient) or `avg` (equal shares).

    >>> pooling_window([[2, 3], [4, 7]], 2, 2, 0, 0, "max").shares
    (0.0, 0.0, 0.0, 1.0)
    >>> pooling_window([[2, 3], [4, 7]], 2, 2, 0, 0, "avg").result
    4.0
    """
    slide = Sliding(image, [[1.0] * size] * size, stride)
    check_place((row, column), slide.output_hw, "the output")
    terms = slide.cell(row, column).terms
    values = tuple(term.value for term in terms)
    places = tuple(term.place for term in terms if term.place is not None)
    if kind == "max":
        chosen = values.index(max(values))
        shares = tuple(float(index == chosen) for index in range(len(values)))
        return PoolingWindow(places, values, max(values), shares)
    share = 1 / len(values)
    return PoolingWindow(places, values, math.fsum(values) * share, (share,) * len(values))


def dense_unit(inputs: Sequence[float], weights: Sequence[float], bias: float) -> Sum:
    """Return one dense unit before its activation: inputs times weights, plus the bias.

    >>> dense_unit([1, 2], [3, -1], 0.5).total
    1.5
    """
    if len(inputs) != len(weights):
        raise InputError(
            f"{len(inputs)} inputs meet {len(weights)} weights. "
            "A dense unit has one weight per input."
        )
    terms = tuple(
        Term(value, weight, (index,))
        for index, (value, weight) in enumerate(zip(inputs, weights, strict=True))
    )
    return Sum("unit", terms, bias)


def activate(kind: str, value: float) -> float:
    """Return `none`, `relu`, `sigmoid` or `tanh` of one number.

    >>> activate("relu", -2.0), activate("sigmoid", 0.0), activate("none", 3.0)
    (0.0, 0.5, 3.0)
    """
    match kind:
        case "relu":
            return max(0.0, value)
        case "sigmoid":
            return 0.5 * (1 + math.tanh(0.5 * value))  # no overflow for large negative values
        case "tanh":
            return math.tanh(value)
    return value


@dataclass(frozen=True, slots=True)
class SoftmaxLoss:
    """Softmax and cross-entropy of one sample, with every number in between.

    Attributes:
        logits: the inputs.
        exponentials: exp(logit - largest logit); the shift changes no probability and no overflow.
        probabilities: exponentials over their sum.
        loss: -log of the target's probability, in nats.
        gradient: dloss/dlogit = probability - 1 at the target, probability elsewhere.
    """

    logits: tuple[float, ...]
    exponentials: tuple[float, ...]
    probabilities: tuple[float, ...]
    target: int
    loss: float
    gradient: tuple[float, ...]


def softmax_cross_entropy(logits: Sequence[float], target: int) -> SoftmaxLoss:
    """Return softmax, loss and gradient for one sample (Goodfellow et al. 2016, section 6.2.2.3).

    >>> step = softmax_cross_entropy([0.0, 0.0], target=1)
    >>> step.probabilities, round(step.loss, 4), step.gradient
    ((0.5, 0.5), 0.6931, (0.5, -0.5))
    """
    check_place((target,), (len(logits),), "the classes")
    largest = max(logits)
    exponentials = tuple(math.exp(logit - largest) for logit in logits)
    total = math.fsum(exponentials)
    probabilities = tuple(value / total for value in exponentials)
    loss = math.log(total) - (logits[target] - largest)
    gradient = tuple(
        probability - (index == target) for index, probability in enumerate(probabilities)
    )
    return SoftmaxLoss(tuple(logits), exponentials, probabilities, target, loss, gradient)


@dataclass(frozen=True, slots=True)
class AdamStep:
    """One Adam step of one weight, with its corrected averages."""

    step: int
    gradient: float
    mean: float
    square: float
    mean_corrected: float
    square_corrected: float
    change: float
    weight: float


def adam_steps(
    weight: float,
    gradients: Sequence[float],
    rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> list[AdamStep]:
    """Return Adam's steps for one weight and a run of gradients (Kingma and Ba 2015, algorithm 1).

    The first step is one learning rate long, whatever the gradient's size:

    >>> round(adam_steps(1.0, [0.5], rate=0.1)[0].weight, 6)
    0.9
    """
    mean = square = 0.0
    steps = []
    for step, gradient in enumerate(gradients, start=1):
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        mean_corrected = mean / (1 - beta1**step)
        square_corrected = square / (1 - beta2**step)
        change = -rate * mean_corrected / (math.sqrt(square_corrected) + epsilon)
        weight += change
        steps.append(
            AdamStep(step, gradient, mean, square, mean_corrected, square_corrected, change, weight)
        )
    return steps


def check_place(place: Place, shape: tuple[int, ...], whole: str) -> None:
    """Refuse a place outside `shape`, naming the range."""
    if all(0 <= index < size for index, size in zip(place, shape, strict=True)):
        return
    given = ",".join(map(str, place))
    sizes = "x".join(map(str, shape))
    first, last = ",".join("0" * len(shape)), ",".join(str(size - 1) for size in shape)
    raise UsageError(f"{given} lies outside {whole} of {sizes}. Places run from {first} to {last}.")
