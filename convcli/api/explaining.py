"""The arithmetic behind one number, term by term, and why convolution at all: `explain_...`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from convcli.errors import InputError, UsageError
from convcli.kernels import Kernel, Magnitude, find, parse_numbers
from convcli.option import parse_place
from convcli.present import sums
from convcli.report import Report

if TYPE_CHECKING:
    from convcli.api.seeing import Drawn, Model
    from convcli.inspect.arithmetic import Volume

Numbers: TypeAlias = str | Sequence[float] | Any
Rows: TypeAlias = str | Sequence[Sequence[float]] | Any
Cell: TypeAlias = str | tuple[int, ...]

SUMMED_WIDTH = 48
"""A picture is reduced to that many pixels across: each of its sums is written out in Python."""
SHIFTED_WIDTH = 96
"""A picture is reduced to that many pixels across before it is shifted, so that a pixel counts."""


def explain_conv(
    matrix: Rows,
    kernel: Rows | Kernel,
    at: Cell = (0, 0),
    *,
    stride: int = 1,
    padding: int | Literal["same", "valid", "full"] = 0,
    dilation: int = 1,
    convolve: bool = False,
    as_layer: bool = False,
) -> Report:
    """Spell out one output cell of a convolution, the whole output, and the matrix product.

    Args:
        matrix: rows of numbers, or C x H x W for several channels; or as text, or its file, or a
            picture's, which is reduced to few gray pixels.
        kernel: rows of numbers, C x H x W, a kernel, or its name.
        at: row and column of the output, from 0.
        stride: of the kernel in cells.
        padding: zeros on every side, or same, valid, full.
        dilation: distance of the taps in cells.
        convolve: turn the kernel by 180 degrees first, as mathematics does.
        as_layer: also the dense layer that does the same.

    >>> explain_conv([[3, 0, 1], [1, 5, 8], [2, 7, 2]], "1 0 -1; 1 0 -1; 1 0 -1").document["sum"]
    -5.0

    Raises:
        UsageError: a matrix that is none, or a kernel made of several.
        InputError: a cell outside of the output.
    """
    from convcli.inspect.arithmetic import Sliding

    weights, offset = kernel_of(kernel)
    image, notes = volume_of(matrix, "The matrix")
    slide = Sliding(image, weights, stride, padding, dilation, offset, convolve)
    return sums.conv_report(slide, _cell(at), {}, as_layer=as_layer, notes=notes)


def explain_pool(
    matrix: Rows,
    at: Cell = (0, 0),
    *,
    kind: Literal["max", "avg"] = "max",
    size: int = 2,
    stride: int | None = None,
    gradient: float = 1.0,
) -> Report:
    """Spell out one pooling window: what it reads, what it keeps, where the gradient goes.

    Args:
        matrix: rows of numbers.
        at: row and column of the output, from 0.
        kind: what the window keeps.
        size: of its side.
        stride: its step; the size when left out.
        gradient: of the loss with respect to that output.
    """
    from convcli.inspect.arithmetic import pooled, pooling_window

    rows, cell = rows_of(matrix, "The matrix"), _cell(at)
    window = pooling_window(rows, size, stride or size, *cell, kind)
    whole = pooled(rows, size, stride or size, kind)
    return sums.pool_report(window, cell, kind, gradient, whole)


def explain_dense(
    inputs: Numbers,
    weights: Numbers,
    *,
    bias: float = 0.0,
    activation: Literal["none", "relu", "sigmoid", "tanh"] = "none",
) -> Report:
    """Spell out one dense unit: inputs times weights plus bias, then its activation."""
    from convcli.inspect.arithmetic import activate, dense_unit

    unit = dense_unit(_numbers(inputs, "inputs"), _numbers(weights, "weights"), bias)
    return sums.dense_report(unit, activation, activate(activation, unit.total))


def explain_softmax(logits: Numbers, *, target: int = 0) -> Report:
    """Spell out softmax and cross-entropy of one sample, and the gradient of its logits."""
    from convcli.inspect.arithmetic import softmax_cross_entropy

    return sums.softmax_report(softmax_cross_entropy(_numbers(logits, "logits"), target))


def explain_adam(
    gradients: Numbers,
    *,
    weight: float = 0.0,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> Report:
    """Spell out Adam's steps of one weight: both averages, their corrections, the change."""
    from convcli.inspect.arithmetic import adam_steps

    steps = adam_steps(weight, _numbers(gradients, "gradients"), lr, beta1, beta2, epsilon)
    return sums.adam_report(steps)


