"""What training keeps, against the tensors that PyTorch's autograd saves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from convcli.net import network, parse_notation
from convcli.net.memory import largest_batch, memory
from tests.vision import models

torch = pytest.importorskip("torch", reason="the tensors are PyTorch's")
nn = torch.nn


def saved_bytes(model: Any, *shape: int) -> int:
    """Return the bytes of the distinct tensors that are saved, parameters and vectors apart."""
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    found: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        place = tensor.untyped_storage()._cdata
        if place not in own and tensor.ndim > 1:  # vectors: statistics of a normalization
            found[place] = tensor
        return tensor

    sample = torch.zeros(2, *shape)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model.train()(sample)
    assert out.requires_grad
    return sum(t.numel() * t.element_size() for t in found.values())


class Residual(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, body: Any, shortcut: Any) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Any) -> Any:
        return self.body(x) + self.shortcut(x)


class Gated(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Any) -> Any:
        return x * self.body(x)[:, :, None, None]


def convolution(inputs: int, filters: int, kernel: int, stride: int = 1) -> list[Any]:
    return [
        nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
    ]


def resnet50() -> Any:
    layers = [*convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for place, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            stride = 2 if place and not block else 1
            body = nn.Sequential(
                *convolution(channels, width, 1), nn.ReLU(),
                *convolution(width, width, 3, stride), nn.ReLU(), *convolution(width, 4 * width, 1),
            )  # fmt: skip
            changed = nn.Sequential(*convolution(channels, 4 * width, 1, stride))
            layers += [Residual(body, nn.Identity() if block else changed), nn.ReLU()]
            channels = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def vgg16() -> Any:
    layers: list[Any] = []
    channels = 3
    for width, count in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(7), nn.Flatten()]
    for inputs, units in [(25088, 4096), (4096, 4096)]:
        layers += [nn.Linear(inputs, units), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(4096, 1000))


@pytest.mark.parametrize(
    ("name", "made", "mebibytes"), [("resnet50", resnet50, 82.0), ("vgg16", vgg16, 70.0)]
)
def test_presets_keep_what_pytorch_keeps(
    name: str, made: Callable[[], Any], mebibytes: float
) -> None:
    with torch.device("meta"):  # shapes without numbers
        ref = saved_bytes(made(), 3, 224, 224)
    kept = memory(network(name).trace(batch=2)).kept_bytes - 2 * 4 * 1000  # our softmax at the end
    assert kept == ref
    assert kept / 2 / 2**20 == pytest.approx(mebibytes, abs=0.1)


ROWS = {
    "conv 8 3 relu, conv 4 3": lambda: [nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)],
    "conv 8 3 silu, conv 4 3": lambda: [nn.Conv2d(4, 8, 3), nn.SiLU(), nn.Conv2d(8, 4, 3)],
    "conv 8 3, avgpool 2, conv 4 3": lambda: [
        nn.Conv2d(4, 8, 3), nn.AvgPool2d(2), nn.Conv2d(8, 4, 3)],
    "conv 8 3, maxpool 2, conv 4 3": lambda: [
        nn.Conv2d(4, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3)],
    "conv 8 3, dropout 0.5, conv 4 3": lambda: [
        nn.Conv2d(4, 8, 3), nn.Dropout(), nn.Conv2d(8, 4, 3)],
    "conv 8 3, dropout2d 0.5, conv 4 3": lambda: [
        nn.Conv2d(4, 8, 3), nn.Dropout2d(), nn.Conv2d(8, 4, 3)],
    "upconv 8 3, upsample 2, conv 4 3": lambda: [
        nn.ConvTranspose2d(4, 8, 3), nn.Upsample(scale_factor=2), nn.Conv2d(8, 4, 3)],
    "dwconv 3, adaptavg 3, conv 4 3": lambda: [
        nn.Conv2d(4, 4, 3, groups=4), nn.AdaptiveAvgPool2d(3), nn.Conv2d(4, 4, 3)],
    "conv 8 3, gap, dense 4": lambda: [
        nn.Conv2d(4, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)],
    "conv 8 3, gmp, dense 4": lambda: [
        nn.Conv2d(4, 8, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 4)],
    "conv 8 3, shuffle 2, conv 4 3": lambda: [
        nn.Conv2d(4, 8, 3), nn.ChannelShuffle(2), nn.Conv2d(8, 4, 3)],
    "conv 4 3 same, scale(gap, dense 4 sigmoid), conv 4 3": lambda: [
        nn.Conv2d(4, 4, 3, padding=1),
        Gated(nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4), nn.Sigmoid())),
        nn.Conv2d(4, 4, 3)],
} | {
    f"conv 8 3, {word}, conv 4 3": lambda made=made: [
        nn.Conv2d(4, 8, 3), made(), nn.Conv2d(8, 4, 3)]
    for word, made in {
        "relu": nn.ReLU, "relu6": nn.ReLU6, "leakyrelu": nn.LeakyReLU, "elu": nn.ELU,
        "gelu": nn.GELU, "silu": nn.SiLU, "hardswish": nn.Hardswish, "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid, "prelu": lambda: nn.PReLU(8), "bn": lambda: nn.BatchNorm2d(8),
        "instancenorm": lambda: nn.InstanceNorm2d(8, affine=True),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("words", ROWS)
def test_a_row_keeps_what_pytorch_keeps(words: str) -> None:
    trace = parse_notation(f"input 12x12x4, {words}").trace(batch=2)
    assert memory(trace).kept_bytes == saved_bytes(nn.Sequential(*ROWS[words]()), 4, 12, 12)


def real_peak(module: Any, batch: int) -> int:
    """Return the most bytes that PyTorch holds in two steps of Adam on pictures of 224x224."""
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Live(TorchDispatchMode):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.peak, self.held = 0, dict[int, tuple[Any, int]]()

        def note(self, tensor: Any) -> None:
            place = tensor.untyped_storage()
            self.held.setdefault(place._cdata, (StorageWeakRef(place), place.nbytes()))

        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = function(*args, **(kwargs or {}))
            for tensor in tree_leaves(out):
                if isinstance(tensor, torch.Tensor):
                    self.note(tensor)
            alive = {key: one for key, one in self.held.items() if not one[0].expired()}
            self.held = alive
            self.peak = max(self.peak, sum(size for _, size in alive.values()))
            return out

    with torch.device("meta"):  # storages without numbers
        samples, labels = torch.empty(batch, 3, 224, 224), torch.zeros(batch, dtype=torch.long)
        adam, live = torch.optim.Adam(module.parameters(), foreach=False), Live()
        for tensor in (*module.parameters(), *module.buffers(), samples):
            live.note(tensor)
        with live:
            for _ in range(2):
                adam.zero_grad()
                nn.functional.cross_entropy(module.train()(samples), labels).backward()
                adam.step()
    return live.peak


@pytest.mark.parametrize(
    ("name", "function"),
    [("resnet50", "resnet50"), ("mobilenet-v2", "mobilenet_v2"), ("vgg11", "vgg11")],
)
def test_the_largest_batch_is_that_of_a_real_training_with_adam(name: str, function: str) -> None:
    """At the batch that is said to fit, PyTorch holds the limit, within a twentieth."""
    trace = network(name).trace()
    limit = 8 * 10**9
    batch = largest_batch(trace, limit)
    assert batch is not None
    built = models()
    with torch.device("meta"):
        module = getattr(built, function)()
    assert real_peak(module, batch) == pytest.approx(limit, rel=0.05)
    figures = memory(trace)
    arrays = list(module.parameters())
    assert figures.optimizer_bytes == 2 * sum(p.numel() * p.element_size() for p in arrays)
