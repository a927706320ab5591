"""`convcli compare`: totals with ratios, layers matched by what they do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from convcli.cli import main as door
from convcli.net import parse_notation
from convcli.present.network_comparison import aligned


@pytest.fixture
def compare(capfd: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> str:
        assert door.run(["compare", *words]) == 0
        return capfd.readouterr().out

    return run


def test_a_perceptron_against_a_convolution(compare: Any) -> None:
    mlp, cnn = "input 32x32x1, flatten, dense 256", "input 32x32x1, conv 256 3"
    got = json.loads(compare(mlp, cnn, "--format", "json"))
    assert got["totals"]["params"] == {"a": 262400, "b": 2560, "ratio": 2560 / 262400}
    assert got["a"]["totals"]["params"] == 262400
    assert got["totals"]["macs"]["b"] == 30 * 30 * 256 * 9


def test_to_run_means_what_it_means_in_shape(
    compare: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    row = next(line for line in compare("mnist", "lenet5").splitlines() if "To run" in line)
    assert door.run(["shape", "mnist"]) == 0
    assert f"{' '.join(row.split()[2:4])} to run" in capfd.readouterr().out


def marks(a: str, b: str) -> str:
    steps = [parse_notation(f"input 16x16x3, {text}").trace().steps for text in (a, b)]
    return "".join(mark for mark, _, _ in aligned(*steps))


@pytest.mark.parametrize(
    ("a", "b", "ref"),
    [
        ("conv 4 3, bn, relu", "conv 4 3, bn, relu", "==="),
        ("conv 4 3, bn, relu", "conv 8 3, bn, relu", "~~="),
        ("conv 4 3, relu", "conv 4 3, bn, relu", "=+="),
        ("conv 4 3, bn, relu, gap", "conv 4 3, relu, gap", "=-=="),
        ("conv 4 3, conv 8 3", "conv 8 3, conv 4 3", "+~-"),
    ],
)
def test_layers_are_matched_by_words_and_then_by_op(a: str, b: str, ref: str) -> None:
    assert sorted(marks(a, b)) == sorted(ref)


def test_every_layer_of_both_stands_once() -> None:
    steps = [parse_notation(text).trace().steps for text in (
        "input 32x32x3, repeat 3 (residual(conv 3 3 p1, bn, relu)), gap, dense 10",
        "input 32x32x3, repeat 5 (residual(conv 3 3 p1, relu)), gap, dense 7",
    )]  # fmt: skip
    pairs = aligned(*steps)
    assert tuple(x for _, x, _ in pairs if x) == steps[0]
    assert tuple(y for _, _, y in pairs if y) == steps[1]


@pytest.mark.parametrize("style", ["table", "plain", "markdown", "latex"])
def test_every_format(style: str, compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = compare("resnet18", "resnet34", "--format", style)
    assert "11,689,512" in out
    assert "21,797,672" in out
    if style == "table":
        assert max(map(len, out.splitlines())) <= 80


def test_csv_holds_numbers(compare: Any) -> None:
    lines = compare("mnist", "resnet18", "--format", "csv").splitlines()
    assert "input,28x28x1,224x224x3," in lines
    (params,) = (line for line in lines if line.startswith("params,"))
    assert params.split(",")[1:3] == ["30762", "11689512"]


def test_both_get_the_same_options(compare: Any) -> None:
    got = json.loads(
        compare(
            "mnist",
            "mnist",
            *("--input", "32x32x1", "--batch", "4", "--dtype", "float16", "--dialect", "keras"),
            *("--format", "json"),
        )
    )
    assert got["a"] == got["b"]
    assert (got["a"]["input"], got["a"]["batch"], got["a"]["dtype"]) == ([32, 32, 1], 4, "float16")
    assert all(row["same"] for row in got["layers"])


def test_equal_words_on_other_inputs_are_no_equal_layers(compare: Any) -> None:
    """A dense layer of 1,000 units behind 512 and behind 1,280 features."""
    a = "input 7x7x512, relu, gap, dense 1000"
    b = "input 7x7x1280, relu, gap, dense 1000"
    got = json.loads(compare(a, b, "--format", "json"))
    assert [row["same"] for row in got["layers"]] == [True, True, False]
    plain = compare(a, b, "--format", "plain").splitlines()
    (row,) = (line for line in plain if line.count("dense 1000") == 2)
    assert row.split() == ["~", "dense", "1000", "513,000", "dense", "1000", "1,281,000"]


def test_any_number_of_networks_stands_beside_the_first(compare: Any) -> None:
    nets = [f"input 8x8x1, conv {filters} 3" for filters in (2, 4, 8)]
    got = json.loads(compare(*nets, "--format", "json"))
    params = {letter: 10 * filters for letter, filters in zip("abc", (2, 4, 8), strict=True)}
    assert got["totals"]["params"] == {**params, "ratio_b": 2.0, "ratio_c": 4.0}
    assert got["c"]["totals"]["params"] == 80
    assert got["layers_c"] == [{"a": "conv1", "c": "conv1", "same": False}]
    csv = compare(*nets, "--format", "csv").splitlines()
    assert csv[0] == "figure,a,b,c,ratio_b,ratio_c"
    assert "params,20,40,80,2.0,4.0" in csv
    assert "conv 8 3" in compare(*nets, "--table", "layers_2")


def test_one_network_is_no_comparison(capfd: pytest.CaptureFixture[str]) -> None:
    assert door.run(["compare", "mnist"]) == 2
    assert "compare takes 2 to 26 networks, not 1." in capfd.readouterr().err
