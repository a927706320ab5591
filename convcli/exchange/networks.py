"""Whatever a user calls a network: notation, a preset, a file of ours or of another program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convcli.errors import InputProblem
from convcli.layers.base import Shape
from convcli.network import Network, network


@dataclass(frozen=True, slots=True)
class OpenedNetwork:
    """A network, and what its file says beyond it.

    Attributes:
        network: the layers on paper.
        frozen: names of layers that the file marks as not trained.
        notes: what was read in another way, no figure being touched.
    """

    network: Network
    frozen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def open_network(source: str, input_shape: Shape | None = None) -> OpenedNetwork:
    """Return the network that `source` names; Keras files by their suffix, all else as `network`.

    Args:
        source: notation, a preset's name or a file.
        input_shape: replaces the input's shape; channels last, no batch.

    >>> open_network("input 28x28x1, conv 16 3").network.trace().totals.params
    160

    Raises:
        UsageMistake: malformed notation, an unknown preset.
        InputProblem: a file that cannot be read, or is no network.
    """
    suffix = Path(source.strip()).suffix.lower() if len(source) < 4096 else ""
    if suffix in {".keras", ".json"} and source.split(maxsplit=1)[0] not in {"input", "let"}:
        from convcli.exchange.keras_config import read_keras

        read = read_keras(Path(source.strip()), input_shape)
        return OpenedNetwork(read.network, read.frozen, read.notes)
    if suffix in {".h5", ".hdf5"}:
        raise InputProblem(
            f"{source.strip()} is Keras' old format. Load and save it in Keras: "
            "model.save('model.keras'), or write model.to_json() to a file."
        )
    return OpenedNetwork(network(source, input_shape=input_shape))
