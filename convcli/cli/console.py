"""The terminal: results go to stdout, messages and progress to stderr, and Ctrl-C comes from it.

Its streams take every text and every byte, whatever the process was started with.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import signal
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, TextIO

from convcli.errors import InputError
from convcli.report import Report, render
from convcli.report.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID, TextColumn

    from convcli.imaging.picture import Frame

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that ask a program to end; not every system has all of them."""

SPELLED = {"…": "...", "×": "x", "→": "->", "≥": ">=", "≤": "<=", "–": "-", "•": "*", "·": "."}
ERRORS = "convcli-spelled"

STYLES = {"bold": "1", "green": "32"}
"""How letters stand out on a terminal -> ECMA-48's number for it."""

SMALLEST = 224
"""Pixels that the longer side of a picture has at least where a terminal shows true ones."""

PROPER_NAMES = {"Keras", "Python", "Pillow", "Optuna", "Dask", "Adam"}
"""Words that a sentence does not lend their capital."""


def prepare_streams() -> None:
    """Make stdout and stderr usable: open, and never at a loss for a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # started with `>&-`
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (until exit)
            setattr(sys, name, nowhere)
            continue
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors=ERRORS)


def write_whole() -> None:
    """Buffer a stdout that PYTHONUNBUFFERED made raw: a raw file may take less than it is given."""
    stream: Any = sys.stdout
    if isinstance(getattr(stream, "buffer", None), io.RawIOBase):
        encoding = stream.encoding
        buffered = io.BufferedWriter(stream.detach())
        sys.stdout = io.TextIOWrapper(buffered, encoding=encoding, line_buffering=True)
        vars(sys)["__stdout__"] = sys.stdout  # which the size of the terminal is asked of


def spelled(problem: UnicodeError) -> tuple[str, int]:
    r"""Return what a stream's encoding has no character for as ASCII, in the way of JSON.

    >>> "\u2502 3×4…\u00e9".encode("ascii", ERRORS)
    b'| 3x4...\\u00e9'
    """
    if isinstance(problem, UnicodeDecodeError):
        return "\ufffd", problem.end  # a stream that is read as well, as a test's is
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    text = problem.object[problem.start : problem.end]
    return "".join(map(_character, text)), problem.end


def _character(character: str) -> str:
    if "\u2500" <= character <= "\u257f":  # what tables and help are drawn with
        return {"─": "-", "━": "-", "═": "-", "│": "|", "┃": "|", "║": "|"}.get(character, "+")
    if "\u2580" <= character <= "\u259f" or "\u2800" <= character <= "\u28ff":
        return "#"  # blocks and dots of charts
    if character in SPELLED:
        return SPELLED[character]
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


codecs.register_error(ERRORS, spelled)


class Messages:
    """Messages for the person at the terminal; silent when asked to be quiet."""

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.quiet = quiet
        self._stream = stream
        self._said_compiling = False

    def say(self, text: str, style: Literal["", "bold", "green"] = "") -> None:
        """Write one line to stderr unless quiet; `style` is how it stands out on a terminal."""
        if not self.quiet:
            stream = self._stream or sys.stderr
            text = printable(text)
            if style and has_color(stream):
                text = f"\x1b[{STYLES[style]}m{text}\x1b[0m"
            stream.write(text + "\n")
            stream.flush()

    def say_compiling(self) -> None:
        """Say once why the first use takes longer."""
        if not self._said_compiling:
            self._said_compiling = True
            self.say("Compiling for this machine, only this once...")

    @contextmanager
    def warned(self, place: str) -> Iterator[None]:
        """Say what is warned of inside, once each, as sentences on `place`."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield
        for text in dict.fromkeys(str(warning.message) for warning in caught):
            self.say(f"{place}: {text}")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Yield a Rich progress with time left; it draws only on a terminal and when not quiet."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        from convcli.report.table import terminal

        console = terminal(sys.stderr)
        bar = BarColumn(max(4, min(40, console.width - 60)))
        columns = _description(), bar, MofNCompleteColumn(), TimeRemainingColumn()
        hidden = self.quiet or not console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
            yield progress

    @contextmanager
    def waiting(self, what: str, *, after_seconds: float = 1.0) -> Iterator[None]:
        """Draw a line with the time passed while the block runs, if it takes over a second.

        For work that cannot tell how far it is; on a terminal and when not quiet.
        """
        if self.quiet or not sys.stderr.isatty():
            yield
            return
        ended = threading.Event()

        def draw() -> None:
            if ended.wait(after_seconds):
                return
            from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

            from convcli.report.table import terminal

            columns = SpinnerColumn(), _description(), TimeElapsedColumn()
            with Progress(*columns, console=terminal(sys.stderr), transient=True) as progress:
                progress.add_task(what)
                ended.wait()

        drawing = threading.Thread(target=draw, daemon=True)
        drawing.start()
        try:
            yield
        finally:
            ended.set()
            drawing.join()

    @contextmanager
    def counted(self) -> Iterator[Callable[[str, int, int | None], None]]:
        """Yield a callback `(what, done, total)` that draws one line of progress for each `what`.

        On a terminal with time left; nothing when piped or quiet.
        """
        with self.progress() as progress:
            tasks: dict[str, TaskID] = {}

            def show(what: str, done: int, total: int | None) -> None:
                if what not in tasks:
                    tasks[what] = progress.add_task(what, total=total)
                progress.update(tasks[what], completed=done, total=total)

            yield show


