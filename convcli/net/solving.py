"""The rules backwards: which settings give this size, which inputs fit, what gets lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod

from convcli.errors import InputError, UsageError, did_you_mean
from convcli.geometry import (
    Window,
    dropped_cells,
    effective_kernel,
    output_size,
    same_padding,
    transposed_size,
)
from convcli.layers.base import Shape, shape_text
from convcli.net.text import ParseError, sizes, whole
from convcli.net.trace import Step, Trace, partial_trace
from convcli.net.value import Network

MAX_KERNEL = 11
"""Largest kernel that is tried when none is given."""

MAX_STRIDE = 8
"""Largest stride that is tried when none is given."""

MAX_TRIES = 64
"""Most strides or paddings that are tried."""

MAX_INPUT = 2048
"""Largest input that is tried for a network."""

USUAL_KERNELS = (2, 3, 5, 7)

FREE = ("kernel", "stride", "padding", "dilation")


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to get from a size to another along one axis."""

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int
    output_padding: int
    transposed: bool
    dropped: int
    """Padded cells at the end that no window reads."""
    words: str
    """The options as the notation writes them: `3 s2 p1`."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The sizes that a window turns into the one that was asked for."""

    words: str
    first: int
    last: int


def solve(question: str) -> tuple[Setting, ...] | tuple[Inputs, ...]:
    """Return the settings of a window that turn one size into another, the plainest first.

    Args:
        question: `28 -> 14` or `28x30 -> 14x15`, then what is fixed: `kernel 3`, `stride 2`,
            `padding 1`, `dilation 2`, separated by commas. A larger output asks for a transposed
            window. `same size, kernel 5` asks what keeps any size, and `? -> 7` which sizes become
            7, by the usual windows or by that which is given.

    >>> [setting.words for setting in solve("28 -> 14, kernel 3")]
    ['3 s2 same', '3 s2 p1']
    >>> solve("14 -> 28, kernel 2")[0].words
    '2 s2'
    >>> [setting.words for setting in solve("same size, kernel 5")]
    ['5 p2', '5 same']
    >>> solve("? -> 7, kernel 3, stride 2, padding 1")
    (Inputs(words='3 s2 p1', first=13, last=14),)

    Raises:
        UsageError: the question cannot be read.
        InputError: no setting does it; says what would be reached.
    """
    start, end, fixed = _read(question)
    if start is None:
        return _inputs(end, fixed)
    ways = [_ways(size, out, fixed) for size, out in zip(start, end, strict=True)]
    both = set.intersection(*({way.words for way in axis} for axis in ways))
    if not both:
        told = ", ".join(f"{way[0].words} for axis {axis}" for axis, way in enumerate(ways, 1))
        raise InputError(f"No setting does it for all axes alike; {told}. Give each axis its own.")
    found = (way for way in ways[0] if way.words in both)
    return tuple(sorted(found, key=_plainness))


def _ways(size: int, out: int, fixed: dict[str, int]) -> list[Setting]:
    """Return the windows that turn `size` into `out`; an error says what would be reached."""
    found = _transposed(size, out, fixed) if out > size else []
    found = found or _sliding(size, out, fixed)
    if not found:
        raise InputError(_nothing(size, out, fixed))
    return found


