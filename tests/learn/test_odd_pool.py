"""Every layer that keeps a map, in front of a pool that leaves its last row and column unread.

There a rule may spare itself the cells that nobody reads, and must then spare them in every place.
The memory is not fresh: a batch of large numbers went through it before.
"""

from __future__ import annotations

import numpy as np
import pytest

from convcli.learn.model import Model
from convcli.learn.trainer import Loss, Trainer
from convcli.net import parse_notation
from convcli.ops import reference

torch = pytest.importorskip("torch", reason="PyTorch is the peer of these tests")
F = torch.nn.functional

# what PyTorch makes of (N, C, H, W), and this layer's arrays by "layer.array"
LAYERS = {
    "conv 5 3": lambda x, w: conv(x, w, "conv2"),
    "conv 12 3 relu": lambda x, w: F.relu(conv(x, w, "conv2")),
    "conv 5 3 s2 gelu": lambda x, w: F.gelu(conv(x, w, "conv2", stride=2)),
    "dwconv 3 same m2": lambda x, w: F.conv2d(
        x, w["dwconv1.kernel"].flatten(-2).movedim(-1, 0).unsqueeze(1), w["dwconv1.bias"],
        padding=1, groups=4,
    ),
    "sepconv 5 3 tanh": lambda x, w: torch.tanh(
        F.conv2d(
            F.conv2d(
                x, w["sepconv1.depthwise"].flatten(-2).movedim(-1, 0).unsqueeze(1), groups=4
            ),
            oihw(w["sepconv1.pointwise"]), w["sepconv1.bias"],
        )
    ),
    "upconv 3 3": lambda x, w: F.conv_transpose2d(
        x, w["upconv1.kernel"].movedim((-2, -1), (0, 1)), w["upconv1.bias"]
    ),
    "dense 5 relu": lambda x, w: first(
        F.relu(last(x) @ w["dense1.kernel"] + w["dense1.bias"])
    ),
    "relu": lambda x, w: F.relu(x),
    "silu": lambda x, w: F.silu(x),
    "softmax": lambda x, w: F.softmax(x, 1),
    "prelu": lambda x, w: F.prelu(x, w["prelu1.slope"]),
    "bn": lambda x, w: F.batch_norm(x, None, None, w["bn1.scale"], w["bn1.shift"], training=True),
    "ln": lambda x, w: first(F.layer_norm(last(x), (4,), w["ln1.scale"], w["ln1.shift"])),
    "instancenorm": lambda x, w: F.instance_norm(
        x, weight=w["instancenorm1.scale"], bias=w["instancenorm1.shift"]
    ),
    "gn 2": lambda x, w: F.group_norm(x, 2, w["gn1.scale"], w["gn1.shift"]),
    "residual(conv 4 1)": lambda x, w: x + conv(x, w, "residual1.conv1"),
    "concat(conv 2 1 | conv 3 1 | )": lambda x, w: torch.cat(
        [conv(x, w, "concat1.conv1"), conv(x, w, "concat1.conv2"), x], 1
    ),
    "scale(conv 4 1)": lambda x, w: x * conv(x, w, "scale1.conv1"),
    "scale(gap, dense 4)": lambda x, w: (
        x * (x.mean((2, 3)) @ w["scale1.dense1.kernel"] + w["scale1.dense1.bias"])[:, :, None, None]
    ),
    "pad 2:0": lambda x, w: F.pad(x, (2, 0, 2, 0)),
    "crop 1": lambda x, w: x[:, :, 1:-1, 1:-1],
    "shuffle 2": lambda x, w: F.channel_shuffle(x, 2),
    "pixelshuffle 2, crop 0:1": lambda x, w: F.pixel_shuffle(x, 2)[..., :-1, :-1],
    "pad 1:0x1:0, pixelunshuffle 2": lambda x, w: F.pixel_unshuffle(F.pad(x, (1, 0, 1, 0)), 2),
    "lrn 3 alpha=0.5": lambda x, w: F.local_response_norm(x, 3, 0.5),
    "lrn 2 alpha=2 beta=0.3 k=0.5": lambda x, w: F.local_response_norm(x, 2, 2.0, 0.3, 0.5),
    "rmsnorm": lambda x, w: first(F.rms_norm(last(x), (4,), w["rmsnorm1.scale"], 1e-5)),
    "l2norm": lambda x, w: F.normalize(x),
    "layerscale 0.5": lambda x, w: x * w["layerscale1.scale"][:, None, None],
    "mul(conv 4 1 | conv 4 1 sigmoid | )": lambda x, w: x * conv(x, w, "mul1.conv1")
    * torch.sigmoid(conv(x, w, "mul1.conv2")),
    "mul( | gap | conv 4 1)": lambda x, w: x * x.mean((2, 3), keepdim=True)
    * conv(x, w, "mul1.conv1"),
    "maxpool 3 s1 d2, pad 1": lambda x, w: F.pad(F.max_pool2d(x, 3, 1, dilation=2), (1,) * 4),
    "adaptmax 5x_": lambda x, w: F.adaptive_max_pool2d(x, (5, None)),
    "upsample 1.5": lambda x, w: F.interpolate(x, scale_factor=1.5),
    "upsample size=11x5 bilinear": lambda x, w: F.interpolate(x, size=(11, 5), mode="bilinear"),
    "permute 1x0x2": lambda x, w: x.transpose(2, 3),
    "permute 2x0x1": lambda x, w: x.permute(0, 3, 1, 2),
    "slice 1:3": lambda x, w: x[:, 1:3],
    "leakyrelu 0.3": lambda x, w: F.leaky_relu(x, 0.3),
    "elu 0.7": lambda x, w: F.elu(x, 0.7),
    "clip -0.4:0.6": lambda x, w: F.hardtanh(x, -0.4, 0.6),
    "conv 5 3 mish": lambda x, w: F.mish(conv(x, w, "conv2")),
    "mish": lambda x, w: F.mish(x),
    "softplus": lambda x, w: F.softplus(x),
    "conv 5 3 hardsigmoid": lambda x, w: F.hardsigmoid(conv(x, w, "conv2")),
    "logsoftmax": lambda x, w: F.log_softmax(x, 1),
    "upsample 3": lambda x, w: F.interpolate(x, scale_factor=3),
    "upsample 3 bilinear": lambda x, w: F.interpolate(x, scale_factor=3, mode="bilinear"),
    "reshape 9x7x4": lambda x, w: first(last(x).reshape(-1, 9, 7, 4)),
    "maxpool 3 s1": lambda x, w: F.max_pool2d(x, 3, 1),
    "avgpool 3 s1": lambda x, w: F.avg_pool2d(x, 3, 1),
}  # fmt: skip
POOLS = {"maxpool 2": F.max_pool2d, "avgpool 2": F.avg_pool2d}


