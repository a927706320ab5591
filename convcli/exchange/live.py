"""Networks alive in another program: a module of PyTorch, a model of Keras, code that makes one.

Code is run only where the user says so, by a colon: `net.py:Net`.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from convcli.errors import ConvcliError, InputError, UsageError, WrongTypeError, did_you_mean
from convcli.exchange.keras_read import network_from_keras
from convcli.exchange.onnx_import import network_from_onnx
from convcli.layers.base import Shape, shape_text
from convcli.net import Network
from convcli.net.lookup import OpenedNetwork


def opened_live(source: Any, input_shape: Shape | None = None) -> OpenedNetwork:
    """Return what a module of PyTorch or a model of Keras is on paper.

    A module is followed as `torch.onnx.export` follows it, in evaluation mode, its norms kept.

    Args:
        source: the module or model.
        input_shape: channels last, no batch; PyTorch's modules do not know theirs.

    Raises:
        UsageError: a module without an input shape.
        InputError: its forward does not take such an input, or does what has no word here.
        WrongTypeError: neither.
    """
    if isinstance(source, Network):
        return OpenedNetwork(source if input_shape is None else source.with_input(input_shape))
    if hasattr(source, "to_json"):  # Keras on PyTorch makes modules, too
        return network_from_keras(json.loads(source.to_json()), input_shape)
    if _is_module(source):
        name = type(source).__name__
        if input_shape is None:
            raise UsageError(f"The module {name} does not know its input. Say it: --input 32x32x3")
        content = network_from_onnx(_exported(source, input_shape), name)
        return content.on_paper()
    raise WrongTypeError(
        f"{type(source).__name__}: a network is a Network, words, a path, a torch.nn.Module or a "
        "Keras model."
    )


def _is_module(source: object) -> bool:
    """Tell whether it is a module of PyTorch, which whoever has one has imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def _exported(module: Any, shape: Shape) -> bytes:
    """Return the module as PyTorch's exporter writes it; its mode is what it was behind it."""
    torch = sys.modules["torch"]
    content, was_training = io.BytesIO(), module.training
    sample = torch.zeros(1, shape[-1], *shape[:-1])
    module.eval()
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                module,
                (sample,),
                content,
                dynamo=False,
                training=torch.onnx.TrainingMode.PRESERVE,  # or norms are folded away
                do_constant_folding=False,
            )
    except ImportError as problem:
        raise InputError(f"PyTorch's exporter needs a package: {problem}.") from problem
    except Exception as problem:  # of whatever its forward does
        sentence = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise InputError(
            f"The module {type(module).__name__} cannot be followed on a batch of "
            f"{shape_text(tuple(sample.shape))}: {sentence}"
        ) from problem
    finally:
        module.train(was_training)
    return content.getvalue()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's advice from the terminal."""
    log = logging.getLogger("torch")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def read_code(place: str, input_shape: Shape | None = None) -> OpenedNetwork:
    """Return the network that `file.py:NAME` makes; the file is run.

    NAME is a class or a function that takes no arguments, or a network itself.

    Raises:
        InputError: no such file or name, or its code fails.
    """
    file, _, name = place.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file.")
    module = module_from_spec(spec)
    sys.path.insert(0, str(path.parent.absolute()))
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, name):
            hint = did_you_mean(name, [known for known in vars(module) if known[0] != "_"])
            raise InputError(f"{path} has no {name!r}.{hint}")
        made = getattr(module, name)
        lives = isinstance(made, Network) or _is_module(made) or hasattr(made, "to_json")
        if isinstance(made, type) or (callable(made) and not lives):
            made = made()
        return opened_live(made, input_shape)
    except ConvcliError:  # has its own sentence
        raise
    except (Exception, SystemExit) as problem:  # of whatever the file does
        raise InputError(f"{place}: {type(problem).__name__}: {problem}") from problem
    finally:
        sys.path.remove(str(path.parent.absolute()))
