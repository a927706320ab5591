"""Figures as files: every PNG, SVG and PDF is drawn here, by matplotlib.

Only a command that writes a figure loads it; terminals and pages have renderings of their own.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import bidirectional

import numpy as np

from convcli.files import new_file
from convcli.imaging.picture import Frame, Picture, as_sample
from convcli.present.look import Look
from convcli.present.panels import Panel, Pixels, Scale, rows_of
from convcli.report.chart import NEGATIVE, PALETTE, POSITIVE, STOPS, Chart, Line, Matrix, log_places
from convcli.report.printable import printable

INCH = 100
"""Pixels of the layout to an inch; `Look.dpi` decides how many a file has."""
GAP = 14
CAPTION, HEADING = 12, 15
"""Pixels that letters are high."""
LINE = 1.35
"""Height of a line of text, in letters."""
WIDTH = 1200
"""A sheet is at most so wide where nobody says how many columns it has."""
TALLEST = 2
"""Panels are at most this many times as high as wide: a strip would make an endless sheet."""
BARS_HIGH, BAR_HIGH, LINES_HIGH = 120, 18, 160
"""Heights of bars from left to right, of one bar with a name, and of lines."""
NAMED_BARS_WIDE, WIDE = 460, 760
AXIS, KEY, KEYS_A_COLUMN, NAME_WIDE = 34, 50, 8, 240
"""Height of numbers and name below an axis; room of a line's sample beside its name, names below
each other, and pixels after which a name is broken."""
BAR_WIDE, BAR_THICK, WHEEL = 220, 10, 64
"""Extent of a color bar, and of the wheel of directions."""
LEFT_TO_RIGHT = "\u200e"
"""Unseen: what follows is read from the left, whatever letter it begins with."""
EDGE = 200
"""Gray of the line around each picture."""
NORMALIZED = "Counts, and shares of the true class, its shades: blue right, red wrong."
VECTORS = {".svg", ".pdf"}
SETTINGS: dict[str, Any] = {
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.fonttype": "none",  # letters stay letters, so that a figure can be searched
    "svg.hashsalt": "convcli",
    "pdf.fonttype": 42,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "font.size": CAPTION * 72 / INCH,
}

LOOK = Look()


@dataclass(frozen=True)
class Saved:
    """A figure that was written: its pixels (or those of its layout), and what there is to say."""

    path: Path
    width: int
    height: int
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person is told of it."""
        return (*self.notes, f"{self.path}: {self.width} x {self.height} pixels.")


# ---- panels -------------------------------------------------------------------------------------


def save_panels(
    panels: Iterable[Panel],
    path: Path,
    look: Look = LOOK,
    *,
    title: str = "",
    panel_width: int = 176,
    columns: int | None = None,
    force: bool = False,
    inputs: Iterable[Path] = (),
) -> Saved:
    """Write panels in rows as one figure, each with its caption, a color bar for each scale.

    Pictures are brought to `panel_width`: small ones are enlarged by a whole factor without
    smoothing, so that single cells stay visible.

    Args:
        panels: what to show, in order.
        path: one of `look.SUFFIXES`.
        look: how.
        title: above all, unless `look` has another.
        panel_width: of each picture, in pixels of the layout.
        columns: panels a row; as many as fit when left out.
        force: an existing file may be replaced.
        inputs: files that are never replaced.
    """
    panels = list(panels)
    with _drawing([title, look.title, *(t for p in panels for t in _texts(p))]) as fonts:
        sheet = _Sheet(fonts, round(panel_width * look.zoom), columns)
        shown = [replace(one, names=tuple(map(fonts.shown, one.names))) for one in panels]
        sheet.place(shown, title if look.title is None else look.title)
        factor = max(1, round(look.dpi / INCH))
        whole = sheet.figure(factor if path.suffix.lower() not in VECTORS else max(2, factor))
        return _write(whole, path, look, fonts, force=force, inputs=inputs)


def _texts(panel: Panel) -> list[str]:
    return [panel.caption, panel.heading, *panel.names, panel.scale.label if panel.scale else ""]


