"""Runs a program over batches: memories, shards of samples, threads, sums in a fixed order."""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import BASES, Base, add_shards, aligned, run
from convcli.engine.threads import ThreadPool
from convcli.environment import thread_count
from convcli.ops.layout import lay_out
from convcli.ops.parameters import LINE
from convcli.ops.program import Address, Instruction, ProgramBuilder
from convcli.ops.rule import Array, Integers

NEAREST_CACHE = 700_000
"""Bytes of one chunk's values that stay in a core's second-level cache beside the weights."""
LARGEST_CHUNK = 16
SHARD_MEMORY = 256_000_000
"""Bytes for the shards' gradients; more parameters mean fewer shards."""
MOST_SHARDS = 8


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
        self.addresses = np.array([each.operation.address for each in instructions], np.int64)
        self.per_sample = np.array([each.per_sample for each in instructions], np.uint8)
        self.starts = np.array(starts, np.int64)
        self.rows = np.array(numbers, np.int64)


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

    @staticmethod
    def _count_shards(batch: int, gradient: int) -> int:
        affordable = max(2, SHARD_MEMORY // (4 * max(gradient, 1)))
        return max(1, min(MOST_SHARDS, affordable, batch))

    def numbers(self, address: Address) -> Array:
        """Return the numbers of a place in the shared memory."""
        offset = address.buffer.offset + address.offset
        numbers: Array = self.shared[offset : offset + address.buffer.size]
        return numbers

    def run(self, count: int, bases: dict[Base, int]) -> None:
        """Run the program on a batch of `count` samples; `bases` are addresses and integers."""
        common = np.zeros(BASES, np.int64)
        for base, number in bases.items():
            common[base] = number
        common[Base.SHARED] = self.shared.ctypes.data
        common[Base.GRADIENT] = self.gradients.ctypes.data
        common[Base.SHARD] = self.shard_sums.ctypes.data
        common[Base.SHARDS] = self.shards_of(count)
        common[Base.SHARD_SUMS] = self.shard_sums.shape[1]
        common[Base.GRADIENT_SIZE] = self.gradient_size
        per_thread = []
        for thread in range(self.threads):
            own = common.copy()
            own[Base.KEPT] = self.memory[thread % len(self.memory)].ctypes.data
            own[Base.SCRATCH] = self.scratch[thread].ctypes.data
            per_thread.append(own)
        self._once(self.prepare, per_thread[0])
        for number, code in enumerate(self.phases):
            self._phase(code, per_thread, count, first=number == 0)
            self._once(self.after[number], per_thread[0])
        self._once(self.last, per_thread[0])

    def shards_of(self, count: int) -> int:
        """Return how many shards a batch of `count` samples fills."""
        return -(-count // self.shard_size)

    def _once(self, code: _Code, bases: Integers) -> None:
        if code.addresses.size:
            self._run(code, bases, 1, 0, 1, 1, clear=False)

    def _phase(self, code: _Code, per_thread: list[Integers], count: int, *, first: bool) -> None:
        def part(thread: int) -> None:
            self._run(
                code, per_thread[thread], count, thread, self.threads, self.shard_size, clear=first
            )

        self.pool.run(part)

    def _run(
        self,
        code: _Code,
        bases: Integers,
        count: int,
        shard: int,
        step: int,
        size: int,
        *,
        clear: bool,
    ) -> None:
        run(
            code.addresses, code.per_sample, code.starts, code.rows, bases, count, shard, step,
            size, self.chunk, clear, self.whole_batch,
        )  # fmt: skip

    def add_gradients(self, count: int, total: Array) -> None:
        """Write the sum of the shards' gradients of a batch of `count` samples."""
        add_shards(self.gradients, self.shards_of(count), total)

    def sums(self, count: int) -> Array:
        """Return loss, correct answers and weight of a batch of `count` samples, in float64."""
        own = self.shard_sums[: self.shards_of(count), :3]
        total: Array = own.astype(np.float64).sum(axis=0)
        return total
