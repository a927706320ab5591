"""The printed table of operations is what the layers count."""

from __future__ import annotations

import pytest

from convcli.layers.activation import KINDS, OPS_PER_ELEMENT
from convcli.net import parse_notation
from convcli.net.conventions import flops_table

ELEMENTS = 6 * 6 * 4

RULES = {rule.work: rule for rule in flops_table()}


def counted(words: str, index: int = -1) -> int:
    return parse_notation(f"input 6x6x4, {words}").trace().steps[index].flops


def number(work: str) -> int:
    return int(RULES[work].operations)


@pytest.mark.parametrize("kind", [*KINDS, "prelu"])
def test_activations(kind: str) -> None:
    assert counted(kind) == number(kind) * ELEMENTS
    assert OPS_PER_ELEMENT[kind] == number(kind)
    assert len(RULES[kind].made_of.split(", ")) == number(kind)


def test_normalizations() -> None:
    assert counted("bn") == number("bn") * ELEMENTS
    assert counted("ln") == counted("gn 2") == number("ln, gn, instancenorm") * ELEMENTS
    assert counted("rmsnorm") == number("rmsnorm") * ELEMENTS
    assert counted("l2norm") == number("l2norm") * ELEMENTS
    assert counted("lrn 5") == (5 + 4) * ELEMENTS


def test_pools() -> None:
    assert counted("maxpool 3") == (9 - 1) * 2 * 2 * 4
    assert counted("avgpool 3") == 9 * 2 * 2 * 4
    assert counted("gap") == ELEMENTS
    assert counted("gmp") == ELEMENTS - 4
    assert counted("adaptavg 3") == ELEMENTS
    assert counted("adaptmax 3") == ELEMENTS - 9 * 4


def test_what_moves_numbers_is_free() -> None:
    free = "concat, flatten, reshape, pad, crop, shuffle, dropout, upsample"
    assert number(free) == 0
    for words in free.split(", "):
        example = {
            "concat": "concat( | )", "reshape": "reshape 36x4", "pad": "pad 1", "crop": "crop 1",
            "shuffle": "shuffle 2", "dropout": "dropout 0.5", "upsample": "upsample 2",
        }.get(words, words)  # fmt: skip
        assert counted(example) == 0


def test_joins_and_enlargements() -> None:
    product = number("scale, mul, layerscale") * ELEMENTS
    assert counted("mul( | dropout 0.1 | dropout 0.1)") == 2 * product
    assert counted("layerscale") == number("scale, mul, layerscale") * ELEMENTS
    assert counted("posembed") == number("add, posembed") * ELEMENTS
    assert counted("residual(dropout 0.1)") == number("add, posembed") * ELEMENTS
    assert counted("scale(dropout 0.1)") == number("scale, mul, layerscale") * ELEMENTS
    assert counted("upsample 2 bilinear") == 7 * 4 * ELEMENTS
    line = parse_notation("input 6x4, upsample 2 bilinear").trace().steps[0]
    assert line.flops == 3 * 2 * 6 * 4


def test_lstm() -> None:
    step = parse_notation("input 6x4, lstm 5").trace().steps[0]
    gates = 2 * step.macs + 6 * 4 * 5
    assert step.flops - gates == number("lstm") * 6 * 5


def test_gru_and_attention() -> None:
    step = parse_notation("input 6x4, gru 5 bi").trace().steps[0]
    assert step.macs == 2 * 6 * 3 * 5 * (4 + 5)
    assert step.flops - 2 * step.macs - 2 * 6 * 3 * 5 * 2 == number("gru") * 2 * 6 * 5
    step = parse_notation("input 6x4, attention 2").trace().steps[0]
    assert step.macs == 6 * 4 * (3 * 4) + 6 * 4 * 4 + 2 * (2 * 6 * 6 * 2)
    assert step.flops - 2 * step.macs - 6 * 4 * 4 == number("attention") * 2 * 6 * 6
