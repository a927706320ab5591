"""What a trained model says, about single samples and about a whole labeled split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from convcli.data import Dataset, ProgressCallback, Source, Split
from convcli.data.dataset import IGNORED, TASKS
from convcli.data.sources import as_dataset, read_source
from convcli.errors import InputError, UsageError
from convcli.layers.base import shape_text
from convcli.learn import metrics
from convcli.learn.metrics import confusion_matrix
from convcli.learn.model import predict_split
from convcli.learn.runspec import noted_spec
from convcli.values import NotebookRepr

if TYPE_CHECKING:
    from convcli.learn.modelfile import TrainedModel


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one sample.

    Attributes:
        label: the most probable class, or None where its probability is under the threshold.
        probability: of the most probable class.
        top: (class, probability), the most probable first.
        values: the outputs of a model that gives values, which has no label; nested for a map, and
            by the layer's name where a network has several outputs.
        labels: those that are more probable than not, of a model that gives several.
        mask: the class of every cell, in rows, of a model that gives those.
        logits: the raw outputs of a model of classes, where they were asked for.
    """

    label: str | None
    probability: float | None
    top: tuple[tuple[str, float], ...]
    values: list[Any] | dict[str, list[Any]] | None = None
    labels: list[str] | None = None
    mask: list[list[int]] | None = None
    logits: list[Any] | None = None


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Precision and recall of one class; None where there is nothing to divide by."""

    name: str
    precision: float | None
    recall: float | None
    n: int

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; 0 for a class that is never got right.

        >>> ClassFigures("cat", 0.5, 1.0, 3).f1, ClassFigures("dog", None, 0.0, 1).f1
        (0.6666666666666666, 0.0)
        """
        if self.precision is None and self.recall is None:
            return None
        if not self.precision or not self.recall:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


@dataclass(frozen=True, slots=True)
class ValueFigures:
    """How well one value is told: mean absolute and root mean square error in its units, and R2."""

    name: str
    mae: float
    rmse: float
    r2: float


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation(NotebookRepr):
    """How a model does on labeled samples.

    Attributes:
        accuracy: share of right answers, of cells or of labels; None for values.
        loss: mean of the loss that the model was trained with.
        n: samples.
        confusion: counts, rows are true classes, columns the answers; of cells for masks.
        classes: figures of each class or label.
        calibration_error: expected calibration error over 15 bins.
        bins: of the reliability diagram.
        worst: wrong answers, the surest first.
        task: what was judged, one of `convcli.data.dataset.TASKS`.
        figures: of the task, by name, such as `iou`, or `mae`, `rmse` and `r2`.
        values: the figures of each value.
    """

    accuracy: float | None
    loss: float
    n: int
    confusion: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    classes: tuple[ClassFigures, ...] = ()
    calibration_error: float | None = None
    bins: tuple[metrics.Bin, ...] = ()
    worst: tuple[metrics.Mistake, ...] = ()
    task: str = "classes"
    figures: dict[str, float] = field(default_factory=dict)
    values: tuple[ValueFigures, ...] = ()

    @property
    def baseline(self) -> float | None:
        """The accuracy of one who always tells the commonest class of these samples.

        >>> Evaluation(0.9, 0.2, 4, np.array([[2, 1], [0, 1]])).baseline
        0.75
        """
        counts = self.confusion.sum(axis=1)
        return float(counts.max() / counts.sum()) if counts.any() else None

    def __repr__(self) -> str:
        known = {"accuracy": self.accuracy, "loss": self.loss}
        told = ", ".join(f"{name}={one:.4g}" for name, one in known.items() if one is not None)
        return f"Evaluation({told}, n={self.n})"


