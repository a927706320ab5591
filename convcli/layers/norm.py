"""Normalization: by batch statistics, by layer, by groups of channels, by neighbors in depth."""

from __future__ import annotations

from convcli.layers.base import Layer, Shape, ShapeError, Work, elements, nearest_divisor
from convcli.layers.elsewhere import Elsewhere, Keras, Onnx, Torch
from convcli.layers.registry import word

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "L2Norm", "LayerNorm", "LocalResponseNorm"]
__all__ += ["RMSNorm"]

SCALE_AND_SHIFT = {"scale": "weight", "shift": "bias"}
"""PyTorch's names of one number per channel to multiply by, and one to add."""

SCALED_AND_SHIFTED = {"center": True, "scale": True}
"""Keras' switches for both."""


def check_eps(eps: float) -> None:
    """Refuse what would divide by zero or take the root of a negative number."""
    if not eps > 0:
        raise ShapeError(f"eps is {eps}. Use a small positive number such as 1e-5.")


@word("bn", "bn")
class BatchNorm(Layer):
    """Scale and shift per channel by running statistics; `momentum` weighs the new ones (PyTorch).

    >>> BatchNorm().weights((8, 8, 64)), BatchNorm().buffers((8, 8, 64))["mean"]
    ({'scale': (64,), 'shift': (64,)}, (64,))
    """

    scale: bool = True
    eps: float = 1e-5
    momentum: float = 0.1

    elsewhere = Elsewhere(
        Torch(
            "BatchNorm{rank}d({channels}, eps={eps}, momentum={momentum})",
            {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"},
        ),
        Onnx(
            "BatchNormalization",
            {"epsilon": "eps"},
            dict.fromkeys(("scale", "shift", "mean", "variance"), "c -> c"),
        ),
        Keras(
            "BatchNormalization",
            {"epsilon": "eps", "momentum": "momentum", "scale": "scale"},
            only={"center": True},
        ),
    )
    role = "norm"
    keeps = "input"

    def __post_init__(self) -> None:
        check_eps(self.eps)
        if not 0 < self.momentum <= 1:
            raise ShapeError(
                f"momentum {self.momentum} is not in 0 < momentum <= 1. It weighs the new "
                f"statistics (PyTorch's sense): Keras' 0.99 is 0.01 here."
            )

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return shift (in_channels,) and, unless left out, scale (in_channels,)."""
        channels = input_shape[-1:]
        return ({"scale": channels} if self.scale else {}) | {"shift": channels}

    def buffers(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the running mean and variance, (in_channels,) each."""
        return {"mean": input_shape[-1:], "variance": input_shape[-1:]}

    def flops(self, input_shape: Shape) -> Work:
        """Return 2 for each element: at inference it is one scale and one shift."""
        return {"normalization": 2 * elements(input_shape)}


class SampleNorm(Layer):
    """What the norms share that take their statistics from the sample itself."""

    __slots__ = ()
    eps: float

    steps = "mean, center, square, sum, divide, scale, shift"

    role = "norm"
    keeps = "input"

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        check_eps(self.eps)

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return scale and shift, (in_channels,) each."""
        return {"scale": input_shape[-1:], "shift": input_shape[-1:]}

    def flops(self, input_shape: Shape) -> Work:
        """Return one operation for each of `steps` and each element."""
        return {"normalization": (self.steps.count(",") + 1) * elements(input_shape)}


@word("ln", "ln")
class LayerNorm(SampleNorm):
    """Normalize over the channels of each cell (Keras' default axis).

    >>> LayerNorm().weights((8, 8, 64))
    {'scale': (64,), 'shift': (64,)}
    """

    eps: float = 1e-5

    elsewhere = Elsewhere(
        Torch("LayerNorm({channels}, eps={eps})", SCALE_AND_SHIFT),
        Onnx("LayerNormalization"),
        Keras(
            "LayerNormalization",
            {"epsilon": "eps"},
            only=SCALED_AND_SHIFTED | {"rms_scaling": False},
        ),
    )


@word("gn", "gn 8")
class GroupNorm(SampleNorm):
    """Normalize over all cells of each of `groups` groups of channels (Wu and He 2018).

    Its statistics span the whole map; as is the custom, they do not count as receptive field.

    >>> GroupNorm(groups=8).weights((8, 8, 64))["scale"]
    (64,)
    """

    groups: int
    eps: float = 1e-5

    elsewhere = Elsewhere(
        Torch("GroupNorm({groups}, {channels}, eps={eps})", SCALE_AND_SHIFT),
        Onnx("GroupNormalization"),
        Keras(
            "GroupNormalization",
            {"groups": "groups", "epsilon": "eps"},
            only=SCALED_AND_SHIFTED,
        ),
    )
    positive_fields = ("groups",)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        channels = input_shape[-1]
        if channels % self.groups:
            raise ShapeError(
                f"{self.groups} groups do not divide {channels} channels. "
                f"Use gn {nearest_divisor(self.groups, channels)}."
            )
        return input_shape


@word("instancenorm", "instancenorm")
class InstanceNorm(SampleNorm):
    """Normalize each channel over all cells of its map (Ulyanov et al. 2016).

    As with group norm, the statistics do not count as receptive field.

    >>> InstanceNorm().weights((8, 8, 64))["scale"]
    (64,)
    """

    eps: float = 1e-5

    elsewhere = Elsewhere(
        Torch("InstanceNorm{rank}d({channels}, eps={eps}, affine=True)", SCALE_AND_SHIFT),
        Onnx("InstanceNormalization", {"epsilon": "eps"}, {"scale": "c -> c", "shift": "c -> c"}),
        Keras("GroupNormalization", {"groups": -1, "epsilon": "eps"}, only=SCALED_AND_SHIFTED),
    )
    needs_map = True


@word("rmsnorm", "rmsnorm")
class RMSNorm(SampleNorm):
    """Divide the channels of each cell by the root of their mean square, and scale (Zhang 2019).

    >>> RMSNorm().weights((8, 8, 64))
    {'scale': (64,)}
    """

    eps: float = 1e-5

    steps = "square, sum, divide, scale"
    elsewhere = Elsewhere(
        Torch("RMSNorm({channels}, eps={eps})", {"scale": "weight"}),
        Onnx("RMSNormalization"),
        Keras("RMSNormalization", {"epsilon": "eps"}),
    )

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return scale (in_channels,)."""
        return {"scale": input_shape[-1:]}


@word("l2norm", "l2norm")
class L2Norm(Layer):
    """The channels of each cell as a vector of length 1: embeddings, compared by their angle.

    A cell of zeros stays zeros. As FaceNet ends (Schroff, Kalenichenko and Philbin 2015).

    >>> L2Norm().flops((4, 4, 8))
    {'normalization': 384}
    """

    steps = "square, sum, divide"
    elsewhere = Elsewhere(
        Torch("F.normalize({x})"),
        Onnx("LpNormalization", {"axis": 1, "p": 2}),
        Keras("UnitNormalization", only={"axis": -1}),
    )
    page = ()
    role = "norm"
    keeps = "input"

    def flops(self, input_shape: Shape) -> Work:
        """Return 3 for each element; the root of each cell is left out."""
        return {"normalization": 3 * elements(input_shape)}


@word("lrn", "lrn 5")
class LocalResponseNorm(Layer):
    """Divide by `(k + alpha / size * sum of squares of `size` channels) ** beta` (AlexNet 2012).

    >>> LocalResponseNorm(size=5).flops((1, 1, 10))
    {'normalization': 90}
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    elsewhere = Elsewhere(
        Torch("F.local_response_norm({x}, {size}, {alpha}, {beta}, {k})"),
        Onnx("LRN", {"size": "size", "alpha": "alpha", "beta": "beta", "bias": "k"}),
        also=("localresponsenorm",),
    )
    role = "norm"
    keeps = "input"
    positive_fields = ("size",)

    def flops(self, input_shape: Shape) -> Work:
        """Return for each element: square 1, sum size - 1, scale 1, add 1, power 1, divide 1."""
        return {"normalization": (self.size + 4) * elements(input_shape)}
