"""Other tools' counting, as functions of the trace, so that their totals can be rebuilt.

ResNet-50 is 4.089, 4.112, 4.132, 8.178 or 8.211 thousand million by tool; each of them counts
something else. None of these figures is wrong; they answer different questions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, prod
from typing import NamedTuple, cast

from convcli.errors import UsageError, did_you_mean
from convcli.geometry import output_size
from convcli.layers.activation import STEPS_PER_ELEMENT
from convcli.layers.base import elements
from convcli.layers.conv import TransposedConv
from convcli.layers.norm import LocalResponseNorm, SampleNorm
from convcli.layers.registry import WORDS
from convcli.net.trace import Step, Trace

StepCount = Callable[[Step], int]


@dataclass(frozen=True, slots=True)
class Convention:
    """How one tool counts work and parameters."""

    name: str
    unit: str
    """MACs, or FLOPs with two for each multiply-accumulate."""
    source: str
    of_step: StepCount
    buffers_are_params: bool = False


class Counted(NamedTuple):
    """A network counted by one convention."""

    convention: Convention
    work: int
    params: int
    by_step: tuple[int, ...]
    uncounted: tuple[str, ...]
    """Ops that do work and that the convention leaves out."""


def count(trace: Trace, name: str) -> Counted:
    """Return what the tool `name` prints for this network.

    >>> from convcli.net import network
    >>> trace = network("resnet50").trace()
    >>> [round(count(trace, name).work / 1e9, 3) for name in ("paper", "fvcore", "ptflops")]
    [4.089, 4.112, 4.132]

    Raises:
        UsageError: there is no such convention.
    """
    if name not in CONVENTIONS:
        raise UsageError(
            f"There is no convention {name!r}; known are {', '.join(CONVENTIONS)}."
            f"{did_you_mean(name, CONVENTIONS)}"
        )
    convention = CONVENTIONS[name]
    by_step = tuple(convention.of_step(step) for step in trace.steps)
    totals = trace.totals
    silent = {
        step.op for step, work in zip(trace.steps, by_step, strict=True) if step.flops and not work
    }
    params = totals.params + (totals.buffers if convention.buffers_are_params else 0)
    return Counted(convention, sum(by_step), params, by_step, tuple(sorted(silent)))


CONVENTIONS: dict[str, Convention] = {}
"""Conventions by name."""


def _convention(
    name: str, unit: str, source: str, *, buffers_are_params: bool = False
) -> Callable[[StepCount], StepCount]:
    """Enter a function that counts one step's work under the name of its tool."""

    def enter(of_step: StepCount) -> StepCount:
        CONVENTIONS[name] = Convention(name, unit, source, of_step, buffers_are_params)
        return of_step

    return enter


@_convention(
    "paper", "MACs", "multiply-accumulates of convolutions and dense layers, as most papers print"
)
def _paper(step: Step) -> int:
    return step.macs


@_convention(
    "torchinfo", "MACs",
    "torchinfo 1.8.0, LayerInfo.calculate_macs: weights and biases times output positions",
)  # fmt: skip
def _torchinfo(step: Step) -> int:
    """Every weight and bias once for each output position of a convolution, else once."""
    params = step.params
    if step.op in {"conv", "dwconv", "sepconv", "upconv"}:
        return params * prod(step.output_shape[:-1])
    if step.op == "lstm":
        return params * step.input_shapes[0][0]
    return params


@_convention(
    "fvcore", "MACs",
    "fvcore 0.1.5, FlopCountAnalysis: one per fused multiply-add; batch norm 2 per element",
)  # fmt: skip
def _fvcore(step: Step) -> int:
    """One for a fused multiply-add; normalization, adaptive pooling and upsampling have rules."""
    inputs = elements(step.input_shapes[0])
    if step.op == "bn":
        return 2 * inputs
    if isinstance(step.layer, SampleNorm):
        return 5 * inputs
    if step.op in {"gap", "adaptavg"}:
        return inputs
    if step.op == "upsample" and step.flops:
        return 4 * elements(step.output_shape)
    return 0 if step.op == "lstm" else step.macs


_PTFLOPS_TWICE = {"relu", "prelu", "elu", "gelu"}
"""Counted by the module's hook, and again when the module calls the patched function."""

