"""`convcli filter` as a user meets it: files in, files out, words on the screen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run

# The lecture's first example: a 6x6 picture and the vertical edge kernel.
LECTURE = "3 0 1 2 7 4\n1 5 8 9 3 1\n2 7 2 5 1 3\n0 1 3 1 7 8\n4 2 1 6 2 8\n2 4 5 2 3 9\n"
VERTICAL = "1 0 -1; 1 0 -1; 1 0 -1"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A small color picture with noise and an edge."""
    pixels = np.random.default_rng(7).integers(0, 40, (24, 31, 3)).astype(np.uint8)
    pixels[:, 15:] += 180
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    path = tmp_path / "lecture.txt"
    path.write_text(LECTURE)
    return path


def test_sobel_on_a_picture_writes_beside_it_and_reports(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["filter", str(picture), "-k", "sobel", "--format", "json"]) == 0
    (got,) = json.loads(capsys.readouterr().out)
    target = picture.with_name("photo_sobel.png")
    assert (got["input"], got["output"]) == (str(picture), str(target))
    assert (got["kernel"], got["shape"], got["dtype"]) == ("sobel", [24, 31, 3], "uint8")
    ndimage = pytest.importorskip("scipy.ndimage", reason="the oracle for filters")
    planes = np.moveaxis(np.asarray(Image.open(picture)).astype(float), 2, 0)
    ref = np.dstack(
        [np.hypot(ndimage.sobel(plane, axis=1), ndimage.sobel(plane, axis=0)) for plane in planes]
    )
    assert np.array_equal(np.rint(ref).clip(0, 255), np.asarray(Image.open(target)))
    assert got["max"] == pytest.approx(ref.max(), rel=1e-6)
    assert (got["below"], got["above"], got["range"]) == (0, int((np.rint(ref) > 255).sum()), "abs")


