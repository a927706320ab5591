"""Rules of the pools: windows listed once, then maxima or means over them."""

from __future__ import annotations

from math import prod

from convcli.engine.operations import copying, pooling
from convcli.geometry import adaptive_window
from convcli.layers.pool import AdaptiveAveragePool, AveragePool, MaxPool, Pool
from convcli.learn.compiled.motion import Motion, Pooled, Value
from convcli.learn.compiled.products import Map
from convcli.learn.compiled.program import Place
from convcli.net.trace import Step

Triple = tuple[int, int, int]


def window_triples(step: Step) -> list[list[Triple]]:
    """Return for depth, height and width one (first cell, end, cells it counts for) per window."""
    layer, shape = step.layer, step.input_shapes[0][:-1]
    if isinstance(layer, Pool):
        count_padding = isinstance(layer, AveragePool) and layer.count_padding
        axes = []
        for axis, window in enumerate(layer.windows(step.input_shapes[0])):
            size, triples = shape[axis], []
            for cell in range(step.output_shape[axis]):
                start = cell * window.stride - window.before
                stop = min(start + window.kernel, size + window.after)
                first, end = max(start, 0), min(stop, size)
                triples.append((first, end, stop - start if count_padding else end - first))
            axes.append(triples)
    elif isinstance(layer, AdaptiveAveragePool):
        axes = []
        for size, count in zip(shape, layer.size, strict=True):
            spans = [adaptive_window(size, count, cell) for cell in range(count)]
            axes.append([(span.start, span.stop, len(span)) for span in spans])
    else:
        axes = [[(0, size, size)] for size in shape]
    return [[(0, 1, 1)]] * (3 - len(axes)) + axes


def _are_disjoint(axes: list[list[Triple]], extents: Triple) -> bool:
    """Tell whether the windows cover every cell of the (needed) map exactly once."""
    for triples, extent in zip(axes, extents, strict=True):
        ends = [0, *(end for _, end, _ in triples)]
        starts = [first for first, _, _ in triples]
        if starts != ends[:-1] or ends[-1] != extent:
            return False
    return True


def pool(motion: Motion, step: Step, x: Value) -> Value:
    """Max, average, global and adaptive pooling."""
    builder, y = motion.builder, motion.value(step, x)
    largest = isinstance(step.layer, MaxPool) or step.op == "gmp"
    axes = window_triples(step)
    source = x.map
    cells, channels = prod(len(axis) for axis in axes), source.channels
    widest = prod(max(end - first for first, end, _ in axis) for axis in axes)
    pitch = -(-channels // 16) * 16 if widest < pooling.WIDEST else 0
    room = -(-cells * (pitch + 16) // 4) if pitch else cells * channels
    choice = builder.region(room if largest else 1)
    rectifies = largest and _takes_over_relu(motion, step)
    x.rectified = x.rectified or rectifies
    disjoint = _are_disjoint(axes, (source.depth, source.height, source.width))
    head = (channels, pitch, source.plane, source.line, *map(len, axes))
    triples = tuple(number for axis in axes for triple in axis for number in triple)
    forward = pooling.max_forward if largest else pooling.mean_forward
    back = pooling.max_backward if largest else pooling.mean_backward
    halves = all(end - first == 2 for axis in axes[1:] for first, end, _ in axis)
    if largest and disjoint and halves and len(axes[0]) == 1:
        forward, back = pooling.max_forward_2x2, pooling.max_backward_2x2
    builder.sample(
        forward, source.place, y.place, choice, *head, int(rectifies), int(disjoint), *triples
    )

    if x.listable and largest and disjoint and pitch and len(axes[0]) == 1:
        window = (_width(axes[1]), _width(axes[2]))
        if all(end - first == size for axis, size in zip(axes[1:], window, strict=True)
               for first, end, _ in axis):  # fmt: skip
            x.pooled = Pooled(y, choice, pitch, window)
            return y

    def backward() -> None:
        dy = motion.slope_of(y)

        def write(to: Place) -> None:
            dx = Map.whole(to, x.shape)
            if not disjoint:
                builder.sample(copying.clear, to, x.size)
            builder.sample(back, dx.place, dy, choice, *head, 0, int(disjoint), *triples)

        motion.send(x, write)

    motion.backward(backward)
    return y


def _width(axis: list[Triple]) -> int:
    return axis[0][1] - axis[0][0]


def _takes_over_relu(motion: Motion, step: Step) -> bool:
    """Tell whether the pooling can apply the gradient of the ReLU before it: it is all it reads."""
    source = step.sources[0]
    if source == 0:
        return False
    before = motion.trace.steps[source - 1]
    kind = before.activation or (before.op if before.op == "relu" else None)
    return kind == "relu" and motion.only_reader(before) is step