_PTFLOPS_ONCE = {"relu6", "leakyrelu", "silu", "softmax"}


def _ptflops_activation(op: str | None, cells: int) -> int:
    return cells * ((op in _PTFLOPS_TWICE) * 2 + (op in _PTFLOPS_ONCE))


@_convention(
    "ptflops", "MACs",
    "ptflops 0.7.5, PyTorch back end: hooks and patched functions, some work twice",
)  # fmt: skip
def _ptflops(step: Step) -> int:
    """Multiply-accumulates and biases; modules that call a patched function count twice."""
    inputs, outputs = elements(step.input_shapes[0]), elements(step.output_shape)
    if step.op == "lstm":
        return step.macs + _gates(step)
    if step.macs:
        activation = _ptflops_activation(step.activation, outputs)
        return step.macs + outputs * ("bias" in step.weights) + activation
    if step.op == "lrn":
        return _lrn(step)
    if step.layer.role in {"pool", "norm"}:  # the module of a layer norm has no `affine`
        return inputs if step.op == "ln" else 2 * inputs
    return 2 * outputs if step.op == "upsample" else _ptflops_activation(step.op, outputs)


def _gates(step: Step) -> int:
    """Return what both families of profilers add to an LSTM's products: biases and 10 a unit."""
    (length, _), units = step.input_shapes[0], step.output_shape[-1]
    biases = sum(elements(shape) for name, shape in step.weights.items() if "bias" in name)
    return length * (10 * units + biases)


def _lrn(step: Step) -> int:
    """Return the patched calls of PyTorch's function: two products, a sum, a pool over padding."""
    *cells, channels = step.input_shapes[0]
    window = cast(LocalResponseNorm, step.layer).size
    return prod(cells) * (4 * channels + window - 1)


@_convention(
    "keras", "FLOPs",
    "Keras 3: running statistics count as parameters; two FLOPs per multiply-accumulate",
    buffers_are_params=True,
)  # fmt: skip
def _two_per_mac(step: Step) -> int:
    return 2 * step.macs


_PROFILED = {"relu", "prelu", "elu", "gelu", "silu", "leakyrelu", "softmax"}
"""Activations whose functions DeepSpeed and calflops patch; ReLU6 runs another one."""


@_convention(
    "deepspeed", "FLOPs",
    "DeepSpeed 0.19.8, flops profiler: two per multiply-accumulate, one per element",
)  # fmt: skip
def _deepspeed(step: Step) -> int:
    """Two for each multiply-accumulate; bias, normalization, activations and pools by element."""
    inputs, outputs = elements(step.input_shapes[0]), elements(step.output_shape)
    if step.op == "lstm":
        length, units = step.input_shapes[0][0], step.output_shape[-1]
        return 2 * step.macs - 8 * length * units + _gates(step)
    if step.macs:
        bias = outputs if "bias" in step.weights and step.op != "dense" else 0
        return 2 * step.macs + bias + outputs * (step.activation in _PROFILED)
    if step.op == "bn":
        return 2 * inputs
    if isinstance(step.layer, SampleNorm):
        return 5 * inputs
    if step.op == "upsample":
        return outputs
    if step.op == "lrn":
        return _lrn(step)
    return inputs if step.layer.role == "pool" or step.op in _PROFILED else 0


@_convention(
    "calflops", "FLOPs",
    "calflops 0.3.2: DeepSpeed's rules, but enlargements and transposed convolutions",
)  # fmt: skip
def _calflops(step: Step) -> int:
    """DeepSpeed's rules before their mends: enlargements, and transposed groups and bias."""
    if step.op == "upsample":
        return elements(step.input_shapes[0])
    if step.op == "upconv":
        return _calflops_transposed(step)
    return _deepspeed(step)


