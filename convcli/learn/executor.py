"""Runs a program over batches: memories, lanes of samples, threads, sums in a fixed order."""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import BASES, Base, add_lanes, aligned, run
from convcli.engine.threads import ThreadPool
from convcli.environment import thread_count
from convcli.learn.arrays import Array, Integers
from convcli.learn.compiled.motion import Motion
from convcli.learn.compiled.program import LINE, Place, Row

NEAREST_CACHE = 700_000
"""Bytes of one chunk's values that stay in a core's second-level cache beside the weights."""
LARGEST_CHUNK = 16
LANE_MEMORY = 256_000_000
"""Bytes for the lanes' gradients; more parameters mean fewer lanes."""
MOST_LANES = 8


class _Code:
    """Rows as the integers that the engine reads."""

    def __init__(self, rows: list[Row], kept: int) -> None:
        starts: list[int] = []
        numbers: list[int] = []
        for row in rows:
            starts.append(len(numbers))
            for part in row.parts:
                if isinstance(part, Place):
                    region = part.region
                    stride = kept if region.base is Base.KEPT else 0
                    numbers += [int(region.base or 0), region.offset + part.offset, stride]
                else:
                    numbers.append(int(part))
        self.addresses = np.array([row.operation.address for row in rows], np.int64)
        self.per_sample = np.array([row.per_sample for row in rows], np.uint8)
        self.starts = np.array(starts, np.int64)
        self.rows = np.array(numbers, np.int64)


class Executor:
    """One program with its memories, ready for batches of up to `batch` samples.

    What is computed does not depend on the number of threads: a batch is cut into lanes of a fixed
    size, each lane adds its own samples, and the lanes are added in order.

    Attributes:
        shared: the memory that all samples share; constants, statistics, turned kernels.
        lanes: how many lanes a full batch has.
    """

    def __init__(self, motion: Motion, *, batch: int, threads: int = 0, gradient: int = 0) -> None:
        builder = motion.builder
        layout = builder.lay_out()
        kept = layout.kept // LINE | 1  # an odd count of lines: samples fall into different sets
        self.kept = kept * LINE
        self.batch = batch
        self.gradient_size = gradient
        self.lanes = self._count_lanes(batch, gradient)
        self.lane_size = -(-batch // self.lanes)
        self.threads = min(thread_count(threads), self.lanes)
        fits = max(1, NEAREST_CACHE // (4 * self.kept))
        self.chunk = min(self.lane_size, LARGEST_CHUNK, fits)
        self.whole_batch = layout.whole_batch
        self.phases = [_Code(phase.rows, self.kept) for phase in builder.phases]
        self.after = [_Code(phase.after, self.kept) for phase in builder.phases]
        self.prepare = _Code(builder.prepare, self.kept)
        self.last = _Code(builder.last, self.kept)
        self.shared = aligned(builder.shared)
        for offset, numbers in builder.constants:
            self.shared[offset : offset + numbers.size] = numbers
        self.lane_sums = aligned(self.lanes * builder.lane_sums).reshape(self.lanes, -1)
        self.gradients = aligned(self.lanes * max(gradient, 1)).reshape(self.lanes, -1)
        arenas = 1 if self.whole_batch else self.threads
        samples = batch if self.whole_batch else self.chunk
        self.memory = [aligned(samples * self.kept) for _ in range(arenas)]
        self.scratch = [aligned(layout.scratch) for _ in range(self.threads)]
        self.pool = ThreadPool(self.threads)

    @staticmethod
    def _count_lanes(batch: int, gradient: int) -> int:
        affordable = max(2, LANE_MEMORY // (4 * max(gradient, 1)))
        return max(1, min(MOST_LANES, affordable, batch))

    def place(self, place: Place) -> Array:
        """Return the numbers of a place in the shared memory."""
        offset = place.region.offset + place.offset
        numbers: Array = self.shared[offset : offset + place.region.size]
        return numbers

    def run(self, count: int, bases: dict[Base, int]) -> None:
        """Run the program on a batch of `count` samples; `bases` are addresses and integers."""
        common = np.zeros(BASES, np.int64)
        for base, number in bases.items():
            common[base] = number
        common[Base.SHARED] = self.shared.ctypes.data
        common[Base.GRADIENT] = self.gradients.ctypes.data
        common[Base.LANE] = self.lane_sums.ctypes.data
        common[Base.LANES] = self.lanes_of(count)
        common[Base.LANE_SUMS] = self.lane_sums.shape[1]
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

    def lanes_of(self, count: int) -> int:
        """Return how many lanes a batch of `count` samples fills."""
        return -(-count // self.lane_size)

    def _once(self, code: _Code, bases: Integers) -> None:
        if code.addresses.size:
            self._run(code, bases, 1, 0, 1, 1, clear=False)

    def _phase(self, code: _Code, per_thread: list[Integers], count: int, *, first: bool) -> None:
        def part(thread: int) -> None:
            self._run(
                code, per_thread[thread], count, thread, self.threads, self.lane_size, clear=first
            )

        self.pool.run(part)

    def _run(
        self,
        code: _Code,
        bases: Integers,
        count: int,
        lane: int,
        step: int,
        size: int,
        *,
        clear: bool,
    ) -> None:
        run(
            code.addresses, code.per_sample, code.starts, code.rows, bases, count, lane, step,
            size, self.chunk, self.gradient_size, self.lane_sums.shape[1], clear, self.whole_batch,
        )  # fmt: skip

    def add_gradients(self, count: int, total: Array) -> None:
        """Write the sum of the lanes' gradients of a batch of `count` samples."""
        add_lanes(self.gradients, self.lanes_of(count), total)

    def sums(self, count: int) -> Array:
        """Return loss, correct answers and weight of a batch of `count` samples, in float64."""
        own = self.lane_sums[: self.lanes_of(count), :3]
        total: Array = own.astype(np.float64).sum(axis=0)
        return total
