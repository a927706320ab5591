"""Panels: their colors, and how they look in a terminal, with color and without."""

from __future__ import annotations

import re

import numpy as np
import pytest

from convcli.present.panels import SHADES, Panel, Scale, draw_panels, over

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

PANELS = [
    Panel(
        f"number {index}\nsecond line",
        np.full((9, 7), 20 * index, np.uint8),
        "group" * (index == 6),
    )
    for index in range(12)
]


@pytest.mark.parametrize("columns", [20, 80, 200])
@pytest.mark.parametrize("color", [True, False])
def test_lines_fit_the_window(columns: int, color: bool) -> None:
    drawn = draw_panels(PANELS, columns=columns, rows=24, color=color, title="title " * 50)
    plain = ESCAPES.sub("", drawn)
    assert max(map(len, plain.splitlines())) <= columns
    assert ("\x1b" in drawn) == color
    assert all(f"number {index}" in plain for index in range(12))
    assert plain.count("second line") == 12
    assert "\ngroup\n" in plain


def test_a_wide_window_has_more_panels_a_line() -> None:
    narrow, wide = (
        len(draw_panels(PANELS, columns=columns, rows=24, color=False).splitlines())
        for columns in (40, 120)
    )
    assert wide < narrow


def test_shades_follow_the_light_and_small_pictures_are_enlarged_whole() -> None:
    ramp = np.repeat(np.linspace(0, 255, len(SHADES)).astype(np.uint8)[None], 2, axis=0)
    drawn = draw_panels([Panel("ramp", ramp)], columns=20, rows=24, color=False)
    ref = "".join(2 * shade for shade in SHADES)
    assert drawn.splitlines()[0].rstrip() == ref.rstrip()


def test_colors_are_those_of_the_picture() -> None:
    red_over_blue = np.array([[[200, 10, 20]], [[1, 2, 250]]], np.uint8)
    drawn = draw_panels([Panel("", red_over_blue)], columns=1, rows=8, color=True)
    assert "38;2;200;10;20;48;2;1;2;250" in drawn


def test_a_scale_is_told_once_for_all_rows_that_share_it() -> None:
    scale = Scale("signed", -2.0, 2.0, "weight")
    kernels = [Panel(str(n), np.eye(3), scale=scale) for n in range(9)]
    drawn = draw_panels(kernels, columns=40, rows=24, color=False)
    assert drawn.count("-2 to 2 weight") == 1
    others = [Panel("", np.eye(3), "Layer", scale), Panel("", np.eye(3), "Next", scale)]
    assert draw_panels(others, columns=40, rows=24, color=False).count("-2 to 2 weight") == 2


def test_a_large_picture_is_reduced_to_the_window() -> None:
    large = Panel("", np.full((400, 1000), 255, np.uint8))
    lines = draw_panels([large], columns=80, rows=24, color=False).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24
    assert "@" * 70 in lines[0]


def test_colors_are_matplotlib_s_but_for_a_white_zero() -> None:
    colormaps = pytest.importorskip("matplotlib").colormaps
    values = np.linspace(0, 1, 101)
    ref = np.rint(255 * colormaps["inferno"](values)[:, :3])
    got = Scale("magnitude", 0.0, 1.0).colors(values)
    assert np.abs(got - ref).max() <= 8
    signed = Scale.of(np.array([-2.0, 1.0]))
    assert (signed.kind, signed.low, signed.high) == ("signed", -2.0, 2.0)
    assert signed.colors(np.zeros(1)).tolist() == [[255, 255, 255]]
    ref = np.rint(255 * colormaps["RdBu_r"](values)[:, :3])
    got = Scale("signed", 0.0, 1.0).colors(values)
    assert np.abs(got - ref)[np.abs(values - 0.5) > 0.07].max() <= 8


def test_magnitudes_grow_lighter() -> None:
    colors = Scale("magnitude", 0.0, 1.0).colors(np.linspace(0, 1, 50))
    light = colors @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) > 0).all()


def test_an_overlay_is_clear_where_there_is_nothing() -> None:
    picture = np.full((1, 3), 100, np.uint8)
    drawn = over(picture, np.array([[0.0, -1.0, 1.0]]), Scale("signed", -1.0, 1.0), strength=1.0)
    assert drawn[0, 0].tolist() == [60, 60, 60]
    blue, red = drawn[0, 1].tolist(), drawn[0, 2].tolist()
    assert blue[2] > blue[0]
    assert red[0] > red[2]


def test_vectors_are_bars_about_a_line_and_names_stand_beside_theirs() -> None:
    bars = Panel("", np.array([2.0, -1.0, 0.0]), form="bars")
    pixels = bars.pixels
    filled = (pixels != 255).any(axis=2)
    assert filled[:, 0].sum() > filled[:, 2].sum() > 2
    assert filled[:, 4].sum() == 1  # nothing but the zero line
    named = Panel("", np.array([0.75, 0.25]), form="bars", names=("cat", "dog"), text="{:.1%}")
    first, second, *_ = draw_panels([named], columns=40, rows=20, color=False).splitlines()
    assert first.startswith("cat │")
    assert first.endswith("75.0%")
    assert first.count("█") == pytest.approx(3 * second.count("█"), abs=1)


def test_series_are_lines_from_their_first_to_their_last_value() -> None:
    series = np.stack([np.linspace(0, 1, 30), np.linspace(1, 0, 30)], axis=1)
    pixels = Panel("", series, form="lines").pixels
    drawn = (pixels != 255).any(axis=2)
    assert drawn[0, 0]
    assert drawn[-1, 0]
    assert drawn[:, 15].any()
    assert drawn.any(axis=0).all()


def test_a_window_is_framed() -> None:
    panel = Panel("", np.zeros((6, 6), np.uint8), box=(1, 2, 3, 3))
    drawn = draw_panels([panel], columns=6, rows=9, color=True)
    assert "0;160;70" in drawn