def _calflops_transposed(step: Step) -> int:
    """Products divided by the groups twice; biases as if the window slid over the input."""
    layer = cast(TransposedConv, step.layer)
    slid = (
        output_size(size, kernel, stride, before, before, dilation)
        for size, kernel, stride, (before, *_), dilation in zip(
            step.input_shapes[0], layer.kernel, layer.stride, layer.crops(), layer.dilation,
            strict=False,
        )
    )  # fmt: skip
    bias = layer.filters // layer.groups * prod(slid) * layer.bias
    activation = elements(step.output_shape) * (step.activation in _PROFILED)
    return 2 * (step.macs // layer.groups) + bias + activation


@_convention(
    "alpha-flops", "FLOPs",
    "Asperti, Evangelista and Marzolla, Dissecting FLOPs along input dimensions for GreenAI cost "
    "estimations, 2021 (arXiv 2107.11949): MACs that the cells of a map share on a GPU count less",
)  # fmt: skip
def _alpha_flops(step: Step) -> int:
    """MACs times ((S_K + beta (S - S_K)) / S) ** gamma for S cells of the map.

    S_K, beta and gamma are the authors' regression: make_plots.py of their alpha_flops_dataset.
    """
    cells = prod((step.input_shapes[0] if step.op == "upconv" else step.output_shape)[:-1])
    taps = prod(getattr(step.layer, "kernel", ()))
    beta, gamma = (0.02, 0.99) if taps == 1 else (0.001, 0.56)
    alone = log(taps) + 1
    share: float = ((alone + beta * (cells - alone)) / cells) ** gamma
    return round(step.macs * share)


class FlopsRule(NamedTuple):
    """One row: the work, its operations, and for what."""

    work: str
    operations: str
    """A number, or a formula with `k` cells of a window."""
    per: str
    made_of: str


def flops_table() -> tuple[FlopsRule, ...]:
    """Return the rules in the order of the notation's words.

    >>> next(rule for rule in flops_table() if rule.work == "sigmoid")
    FlopsRule(work='sigmoid', operations='4', per='element', made_of='negate, exp, add, divide')
    """
    activations = [
        FlopsRule(kind, str(steps.count(",") + 1), "element", steps)
        for kind, steps in STEPS_PER_ELEMENT.items()
    ]
    stepwise: dict[str, list[str]] = {}
    for word in WORDS.values():
        if word.layer.steps:
            stepwise.setdefault(word.layer.steps, []).append(word.text)
    norms = [
        FlopsRule(", ".join(words), str(steps.count(",") + 1), "element", steps)
        for steps, words in stepwise.items()
    ]
    return (
        FlopsRule("conv, dense, lstm", "2", "multiply-accumulate", "multiply, add"),
        FlopsRule("gru, attention", "2", "multiply-accumulate", "multiply, add"),
        FlopsRule("bias", "1", "output element", "add"),
        FlopsRule("maxpool", "k - 1", "output element", "comparisons"),
        FlopsRule("avgpool", "k", "output element", "k - 1 additions, divide"),
        FlopsRule("gap", "1", "input element", "additions, one division for each channel"),
        FlopsRule("gmp", "1", "input element", "comparisons, one less for each channel"),
        FlopsRule("adaptavg", "k", "output element", "k - 1 additions, divide"),
        FlopsRule("adaptmax", "k - 1", "output element", "comparisons"),
        FlopsRule("bn", "2", "element", "scale, shift (statistics are ready at inference)"),
        *norms,
        FlopsRule("lrn N", "N + 4", "element", "square, sum of N, scale, add, power, divide"),
        *activations,
        FlopsRule("upsample bilinear", "3, 7, 15", "output element",
                  "weights and sums over 2 neighbors on each of 1, 2, 3 axes"),
        FlopsRule("lstm", "18", "unit and step",
                  "3 sigmoids, 2 tanh, 3 products, 1 addition, beside the gates"),
        FlopsRule("gru", "15", "unit and step",
                  "2 sigmoids, tanh, 3 products, 3 sums, beside the gates"),
        FlopsRule("attention", "6", "score", "scale, softmax, beside the products"),
        FlopsRule("add, posembed", "1", "element", "add"),
        FlopsRule("scale, mul, layerscale", "1", "element", "multiply"),
        FlopsRule("concat, flatten, reshape, pad, crop, shuffle, dropout, upsample", "0", "element",
                  "numbers move; dropout is off at inference"),
        FlopsRule("pixelshuffle, pixelunshuffle, permute, slice, classtoken", "0", "element",
                  "numbers move"),
    )  # fmt: skip
