"""How many bytes a network needs, at inference and in training, and which layer is to blame."""

from __future__ import annotations

from typing import NamedTuple

from convcli.errors import UsageError
from convcli.layers.activation import ACTIVATIONS
from convcli.layers.base import Shape, elements
from convcli.net.trace import BYTES, Step, Trace

OPTIMIZER_COPIES = {"sgd": 0, "momentum": 1, "adam": 2}
"""Arrays of the size of the weights that an optimizer keeps for itself."""


class Memory(NamedTuple):
    """Bytes; activations are those of the whole batch."""

    weight_bytes: int
    buffer_bytes: int
    input_bytes: int
    peak_bytes: int
    """Most activations alive at one time at inference: each is freed after its last reader."""
    peak_index: int
    """Step at which that is; 0 for the input alone."""
    peak_name: str
    inference_bytes: int
    """Weights, statistics and the peak of the activations."""
    kept_bytes: int
    """What the gradients read again, as PyTorch keeps it: see `_kept`."""
    gradient_bytes: int
    optimizer_bytes: int
    training_bytes: int
    """Weights, statistics, kept activations, gradients and the optimizer's copies."""


def memory(trace: Trace, optimizer: str = "adam") -> Memory:
    """Return the bytes a network needs; work space and gradients of activations come on top.

    >>> from convcli.net import parse_notation
    >>> figures = memory(parse_notation("input 8x8x1, conv 4 3, conv 8 3").trace())
    >>> figures.peak_name, figures.peak_bytes  # (36 x 4 + 16 x 8) cells of 4 bytes
    ('conv2', 1088)

    Raises:
        UsageError: unknown optimizer.
    """
    if optimizer not in OPTIMIZER_COPIES:
        raise UsageError(f"Optimizer {optimizer!r} is unknown. Use {', '.join(OPTIMIZER_COPIES)}.")
    cell_bytes = BYTES[trace.dtype]
    totals = trace.totals
    input_bytes = elements(trace.network.input_shape) * cell_bytes * trace.batch
    peak, index = _peak(trace, input_bytes)
    buffer_bytes = totals.buffers * cell_bytes
    kept = sum(_kept(trace).values())
    gradients = totals.trainable * cell_bytes
    copies = gradients * OPTIMIZER_COPIES[optimizer]
    return Memory(
        weight_bytes=totals.weight_bytes,
        buffer_bytes=buffer_bytes,
        input_bytes=input_bytes,
        peak_bytes=peak,
        peak_index=index,
        peak_name=trace.steps[index - 1].name if index else "input",
        inference_bytes=totals.weight_bytes + buffer_bytes + peak,
        kept_bytes=kept,
        gradient_bytes=gradients,
        optimizer_bytes=copies,
        training_bytes=totals.weight_bytes + buffer_bytes + kept + gradients + copies,
    )


class Roof(NamedTuple):
    """What a machine can do at most: floating-point operations and bytes, both per second."""

    flops: float
    bandwidth: float

    def seconds(self, flops: int, moved: int) -> float:
        """Return the least time for some work: the longer of calculating and of moving numbers.

        >>> Roof(flops=100e9, bandwidth=10e9).seconds(50, moved=10)
        1e-09
        """
        return max(flops / self.flops, moved / self.bandwidth)

    def bound(self, flops: int, moved: int) -> str | None:
        """Return what that time is spent on, `compute` or `memory`; None for no work at all."""
        if not (flops or moved):
            return None
        return "compute" if flops * self.bandwidth > moved * self.flops else "memory"


def moved_bytes(trace: Trace, step: Step) -> int:
    """Return the bytes a step reads and writes for the batch: its inputs, its weights, its output.

    Its work over them is the arithmetic intensity (Williams, Waterman and Patterson, Roofline: An
    Insightful Visual Performance Model for Multicore Architectures, 2009). A view moves nothing.
    """
    if step.layer.is_view or not step.sources:
        return 0
    maps = sum(map(elements, step.input_shapes)) + elements(step.output_shape)
    return BYTES[trace.dtype] * (maps * trace.batch + step.params + step.buffers)


