"""Runs a program over batches: memories, shards of samples, threads, sums in a fixed order.

Where each buffer of the program lies is decided here. One that lives within one run of per-sample
instructions is put into the scratch memory, which every sample reuses and which therefore stays in
the nearest cache; all others keep one copy for each sample. Buffers whose lives do not meet share
their place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from convcli.engine.calls import BASES, Base, add_shards, compile_operations, digest, run
from convcli.engine.llvm import aligned
from convcli.engine.threads import ThreadPool
from convcli.environment import thread_count
from convcli.ops.program import LINE, Address, Buffer, Instruction, Phase, ProgramBuilder, lines
from convcli.ops.rule import Array, Integers

NEAREST_CACHE = 700_000
"""Bytes of one chunk's values that stay in a core's second-level cache beside the weights."""
LARGEST_CHUNK = 16
SHARD_MEMORY = 256_000_000
"""Bytes for the shards' gradients; more parameters mean fewer shards."""
SHARDS, SHARD_SAMPLES, PREDICTED_TOGETHER = 8, 16, 4
"""Shards of a batch that learns, and more where these would hold more samples; samples of a shard
in a batch that is predicted, so that few of them keep all threads busy."""


class _Code:
    """Instructions as the integers that the engine reads."""

    def __init__(self, instructions: list[Instruction], kept: int) -> None:
        starts: list[int] = []
        numbers: list[int] = []
        for instruction in instructions:
            starts.append(len(numbers))
            for part in instruction.operands:
                if isinstance(part, Address):
                    buffer = part.buffer
                    stride = kept if buffer.base is Base.KEPT else 0
                    numbers += [int(buffer.base or 0), buffer.offset + part.offset, stride]
                elif isinstance(part, tuple):
                    numbers += part
                else:
                    numbers.append(int(part))
        addresses = [each.operation.address for each in instructions]
        self.addresses = np.array([*addresses, 0], np.int64)
        self.per_sample = np.array([*(each.per_sample for each in instructions), False], np.uint8)
        self.starts = np.array(starts, np.int64)
        self.rows = np.array(numbers, np.int64)
        arrays = self.addresses, self.per_sample, self.starts, self.rows
        self.places = [array.ctypes.data for array in arrays]


