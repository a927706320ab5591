"""From a traced network to the program that predicts with it or learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from convcli.engine.calls import Operation
from convcli.errors import InputError
from convcli.net.trace import Step, Trace
from convcli.ops.copying import write_output
from convcli.ops.kinds import kind_of
from convcli.ops.losses import cross_entropy, squared_error
from convcli.ops.parameters import Slot
from convcli.ops.program import ProgramBuilder, Tensor


def compile_inference(
    trace: Trace, slots: Mapping[str, Slot], reader: Operation, *, logits: bool = False
) -> ProgramBuilder:
    """Return the program that writes the network's output for each sample, or what softmax gets."""
    program = ProgramBuilder(trace, slots, training=False)
    steps = _without_softmax(trace.steps) if logits else trace.steps
    output = _forward(program, reader, steps)
    program.sample(write_output, source=output.address, size=output.size)
    return program


def compile_training(
    trace: Trace,
    slots: Mapping[str, Slot],
    reader: Operation,
    *,
    by_class: bool,
    frozen: frozenset[str] = frozenset(),
    through_input: bool = False,
) -> ProgramBuilder:
    """Return the program that adds up loss, correct answers and gradients of a batch.

    `by_class` fuses the cross-entropy with the last activation, which must be a softmax. Otherwise
    the loss is the mean squared error of the network's output. `through_input` goes on to the
    gradient of the input, as when further layers stood before.
    """
    program = ProgramBuilder(trace, slots, training=True, frozen=frozen)
    steps = _without_softmax(trace.steps) if by_class else trace.steps
    output = _forward(program, reader, steps, needs_grad=through_input)
    output.grad = program.buffer(output.size)
    if by_class:
        program.chunk(
            cross_entropy, dlogits=output.grad, logits=output.address,
            probabilities=program.buffer(output.size), constants=program.loss_constants,
            classes=output.size,
        )  # fmt: skip
    else:
        program.chunk(
            squared_error, doutput=output.grad, output=output.address,
            constants=program.loss_constants, outputs=output.size,
        )  # fmt: skip
    program.backward()
    return program


def _forward(
    program: ProgramBuilder, reader: Operation, steps: tuple[Step, ...], *, needs_grad: bool = False
) -> Tensor:
    """Append the reading of a sample and the forward halves; return the last tensor."""
    shape = program.trace.network.input_shape
    tensor = Tensor(shape, program.buffer(prod(shape)), needs_grad)
    program.sample(reader, to=tensor.address, factor=program.scaling, size=tensor.size)
    tensors = {0: tensor}
    for step in steps:
        tensor = kind_of(step).lower(program, step, *(tensors[source] for source in step.sources))
        tensors[step.index] = tensor
    return tensor


def _without_softmax(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps up to the logits."""
    last = steps[-1] if steps else None
    if last is not None and last.activation == "softmax":
        plain = replace(last.layer, activation=None)  # type: ignore[call-arg]  # it has that field
        return (*steps[:-1], replace(last, layer=plain, activation=None))
    if last is not None and last.op == "softmax" and len(steps) > 1:
        return steps[:-1]
    shape = " x ".join(map(str, last.output_shape)) if last else "its input"
    raise InputError(
        f"Logits and cross-entropy need a softmax at the end, and the network ends with "
        f"{last.name if last else 'nothing'} ({shape}). Write `dense CLASSES softmax` last, "
        f"or use the squared error."
    )
