"""One Keras layer's configuration as layers on paper, or a sentence why there are none for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from convcli.errors import ConvcliError, InputError
from convcli.geometry import keras_transposed
from convcli.layers import (
    LSTM,
    Activation,
    AdaptiveAveragePool,
    AveragePool,
    BatchNorm,
    Conv,
    Crop,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    MaxPool,
    Pad,
    PReLU,
    Reshape,
    SeparableConv,
    TransposedConv,
    Upsample,
)
from convcli.layers.activation import ACTIVATIONS as KINDS
from convcli.layers.conv import output_padding
from convcli.layers.registry import WORDS

Config = Mapping[str, Any]

ACTIVATIONS = {
    row.elsewhere.keras.kind: kind for kind, row in KINDS.items() if row.elsewhere.keras
} | {"swish": "silu", "hard_swish": "hardswish"}
"""Keras' name -> ours; `linear` is none at all."""


@dataclass(slots=True)
class KerasLayer:
    """One entry of a Keras configuration, and what is said about it while it is read.

    Attributes:
        name: Keras' name of the layer.
        kind: its class.
        config: its settings.
        input_shape: without the batch, None where Keras leaves it open or does not say.
        notes: where reading it changed something that no figure depends on.
        inexact: whether its outputs are then other than Keras'.
    """

    name: str
    kind: str
    config: Config
    input_shape: tuple[int | None, ...] = ()
    notes: list[str] = field(default_factory=list)
    inexact: bool = False

    def problem(self, fact: str) -> InputError:
        """Return the error that names this layer."""
        return InputError(f"Keras layer {self.name!r} ({self.kind}): {fact}")

    def number(self, key: str) -> int:
        """Return a whole number."""
        value = self.config.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.problem(f"{key} is {value!r}, which is no whole number.")
        return value

    def axes(self, key: str) -> tuple[int, ...]:
        """Return one whole number for each axis; Keras writes a single one bare or as a list."""
        value = self.config.get(key, 1)
        parts = value if isinstance(value, list | tuple) else [value]
        if not parts or not all(isinstance(part, int) for part in parts):
            raise self.problem(f"{key} is {value!r}, which is no list of whole numbers.")
        return tuple(parts)

    def only(self, key: str, *allowed: object) -> None:
        """Refuse a setting that the notation cannot say."""
        value = self.config.get(key, allowed[0])
        if value not in allowed:
            raise self.problem(f"{key} is {value!r}, and only {allowed[0]!r} can be said here.")

    def flag(self, key: str, default: bool = True) -> bool:
        """Return a switch."""
        return bool(self.config.get(key, default))

    def padding(self) -> str:
        """Return the padding's word."""
        word = self.config.get("padding", "valid")
        if word not in {"valid", "same", "causal"}:
            raise self.problem(f"padding {word!r} is unknown.")
        return str(word)

    def channels_last(self) -> None:
        """Refuse channels first."""
        if self.config.get("data_format") == "channels_first":
            raise self.problem("its data are channels first. Save the network channels last.")

    def activation(self) -> str | None:
        """Return the activation's name here, None for a linear one."""
        value = self.config.get("activation")
        if isinstance(value, Mapping):  # a layer used as an activation, or a serialized function
            value = value.get("config") if isinstance(value.get("config"), str) else value
        if value is None or value == "linear":
            return None
        if not isinstance(value, str) or value not in ACTIVATIONS:
            named = value.get("class_name") if isinstance(value, Mapping) else value
            raise self.problem(
                f"the activation {named!r} has no word here. Known: {', '.join(ACTIVATIONS)}."
            )
        if value == "leaky_relu":
            self._slope(0.2)
        return ACTIVATIONS[value]

    def slope(self) -> None:
        """Note a leaky slope other than the notation's."""
        self._slope(self.config.get("negative_slope", self.config.get("alpha", 0.3)))

    def _slope(self, slope: object) -> None:
        if slope != 0.01:
            self.inexact = True
            self.notes.append(f"{self.name}: slope {slope} is read as 0.01; no figure changes.")

    def last_axis(self) -> None:
        """Refuse a normalization or a join over anything but the channels."""
        axis = self.config.get("axis", -1)
        axis = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
        if axis not in {-1, len(self.input_shape) or -1}:
            raise self.problem(f"it works on axis {axis!r}; only the last one can be said here.")


