from __future__ import annotations

import json

import numpy as np
import pytest

from convcli.cli.main import run
from convcli.ops.lowering import KINDS

NETWORK = "input 5x5x2, conv 3 3 tanh, flatten, dense 2"


def test_every_array_of_every_layer_is_checked(capsys) -> None:
    assert run(["gradcheck", *NETWORK.split(), "--format", "json", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    got = [(row["layer"], row["array"], row["holds"]) for row in json.loads(out)]
    ref = [("conv1", "kernel"), ("conv1", "bias"), ("conv1", "input"), ("flatten1", "input"),
           ("dense1", "kernel"), ("dense1", "bias"), ("dense1", "input")]  # fmt: skip
    assert got == [(*pair, True) for pair in ref]
    assert err == "All 7 gradients hold.\n"


def test_a_wrong_gradient_is_exit_code_5(capsys, monkeypatch) -> None:
    right = KINDS["dense"]

    def wrong(*arguments):
        y, backward = right.numpy(*arguments)
        return y, lambda dy: (backward(dy)[0] * 1.001, backward(dy)[1])

    monkeypatch.setitem(KINDS, "dense", right._replace(numpy=wrong))
    assert run(["gradcheck", NETWORK, "--samples", "3", "--quiet"]) == 5
    assert "3 of 7 gradients do not hold" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(4))
def test_equal_maxima_and_cut_cells_are_passed_over(capsys, seed: int) -> None:
    """The first example of its help: behind a ReLU a window often holds nothing but zeros."""
    assert run(["gradcheck", "mnist", "--seed", str(seed), "--format", "json"]) == 0
    assert {row["places"] for row in json.loads(capsys.readouterr().out)} == {6}


def test_a_gradient_that_goes_to_the_wrong_of_two_cells_is_found(capsys, monkeypatch) -> None:
    right = KINDS["maxpool"]

    def wrong(*arguments):
        y, backward = right.numpy(*arguments)
        return y, lambda dy: (np.roll(backward(dy)[0], 1, axis=1), {})

    monkeypatch.setitem(KINDS, "maxpool", right._replace(numpy=wrong))
    assert run(["gradcheck", "mnist", "--quiet"]) == 5
    assert "gradients do not hold" in capsys.readouterr().err


def test_a_layer_on_paper_only_gets_a_sentence(capsys, monkeypatch) -> None:
    monkeypatch.delitem(KINDS, "lrn")
    assert run(["gradcheck", "input 5x5x6, lrn 5"]) == 3
    assert "can be calculated with `shape`, but not run or trained" in capsys.readouterr().err
