"""`convcli show`: what a trained model has learned and sees, as pictures."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import convcli
from convcli.cli.models import SPLIT, SplitName
from convcli.cli.options import (
    STANDARD_STREAM,
    FileOutput,
    ImageArgument,
    ModelArgument,
    SeedOption,
    ThreadsOption,
    load_labeled,
    takes,
)
from convcli.data.source import Source
from convcli.errors import UsageError
from convcli.net.lookup import model_path
from convcli.option import option
from convcli.present.look import SUFFIXES, Look

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcli.api.seeing import Drawn
    from convcli.learn.evaluation import Labeled
    from convcli.learn.modelfile import TrainedModel
    from convcli.present.figures import Saved

HELP = """See what a trained model learned and looks at: as a picture, in the terminal, as JSON.

Every command writes a figure (PNG, SVG, PDF): -o, or NAME_WHAT.png beside its input. On a
terminal, or with --format table, it is drawn there too.
"""

EXAMPLES = """Examples:

  convcli show filters runs/mnist

  convcli show activations model.safetensors digit.png -o maps.png

  convcli show cam model.safetensors digit.png --class 3
"""


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    show = typer.Typer(help=HELP, epilog=EXAMPLES, no_args_is_help=True)
    show.command("filters", epilog=FILTERS_EXAMPLES)(show_filters)
    show.command("maximize", epilog=MAXIMIZE_EXAMPLES)(show_maximize)
    show.command("activations", epilog=ACTIVATIONS_EXAMPLES)(show_activations)
    show.command("saliency", epilog=SALIENCY_EXAMPLES)(show_saliency)
    show.command("occlusion", epilog=OCCLUSION_EXAMPLES)(show_occlusion)
    show.command("cam", epilog=CAM_EXAMPLES)(show_cam)
    show.command("receptive", epilog=RECEPTIVE_EXAMPLES)(show_receptive)
    show.command("heatmap", epilog=HEATMAP_EXAMPLES)(show_heatmap)
    show.command("confusion", epilog=CONFUSION_EXAMPLES)(show_confusion)
    show.command("errors", epilog=ERRORS_EXAMPLES)(show_errors)
    show.command("curves", epilog=CURVES_EXAMPLES)(show_curves)
    app.add_typer(show, name="show")


@dataclass(frozen=True)
class Drawing(Look, FileOutput):
    """Where a figure goes, how it looks, and how it is told."""

    output: Path | None = option(
        "Where the figure goes: .png, .svg, .pdf, .webp, .tif or .bmp.",
        "-o",
        "--output",
        show_default="NAME_WHAT.png beside the input",
    )

    def target(
        self, label: str, beside: Path | str, *inputs: Path | str, usual: str = SUFFIXES[0]
    ) -> Path:
        """Return where the figure goes, as `place`; `usual` is its ending unless told."""
        endings, inputs = dict.fromkeys([usual, *SUFFIXES]), (beside, *inputs)
        return self.place(self.output, beside, label, inputs=inputs, suffixes=list(endings))

    @property
    def on_terminal(self) -> bool:
        """Whether a figure is drawn in the terminal too."""
        return self.format == "table" or (
            self.format is None and sys.stdout.isatty() and not self.quiet
        )

    def show(self, drawn: Drawn, path: Path | None) -> None:
        """Write a figure to where `target` said, draw it where a table is printed, and tell it.

        Without a path it is drawn and told alone.
        """
        from convcli.cli.console import draw_pixels

        saved = None if path is None else drawn.write(path, self, force=self.force)
        png = drawn.png
        if path is not None and path.suffix.lower() == ".png":
            png = path.read_bytes
        if not (self.on_terminal and draw_pixels(png)):
            self._draw_text(drawn)
        if saved is None:
            self.emit(drawn.report)
        else:
            self.emit_summary(drawn.report)
            self.say_saved(saved)

    def _draw_text(self, drawn: Drawn) -> None:
        """Draw panels in half blocks on a terminal, curves in letters wherever people read."""
        from shutil import get_terminal_size

        from convcli.cli.console import has_color
        from convcli.present.panels import draw_panels
        from convcli.report.curves import draw_chart

        size = get_terminal_size()
        is_read = self.format in {"table", "plain"} or (self.format is None and not self.quiet)
        for chart in drawn.charts if is_read else ():
            sys.stdout.write(draw_chart(chart, min(size.columns, 100)) + "\n\n")
        if drawn.panels and self.on_terminal:
            text = draw_panels(
                drawn.panels,
                columns=size.columns,
                rows=size.lines,
                color=has_color(),
                title=drawn.title,
            )
            sys.stdout.write(text + "\n")

    def say_saved(self, saved: Saved) -> None:
        """Say what was written, and what could not be."""
        self.messages.say("\n".join(saved.sentences))


FILTERS_EXAMPLES = """Examples:

  convcli show filters runs/mnist

  convcli show filters model.safetensors --layer conv2 --filter 3 -o conv2.png

  convcli show filters model.safetensors --layer conv2 --channel 0 --format json
