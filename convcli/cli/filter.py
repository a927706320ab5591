"""`convcli filter`: kernels applied to pictures and matrices."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import typer

from convcli.cli.options import (
    EngineOption,
    ForceOption,
    FormatOption,
    QuietOption,
    ThreadsOption,
)

EXAMPLES = """Examples:\n
convcli filter photo.jpg -k sobel\n
convcli filter photo.png -k gaussian:sigma=2 -k laplacian-4 -o edges.png\n
convcli filter photos/ --recursive -k "0 -1 0; -1 5 -1; 0 -1 0" -o sharpened/\n
convcli filter matrix.csv -k "1 0 -1; 1 0 -1; 1 0 -1" --explain 0,0\n
cat photo.png | convcli filter - -k emboss -o - > embossed.png"""

InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Pictures, matrices (.csv .txt .npy), patterns, directories, or - for stdin.",
    ),
]
RecursiveOption = Annotated[
    bool, typer.Option("--recursive", help="Filter the pictures in directories, at any depth.")
]
CompressOption = Annotated[
    bool, typer.Option("--compress", help="The smallest file instead of the fastest to write.")
]
MaxPixelsOption = Annotated[
    int, typer.Option("--max-pixels", min=1, help="Refuse inputs with more pixels than this.")
]
MemoryLimitOption = Annotated[
    str,
    typer.Option(
        "--memory-limit", metavar="SIZE", help="Refuse inputs that would need more, such as 8GiB."
    ),
]
PlaceOption = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="PLACE",
        help="Where the result goes: a file, a folder (made with a / behind it), - for stdout, or "
        "a pattern such as 'out/{stem}-{kernel}.{ext}' ({folder}: the input's).",
        show_default=False,
    ),
]
InPlaceOption = Annotated[
    bool, typer.Option("--in-place", help="Replace the inputs themselves; needs --force.")
]
SkipOption = Annotated[
    bool, typer.Option("--skip-existing", help="Leave out inputs whose result exists already.")
]
QualityOption = Annotated[
    int | None,
    typer.Option(
        "--quality",
        min=1,
        max=100,
        help="Of JPEG, WebP and AVIF files.",
        show_default="95 for JPEG, else lossless",
    ),
]
GrayOption = Annotated[
    bool, typer.Option("--gray", "--grey", help="Brightness (Rec. 601) instead of colors.")
]
ShowOption = Annotated[
    bool, typer.Option("--show", help="Also draw the result in the terminal, in half blocks.")
]


def filter_pictures(
    inputs: InputsArgument,
    kernel: Annotated[
        list[str],
        typer.Option(
            "-k",
            "--kernel",
            help="A name, a family (gaussian:sigma=2), rows ('1 0 -1; 1 0 -1'), or a file. "
            "Again for a chain.",
        ),
    ],
    output: PlaceOption = None,
    convolve: Annotated[
        bool,
        typer.Option(
            "--convolve/--correlate", help="Turn the kernel by 180 degrees, or lay it on as it is."
        ),
    ] = False,
    border: Annotated[
        str,
        typer.Option(
            help="reflect, mirror, nearest, wrap, constant[:V]; also symmetric, reflect101, edge, "
            "replicate, zero."
        ),
    ] = "reflect",
    padding: Annotated[
        Literal["same", "valid", "full"],
        typer.Option(help="Result as large as the input, only where the kernel fits, or beyond."),
    ] = "same",
    stride: Annotated[int, typer.Option(min=1, help="Keep every N-th row and column.")] = 1,
    dilation: Annotated[int, typer.Option(min=1, help="Distance between kernel cells.")] = 1,
    divisor: Annotated[
        float | None, typer.Option(help="Divide by this instead of the kernel's own (last kernel).")
    ] = None,
    offset: Annotated[
        float | None, typer.Option(help="Add this many 8-bit levels (last kernel).")
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="GIMP's rule: divide by the sum, or shift to gray.")
    ] = False,
    value_range: Annotated[
        Literal["clip", "abs", "offset", "stretch", "raw"] | None,
        typer.Option(
            "--range",
            help="How values become pixels: cut, magnitude, plus middle gray, stretched, or not at "
            "all.",
            show_default="clip, abs for zero-sum kernels, raw for matrices and float",
        ),
    ] = None,
    gray: GrayOption = False,
    alpha: Annotated[
        Literal["keep", "filter", "premultiply"] | None,
        typer.Option(
            help="Transparency: leave, filter like a color, or weight colors by it.",
            show_default="premultiply, keep for zero-sum kernels",
        ),
    ] = None,
    magnitude: Annotated[
        Literal["l2", "l1", "max"], typer.Option(help="How a gradient's two parts are joined.")
    ] = "l2",
    gradient: Annotated[
        Literal["magnitude", "direction", "both"],
        typer.Option(help="A gradient's strength, its direction as a hue, or both."),
    ] = "magnitude",
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain", metavar="ROW,COL", help="Show the arithmetic of one output pixel."
        ),
    ] = None,
    show: ShowOption = False,
    recursive: RecursiveOption = False,
    in_place: InPlaceOption = False,
    skip_existing: SkipOption = False,
    compress: CompressOption = False,
    quality: QualityOption = None,
    max_pixels: MaxPixelsOption = 200_000_000,
    memory_limit: MemoryLimitOption = "4GiB",
    engine: EngineOption = "auto",
    threads: ThreadsOption = 0,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Filter on the workers of a Dask scheduler, such as tls://10.0.0.1:8786. It runs "
            "code for whoever reaches its port: tcp:// only in a network that you trust.",
            show_default=False,
        ),
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    style: FormatOption = None,
) -> int:
    """Apply kernels to pictures or matrices.

    The result goes to NAME_KERNEL.EXT beside each input, or where -o says; a matrix is printed.
    In Python: convcli.filter_image("photo.png", "sobel").
    """
    from convcli.cli.console import Messages
    from convcli.cli.picture_far import FarRun
    from convcli.cli.picture_run import PictureRun
    from convcli.environment import thread_count
    from convcli.errors import UsageError
    from convcli.imaging.apply import filter_picture
    from convcli.imaging.content import Limits
    from convcli.imaging.filtering import make_ready, make_steps
    from convcli.imaging.options import FilterOptions
    from convcli.imaging.writing import Written
    from convcli.option import byte_count

    limits = Limits(max_pixels, byte_count(memory_limit))
    options = FilterOptions(
        convolve=convolve,
        border=border,
        padding=padding,
        stride=stride,
        dilation=dilation,
        divisor=divisor,
        offset=offset,
        normalize=normalize,
        value_range=value_range,
        gray=gray,
        alpha=alpha,
        magnitude=magnitude,
        gradient=gradient,
        engine=engine,
        threads=threads or None,
        on_compile=Messages(quiet=quiet).say_compiling,
    )
    steps = make_steps(kernel, options)
    if explain is not None:
        if output is not None or show or recursive:
            raise UsageError("--explain prints one pixel: leave out -o, --show and --recursive.")
        from convcli.cli.explain_pixel import explain_pixel

        explain_pixel(inputs, explain, steps, options, limits=limits, style=style)
        return 0
    run = PictureRun(
        transform=lambda picture, is_matrix: filter_picture(picture, is_matrix, steps, options),
        label="_".join(step.slug for step in steps),
        kernel=" ".join(step.name for step in steps),
        raw=value_range == "raw",
        output=output,
        in_place=in_place,
        skip_existing=skip_existing,
        force=force,
        how=Written(compress, quality, thread_count(threads or None)),
        limits=limits,
        quiet=quiet,
        style=style,
        show=show,
        on_size=partial(make_ready, steps=steps, options=options),
        far=None if cluster is None else FarRun(cluster, tuple(steps), options),
    )
    return run.all(inputs, recursive=recursive)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("filter", epilog=EXAMPLES, no_args_is_help=True)(filter_pictures)