def _kept(trace: Trace) -> dict[int, int]:
    """Return the bytes that PyTorch's autograd keeps between forward and backward, by step.

    Each layer names what its gradient reads: its input or its output, each kept once however many
    readers it has; the positions of maxima are 8-byte integers, a dropout's mask is one number a
    cell. Sums, stacks, paddings and views keep nothing. Weights, and the few numbers per channel
    that a normalization saves, are left out.
    """
    kept: dict[int, int] = {}
    home = {0: 0}
    shapes = [trace.network.input_shape, *(step.output_shape for step in trace.steps)]
    number = BYTES[trace.dtype] * trace.batch
    for step in trace.steps:
        index, layer = step.index, step.layer
        home[index] = home[step.sources[0]] if layer.is_view else index
        by_result = layer.keeps == "output"
        numbers, indices = layer.keeps_besides(step.input_shapes[0])
        if step.activation:
            by_result = ACTIVATIONS[step.activation].keeps == "output"
            numbers += 0 if by_result else elements(step.output_shape)
        if numbers or indices:
            kept[-index] = numbers * number + indices * 8 * trace.batch
        read = [home[source] for source in step.sources] if layer.keeps == "input" else []
        for tensor in [*read, index] if by_result else read:
            kept[tensor] = elements(shapes[tensor]) * number
    by_step: dict[int, int] = {}
    for tensor, size in kept.items():
        by_step[abs(tensor)] = by_step.get(abs(tensor), 0) + size
    return by_step


def _peak(trace: Trace, input_bytes: int) -> tuple[int, int]:
    """Return the most bytes alive at one time, and the step at which they are."""
    last_reader = {0: 0}
    for step in trace.steps:
        last_reader[step.index] = step.index
        for source in step.sources:
            last_reader[source] = step.index
    size = {0: input_bytes} | {step.index: step.activation_bytes for step in trace.steps}
    freed_after: dict[int, list[int]] = {}
    for tensor, reader in last_reader.items():
        freed_after.setdefault(reader, []).append(tensor)
    alive, peak, place = input_bytes, input_bytes, 0
    for step in trace.steps:
        alive += size[step.index]
        if alive > peak:
            peak, place = alive, step.index
        alive -= sum(size[tensor] for tensor in freed_after.get(step.index, []))
    return peak, place


def largest_batch(trace: Trace, limit_bytes: int, optimizer: str = "adam") -> int | None:
    """Return how many samples at a time training can take in `limit_bytes`; 0 for none.

    None where a sample keeps nothing, so that any batch fits.

    >>> from convcli.net import network
    >>> largest_batch(network("mnist").trace(), 10**7)
    91
    """
    figures = memory(trace, optimizer)
    room = limit_bytes - (figures.training_bytes - figures.kept_bytes)
    per_sample = figures.kept_bytes // trace.batch
    return max(0, room // per_sample) if per_sample else None


def memory_advice(trace: Trace, limit_bytes: int, optimizer: str = "adam") -> list[str]:
    """Return what to do when training needs more than `limit_bytes`; nothing when it fits.

    >>> from convcli.net import network
    >>> memory_advice(network("mnist").trace(batch=128), 10**9)
    []
    >>> memory_advice(network("mnist").trace(batch=1000), 10**7)[0]
    'Training needs 104,596,192 bytes, 94,596,192 more than allowed.'
    """
    figures = memory(trace, optimizer)
    surplus = figures.training_bytes - limit_bytes
    if surplus <= 0:
        return []
    fixed = figures.training_bytes - figures.kept_bytes
    fitting = largest_batch(trace, limit_bytes, optimizer)
    advice = [
        f"Training needs {figures.training_bytes:,} bytes, {surplus:,} more than allowed.",
        f"A batch of {fitting} fits: {figures.kept_bytes // trace.batch:,} bytes for each sample."
        if fitting
        else f"No batch fits: weights, gradients and the optimizer alone need {fixed:,} bytes.",
    ]
    by_step = {index: size for index, size in _kept(trace).items() if index}
    if by_step:
        index, size = max(by_step.items(), key=lambda pair: pair[1])
        share = size / figures.kept_bytes
        advice.append(
            f"Layer {index} {trace.steps[index - 1].name} keeps most, {size:,} bytes "
            f"({share:.0%} of the activations): an earlier stride or fewer filters there help."
        )
    if BYTES[trace.dtype] > 2:
        advice.append("float16 or bfloat16 halves the activations of float32.")
    return advice


def assertion_values(trace: Trace) -> dict[str, int | Shape]:
    """Return the names an assertion may use; fields per axis count with their smaller axis.

    `memory` is what training needs, as under the table.

    >>> from convcli.net import network
    >>> values = assertion_values(network("mnist").trace())
    >>> values["receptive_field"], values["output"], values["training_bytes"]
    (10, (10,), 596296)
    """
    totals = trace.totals
    figures = totals._asdict() | memory(trace)._asdict()
    values: dict[str, int | Shape] = {
        name: value for name, value in figures.items() if isinstance(value, int)
    }
    for name in ("receptive_field", "receptive_field_min"):
        values[name] = min(figures[name])
    return values | {
        "memory": figures["training_bytes"],
        "layers": len(trace.steps),
        "input": trace.network.input_shape,
        "output": trace.output_shape,
    }