"""


@takes(out=Drawing)
def show_filters(
    model: ModelArgument,
    *,
    layer: str | None = option("Name or number.", show_default="the first with kernels"),
    filter_: int | None = option("Only this output channel.", min=0),
    channel: int | None = option("Only this input channel.", min=0),
    limit: int = option("Most kernels shown.", min=1, default=512),
    out: Drawing,
) -> None:
    """Draw a layer's kernels: in color over a color picture, else by input channel.

    All are on one scale: white is zero, red positive, blue negative.
    """
    path = out.target(f"filters-{layer}" if layer else "filters", model_path(model))
    chosen: dict[str, Any] = {"layer": layer, "filter": filter_, "channel": channel}
    if out.format == "csv":
        chosen["rows"] = None
    out.show(convcli.show_filters(model, **chosen, limit=limit), path)


MAXIMIZE_EXAMPLES = """Examples:

  convcli show maximize runs/mnist

  convcli show maximize model.safetensors --unit conv2:7 --unit dense2:3 -o units.png

  convcli show maximize runs/mnist --unit conv2:3 --steps 0,1,10,100 -o ascent.png
"""


@takes(out=Drawing)
def show_maximize(
    model: ModelArgument,
    *,
    unit: tuple[str, ...] = option(
        "What to excite; again for more.",
        metavar="LAYER[:CHANNEL]",
        show_default="some of each layer, shallow to deep",
        default=(),
    ),
    limit: int = option("Most channels shown of each layer.", min=1, default=8),
    steps: str = option(
        "Steps of gradient ascent; 0,1,10,100 draws the input after so many.",
        metavar="N[,N...]",
        default="100",
    ),
    seed: SeedOption = 0,
    out: Drawing,
) -> None:
    """Find inputs that excite units most, by gradient ascent on the input."""
    label = "maximize" + "".join(f"-{one.replace(':', '-')}" for one in unit)
    path = out.target(label, model_path(model))
    units = [parse_unit(one) for one in unit]
    with out.messages.counted() as progress:
        drawn = convcli.show_maximize(
            model,
            units,
            limit=limit,
            steps=_moments(steps),
            seed=seed,
            progress=lambda done, total: progress("gradient ascent", done, total),
        )
    out.show(drawn, path)


def _moments(text: str) -> list[int]:
    """Return the numbers of steps in `0,1,10,100`."""
    words = text.split(",")
    if not all(word.strip().isascii() and word.strip().isdigit() for word in words):
        raise UsageError(f"--steps {text[:40]!r}: write numbers of steps, such as 100 or 0,1,10.")
    return [int(word) for word in words]


def parse_unit(text: str) -> tuple[str, int | None]:
    """Return layer and channel of LAYER or LAYER:CHANNEL.

    >>> parse_unit("conv2:7"), parse_unit("conv2")
    (('conv2', 7), ('conv2', None))

    Raises:
        UsageError: it is malformed.
    """
    layer, colon, channel = text.partition(":")
    if not layer or (colon and not (channel.isascii() and channel.isdigit())):
        raise UsageError(f"{text[:60]!r} is no unit. Write LAYER:CHANNEL, such as conv2:7.")
    return layer, int(channel) if colon else None


ACTIVATIONS_EXAMPLES = """Examples:

  convcli show activations runs/mnist digit.png

  convcli show activations runs/photos photo.jpg --layer conv2 --limit 128 -o conv2.png
