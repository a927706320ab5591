"""The notation: what it means, that equal things are equal, and how it complains."""

from __future__ import annotations

import pytest

from convcli.network import network, parse_notation, to_notation


def test_the_lecture_network_has_the_printed_parameters() -> None:
    text = (
        "input 28x28x1, conv 16 3 relu, maxpool 2, conv 32 3 relu, maxpool 2, "
        "flatten, dense 32 relu, dense 10 softmax"
    )
    got = [step.params for step in parse_notation(text).trace().steps]
    assert got == [160, 0, 4640, 0, 0, 25632, 330]


@pytest.mark.parametrize("name", ["mnist", "lenet5", "resnet18", "googlenet"])
def test_a_network_written_down_reads_the_same(name: str) -> None:
    ref = network(name)
    assert parse_notation(to_notation(ref)) == ref
