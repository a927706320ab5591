"""`convcli evaluate|predict|features|export|import|convolutionalize`: a model put to use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convcli.cli.options import (
    STANDARD_STREAM,
    FileOutput,
    ModelArgument,
    OutputOption,
    ThreadsOption,
    fetched_model,
    load_labeled,
    load_source,
    refuse_without_effect,
    takes,
)
from convcli.data.source import SOURCES, Shaping, Source
from convcli.errors import CheckError, InputError, UsageError, cannot_read
from convcli.layers.base import shape_text
from convcli.net.lookup import FOREIGN, PICKLES, RUN_MODEL, model_path
from convcli.option import byte_count, option
from convcli.present.look import SUFFIXES

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.data.series import Recording
    from convcli.imaging.batch import Source as PictureSource
    from convcli.learn.evaluation import Prediction
    from convcli.learn.modelfile import TrainedModel
    from convcli.learn.remote import PredictOrder

DIGITS = "digits-mnist"
"""The model that predict asks where nobody names one."""

SplitName = Literal["train", "validation", "test"]
SPLIT = "Which samples: test, else those held out of the training, else all."


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("evaluate", epilog=EVALUATE_EXAMPLES)(evaluate)
    app.command("predict", epilog=PREDICT_EXAMPLES)(predict)
    app.command("features", epilog=FEATURES_EXAMPLES)(features)
    app.command("export", epilog=EXPORT_EXAMPLES)(export)
    app.command("import", epilog=IMPORT_EXAMPLES)(import_)
    app.command("convolutionalize", epilog=CONVOLUTIONALIZE_EXAMPLES)(convolutionalize)


EVALUATE_EXAMPLES = """Examples:

  convcli evaluate runs/fashion

  convcli evaluate runs/digits --data mnist --format csv

  convcli evaluate runs/photos --data photos --size 32x32 --worst 20

  convcli evaluate model.safetensors --data mnist --table confusion

  convcli evaluate model.safetensors --data mnist --fail-under 0.99 --format json

  convcli evaluate runs/digits runs/mnist --perturb noise=0..0.3,shift=0..4 -o robust.svg
"""


@takes(source=Source, out=FileOutput)
def evaluate(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...", help="A model file, or a run's directory; several with --perturb."
        ),
    ],
    *,
    source: Source,
    split: SplitName | None = option(SPLIT),
    worst: int = option("How many of the worst mistakes to list.", min=0, default=5),
    fail_under: float | None = option("Exit with 5 under this accuracy (0..1)."),
    perturb: str | None = option(
        "Accuracy over the size of a change of the samples: noise (a deviation, as a share of the "
        "range), shift (cells), drop-channel; noise=0..0.3:7 for seven sizes.",
        metavar="CHANGES",
    ),
    output: Path | None = option("Draw it, with --perturb: .png, .svg, .pdf.", "-o", "--output"),
    threads: ThreadsOption = 0,
    out: FileOutput,
) -> None:
    """Evaluate a model on labeled samples.

    It prints accuracy and loss, precision, recall and F1 of each class, the confusion matrix,
    calibration, and the worst mistakes.

    The main table, which --format csv prints, is `classes`: a row for each class, and a row `all`
    with the means over the classes, accuracy and loss. --table takes confusion, calibration or
    mistakes instead.
    """
    if perturb is not None:
        refuse_without_effect({"--fail-under": fail_under}, "without --perturb")
        return _perturbed(models, source, split, perturb, output, threads, out)
    refuse_without_effect({"-o": output}, "with --perturb")
    if len(models) > 1:
        raise UsageError("Several models are compared by --perturb, such as --perturb noise=0..0.3")
    from convcli.learn.evaluation import evaluate as judge
    from convcli.learn.modelfile import load
    from convcli.present.evaluation import evaluation_report

    trained = load(models[0])
    chosen = load_labeled(trained, source, split, out.messages)
    with out.messages.warned(chosen.data.name):
        found = judge(trained, chosen.data, chosen.samples, worst=worst, threads=threads)
    out.emit(evaluation_report(found, chosen))
    if fail_under is not None and found.accuracy is None:
        raise UsageError("--fail-under is an accuracy, and values have none.")
    if fail_under is not None and found.accuracy is not None and found.accuracy < fail_under:
        raise CheckError(
            f"The accuracy is {found.accuracy:.4f}, under the {fail_under:g} of --fail-under."
        )
    return None


def _perturbed(
    models: list[Path],
    source: Source,
    split: SplitName | None,
    changes: str,
    output: Path | None,
    threads: int,
    out: FileOutput,
) -> None:
    """Draw and tell the accuracy of models on changed samples."""
    path = None
    if output is not None:
        path = out.place(output, output, "", inputs=models, suffixes=SUFFIXES)
    from shutil import get_terminal_size

    from convcli.api.seeing import robustness_drawn
    from convcli.learn.modelfile import load
    from convcli.present.curves import drawn_curves

    trained = {str(place): load(place) for place in models}
    chosen = load_labeled(next(iter(trained.values())), source, split, out.messages)
    with out.messages.counted() as progress:
        drawn = robustness_drawn(
            trained,
            chosen,
            changes,
            threads=threads,
            progress=lambda done, total: progress("evaluations", done, total),
        )
    if out.drawn:
        sys.stdout.write(drawn_curves(drawn.charts, min(get_terminal_size().columns, 100)))
    out.emit(drawn.report)
    if path is not None:
        out.messages.say("\n".join(drawn.save(path, force=out.force).sentences))


PREDICT_EXAMPLES = """Examples:

  convcli predict digit.jpg --show

  convcli predict model.safetensors digit.jpg

  convcli predict runs/photos photos --top 2 --threshold 0.8

  convcli predict model.safetensors - --format json < digit.png

  convcli predict runs/walks walks.csv -o told.csv
