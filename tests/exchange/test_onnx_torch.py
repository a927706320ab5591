"""Networks as PyTorch's two exporters write them, against onnxruntime on the same file."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch exports; extra [bench]")
pytest.importorskip("onnxruntime", reason="ONNX files are run by it; extra [bench]")

from convcli.cli.main import run  # noqa: E402
from convcli.errors import InputError  # noqa: E402
from convcli.exchange.importing import import_model  # noqa: E402
from convcli.learn.modelfile import load  # noqa: E402
from convcli.net import Network, to_notation  # noqa: E402
from convcli.net.lookup import open_network  # noqa: E402

nn, F = torch.nn, torch.nn.functional
Conv, Linear, Flatten = nn.Conv2d, nn.Linear, nn.Flatten


class Written(nn.Module):  # type: ignore[misc]  # PyTorch carries no types here
    """A network whose forward pass is a function of its parts."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.written = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any, *others: Any) -> Any:
        return self.written(self, x, *others)


def stack(*layers: Any) -> Any:
    return nn.Sequential(*layers)


def grown(net: Any, x: Any) -> Any:
    a = net.a(x)
    b = net.b(torch.cat([x, a], 1))
    return torch.cat([x, a, b, net.c(torch.cat([x, a, b], 1))], 1)


def gated(net: Any, x: Any) -> Any:
    y = net.a(x)
    return y * torch.sigmoid(net.d(torch.relu(net.c(F.adaptive_avg_pool2d(y, 1)))))


def convnext(net: Any, x: Any) -> Any:
    y = net.norm(net.a(x).permute(0, 2, 3, 1))
    return x + (net.scale * net.down(F.gelu(net.up(y)))).permute(0, 3, 1, 2)


def shuffled(net: Any, x: Any) -> Any:
    return net.b(net.a(x).view(-1, 2, 3, 6, 6).transpose(1, 2).reshape(-1, 6, 6, 6))


def split(net: Any, x: Any) -> Any:
    a, b = net.a(x).chunk(2, 1)
    y = torch.cat([a, net.b(b)], 1).view(-1, 2, 2, 6, 4).transpose(1, 2).reshape(-1, 4, 6, 4)
    return y[:, 1:3]


def rms(net: Any, x: Any) -> Any:
    y = net.a(x).permute(0, 2, 3, 1)
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-4) * net.n
    return net.b(y).permute(0, 3, 1, 2)


def crossing(net: Any, x: Any) -> Any:
    """As in U-Net++: what one join reads feeds others too."""
    a, b = torch.relu(net.a(x)), torch.relu(net.b(x))
    c = torch.relu(net.c(torch.cat([a, b], 1)))
    d = torch.relu(net.d(torch.cat([a, c], 1)))
    return net.e(torch.cat([a, d, b], 1))


MEAN, DEVIATION = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])

