"""Where each buffer of a program lies.

A buffer that lives within one run of per-sample instructions is put into the scratch memory, which
every sample reuses and which therefore stays in the nearest cache; all others keep one copy for
each sample. Buffers whose lives do not meet share their place.
"""

from __future__ import annotations

from typing import NamedTuple

from convcli.engine.calls import Base
from convcli.ops.program import Buffer, Instruction, Phase, lines

Life = tuple[int, int]


class Layout(NamedTuple):
    """Sizes in float32: `kept` for each sample, `scratch` for each thread."""

    kept: int
    scratch: int
    whole_batch: bool


class _Run(NamedTuple):
    """Neighboring instructions that run together."""

    first: int
    last: int
    per_sample: bool


def lay_out(phases: list[Phase]) -> Layout:
    """Decide where every buffer lies."""
    whole_batch = len(phases) > 1
    runs, uses = _runs_and_uses(phases)
    end = runs[-1].last + 1 if runs else 0
    scratch: list[tuple[Life, Buffer]] = []
    kept: list[tuple[Life, Buffer]] = []
    for buffer, used in uses.values():
        first, last = runs[used[0][1]], runs[used[-1][1]]
        one_run = first.per_sample and first == last
        local = one_run or (buffer.pinned and all(runs[run].per_sample for _, run in used))
        if buffer.pinned or (whole_batch and not local):
            life = (0, end)
        elif local:
            life = (used[0][0], used[-1][0])
        else:
            life = (first.first, last.last)
        (scratch if local else kept).append((life, buffer))
    return Layout(_assign(kept, Base.KEPT), _assign(scratch, Base.SCRATCH), whole_batch)


def _runs_and_uses(
    phases: list[Phase],
) -> tuple[list[_Run], dict[int, tuple[Buffer, list[tuple[int, int]]]]]:
    """Return the runs, and each buffer with the (instruction, run) that use it."""
    runs: list[_Run] = []
    uses: dict[int, tuple[Buffer, list[tuple[int, int]]]] = {}
    at = 0
    for phase in phases:
        before: Instruction | None = None
        for instruction in phase.body:
            if before is not None and before.per_sample and instruction.per_sample:
                runs[-1] = runs[-1]._replace(last=at)
            else:
                runs.append(_Run(at, at, instruction.per_sample))
            for buffer in instruction.buffers:
                if buffer.base is None:
                    uses.setdefault(id(buffer), (buffer, []))[1].append((at, len(runs) - 1))
            before, at = instruction, at + 1
    return runs, uses


def _assign(wanted: list[tuple[Life, Buffer]], base: Base) -> int:
    """Give each buffer the lowest offset that is free for its whole life; return the total size."""
    placed: list[tuple[int, int, Life]] = []
    total = 0
    for life, buffer in sorted(wanted, key=lambda pair: (-pair[1].size, pair[0])):
        size = lines(buffer.size)
        taken = sorted(
            (begin, end)
            for begin, end, other in placed
            if other[0] <= life[1] and life[0] <= other[1]
        )
        offset = 0
        for begin, end in taken:
            if begin - offset >= size:
                break
            offset = max(offset, end)
        buffer.base, buffer.offset = base, offset
        placed.append((offset, offset + size, life))
        total = max(total, offset + size)
    return total