@dataclass
class _Sheet:
    """Panels and texts with their places, in pixels from the upper left corner."""

    fonts: _Fonts
    panel_width: int
    columns: int | None
    panels: list[tuple[Panel, int, int, int, int]] = field(default_factory=list)
    texts: list[tuple[int, int, str, int]] = field(default_factory=list)
    bars: list[tuple[int, int, Scale]] = field(default_factory=list)
    width: int = 0
    top: int = GAP

    def place(self, panels: Sequence[Panel], title: str) -> None:
        """Decide where everything goes."""
        step = self.panel_width + GAP
        across = self.columns or max(1, (WIDTH - GAP) // step)
        rows = list(rows_of(panels, across))
        widest = max((len(row) for row in rows if row[0].form == "picture"), default=0)
        wide = max(
            (
                self._size(p)[0] + self._margins(p)[0] + self._beside(p) + 2 * GAP
                for p in panels
                if p.form != "picture"
            ),
            default=0,
        )
        self.width = max(widest * step, wide, BAR_WIDE + 4 * GAP, 320) + GAP
        if title:
            self._text(GAP, title, self.width - 2 * GAP, HEADING + 2)
        for number, row in enumerate(rows):
            if row[0].heading:
                self._text(GAP, row[0].heading, self.width - 2 * GAP, HEADING)
            self._row(row)
            scales = [panel.scale for panel in row if panel.scale]
            after = rows[number + 1] if number + 1 < len(rows) else None
            others = {panel.scale for panel in after or () if panel.scale}
            ends = after is None or after[0].heading or others != set(scales)
            if ends and row[0].form == "picture":
                self._color_bars(list(dict.fromkeys(scales)))

    def _row(self, row: Sequence[Panel]) -> None:
        sizes = [self._size(panel) for panel in row]
        margins = [self._margins(panel) for panel in row]
        tallest = max(
            height + above for (_, height), (_, above) in zip(sizes, margins, strict=True)
        )
        has_axis = row[0].form == "lines" or (row[0].form == "bars" and not row[0].names)
        end = below = self.top + tallest + (AXIS if has_axis else 4)
        for column, (panel, (width, height), (left, above)) in enumerate(
            zip(row, sizes, margins, strict=True)
        ):
            x = GAP + column * (self.panel_width + GAP)
            self.panels.append((panel, x + left, self.top + above, width, height))
            end = max(end, self._caption(x, below, panel.caption, max(self.panel_width, width)))
        self.top = end + GAP // 2

    def _size(self, panel: Panel) -> tuple[int, int]:
        """Return width and height of a panel: at most `TALLEST` times as high as wide."""
        zoom = self.panel_width / 176
        if panel.form == "bars" and panel.names:
            return NAMED_BARS_WIDE, BAR_HIGH * len(panel.values) + 8
        if panel.form != "picture":
            return WIDE, round((BARS_HIGH if panel.form == "bars" else LINES_HIGH) * max(zoom, 1))
        height, width = panel.values.shape[:2]
        room = self.panel_width - self._margins(panel)[0]
        share = min(room / width, TALLEST * room / height)
        share = int(share) if share >= 1 else share
        return max(1, round(width * share)), max(1, round(height * share))

    def _margins(self, panel: Panel) -> tuple[int, int]:
        """Return the pixels left of a panel and above it that its numbers and names take."""
        if panel.form == "picture":
            return (30, 16) if panel.ticks else (0, 0)
        if panel.names and panel.form == "bars":
            return 12 + self._longest(panel.names), 4
        return 56, 4

    def _beside(self, panel: Panel) -> int:
        """Return the pixels right of a panel that the names of its lines take."""
        names = _line_names(panel)
        return -(-len(names) // KEYS_A_COLUMN) * (KEY + self._longest(names)) if names else 0

    def _longest(self, names: Sequence[str]) -> int:
        return math.ceil(max(self.fonts.width(name, CAPTION) for name in names))

    def _text(self, x: int, text: str, room: int, size: int) -> None:
        for line in self.fonts.wrapped(text, room, size):
            self.texts.append((x, self.top, line, size))
            self.top += round(size * LINE)
        self.top += 4

    def _caption(self, x: int, y: int, text: str, room: int) -> int:
        for part in text.splitlines():
            for line in self.fonts.wrapped(part, room, CAPTION):
                self.texts.append((x, y, line, CAPTION))
                y += round(CAPTION * LINE)
        return y

    def _color_bars(self, scales: Sequence[Scale]) -> None:
        start = x = 2 * GAP  # the first number stands to both sides of the bar's end
        high = 3 * BAR_THICK + 20
        if any(scale.kind == "direction" for scale in scales):
            high = WHEEL + 4 * CAPTION
        for scale in scales:
            if x > start and x + BAR_WIDE > self.width:
                x, self.top = start, self.top + high
            self.bars.append((x, self.top + CAPTION * (scale.kind == "direction"), scale))
            x += BAR_WIDE + 3 * GAP
        if scales:
            self.top += high + 4

    def figure(self, factor: int) -> Any:
        """Return the whole as matplotlib's figure.

        All pictures are one, `factor` pixels to each of the layout: hundreds would take seconds.
        """
        width, height = self.width, self.top + GAP // 2
        whole = _figure(width, height)
        ground = whole.add_axes((0, 0, 1, 1))
        ground.set_axis_off()
        ground.autoscale(False)
        paper = np.full((height * factor, width * factor, 3), 255, np.uint8)
        for panel, x, y, wide, high in self.panels:
            if panel.form == "picture" and not panel.ticks:
                left, top, right, bottom = (n * factor for n in (x, y, x + wide, y + high))
                paper[top - 1 : bottom + 1, left - 1 : right + 1] = EDGE
                paper[top:bottom, left:right] = _sized(panel.pixels, bottom - top, right - left)
                _draw_window(ground, panel, x, y, wide, high)
                continue
            axes = whole.add_axes((x / width, 1 - (y + high) / height, wide / width, high / height))
            _DRAW[panel.form](axes, panel, self.fonts)
        extent = (0, width, height, 0)
        ground.imshow(paper, extent=extent, aspect="auto", interpolation="nearest", zorder=0)
        ground.set_xlim(0, width)
        ground.set_ylim(height, 0)
        for x, y, text, size in self.texts:
            points = size * 72 / INCH
            ground.text(x, y, text, size=points, va="top", weight=_weight(size))
        for x, y, scale in self.bars:
            is_wheel = scale.kind == "direction"
            thick = WHEEL if is_wheel else BAR_THICK
            box = (x / width, 1 - (y + thick) / height, BAR_WIDE / width, thick / height)
            draw = _draw_wheel if is_wheel else _draw_color_bar
            draw(whole, whole.add_axes(box), scale)
        return whole


def _sized(pixels: Pixels, height: int, width: int) -> Pixels:
    """Return RGB of a size: enlarged by whole factors, single cells sharp, or averaged down."""
    pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    down, across = height // pixels.shape[0], width // pixels.shape[1]
    if min(down, across) >= 1:
        return pixels.repeat(down, axis=0).repeat(across, axis=1)

    return as_sample(Frame(pixels), (height, width))


def _draw_window(axes: Any, panel: Panel, x: int, y: int, width: int, height: int) -> None:
    """Draw the frame of a panel's window, clipped to the panel."""
    from matplotlib.patches import Rectangle

    if panel.box is None:
        return
    top, left, tall, wide = panel.box
    rows, columns = panel.values.shape[:2]
    corner = (x + left * width / columns, y + top * height / rows)
    window = corner, wide * width / columns, tall * height / rows
    clip = Rectangle((x, y), width, height, transform=axes.transData)
    for line, color in ((3.2, "white"), (1.6, "#00a046")):
        edge = axes.add_patch(Rectangle(*window, fill=False, lw=line, ec=color, zorder=2))
        edge.set_clip_path(clip)


def _draw_numbered(axes: Any, panel: Panel, fonts: _Fonts) -> None:
    """Draw a picture whose rows and columns are numbered, from 0 at the upper left."""
    rows, columns = panel.values.shape[:2]
    extent = (0, columns, rows, 0)
    axes.imshow(_sized(panel.pixels, rows, columns), extent=extent, interpolation="nearest")
    axes.set_aspect("auto")
    _draw_window(axes, panel, 0, 0, columns, rows)
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    marked: list[list[int]] = [_indices(columns), _indices(rows)]
    if panel.box is not None:
        top, left, tall, wide = panel.box
        marked = [
            _with_ends(marked[0], left, wide, columns),
            _with_ends(marked[1], top, tall, rows),
        ]
    axes.xaxis.tick_top()
    for axis, places in ((axes.xaxis, marked[0]), (axes.yaxis, marked[1])):
        axis.set_ticks([place + 0.5 for place in places], [str(place) for place in places])
        axis.set_tick_params(length=2, pad=1, labelsize=6.5)
    axes.spines[:].set_visible(False)


def _indices(size: int) -> list[int]:
    step = next(n * p for p in (1, 10, 100, 1000) for n in (1, 2, 5) if size <= 8 * n * p)
    return list(range(0, size, step))


def _with_ends(places: list[int], first: int, count: int, size: int) -> list[int]:
    """Return tick places with the first and the last of a window instead of their neighbors."""
    ends = [at for at in (first, first + count - 1) if 0 <= at < size]
    apart = max(1, size // 16)
    return sorted({*ends, *(at for at in places if all(abs(at - end) > apart for end in ends))})


def _draw_bars(axes: Any, panel: Panel, fonts: _Fonts) -> None:
    values = panel.values
    below, above = ([level / 255 for level in color] for color in (NEGATIVE, POSITIVE))
    colors = [above if value >= 0 else below for value in values.tolist()]
    if not panel.names:
        axes.bar(np.arange(len(values)), values, color=colors, width=0.85)
        axes.axhline(0, color="#808080", lw=0.8)
        axes.set_xlim(-0.6, len(values) - 0.4)
        axes.set_xlabel("unit", labelpad=1)
        return
    places = np.arange(len(values))
    axes.barh(places, values, color=colors, height=0.8)
    axes.set_yticks(places, panel.names)
    axes.invert_yaxis()
    axes.axvline(0, color="#808080", lw=0.8)
    texts = [panel.text.format(value) for value in values.tolist()]
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    room = 8 + max(fonts.width(text, CAPTION) for text in texts)  # of the numbers, on either side
    pixel = ((high - low) or 1.0) / (NAMED_BARS_WIDE - room * (1 + (low < 0)))
    axes.set_xlim(low - room * pixel * (low < 0), high + room * pixel)
    for place, (value, text) in enumerate(zip(values.tolist(), texts, strict=True)):
        side, away = ("left", 3) if value >= 0 else ("right", -3)
        axes.annotate(
            text, (value, place), (away, 0), textcoords="offset points", ha=side, va="center"
        )
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)


def _line_names(panel: Panel) -> tuple[str, ...]:
    """Return the names beside lines, none where there are too many for colors of their own."""
    channels = panel.values.shape[1] if panel.form == "lines" else 0
    return (panel.names or tuple(map(str, range(channels)))) * (channels <= len(PALETTE))


def _draw_lines(axes: Any, panel: Panel, fonts: _Fonts) -> None:
    from matplotlib.ticker import MaxNLocator

    channels, names = panel.values.shape[1], _line_names(panel)
    spread = Scale("magnitude", 0.0, 1.0).colors(np.linspace(0.1, 0.85, channels)) / 255
    for channel in range(channels):
        color = PALETTE[channel] if names else tuple(spread[channel])
        axes.plot(panel.values[:, channel], color=color, lw=1)
    axes.set_xlim(0, max(1, len(panel.values) - 1))
    axes.set_xlabel("time", labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(lw=0.4, color="#dddddd")
    if names:
        columns = -(-channels // KEYS_A_COLUMN)
        axes.legend(
            axes.lines, names, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5),
            ncol=columns, columnspacing=1, labelspacing=0.3,
        )  # fmt: skip


_DRAW = {"picture": _draw_numbered, "bars": _draw_bars, "lines": _draw_lines}


def color_map(kind: str) -> Any:
    """Return the colors of a kind of scale as matplotlib has them."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = [tuple(level / 255 for level in stop) for stop in STOPS[kind]]
    return LinearSegmentedColormap.from_list(kind, stops)


def _draw_wheel(whole: Any, axes: Any, scale: Scale) -> None:
    """Draw the colors of directions where they point to, darker towards the middle."""
    places = np.linspace(-1, 1, 4 * WHEEL)
    x, y = np.meshgrid(places, -places)
    share = np.hypot(x, y)[..., None]
    hues = scale.colors(np.degrees(np.arctan2(y, x)) % 360)
    disk = np.where(share <= 1, hues * share**0.5, 255)
    axes.imshow(disk.round().astype(np.uint8))
    middle, end = 2 * WHEEL, 4 * WHEEL
    for degrees, place, sides in (
        (0, (end + 12, middle), {"ha": "left", "va": "center"}),
        (90, (middle, -6), {"ha": "center", "va": "bottom"}),
        (180, (-12, middle), {"ha": "right", "va": "center"}),
        (270, (middle, end + 6), {"ha": "center", "va": "top"}),
    ):
        axes.text(*place, f"{degrees}°", size=7, **sides)
    axes.set_axis_off()
    axes.text(middle, end + 60, scale.label, size=8, ha="center", va="top")


def _draw_color_bar(whole: Any, axes: Any, scale: Scale) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    numbers, colors = Normalize(scale.low, scale.high), color_map(scale.kind)
    bar = whole.colorbar(ScalarMappable(numbers, colors), cax=axes, orientation="horizontal")
    middle = (scale.low + scale.high) / 2
    bar.set_ticks([scale.low, middle, scale.high])
    bar.set_ticklabels([f"{value:.3g}" for value in (scale.low, middle, scale.high)])
    axes.tick_params(labelsize=7, length=2, pad=1)
    bar.set_label(scale.label, size=8, labelpad=1)
    bar.outline.set_linewidth(0.4)


# ---- charts and matrices ------------------------------------------------------------------------


def save_charts(
    charts: Sequence[Chart], path: Path, look: Look = LOOK, *, force: bool = False
) -> Saved:
    """Write charts below each other as one figure; `path` and `look` as for `save_panels`.

    Four and more stand in two columns.
    """
    texts = [
        text
        for chart in charts
        for text in (
            chart.title,
            chart.x_label,
            chart.y_label,
            *(line.name for line in chart.lines),
        )
    ]
    with _drawing([look.title or "", *texts]) as fonts:
        height = round(320 * look.zoom)
        head = 34 if look.title else 0
        columns = 1 if len(charts) < 4 else 2
        rows = -(-len(charts) // columns)
        whole = _figure(round(680 * look.zoom) * columns, head + height * rows)
        whole.set_layout_engine("constrained", hspace=0.08)
        if look.title:
            whole.suptitle(fonts.shown(look.title), weight="bold")
        for axes, chart in zip(
            whole.subplots(rows, columns, squeeze=False).flat, charts, strict=False
        ):
            _draw_chart(axes, chart, fonts)
        return _write(whole, path, look, fonts, force=force)


def _draw_chart(axes: Any, chart: Chart, fonts: _Fonts) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

    lines = chart.drawn()
    for line in lines:
        _draw_line(axes, line, fonts)
    axes.set_title(fonts.shown(chart.title), loc="left")
    axes.set_xlabel(fonts.shown(chart.x_label))
    axes.set_ylabel(fonts.shown(chart.y_label))
    axes.grid(lw=0.4, color="#dddddd")
    for axis, scale, values in (
        (axes.xaxis, axes.set_xscale, [x for line in lines for x in line.x] * chart.log_x),
        (axes.yaxis, axes.set_yscale, [y for line in lines for y in line.y] * chart.log_y),
    ):
        if values:
            scale("log")
            places = log_places(math.log10(min(values)), math.log10(max(values)))
            axis.set_major_locator(FixedLocator(places))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    if not chart.log_x and all(x == round(x) for line in lines for x in line.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if chart.percent and not chart.log_y:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}%"))
    if chart.mark is not None and lines:
        place, words = chart.mark
        axes.axvline(place, color="#606068", ls=":", lw=1, label=fonts.shown(words))
    if lines:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def _draw_line(axes: Any, line: Line, fonts: _Fonts) -> None:
    color = PALETTE[line.color or 0]
    single = len(line.x) == 1 or not line.joined
    axes.plot(
        line.x, line.y, color=color,
        label="\n".join(fonts.wrapped(line.name, NAME_WIDE, CAPTION)) if line.labeled else "_",
        ls="none" if not line.joined else "--" if line.dashed else "-",
        lw=1.0 if line.dashed else 1.6,
        marker="o" if single or len(line.x) <= 12 else None, ms=4 if single else 3,
    )  # fmt: skip


def save_matrix(matrix: Matrix, path: Path, look: Look = LOOK, *, force: bool = False) -> Saved:
    """Write a confusion matrix with counts and shares; `path` and `look` as for `save_panels`."""
    from matplotlib.patches import Rectangle

    title = matrix.title if look.title is None else look.title
    with _drawing([title, *matrix.names]) as fonts:
        count = len(matrix.names)
        digits = max(len(f"{one:,}") for row in matrix.counts for one in row)
        cell = round(max(52, 8 * digits + 14) * look.zoom)
        names = [fonts.shown(name) for name in matrix.names]
        turned = 90 if max(map(len, names)) > 3 else 0
        longest = math.ceil(max(fonts.width(name, CAPTION) for name in names))
        margin, upper = longest + 40, (longest if turned else CAPTION) + 34
        lines = [
            (line, size)
            for text, size in ((title, HEADING), (NORMALIZED, CAPTION))
            for line in fonts.wrapped(text, margin + cell * count - GAP, size)
        ]
        head = GAP // 2 + upper + round(sum(size * LINE for _, size in lines))
        width, height = margin + cell * count + GAP, head + cell * count + GAP
        whole = _figure(width, height)
        axes = whole.add_axes(
            (margin / width, GAP / height, cell * count / width, cell * count / height)
        )
        for one in matrix.cells():
            corner = (one.column, one.row)
            axes.add_patch(Rectangle(corner, 1, 1, fc=one.color, ec="white", lw=1))
            for line, text in enumerate(one.texts):
                axes.text(
                    one.column + 0.5, one.row + 0.4 + 0.26 * line, text, ha="center", va="center",
                    color=one.ink, size=(10, 7.5)[line] * look.zoom**0.5,
                )  # fmt: skip
        axes.set_xlim(0, count)
        axes.set_ylim(count, 0)
        places = [place + 0.5 for place in range(count)]
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xticks(places, names, rotation=turned)
        axes.set_yticks(places, names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.xaxis.set_label_coords(0.5, 1 + (upper - 18) / (cell * count))
        axes.yaxis.set_label_coords((18 - margin) / (cell * count), 0.5)
        y: float = GAP / 2
        for text, size in lines:
            points = size * 72 / INCH
            whole.text(
                GAP / width, 1 - y / height, text, size=points, va="top", weight=_weight(size)
            )
            y += size * LINE
        return _write(whole, path, look, fonts, force=force)


# ---- other drawings -----------------------------------------------------------------------------


def save_drawing(
    draw: Callable[[Any], None],
    path: Path,
    look: Look = LOOK,
    *,
    size: tuple[int, int],
    texts: Iterable[str] = (),
    force: bool = False,
) -> Saved:
    """Write a figure that `draw` fills, given matplotlib's empty one.

    `path`, `look` and `force` are as for `save_panels`; `size` is width and height in pixels of the
    layout, `texts` what a user named, so that a font is found for it.
    """
    with _drawing([look.title or "", *texts]) as fonts:
        whole = _figure(*size)
        whole.set_layout_engine("constrained", w_pad=0.12, h_pad=0.08)
        draw(whole)
        return _write(whole, path, look, fonts, force=force)


# ---- letters and files --------------------------------------------------------------------------


def _figure(width: int, height: int) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width / INCH, height / INCH), dpi=INCH, facecolor="white")


@contextmanager
def _drawing(texts: Iterable[str | None]) -> Iterator[_Fonts]:
    """Yield the fonts for what is written, with matplotlib set up for our figures alone."""
    import matplotlib

    written = "".join(text for text in texts if text)
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)  # it tells of every weight that a font of the system lacks
    try:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(SETTINGS)
            fonts = _Fonts.of(printable(written))
            matplotlib.rcParams["font.family"] = list(fonts.families)
            yield fonts
    finally:
        log.setLevel(level)


@dataclass(frozen=True)
class _Fonts:
    """The fonts that have what is written.

    Attributes:
        families: their names, the usual one first.
        missing: characters that no font of this system has; their codes are written instead.
    """

    families: tuple[str, ...]
    missing: frozenset[str]

    @staticmethod
    def of(text: str) -> _Fonts:
        """Return the usual font, and others of the system for what it lacks."""
        from matplotlib.font_manager import findfont, fontManager

        families = ["DejaVu Sans"]
        wanted = {ord(letter) for letter in text if letter > "~"}
        wanted -= _letters(findfont(families[0]))
        files = {one.name: one.fname for one in fontManager.ttflist if one.style == "normal"}
        for name in sorted(files.keys() - {"Last Resort High-Efficiency"} if wanted else ()):
            if found := wanted & _letters(files[name]):
                families.append(name)
                wanted -= found
        return _Fonts(tuple(families), frozenset(map(chr, wanted)))

    def shown(self, text: str) -> str:
        """Return text as it can be written; with Hebrew or Arabic in it still from the left."""
        leftward = any(bidirectional(letter) in {"R", "AL"} for letter in text)
        return LEFT_TO_RIGHT * leftward + "".join(
            f"U+{ord(letter):04X}" if letter in self.missing else letter
            for letter in printable(text)
        )

    def width(self, text: str, size: int) -> float:
        """Return the pixels that a line of text takes."""
        from matplotlib.font_manager import FontProperties

        letters = FontProperties(
            size=size * 72 / INCH, family=list(self.families), weight=_weight(size)
        )
        measured: float = _ruler().get_text_width_height_descent(text, letters, ismath=False)[0]
        return measured

    def wrapped(self, text: str, room: int, size: int) -> list[str]:
        """Return text as lines that fit, broken between words, behind marks, or else anywhere."""
        lines: list[str] = []
        for part in self.shown(text).split(" "):
            word = part
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.width(longer, size) <= room:
                lines[-1] = longer
                continue
            while len(word) > 1 and self.width(word, size) > room:
                fits = next(
                    n for n in range(len(word) - 1, 0, -1)
                    if n == 1 or self.width(word[:n], size) <= room
                )  # fmt: skip
                fits = max(word.rfind(mark, 0, fits) for mark in ":,=/") + 1 or fits
                lines.append(word[:fits])
                word = word[fits:]
            lines.append(word)
        return lines

    def notes(self) -> tuple[str, ...]:
        if not self.missing:
            return ()
        told = ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in sorted(self.missing))
        return (f"No font here has {told}; the code is written in its place.",)


def _weight(size: int) -> str:
    """Return how thick letters of a size are: headings stand out."""
    return "bold" if size > CAPTION else "normal"


@cache
def _letters(file: str) -> frozenset[int]:
    """Return the characters that a font has."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):  # a broken font of the system
        return frozenset()


@cache
def _ruler() -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, INCH)


def _write(
    whole: Any,
    path: Path,
    look: Look,
    fonts: _Fonts,
    *,
    force: bool = False,
    inputs: Iterable[Path] = (),
) -> Saved:
    """Write a figure as its file's ending says; the same figure gives the same bytes."""
    kind = path.suffix.lower().removeprefix(".")
    width, height = (round(inches * look.dpi) for inches in whole.get_size_inches().tolist())
    if kind in {"png", "svg", "pdf"}:
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
        with new_file(path, force=force, inputs=inputs) as temporary:
            whole.savefig(temporary, format=kind, dpi=look.dpi, metadata=undated)
    else:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from convcli.imaging.formats import write_picture

        whole.set_dpi(look.dpi)
        canvas = FigureCanvasAgg(whole)
        canvas.draw()
        pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
        write_picture(path, Picture((Frame(pixels),)), force=force)
    return Saved(path, width, height, fonts.notes())
