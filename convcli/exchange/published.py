"""Models whose weights are published: fetched once, checked by SHA-256, converted, kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convcli.data.dataset import ProgressCallback
from convcli.data.download import RemoteFile, fetch
from convcli.data.published import VARIABLE, cache_folder, own_folder
from convcli.errors import InputError
from convcli.exchange.importing import import_model

SYNSET = RemoteFile(
    "synset.txt", "acf75ef0abe89694b19056e0796401068b459c457baa30335f240c7692857355", packed=False
)
"""ImageNet's classes in their order, `n01440764 tench, Tinca tinca`."""
SYNSET_MIRRORS = (
    "https://raw.githubusercontent.com/onnx/models/b1eeaa1ac722dcc1cd1a8284bde34393dab61c3d/"
    "validated/vision/classification/",
)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's samples in 0..1, by which these networks' inputs are scaled."""


def published_model(
    name: str, entry: Mapping[str, Any], progress: ProgressCallback | None = None
) -> Path:
    """Return the file of a published model, fetched and converted when it is asked for first.

    It is kept in the user's cache; a file in `$CONVCLI_DATA/models` stands for the network's.

    Args:
        name: of the model.
        entry: its facts, as `published.toml` has them.
        progress: called while it is fetched.

    Raises:
        InputError: it is not to be had, or is not the file that it should be.
    """
    target = cache_folder("models") / f"{name}.safetensors"
    if target.is_file():
        return target
    wanted = RemoteFile(entry["file"], entry["sha256"], packed=False)
    try:
        came = _had(wanted, entry["mirrors"], progress)
        classes, more = _classes(entry, progress)
    except InputError as problem:
        raise InputError(
            f"The model {name} ({entry['about']}) is not to be had. {problem} Where there is no "
            f"network, fetch {entry['mirrors'][0]}{entry['file']} elsewhere, put it into a folder "
            f"models and set {VARIABLE} to the folder above it."
        ) from problem
    imported = import_model(
        came, network=entry.get("network"), classes=classes, outputs="classes", **more
    )
    facts = {key: entry[key] for key in ("about", "license", "sha256")}
    model = replace(imported.model, training={**facts, "published": entry["source"]})
    target.parent.mkdir(parents=True, exist_ok=True)
    model.save(target, force=True)
    if came.parent == _fetched():
        came.unlink()
    return target


def _fetched() -> Path:
    """Return the folder of files as they came; some have the name of what is made of them."""
    return cache_folder("models") / "fetched"


def _had(wanted: RemoteFile, mirrors: Sequence[str], progress: ProgressCallback | None) -> Path:
    """Return a file of the user's own folder, once its checksum holds, or of the network."""
    own = own_folder("models")
    if own is None or not (own / wanted.name).is_file():
        return fetch(wanted, _fetched(), mirrors, progress=progress)
    with (own / wanted.name).open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != wanted.unpacked_sha256:
            raise InputError(f"{own / wanted.name} is another file: its SHA-256 differs.")
    return own / wanted.name


def _classes(
    entry: Mapping[str, Any], progress: ProgressCallback | None
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the names of a model's classes, and how its samples are scaled."""
    if entry["classes"] != "imagenet":
        return tuple(entry["classes"]), {"scale": (1 / 255,)}
    lines = _had(SYNSET, SYNSET_MIRRORS, progress).read_text(encoding="utf-8")
    pairs = [line.partition(" ")[::2] for line in lines.splitlines()]
    counts = Counter(name for _, name in pairs)
    names = tuple(name if counts[name] == 1 else f"{name} ({number})" for number, name in pairs)
    scale = tuple(1 / (255 * deviation) for deviation in DEVIATION)
    offset = tuple(-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True))
    return names, {"scale": scale, "offset": offset}
