"""What a trained model makes of its samples: confusion, classes, mistakes, filters, activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convcli.imaging.picture import Frame, as_sample, png_bytes
from convcli.inspect.probe import LayerMaps, Probe, layer_maps
from convcli.inspect.render import filters_of, layers_with_kernels
from convcli.layers.base import shape_text
from convcli.learn.evaluation import Evaluation, evaluate
from convcli.learn.metrics import Mistake
from convcli.present.evaluation import (
    classes_report,
    evaluation_report,
    frequent_mistakes,
    mistakes_report,
)
from convcli.present.inspection import (
    filter_panels,
    layer_heading,
    map_panels,
    mistake_panels,
    sample_panel,
    wrong_answers,
)
from convcli.present.panels import Panel, Pixels
from convcli.report.chart import Matrix, bar_chart, matrix_chart
from convcli.report.document import Block, Figure, Gallery, Picture, Section
from convcli.report.numbers import percent

if TYPE_CHECKING:
    from convcli.data import Dataset, Split
    from convcli.learn.modelfile import TrainedModel
    from convcli.present.facts import RunFacts

MISTAKES = 24
"""Mistakes shown, those of the highest probability first."""
FILTERS = 64
"""Filters shown of the first layer."""
LAYERS = 12
"""Layers whose maps are shown for a sample; of more, some evenly spread."""
MATRIX_CLASSES = 20
"""A confusion matrix of more classes is told by its largest cells."""
MISTAKE_SIDE, FILTER_SIDE, MAP_SIDE, BARS_SIDE = 84, 56, 56, 256
"""Pixels on the page; a larger picture is brought down, a smaller one enlarged by whole factors."""
SHARED_MAPS = 32, 16
"""Channels shown of a layer whose maps are small, and of one whose maps had to be reduced."""
TILES_ACROSS, TILE_GAP, GAP_GRAY = 8, 2, 128
"""Maps in a row, and the pixels between them."""


def sample_sections(
    facts: RunFacts, trained: TrainedModel, data: Dataset, threads: int
) -> tuple[Section, ...]:
    """Return what the model makes of the test samples, or of the validation samples without any.

    An unfinished run is shown on its validation samples: the test samples are read once, at the
    end of a training.

    Args:
        facts: of the run.
        trained: its model.
        data: parted as for the training.
        threads: 0 for all there are.

    Raises:
        InputError: the data are not those of the model.
    """
    splits = data.splits()
    name = "test" if facts.finished and "test" in splits else "validation"
    if name not in splits:
        words = "There are neither test nor validation samples to judge the model by."
        return (Section("Answers", (words,)),)
    split = splits[name]
    found = evaluate(trained, data, split, worst=MISTAKES, threads=threads)
    if found.task != "classes":
        return (Section("Answers", (evaluation_report(found),)),)
    measured = (
        f"{percent(found.accuracy)} of {found.n:,} {name} samples are right; the mean loss is "
        f"{found.loss:.4f}. Confidence and accuracy differ by "
        f"{percent(found.calibration_error)} on average (expected calibration error)."
    )
    return (
        Section("Confusion", (measured, _confusion(found, name)), half=True),
        Section(
            "Classes",
            (
                classes_report(
                    found.classes, found.accuracy, found.loss, f"{name.capitalize()} samples"
                ),
            ),
            half=True,
        ),
        Section("Worst mistakes", _mistakes(trained, data, split, found, name)),
        Section("Activations", _activations(trained, data, split, found, name)),
    )


def _confusion(found: Evaluation, split: str) -> Block:
    """Return counts and their shares of each true class, or the largest of many."""
    names = [one.name for one in found.classes]
    counts = found.confusion.tolist()
    if len(names) <= MATRIX_CLASSES:
        chart = matrix_chart(Matrix(f"Confusion of {split} samples", counts, names))
        words = (
            "Rows are true classes, columns the predicted ones; under each count stands its share "
            "of the row, which also is its shade."
        )
        return Figure(words, chart)
    return frequent_mistakes(found, f"Confusion of {split} samples")


def _mistakes(
    trained: TrainedModel, data: Dataset, split: Split, found: Evaluation, name: str
) -> tuple[Block, ...]:
    """Return the worst mistakes: as pictures, or as a table of what are no pictures."""
    wrong = wrong_answers(found)
    if not wrong:
        return (f"There are none: all {found.n:,} {name} samples are right.",)
    heading = f"The {len(found.worst)} worst of {wrong:,} mistakes among {found.n:,} {name} samples"
    if not _are_pictures(trained):
        return (mistakes_report(found, split.files, heading), _no_pictures(trained))
    pictures = [
        _picture(
            cell.pixels,
            cell.caption,
            MISTAKE_SIDE if cell.form == "picture" else BARS_SIDE // 2,
            f"{name} sample {_place(one, split)}: {' '.join(cell.caption.split())}",
        )
        for one, cell in zip(found.worst, mistake_panels(Probe(trained), found, split), strict=True)
    ]
    return (Gallery(heading, tuple(pictures)),)


def _place(mistake: Mistake, split: Split) -> str:
    return split.files[mistake.index] if split.files else str(mistake.index)


def filters_section(trained: TrainedModel) -> Section:
    """Return the kernels of the first layer that has any."""
    heading = "First-layer filters"
    if not _are_pictures(trained):
        return Section(heading, (_no_pictures(trained),))
    trace = trained.network.trace()
    if not layers_with_kernels(trace):
        return Section(heading, ("The network has no layer with kernels.",))
    filters = filters_of(trace, trained.model.parameters)
    shown = filters[:FILTERS]
    of = f", the first {FILTERS} of {len(filters)}" if len(filters) > FILTERS else ""
    pictures = [
        _picture(
            cell.pixels,
            cell.caption if one.channel in {None, 0} else f"{one.filter} from {one.channel}",
            FILTER_SIDE,
            f"Filter {one.filter} of {one.layer}",
        )
        for one, cell in zip(shown, filter_panels(shown), strict=True)
    ]
    words = (
        "All have one scale: white is zero, red positive, blue negative, the darkest the largest "
        "weight of the layer. Of kernels over colors middle gray is zero."
    )
    return Section(heading, (Gallery(f"Kernels of {shown[0].layer}{of}", tuple(pictures)), words))


def _activations(
    trained: TrainedModel, data: Dataset, split: Split, found: Evaluation, name: str
) -> tuple[Block, ...]:
    """Return the maps of every layer for two samples of different classes and the worst mistake."""
    if not _are_pictures(trained):
        return (_no_pictures(trained),)
    other = np.flatnonzero(split.labels != split.labels[0])[:1].tolist()
    chosen = list(dict.fromkeys([0, *other, *(one.index for one in found.worst[:1])]))
    probe = Probe(trained)
    inputs = probe.prepared(split.some(chosen))
    values = probe.all_values(inputs)
    words = (
        "All maps of a layer share one scale: black is zero, pale yellow its largest value; where "
        "there are negative ones, white is zero, red positive and blue negative. Vectors are bars, "
        "series lines over time."
    )
    blocks: list[Block] = []
    for number, index in enumerate(chosen):
        own = {step: array[number : number + 1] for step, array in values.items()}
        maps = layer_maps(trained.network.trace(), own)
        answer = maps[-1].values.ravel()
        best = int(answer.argmax())
        truth = data.class_names[int(split.labels[index])]
        heading = (
            f"{name.capitalize()} sample {index}: is {truth}, "
            f"predicted {data.class_names[best]} (probability {percent(float(answer[best]))})"
        )
        fed = sample_panel(probe, inputs[number], "input")
        given = _picture(fed.pixels, "input", MISTAKE_SIDE if fed.form == "picture" else BARS_SIDE)
        layers = [_layer_picture(one) for one in _some(maps[:-1])]
        texts = [percent(share) for share in answer.tolist()]
        names = data.class_names if len(data.class_names) == answer.size else ["probability"]
        bars = bar_chart("Probability of each class", names, answer.tolist(), texts)
        words_of_bars = f"{layer_heading(maps[-1].step)}: the probability of each class"
        blocks += [Gallery(heading, (given, *layers)), Figure(words_of_bars, bars)]
    return (words, *blocks)


def _some(maps: Sequence[LayerMaps]) -> list[LayerMaps]:
    """Return all, or of many as many as are shown, evenly spread, the first and last among them."""
    if len(maps) <= LAYERS:
        return list(maps)
    places = np.linspace(0, len(maps) - 1, LAYERS).round().astype(int)
    return [maps[place] for place in places]


def _layer_picture(maps: LayerMaps) -> Picture:
    """Return the maps of a layer side by side as one picture."""
    small, reduced = SHARED_MAPS
    side = max(maps.values.shape[:2]) if maps.values.ndim == 3 else 1
    panels = map_panels([maps], limit=small if side <= MAP_SIDE // 2 else reduced)
    wide = MISTAKE_SIDE if panels[0].form == "picture" else BARS_SIDE
    pixels = side_by_side(panels, MAP_SIDE if len(panels) > 1 else wide)
    channels = maps.values.shape[-1]
    left_out = f", {len(panels)} of {channels} channels" if len(panels) not in {1, channels} else ""
    heading = layer_heading(maps.step)
    return Picture(
        _png(pixels),
        f"{heading}{left_out}",
        pixels.shape[1],
        f"Maps of {heading}{left_out}",
    )


def side_by_side(panels: Sequence[Panel], side: int) -> Pixels:
    """Return panels in rows, each about `side` high or wide, with gray lines between them."""
    tiles = [_reduced(panel.pixels, side) for panel in panels]
    factor = max(1, side // max(tiles[0].shape[:2]))
    tiles = [tile.repeat(factor, axis=0).repeat(factor, axis=1) for tile in tiles]
    height, width = tiles[0].shape[:2]
    across = min(TILES_ACROSS, len(tiles))
    down = -(-len(tiles) // across)
    step_y, step_x = height + TILE_GAP, width + TILE_GAP
    size = down * step_y - TILE_GAP, across * step_x - TILE_GAP, 3
    whole = np.full(size, GAP_GRAY, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // across * step_y, number % across * step_x
        whole[top : top + height, left : left + width] = tile if tile.ndim == 3 else tile[..., None]
    return whole


def _picture(pixels: Pixels, caption: str, side: int, alternative: str = "") -> Picture:
    """Return pixels as a picture of about `side` on the page, enlarged by a whole factor."""
    pixels = _reduced(pixels, side)
    height, width = pixels.shape[:2]
    factor = max(1, side // max(height, width))
    return Picture(_png(pixels), caption, width * factor, alternative)


def _reduced(pixels: Pixels, side: int) -> Pixels:
    """Return pixels at most `side` high and wide."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest <= side:
        return pixels
    size = max(1, round(height * side / longest)), max(1, round(width * side / longest))
    reduced = as_sample(Frame(pixels), size)
    return reduced[..., 0] if pixels.ndim == 2 else reduced


def _png(pixels: Pixels) -> bytes:
    """Return a PNG file; one channel where all three agree."""
    same = pixels.ndim == 3 and bool((pixels == pixels[..., :1]).all())
    return png_bytes(pixels[..., 0] if same else pixels)


def _are_pictures(trained: TrainedModel) -> bool:
    """Tell whether samples can be drawn: as pictures, or as lines over time."""
    shape = trained.network.input_shape
    return len(shape) == 2 or (len(shape) == 3 and shape[-1] in {1, 3})


def _no_pictures(trained: TrainedModel) -> str:
    shape = shape_text(trained.network.input_shape)
    return f"Samples of {shape} are no pictures, so nothing is drawn here."
