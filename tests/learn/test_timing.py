"""Measured times: plausible, complete, and honest about what cannot be measured."""

from __future__ import annotations

import pytest

from convcli.errors import InputError
from convcli.learn import timing
from convcli.learn.model import Model
from convcli.learn.timing import time_network
from convcli.net import Network, parse_notation


def test_more_work_takes_longer_and_equal_layers_are_measured_once() -> None:
    text = "input 40x40x8, conv 8 1, repeat 3 (conv 8 1), conv 64 5, conv 64 5"
    seen: list[None] = []
    got = time_network(
        parse_notation(text).trace(), threads=1, after_each=lambda: seen.append(None)
    )
    assert len(seen) == len(got.layers) == 6
    small, *equal, large, larger = got.layers
    assert set(equal) == {small}
    assert small is not None
    assert large is not None
    assert larger is not None
    assert large > small
    assert got.network is not None
    assert got.network > 0


def test_what_the_engine_cannot_run_has_no_time_and_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Model.initialize

    def refuses_pools(network: Network) -> Model:
        if any(layer.op == "maxpool" for layer in network.layers):
            raise InputError("layer 2 maxpool1: not here")
        return real(network)

    monkeypatch.setattr(timing.Model, "initialize", refuses_pools)
    trace = parse_notation("input 8x8x4, conv 4 1, maxpool 2, conv 4 1").trace(batch=2)
    got = time_network(trace, threads=1)
    assert (got.network, got.reason, got.batch) == (None, "layer 2 maxpool1: not here", 2)
    assert [seconds is None for seconds in got.layers] == [False, True, False]
