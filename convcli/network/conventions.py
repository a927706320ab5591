"""Other tools' counting, as functions of the trace, so that their totals can be rebuilt.

ResNet-50 is 4.089, 4.111, 4.134, 8.178 or 8.211 thousand million by tool; each of them counts
something else. None of these figures is wrong; they answer different questions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from convcli.errors import UsageMistake, did_you_mean
from convcli.layers.base import elements
from convcli.network.trace import Step, Trace

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

    >>> from convcli.network import network
    >>> trace = network("resnet50").trace()
    >>> [round(count(trace, name).work / 1e9, 3) for name in ("paper", "fvcore", "ptflops")]
    [4.089, 4.112, 4.134]

    Raises:
        UsageMistake: there is no such convention.
    """
    if name not in CONVENTIONS:
        raise UsageMistake(
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


def _paper(step: Step) -> int:
    return step.macs


def _torchinfo(step: Step) -> int:
    """Every weight and bias once for each output position of a convolution, else once."""
    params = step.params
    if step.op in {"conv", "dwconv", "sepconv", "upconv"}:
        return params * prod(step.output_shape[:-1])
    if step.op == "lstm":
        return params * step.input_shapes[0][0]
    return params


def _fvcore(step: Step) -> int:
    """One for a fused multiply-add; normalisation, adaptive pooling and upsampling have rules."""
    inputs = elements(step.input_shapes[0])
    if step.op == "bn":
        return 2 * inputs
    if step.op in {"ln", "gn"}:
        return 5 * inputs
    if step.op in {"gap", "adaptavg"}:
        return inputs
    if step.op == "upsample" and step.flops:
        return 4 * elements(step.output_shape)
    return 0 if step.op == "lstm" else step.macs


_PTFLOPS_TWICE = {"relu", "prelu", "elu", "relu6", "gelu"}
"""Counted by the module's hook, and again when the module calls the patched function."""

_PTFLOPS_ONCE = {"leakyrelu", "silu", "softmax"}


def _ptflops_activation(op: str | None, cells: int) -> int:
    if op in _PTFLOPS_TWICE:
        return 2 * cells
    return cells if op in _PTFLOPS_ONCE else 0


def _ptflops(step: Step) -> int:
    """Multiply-accumulates and biases; modules that call a patched function count twice."""
    inputs, outputs = elements(step.input_shapes[0]), elements(step.output_shape)
    activation = _ptflops_activation(step.activation, outputs)
    bias = outputs if "bias" in step.weights else 0
    if step.op in {"conv", "dwconv", "sepconv"}:
        return step.macs + bias + activation
    if step.op == "upconv":  # on the output grid, unlike everyone else
        return step.macs * prod(step.output_shape[:-1]) // prod(step.input_shapes[0][:-1]) + (
            bias + activation
        )
    if step.op == "dense":
        return 2 * (step.macs + step.weights["kernel"][-1] * ("bias" in step.weights)) + activation
    if step.op in {"maxpool", "avgpool", "gap", "gmp", "adaptavg"}:
        return 2 * inputs
    if step.op in {"bn", "ln", "gn"}:
        return 2 * inputs
    return _ptflops_activation(step.op, outputs)


def _two_per_mac(step: Step) -> int:
    return 2 * step.macs


def _deepspeed(step: Step) -> int:
    """Two for each multiply-accumulate; bias, normalisation, activations and pools by element."""
    inputs, outputs = elements(step.input_shapes[0]), elements(step.output_shape)
    activation = outputs if step.activation in {"relu", "relu6", "elu", "gelu", "silu"} else 0
    if step.macs:
        bias = outputs if "bias" in step.weights and step.op != "dense" else 0
        return 2 * step.macs + bias + activation
    if step.op == "bn":
        return 2 * inputs
    if step.op in {"ln", "gn"}:
        return 5 * inputs
    pools = {"maxpool", "avgpool", "gap", "gmp", "adaptavg"}
    activations = {"relu", "relu6", "prelu", "elu", "gelu", "silu", "leakyrelu", "softmax"}
    return inputs if step.op in pools | activations else 0


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention(
            "paper",
            "MACs",
            "multiply-accumulates of convolutions and dense layers, as most papers print",
            _paper,
        ),
        Convention(
            "torchinfo",
            "MACs",
            "torchinfo, LayerInfo.calculate_macs: weights and biases times output positions",
            _torchinfo,
        ),
        Convention(
            "fvcore",
            "MACs",
            "fvcore, FlopCountAnalysis: one per fused multiply-add; batch norm 2 per element",
            _fvcore,
        ),
        Convention(
            "ptflops",
            "MACs",
            "ptflops 0.7, PyTorch back end: hooks and patched functions, some work twice",
            _ptflops,
        ),
        Convention(
            "keras",
            "FLOPs",
            "Keras counts running statistics as parameters; two FLOPs per multiply-accumulate",
            _two_per_mac,
            buffers_are_params=True,
        ),
        Convention(
            "deepspeed",
            "FLOPs",
            "DeepSpeed's and calflops' profiler: two per multiply-accumulate, one per element",
            _deepspeed,
        ),
    )
}
"""Conventions by name."""
