"""Receptive fields against a brute-force dependency matrix on random graphs.

The oracle shares no helper with the fold: it spells out which cells each cell reads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from convcli.errors import InputError, UsageError
from convcli.layers import Layer
from convcli.net import network, parse_notation
from convcli.net.field import input_rectangle
from convcli.net.trace import Step, Trace


def naive_reads(step: Step, cell: int, size: int) -> list[int]:
    """Return the cells of the first axis that `cell` reads, those in the padding included."""
    layer: Layer = step.layer
    match step.op:
        case "conv" | "maxpool" | "avgpool":
            kernel, stride = layer.kernel[0], layer.stride[0]
            dilation = layer.dilation[0] if step.op == "conv" else 1
            before = naive_before(layer.padding, size, kernel, stride, dilation)
            return [cell * stride - before + tap * dilation for tap in range(kernel)]
        case "upconv":
            kernel, stride = layer.kernel[0], layer.stride[0]
            before = 0 if layer.padding == "valid" else layer.padding[0][0]
            around = range(cell // stride - kernel - before, cell // stride + kernel + before + 2)
            return [
                source
                for source in around
                if any(source * stride - before + tap == cell for tap in range(kernel))
            ]
        case "upsample" if layer.bilinear:
            place = (cell + 0.5) / layer.factor[0] - 0.5
            around = sorted({floor(place), ceil(place)})
            return around if size > 1 else [cell // layer.factor[0]]
        case "upsample":
            return [cell // layer.factor[0]]
        case "adaptavg":
            count = layer.size[0]
            return list(range(floor(cell * size / count), ceil((cell + 1) * size / count)))
        case "pad":
            return [cell - layer.cells[0][0]]
        case "crop":
            return [cell + layer.cells[0][0]]
    return [cell]


def naive_before(padding: object, size: int, kernel: int, stride: int, dilation: int) -> int:
    if padding == "valid":
        return 0
    if padding == "same":
        outputs = ceil(size / stride)
        missing = (outputs - 1) * stride + (kernel - 1) * dilation + 1 - size
        return max(0, missing) // 2
    if padding == "causal":
        return (kernel - 1) * dilation
    return padding[0][0]  # type: ignore[index]


def naive_dependencies(trace: Trace, *, clipped: bool) -> Callable[[int, int], frozenset[int]]:
    """Return a function (step, cell) -> input cells; clipped: padding depends on nothing."""

    def extent(index: int) -> int:
        shape = trace.steps[index - 1].output_shape if index else trace.network.input_shape
        return shape[0]

    @cache
    def depends(index: int, cell: int) -> frozenset[int]:
        if clipped and not 0 <= cell < extent(index):
            return frozenset()
        if index == 0:
            return frozenset([cell])
        step = trace.steps[index - 1]
        found: set[int] = set()
        for source in step.sources:
            for read in naive_reads(step, cell, extent(source)):
                found |= depends(source, read)
        return frozenset(found)

    return depends


@st.composite
def plain_layers(draw: st.DrawFn) -> str:
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel // 2))
    choices = [
        f"conv 2 {kernel} s{stride} p{padding} d{draw(st.integers(1, 2))}",
        f"conv 2 {kernel} s{stride} same",
        f"conv 2 {kernel} causal",
        f"maxpool {kernel} s{stride} p{padding}",
        f"avgpool {kernel} s{stride} p{padding} ceil",
        f"upconv 2 {kernel} s{stride} p{min(padding, 1)}",
        f"upsample {draw(st.integers(1, 3))}",
        f"upsample {draw(st.integers(2, 3))} bilinear",
        f"adaptavg {draw(st.integers(2, 9))}",
        f"pad {draw(st.integers(0, 2))}:{draw(st.integers(0, 2))}",
        "crop 1:0",
        "bn",
        "relu",
    ]
    return draw(st.sampled_from(choices))


@st.composite
def blocks(draw: st.DrawFn) -> str:
    keeping = st.sampled_from(
        ["conv 2 3 p1", "conv 2 5 p2", "conv 2 3 p2 d2", "conv 2 2 same", "maxpool 3 s1 p1",
         "conv 2 3 causal", "relu", "pad 2, conv 2 5", "upsample 2, maxpool 2",
         "upconv 2 2 s2, conv 2 2 s2", "upsample 3 bilinear, avgpool 3"]
    )  # fmt: skip
    body = ", ".join(draw(st.lists(keeping, min_size=1, max_size=3)))
    other = draw(st.one_of(st.just(""), keeping))
    kind = draw(st.sampled_from(["residual", "concat"]))
    after = ", conv 2 1" if kind == "concat" else ""
    return f"{kind}({body} | {other}){after}"


GRAPHS = st.lists(st.one_of(plain_layers(), blocks()), min_size=1, max_size=6)


def followed(layers: list[str], size: int) -> Trace:
    try:
        return parse_notation(f"input {size}x2, {', '.join(layers)}").trace()
    except InputError:
        assume(False)
        raise


@settings(max_examples=200, deadline=None)
@given(GRAPHS, st.integers(6, 25))
def test_the_fold_is_the_hull_of_the_dependency_matrix(layers: list[str], size: int) -> None:
    trace = followed(layers, size)
    depends = naive_dependencies(trace, clipped=False)
    for step in trace.steps:
        assert step.fields is not None
        (field,) = step.fields
        if field.drifting:
            break
        sizes = []
        for cell in range(len(field.spans)):
            ref = depends(step.index, cell)
            first, last = field.span(cell)
            assert (first, last) == ((min(ref), max(ref)) if ref else (1, 0)), step.name
            sizes.append(last - first + 1)
        assert step.receptive_field == (max(sizes),)
        assert step.receptive_field_min == (min(sizes),)
        beyond = depends(step.index, 3 * len(field.spans) + 1)
        assert field.span(3 * len(field.spans) + 1) == (
            (min(beyond), max(beyond)) if beyond else (1, 0)
        )


@settings(max_examples=150, deadline=None)
@given(GRAPHS, st.integers(6, 25), st.data())
def test_an_input_rectangle_is_exact_at_the_borders(
    layers: list[str], size: int, data: st.DataObject
) -> None:
    trace = followed(layers, size)
    depends = naive_dependencies(trace, clipped=True)
    step = data.draw(st.sampled_from(trace.steps))
    for cell in {0, step.output_shape[0] // 2, step.output_shape[0] - 1}:
        ref = depends(step.index, cell)
        (got,) = input_rectangle(trace, step.index, (cell,))
        assert got == ((min(ref), max(ref)) if ref else None), (step.name, cell)


def test_the_stacks_of_the_lecture() -> None:
    six = parse_notation("input 32x32x1, repeat 6 (conv 4 3)").trace()
    assert six.totals.receptive_field == (13, 13)
    pooled = parse_notation("input 64x64x1, repeat 3 (conv 4 3, maxpool 2)").trace()
    assert [step.receptive_field[0] for step in pooled.steps] == [3, 4, 8, 10, 18, 22]


def test_axes_are_independent() -> None:
    got = parse_notation("input 40x60x1, conv 4 3x5 s1x2, maxpool 1x3").trace().totals
    assert got.receptive_field == (3, 5 + 2 * 2)
    assert got.stride == (1, 2 * 3)


def test_branches_that_are_shifted_are_reported() -> None:
    trace = parse_notation("input 16x1, concat(conv 2 3 causal | conv 2 3 same)").trace()
    assert not trace.steps[-1].aligned
    assert "not centered" in trace.notes[0]
    plain = parse_notation("input 16x1, concat(conv 2 5 same | conv 2 3 same | )").trace()
    assert plain.steps[-1].aligned
    assert plain.notes == ()


def test_branches_of_different_scale_are_reported_and_covered() -> None:
    trace = parse_notation("input 5x1, concat(conv 2 3 | conv 2 3 s2 p1)").trace()
    step = trace.steps[-1]
    assert not step.aligned
    assert (step.stride, step.padding) == ((None,), (None,))
    depends = naive_dependencies(trace, clipped=False)
    assert step.fields is not None
    for cell in range(3):
        ref = depends(step.index, cell)
        assert step.fields[0].span(cell) == (min(ref), max(ref))


def test_a_gate_by_the_whole_map_leaves_the_field_of_the_map() -> None:
    trace = parse_notation(
        "input 8x8x4, conv 4 3 same, scale(gap, dense 4 sigmoid), conv 4 3 same, "
        "scale(gap, dense 4 sigmoid)"
    ).trace()
    assert [step.receptive_field[0] for step in trace.steps] == [3, 8, 8, 3, 5, 8, 8, 5]
    assert trace.totals.receptive_field == (5, 5)
    assert input_rectangle(trace, trace.steps[-1].index, (0, 4)) == ((0, 2), (2, 6))
    (note,) = trace.notes
    assert "gates of scale see the whole input" in note


def test_a_gate_of_places_widens_the_field() -> None:
    trace = parse_notation("input 8x8x4, scale(conv 4 3 same sigmoid)").trace()
    assert trace.totals.receptive_field == (3, 3)
    assert trace.notes == ()


def test_efficientnet_b0_without_its_gates() -> None:
    """Tan and Le 2019, table 1; 851 as tools print it that take the gates for pointwise."""
    stages = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
              (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]  # fmt: skip
    words, channels = ["input 224x224x3", "conv 32 3 s2 p1"], 32
    for factor, filters, count, stride, kernel in stages:
        for place in range(count):
            wide = channels * factor
            body = f"dwconv {kernel} p{kernel // 2} s{stride if not place else 1}"
            body = f"conv {wide} 1, {body}, scale(gap, dense 8, dense {wide}), conv {filters} 1"
            words.append(f"residual({body})" if place else body)
            channels = filters
    text = ", ".join([*words, "conv 1280 1, gap, dense 1000"])
    assert parse_notation(text).trace().totals.receptive_field == (851, 851)


def test_a_map_that_sees_everything_counts() -> None:
    """Behind a branch of the whole map, and in a decoder behind a dense layer."""
    pyramid = "input 8x8x4, conv 4 3 same, concat( | gap, dense 64, reshape 8x8x1), conv 1 1"
    for text in (pyramid, "input 8x8x4, conv 4 3 same, flatten, dense 16, reshape 4x4x1"):
        assert parse_notation(text).trace().totals.receptive_field == (8, 8)
    head = "input 8x8x4, conv 4 3 same, gap, reshape 1x1x4, conv 2 1, flatten"
    assert parse_notation(head).trace().totals.receptive_field == (3, 3)


def test_a_linear_enlargement_claims_no_cells_beyond_the_input() -> None:
    """Its first and last cells read one cell, where a window would reach into the padding."""
    trace = parse_notation("input 8x8x1, upsample 2 bilinear, conv 1 3 p1").trace()
    assert trace.steps[0].receptive_field == (2, 2)
    assert [step.padding for step in trace.steps] == [(None, None)] * 2
    assert input_rectangle(trace, "upsample1", (0, 1)) == ((0, 0), (0, 1))
    one = parse_notation("input 8x8x1, maxpool 8, upsample 4 bilinear").trace()
    assert one.totals.receptive_field == (8, 8)
    nearest = parse_notation("input 8x8x1, upsample 2").trace()
    assert nearest.steps[0].padding == (0, 0)


def test_too_many_phases_count_as_the_whole_input() -> None:
    trace = parse_notation("input 9x1, upsample 5000").trace()
    assert trace.steps[0].receptive_field == (9,)
    assert trace.steps[0].stride is None


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [((0,), "has 2 coordinates, not 1"), ((0, 26), "There is no cell 0,26"), ((-1, 0), "no cell")],
)
def test_a_cell_that_is_not_there(cell: tuple[int, ...], sentence: str) -> None:
    trace = parse_notation("input 28x28x1, conv 16 3").trace()
    with pytest.raises(UsageError, match=sentence):
        input_rectangle(trace, 1, cell)


def test_a_vector_sees_everything() -> None:
    trace = parse_notation("input 28x20x1, conv 16 3, flatten, dense 4").trace()
    assert input_rectangle(trace, "dense1", ()) == ((0, 27), (0, 19))


def test_huge_axes_stay_cheap() -> None:
    trace = parse_notation("input 1000000000x1, conv 1 100000000, maxpool 100000").trace()
    assert input_rectangle(trace, 2, (5,)) == ((500_000, 500_000 + 99_999 + 99_999_999),)


@pytest.mark.parametrize(
    ("words", "windows"),
    [
        ("conv 1 3, conv 1 5", [(3, 1), (5, 1)]),
        ("conv 1 3 s2, maxpool 2, conv 1 3 d2", [(3, 1), (2, 2), (3, 8)]),
        ("avgpool 4, upconv 1 4 s4", [(4, 1), (1, 4)]),
    ],
)
def test_the_effective_field_is_the_spread_of_equal_weights(
    words: str, windows: list[tuple[int, int]]
) -> None:
    """Against the shares themselves: windows with gaps, laid over one another."""
    shares = np.ones(1)
    for kernel, step in windows:
        window = np.zeros((kernel - 1) * step + 1)
        window[::step] = 1 / kernel
        shares = np.convolve(shares, window)
    places = np.arange(len(shares))
    variance = (shares * places**2).sum() - (shares * places).sum() ** 2
    trace = parse_notation(f"input 99x1, {words}").trace()
    assert trace.effective_fields[-1] == pytest.approx((4 * variance**0.5,))


def test_effective_fields_of_joins_and_of_what_sees_all() -> None:
    trace = parse_notation("input 99x99x1, residual(conv 1 3 p1, conv 1 3 p1), gap").trace()
    *_, add, gap = trace.effective_fields
    assert add == pytest.approx((4 * (2 * 8 / 12 / 2) ** 0.5,) * 2)
    assert gap is None
    assert network("resnet50").trace().effective_fields[-3][0] < 483  # type: ignore[index]
