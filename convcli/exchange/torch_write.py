"""A trained network as PyTorch source that one can read, and tensors with matching names.

The module is written in PyTorch's own order (channels first); only flatten and reshape go through
channels last, so that the dense weights keep their meaning.
"""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from convcli import layers
from convcli.exchange.content import Scaling
from convcli.exchange.layouts import Array
from convcli.exchange.writer import Arrays, Writer, elsewhere_of, paddings, rank, window, windows
from convcli.geometry import output_size
from convcli.layers.activation import ACTIVATIONS, numbers_of
from convcli.layers.base import shape_text
from convcli.net import Step, Trace


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
    shape = torch_shape(trace.network.input_shape)
    taken, lines = f"batch x {shape}", list[str]()
    if scaling is not None:
        taken = f"raw levels, batch x {shape_text(trace.network.input_shape)}"
        turned = ".movedim(-1, 1)" if len(trace.network.input_shape) > 1 else ""
        scaled = f"x * x.new_tensor({scaling.scale}) + x.new_tensor({scaling.offset})"
        lines.append(f"x = ({scaled}){turned}  # {shape}")
    chain = all(step.sources == (step.index - 1,) for step in trace.steps)
    writer = ModuleWriter(arrays, lines, chain=chain)
    last = writer.write(trace, "x")
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
        f"        return {last}",
        "",
    ]
    return TorchSource("\n".join(lines), writer.tensors)


