"""From a traced network to the program that predicts with it or learns.

Samples are read, the layers' rules follow one another, and what they end in is written out or
compared with the targets by a loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from convcli.engine.calls import (
    AT,
    Operands,
    Operation,
    bytes_at,
    each_sample,
    floats_at,
    words_at,
)  # fmt: skip
from convcli.errors import InputError
from convcli.net.trace import Step, Trace, check_single
from convcli.net.words import layer_text
from convcli.ops import activation, conv, dense, join, norm, pool, rearrange, recurrent
from convcli.ops.activation import activate, deactivate
from convcli.ops.folding import fold
from convcli.ops.losses import LossRule
from convcli.ops.program import Operand, ProgramBuilder, Slot, Tensor
from convcli.ops.rule import Kind

KINDS: dict[str, Kind] = {
    op: kind
    for family in (conv, pool, dense, norm, activation, rearrange, recurrent, join)
    for op, kind in family.KINDS.items()
}
"""All kinds of layers that can be run, by the layer class's `op`."""


def kind_of(step: Step) -> Kind:
    """Return what a step is in numbers.

    Raises:
        InputError: a layer that exists on paper only.
    """
    kind = KINDS.get(step.layer.op)
    if kind is None:
        raise InputError(
            f"layer {step.index} {step.name}: `{layer_text(step.layer)}` can be calculated with "
            f"`shape`, but not run or trained. Leave it out or replace it; "
            f"{', '.join(sorted(KINDS))} can."
        )
    return kind


@each_sample(Operands("to factor", "size each start"))
def read_bytes(o):
    """Read an input of uint8 from its place in the row: times factor[0], plus factor[1]."""
    index = words_at(o.bases[AT.index])[o.bases[AT.first] + o.sample]
    source = bytes_at(o.bases[AT.input] + index * o.each + o.start)
    scale, shift = o.factor[0], o.factor[1]
    for i in range(o.size):
        o.to[i] = np.float32(source[i]) * scale + shift


@each_sample(Operands("to factor", "size each start"))
def read_floats(o):
    """Read an input of float32 and scale it."""
    index = words_at(o.bases[AT.index])[o.bases[AT.first] + o.sample]
    source = floats_at(o.bases[AT.input] + 4 * (index * o.each + o.start))
    scale, shift = o.factor[0], o.factor[1]
    for i in range(o.size):
        o.to[i] = source[i] * scale + shift


@each_sample(Operands("source", "size each start"))
def write_output(o):
    """Write an output to its place in the sample's row of OUTPUT."""
    to = floats_at(o.bases[AT.output] + 4 * ((o.bases[AT.first] + o.sample) * o.each + o.start))
    for i in range(o.size):
        to[i] = o.source[i]


def compile_inference(
    trace: Trace, slots: Mapping[str, Slot], reader: Operation, *, logits: bool = False
) -> ProgramBuilder:
    """Return the program that writes a row for each sample: all outputs, or what softmax gets.

    Its `folded` arrays are the caller's to fill, see `Folding`.
    """
    folding = fold(trace, _without("softmax", trace.steps) if logits else trace.steps)
    program = ProgramBuilder(folding.trace, slots, training=False)
    program.fold(folding)
    tensors = _forward(program, reader, folding.trace.steps)
    outputs = [tensors[index] for index in folding.outputs]
    each, start = sum(output.size for output in outputs), 0
    for output in outputs:
        program.sample(
            write_output, source=output.address, size=output.size, each=each, start=start
        )
        start += output.size
    return program


def compile_training(
    trace: Trace,
    slots: Mapping[str, Slot],
    reader: Operation,
    *,
    loss: LossRule,
    frozen: frozenset[str] = frozenset(),
    through_input: bool = False,
) -> ProgramBuilder:
    """Return the program that adds up loss, correct answers and gradients of a batch.

    A loss that is fused with the last activation needs that one at the network's end.
    `through_input` goes on to the gradient of the input, as when further layers stood before.

    Raises:
        InputError: the network has several inputs or outputs.
    """
    check_single(trace, "what is trained has one. Leave out the layers of the others.")
    program = ProgramBuilder(trace, slots, training=True, frozen=frozen)
    steps = _without(loss.fused, trace.steps) if loss.fused else trace.steps
    output = _forward(program, reader, steps, needs_grad=through_input)[len(steps)]
    output.grad = program.buffer(output.size)
    operands: dict[str, Operand] = {
        "doutput": output.grad, "output": output.address, "constants": program.loss_constants,
    }  # fmt: skip
    if loss.labels:
        classes = output.shape[-1]
        operands |= {"classes": classes, "cells": output.size // classes}
        operands["probabilities"] = program.buffer(output.size + 2 * classes)
    else:
        operands["outputs"] = output.size
    program.chunk(loss.operation, **operands)
    program.backward()
    return program


def _forward(
    program: ProgramBuilder, reader: Operation, steps: tuple[Step, ...], *, needs_grad: bool = False
) -> dict[int, Tensor]:
    """Append the reading of a sample and the forward halves; return all tensors by step."""
    shapes = {0: program.trace.network.input_shape}
    shapes |= {step.index: step.output_shape for step in steps if not step.sources}
    each, start = sum(map(prod, shapes.values())), 0
    tensors: dict[int, Tensor] = {}
    for index, shape in shapes.items():
        tensors[index] = tensor = Tensor(shape, program.buffer(prod(shape)), needs_grad)
        program.sample(
            reader,
            to=tensor.address,
            factor=program.scaling,
            size=tensor.size,
            each=each,
            start=start,
        )
        start += tensor.size
    for step in steps:
        if step.sources:
            sources = (tensors[source] for source in step.sources)
            tensors[step.index] = program.follow(_activated(program, step, *sources))
    return tensors


def _activated(program: ProgramBuilder, step: Step, *sources: Tensor) -> Iterator[Tensor]:
    """Run a step's rule with its own activation behind it, and back through both."""
    rule = kind_of(step).lower(program, step, *sources)
    y: Tensor = next(rule)
    kind = step.activation
    inner = activate(program, kind, y) if kind and not y.activated else y.address
    yield y
    if kind:
        deactivate(program, kind, y, inner)
    next(rule, None)


def _without(activation: str, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps up to what the activation at the end gets."""
    last = steps[-1] if steps else None
    if last is not None and last.activation == activation:
        plain = replace(last.layer, activation=None)  # type: ignore[call-arg]  # it has that field
        return (*steps[:-1], replace(last, layer=plain, activation=None))
    if last is not None and last.op == activation and len(steps) > 1:
        return steps[:-1]
    shape = " x ".join(map(str, last.output_shape)) if last else "its input"
    what = "Logits and cross-entropy" if activation == "softmax" else "Binary cross-entropy"
    raise InputError(
        f"{what} need{'' if activation == 'softmax' else 's'} a {activation} at the end, and the "
        f"network ends with {last.name if last else 'nothing'} ({shape}). Write "
        f"`dense OUTPUTS {activation}` last, or use the squared error."
    )