def explain_bn(
    values: Numbers, *, gamma: float = 1.0, beta: float = 0.0, epsilon: float = 1e-5
) -> Report:
    """Spell out batch norm on one channel: mean, variance, gamma, beta, a sigmoid's slope.

    >>> explain_bn([1, 2, 3, 4]).document["variance"]
    1.25
    """
    from convcli.inspect.arithmetic import batch_norm

    return sums.norm_report(
        batch_norm(_numbers(values, "values"), gamma, beta, epsilon), gamma, beta
    )


def explain_translation(
    image: Any, *, shift: tuple[int, int] = (1, 2), kernel: str = "sobel-x", pool: int = 8
) -> Drawn:
    """Show that what is shifted in comes shifted out, and pooled hardly changes.

    Args:
        image: a picture's file, or rows of gray levels.
        shift: rows down and columns to the right; what leaves comes in on the other side.
        kernel: its name.
        pool: side of the pooling window.

    Raises:
        UsageError: a kernel made of several.
        InputError: a picture smaller than the window.
    """
    import numpy as np

    from convcli.api.seeing import Drawn
    from convcli.imaging.sheet import read_small
    from convcli.inspect.why import translation
    from convcli.present.why import translation_panels, translation_report

    if isinstance(image, str | os.PathLike):
        picture = read_small(Path(image), SHIFTED_WIDTH)
    else:
        picture = np.asarray(rows_of(image, "The picture"))
    one = find(kernel)
    if isinstance(one, Magnitude):
        raise UsageError(f"{kernel} is made of several kernels; take one, such as {kernel}-x.")
    found = translation(picture, (kernel, one.rows), shift, pool)
    title = f"Shifted by {shift[0]},{shift[1]}: {kernel}, then pooled"
    return Drawn(translation_report(found), translation_panels(found), title, 200, 3)


