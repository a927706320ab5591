"""Event files that TensorBoard shows: scalars, histograms and pictures of a training by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import missing_extra

BINS = 40
"""Of a histogram."""


def check_tensorboard() -> None:
    """Refuse before a training begins what could not be written during it.

    Raises:
        InputError: the package tensorboard is missing.
    """
    if find_spec("tensorboard") is None:
        raise missing_extra("tensorboard", "tensorboard", "Event files")


class EventLog:
    """An event file in a folder; TensorBoard shows each folder as one run."""

    def __init__(self, folder: Path, *, fresh: bool) -> None:
        """Open a new file.

        Args:
            folder: where; it exists.
            fresh: remove the event files of an earlier training, whose curves would mix.
        """
        check_tensorboard()
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if fresh:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
        self._writer = EventFileWriter(str(folder))

    def __enter__(self) -> EventLog:
        """Return the log."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is waiting and close the file."""
        self._writer.close()

    def scalars(self, figures: Mapping[str, float | None], number: int) -> None:
        """Note figures by name; what is None is left out."""
        for tag, figure in figures.items():
            if figure is not None:
                self._add(number, tag=tag, simple_value=float(figure))

    def histogram(self, tag: str, values: npt.NDArray[Any], number: int) -> None:
        """Note how the numbers of an array are spread."""
        from tensorboard.compat.proto.histogram_pb2 import HistogramProto

        flat = values.astype(np.float64).ravel()
        counts, edges = np.histogram(flat, BINS)
        spread = HistogramProto(
            min=flat.min(),
            max=flat.max(),
            num=flat.size,
            sum=flat.sum(),
            sum_squares=flat @ flat,
            bucket_limit=edges[1:].tolist(),
            bucket=counts.tolist(),
        )
        self._add(number, tag=tag, histo=spread)

    def picture(self, tag: str, png: bytes, size_hw: tuple[int, int], number: int) -> None:
        """Note a color picture, the bytes of a PNG file."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        height, width = size_hw
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self._add(number, tag=tag, image=image)

    def flush(self) -> None:
        """Write what is waiting, so that TensorBoard shows it while the training runs."""
        self._writer.flush()

    def _add(self, number: int, **value: Any) -> None:
        import time

        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(**value)])
        self._writer.add_event(Event(wall_time=time.time(), step=number, summary=summary))
