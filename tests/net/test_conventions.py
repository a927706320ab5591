"""Each convention against the tool it is named after: pinned figures, and the tool where it is.

Figures: ptflops 0.7.5, calflops 0.3.2 and DeepSpeed 0.19.8 on PyTorch 2.13.0, each given the one
module that is named, batch 1, evaluation mode.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from convcli.net import parse_notation
from convcli.net.conventions import count
from tests.vision import prepare

MAP, ROWS, SERIES, VECTOR = (4, 9, 9), (9, 9, 4), (6, 12), (12,)

# words, how PyTorch spells them, its input, (ptflops, calflops, DeepSpeed)
CASES: list[tuple[str, str, tuple[int, ...], tuple[int, int, int]]] = [
    ("conv 8 3", "Conv2d(4, 8, 3)", MAP, (14504, 28616, 28616)),
    ("conv 8 3 nobias g2", "Conv2d(4, 8, 3, groups=2, bias=False)", MAP, (7056, 14112, 14112)),
    ("conv 8 3 g2", "Conv2d(4, 8, 3, groups=2)", MAP, (7448, 14504, 14504)),
    ("dwconv 3", "Conv2d(4, 4, 3, groups=4)", MAP, (1960, 3724, 3724)),
    ("upconv 8 3 s2", "ConvTranspose2d(4, 8, 3, 2)", MAP, (26216, 46784, 49544)),
    ("upconv 8 3 s2 g2", "ConvTranspose2d(4, 8, 3, 2, groups=2)", MAP, (14552, 11728, 26216)),
    ("upconv 8 3 s2 p1 op1", "ConvTranspose2d(4, 8, 3, 2, 1, 1)", MAP, (25920, 46856, 49248)),
    ("upconv 8 3 s2 nobias", "ConvTranspose2d(4, 8, 3, 2, bias=False)", MAP,
     (23328, 46656, 46656)),
    ("maxpool 3", "MaxPool2d(3)", MAP, (648, 324, 324)),
    ("avgpool 3", "AvgPool2d(3)", MAP, (648, 324, 324)),
    ("gap", "AdaptiveAvgPool2d(1)", MAP, (648, 324, 324)),
    ("gmp", "AdaptiveMaxPool2d(1)", MAP, (648, 324, 324)),
    ("adaptavg 3", "AdaptiveAvgPool2d(3)", MAP, (648, 324, 324)),
    ("bn", "BatchNorm2d(4)", MAP, (648, 648, 648)),
    ("ln", "LayerNorm(4)", ROWS, (324, 1620, 1620)),
    ("gn 2", "GroupNorm(2, 4)", MAP, (648, 1620, 1620)),
    ("instancenorm", "InstanceNorm2d(4, affine=True)", MAP, (648, 1620, 1620)),
    ("lrn 5", "LocalResponseNorm(5)", MAP, (1620, 1620, 1620)),
    ("dense 7", "Linear(4, 7)", ROWS, (2835, 4536, 4536)),
    ("upsample 2", "Upsample(scale_factor=2)", MAP, (2592, 324, 1296)),
    ("shuffle 2", "ChannelShuffle(2)", MAP, (0, 0, 0)),
    ("dropout 0.5", "Dropout(0.5)", MAP, (0, 0, 0)),
    ("relu", "ReLU()", MAP, (648, 324, 324)),
    ("relu6", "ReLU6()", MAP, (324, 0, 0)),
    ("leakyrelu", "LeakyReLU()", MAP, (324, 324, 324)),
    ("prelu", "PReLU(4)", MAP, (648, 324, 324)),
    ("elu", "ELU()", MAP, (648, 324, 324)),
    ("gelu", "GELU()", MAP, (648, 324, 324)),
    ("silu", "SiLU()", MAP, (324, 324, 324)),
    ("hardswish", "Hardswish()", MAP, (0, 0, 0)),
    ("tanh", "Tanh()", MAP, (0, 0, 0)),
    ("sigmoid", "Sigmoid()", MAP, (0, 0, 0)),
    ("softmax", "Softmax(1)", MAP, (324, 324, 324)),
    ("dense 7", "Linear(12, 7)", VECTOR, (91, 168, 168)),
    ("dense 7 nobias", "Linear(12, 7, bias=False)", VECTOR, (84, 168, 168)),
    ("lstm 5 seq", "LSTM(12, 5, batch_first=True)", SERIES, (2580, 4380, 4380)),
]  # fmt: skip

NAMES = [f"{words} on {len(shape)} axes" for words, _, shape, _ in CASES]


def ours(words: str, shape: tuple[int, ...], convention: str) -> int:
    if shape == MAP:
        shape = (*shape[1:], shape[0])
    text = f"input {'x'.join(map(str, shape))}, {words}"
    return count(parse_notation(text).trace(dialect="torch"), convention).work


@pytest.mark.parametrize(("words", "_", "shape", "figures"), CASES, ids=NAMES)
def test_the_tools_figures(
    words: str, _: str, shape: tuple[int, ...], figures: tuple[int, int, int]
) -> None:
    got = tuple(ours(words, shape, name) for name in ("ptflops", "calflops", "deepspeed"))
    assert got == figures


def test_a_suffix_counts_as_the_row() -> None:
    for convention in ("ptflops", "calflops", "deepspeed"):
        for kind in ("relu", "relu6", "elu", "silu", "softmax"):
            suffix = ours(f"conv 8 3 {kind}", MAP, convention)
            assert suffix == ours(f"conv 8 3, {kind}", MAP, convention), kind


@pytest.mark.parametrize("words", ["conv 8 3 same", "conv 8 1", "conv 8 5 s2", "dense 7"])
def test_alpha_flops_as_its_authors_calculate_it(words: str) -> None:
    """The lines of `mypredict` in make_plots.py, which comes with arXiv 2107.11949."""
    (step,) = parse_notation(f"input 30x20x4, {words}").trace().steps
    *sizes, channels = step.output_shape
    taps = int(np.prod(getattr(step.layer, "kernel", (1,))))
    beta, gamma = (0.02, 0.99) if taps == 1 else (0.001, 0.56)
    cells = np.prod(sizes)
    x = (np.log(taps) + 1 + beta * (cells - np.log(taps) - 1)) / cells
    ref = np.exp(gamma * np.log(x)) * 4 * channels * taps * cells
    assert ours(words, (30, 20, 4), "alpha-flops") == round(ref)
    assert ours("dense 7", (12,), "alpha-flops") == 84  # one cell has nothing to share


def modules() -> list[tuple[Any, tuple[int, ...], tuple[int, int, int]]]:
    """Return each module beside a parameter of its own; the profilers want a model to have one."""
    torch = pytest.importorskip("torch", reason="the tools count PyTorch modules")

    class Wrapped(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner, self.unused = inner, torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: Any) -> Any:
            return self.inner(x)

    return [
        (Wrapped(eval(spelled, vars(torch.nn).copy())).eval(), shape, figures)  # noqa: S307
        for _, spelled, shape, figures in CASES
    ]


def compared(tool: int, run: Callable[[Any, tuple[int, ...]], Any]) -> None:
    for (words, *_), (module, shape, figures) in zip(CASES, modules(), strict=True):
        assert run(module, shape) == figures[tool], words


def test_ptflops_itself() -> None:
    prepare()  # ptflops imports torchvision
    ptflops = pytest.importorskip("ptflops", reason="ptflops is not installed")
    compared(
        0,
        lambda module, shape: ptflops.get_model_complexity_info(
            module, shape, as_strings=False, print_per_layer_stat=False, ost=io.StringIO()
        )[0],
    )


def test_calflops_itself() -> None:
    calflops = pytest.importorskip("calflops", reason="calflops is not installed")
    compared(
        1,
        lambda module, shape: calflops.calculate_flops(
            module, (1, *shape), output_as_string=False, print_results=False, print_detailed=False
        )[0],
    )


def test_deepspeed_itself() -> None:
    profiler = pytest.importorskip(
        "deepspeed.profiling.flops_profiler", reason="DeepSpeed is not installed"
    )
    compared(
        2,
        lambda module, shape: profiler.get_model_profile(
            module, (1, *shape), as_string=False, print_profile=False, detailed=False
        )[0],
    )