"""


@takes(out=FileOutput)
def predict(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] IMAGE...",
            help="A model file, a run or a name, digits-mnist when left out; then pictures, "
            "folders, patterns, matrices (.npy .csv .txt), -.",
        ),
    ],
    *,
    top: int = option("How many classes to name.", min=1, default=3),
    threshold: float = option("Under this probability: don't know.", default=0.0),
    logits: bool = option("Show the raw outputs too, before any softmax.", default=False),
    show: bool = option("Draw what the network was fed (on stderr).", default=False),
    memory_limit: str = option(
        "Refuse inputs that would need more, such as 8GiB.", metavar="SIZE", default="2GiB"
    ),
    cluster: str | None = option(
        "Predict pictures on the workers of a Dask scheduler, to the same bits; see convcli sweep.",
        metavar="ADDRESS",
    ),
    output: Path | None = option(
        "Of one input: its recording with what is predicted as a column (.csv), or the picture "
        "under its mask (.png).",
        "-o",
        "--output",
    ),
    out: FileOutput,
) -> None:
    """Ask a model about pictures: files, folders, patterns, - for stdin, or matrices.

    A model of series takes recordings as they came (.csv): a line for each window. A model with
    several inputs takes a file for each, in their order, and then those of the next sample.

    Models with names come with convcli (digits-mnist), or are published and fetched on first use
    (resnet18-imagenet). A model of MNIST's digits takes a photo of a digit on paper: it finds the
    ink, turns it white on black, and centers it as MNIST does. --show draws what it was fed.
    """
    from convcli.imaging.batch import find_sources
    from convcli.learn.evaluation import predictions
    from convcli.learn.modelfile import load
    from convcli.present.evaluation import predictions_report

    limit = byte_count(memory_limit)
    inputs = words
    if _is_input(words[0]):
        out.messages.say(f"The model is {DIGITS}, which comes with convcli: MNIST's digits.")
        trained = load(DIGITS)
    else:
        trained, inputs = load(fetched_model(words[0], out.messages)), words[1:]
    if not inputs:
        raise UsageError(f"Which pictures? Write: convcli predict {words[0]} IMAGE...")
    several = len(trained.model.trace.inputs) > 1
    if several:  # the same file may be several inputs
        sources = [one for word in inputs for one in find_sources([word], recursive=True)]
        useless = {"--output": output, "--show": show, "--logits": logits, "--cluster": cluster}
        refuse_without_effect(useless, "for a model with one input")
    else:
        sources = find_sources(inputs, recursive=True)
    if output is not None:
        _check_kept(trained, sources, output, out)
    draws = show and sys.stderr.isatty()
    if show and not draws:
        out.messages.say("--show draws on a terminal only; stderr is none.")
    ask = partial(predictions, top=top, threshold=threshold, logits=logits)
    if cluster is not None:
        if output is not None or draws:
            raise UsageError("--cluster tells what pictures are; leave -o and --show out.")
        order = partial(_order, trained.content(), top, threshold, logits, limit)
        found, problems = _told_on_cluster(cluster, sources, order, out.messages)
    elif several:
        found, problems = _told_together(trained, sources, ask, limit), []
    else:
        found, problems = _told_here(trained, sources, ask, limit, output, out, draws=draws)
    if found or not problems:
        out.emit(predictions_report(found))
    if problems:
        count = f"{len(problems)} of {len(sources)} inputs could not be used:\n  "
        raise InputError((count if len(sources) > 1 else "") + "\n  ".join(problems))


def _told_here(
    trained: TrainedModel,
    sources: list[PictureSource],
    ask: Callable[..., list[Prediction]],
    limit: int,
    output: Path | None,
    out: FileOutput,
    *,
    draws: bool,
) -> tuple[list[tuple[str, Prediction]], list[str]]:
    """Return what the model says of each input in order, and why some have no answer."""
    from convcli.learn.recordings import recording_of

    found: list[tuple[str, Prediction]] = []
    problems = []
    with out.messages.progress() as progress:
        for one in progress.track(sources, description="pictures"):
            try:
                recording = None if one.path is None else recording_of(one.path, trained)
                samples = (
                    _samples_of(one, trained, limit) if recording is None else recording.samples
                )
            except InputError as problem:
                problems.append(str(problem))
                continue
            with out.messages.warned(one.name):
                told = ask(trained, samples)
            names = _names(one.name, told)
            if recording is not None:
                size = trained.preprocessing.shape[0] if samples.ndim == 3 else 1
                names = [f"{one.name}[{at}:{at + size}]" for at in recording.firsts]
            if output is not None:
                _keep(trained, samples, told, recording, output, force=out.force)
            found += zip(names, told, strict=True)
            for name, sample in zip(names, samples if draws else (), strict=False):
                sys.stderr.write(f"{name}\n")
                _draw(sample)
    return found, problems


def _told_together(
    trained: TrainedModel,
    sources: list[PictureSource],
    ask: Callable[..., list[Prediction]],
    limit: int,
) -> list[tuple[str, Prediction]]:
    """Return what a model with several inputs says, a file for each input at a time."""
    inputs = trained.model.trace.inputs
    if len(sources) % len(inputs):
        wanted = ", ".join(f"{name} {shape_text(shape)}" for name, shape in inputs.items())
        raise UsageError(
            f"The model reads {wanted}: give a file for each, in this order, not {len(sources)}."
        )
    found: list[tuple[str, Prediction]] = []
    for first in range(0, len(sources), len(inputs)):
        group = sources[first : first + len(inputs)]
        samples = {
            name: _samples_of(one, trained, limit, shape)
            for one, (name, shape) in zip(group, inputs.items(), strict=True)
        }
        told = ask(trained, samples)
        found += zip(_names(" + ".join(one.name for one in group), told), told, strict=True)
    return found


def _names(name: str, told: list[Prediction]) -> list[str]:
    return [name if len(told) == 1 else f"{name}[{n}]" for n in range(len(told))]


def _order(
    model: bytes, top: int, threshold: float, logits: bool, limit: int, one: PictureSource
) -> PredictOrder:
    """Return what a worker is asked about one file."""
    from convcli.cli.console import standard_input
    from convcli.learn.remote import PredictOrder

    try:
        content = standard_input() if one.path is None else one.path.read_bytes()
    except OSError as problem:
        raise cannot_read(str(one.path), problem) from problem
    return PredictOrder(model, content, one.name, top, threshold, logits, limit)


def _told_on_cluster(
    address: str,
    sources: list[PictureSource],
    order: Callable[[PictureSource], PredictOrder],
    messages: Messages,
) -> tuple[list[tuple[str, Prediction]], list[str]]:
    """Return what workers say of each file in order, and why some have no answer."""
    from convcli.learn.remote import answer
    from convcli.sweep.cluster import map_on_cluster

    with messages.progress() as progress:
        orders = [order(one) for one in sources]
        told = map_on_cluster(address, answer, orders)
        answers = dict(progress.track(told, total=len(orders), description="pictures"))
    found: list[tuple[str, Prediction]] = []
    problems = []
    for place, one in sorted(answers.items()):
        if isinstance(one, str):
            problems.append(one)
        else:
            found += zip(_names(sources[place].name, one), one, strict=True)
    return found, problems


def _check_kept(
    model: TrainedModel, sources: list[PictureSource], output: Path, out: FileOutput
) -> None:
    """Refuse a place where nothing can be kept, before anything is predicted."""
    inputs = [one.path for one in sources if one.path is not None]
    if len(sources) != 1:
        raise UsageError(f"-o {output} is for one input; there are {len(sources)}.")
    if len(model.preprocessing.shape) > 2 and model.outputs != "mask":
        raise UsageError("-o keeps recordings of series and masks; this model gives neither.")
    suffix = ".png" if model.outputs == "mask" else ".csv"
    out.place(output, "", "", inputs=inputs, suffixes=[suffix])


def _keep(
    model: TrainedModel,
    samples: Any,
    told: list[Prediction],
    recording: Recording | None,
    output: Path,
    *,
    force: bool,
) -> None:
    """Write a recording with what is predicted of it, or a picture under its mask."""
    from convcli.files import new_file, write_text

    if model.outputs == "mask":
        import numpy as np

        from convcli.imaging.picture import png_bytes
        from convcli.present.data import masked, seen_pixels

        mask = np.array(told[0].mask, np.uint8)
        with new_file(output, force=force) as temporary:
            temporary.write_bytes(png_bytes(masked(seen_pixels(samples[0]), mask)))
        return
    from convcli.learn.recordings import predicted_table

    if recording is None:
        raise InputError("-o takes a recording: a .csv with a header, and a row for each moment.")
    write_text(output, predicted_table(recording, told, model), force=force)


def _is_input(word: str) -> bool:
    """Whether the first word of `predict` is a picture already, so that no model was named."""
    if word == STANDARD_STREAM or any(sign in word for sign in "*?["):
        return True
    place = Path(word)
    if place.is_dir():
        return not any((place / name).exists() for name in (RUN_MODEL, "run.json"))
    return place.suffix.lower() not in {"", ".safetensors", *FOREIGN, *PICKLES}


def _samples_of(
    source: PictureSource, model: TrainedModel, limit: int, shape: tuple[int, ...] | None = None
) -> Any:
    from convcli.cli.console import standard_input
    from convcli.learn.pictures import samples_from_source

    content = standard_input() if source.path is None else source.path
    prepared = model.preprocessing if shape is None else replace(model.preprocessing, shape=shape)
    return samples_from_source(content, source.name, prepared, memory_limit=limit)


def _draw(sample: Any) -> None:
    """Draw a sample in the terminal, or say that it is no picture."""
    from convcli.cli.console import draw_frame
    from convcli.imaging.picture import Frame

    if sample.ndim != 3:
        sys.stderr.write("(no picture: it is not drawn)\n")
        return
    pixels = sample[..., 0] if sample.shape[-1] == 1 else sample
    draw_frame(Frame(pixels), sample.shape[1], sample.shape[0], sys.stderr)


FEATURES_EXAMPLES = """Examples:

  convcli features runs/fashion fashion -o features.npz

  convcli features runs/photos photos --layer conv2 --pool -o features.csv