CASES: dict[str, tuple[tuple[int, ...], Callable[[], Any], str]] = {
    "relu behind flatten": (
        (2, 8, 6), lambda: stack(Conv(2, 3, 3), Flatten(), nn.ReLU(), Linear(72, 5)),
        "conv 3 3 relu, flatten, dense 5"),
    "norm behind flatten": (
        (2, 8, 6),
        lambda: stack(Conv(2, 3, 3), Flatten(), nn.Tanh(), nn.BatchNorm1d(72), nn.PReLU(72),
                      Linear(72, 5)),
        "conv 3 3 tanh, flatten, bn, prelu, dense 5"),
    "layer norm behind flatten": (
        (2, 8, 6), lambda: stack(Conv(2, 3, 3), Flatten(), nn.LayerNorm(72), Linear(72, 5)),
        "conv 3 3, flatten, ln, dense 5"),
    "ends in flatten": (
        (2, 8, 6), lambda: stack(Conv(2, 3, 3), Flatten()), "conv 3 3, flatten, shuffle 24"),
    "ends in flatten and softmax": (
        (2, 8, 6), lambda: stack(Conv(2, 3, 3), Flatten(), nn.Softmax(1)),
        "conv 3 3, flatten, softmax, shuffle 24"),
    "joined rows": (
        (2, 8, 6),
        lambda: Written(lambda s, x: s.l(torch.relu(torch.cat([s.a(x).flatten(1),
                                                              s.b(x).flatten(1)], 1))),
                        a=Conv(2, 3, 3), b=Conv(2, 4, 5), l=Linear(104, 5)),
        "concat(conv 3 3, flatten | conv 4 5, flatten), relu, dense 5"),
    "a view by its own size": (
        (2, 8, 6),
        lambda: Written(lambda s, x: s.l(s.a(x).view(x.size(0), -1)), a=Conv(2, 3, 3),
                        l=Linear(72, 5)),
        "conv 3 3, flatten, dense 5"),
    "rows from a map": (
        (2, 8, 6),
        lambda: Written(lambda s, x: s.b(s.a(x).flatten(2)), a=Conv(2, 3, 3),
                        b=nn.Conv1d(3, 2, 3)),
        "conv 3 3, reshape 24x3, conv 2 3"),
    "a map from a row": (
        (7,),
        lambda: stack(Linear(7, 60), nn.ReLU(), nn.Unflatten(1, (4, 3, 5)),
                      nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1)),
        "dense 60 relu, shuffle 4, reshape 3x5x4, upconv 3 3 s2 p1 op1"),
    "channels last inside": (
        (3, 8, 8),
        lambda: Written(convnext, a=Conv(3, 3, 3, padding=1, groups=3), norm=nn.LayerNorm(3),
                        up=Linear(3, 12), down=Linear(12, 3), scale=nn.Parameter(torch.ones(3))),
        "residual(dwconv 3 p1, ln, dense 12 gelu, dense 3)"),
    "channels last at the end": (
        (3, 8, 6), lambda: Written(lambda s, x: s.a(x).permute(0, 2, 3, 1), a=Conv(3, 4, 3)),
        "conv 4 3"),
    "shuffled channels": (
        (4, 8, 8), lambda: Written(shuffled, a=Conv(4, 6, 3), b=Conv(6, 4, 1)),
        "conv 6 3, shuffle 2, conv 4 1"),
    "squeeze and excite": (
        (3, 8, 8), lambda: Written(gated, a=Conv(3, 8, 3), c=Conv(8, 2, 1), d=Conv(2, 8, 1)),
        "conv 8 3, scale(gap, dense 2 relu, dense 8 sigmoid)"),
    "squeezed axes": (
        (3, 8, 8),
        lambda: Written(lambda s, x: s.l(F.adaptive_avg_pool2d(s.a(x), 1).squeeze(-1).squeeze(-1)),
                        a=Conv(3, 4, 3), l=Linear(4, 2)),
        "conv 4 3, gap, dense 2"),
    "means": (
        (3, 8, 8),
        lambda: Written(lambda s, x: s.l(torch.relu(s.a(x)).mean((2, 3))), a=Conv(3, 4, 3),
                        l=Linear(4, 3)),
        "conv 4 3 relu, gap, dense 3"),
    "turned axes": (
        (3, 8, 6), lambda: Written(lambda s, x: s.a(x).transpose(2, 3), a=Conv(3, 4, 3)),
        "conv 4 3, permute 1x0x2"),
    "space to channels": (
        (3, 8, 6), lambda: stack(Conv(3, 4, 3), nn.PixelUnshuffle(2), Conv(16, 8, 1),
                                 nn.PixelShuffle(2)),
        "conv 4 3, pixelunshuffle 2, conv 8 1, pixelshuffle 2"),
    "parts of the channels": (
        (3, 8, 6), lambda: Written(split, a=Conv(3, 4, 3), b=Conv(2, 2, 1)),
        "conv 4 3, concat(slice 0:2 | slice 2:4, conv 2 1), shuffle 2, slice 1:3"),
    "activations with numbers": (
        (3, 6, 6),
        lambda: stack(Conv(3, 4, 3), nn.LeakyReLU(0.2), Conv(4, 4, 1), nn.ELU(0.7), Conv(4, 4, 1),
                      nn.Hardtanh(-0.5, 2), Conv(4, 4, 1), nn.Hardsigmoid(), Conv(4, 4, 1),
                      nn.Softplus(), Conv(4, 4, 1), nn.Mish(), nn.LogSoftmax(1)),
        "conv 4 3, leakyrelu 0.2, conv 4 1, elu 0.7, conv 4 1, clip -0.5:2, "
        "conv 4 1 hardsigmoid, conv 4 1 softplus, conv 4 1 mish, logsoftmax"),
    "dilated pool": (
        (3, 9, 9), lambda: stack(Conv(3, 4, 3), nn.MaxPool2d(3, 1, dilation=2)),
        "conv 4 3, maxpool 3 s1 d2"),
    "sizes and halves": (
        (3, 6, 6),
        lambda: stack(Conv(3, 4, 3), nn.Upsample(size=(7, 9)), Conv(4, 4, 1),
                      nn.Upsample(scale_factor=1.5, mode="bilinear")),
        "conv 4 3, upsample size=7x9, conv 4 1, upsample 1.5 bilinear"),
    "recurrent both ways": (
        (3, 12),
        lambda: Written(lambda s, x: s.r(s.c(x).transpose(1, 2))[0].transpose(1, 2),
                        c=nn.Conv1d(3, 6, 3),
                        r=nn.LSTM(6, 5, batch_first=True, bidirectional=True)),
        "conv 6 3, lstm 5 seq biases=2 bi"),
    "a gated recurrent unit": (
        (3, 12),
        lambda: Written(lambda s, x: s.l(s.r(s.c(x).transpose(1, 2))[0][:, -1]),
                        c=nn.Conv1d(3, 6, 3), r=nn.GRU(6, 5, batch_first=True), l=Linear(5, 2)),
        "conv 6 3, gru 5, dense 2"),
    "root mean square norm": (
        (3, 8, 6),
        lambda: Written(rms, a=Conv(3, 4, 3), n=nn.Parameter(torch.ones(4)), b=Linear(4, 2)),
        "conv 4 3, rmsnorm eps=0.0001, dense 2"),
    "vectors of length one": (
        (3, 8, 6),
        lambda: Written(lambda s, x: s.l(F.normalize(F.normalize(s.c(x)).flatten(1))),
                        c=Conv(3, 4, 3), l=Linear(96, 2)),
        "conv 4 3, l2norm, flatten, l2norm, dense 2"),
    "a vector over its norm": (
        (3, 8, 6),
        lambda: Written(lambda s, x: (y := s.c(x)) / y.norm(dim=1, keepdim=True), c=Conv(3, 4, 3)),
        "conv 4 3, l2norm"),
    "both final states side by side": (
        (3, 12),
        lambda: Written(lambda s, x: s.l(torch.cat([*s.r(x.transpose(1, 2))[1][0]], 1)),
                        r=nn.LSTM(3, 5, batch_first=True, bidirectional=True), l=Linear(10, 2)),
        "lstm 5 biases=2 bi, dense 2"),
    "a difference of branches": (
        (3, 8, 6),
        lambda: Written(lambda s, x: s.a(x) - s.b(x), a=Conv(3, 4, 3), b=Conv(3, 4, 3)),
        "residual(conv 4 3 | conv 4 3)"),
    "cells padded away": (
        (3, 8, 6), lambda: Written(lambda s, x: F.pad(s.a(x), (-1, 2, 0, -1)), a=Conv(3, 4, 3)),
        "conv 4 3, crop 0:1x1:0, pad 0x0:2"),
    "a product of branches": (
        (3, 8, 6),
        lambda: Written(lambda s, x: s.a(x) * torch.sigmoid(s.b(x)), a=Conv(3, 4, 3),
                        b=Conv(3, 4, 3)),
        "mul(conv 4 3 | conv 4 3 sigmoid)"),
    "even parts": (
        (3, 9, 9),
        lambda: Written(lambda s, x: s.l(F.adaptive_avg_pool2d(s.a(x), (2, 4)).flatten(1)),
                        a=Conv(3, 4, 2), l=Linear(32, 3)),
        "conv 4 2, avgpool 4x2, flatten, dense 3"),
    "parts of one cell": (
        (3, 9, 9),
        lambda: Written(lambda s, x: s.l(nn.AdaptiveAvgPool2d((4, 3))(s.a(x)).flatten(1)),
                        a=Conv(3, 4, 3, stride=(2, 3)), l=Linear(48, 3)),
        "conv 4 3 s2x3, flatten, dense 3"),
    "branches that fork late": (
        (3, 8, 8),
        lambda: Written(lambda s, x: torch.cat([s.a(x), torch.cat([s.c(y := s.b(x)), s.d(y)], 1)],
                                               1),
                        a=Conv(3, 4, 1), b=Conv(3, 5, 1), c=Conv(5, 2, 1), d=Conv(5, 3, 1)),
        "concat(conv 4 1 | conv 5 1, concat(conv 2 1 | conv 3 1))"),
    "growing concatenations": (
        (3, 8, 8),
        lambda: Written(grown, a=Conv(3, 4, 3, padding=1), b=Conv(7, 4, 3, padding=1),
                        c=Conv(11, 4, 3, padding=1)),
        "concat( | conv 4 3 p1), concat( | conv 4 3 p1), concat( | conv 4 3 p1)"),
    "sums of three": (
        (3, 8, 8),
        lambda: Written(lambda s, x: x + s.a(x) + s.b(x), a=Conv(3, 3, 3, padding=1),
                        b=Conv(3, 3, 1)),
        "residual(residual(conv 3 3 p1) | conv 3 1)"),
    "input scaling": (
        (3, 8, 8),
        lambda: Written(lambda s, x: s.a((x - MEAN.view(1, 3, 1, 1)) / DEVIATION.view(3, 1, 1)),
                        a=Conv(3, 4, 3, padding=1)),
        "conv 4 3 p1"),
    "activations": (
        (3, 6, 6),
        lambda: stack(Conv(3, 4, 3), nn.GELU(), Conv(4, 4, 1), nn.SiLU(), Conv(4, 4, 1),
                      nn.Hardswish(), Conv(4, 4, 1), nn.ReLU6(), nn.LeakyReLU(), nn.ELU()),
        "conv 4 3 gelu, conv 4 1 silu, conv 4 1 hardswish, conv 4 1 relu6, leakyrelu, elu"),
    "group norm": (
        (4, 6, 6), lambda: stack(Conv(4, 4, 3), nn.GroupNorm(2, 4)), "conv 4 3, gn 2"),
    "weight norm": (
        (3, 8, 8), lambda: stack(nn.utils.parametrizations.weight_norm(Conv(3, 4, 3)), nn.ReLU()),
        "conv 4 3 relu"),
    "enlargements": (
        (3, 5, 5),
        lambda: stack(Conv(3, 4, 3), nn.Upsample(scale_factor=2), Conv(4, 4, 3),
                      nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(size=(16, 24))),
        "conv 4 3, upsample 2, conv 4 3, upsample 2 bilinear, upsample 2x3"),
    "a cut map": (
        (3, 9, 9), lambda: Written(lambda s, x: s.a(x)[:, :, 1:-1, 2:], a=Conv(3, 4, 3)),
        "conv 4 3, crop 1x2:0"),
    "crossing ways": (
        (3, 8, 8),
        lambda: Written(crossing, a=Conv(3, 4, 3, padding=1), b=Conv(3, 4, 3, padding=1),
                        c=Conv(8, 4, 1), d=Conv(8, 4, 1), e=Conv(12, 2, 1)),
        "conv 4 3 p1 relu, from input, conv 4 3 p1 relu, concat(from a | ), conv 4 1 relu, "
        "concat(from a | ), conv 4 1 relu, concat(from a |  | from b), conv 2 1"),
    "a volume": (
        (2, 4, 6, 5),
        lambda: stack(nn.Conv3d(2, 3, 3, padding=1), Flatten(), nn.Tanh(), Linear(360, 3)),
        "conv 3 3 p1 tanh, flatten, dense 3"),
    "the last step of an LSTM": (
        (3, 20),
        lambda: Written(lambda s, x: s.l(s.r(torch.relu(s.c(x)).transpose(1, 2))[0][:, -1]),
                        c=nn.Conv1d(3, 6, 3), r=nn.LSTM(6, 5, batch_first=True), l=Linear(5, 4)),
        "conv 6 3 relu, lstm 5 biases=2, dense 4"),
}  # fmt: skip


