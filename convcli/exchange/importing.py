"""Another program's file as a model of ours: one call for the command `import`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from convcli.arrayfiles import read_npz
from convcli.errors import InputError, UsageError, did_you_mean
from convcli.exchange.content import Content, Scaling
from convcli.layers import Layer
from convcli.layers.join import mapped
from convcli.learn.model import Model
from convcli.learn.modelfile import OUTPUTS, TrainedModel, read_tensors
from convcli.learn.prepare import Preprocessing
from convcli.net import Network, Trace, network as find_network, parse_notation
from convcli.net.lookup import FOREIGN as WHOLE, refuse_pickle

Array = npt.NDArray[Any]
Named: TypeAlias = Network | str | os.PathLike[str] | None

UNSAID = (
    "Arrays say neither the eps of norms ({} here; --eps replaces it) nor how windows are padded: "
    "compare an answer with the other program's."
)

BARE = (".safetensors", ".npz")
"""Files of arrays, which may hold the notation of their network as a note."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A model, and what its file said that found no place in it.

    Attributes:
        model: ready to predict and to save.
        notes: sentences.
        outputs_guessed: whether the network's end alone says what its outputs are.
        whence: the file's name of each layer -> ours, where arrays alone were read.
    """

    model: TrainedModel
    notes: tuple[str, ...] = ()
    outputs_guessed: bool = False
    whence: Mapping[str, str] = field(default_factory=dict)


def import_model(
    path: str | os.PathLike[str],
    *,
    network: Network | str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    scale: float | Sequence[float] | None = None,
    offset: float | Sequence[float] | None = None,
    pictures: Literal["digit", "resize"] | None = None,
    outputs: Literal["classes", "values"] | None = None,
    map: Mapping[str, str] | None = None,  # noqa: A002  (the option's name)
    eps: float | None = None,
) -> Imported:
    """Return the model in another program's file.

    What is left out is taken from the file where it says so (files exported here do), else classes
    are numbered and samples are taken as they are.

    Args:
        path: ONNX, Keras (.keras, .h5), or arrays (.safetensors, .npz).
        network: a value, notation, a preset or a file; for arrays alone.
        classes: the name of each output, a list or with commas between them.
        scale: samples are multiplied by it, one figure or one a channel,
        offset: and then this is added.
        pictures: how pictures of another size are prepared, see `Preprocessing`.
        outputs: `classes`, which get a softmax where the network has none, or `values`; guessed
            from the network's end.
        map: the file's name of a layer -> ours, for arrays alone; the others are found by name,
            or by shape and order.
        eps: what all norms add to the variance, for arrays alone, which do not say it.

    Raises:
        UsageError: an unknown suffix, or a network for a file that has its own.
        InputError: a damaged or hostile file, a layer that cannot be said here, or arrays that
            do not fit.
    """
    path = Path(path)
    read = _read(path, network, map or {}, eps)
    trace = read.network.trace()
    count = trace.output_shape[-1]
    given = classes.split(",") if isinstance(classes, str) else classes
    names = tuple(given or _class_names(read.texts, count))
    if len(names) != count:
        raise UsageError(
            f"--classes has {len(names)} names, and the network in {path} has {count} outputs."
        )
    said = outputs or read.texts.get("outputs")
    guessed = said not in OUTPUTS
    kind = _outputs(trace) if said is None or guessed else said
    try:
        preprocessing = _preprocessing(read, _figures(scale), _figures(offset), pictures)
        arrays = {  # all are checked before memory for the network is taken
            f"{step.name}.{name}": _fitting(f"{step.name}.{name}", read.arrays, shape)
            for step in trace.steps
            for name, shape in {**step.weights, **step.buffer_shapes}.items()
        }
        model = Model.initialize(read.network, scaling=preprocessing.engine_scaling)
        for name, place in {**model.parameters, **model.buffers}.items():
            place[...] = arrays[name]
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from problem
    training = {"data": f"imported from {path.name}"}
    trained = TrainedModel(model, names, preprocessing, {}, training, kind)
    return Imported(trained, read.notes, guessed, read.whence)


def _figures(given: float | Sequence[float] | None) -> tuple[float, ...] | None:
    """Return one figure for all channels, or one a channel."""
    if given is None or isinstance(given, int | float):
        return None if given is None else (float(given),)
    return tuple(given)


def model_in(path: Path) -> TrainedModel:
    """Return the model in another program's file, as the file says it."""
    return import_model(path).model


def _outputs(trace: Trace) -> str:
    """Return what the outputs are by the network's end: a softmax or bare sums are classes.

    >>> _outputs(parse_notation("input 4, dense 2").trace())
    'classes'
    >>> _outputs(parse_notation("input 4, dense 2 sigmoid").trace())
    'values'
    """
    if not trace.steps:
        return "values"
    last = trace.steps[-1]
    bare = last.op == "dense" and last.activation is None and len(last.output_shape) == 1
    sums = bare and last.output_shape[0] > 1
    return "classes" if sums or "softmax" in {last.op, last.activation} else "values"


