"""Layers against PyTorch in float64: values, gradients of the input and of every array."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.learn.model import Model
from convcli.net import parse_notation
from convcli.ops import reference

torch = pytest.importorskip("torch", reason="PyTorch is the peer of these tests")
F = torch.nn.functional


def first(x):
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def oihw(kernel):
    return kernel.movedim((-1, -2), (0, 1))


def conv(kind, **figures):
    def run(x, w):
        return last(kind(first(x), oihw(w["kernel"]), w.get("bias"), **figures))

    return run


def transposed(kind, **figures):
    def run(x, w):
        kernel = w["kernel"].movedim((-2, -1), (0, 1))
        return last(kind(first(x), kernel, w.get("bias"), **figures))

    return run


def pool(kind, *figures, **named):
    return lambda x, w: last(kind(first(x), *figures, **named))


def lstm(x, w):
    cell = torch.nn.LSTM(x.shape[-1], w["recurrent"].shape[0], batch_first=True).double()
    arrays = (w["kernel"].T, w["recurrent"].T, w["bias"], torch.zeros_like(w["bias"]))
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return torch.func.functional_call(cell, dict(zip(names, arrays, strict=True)), (x,))[0]


def recurrent(kind, **settings):
    """PyTorch's layer with our arrays; its first bias is ours, its second ours or zeros."""

    def run(x, w):
        units = w["recurrent"].shape[0]
        layer = kind(x.shape[-1], units, batch_first=True, **settings).double()
        found = {}
        for ours, theirs in (("", ""), ("reverse_", "_reverse")):
            if f"{ours}kernel" not in w:
                continue
            found |= {
                f"weight_ih_l0{theirs}": w[f"{ours}kernel"].T,
                f"weight_hh_l0{theirs}": w[f"{ours}recurrent"].T,
                f"bias_ih_l0{theirs}": w[f"{ours}bias"],
                f"bias_hh_l0{theirs}": w.get(
                    f"{ours}recurrent_bias", torch.zeros_like(w[f"{ours}bias"])
                ),
            }
        return torch.func.functional_call(layer, found, (x,))

    return run


def last_of_each_way(run):
    def take(x, w):
        state = run(x, w)[1]
        state = state[0] if isinstance(state, tuple) else state
        return state.movedim(0, 1).flatten(1)

    return take


def sequence(run):
    return lambda x, w: run(x, w)[0]


def depthwise(x, w):
    kernel = w["kernel"].flatten(-2).movedim(-1, 0).unsqueeze(1)
    return last(F.conv2d(first(x), kernel, w["bias"], padding=1, groups=x.shape[-1]))


def channels(norm, *figures):
    return lambda x, w: last(norm(first(x), *figures, w["scale"], w["shift"]))


def batch_norm(x, w):
    return last(F.batch_norm(first(x), None, None, w["scale"], w["shift"], training=True))


