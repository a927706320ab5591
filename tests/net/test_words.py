"""The notation learned from the tool itself, and the names that people bring along."""

from __future__ import annotations

import importlib
import json
import os
from typing import Any

import pytest

from convcli.cli.main import run
from convcli.errors import UsageError
from convcli.layers import WORDS
from convcli.layers.join import BLOCKS
from convcli.layers.registry import word_for
from convcli.net import network, parse_notation, to_notation


def shown(capfd: pytest.CaptureFixture[str], *words: str) -> Any:
    assert run(["shape", "--layers", *words, "--format", "json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_all_words_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    rows = shown(capfd)
    assert [row["word"] for row in rows[-len(BLOCKS) :]] == [*BLOCKS]
    assert {row["word"] for row in rows} == {*WORDS, *BLOCKS}
    assert all(row["example"] for row in rows)
    assert all(row["about"] for row in rows[: len(WORDS)])


@pytest.mark.parametrize("word", WORDS)
def test_a_word_in_full(word: str, capfd: pytest.CaptureFixture[str]) -> None:
    got = shown(capfd, word)
    assert got["word"] == word
    row = WORDS[word]
    assert [field["name"] for field in got["fields"]] == [*row.positional, *row.options]


def test_a_word_by_another_name(capfd: pytest.CaptureFixture[str]) -> None:
    got = shown(capfd, "MaxPooling2D")
    assert got["word"] == "maxpool"
    assert got["elsewhere"] == {"PyTorch": "MaxPool2d", "Keras": "MaxPooling2D", "ONNX": "MaxPool"}
    assert {"name": "padding", "written": "pN|valid|same|causal", "default": "valid"} in got[
        "fields"
    ]
    assert run(["shape", "--layers", "pol"]) == 2
    assert "Did you mean maxpool" in capfd.readouterr().err


def test_layers_from_elsewhere_are_understood() -> None:
    said = (
        "input 28x28x1, Conv2D 16 3 ReLU, MaxPooling2D 2, BatchNorm2d, swish, "
        "concatenate(conv2d 3 1 | ), GlobalAveragePooling2D, Linear 32 swish, fc 10 softmax"
    )
    meant = (
        "input 28x28x1, conv 16 3 relu, maxpool 2, bn, silu, concat(conv 3 1 | ), gap, "
        "dense 32 silu, dense 10 softmax"
    )
    assert to_notation(parse_notation(said)) == meant


@pytest.mark.parametrize("package", ["torch.nn", "keras.layers"])
def test_names_of_classes_are_theirs(package: str) -> None:
    """Each name that stands on a layer is a class of the program, or a function of it."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip(package.partition(".")[0], reason="the names are this program's")
    home = importlib.import_module(package)
    for word in WORDS.values():
        said = word.elsewhere.torch if package == "torch.nn" else word.elsewhere.keras
        if said is None or not said[0] or getattr(said, "is_one_case", False):
            continue
        name = said[0].partition("(")[0].replace("{rank}", "2")
        assert word_for(name) is word
        if name[0].isupper() and "." not in name:
            assert hasattr(home, name) or hasattr(_convnext(package), name), word.text


def _convnext(package: str) -> object:
    """Return where Keras keeps the layer scale, which is no public layer."""
    return package == "keras.layers" and importlib.import_module("keras.src.applications.convnext")


@pytest.mark.parametrize("name", ["ResNet50", "resnet-50", "resnet_50", "RESNET50"])
def test_presets_by_the_names_people_type(name: str) -> None:
    assert network(name) == network("resnet50")
    assert network(name).name == "resnet50"


def test_a_missing_comma_before_a_name_from_elsewhere() -> None:
    with pytest.raises(UsageError, match=r"takes no MaxPool2d behind it\. Put a comma"):
        parse_notation("input 28x28x1, conv 16 3 MaxPool2d 2")


def test_points_and_blocks_with_arguments_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["shape", "--layers", "--format", "plain"]) == 0
    told = capfd.readouterr().out
    assert "from a goes on" in told
    assert "let block(c, s) =" in told
    ((word, example),) = (row.values() for row in shown(capfd, "from"))
    assert word == "from"
    assert parse_notation(f"input 8x8x3, {example}").trace().output_shape == (8, 8, 32)