def predictions(
    model: TrainedModel,
    samples: npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]],
    *,
    top: int = 3,
    threshold: float = 0.0,
    logits: bool = False,
) -> list[Prediction]:
    """Return what the model says about each of (N, *shape) samples.

    Args:
        model: the model.
        samples: as the training data were; for several inputs arrays by name, as `predict_all`.
        top: classes to name.
        threshold: under this probability the label is None: don't know.
        logits: give the raw outputs of each sample too.

    Raises:
        UsageError: `top` or `threshold` is out of range.
        InputError: the samples do not fit the network.
    """
    if top < 1:
        raise UsageError(f"--top {top}: use at least 1.")
    if not 0 <= threshold <= 1:
        raise UsageError(f"--threshold {threshold:g}: use a probability from 0 to 1.")
    if len(model.model.trace.outputs) > 1:
        outputs = {name: array.tolist() for name, array in model.predict_all(samples).items()}
        return [
            Prediction(None, None, (), values={name: rows[at] for name, rows in outputs.items()})
            for at in range(min(map(len, outputs.values())))
        ]
    if isinstance(samples, Mapping):
        found = model.finished(*model.predict_all(samples).values())
    else:
        found = model.predict(samples)
    if model.outputs == "values":
        return [Prediction(None, None, (), values=row.tolist()) for row in found]
    if model.outputs == "mask":
        masks = found.argmax(axis=-1)
        return [Prediction(None, None, (), mask=mask.tolist()) for mask in masks]
    raw: list[Any] = [None] * len(found)
    if logits and not isinstance(samples, Mapping):
        raw = model.predict(samples, logits=True).tolist()
    told = []
    for row, outputs in zip(found, raw, strict=True):
        order = np.argsort(-row, kind="stable")[:top]
        best = tuple((model.class_names[i], float(row[i])) for i in order)
        if model.outputs == "labels":
            names = zip(model.class_names, row, strict=True)
            known = [name for name, p in names if p > max(threshold, 1 / 2)]
            told.append(Prediction(None, None, best, labels=known, logits=outputs))
            continue
        label, probability = best[0]
        said = label if probability >= threshold else None
        told.append(Prediction(said, probability, best, logits=outputs))
    return told


def evaluate(
    model: TrainedModel, data: Dataset, split: Split, *, worst: int = 10, threads: int = 0
) -> Evaluation:
    """Return how the model does on a split of a data set.

    Raises:
        InputError: the data have other classes or another shape than the model.
    """
    check_same(model, data)
    model.warn_of(next(split.blocks()))
    outputs = predict_split(model.model, model.preprocessing, split, threads)
    told, finished = model.measure(outputs, split.labels), model.finished(outputs)
    labels = split.labels
    whole = Evaluation(told.pop("accuracy", None), told.pop("loss"), len(split), task=data.task)
    shares = metrics.as_classes(data.task, finished, split.labels)
    if shares is not None:
        error, bins = metrics.calibration(*shares)
        whole = replace(whole, calibration_error=error, bins=tuple(bins))
    names = enumerate(data.class_names)
    if data.task == "values":
        values = [(name, finished[..., [at]], labels[..., [at]]) for at, name in names]
        each = (ValueFigures(name, **metrics.measure("values", y, t)) for name, y, t in values)
        return replace(whole, figures=told, values=tuple(each))
    if data.task == "labels":
        said, truth = (finished > 1 / 2).astype(np.int64), labels.astype(np.int64)
        tables = ((name, confusion_matrix(truth[:, at], said[:, at], 2)) for at, name in names)
        classes = tuple(class_figures(("no", name), table)[1] for name, table in tables)
        return replace(whole, figures=told, classes=classes)
    answers = finished.argmax(axis=-1)
    if data.task == "mask":
        labels = metrics.centered(labels, answers.shape[1:])
        known = labels != IGNORED
        labels, answers = labels[known].astype(np.int64), answers[known]
    confusion = confusion_matrix(labels, answers, data.classes)
    whole = replace(
        whole, figures=told, confusion=confusion, classes=class_figures(data.class_names, confusion)
    )
    if data.task == "mask":
        return whole
    return replace(whole, worst=tuple(metrics.worst_mistakes(finished, labels, worst)))


def class_figures(
    names: Sequence[str], confusion: npt.NDArray[np.int64]
) -> tuple[ClassFigures, ...]:
    """Return precision, recall and samples of each class.

    Args:
        names: of the classes.
        confusion: counts, rows are true classes, columns the answers.

    >>> class_figures(["cat", "dog"], np.array([[1, 1], [0, 2]]))[0]
    ClassFigures(name='cat', precision=1.0, recall=0.5, n=2)
    """
    rows = zip(
        names,
        metrics.precision(confusion),
        metrics.recall(confusion),
        confusion.sum(axis=1).tolist(),
        strict=True,
    )
    return tuple(ClassFigures(*row) for row in rows)


