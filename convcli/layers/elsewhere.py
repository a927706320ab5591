"""What a layer is called in other programs; exporters and importers read it in both directions.

Names hold `{field}` for a field of the layer, `{rank}` for the number of spatial axes and
`{channels}` for those of the input. Where a layer is more than a name with settings there, the
exchange room has code of its own for it.

Arrays lie as one line says, ours first: `... i o -> o i ...` (the dots are the axes of a window),
`... c m -> (c m) 1 ...`. An array without a line lies as ours does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

NOTHING: Mapping[str, str] = {}

Settings = Mapping[str, str | float]
"""Their setting -> our field, or what it must be."""


class Torch(NamedTuple):
    """A module of torch.nn, or an expression over `{x}`."""

    form: str
    """`GroupNorm({groups}, {channels}, eps={eps})`, `F.relu({x})`."""
    arrays: Mapping[str, str] = NOTHING
    """Our array -> the module's parameter or buffer."""
    module: str = ""
    """The module where the form is an expression: `LeakyReLU(negative_slope, inplace)`."""


class Onnx(NamedTuple):
    """An operator."""

    op: str
    attributes: Settings = NOTHING
    arrays: Mapping[str, str] = NOTHING
    """Our array -> how it lies, in the order of its inputs."""
    form: str = ""
    """How opset 13 spells what is an operator later, or none: `Mul(x, Sigmoid(x))`."""

    def spelled(self, numbers: tuple[float, ...] = ()) -> str:
        """An activation with its numbers in operators of opset 13, over `x`.

        >>> Onnx("Elu", {"alpha": "numbers"}).spelled((0.7,))
        'Elu(x, alpha=0.7)'
        """
        given = {key: numbers[0] if value == "numbers" else value
                 for key, value in self.attributes.items()}  # fmt: skip
        bare = f"{self.op}(x{''.join(f', {key}={value!r}' for key, value in given.items())})"
        return self.form.format(numbers=numbers) if self.form else bare


class Keras(NamedTuple):
    """A class of keras.layers, or for an activation the word that layers take."""

    kind: str
    settings: Settings = NOTHING
    arrays: Mapping[str, str] = NOTHING
    """Our array -> how it lies."""
    only: Mapping[str, object] = NOTHING
    """Settings of which one value can be said here, which is Keras' default."""

    @property
    def is_one_case(self) -> bool:
        """Whether the class is this layer with some settings only."""
        return not all(isinstance(value, str) for value in self.settings.values())


class Elsewhere(NamedTuple):
    """The names of one layer."""

    torch: Torch | None = None
    onnx: Onnx | None = None
    keras: Keras | None = None
    also: tuple[str, ...] = ()
    """What people type besides."""
    arrays: Mapping[str, str] = NOTHING
    """Our array -> how it lies where channels stand first, in PyTorch and ONNX."""

    def names(self) -> list[str]:
        """Return its names without arguments, PyTorch's first; on pictures, where it has a rank."""
        forms = [
            self.torch.form if self.torch else "",
            self.keras.kind if self.keras and not self.keras.is_one_case else "",
            self.onnx.op if self.onnx else "",
        ]
        bare = [form.partition("(")[0].replace("{rank}", "2").rpartition(".")[2] for form in forms]
        return [name for name in (*bare, *self.also) if name]


def plain(name: str) -> str:
    """Return a name as it is compared: small letters, no signs, no number of axes.

    >>> plain("nn.Conv2d"), plain("Conv3DTranspose"), plain("leaky_relu")
    ('conv', 'convtranspose', 'leakyrelu')
    """
    bare = "".join(letter for letter in name.rpartition(".")[2].lower() if letter.isalnum())
    return re.sub("[123]d", "", bare)
