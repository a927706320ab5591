"""Listings of Keras and PyTorch: followed as data, against the programs that run them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

import convcli
from convcli.cli.main import run
from convcli.errors import InputError, UsageError
from convcli.exchange.listing import network_from_listing
from convcli.layers import Activation
from convcli.layers.activation import ACTIVATIONS
from convcli.net import to_notation
from tests.exchange.models import keras

HEAD = "from tensorflow.keras import layers, models\nfrom tensorflow.keras.layers import *\n"

MNIST = """
import tensorflow as tf
from tensorflow.keras.datasets import mnist
(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train = x_train.reshape((60000, 28, 28, 1)).astype('float32') / 255
model = models.Sequential()
model.add(layers.Conv2D(16, (3, 3), activation='relu', input_shape=(28, 28, 1)))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(32, (3, 3), activation=tf.nn.relu))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Flatten())
model.add(layers.Dense(32, activation='relu'))
model.add(layers.Dense(10, activation='softmax'))
model.compile(optimizer='adam', loss='categorical_crossentropy', metrics=['accuracy'])
history = model.fit(x_train, y_train, epochs=10, batch_size=128)
print(model.summary())
"""

LENET = """
model = models.Sequential([
    layers.Conv2D(6, kernel_size=(5, 5), strides=(1, 1), activation='tanh',
                  input_shape=(28, 28, 1), padding='same'),
    layers.AveragePooling2D(pool_size=(2, 2), strides=(1, 1), padding='valid'),
    layers.Conv2D(16, kernel_size=(5, 5), strides=(1, 1), activation='tanh', padding='valid'),
    layers.AveragePooling2D(pool_size=(2, 2), strides=(2, 2), padding='valid'),
    layers.Conv2D(120, kernel_size=(5, 5), activation='tanh'),
    layers.Flatten(),
    layers.Dense(84, activation='tanh'),
    layers.Dense(10, activation='softmax'),
])
"""

RPS = """
def makeModel(n, size=32):
    '''n filters in the first layer'''
    model = models.Sequential()
    model.add(Input(shape=(size, size, 3)))
    for times in (1, 2, 4):
        model.add(Conv2D(n * times, 3, padding='same', activation='relu'))
        model.add(MaxPooling2D(2))
    if n >= 0:
        model.add(AveragePooling2D(2))
    model.add(Flatten())
    model.add(Dense(128, activation='relu'))
    model.add(Dropout(0.5))
    model.add(Dense(3, activation='softmax'))
    return model