"""


@takes(out=Drawing)
def show_activations(
    model: ModelArgument,
    image: ImageArgument,
    *,
    layer: tuple[str, ...] = option("Only this layer; again for more.", default=()),
    limit: int = option("Most channels shown of each layer.", min=1, default=64),
    out: Drawing,
) -> None:
    """Draw what every layer answers to one sample, with its shape and receptive field."""
    label = "".join(f"-{one}" for one in layer)
    path = out.target(f"activations{label}", image, model)
    out.show(convcli.show_activations(model, content(image), layer=layer, limit=limit), path)


CLASS = {"help": "Name or number of a class.", "show_default": "the likeliest"}

SALIENCY_EXAMPLES = """Examples:

  convcli show saliency runs/mnist digit.png --method all

  convcli show saliency runs/photos photo.jpg --method integrated --class cat
"""


@takes(out=Drawing)
def show_saliency(
    model: ModelArgument,
    image: ImageArgument,
    *,
    method: Literal["gradient", "smoothgrad", "integrated", "all"] = option(
        "The plain gradient, its mean over noisy copies, or integrated from black.",
        default="gradient",
    ),
    class_: str | None = option(**CLASS),
    samples: int = option("Noisy copies.", min=1, default=32),
    noise: float = option("Their deviation, as a share of the range.", min=0, default=0.15),
    steps: int = option("Integration steps.", min=1, default=64),
    seed: SeedOption = 0,
    out: Drawing,
) -> None:
    """Draw which input cells the answer depends on, by gradients of the class' logit."""
    path = out.target("saliency" if method == "gradient" else f"saliency-{method}", image, model)
    drawn = convcli.show_saliency(
        model,
        content(image),
        method=method,
        class_=class_,
        samples=samples,
        noise=noise,
        steps=steps,
        seed=seed,
    )
    out.show(drawn, path)


OCCLUSION_EXAMPLES = """Examples:

  convcli show occlusion runs/mnist digit.png

  convcli show occlusion runs/photos photo.jpg --window 8 --step 4 --fill mean
"""


@takes(out=Drawing)
def show_occlusion(
    model: ModelArgument,
    image: ImageArgument,
    *,
    class_: str | None = option(**CLASS),
    window: int | None = option("Side of the square.", min=1, show_default="a seventh"),
    step: int | None = option(
        "Stride of the square, in cells.", min=1, show_default="a quarter of it"
    ),
    fill: Literal["black", "mean", "white"] | None = option(
        "What covers.", show_default="black for digits, else mean"
    ),
    out: Drawing,
) -> None:
    """Cover the picture piece by piece and draw where the class' logit suffers."""
    path = out.target("occlusion", image, model)
    with out.messages.counted() as progress:
        drawn = convcli.show_occlusion(
            model,
            content(image),
            class_=class_,
            window=window,
            step=step,
            fill=fill,
            progress=lambda done, total: progress("windows", done, total),
        )
    out.show(drawn, path)


CAM_EXAMPLES = """Examples:

  convcli show cam runs/mnist digit.png

  convcli show cam runs/photos photo.jpg --layer conv2 --class dog -o cam.png
"""


@takes(out=Drawing)
def show_cam(
    model: ModelArgument,
    image: ImageArgument,
    *,
    layer: str | None = option(
        "Name or number.", show_default="the last convolution, its norm and activation"
    ),
    class_: str | None = option(**CLASS),
    out: Drawing,
) -> None:
    """Draw where a class finds support in a layer's maps (Grad-CAM)."""
    path = out.target("cam", image, model)
    out.show(convcli.show_cam(model, content(image), layer=layer, class_=class_), path)


def content(image: str) -> Any:
    """Return what an image is read from: its path, or the bytes of stdin."""
    from convcli.cli.console import standard_input

    return standard_input() if image == STANDARD_STREAM else Path(image)


RECEPTIVE_EXAMPLES = """Examples:

  convcli show receptive runs/mnist --at conv2:3,4 --image digit.png

  convcli show receptive vgg16 --at maxpool3:10,12 --image photo.jpg -o field.png
"""


@takes(out=Drawing)
def show_receptive(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|NETWORK", help="A model, a run's directory, a preset, or notation."
        ),
    ],
    *,
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="[LAYER:]ROW,COL",
            help="A cell of a layer's output; of the last map without LAYER.",
        ),
    ],
    image: str | None = option("Drawn on this picture.", show_default="a grid of cells"),
    out: Drawing,
) -> None:
    """Draw the part of the input that one output cell depends on."""
    place = Path(model)
    is_model = place.is_dir() or place.suffix == ".safetensors"
    source = str(model_path(place)) if is_model else model
    label = at.replace(":", "-").replace(",", "-")
    if image or is_model:
        path = out.target(f"receptive-{label}", image or source, source)
    else:
        path = out.target(label, "receptive.png")
    fed = None if image is None else content(image)
    out.show(convcli.show_receptive(source, at, image=fed), path)