def _conv(layer: KerasLayer) -> list[Layer]:
    return [
        Conv(
            filters=layer.number("filters"),
            kernel=layer.axes("kernel_size"),
            stride=layer.axes("strides"),
            padding=layer.padding(),
            dilation=layer.axes("dilation_rate"),
            groups=layer.config.get("groups", 1),
            bias=layer.flag("use_bias"),
            activation=layer.activation(),
        )
    ]


def _depthwise(layer: KerasLayer) -> list[Layer]:
    return [
        DepthwiseConv(
            kernel=layer.axes("kernel_size"),
            stride=layer.axes("strides"),
            padding=layer.padding(),
            dilation=layer.axes("dilation_rate"),
            multiplier=layer.config.get("depth_multiplier", 1),
            bias=layer.flag("use_bias"),
            activation=layer.activation(),
        )
    ]


def _separable(layer: KerasLayer) -> list[Layer]:
    return [
        SeparableConv(
            filters=layer.number("filters"),
            kernel=layer.axes("kernel_size"),
            stride=layer.axes("strides"),
            padding=layer.padding(),
            dilation=layer.axes("dilation_rate"),
            multiplier=layer.config.get("depth_multiplier", 1),
            bias=layer.flag("use_bias"),
            activation=layer.activation(),
        )
    ]


