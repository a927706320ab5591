"""Nested blocks spread out into a graph are found again."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings, strategies as st

from convcli.errors import InputError
from convcli.exchange.blocks import Branches, as_blocks

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


def test_what_crosses_the_borders_of_blocks_is_refused() -> None:
    crossing = {"in": (), "a": ("in",), "b": ("in",), "c": ("a", "b"), "d": ("a", "c")}
    with pytest.raises(InputError, match="'a' feeds both 'd' and 'c'"):
        as_blocks(crossing, "in", "d")


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
