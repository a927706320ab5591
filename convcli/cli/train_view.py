"""What a training looks like: progress while it runs, figures and curves when it is done."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, replace
from types import TracebackType
from typing import TYPE_CHECKING

from convcli.cli.console import Messages, emit_summary
from convcli.learn.fit import Epoch, StepDone
from convcli.report import Report
from convcli.report.curves import draw_curves
from convcli.report.numbers import as_seconds

if TYPE_CHECKING:
    from convcli.learn.run import Run, RunResult

Curves = dict[str, list[float | None]]

REDRAW_SECONDS = 0.1


class ProgressView:
    """A bar with time left on a terminal, and a line for each epoch."""

    def __init__(self, run: Run, messages: Messages) -> None:
        self._training = run.training
        self._messages = messages
        self._drawn = 0.0

    def __enter__(self) -> ProgressView:
        """Begin to draw."""
        self._context = self._messages.progress()
        self._progress = self._context.__enter__()
        training = self._training
        self._bar = self._progress.add_task(
            "training",
            total=training.recipe.epochs * training.steps_per_epoch,
            completed=training.progress.step,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._context.__exit__(kind, problem, trace)

    def show(self, event: StepDone | Epoch) -> None:
        """Move the bar, or say how an epoch went."""
        if isinstance(event, Epoch):
            self._messages.say(epoch_line(event, self._training.recipe.epochs))
            return
        if time.monotonic() - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = time.monotonic()
        speed = event.seen / max(self._training.progress.epoch_seconds, 1e-9)
        self._progress.update(
            self._bar,
            completed=self._training.progress.step,
            description=(
                f"epoch {event.epoch} loss {event.loss:.4f} accuracy {event.accuracy:.2%} "
                f"{speed:,.0f}/s"
            ),
        )


def epoch_line(epoch: Epoch, epochs: int) -> str:
    """Return how an epoch went, in one line."""
    line = (
        f"epoch {epoch.number:>{len(str(epochs))}}/{epochs}  loss {epoch.train_loss:.4f}  "
        f"accuracy {epoch.train_accuracy:.2%}"
    )
    if epoch.val_accuracy is not None:
        line += f"  validation {epoch.val_loss:.4f} {epoch.val_accuracy:.2%}"
        line += " *" if epoch.best else "  "
    return f"{line}  {epoch.samples_per_second:,.0f}/s"


def result_report(run: Run, result: RunResult) -> Report:
    """Return the figures of a finished run, per class where test samples were read."""
    data = run.training.data
    table = Report("", (), ())
    if run.answers is not None and data.test is not None:
        from convcli.learn.answers import class_figures
        from convcli.learn.metrics import confusion_matrix
        from convcli.present.evaluation import classes_report

        confusion = confusion_matrix(data.test.labels, run.answers.argmax(axis=1), data.classes)
        classes = class_figures(data.class_names, confusion)
        table = classes_report(classes, result.test_accuracy, result.test_loss, "Test samples")
    return replace(
        table,
        title=headline(result),
        notes=tuple(closing_notes(run, result)),
        document=asdict(result),
    )


def headline(result: RunResult) -> str:
    """Return the outcome in one line."""
    if result.test_accuracy is not None:
        return f"Test accuracy {result.test_accuracy:.2%}, loss {result.test_loss:.4f}"
    if result.val_accuracy is not None:
        return f"Validation accuracy {result.val_accuracy:.2%} (no test samples)"
    return "Trained; without validation and test samples no accuracy is known"


def closing_notes(run: Run, result: RunResult) -> list[str]:
    """Return where the weights come from, how long it took, and what to try next."""
    chosen = f"The model is that of epoch {result.best_epoch} of {result.epochs}"
    if result.val_accuracy is not None:
        chosen += f", chosen by validation accuracy {result.val_accuracy:.2%}"
    model, source = result.model, run.setting.source
    example = "PICTURE" if len(run.training.data.sample_shape) == 3 else "SAMPLES.npy"
    return [
        "",
        f"{chosen}. {result.params:,} parameters.",
        f"Trained for {as_seconds(result.train_seconds)}, "
        f"{result.samples_per_second:,.0f} samples a second.",
        "Next:",
        f"  convcli evaluate {model} --data {source}",
        f"  convcli predict {model} {example}",
        f"  convcli show filters {model}",
    ]


def show_result(report: Report, run: Run, style: str | None, messages: Messages) -> None:
    """Print curves, where people read, and the report."""
    readable = style in {"table", "plain"} or (style is None and not messages.quiet)
    history = run.training.history
    if readable and len(history) > 1:
        losses: Curves = {"training": [epoch.train_loss for epoch in history]}
        accuracies: Curves = {"training": [epoch.train_accuracy for epoch in history]}
        if run.training.data.validation is not None:
            losses["validation"] = [epoch.val_loss for epoch in history]
            accuracies["validation"] = [epoch.val_accuracy for epoch in history]
        sys.stdout.write(draw_curves(losses, title="loss by epoch", logarithmic=True) + "\n\n")
        sys.stdout.write(draw_curves(accuracies, title="accuracy by epoch", text="{:.1%}") + "\n\n")
    emit_summary(report, style, messages)
