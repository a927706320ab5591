"""Figure files: every form in every format, looked at by other readers than matplotlib."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from convcli.errors import OutputExistsError
from convcli.kernels import find
from convcli.present.figures import _Fonts, save_charts, save_matrix, save_panels
from convcli.present.look import SUFFIXES, Look
from convcli.present.panels import Panel, Scale
from convcli.present.surfaces import save_kernel
from convcli.report.chart import Chart, Line, Matrix
from tests.present.layouts import written

RAMP = np.linspace(-1, 1, 12).reshape(3, 4)
PANELS = [
    Panel("one: -1 to 1", RAMP, "Kernels", Scale.of(RAMP, "weight")),
    Panel("two", RAMP[::-1], scale=Scale.of(RAMP, "weight")),
    Panel("units", np.array([1.0, -2.0, 3.0]), "A vector", form="bars"),
    Panel("", np.array([0.7, 0.3]), "Answers", form="bars", names=("cat", "dog"), text="{:.1%}"),
    Panel("two channels", np.random.default_rng(0).random((20, 2)), "A series", form="lines"),
    Panel("a field", np.zeros((8, 8, 3), np.uint8), "Field", box=(2, 3, 4, 4), ticks=True),
]
CHART = Chart(
    "Loss",
    (Line("training", (1, 2, 3), (3.0, 1.0, 0.5)), Line("validation", (1, 2, 3), (3.1, 1.5, 1.2))),
    "epoch",
    "loss",
    mark=(2, "best epoch 2"),
    log_y=True,
)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def svg_texts(path: Path) -> str:
    root = ElementTree.parse(path).getroot()  # noqa: S314  (our own file)
    return "\n".join(
        "".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_form_in_every_format(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"figure{suffix}"
    saved = save_panels(PANELS, path, title="All of them", panel_width=80)
    assert saved.path == path
    begins = path.read_bytes()[:5]
    if suffix == ".pdf":
        assert begins == b"%PDF-"
    elif suffix == ".svg":
        told = svg_texts(path)
        for text in ("All of them", "Kernels", "weight", "cat", "70.0%", "two channels"):
            assert text in told
        assert "-1" in told.replace("\N{MINUS SIGN}", "-")  # at the color bar
    else:
        assert pixels(path).shape[:2] == (saved.height, saved.width)
    with pytest.raises(OutputExistsError):
        save_panels(PANELS, path)


def test_cells_are_enlarged_whole_and_have_their_scale_s_colors(tmp_path: Path) -> None:
    values = np.array([[0.0, 1.0], [-1.0, 0.5]])
    scale = Scale.of(values, "weight")
    save_panels([Panel("", values, scale=scale)], tmp_path / "a.png", panel_width=40)
    ref = scale.colors(values).repeat(20, axis=0).repeat(20, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(pixels(tmp_path / "a.png"), ref.shape)
    assert (windows == ref).all(axis=(-1, -2, -3)).any()


def test_dpi_and_zoom_make_a_figure_larger_and_the_title_may_be_another(tmp_path: Path) -> None:
    sizes = {}
    for name, look in {
        "plain": Look(),
        "fine": Look(dpi=200),
        "large": Look(zoom=2.0, title="Other words"),
    }.items():
        saved = save_panels(PANELS[:2], tmp_path / f"{name}.svg", look, title="Usual words")
        save_panels(PANELS[:2], tmp_path / f"{name}.png", look, title="Usual words")
        assert pixels(tmp_path / f"{name}.png").shape[:2] == (saved.height, saved.width)
        sizes[name] = saved.width
    assert sizes["fine"] == 2 * sizes["plain"]
    assert sizes["large"] > 1.3 * sizes["plain"]
    assert "Other words" in svg_texts(tmp_path / "large.svg")
    assert "Usual words" not in svg_texts(tmp_path / "large.svg")


def test_the_same_figure_has_the_same_bytes(tmp_path: Path) -> None:
    for suffix in (".png", ".svg", ".pdf"):
        one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
        for path in (one, other):
            save_panels(PANELS, path)
        assert one.read_bytes() == other.read_bytes()


def test_long_captions_are_wrapped_and_never_cut(tmp_path: Path) -> None:
    caption = "predicted " + "a-very-long-name-of-a-class" * 3 + " with 99.9% probability"
    panel = Panel(caption, np.zeros((4, 4), np.uint8))
    save_panels([panel] * 3, tmp_path / "a.svg", panel_width=120)
    told = svg_texts(tmp_path / "a.svg")
    assert re.sub(r"\s", "", told).count(caption.replace(" ", "")) == 3


def test_letters_that_no_font_has_are_told_by_their_code_once(tmp_path: Path) -> None:
    panels = [Panel("ä → \U000f1234", np.zeros((2, 2), np.uint8))] * 2
    saved = save_panels(panels, tmp_path / "a.svg", title="$x_1$ \x1b[31m")
    told = svg_texts(tmp_path / "a.svg")
    assert "ä → U+F1234" in told
    assert "$x_1$ \\u001b[31m" in told
    (note,) = saved.notes
    assert "U+F1234" in note
    assert save_panels(PANELS, tmp_path / "b.svg").notes == ()


def test_charts_have_their_axes_lines_and_mark(tmp_path: Path) -> None:
    save_charts([CHART, CHART], tmp_path / "a.svg", Look(title="Two"))
    told = svg_texts(tmp_path / "a.svg").replace("\N{MINUS SIGN}", "-")
    for text in ("Two", "Loss", "epoch", "loss", "training", "validation", "best epoch 2"):
        assert text in told
    assert {"0.5", "1", "2"} <= set(told.splitlines())  # a logarithmic scale, numbered 1, 2, 5
    dots = Chart("t", (Line("net", (1e3, 1e5), (0.5, 0.9), joined=False),), "x", "y", log_x=True)
    save_charts([dots], tmp_path / "b.svg")
    assert {"1000", "10000", "100000"} <= set(svg_texts(tmp_path / "b.svg").splitlines())


def test_a_matrix_has_every_count_and_share(tmp_path: Path) -> None:
    matrix = Matrix("m: 75.00% of 8 right", [[3, 1], [0, 4]], ["cat", "long name of a dog"])
    save_matrix(matrix, tmp_path / "a.svg")
    told = set(svg_texts(tmp_path / "a.svg").splitlines())
    assert {"3", "75.0%", "1", "25.0%", "4", "100%", "cat", "long name of a dog"} <= told
    saved = save_matrix(matrix, tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").shape[:2] == (saved.height, saved.width)


def test_directions_have_a_wheel_and_hues_of_one_lightness(tmp_path: Path) -> None:
    scale = Scale("direction", 0.0, 360.0, "where it points")
    hues = scale.colors(np.arange(0.0, 361.0, 22.5))
    assert hues[0].tolist() == hues[-1].tolist()
    lab = pytest.importorskip("skimage.color", reason="an oracle for lightness").rgb2lab(hues / 255)
    assert np.ptp(lab[:, 0]) < 6  # of 100
    turns = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert turns.max() < 2.2 * turns.min()
    save_panels([Panel("east", hues[:1, None], scale=scale)], tmp_path / "a.svg", panel_width=40)
    told = svg_texts(tmp_path / "a.svg")
    for text in ("0°", "90°", "180°", "270°", "where it points"):
        assert text in told
    save_panels([Panel("east", hues[:1, None], scale=scale)], tmp_path / "a.png", panel_width=40)
    drawn = pixels(tmp_path / "a.png")
    for hue in hues[[4, 8, 12]].astype(int):  # up, left and down stand on the wheel
        assert np.abs(drawn - hue).sum(axis=-1).min() < 16


def test_a_long_word_breaks_behind_a_mark() -> None:
    fonts = _Fonts.of("")
    room = int(fonts.width("gabor:angle=3", 12)) + 1
    assert fonts.wrapped("gabor:angle=30,phase=90", room, 12)[0] == "gabor:angle="
    assert "".join(fonts.wrapped("gabor:angle=30,phase=90", room, 12)) == "gabor:angle=30,phase=90"
    assert fonts.wrapped("abcdefghijkl", int(fonts.width("abcdef", 12)) + 1, 12)[0] == "abcdef"


LONG = "Straße und noch eine sehr lange Klasse"


@pytest.mark.parametrize("zoom", [1.0, 2.0])
def test_nothing_is_cut_and_nothing_lies_over_anything(zoom: float, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    waves = random.normal(size=(30, 9)).cumsum(axis=0)
    sensors = tuple(f"body_acceleration_{n}" for n in range(9))
    panels = [
        *PANELS,
        *(Panel("", waves, f"walking {n}", form="lines", names=sensors) for n in range(3)),
        Panel("", waves.repeat(3, axis=1), form="lines"),
        Panel("3 units", waves[0, :3], form="bars"),
        Panel("", np.array([9.0, -0.1, 0.0]), form="bars", names=(LONG, "b", "c")),
        Panel("", np.array([-3.0, -0.1]), form="bars", names=("b", "c"), text="{:.4f}"),
        Panel("under a picture that is wider than high", np.zeros((3, 9)), LONG * 4),
    ]
    look = Look(zoom=zoom)
    with written() as texts:
        save_panels(panels, tmp_path / "p.png", look, title=LONG * 3, panel_width=80)
        assert len(texts.boxes) > 100
        assert texts.unreadable() == []
        lines = tuple(Line(f"{LONG} {n}", (1, 2), (0.6 + n, 1.9)) for n in range(4))
        charts = [CHART, Chart("Many lines", lines, "epoch", "loss", log_y=True)]
        save_charts(charts, tmp_path / "c.png", look)
        assert texts.unreadable() == []
        for names in (["ä → 猫", LONG, "c"], ["0", "1", "2"]):
            matrix = Matrix(f"{LONG}: 99.00% of 600 right", np.eye(3, dtype=int).tolist(), names)
            save_matrix(matrix, tmp_path / "m.png", look, force=True)
            assert texts.unreadable() == []


def test_text_from_the_right_does_not_turn_a_caption_round(tmp_path: Path) -> None:
    save_panels([Panel("حب, predicted ä", np.zeros((2, 2)))], tmp_path / "a.svg")
    assert "\u200eحب, predicted ä" in svg_texts(tmp_path / "a.svg")


def test_a_kernel_s_figure_has_numbers_for_its_colors(tmp_path: Path) -> None:
    with written() as texts:
        save_kernel(find("sobel"), tmp_path / "a.png")
        told = [text for text, _ in texts.boxes]
        assert texts.unreadable() == []
    assert told.count("gain") == 4  # of the color bars, and of the cuts
    assert told.count("weight") == 2
