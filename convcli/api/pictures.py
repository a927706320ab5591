"""Pictures and kernels: `filter_image`, `pool`, `kernel`, `list_kernels`."""

from __future__ import annotations

import os
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from convcli.api.settings import FilterSettings, settings_of
from convcli.errors import UsageError
from convcli.imaging.apply import FilteredPicture, filter_source, read_any
from convcli.imaging.options import FilterOptions
from convcli.kernels import AnyKernel, choose, find
from convcli.option import completes

Source = str | os.PathLike[str] | NDArray[Any] | Any
"""A file, an array, a Pillow picture, a torch tensor on the processor, or rows of numbers."""
Size = int | str | tuple[int, int]


@completes(FilterOptions, FilterSettings)
def filter_image(
    source: Source,
    kernel: Any,
    *,
    out: NDArray[Any] | None = None,
    **settings: Unpack[FilterSettings],
) -> NDArray[Any]:
    """Filter a picture by the rules of `convcli filter`.

    Args:
        source: a path; an array H x W or H x W x C (2: gray and alpha, 3: RGB, 4: RGB and alpha) of
            any layout and byte order, or what NumPy makes one of, such as a torch tensor on the
            processor; or a Pillow picture, by the rules of files. uint8, uint16, float16 and
            float32 arrays are pictures and keep their dtype; others are matrices and come out as
            float64, unconverted. Asked for pixels (`value_range`), a matrix of fractions within
            0..1 is brightness, its white 1, and any other one holds 8-bit levels.
        kernel: a name, family, rows, file, array or `Kernel`, or a list of them: a chain.
        out: an array of the result's shape to fill and return.
        settings: the options of the command: `output` (also write the result there), `border`,
            `padding`, `stride`, `value_range` and so on; `convcli help filter` explains them.

    Returns:
        the filtered pixels (of a file's first frame); `filter_result` returns all there is to know.

    >>> edge = np.array([[0, 0, 9, 9]], np.uint8)
    >>> filter_image(edge, "1 0 -1")  # zero-sum: magnitudes
    array([[0, 9, 9, 0]], dtype=uint8)
    >>> filter_image(edge, "1 0 -1", value_range="raw")
    array([[ 0., -9., -9.,  0.]], dtype=float32)

    Raises:
        UsageError: unknown kernel or option (a ValueError).
        WrongTypeError: no such argument, or a type that means nothing (a TypeError).
        InputError: a file or array that cannot be used (a ValueError).
        MissingFileError: there is no such file (a FileNotFoundError).
        OutputExistsError: `output` exists and `force` is off.
    """
    chosen = settings_of(FilterOptions, FilterSettings, settings, "filter_image")
    pixels: NDArray[Any] = filter_source(source, kernel, FilterOptions(**chosen)).pixels
    return _returned(pixels, source, out)


@completes(FilterOptions, FilterSettings)
def filter_result(
    source: Source, kernel: Any, **settings: Unpack[FilterSettings]
) -> FilteredPicture:
    """Return what `filter_image` filters with its statistics; a notebook shows it as a picture.

    Arguments and errors are those of `filter_image`.

    >>> result = filter_result(np.array([[0, 0, 9, 9]], np.uint8), "1 0 -1")
    >>> result.value_range, result.pixels.tolist()
    ('abs', [[0, 9, 9, 0]])
    """
    chosen = settings_of(FilterOptions, FilterSettings, settings, "filter_result")
    return filter_source(source, kernel, FilterOptions(**chosen))


def pool(
    source: Source,
    *,
    max: Size | None = None,  # noqa: A002  (the option's name)
    avg: Size | None = None,
    stride: Size | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return the largest value, or the mean, of each window of a picture or matrix.

    No padding; windows that do not fit are left out. Transparency weights the colors.

    Args:
        source: as `filter_image`.
        max: keep the largest value of windows of this size: `2`, `(2, 3)` or `"2x3"`.
        avg: keep the mean of windows of this size.
        stride: steps between windows; the window's size when left out.
        out: an array of the result's shape to fill and return.

    >>> pool([[2, 3, 1, 9], [4, 7, 3, 5], [8, 2, 2, 2], [1, 3, 4, 5]], max=2)
    array([[7., 9.],
           [8., 5.]])

    Raises:
        UsageError: neither or both of `max` and `avg`, or a size that is none.
        InputError: a source that cannot be used, or smaller than a window.
    """
    from convcli.imaging.pooling import parse_size, pool_picture

    if (max is None) == (avg is None):
        raise UsageError("pool takes one of max= and avg=, such as max=2.")
    picture = read_any(source)
    how: Literal["max", "avg"] = "avg" if max is None else "max"
    window = parse_size(_size_text(max or avg), how)
    steps = None if stride is None else parse_size(_size_text(stride), "stride")
    done = pool_picture(picture, how, window, steps)
    return _returned(done.pixels, source, out)


def kernel(spec: str) -> AnyKernel:
    """Return the kernel of a name, a family with parameters, or rows of numbers.

    Args:
        spec: `sobel-x`, `gaussian:sigma=2`, or `"1 0 -1; 1 0 -1; 1 0 -1"`; `list_kernels` has the
            names.

    >>> kernel("sobel-x").rows
    ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))

    Raises:
        UsageError: an unknown name (with the nearest), wrong parameters, malformed rows.
    """
    return find(spec)


def list_kernels(group: str | None = None, search: str | None = None) -> tuple[AnyKernel, ...]:
    """Return the named kernels, all or some.

    Args:
        group: only this one, such as `smooth`.
        search: only those with this word in name, aliases, source or notes.

    >>> [one.name for one in list_kernels("sharpen", search="unsharp")]
    ['unsharp-5', 'unsharp-3', 'unsharp-matlab-0.2']

    Raises:
        UsageError: there is no such group, or nothing that mentions the word.
    """
    return choose(group=group, search=search)


def _size_text(size: Size | None) -> str:
    return "x".join(map(str, size)) if isinstance(size, tuple | list) else str(size)


def _returned(pixels: NDArray[Any], source: Source, out: NDArray[Any] | None) -> NDArray[Any]:
    """Return the pixels in the source's own precision, or in `out`."""
    kind = str(getattr(source, "dtype", ""))
    if kind.rpartition(".")[2] == "float16" and pixels.dtype == np.float32:
        pixels = pixels.astype(np.float16)
    if out is None:
        return pixels
    if out.shape != pixels.shape or not np.can_cast(pixels.dtype, out.dtype, "same_kind"):
        raise UsageError(
            f"out holds {out.dtype} of shape {out.shape}; the result is {pixels.dtype} of shape "
            f"{pixels.shape}."
        )
    out[...] = pixels
    return out
