"""Nested blocks spread out into a graph are found again."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings, strategies as st

from convcli.errors import InputError
from convcli.exchange.blocks import Branches, Crossed, Joint, as_blocks, layers_of
from convcli.layers import Dense
from convcli.net import Network, parse_notation, to_notation

# a nest is a list of items; an item is None (one layer) or a list of at least two nests (a block)
NESTS = st.recursive(
    st.lists(st.none(), max_size=3),
    lambda inner: st.lists(
        st.one_of(st.none(), st.lists(inner, min_size=2, max_size=3)), max_size=3
    ),
    max_leaves=12,
)


def spread(nest: list, start: str, graph: dict, names: count) -> tuple[str, tuple]:
    """Add a nest to `graph` behind `start`; return its last node and the way that is expected."""
    way = []
    for item in nest:
        if item is None:
            node = f"n{next(names)}"
            graph[node] = (start,)
            way.append(node)
        else:
            ends, ways = zip(*(spread(part, start, graph, names) for part in item), strict=True)
            node = f"join{next(names)}"
            graph[node] = ends
            way.append(Branches(node, ways))
        start = node
    return start, tuple(way)


@given(NESTS)
@settings(deadline=None, max_examples=150)
def test_a_spread_nest_is_found_again(nest: list) -> None:
    graph: dict[str, tuple[str, ...]] = {"in": ()}
    end, ref = spread(nest, "in", graph, count())
    assert as_blocks(graph, "in", end) == ref


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(0, 20))),
        min_size=1, max_size=14,
    ),
    st.integers(1, 2),
)  # fmt: skip
@settings(deadline=None, max_examples=300)
def test_any_graph_comes_back_with_points_where_it_is_no_nest(
    nodes: list[tuple[int, int | None]], count: int
) -> None:
    """Each step reads what its node reads, whatever crosses whatever."""
    names, graph = ["in"], {"in": ()}
    for number, reads in enumerate(nodes):
        graph[f"n{number}"] = tuple(names[r % len(names)] for r in reads if r is not None)
        names.append(f"n{number}")
    ends = names[-1 : -1 - min(count, len(nodes)) : -1]
    parts = {
        name: Dense(3) if len(reads) == 1 else Joint("concat", None, InputError)
        for name, reads in graph.items()
        if reads
    }
    layers, keys = layers_of(graph, "in", ends, parts)
    trace = Network((3,), layers).trace()
    assert len(trace.steps) == len(keys) == len(set(keys))
    for step, key in zip(trace.steps, keys, strict=True):
        assert sorted(["in", *keys][source] for source in step.sources) == sorted(graph[key])
    unread = {end for end in ends if not any(end in graph[key] for key in keys)}
    assert {keys[step.index - 1] for step in trace.outputs} == unread
    text = to_notation(trace.network)
    assert parse_notation(text) == trace.network


def test_a_crossing_inside_a_block_leaves_the_block() -> None:
    graph = {
        "in": (), "a": ("in",), "b": ("in",), "c": ("a", "b"), "d": ("a", "c"), "e": ("d", "in"),
    }  # fmt: skip
    (block,) = as_blocks(graph, "in", "e")
    assert isinstance(block, Branches)
    ((crossed,), ()) = block.paths
    assert crossed == Crossed("in", tuple((name, graph[name]) for name in "abcd"))


def test_neighbors_with_a_fork_of_their_own_are_joined_first() -> None:
    """As torchvision's Inception v3 leaves PyTorch: a stack within a stack is one there."""
    flat = {"in": (), "a": ("in",), "b": ("in",), "c": ("b",), "d": ("b",), "e": ("a", "c", "d")}
    inner = Branches("e", (("c",), ("d",)))
    assert as_blocks(flat, "in", "e") == (Branches("e", (("a",), ("b", inner))),)


def test_a_second_input_and_endless_nesting_are_refused() -> None:
    with pytest.raises(InputError, match="'two' is a second input"):
        as_blocks({"in": (), "two": (), "sum": ("in", "two")}, "in", "sum")
    deep: dict[str, tuple[str, ...]] = {"in": (), "n0": ("in",)}
    for level in range(1, 100):
        deep[f"n{level}"] = (f"n{level - 1}", "in")
    with pytest.raises(InputError, match="nest more than 60 deep"):
        as_blocks(deep, "in", "n99")
