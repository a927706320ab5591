"""A trained network as PyTorch source that one can read, and tensors with matching names.

The module is written in PyTorch's own order (channels first); only flatten and reshape go through
channels last, so that the dense weights keep their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

from convcli.exchange.scaling import Scaling
from convcli.exchange.torch_layers import (
    Array,
    Arrays,
    ModuleWriter,
    attribute,
    expression,
    torch_shape,
)
from convcli.layers.base import shape_text
from convcli.net import Trace


@dataclass(frozen=True, slots=True)
class TorchSource:
    """The source text of a module, and the tensors that its `load_state_dict` takes."""

    source: str
    tensors: dict[str, Array]


def torch_module(
    trace: Trace,
    arrays: Arrays,
    scaling: Scaling | None = None,
    about: str = "",
    classes: tuple[str, ...] = (),
) -> TorchSource:
    """Return a readable `nn.Module` for the network, and its tensors by the module's names.

    Args:
        trace: the network's steps.
        arrays: parameters and running statistics by `step.weight`.
        scaling: preprocessing to include; the module then takes raw levels, channels last.
        about: the text of the source's docstring.
        classes: the name of each output.

    Raises:
        InputError: a layer has no PyTorch form here.
    """
    writer = ModuleWriter(arrays)
    shape = torch_shape(trace.network.input_shape)
    taken = f"batch x {shape}"
    if scaling is not None:
        taken = f"raw levels, batch x {shape_text(trace.network.input_shape)}"
        turned = ".movedim(-1, 1)" if len(trace.network.input_shape) > 1 else ""
        scaled = f"x * x.new_tensor({scaling.scale}) + x.new_tensor({scaling.offset})"
        writer.forward.append(f"x = ({scaled}){turned}  # {shape}")
    chain = all(step.sources == (step.index - 1,) for step in trace.steps)
    values = ["x"]
    for step in trace.steps:
        line = expression(step, [values[source] for source in step.sources], writer)
        values.append("x" if chain else attribute(step))
        if line != values[-1]:  # a dropout of nothing leaves no line
            writer.forward.append(f"{values[-1]} = {line}  # {torch_shape(step.output_shape)}")
    lines = [
        f'"""{_quoted(about or "A network, written by convcli.")}"""',
        "",
        "import torch",
        "import torch.nn.functional as F",
        "from torch import nn",
        "",
        *([f"CLASSES = {classes!r}", ""] if classes else []),
        "",
        "class Network(nn.Module):",
        f'    """Takes {taken}; load its weights with load_state_dict."""',
        "",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        {line}" for line in writer.init),
        "",
        "    def forward(self, x):",
        *(f"        {line}" for line in writer.forward),
        f"        return {values[-1]}",
        "",
    ]
    return TorchSource("\n".join(lines), writer.tensors)


def _quoted(text: str) -> str:
    """Return a text that cannot end the docstring it stands in: names come from files."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
