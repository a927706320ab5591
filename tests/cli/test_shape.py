"""`convcli shape` through its door: the promised JSON, every option, every format."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import numpy as np
import pytest

from convcli.cli import main as door
from convcli.learn.timing import measure_roof
from convcli.net import network, selftest
from convcli.net.lookup import MODELS
from convcli.net.memory import Roof
from convcli.net.selftest import SelfCheck
from convcli.report import STYLES

MNIST = "input 28x28x1, conv 16 3 relu, maxpool 2, conv 32 3 relu, maxpool 2, flatten, "
MNIST += "dense 32 relu, dense 10 softmax"
REFERENCE = Path(__file__).parent.parent / "reference" / "keras_configs.json"


class Program:
    """Runs commands through the door, in a terminal of a given width."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.capture = capture

    def says(self, *words: str, code: int = 0) -> str:
        assert door.run(["shape", *words]) == code
        self.told = self.capture.readouterr()
        return self.told.out

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.says(*words, "--format", "json", code=code))

    def refuses(self, *words: str, code: int) -> str:
        assert self.says(*words, code=code) == ""
        assert self.told.err.startswith("error: ")
        return self.told.err.removeprefix("error: ")


@pytest.fixture
def shape(capfd: pytest.CaptureFixture[str]) -> Program:
    return Program(capfd)


def test_the_json_document_has_the_promised_fields(shape: Program) -> None:
    got = shape.json("mnist")
    assert got["name"] == "mnist"
    assert got["input"] == [28, 28, 1]
    assert got["layers"][0].items() >= {
        "index": 1,
        "name": "conv1",
        "op": "conv",
        "activation": "relu",
        "output": [26, 26, 16],
        "params": 160,
        "trainable": 160,
        "macs": 26 * 26 * 16 * 9,
        "flops": 2 * 26 * 26 * 16 * 9 + 26 * 26 * 16 + 26 * 26 * 16,
        "receptive_field": [3, 3],
        "stride": [1, 1],
        "padding": [0, 0],
        "activation_bytes": 26 * 26 * 16 * 4,
    }.items()  # fmt: skip
    flatten = got["layers"][4]
    assert (flatten["op"], flatten["stride"], flatten["padding"]) == ("flatten", None, None)
    assert got["totals"].items() >= {
        "params": 160 + 4640 + 25632 + 330,
        "trainable": 30762,
        "non_trainable": 0,
        "buffers": 0,
        "weight_bytes": 30762 * 4,
        "receptive_field": [10, 10],
    }.items()  # fmt: skip
    for figure in ("params", "trainable", "macs", "flops", "activation_bytes"):
        assert got["totals"][figure] == sum(layer[figure] for layer in got["layers"])


def test_words_need_no_quotes(shape: Program) -> None:
    assert shape.json(*MNIST.split())["layers"] == shape.json("mnist")["layers"]
    assert shape.json(MNIST)["layers"] == shape.json("mnist")["layers"]


