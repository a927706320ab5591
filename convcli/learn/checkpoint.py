"""Checkpoints: all that a training needs to go on to the same bits, in one safetensors file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputError
from convcli.learn.fit import Epoch, Progress, Training
from convcli.learn.modelfile import Tensors, read_tensors, write_tensors
from convcli.learn.runspec import RunSpec, read_run_spec
from convcli.net.modelheader import read_model_header
from convcli.records import checked, from_record

COUNTERS = ("step", "step_in_epoch", "loss_sum", "correct", "seen", "epoch_seconds")
"""The figures of `Progress` that are noted as they are."""
PROGRESS = (*COUNTERS, "history")
"""What is noted of `Progress`; all else is of the `RunSpec`."""


def save_checkpoint(path: Path, training: Training, spec: RunSpec) -> None:
    """Write where a training stands; the file before is replaced in one step.

    Raises:
        InputError: it cannot be written, such as on a full disk; the file before is kept.
    """
    now = training.progress
    tensors: Tensors = {"weights": training.model.flat, "memory": now.memory}
    tensors |= {f"buffer:{name}": array for name, array in training.model.buffers.items()}
    if now.ema is not None:
        tensors["ema"] = now.ema
    if now.best_weights is not None:
        tensors["best"] = now.best_weights
        tensors |= {f"best:{name}": array for name, array in now.best_buffers.items()}
    record = spec.record() | {
        "history": [dataclasses.asdict(epoch) for epoch in now.history],
        **{name: getattr(now, name) for name in COUNTERS},
    }
    texts = {"network": spec.network, "checkpoint": json.dumps(record)}
    write_tensors(path, tensors, texts, force=True)


def read_spec(path: Path) -> RunSpec:
    """Return what decides the training of a checkpoint; no arrays are read.

    Raises:
        InputError: the file is damaged or no checkpoint.
    """
    record = _record(path, read_model_header(path).texts)
    try:
        return read_run_spec({name: one for name, one in record.items() if name not in PROGRESS})
    except ValueError as problem:  # our own errors too: they are of the file's contents
        raise _unusable(path, problem) from problem


def restore(path: Path, training: Training) -> None:
    """Bring a training that was built from `read_spec` to where the checkpoint stands.

    Raises:
        InputError: the file is damaged, or does not belong to this training.
    """
    header, tensors = read_tensors(path)
    record = _record(path, header.texts)
    now = training.progress
    try:
        _fill(training.model.flat, tensors["weights"])
        _fill(now.memory, tensors["memory"])
        for name, array in training.model.buffers.items():
            _fill(array, tensors[f"buffer:{name}"])
        if now.ema is not None:
            _fill(now.ema, tensors["ema"])
        _restore_best(now, training, tensors)
        hints = {name: type(getattr(now, name)) for name in COUNTERS}
        counters = checked({name: record[name] for name in COUNTERS}, hints)
        for name, kind in hints.items():
            setattr(now, name, kind(counters[name]))
        if not isinstance(record["history"], list):
            raise ValueError("its history is no list")
        now.history[:] = [from_record(Epoch, epoch) for epoch in record["history"]]
        if now.history and now.best_weights is None:
            raise ValueError("the weights of the best epoch are missing")
    except (KeyError, ValueError) as problem:
        raise _unusable(path, problem) from problem


def _restore_best(now: Progress, training: Training, tensors: Tensors) -> None:
    now.best_weights = None
    if "best" not in tensors:
        return
    now.best_weights = np.empty_like(training.model.flat)
    _fill(now.best_weights, tensors["best"])
    now.best_buffers = {
        name: np.empty_like(array) for name, array in training.model.buffers.items()
    }
    for name, array in now.best_buffers.items():
        _fill(array, tensors[f"best:{name}"])


def _fill(target: npt.NDArray[np.float32], source: npt.NDArray[Any]) -> None:
    if target.shape != source.shape or target.dtype != source.dtype:
        raise ValueError(f"an array of {source.shape} where {target.shape} is needed")
    target[...] = source


def _record(path: Path, texts: dict[str, str]) -> dict[str, Any]:
    if "checkpoint" not in texts:
        raise InputError(f"{path} is no checkpoint; --resume needs the last.safetensors of a run.")
    try:
        record = json.loads(texts["checkpoint"])
    except (ValueError, RecursionError) as problem:
        raise _unusable(path, problem) from problem
    if not isinstance(record, dict):
        raise _unusable(path, "its note is no JSON object")
    return record


def _unusable(path: Path, problem: object) -> InputError:
    return InputError(
        f"{path} is a checkpoint that cannot be used: {problem}. Another version of convcli may "
        f"have written it. Train anew; its model can be the beginning: --init {path.parent}"
    )
