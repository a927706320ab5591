"""All kinds of layers that can be run, by the layer class's `op`."""

from __future__ import annotations

from convcli.errors import InputError
from convcli.net.trace import Step
from convcli.ops import activation, conv, dense, join, norm, pool, rearrange, recurrent
from convcli.ops.rule import Kind

KINDS: dict[str, Kind] = {
    op: kind
    for family in (conv, pool, dense, norm, activation, rearrange, recurrent, join)
    for op, kind in family.KINDS.items()
}


def kind_of(step: Step) -> Kind:
    """Return what a step is in numbers.

    Raises:
        InputError: a layer that exists on paper only.
    """
    kind = KINDS.get(step.layer.op)
    if kind is None:
        raise InputError(
            f"layer {step.index} {step.name}: {step.op} can be calculated with `shape`, but not "
            f"run or trained. Leave it out or replace it; {', '.join(sorted(KINDS))} can."
        )
    return kind
