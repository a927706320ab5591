"""A trained model in another program's format: one call for the command `export`."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from convcli.errors import UsageError, did_you_mean
from convcli.exchange.content import Scaling
from convcli.files import check_target, new_file
from convcli.layers.base import shape_text
from convcli.learn.modelfile import TrainedModel, model_of, write_tensors
from convcli.net import to_notation
from convcli.net.trace import check_single

FormatName = Literal["onnx", "torch", "keras", "h5", "npz"]

SUFFIXES: dict[FormatName, str] = {
    "onnx": ".onnx",
    "torch": ".py",
    "keras": ".keras",
    "h5": ".h5",
    "npz": ".npz",
}
"""Format -> the suffix that its files have."""

ALSO: dict[str, FormatName] = {".hdf5": "h5"}
"""Further suffixes -> format."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how the other program is to call it.

    Attributes:
        format: one of `SUFFIXES`.
        files: what was written; for PyTorch the source and its tensors.
        input: the input's shape in the file's own order, after the batch.
        output: the output's shape likewise.
        preprocessing: `inside` the file, `outside` it, or `none`.
    """

    format: str
    files: tuple[Path, ...]
    input: tuple[int, ...]
    output: tuple[int, ...]
    preprocessing: str


def format_for(path: Path | None, wanted: FormatName | None) -> FormatName:
    """Return the format that a file's suffix or `--to` names.

    >>> format_for(Path("digits.onnx"), None), format_for(None, "keras")
    ('onnx', 'keras')

    Raises:
        UsageError: neither says it, or they disagree.
    """
    suffix = path.suffix.lower() if path else ""
    known: dict[str, FormatName] = {end: name for name, end in SUFFIXES.items()} | ALSO
    found = known.get(suffix)
    kind = wanted or found
    if kind is None:
        hint = did_you_mean(suffix, known)
        if suffix in {".pt", ".pth"}:
            hint = " PyTorch's own files are pickles; write its source and tensors: .py."
        raise UsageError(f"Which format? Use --to {'|'.join(SUFFIXES)}, or such a suffix.{hint}")
    if wanted is not None and path is not None and wanted != found:
        raise UsageError(
            f"--to {wanted} writes {SUFFIXES[wanted]} files, and {path} has another suffix."
        )
    return kind


def export_model(
    model: TrainedModel | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    to: FormatName | None = None,
    with_preprocessing: bool = False,
    force: bool = False,
    inputs: Iterable[Path] = (),
) -> Exported:
    """Write `model` to `path` in another program's format, whole or not at all.

    ONNX and PyTorch files take channels first, Keras files and files with their preprocessing
    inside take channels last.

    Args:
        model: what to write: a model, its file, or its run's directory.
        path: where; PyTorch's tensors go to `NAME_weights.safetensors` beside it.
        to: one of `SUFFIXES`; by the suffix of `path` when left out.
        with_preprocessing: put scale and offset into the file, so that it takes raw levels.
        force: existing files may be replaced.
        inputs: files that must not be replaced.

    Raises:
        UsageError: no known format, or preprocessing where a format has no place for it.
        InputError: a layer that the other program does not have, or a missing extra.
        OutputExistsError: a file exists and `force` is off.
    """
    path, inputs, model = Path(path), tuple(inputs), model_of(model)
    kind = format_for(path, to)
    places = [path]
    if kind == "torch":
        places.append(path.with_name(f"{path.stem}_weights.safetensors"))
    if kind == "npz" and with_preprocessing:
        raise UsageError("An .npz file holds arrays only; its preprocessing is in its notes.")
    if kind != "npz":
        check_single(
            model.network.trace(),
            "an exported graph has one of both. Write arrays alone: -o FILE.npz.",
        )
    for place in places:
        check_target(place, force=force, inputs=inputs)
    prepared = model.preprocessing
    scaling = Scaling(prepared.scale, prepared.offset) if with_preprocessing else None
    if kind == "torch":
        _write_torch(model, places, scaling, force=force)
    else:
        content = _content(model, kind, scaling)
        with new_file(path, force=force, inputs=inputs) as temporary:
            temporary.write_bytes(content)
    trace, plain = model.network.trace(), _is_plain(model)
    first = kind in {"onnx", "torch"}
    inside = "inside" if with_preprocessing else "outside"
    return Exported(
        format=kind,
        files=tuple(places),
        input=_order(trace.network.input_shape, first=first and not with_preprocessing),
        output=_order(trace.output_shape, first=first),
        preprocessing="none" if plain else inside,
    )


def preprocessing_words(model: TrainedModel) -> str:
    """Return what makes the network's input of a sample, as a sentence."""
    prepared = model.preprocessing
    scale, offset = (
        " ".join(f"{figure:.9g}" for figure in figures)
        for figures in (prepared.scale, prepared.offset)
    )
    per = " per channel" if len(prepared.scale) > 1 else ""
    return f"samples of {shape_text(prepared.shape)} times {scale} plus {offset}{per}"


def notes_of(model: TrainedModel) -> dict[str, str]:
    """Return what the other formats keep as texts, so that it comes back with the file."""
    return {
        "network": to_notation(model.network),
        "classes": json.dumps(model.class_names),
        "preprocessing": json.dumps(model.preprocessing.record()),
        "outputs": model.outputs,
    }


def _is_plain(model: TrainedModel) -> bool:
    return set(model.preprocessing.scale) == {1.0} and set(model.preprocessing.offset) == {0.0}


def _order(shape: tuple[int, ...], *, first: bool) -> tuple[int, ...]:
    return (shape[-1], *shape[:-1]) if first else shape


def _content(model: TrainedModel, kind: str, scaling: Scaling | None) -> bytes:
    trace, arrays = model.network.trace(), {**model.model.parameters, **model.model.buffers}
    notes = notes_of(model)
    if kind == "onnx":
        from convcli.exchange.onnx_write import onnx_model

        return onnx_model(trace, arrays, scaling, notes)
    if kind == "npz":
        out = io.BytesIO()
        texts = {name: np.array(text) for name, text in notes.items()}
        np.savez(out, allow_pickle=False, **arrays, **texts)
        return out.getvalue()
    from convcli.exchange.keras_files import keras_archive, keras_hdf5
    from convcli.exchange.keras_write import keras_model

    write = keras_hdf5 if kind == "h5" else keras_archive
    return write(keras_model(trace, arrays, scaling), notes)


def _write_torch(
    model: TrainedModel, places: list[Path], scaling: Scaling | None, *, force: bool
) -> None:
    from convcli.exchange.torch_write import torch_module

    trace, arrays = model.network.trace(), {**model.model.parameters, **model.model.buffers}
    where = "inside" if scaling else "outside, before channels go first"
    about = (
        f"A network written by convcli; its weights are in {places[1].name}.\n\n"
        "    from safetensors.torch import load_file\n"
        f"    from {places[0].stem} import Network\n\n"
        "    network = Network()\n"
        f"    network.load_state_dict(load_file({places[1].name!r}))\n"
        "    network.eval()\n\n"
        f"Its input is {preprocessing_words(model)}, done {where}.\n"
    )
    module = torch_module(trace, arrays, scaling, about, model.class_names)
    write_tensors(places[1], module.tensors, notes_of(model), force=force)
    with new_file(places[0], force=force) as temporary:
        temporary.write_text(module.source, encoding="utf-8", newline="\n")
