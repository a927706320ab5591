"""`convcli show confusion|errors`: which samples a model takes for which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.console import emit_summary
from convcli.cli.learn_options import ModelArgument
from convcli.cli.models import SplitName
from convcli.cli.options import ForceOption, FormatOption, QuietOption, ThreadsOption, takes
from convcli.cli.show_output import PictureOption, Target, find_target, show_cells
from convcli.data.source import Source

if TYPE_CHECKING:
    from convcli.data import Dataset, Split
    from convcli.learn.answers import Evaluation
    from convcli.learn.modelfile import TrainedModel
    from convcli.learn.rundata import Labeled

SplitOption = Annotated[
    SplitName | None,
    typer.Option(
        "--split",
        help="Which samples: test, else those held out of the training, else all.",
        show_default=False,
    ),
]

CONFUSION_EXAMPLES = """Examples:

  convcli show confusion runs/mnist

  convcli show confusion model.safetensors --data mnist -o confusion.svg
"""
ERRORS_EXAMPLES = """Examples:

  convcli show errors runs/mnist --limit 60

  convcli show errors model.safetensors --data photos --size 64x64 -o errors.png
"""


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    group.command("confusion", epilog=CONFUSION_EXAMPLES)(show_confusion)
    group.command("errors", epilog=ERRORS_EXAMPLES)(show_errors)


@takes(source=Source)
def show_confusion(
    model: ModelArgument,
    *,
    source: Source,
    split: SplitOption = None,
    output: PictureOption = None,
    threads: ThreadsOption = 0,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw which class is taken for which: counts, and their share of the true class."""
    target = _target(model, output, "confusion", (".png", ".svg"), force=force, quiet=quiet)
    from convcli.present.evaluation import confusion_report

    found, chosen, _ = _evaluated(target, model, source, split, threads, worst=0)
    names = list(chosen.data.class_names)
    title = f"{chosen.title}: {found.accuracy:.2%} of {found.n:,} right"
    counts = found.confusion.tolist()
    if target.path.suffix.lower() == ".svg":
        from convcli.files import write_text
        from convcli.report.chart import matrix_chart

        drawn = matrix_chart(title, counts, names, shares=True)
        write_text(target.path, drawn, force=target.force, inputs=target.inputs)
    else:
        from convcli.imaging.matrix_picture import matrix_picture
        from convcli.imaging.picture import Frame, Picture
        from convcli.imaging.writing import write_picture

        picture = Picture((Frame(matrix_picture(title, counts, names)),))
        write_picture(target.path, picture, force=target.force, inputs=target.inputs)
    emit_summary(confusion_report(found, title), style, target.messages)
    target.messages.say(f"{target.path}: {len(names)} classes.")


@takes(source=Source)
def show_errors(
    model: ModelArgument,
    *,
    source: Source,
    split: SplitOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most samples shown.")] = 40,
    output: PictureOption = None,
    threads: ThreadsOption = 0,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw the samples that the model got wrong, the surest mistakes first."""
    target = _target(model, output, "errors", (), force=force, quiet=quiet)
    from convcli.present.evaluation import mistakes_report

    found, chosen, trained = _evaluated(target, model, source, split, threads, worst=limit)
    data, samples, name = chosen.data, chosen.samples, chosen.name
    wrong = found.n - int(found.confusion.trace())
    report = mistakes_report(found, samples.files, f"{wrong:,} of {found.n:,} {name} samples wrong")
    if not found.worst:
        emit_summary(report, style, target.messages)
        target.messages.say("There is no mistake to draw; nothing was written.")
        return
    show_cells(
        _error_cells(found, data, samples, trained),
        report,
        target,
        style,
        title=f"{chosen.title}: the surest {len(found.worst)} of {wrong:,} mistakes",
        cell_width=112,
    )


def _target(
    model: Path,
    output: Path | None,
    label: str,
    suffixes: tuple[str, ...],
    *,
    force: bool,
    quiet: bool,
) -> Target:
    from convcli.net.lookup import model_path

    path = model_path(model)
    return find_target(
        output, path, label, force=force, quiet=quiet, inputs=[path], suffixes=suffixes
    )


def _evaluated(
    target: Target,
    model: Path,
    source: Source,
    split: SplitName | None,
    threads: int,
    *,
    worst: int,
) -> tuple[Evaluation, Labeled, TrainedModel]:
    """Return how a model does on labeled samples, and what they are."""
    from convcli.cli.learn_options import load_labeled
    from convcli.learn import answers
    from convcli.learn.modelfile import load

    trained = load(model)
    chosen = load_labeled(trained, source, split, target.messages)
    with target.messages.warned(chosen.data.name):
        found = answers.evaluate(trained, chosen.data, chosen.samples, worst=worst, threads=threads)
    return found, chosen, trained


def _error_cells(
    found: Evaluation, data: Dataset, samples: Split, trained: TrainedModel
) -> list[Any]:
    from convcli.imaging.sheet import Cell
    from convcli.inspect.probe import Probe
    from convcli.inspect.render import sample_picture

    probe = Probe(trained)
    wrong = [mistake.index for mistake in found.worst]
    inputs = probe.prepared(samples.samples[wrong])
    return [
        Cell(
            f"{data.class_names[mistake.truth]}, predicted {data.class_names[mistake.answer]}\n"
            f"{mistake.probability:.1%}",
            sample_picture(probe, one),
        )
        for mistake, one in zip(found.worst, inputs, strict=True)
    ]
