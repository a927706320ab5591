"""What a model sees and why: `show_...` draws, `explain_...` spells out, `write_report` is both."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from convcli.api.training import Data, Place, SplitName
from convcli.errors import InputError, UsageError
from convcli.inspect.probe import Probe
from convcli.kernels import Kernel, Magnitude, find, parse_numbers
from convcli.learn.modelfile import TrainedModel, model_of
from convcli.net import Network, network as find_network
from convcli.net.lookup import model_path
from convcli.option import parse_place
from convcli.present import inspection, sums
from convcli.present.curves import EPOCHS_SHOWN
from convcli.present.figures import Saved, save_charts, save_matrix, save_panels
from convcli.present.look import Look
from convcli.report import Report
from convcli.values import NotebookRepr

if TYPE_CHECKING:
    from convcli.inspect.explaining import Explained
    from convcli.learn.evaluation import Evaluation, Labeled
    from convcli.present.panels import Panel
    from convcli.report.chart import Chart, Matrix

Model: TypeAlias = TrainedModel | Place
"""A model, its file, or its run's directory."""
Numbers: TypeAlias = str | Sequence[float] | Any
Rows: TypeAlias = str | Sequence[Sequence[float]] | Any
Cell: TypeAlias = str | tuple[int, ...]

PRINTED = 64
"""Rows of the table of filters that people read."""
DRAWING_WIDTH = 560
"""About as many pixels wide is the drawing of a receptive field."""
SHIFTED_WIDTH = 96
"""A picture is reduced to that many pixels across before it is shifted, so that a pixel counts."""
CELL_WIDTH, SHEET_WIDTH = 388, 1164
"""About as wide is each picture of a heat map, and their sheet: three side by side."""
MOST_CLASSES = 11
"""Classes drawn of a heat map unless one is named, those found most surely."""


@dataclass(frozen=True)
class Drawn(NotebookRepr):
    """A figure that shows itself in a notebook and can be saved; `report` has its numbers.

    Attributes:
        report: what `--format json` prints of it.
        panels: pictures with captions, where it is made of these.
        title: above all.
        panel_width: of each picture, in pixels.
        columns: pictures in a row; as many as fit when None.
        charts: lines over a common axis, where it is made of these.
        matrix: counts in cells, where it is one.
    """

    report: Report
    panels: Sequence[Panel] = ()
    title: str = ""
    panel_width: int = 112
    columns: int | None = None
    charts: Sequence[Chart] = ()
    matrix: Matrix | None = None

    def save(
        self,
        path: Place,
        *,
        force: bool = False,
        dpi: int = 100,
        zoom: float = 1.0,
        title: str | None = None,
    ) -> Saved:
        """Write the figure as .png, .svg, .pdf, .webp, .tif or .bmp.

        Args:
            path: the file.
            force: an existing one may be replaced.
            dpi: pixels an inch; 200 doubles its sides.
            zoom: pictures and charts so much larger; letters stay.
            title: another heading.

        Raises:
            OutputExistsError: the file exists and `force` is off.
        """
        return self.write(Path(path), Look(dpi, zoom, title), force=force)

    def write(self, path: Path, look: Look, *, force: bool) -> Saved:
        """Write the figure as a `Look` asks for it."""
        if self.matrix is not None:
            return save_matrix(self.matrix, path, look, force=force)
        if self.charts:
            return save_charts(self.charts, path, look, force=force)
        return save_panels(
            self.panels,
            path,
            look,
            title=self.title,
            panel_width=self.panel_width,
            columns=self.columns,
            force=force,
        )

    def __str__(self) -> str:
        return str(self.report)

    def __repr__(self) -> str:
        return f"Drawn({self.title or self.report.title!r})"

    def png(self) -> bytes:
        """Return the figure as the bytes of a PNG file."""
        with TemporaryDirectory() as folder:
            return self.write(Path(folder) / "shown.png", Look(), force=True).path.read_bytes()

    _repr_png_ = png  # a notebook asks for it


