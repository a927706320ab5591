"""A graph of single layers read back as nested blocks: what a fork and its join enclose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from convcli.errors import InputError
from convcli.layers import Concat, Layer, Residual, Scale
from convcli.layers.join import Block, Mul

MAX_DEPTH = 60
"""Blocks within blocks, at most; a graph beyond that is no network anyone drew."""


@dataclass(frozen=True, slots=True)
class Branches:
    """A join and the branches that lead to it from their common fork; () is the bare input."""

    join: str
    paths: tuple[Path, ...]


Path = tuple["str | Branches", ...]
"""Node names and blocks, one after the other."""


@dataclass(frozen=True, slots=True)
class Joint:
    """A node that joins branches: `add`, `concat` or `scale`, and how to say what is wrong."""

    op: str
    name: str | None
    problem: Callable[[str], InputError]


Parts = Mapping[str, Layer | Joint | None]
"""What each node stands for; None does nothing."""


def layers_along(way: Path, parts: Parts, join: str = "") -> Iterator[Layer | Block]:
    """Yield the layers and blocks of a way through a graph, on a branch that ends at `join`.

    Raises:
        InputError: a join that no block does.
    """
    for node in way:
        if isinstance(node, Branches):
            joint = parts[node.join]
            if not isinstance(joint, Joint):
                raise TypeError(f"{node.join} reads {len(node.paths)} values")
            inside = [tuple(layers_along(path, parts, node.join)) for path in node.paths]
            yield replace(_block(joint, inside), name=None if node.join == join else joint.name)
            continue
        part = parts[node]
        if isinstance(part, Joint):
            raise part.problem("it joins a single tensor.")
        if part is not None:
            yield part


def nodes_along(way: Path, parts: Parts) -> Iterator[str]:
    """Yield the node of each step of the network that `layers_along` makes, in its order."""
    for node in way:
        if isinstance(node, str):
            if parts[node] is not None:
                yield node
            continue
        for path in node.paths:
            yield from nodes_along(path, parts)
        joint = parts[node.join]
        sums = len(node.paths) - 1 if isinstance(joint, Joint) and joint.op == "add" else 1
        yield from [node.join] * sums


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


def as_blocks(sources: Mapping[str, tuple[str, ...]], start: str, end: str) -> Path:
    """Return the way from `start` (left out) to `end` as names and nested blocks.

    Args:
        sources: per node the nodes that it reads; nodes stand after what they read. Only joins
            read several.
        start: the input's name.
        end: the output's name.

    Raises:
        InputError: the graph is no nest of blocks, or nests too deeply.

    >>> as_blocks({"in": (), "a": ("in",), "b": ("a",), "sum": ("b", "a")}, "in", "sum")
    ('a', Branches(join='sum', paths=(('b',), ())))
    """
    needed = _ancestors(sources, end)
    others = [node for node in needed if not sources[node] and node != start]
    if others:
        raise InputError(f"{others[0]!r} is a second input. The notation has one input.")
    forks = Forks({name: reads for name, reads in sources.items() if name in needed})
    used: dict[str, str] = {}

    def path(node: str, stop: str, join: str, depth: int) -> Path:
        """Walk backwards from `node` to `stop`, both within the block that ends at `join`."""
        if depth > MAX_DEPTH:
            raise InputError(f"Blocks nest more than {MAX_DEPTH} deep at {node!r}.")
        steps: list[str | Branches] = []
        while node != stop:
            if node in used:
                raise InputError(
                    f"{node!r} feeds both {used[node]!r} and {join!r}, across the borders of "
                    "blocks. The notation has nested blocks only."
                )
            used[node] = join
            reads = sources[node]
            if len(reads) == 1:
                steps.append(node)
                node = reads[0]
                continue
            steps.append(joined(node, reads, depth))
            node = forks.common(*reads)
        return tuple(reversed(steps))

    def joined(join: str, reads: tuple[str, ...], depth: int) -> Branches:
        """Return a join's branches; neighbors with a later fork of their own are joined first."""
        fork, paths, rest = forks.common(*reads), list[Path](), list(reads)
        while rest:
            run = 1
            while run < len(rest) and forks.later(rest[: run + 1], fork):
                run += 1
            group, rest = tuple(rest[:run]), rest[run:]
            way = path(forks.common(*group), fork, join, depth + 1)
            paths.append(way if run == 1 else (*way, joined(join, group, depth + 1)))
        return Branches(join, tuple(paths))

    return path(end, start, end, 0)


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