def _inputs(out: Shape, fixed: dict[str, int]) -> tuple[Inputs, ...]:
    """Return the sizes that become `out`, for every window that is asked about.

    Without a kernel these are the usual ones, padded not at all or by half.
    """
    if len(set(out)) > 1:
        raise UsageError(f"Which inputs? Ask for one axis after the other: ? -> {out[0]}, kernel 3")
    dilation, found = fixed.get("dilation", 1), []
    kernels = USUAL_KERNELS if "kernel" not in fixed else (fixed["kernel"],)
    for kernel in kernels:
        extent = effective_kernel(kernel, dilation)
        paddings: Iterable[int] = _choices(fixed, "padding", extent // 2, lowest=0)
        if "kernel" not in fixed:
            paddings = sorted({min(paddings), max(paddings)})
        for stride in _choices(fixed, "stride", 4 if "kernel" in fixed else 2):
            for cells in paddings:
                first = (out[0] - 1) * stride + extent - 2 * cells
                words = _words(kernel, stride, f"p{cells}" if cells else "", dilation)
                if first + stride > 1:
                    found.append(Inputs(words, max(1, first), first + stride - 1))
    return tuple(found)


HINT = "Write: 28 -> 14, kernel 3; same size, kernel 5; or ? -> 7, kernel 3, stride 2"


def _read(question: str) -> tuple[Shape | None, Shape, dict[str, int]]:
    """Return the sizes before and behind the arrow, None for `?`, and what is fixed."""
    asked, *clauses = question.split(",")
    start, arrow, end = map(str.strip, asked.partition("->"))
    same = asked.strip() == "same size"
    if not arrow and not same:
        raise UsageError(f"{question[:60]!r} asks nothing. {HINT}")
    fixed = {"stride": 1} if same else {}
    try:
        before = None if start == "?" else (112, 113) if same else sizes(start)
        after = (112, 113) if same else sizes(end)
        for clause in clauses:
            word, _, value = clause.strip().replace("=", " ").partition(" ")
            if word not in FREE:
                hint = did_you_mean(word, FREE)
                raise UsageError(f"{word[:20]!r} is no setting: {', '.join(FREE)}.{hint}")
            fixed[word] = whole(value.strip(), 0 if word == "padding" else 1)
    except ParseError as problem:
        raise UsageError(f"{question[:60]!r}: {problem}. {HINT}") from None
    if before is not None and len(before) != len(after):
        raise UsageError(f"{question[:60]!r} has {len(before)} axes before and {len(after)} after.")
    return before, after, fixed


def _choices(fixed: dict[str, int], name: str, most: int, lowest: int = 1) -> range:
    value = fixed.get(name)
    return range(lowest, most + 1) if value is None else range(value, value + 1)


def _sliding(size: int, out: int, fixed: dict[str, int]) -> list[Setting]:
    """Return the sliding windows that turn `size` into `out`."""
    found = []
    dilation = fixed.get("dilation", 1)
    strides = _choices(fixed, "stride", max(MAX_STRIDE, min(MAX_TRIES, -(-size // out))))
    for kernel in _choices(fixed, "kernel", MAX_KERNEL):
        for stride in strides:
            for before, after, word in _paddings(size, kernel, stride, dilation, fixed):
                if output_size(size, kernel, stride, before, after, dilation) != out:
                    continue
                lost = dropped_cells(size, kernel, stride, before, after, dilation)
                words = _words(kernel, stride, word, dilation)
                found.append(
                    Setting(kernel, stride, before, after, dilation, 0, False, lost, words)
                )
    return found


def _paddings(
    size: int, kernel: int, stride: int, dilation: int, fixed: dict[str, int]
) -> list[tuple[int, int, str]]:
    """Return (before, after, word) for all sensible paddings: up to half of the window."""
    given = fixed.get("padding")
    if given is not None:
        return [(given, given, f"p{given}" if given else "")]
    half = effective_kernel(kernel, dilation) // 2
    symmetric = [
        (cells, cells, f"p{cells}" if cells else "") for cells in range(min(half, MAX_TRIES) + 1)
    ]
    before, after = same_padding(size, kernel, stride, dilation)
    return [*symmetric, (before, after, "same")] if before + after else symmetric


def _transposed(size: int, out: int, fixed: dict[str, int]) -> list[Setting]:
    """Return the transposed windows that turn `size` into `out`."""
    found = []
    dilation = fixed.get("dilation", 1)
    for kernel in _choices(fixed, "kernel", MAX_KERNEL):
        extent = effective_kernel(kernel, dilation)
        for stride in _choices(fixed, "stride", max(2, min(MAX_STRIDE, out // size + 1))):
            if extent < stride:
                continue
            given = fixed.get("padding")
            most = min(extent // 2, MAX_TRIES)
            cells = range(most + 1) if given is None else range(given, given + 1)
            for padding in cells:
                reached = transposed_size(size, kernel, stride, padding, padding, dilation)
                extra = out - reached
                if not 0 <= extra < max(stride, dilation):
                    continue
                words = _words(kernel, stride, f"p{padding}" if padding else "", dilation)
                words += f" op{extra}" if extra else ""
                found.append(
                    Setting(kernel, stride, padding, padding, dilation, extra, True, 0, words)
                )
    return found


def _words(kernel: int, stride: int, padding: str, dilation: int) -> str:
    parts = [str(kernel), f"s{stride}" if stride > 1 else "", padding]
    parts.append(f"d{dilation}" if dilation > 1 else "")
    return " ".join(part for part in parts if part)


def _plainness(setting: Setting) -> tuple[int, ...]:
    """Order by what is lost, then by what is unusual."""
    return (
        setting.dropped,
        setting.output_padding,
        setting.kernel,
        setting.stride,
        setting.before + setting.after,
    )


def _nothing(size: int, out: int, fixed: dict[str, int]) -> str:
    told = ", ".join(f"{name} {value}" for name, value in fixed.items())
    kernel, dilation = fixed.get("kernel", 3), fixed.get("dilation", 1)
    padding = fixed.get("padding", effective_kernel(kernel, dilation) // 2)
    reached = []
    mark = f"p{padding}" if padding else ""
    for stride in _choices(fixed, "stride", 4):
        got = output_size(size, kernel, stride, padding, padding, dilation)
        reached.append(f"{_words(kernel, stride, mark, dilation)} -> {got}")
    return (
        f"No window turns {size} into {out}{f' with {told}' if told else ''}. "
        f"For comparison: {', '.join(reached)}. Use one of these, or fix less."
    )


MAX_VARIED = 2**20
"""Largest value of a variable that is tried."""


def solve_for(condition: str, holds: Callable[[int], bool]) -> int:
    """Return the last value of a variable for which a condition holds, or the first.

    The last where small values hold and large ones do not, such as `params < 1M`; the first where
    it is the other way. In between the condition must change once.

    >>> solve_for("n * n < 50", lambda n: n * n < 50), solve_for("n > 9", lambda n: n > 9)
    (7, 10)

    Raises:
        InputError: it holds for all values from 1 on, or for none.
    """
    first = holds(1)
    other = 2
    while holds(other) == first:
        other *= 2
        if other > MAX_VARIED:
            told = "holds for every value" if first else "holds for no value"
            raise InputError(f"{condition[:60]!r} {told} from 1 to {MAX_VARIED:,} that was tried.")
    low, high = other // 2, other
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) == first else (low, middle)
    return low if first else high


def dropped(step: Step) -> tuple[int, ...]:
    """Return, per axis, how many cells at the end of its padded input a step never reads.

    >>> from convcli.net import parse_notation
    >>> dropped(parse_notation("input 224x224x3, conv 8 3 s2").trace().steps[0])
    (1, 1)
    """
    lost = []
    for axis, window in enumerate(step.reads or ()):
        if not isinstance(window, Window) or step.op in {"pad", "crop"}:
            lost.append(0)
            continue
        padded = step.input_shapes[0][axis] + window.before + window.after
        extent = effective_kernel(window.kernel, window.dilation)
        reached = (step.output_shape[axis] - 1) * window.stride + extent
        lost.append(max(0, padded - reached))
    return tuple(lost)


def smallest_input(network: Network) -> Shape:
    """Return the smallest input that the network accepts, its channels unchanged.

    Axes of equal length stay equal; others are tried one by one, the rest as they are.

    >>> from convcli.net import network
    >>> smallest_input(network("vgg16"))
    (32, 32, 3)

    Raises:
        InputError: no input up to 2,048 works.
    """
    *spatial, channels = network.input_shape
    if not spatial:
        return network.input_shape
    if len(set(spatial)) == 1:
        size = _first_size(network, range(len(spatial)))
        return (*(size for _ in spatial), channels)
    return (*(_first_size(network, [axis]) for axis in range(len(spatial))), channels)


def _first_size(network: Network, axes: range | list[int]) -> int:
    problem = None
    for size in range(1, MAX_INPUT + 1):
        _, problem = partial_trace(network.with_input(_resized(network.input_shape, axes, size)))
        if problem is None:
            return size
    raise InputError(f"No input up to {MAX_INPUT:,} works. {problem}")


def _resized(shape: Shape, axes: range | list[int], size: int) -> Shape:
    return tuple(size if axis in axes else extent for axis, extent in enumerate(shape))


def lossless_inputs(network: Network, limit: int = 1024) -> tuple[int, ...]:
    """Return the lengths, for all axes alike, at which no floor drops a cell in any layer.

    Searched from the network's own shortest axis / 2 up to twice its longest, at most `limit`.

    >>> from convcli.net import parse_notation
    >>> lossless_inputs(parse_notation("input 10x10x1, conv 4 3, maxpool 2"))
    (6, 8, 10, 12, 14, 16, 18, 20)
    """
    *spatial, _ = network.input_shape
    if not spatial:
        return ()
    axes = range(len(spatial))
    fitting = []
    for size in range(max(1, min(spatial) // 2), min(limit, 2 * max(spatial)) + 1):
        resized = network.with_input(_resized(network.input_shape, axes, size))
        _, problem = partial_trace(resized, accept=lambda step: not any(dropped(step)))
        if problem is None:
            fitting.append(size)
    return tuple(fitting)


def in_features(trace: Trace) -> tuple[tuple[str, int, str], ...]:
    """Return (name, features, product) for each step that a dense layer would read as a vector.

    It answers the question students search for most: which `in_features` follow a flatten.

    >>> from convcli.net import network
    >>> in_features(network("mnist").trace())
    (('flatten1', 800, '5 x 5 x 32'),)
    """
    return tuple(
        (
            step.name,
            prod(step.output_shape),
            shape_text(step.input_shapes[0]).replace("x", " x "),
        )
        for step in trace.steps
        if step.op == "flatten"
    )