@dataclass(frozen=True)
class HeatmapDrawing(Drawing):
    """A figure of a command whose own `--scale` is that of its picture."""

    zoom: float = option("Draw panels so much larger; letters stay.", min=0.25, max=16, default=1.0)


HEATMAP_EXAMPLES = """Examples:

  convcli convolutionalize runs/mnist -o fcn.safetensors

  convcli show heatmap fcn.safetensors page.png --scale 0.5

  convcli show heatmap fcn.safetensors page.png --class 7 -o sevens.png
"""


@takes(out=HeatmapDrawing)
def show_heatmap(
    model: Annotated[
        Path, typer.Argument(metavar="FCN", help="What `convcli convolutionalize` wrote.")
    ],
    image: ImageArgument,
    *,
    class_: str | None = option(**CLASS),
    scale: float = option("Resize the picture by this first.", min=0.01, max=100, default=1.0),
    threads: ThreadsOption = 0,
    out: HeatmapDrawing,
) -> None:
    """Slide a fully convolutional classifier over a picture and draw where it finds each class."""
    path = out.target("heatmap", image, model)
    chosen: dict[str, Any] = {"class_": class_, "scale": scale, "threads": threads}
    out.show(convcli.show_heatmap(model, content(image), **chosen), path)


CONFUSION_EXAMPLES = """Examples:

  convcli show confusion runs/mnist

  convcli show confusion model.safetensors --data mnist -o confusion.svg
"""


@takes(source=Source, out=Drawing)
def show_confusion(
    model: ModelArgument,
    *,
    source: Source,
    split: SplitName | None = option(SPLIT),
    threads: ThreadsOption = 0,
    out: Drawing,
) -> None:
    """Draw which class is taken for which: counts, and their share of the true class."""
    path = out.target("confusion", model_path(model))
    from convcli.api.seeing import confusion_drawn

    out.show(_drawn_of(model, source, split, out, partial(confusion_drawn, threads=threads)), path)


ERRORS_EXAMPLES = """Examples:

  convcli show errors runs/mnist --limit 60

  convcli show errors runs/photos --data photos --size 32x32 -o errors.png
"""


@takes(source=Source, out=Drawing)
def show_errors(
    model: ModelArgument,
    *,
    source: Source,
    split: SplitName | None = option(SPLIT),
    limit: int = option("Most samples shown.", min=1, default=40),
    threads: ThreadsOption = 0,
    out: Drawing,
) -> None:
    """Draw the samples that the model got wrong, those with the highest probability first.

    Of masks, values and labels the samples that are farthest off: masks over their pictures, a
    forecast as a line beside what came.
    """
    path = out.target("errors", model_path(model))
    from convcli.api.seeing import errors_drawn

    draw = partial(errors_drawn, limit=limit, threads=threads)
    drawn = _drawn_of(model, source, split, out, draw)
    if drawn.panels:
        out.show(drawn, path)
        return
    out.emit_summary(drawn.report)
    out.messages.say("There is no mistake to draw; nothing was written.")


def _drawn_of(
    model: Path,
    source: Source,
    split: SplitName | None,
    out: Drawing,
    draw: Callable[[TrainedModel, Labeled], Drawn],
) -> Drawn:
    """Return what is drawn of a model on labeled samples."""
    from convcli.learn.modelfile import load

    trained = load(model)
    chosen = load_labeled(trained, source, split, out.messages)
    with out.messages.warned(chosen.data.name):
        return draw(trained, chosen)


CURVES_EXAMPLES = """Examples:

  convcli show curves runs/mnist

  convcli show curves runs/mnist -o curves.svg --format json
"""


@takes(out=Drawing)
def show_curves(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A run's directory, the model in it, a sweep, or a folder of runs."
        ),
    ],
    *,
    out: Drawing,
) -> None:
    """Draw loss and accuracy over the epochs of a training; of several, a line for each."""
    folder = run if run.is_dir() else run.parent
    path = out.target("curves", folder / "training.svg", usual=".svg")
    chosen: dict[str, Any] = {"rows": None} if out.format == "csv" else {}
    out.show(convcli.show_curves(folder, **chosen), path)