def explain_permutation(
    *,
    samples: int = 3000,
    epochs: int = 8,
    seed: int = 0,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Train an MLP and a CNN on digits, and on the same digits with their pixels permuted.

    The MLP learns both alike, for no pixel is a neighbor of another to it; the CNN does not.

    Args:
        samples: digits to learn from.
        epochs: of each of the four trainings.
        seed: of the digits, the permutation and the weights.
        threads: 0 for all there are.
        progress: called with the epochs done and all there are.
    """
    from convcli.api.seeing import Drawn
    from convcli.api.training import fit
    from convcli.data import load_dataset
    from convcli.inspect.why import NETWORKS, Learner, permuted
    from convcli.present.why import permutation_panels, permutation_report

    plain = load_dataset("digits", samples=samples, seed=seed)
    shuffled = permuted(plain, seed)
    found: list[Learner] = []
    for name, words in NETWORKS.items():
        shares: list[float] = []
        for data in (plain, shuffled):
            training = fit(words, data, epochs=epochs, val=0, seed=seed, threads=threads)
            for _ in training:
                if progress is not None:
                    done = len(found) * 2 + len(shares)
                    progress(done * epochs + len(training.progress.history), 4 * epochs)
            shares.append(training.best_model().evaluate(data).accuracy or 0.0)
        found.append(Learner(name, training.model.trace.totals.params, *shares))
    first = [data.train.samples[0, ..., 0] for data in (plain, shuffled)]
    return Drawn(
        permutation_report(found, len(plain.train)),
        permutation_panels(found, first),
        "Permuted pixels: an MLP does not mind",
    )


def explain_forward(
    model: Model, image: Any, at: str, *, channel: int = 0, terms: int = 20
) -> Report:
    """Spell out one number of a model's layer: every input times its weight, bias, activation.

    Args:
        model: a model, its file or its run.
        image: as `show_activations`.
        at: `LAYER:ROW,COL`, or `LAYER:UNIT` of a vector.
        channel: of a map.
        terms: most terms printed; `document` has all.
    """
    from convcli.api.seeing import asked
    from convcli.inspect.unit import forward_unit

    probe, sample = asked(model, image)
    return sums.forward_report(forward_unit(probe, sample, *_named_cell(at), channel), terms)


def explain_backward(
    model: Model,
    image: Any,
    at: str,
    *,
    channel: int = 0,
    class_: str | None = None,
    terms: int = 20,
) -> Report:
    """Spell out what the loss tells one cell, and what the cell passes on.

    Args:
        model: a model, its file or its run.
        image: as `show_activations`.
        at: `LAYER:ROW,COL`, or `LAYER:UNIT` of a vector.
        channel: of a map.
        class_: taken for the truth; the likeliest when left out.
        terms: most terms printed; `document` has all.
    """
    from convcli.api.seeing import asked
    from convcli.inspect.unit import backward_unit

    probe, sample = asked(model, image)
    label = None if class_ is None else probe.class_index(class_, sample)
    found = backward_unit(probe, sample, *_named_cell(at), channel, label)
    return sums.backward_report(found, probe.trained.class_names[found.label], terms)


def rows_of(rows: Rows, what: str) -> tuple[tuple[float, ...], ...]:
    """Return the rows of a matrix: as such, as text, or in a file of text."""
    if isinstance(rows, str | os.PathLike):
        lines, divisor = parse_numbers(_text_of(rows), what)
        return tuple(tuple(number / divisor for number in line) for line in lines)
    import numpy as np

    array = np.asarray(rows, float)
    if array.ndim != 2 or not array.size:
        raise InputError(f"{what} has the shape {array.shape}; rows of numbers are needed.")
    return tuple(map(tuple, array.tolist()))


def _text_of(rows: str | os.PathLike[str]) -> str:
    text, path = os.fspath(rows), Path(rows)
    if ";" not in text and "\n" not in text and path.suffix and path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    return text


def volume_of(rows: Rows, what: str) -> tuple[Volume, tuple[str, ...]]:
    """Return the channels of an input, and what was done to a picture.

    Text has `|` or an empty line between channels; arrays are C x H x W, or a single H x W.
    """
    if not isinstance(rows, str | os.PathLike):
        import numpy as np

        array = np.asarray(rows, float)
        return [rows_of(plane, what) for plane in (array if array.ndim == 3 else [array])], ()
    from convcli.imaging.formats import READABLE_SUFFIXES

    path = Path(rows)
    if ";" not in str(rows) and path.suffix.lower() in READABLE_SUFFIXES:
        from convcli.imaging.sheet import read_small

        pixels = read_small(path, SUMMED_WIDTH)
        size = "x".join(map(str, pixels.shape))
        return [pixels.tolist()], (f"{path.name}, gray, reduced to {size}.",)
    parts = re.split(r"\||\n\s*\n", _text_of(rows).strip())
    names = [what] if len(parts) == 1 else [f"{what}, channel {c}" for c in range(len(parts))]
    planes = [rows_of(part, name) for part, name in zip(parts, names, strict=True)]
    sizes = {(len(plane), len(plane[0])) for plane in planes}
    if len(sizes) > 1:
        told = ", ".join(f"{height}x{width}" for height, width in sorted(sizes))
        raise UsageError(f"{what}: the channels differ in size: {told}.")
    return planes, ()


def kernel_of(kernel: Rows | Kernel) -> tuple[Volume, float]:
    """Return the channels and the offset of a kernel, of its name, or of rows."""
    named = find(kernel) if isinstance(kernel, str) and "|" not in kernel else kernel
    if isinstance(named, Magnitude):
        raise UsageError(
            f"{named.name} is made of several kernels; explain one, such as {named.name}-x."
        )
    if not isinstance(named, Kernel):
        return volume_of(named, "The kernel")[0], 0.0
    rows = tuple(tuple(number / named.divisor for number in line) for line in named.rows)
    return [rows], float(named.offset)


def _numbers(numbers: Numbers, what: str) -> tuple[float, ...]:
    rows = rows_of(numbers if isinstance(numbers, str) else [numbers], f"The row of {what}")
    if len(rows) != 1:
        raise UsageError(
            f"The row of {what}: one row of numbers is needed; {len(rows)} rows were given."
        )
    return rows[0]


def _cell(at: Cell) -> tuple[int, int]:
    place = parse_place(at, "at", layers=False)[1] if isinstance(at, str) else tuple(at)
    row, column = place
    return row, column


def _named_cell(at: str) -> tuple[str, tuple[int, ...]]:
    layer, place = parse_place(at, "at")
    if layer is None:
        raise UsageError(f"at {at!r} names no layer. Write LAYER:ROW,COL, such as conv1:{at}.")
    return layer, place
