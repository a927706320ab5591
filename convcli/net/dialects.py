"""Where frameworks differ on paper: the same words, another shape, another count, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convcli.errors import ConvcliError, UsageError, did_you_mean
from convcli.geometry import keras_transposed
from convcli.layers.base import Layer, ShapeError, shape_text
from convcli.layers.conv import Conv, TransposedConv
from convcli.layers.join import mapped
from convcli.net.trace import partial_trace

if TYPE_CHECKING:
    from convcli.net.value import Network

DIALECTS = ("torch", "keras", "onnx")


def in_dialect(network: Network, dialect: str) -> Network:
    """Return the network as a framework would build it from the same words.

    `keras`: a valid transposed convolution never cuts a stride short unless `op` says so, and with
    `op` a `same` one is cropped at both ends alike; no `ceil`, no stride together with a dilation,
    and no numbers as padding of a transposed convolution.
    `torch`, `onnx`: an LSTM has two biases. `torch` refuses `same` with a stride and for pools,
    `causal`, and padding that differs before and after.

    >>> from convcli.net import parse_notation
    >>> net = parse_notation("input 4x4x1, upconv 1 2 s3")
    >>> [in_dialect(net, name).trace().output_shape for name in ("torch", "keras")]
    [(11, 11, 1), (12, 12, 1)]

    Raises:
        UsageError: unknown dialect.
    """
    if dialect not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise UsageError(
            f"Dialect {dialect!r} is unknown. Use {known}.{did_you_mean(dialect, DIALECTS)}"
        )
    return replace(network, layers=mapped(network.layers, _RULES[dialect]))


@dataclass(slots=True, eq=False, repr=False)
class Refused(Layer):
    """A layer that a framework does not build; following it raises the reason."""

    layer: Layer
    reason: str

    @property
    def described(self) -> Layer:
        """The refused layer."""
        return self.layer

    @property
    def row_op(self) -> str:
        """The op of the refused layer."""
        return self.layer.row_op

    def at_rank(self, rank: int) -> Refused:
        """Return the layer itself."""
        return self

    def output_rank(self, rank: int) -> int:
        """Return the rank of the refused layer."""
        return self.layer.output_rank(rank)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Raise the reason."""
        raise ShapeError(self.reason)


Rule = Callable[[Layer], Layer]


def _refused(layer: Layer, reason: str) -> Refused:
    return Refused(layer, reason, name=layer.name)


def _torch(layer: Layer) -> Layer:
    if layer.op == "lstm":
        return replace(layer, biases=2)  # type: ignore[call-arg]  # the op says it is an LSTM
    padding = getattr(layer, "padding", "valid")
    if padding == "causal" or (
        not isinstance(padding, str) and any(before != after for before, after in padding)
    ):
        return _refused(layer, "PyTorch pads both ends alike. Write `pad` before it.")
    if padding != "same":
        return layer
    if layer.op == "upconv" or layer.op.endswith("pool"):
        return _refused(layer, "PyTorch has no `same` here. Write the padding in cells.")
    if max(getattr(layer, "stride", (1,))) > 1:
        return _refused(
            layer,
            "PyTorch has no `same` with a stride. Write the padding in cells, or `pad` before it.",
        )
    return layer


def _keras(layer: Layer) -> Layer:
    if getattr(layer, "ceil", False):
        return _refused(layer, "Keras has no `ceil`. Write `pad 0:1` before it, or `same`.")
    if isinstance(layer, Conv | TransposedConv) and min(max(layer.stride), max(layer.dilation)) > 1:
        return _refused(layer, "Keras has no stride together with a dilation. Use one of them.")
    if not isinstance(layer, TransposedConv):
        return layer
    if not isinstance(layer.padding, str):
        return _refused(layer, "Keras has `valid` and `same` here. Write `crop` behind it.")
    crops = [
        keras_transposed(*axis, same=layer.padding == "same")
        for axis in zip(
            layer.kernel,
            layer.stride,
            layer.dilation,
            layer.output_padding or (None,) * len(layer.kernel),
            strict=True,
        )
    ]
    ends = tuple((before, after) for before, after, _ in crops)
    fill = tuple(extra for *_, extra in crops)
    if any(extra >= step for extra, step in zip(layer.output_padding, layer.stride, strict=False)):
        return _refused(layer, "Keras wants output padding below the stride.")
    return replace(layer, padding=ends, output_padding=(), fill=fill)


def _onnx(layer: Layer) -> Layer:
    if layer.op == "lstm":
        return replace(layer, biases=2)  # type: ignore[call-arg]  # the op says it is an LSTM
    return layer


_RULES: dict[str, Rule] = {"torch": _torch, "keras": _keras, "onnx": _onnx}


@dataclass(frozen=True, slots=True)
class Difference:
    """One layer on which the frameworks do not agree: what each of them says."""

    index: int
    name: str
    said: dict[str, str]
    """Dialect to what it makes of the layer: a shape with its parameters, or a refusal."""


def compare_dialects(network: Network) -> list[Difference]:
    """Return the layers on which the frameworks differ, in order.

    A dialect that refuses a layer, or whose shapes no longer fit, says so at that layer and is
    silent about the rest.

    >>> from convcli.net import parse_notation
    >>> (found,) = compare_dialects(parse_notation("input 4x4x1, upconv 1 2 s3"))
    >>> found.said["torch"], found.said["keras"]
    ('11x11x1, 5 params', '12x12x1, 5 params')
    """
    columns = {dialect: _said(network, dialect) for dialect in DIALECTS}
    longest = max(columns.values(), key=len)
    differences = []
    for place, (name, _) in enumerate(longest):
        said = {dialect: rows[place][1] for dialect, rows in columns.items() if place < len(rows)}
        if len(set(said.values())) > 1:
            differences.append(Difference(place + 1, name, said))
    return differences


def _said(network: Network, dialect: str) -> list[tuple[str, str]]:
    """Return (name, statement) for each layer, up to the one that does not work."""
    steps, problem = partial_trace(in_dialect(network, dialect))
    rows = [
        (step.name, f"{shape_text(step.output_shape)}, {step.params:,} params") for step in steps
    ]
    return [*rows, _told(problem)] if problem else rows


def _told(problem: ConvcliError) -> tuple[str, str]:
    """Return name and reason from `layer 3 conv2 `conv 8 3 s2`: reason`."""
    head, _, reason = str(problem).partition("`: ")
    return head.split()[2], reason