CASES = {
    "input 9x8x4, conv 6 3 s2 p1": conv(F.conv2d, stride=2, padding=1),
    "input 9x8x4, conv 6 3x2 g2 d2": conv(F.conv2d, groups=2, dilation=2),
    "input 20x3, conv 5 4": conv(F.conv1d),
    "input 5x6x7x2, conv 3 2": conv(F.conv3d),
    "input 5x6x4, upconv 6 3 s2 p1 op1 g2": transposed(
        F.conv_transpose2d, stride=2, padding=1, output_padding=1, groups=2
    ),
    "input 7x7x3, dwconv 3 p1 m2": depthwise,
    "input 7x8x3, maxpool 3 s2 p1": pool(F.max_pool2d, 3, 2, 1),
    "input 7x8x3, maxpool 2 ceil": pool(F.max_pool2d, 2, ceil_mode=True),
    "input 7x8x3, avgpool 3 s2 p1": pool(F.avg_pool2d, 3, 2, 1, count_include_pad=False),
    "input 7x8x3, avgpool 3 s2 p1 countpad ceil": pool(F.avg_pool2d, 3, 2, 1, ceil_mode=True),
    "input 7x8x3, adaptavg 3": pool(F.adaptive_avg_pool2d, 3),
    "input 6, dense 4": lambda x, w: x @ w["kernel"] + w["bias"],
    "input 5x4x6, bn": batch_norm,
    "input 5x4x6, gn 3": channels(F.group_norm, 3),
    "input 5x4x6, ln": lambda x, w: F.layer_norm(x, (6,), w["scale"], w["shift"]),
    "input 5x4x6, prelu": lambda x, w: last(F.prelu(first(x), w["slope"])),
    "input 9x3, lstm 4 seq": lstm,
    "input 4x5x3, upsample 2 bilinear": pool(
        F.interpolate, scale_factor=2, mode="bilinear", align_corners=False
    ),
    "input 4x5x3, upsample 3": pool(F.interpolate, scale_factor=3),
    "input 4x5x12, shuffle 3": lambda x, w: last(F.channel_shuffle(first(x), 3)),
    "input 4x5x12, pixelshuffle 2": pool(F.pixel_shuffle, 2),
    "input 6x9x2, pixelunshuffle 3": pool(F.pixel_unshuffle, 3),
    "input 5x4x7, lrn 5": pool(F.local_response_norm, 5),
    "input 9, lrn 4 alpha=0.3 beta=0.5 k=2": lambda x, w: F.local_response_norm(
        x[:, :, None], 4, 0.3, 0.5, 2.0
    )[:, :, 0],
    "input 9x3, lstm 4 bi seq": sequence(recurrent(torch.nn.LSTM, bidirectional=True)),
    "input 9x3, lstm 4 bi": last_of_each_way(recurrent(torch.nn.LSTM, bidirectional=True)),
    "input 9x3, gru 4 seq": sequence(recurrent(torch.nn.GRU)),
    "input 9x3, gru 4": last_of_each_way(recurrent(torch.nn.GRU)),
    "input 9x3, gru 4 bi seq": sequence(recurrent(torch.nn.GRU, bidirectional=True)),
    "input 9x3, gru 4 bi": last_of_each_way(recurrent(torch.nn.GRU, bidirectional=True)),
    "input 5x4x6, rmsnorm": lambda x, w: F.rms_norm(x, (6,), w["scale"], 1e-5),
    "input 5x4x6, l2norm": lambda x, w: F.normalize(x, dim=-1),
    "input 7, l2norm": lambda x, w: F.normalize(x),
    "input 5x4x6, instancenorm": lambda x, w: last(
        F.instance_norm(first(x), weight=w["scale"], bias=w["shift"])
    ),
    "input 5x4x6, layerscale": lambda x, w: x * w["scale"],
    "input 9x8x3, maxpool 3 s1 d2": pool(F.max_pool2d, 3, 1, dilation=2),
    "input 9x8x3, maxpool 3 s2 p1 d2 ceil": pool(F.max_pool2d, 3, 2, 1, dilation=2, ceil_mode=True),
    "input 9x8x3, adaptmax 4x3": pool(F.adaptive_max_pool2d, (4, 3)),
    "input 9x8x3, adaptavg _x5": pool(F.adaptive_avg_pool2d, (None, 5)),
    "input 9x8x3, adaptmax 5x_": pool(F.adaptive_max_pool2d, (5, None)),
    "input 4x6x3, upsample 1.5": pool(F.interpolate, scale_factor=1.5),
    "input 4x6x3, upsample 1.5 bilinear": pool(
        F.interpolate, scale_factor=1.5, mode="bilinear", align_corners=False
    ),
    "input 8x6x3, upsample 0.5x2 bilinear": pool(
        F.interpolate, scale_factor=(0.5, 2.0), mode="bilinear", align_corners=False
    ),
    "input 4x5x3, upsample size=7x9": pool(F.interpolate, size=(7, 9)),
    "input 4x5x3, upsample size=7x3 bilinear": pool(
        F.interpolate, size=(7, 3), mode="bilinear", align_corners=False
    ),
    "input 5x5x3, upconv 4 3 s2 size=12x11": transposed(
        F.conv_transpose2d, stride=2, output_padding=(1, 0)
    ),
    "input 4x5x3, permute 2x0x1": lambda x, w: x.permute(0, 3, 1, 2),
    "input 4x5x6, slice 1:4": lambda x, w: x[..., 1:4],
    "input 8, leakyrelu 0.2": lambda x, w: F.leaky_relu(x, 0.2),
    "input 8, leakyrelu -0.5": lambda x, w: F.leaky_relu(x, -0.5),
    "input 8, elu 0.7": lambda x, w: F.elu(x, 0.7),
    "input 8, clip -0.5:2": lambda x, w: F.hardtanh(x, -0.5, 2.0),
    "input 8, hardsigmoid": lambda x, w: F.hardsigmoid(x),
    "input 8, softplus": lambda x, w: F.softplus(x),
    "input 8, mish": lambda x, w: F.mish(x),
    "input 8, logsoftmax": lambda x, w: F.log_softmax(x, -1),
    "input 8, relu6": lambda x, w: F.relu6(x),
    "input 8, leakyrelu": lambda x, w: F.leaky_relu(x),
    "input 8, elu": lambda x, w: F.elu(x),
    "input 8, gelu": lambda x, w: F.gelu(x),
    "input 8, silu": lambda x, w: F.silu(x),
    "input 8, hardswish": lambda x, w: F.hardswish(x),
    "input 8, tanh": lambda x, w: torch.tanh(x),
    "input 8, sigmoid": lambda x, w: torch.sigmoid(x),
    "input 8, softmax": lambda x, w: F.softmax(x, -1),
}


@pytest.mark.parametrize("notation", CASES)
def test_values_and_gradients_are_those_of_pytorch(notation: str) -> None:
    model = Model.initialize(parse_notation(notation), 1)
    random = np.random.default_rng(2)
    arrays = {name: random.standard_normal(a.shape) for name, a in model.parameters.items()}
    x = 3 * random.standard_normal((3, *model.network.input_shape))
    run = reference.run(model.trace, arrays, model.buffers, x, training=True)
    slope = random.standard_normal(run.output.shape)
    got_dx, got = run.backward({1: slope})
    tensors = {
        name.partition(".")[2]: torch.tensor(a, requires_grad=True) for name, a in arrays.items()
    }
    tensor = torch.tensor(x, requires_grad=True)
    y = CASES[notation](tensor, tensors)
    y.backward(torch.tensor(slope))
    np.testing.assert_allclose(run.output, y.detach().numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got_dx, tensor.grad.numpy(), rtol=1e-8, atol=1e-8)
    for name, tensor in tensors.items():
        found = got[f"{model.trace.steps[0].name}.{name}"]
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-8, atol=1e-8)