def show_filters(
    model: Model,
    *,
    layer: str | None = None,
    filter: int | None = None,  # noqa: A002  (the option's name)
    channel: int | None = None,
    limit: int = 512,
    rows: int | None = PRINTED,
) -> Drawn:
    """Draw a layer's kernels: in color over a color picture, else by input channel.

    All are on one scale: white is zero, red positive, blue negative.

    Args:
        model: a model, its file or its run.
        layer: name or number; the first with kernels when left out.
        filter: only this output channel.
        channel: only this input channel.
        limit: most kernels shown.
        rows: of the report's table; None for all.
    """
    from convcli.inspect.filters import filters_of

    probe = Probe(model_of(model))
    filters = filters_of(probe.trace, probe.parameters, layer, filter_=filter, channel=channel)
    shown = filters[:limit]
    single = len({one.channel for one in shown}) == 1
    return Drawn(
        inspection.filters_report(filters, len(shown), rows),
        inspection.filter_panels(shown),
        f"Kernels of {filters[0].layer}",
        112 if single else 64,
        None if single else 16,
    )


def show_maximize(
    model: Model,
    units: Sequence[tuple[str, int | None]] = (),
    *,
    limit: int = 8,
    steps: int | Sequence[int] = 100,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Find inputs that excite units most, by gradient ascent on the input.

    Args:
        model: a model, its file or its run.
        units: (layer, channel) of each, None for all channels; some of each layer when left out.
        limit: most channels of each layer.
        steps: of the ascent; several numbers show the input after so many of them.
        seed: of the first input.
        progress: called with the steps done and all there are.
    """
    from convcli.inspect.activation_maximization import BATCH, Ascent, excite, units_of

    probe = Probe(model_of(model))
    groups = units_of(probe, list(units), limit)
    moments = sorted({steps} if isinstance(steps, int) else set(steps))
    if not moments or moments[0] < 0 or moments[-1] < 1:
        raise UsageError("steps are numbers from 0 on, the last at least 1, such as 0, 1, 10, 100.")
    total = moments[-1] * sum(-(-len(group) // BATCH) for group in groups)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    ascent = Ascent(steps=moments[-1], seed=seed)
    found = [
        one
        for group in groups
        for one in excite(probe, group, ascent, moments=moments, on_step=count)
    ]
    title = "Inputs that excite units most"
    panels = inspection.excited_panels(probe, found)
    columns = len(moments) if len(moments) > 1 else None
    return Drawn(inspection.maximize_report(found), panels, title, columns=columns)


def show_activations(
    model: Model, image: Any, *, layer: str | Sequence[str] = (), limit: int = 64
) -> Drawn:
    """Draw what every layer answers to one sample, with its shape and receptive field.

    Args:
        model: a model, its file or its run.
        image: a picture's file or bytes, a Pillow picture, or an array.
        layer: only these, by name or number.
        limit: most channels of each layer.
    """
    from convcli.inspect.probe import layer_maps

    probe, sample = _asked(model, image)
    trace = probe.trained.model.trace
    wanted = (layer,) if isinstance(layer, str) else tuple(layer)
    maps = layer_maps(trace, probe.all_values(sample), wanted)
    names = probe.trained.class_names if maps[-1].step is trace.steps[-1] else ()
    first = inspection.sample_panel(probe, sample[0], "the input")
    panels = [first, *inspection.map_panels(maps, names, limit)]
    return Drawn(inspection.maps_report(maps), panels, "What every layer answers", 84)


def show_saliency(
    model: Model,
    image: Any,
    *,
    method: Literal["gradient", "smoothgrad", "integrated", "all"] = "gradient",
    class_: str | None = None,
    samples: int = 32,
    noise: float = 0.15,
    steps: int = 64,
    seed: int = 0,
) -> Drawn:
    """Draw which input cells the answer depends on, by gradients of the class' logit.

    Args:
        model: a model, its file or its run.
        image: as `show_activations`.
        method: the plain gradient, its mean over noisy copies, or integrated from black.
        class_: name or number; the likeliest when left out.
        samples: noisy copies.
        noise: their deviation, as a share of the range.
        steps: of the integration.
        seed: of the noise.
    """
    from convcli.inspect.explaining import saliency

    probe, sample = _asked(model, image)
    number = probe.class_index(class_, sample)
    methods = ("gradient", "smoothgrad", "integrated") if method == "all" else (method,)
    found = [
        saliency(probe, sample, number, one, samples=samples, noise=noise, steps=steps, seed=seed)
        for one in methods
    ]
    return _explained(probe, sample, found)


def show_occlusion(
    model: Model,
    image: Any,
    *,
    class_: str | None = None,
    window: int | None = None,
    step: int | None = None,
    fill: Literal["black", "mean", "white"] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Cover the picture piece by piece and draw where the class' logit suffers.

    Args:
        model: a model, its file or its run.
        image: as `show_activations`.
        class_: name or number; the likeliest when left out.
        window: side of the square; a seventh of the picture when left out.
        step: its stride; a quarter of it when left out.
        fill: what covers; black for digits, else the mean when left out.
        progress: called with the windows done and all there are.
    """
    from convcli.inspect.explaining import occlusion

    probe, sample = _asked(model, image)
    number = probe.class_index(class_, sample)
    quiet = progress or (lambda done, total: None)
    found = occlusion(probe, sample, number, window=window, step=step, fill=fill, on_windows=quiet)
    return _explained(probe, sample, [found])


def show_cam(
    model: Model, image: Any, *, layer: str | None = None, class_: str | None = None
) -> Drawn:
    """Draw where a class finds support in a layer's maps (Grad-CAM).

    Args:
        model: a model, its file or its run.
        image: as `show_activations`.
        layer: name or number; the last convolution, with its norm and activation, when left out.
        class_: name or number; the likeliest when left out.
    """
    from convcli.inspect.explaining import class_activation

    probe, sample = _asked(model, image)
    found = class_activation(probe, sample, probe.class_index(class_, sample), layer)
    return _explained(probe, sample, [found])


def show_receptive(network: Network | Model, at: str, *, image: Any = None) -> Drawn:
    """Draw the part of the input that one output cell depends on.

    Args:
        network: a network or its words, or a model, its file or its run.
        at: `[LAYER:]ROW,COL`; a cell of the last map without a layer.
        image: drawn on this picture, as `show_activations`; on a grid of cells when left out.
    """
    from convcli.imaging.apply import read_any
    from convcli.imaging.picture import as_sample
    from convcli.inspect.render import sample_picture
    from convcli.net.field import input_rectangle
    from convcli.present.network_answers import last_map, rectangle_report

    if isinstance(network, str | os.PathLike) and os.fspath(network).endswith(".safetensors"):
        network = model_of(network)
    value = network.network if isinstance(network, TrainedModel) else find_network(network)
    trace = value.trace()
    layer, cell = parse_place(at, "at")
    step = trace.step(layer or last_map(trace))
    fed = None
    if image is not None and isinstance(network, TrainedModel):
        probe, sample = _asked(network, image)
        fed = sample_picture(probe, sample[0])
    elif image is not None:
        height, width = value.input_shape[:2]
        sample = as_sample(read_any(image).frames[0], (height, width))
        fed = np.ascontiguousarray(np.broadcast_to(sample, (height, width, 3)))
    named = ",".join(map(str, cell))
    field = input_rectangle(trace, step.index, cell)
    panel = inspection.field_panel(trace, step, named, field, fed)
    return Drawn(rectangle_report(trace, named, step.name), [panel], panel_width=DRAWING_WIDTH)


def show_heatmap(
    model: Model, image: Any, *, class_: str | None = None, scale: float = 1.0, threads: int = 0
) -> Drawn:
    """Slide a fully convolutional classifier over a picture and draw where it finds each class.

    Args:
        model: what `convolutionalize` made, its file or its run.
        image: a picture's file or bytes, a Pillow picture, or an array.
        class_: name or number; those found most surely when left out.
        scale: resize the picture by this first.
        threads: 0 for all there are.
    """
    from convcli.imaging.apply import read_any
    from convcli.inspect.heatmap import field_picture, heatmap
    from convcli.inspect.probe import class_number

    trained = model_of(model)
    names = trained.class_names
    chosen = None if class_ is None else class_number(class_, names)
    picture, note = field_picture(read_any(image).frames[0], trained, scale=scale)
    found = heatmap(trained, picture, threads=threads)
    labels = sorted(range(len(names)), key=lambda label: -found.best(label)[0])
    labels = labels[:MOST_CLASSES] if chosen is None else [chosen]
    return Drawn(
        inspection.heatmap_report(found, names, labels, note),
        inspection.heatmap_panels(found, names, labels),
        panel_width=_cell_width(picture.shape[1], len(labels) + 1),
    )


def _cell_width(width: int, pictures: int) -> int:
    """Return how wide a picture of a heat map is drawn: enlarged whole, or reduced."""
    if width <= CELL_WIDTH:
        return width * (CELL_WIDTH // width)
    return max(CELL_WIDTH, min(width, SHEET_WIDTH // pictures))


def show_confusion(
    model: Model, data: Data | None = None, labels: Any = None, *, split: SplitName | None = None
) -> Drawn:
    """Draw which class is taken for which: counts, and their share of the true class.

    Args:
        model: a model, its file or its run.
        data: as `evaluate`.
        labels: as `evaluate`.
        split: as `evaluate`.
    """
    from convcli.learn.evaluation import judged

    return confusion_drawn(*judged(model_of(model), data, labels, split=split, worst=0))


def confusion_drawn(found: Evaluation, chosen: Labeled) -> Drawn:
    """Return the confusion of samples that were judged."""
    from convcli.present.evaluation import confusion_matrix, confusion_report

    matrix = confusion_matrix(found, chosen)
    return Drawn(confusion_report(found, matrix.title), title=matrix.title, matrix=matrix)


def show_errors(
    model: Model,
    data: Data | None = None,
    labels: Any = None,
    *,
    split: SplitName | None = None,
    limit: int = 40,
) -> Drawn:
    """Draw the samples that a model got wrong, those with the highest probability first.

    Args:
        model: a model, its file or its run.
        data: as `evaluate`.
        labels: as `evaluate`.
        split: as `evaluate`.
        limit: most samples shown.
    """
    from convcli.learn.evaluation import judged

    trained = model_of(model)
    found, chosen = judged(trained, data, labels, split=split, worst=limit)
    if trained.outputs != "classes":
        from convcli.present.answers import worst_answers

        return Drawn(*worst_answers(trained, chosen, limit))
    return mistakes_drawn(trained, found, chosen)


def mistakes_drawn(trained: TrainedModel, found: Evaluation, chosen: Labeled) -> Drawn:
    """Return the worst mistakes among samples that were judged."""
    wrong = inspection.wrong_answers(found)
    title = f"{chosen.title}: the worst {len(found.worst)} of {wrong:,} mistakes"
    panels = inspection.mistake_panels(Probe(trained), found, chosen.samples)
    return Drawn(inspection.errors_report(found, chosen), panels, title)


def show_curves(run: Place, *, rows: int | None = EPOCHS_SHOWN) -> Drawn:
    """Draw loss and accuracy over the epochs of a training; of several, a line for each.

    Args:
        run: its directory, a sweep's, or a folder of runs.
        rows: of the report's table of one training; None for all.

    Raises:
        InputError: it has no history.
    """
    from convcli.learn.run_directory import HISTORY, RunDirectory
    from convcli.present.comparison import figures_report
    from convcli.present.curves import curve_charts, epochs_report, runs_charts
    from convcli.present.facts import read_runs, runs_at

    place, title = Path(run), f"Training of {os.fspath(run)}"
    if (place / HISTORY).is_file():
        history = RunDirectory(place).read_history()
    else:
        found = read_runs(runs_at(place))
        if not any(one.history for one in found):
            raise InputError(f"{place} has no finished epoch yet: there is nothing to draw.")
        if len(found) > 1:
            return Drawn(figures_report(found), title=title, charts=runs_charts(found))
        history = found[0].history
    shown = len(history) if rows is None else rows
    return Drawn(epochs_report(history, shown), title=title, charts=curve_charts(history))


def explain_conv(
    matrix: Rows,
    kernel: Rows | Kernel,
    at: Cell = (0, 0),
    *,
    stride: int = 1,
    padding: int | Literal["same", "valid", "full"] = 0,
    dilation: int = 1,
    convolve: bool = False,
    as_layer: bool = False,
) -> Report:
    """Spell out one output cell of a convolution, the whole output, and the matrix product.

    Args:
        matrix: rows of numbers, or C x H x W for several channels.
        kernel: rows of numbers, C x H x W, a kernel, or its name.
        at: row and column of the output, from 0.
        stride: of the kernel in cells.
        padding: zeros on every side, or same, valid, full.
        dilation: distance of the taps in cells.
        convolve: turn the kernel by 180 degrees first, as mathematics does.
        as_layer: also the dense layer that does the same.

    >>> explain_conv([[3, 0, 1], [1, 5, 8], [2, 7, 2]], "1 0 -1; 1 0 -1; 1 0 -1").document["sum"]
    -5.0

    Raises:
        UsageError: a matrix that is none, or a kernel made of several.
        InputError: a cell outside of the output.
    """
    from convcli.inspect.arithmetic import Sliding

    named = find(kernel) if isinstance(kernel, str) and "|" not in kernel else kernel
    if isinstance(named, Magnitude):
        raise UsageError(f"{named.name} is made of several kernels; explain one of them.")
    offset = 0.0
    if isinstance(named, Kernel):
        offset = float(named.offset)
        named = [[number / named.divisor for number in line] for line in named.rows]
    weights = _planes(named, "The kernel")
    image = _planes(matrix, "The matrix")
    slide = Sliding(image, weights, stride, padding, dilation, offset, convolve)
    return sums.conv_report(slide, _cell(at), {}, as_layer=as_layer)


def explain_pool(
    matrix: Rows,
    at: Cell = (0, 0),
    *,
    kind: Literal["max", "avg"] = "max",
    size: int = 2,
    stride: int | None = None,
    gradient: float = 1.0,
) -> Report:
    """Spell out one pooling window: what it reads, what it keeps, where the gradient goes.

    Args:
        matrix: rows of numbers.
        at: row and column of the output, from 0.
        kind: what the window keeps.
        size: of its side.
        stride: its step; the size when left out.
        gradient: of the loss with respect to that output.
    """
    from convcli.inspect.arithmetic import pooled, pooling_window

    rows, cell = _rows(matrix, "The matrix"), _cell(at)
    window = pooling_window(rows, size, stride or size, *cell, kind)
    whole = pooled(rows, size, stride or size, kind)
    return sums.pool_report(window, cell, kind, gradient, whole)


def explain_dense(
    inputs: Numbers,
    weights: Numbers,
    *,
    bias: float = 0.0,
    activation: Literal["none", "relu", "sigmoid", "tanh"] = "none",
) -> Report:
    """Spell out one dense unit: inputs times weights plus bias, then its activation."""
    from convcli.inspect.arithmetic import activate, dense_unit

    unit = dense_unit(_numbers(inputs, "inputs"), _numbers(weights, "weights"), bias)
    return sums.dense_report(unit, activation, activate(activation, unit.total))


def explain_softmax(logits: Numbers, *, target: int = 0) -> Report:
    """Spell out softmax and cross-entropy of one sample, and the gradient of its logits."""
    from convcli.inspect.arithmetic import softmax_cross_entropy

    return sums.softmax_report(softmax_cross_entropy(_numbers(logits, "logits"), target))


def explain_adam(
    gradients: Numbers,
    *,
    weight: float = 0.0,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> Report:
    """Spell out Adam's steps of one weight: both averages, their corrections, the change."""
    from convcli.inspect.arithmetic import adam_steps

    steps = adam_steps(weight, _numbers(gradients, "gradients"), lr, beta1, beta2, epsilon)
    return sums.adam_report(steps)


def explain_bn(
    values: Numbers, *, gamma: float = 1.0, beta: float = 0.0, epsilon: float = 1e-5
) -> Report:
    """Spell out batch norm on one channel: mean, variance, gamma, beta, a sigmoid's slope.

    >>> explain_bn([1, 2, 3, 4]).document["variance"]
    1.25
    """
    from convcli.inspect.arithmetic import batch_norm

    return sums.norm_report(
        batch_norm(_numbers(values, "values"), gamma, beta, epsilon), gamma, beta
    )


def explain_translation(
    image: Any, *, shift: tuple[int, int] = (1, 2), kernel: str = "sobel-x", pool: int = 8
) -> Drawn:
    """Show that what is shifted in comes shifted out, and pooled hardly changes.

    Args:
        image: a picture's file, or rows of gray levels.
        shift: rows down and columns to the right; what leaves comes in on the other side.
        kernel: its name.
        pool: side of the pooling window.

    Raises:
        UsageError: a kernel made of several.
        InputError: a picture smaller than the window.
    """
    from convcli.imaging.sheet import read_small
    from convcli.inspect.why import translation
    from convcli.present.why import translation_panels, translation_report

    path = isinstance(image, str | os.PathLike)
    picture = (
        read_small(Path(image), SHIFTED_WIDTH) if path else np.asarray(_rows(image, "The picture"))
    )
    one = find(kernel)
    if isinstance(one, Magnitude):
        raise UsageError(f"{kernel} is made of several kernels; take one, such as {kernel}-x.")
    found = translation(picture, (kernel, one.rows), shift, pool)
    title = f"Shifted by {shift[0]},{shift[1]}: {kernel}, then pooled"
    return Drawn(translation_report(found), translation_panels(found), title, 200, 3)


def explain_permutation(
    *,
    samples: int = 3000,
    epochs: int = 8,
    seed: int = 0,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Train an MLP and a CNN on digits, and on the same digits with their pixels permuted.

    The MLP learns both alike, for no pixel is a neighbor of another to it; the CNN does not.

    Args:
        samples: digits to learn from.
        epochs: of each of the four trainings.
        seed: of the digits, the permutation and the weights.
        threads: 0 for all there are.
        progress: called with the epochs done and all there are.
    """
    from convcli.api.training import fit
    from convcli.data import load_dataset
    from convcli.inspect.why import NETWORKS, Learner, permuted
    from convcli.present.why import permutation_panels, permutation_report

    plain = load_dataset("digits", samples=samples, seed=seed)
    shuffled = permuted(plain, seed)
    found: list[Learner] = []
    for name, words in NETWORKS.items():
        shares: list[float] = []
        for data in (plain, shuffled):
            training = fit(words, data, epochs=epochs, val=0, seed=seed, threads=threads)
            for _ in training:
                if progress is not None:
                    done = len(found) * 2 + len(shares)
                    progress(done * epochs + len(training.progress.history), 4 * epochs)
            shares.append(training.best_model().evaluate(data).accuracy or 0.0)
        found.append(Learner(name, training.model.trace.totals.params, *shares))
    first = [data.train.samples[0, ..., 0] for data in (plain, shuffled)]
    return Drawn(
        permutation_report(found, len(plain.train)),
        permutation_panels(found, first),
        "Permuted pixels: an MLP does not mind",
    )


def explain_forward(
    model: Model, image: Any, at: str, *, channel: int = 0, terms: int = 20
) -> Report:
    """Spell out one number of a model's layer: every input times its weight, bias, activation.

    Args:
        model: a model, its file or its run.
        image: as `show_activations`.
        at: `LAYER:ROW,COL`, or `LAYER:UNIT` of a vector.
        channel: of a map.
        terms: most terms printed; `document` has all.
    """
    from convcli.inspect.unit import forward_unit

    probe, sample = _asked(model, image)
    return sums.forward_report(forward_unit(probe, sample, *_named_cell(at), channel), terms)


def explain_backward(
    model: Model,
    image: Any,
    at: str,
    *,
    channel: int = 0,
    class_: str | None = None,
    terms: int = 20,
) -> Report:
    """Spell out what the loss tells one cell, and what the cell passes on.

    Args:
        model: a model, its file or its run.
        image: as `show_activations`.
        at: `LAYER:ROW,COL`, or `LAYER:UNIT` of a vector.
        channel: of a map.
        class_: taken for the truth; the likeliest when left out.
        terms: most terms printed; `document` has all.
    """
    from convcli.inspect.unit import backward_unit

    probe, sample = _asked(model, image)
    label = None if class_ is None else probe.class_index(class_, sample)
    found = backward_unit(probe, sample, *_named_cell(at), channel, label)
    return sums.backward_report(found, probe.trained.class_names[found.label], terms)


def write_report(
    runs: Place | Sequence[Place], path: Place | None = None, *, force: bool = False
) -> Path:
    """Write a run as one HTML page, or several side by side on one, and return where.

    Args:
        runs: a run's directory, several, or a folder of runs.
        path: the page; `report.html` in a single run, else `comparison.html`.
        force: an existing file may be replaced.

    Raises:
        InputError: there is no run, or its record is damaged.
        OutputExistsError: the page exists and `force` is off.
    """
    from convcli.files import check_target, write_text
    from convcli.present.comparison import comparison_document
    from convcli.present.facts import runs_at
    from convcli.present.run_page import is_run_page, run_document
    from convcli.report.document import render_document

    places = [runs] if isinstance(runs, str | os.PathLike) else list(runs)
    found = list(dict.fromkeys(run for place in places for run in runs_at(Path(place))))
    single = found[0] if len(found) == 1 else None
    default = Path("comparison.html") if single is None else single / "report.html"
    target = default if path is None else Path(path)
    renewed = path is None and single is not None and is_run_page(target)
    check_target(target, force=force or renewed)
    document = comparison_document(found) if single is None else run_document(single)
    write_text(target, render_document(document), force=True)
    return target


def write_page(
    model: Model,
    path: Place | None = None,
    *,
    data: str | None = None,
    title: str | None = None,
    force: bool = False,
) -> Path:
    """Write a page where one draws and watches every layer answer, and return where.

    Args:
        model: a model, its file or its run.
        path: the page; MODEL_page.html beside the model's file when left out.
        data: names the samples that are put on the page; none when left out.
        title: its heading; the network's name when left out.
        force: an existing file may be replaced.
    """
    from convcli.data.source import Source
    from convcli.files import write_text
    from convcli.learn.evaluation import labeled
    from convcli.present.live_page import live_page

    trained = model_of(model)
    beside = Path("model.safetensors")
    if isinstance(model, str | os.PathLike):
        beside = model_path(Path(model))
    place = beside.with_name(f"{beside.stem}_page.html") if path is None else Path(path)
    chosen = None if data is None else labeled(trained, Source(name=data))
    write_text(place, live_page(trained, title, chosen), force=force)
    return place


def lesson(topic: str | None = None) -> Report:
    """Return a short lesson, its commands run on this machine; without a topic all there are.

    >>> [line for line in lesson("pooling").notes if line.startswith("= ")]
    ['= Nothing: it is still in the same window. That is what pooling is for.', '= None.']

    Args:
        topic: such as `padding`.

    Raises:
        UsageError: there is no such topic; names the nearest.
    """
    from convcli.present.lesson import find_lesson, lesson_report, topics_report

    return topics_report() if topic is None else lesson_report(find_lesson(topic))


def _asked(model: Model, image: Any) -> tuple[Probe, Any]:
    """Return the model ready to be examined, and the first sample of the image, prepared."""
    probe = Probe(model_of(model))
    if isinstance(image, bytes):
        from convcli.learn.pictures import samples_from_source

        samples = samples_from_source(image, "-", probe.trained.preprocessing)
    else:
        samples = probe.trained.samples_of(image)
    return probe, probe.prepared(samples[:1])


def _explained(probe: Probe, sample: Any, found: list[Explained]) -> Drawn:
    panels = inspection.explained_panels(probe, sample, found)
    report = inspection.explained_report(probe, sample, found)
    return Drawn(report, panels, panel_width=336, columns=3)


def _rows(rows: Rows, what: str) -> tuple[tuple[float, ...], ...]:
    if isinstance(rows, str):
        lines, divisor = parse_numbers(rows, what)
        return tuple(tuple(number / divisor for number in line) for line in lines)
    array = np.asarray(rows, float)
    if array.ndim != 2 or not array.size:
        raise InputError(f"{what} has the shape {array.shape}; rows of numbers are needed.")
    return tuple(map(tuple, array.tolist()))


def _planes(rows: Rows, what: str) -> list[tuple[tuple[float, ...], ...]]:
    """Return the channels of a volume: text with | between them, C x H x W, or a single H x W."""
    if isinstance(rows, str):
        return [_rows(part, what) for part in rows.split("|")]
    array = np.asarray(rows, float)
    return [_rows(plane, what) for plane in (array if array.ndim == 3 else [array])]


def _numbers(numbers: Numbers, what: str) -> tuple[float, ...]:
    rows = _rows(numbers if isinstance(numbers, str) else [numbers], f"The row of {what}")
    if len(rows) != 1:
        raise UsageError(f"One row of {what} is needed; {len(rows)} rows were given.")
    return rows[0]


def _cell(at: Cell) -> tuple[int, int]:
    place = parse_place(at, "at", layers=False)[1] if isinstance(at, str) else tuple(at)
    row, column = place
    return row, column


def _named_cell(at: str) -> tuple[str, tuple[int, ...]]:
    layer, place = parse_place(at, "at")
    if layer is None:
        raise UsageError(f"at {at!r} names no layer. Write LAYER:ROW,COL, such as conv1:{at}.")
    return layer, place