def _transposed(layer: KerasLayer) -> list[Layer]:
    """Return the layer with Keras' output size written out, so that it holds in any dialect."""
    kernel, stride = layer.axes("kernel_size"), layer.axes("strides")
    dilation = layer.axes("dilation_rate")
    padding = layer.padding()
    told = layer.config.get("output_padding") is not None
    extra: tuple[int | None, ...] = layer.axes("output_padding") if told else (None,)
    extra = extra * (len(kernel) // len(extra))
    crops = [
        keras_transposed(*axis, same=padding == "same")
        for axis in zip(kernel, stride, dilation, extra, strict=True)
    ]
    cropped = told or padding == "valid"
    return [
        TransposedConv(
            filters=layer.number("filters"),
            kernel=kernel,
            stride=stride,
            padding=tuple((before, after) for before, after, _ in crops) if cropped else "same",
            output_padding=output_padding(extra for *_, extra in crops) if cropped else (),
            dilation=dilation,
            bias=layer.flag("use_bias"),
            activation=layer.activation(),
        )
    ]


def _max_pool(layer: KerasLayer) -> list[Layer]:
    size = layer.axes("pool_size")
    strides = layer.axes("strides") if layer.config.get("strides") else size
    return [MaxPool(kernel=size, stride=strides, padding=layer.padding())]


def _average_pool(layer: KerasLayer) -> list[Layer]:
    size = layer.axes("pool_size")
    strides = layer.axes("strides") if layer.config.get("strides") else size
    return [AveragePool(kernel=size, stride=strides, padding=layer.padding())]


def _global_average(layer: KerasLayer) -> list[Layer]:
    if layer.flag("keepdims", default=False):
        return [AdaptiveAveragePool(size=(1,))]
    return [GlobalAveragePool()]


def _global_max(layer: KerasLayer) -> list[Layer]:
    layer.only("keepdims", False)
    return [GlobalMaxPool()]


def _batch_norm(layer: KerasLayer) -> list[Layer]:
    layer.last_axis()
    layer.only("center", True)
    momentum = 1 - float(layer.config.get("momentum", 0.99))  # Keras weighs the old value
    eps = float(layer.config.get("epsilon", 1e-3))
    return [BatchNorm(scale=layer.flag("scale"), eps=eps, momentum=round(momentum, 12))]


def _named(layer: KerasLayer) -> list[Layer]:
    """Return the layer whose class here names this class, these settings, as its own in Keras."""
    layer.last_axis()
    for key, wanted in (("center", True), ("scale", True), ("rms_scaling", False)):
        layer.only(key, wanted)
    for cls in NAMED[layer.kind]:
        settings = cls.elsewhere.keras.settings if cls.elsewhere.keras else {}
        fixed = {key: value for key, value in settings.items() if not isinstance(value, str)}
        if all(layer.config.get(key) == value for key, value in fixed.items()):
            return [cls(**_figures(cls, layer, settings))]
    raise layer.problem("no layer of the notation has these settings.")


def _figures(
    cls: type[Layer], layer: KerasLayer, settings: Mapping[str, str | float]
) -> dict[str, Any]:
    """Return the fields that settings stand for: whole numbers, or numbers of another default."""
    figures: dict[str, Any] = {}
    for key, name in settings.items():
        if isinstance(name, str) and cls.__dataclass_fields__[name].type == "int":
            figures[name] = layer.number(key)
        elif isinstance(name, str):
            figures[name] = float(layer.config.get(key, KERAS_DEFAULTS[key]))
    return figures


KERAS_DEFAULTS = {"epsilon": 1e-3}
"""What Keras means by a setting that a configuration leaves out."""


def _by_class() -> dict[str, list[type[Layer]]]:
    """Return Keras class -> layers whose settings say all, those with fixed settings first."""
    found: dict[str, list[type[Layer]]] = {}
    for cls in dict.fromkeys(word.layer for word in WORDS.values()):
        said = cls.elsewhere.keras
        if said and said.settings:
            found.setdefault(said.kind, []).insert(0 if said.is_one_case else 99, cls)
    return found


NAMED = _by_class()


def _activation(layer: KerasLayer) -> list[Layer]:
    kind = layer.activation()
    return [Activation(kind)] if kind else []


def _relu(layer: KerasLayer) -> list[Layer]:
    layer.only("threshold", 0.0)
    layer.only("max_value", None, 6.0)
    if layer.config.get("negative_slope"):
        layer.only("max_value", None)
        layer.slope()
        return [Activation("leakyrelu")]
    return [Activation("relu6" if layer.config.get("max_value") else "relu")]


def _leaky_relu(layer: KerasLayer) -> list[Layer]:
    layer.slope()
    return [Activation("leakyrelu")]


def _elu(layer: KerasLayer) -> list[Layer]:
    layer.only("alpha", 1.0)
    return [Activation("elu")]


def _prelu(layer: KerasLayer) -> list[Layer]:
    shared = layer.config.get("shared_axes") or []
    if len(layer.input_shape) - 1 != len(shared):
        raise layer.problem(
            "it has one slope for each cell; here it has one for each channel. "
            "Set shared_axes to the spatial axes."
        )
    return [PReLU()]


def _dropout(layer: KerasLayer) -> list[Layer]:
    return [Dropout(float(layer.config.get("rate", 0.5)))]


def _spatial_dropout(layer: KerasLayer) -> list[Layer]:
    return [Dropout(float(layer.config.get("rate", 0.5)), whole_channels=True)]


def _pairs(layer: KerasLayer, key: str) -> tuple[tuple[int, int], ...]:
    """Return (before, after) per axis; Keras writes 1-D as one pair or number."""
    value = layer.config.get(key)
    if isinstance(value, int):
        return ((value, value),)
    if not isinstance(value, list | tuple) or not value:
        raise layer.problem(f"{key} is {value!r}, which is no list of pairs.")
    if layer.kind.endswith("1D"):
        before, after = layer.axes(key)
        return ((before, after),)
    pairs = []
    for part in value:
        pair = [part, part] if isinstance(part, int) else part
        if len(pair) != 2 or not all(isinstance(cells, int) for cells in pair):
            raise layer.problem(f"{key} is {value!r}, which is no list of pairs.")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _reshape(layer: KerasLayer) -> list[Layer]:
    shape = layer.axes("target_shape")
    if -1 in shape:
        known, total = 1, 1
        for size in shape:
            known *= size if size != -1 else 1
        for extent in layer.input_shape:
            total *= extent or 0
        if not layer.input_shape or total == 0 or known < 1 or total % known:
            raise layer.problem(f"its target {list(shape)} leaves a size open. Write the number.")
        shape = tuple(total // known if size == -1 else size for size in shape)
    return [Reshape(shape)]


def _upsample(layer: KerasLayer) -> list[Layer]:
    layer.only("interpolation", "nearest", "bilinear")
    bilinear = layer.config.get("interpolation") == "bilinear"
    return [Upsample(layer.axes("size"), bilinear=bilinear)]


def _dense(layer: KerasLayer) -> list[Layer]:
    return [
        Dense(layer.number("units"), bias=layer.flag("use_bias"), activation=layer.activation())
    ]


def _lstm(layer: KerasLayer) -> list[Layer]:
    layer.only("activation", "tanh")
    layer.only("recurrent_activation", "sigmoid")
    layer.only("use_bias", True)
    layer.only("go_backwards", False)
    layer.only("return_state", False)
    return [LSTM(layer.number("units"), sequence=layer.flag("return_sequences", default=False))]


def _nothing(layer: KerasLayer) -> list[Layer]:
    """Leave out a layer that prepares or augments data: it has no weights and changes no shape."""
    layer.notes.append(f"{layer.name} ({layer.kind}) prepares the data; it is left out.")
    return []


Rule = Callable[[KerasLayer], list[Layer]]

RULES: dict[str, Rule] = {
    **{f"Conv{rank}D": _conv for rank in (1, 2, 3)},
    **{f"Convolution{rank}D": _conv for rank in (1, 2, 3)},
    **{f"DepthwiseConv{rank}D": _depthwise for rank in (1, 2)},
    **{f"SeparableConv{rank}D": _separable for rank in (1, 2)},
    **{f"Conv{rank}DTranspose": _transposed for rank in (1, 2, 3)},
    **{f"MaxPooling{rank}D": _max_pool for rank in (1, 2, 3)},
    **{f"AveragePooling{rank}D": _average_pool for rank in (1, 2, 3)},
    **{f"GlobalAveragePooling{rank}D": _global_average for rank in (1, 2, 3)},
    **{f"GlobalMaxPooling{rank}D": _global_max for rank in (1, 2, 3)},
    "BatchNormalization": _batch_norm,
    "BatchNormalizationV1": _batch_norm,
    **dict.fromkeys(NAMED, _named),
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "PReLU": _prelu,
    "Softmax": lambda layer: [Activation("softmax")],
    "Relu": lambda layer: [Activation("relu")],
    "Sigmoid": lambda layer: [Activation("sigmoid")],
    "Tanh": lambda layer: [Activation("tanh")],
    "Dropout": _dropout,
    **{f"SpatialDropout{rank}D": _spatial_dropout for rank in (1, 2, 3)},
    "Flatten": lambda layer: [Flatten()],
    "Reshape": _reshape,
    **{f"ZeroPadding{rank}D": lambda layer: [Pad(_pairs(layer, "padding"))] for rank in (1, 2, 3)},
    **{f"Cropping{rank}D": lambda layer: [Crop(_pairs(layer, "cropping"))] for rank in (1, 2, 3)},
    **{f"UpSampling{rank}D": _upsample for rank in (1, 2, 3)},
    "Dense": _dense,
    "LSTM": _lstm,
    **dict.fromkeys(
        (
            "Rescaling",
            "RandomFlip",
            "RandomRotation",
            "RandomTranslation",
            "RandomZoom",
            "RandomContrast",
            "RandomBrightness",
            "GaussianNoise",
            "ActivityRegularization",
        ),
        _nothing,
    ),
}
"""Keras class -> what stands for it; classes without a row are refused by name."""


def layers_of(layer: KerasLayer) -> list[Layer]:
    """Return the layers on paper that stand for one Keras layer, all but the joins.

    Raises:
        InputError: the layer or one of its settings cannot be said in the notation.
    """
    rule = RULES.get(layer.kind)
    if rule is None:
        raise layer.problem("no layer of the notation does this, so its figures would be wrong.")
    layer.channels_last()
    try:
        return rule(layer)
    except ConvcliError:  # has its own sentence
        raise
    except (TypeError, ValueError) as problem:  # a list where a number belongs, and the like
        raise layer.problem(f"a setting is of the wrong kind: {problem}.") from problem
