"""What a model of windows says of a recording as it came: a line a window, or a column more."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convcli.data.series import Recording, read_recording
from convcli.data.source import Source
from convcli.data.table import read_rows
from convcli.learn.evaluation import Prediction
from convcli.learn.modelfile import TrainedModel
from convcli.learn.runspec import noted_spec

PREDICTED = "predicted"


def recording_of(path: Path, model: TrainedModel) -> Recording | None:
    """Return the windows that a model takes of a table, None of a file that is no recording.

    Raises:
        InputError: a table whose columns or rows do not fit.
    """
    shape = model.preprocessing.shape
    if len(shape) > 2 or path.suffix.lower() not in {".csv", ".txt"} or not path.is_file():
        return None
    header, rows = read_rows(path)
    named = not header[0].startswith("column")
    if not named and (len(shape) == 1 or len(rows) <= shape[0]):
        return None  # a matrix that is one sample, or samples in rows
    spec = noted_spec(model)
    return read_recording(path, Source() if spec is None else spec.source, shape)


def predicted_table(recording: Recording, told: Sequence[Prediction], model: TrainedModel) -> str:
    """Return the recording as CSV with what is predicted: the class of each row, or values.

    A row has the class of the window whose middle is nearest; values stand in the last row of their
    window, as when it was cut for training.
    """
    shape = model.preprocessing.shape
    size = shape[0] if len(shape) == 2 else 1
    firsts = np.array(recording.firsts)
    names = model.class_names if model.outputs == "values" else (PREDICTED,)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*recording.header, *names])
    last = {int(first) + size - 1: place for place, first in enumerate(firsts)}
    for number, cells in enumerate(recording.rows):
        nearest = int(np.abs(firsts + (size - 1) / 2 - number).argmin())
        writer.writerow([*cells, *_cells(told, last.get(number), nearest, model)])
    return out.getvalue()


def _cells(
    told: Sequence[Prediction], ending: int | None, nearest: int, model: TrainedModel
) -> list[str]:
    if model.outputs == "values":
        values = None if ending is None else told[ending].values
        if not isinstance(values, list):
            return [""] * len(model.class_names)
        return [f"{value:.6g}" for value in np.ravel(values)]
    one = told[nearest]
    return [";".join(one.labels) if one.labels is not None else one.label or ""]
