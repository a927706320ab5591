"""One picture filtered on another machine: its file's bytes go there, the result's come back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convcli.errors import ConvcliError, InputError
from convcli.imaging.apply import FileReport, filter_picture, transform_file
from convcli.imaging.content import Limits
from convcli.imaging.options import FilterOptions
from convcli.imaging.steps import Step
from convcli.imaging.writing import Written


@dataclass(frozen=True, slots=True)
class PictureOrder:
    """All that another machine needs to filter one file.

    Attributes:
        content: of the file.
        source: its name, `-` for stdin; the ending tells pictures from matrices.
        output: name of the result; the ending chooses the format.
        steps: the kernels.
        options: how to filter.
        how: how the result is written.
        limits: refuse inputs that would become larger.
    """

    content: bytes
    source: str
    output: str
    steps: tuple[Step, ...]
    options: FilterOptions
    how: Written
    limits: Limits


@dataclass(frozen=True, slots=True)
class PictureResult:
    """What comes back.

    Attributes:
        content: of the result's file.
        report: with frames that have no pixels, which are in the file.
        frames: shape and dtype of each frame.
    """

    content: bytes
    report: FileReport
    frames: tuple[tuple[tuple[int, ...], str], ...]

    def whole_report(self) -> FileReport:
        """Return the report with frames of the right shape; all their pixels are one zero."""
        result = self.report.result
        frames = tuple(
            replace(frame, pixels=np.broadcast_to(np.zeros((), dtype), shape))
            for frame, (shape, dtype) in zip(result.picture.frames, self.frames, strict=True)
        )
        picture = replace(result.picture, frames=frames)
        return replace(self.report, result=replace(result, picture=picture))


def filter_order(order: PictureOrder) -> PictureResult | ConvcliError:
    """Filter one file by the way that files on this machine go; a failure is a value."""
    with tempfile.TemporaryDirectory(prefix="convcli-") as folder:
        source = Path(folder) / "input" / Path(order.source).name
        output = Path(folder) / Path(order.output).name

        def named(text: str) -> str:
            return text.replace(str(source), order.source).replace(str(output), order.output)

        try:
            source.parent.mkdir()
            source.write_bytes(order.content)
            report = transform_file(
                order.content if order.source == "-" else source,
                output,
                lambda picture, is_matrix: filter_picture(
                    picture, is_matrix, order.steps, order.options
                ),
                how=order.how,
                limits=order.limits,
            )
            return _packed(order, report, output.read_bytes(), named)
        except ConvcliError as problem:
            return type(problem)(named(str(problem)))
        except MemoryError:
            return InputError("not enough memory for this picture.")
        except OSError as problem:
            return InputError(f"{problem.strerror or problem}, on another machine.")


def _packed(
    order: PictureOrder, report: FileReport, content: bytes, named: Callable[[str], str]
) -> PictureResult:
    """Return a result without the pixels, whose names are those of the order."""
    result = report.result
    shapes = tuple((one.pixels.shape, one.pixels.dtype.str) for one in result.picture.frames)
    frames = tuple(replace(one, pixels=np.empty(0)) for one in result.picture.frames)
    hollow = replace(result, picture=replace(result.picture, frames=frames))
    notes = tuple(named(note) for note in report.notes)
    report = replace(report, source=order.source, output=order.output, result=hollow, notes=notes)
    return PictureResult(content, report, shapes)
