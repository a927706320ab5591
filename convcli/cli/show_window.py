"""`convcli show receptive|heatmap`: what one cell sees, and a classifier over a larger picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.console import standard_input
from convcli.cli.options import ForceOption, FormatOption, QuietOption, ThreadsOption
from convcli.cli.show_output import (
    STANDARD_STREAM,
    ClassOption,
    ImageArgument,
    PictureOption,
    find_target,
    show_cells,
)
from convcli.option import parse_place

if TYPE_CHECKING:
    from convcli.net import Network

RECEPTIVE_EXAMPLES = """Examples:

  convcli show receptive runs/mnist --at conv2:3,4 --image digit.png

  convcli show receptive vgg16 --at maxpool3:10,12 --image photo.jpg -o field.png
"""
HEATMAP_EXAMPLES = """Examples:

  convcli convolutionalize runs/mnist -o fcn.safetensors

  convcli show heatmap fcn.safetensors page.png --scale 0.5

  convcli show heatmap fcn.safetensors page.png --class 7 -o sevens.png
"""

DRAWING_WIDTH = 560
"""About as many pixels wide is the drawing of a receptive field."""
CELL_WIDTH, SHEET_WIDTH = 388, 1164
"""About as wide is each picture of a heat map, and their sheet: three side by side."""
MOST_CLASSES = 11
"""Classes drawn unless one is named, those found most surely."""
GRID = (150, 170)
"""Two grays of the cells where there is no picture."""


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    group.command("receptive", epilog=RECEPTIVE_EXAMPLES)(show_receptive)
    group.command("heatmap", epilog=HEATMAP_EXAMPLES)(show_heatmap)


def show_receptive(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|NETWORK", help="A model, a run's directory, a preset, or notation."
        ),
    ],
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="[LAYER:]ROW,COL",
            help="A cell of a layer's output; of the last map without LAYER.",
        ),
    ],
    image: Annotated[
        str | None,
        typer.Option("--image", help="Drawn on this picture.", show_default="a grid of cells"),
    ] = None,
    output: PictureOption = None,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw the part of the input that one output cell depends on."""
    from convcli.net import network as find_network
    from convcli.net.lookup import model_path

    place = Path(model)
    is_model = place.is_dir() or place.suffix == ".safetensors"
    source = str(model_path(place)) if is_model else model
    beside = image or (source if is_model else "receptive.png")
    label = "receptive-" + at.replace(":", "-").replace(",", "-")
    if not image and not is_model:
        label = at.replace(":", "-").replace(",", "-")
    target = find_target(
        output,
        beside,
        label,
        force=force,
        quiet=quiet,
        inputs=[source, *([image] if image else [])],
    )
    from convcli.cli.shape_questions import last_map, rectangle_report
    from convcli.imaging.sheet import Cell
    from convcli.inspect.receptive import draw_field, field_of
    from convcli.layers.base import shape_text

    network = find_network(source)
    trace = network.trace()
    layer, cell = parse_place(at)
    step = trace.step(layer or last_map(trace))
    field = field_of(trace, step.name, cell)
    fed = _fed(network, source if is_model else None, image)
    drawn = draw_field(fed, field, max(1, DRAWING_WIDTH // fed.shape[1]))
    shape = shape_text(trace.network.input_shape)
    caption = f"cell {','.join(map(str, cell))} of {step.name} sees this of the input {shape}"
    show_cells(
        [Cell(caption, drawn)],
        rectangle_report(trace, ",".join(map(str, cell)), step.name),
        target,
        style,
        cell_width=drawn.shape[1],
    )


def _fed(network: Network, model: str | None, image: str | None) -> Any:
    """Return the network's input as (H, W, 3): the picture prepared for it, or a grid."""
    import numpy as np

    if image is None:
        height, width = network.input_shape[:2]
        odd = np.add.outer(np.arange(height), np.arange(width)) % 2
        return np.repeat(np.choose(odd, GRID).astype(np.uint8)[..., None], 3, axis=2)
    if model is not None:
        from convcli.cli.show_output import load_probe, load_sample
        from convcli.inspect.render import sample_picture

        probe = load_probe(Path(model))
        return sample_picture(probe, load_sample(probe, image)[0])
    from convcli.imaging.picture import as_sample

    height, width = network.input_shape[:2]
    sample = as_sample(_frame(image), (height, width))
    return np.ascontiguousarray(np.broadcast_to(sample, (height, width, 3)))


def show_heatmap(
    model: Annotated[
        Path, typer.Argument(metavar="FCN", help="What `convcli convolutionalize` wrote.")
    ],
    image: ImageArgument,
    class_: ClassOption = None,
    scale: Annotated[
        float,
        typer.Option("--scale", min=0.01, max=100, help="Resize the picture by this first."),
    ] = 1.0,
    output: PictureOption = None,
    threads: ThreadsOption = 0,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Slide a fully convolutional classifier over a picture and draw where it finds each class."""
    target = find_target(output, image, "heatmap", force=force, quiet=quiet, inputs=[model, image])
    from convcli.inspect.heatmap import field_picture, heatmap, heatmap_cells
    from convcli.inspect.probe import class_number
    from convcli.learn.modelfile import load
    from convcli.present.inspection import heatmap_report

    trained = load(model)
    names = trained.class_names
    chosen = None if class_ is None else class_number(class_, names)
    picture, note = field_picture(_frame(image), trained, scale=scale)
    found = heatmap(trained, picture, threads=threads)
    labels = sorted(range(len(names)), key=lambda label: -found.best(label)[0])
    labels = labels[:MOST_CLASSES] if chosen is None else [chosen]
    show_cells(
        heatmap_cells(found, names, labels),
        heatmap_report(found, names, labels, note),
        target,
        style,
        cell_width=_cell_width(picture.shape[1], len(labels) + 1),
    )


def _cell_width(width: int, pictures: int) -> int:
    """Return how wide a picture of a heat map is drawn: enlarged whole, or reduced."""
    if width <= CELL_WIDTH:
        return width * (CELL_WIDTH // width)
    return max(CELL_WIDTH, min(width, SHEET_WIDTH // pictures))


def _frame(image: str) -> Any:
    """Return the first frame of a picture file, or of stdin."""
    from convcli.imaging.reading import read_picture

    content = standard_input() if image == STANDARD_STREAM else Path(image)
    return read_picture(content, name=image).frames[0]
