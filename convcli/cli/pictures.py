"""`convcli filter`, `pool` and `kernels`: pictures, matrices, and what is laid on them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.options import FileOutput, Given, Output, files_of, refuse_without_effect, takes
from convcli.errors import ConvcliError, ExitCode, UsageError
from convcli.files import check_target
from convcli.imaging.options import FileOptions, FilterOptions
from convcli.option import option, parse_place
from convcli.present.look import SUFFIXES, Look
from convcli.report import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcli.cli.console import Messages
    from convcli.imaging.apply import FilteredPicture
    from convcli.imaging.batch import Batch, FileReport, Source, Work
    from convcli.imaging.chain import Chain
    from convcli.kernels import AnyKernel

FILTER_EXAMPLES = """Examples:\n
convcli filter photo.jpg -k sobel\n
convcli filter photo.png -k gaussian:sigma=2 -k laplacian-4 -o edges.png\n
convcli filter photos/ --recursive -k "0 -1 0; -1 5 -1; 0 -1 0" -o sharpened/\n
convcli filter photo.png -k gaussian:sigma=8 --region 120,40,90,60\n
convcli filter photo.png -k gaussian:2 -k sobel -k threshold:otsu --compare wipe\n
convcli filter photo.png -k canny:low=25,high=60 --blend screen --strength 0.5 --stats\n
convcli filter matrix.csv -k sobel --numbers 0,0,4\n
convcli filter matrix.csv -k "1 0 -1; 1 0 -1; 1 0 -1" --explain 0,0\n
cat photo.png | convcli filter - -k emboss -o - > embossed.png"""

POOL_EXAMPLES = """Examples:\n
convcli pool matrix.csv --max 2\n
convcli pool photo.png --avg 3 --stride 2 -o small.png"""

KERNELS_HELP = """List the kernels, or show one in full: numbers, source, the same call elsewhere.

In full: matrix, divisor, offset, sum, rank, symmetry, source, and the same call in scipy, OpenCV,
ImageMagick and Pillow. A kernel is laid on the picture as printed (correlation). Families take
parameters: gaussian:sigma=2, emboss:angle=45.
"""

KERNELS_EXAMPLES = """Examples:

  convcli kernels

  convcli kernels sobel-x

  convcli kernels gaussian:sigma=2 --format json

  convcli kernels -- "-1 0 1; -2 0 2; -1 0 1"

  convcli kernels --group smooth --sheet photo.png -o smooth.png

  convcli kernels gabor:angle=30 -o gabor.png

  convcli kernels -k gaussian-3 -k sobel-x
