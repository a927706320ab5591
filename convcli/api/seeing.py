"""What a model sees and does, drawn: `show_...`, and the pages of runs and of models."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from convcli.api.training import Data, Place, SplitName
from convcli.data.source import Source
from convcli.data.sources import read_source
from convcli.errors import InputError, UsageError
from convcli.files import check_target, write_text
from convcli.imaging.picture import as_sample
from convcli.inspect.explaining import Explained, class_activation, occlusion, saliency
from convcli.inspect.probe import Probe, class_number, layer_maps
from convcli.inspect.render import filters_of, sample_picture
from convcli.learn.evaluation import Labeled, chosen_samples, evaluate, labeled
from convcli.learn.modelfile import TrainedModel, model_of
from convcli.learn.pictures import samples_from_source
from convcli.learn.run_directory import HISTORY, RunDirectory
from convcli.net import Network, network as find_network
from convcli.net.field import input_rectangle
from convcli.net.lookup import model_path, names_network
from convcli.option import parse_place
from convcli.present import inspection
from convcli.present.curves import EPOCHS_SHOWN, curve_charts, epochs_report, runs_charts
from convcli.present.evaluation import (
    confusion_matrix,
    confusion_report,
    robustness_charts,
    robustness_report,
)
from convcli.present.facts import read_runs, runs_at
from convcli.present.figures import Saved, save_charts, save_matrix, save_panels
from convcli.present.look import Look
from convcli.report import Report
from convcli.values import NotebookRepr

if TYPE_CHECKING:
    from convcli.present.panels import Panel
    from convcli.report.chart import Chart, Matrix

Model: TypeAlias = TrainedModel | Place
"""A model, its file, or its run's directory."""

PRINTED = 64
"""Rows of the table of filters that people read."""
DRAWING_WIDTH = 560
"""About as many pixels wide is the drawing of a receptive field."""
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
    probe, sample = asked(model, image)
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
    probe, sample = asked(model, image)
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
    probe, sample = asked(model, image)
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
    probe, sample = asked(model, image)
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
    from convcli.present.network_answers import last_map, rectangle_report

    if isinstance(network, str | os.PathLike) and os.fspath(network).endswith(".safetensors"):
        network = model_of(network)
    value = network.network if isinstance(network, TrainedModel) else find_network(network)
    trace = value.trace()
    layer, cell = parse_place(at, "at")
    step = trace.step(layer or last_map(trace))
    fed = None
    if image is not None and isinstance(network, TrainedModel):
        probe, sample = asked(network, image)
        fed = sample_picture(probe, sample[0])
    elif image is not None:
        height, width = value.input_shape[:2]
        sample = as_sample(read_any(image).frames[0], (height, width))
        fed = np.ascontiguousarray(np.broadcast_to(sample, (height, width, 3)))
    named = ",".join(map(str, cell))
    field = input_rectangle(trace, step.index, cell)
    panel = inspection.field_panel(trace, step, named, field, fed)
    report, title = rectangle_report(trace, named, step.name), "What one cell sees"
    return Drawn(report, [panel], title, panel_width=DRAWING_WIDTH)


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
    from convcli.inspect.convolutionalize import field_picture, heatmap

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
        "Where the network finds each class",
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
    trained = model_of(model)
    return confusion_drawn(trained, chosen_samples(trained, data, labels, split=split))


def confusion_drawn(trained: TrainedModel, chosen: Labeled, threads: int = 0) -> Drawn:
    """Return the confusion of chosen samples.

    Raises:
        InputError: the model gives no classes.
    """
    from convcli.data.dataset import TASKS

    found = evaluate(trained, chosen.data, chosen.samples, worst=0, threads=threads)
    if found.task not in {"classes", "mask"}:
        raise InputError(
            f"There is no confusion to draw: the model gives {TASKS[found.task]}. Its figures are "
            "those of convcli evaluate."
        )
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
    trained = model_of(model)
    return errors_drawn(trained, chosen_samples(trained, data, labels, split=split), limit)


