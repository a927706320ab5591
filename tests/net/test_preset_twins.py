"""Presets that torchvision lacks, against PyTorch modules written from the papers.

Parameters are those of the modules, MACs half of what PyTorch's own counter says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from convcli.net import network
from tests.vision import prepare

torch = pytest.importorskip("torch", reason="the networks are written in PyTorch")
nn = torch.nn
functional = nn.functional


def stack(*layers: Any) -> Any:
    return nn.Sequential(*layers)


class Through(nn.Module):  # type: ignore[misc, name-defined]
    """Parts, and a function of them and the input."""

    def __init__(self, run: Callable[..., Any], *parts: Any) -> None:
        super().__init__()
        self.run, self.parts = run, nn.ModuleList(parts)

    def forward(self, x: Any) -> Any:
        return self.run(x, *self.parts)


def conv(i: int, o: int, k: int, s: int = 1) -> Any:
    return nn.Conv2d(i, o, k, s, k // 2, bias=False)


def c3d() -> Any:
    """Tran et al. 2015, section 3.3 and figure 3: eight convolutions of 3x3x3, five pools, two
    dense layers of 4096; the last pool of the authors' prototxt is padded in height and width."""

    def conv3d(i: int, o: int) -> Any:
        return stack(nn.Conv3d(i, o, 3, padding=1), nn.ReLU())

    return stack(
        conv3d(3, 64), nn.MaxPool3d((1, 2, 2)), conv3d(64, 128), nn.MaxPool3d(2),
        conv3d(128, 256), conv3d(256, 256), nn.MaxPool3d(2),
        conv3d(256, 512), conv3d(512, 512), nn.MaxPool3d(2),
        conv3d(512, 512), conv3d(512, 512), nn.MaxPool3d(2, padding=(0, 1, 1)),
        nn.Flatten(), nn.Linear(8192, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Linear(4096, 487),
    )  # fmt: skip


def wide_resnet(depth: int = 28, k: int = 10) -> Any:
    """Zagoruyko and Komodakis 2016, table 1 and figure 1 (d): BN-ReLU-conv twice; where the width
    changes, the shortcut is a 1x1 convolution of what the first BN and ReLU give."""

    def unit(i: int, o: int, s: int) -> Any:
        first = stack(nn.BatchNorm2d(i), nn.ReLU())
        body = stack(conv(i, o, 3, s), nn.BatchNorm2d(o), nn.ReLU(), conv(o, o, 3))
        if i == o:
            return Through(lambda x, f, b: x + b(f(x)), first, body)
        return Through(lambda x, f, b, c: b(f(x)) + c(f(x)), first, body, conv(i, o, 1, s))

    layers, width = [conv(3, 16, 3)], 16
    for stage in range(3):
        for number in range((depth - 4) // 6):
            out = 16 * k * 2**stage
            layers.append(unit(width, out, 2 if stage and not number else 1))
            width = out
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return stack(*layers, nn.Linear(width, 10))


def densenet_bc(depth: int = 100, k: int = 12) -> Any:
    """Huang et al. 2017, sections 3 and 4.2: bottlenecks of 4k, compression 0.5, 2k at first."""

    def unit(i: int) -> Any:
        body = stack(
            nn.BatchNorm2d(i), nn.ReLU(), conv(i, 4 * k, 1),
            nn.BatchNorm2d(4 * k), nn.ReLU(), conv(4 * k, k, 3),
        )  # fmt: skip
        return Through(lambda x, b: torch.cat([x, b(x)], 1), body)

    layers, width = [conv(3, 2 * k, 3)], 2 * k
    for block in range(3):
        for _ in range((depth - 4) // 6):
            layers.append(unit(width))
            width += k
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        if block < 2:
            layers += [conv(width, width // 2, 1), nn.AvgPool2d(2)]
            width //= 2
    return stack(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def se_resnet50() -> Any:
    """Hu, Shen and Sun 2018, table 1 and figure 3: ResNet-50's bottlenecks with two dense layers
    of their channels, reduction 16, before the sum; the stride stands in the 3x3 convolution."""

    def weigh(c: int) -> Any:
        gate = stack(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, c // 16), nn.ReLU(),
            nn.Linear(c // 16, c), nn.Sigmoid(),
        )  # fmt: skip
        return Through(lambda x, g: x * g(x)[:, :, None, None], gate)

    def unit(i: int, m: int, s: int) -> Any:
        body = stack(
            conv(i, m, 1), nn.BatchNorm2d(m), nn.ReLU(), conv(m, m, 3, s), nn.BatchNorm2d(m),
            nn.ReLU(), conv(m, 4 * m, 1), nn.BatchNorm2d(4 * m), weigh(4 * m),
        )  # fmt: skip
        if i == 4 * m:
            return Through(lambda x, b: (x + b(x)).relu(), body)
        side = stack(conv(i, 4 * m, 1, s), nn.BatchNorm2d(4 * m))
        return Through(lambda x, b, c: (b(x) + c(x)).relu(), body, side)

    layers = [conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    width = 64
    for stage, count in enumerate((3, 4, 6, 3)):
        for number in range(count):
            layers.append(unit(width, 64 * 2**stage, 2 if stage and not number else 1))
            width = 256 * 2**stage
    return stack(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def fcn8s() -> Any:
    """Long, Shelhamer and Darrell 2015, the authors' voc-fcn8s/net.py: VGG-16 with padding 100,
    dense layers as convolutions, scores of pool3 and pool4 cropped to the enlarged ones."""

    def convs(i: int, o: int, count: int, pad: int = 1) -> list[Any]:
        first = [nn.Conv2d(i, o, 3, padding=pad), nn.ReLU()]
        return first + [
            layer for _ in range(count - 1) for layer in (nn.Conv2d(o, o, 3, padding=1), nn.ReLU())
        ]

    def pool() -> Any:
        return nn.MaxPool2d(2, ceil_mode=True)

    pool3 = stack(*convs(3, 64, 2, 100), pool(), *convs(64, 128, 2), pool(),
                  *convs(128, 256, 3), pool())  # fmt: skip
    pool4 = stack(*convs(256, 512, 3), pool())
    top = stack(
        *convs(512, 512, 3), pool(), nn.Conv2d(512, 4096, 7), nn.ReLU(),
        nn.Conv2d(4096, 4096, 1), nn.ReLU(), nn.Conv2d(4096, 21, 1),
    )  # fmt: skip

    def up(k: int, s: int) -> Any:
        return nn.ConvTranspose2d(21, 21, k, s, bias=False)

    def run(x: Any, p3: Any, p4: Any, last: Any, s3: Any, s4: Any, *ups: Any) -> Any:
        third = p3(x)
        fourth = p4(third)
        two = ups[0](last(fourth))
        size = two.shape[-1]
        four = ups[1](two + s4(fourth)[..., 5 : 5 + size, 5 : 5 + size])
        size = four.shape[-1]
        whole = ups[2](four + s3(third)[..., 9 : 9 + size, 9 : 9 + size])
        return whole[..., 31 : 31 + x.shape[-2], 31 : 31 + x.shape[-1]]

    scores = nn.Conv2d(256, 21, 1), nn.Conv2d(512, 21, 1)
    return Through(run, pool3, pool4, top, *scores, up(4, 2), up(4, 2), up(16, 8))


def yolo_v3_tiny() -> Any:
    """Redmon and Farhadi 2018, the authors' yolov3-tiny.cfg, layer by layer."""

    def c(i: int, o: int, k: int) -> Any:
        return stack(conv(i, o, k), nn.BatchNorm2d(o), nn.LeakyReLU(0.1))

    down = [c(3, 16, 3), nn.MaxPool2d(2), c(16, 32, 3), nn.MaxPool2d(2), c(32, 64, 3),
            nn.MaxPool2d(2), c(64, 128, 3), nn.MaxPool2d(2), c(128, 256, 3)]  # fmt: skip
    deep = [nn.MaxPool2d(2), c(256, 512, 3), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1),
            c(512, 1024, 3), c(1024, 256, 1)]  # fmt: skip
    first = stack(c(256, 512, 3), nn.Conv2d(512, 255, 1))
    side, second = c(256, 128, 1), stack(c(384, 256, 3), nn.Conv2d(256, 255, 1))

    def run(x: Any, fine: Any, coarse: Any, head: Any, thin: Any, other: Any) -> Any:
        route = fine(x)
        base = coarse(route)
        up = functional.interpolate(thin(base), scale_factor=2)
        return head(base), other(torch.cat([up, route], 1))

    return Through(run, stack(*down), stack(*deep), first, side, second)


TWINS: dict[str, Callable[[], Any]] = {
    "c3d": c3d, "wrn-28-10": wide_resnet, "densenet-bc-100": densenet_bc,
    "se-resnet50": se_resnet50, "fcn-8s": fcn8s, "yolo-v3-tiny": yolo_v3_tiny,
    "densenet-bc-100:depth=40": lambda: densenet_bc(40),
    "densenet-bc-100:depth=190:k=40": lambda: densenet_bc(190, 40),
    "wrn-28-10:depth=16:k=8": lambda: wide_resnet(16, 8),
}  # fmt: skip


@pytest.mark.parametrize("preset", TWINS)
def test_parameters_macs_and_outputs_are_those_of_the_paper(preset: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    net = network(preset)
    with torch.device("meta"):
        module = TWINS[preset]().eval()
        sample = torch.empty(1, net.input_shape[-1], *net.input_shape[:-1])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        ends = module(sample)
    trace = net.trace()
    assert trace.totals.params == sum(array.numel() for array in module.parameters())
    assert 2 * trace.totals.macs == counter.get_total_flops()
    shapes = [
        tuple(end.movedim(1, -1).shape[1:]) for end in (ends if type(ends) is tuple else [ends])
    ]
    assert [step.output_shape for step in trace.outputs] == shapes


def test_timm_has_the_same_se_resnet50() -> None:
    prepare()  # timm imports torchvision
    timm = pytest.importorskip("timm", reason="timm is the peer")
    with torch.device("meta"):
        module = timm.create_model("legacy_seresnet50")
    ours = network("se-resnet50").trace().totals.params
    assert ours == sum(array.numel() for array in module.parameters())
