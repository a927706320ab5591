"""The five lectures' 103 things, each as a command with its figure as the lecture prints it.

Where a lecture misprints, the row has the right figure and says what stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EDGE = '"1 0 -1; 1 0 -1; 1 0 -1"'
SIX = "3 0 1 2 7 4\n1 5 8 9 3 1\n2 7 2 5 1 3\n0 1 3 1 7 8\n4 2 1 6 2 8\n2 4 5 2 3 9\n"
FILES = {
    "six.txt": SIX,
    "cross.txt": "0 0 255 0 0\n0 0 255 0 0\n255 255 255 255 255\n0 0 255 0 0\n0 0 255 0 0\n",
    "binary.txt": "1 1 1 0 0\n0 1 1 1 0\n0 0 1 1 1\n0 0 1 1 0\n0 1 1 0 0\n",
    "four.txt": "2 3 1 9\n4 7 3 5\n8 2 2 2\n1 3 4 5\n",
    "moved.txt": "3 1 9 9\n7 3 5 5\n2 2 2 2\n3 4 5 5\n",
    "seven.txt": "2 3 7 4 6 2 9\n6 6 9 8 7 4 3\n3 4 8 3 8 9 7\n7 8 3 6 6 3 4\n4 2 1 8 3 4 6\n"
    "3 2 4 1 9 8 3\n0 1 3 9 2 1 4\n",
    "second.txt": "1 2 3 1 3 5\n2 2 5 4 2 5\n0 6 9 6 2 2\n2 0 1 9 4 0\n5 5 4 6 7 6\n6 1 3 7 1 5\n",
    "square.txt": "60 113 56 139 85\n73 121 54 84 128\n131 99 70 129 127\n80 57 115 69 134\n"
    "104 126 123 95 130\n",
    "dot.txt": "0 0 0 0\n0 9 0 0\n0 0 0 0\n",
    "dot-moved.txt": "0 0 0 0\n0 0 9 0\n0 0 0 0\n",
    "small.txt": "1 2\n3 5\n",
}
RPS = [2687, 5039, 10283, 22931, 56867, 159299, 307811, 502403, 1029827]
"""Parameters of the rock-paper-scissors family for n = 1, 2, 4, 8, 16, 32, 48, 64, 96."""


@dataclass(frozen=True)
class Row:
    """One thing of a lecture.

    Attributes:
        says: what it is.
        command: that does it, behind `convcli`; `MODEL` is a small trained network of digits,
            `DIGIT` a picture of one, `PHOTO` a picture in color.
        prints: what stands in the output, however many blanks there are.
        gives: fields of the JSON document -> their values; `totals.params` is a path.
        same_as: another command, whose document has the same values.
        writes: a file that the command makes; a pattern.
        code: how it exits.
        misprint: what the lecture prints instead.
    """

    says: str
    command: str
    prints: tuple[str, ...] = ()
    gives: Mapping[str, Any] = field(default_factory=dict)
    same_as: str = ""
    writes: str = ""
    code: int = 0
    misprint: str = ""


def _kernel(says: str, name: str, rows: list[list[int]], **more: Any) -> Row:
    return Row(says, f"kernels {name}", gives={"rows": rows, **more})


def _params(says: str, network: str, params: int, misprint: str = "", **more: Any) -> Row:
    figures = {"totals.params": params, **more}
    return Row(says, f"shape '{network}'", gives=figures, misprint=misprint)


PICTURES = (
    Row(
        "a picture is a matrix of numbers",
        "filter cross.txt -k identity",
        ("0 0 255 0 0 0 0 255 0 0 255 255 255 255 255",),
    ),
    Row(
        "a color picture has three of them",
        "filter PHOTO -k identity -o same.png",
        gives={"0.shape": [480, 640, 3]},
    ),
    Row(
        "flattened it is a row: 28x28 becomes 784",
        "shape 'input 28x28x1, flatten' --explain",
        ("All cells stand in one row", "28x28x1 -> 784"),
    ),
    Row(
        "the 6x6 picture with a vertical edge",
        f"filter six.txt -k {EDGE} --padding valid",
        ("-5 -4 0 8 -10 -2 2 3 0 -2 -4 -7 -3 -2 -3 -16",),
    ),
    Row(
        "its first sum, term by term",
        f"filter six.txt -k {EDGE} --padding valid --explain 0,0",
        gives={"sum": -5, "components.0.terms.0.product": 3, "components.0.terms.8.product": -2},
    ),
    Row(
        "the 5x5 binary picture begins with 4",
        "explain conv binary.txt -k '1 0 1; 0 1 0; 1 0 1'",
        gives={"sum": 4, "output": [[4, 3, 4], [2, 4, 3], [2, 3, 4]]},
    ),
    Row(
        "stride 2 on 7x7",
        "filter seven.txt -k '3 4 4; 1 0 2; -1 0 3' --padding valid --stride 2",
        ("91 100 88 69 91 117 44 72 74",),
        misprint="83 for 88, 127 for 117",
    ),
    Row(
        "another 6x6 picture",
        f"filter second.txt -k {EDGE} --padding valid",
        ("-14 -1 10 -1 -11 -11 7 12 -7 -10 1 13 5 -16 -4 11",),
        misprint="10 for the last 11",
    ),
    Row(
        "the same with stride 2",
        f"filter second.txt -k {EDGE} --padding valid --stride 2",
        ("-14 10 -7 1",),
    ),
    Row(
        "sharpened with zeros around",
        "filter square.txt -k '0 -1 0; -1 5 -1; 0 -1 0' --border zero",
        ("114 328 -26 470 158", "53 266"),
    ),
    _kernel("the mean of 3x3", "mean", [[1] * 3] * 3, divisor=9),
    Row(
        "the Gaussian of 7x7, sum 1068",
        "kernels gaussian-lecture",
        gives={
            "rows.0": [0, 0, 0, 5, 0, 0, 0],
            "rows.3": [5, 32, 100, 100, 100, 32, 5],
            "divisor": 1068,
            "sum": 1,
        },
    ),
    _kernel("horizontal lines", "line-horizontal", [[-1, -1, -1], [2, 2, 2], [-1, -1, -1]]),
    _kernel("vertical lines", "line-vertical", [[-1, 2, -1]] * 3),
    _kernel("lines of 45 degrees", "line-45", [[-1, -1, 2], [-1, 2, -1], [2, -1, -1]]),
    _kernel("lines of 135 degrees", "line-135", [[2, -1, -1], [-1, 2, -1], [-1, -1, 2]]),
    _kernel("Sobel, horizontal", "sobel-horizontal", [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    _kernel("Sobel, vertical", "sobel-vertical", [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    _kernel("Laplacian with 4 neighbors", "laplacian-4", [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    _kernel("Laplacian with 8 neighbors", "laplacian-8", [[1, 1, 1], [1, -8, 1], [1, 1, 1]]),
    _kernel(
        "Laplacian of Gaussian of 5x5",
        "laplacian-of-gaussian",
        [
            [0, 0, -1, 0, 0],
            [0, -1, -2, -1, 0],
            [-1, -2, 16, -2, -1],
            [0, -1, -2, -1, 0],
            [0, 0, -1, 0, 0],
        ],
    ),
    _kernel("central difference", "central-difference", [[-1, 0, 1]]),
    _kernel("sharpen", "sharpen", [[0, -1, 0], [-1, 5, -1], [0, -1, 0]], sum=1),
    _kernel("edge-detect", "edge-detect", [[0, -1, 0], [-1, 4, -1], [0, -1, 0]]),
    _kernel("emboss", "emboss", [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], sum=1),
    _kernel("a vertical edge", "edge-vertical", [[1, 0, -1]] * 3),
    Row(
        "GIMP's blur as printed gives a white picture",
        "filter PHOTO -k '1 1 1; 1 1 1; 1 1 1' -o white.png",
        ("because the kernel's sum is 9, not 1: --normalize",),
        writes="white.png",
    ),
    Row(
        "GIMP's divisor and offset",
        "filter cross.txt -k '1 1; 1 1' --divisor 2 --offset 128 --padding valid",
        ("128 383 383 128 383 510.5 510.5 383",),
    ),
    Row(
        "the definition turns the kernel round",
        "filter dot.txt -k '0 0 0; 1 0 0; 0 0 0' --border zero --convolve",
        ("0 0 0 0 9 0 0 0 0 0 0 0",),
    ),
    Row(
        "correlation does not",
        "filter dot.txt -k '0 0 0; 1 0 0; 0 0 0' --border zero",
        ("0 0 0 0 0 0 9 0 0 0 0 0",),
    ),
    Row(
        "they agree for an even kernel",
        "filter six.txt -k gaussian-7-1068 --convolve",
        same_as="filter six.txt -k gaussian-7-1068",
    ),
    Row(
        "convolution is linear",
        "filter six.txt -k '3 0 -3; 3 0 -3; 3 0 -3'",
        same_as=f"filter six.txt -k {EDGE} -k scale:3",
    ),
    Row(
        "shift-equivariant",
        "explain translation DIGIT --shift 4,3",
        ("shifted back, the map is the same to the last bit",),
    ),
    Row(
        "commutative",
        "filter six.txt -k '1 2; 3 5' --convolve --padding full --border zero",
        same_as="filter small.txt -k six.txt --convolve --padding full --border zero",
    ),
    Row(
        "associative: a chain is one kernel",
        "filter six.txt -k '1 2; 3 5' -k '1 0; 2 -1' --convolve --padding full --border zero",
        same_as="filter six.txt -k '1 2 0; 5 8 -2; 6 7 -5' --convolve --padding full --border zero",
    ),
    Row(
        "and the one kernel is printed",
        "kernels -k '1 2 1' -k '1 0 -1'",
        gives={"rows": [[1, 2, 0, -2, -1]]},
    ),
    Row(
        "distributive: kernels add up",
        "explain conv '1 2; 3 4 | 1 2; 3 4' -k '1 0; 0 1 | 2 2; 3 3'",
        gives={"sum": 1 * 3 + 2 * 2 + 3 * 3 + 4 * 4},
    ),
    Row(
        "a ReLU is a step on each point",
        f"filter six.txt -k {EDGE} -k relu --padding valid",
        ("0 0 0 8 0 0 2 3 0 0 0 0 0 0 0 0",),
    ),
    Row(
        "padding keeps the size",
        f"explain conv six.txt -k {EDGE} --padding same",
        gives={"output.0.0": -5, "output.5.5": 5},
    ),
    Row(
        "a kernel has as many channels as its input",
        "explain conv '1 2; 3 4 | 5 6; 7 8' -k '1 0; 0 1'",
        ("the input has 2 channels, the kernel 1 channel. A kernel has as many channels",),
        code=3,
    ),
    Row(
        "products of all channels are added",
        "explain conv '1 2; 3 4 | 5 6; 7 8' -k '1 0; 0 1 | 1 1; 1 1'",
        gives={"sum": 1 + 4 + 26},
    ),
    Row(
        "convolution along one axis",
        "explain conv '1 2 3 4 5' -k '1 0 -1'",
        gives={"output": [[-2, -2, -2]]},
    ),
    Row(
        "convolution along three",
        "shape 'input 16x32x32x1, conv 8 3'",
        gives={"layers.0.output": [14, 30, 30, 8], "totals.params": 224},
    ),
    Row("maximum of 2x2", "pool four.txt --max 2", ("7 9 8 5",)),
    Row("mean of 2x2", "pool four.txt --avg 2", ("4 4.5 3.5 3.25",), misprint="3.25 for 3.5"),
    Row(
        "the same with the window spelled out",
        "explain pool four.txt --avg 2",
        gives={"result": 4, "output": [[4, 4.5], [3.5, 3.25]]},
    ),
    Row(
        "pooled, a small shift is nearly nothing",
        "explain translation DIGIT --shift 1,1",
        ("maxpool 8", "the maximum of all does not change"),
    ),
    Row(
        "only the chosen pixel gets the gradient",
        "explain pool four.txt --max 2 --at 0,1 --gradient 5",
        ("0,3 9 5", "Only the largest"),
    ),
)

SHAPES = (
    Row(
        "floor((m + 2p - f) / s) + 1 with its numbers",
        "shape 'input 28x28x1, conv 16 3' --explain",
        ("floor((28 + 0 + 0 - 3) / 1) + 1 = 26",),
    ),
    Row(
        "P as the total padding, before and after",
        "shape 'input 28x28x1, conv 16 4 same' --explain",
        ("floor((28 + 1 + 2 - 4) / 1) + 1 = 28",),
    ),
    Row(
        "32x32x3, 12 filters of 6x6, stride 2",
        "shape 'input 32x32x3, conv 12 6 s2'",
        gives={"layers.0.output": [14, 14, 12]},
    ),
    _params(
        "6x6x3 with 10 filters of 3x3",
        "input 6x6x3, conv 10 3",
        280,
        **{"layers.0.output": [4, 4, 10]},
    ),
    _params("3 maps to 2 maps", "input 8x8x3, conv 2 3", 56),
    _params("32x32 into 256 units", "input 32x32x1, flatten, dense 256", 262_400),
    _params("256 filters of 3x3", "input 32x32x1, conv 256 3", 2_560),
    _params(
        "200x200 into 500 units: 20 million", "input 200x200x1, flatten, dense 500", 20_000_500
    ),
    _params(
        "1000x1000x3 into 1,000 units: 3 billion",
        "input 1000x1000x3, flatten, dense 1000",
        3_000_001_000,
    ),
    _params("5 inputs, dense", "input 5, dense 5", 30),
    _params("5 inputs, 3 taps", "input 5x1, conv 1 3", 4),
    Row(
        "two of them see all 5",
        "shape 'input 5x1, conv 1 3, conv 1 3'",
        gives={"totals.receptive_field": [5]},
    ),
    Row(
        "sparse connections, shared weights",
        "explain conv '1 2 3 4 5' -k '1 2 3' --as-layer",
        gives={"layer.wires": 9, "layer.dense_wires": 15, "layer.weights": 3},
    ),
    Row(
        "a convolution is a banded matrix",
        "explain conv '1 2 3 4' -k '5 7' --as-layer",
        gives={"layer.matrix": [[5, 7, 0, 0], [0, 5, 7, 0], [0, 0, 5, 7]]},
    ),
    Row(
        "FLOPs of a dense layer",
        "shape 'input 100, dense 10'",
        gives={"totals.macs": 1000, "totals.flops": 2010},
    ),
    Row(
        "FLOPs of a convolution",
        "shape 'input 32x32x3, conv 12 6 s2'",
        gives={"totals.macs": 14 * 14 * 12 * 6 * 6 * 3},
    ),
    Row(
        "FLOPs are no measure of cost: time beside them",
        "shape mnist --time --batch 4",
        ("GFLOP/s", "Times are for 4 samples"),
    ),
    Row(
        "out of memory: what to do",
        "shape resnet50 --batch 64 --memory-limit 4GiB",
        ("halves the activations",),
    ),
    Row(
        "six 3x3 convolutions see 13",
        "shape 'input 32x32x1, repeat 6 (conv 8 3 same)'",
        gives={"totals.receptive_field": [13, 13]},
    ),
    Row(
        "(conv 3, max-pool 2) three times: 3 4 8 10 18 22",
        "shape 'input 64x64x1, repeat 3 (conv 8 3, maxpool 2)'",
        gives={f"layers.{n}.receptive_field": [r, r] for n, r in enumerate((3, 4, 8, 10, 18, 22))},
    ),
    _params(
        "the network for MNIST",
        "mnist",
        30_762,
        **{
            "layers.0.params": 160,
            "layers.2.params": 4640,
            "layers.5.params": 25_632,
            "layers.6.params": 330,
        },
    ),
    *(
        _params(f"rock, paper, scissors, n = {n}", f"rps:n={n}", params)
        for n, params in zip((1, 2, 4, 8, 16, 32, 48, 64, 96), RPS, strict=True)
        if n in {1, 16, 96}
    ),
    Row(
        "its third summary is n = 128",
        "shape rps n=128",
        gives={"totals.params": 1_741_571},
        misprint="n = 128 is outside the printed sweep",
    ),
    _params("LeNet-5, the table", "lenet5", 61_706),
    _params(
        "LeNet-5, the Keras listing",
        "lenet5-keras",
        545_546,
        misprint="its first pooling has stride 1",
    ),
    _params("AlexNet", "alexnet", 62_378_344),
    Row(
        "AlexNet's '6 FC 9216' is the flatten",
        "shape alexnet --columns name,output,params",
        ("flatten1 9216",),
        misprint="a dense layer of 9216 would add 84.9 M",
    ),
    _params("VGG-16", "vgg16", 138_357_544),
    _params("GoogLeNet", "googlenet", 6_998_552),
    _params("ResNet-50", "resnet50", 25_557_032),
    _params("Inception v3", "inception-v3", 23_834_568),
    Row(
        "a dense layer is a convolution",
        "convolutionalize MODEL -o fcn.safetensors",
        writes="fcn.safetensors",
    ),
)

TRAINING = (
    Row(
        "MNIST: 60,000 and 10,000 of 28x28",
        "train mnist --data digits --samples 200 --dry-run",
        ("30,762",),
    ),
    Row(
        "Adam 0.001, batch 128, 10 epochs, nothing held out, 99.48 and 98.92 %",
        "train mnist --data digits --samples 200 --epochs 1 --recipe lecture -o lecture",
        ("The lecture reports 99.48% on training and 98.92% on test data",),
    ),
    Row(
        "one-hot labels and cross-entropy",
        "explain softmax '2 1 0.1' --target 0",
        gives={"loss": 0.417, "gradient": [-0.341, 0.2424, 0.09857]},
    ),
    Row("ReLU", "shape --layers relu", ("max(x, 0)",)),
    Row(
        "sigmoid and tanh",
        "explain dense '0' --weights '1' --activation sigmoid",
        gives={"output": 0.5},
    ),
    Row(
        "batch normalization",
        "explain bn '1 2 3 4'",
        gives={"mean": 2.5, "variance": 1.25, "output": [-1.342, -0.447, 0.447, 1.342]},
    ),
    Row("dropout", "shape --layers dropout", ("Dropout",)),
    Row("spatial dropout", "shape --layers dropout2d", ("Dropout2d", "SpatialDropout")),
    Row(
        "LSTM, the rival for series",
        "shape har-lstm",
        gives={"layers.0.params": 4 * 64 * (9 + 64 + 1)},
    ),
    Row("Adam's steps", "explain adam '0.5' --weight 1 --lr 0.1", gives={"0.weight": 0.9}),
    Row(
        "the gradient by hand",
        f"explain conv six.txt -k {EDGE} --backward",
        gives={"weight_gradient.sum": 50, "input_gradient.sum": 1},
    ),
    Row(
        "gradients are checked",
        "gradcheck 'input 6x6x2, conv 2 3 relu, flatten, dense 3 softmax'",
        ("hold",),
    ),
    Row(
        "early stopping, best epoch",
        "train mnist --data digits --samples 300 --epochs 4 --patience 1 -o early",
        ("Best epoch",),
        writes="early/model.safetensors",
    ),
    Row("learning curves", "show curves MODEL -o curves.svg", writes="curves.svg"),
    Row(
        "TensorBoard",
        "train mnist --data digits --samples 200 --epochs 1 --tensorboard -o board",
        writes="board/events.out.tfevents.*",
    ),
    Row(
        "k folds",
        "train mnist --data digits --samples 200 --epochs 1 --folds 2 -o folds",
        ("folds",),
    ),
    Row(
        "hold-out",
        "train mnist --data digits --samples 200 --epochs 1 --val 0.25 -o held",
        ("Val",),
    ),
    Row(
        "a baseline: always the commonest class",
        "train mnist --data digits --samples 200 --epochs 1 -o baseline",
        ("Always telling the commonest class is right in",),
    ),
    Row(
        "over-fit first",
        "train mnist --data digits --overfit 20 --epochs 30 -o overfit",
        ("100.00%",),
    ),
    Row(
        "then regularize",
        "train mnist --data digits --samples 200 --epochs 1 --weight-decay 1e-3 "
        "--augment shift=2 -o regular",
        writes="regular/report.html",
    ),
    Row(
        "grid search",
        "sweep mnist lr=0.001,0.01 --data digits --samples 200 --epochs 1 --jobs 1 -o grid",
        writes="grid",
    ),
    Row(
        "random search",
        "sweep mnist lr=1e-3..1e-1:log --search random --trials 2 --data digits "
        "--samples 200 --epochs 1 --jobs 1 -o random",
        writes="random",
    ),
    Row(
        "filters n = 1, 2: under- and over-fitting",
        "sweep rps n=1,2 --data hands --samples 60 --epochs 1 --jobs 1 -o n",
        writes="n",
    ),
    Row("human activity: windows of 128x9", "data activity --samples 60", ("128x9",)),
    Row("its network", "shape har", gives={"input": [128, 9]}),
    Row("room occupancy: 10 minutes of 5 signals", "data occupancy --samples 60", ("10x5",)),
    Row(
        "occupied or not: one sigmoid",
        "train occupancy --samples 60 --epochs 1 -o room",
        writes="room/model.safetensors",
    ),
    Row("CNN against LSTM", "compare har har-lstm", ("lstm 64", "conv 64 3 relu")),
    Row(
        "robust against noise, shift and lost channels",
        "evaluate MODEL --data digits --samples 100 --perturb noise=0..0.3,shift=0..4 "
        "-o robust.png",
        writes="robust.png",
    ),
    Row(
        "features for another classifier",
        "features MODEL digits --samples 60 --layer maxpool2 -o features.npz",
        writes="features.npz",
    ),
    Row(
        "freeze and fine-tune",
        "train mnist --init MODEL --freeze 'conv*' --data digits "
        "--samples 200 --epochs 1 -o frozen",
        ("4 layers from model: conv1, conv2, dense1, dense2",),
    ),
)

SEEING = (
    Row("first filters as a grid", "show filters MODEL -o filters.png", writes="filters.png"),
    Row(
        "the answer of every layer",
        "show activations MODEL DIGIT -o maps.png",
        ("26x26x16",),
        writes="maps.png",
    ),
    Row(
        "inputs that excite a unit",
        "show maximize MODEL --unit conv1:2 --steps 0,1,5 -o ascent.png",
        writes="ascent.png",
    ),
    Row(
        "the receptive field on the input",
        "show receptive mnist --at conv2:5,5 -o field.png",
        gives={"input.rows": [10, 17], "receptive_field": [8, 8]},
        writes="field.png",
    ),
    Row("a digit drawn by hand, live", "page MODEL -o live.html", writes="live.html"),
    Row(
        "a classifier slides over a larger picture",
        "show heatmap sliding.safetensors DIGIT -o heat.png",
        writes="heat.png",
    ),
    Row(
        "an MLP does not mind permuted pixels, a CNN does",
        "explain permutation --samples 300 --epochs 1 -o permuted.png",
        writes="permuted.png",
    ),
)

NOT_HERE = {
    "99.48 and 98.92 % to the digit": "one run of another library whose seed is not told; the mean "
    "of three seeds here is 98.71 %, and the recipe prints both",
    "photos of rock, paper and scissors": "they are other people's; `hands` are drawn instead",
    "recordings of human activity and of a room": "they are other people's; `activity` and "
    "`occupancy` are made instead, and the files of the UCI are read",
}
