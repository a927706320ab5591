"""Files that were written here come back to the same words, unless they were changed since."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from convcli.errors import InputError
from convcli.exchange.export import export_model
from convcli.exchange.importing import import_model
from convcli.net import to_notation
from convcli.net.lookup import open_network
from tests.exchange.models import trained
from tests.exchange.test_export import NETWORKS


@pytest.mark.parametrize("suffix", [".onnx", ".keras", ".h5"])
@pytest.mark.parametrize("notation", NETWORKS.values(), ids=NETWORKS)
def test_our_own_files_come_back_to_the_same_words(
    notation: str, suffix: str, tmp_path: Path
) -> None:
    """And with their numbers, whether they scale their samples inside or not."""
    pytest.importorskip("onnx" if suffix == ".onnx" else "h5py", reason="writes the files")
    model, path = trained(notation, scale=(0.5,), offset=(0.25,)), tmp_path / f"net{suffix}"
    try:
        export_model(model, path, with_preprocessing=len(notation) % 2 == 0)
    except InputError:
        if suffix == ".onnx":
            raise
        return  # Keras has fewer layers
    words = to_notation(model.network)
    assert to_notation(open_network(str(path)).network) == words
    back = import_model(path).model
    assert to_notation(back.network) == words
    assert (back.preprocessing.scale, back.preprocessing.offset) == ((0.5,), (0.25,))
    got = {**back.model.parameters, **back.model.buffers}
    for name, array in {**model.model.parameters, **model.model.buffers}.items():
        np.testing.assert_array_equal(got[name], array, name)


@pytest.mark.parametrize("change", ["operator", "number", "note", "size"])
def test_a_note_is_not_believed_where_the_file_differs(change: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="changes the file; extra [onnx]")
    words, path = "input 8x6x4, conv 3 3 same relu, bn, flatten, dense 5", tmp_path / "net.onnx"
    model = trained(words)
    export_model(model, path)
    file = onnx.load(path)
    if change == "operator":
        next(node for node in file.graph.node if node.op_type == "Relu").op_type = "Tanh"
    elif change == "number":  # an epsilon, which no array of the model is
        norm = next(node for node in file.graph.node if node.op_type == "BatchNormalization")
        norm.attribute[0].f = 0.5
    elif change == "note":
        note = next(entry for entry in file.metadata_props if entry.key == "network")
        note.value = "input 8x6x4, conv 3 5 same relu, bn, flatten, dense 5"
    else:
        kernel = next(t for t in file.graph.initializer if len(t.dims) == 4)
        kernel.dims[2], kernel.dims[3] = 9, 1
    onnx.save(file, path)
    with suppress(InputError):
        got = to_notation(open_network(str(path)).network)
        assert got != words
        assert "same" not in got
