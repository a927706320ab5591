"""Scenes as films: an animated picture, or a page that one steps through."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convcli.errors import UsageError
from convcli.files import new_file
from convcli.imaging.formats import write_picture
from convcli.imaging.picture import Frame, Metadata, Picture, png_bytes
from convcli.imaging.scenes import HEIGHT, WIDTH, Scene, draw_scene

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
        page = _page(scenes[0].heading, [png_bytes(one) for one in pixels], seconds)
        with new_file(path, force=force) as temporary:
            temporary.write_text(page, encoding="utf-8")
    else:
        times = [seconds] * (len(scenes) - 1) + [max(seconds, LAST_SECONDS)]
        frames = tuple(Frame(one, seconds=time) for one, time in zip(pixels, times, strict=True))
        write_picture(path, Picture(frames, Metadata(loop=0)), force=force)
    return f"{path}: {len(scenes)} scenes of {WIDTH} x {HEIGHT} pixels.{told}"


def _page(title: str, frames: Sequence[bytes], seconds: float) -> str:
    """Return a page that plays the film and steps through it, without anything from elsewhere."""
    pictures = ",".join(f'"{base64.b64encode(one).decode()}"' for one in frames)
    return PAGE.format(
        title=html.escape(title), frames=pictures, last=len(frames) - 1, pause=round(seconds * 1000)
    )


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ margin: 1em auto; max-width: 1280px; font: 18px sans-serif; text-align: center }}
img {{ width: 100%; border: 1px solid #ccc }}
input {{ width: 60% }} button {{ font: inherit; min-width: 3em }}
</style></head><body>
<img id="scene" alt="{title}">
<p><button id="back" aria-label="one step back">&#9664;</button>
<button id="play">play</button>
<button id="on" aria-label="one step on">&#9654;</button>
<input id="place" type="range" min="0" max="{last}" value="0" aria-label="step">
<output id="told"></output></p>
<script>
const frames = [{frames}];
const place = document.getElementById("place"), play = document.getElementById("play");
let timer = null;
function show() {{
  document.getElementById("scene").src = "data:image/png;base64," + frames[place.value];
  document.getElementById("told").textContent = `${{+place.value + 1}} of ${{frames.length}}`;
}}
function stop() {{ clearInterval(timer); timer = null; play.textContent = "play"; }}
function move(by) {{ place.value = +place.value + by; show(); }}
place.oninput = () => {{ stop(); show(); }};
document.getElementById("back").onclick = () => {{ stop(); move(-1); }};
document.getElementById("on").onclick = () => {{ stop(); move(1); }};
play.onclick = () => {{
  if (timer) return stop();
  if (+place.value === frames.length - 1) place.value = 0;
  play.textContent = "stop";
  timer = setInterval(() => {{
    move(1);
    if (+place.value === frames.length - 1) stop();
  }}, {pause});
}};
document.onkeydown = (e) => {{
  if (e.target === place) return;
  if (e.key === "ArrowLeft") {{ stop(); move(-1); }}
  if (e.key === "ArrowRight") {{ stop(); move(1); }}
}};
show();
</script></body></html>
"""
