"""`convcli pool`: max and average pooling of pictures and matrices."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from convcli.cli.filter import (
    CompressOption,
    InPlaceOption,
    InputsArgument,
    MaxPixelsOption,
    MemoryLimitOption,
    PlaceOption,
    QualityOption,
    RecursiveOption,
    ShowOption,
    SkipOption,
)
from convcli.cli.options import ForceOption, FormatOption, QuietOption, ThreadsOption

EXAMPLES = """Examples:\n
convcli pool matrix.csv --max 2\n
convcli pool photo.png --avg 3 --stride 2 -o small.png"""


def pool_pictures(
    inputs: InputsArgument,
    largest: Annotated[
        str | None,
        typer.Option("--max", metavar="K", help="Largest value of windows of K x K (or HxW)."),
    ] = None,
    mean: Annotated[
        str | None, typer.Option("--avg", metavar="K", help="Mean of windows of K x K (or HxW).")
    ] = None,
    stride: Annotated[
        str | None,
        typer.Option(metavar="S", help="Step between windows.", show_default="the window"),
    ] = None,
    output: PlaceOption = None,
    show: ShowOption = False,
    recursive: RecursiveOption = False,
    in_place: InPlaceOption = False,
    skip_existing: SkipOption = False,
    compress: CompressOption = False,
    quality: QualityOption = None,
    max_pixels: MaxPixelsOption = 200_000_000,
    memory_limit: MemoryLimitOption = "4GiB",
    threads: ThreadsOption = 0,
    force: ForceOption = False,
    quiet: QuietOption = False,
    style: FormatOption = None,
) -> int:
    """Pool pictures or matrices: no padding, incomplete windows left out.

    The result goes to NAME_maxpoolK.EXT beside each input, or where -o says; a matrix is printed.
    In Python: convcli.imaging.pooling.pool(pixels, "max", (2, 2)).
    """
    from convcli.cli.picture_run import PictureRun
    from convcli.environment import thread_count
    from convcli.errors import UsageError
    from convcli.imaging.content import Limits
    from convcli.imaging.pooling import parse_size, pool_picture
    from convcli.imaging.writing import Written
    from convcli.option import byte_count

    limits = Limits(max_pixels, byte_count(memory_limit))

    if (largest is None) == (mean is None):
        raise UsageError("Give one of --max K and --avg K.")
    how: Literal["max", "avg"] = "avg" if largest is None else "max"
    size = largest or mean or ""
    window_hw = parse_size(size, f"--{how}")
    stride_hw = parse_size(stride, "--stride") if stride is not None else None
    label = f"{how}pool{size}" + (f"-s{stride}" if stride is not None else "")
    run = PictureRun(
        transform=lambda picture, is_matrix: pool_picture(
            picture, is_matrix, how, window_hw, stride_hw
        ),
        label=label,
        kernel=label,
        raw=False,
        output=output,
        in_place=in_place,
        skip_existing=skip_existing,
        force=force,
        how=Written(compress, quality, thread_count(threads or None)),
        limits=limits,
        quiet=quiet,
        style=style,
        show=show,
    )
    return run.all(inputs, recursive=recursive)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("pool", epilog=EXAMPLES, no_args_is_help=True)(pool_pictures)