def errors_drawn(trained: TrainedModel, chosen: Labeled, limit: int, threads: int = 0) -> Drawn:
    """Return the worst mistakes among chosen samples; without panels if there are none."""
    if trained.outputs != "classes":
        from convcli.present.answers import worst_answers

        return Drawn(*worst_answers(trained, chosen, limit, threads))
    found = evaluate(trained, chosen.data, chosen.samples, worst=limit, threads=threads)
    wrong = inspection.wrong_answers(found)
    title = f"{chosen.title}: the worst {len(found.worst)} of {wrong:,} mistakes"
    panels = inspection.mistake_panels(Probe(trained), found, chosen.samples)
    return Drawn(inspection.errors_report(found, chosen), panels, title)


def show_robustness(
    models: Model | Mapping[str, Model],
    data: Data | None = None,
    labels: Any = None,
    *,
    changes: str = "noise,shift",
    split: SplitName | None = None,
) -> Drawn:
    """Draw the accuracy of models over the size of a change of the samples.

    Args:
        models: a model, its file or its run; or several by name, which take the same samples.
        data: as `evaluate`.
        labels: as `evaluate`.
        changes: with commas between: `noise=0..0.3` (a deviation, as a share of the range),
            `shift=0..4` (cells), `drop-channel`.
        split: as `evaluate`.

    Raises:
        UsageError: an unknown change.
        InputError: models of values, which have no accuracy.
    """
    if isinstance(models, Mapping):
        trained = {name: model_of(model) for name, model in models.items()}
    else:
        one = model_of(models)
        trained = {one.network.name: one}
    chosen = chosen_samples(next(iter(trained.values())), data, labels, split=split)
    return robustness_drawn(trained, chosen, changes)


def robustness_drawn(
    models: Mapping[str, TrainedModel],
    chosen: Labeled,
    changes: str,
    *,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Return how well models stand changes of these samples."""
    from convcli.learn.robustness import perturbed, read_changes

    found = perturbed(
        models,
        chosen.data,
        chosen.samples,
        read_changes(changes, chosen.data.sample_shape),
        threads=threads,
        progress=progress,
    )
    return Drawn(robustness_report(found, chosen.title), charts=robustness_charts(found))


def show_curves(run: Place, *, rows: int | None = EPOCHS_SHOWN) -> Drawn:
    """Draw loss and accuracy over the epochs of a training; of several, a line for each.

    Args:
        run: its directory, a sweep's, or a folder of runs.
        rows: of the report's table of one training; None for all.

    Raises:
        InputError: it has no history.
    """
    from convcli.present.comparison import figures_report

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
    from convcli.present.comparison import comparison_document
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
    model: Model | Network,
    path: Place | None = None,
    *,
    data: str | None = None,
    title: str | None = None,
    force: bool = False,
) -> Path:
    """Write a page where one draws and watches every layer answer, and return where.

    Args:
        model: a model, its file or its run; or a network, also in words or by name, that is to
            learn on the page.
        path: the page; MODEL_page.html beside the model's file when left out.
        data: names the samples that are put on the page; none when left out.
        title: its heading; the network's name when left out.
        force: an existing file may be replaced.
    """
    from convcli.present.live_page import live_page, untrained

    if isinstance(model, str) and names_network(model):
        model = find_network(model)
    beside = Path("model.safetensors")
    if isinstance(model, Network):
        samples = None if data is None else read_source(Source(name=data))
        beside, model = Path(f"{model.name}.net"), untrained(model, samples)
    elif isinstance(model, str | os.PathLike):
        beside = model_path(Path(model))
    trained = model_of(model)
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


def asked(model: Model, image: Any) -> tuple[Probe, Any]:
    """Return the model ready to be examined, and the first sample of the image, prepared."""
    probe = Probe(model_of(model))
    if isinstance(image, bytes):
        samples = samples_from_source(image, "-", probe.trained.preprocessing)
    else:
        samples = probe.trained.samples_of(image)
    return probe, probe.prepared(samples[:1])


def _explained(probe: Probe, sample: Any, found: list[Explained]) -> Drawn:
    panels = inspection.explained_panels(probe, sample, found)
    report = inspection.explained_report(probe, sample, found)
    name, probability = inspection.class_of(probe, sample, found)
    title = f"What speaks for class {name} ({probability:.1%})"
    return Drawn(report, panels, title, panel_width=336, columns=3)
