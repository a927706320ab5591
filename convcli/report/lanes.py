"""Where the boxes of a graph go: rows by depth, branches side by side, long graphs in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """A connection and the lane in which it runs where it passes boxes."""

    source: int
    target: int
    lane: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A row and a lane for every node, a lane for every edge, and the rows at which columns begin.

    Attributes:
        row: per node, 0 for those without sources.
        lane: per node, 0 leftmost.
        edges: every connection.
        column_starts: first row of each column; 0 is the first of them.
    """

    row: tuple[int, ...]
    lane: tuple[int, ...]
    edges: tuple[Edge, ...]
    column_starts: tuple[int, ...]


@dataclass(slots=True)
class _Run:
    """What takes one lane over a span of rows: a chain of nodes, or a wire that passes them."""

    first: int
    last: int
    right_of: int
    lane: int = 0


class _Lanes:
    """Lanes that are taken over spans of rows; the lowest free one is given."""

    def __init__(self) -> None:
        self._taken: list[list[tuple[int, int]]] = []

    def take(self, first: int, last: int, above: int) -> int:
        """Return the lowest lane beyond `above` that is free from row `first` to `last`."""
        lane = above + 1
        while True:
            while lane >= len(self._taken):
                self._taken.append([])
            if all(last < start or end < first for start, end in self._taken[lane]):
                self._taken[lane].append((first, last))
                return lane
            lane += 1


def place(sources: Sequence[Sequence[int]], rows_per_column: int = 30) -> Layout:
    """Place a graph whose nodes come in an order where sources stand before their readers.

    A node goes on in the lane of its first source that nothing has gone on from; else it begins
    a lane of its own. Connections that pass boxes get lanes outside them, the short ones inside.

    Args:
        sources: per node, the nodes that it reads.
        rows_per_column: a column is cut where only one node is read across, near this many rows.

    >>> layout = place([(), (0,), (0,), (1, 2)])  # a fork into two branches and their join
    >>> layout.row, layout.lane
    ((0, 1, 1, 2), (0, 0, 1, 0))
    """
    row: list[int] = []
    for reads in sources:
        row.append(1 + max((row[source] for source in reads), default=-1))
    chain_of, chains, previous = _chains(sources, row)
    lanes = _Lanes()
    for chain in chains:
        above = -1 if chain.right_of < 0 else chains[chain.right_of].lane
        chain.lane = lanes.take(chain.first, chain.last, above)
    lane = [chains[chain].lane for chain in chain_of]
    edges = _edges(sources, row, lane, chain_of, previous, lanes)
    starts = _column_starts(row, edges, rows_per_column)
    return Layout(tuple(row), tuple(lane), tuple(edges), starts)


def _chains(
    sources: Sequence[Sequence[int]], row: list[int]
) -> tuple[list[int], list[_Run], list[int]]:
    """Return the chain of each node, the chains with their rows, and whom each node goes on from.

    A chain spans the rows up to its last reader, so that its way there is free.
    """
    continued: set[int] = set()
    previous: list[int] = []
    chain_of: list[int] = []
    chains: list[_Run] = []
    for node, reads in enumerate(sources):
        open_ends = [source for source in reads if source not in continued]
        previous.append(open_ends[0] if open_ends else -1)
        if open_ends:
            continued.add(open_ends[0])
            chain_of.append(chain_of[open_ends[0]])
        else:
            chain_of.append(len(chains))
            first = row[reads[0]] + 1 if reads else 0
            chains.append(_Run(first, first, chain_of[reads[0]] if reads else -1))
        for source in reads:
            chain = chains[chain_of[source]]
            chain.last = max(chain.last, row[node] - 1 if chain_of[source] != chain_of[node] else 0)
        chains[chain_of[node]].last = max(chains[chain_of[node]].last, row[node])
    return chain_of, chains, previous


def _edges(
    sources: Sequence[Sequence[int]],
    row: list[int],
    lane: list[int],
    chain_of: list[int],
    previous: list[int],
    lanes: _Lanes,
) -> list[Edge]:
    """Return all edges; those that would run through boxes get lanes of their own, short first."""
    last_of_chain = {chain: node for node, chain in enumerate(chain_of)}
    edges: list[Edge] = []
    wires: list[tuple[int, int]] = []
    for target, reads in enumerate(sources):
        for source in reads:
            leaves = last_of_chain[chain_of[source]] == source
            follows = previous[target] == source
            if follows or leaves or row[target] == row[source] + 1:
                edges.append(Edge(source, target, lane[source]))
            elif previous[target] < 0 and source == reads[0]:  # its lane begins for this one
                edges.append(Edge(source, target, lane[target]))
            else:
                wires.append((source, target))
    wires.sort(key=lambda wire: row[wire[1]] - row[wire[0]])
    for source, target in wires:
        above = max(lane[source], lane[target])
        taken = lanes.take(row[source] + 1, row[target] - 1, above)
        edges.append(Edge(source, target, taken))
    return edges


def _column_starts(row: list[int], edges: Iterable[Edge], rows_per_column: int) -> tuple[int, ...]:
    """Return the rows at which columns begin: where only one node is read across, evenly."""
    rows = max(row) + 1
    last_read = dict.fromkeys(range(len(row)), -1)
    for edge in edges:
        last_read[edge.source] = max(last_read[edge.source], row[edge.target])
    crossing = [0] * (rows + 1)
    for node, last in last_read.items():
        if last > row[node]:
            crossing[row[node] + 1] += 1
            crossing[last + 1] -= 1
    open_ends = 0
    cuts = []
    for at in range(1, rows):
        open_ends += crossing[at]
        if open_ends == 1:
            cuts.append(at)
    columns = -(-rows // rows_per_column)
    even = rows / columns
    starts = [0]
    for column in range(1, columns):
        wanted = round(column * even)
        near = min(cuts, key=lambda at: abs(at - wanted), default=0)
        if near > starts[-1] and abs(near - wanted) <= even / 2:
            starts.append(near)
    return tuple(starts)