"""

InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Pictures, matrices (.csv .txt .npy), patterns, directories, or - for stdin.",
    ),
]
SHOW = option("Also draw the result in the terminal.", "--show", default=False)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("filter", epilog=FILTER_EXAMPLES, no_args_is_help=True)(filter_pictures)
    app.command("pool", epilog=POOL_EXAMPLES, no_args_is_help=True)(pool_pictures)
    app.command("kernels", help=KERNELS_HELP, epilog=KERNELS_EXAMPLES)(kernels)


@dataclass(frozen=True)
class Looking:
    """What `filter` shows of one input instead of filtering files."""

    explain: str | None = option("Show the arithmetic of one output pixel.", metavar="ROW,COL")
    numbers: str | None = option(
        "Print N x N values of input and result from column X and row Y on.", metavar="X,Y,N"
    )
    surface: Path | None = option(
        "Draw the result as a surface over its pixels (.png, .svg, .pdf).", metavar="FILE"
    )

    @property
    def option(self) -> str | None:
        """The one that was given.

        Raises:
            UsageError: several were.
        """
        given = [f"--{name}" for name, value in vars(self).items() if value is not None]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} each show one thing: ask for one.")
        return given[0] if given else None


@takes(looking=Looking, options=FilterOptions, tell=Output)
def filter_pictures(
    inputs: InputsArgument,
    kernel: Annotated[
        list[str],
        typer.Option(
            "-k",
            "--kernel",
            help="A name, a family (gaussian:sigma=2), rows ('1 0 -1; 1 0 -1'), a file, or a step "
            "such as threshold:otsu (convcli kernels lists all). Again for a chain.",
        ),
    ],
    options: FilterOptions,
    looking: Looking = Looking(),
    show: bool = SHOW,
    cluster: str | None = option(
        "Filter on the workers of a Dask scheduler, such as tls://10.0.0.1:8786. It runs code for "
        "whoever reaches its port: tcp:// only in a network that you trust.",
        metavar="ADDRESS",
    ),
    tell: Output = Output(),
) -> int:
    """Apply kernels to pictures or matrices.

    The result goes to NAME_KERNEL.EXT beside each input, or where -o says; a matrix is printed.
    In Python: convcli.filter_image("photo.png", "sobel").
    """
    from convcli.imaging.batch import filter_work
    from convcli.imaging.chain import make_steps

    options = replace(options, on_compile=tell.messages.say_compiling)
    steps = make_steps(kernel, options)
    if looking.option is not None:
        given = (options.output, options.recursive, options.compare, options.in_place, cluster)
        if show or any(given):
            raise UsageError(
                f"{looking.option} shows one input and writes no result: leave out -o, --show, "
                "--recursive, --in-place, --compare and --cluster."
            )
        _look(inputs, looking, steps, options, tell)
        return 0
    batch = _planned(inputs, filter_work(steps, options), options, tell.messages, show=show)
    if cluster is None:
        outcomes = _run_here(batch, tell.messages, keep=show)
    else:
        if show or batch.is_printed:
            raise UsageError("--cluster writes files: name a place with -o, and no --show.")
        outcomes = _run_on_cluster(cluster, batch, steps, options, tell.messages)
    return _report(batch, outcomes, tell, show=show)


@takes(options=FileOptions, tell=Output)
def pool_pictures(
    inputs: InputsArgument,
    largest: str | None = option(
        "Largest value of windows of K x K (or HxW).", "--max", metavar="K"
    ),
    mean: str | None = option("Mean of windows of K x K (or HxW).", "--avg", metavar="K"),
    stride: str | None = option("Step between windows.", metavar="S", show_default="the window"),
    options: FileOptions = FileOptions(),
    show: bool = SHOW,
    tell: Output = Output(),
) -> int:
    """Pool pictures or matrices: no padding, incomplete windows left out.

    The result goes to NAME_maxpoolK.EXT beside each input, or where -o says; a matrix is printed.
    In Python: convcli.pool("photo.png", max=2).
    """
    from convcli.imaging.pooling import pool_work

    if (largest is None) == (mean is None):
        raise UsageError("Give one of --max K and --avg K.")
    work = pool_work("avg" if largest is None else "max", largest or mean or "", stride)
    batch = _planned(inputs, work, options, tell.messages, show=show)
    outcomes = _run_here(batch, tell.messages, keep=show)
    return _report(batch, outcomes, tell, show=show)


def _look(
    inputs: list[str], looking: Looking, steps: Chain, options: FilterOptions, tell: Output
) -> None:
    """Show what was asked of one input."""
    from convcli.cli.console import standard_input
    from convcli.imaging.apply import read_any
    from convcli.imaging.batch import find_sources
    from convcli.imaging.explanation import explain_frame
    from convcli.imaging.filtering import filter_frame
    from convcli.imaging.picture import to_gray
    from convcli.present.pictures import numbers_report
    from convcli.present.sums import explanation_report

    sources = find_sources(inputs)
    if len(sources) != 1:
        raise UsageError(f"{looking.option} takes one input, not {len(sources)}.")
    if looking.surface is not None:
        path = files_of(inputs)
        check_target(looking.surface, force=options.force, inputs=path)
    picture = read_any(sources[0].path or standard_input(), limits=options.limits)
    frame = picture.frames[0]
    if looking.explain is not None:
        if options.channels or options.region:
            raise UsageError("--explain reads all of it: leave out --channels and --region.")
        _, (row, column) = parse_place(looking.explain, "--explain", layers=False)
        tell.emit(explanation_report(explain_frame(frame, steps, options, row, column)))
        return
    done = filter_frame(frame, steps, options)
    if looking.numbers is not None:
        shown = to_gray(frame) if options.gray else frame
        tell.emit(numbers_report(shown, done.frame, looking.numbers))
        return
    from convcli.present.surfaces import picture_surface

    assert looking.surface is not None  # noqa: S101  (the one that is left)
    title = f"{sources[0].name}: {' '.join(step.name for step in steps)}"
    saved = picture_surface(done.frame, title, looking.surface, force=options.force)
    tell.messages.say("\n".join(saved.sentences))


def _planned(
    inputs: list[str], work: Work, options: FileOptions, messages: Messages, *, show: bool
) -> Batch:
    from convcli.cli.console import standard_input
    from convcli.imaging.batch import plan_batch

    batch = plan_batch(inputs, work, options, standard_input)
    if batch.to_stdout:
        if options.output is None and sys.stdout.isatty():
            raise UsageError("the result of stdin needs a place: -o FILE, or -o - for a pipe.")
        if show:
            raise UsageError("--show draws on stdout, where the result goes; leave out one.")
    for text in batch.messages:
        messages.say(text)
    return batch


def _run_here(batch: Batch, messages: Messages, *, keep: bool) -> list[FileReport | ConvcliError]:
    if len(batch.jobs) == 1:
        turn = sys.getswitchinterval()  # the decoder waits while compiled code is loaded beside it
        sys.setswitchinterval(turn / 10)
        try:
            with messages.waiting(batch.jobs[0][0].name):
                return batch.run(lambda: None, keep=keep)
        finally:
            sys.setswitchinterval(turn)
    with messages.progress() as progress:
        task = progress.add_task("pictures", total=len(batch.jobs))
        return batch.run(lambda: progress.advance(task), keep=keep)


def _run_on_cluster(
    address: str,
    batch: Batch,
    steps: Chain,
    options: FilterOptions,
    messages: Messages,
) -> list[FileReport | ConvcliError]:
    from convcli.imaging.remote import run_on_cluster
    from convcli.sweep.cluster import map_on_cluster

    with messages.progress() as progress:
        task = progress.add_task("pictures", total=len(batch.jobs))
        return run_on_cluster(
            batch,
            steps,
            options,
            partial(map_on_cluster, address),
            lambda: progress.advance(task),
        )


def _report(
    batch: Batch, outcomes: list[FileReport | ConvcliError], tell: Output, *, show: bool
) -> int:
    """Print what came of a batch; return the exit code."""
    from convcli.imaging.apply import encode_result
    from convcli.present.pictures import files_report, matrices_text

    done = [one for one in outcomes if not isinstance(one, ConvcliError)]
    results = [one.result for one in done if one.result is not None]
    if batch.to_stdout:
        data, left_out = encode_result(results[0], batch.options)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        done = [replace(done[0], notes=(*done[0].notes, *left_out))]
        report = files_report(done, batch.work.kernel, tell.format)
        tell.messages.say(render(report, tell.format or "plain").rstrip())
    elif batch.is_printed:
        pixels = [result.pixels for result in results]
        sys.stdout.write(matrices_text(pixels, tell.format, several=len(outcomes) > 1))
        for note in dict.fromkeys(note for one in done for note in one.notes):
            tell.messages.say(note)
    elif outcomes or tell.format is not None:
        tell.emit_summary(files_report(done, batch.work.kernel, tell.format))
    if show:
        _draw(results, tell.messages)
    return _tell_failed([source for source, _ in batch.jobs], outcomes)


def _draw(results: list[FilteredPicture], messages: Messages) -> None:
    """Draw the results in the terminal."""
    if not sys.stdout.isatty():
        messages.say("--show draws on a terminal only; stdout is none.")
        return
    from shutil import get_terminal_size

    from convcli.cli.console import draw_frame

    size = get_terminal_size()
    for result in results:
        draw_frame(result.picture.frames[0], size.columns, 2 * size.lines - 6)


def _tell_failed(sources: list[Source], outcomes: Sequence[object]) -> int:
    """Say which inputs failed and why; return the exit code."""
    from convcli.cli.console import tell_error

    failed = 0
    for source, problem in zip(sources, outcomes, strict=True):
        if isinstance(problem, ConvcliError):
            failed += 1
            text = str(problem)
            named = text if text.startswith(source.name) else f"{source.name}: {text}"
            tell_error(named)
    if failed:
        tell_error(f"{failed} of {len(sources)} inputs failed.")
    return ExitCode.INPUT if failed else ExitCode.DONE


@takes(look=Given(Look), tell=FileOutput)
def kernels(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A name, a family with parameters, or rows; all are listed without it.",
            show_default=False,
        ),
    ] = None,
    group: str | None = option("Only this group, such as smooth."),
    search: str | None = option("Only kernels with this word in name, aliases, source or notes."),
    sheet: Path | None = option(
        "Apply the listed kernels to this picture: a labeled contact sheet (-o).", metavar="PICTURE"
    ),
    kernel: tuple[str, ...] = option(
        "Again for a chain: the one kernel that it equals; with --sheet each of them.",
        "-k",
        "--kernel",
        default=(),
    ),
    output: Path | None = option(
        "Where the sheet goes, or a drawing of NAME: its matrix, its surface and its frequency "
        "response.",
        "-o",
        "--output",
    ),
    *,
    look: dict[str, Any],
    tell: FileOutput,
) -> None:
    """Parse, call, render."""
    from convcli.kernels import Operation, choose, combine, find, find_step
    from convcli.present.kernels import catalog_report, kernel_report, operation_report

    if output is None:
        drawing = {f"--{option}": value for option, value in look.items()}
        refuse_without_effect(drawing, "with -o FILE")
    if sheet is not None:
        given = [*([name] if name else []), *kernel]
        chosen = [find(one) for one in given] or choose(group=group, search=search)
        if given:
            what = "where all kernels are listed: leave out NAME and -k"
            refuse_without_effect({"--group": group, "--search": search}, what)
        grouped = not given
        _draw_sheet(chosen, sheet, output, Look(**look), tell, grouped=grouped)
        return
    if kernel and name is not None:
        raise UsageError("Name one kernel, or a chain of them with -k.")
    if kernel:
        refuse_without_effect({"-o": output, "--group": group, "--search": search}, "without -k")
        tell.emit(kernel_report(combine([find(one) for one in kernel]), tell.format))
        return
    if name is None:
        refuse_without_effect({"-o": output}, "with NAME or --sheet PICTURE")
        tell.emit(
            catalog_report(
                choose(group=group, search=search), families=group is None and search is None
            )
        )
        return
    refuse_without_effect({"--group": group, "--search": search}, "without NAME")
    found = find_step(name)
    if output is not None:
        from convcli.present.surfaces import save_kernel

        tell.place(output, name, "", suffixes=SUFFIXES)
        saved = save_kernel(find(name), output, Look(**look), force=tell.force)
        tell.messages.say("\n".join(saved.sentences))
    elif isinstance(found, Operation):
        tell.emit(operation_report(found))
    else:
        tell.emit(kernel_report(found, tell.format))


def _draw_sheet(
    chosen: Sequence[AnyKernel],
    picture: Path,
    output: Path | None,
    look: Look,
    tell: FileOutput,
    *,
    grouped: bool,
) -> None:
    from convcli.imaging.sheet import read_small
    from convcli.present.figures import save_panels
    from convcli.present.kernels import sheet_panels

    if output is None:
        raise UsageError("--sheet needs a place for the result: -o SHEET.png")
    tell.place(output, picture, "", inputs=[picture], suffixes=SUFFIXES)
    small = read_small(picture)
    count = "1 kernel" if len(chosen) == 1 else f"{len(chosen)} kernels"
    title = f"{count} on {picture.name}"
    with tell.messages.progress() as progress:
        panels = progress.track(
            sheet_panels(small, chosen, grouped=grouped),
            total=1 + sum(len(kernel.components) for kernel in chosen),  # a gradient has two
            description="kernels",
        )
        inputs = [picture]
        saved = save_panels(panels, output, look, title=title, force=tell.force, inputs=inputs)
    tell.messages.say("\n".join([f"{count}.", *saved.sentences]))
