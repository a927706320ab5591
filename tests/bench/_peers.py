"""The same network in PyTorch and in onnxruntime, as the project exports it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convcli.exchange.export import export_model
from convcli.exchange.torch_write import torch_module
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel
from convcli.learn.prepare import Preprocessing
from convcli.ops.lowering import _without


def in_torch(model: Model, *, logits: bool = False) -> Any:
    """Return the network as a module, in channels_last where it reads pictures."""
    import torch

    trace = model.trace
    if logits:
        trace = replace(trace, steps=_without("softmax", trace.steps))
    written, names = torch_module(trace, model.parameters | model.buffers), dict[str, Any]()
    exec(written.source, names)  # noqa: S102  (our own text)
    module = names["Network"]()
    tensors = {name: torch.from_numpy(array) for name, array in written.tensors.items()}
    module.load_state_dict(tensors, strict=False)
    pictures = len(trace.network.input_shape) == 3
    return module.to(memory_format=torch.channels_last) if pictures else module


def channels_first(samples: np.ndarray) -> Any:
    """Return samples (N, ..., C) as a tensor (N, C, ...), which lies as it did."""
    import torch

    return torch.from_numpy(samples).movedim(-1, 1)


def in_onnxruntime(model: Model, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of samples, channels last, that answers with the network's outputs."""
    import onnxruntime

    shape = model.network.input_shape
    names = tuple(map(str, range(model.trace.output_shape[-1])))
    trained = TrainedModel(model, names, Preprocessing(shape, (1.0,), (0.0,)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.onnx")
        export_model(trained, file)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(samples: np.ndarray) -> np.ndarray:
        given = np.ascontiguousarray(np.moveaxis(samples, -1, 1))
        return np.asarray(session.run(None, {name: given})[0])

    return run
