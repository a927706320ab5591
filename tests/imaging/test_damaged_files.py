"""One bad picture never stops the others: each gets its own sentence, the rest is done."""

from __future__ import annotations

import io
import json
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from convcli.errors import ConvcliError
from convcli.imaging.formats import read_picture

RNG = np.random.default_rng(8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_head(width: int, height: int, depth: int, kind: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def picture_bytes(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    pixels = RNG.integers(0, 256, (24, 20, 3)).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def test_a_batch_goes_on_behind_every_bad_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = chunk(b"IDAT", zlib.compress(b"\0\1\2\3\4" * 4)) + chunk(b"IEND", b"")
    (tmp_path / "palette.png").write_bytes(png_head(4, 4, 8, 3) + rows)
    avif = picture_bytes("AVIF")
    (tmp_path / "damaged.avif").write_bytes(avif[: len(avif) // 2])
    tiff = picture_bytes("TIFF")
    (tmp_path / "cut.tif").write_bytes(tiff[: len(tiff) // 2])
    (tmp_path / "none.tif").write_bytes(b"II*\0\x08\0\0\0\0\0")
    (tmp_path / "good.png").write_bytes(picture_bytes("PNG"))
    words = ["filter", str(tmp_path), "--recursive", "-k", "box", "--format", "json"]
    assert run(words) == 3
    said = capsys.readouterr()
    done = [Path(one["input"]).name for one in json.loads(said.out)]
    assert "good.png" in done
    for name in {"palette.png", "damaged.avif", "cut.tif", "none.tif"} - set(done):
        assert f"{name}: " in said.err
    assert {"cut.tif", "none.tif", "damaged.avif"}.isdisjoint(done)


@pytest.mark.parametrize(
    "kind", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "PPM", "WEBP", "AVIF", "JPEG2000", "TGA"]
)
def test_mutated_files_end_in_a_picture_or_a_sentence(kind: str) -> None:
    whole = picture_bytes(kind)
    for _ in range(60):
        data = bytearray(whole)
        for place in RNG.integers(0, min(len(data), 400), 6):
            data[place] = RNG.integers(0, 256)
        with suppress(ConvcliError):
            assert read_picture(bytes(data)).frames[0].pixels.size


def bomb(path: Path, width: int, height: int) -> Path:
    path.write_bytes(png_head(width, height, 8, 6) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize(("width", "height"), [(190_000_000, 1), (1, 190_000_000)])
def test_bytes_are_bounded_not_only_pixels(
    width: int, height: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bomb(tmp_path / "bomb.png", width, height)
    assert run(["filter", str(path), "-k", "box"]) == 3
    assert f"{width} x {height} pixels of 4 bytes need about" in capsys.readouterr().err
    assert run(["pool", str(path), "--max", "2", "--memory-limit", "1MB"]) == 3
    assert "more than the limit of 1 MB" in capsys.readouterr().err
    assert run(["filter", str(path), "-k", "box", "--memory-limit", "64GiB"]) == 3
    assert "--memory-limit" not in capsys.readouterr().err


def test_predict_refuses_a_small_file_that_becomes_gigabytes(tmp_path: Path) -> None:
    from convcli.errors import InputError
    from convcli.learn.pictures import samples_from_source
    from convcli.learn.prepare import Preprocessing

    content = png_head(13_800, 13_800, 8, 0) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert len(content) < 122
    digits = Preprocessing((28, 28, 1), (1,), (0,), "digit")
    with pytest.raises(InputError, match=r"need about 3\.62 GB .* limit of 2\.15 GB"):
        samples_from_source(content, "bomb.png", digits)
