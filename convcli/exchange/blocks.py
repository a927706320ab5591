"""A graph of single layers read back as nested blocks: what a fork and its join enclose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from convcli.errors import InputError
from convcli.layers import Concat, Input, Layer, Residual, Scale
from convcli.layers.join import Block, Branch, From, Mul
from convcli.net import Network

MAX_DEPTH = 60
"""Blocks within blocks, at most; a graph beyond that is no network anyone drew."""


OUTPUTS = "outputs"
"""The node, and the op, that stands behind several outputs of a graph."""


@dataclass(frozen=True, slots=True)
class Branches:
    """A join and the branches that lead to it from their common fork; () is the bare input."""

    join: str
    paths: tuple[Path, ...]
    fork: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Crossed:
    """A part of the graph from a fork to a join that is no nest: its nodes with what they read."""

    fork: str
    reads: tuple[tuple[str, tuple[str, ...]], ...]


Path = tuple["str | Branches | Crossed", ...]
"""Node names and blocks, one after the other."""


@dataclass(frozen=True, slots=True)
class Joint:
    """A node that joins branches: `add`, `concat` or `scale`, and how to say what is wrong."""

    op: str
    name: str | None
    problem: Callable[[str], InputError]


Parts = Mapping[str, Layer | Joint | None]
"""What each node stands for; None does nothing."""

Sources = Mapping[str, tuple[str, ...]]
"""Per node the nodes that it reads; nodes stand after what they read. Only joins read several."""


def layers_of(
    sources: Sources, start: str, ends: Sequence[str], parts: Parts
) -> tuple[Branch, list[str]]:
    """Return a graph as layers and blocks, and the node of each step of the network they make.

    What is no nest of blocks goes on from named points, and so does each output after the first.

    Args:
        sources: the graph.
        start: the input's name.
        ends: the outputs' names.
        parts: what the nodes stand for.

    Raises:
        InputError: a second input, a join that no block does, or blocks that nest too deeply.
    """
    end = ends[0]
    if len(ends) > 1:
        end = OUTPUTS
        joint = Joint(OUTPUTS, None, InputError)
        sources, parts = {**sources, end: tuple(ends)}, {**parts, end: joint}
    way = as_blocks(sources, start, end)
    walk = _Walk(start, parts)
    for point in dict.fromkeys(walk.points(way)):
        walk.name(point)
    return tuple(walk.layers(way)), list(walk.nodes(way))


class _Walk:
    """Layers and nodes along the way through a graph, which has a name where a point needs one."""

    def __init__(self, start: str, parts: Parts) -> None:
        self.start, self.parts = start, dict(parts)

    def name(self, node: str) -> None:
        """Give a name to a node from which the way goes on elsewhere, if it has none."""
        part = self.parts.get(node)
        if part is not None and not part.name:
            taken = {one.name for one in self.parts.values() if one is not None}
            names = (f"point{number}" for number in range(1, len(taken) + 2))
            self.parts[node] = replace(part, name=next(n for n in names if n not in taken))

    def rows(self, crossed: Crossed) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Yield the nodes of a part, what they read, and the one before them; none do nothing."""
        stands_for: dict[str, str] = {}
        before = crossed.fork
        for node, names in crossed.reads:
            reads = tuple(stands_for.get(name, name) for name in names)
            if self.parts[node] is None:
                stands_for[node] = reads[0]
            else:
                yield node, reads, before
                before = node

    def is_end(self, node: str) -> bool:
        """Tell whether a node stands behind several outputs, and is none itself."""
        part = self.parts[node]
        return isinstance(part, Joint) and part.op == OUTPUTS

    def bare(self, node: str, reads: tuple[str, ...], before: str) -> set[int]:
        """Return which of the reads need no point: what stands before the node, as it is."""
        part = self.parts[node]
        if isinstance(part, Input) or (isinstance(part, Joint) and part.op == OUTPUTS):
            return {*range(len(reads))}
        same = [at for at, read in enumerate(reads) if read == before]
        if isinstance(part, Joint) and part.op != "concat":  # what is scaled stands first
            same = [at for at in same[:1] if part.op == "add" or at == 0]
        return {*same}

    def points(self, way: Path) -> Iterator[str]:
        """Yield the nodes from which the way goes on elsewhere."""
        for node in way:
            if isinstance(node, Crossed):
                for name, reads, before in self.rows(node):
                    bare = self.bare(name, reads, before)
                    yield from (read for at, read in enumerate(reads) if at not in bare)
            elif isinstance(node, Branches):
                if self.is_end(node.join):
                    yield node.fork
                for path in node.paths:
                    yield from self.points(path)

    def layers(self, way: Path, join: str = "") -> Iterator[Layer | Block]:
        """Yield the layers and blocks of a way, on a branch that ends at `join`."""
        for node in way:
            if isinstance(node, Crossed):
                for row in self.rows(node):
                    yield from self.crossing(*row)
            elif isinstance(node, Branches):
                yield from self.block(node, join)
            else:
                part = self.parts[node]
                if isinstance(part, Joint):
                    raise part.problem("it joins a single tensor.")
                if part is not None:
                    yield part

    def block(self, node: Branches, join: str) -> Iterator[Layer | Block]:
        """Yield the block that a join closes, or the outputs one after the other."""
        joint = self.parts[node.join]
        if not isinstance(joint, Joint):
            raise TypeError(f"{node.join} reads {len(node.paths)} values")
        inside = [tuple(self.layers(path, node.join)) for path in node.paths]
        if joint.op != OUTPUTS:
            name = None if node.join == join else joint.name
            yield replace(_block(joint, inside), name=name)
            return
        for number, branch in enumerate(filter(None, inside)):
            if number:
                yield self.point(node.fork)
            yield from branch

    def crossing(self, node: str, reads: tuple[str, ...], before: str) -> Iterator[Layer | Block]:
        """Yield what a node stands for behind `before`, from the points that it reads."""
        part = self.parts[node]
        if isinstance(part, Joint):
            if part.op == OUTPUTS:
                return
            bare = self.bare(node, reads, before)
            ways: list[Branch] = [
                () if at in bare else (self.point(name),) for at, name in enumerate(reads)
            ]
            yield replace(_block(part, ways), name=part.name)
        elif part is not None:
            if not self.bare(node, reads, before):
                yield self.point(reads[0])
            yield part

    def point(self, node: str) -> From:
        """Return what goes on from a node."""
        part = self.parts.get(node)
        return From("input" if part is None else str(part.name))

    def nodes(self, way: Path) -> Iterator[str]:
        """Yield the node of each step of the network that `layers` makes, in its order."""
        for node in way:
            if isinstance(node, str):
                if self.parts[node] is not None:
                    yield node
            elif isinstance(node, Crossed):
                for name, reads, _ in self.rows(node):
                    yield from [name] * self.steps(name, len(reads))
            else:
                for path in node.paths:
                    yield from self.nodes(path)
                yield from [node.join] * self.steps(node.join, len(node.paths))

    def steps(self, node: str, reads: int) -> int:
        """Return how many steps a node is; a sum of several is one for each after the first."""
        part = self.parts[node]
        op = part.op if isinstance(part, Joint) else ""
        return 0 if op == OUTPUTS else reads - 1 if op == "add" else 1