def test_a_file_and_a_preset_with_a_setting(shape: Program, tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text("input 8x8x1  # a comment\nconv 4 3\n")
    assert shape.json(str(tmp_path / "net.net"))["totals"]["params"] == 40
    assert shape.json("rps:n=1")["totals"]["params"] == 2687
    assert shape.json("rps", "n=1")["totals"]["params"] == 2687
    assert "Write rps:n=16" in shape.refuses("rps:one", code=2)
    (tmp_path / "wide.net").write_text("let n = 4\nlet k = 3\ninput 8x8x1\nconv {n} {k}\n")
    for words in (["wide.net:n=5:k=1"], ["wide.net", "n=5", "k=1"]):
        assert shape.json(f"{tmp_path}/{words[0]}", *words[1:])["totals"]["params"] == 10


def test_keras_files(shape: Program, tmp_path: Path) -> None:
    (model,) = (m for m in json.loads(REFERENCE.read_text())["models"] if m["name"] == "digits")
    (tmp_path / "digits.json").write_text(json.dumps(model["config"]))
    with ZipFile(tmp_path / "digits.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(model["config"]))
    for name in ("digits.json", "digits.keras"):
        got = shape.json(str(tmp_path / name))
        totals = got["totals"]
        assert totals["params"] + totals["buffers"] == model["params"]
        assert totals["trainable"] == model["trainable"]
        assert "rescaling (Rescaling) prepares the data; it is left out." in got["notes"]
    assert shape.json(str(tmp_path / "digits.json"), "--input", "40x40x1")["input"] == [40, 40, 1]


def test_onnx_files(shape: Program, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="ONNX files need the package onnx")
    from convcli.exchange.onnx_write import onnx_model

    trace = network("mnist").trace()
    arrays = {
        f"{step.name}.{name}": np.zeros(extents, np.float32)
        for step in trace.steps
        for name, extents in step.weights.items()
    }
    (tmp_path / "mnist.onnx").write_bytes(onnx_model(trace, arrays))
    got = shape.json(str(tmp_path / "mnist.onnx"))
    assert (got["input"], got["totals"]["params"]) == ([28, 28, 1], 30762)
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x07 no model")
    assert "no ONNX model" in shape.refuses(str(tmp_path / "cut.onnx"), code=3)


def test_input_batch_and_dtype(shape: Program) -> None:
    small, large = shape.json("mnist"), shape.json("mnist", "--input", "32x32x1")
    assert large["input"] == [32, 32, 1]
    assert large["totals"]["params"] > small["totals"]["params"]
    many = shape.json("mnist", "--batch", "8", "--dtype", "float16")
    assert many["totals"]["activation_bytes"] == small["totals"]["activation_bytes"] * 8 // 2
    assert many["totals"]["weight_bytes"] == small["totals"]["weight_bytes"] // 2
    assert many["totals"]["macs"] == small["totals"]["macs"]


def test_freeze_by_pattern(shape: Program) -> None:
    got = shape.json("mnist", "--freeze", "conv*", "--freeze", "dense2")["totals"]
    assert (got["trainable"], got["non_trainable"]) == (25632, 160 + 4640 + 330)
    assert "'cnv*' matches no layer" in shape.refuses("mnist", "--freeze", "cnv*", code=2)


def test_columns_are_chosen_by_name(shape: Program) -> None:
    out = shape.says("mnist", "--columns", "name,params", "--format", "csv")
    assert out.splitlines()[:3] == ["name,params", "conv1,160", "maxpool1,0"]
    header = shape.says("mnist", "--columns", "all", "--format", "csv").splitlines()[0]
    assert {"index", "flops", "stride", "trainable"} < set(header.split(","))
    assert "Did you mean params?" in shape.refuses("mnist", "--columns", "parms", code=2)


@pytest.mark.parametrize("width", ["80", "120", "200"])
@pytest.mark.parametrize("name", ["mnist", "resnet152", "unet", "inception-v3"])
def test_the_table_fits_its_terminal(
    name: str, width: str, shape: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    lines = shape.says(name, "--format", "table").splitlines()
    assert max(map(len, lines)) <= int(width)
    if name != "unet":  # whose names are as deep as its blocks
        row = next(line for line in lines if line.split()[:1] == ["conv1"])
        assert re.search(r"conv1 .* \d+x\d+x\d+ .* \d", row)


def test_the_table_shows_blocks_and_totals(shape: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = shape.says("resnet18", "--format", "table").splitlines()
    rules = sum(set(line.strip()) == {"─"} for line in lines)
    assert rules == 8 + 4  # before each of the eight blocks; around header and total
    (total,) = (line.split() for line in lines if line.startswith(" total"))
    assert total == ["total", "68", "rows", "1000", "11,689,512", "1.81", "G", "435"]


@pytest.mark.parametrize("style", STYLES)
def test_every_format_says_the_same_figure(style: str, shape: Program) -> None:
    out = shape.says("mnist", "--format", style)
    assert re.search(r"25,?632", out)
    if style == "csv":
        assert len(list(csv.reader(io.StringIO(out)))) == 8


def test_dialects(shape: Program) -> None:
    words = ("input 4x4x1, upconv 1 2 s3",)
    sizes = {
        dialect: shape.json(*words, "--dialect", dialect)["layers"][0]["output"]
        for dialect in ("torch", "keras")
    }
    assert sizes == {"torch": [11, 11, 1], "keras": [12, 12, 1]}
    (found,) = shape.json(*words, "--compare-dialects")["differences"]
    assert found["name"] == "upconv1"
    assert found["keras"].startswith("12x12x1")
    assert "agree on every layer" in shape.says("mnist", "--compare-dialects")


def test_the_table_of_operations_is_what_flops_counts(shape: Program) -> None:
    rules = {row["work"]: row for row in shape.json("--flops-table")}
    layer = shape.json("input 4x4x2, sigmoid")["layers"][0]
    assert layer["flops"] == 4 * 4 * 2 * int(rules["sigmoid"]["operations"])
    assert rules["conv, dense, lstm"]["operations"] == "2"
    for line in shape.says("--flops-table", "--format", "table").splitlines():
        assert len(line) <= 80


def test_layers_without_arithmetic_have_no_breakdown(shape: Program) -> None:
    assert "0 MACs; 0 FLOPs." in shape.says("input 4x4x1, flatten")


def test_conventions_rebuild_the_totals_of_other_tools(shape: Program) -> None:
    got = shape.json("resnet50", "--convention", "fvcore")["convention"]
    assert (got["unit"], round(got["work"] / 1e9, 3)) == ("MACs", 4.112)
    assert sum(got["by_layer"]) == got["work"]
    assert "maxpool" in got["left_out"]
    out = shape.says("mnist", "--convention", "keras", "--format", "csv")
    assert out.splitlines()[:2] == [
        "name,layer,output,params,keras,receptive_field",
        "conv1,conv 16 3 relu,26x26x16,160,194688,3x3",
    ]


def test_a_lectures_flops_are_the_macs(shape: Program) -> None:
    """The lecture: a 3x3 convolution of 64 channels on 112x112 cells costs c k f f h w flops."""
    out = shape.says("input 112x112x64, conv 64 3 same")
    assert f"{64 * 64 * 9 * 112 * 112 / 1e6:.0f} M MACs" in out
    assert "What a lecture calls flops are these MACs." in out


def test_a_data_sets_size_in_bytes(shape: Program) -> None:
    out = shape.says("input 256x256x3, conv 4 3", "--count", "25000")
    samples = np.broadcast_to(np.uint8(0), (25_000, 256, 256, 3))
    assert f"{samples.nbytes / 2**30:.2f} GiB as uint8" in out
    assert shape.json("input 9x9x1, gap", "--count", "7")["data_bytes"] == 7 * 81


def test_memory_and_advice(shape: Program) -> None:
    need = shape.json("mnist", "--batch", "10")["memory"]
    assert need["peak_name"] == "maxpool1"
    assert need["peak_bytes"] == 10 * 4 * (26 * 26 * 16 + 13 * 13 * 16)
    inputs, outputs = 784 + 13 * 13 * 16 + 5 * 5 * 32, 26 * 26 * 16 + 11 * 11 * 32 + 32 + 10
    maxima = 13 * 13 * 16 + 5 * 5 * 32  # their places, as 8-byte integers
    assert need["kept_bytes"] == 10 * (4 * (inputs + outputs) + 8 * maxima)
    out = shape.says("resnet50", "--batch", "128", "--memory-limit", "8GiB")
    assert re.search(r"A batch of \d+ fits", out)
    assert "That is within 1.00 GiB." in shape.says("mnist", "--memory-limit", "1 GiB")
    assert "'8XB' is no size" in shape.refuses("mnist", "--memory-limit", "8XB", code=2)


def test_the_suggested_batch_fits_and_the_next_does_not(shape: Program) -> None:
    out = shape.says("resnet50", "--batch", "128", "--memory-limit", "8GiB")
    fits = int(re.findall(r"A batch of (\d+) fits", out)[0])
    for batch, within in ((fits, True), (fits + 1, False)):
        out = shape.says("resnet50", "--batch", str(batch), "--memory-limit", "8GiB")
        assert ("That is within 8.00 GiB." in out) == within


def test_assertions(shape: Program) -> None:
    shape.says("mnist", "--assert", "params < 1e5 and receptive_field >= 10")
    assert shape.told.err == (
        "The assertion holds. params 30762 < 1e5: yes; receptive_field 10 >= 10: yes\n"
    )
    shape.says("mnist", "--assert", "params < 1e5", "--quiet")
    assert shape.told.err == ""
    out = shape.says("mnist", "--assert", "params < 30000", "--format", "csv", code=5)
    assert out.startswith("name,")
    assert shape.told.err == ("error: the assertion does not hold. params 30762 < 30000: no\n")
    assert "Did you mean params?" in shape.refuses("mnist", "--assert", "parms < 3", code=2)


def test_the_part_of_the_input_that_a_cell_sees(shape: Program) -> None:
    got = shape.json("mnist", "--trace", "2,3", "--at", "conv2")
    assert got["input"] == {"rows": [4, 11], "columns": [6, 13]}
    assert got == shape.json("mnist", "--trace", "conv2:2,3")
    corner = shape.json("input 8x8x1, conv 4 3 p1", "--trace", "0,0")
    assert corner["input"] == {"rows": [0, 1], "columns": [0, 1]}
    series = shape.json("input 20x3, conv 4 3, maxpool 2", "--trace", "1")
    assert series["input"] == {"cells": [2, 5]}
    out = shape.says("mnist", "--trace", "2,3", "--at", "conv2", "--format", "csv")
    assert out.splitlines()[1] == "rows,4,11,8,8,28"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trace", "x"), "no place"),
        (("--trace", "99,0", "--at", "conv1"), "no cell 99,0 in layer 1 conv1 (26x26x16)"),
        (("--trace", "0", "--at", "conv1"), "has 2 coordinates, not 1"),
        (("--trace", "0,0", "--at", "cnv1"), "Did you mean conv1"),
        (("--trace", "conv1:0,0", "--at", "conv2"), "Drop one"),
        (("--at", "conv1"), "give --trace ROW,COL too"),
        (("--explain", "conv1", "--columns", "name"), "--columns only means something in the tab"),
        (("--sizes", "--time"), "--time only means something in the table, not with --sizes"),
        (("--sizes", "--dialect", "keras"), "--dialect only means something without --sizes"),
        (("--solve", "28 -> 14"), "NETWORK only means something without --solve"),
        (("--selftest",), "NETWORK only means something without --selftest"),
        (("--trace", "0,0", "--explain"), "one thing at a time: --explain or --trace"),
    ],
)
def test_places_that_are_not_there(words: tuple[str, ...], said: str, shape: Program) -> None:
    assert said in shape.refuses("mnist", *words, code=2)


def test_explaining_one_layer_and_all(shape: Program) -> None:
    one = shape.json("mnist", "--explain", "conv2")
    assert [entry["name"] for entry in one] == ["conv2"]
    assert (
        "height: floor((n + 2p - f) / s) + 1 = floor((13 + 0 + 0 - 3) / 1) + 1 = 11"
        in one[0]["lines"]
    )
    assert one == shape.json("mnist", "--explain", "3")
    every = shape.json("mnist", "--explain")
    assert [entry["name"] for entry in every][2] == "conv2"
    assert len(every) == 7
    assert every == shape.json("--explain", "mnist")
    assert (
        "parameters: f x f x c x k + k = 3 x 3 x 16 x 32 (kernel) + 32 (bias) = 4,640"
        in shape.says("mnist", "--explain", "conv2")
    )


def test_solving_backwards_needs_no_network(shape: Program) -> None:
    got = shape.json("--solve", "28 -> 14, kernel 3")
    assert [way["words"] for way in got] == ["3 s2 same", "3 s2 p1"]
    for way in got:
        sizes = shape.json(f"input 28x28x1, conv 1 {way['words']}")
        assert sizes["layers"][0]["output"] == [14, 14, 1]
    assert "no window turns 28 into 999" in shape.refuses("--solve", "28 -> 999", code=3)
    assert "asks nothing" in shape.refuses("--solve", "abc", code=2)


def test_sizes_that_fit_and_lose_nothing(shape: Program) -> None:
    got = shape.json("mnist", "--sizes")
    assert got["smallest"] == [10, 10, 1]
    assert got["in_features"] == {"flatten1": 800}
    assert got["dropped"] == {"maxpool2": [1, 1]}
    assert 30 in got["lossless"]
    assert 28 not in got["lossless"]
    shape.json("mnist", "--input", "10x10x1")
    assert "does not fit" in shape.refuses("mnist", "--input", "9x9x1", code=3)
    assert "Smallest input: 10x10x1." in shape.says("mnist", "--sizes")


def test_a_diagram_is_written_and_never_over_another_file(shape: Program, tmp_path: Path) -> None:
    place = tmp_path / "net.svg"
    shape.says("mnist", "--diagram", str(place))
    assert shape.told.err == f"Wrote {place}\n"
    texts = [element.text for element in ElementTree.parse(place).iter()]  # noqa: S314  (ours)
    assert "conv 32 3 relu" in texts
    assert "conv2: 8" in texts
    assert f"{place} exists" in shape.refuses("mnist", "--diagram", str(place), code=4)
    shape.says("mnist", "--diagram", str(place), "--force", "--quiet")
    assert shape.told.err == ""
    text = str(tmp_path / "net.txt")
    said = shape.refuses("mnist", "--diagram", text, code=2)
    assert "a diagram is written as .svg, .png, .pdf, .dot, .gv, .mmd." in said


def test_a_diagram_is_written_in_other_languages(shape: Program, tmp_path: Path) -> None:
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".dot": b"digraph", ".mmd": b"---\ntitle"}
    for suffix, start in starts.items():
        place = tmp_path / f"net{suffix}"
        shape.says("input 8x8x1, residual(conv 4 3 p1 | conv 4 1), gap", "--diagram", str(place))
        assert place.read_bytes().startswith(start)
        assert f"{place} exists" in shape.refuses("mnist", "--diagram", str(place), code=4)
    for suffix, arrow in ((".dot", " -> "), (".mmd", " --> ")):
        lines = (tmp_path / f"net{suffix}").read_text().splitlines()
        arrows = {line.strip(" ;") for line in lines if arrow in line}
        pairs = ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4))
        assert arrows == {f"n{source}{arrow}n{target}" for source, target in pairs}