"""


@takes(shaping=Shaping, out=FileOutput)
def features(
    model: ModelArgument,
    source: Annotated[str, typer.Argument(metavar="DATA", help=f"The samples: {SOURCES}.")],
    *,
    output: Path | None = option(
        "Where they go: .npz or .csv.", "-o", "--output", show_default="MODEL_features.npz"
    ),
    layer: str | None = option("Name or number; the one before the output when left out."),
    pool: bool = option("Average maps over their cells: one number a channel.", default=False),
    shaping: Shaping,
    out: FileOutput,
) -> None:
    """Write what a layer makes of every sample, with labels: features for another classifier.

    An .npz holds x_train, y_train, x_test, y_test and class_names, for scikit-learn or again for
    train; a .csv has one row for each sample.
    """
    from convcli.exchange.features import FeatureExtractor, described, write_features
    from convcli.learn.modelfile import load
    from convcli.present.exchange import features_report

    path = model_path(model)
    inputs = [path, Path(source)]
    place = out.place(output, path, "features", inputs=inputs, suffixes=(".npz", ".csv"))
    extractor = FeatureExtractor(load(path), layer, pool=pool)
    data = load_source(Source(name=source, **shaping.given()), out.messages)
    with out.messages.counted() as progress:
        found = extractor.of(data, progress)
    write_features(found, place, force=out.force, inputs=inputs)
    out.emit_summary(features_report(extractor, found, place, described(extractor)))


EXPORT_EXAMPLES = """Examples:

  convcli export runs/fashion -o fashion.onnx --with-preprocessing

  convcli export model.safetensors --to torch

  convcli export model.safetensors -o model.keras
