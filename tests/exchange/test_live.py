"""Networks alive in PyTorch and Keras, and files of code that make one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import convcli
from convcli.cli.main import run
from convcli.errors import InputError, UsageError
from convcli.net import to_notation
from tests.exchange.models import keras

CODE = """
from convcli.net import parse_notation

net = parse_notation("input 8x8x1, conv 4 3 relu, gap, dense 2")
number = 7

def small():
    return parse_notation("input 4, dense 3")

def broken():
    raise ZeroDivisionError("nothing to divide")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code.py").write_text(CODE)
    return tmp_path / "code.py"


def test_code_is_run_only_behind_a_colon(code: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["shape", f"{code}:net", "--assert", "params == 50"]) == 0
    assert run(["shape", f"{code}:small", "--assert", "params == 15"]) == 0
    assert run(["shape", f"{code}:net", "--input", "9x9x1", "--assert", "params == 50"]) == 0
    assert "9x9x1" in capfd.readouterr().out
    marker = code.with_name("ran")
    code.write_text(f"open({str(marker)!r}, 'w').close()\n" + CODE)
    assert run(["shape", str(code)]) != 0
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("broken", "ZeroDivisionError: nothing to divide"),
        ("nett", "has no 'nett'. Did you mean net?"),
        ("number", "int: a network is a Network, words, a path"),
    ],
)
def test_what_code_does_wrong_is_told(
    name: str, says: str, code: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["shape", f"{code}:{name}"]) in {2, 3}
    assert says in capfd.readouterr().err


def test_a_module_of_torch_is_a_network() -> None:
    """Its norms stay, as they do not in a file that PyTorch exports; and so does its mode."""
    torch = pytest.importorskip("torch", reason="a module of PyTorch; extra [bench]")
    pytest.importorskip("onnx", reason="modules are followed by its exporter; extra [onnx]")
    nn = torch.nn
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
                           nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 4 * 6, 5))  # fmt: skip
    network = convcli.network(module, input_shape=(8, 12, 3))
    totals = network.trace().totals
    assert totals.params == sum(array.numel() for array in module.parameters())
    assert totals.buffers == 16
    assert module.training
    with pytest.raises(UsageError, match=r"does not know its input\. Say it: --input 32x32x3"):
        convcli.network(module)
    with pytest.raises(InputError, match="module Sequential cannot be followed on a batch of 1x3"):
        convcli.network(module, input_shape=(4, 4, 3))


def test_a_model_of_keras_is_a_network() -> None:
    peer: Any = keras()
    layers = peer.layers
    model = peer.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(4, 3, name="a"),
                             layers.Flatten(name="b"), layers.Dense(2, name="c")])  # fmt: skip
    assert convcli.network(model).trace().totals.params == model.count_params()
    assert "conv 4 3" in to_notation(convcli.network(model))