def without_running_names(network: Network, spelled: Callable[[str], str] = str) -> Network:
    """Return the network without the names that its layers have anyway.

    Args:
        network: without points, whose names must stay.
        spelled: how the other program spells such a name.
    """
    if any(isinstance(item, From) for item in _items(network.layers)):
        return network
    plain = replace(network, layers=_renamed(network.layers, lambda _: None))
    names = iter([spelled(step.name) for step in plain.trace().steps])
    kept = _renamed(network.layers, lambda item: None if item.name == next(names) else item.name)
    return replace(network, layers=kept)


def _items(branch: Branch) -> Iterator[Layer | Block]:
    for item in branch:
        yield item
        if isinstance(item, Block):
            for part in item.parts:
                yield from _items(part)


def _renamed(branch: Branch, name: Callable[[Layer | Block], str | None]) -> Branch:
    """Return layers and blocks under other names, which are asked for in the order of the steps."""
    done: list[Layer | Block] = []
    for item in branch:
        if isinstance(item, Block):
            inner = item.with_parts(tuple(_renamed(part, name) for part in item.parts))
            done.append(replace(inner, name=name(item)))
        else:
            done.append(replace(item, name=name(item)))
    return tuple(done)


def layer_word(name: str) -> str:
    """Return another program's name of a layer as a name of the notation.

    >>> layer_word("layer1.0/conv"), layer_word("0")
    ('layer1.0_conv', 'layer0')
    """
    word = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "_-.") else "_"
        for letter in name
    )[:70]
    return word if word[:1].isalpha() else f"layer{word}"


class _Crossing(InputError):
    """A node that feeds joins of two blocks, neither within the other."""

    def __init__(self, node: str, *joins: str) -> None:
        super().__init__(f"{node!r} feeds both {joins[0]!r} and {joins[1]!r}.")
        self.joins = {*joins}


