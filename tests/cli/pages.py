"""Live pages for their tests: networks as if they were trained, and what is done in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from convcli.cli.main import run
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel
from convcli.learn.prepare import Preprocessing
from convcli.net import parse_notation

LAST_FRAME = """({
    levels: Array.from(convcli.state.levels),
    values: convcli.state.run.values.map((values) => Array.from(values)),
    answers: Array.from(convcli.network.answers(convcli.state.run)),
})"""

NEXT_FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
NETWORKS = {
    "mnist": "input 28x28x1, conv 16 3 relu, maxpool 2, conv 32 3 relu, maxpool 2, flatten, "
    "dense 32 relu, dense 10 softmax",
    "lenet5": "input 28x28x1, conv 6 5 same tanh, avgpool 2, conv 16 5 tanh, avgpool 2, flatten, "
    "dense 120 tanh, dense 84 tanh, dense 10 softmax",
    "blocks": "input 15x14x3, conv 8 3 s2 same nobias, bn, silu, instancenorm, residual("
    "dwconv 3 same, conv 8 1 gelu), scale(gap, dense 4 hardswish, dense 8 sigmoid), "
    "concat(conv 4 3 p1 g2 elu | maxpool 3 s1 p1 | ), "
    "dropout 0.2, sepconv 6 3 d2 leakyrelu, prelu, adaptavg 3, gmp, dense 5 softmax",
    "series": "input 40x3, conv 6 5 s2 same relu, maxpool 3 s2 p1, bn, dwconv 3 same, "
    "residual(conv 6 3 d2 same), concat(conv 2 1 | avgpool 3 s1 p1), flatten, dense 7 tanh, "
    "dense 4 softmax",
    "enlarging": "input 10x9x1, conv 4 3 s2 p1 mish, upconv 6 3 s2 p1 op1 softplus, crop 1, gn 3, "
    "upconv 4 2 g2 d2, ln, upsample 2, hardsigmoid, upsample 1.5 bilinear, rmsnorm, lrn 3, l2norm, "
    "adaptmax 5x4, reshape 4x5x4, dense 5 logsoftmax, clip -2:0.5, leakyrelu 0.3, elu 2, flatten, "
    "dense 6 tanh, dense 3 softmax",
    "dealt": "input 8x8x3, pixelunshuffle 2, shuffle 3, conv 8 1, mul(conv 8 3 same | "
    "conv 8 3 same sigmoid), pixelshuffle 2, permute 1x0x2, slice 0:2, pad 1, avgpool 3 s2 ceil "
    "countpad p1, residual(conv 2 1, layerscale 0.5), dropout 0.3, dropout2d 0.2, bn noscale, "
    "dense 4 softmax, gap",
    "lstm": "input 12x2, lstm 4 seq bi, lstm 3 biases=2, dense 3 softmax",
    "gru": "input 12x2, gru 4 seq, conv 3 3 relu, gru 3 bi biases=1, dense 3 softmax",
    "vector": "input 6, dense 5 tanh, bn, residual(dense 5 relu), dense 3 softmax",
    "pair": "input 12x12x1, conv 3 3 relu, gap, dense 1 sigmoid",
    "averages": "input 9x9x1, pad 1, avgpool 3 s2 p1, avgpool 2 s1 p1 countpad, relu6, gap, "
    "dense 3 softmax",
}


def trained(notation: str, **preparation: Any) -> TrainedModel:
    """Return a network with asymmetric weights and running statistics, as if it were trained."""
    network = parse_notation(notation)
    model = Model.initialize(network, seed=7)
    random = np.random.default_rng(7)
    for name, array in {**model.parameters, **model.buffers}.items():
        noise = random.normal(scale=0.2, size=array.shape)
        array[...] += np.abs(noise) if name.endswith("variance") else noise
    count = max(2, network.trace().output_shape[-1])
    classes = tuple(f"class {index}" for index in range(count))
    given = {"scale": (1 / 255,), "offset": (0.0,)} | preparation
    return TrainedModel(model, classes, Preprocessing(network.input_shape, **given))


def opened(browser: Any, path: Path) -> Any:
    """Open the page at `path` and fail on anything the browser complains about."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.complaints = []
    page.on("pageerror", lambda problem: page.complaints.append(str(problem)))
    page.on("request", lambda request: page.complaints.append(request.url))
    page.goto(path.as_uri())
    page.complaints.remove(path.as_uri())
    return page


def draw(page: Any, points: list[tuple[int, int]]) -> None:
    """Draw one stroke on the pad, and wait for the answer to it."""
    pad = page.locator("#pad").bounding_box()
    scale = pad["width"] / 280
    moves = [(pad["x"] + x * scale, pad["y"] + y * scale) for x, y in points]
    page.mouse.move(*moves[0])
    page.mouse.down()
    for move in moves[1:]:
        page.mouse.move(*move, steps=4)
    page.mouse.up()
    settle(page)


def stored(levels: list[float], model: TrainedModel) -> Any:
    """Return what the page read of a drawing as `predict` takes it: bytes, or a series."""
    shape = model.network.input_shape
    return np.array(levels, np.float32 if len(shape) < 3 else np.uint8).reshape(shape)


SEVEN = [(80, 70), (120, 65), (185, 70), (190, 85), (150, 140), (125, 220)]


def pictures_of_a_seven(folder: Path) -> Iterator[Path]:
    """Draw it thin and thick, dark on light and light on dark, with dirt, large, and in color."""
    for number, (side, pen, ink) in enumerate(
        [(100, 6, 20), (128, 16, 20), (280, 18, 250), (700, 40, 20)]
    ):
        paper = 270 - ink
        picture = Image.new("RGB", (side, side + 20), (paper, paper, paper))
        brush = ImageDraw.Draw(picture)
        line = [(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]
        brush.line([(x * side, y * side) for x, y in line], (ink, ink, 40), pen, "curve")
        brush.point((3, 3), (ink, ink, ink))
        picture.save(folder / f"{number}.png")
        yield folder / f"{number}.png"


def made_page(folder: Path, notation: str, *words: str) -> Path:
    """Return the page of an untrained network."""
    trained(notation).save(folder / "model.safetensors")
    call = ["page", str(folder / "model.safetensors"), "-o", str(folder / "p.html"), "--quiet"]
    assert run([*call, *words]) == 0
    return folder / "p.html"


def settle(page: Any) -> None:
    page.evaluate(NEXT_FRAME)
