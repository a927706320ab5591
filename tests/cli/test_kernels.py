"""`convcli kernels` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from convcli.imaging.sheet import filtered, read_small, rise
from convcli.kernels import Magnitude, all_kernels, find
from convcli.present.kernels import sheet_panels
from convcli.report import STYLES

Capture = pytest.CaptureFixture[str]


def output(capfd: Capture, *words: str) -> str:
    assert run(["kernels", *words]) == 0
    return capfd.readouterr().out


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", [None, "sobel-x", "sobel", "gaussian:sigma=2"])
def test_every_format_prints_within_80_columns(
    style: str, name: str | None, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = output(capfd, *([name] if name else []), "--format", style)
    assert (name or "laplacian-7x7") in said
    if style in {"plain", "table"}:
        assert max(map(len, said.splitlines())) <= 80


def test_the_list_names_every_kernel_with_its_figures(capfd: Capture) -> None:
    got = json.loads(output(capfd, "--format", "json"))
    assert [kernel.name for kernel in all_kernels()] == [one["name"] for one in got]
    sobel_x = next(one for one in got if one["name"] == "sobel-x")
    assert sobel_x["rows"] == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert (sobel_x["column"], sobel_x["row"], sobel_x["rank"]) == ([1, 2, 1], [-1, 0, 1], 1)
    table = output(capfd, "--format", "csv").partition("\n\n")[0]
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == len(got)
    box = next(row for row in rows if row["name"] == "box-3")
    assert (box["group"], box["size"], float(box["sum"])) == ("smooth", "3x3", 1.0)
    assert "mean" in box["aliases"].split()


def test_each_table_of_a_kernel_is_one_of_its_own(capfd: Capture) -> None:
    matrix = list(
        csv.reader(io.StringIO(output(capfd, "sobel-x", "--format", "csv", "--table", "sobel-x")))
    )
    assert [list(map(float, row)) for row in matrix[1:]] == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    facts = list(csv.reader(io.StringIO(output(capfd, "sobel-x", "--format", "csv"))))
    assert ["rank", "1: separable, runs as two passes"] in facts
    assert {len(row) for row in facts} == {2}
    families = list(
        csv.DictReader(io.StringIO(output(capfd, "--format", "csv", "--table", "families")))
    )
    assert "gaussian" in {row["family"] for row in families}


def test_one_kernel_is_shown_in_full(capfd: Capture) -> None:
    said = output(capfd, "sobel-x")
    for text in ("-2  0  2", "sum", "rank", "odd left-right", "scipy", "cv2.filter2D", "Correlate"):
        assert text in said
    got = json.loads(output(capfd, "gaussian", "--format", "json"))
    assert (got["name"], got["divisor"], got["smoothing"]) == ("gaussian-3", 16, True)
    assert set(got["calls"]) == {"scipy", "OpenCV", "ImageMagick", "Pillow"}
    pair = json.loads(output(capfd, "scharr", "--format", "json"))
    assert [part["name"] for part in pair["components"]] == ["scharr-x", "scharr-y"]


@pytest.mark.parametrize("name", ["gaussian:sigma=2", "sobel", "gabor"])
def test_csv_has_every_fact_on_a_row_and_every_weight_in_a_cell(name: str, capfd: Capture) -> None:
    rows = list(csv.reader(io.StringIO(output(capfd, name, "--format", "csv"))))
    assert all(row[0] for row in rows), "no fact goes on without a name"
    kernel = find(name)
    for part in kernel.components if isinstance(kernel, Magnitude) else (kernel,):
        table = output(capfd, name, "--format", "csv", "--table", part.name)
        header, *got = csv.reader(io.StringIO(table))
        assert header[0] == f"{part.name} 0"
        np.testing.assert_array_equal(np.array(part.rows), np.array(got, float))


def test_latex_has_the_matrix(capfd: Capture) -> None:
    said = output(capfd, "sobel-x", "--format", "latex")
    assert r"-2 & 0 & 2 \\" in said
    assert r"\begin{tabular}{}" not in said
    assert "cv2.filter2D" in said


def test_rows_and_families_are_kernels_too(capfd: Capture) -> None:
    assert "rank" in output(capfd, "1 0 -1; 1 0 -1; 1 0 -1")
    said = output(capfd, "gabor")
    assert "wavelength" in said
    assert "1021x1021" in output(capfd, "unsharp:sigma=1,radius=510")


def test_a_kernel_that_begins_with_a_minus_follows_two_dashes(capfd: Capture) -> None:
    assert "1x3" in output(capfd, "--", "-1 0 1")


def test_a_group_and_a_word_choose(capfd: Capture) -> None:
    lines = output(capfd, "--group", "line").splitlines()
    assert lines[0] == "4 kernels"
    assert "line-slash" in output(capfd, "--search", "rises")
    assert output(capfd, "--search", "ROBINSON", "--group", "gradient").startswith("2 kernels")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sobl-x"], "Did you mean sobel-x"),
        (["--group", "smoth"], "Did you mean smooth?"),
        (["--search", "qqqq"], "no kernel mentions 'qqqq'"),
        (["sobel-x", "--group", "line"], "--group only means something without NAME"),
        (["-o", "x.png"], "only means something with NAME or --sheet PICTURE"),
        (["--sheet", "photo.png"], "-o SHEET.png"),
        (["1 2; 3"], "row 2 has 1 number, row 1 has 2"),
    ],
)
def test_wrong_usage_has_a_sentence_and_code_2(words: list[str], said: str, capfd: Capture) -> None:
    assert run(["kernels", *words]) == 2
    assert said in capfd.readouterr().err


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    levels = np.add.outer(np.arange(60), 2 * np.arange(80)).astype(np.uint8)
    Image.fromarray(levels).save(path)
    return path


def test_a_sheet_shows_every_kernel_of_a_group(photo: Path, tmp_path: Path, capfd: Capture) -> None:
    sheet = tmp_path / "sheet.png"
    words = ["kernels", "--group", "line", "--sheet", str(photo), "-o", str(sheet)]
    assert run(words) == 0
    assert "4 kernels" in capfd.readouterr().err
    with Image.open(sheet) as picture:
        assert picture.width > 4 * 176  # a row of the four; the original stands above
    assert run(words) == 4
    assert "--force" in capfd.readouterr().err
    assert run([*words, "--force", "--quiet"]) == 0
    assert capfd.readouterr().err == ""


def test_behind_a_magnitude_stands_its_direction() -> None:
    x, y = np.meshgrid(np.arange(40), np.arange(40))
    hill = (250 - 6 * np.hypot(x - 20, y - 20)).astype(np.uint8)
    original, strength, direction = sheet_panels(hill, [find("scharr")])
    assert original.values.shape == strength.values.shape == direction.values.shape[:2]
    degrees, _ = rise(hill, find("scharr"))
    for (row, column), way in {(20, 8): 0, (32, 20): 90, (20, 32): 180, (8, 20): 270}.items():
        assert abs((degrees[row, column] - way + 180) % 360 - 180) < 3  # uphill
    turned, _ = rise(hill, find("roberts"))  # its components run along the diagonals
    assert np.median(np.abs((turned - degrees + 180) % 360 - 180)[5:-5, 5:-5]) < 6


def test_a_sheet_of_one_kernel_shows_what_the_kernel_does(photo: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert run(["kernels", "shift-down", "--sheet", str(photo), "-o", str(sheet), "--quiet"]) == 0
    with Image.open(sheet) as picture:
        got = np.asarray(picture.convert("L"))
    small = read_small(photo)
    under = np.vstack([small[:1], small[:-1]])  # each row is the one above it, the first repeats
    ref = np.kron(under, np.ones((2, 2), np.uint8))  # 80 pixels wide in a cell of 176: doubled
    windows = np.lib.stride_tricks.sliding_window_view(got, ref.shape)
    assert (windows == ref).all(axis=(2, 3)).any()


def test_edges_are_stretched_to_be_seen_and_means_keep_their_scale() -> None:
    ramp = np.tile(np.arange(60, dtype=np.uint8), (40, 1))
    assert (filtered(ramp, find("sobel-x"))[:, 1:-1] == 255).all()
    assert (filtered(ramp, find("prewitt"))[:, 1:-1] == 255).all()
    np.testing.assert_array_equal(ramp[:, 1:-1], filtered(ramp, find("box"))[:, 1:-1])
    colored = np.dstack([ramp, ramp[::-1], ramp // 2])
    np.testing.assert_array_equal(colored, filtered(colored, find("identity")))


@pytest.mark.parametrize(
    ("name", "content", "said", "code"),
    [
        ("none.png", None, "none.png: there is no such file", 3),
        ("text.png", b"no picture", "text.png: not a picture that can be read", 3),
        ("empty.png", b"", "empty.png: the file is empty", 3),
    ],
)
def test_a_bad_picture_has_a_sentence(
    name: str, content: bytes | None, said: str, code: int, tmp_path: Path, capfd: Capture
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    sheet = tmp_path / "sheet.png"
    assert run(["kernels", "--sheet", str(path), "-o", str(sheet)]) == code
    assert said in capfd.readouterr().err
    assert not sheet.exists()


def test_a_sheet_needs_a_known_suffix_and_never_replaces_its_picture(
    photo: Path, tmp_path: Path, capfd: Capture
) -> None:
    words = ["kernels", "--group", "line", "--sheet", str(photo), "-o"]
    assert run([*words, str(tmp_path / "sheet.xyz")]) == 2
    assert "written as .png or .svg" in capfd.readouterr().err
    assert run([*words, str(photo), "--force"]) == 2
    assert "is an input" in capfd.readouterr().err


@pytest.mark.parametrize("mode", ["I;16", "F", "RGBA", "P", "1", "RGB", "LA"])
def test_pictures_of_every_kind_are_read_as_gray_levels(mode: str, tmp_path: Path) -> None:
    levels = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (16, 1))
    picture = Image.fromarray(levels)
    if mode == "I;16":
        picture = Image.fromarray(levels.astype(np.uint16) * 257)
    elif mode == "F":
        picture = Image.fromarray(levels.astype(np.float32) * 3)
    else:
        picture = picture.convert(mode)
    path = tmp_path / ("picture.tif" if mode == "F" else "picture.png")
    picture.save(path)
    got = read_small(path)
    assert (got.shape, got.dtype) == ((16, 64), np.uint8)
    limit = 255 if mode == "1" else 3
    assert np.abs(levels.astype(int) - got.astype(int)).max() <= limit
    assert got[0, 0] == 0
    assert got[0, -1] == 255


def test_a_chain_by_k_is_printed_as_the_one_kernel_it_equals(capfd: Capture) -> None:
    got = json.loads(output(capfd, "-k", "1 2 1", "-k", "-1 0 1", "--format", "json"))
    assert got["rows"] == [[-1, -2, 0, 2, 1]]
    assert run(["kernels", "-k", "sobel", "-k", "box"]) == 2
    assert "sobel is a magnitude: such a chain is no one kernel" in capfd.readouterr().err


def test_a_matrix_of_nine_columns_fits_80(capfd: Capture) -> None:
    assert run(["kernels", "gaussian:sigma=1"]) == 0
    said = capfd.readouterr().out.splitlines()
    rows = said[said.index("Matrix of gaussian:sigma=1") + 1 :][:9]
    assert [len(row.split()) for row in rows] == [9] * 9
    assert max(map(len, rows)) <= 80
    assert rows[4].split()[4] == "0.16"  # 1 / (2 pi), to as many digits as there is room for