def randomized(module: Any) -> Any:
    """Return the network in evaluation mode, no norm and no slope left at its first values."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, array in [*module.named_parameters(), *module.named_buffers()]:
            if array.ndim == 1 and array.is_floating_point():
                array.uniform_(0.5, 2) if name.endswith("var") else array.normal_()
    return module.eval()


def exported(
    module: Any, shape: tuple[int, ...] | list[Any], path: Path, *, dynamo: bool, **further: Any
) -> Any:
    """Write a network as PyTorch does and return what onnxruntime makes of 3 samples, and those.

    `shape` is that of a sample, or a list of all samples of each input.
    """
    import onnxruntime

    given = shape if isinstance(shape, list) else [torch.randn(3, *shape)]
    names = ["input", "other"][: len(given)]
    settings: dict[str, Any] = {"dynamic_axes": {name: {0: "batch"} for name in names}}
    if dynamo:
        pytest.importorskip("onnxscript", reason="the default exporter needs it; extra [bench]")
        batch = {0: torch.export.Dim("batch")}
        sizes = [batch, (batch,)] if len(given) > 1 else [batch]  # as `forward` takes them
        settings = {"dynamic_shapes": sizes, "verbose": False}
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the other program's own
        torch.onnx.export(
            module, (*given,), path, input_names=names, dynamo=dynamo, **settings, **further
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {name: samples.numpy() for name, samples in zip(names, given, strict=True)}
    return session.run(None, feeds)[0], given[0].numpy()


def raw_outputs(path: Path, samples: Any) -> Any:
    """Return what the imported network makes of channels-first samples, a map channels first."""
    model = import_model(path).model
    ready = model.preprocessing.engine_samples(np.ascontiguousarray(np.moveaxis(samples, 1, -1)))
    return model.model.predict(ready)


@pytest.mark.parametrize("dynamo", [False, True], ids=["classic", "default"])
@pytest.mark.parametrize("name", CASES)
def test_what_torch_writes_is_read(name: str, dynamo: bool, tmp_path: Path) -> None:
    shape, build, words = CASES[name]
    path = tmp_path / "net.onnx"
    ref, samples = exported(randomized(build()), shape, path, dynamo=dynamo)
    on_paper = open_network(str(path)).network
    assert bare_words(on_paper) == words
    got = raw_outputs(path, samples)
    if got.ndim > 2 and name != "channels last at the end":
        got = np.moveaxis(got, -1, 1)
    assert got.shape == ref.shape
    np.testing.assert_allclose(got, ref, atol=1e-5)
    assert on_paper.trace().totals.params == import_model(path).model.model.trace.totals.params


@pytest.mark.slow
@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20, -18, -20, -23])
def test_every_operator_set_gives_the_same_numbers(opset: int, tmp_path: Path) -> None:
    """Positive ones by the classic exporter, negative ones by the default one."""
    net = stack(Conv(4, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8), nn.ReLU(),
                nn.GroupNorm(2, 8), nn.PixelShuffle(2), nn.Upsample(scale_factor=2),
                nn.ConvTranspose2d(2, 6, 3, stride=2, padding=1, output_padding=1), nn.Hardswish(),
                nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), Flatten(), nn.LayerNorm(6), Linear(6, 3),
                nn.LogSoftmax(1))  # fmt: skip
    dynamo, path = opset < 0, tmp_path / "net.onnx"
    ref, samples = exported(
        randomized(net), (4, 6, 6), path, dynamo=dynamo, opset_version=abs(opset)
    )
    np.testing.assert_allclose(raw_outputs(path, samples), ref, atol=1e-5)


def bare_words(network: Network) -> str:
    """Return the layers in words, without the names that the file has for them."""
    return re.sub(r" name=[^\s,)]+", "", to_notation(network)).partition(", ")[2]


def test_all_outputs_are_seen_on_paper_and_the_first_is_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def heads(net: Any, x: Any) -> Any:
        y = torch.relu(net.a(x))
        return net.b(y), net.c(y).flatten(2), net.d(y).mean((2, 3))

    net = Written(heads, a=Conv(3, 4, 3), b=Conv(4, 5, 1), c=Conv(4, 6, 3), d=Conv(4, 7, 1))
    ref, samples = exported(randomized(net), (3, 8, 8), tmp_path / "net.onnx", dynamo=False)
    trace = open_network(str(tmp_path / "net.onnx")).network.trace()
    assert [step.output_shape for step in trace.outputs] == [(6, 6, 5), (16, 6), (7,)]
    assert trace.totals.params == sum(array.numel() for array in net.parameters())
    assert run(["shape", str(tmp_path / "net.onnx")]) == 0
    assert "The network has 3 outputs: b 6x6x5, reshape1 16x6, gap1 7" in capfd.readouterr().out
    got = raw_outputs(tmp_path / "net.onnx", samples)
    np.testing.assert_allclose(np.moveaxis(got, -1, 1), ref, atol=1e-5)
    assert run(["import", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "m.safetensors")]) == 0
    assert re.search(r"Of 3 outputs only the first, \S+, is read", capfd.readouterr().err)


TOGETHER = {
    "a picture and a row": (
        (3, 8, 8), (5,),
        lambda: Written(lambda s, x, y: s.l(torch.cat([s.c(x).mean((2, 3)), s.d(y).relu()], 1)),
                        c=Conv(3, 4, 3), d=Linear(5, 3), l=Linear(7, 2)),
        "concat(conv 4 3, gap | input 5, dense 3 relu), dense 2"),
    "a map that is added twice": (
        (3, 8, 8), (4, 6, 6),
        lambda: Written(lambda s, x, y: s.d(s.c(x) + y) + y, c=Conv(3, 4, 3), d=Conv(4, 4, 1)),
        "input 6x6x4, from input, conv 4 3, residual(from other), conv 4 1, residual(from other)"),
    "a series and a row": (
        (9, 3), (4,),
        lambda: Written(lambda s, x, y: s.l(torch.cat([s.r(x)[0][:, -1], y], 1)),
                        r=nn.LSTM(3, 5, batch_first=True), l=Linear(9, 2)),
        "concat(lstm 5 biases=2 | input 4), dense 2"),
    "both scaled": (
        (3, 8, 8), (3, 8, 8),
        lambda: Written(lambda s, x, y: s.c(torch.cat([x / 255 - 0.5, y * 2], 1)), c=Conv(6, 4, 3)),
        "concat(dwconv 1 | input 8x8x3, dwconv 1 nobias), conv 4 3"),
}  # fmt: skip
"""Shapes of two inputs, the network, and what it is in words."""


@pytest.mark.parametrize("dynamo", [False, True], ids=["classic", "default"])
@pytest.mark.parametrize("name", TOGETHER)
def test_several_inputs_are_read(
    name: str, dynamo: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    *shapes, build, words = TOGETHER[name]
    given = [torch.randn(3, *shape) for shape in shapes]
    ref, _ = exported(randomized(build()), given, tmp_path / "net.onnx", dynamo=dynamo)
    assert bare_words(open_network(str(tmp_path / "net.onnx")).network) == words
    assert run(["import", str(tmp_path / "net.onnx"), "--outputs", "values"]) == 0
    model = load(tmp_path / "net.safetensors")
    first, other = (np.moveaxis(x.numpy(), 1, -1) if x.ndim > 3 else x.numpy() for x in given)
    (got,) = model.predict_all({"input": first, "other": other}).values()
    np.testing.assert_allclose(np.moveaxis(got, -1, 1) if got.ndim > 2 else got, ref, atol=1e-5)
    np.save(tmp_path / "x.npy", first[0])
    capfd.readouterr()
    assert run(["predict", str(tmp_path / "net.onnx"), str(tmp_path / "x.npy")]) == 2
    assert re.search(r"reads input \S+, other \S+: give a file for each", capfd.readouterr().err)


def test_shared_weights_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net = Written(lambda s, x: s.c(s.c(x)), c=Conv(3, 3, 3))
    exported(randomized(net), (3, 8, 8), tmp_path / "net.onnx", dynamo=False)
    assert run(["shape", str(tmp_path / "net.onnx"), "--assert", "params == 168"]) == 0
    assert "Several layers share c.weight: here each has, counts" in capfd.readouterr().out


@pytest.mark.parametrize("dynamo", [False, True], ids=["classic", "default"])
def test_layers_keep_the_names_of_the_modules(dynamo: bool, tmp_path: Path) -> None:
    """They stand in a model of ours too, so that its arrays have the names of the state dict."""
    part = stack(Conv(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    net = Written(lambda s, x: s.fc((x + s.body(s.conv2(x))).mean((2, 3))),
                  conv2=Conv(4, 4, 1), body=stack(part, Conv(4, 4, 1)),
                  fc=Linear(4, 2))  # fmt: skip
    exported(randomized(net), (4, 6, 6), tmp_path / "net.onnx", dynamo=dynamo)
    names = [step.name for step in open_network(str(tmp_path / "net.onnx")).network.trace().steps]
    assert names == ["conv2", "body.0.0", "body.1", "residual1.add1", "gap1", "fc"]
    model = import_model(tmp_path / "net.onnx").model
    model.save(tmp_path / "m.safetensors")
    assert "body.0.0.kernel" in load(tmp_path / "m.safetensors").model.parameters


def test_shapes_need_no_weights(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The default exporter keeps them in a file beside; `import` names it where it is missing."""
    path = tmp_path / "net.onnx"
    exported(randomized(stack(Conv(3, 64, 3), nn.BatchNorm2d(64))), (3, 9, 9), path, dynamo=True)
    (tmp_path / "net.onnx.data").unlink()
    assert run(["shape", str(path), "--assert", "params == 1792"]) == 0
    assert "folded batch norm into 1 layer" in capfd.readouterr().out
    assert run(["import", str(path)]) == 3
    assert "net.onnx.data, which cannot be read: No such file" in capfd.readouterr().err