"""


@takes(out=FileOutput)
def export(
    model: ModelArgument,
    *,
    to: Literal["onnx", "torch", "keras", "h5", "npz"] | None = option(
        "The format; by the suffix of -o otherwise."
    ),
    output: OutputOption = None,
    with_preprocessing: bool = option(
        "Put scale and offset inside: it takes raw levels.", default=False
    ),
    out: FileOutput,
) -> None:
    """Export a model to ONNX, PyTorch (source and tensors), Keras (.keras, .h5) or NumPy.

    ONNX and PyTorch take channels first, Keras channels last; the outputs are the same to rounding.
    """
    from convcli.exchange.export import SUFFIXES, export_model, format_for, preprocessing_words
    from convcli.learn.modelfile import load
    from convcli.present.exchange import export_report

    kind = format_for(output, to)
    source = model_path(model)
    trained = load(source)
    exported = export_model(
        trained,
        output or source.with_suffix(SUFFIXES[kind]),
        to=kind,
        with_preprocessing=with_preprocessing,
        force=out.force,
        inputs=[source],
    )
    if exported.preprocessing == "outside":
        out.messages.say(
            f"Its input is {preprocessing_words(trained)}; --with-preprocessing puts that inside."
        )
    out.emit_summary(export_report(exported))


IMPORT_EXAMPLES = """Examples:

  convcli import net.onnx -o net.safetensors --classes cat,dog --scale 1/255

  convcli import net.keras

  convcli import weights.npz --network lenet5-keras --scale 1/255 --pictures digit