def test_what_ships_is_checked_on_the_spot(shape: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    got = shape.json("--selftest")
    assert got["figures"] == got["hold"] > 200
    assert got["failed"] == []
    wrong = SelfCheck("layers", "conv2d_basic", "params", 1792, 1793, "PyTorch")
    monkeypatch.setattr(selftest, "selftest", lambda: (wrong,))
    assert "conv2d_basic params: 1793, and PyTorch says 1792" in shape.says("--selftest", code=5)
    assert shape.told.err.startswith("error: 1 of 1 figures do not hold. conv2d_basic params")


def test_times_stand_beside_the_macs(shape: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    net = "input 12x12x1, conv 8 3 relu, residual(conv 8 1), flatten, dense 10"
    got = shape.json(net, "--time", "--batch", "4", "--threads", "1")["timing"]
    assert shape.told.err.startswith("Timing layer by layer")
    conv, _, add, flatten, dense = got["by_layer"]
    assert add == {"milliseconds": None, "gflops": None}  # a join is nothing by itself
    assert flatten["gflops"] is None
    for row, macs in ((conv, 10 * 10 * 8 * 9), (dense, 800 * 10)):
        assert row["gflops"] == pytest.approx(2 * macs * 4 / row["milliseconds"] / 1e6)
    monkeypatch.setenv("COLUMNS", "80")
    lines = shape.says(net, "--time", "--format", "table", "--quiet").splitlines()
    assert shape.told.err == ""
    assert lines[2].split()[-2:] == ["ms", "GFLOP/s"]
    assert max(map(len, lines)) <= 80
    assert "runs float32" in shape.refuses(net, "--time", "--dtype", "int8", code=2)
    assert "no column" in shape.refuses(net, "--time", "--columns", "x", code=2)


def test_a_network_is_asked_for(shape: Program) -> None:
    assert "which network?" in shape.refuses(code=2)


def test_blocks_in_one_row_with_their_shares(shape: Program) -> None:
    got = shape.json("resnet18", "--depth", "1")
    rows = {row["name"]: row for row in got["rows"]}
    assert len(got["layers"]) == 68
    assert rows["residual8"]["layer"] == "6 layers"
    assert rows["residual8"]["params"] == 2 * 9 * 512 * 512 + 2 * 2 * 512
    for figure in ("params", "macs", "flops"):
        assert sum(row[figure] for row in got["rows"]) == got["totals"][figure]
    plain = shape.says("resnet18", "--depth", "1", "--format", "csv").splitlines()
    header, first, *_ = (line.split(",") for line in plain)
    assert dict(zip(header, first, strict=True))["params_share"] == str(9408 / 11689512)
    assert len(shape.json("efficientnet-b0", "--depth", "3")["rows"]) > len(
        shape.json("efficientnet-b0", "--depth", "2")["rows"]
    )
    assert "--time only means something for single" in shape.refuses(
        "mnist", "--depth", "1", "--time", code=2
    )


def test_rows_in_the_order_of_a_column(shape: Program) -> None:
    rows = shape.json("mnist", "--sort", "params")["rows"]
    assert [row["name"] for row in rows[:4]] == ["dense1", "conv2", "dense2", "conv1"]
    lines = shape.says("mnist", "--sort", "name", "--columns", "name", "--format", "csv")
    assert lines.split()[1:-1] == sorted(lines.split()[1:-1])
    assert "Did you mean params?" in shape.refuses("mnist", "--sort", "parms", code=2)


def test_assertions_on_sizes_memory_and_units(shape: Program) -> None:
    holds = "output == 10 and input == 28x28x1 and params < 1M and training_bytes < 1MiB"
    shape.says("mnist", "--assert", holds)
    assert shape.told.err == (
        "The assertion holds. output 10 == 10: yes; input 28x28x1 == 28x28x1: yes; "
        "params 30762 < 1M: yes; training_bytes 596296 < 1MiB: yes\n"
    )
    shape.says("mnist", "--assert", "memory < 0.6M and 596kB > memory > 0.5MiB", code=5)
    assert "memory 596296 < 0.6M: yes" in shape.told.err
    shape.says("mnist", "--assert", "output == 7x7x512 or 30k > params", code=5)
    assert "sizes compare with ==" in shape.refuses("mnist", "--assert", "output < 7x7", code=2)
    assert "not calculated with" in shape.refuses("mnist", "--assert", "output + 1 == 3", code=2)


def test_the_largest_batch_that_fits(shape: Program) -> None:
    most = shape.json("mnist", "--memory-limit", "10MB")["largest_batch"]
    assert f"The largest batch that fits is {most}." in shape.says(
        "mnist", "--memory-limit", "10MB"
    )
    need = shape.json("mnist")["memory"]
    shares = [need[f"{part}_bytes"] for part in ("kept", "weight", "gradient", "optimizer")]
    assert sum(shares) == need["training_bytes"]
    assert (
        "To train, 102 KiB are activations, 120 KiB weights and statistics, 120 KiB gradients, "
        "240 KiB Adam's own." in shape.says("mnist", "--memory-limit", "10MB")
    )
    for batch, within in ((most, True), (most + 1, False)):
        out = shape.says("mnist", "--batch", str(batch), "--memory-limit", "10MB")
        assert ("That is within" in out) == within


def test_solving_for_several_axes_any_size_and_the_input(shape: Program) -> None:
    for way in shape.json("--solve", "28x30 -> 14x15, kernel 3"):
        got = shape.json(f"input 28x30x1, conv 1 {way['words']}")
        assert got["layers"][0]["output"] == [14, 15, 1]
    assert [way["words"] for way in shape.json("--solve", "same size, kernel 5")] == [
        "5 p2", "5 same",
    ]  # fmt: skip
    for way in shape.json("--solve", "? -> 7, kernel 3, dilation 2"):
        for size in range(max(5, way["first"] - 1), way["last"] + 2):
            out = shape.json(f"input {size}x{size}x1, conv 1 {way['words']}")
            fits = way["first"] <= size <= way["last"]
            assert (out["layers"][0]["output"][0] == 7) == fits
    usual = shape.json("--solve", "? -> 7")
    assert {"words": "3 s2 p1", "first": 13, "last": 14} in usual
    assert shape.json("--solve", "? -> 7x7") == usual
    assert "one axis after the other" in shape.refuses("--solve", "? -> 7x6", code=2)
    assert "for all axes alike" in shape.refuses("--solve", "28x3 -> 14x14", code=3)
    assert "2 axes before and 1 after" in shape.refuses("--solve", "28x28 -> 14", code=2)


def test_a_model_that_comes_along_is_a_network_too(shape: Program) -> None:
    assert shape.json("digits-mnist")["totals"]["params"] == 45_762
    assert network("digits-mnist") == network(MODELS / "digits-mnist.safetensors")


def test_a_long_table_names_the_short_one(shape: Program) -> None:
    hint = "These are 174 rows; --depth 1 gives every block one."
    assert hint in shape.says("resnet50")
    assert "--depth" not in shape.says("resnet50", "--depth", "1") + shape.says("vgg16")


def test_the_width_that_fits_under_a_number_of_parameters(shape: Program) -> None:
    got = shape.json("rps", "--solve", "params < 1M", "--vary", "n")
    assert got["value"] == 94
    for value, holds in ((94, True), (95, False)):
        assert (shape.json(f"rps:n={value}")["totals"]["params"] < 10**6) == holds
    assert shape.json("rps", "--solve", "params > 1M", "--vary", "n")["value"] == 95
    assert "has no variable 'm'; it has n" in shape.refuses(
        "rps", "--solve", "params < 1M", "--vary", "m", code=2
    )
    assert "holds for no value" in shape.refuses(
        "rps", "--solve", "layers > 99", "--vary", "n", code=3
    )
    assert "name it, --vary n" in shape.refuses("rps", "--solve", "params < 1M", code=2)
    assert "--vary needs a condition" in shape.refuses("rps", "--vary", "n", code=2)


def test_intensity_and_the_least_time_on_this_machine(
    shape: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The roofline's own arithmetic, for a machine of round figures."""
    monkeypatch.setattr("convcli.learn.timing.measure_roof", lambda threads: Roof(1e9, 2e8))
    words = ["input 10x10x4, conv 8 3 nobias, relu, flatten, dense 5 nobias", "--batch", "3"]
    got = shape.json(*words, "--roofline")["roofline"]
    works = [2 * 64 * 8 * 36, 64 * 8, 0, 2 * 512 * 5]
    moved = [3 * (400 + 512) + 288, 3 * 1024, 0, 3 * (512 + 5) + 2560]
    for row, work, numbers in zip(got["by_layer"], works, moved, strict=True):
        seconds = max(3 * work / 1e9, 4 * numbers / 2e8)
        assert row["least_milliseconds"] == pytest.approx(1000 * seconds)
        assert row["intensity"] == (pytest.approx(3 * work / 4 / numbers) if numbers else None)
    assert [row["bound"] for row in got["by_layer"]] == ["compute", "memory", None, "memory"]
    out = shape.says(*words, "--roofline")
    assert "This machine: 1 GFLOP/s in the engine's products, 0.2 GB/s from memory" in out
    assert "for single layers" in shape.refuses("mnist", "--roofline", "--depth", "1", code=2)
    assert "intensity" in shape.says("mnist", "--columns", "intensity", "--format", "csv")


def test_the_machine_itself_is_measured() -> None:
    found = measure_roof(threads=1)
    assert 1e8 < found.flops < 1e13
    assert 1e8 < found.bandwidth < 1e13
