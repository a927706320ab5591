"""Whatever a user calls a network: notation, a preset, a file of ours or of another program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convcli.layers.base import Shape
from convcli.net import Network, network
from convcli.net.lookup import FILE_READERS


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
    """Return the network that `source` names, with what a Keras file says beyond the layers.

    Args:
        source: notation, a preset's name or a file.
        input_shape: replaces the input's shape; channels last, no batch.

    >>> open_network("input 28x28x1, conv 16 3").network.trace().totals.params
    160

    Raises:
        UsageMistake: malformed notation, an unknown preset.
        InputProblem: a file that cannot be read, or is no network.
    """
    if _suffix(source) in {".keras", ".json", ".h5", ".hdf5"}:
        from convcli.exchange.keras_config import read_keras

        read = read_keras(Path(source.strip()), input_shape)
        return OpenedNetwork(read.network, read.frozen, read.notes)
    if _suffix(source) == ".onnx":
        from convcli.exchange.onnx_import import read_onnx

        found = read_onnx(Path(source.strip()), input_shape, weights=False)
        return OpenedNetwork(found.network, notes=found.notes)
    return OpenedNetwork(network(source, input_shape=input_shape))


def _suffix(source: str) -> str:
    """Return the suffix of what can only be a file's name, in small letters, else nothing."""
    words = source.split(maxsplit=1)
    if not words or words[0].rstrip(",") in {"input", "let"} or len(source) > 4096:
        return ""
    return Path(source.strip()).suffix.lower()


def _opened(path: Path) -> Network:
    return open_network(str(path)).network


FILE_READERS.update(
    {
        ".keras": _opened,
        ".json": _opened,
        ".onnx": _opened,
        ".h5": _opened,
        ".hdf5": _opened,
    }
)