class Executor:
    """One program with its memories, ready for batches of up to `batch` samples.

    What is computed does not depend on the number of threads: a batch is cut into shards of a fixed
    size, each shard adds its own samples, and the shards are added in order.

    Attributes:
        shared: the memory that all samples share; constants, statistics, flipped kernels.
        shards: how many shards a full batch has.
    """

    def __init__(
        self, program: ProgramBuilder, *, batch: int, threads: int = 0, gradient: int = 0
    ) -> None:
        layout = lay_out(program.phases)
        kept = layout.kept // LINE | 1  # an odd count of lines: samples fall into different sets
        self.kept = kept * LINE
        self.batch = batch
        self.gradient_size = gradient
        self.shards = self._count_shards(batch, gradient)
        self.shard_size = -(-batch // self.shards)
        self.threads = min(thread_count(threads), self.shards)
        fits = max(1, NEAREST_CACHE // (4 * self.kept))
        self.chunk = min(self.shard_size, LARGEST_CHUNK, fits)
        self.whole_batch = layout.whole_batch
        called = {run, add_shards if gradient else digest}
        compile_operations(program.operations | called, thread_count(threads))
        self.phases = [_Code(phase.body, self.kept) for phase in program.phases]
        self.after = [_Code(phase.after, self.kept) for phase in program.phases]
        self.prepare = _Code(program.prepare, self.kept)
        self.last = _Code(program.last, self.kept)
        self.shared = aligned(program.shared)
        for offset, numbers in program.constants:
            self.shared[offset : offset + numbers.size] = numbers
        self.shard_sums = aligned(self.shards * program.shard_sums).reshape(self.shards, -1)
        self.gradients = aligned(self.shards * max(gradient, 1)).reshape(self.shards, -1)
        arenas = 1 if self.whole_batch else self.threads
        samples = batch if self.whole_batch else self.chunk
        self.memory = [aligned(samples * self.kept) for _ in range(arenas)]
        self.scratch = [aligned(layout.scratch) for _ in range(self.threads)]
        self.pool = ThreadPool(self.threads)
        self._bases = [self._own_bases(thread) for thread in range(self.threads)]
        self._places = [own.ctypes.data for own in self._bases]

    def _own_bases(self, thread: int) -> Integers:
        """Return the memories of one thread, and the sizes; the rest is told for each batch."""
        own = np.zeros(BASES, np.int64)
        own[Base.SHARED] = self.shared.ctypes.data
        own[Base.GRADIENT] = self.gradients.ctypes.data
        own[Base.SHARD] = self.shard_sums.ctypes.data
        own[Base.SHARD_SUMS] = self.shard_sums.shape[1]
        own[Base.GRADIENT_SIZE] = self.gradient_size
        own[Base.KEPT] = self.memory[thread % len(self.memory)].ctypes.data
        own[Base.SCRATCH] = self.scratch[thread].ctypes.data
        return own

    @staticmethod
    def _count_shards(batch: int, gradient: int) -> int:
        if not gradient:
            return -(-batch // PREDICTED_TOGETHER)
        affordable = max(2, SHARD_MEMORY // (4 * gradient))
        return max(1, min(max(SHARDS, -(-batch // SHARD_SAMPLES)), affordable, batch))

    def numbers(self, address: Address) -> Array:
        """Return the numbers of a place in the shared memory."""
        offset = address.buffer.offset + address.offset
        numbers: Array = self.shared[offset : offset + address.buffer.size]
        return numbers

    def run(self, count: int, bases: dict[Base, int], *, prepare: bool = True) -> None:
        """Run the program on a batch of `count` samples; `bases` are addresses and integers.

        Without `prepare` what it prepares from parameters is as the batch before left it.
        """
        for own in self._bases:
            own[Base.SHARDS] = self.shards_of(count)
            for base, number in bases.items():
                own[base] = number
        if prepare:
            self._once(self.prepare)
        for number, code in enumerate(self.phases):
            self._phase(code, count, first=number == 0)
            self._once(self.after[number])
        self._once(self.last)

    def shards_of(self, count: int) -> int:
        """Return how many shards a batch of `count` samples fills."""
        return -(-count // self.shard_size)

    def _once(self, code: _Code) -> None:
        if code.addresses[0]:
            self._run(code, 1, 0, 1, 1, clear=False)

    def _phase(self, code: _Code, count: int, *, first: bool) -> None:
        def part(thread: int) -> None:
            self._run(code, count, thread, self.threads, self.shard_size, clear=first)

        self.pool.run(part, self.shards_of(count))

    def _run(
        self,
        code: _Code,
        count: int,
        shard: int,
        step: int,
        size: int,
        *,
        clear: bool,
    ) -> None:
        run.compiled.ctypes(
            *code.places, self._places[shard], count, shard, step, size, self.chunk, clear,
            self.whole_batch,
        )  # fmt: skip

    def add_gradients(self, count: int) -> Array:
        """Return the sum of the shards' gradients of a batch of `count` samples.

        It takes the first one's place: another vector would be one more in memory.
        """
        shards, apart = self.gradients.ctypes.data, self.gradients.shape[1]
        add_shards.compiled.ctypes(shards, apart, self.shards_of(count), self.gradient_size)
        total: Array = self.gradients[0, : self.gradient_size]
        return total

    def sums(self, count: int) -> Array:
        """Return loss, correct answers and weight of a batch of `count` samples, in float64."""
        own = self.shard_sums[: self.shards_of(count), :3]
        total: Array = own.astype(np.float64).sum(axis=0)
        return total


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
