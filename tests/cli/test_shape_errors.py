"""What a stranger gets wrong: each mistake has its sentence, its place and its exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from convcli.cli import main as door

NETWORKS = {
    "input 5x5x1, conv 4 3, maxpool 7": (
        3,
        "layer 2 maxpool1 `maxpool 7`: window 7 does not fit input 3x3 (padding 0+0). "
        "Use a window of at most 3, or padding 2.",
    ),
    "input 8x8x6, conv 9 3 g4": (
        3,
        "layer 1 conv1 `conv 9 3 g4`: 4 groups do not divide 6 input channels and 9 filters. "
        "Use g3.",
    ),
    "input 8x8x3, flatten, conv 4 3": (
        3,
        "layer 2 conv1 `conv 4 3`: conv slides over a map, and its input is a vector. "
        "Move it before `flatten`, or use `dense` here.",
    ),
    "input 8x8x3, residual(conv 16 3 s2 same)": (
        3,
        "layer 2 residual1.add1 `add`: body and shortcut differ: 4x4x16 and 8x8x3. "
        "A shortcut mends it: residual(... | conv 16 1 s2).",
    ),
    "input 8x8x3, concat(conv 4 3 | conv 4 1)": (3, "branches differ outside their channels"),
    "input 8x8x3, conv 0 3": (2, "0 is too small; use at least 1."),
    "input 8x8x3, conv -4 3": (2, "-4 is negative; use at least 1."),
    "input 8x8x3, conv 4 3 s0": (2, "0 is too small; use at least 1."),
    "input 0x8x3, conv 4 3": (2, "0 is too small; use at least 1."),
    "input 99999999999x8x3": (2, "99999999999 is absurdly large; 1,000,000,000 is the limit."),
    "input 8x8x3, conv 4 99999999999999999999": (2, "is absurdly large"),
    "input 8x8x3, upsample 900000000": (3, "7200000000x7200000000x3 is absurdly large"),
    "input 8x8x3, conv 4 3 rlu": (2, "conv does not know 'rlu'. Did you mean relu"),
    "input 8x8x3, cnv 4 3": (2, "there is no layer 'cnv'. Did you mean conv"),
    "input 8x8x3, residual(conv 4 3": (2, "this bracket of residual is never closed."),
    "input 8x8x3, conv 4 3)": (2, "this ) has no partner before it."),
    "input 8x8x3, repeat 999999 (repeat 999999 (conv 3 1))": (3, "more than 20,000 layers"),
    "conv 16 3, maxpool 2": (2, "a network begins with its input"),
    "28x28x1, conv 16 3": (2, "Write: input 28x28x1, conv 16 3"),
    "resnet5": (2, "there is no preset 'resnet5'. Did you mean resnet50"),
    "28x28": (2, "there is no preset '28x28'. Known: alexnet"),
    "rps:m=3": (2, "there is no variable 'm' (known: n)"),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("command", ["shape", "compare"])
def test_a_wrong_network_ends_in_a_sentence(
    command: str, network: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, sentence = NETWORKS[network]
    assert door.run([command, network, *(["mnist"] if command == "compare" else [])]) == code
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert sentence in told.err


def test_the_wrong_word_is_under_a_caret(capfd: pytest.CaptureFixture[str]) -> None:
    assert door.run(["shape", "input", "8x8x3,", "conv", "4", "3", "rlu"]) == 2
    *_, line, caret = capfd.readouterr().err.splitlines()
    assert line == "  input 8x8x3, conv 4 3 rlu"
    assert caret == " " * line.index("rlu") + "^^^"


FILES = {
    "bytes.net": (b"\xff\xfe\x00\x01", 3, "is not text (byte 0 is no UTF-8)"),
    "control.net": (b"input 8x8x1\x07, conv 4 3", 2, "it holds control codes"),
    "big.net": (b"a" * 1_000_001, 3, "more than 1,000,000 bytes"),
    "empty.net": (b"", 2, "a network begins with its input"),
    "deep.net": (b"input 8x8x1, " + b"residual(" * 5000, 2, "nested more than 50 deep"),
    "wide.net": (b"input 8x8x1" + b", conv 1 1" * 30_000, 2, "300,011 characters"),
    "prose.net": (b"It was a dark and stormy night.", 2, "begins with its input"),
    "bytes.json": (b"\xff\xfe\x00\x01", 3, "is not text"),
    "prose.json": (b"Dear reader", 3, "is not JSON as Keras writes it"),
    "deep.json": (b"[" * 100_000, 3, "is not JSON as Keras writes it"),
    "zip.keras": (b"PK\x03\x04 nothing", 3, "is no Keras archive"),
    "old.h5": (b"\x89HDF", 3, "is no whole Keras file"),
    "cut.safetensors": (b"\xff" * 40, 3, "is not a whole safetensors file"),
    "net.txt": (b"input 8x8x1", 2, "convcli reads .net, .safetensors, .onnx, .keras, .json, .h5"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file_ends_in_a_sentence(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if name.endswith(".h5"):
        pytest.importorskip("h5py", reason="reads the file; extra [keras]")
    content, code, sentence = FILES[name]
    place = tmp_path / name
    place.write_bytes(content)
    assert door.run(["shape", str(place)]) == code
    told = capfd.readouterr()
    assert told.out == ""
    assert sentence in told.err
    assert place.read_bytes() == content


@pytest.mark.parametrize("suffix", ["net", "json", "keras", "safetensors"])
def test_a_missing_file_and_a_directory(
    suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / f"net.{suffix}"
    assert door.run(["shape", str(place)]) == 3
    assert "No such file" in capfd.readouterr().err
    place.mkdir()
    assert door.run(["shape", str(place)]) == 3
    assert "Is a directory" in capfd.readouterr().err


def test_a_diagram_needs_a_place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert door.run(["shape", "mnist", "--diagram", str(tmp_path), "--force"]) == 2
    assert door.run(["shape", "mnist", "--diagram", str(tmp_path / "no" / "x.svg")]) == 3
    assert "mkdir -p" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batch", "0"], "x>=1"),
        (["--dtype", "int4"], "int4"),
        (["--dialect", "caffe"], "caffe"),
        (["--convention", "pytorch"], "pytorch"),
        (["--input", "foo"], "'foo' is no whole number"),
        (["--input", "-3x3x1"], "negative"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_option_is_wrong_usage(
    words: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert door.run(["shape", "mnist", *words]) == 2
    assert said in capfd.readouterr().err
