"""A network in Keras' words: its layers with their arrays, in the order in which it lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy.typing as npt

from convcli.net import Step

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
Settings = dict[str, Any]


class KerasEntry(NamedTuple):
    """One layer of the configuration: its name, class, settings, sources and arrays in order."""

    name: str
    kind: str
    settings: Settings
    sources: tuple[str, ...]
    arrays: tuple[Array, ...] = ()


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A network in Keras' words.

    Attributes:
        name: of the model.
        entries: the layers, input first, in the order in which Keras numbers them.
    """

    name: str
    entries: tuple[KerasEntry, ...]

    def config(self) -> dict[str, Any]:
        """Return the configuration that `config.json` and `model_config` hold."""
        layers = [_layer_config(entry) for entry in self.entries]
        return {
            "module": "keras",
            "class_name": "Model",
            "config": {
                "name": self.name,
                "trainable": True,
                "layers": layers,
                "input_layers": [[self.entries[0].name, 0, 0]],
                "output_layers": [[self.entries[-1].name, 0, 0]],
            },
            "registered_name": None,
        }


@dataclass
class KerasWriter:
    """The layers in the making, by name."""

    arrays: Arrays
    entries: dict[str, KerasEntry] = field(default_factory=dict)
    positive_source: bool = False
    """Whether what the step at hand reads can never be negative."""

    def add(
        self, name: str, kind: str, settings: Settings, *sources: str, arrays: Sequence[Array] = ()
    ) -> str:
        """Add a layer and return its name, which gets a number where it is taken."""
        word, number = keras_word(name), 2
        while word in self.entries:
            word, number = f"{keras_word(name)}_{number}", number + 1
        self.entries[word] = KerasEntry(word, kind, settings, sources, tuple(arrays))
        return word

    def weights(self, step: Step, *names: str) -> list[Array]:
        """Return the arrays of a step by name, those that it has."""
        known = step.weights | step.buffer_shapes
        return [self.arrays[f"{step.name}.{name}"] for name in names if name in known]


def keras_word(name: str) -> str:
    """Return a name that Keras takes: no slashes, and a letter first."""
    word = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name)
    return word if word[:1].isalpha() else f"layer_{word}"


def _layer_config(entry: KerasEntry) -> dict[str, Any]:
    reads = [[source, 0, 0, {}] for source in entry.sources]  # the form that Keras 2 reads too
    return {
        "module": "keras.layers",
        "class_name": entry.kind,
        "config": {"name": entry.name, **entry.settings},
        "registered_name": None,
        "name": entry.name,
        "inbound_nodes": [reads] if reads else [],
    }


def in_keras_order(entries: dict[str, KerasEntry], end: str) -> tuple[KerasEntry, ...]:
    """Return the layers as Keras lists them when it loads the file, which numbers their arrays.

    By falling distance from the output, the longest way counting; equals in the order in which a
    depth-first walk from the output meets them (`map_graph` in keras/src/ops/function.py, 3.x).
    """
    distance = dict.fromkeys(entries, 0)
    for name in reversed(entries):  # sources stand before what reads them
        for source in entries[name].sources:
            distance[source] = max(distance[source], distance[name] + 1)
    met: dict[str, int] = {}
    waiting = [end]
    while waiting:
        name = waiting.pop()
        if name not in met:
            met[name] = len(met)
            waiting += reversed(entries[name].sources)
    return tuple(
        entries[name] for name in sorted(met, key=lambda name: (-distance[name], met[name]))
    )
