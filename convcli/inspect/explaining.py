"""Why a model answered as it did: each method applied to a trained model and one sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError
from convcli.inspect.attribution import (
    grad_cam,
    integrated_gradient,
    occlusion_map,
    plain_gradient,
    smooth_gradient,
    spread,
)
from convcli.inspect.probe import Probe
from convcli.inspect.render import by_cell, check_is_picture, input_limits
from convcli.layers.base import shape_text
from convcli.net.field import input_rectangle
from convcli.net.trace import Step, Trace

Values = NDArray[np.floating[Any]]

CONVOLUTIONS = {"conv", "dwconv", "sepconv", "upconv", "add", "concat"}
"""Layers whose maps a class activation map is made of, the last of them unless told."""
NO_MAPS = {"dense", "softmax", "logsoftmax"}
"""Layers that work cell by cell and whose outputs are answers."""


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """One picture of reasons.

    Attributes:
        method: its name.
        label: index of the class.
        values: (h, w): for each input cell what it contributes.
        with_signs: negative values speak against the class; else there are none.
        caption: what the colors mean.
        unit: what the values are.
        note: a sentence on the figures, or empty.
        figures: further numbers by name.
        box: first row and column, rows and columns of the input that the strongest cell sees.
    """

    method: str
    label: int
    values: Values
    with_signs: bool
    caption: str
    unit: str
    note: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    box: tuple[int, int, int, int] | None = None


def saliency(
    probe: Probe,
    sample: Values,
    label: int,
    method: str,
    *,
    samples: int = 32,
    noise: float = 0.15,
    steps: int = 64,
    seed: int = 0,
) -> Explained:
    """Return gradients of a class' logit with respect to the input, see `attribution`.

    The sample is (1, *input shape), prepared; the method `gradient`, `smoothgrad` (of noisy copies)
    or `integrated` (of steps from the baseline).
    """

    def gradient(inputs: Values) -> Values:
        return probe.class_slopes(inputs, label)

    one = sample[0]
    if method == "gradient":
        slope = plain_gradient(gradient, one)
    elif method == "smoothgrad":
        slope = smooth_gradient(gradient, one, count=samples, noise=noise, seed=seed)
    if method != "integrated":
        caption, unit = "size of the gradient", "logit per unit of the input"
        return Explained(method, label, by_cell(slope, "strongest"), False, caption, unit)
    baseline, _ = input_limits(probe)
    baseline = baseline if baseline.min() >= 0 else np.zeros_like(baseline)
    shares = integrated_gradient(gradient, one, baseline=baseline, steps=steps)
    ends = probe.logits(np.stack([baseline, one]).astype(np.float32))[:, label].astype(float)
    total, rise = float(shares.sum()), float(ends[1] - ends[0])
    note = (
        f"The contributions sum to {total:.4g}; the logit is {rise:.4g} above that of the "
        f"baseline, so {abs(total - rise):.2g} is the error of {steps} steps."
    )
    figures = {"sum": total, "logit": float(ends[1]), "baseline_logit": float(ends[0])}
    values = by_cell(shares, "sum")
    caption = "red for, blue against"
    return Explained(method, label, values, True, caption, "share of the logit", note, figures)


def occlusion(
    probe: Probe,
    sample: Values,
    label: int,
    *,
    window: int | None = None,
    step: int | None = None,
    fill: str | None = None,
    on_windows: Callable[[int, int], object] | None = None,
) -> Explained:
    """Return how much the class' logit falls when a square covers each cell, see `occlusion_map`.

    The window is a seventh of the shorter side, the step a quarter of it, and black covers a digit,
    else the sample's mean, unless told otherwise.
    """
    check_is_picture(probe, "Occlusion")
    height, width = probe.input_shape[:2]
    window = window or max(1, min(height, width) // 7)
    step = step or max(1, window // 4)
    digit = probe.trained.preprocessing.pictures == "digit"
    low, high = input_limits(probe)
    covers = {"black": low[0, 0], "white": high[0, 0], "mean": sample[0].mean(axis=(0, 1))}
    values = occlusion_map(
        lambda inputs: probe.logits(inputs)[:, label],
        sample[0],
        window=window,
        step=step,
        fill=covers[fill or ("black" if digit else "mean")],
        on_windows=on_windows,
    )
    note = f"Mean fall of the logit under squares of {window}x{window}, {step} apart."
    caption = "red: covering it hurts"
    return Explained("occlusion", label, values, True, caption, "fall of the logit", note)


def class_activation(
    probe: Probe, sample: Values, label: int, layer: str | None = None
) -> Explained:
    """Return Grad-CAM of a layer, spread over the input by its receptive fields.

    The layer is the last convolution, with the norm and the activation behind it, unless told.
    """
    check_is_picture(probe, "A class activation map")
    step = probe.trace.step(layer) if layer else last_convolution(probe.trace)
    if step.fields is None or len(step.output_shape) != 3:
        raise InputError(
            f"Layer {step.name} gives {shape_text(step.output_shape)}, no map with places; "
            "choose a layer before `flatten` or the global pool."
        )
    maps, slopes = probe.slopes_at(sample, step, probe.one_hot(label))
    support = grad_cam(maps[0], slopes[0])
    strides = [float(axis.stride or 1) for axis in step.fields]
    firsts = [sum(axis.span(0)) / 2 for axis in step.fields]
    height, width = probe.input_shape[:2]
    values = spread(support, (height, width), (firsts[0], firsts[1]), (strides[0], strides[1]))
    note = f"From the maps of {step.name}, {shape_text(step.output_shape)}."
    if not support.any():
        note += " No map supports this class: the picture is empty."
    figures = {"layer": step.name, "map": support.tolist()}
    caption = f"support in {step.name}"
    unit = "weighted activation"
    box = _seen(probe.trace, step, divmod(int(support.argmax()), support.shape[1]))
    return Explained(
        "cam", label, values, False, caption, unit, note, figures, box if support.any() else None
    )


def _seen(trace: Trace, step: Step, cell: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return first row and column, rows and columns of the input that a cell depends on."""
    rows, columns = input_rectangle(trace, step.index, cell)
    if rows is None or columns is None:
        return None
    return rows[0], columns[0], rows[1] - rows[0] + 1, columns[1] - columns[0] + 1


def last_convolution(trace: Trace) -> Step:
    """Return the last step whose maps come from a convolution, or from a join of such.

    Norm and activation behind it belong to it: its maps are those that the next layers see. A map
    of one cell has no places to tell apart and is passed over where there is a larger one.

    >>> from convcli.net import network
    >>> last_convolution(network("mnist").trace()).name
    'conv2'
    >>> last_convolution(network("input 8x8x1, conv 2 3, bn, relu, gap, dense 2").trace()).name
    'relu1'
    """
    steps = [step for step in trace.steps if step.op in CONVOLUTIONS and step.fields is not None]
    larger = [step for step in steps if prod(step.output_shape[:-1]) > 1]
    if not steps:
        raise InputError("The network has no convolution whose maps could be weighed.")
    last = (larger or steps)[-1]
    for behind in trace.steps[last.index :]:
        if behind.sources != (last.index,) or behind.reads != () or behind.op in NO_MAPS:
            break
        last = behind
    return last