def check_same(model: TrainedModel, data: Dataset) -> None:
    """Refuse data with other classes or another shape than the model's.

    Raises:
        InputError: they differ.
    """
    if model.outputs != data.task:
        raise InputError(
            f"The model gives {TASKS[model.outputs]}, and the labels of {data.name} are "
            f"{TASKS[data.task]}, so its answers cannot be right or wrong. If an imported model's "
            "outputs are classes, import it again with --outputs classes."
        )
    if model.class_names != data.class_names:
        raise InputError(
            f"The model knows {_some(model.class_names)}; {data.name} has "
            f"{_some(data.class_names)}. Evaluate it on data with its classes."
        )
    if model.preprocessing.shape != data.sample_shape:
        raise InputError(
            f"The model takes {shape_text(model.preprocessing.shape)}, the samples of {data.name} "
            f"are {shape_text(data.sample_shape)}. For pictures in folders use --size."
        )


def _some(names: tuple[str, ...]) -> str:
    listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return f"{len(names)} classes ({listed})"


@dataclass(frozen=True, slots=True, eq=False)
class Labeled:
    """Samples to judge a model by.

    Attributes:
        data: that they are part of.
        name: of the split.
        samples: of the split.
        seen: whether the model was trained on them.
        own: whether they are of the data that the model was trained on.
    """

    data: Dataset
    name: str
    samples: Split
    seen: bool
    own: bool

    @property
    def title(self) -> str:
        """What the samples are, in a few words."""
        held_out = self.name == "validation" and self.own
        title = "validation, held out of the training" if held_out else self.name
        return f"{self.data.name}, {title}"


def labeled(
    model: TrainedModel,
    source: Source,
    split: str | None = None,
    *,
    progress: ProgressCallback | None = None,
) -> Labeled:
    """Return the samples to judge a model by: of data it knows, those it was not trained on.

    Args:
        model: as its training wrote it.
        source: which data; what it leaves out are those of the training.
        split: train, validation or test; when left out the test samples, then those for
            validation, then all there are.
        progress: called while something takes long.

    Raises:
        UsageError: nobody names the data, or they have no such split.
        InputError: the data are not to be had, or no longer those of the training.
    """
    spec = noted_spec(model)
    if spec is None and source.name is None:
        raise UsageError("The model does not say what it was trained on; name --data SOURCE.")
    wanted = source if spec is None else source.over(spec.source)
    if spec is None or wanted != spec.source:
        own, data = False, read_source(wanted, progress=progress)
    else:
        own, data = True, spec.load_data(progress)
        if (split or ("test" if data.test else None)) != "test":
            advice = (
                "that the model was trained on, so nobody can tell which it has not seen. "
                "Evaluate it on others: --data SOURCE."
            )
            data = replace(spec.split_again(data, advice), test=data.test)
    name, samples = _split_of(data, split)
    return Labeled(data, name, samples, seen=own and name == "train", own=own)


def judged(
    model: TrainedModel,
    data: Any = None,
    labels: Any = None,
    *,
    split: str | None = None,
    worst: int = 10,
    threads: int = 0,
) -> tuple[Evaluation, Labeled]:
    """Return how the model does on labeled samples, however they are held, and what they are.

    Args:
        model: trained.
        data: a data set, a split, the words that name a source, `(samples, labels)`, or samples
            with `labels` beside them; when left out those of its training.
        labels: whole numbers, or names of the model's classes.
        split: as `labeled`.
        worst: as `evaluate`.
        threads: as `evaluate`.

    Raises:
        UsageError, InputError: as `labeled` and `evaluate`.
    """
    chosen = chosen_samples(model, data, labels, split=split)
    told = evaluate(model, chosen.data, chosen.samples, worst=worst, threads=threads)
    return told, chosen


def chosen_samples(
    model: TrainedModel, data: Any = None, labels: Any = None, *, split: str | None = None
) -> Labeled:
    """Return the samples to judge a model by, however they are held, as `judged` takes them.

    Raises:
        UsageError, InputError: as `labeled`.
    """
    if data is None or isinstance(data, str | os.PathLike):
        return labeled(model, Source(name=None if data is None else os.fspath(data)), split)
    if not isinstance(data, Dataset | Split):
        samples, given = data if labels is None else (data, labels)
        data = (model.samples_of(samples), given)
    found = as_dataset(data, class_names=model.class_names)
    name, part = _split_of(found, split)
    return Labeled(found, name, part, seen=False, own=False)


def _split_of(data: Dataset, wanted: str | None) -> tuple[str, Split]:
    """Return the split that is asked for, or the best to judge by, with its name.

    Raises:
        UsageError: there is none of that name.
    """
    splits = data.splits()
    name = wanted or next(one for one in ("test", "validation", "train") if one in splits)
    if name not in splits:
        raise UsageError(f"{data.name} has no {name} samples; it has {', '.join(splits)}.")
    return name, splits[name]
