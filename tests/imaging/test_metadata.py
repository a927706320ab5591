"""What cameras and programs write beside the pixels is kept, or named when it is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run

pytestmark = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool writes and reads what cameras write"
)

RNG = np.random.default_rng(6)
TAGS = {
    "EXIF:Make": "Maker",
    "EXIF:Artist": "Jürgen Groß",
    "EXIF:Model": "Camera 7",
    "EXIF:FNumber": 2.8,
    "EXIF:ISO": 400,
    "EXIF:DateTimeOriginal": "2024:05:06 07:08:09",
    "EXIF:GPSLatitudeRef": "North",
    "XMP:Rating": 4,
    "XMP:Title": "Bridge",
    "IPTC:City": "Ulm",
}
LOST = {".png": {"IPTC"}, ".webp": {"IPTC"}, ".avif": {"IPTC"}}


def tagged(path: Path, *, orientation: int = 1) -> Path:
    pixels = RNG.integers(0, 256, (24, 37, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    written = [f"-{name}={value}" for name, value in TAGS.items()]
    written += ["-EXIF:GPSLatitude=48.4", f"-Orientation#={orientation}"]
    if path.suffix == ".jpg":
        written.append("-Comment=taken by hand")
    done = subprocess.run(
        ["exiftool", "-q", "-m", "-overwrite_original", *written, str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return path


def told(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["exiftool", "-j", "-G", "-a", str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    record: dict[str, Any] = json.loads(done.stdout)[0]
    return record


@pytest.mark.parametrize("source", [".jpg", ".tif", ".png", ".webp"])
@pytest.mark.parametrize("target", [".jpg", ".tif", ".png", ".webp", ".avif"])
def test_a_cameras_words_are_kept(
    source: str, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tagged(tmp_path / f"photo{source}", orientation=6)
    out = tmp_path / f"out{target}"
    words = ["filter", str(path), "-k", "box", "--stride", "2", "-o", str(out)]
    assert run([*words, "--format", "json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    got = told(out)
    lost = LOST.get(target, set()) | LOST.get(source, set())
    for name, value in TAGS.items():
        if name.split(":")[0] not in lost:
            assert got.get(name) == value, name
    assert got["EXIF:GPSLatitude"].startswith("48 deg 24")
    assert got.get("EXIF:Orientation", "Horizontal (normal)") == "Horizontal (normal)"
    if "IPTC" in LOST.get(target, set()) and source in {".jpg", ".tif"}:
        assert any("IPTC" in note for note in report["notes"])
    with Image.open(out) as image:
        assert image.size == (12, 19)


def test_what_a_format_has_no_place_for_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tagged(tmp_path / "photo.jpg")
    words = ["filter", str(path), "-k", "box", "-o", str(tmp_path / "out.bmp"), "--format", "json"]
    assert run(words) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert "BMP holds no EXIF, XMP, IPTC, comments: left out." in report["notes"]


def test_texts_of_a_png_and_a_comment_are_kept(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    said.add_text("Author", "Käthe")
    said.add_itxt("Description", "a → b")
    Image.new("RGB", (9, 8)).save(tmp_path / "a.png", pnginfo=said)
    for name in ("b.png", "b.tif", "b.jpg", "b.gif"):
        words = ["-k", "box", "-o", str(tmp_path / name), "--quiet"]
        assert run(["filter", str(tmp_path / "a.png"), *words]) == 0
    assert told(tmp_path / "b.png")["PNG:Author"] == "Käthe"
    assert told(tmp_path / "b.png")["PNG:Description"] == "a → b"
    assert "a → b" in told(tmp_path / "b.tif")["EXIF:ImageDescription"]
    assert "a → b" in told(tmp_path / "b.jpg")["File:Comment"]
    with Image.open(tmp_path / "b.gif") as image:
        assert "a → b" in image.info["comment"].decode()


def test_a_georeference_is_named_when_it_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes GeoTIFF tags")
    scale = (33550, "d", 3, (0.5, 0.5, 0.0), True)
    tifffile.imwrite(tmp_path / "map.tif", np.zeros((9, 8), np.uint8), extratags=[scale])
    assert run(["filter", str(tmp_path / "map.tif"), "-k", "box", "--format", "json"]) == 0
    assert "georeference" in json.loads(capsys.readouterr().out)[0]["notes"][0]


@pytest.mark.parametrize("loop", [None, 0, 3])
@pytest.mark.parametrize("target", [".gif", ".png", ".webp"])
def test_a_gif_repeats_as_often_as_before(loop: int | None, target: str, tmp_path: Path) -> None:
    frames = [Image.new("L", (6, 5), 80 * i) for i in range(3)]
    repeat = {} if loop is None else {"loop": loop}
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], **repeat)
    out = tmp_path / f"b{target}"
    words = ["filter", str(tmp_path / "a.gif"), "-k", "identity", "-o", str(out), "--quiet"]
    assert run(words) == 0
    with Image.open(out) as image:
        assert image.n_frames == 3
        assert image.info.get("loop") == (loop if target == ".gif" or loop is not None else 1)