def test_parts_of_a_smaller_map_are_read(tmp_path: Path) -> None:
    """The default exporter alone writes them: cells gathered, then their means."""
    net = Written(lambda s, x: s.l(F.adaptive_avg_pool2d(s.a(x), (6, 6)).flatten(1)),
                  a=Conv(3, 4, 3), l=Linear(144, 3))  # fmt: skip
    ref, samples = exported(randomized(net), (3, 5, 3), tmp_path / "net.onnx", dynamo=True)
    np.testing.assert_allclose(raw_outputs(tmp_path / "net.onnx", samples), ref, atol=1e-5)
    words = bare_words(open_network(str(tmp_path / "net.onnx")).network)
    assert words == "conv 4 3, adaptavg 6, flatten, dense 3"


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: nn.GELU(approximate="tanh"), r"operator \d Gelu .*: its approximate is tanh"),
        (lambda: Written(lambda _, x: torch.sin(x)), r"operator \d Sin .*no such layer"),
        (lambda: Written(lambda _, x: x.flip(2)), "the output .*: it reads numbers in"),
        (lambda: Written(lambda _, x: x.reshape(-1, 9)), r"operator \d Reshape .*mixes samples"),
        (lambda: Written(lambda _, x: x.mean(1)), r"operator \d ReduceMean .*reduces the axes"),
        (lambda: Written(lambda _, x: x * torch.arange(9.0)), r"operator \d Mul .*every place"),
        (
            lambda: Written(lambda s, x: x * torch.sigmoid(s.a(x)), a=Conv(2, 1, 1)),
            r"operator \d Mul .*multiplies \(2, 5, 9\) by \(1, 5, 9\)",
        ),
    ],
    ids=[
        "gelu",
        "sin",
        "picture upside down",
        "mixed samples",
        "mean of channels",
        "position",
        "gate of places",
    ],
)
def test_what_cannot_be_said_is_named(build: Any, sentence: str, tmp_path: Path) -> None:
    exported(build().eval(), (2, 5, 9), tmp_path / "net.onnx", dynamo=False)
    way_out = r".* Export the network without it, or write the network in words"
    with pytest.raises(InputError, match=sentence + way_out):
        import_model(tmp_path / "net.onnx")


def test_statistics_of_the_batch_are_refused(tmp_path: Path) -> None:
    import onnx

    exported(nn.BatchNorm2d(2).eval(), (2, 5, 9), tmp_path / "net.onnx", dynamo=False)
    model = onnx.load(tmp_path / "net.onnx")
    norm = next(node for node in model.graph.node if node.op_type == "BatchNormalization")
    kept = [entry for entry in norm.attribute if entry.name != "training_mode"]
    del norm.attribute[:]
    norm.attribute.extend([*kept, onnx.helper.make_attribute("training_mode", 1)])
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(InputError, match=r"BatchNormalization.*statistics of each batch"):
        import_model(tmp_path / "net.onnx")


def test_a_group_norm_is_read_whichever_factor_stands_first(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="ONNX files are changed by it; extra [onnx]")
    path = tmp_path / "net.onnx"
    net = stack(Conv(4, 4, 3), nn.GroupNorm(2, 4)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, torch.zeros(1, 4, 6, 6), path, dynamo=False)
    model = onnx.load(path)
    (product,) = (node for node in model.graph.node if node.op_type == "Mul")
    product.input[:] = reversed(product.input)
    onnx.save(model, path)
    assert bare_words(open_network(str(path)).network) == "conv 4 3, gn 2"
