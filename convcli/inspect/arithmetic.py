"""The sums behind one number: convolution, pooling, dense unit, softmax and Adam, term by term.

Plain Python on small matrices, so that a reader can redo every line by hand; large arrays go
through the engine, which tests hold against these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convcli.errors import InputError, UsageError
from convcli.geometry import Window, effective_kernel, output_size, same_padding
from convcli.sums import Place, Sum, Term

Matrix = Sequence[Sequence[float]]
Volume = Sequence[Matrix]
"""A matrix for each channel."""


@dataclass(frozen=True, slots=True)
class Sliding:
    """A kernel sliding over an image: every question about the same convolution has one answer.

    Attributes:
        image: rows of the input, image_h x image_w; of a volume a matrix for each channel.
        kernel: rows of the kernel, laid on the image as printed (cross-correlation, as in CNNs); as
            many channels as the image has. The products of all channels are added up.
        stride, dilation: cells, the same on both axes.
        padding: zeros on every side, in cells; or `valid`, `full`, or `same` (the output is as
            large as the input at stride 1; the extra cell stands after).
        bias: added to every output, such as a kernel's offset.
        convolve: the kernel is turned by 180 degrees before it is laid on.
    """

    image: Matrix | Volume
    kernel: Matrix | Volume
    stride: int = 1
    padding: int | str = 0
    dilation: int = 1
    bias: float = 0.0
    convolve: bool = False

    def __post_init__(self) -> None:
        if len(self.planes) != len(self.kernels):
            raise InputError(
                f"The input has {_channels(self.planes)}, the kernel {_channels(self.kernels)}. A "
                "kernel has as many channels as its input, one slice for each."
            )
        sizes = zip(("rows", "columns"), self._image_hw, self._kernel_hw, self._pads, strict=True)
        for axis, size, kernel, (before, after) in sizes:
            extent = effective_kernel(kernel, self.dilation)
            if extent > size + before + after:
                raise InputError(
                    f"The kernel covers {extent} {axis}, the input with padding {self.padding} has "
                    f"{size + before + after}. Use a padding of at least "
                    f"{-(-(extent - size) // 2)}, or a smaller kernel."
                )

    @property
    def planes(self) -> Volume:
        """The image as a matrix for each channel."""
        return _volume(self.image)

    @property
    def kernels(self) -> Volume:
        """The kernel as it is laid on, a matrix for each channel."""
        planes = _volume(self.kernel)
        return [[row[::-1] for row in plane[::-1]] for plane in planes] if self.convolve else planes

    @property
    def _image_hw(self) -> tuple[int, int]:
        return len(self.planes[0]), len(self.planes[0][0])

    @property
    def _kernel_hw(self) -> tuple[int, int]:
        return len(self.kernels[0]), len(self.kernels[0][0])

    @property
    def _pads(self) -> list[tuple[int, int]]:
        """Return the zeros before and after, for rows and columns."""
        pads = []
        for size, kernel in zip(self._image_hw, self._kernel_hw, strict=True):
            extent = effective_kernel(kernel, self.dilation)
            if self.padding == "same":
                pads.append(same_padding(size, kernel, self.stride, self.dilation))
            elif self.padding == "full":
                pads.append((extent - 1, extent - 1))
            else:
                cells = 0 if self.padding == "valid" else int(self.padding)
                pads.append((cells, cells))
        return pads

    def windows(self) -> tuple[Window, Window]:
        """Return where the window lies, for rows and columns."""
        rows, columns = (
            Window(kernel, self.stride, self.dilation, *pads)
            for kernel, pads in zip(self._kernel_hw, self._pads, strict=True)
        )
        return rows, columns

    @property
    def output_hw(self) -> tuple[int, int]:
        """Height and width of the output.

        >>> Sliding([[1] * 6] * 6, [[1] * 3] * 3).output_hw
        (4, 4)
        """
        height, width = (
            output_size(size, one.kernel, one.stride, one.before, one.after, one.dilation)
            for size, one in zip(self._image_hw, self.windows(), strict=True)
        )
        return height, width

    def _inside(self, row: int, column: int) -> bool:
        height, width = self._image_hw
        return 0 <= row < height and 0 <= column < width

    def _value(self, row: int, column: int, channel: int = 0) -> float:
        return self.planes[channel][row][column] if self._inside(row, column) else 0.0

    def _patch(self, row: int, column: int) -> list[Place]:
        """Return the input places under the kernel at output (row, column), kernel row by row.

        Places of a volume have their channel behind row and column; channels follow each other.
        """
        rows, columns = self.windows()
        places = [(y, x) for y in rows.reads(row) for x in columns.reads(column)]
        if len(self.planes) == 1:
            return list(places)
        return [(*place, channel) for channel in range(len(self.planes)) for place in places]

    def _weights(self) -> list[float]:
        return [weight for plane in self.kernels for line in plane for weight in line]

    def cell(self, row: int, column: int) -> Sum:
        """Return output cell (row, column) as its sum.

        >>> Sliding([[3, 0, 1], [1, 5, 8], [2, 7, 2]], [[1, 0, -1]] * 3).cell(0, 0).total
        -5.0
        >>> Sliding([[[1, 2]], [[3, 4]]], [[[1, 0]], [[0, 2]]], bias=1).cell(0, 0).total
        10.0
        """
        check_place((row, column), self.output_hw, "the output")
        terms = tuple(
            Term(self._value(*place), weight, place if self._inside(*place[:2]) else None)
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
        if self.convolve:  # the weight lies on the other side of the middle
            tap = len(self.kernels[0]) * self._kernel_hw[1] - 1 - tap
        terms = []
        for y in range(height):
            for x in range(width):
                place = self._patch(y, x)[tap]
                inside = place if self._inside(*place[:2]) else None
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
                    if place[:2] == (row, column) and place[2:] in {(), (0,)}:
                        terms.append(Term(output_gradient[y][x], weight, (y, x)))
        return Sum(f"gradient of input[{row},{column}]", tuple(terms))

    def layer(self) -> list[list[float]]:
        """Return the convolution as a dense layer: a row of weights for each output cell.

        The same weights stand in every row, moved by one window: equal along the diagonals.

        >>> Sliding([[1, 2, 3]], [[5, 7]]).layer()
        [[5, 7, 0.0], [0.0, 5, 7]]
        """
        (height, width), (rows, columns) = self._image_hw, self.output_hw
        matrix = []
        for row in range(rows):
            for column in range(columns):
                line = [0.0] * (height * width * len(self.planes))
                for place, weight in zip(self._patch(row, column), self._weights(), strict=True):
                    y, x, channel = (*place, 0)[:3]
                    if self._inside(y, x):
                        line[(channel * height + y) * width + x] = weight
                matrix.append(line)
        return matrix

    def _check_gradient(self, output_gradient: Matrix) -> None:
        got = len(output_gradient), len(output_gradient[0])
        if got != self.output_hw:
            raise InputError(
                f"The output gradient is {got[0]}x{got[1]}, the output is "
                f"{self.output_hw[0]}x{self.output_hw[1]}. Give one number per output cell."
            )


def _volume(rows: Matrix | Volume) -> Volume:
    return rows if isinstance(rows[0][0], Sequence) else (rows,)  # type: ignore[return-value]  # depth


def _channels(planes: Volume) -> str:
    return f"{len(planes)} channel{'s' * (len(planes) != 1)}"


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


def pooled(image: Matrix, size: int, stride: int, kind: str) -> list[list[float]]:
    """Return the whole output of a pooling.

    >>> pooled([[2, 3, 1, 9], [4, 7, 3, 5], [8, 2, 2, 2], [1, 3, 4, 5]], 2, 2, "avg")
    [[4.0, 4.5], [3.5, 3.25]]
    """
    height, width = Sliding(image, [[1.0] * size] * size, stride).output_hw
    return [
        [pooling_window(image, size, stride, row, column, kind).result for column in range(width)]
        for row in range(height)
    ]


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
class Normalized:
    """One value of a batch on its way through batch norm, and a sigmoid before and behind it.

    Attributes:
        value: that came in.
        centered: value - mean.
        normalized: centered / sqrt(variance + epsilon).
        output: gamma * normalized + beta.
        slope_before: of a sigmoid at the value; 0.25 in its middle, next to nothing far out.
        slope_after: of a sigmoid at the output.
    """

    value: float
    centered: float
    normalized: float
    output: float
    slope_before: float
    slope_after: float


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """A channel's values over a batch, normalized (Ioffe and Szegedy 2015, algorithm 1)."""

    mean: float
    variance: float
    values: tuple[Normalized, ...]