def test_the_lecture_matrix_is_printed(matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ref = [[-5, -4, 0, 8], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]]
    words = ["filter", str(matrix), "-k", VERTICAL, "--padding", "valid"]
    assert run([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"shape": [4, 4], "values": ref}
    assert run(words) == 0
    plain = capsys.readouterr().out
    assert [[int(word) for word in line.split()] for line in plain.splitlines()] == ref


def test_the_first_sum_is_spelled_out(matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["filter", str(matrix), "-k", VERTICAL, "--padding", "valid", "--explain", "0,0"]
    assert run([*words, "--format", "json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert (got["row"], got["col"], got["channel"], got["sum"]) == (0, 0, None, -5)
    terms = got["components"][0]["terms"]
    assert [term["product"] for term in terms] == [3, 0, -1, 1, 0, -8, 2, 0, -2]
    assert terms[5]["from"] == [1, 2]
    assert run(words) == 0
    assert "-5" in capsys.readouterr().out


def test_cells_beyond_the_edge_name_their_rule(
    matrix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["filter", str(matrix), "-k", "1 1 1", "--explain", "0,0", "--border"]
    assert run([*words, "mirror"]) == 0
    assert "0,1 (mirror)" in capsys.readouterr().out
    assert run([*words, "constant:4", "--format", "json"]) == 0
    first = json.loads(capsys.readouterr().out)["components"][0]["terms"][0]
    assert (first["value"], first["from"]) == (4, None)


def test_explain_on_colors_has_a_component_a_channel(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["filter", str(picture), "-k", "sobel", "--explain", "3,4", "--format", "json"]) == 0
    got = json.loads(capsys.readouterr().out)
    names = [part["name"] for part in got["components"]]
    assert names[:3] == ["red sobel-x", "red sobel-y", "green sobel-x"]
    assert [channel["name"] for channel in got["channels"]] == ["red", "green", "blue"]


def test_the_binary_picture_of_the_lecture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "binary.csv"
    path.write_text("1,1,1,0,0\n0,1,1,1,0\n0,0,1,1,1\n0,0,1,1,0\n0,1,1,0,0\n")
    assert run(["filter", str(path), "-k", "1 0 1; 0 1 0; 1 0 1", "--padding", "valid"]) == 0
    assert capsys.readouterr().out.split()[0] == "4"


def test_pooling_of_the_lecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "slide.txt"
    path.write_text("2 3 1 9\n4 7 3 5\n8 2 2 2\n1 3 4 5\n")
    assert run(["pool", str(path), "--max", "2", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["values"] == [[7, 9], [8, 5]]
    assert run(["pool", str(path), "--avg", "2", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "4,4.5\n3.5,3.25\n"
    assert run(["pool", str(path), "--max", "2", "--avg", "2"]) == 2
    assert "one of --max K and --avg K" in capsys.readouterr().err


def test_pooling_a_picture(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pool", str(picture), "--max", "3", "--stride", "2", "--format", "json"]) == 0
    (got,) = json.loads(capsys.readouterr().out)
    assert got["shape"] == [11, 15, 3]
    assert got["output"].endswith("photo_maxpool3-s2.png")


def test_default_names(picture: Path) -> None:
    def made(*words: str) -> set[str]:
        before = set(picture.parent.iterdir())
        assert run(["filter", str(picture), *words, "--quiet"]) == 0
        return {path.name for path in set(picture.parent.iterdir()) - before}

    assert made("-k", "gaussian:sigma=2") == {"photo_gaussian-sigma2.png"}
    assert made("-k", "1 1; 1 1") == {"photo_custom.png"}
    assert made("-k", "box", "-k", "sobel-x") == {"photo_box-3_sobel-x.png"}
    assert made("-k", "sobel", "--range", "raw") == {"photo_sobel.npy"}


@pytest.mark.parametrize(
    "words",
    [
        ["--convolve"],
        ["--correlate"],
        ["--border", "zero"],
        ["--padding", "full"],
        ["--stride", "2"],
        ["--dilation", "3"],
        ["--divisor", "3"],
        ["--offset", "20"],
        ["--normalize"],
        ["--range", "stretch"],
        ["--gray"],
        ["--engine", "numpy"],
        ["--threads", "1"],
    ],
)
def test_options_reach_the_filter(picture: Path, words: list[str]) -> None:
    """The file holds what the Python call gives with the option of the same name."""
    import convcli

    spelled = {
        "--convolve": {"convolve": True},
        "--correlate": {},
        "--normalize": {"normalize": True},
        "--gray": {"gray": True},
        "--range": {"value_range": words[-1]},
    }
    value = int(words[-1]) if words[-1].isdigit() else words[-1]
    choices = spelled.get(words[0], {words[0].removeprefix("--"): value})
    target = picture.with_name("out.png")
    assert run(["filter", str(picture), "-k", "1 2 0; 0 1 0", "-o", str(target), *words]) == 0
    ref = convcli.filter_image(np.asarray(Image.open(picture)), "1 2 0; 0 1 0", **choices)
    assert np.array_equal(ref, np.asarray(Image.open(target)))


@pytest.mark.parametrize("words", [["--magnitude", "l1"], ["--gradient", "both"]])
def test_gradient_options_reach_the_filter(picture: Path, words: list[str]) -> None:
    import convcli

    target = picture.with_name("out.png")
    assert run(["filter", str(picture), "-k", "scharr", "-o", str(target), *words]) == 0
    choices = {words[0].removeprefix("--"): words[1]}
    ref = convcli.filter_image(np.asarray(Image.open(picture)), "scharr", **choices)
    assert np.array_equal(ref, np.asarray(Image.open(target)))


@pytest.mark.parametrize("policy", ["keep", "filter", "premultiply"])
def test_alpha_reaches_the_filter(tmp_path: Path, policy: str) -> None:
    import convcli

    pixels = np.random.default_rng(1).integers(0, 256, (9, 8, 4)).astype(np.uint8)
    path, target = tmp_path / "in.png", tmp_path / "out.png"
    Image.fromarray(pixels).save(path)
    assert run(["filter", str(path), "-k", "box", "-o", str(target), "--alpha", policy]) == 0
    ref = convcli.filter_image(pixels, "box", alpha=policy)
    assert np.array_equal(ref, np.asarray(Image.open(target)))


def test_several_inputs_a_directory_and_a_pattern(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = picture.parent / "in", picture.parent / "out"
    (folder / "deep").mkdir(parents=True)
    out.mkdir()
    for name in ("a.png", "deep/b.png", "deep/a.png"):
        (folder / name).write_bytes(picture.read_bytes())
    words = ["-k", "box", "-o", str(out), "--format", "json"]
    assert run(["filter", str(folder), "--recursive", *words]) == 0
    names = [Path(one["output"]).relative_to(out) for one in json.loads(capsys.readouterr().out)]
    assert [str(name) for name in names] == ["a_box-3.png", "deep/a_box-3.png", "deep/b_box-3.png"]
    assert run(["filter", str(folder / "deep" / "*.png"), *words, "--force"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_a_failed_file_does_not_stop_the_others(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = picture.with_name("bad.png")
    bad.write_bytes(picture.read_bytes()[:200])
    out = picture.with_name("out")
    out.mkdir()
    words = ["filter", str(bad), str(picture), str(picture.with_name("no.png"))]
    assert run([*words, "-k", "box", "-o", str(out), "--format", "json"]) == 3
    said = capsys.readouterr()
    assert [Path(one["output"]).name for one in json.loads(said.out)] == ["photo_box-3.png"]
    assert "bad.png: the file is damaged or cut off" in said.err
    assert "no.png: there is no such file" in said.err
    assert "2 of 3 inputs failed" in said.err
    assert [path.name for path in out.iterdir()] == ["photo_box-3.png"]


def test_a_failed_matrix_does_not_stop_the_others(
    matrix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = matrix.with_name("bad.csv")
    bad.write_text("1,2\n3\n")
    assert run(["filter", str(bad), str(matrix), "-k", "1", "--format", "json"]) == 3
    said = capsys.readouterr()
    (got,) = json.loads(said.out)
    assert got["values"][0] == [3, 0, 1, 2, 7, 4]
    assert "bad.csv, line 2: 1 number where" in said.err
    assert "1 of 2 inputs failed" in said.err


@pytest.mark.parametrize(
    ("mode", "words", "kept"),
    [
        ("RGB", [], True),
        ("RGB", ["--gray"], False),
        ("L", [], True),
        ("L", ["--gradient", "direction"], False),
    ],
)
def test_a_color_profile_stays_with_pixels_of_its_channels(
    tmp_path: Path, mode: str, words: list[str], kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path, target = tmp_path / "in.png", tmp_path / "out.png"
    Image.linear_gradient("L").convert(mode).save(path, icc_profile=b"profile")
    assert run(["filter", str(path), "-k", "sobel", "-o", str(target), *words]) == 0
    with Image.open(target) as image:
        assert image.info.get("icc_profile") == (b"profile" if kept else None)
    assert ("color profile" in capsys.readouterr().out) is not kept


def test_a_matrix_is_a_table_in_papers(matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["filter", str(matrix), "-k", VERTICAL, "--padding", "valid", "--format"]
    assert run([*words, "markdown"]) == 0
    assert "| 0 | -5 | -4 | 0 | 8 |" in capsys.readouterr().out
    assert run([*words, "latex"]) == 0
    assert r"3 & -3 & -2 & -3 & -16 \\" in capsys.readouterr().out


def test_what_saturates_is_told_when_the_result_goes_to_stdout(
    picture: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["filter", str(picture), "-k", "sharpen", "-o", "-"]) == 0
    said = capfd.readouterr().err
    assert "values before conversion" in said
    assert " saturated: " in said
    assert run(["filter", str(picture), "-k", "sharpen", "-o", "-", "--quiet"]) == 0
    assert capfd.readouterr().err == ""


def test_what_saturates_is_counted_with_the_ways_to_keep_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bright.png"
    Image.new("RGB", (31, 24), (200, 200, 200)).save(path)
    assert run(["filter", str(path), "-k", "9"]) == 0
    told = "2,232 of 2,232 values (100 %) saturated: 0 low, 2,232 high. Keep them with --range "
    assert f"{told}stretch or raw." in capsys.readouterr().out


def test_a_gray_gif_is_exact_and_a_colored_one_says_that_it_is_not(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = picture.with_name("out.gif")
    assert run(["filter", str(picture), "-k", "sobel", "--gray", "-o", str(target)]) == 0
    assert "256 colors" not in capsys.readouterr().out
    assert run(["filter", str(picture), "-k", "sobel", "--gray"]) == 0
    ref = np.asarray(Image.open(picture.with_name("photo_sobel.png")))
    with Image.open(target) as image:
        assert np.array_equal(ref, np.asarray(image.convert("L")))
    assert run(["filter", str(picture), "-k", "box", "-o", str(target), "--force"]) == 0
    assert "256 colors" in capsys.readouterr().out


def test_what_a_pipe_cannot_keep_is_told(
    picture: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["filter", str(picture), "-k", "box", "--quality", "80", "-o", "-"]) == 0
    out, said = capfdbinary.readouterr()
    assert out.startswith(b"\x89PNG")
    assert b"PNG files have no quality to choose: --quality changes nothing." in said


def test_nothing_left_to_do_is_one_sentence(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["filter", str(picture), "-k", "box", "-o", str(tmp_path / "there.png")]
    assert run([*command, "--quiet"]) == 0
    assert run([*command, "--skip-existing"]) == 0
    assert capsys.readouterr() == ("", "Results that exist already, skipped: 1.\n")
    assert run([*command, "--skip-existing", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_stdin_to_stdout(picture: Path) -> None:
    import io
    import subprocess
    import sys

    words = [sys.executable, "-m", "convcli", "filter", "-", "-k", "box", "-o", "-"]
    got = subprocess.run(words, input=picture.read_bytes(), capture_output=True, check=True)
    assert Image.open(io.BytesIO(got.stdout)).size == (31, 24)
    words = [sys.executable, "-m", "convcli", "filter", "-", "-k", "1 1", "--format", "json"]
    got = subprocess.run(words, input=b"1 2\n3 4\n", capture_output=True, check=True)
    assert json.loads(got.stdout) == {"shape": [2, 2], "values": [[2, 3], [6, 7]]}


def test_compress_and_show(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = []
    for words in ([], ["--compress"]):
        target = picture.with_name("out.png")
        assert run(["filter", str(picture), "-k", "box", "-o", str(target), "--force", *words]) == 0
        sizes.append(target.stat().st_size)
    assert sizes[1] < sizes[0]
    assert run(["filter", str(picture), "-k", "box", "--show"]) == 0
    assert "stdout is none" in capsys.readouterr().err


def test_half_blocks_draw_two_pixels_a_character() -> None:
    from convcli.imaging.picture import Frame
    from convcli.imaging.terminal import half_blocks

    pixels = np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8)
    assert half_blocks(Frame(pixels), 5, 4) == "\x1b[38;2;255;0;0;48;2;0;0;255m\u2580\x1b[0m\n"
    assert half_blocks(Frame(np.zeros((64, 64), np.uint8)), 16, 16).count("\u2580") == 16 * 8


@pytest.mark.slow
def test_the_first_compilation_is_announced_and_the_second_run_is_silent(
    picture: Path, tmp_path: Path
) -> None:
    import os
    import subprocess
    import sys

    import convcli

    folder = Path(convcli.__file__).parent.parent
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(folder),
    }
    words = [sys.executable, "-m", "convcli", "filter", str(picture), "-k", "sobel-x", "--force"]

    def said(*more: str) -> str:
        command = [*words, "--engine", "numba", *more]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stderr

    assert said() == "Compiling for this machine, only this once...\n"
    assert said() == ""


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize("form", ["rows", "csv", "npy", "planes"])
def test_decimals_are_the_fractions_they_mean(
    form: str, engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of these sums end in exactly .5: any rounding on the way shows as another pixel."""
    tenths = np.array([[1, 2, 1], [-3, 0, 2], [1, 0, 1]])
    pixels = np.random.default_rng(4).integers(0, 256, (60, 70)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    rows = [" ".join(str(weight / 10) for weight in line) for line in tenths]
    kernel = {"rows": "; ".join(rows)}.get(form, str(tmp_path / f"kernel.{form}"))
    if form == "npy":
        np.save(kernel, tenths / 10)
    elif form == "planes":
        kernel = str(tmp_path / "kernel.txt")
        Path(kernel).write_text("\n\n".join(["\n".join(rows)] * 3))
        Image.fromarray(np.dstack([pixels] * 3)).save(tmp_path / "in.png")
        tenths = 3 * tenths
    elif form == "csv":
        Path(kernel).write_text("\n".join(rows).replace(" ", ","))
    target = tmp_path / "out.png"
    words = ["filter", str(tmp_path / "in.png"), "-k", kernel, "-o", str(target)]
    assert run([*words, "--border", "symmetric", "--engine", engine]) == 0
    capsys.readouterr()
    padded = np.pad(pixels.astype(int), 1, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    whole, rest = np.divmod((windows * tenths).sum((2, 3)), 10)
    assert (rest == 5).any()
    ref = whole + ((rest > 5) | ((rest == 5) & (whole % 2 == 1)))
    assert np.array_equal(np.asarray(Image.open(target)), ref.clip(0, 255))
