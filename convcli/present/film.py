"""Scenes as films: an animated picture, or a page that one steps through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convcli.errors import UsageError
from convcli.files import write_text
from convcli.imaging.formats import write_picture
from convcli.imaging.picture import Frame, Metadata, Picture, png_bytes
from convcli.imaging.scenes import HEIGHT, WIDTH, Scene, draw_scene
from convcli.report.document import render_template

SUFFIXES = (".gif", ".html", ".webp", ".png")
MOST_SCENES = 120
"""Steps of a film; of more, evenly spaced ones are shown."""
LAST_SECONDS = 3.0


def save_film(
    scenes: Sequence[Scene], path: Path, *, seconds: float = 0.8, force: bool = False
) -> str:
    """Write scenes as a film; return what there is to say of it.

    Args:
        scenes: in their order; of more than `MOST_SCENES` evenly spaced ones are shown.
        path: one of `SUFFIXES`.
        seconds: how long each is shown; the last one at least three seconds.
        force: an existing file may be replaced.
    """
    if not 0.02 <= seconds <= 60:
        raise UsageError(f"--seconds {seconds:g} is outside 0.02 to 60.")
    told = ""
    if len(scenes) > MOST_SCENES:
        places = np.linspace(0, len(scenes) - 1, MOST_SCENES).round().astype(int)
        told = f" {MOST_SCENES} of {len(scenes)} steps are shown."
        scenes = [scenes[place] for place in places]
    pixels = map(draw_scene, scenes)
    if path.suffix.lower() == ".html":
        files = [png_bytes(one) for one in pixels]
        title, pause = scenes[0].heading, round(seconds * 1000)
        page = render_template("film.html", title=title, frames=files, pause=pause)
        write_text(path, page, force=force)
    else:
        times = [seconds] * (len(scenes) - 1) + [max(seconds, LAST_SECONDS)]
        frames = tuple(Frame(one, seconds=time) for one, time in zip(pixels, times, strict=True))
        write_picture(path, Picture(frames, Metadata(loop=0)), force=force)
    return f"{path}: {len(scenes)} scenes of {WIDTH} x {HEIGHT} pixels.{told}"