def first(x):
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def oihw(kernel):
    return kernel.movedim((-1, -2), (0, 1))


def conv(x, w, name, **settings):
    return F.conv2d(x, oihw(w[f"{name}.kernel"]), w[f"{name}.bias"], **settings)


def close(got: np.ndarray, ref: np.ndarray, atol: float) -> None:
    np.testing.assert_allclose(got, ref, rtol=1e-4, atol=atol * max(1.0, np.abs(ref).max()))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_in_front_of_an_odd_pool_are_pytorchs(layer: str, pool: str) -> None:
    model = Model.initialize(parse_notation(f"input 7x9x3, conv 4 1, {layer}, {pool}"), 1)
    assert any(size % 2 for size in model.trace.steps[-1].input_shapes[0][:-1])
    random = np.random.default_rng(2)
    for name, values in model.parameters.items():
        model.parameters[name] += random.uniform(-0.3, 0.3, values.shape).astype(np.float32)
    x = random.standard_normal((5, 7, 9, 3)).astype(np.float32)
    target = random.standard_normal((5, *model.trace.output_shape)).astype(np.float32)
    trainer = Trainer(model, Loss("mse"), batch=5)
    trainer.gradients(1000 * x[::-1].copy(), target)
    _, _, flat = trainer.gradients(x, target)

    weights = {name: w.astype(np.float64) for name, w in model.parameters.items()}
    run = reference.run(model.trace, weights, model.buffers, x.astype(np.float64), training=True)
    error = run.output - target
    _, rules = run.backward({len(model.trace.steps): 2 * error / error.size})

    tensors = {name: torch.tensor(w, requires_grad=True) for name, w in weights.items()}
    before = conv(first(torch.tensor(x).double()), tensors, "conv1")
    y = last(POOLS[pool](LAYERS[layer](before, tensors), 2))
    F.mse_loss(y, torch.tensor(target).double()).backward()
    for name, slot in model.slots.items():
        ref = tensors[name].grad.numpy()
        got = flat[slot.offset : slot.offset + slot.size].reshape(slot.shape)
        close(rules[name], ref, 1e-8)
        close(got, ref, 2e-5)


@pytest.mark.parametrize(
    "before",
    [
        "7x9x3, conv 4 1, dropout 0.4",
        "7x9x3, conv 4 1, dropout2d 0.4",
        "7x3, lstm 4 seq, lstm 4 seq",
        "7x3, lstm 4 seq bi, lstm 4 seq bi",
        "7x3, gru 4 seq, gru 4 seq",
        "7x3, gru 4 seq bi, gru 3 bi, reshape 3x2",
    ],
)
@pytest.mark.parametrize("pool", POOLS)
def test_gradients_in_front_of_an_odd_pool_are_those_of_the_rules(before: str, pool: str) -> None:
    model = Model.initialize(parse_notation(f"input {before}, {pool}"), 1)
    random = np.random.default_rng(2)
    x = random.standard_normal((5, *model.network.input_shape)).astype(np.float32)
    target = random.standard_normal((5, *model.trace.output_shape)).astype(np.float32)
    trainer = Trainer(model, Loss("mse"), batch=5, seed=3)
    trainer.gradients(-2 * x, target)
    _, _, flat = trainer.gradients(x, target, step=2)
    run = reference.run(
        model.trace, model.parameters, model.buffers, x, training=True, seed=3, step_number=2
    )
    error = run.output - target
    _, rules = run.backward({len(model.trace.steps): 2 * error / error.size})
    for name, slot in model.slots.items():
        got = flat[slot.offset : slot.offset + slot.size].reshape(slot.shape)
        close(got, rules[name], 2e-5)