def _block(joint: Joint, branches: list[tuple[Layer | Block, ...]]) -> Block:
    """Return the block that a join closes; a sum of several branches is nested."""
    filled = [branch for branch in branches if branch]
    bare = len(branches) - len(filled)
    match joint.op:
        case "concat":
            return Concat(tuple(branches))
        case "scale" if bare == len(filled) == 1:
            return Scale(filled[0])
        case "add" if filled and bare <= 1:
            body, *shortcuts = filled
            for shortcut in shortcuts[: len(branches) - 2]:
                body = (Residual(body, shortcut),)
            return Residual(body, () if bare else shortcuts[-1])
        case "add":
            raise joint.problem("it adds its input to itself; no block does this.")
        case "scale":
            return Mul(tuple(branches))
    raise joint.problem(f"it reads {len(branches)} tensors, and no block does this.")


def as_blocks(sources: Sources, start: str, end: str) -> Path:
    """Return the way from `start` (left out) to `end` as names, nested blocks and what is no nest.

    Args:
        sources: the graph.
        start: the input's name.
        end: the output's name.

    Raises:
        InputError: the graph has a second input, or nests too deeply.

    >>> as_blocks({"in": (), "a": ("in",), "b": ("a",), "sum": ("b", "a")}, "in", "sum")
    ('a', Branches(join='sum', paths=(('b',), ())))
    """
    needed = _ancestors(sources, end)
    others = [node for node in needed if not sources[node] and node != start]
    if others:
        raise InputError(f"{others[0]!r} is a second input. The notation has one input.")
    nest = _Nest({name: reads for name, reads in sources.items() if name in needed})
    return nest.path(end, start, end, 0)


class _Nest:
    """The blocks of a graph as they are found, from its end on."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.forks = Forks(sources)
        self.used: dict[str, str] = {}
        """Node -> the join of the innermost block around it."""

    def path(self, node: str, stop: str, join: str, depth: int) -> Path:
        """Walk backwards from `node` to `stop`, both within the block that ends at `join`."""
        if depth > MAX_DEPTH:
            raise InputError(f"Blocks nest more than {MAX_DEPTH} deep at {node!r}.")
        steps: list[str | Branches | Crossed] = []
        while node != stop:
            if node in self.used:
                raise _Crossing(node, self.used[node], join)
            self.used[node] = join
            reads = self.sources[node]
            if len(reads) == 1:
                steps.append(node)
                node = reads[0]
                continue
            steps.append(self.part(node, reads, depth))
            node = self.forks.common(*reads)
        return tuple(reversed(steps))

    def part(self, join: str, reads: tuple[str, ...], depth: int) -> Branches | Crossed:
        """Return a join with its branches, or with all that lies before it from their fork on."""
        before = {**self.used}
        try:
            return self.joined(join, reads, depth)
        except _Crossing as crossing:
            fork = self.forks.common(*reads)
            inside = _ancestors(self.sources, join) - _ancestors(self.sources, fork)
            if not crossing.joins <= inside:
                raise
            for node in sorted(inside & before.keys() - {join}):  # what is around it crosses, too
                raise _Crossing(node, before[node], join) from None
            self.used = before | dict.fromkeys(inside, join)
            return Crossed(fork, tuple((n, r) for n, r in self.sources.items() if n in inside))

    def joined(self, join: str, reads: tuple[str, ...], depth: int) -> Branches:
        """Return a join's branches; neighbors with a later fork of their own are joined first."""
        fork, paths, rest = self.forks.common(*reads), list[Path](), list(reads)
        while rest:
            run = 1
            while run < len(rest) and self.forks.later(rest[: run + 1], fork):
                run += 1
            group, rest = tuple(rest[:run]), rest[run:]
            way = self.path(self.forks.common(*group), fork, join, depth + 1)
            paths.append(way if run == 1 else (*way, self.joined(join, group, depth + 1)))
        return Branches(join, tuple(paths), fork)


def _ancestors(sources: Mapping[str, tuple[str, ...]], end: str) -> set[str]:
    """Return `end` and all that it depends on."""
    found: set[str] = set()
    waiting = [end]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += sources[node]
    return found


class Forks:
    """The last node that every way to a node passes (Cooper, Harvey, Kennedy 2001)."""

    def __init__(self, sources: Mapping[str, tuple[str, ...]]) -> None:
        self.depth: dict[str, int] = {}
        self.parent: dict[str, str] = {}
        for node, reads in sources.items():
            self.parent[node] = self.common(*reads) if reads else node
            self.depth[node] = self.depth[self.parent[node]] + 1 if reads else 0

    def common(self, first: str, *others: str) -> str:
        """Return the last node on every way to all of these."""
        for second in others:
            walk = second
            while first != walk:
                if self.depth[first] >= self.depth[walk]:
                    first = self.parent[first]
                else:
                    walk = self.parent[walk]
        return first

    def later(self, nodes: Sequence[str], fork: str) -> bool:
        """Tell whether nodes come from a common one behind a fork."""
        return self.depth[self.common(*nodes)] > self.depth[fork]