def _read(path: Path, network: Named, renamed: Mapping[str, str], eps: float | None) -> Content:
    suffix = path.suffix.lower()
    refuse_pickle(path)
    if suffix not in {*WHOLE, *BARE}:
        hint = did_you_mean(suffix, (*WHOLE, *BARE))
        raise UsageError(f"{path}: import reads {', '.join((*WHOLE, *BARE))}.{hint}")
    for option, given in (("--network", network), ("--map", renamed), ("--eps", eps)):
        if suffix in WHOLE and given:
            raise UsageError(f"{path} holds its own network; leave {option} out.")
    if suffix == ".onnx":
        from convcli.exchange.onnx_import import read_onnx

        return read_onnx(path)
    if suffix in WHOLE:
        from convcli.exchange.keras_read import read_keras_trained

        return read_keras_trained(path)
    return _read_arrays(path, network, renamed, eps)


def _read_arrays(
    path: Path, network: Named, renamed: Mapping[str, str], eps: float | None
) -> Content:
    from convcli.exchange.named_arrays import arrays_by_name

    if path.suffix.lower() == ".npz":
        found = read_npz(path)
        texts = {name: str(array) for name, array in found.items() if array.dtype.kind == "U"}
        given = {name: array for name, array in found.items() if name not in texts}
    else:
        header, given = read_tensors(path)
        texts = header.texts
    if network is None and "network" not in texts:
        raise UsageError(
            f"{path} holds arrays and no network. Say which with --network: a preset, a file, or "
            "'input 28x28x1, conv 16 3 relu, ...'"
        )
    try:  # a note in a file is notation and never names another file
        built = find_network(network) if network else parse_notation(texts["network"])
        if eps is not None:
            built = replace(built, layers=mapped(built.layers, partial(_with_eps, eps=eps)))
        last = "network" in texts
        arrays, whence = arrays_by_name(
            built.trace(), given, rows_channels_last=last, renamed=renamed
        )
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from problem
    held = sorted(
        {layer.eps for step in built.trace().steps if hasattr(layer := step.layer, "eps")}
    )
    unsaid = whence and held and not last and eps is None
    notes = (UNSAID.format(", ".join(f"{one:g}" for one in held)),) if unsaid else ()
    return Content(built, arrays, texts, notes=notes, whence=whence)


def _with_eps(layer: Layer, eps: float) -> Layer:
    changes: dict[str, Any] = {"eps": eps} if hasattr(layer, "eps") else {}
    return replace(layer, **changes)


def _fitting(name: str, arrays: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    """Return an array as float32, once its place, shape and numbers are found good."""
    array = arrays.get(name)
    if array is None or array.shape != shape:
        has = "is missing" if array is None else f"has the shape {array.shape}"
        raise InputError(f"the array {name} {has}; the network needs {shape}.")
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InputError(f"the array {name} ({array.dtype}) holds something but finite numbers.")
    converted: Array = array.astype(np.float32)
    return converted


def _class_names(texts: Mapping[str, str], outputs: int) -> tuple[str, ...]:
    found = _json(texts, "classes")
    if isinstance(found, list) and len(found) == outputs:
        return tuple(str(name) for name in found)
    return tuple(str(number) for number in range(outputs))


def _preprocessing(
    read: Content,
    scale: tuple[float, ...] | None,
    offset: tuple[float, ...] | None,
    pictures: str | None,
) -> Preprocessing:
    """Return what was asked for, else what the file says, else samples as they are."""
    shape = read.network.input_shape
    record = _json(read.texts, "preprocessing")
    noted = Preprocessing(shape, (1.0,), (0.0,))
    if isinstance(record, dict):
        noted = Preprocessing.from_record(record, shape)
    inside = read.scaling or Scaling(noted.scale, noted.offset)
    if read.scaling is not None and (scale or offset):
        raise UsageError("The file scales its input itself; leave --scale and --offset out.")
    for option, given in (("--scale", scale), ("--offset", offset)):
        if given and len(given) not in {1, shape[-1]}:
            raise UsageError(
                f"{option} has {len(given)} figures, and samples have {shape[-1]} channels."
            )
    found = {
        "shape": shape,
        "scale": scale or inside.scale,
        "offset": offset or inside.offset,
        "pictures": pictures or noted.pictures,
    }
    return Preprocessing.from_record(found, shape)


def _json(texts: Mapping[str, str], key: str) -> object:
    try:
        found: object = json.loads(texts.get(key, "null"))
    except (ValueError, RecursionError):
        return None
    return found