def _quoted(text: str) -> str:
    """Return a text that cannot end the docstring it stands in: names come from files."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def attribute(step: Step) -> str:
    """Return the step's name as a Python attribute.

    A name of digits first, or a word of Python, gets the op before it.
    """
    name = "".join(letter if letter.isalnum() else "_" for letter in step.name)
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"{step.op}_{name}"


def torch_shape(shape: Sequence[int]) -> str:
    """Return a shape without its batch, channels first.

    >>> torch_shape((28, 20, 1))
    '1x28x20'
    """
    return shape_text((shape[-1], *shape[:-1]))


def _tuple(sizes: Sequence[int]) -> str:
    """Return sizes as PyTorch takes them: one number where all are equal."""
    return str(sizes[0]) if len(set(sizes)) == 1 else str(tuple(sizes))


def _options(**given: tuple[Any, Any]) -> str:
    """Return `, key=value` for each value that is not its default."""
    return "".join(
        f", {key}={value}" for key, (value, default) in given.items() if value != default
    )


def _padded(step: Step, source: str, fill: str = "") -> tuple[str, str]:
    """Return the source, padded by hand where two equal sides will not do, and the padding left."""
    pairs, ceil = paddings(step), getattr(step.layer, "ceil", False)
    sides = [before for before, _ in pairs]
    counts = tuple(
        output_size(size, axis.kernel, axis.stride, side, side, axis.dilation, ceil=ceil)
        for axis, size, side in zip(windows(step), step.input_shapes[0], sides, strict=False)
    )
    if counts == step.output_shape[:-1]:
        return source, _tuple(sides)
    flat = tuple(cells for pair in reversed(pairs) for cells in pair)
    return f"F.pad({source}, {flat}{fill})", "0"


class ModuleWriter(Writer):
    """The lines of `__init__` and `forward` in the making, and the tensors that go with them."""

    program = "PyTorch"

    def __init__(self, arrays: Arrays, forward: list[str], *, chain: bool) -> None:
        super().__init__(arrays)
        self.init: list[str] = []
        self.forward = forward
        self.tensors: dict[str, Array] = {}
        self.chain = chain

    def row(self, step: Step, *sources: str) -> str:
        """Write one line of `forward`."""
        line = super().row(step, *sources)
        name = "x" if self.chain else attribute(step)
        if line != name:  # a dropout of nothing leaves no line
            self.forward.append(f"{name} = {line}  # {torch_shape(step.output_shape)}")
        return name

    def child(self, step: Step, constructor: str, source: str, tail: str = "") -> str:
        """Declare a child module with its tensors and return its call."""
        said = elsewhere_of(step.layer).torch
        for name, there in said.arrays.items() if said else ():
            if name in step.weights | step.buffer_shapes:
                self.tensor(step, there, self.first(step, name))
        return self.call(f"{attribute(step)}{tail}", constructor, source)

    def call(self, name: str, constructor: str, source: str) -> str:
        """Declare a child module and return its call."""
        self.init.append(f"self.{name} = nn.{constructor}")
        return f"self.{name}({source})"

    def tensor(self, step: Step, name: str, array: Array) -> None:
        """Give a tensor to a child module's parameter."""
        dot = "" if name.startswith("_") else "."
        full = np.ascontiguousarray(array, dtype=np.float32)
        self.tensors[f"{attribute(step)}{dot}{name}"] = full

    def named(self, step: Step, layer: layers.Layer, *sources: str) -> str:
        """Write a layer by the form that stands on its class."""
        said = elsewhere_of(layer).torch
        if said is None or "(" not in said.form:
            raise self.formless(step)
        figures = {one.name: getattr(layer, one.name) for one in fields(layer)}
        channels = step.input_shapes[0][-1]
        text = said.form.format(x=sources[0], channels=channels, rank=max(1, rank(step)), **figures)
        return text if "{x}" in said.form else self.child(step, text, sources[0])

    def activated(self, step: Step, kind: str, source: str) -> str:
        """Return an activation's expression as its row names it."""
        named = ACTIVATIONS[kind].elsewhere.torch
        if named is None:
            raise self.formless(step)
        return named.form.format(x=source, numbers=numbers_of(step.layer, kind))

    def convolution(
        self, step: Step, source: str, outputs: int, groups: int, *, bias: bool
    ) -> tuple[str, str]:
        """Return the constructor of a sliding convolution, and what it reads."""
        source, padding = _padded(step, source)
        options = _options(
            stride=(_tuple(window(step, "stride")), "1"),
            padding=(padding, "0"),
            dilation=(_tuple(window(step, "dilation")), "1"),
            groups=(groups, 1),
            bias=(bias, True),
        )
        sizes = f"{step.input_shapes[0][-1]}, {outputs}, {_tuple(window(step, 'kernel'))}"
        return f"Conv{rank(step)}d({sizes}{options})", source

    def write_conv(self, step: Step, layer: Any, source: str) -> str:
        """Write a convolution; in a depthwise one every channel is a group."""
        groups = layer.groups if isinstance(layer, layers.Conv) else step.input_shapes[0][-1]
        outputs = step.output_shape[-1]
        return self.child(step, *self.convolution(step, source, outputs, groups, bias=layer.bias))

    write_dwconv = write_conv

    def write_sepconv(self, step: Step, layer: layers.SeparableConv, source: str) -> str:
        """Write both convolutions, with the bias in the second."""
        channels = step.input_shapes[0][-1]
        outputs = channels * layer.multiplier
        head = self.convolution(step, source, outputs, channels, bias=False)
        middle = self.call(f"{attribute(step)}_depthwise", *head)
        sizes = f"{outputs}, {layer.filters}, 1{_options(bias=(layer.bias, True))}"
        return self.child(step, f"Conv{rank(step)}d({sizes})", middle, "_pointwise")

    def write_upconv(self, step: Step, layer: layers.TransposedConv, source: str) -> str:
        """PyTorch crops both sides alike: what more is cut at the end is sliced off."""
        before, after, extra = (list(part) for part in zip(*layer.crops(), strict=True))
        surplus = [end - start for start, end in zip(before, after, strict=True)]
        if min(surplus) < 0 or any(cut and more for cut, more in zip(surplus, extra, strict=True)):
            raise self.problem(
                step,
                ": PyTorch has no transposed convolution with this padding. Use the same padding "
                "before and after.",
            )
        options = _options(
            stride=(_tuple(layer.stride), "1"),
            padding=(_tuple(before), "0"),
            output_padding=(_tuple(extra), "0"),
            groups=(layer.groups, 1),
            bias=(layer.bias, True),
            dilation=(_tuple(layer.dilation), "1"),
        )
        sizes = f"{step.input_shapes[0][-1]}, {layer.filters}, {_tuple(layer.kernel)}"
        out = self.child(step, f"ConvTranspose{rank(step)}d({sizes}{options})", source)
        cuts = ", ".join(f":-{cut}" if cut else ":" for cut in surplus)
        return out + (f"[:, :, {cuts}]" if any(surplus) else "")

    def write_dense(self, step: Step, layer: layers.Dense, source: str) -> str:
        """On a map it acts on channels: a 1x1 convolution."""
        bias, sizes = (
            _options(bias=(layer.bias, True)),
            f"{step.input_shapes[0][-1]}, {layer.units}",
        )
        if rank(step) == 0:
            return self.child(step, f"Linear({sizes}{bias})", source)
        out = self.child(step, f"Conv{rank(step)}d({sizes}, 1{bias})", source)
        kernel = self.first(step, "kernel")
        self.tensor(step, "weight", kernel.reshape(*kernel.shape, *[1] * rank(step)))
        return out

    def write_maxpool(self, step: Step, layer: layers.MaxPool, source: str) -> str:
        """Write a maximum; what is padded by hand never wins."""
        padded, padding = _padded(step, source, ", value=-torch.inf")
        ceil = layer.ceil and padded == source
        options = _options(
            padding=(padding, "0"),
            dilation=(_tuple(window(step, "dilation")), "1"),
            ceil_mode=(ceil, False),
        )
        return self.pool(step, "max", padded, options)

    def write_avgpool(self, step: Step, layer: layers.AveragePool, source: str) -> str:
        """Write a mean, which PyTorch takes with the same padding on both sides."""
        padded, padding = _padded(step, source)
        if padded != source and not layer.count_padding:
            raise self.problem(
                step,
                ": PyTorch averages with the same padding on both sides only. Use such a padding, "
                "or countpad.",
            )
        ceil = layer.ceil and padded == source
        options = _options(
            padding=(padding, "0"),
            ceil_mode=(ceil, False),
            count_include_pad=(layer.count_padding or (padding == "0" and not ceil), True),
        )
        return self.pool(step, "avg", padded, options)

    def pool(self, step: Step, kind: str, source: str, options: str) -> str:
        """Return the call of a pool."""
        kernel, stride = _tuple(window(step, "kernel")), _tuple(window(step, "stride"))
        strided = _options(stride=(stride, kernel))
        return f"F.{kind}_pool{rank(step)}d({source}, {kernel}{strided}{options})"

    def write_gap(self, step: Step, _: layers.Layer, source: str) -> str:
        """Write the mean of each channel."""
        return f"{source}.mean(dim={tuple(range(2, 2 + rank(step)))})"

    def write_gmp(self, step: Step, _: layers.Layer, source: str) -> str:
        """Write the largest value of each channel."""
        return f"{source}.amax(dim={tuple(range(2, 2 + rank(step)))})"

    def write_adaptavg(self, step: Step, _: layers.Layer, source: str) -> str:
        """Write means over uneven windows."""
        return f"F.adaptive_avg_pool{rank(step)}d({source}, {_tuple(step.output_shape[:-1])})"

    def write_adaptmax(self, step: Step, _: layers.Layer, source: str) -> str:
        """Write maxima over uneven windows."""
        return f"F.adaptive_max_pool{rank(step)}d({source}, {_tuple(step.output_shape[:-1])})"

    def write_bn(self, step: Step, layer: layers.BatchNorm, source: str) -> str:
        """PyTorch asks for scales and a count of batches, also where they say nothing."""
        name = attribute(step)
        self.tensor(step, "weight", np.ones(step.output_shape[-1]))
        self.tensors[f"{name}.num_batches_tracked"] = np.zeros((), np.int64)
        return self.named(step, layer, source)

    def write_ln(self, step: Step, layer: layers.LayerNorm, source: str) -> str:
        """PyTorch normalizes over the last axis, where the channels are moved for a while."""
        if not rank(step):
            return self.named(step, layer, source)
        return f"{self.named(step, layer, f'{source}.movedim(1, -1)')}.movedim(-1, 1)"

    write_rmsnorm = write_ln

    def write_layerscale(self, step: Step, _: layers.Layer, source: str) -> str:
        """Write a parameter of the module's own."""
        name, spread = attribute(step), ", None" * rank(step)
        self.init.append(f"self.{name} = nn.Parameter(torch.ones({step.output_shape[-1]}))")
        self.tensors[name] = np.ascontiguousarray(self.array(step, "scale"), dtype=np.float32)
        return f"{source} * self.{name}" + (f"[:{spread}]" if spread else "")

    def write_dropout(self, step: Step, layer: layers.Dropout, source: str) -> str:
        """Write a dropout; of a row its channels are its cells."""
        whole = layer.whole_channels and rank(step) > 0
        kind = f"Dropout{rank(step)}d" if whole else "Dropout"
        return self.call(attribute(step), f"{kind}({layer.rate})", source)

    def write_flatten(self, step: Step, _: layers.Flatten, source: str) -> str:
        """Channels last before the cells are put in one row."""
        return f"{source}{'.movedim(1, -1)' if rank(step) else ''}.flatten(1)"

    def write_reshape(self, step: Step, _: layers.Reshape, source: str) -> str:
        """Cells keep their order, which is channels last."""
        before = ".movedim(1, -1)" if rank(step) else ""
        after = ".movedim(-1, 1)" if len(step.output_shape) > 1 else ""
        sizes = ", ".join(map(str, step.output_shape))
        return f"{source}{before}.reshape(-1, {sizes}){after}"

    def write_pad(self, step: Step, layer: layers.Pad | layers.Crop, source: str) -> str:
        """A crop is a negative padding."""
        sign = 1 if isinstance(layer, layers.Pad) else -1
        flat = tuple(sign * cells for pair in reversed(layer.cells) for cells in pair)
        return f"F.pad({source}, {flat})"

    write_crop = write_pad

    def write_upsample(self, step: Step, layer: layers.Upsample, source: str) -> str:
        """Write an enlargement."""
        linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[rank(step)]
        mode = f', mode="{linear}", align_corners=False' if layer.bilinear else ""
        if layer.size:
            return f"F.interpolate({source}, size={layer.size}{mode})"
        return f"F.interpolate({source}, scale_factor={tuple(map(float, layer.factor))}{mode})"

    def write_slice(self, step: Step, layer: layers.Slice, source: str) -> str:
        """Write a part of the channels."""
        start, stop = layer.channels
        return f"{source}[:, {start}:{'' if stop is None else stop}]"

    def write_permute(self, _: Step, layer: layers.Permute, source: str) -> str:
        """Axes are turned as they stand channels last."""
        places = [*range(2, len(layer.order) + 1), 1]  # where our axes stand in PyTorch's
        last = [places[axis] for axis in layer.order]
        return f"{source}.permute(0, {', '.join(map(str, [last[-1], *last[:-1]]))})"

    def write_pixelshuffle(self, step: Step, layer: Any, source: str) -> str:
        """Write a turn of channels and space, over two axes."""
        if rank(step) != 2:
            raise self.formless(step)
        return f"F.{layer.op.replace('pixel', 'pixel_')}({source}, {layer.factor})"

    write_pixelunshuffle = write_pixelshuffle

    def write_shuffle(self, step: Step, layer: layers.ChannelShuffle, source: str) -> str:
        """Write a turn of channels."""
        return f"F.channel_shuffle({source}, {layer.groups})"

    def write_lstm(self, step: Step, layer: layers.LSTM | layers.GRU, source: str) -> str:
        """Both order their gates alike; a single bias is PyTorch's first, its second is zero."""
        for way in layer.directions:
            tail = "_reverse" if way else ""
            self.tensor(step, f"bias_hh_l0{tail}", np.zeros(layer.gates * layer.units))
        both = _options(bidirectional=(layer.bidirectional, False))
        sizes = f"{step.input_shapes[0][-1]}, {layer.units}, batch_first=True{both}"
        called = self.child(step, f"{layer.op.upper()}({sizes})", f"{source}.movedim(1, -1)")
        if layer.sequence:
            return f"{called}[0].movedim(-1, 1)"
        last = f"{called}[1]" + ("[0]" if layer.op == "lstm" else "")
        return f"{last}.movedim(0, 1).flatten(1)" if layer.bidirectional else f"{called}[0][:, -1]"

    write_gru = write_lstm

    def write_add(self, _: Step, __: layers.Add, *sources: str) -> str:
        """Write a sum."""
        return " + ".join(sources)

    def write_concat(self, _: Step, __: layers.ConcatChannels, *sources: str) -> str:
        """Write a stack of channels."""
        return f"torch.cat([{', '.join(sources)}], dim=1)"

    def write_scale(self, step: Step, _: layers.Multiply, *sources: str) -> str:
        """A gate of one number per channel is spread over the map."""
        first = len(step.input_shapes[0])
        spread = [", None" * (first - len(shape)) for shape in step.input_shapes]
        return " * ".join(
            f"{source}[:, :{more}]" if more else source
            for source, more in zip(sources, spread, strict=True)
        )

    write_mul = write_scale