"""

OUTPUTS_GUESSED = {
    "classes": "Its outputs are taken for classes; --outputs values takes them as they are.",
    "values": "Its outputs are taken for values, not classes; --outputs classes says otherwise.",
}


@takes(out=FileOutput)
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="ONNX, Keras, or arrays.")],
    *,
    output: OutputOption = None,
    network: str | None = option("For arrays: a preset, a file, or words."),
    renamed: list[str] | None = option(
        "For arrays: which layer of the file goes where; repeat.", "--map", metavar="FILE=LAYER"
    ),
    eps: float | None = option(
        "For arrays, which do not say it: what norms add to the variance.", metavar="E"
    ),
    classes: str | None = option("Names of the outputs: a,b,c."),
    scale: str | None = option("Samples are multiplied by it: 1/255, or one a channel."),
    offset: str | None = option("Then this is added."),
    pictures: Literal["digit", "resize"] | None = option(
        "resize whole pictures, or find the white-on-black digit in them."
    ),
    outputs: Literal["classes", "values"] | None = option(
        "classes, which get a softmax where the network has none, or plain values."
    ),
    out: FileOutput,
) -> None:
    """Import a model from ONNX, Keras (.keras, .h5) or arrays (.safetensors, .npz).

    What comes out is a model file for evaluate, predict, show and train --init. Arrays alone need
    --network; its layers are matched by name, ours (conv1.kernel) or PyTorch's (conv1.weight), or
    else those of equal shapes by the order of the numbers in their names: see the table arrays.
    """
    factors, summands = figures("--scale", scale), figures("--offset", offset)
    from convcli.exchange.importing import import_model
    from convcli.files import check_target
    from convcli.present.exchange import import_report

    place = output or source.with_suffix(".safetensors")
    if place.suffix.lower() != ".safetensors":
        raise UsageError(f"{place}: a model file ends in .safetensors.")
    check_target(place, force=out.force, inputs=[source])
    imported = import_model(
        source,
        network=network,
        classes=classes,
        scale=factors,
        offset=summands,
        pictures=pictures,
        outputs=outputs,
        map=_renamed(renamed or []),
        eps=eps,
    )
    imported.model.save(place, force=out.force)
    for note in imported.notes:
        out.messages.say(note)
    if imported.outputs_guessed:
        out.messages.say(OUTPUTS_GUESSED[imported.model.outputs])
    rule = imported.model.preprocessing
    if set(rule.scale) == {1.0} and set(rule.offset) == {0.0}:
        out.messages.say("Samples are taken as they are; --scale 1/255 brings bytes to 0..1.")
    out.emit_summary(import_report(imported.model, place, imported.whence))


def _renamed(pairs: list[str]) -> dict[str, str]:
    """Return the file's name of a layer -> ours.

    >>> _renamed(["features.0=conv1"])
    {'features.0': 'conv1'}

    Raises:
        UsageError: something else.
    """
    parted = [pair.partition("=") for pair in pairs]
    for (name, equals, layer), pair in zip(parted, pairs, strict=True):
        if not (name and equals and layer):
            raise UsageError(f"--map {pair[:60]!r}: write FILE=LAYER, such as features.0=conv1.")
    return {name: layer for name, _, layer in parted}


def figures(option: str, text: str | None) -> tuple[float, ...] | None:
    """Return numbers written as `0.5`, `1/255` or several with commas between them.

    >>> figures("--scale", "1/4,0.5")
    (0.25, 0.5)

    Raises:
        UsageError: something else.
    """
    if text is None:
        return None
    try:
        return tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UsageError(
            f"{option} {text[:40]!r}: write numbers such as 1/255 or 0.5,0.25,1."
        ) from None


CONVOLUTIONALIZE_EXAMPLES = """Examples:

  convcli convolutionalize runs/mnist -o fcn.safetensors

  convcli show heatmap fcn.safetensors page.png --scale 0.5
"""


@takes(out=FileOutput)
def convolutionalize(
    model: ModelArgument,
    *,
    output: Path | None = option(
        "The new model file.", "-o", "--output", show_default="MODEL_fcn.safetensors"
    ),
    out: FileOutput,
) -> None:
    """Turn a classifier's dense layers into convolutions, so that it slides over any picture.

    The numbers stay: at one place the new model answers what the old one does for that window.
    """
    path = model_path(model)
    place = out.place(output, path, "fcn", inputs=[path], suffixes=[".safetensors"])
    from convcli.inspect.convolutionalize import convolutionalize, sliding
    from convcli.learn.modelfile import load
    from convcli.present.exchange import sliding_report

    converted = convolutionalize(load(path))
    converted.save(place, force=out.force)
    out.emit_summary(sliding_report(converted, sliding(converted.network), place))
    out.messages.say(f"{place}: {converted.model.trace.totals.params:,} parameters.")
