"""Rows of operations over regions of memory, and where each region finally lies.

A layer's rule appends rows; a row names regions, not addresses. When all rows are known, a region
that lives within one run of per-sample rows is put into the scratch memory, which every sample
reuses and which therefore stays in the nearest cache; all others keep one copy for each sample.
Regions whose lives do not meet share their place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convcli.engine.calls import Base

if TYPE_CHECKING:
    import numpy as np

    from convcli.engine.calls import Operation

LINE = 16
"""Regions begin on cache lines: 16 float32."""


@dataclass(eq=False)
class Region:
    """`size` float32 of one sample, or of the program where `base` is given.

    A `pinned` region is neither shared nor moved: its untouched cells stay the zeros they began as.
    """

    size: int
    base: Base | None = None
    offset: int = 0
    pinned: bool = False
    whole_batch: bool = False


@dataclass(frozen=True)
class Place:
    """A place inside a region."""

    region: Region
    offset: int = 0

    def after(self, count: int) -> Place:
        """Return the place `count` numbers on."""
        return Place(self.region, self.offset + count)


@dataclass(frozen=True)
class Row:
    """One operation with its places and integers."""

    operation: Operation
    parts: tuple[Place | int, ...]
    per_sample: bool

    @property
    def regions(self) -> list[Region]:
        """The regions it touches."""
        return [part.region for part in self.parts if isinstance(part, Place)]


@dataclass
class Phase:
    """Rows that run over all lanes, then rows that run once when every lane has finished."""

    rows: list[Row] = field(default_factory=list)
    after: list[Row] = field(default_factory=list)


@dataclass
class Builder:
    """Collects the rows of one program."""

    lanes: int = 1
    phases: list[Phase] = field(default_factory=lambda: [Phase()])
    prepare: list[Row] = field(default_factory=list)
    """Rows that run once a batch, before all others."""
    last: list[Row] = field(default_factory=list)
    """Rows that run once a batch, after all others."""
    tape: list[Callable[[], None]] = field(default_factory=list)
    """The backward halves, called in reverse."""
    shared: int = 0
    lane_sums: int = LINE
    constants: list[tuple[int, np.ndarray]] = field(default_factory=list)
    """What the shared memory begins with: offset and numbers."""

    def region(self, size: int, *, pinned: bool = False) -> Place:
        """Return a new place for `size` numbers of each sample."""
        return Place(Region(size, pinned=pinned))

    def shared_place(self, size: int) -> Place:
        """Return a place in the memory that all samples of a batch share."""
        offset, self.shared = self.shared, self.shared + _lines(size)
        return Place(Region(size, Base.SHARED, offset))

    def constant(self, numbers: np.ndarray) -> Place:
        """Return a shared place that begins with `numbers`."""
        place = self.shared_place(numbers.size)
        self.constants.append((place.region.offset, numbers))
        return place

    def lane_place(self, size: int) -> Place:
        """Return a place among the sums of each lane."""
        offset, self.lane_sums = self.lane_sums, self.lane_sums + _lines(size)
        return Place(Region(size, Base.LANE, offset))

    def sample(self, operation: Operation, *parts: Place | int) -> None:
        """Append a row that runs sample by sample with its neighbors."""
        self.phases[-1].rows.append(Row(operation, parts, per_sample=True))

    def chunk(self, operation: Operation, *parts: Place | int) -> None:
        """Append a row that runs on all samples of a chunk at once."""
        self.phases[-1].rows.append(Row(operation, parts, per_sample=False))

    def once(self, operation: Operation, *parts: Place | int) -> None:
        """Append a row that runs once a batch before all others."""
        self.prepare.append(Row(operation, parts, per_sample=False))

    def finish(self, operation: Operation, *parts: Place | int) -> None:
        """Append a row that runs once a batch after all others."""
        self.last.append(Row(operation, parts, per_sample=False))

    def barrier(self, operation: Operation, *parts: Place | int) -> None:
        """End the phase: `operation` runs once, when every lane has come this far."""
        self.phases[-1].after.append(Row(operation, parts, per_sample=False))
        self.phases.append(Phase())

    def backward(self) -> None:
        """Append the backward halves, last layer first."""
        while self.tape:
            self.tape.pop()()

    def lay_out(self) -> Layout:
        """Decide where every region lies."""
        return _lay_out(self.phases)


@dataclass(frozen=True)
class Layout:
    """Sizes in float32: `kept` for each sample, `scratch` for each thread."""

    kept: int
    scratch: int
    whole_batch: bool


def _lines(size: int) -> int:
    return -(-size // LINE) * LINE


def _lay_out(phases: list[Phase]) -> Layout:
    whole_batch = len(phases) > 1
    lives: dict[int, list[tuple[int, int, Row]]] = {}
    regions: dict[int, Region] = {}
    runs: list[tuple[int, int, bool]] = []
    at = 0
    for phase in phases:
        for index, row in enumerate(phase.rows):
            joined = index > 0 and row.per_sample and phase.rows[index - 1].per_sample
            if joined:
                runs[-1] = (runs[-1][0], at, True)
            else:
                runs.append((at, at, row.per_sample))
            for region in row.regions:
                if region.base is None:
                    regions[id(region)] = region
                    lives.setdefault(id(region), []).append((at, len(runs) - 1, row))
            at += 1
    scratch: list[tuple[tuple[int, int], Region]] = []
    kept: list[tuple[tuple[int, int], Region]] = []
    for key, region in regions.items():
        uses = lives[key]
        run = uses[0][1]
        local = runs[run][2] and all(used == run for _, used, _ in uses)
        local = local or (region.pinned and all(runs[used][2] for _, used, _ in uses))
        if region.pinned:
            life = (0, at)
        elif local:
            life = (uses[0][0], uses[-1][0])
        else:
            life = (runs[run][0], runs[uses[-1][1]][1])
        if whole_batch and not local:
            life = (0, at)
        (scratch if local else kept).append((life, region))
    sizes = []
    for base, wanted in ((Base.SCRATCH, scratch), (Base.KEPT, kept)):
        for _, region in wanted:
            region.base = base
        sizes.append(_assign(wanted))
    return Layout(kept=sizes[1], scratch=sizes[0], whole_batch=whole_batch)


def _assign(wanted: list[tuple[tuple[int, int], Region]]) -> int:
    """Give each region the lowest offset that is free for its whole life; return the total size."""
    placed: list[tuple[int, int, tuple[int, int]]] = []
    total = 0
    for life, region in sorted(wanted, key=lambda pair: (-pair[1].size, pair[0])):
        size = _lines(region.size)
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
        region.offset = offset
        placed.append((offset, offset + size, life))
        total = max(total, offset + size)
    return total
