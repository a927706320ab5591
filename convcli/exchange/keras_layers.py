"""One Keras layer's configuration as layers on paper, or a sentence why there are none for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from convcli.errors import ConvcliError, InputError
from convcli.geometry import keras_transposed
from convcli.layers import (
    GRU,
    LSTM,
    Activation,
    AdaptiveAveragePool,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    Permute,
    PReLU,
    TransposedConv,
)
from convcli.layers.activation import ACTIVATIONS as KINDS
from convcli.layers.conv import output_padding
from convcli.layers.elsewhere import Keras
from convcli.layers.registry import WORDS, Word

Config = Mapping[str, Any]

ACTIVATIONS = {
    row.elsewhere.keras.kind: kind
    for kind, row in KINDS.items()
    if row.elsewhere.keras and row.elsewhere.keras.kind
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
    """

    name: str
    kind: str
    config: Config
    input_shape: tuple[int | None, ...] = ()
    notes: list[str] = field(default_factory=list)

    def problem(self, fact: str) -> InputError:
        """Return the error that names this layer."""
        return InputError(f"Keras layer {self.name!r} ({self.kind}): {fact}")

    def number(self, key: str) -> int:
        """Return a whole number."""
        value = self.config.get(key, 1 if key in {"groups", "depth_multiplier"} else None)
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

    def choice(self, key: str, *allowed: object) -> object:
        """Return a setting, or refuse one that the notation cannot say."""
        value = self.config.get(key, allowed[0])
        if value not in allowed:
            raise self.problem(f"{key} is {value!r}, and only {allowed[0]!r} can be said here.")
        return value

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
        return ACTIVATIONS[value]

    def last_axis(self) -> None:
        """Refuse a normalization or a join over anything but the channels."""
        axis = self.config.get("axis", -1)
        axis = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
        if axis not in {-1, len(self.input_shape) or -1}:
            raise self.problem(f"it works on axis {axis!r}; only the last one can be said here.")

    def pairs(self, key: str) -> tuple[tuple[int, int], ...]:
        """Return (before, after) per axis; Keras writes 1-D as one pair or number."""
        value = self.config.get(key)
        if self.kind.endswith("1D"):
            value = [value]
        if not isinstance(value, list | tuple) or not value:
            raise self.problem(f"{key} is {value!r}, which is no list of pairs.")
        pairs = [[part, part] if isinstance(part, int) else part for part in value]
        if not all(len(pair) == 2 and all(isinstance(n, int) for n in pair) for pair in pairs):
            raise self.problem(f"{key} is {value!r}, which is no list of pairs.")
        return tuple((before, after) for before, after in pairs)

    def figure(self, key: str) -> float:
        """Return a number that need not be whole, or what Keras means where it is left out."""
        return float(self.config.get(key, {"epsilon": 1e-3, "momentum": 0.99, "rate": 0.5}[key]))

    def target_shape(self) -> tuple[int, ...]:
        """Return a new shape with its open size, if one is open, written out."""
        shape = self.axes("target_shape")
        if -1 not in shape:
            return shape
        known = prod(size for size in shape if size != -1)
        total = prod(extent or 0 for extent in self.input_shape) if self.input_shape else 0
        if total == 0 or known < 1 or total % known:
            raise self.problem(f"its target {list(shape)} leaves a size open. Write the number.")
        return tuple(total // known if size == -1 else size for size in shape)


READ: dict[str, Callable[[KerasLayer, str], Any]] = {
    **dict.fromkeys(("filters", "units", "groups", "depth_multiplier"), KerasLayer.number),
    **dict.fromkeys(("kernel_size", "dilation_rate", "pool_size", "size"), KerasLayer.axes),
    **dict.fromkeys(("use_bias", "scale"), KerasLayer.flag),
    **dict.fromkeys(("epsilon", "rate"), KerasLayer.figure),
    "strides": lambda layer, key: layer.axes(key if layer.config.get(key) else "pool_size"),
    "padding": lambda layer, key: (
        layer.pairs(key) if layer.kind.startswith("ZeroPadding") else layer.padding()
    ),
    "cropping": KerasLayer.pairs,
    "return_sequences": lambda layer, key: layer.flag(key, default=False),
    "momentum": lambda layer, key: round(1 - layer.figure(key), 12),  # Keras weighs the old value
    "interpolation": lambda layer, key: layer.choice(key, "nearest", "bilinear") == "bilinear",
    "activation": lambda layer, _: layer.activation(),
    "output_size": KerasLayer.axes,
    "init_values": lambda layer, key: float(layer.config.get(key, 1e-6)),
    "target_shape": lambda layer, _: layer.target_shape(),
}
"""Keras' setting -> what our field of it is."""


def _named(layer: KerasLayer) -> Layer:
    """Return the layer whose row names this class, these settings, as its own in Keras."""
    layer.last_axis()
    for word in NAMED[layer.kind]:
        said = word.elsewhere.keras or Keras("")
        fields = {key: name for key, name in said.settings.items() if isinstance(name, str)}
        fixed = said.settings.items() - fields.items()
        if all(layer.config.get(key) == value for key, value in fixed):
            for key, wanted in said.only.items():
                layer.choice(key, wanted)
            return word.layer(**{name: READ[key](layer, key) for key, name in fields.items()})
    raise layer.problem("no layer of the notation has these settings.")


def _by_class() -> dict[str, list[Word]]:
    """Return Keras class -> words whose row says all, those with fixed settings first."""
    found: dict[str, list[Word]] = {}
    for word in WORDS.values():
        said = word.elsewhere.keras
        if said and (said.settings or said.arrays):
            for rank in "123" if "{rank}" in said.kind else "1":
                words = found.setdefault(said.kind.replace("{rank}", rank), [])
                words.insert(0 if said.is_one_case else 99, word)
    return found


NAMED = _by_class()


def _transposed(layer: KerasLayer) -> Layer:
    """Return the layer with Keras' output size written out, so that it holds in any dialect."""
    found = _named(layer)
    if not isinstance(found, TransposedConv):
        raise TypeError(found.op)
    same, rank = found.padding == "same", len(found.kernel)
    told = layer.config.get("output_padding") is not None
    extra: tuple[int | None, ...] = layer.axes("output_padding") if told else (None,)
    crops = [
        keras_transposed(*axis, same=same)
        for axis in zip(
            found.kernel, found.stride, found.dilation, extra * (rank // len(extra)), strict=True
        )
    ]
    if same and not told:
        return found
    padding = tuple((before, after) for before, after, _ in crops)
    return replace(found, padding=padding, output_padding=output_padding(n for *_, n in crops))


def _global_average(layer: KerasLayer) -> Layer:
    keeps = layer.flag("keepdims", default=False)
    return AdaptiveAveragePool(size=(1,)) if keeps else GlobalAveragePool()


def _global_max(layer: KerasLayer) -> Layer:
    layer.choice("keepdims", False)
    return GlobalMaxPool()


def _activation(layer: KerasLayer) -> Layer | None:
    if layer.config.get("activation") == "leaky_relu":
        return Activation("leakyrelu", (0.2,))
    kind = layer.activation()
    return Activation(kind) if kind else None


def _relu(layer: KerasLayer) -> Layer:
    layer.choice("threshold", 0.0)
    high = layer.config.get("max_value")
    if layer.config.get("negative_slope"):
        layer.choice("max_value", None)
        return _leaky_relu(layer)
    known = {None: Activation("relu"), 6: Activation("relu6")}
    return known.get(high) or Activation("clip", (0.0, float(high or 0)))


def _leaky_relu(layer: KerasLayer) -> Layer:
    slope = layer.config.get("negative_slope", layer.config.get("alpha", 0.3))
    return Activation("leakyrelu", (float(slope),))


def _elu(layer: KerasLayer) -> Layer:
    return Activation("elu", (float(layer.config.get("alpha", 1.0)),))


def _prelu(layer: KerasLayer) -> Layer:
    shared = layer.config.get("shared_axes") or []
    if len(layer.input_shape) - 1 != len(shared):
        raise layer.problem(
            "it has one slope for each cell; here it has one for each channel. "
            "Set shared_axes to the spatial axes."
        )
    return PReLU()


def _gru(layer: KerasLayer) -> Layer:
    for key, wanted in (
        ("activation", "tanh"), ("recurrent_activation", "sigmoid"), ("use_bias", True),
        ("reset_after", True), ("go_backwards", False), ("return_state", False),
    ):  # fmt: skip
        layer.choice(key, wanted)
    return GRU(layer.number("units"), sequence=layer.flag("return_sequences", default=False))


def _both_ways(layer: KerasLayer) -> Layer:
    """Return the layer that runs in both directions."""
    layer.choice("merge_mode", "concat")
    inner = layer.config.get("layer")
    if not isinstance(inner, Mapping) or not isinstance(inner.get("config"), Mapping):
        raise layer.problem("it holds no layer.")
    kind = str(inner.get("class_name"))
    found = layer_of(KerasLayer(layer.name, kind, inner["config"], layer.input_shape))
    if not isinstance(found, LSTM | GRU):
        raise layer.problem(f"it runs {kind}; an LSTM or a GRU can be said here.")
    return replace(found, bidirectional=True)


def _nothing(layer: KerasLayer) -> None:
    """Leave out a layer that prepares or augments data: it has no weights and changes no shape."""
    layer.notes.append(f"{layer.name} ({layer.kind}) prepares the data; it is left out.")


PREPARING = (
    "Rescaling", "Normalization", "RandomFlip", "RandomRotation", "RandomTranslation",
    "RandomZoom", "RandomContrast", "RandomBrightness", "RandomHue", "RandomSaturation",
    "RandomSharpness", "RandomGrayscale", "RandomColorJitter", "RandomColorDegeneration",
    "RandomErasing", "RandomPerspective", "RandomShear", "RandomGaussianBlur", "RandomInvert",
    "RandomPosterization", "RandAugment", "AugMix", "MixUp", "CutMix", "GaussianNoise",
    "ActivityRegularization",
)  # fmt: skip
"""Keras classes that change no shape and whose work is done before a network here, or not at all
where it is used."""

Rule = Callable[[KerasLayer], Layer | None]

RULES: dict[str, Rule] = {
    **dict.fromkeys(NAMED, _named),
    **{f"Conv{rank}DTranspose": _transposed for rank in (1, 2, 3)},
    **{f"GlobalAveragePooling{rank}D": _global_average for rank in (1, 2, 3)},
    **{f"GlobalMaxPooling{rank}D": _global_max for rank in (1, 2, 3)},
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "PReLU": _prelu,
    "GRU": _gru,
    "Bidirectional": _both_ways,
    "Permute": lambda layer: Permute(tuple(axis - 1 for axis in layer.axes("dims"))),
    "Softmax": lambda layer: Activation("softmax"),
    "Flatten": lambda layer: Flatten(),
    **dict.fromkeys(PREPARING, _nothing),
    **dict.fromkeys(("GaussianDropout", "AlphaDropout", "StochasticDepth"), _nothing),
}
"""Keras class -> what stands for it; classes without a row are refused by name."""


def layer_of(layer: KerasLayer) -> Layer | None:
    """Return the layer on paper that stands for one of Keras, None for one that does nothing.

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