def _description() -> TextColumn:
    """Return the column of what is done; names in it are text, whatever signs they hold."""
    from rich.progress import TextColumn
    from rich.text import Text

    class Description(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(printable(task.description))

    return Description("")


@cache
def standard_input() -> bytes:
    """Return all of stdin, which can be read only once.

    Raises:
        InputError: it was closed from the start (`<&-`).
    """
    if sys.stdin is None:
        raise InputError("stdin is closed, and - reads from it. Name a file, or use a pipe.")
    return sys.stdin.buffer.read()


def emit(report: Report, style: str | None) -> None:
    """Print `report` to stdout: as asked, else a table on a terminal and plain when piped."""
    chosen = style or ("table" if sys.stdout.isatty() else "plain")
    if chosen != "table":
        sys.stdout.write(render(report, chosen))
        return
    from convcli.report.table import print_table, terminal

    print_table(report, terminal())


def has_color(stream: TextIO | None = None) -> bool:
    """Tell whether a stream, stdout if none is named, shows bold and dim letters.

    https://no-color.org asks for the first.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return (stream or sys.stdout).isatty() and (os.name != "nt" or "WT_SESSION" in os.environ)


def draw_pixels(png: Callable[[], bytes]) -> bool:
    """Draw a picture in true pixels where the terminal has them (Kitty's or Sixel); else False.

    A picture wider than the terminal is made as wide.
    The terminal is asked, by textual-image (extra `pixels`), which waits 0.1 s for its answer.
    """
    if not (has_color() and sys.stdout.isatty() and sys.stdin is not None and sys.stdin.isatty()):
        return False
    if not all(os.get_terminal_size(sys.stdout.fileno())):  # a serial line, whose size nobody knows
        return False
    try:
        from textual_image import renderable
    except ModuleNotFoundError:
        return False
    if renderable.Image not in {renderable.SixelImage, renderable.TGPImage}:
        return False
    import logging

    from convcli.report.table import terminal

    logging.getLogger("textual_image").setLevel(logging.ERROR)  # it tells of sizes that it assumes
    console, data = terminal(), png()
    shown = renderable.Image(io.BytesIO(data))
    if shown.__rich_measure__(console, console.options).maximum > console.width:
        shown = renderable.Image(io.BytesIO(data), width="100%", height="auto")
    console.print(shown)
    return True


def draw_frame(frame: Frame, columns: int, rows: int, stream: TextIO | None = None) -> None:
    """Draw a picture in the terminal: in true pixels where it has them, else in half blocks.

    Args:
        frame: any depth.
        columns: width that half blocks fit into, one pixel a column.
        rows: height that they fit into in pixels, two a line.
        stream: where half blocks go, stdout if none is named; true pixels are for a terminal.
    """
    from convcli.imaging.picture import png_bytes
    from convcli.imaging.terminal import half_blocks, rgb_of

    def png() -> bytes:
        rgb = rgb_of(frame, frame.pixels)
        factor = max(1, SMALLEST // max(rgb.shape[:2]))
        return png_bytes(rgb.repeat(factor, axis=0).repeat(factor, axis=1))

    if not draw_pixels(png):
        (stream or sys.stdout).write(half_blocks(frame, columns, rows))


def tell_error(text: str) -> None:
    """Write `error:` and what is wrong to stderr; on a terminal in color and wrapped at words."""
    wide = None
    with suppress(OSError, ValueError):  # no terminal
        wide = int(os.environ.get("COLUMNS") or os.get_terminal_size(sys.stderr.fileno()).columns)
    wide = wide if sys.stderr.isatty() else None
    with suppress(BrokenPipeError):
        sys.stderr.write(error_text(text, width=wide, color=has_color(sys.stderr)) + "\n")
        sys.stderr.flush()


def error_text(text: str, *, width: int | None = None, color: bool = False) -> str:
    """Return a sentence as an error: lower case, its names in bold, wrapped.

    Lines that a caret points into, and lines that are set in, stay whole.

    >>> error_text("There is no kernel called 'sobl'.")
    "error: there is no kernel called 'sobl'."
    >>> error_text("Keras files need h5py.", width=20).splitlines()
    ['error: Keras files', '  need h5py.']
    """
    word = text.split(maxsplit=1)[0].rstrip(".,") if text.strip() else ""
    sentence = word[:1].isupper() and word[1:] == word[1:].lower() and not set(word) & set("./:\\")
    if sentence and word not in PROPER_NAMES:
        text = text[0].lower() + text[1:]
    lines = f"error: {printable(text)}".split("\n")
    if width is not None:
        whole = {number for number, line in enumerate(lines) if line.startswith(" ")}
        whole |= {number - 1 for number, line in enumerate(lines) if set(line.strip()) == {"^"}}
        lines = [
            line if number in whole or not line else textwrap.fill(
                line, max(width, 20), subsequent_indent="  ", break_long_words=False,
                break_on_hyphens=False,
            )
            for number, line in enumerate(lines)
        ]  # fmt: skip
    told = "\n".join(lines)
    if not color:
        return told
    named = re.sub(r"'[^'\n]+'|(?<![\w-])--[a-z][\w-]*", "\x1b[1m\\g<0>\x1b[22m", told)
    return named.replace("error:", "\x1b[1;31merror:\x1b[0m", 1)


@contextmanager
def handling(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Let `handler` have these signals for a while; only the main thread may, others do without.

    A signal that is ignored stays so: a job in the background keeps running at Ctrl-C, one under
    nohup when its terminal goes.
    """
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ENDING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@dataclass(slots=True)
class Interruption:
    """Notes that the program is to end, so that a step is finished first; a second time obeys."""

    wanted: bool = False
    _context: Any = field(default=None, repr=False)

    def __enter__(self) -> Interruption:
        """Take the signals over."""
        self._context = handling(self._note)
        self._context.__enter__()
        return self

    def __exit__(self, *problem: Any) -> None:
        """Give the signals back."""
        self._context.__exit__(*problem)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