def batch_norm(
    values: Sequence[float], gamma: float = 1.0, beta: float = 0.0, epsilon: float = 1e-5
) -> BatchNorm:
    """Return mean, variance (divided by n) and every value's way.

    >>> found = batch_norm([1, 2, 3, 4], epsilon=0)
    >>> found.mean, found.variance, [round(one.output, 3) for one in found.values]
    (2.5, 1.25, [-1.342, -0.447, 0.447, 1.342])
    """
    mean = math.fsum(values) / len(values)
    centered = [Sum("", (Term(one, 1, None), Term(mean, -1, None))).total for one in values]
    variance = math.fsum(one**2 for one in centered) / len(values)
    if variance + epsilon == 0:
        raise InputError(
            f"All {len(values)} values are {mean:g}: the variance is 0, and so is epsilon. "
            "Give --epsilon, such as 1e-5."
        )
    way = []
    for value, moved in zip(values, centered, strict=True):
        normalized = moved / math.sqrt(variance + epsilon)
        output = gamma * normalized + beta + 0.0
        slopes = (_sigmoid_slope(value), _sigmoid_slope(output))
        way.append(Normalized(value, moved, normalized, output, *slopes))
    return BatchNorm(mean, variance, tuple(way))


def _sigmoid_slope(value: float) -> float:
    share = activate("sigmoid", value)
    return share * (1 - share)


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
