"""`convcli show activations|saliency|occlusion|cam`: what a model does with one sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convcli.cli.learn_options import ModelArgument
from convcli.cli.options import ForceOption, FormatOption, QuietOption, SeedOption
from convcli.cli.show_output import (
    ClassOption,
    ImageArgument,
    LimitOption,
    PictureOption,
    find_target,
    load_probe,
    load_sample,
    show_cells,
)

if TYPE_CHECKING:
    from convcli.inspect.explaining import Explained
    from convcli.inspect.probe import Probe

Method = Literal["gradient", "smoothgrad", "integrated", "all"]

ACTIVATIONS_EXAMPLES = """Examples:

  convcli show activations runs/mnist digit.png

  convcli show activations model.safetensors photo.jpg --layer conv2 --limit 128 -o conv2.png
"""
SALIENCY_EXAMPLES = """Examples:

  convcli show saliency runs/mnist digit.png --method all

  convcli show saliency model.safetensors photo.jpg --method integrated --class cat
"""
OCCLUSION_EXAMPLES = """Examples:

  convcli show occlusion runs/mnist digit.png

  convcli show occlusion model.safetensors photo.jpg --window 32 --step 8 --fill mean
"""
CAM_EXAMPLES = """Examples:

  convcli show cam runs/mnist digit.png

  convcli show cam model.safetensors photo.jpg --layer conv2 --class dog -o cam.png
"""


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    group.command("activations", epilog=ACTIVATIONS_EXAMPLES)(show_activations)
    group.command("saliency", epilog=SALIENCY_EXAMPLES)(show_saliency)
    group.command("occlusion", epilog=OCCLUSION_EXAMPLES)(show_occlusion)
    group.command("cam", epilog=CAM_EXAMPLES)(show_cam)


def show_activations(
    model: ModelArgument,
    image: ImageArgument,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", help="Only this layer; again for more.", show_default=False),
    ] = None,
    limit: LimitOption = 64,
    output: PictureOption = None,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw what every layer answers to one sample, with its shape and receptive field."""
    label = "".join(f"-{one}" for one in layer or ())
    target = find_target(
        output, image, f"activations{label}", force=force, quiet=quiet, inputs=[model, image]
    )
    from convcli.imaging.sheet import Cell
    from convcli.inspect.maps import layer_maps, map_cells
    from convcli.inspect.render import sample_picture
    from convcli.present.inspection import maps_report

    probe = load_probe(model)
    sample = load_sample(probe, image)
    trace = probe.trained.model.trace
    maps = layer_maps(trace, probe.all_values(sample), layer or ())
    names = probe.trained.class_names if maps[-1].step is trace.steps[-1] else ()
    first = Cell("the input", sample_picture(probe, sample[0]))
    show_cells(
        [first, *map_cells(maps, names, limit)],
        maps_report(maps),
        target,
        style,
        title="What every layer answers",
        cell_width=84,
    )


def show_saliency(
    model: ModelArgument,
    image: ImageArgument,
    method: Annotated[
        Method,
        typer.Option(
            help="The plain gradient, its mean over noisy copies, or its sum along the way from "
            "black."
        ),
    ] = "gradient",
    class_: ClassOption = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Noisy copies.")] = 32,
    noise: Annotated[
        float, typer.Option("--noise", min=0, help="Their deviation, as a share of the range.")
    ] = 0.15,
    steps: Annotated[int, typer.Option("--steps", min=1, help="On the way from black.")] = 64,
    output: PictureOption = None,
    seed: SeedOption = 0,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw which input cells the answer depends on, by gradients of the class' logit."""
    label = "saliency" if method == "gradient" else f"saliency-{method}"
    target = find_target(output, image, label, force=force, quiet=quiet, inputs=[model, image])
    from convcli.inspect.explaining import saliency

    probe = load_probe(model)
    sample = load_sample(probe, image)
    number = probe.class_index(class_, sample)
    methods = ("gradient", "smoothgrad", "integrated") if method == "all" else (method,)
    found = [
        saliency(probe, sample, number, one, samples=samples, noise=noise, steps=steps, seed=seed)
        for one in methods
    ]
    _show_explained(probe, sample, found, target, style)


def show_occlusion(
    model: ModelArgument,
    image: ImageArgument,
    class_: ClassOption = None,
    window: Annotated[
        int | None,
        typer.Option("--window", min=1, help="Side of the square.", show_default="a seventh"),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option("--step", min=1, help="Cells it moves by.", show_default="a quarter of it"),
    ] = None,
    fill: Annotated[
        Literal["black", "mean", "white"] | None,
        typer.Option(help="What covers.", show_default="black for digits, else mean"),
    ] = None,
    output: PictureOption = None,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Cover the picture piece by piece and draw where the class' logit suffers."""
    target = find_target(
        output, image, "occlusion", force=force, quiet=quiet, inputs=[model, image]
    )
    from convcli.inspect.explaining import occlusion

    probe = load_probe(model)
    sample = load_sample(probe, image)
    number = probe.class_index(class_, sample)
    with target.messages.counted() as progress:
        found = occlusion(
            probe,
            sample,
            number,
            window=window,
            step=step,
            fill=fill,
            on_windows=lambda done, total: progress("windows", done, total),
        )
    _show_explained(probe, sample, [found], target, style)


def show_cam(
    model: ModelArgument,
    image: ImageArgument,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer", help="Whose maps are weighed.", show_default="the last convolution"
        ),
    ] = None,
    class_: ClassOption = None,
    output: PictureOption = None,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw where a class finds support in a layer's maps (Grad-CAM)."""
    target = find_target(output, image, "cam", force=force, quiet=quiet, inputs=[model, image])
    from convcli.inspect.explaining import class_activation

    probe = load_probe(model)
    sample = load_sample(probe, image)
    number = probe.class_index(class_, sample)
    _show_explained(probe, sample, [class_activation(probe, sample, number, layer)], target, style)


def _show_explained(
    probe: Probe, sample: Any, found: list[Explained], target: Any, style: str | None
) -> None:
    """Draw input, map and overlay, a row for each of `found`."""
    from convcli.imaging.sheet import Cell
    from convcli.inspect.render import attribution_cells, sample_picture
    from convcli.present.inspection import explained_report

    picture = sample_picture(probe, sample[0])
    name = probe.trained.class_names[found[0].label]
    probability = float(probe.answers(sample)[0][found[0].label])
    cells = []
    for one in found:
        first, *others = attribution_cells(
            picture, one.caption, one.values, with_signs=one.with_signs
        )
        heading = f"{one.method}, class {name} ({probability:.1%})"
        cells += [Cell("the input", picture, heading), first, *others]
    show_cells(
        cells,
        explained_report(found, name, probability),
        target,
        style,
        cell_width=336,
        columns=3,
    )