model = makeModel({n})
"""

FUNCTIONAL = """
def block(x, filters, stride=1):
    y = layers.Conv2D(filters, 3, strides=stride, padding='same', use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    y = layers.ReLU()(y)
    return layers.add([x, y])

inputs = keras.Input(shape=(16, 16, 3), name="picture")
x = layers.Rescaling(1. / 255)(inputs)
x = layers.Conv2D(8, 3, padding='same')(x)
for _ in range(2):
    x = block(x, 8)
a, b = layers.MaxPooling2D()(x), layers.Conv2D(4, 1, strides=2)(x)
x = layers.concatenate([a, b])
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(5)(x)
model = keras.Model(inputs=inputs, outputs=outputs)
"""

SERIES = """
n_steps, n_features = 128, 9
model = Sequential()
model.add(Conv1D(filters=64, kernel_size=3, activation='relu', input_shape=(n_steps, n_features)))
model.add(Conv1D(64, 3, activation='relu'))
model.add(Dropout(0.5))
model.add(MaxPooling1D(pool_size=2))
model.add(LSTM(100))
model.add(Dense(6, activation='softmax'))
"""

LISTINGS = {
    "mnist": (MNIST, 30_762),
    "lenet": (LENET, 545_546),
    "functional": (FUNCTIONAL, None),
    "series": (SERIES, None),
    **{f"rps {n}": (RPS.replace("{n}", str(n)), params) for n, params in (
        (1, 2_687), (2, 5_039), (4, 10_283), (8, 22_931), (16, 56_867), (32, 159_299),
        (48, 307_811), (64, 502_403), (96, 1_029_827),
    )},
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, (_, params) in LISTINGS.items() if params])
def test_a_listing_of_the_lectures_gives_its_printed_total(name: str, tmp_path: Path) -> None:
    code, params = LISTINGS[name]
    (tmp_path / "listing.py").write_text(HEAD + code)
    assert run(["shape", str(tmp_path / "listing.py"), "--assert", f"params == {params}"]) == 0
    assert convcli.network(code).trace().totals.params == params  # pasted


@pytest.mark.parametrize("name", ["mnist", "lenet", "rps 2", "functional", "series"])
def test_a_listing_has_the_layers_that_keras_makes_of_it(name: str) -> None:
    peer, code = keras(), LISTINGS[name][0].partition("mnist.load_data()")
    lines = (code[2] or code[0]).splitlines()
    text = "\n".join(
        x for x in lines if not x.startswith(("x_train", "model.comp", "his", "print"))
    )
    names: dict[str, Any] = {**vars(peer.layers), "layers": peer.layers, "models": peer}
    names["keras"] = peer
    names |= {"Sequential": peer.Sequential, "tf": peer, "nn": peer}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other program's own
        exec(text.replace("tf.nn.relu", "'relu'"), names)  # noqa: S102  (the listing above)
    model, trace = names["model"], network_from_listing(LISTINGS[name][0]).network.trace()
    assert trace.totals.params + trace.totals.buffers == model.count_params()
    assert trace.output_shape == model.output_shape[1:]


def test_a_stack_of_pytorch_is_a_listing_too(tmp_path: Path) -> None:
    code = """
import torch
from torch import nn
width = 8
net = nn.Sequential(
    nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
    nn.MaxPool2d(2),
    *[nn.Sequential(nn.Conv2d(width, width, (3, 1)), nn.LeakyReLU(0.2)) for _ in range(2)],
    nn.AdaptiveAvgPool2d((2, None)), nn.Flatten(), nn.Dropout(0.5), nn.Linear(width * 2 * 14, 10),
)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
"""
    (tmp_path / "net.py").write_text(code)
    network = convcli.network(tmp_path / "net.py", input_shape=(28, 28, 1))
    assert to_notation(network) == (
        "input 28x28x1, conv 8 3 p1 nobias, bn, relu, maxpool 2, conv 8 3x1, leakyrelu 0.2, "
        "conv 8 3x1, leakyrelu 0.2, adaptavg 2x_, flatten, dropout 0.5, dense 10"
    )
    torch = pytest.importorskip("torch", reason="PyTorch is the other program; extra [bench]")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  (the listing above)
    ours = network.trace()
    assert ours.totals.params == sum(array.numel() for array in names["net"].parameters())
    assert tuple(names["net"](torch.zeros(2, 1, 28, 28)).shape[1:]) == ours.output_shape
    with pytest.raises(UsageError, match=r"do not say the input's size: --input 28x28x1"):
        convcli.network(tmp_path / "net.py")
    with pytest.raises(
        InputError, match=r"line 6: Conv2d: it reads 1 channels or cells, and gets 3"
    ):
        convcli.network(tmp_path / "net.py", input_shape=(28, 28, 3))


@pytest.mark.parametrize("kind", [kind for kind in ACTIVATIONS if kind != "relu6"])
def test_every_activation_is_a_module_of_pytorch(kind: str) -> None:
    """The row names the class, and what its numbers are called there."""
    numbers = [3 * n + 1 for n, _ in enumerate(ACTIVATIONS[kind].numbers)]
    name = str(ACTIVATIONS[kind].elsewhere.torch.module).partition("(")[0]
    code = f"net = nn.Sequential(nn.Linear(4, 3), nn.{name}({', '.join(map(str, numbers))}))"
    network = network_from_listing(code).network
    assert network.layers[1] == Activation(kind, tuple(numbers))
    torch = pytest.importorskip("torch", reason="PyTorch is the other program; extra [bench]")
    named: Any = getattr(torch.nn, name)(*numbers)
    taken = str(ACTIVATIONS[kind].elsewhere.torch.module).partition("(")[2].strip(")")
    assert [getattr(named, word) for word in taken.split(", ") if word] == numbers


def test_nothing_of_a_listing_is_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    marker = tmp_path / "ran"
    code = f"import os\nopen({str(marker)!r}, 'w').close()\nos.system('touch {marker}')\n" + LENET
    (tmp_path / "listing.py").write_text(code)
    assert run(["shape", str(tmp_path / "listing.py"), "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["totals"]["params"] == 545_546
    assert not marker.exists()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = 3", r"makes no model: no Sequential\(\.\.\.\) and no Model"),
        ("def makeModel(n):\n    return Sequential([Dense(n)])", r"Call one: model = makeModel"),
        ("model = Sequential([Dense(", r"is no Python"),
        ("m = Sequential([Dense(3, input_shape=(4,)), Lambda2D(4)])", r"Lambda2D"),
        ("m = Sequential()\nfor n in sizes:\n    m.add(Dense(n))", r"line 2: a loop needs sizes"),
        ("d = Dense(3)\ni = Input((4,))\nModel(i, d(d(i)))", r"called twice with the same weights"),
        ("n = 10 ** 99\nSequential([Dense(n)])", r"more than a network needs"),
        ("def f(x):\n    return f(x)\nf(1)", r"call each other without end"),
        ("while True:\n    pass\nSequential([Dense(3)])", r"input's size is open"),
        ("m = Sequential()\nfor a in range(10**9):\n  for b in range(10**9):\n    m.add(Flatten())",
         r"more than 100,000 statements"),
        ("Sequential([Dense('a', input_shape=(3,))])", r"units is 'a', which is no whole number"),
    ],
)  # fmt: skip
def test_what_is_no_listing_gets_a_sentence(code: str, says: str) -> None:
    with pytest.raises((InputError, UsageError), match=says):
        network_from_listing(code)


@pytest.mark.parametrize("name", ["mnist", "resnet18", "unet", "mobilenet-v2", "har"])
def test_presets_are_written_as_code_that_keras_runs(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is a listing, which gives the network again; its summary is Keras' own."""
    monkeypatch.setenv("COLUMNS", "200")  # Keras' table is cut to the terminal
    assert run(["presets", name, "--as", "keras"]) == 0
    code = capfd.readouterr().out
    totals = convcli.network(name).trace().totals
    again = convcli.network(code).trace().totals
    assert (again.params, again.buffers, again.macs) == (totals.params, totals.buffers, totals.macs)
    if name == "resnet18":
        return  # Keras takes seconds to build it
    peer: Any = keras()
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  (the source under test)
    model, told = names["model"], []
    chain = all(len(layer._inbound_nodes[0].input_tensors) < 2 for layer in model.layers)
    model = peer.Sequential(model.layers, name=model.name) if chain else model
    model.summary(line_length=88 if chain else 108, print_fn=lambda text, **_: told.append(text))
    assert run(["shape", name, "--format", "keras"]) == 0
    assert capfd.readouterr().out.split() == "".join(told).split()


def test_presets_are_written_as_code_of_pytorch(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["presets", "mnist", "--as", "torch"]) == 0
    code = capfd.readouterr().out
    torch = pytest.importorskip("torch", reason="PyTorch is the other program; extra [bench]")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  (the source under test)
    assert sum(array.numel() for array in names["Network"]().parameters()) == 30_762
    assert names["Network"]()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert run(["presets", "--as", "torch"]) == 2
    assert "--as only means something with the name of a preset" in capfd.readouterr().err
