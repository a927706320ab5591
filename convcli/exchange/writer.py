"""What the writers of all formats share: each op has a method, or stands on its class as a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from convcli.errors import InputError
from convcli.exchange.layouts import AS_OURS, Array, theirs
from convcli.geometry import Window, effective_kernel
from convcli.layers import Activation, Layer
from convcli.layers.registry import WORDS
from convcli.net import Step, Trace
from convcli.net.words import layer_text

Arrays = Mapping[str, Array]


def rank(step: Step) -> int:
    """Return the spatial axes of a step's input."""
    return len(step.input_shapes[0]) - 1


def windows(step: Step) -> list[Window]:
    """Return one window for each axis."""
    return [axis for axis in step.reads or () if isinstance(axis, Window)]


def paddings(step: Step) -> list[tuple[int, int]]:
    """Return (before, after) in cells per axis; what a ceil window lacks at the end is padding."""
    pairs = []
    for axis, size, count in zip(
        windows(step), step.input_shapes[0], step.output_shape, strict=False
    ):
        reach = (count - 1) * axis.stride + effective_kernel(axis.kernel, axis.dilation)
        pairs.append((axis.before, max(0, reach - size - axis.before)))
    return pairs


def window(step: Step, key: str) -> list[int]:
    """Return `kernel`, `stride` or `dilation` of each axis."""
    return [getattr(axis, key) for axis in windows(step)]


class Writer:
    """Writes a network row by row; what a row gives has a name in the other program.

    A layer `conv` is written by a method `write_conv`, and where there is none by what its class
    says under `elsewhere`.
    """

    program: ClassVar[str]

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    def write(self, trace: Trace, first: str) -> str:
        """Write all rows behind the value `first` and return the last one's name."""
        values = [first]
        for step in trace.steps:
            values.append(self.row(step, *(values[source] for source in step.sources)))
        return values[-1]

    def row(self, step: Step, *sources: str) -> str:
        """Write one row, its suffix activation included."""
        if getattr(step.layer, "padding_mode", "zeros") != "zeros":
            raise self.formless(step)
        write = getattr(self, f"write_{step.layer.op}", self.named)
        out: str = write(step, step.layer.at_rank(rank(step)), *sources)
        if step.activation and not isinstance(step.layer, Activation):
            out = self.activated(step, step.activation, out)
        return out

    def named(self, step: Step, layer: Any, *sources: str) -> str:
        """Write a layer by what stands on its class."""
        raise NotImplementedError

    def activated(self, step: Step, kind: str, source: str) -> str:
        """Write an activation behind a layer."""
        raise NotImplementedError

    def write_activation(self, step: Step, layer: Activation, source: str) -> str:
        """Write an activation in a row of its own."""
        return self.activated(step, layer.kind, source)

    def formless(self, step: Step) -> InputError:
        """Return the error for a layer that the other program does not have."""
        return self.problem(step, f" has no {self.program} form here.")

    def problem(self, step: Step, fact: str) -> InputError:
        """Return an error that names the row."""
        return InputError(f"Layer {step.index} {step.name} `{layer_text(step.layer)}`{fact}")

    def array(self, step: Step, name: str) -> Array:
        """Return the array `name` of a step."""
        return self.arrays[f"{step.name}.{name}"]

    def first(self, step: Step, name: str) -> Array:
        """Return the array `name` of a step as PyTorch and ONNX have it, channels first."""
        line = step.layer.elsewhere.arrays.get(name, AS_OURS)
        return theirs(self.array(step, name), line)


def settings_of(layer: Layer, said: Mapping[str, str | float]) -> dict[str, Any]:
    """Return another program's settings: fields of the layer, and what stands there as it is."""
    return {
        key: getattr(layer, value) if isinstance(value, str) and hasattr(layer, value) else value
        for key, value in said.items()
    }


def elsewhere_of(layer: Layer) -> Any:
    """Return what a layer is called in other programs, by its own word where its class has many."""
    word = WORDS.get(layer.row_op)
    return word.elsewhere if word else layer.elsewhere
