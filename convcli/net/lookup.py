"""From what a user wrote to a network: notation, a file, or a preset."""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any

from convcli.errors import InputError, MissingFileError, UsageError, cannot_read, did_you_mean
from convcli.layers.base import Shape
from convcli.net.notation import notation_variables, parse_notation
from convcli.net.value import Network

PRESETS = Path(__file__).parent / "presets"
"""Folder of the presets; importlib.resources would cost 8 ms for the same."""

MODELS = Path(__file__).parent / "models"
"""Folder of the models that come with the package, and of the list of those that are fetched."""

PUBLISHED_MODEL = "convcli.exchange.published:published_model"
"""What fetches a published model and converts it."""

RUN_MODEL = "model.safetensors"
"""The model in a run's directory."""

MAX_FILE_BYTES = 1_000_000

READERS = {
    ".safetensors": "convcli.net.modelheader:read_model_network",
    ".onnx": "convcli.exchange.onnx_import:read_onnx_network",
    ".keras": "convcli.exchange.keras_read:read_keras",
    ".json": "convcli.exchange.keras_read:read_keras",
    ".h5": "convcli.exchange.keras_read:read_keras",
    ".hdf5": "convcli.exchange.keras_read:read_keras",
    ".py": "convcli.exchange.listing:read_listing",
}
"""What reads a file of a suffix: module and function, loaded when such a file is opened."""

FOREIGN = (".onnx", ".keras", ".h5", ".hdf5")
"""Suffixes of other programs' files that hold a network and its numbers."""

FOREIGN_READER = "convcli.exchange.importing:model_in"
"""What reads these with their numbers."""

LIVE, CODE = "convcli.exchange.live:opened_live", "convcli.exchange.live:read_code"
"""What reads models in memory, and `file.py:NAME`, whose code is run."""

LISTING = "convcli.exchange.listing:network_from_listing"
"""What reads pasted code of Keras or PyTorch, which is not run."""

PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".bin")
"""Suffixes of PyTorch's own files."""


@dataclass(frozen=True, slots=True)
class OpenedNetwork:
    """A network, and what its file says beyond it.

    Attributes:
        network: the layers on paper.
        frozen: names of layers that the file marks as not trained.
        notes: what was read in another way, no figure being touched.
    """

    network: Network
    frozen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def network(
    source: Network | str | os.PathLike[str] | Any,
    *,
    input_shape: Shape | None = None,
    variables: Mapping[str, int] | None = None,
) -> Network:
    """Return the network that `source` names.

    Text that begins with `input` or `let` is notation; with a slash or a suffix it is a file or the
    directory of a run; else a preset, with variables as in `rps:n=16`, or a model that comes along
    (`digits-mnist`). Files are notation (.net),
    models of ours (.safetensors), ONNX, and what Keras writes (.keras, .h5, .json); `net.py:Net`
    runs a file and takes what it makes. A listing of Keras or PyTorch, pasted or in a file
    (`listing.py`), is followed without being run.

    Args:
        source: what the user wrote, a path, a network, which is returned as it is, or a model that
            lives in Keras or PyTorch; a torch.nn.Module needs `input_shape`.
        input_shape: replaces the input's shape.
        variables: values for its `let` lines, before those in `source`.

    >>> network("mnist").trace().totals.params
    30762
    >>> network("rps", variables={"n": 1}).trace().totals.params
    2687

    Raises:
        UsageError: malformed notation, an unknown preset or variable.
        InputError: a file that cannot be read, or is no network.
        WrongTypeError: something else.
    """
    if isinstance(source, Network):
        return source if input_shape is None else source.with_input(input_shape)
    if not isinstance(source, str | os.PathLike):
        opened: OpenedNetwork = loaded(LIVE)(source, input_shape)
        return opened.network
    return open_network(os.fspath(source), input_shape, variables).network


def open_network(
    source: str,
    input_shape: Shape | None = None,
    variables: Mapping[str, int] | None = None,
) -> OpenedNetwork:
    """Return the network that `source` names with what its file says beyond it; see `network`."""
    text = _as_one_word(source.strip())
    if re.search(r"\b(Sequential|Model|Input)\(", text):
        pasted: OpenedNetwork = loaded(LISTING)(source, input_shape)
        return pasted
    if _is_notation(text):
        found = parse_notation(source, input_shape=input_shape, variables=variables)
        return OpenedNetwork(found)
    if ("," in text or "(" in text) and not os.path.isfile(text):  # noqa: PTH113  (of any length)
        first = text.split(maxsplit=1)[0].rstrip(",")
        sized = first.replace("x", "").isdecimal()
        raise UsageError(
            f"A network begins with its input, and this begins with {first!r}. "
            f"Write: input {'' if sized else '28x28x1, '}{text[:40]}"
        )
    name, settings = _told(text)
    given = {**(variables or {}), **_settings(name, settings)}
    shipped = MODELS / f"{name}.safetensors"
    if _is_file(name) or shipped.is_file():
        return _from_file(Path(name) if _is_file(name) else shipped, input_shape, given)
    return OpenedNetwork(_from_preset(name, input_shape, given))


def _as_one_word(text: str) -> str:
    """Return a preset with its settings in the way of `rps:n=16`, other text as it is.

    >>> _as_one_word("rps n=16"), _as_one_word("input 4, dense 2")
    ('rps:n=16', 'input 4, dense 2')
    """
    first, *settings = text.split() or [""]
    are_settings = all(re.fullmatch(r"[A-Za-z_]\w*=\d+", one) for one in settings)
    return ":".join([first, *settings]) if settings and are_settings else text


def model_path(place: Path) -> Path:
    """Return a model's file: `place` itself, the one in a run's directory, or a named one.

    Models that have names come with the package, or are published and fetched on first use.

    >>> model_path(Path("digits-mnist")).name
    'digits-mnist.safetensors'

    Raises:
        InputError: there is no such place, the directory has none, or a published model is not to
            be had.
    """
    name = str(place)
    if name == place.name and not place.suffix and not place.exists():
        return _named_model(name)
    if not place.is_dir():
        refuse_pickle(place)
        if not place.exists():
            near = did_you_mean(place.name, (path.name for path in place.parent.glob("*")))
            made = "" if place.suffix else f"; convcli train -o {place} makes one"
            raise MissingFileError(
                f"There is no file and no run {place}.{near} convcli runs lists the runs there "
                f"are{made}."
            )
        return place
    if not (place / RUN_MODEL).is_file():
        raise InputError(f"{place} is no run with a model: it has no {RUN_MODEL}.")
    return place / RUN_MODEL


def _named_model(name: str) -> Path:
    shipped = MODELS / f"{name}.safetensors"
    if shipped.is_file():
        return shipped
    published = published_models()
    if name in published:
        found: Path = loaded(PUBLISHED_MODEL)(name, published[name])
        return found
    known = [*shipped_models(), *published]
    raise MissingFileError(
        f"There is no file and no run {name}, and no model of that name."
        f"{did_you_mean(name, known)} By name there are {', '.join(known)}."
    )


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package.

    >>> shipped_models()
    ['digits-mnist']
    """
    return sorted(file.stem for file in MODELS.glob("*.safetensors"))


def published_models() -> dict[str, dict[str, Any]]:
    """Return the models that are fetched on first use, by name, as `published.toml` has them."""
    import tomllib

    found: dict[str, dict[str, Any]] = tomllib.loads(
        (MODELS / "published.toml").read_text(encoding="utf-8")
    )
    return found


def loaded(name: str) -> Any:
    """Return what a `module:function` names, loaded on use."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def refuse_pickle(path: Path) -> None:
    """Say how weights leave PyTorch's own files.

    Raises:
        UsageError: it is one of them.
    """
    if path.suffix.lower() in PICKLES:
        there = path.with_suffix(".safetensors")
        raise UsageError(
            f"{path} is a pickle, which may run any code; only PyTorch reads it. In Python: "
            "import torch, safetensors.torch; safetensors.torch.save_file(torch.load("
            f"{str(path)!r}, weights_only=True), {str(there)!r})  Then: convcli import {there} "
            "--network NETWORK"
        )


def network_variables(source: str) -> dict[str, int]:
    """Return the variables of the network that `source` names, with their values in its text.

    >>> network_variables("rps"), network_variables("mnist")
    ({'n': 16}, {})

    Raises:
        UsageError, InputError: as `network`, for what stands before the layers.
    """
    text = source.strip()
    if _is_notation(text):
        return notation_variables(source)
    name, _ = _told(text)
    if not _is_file(name):
        return notation_variables(preset_text(name))
    path = Path(name)
    return notation_variables(_read_text(path)) if path.suffix.lower() == ".net" else {}


def names_network(text: str) -> bool:
    """Tell whether `text` is a network in words, its .net file or a preset, which has no numbers.

    >>> names_network("input 2, dense 2 softmax"), names_network("lenet5"), names_network("runs/a")
    (True, True, False)
    """
    is_preset = text.partition(":")[0] in preset_names() and not os.path.exists(text)  # noqa: PTH110  (of any length)
    return _is_notation(text) or text.endswith(".net") or is_preset


def _is_notation(text: str) -> bool:
    first = text.split(maxsplit=1)[0].rstrip(",") if text else ""
    return first in {"input", "let"} or "\n" in text or text.startswith("#")


def _told(text: str) -> tuple[str, list[str]]:
    """Return the name and the settings of `rps:n=16` or `rps n=16`.

    >>> _told("rps n=1 k=2"), _told("resnet50:classes=10"), _told("some file.net")
    (('rps', ['n=1', 'k=2']), ('resnet50', ['classes=10']), ('some file.net', []))
    >>> _told("regnety-800mf classes=10")
    ('regnety', ['mf=800', 'classes=10'])
    """
    if os.path.exists(text):  # noqa: PTH110  (of any length)
        return text, []
    name, *settings = re.split(r"(?:\s+|:)(?=\w+=)", text)
    sized = re.fullmatch(r"([\w-]+)[-_](\d+)([a-z]+)", name.lower())
    if sized and _bare(sized[1]) in map(_bare, preset_names()):
        return sized[1], [f"{sized[3]}={sized[2]}", *settings]
    return name, settings


def _is_file(text: str) -> bool:
    """Tell whether text names a file, or a run's directory that is called as no preset is."""
    if "/" in text or "\\" in text or Path(text).suffix:
        return True
    run = os.path.isfile(f"{text}/{RUN_MODEL}")  # noqa: PTH113  (of any length)
    return run and text not in preset_names()


def preset_names() -> list[str]:
    """Return the names of all presets, sorted.

    >>> "resnet18" in preset_names()
    True
    """
    return sorted(place.stem for place in PRESETS.glob("*.net"))


def preset_text(source: str) -> str:
    """Return the notation of a preset, comments and all, with the values of its variables.

    >>> "let n = 4" in preset_text("rps n=4"), "let mf = 800" in preset_text("regnety-800mf")
    (True, True)

    Raises:
        UsageError: there is no such preset or variable; names the nearest.
    """
    name, settings = _told(_as_one_word(source))
    text = (PRESETS / f"{preset_name(name)}.net").read_text(encoding="utf-8")
    if given := _settings(name, settings):
        parse_notation(text, name=name, variables=given)
    for variable, value in given.items():
        text = re.sub(rf"(?m)^let {variable} = .*", f"let {variable} = {value}", text)
    return text


def preset_about(name: str) -> str:
    """Return what a preset is: the first sentence of its text, without the parameters.

    >>> preset_about("vgg16"), preset_about("c3d")[:28]
    ('VGG-16.', 'C3D: 16 frames as a volume, ')
    """
    lines = takewhile(lambda line: line.startswith("# "), preset_text(name).splitlines())
    text = " ".join(line[2:] for line in lines if not line.startswith((_DATA, _MADE)))
    sentence = re.split(r"(?<=[a-z0-9)][.?]) (?=[A-Z(])", text, maxsplit=1)[0]
    return re.sub(r"[,;:] [\d,+= ]+ parameters( \([^)]*\))?", "", sentence)


def preset_name(text: str) -> str:
    """Return the preset's name as it is written here; signs and capitals do not matter.

    >>> preset_name("ResNet-50"), preset_name("inception_v3")
    ('resnet50', 'inception-v3')

    Raises:
        UsageError: there is no such preset; names the nearest.
    """
    known = {_bare(name): name for name in preset_names()}
    if _bare(text) in known:
        return known[_bare(text)]
    hint = did_you_mean(text, known.values()) or f" Known: {' '.join(known.values())}."
    raise UsageError(
        f"There is no preset {text[:60]!r}.{hint} "
        f"A network in words begins with input: input 28x28x1, conv 16 3"
    )


def _bare(name: str) -> str:
    return name.strip().lower().replace("-", "").replace("_", "")


def preset_data(source: str, *, made: bool = False) -> str | None:
    """Return the data that the preset `source` is for, as its text says; None where it does not.

    >>> preset_data("rps:n=1")
    'a folder of pictures in the folders rock, paper and scissors, and --size 32x32'
    >>> preset_data("rps", made=True), preset_data("mnist", made=True)
    ('hands', None)

    Args:
        source: name of a preset, perhaps with variables.
        made: name the data of that kind which are made on the spot.
    """
    head = _MADE if made else _DATA
    try:
        lines = preset_text(_told(source)[0]).splitlines()
    except UsageError:
        return None
    return next((line[len(head) :] for line in lines if line.startswith(head)), None)


_DATA, _MADE = "# Data: ", "# Made: "


def _from_preset(source: str, input_shape: Shape | None, variables: Mapping[str, int]) -> Network:
    name, colon, setting = source.partition(":")
    name = preset_name(name)
    if colon:
        raise UsageError(f"{setting!r} is no setting. Write {name}:n=16.")
    text = preset_text(name)
    return parse_notation(text, name=name, variables=variables, input_shape=input_shape)


def _settings(name: str, settings: list[str]) -> Mapping[str, int]:
    """Return the variables of `rps:n=16`."""
    variables = {}
    for setting in settings:
        variable, equals, value = setting.partition("=")
        if not equals or not (value.isascii() and value.isdigit() and len(value) <= 9):
            raise UsageError(f"{setting!r} is no setting. Write {name}:n=16.")
        variables[variable.strip()] = int(value)
    return variables


def _from_file(
    path: Path, input_shape: Shape | None, variables: Mapping[str, int] | None
) -> OpenedNetwork:
    suffix = path.suffix.lower()
    opened: OpenedNetwork
    if suffix.startswith(".py:"):
        opened = loaded(CODE)(str(path), input_shape)
        return opened
    if path.is_dir() and suffix not in {".net", *READERS}:
        path = model_path(path)
        suffix = path.suffix
    if suffix == ".net":
        text = _read_text(path)
        try:
            found = parse_notation(
                text, name=path.stem, input_shape=input_shape, variables=variables
            )
        except UsageError as problem:
            raise type(problem)(f"{path}: {problem}") from None
        return OpenedNetwork(found)
    refuse_pickle(path)
    if suffix not in READERS:
        readable = ", ".join([".net", *READERS])
        raise UsageError(f"{path} is no network file; convcli reads {readable}.")
    if variables:
        raise UsageError(f"{path} has no variables; {', '.join(variables)} cannot be set.")
    opened = loaded(READERS[suffix])(path, input_shape)
    return opened


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        raise cannot_read(path, problem) from None
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"{path} has more than {MAX_FILE_BYTES:,} bytes, too many for a network.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError(
            f"{path} is not text (byte {problem.start} is no UTF-8). Give a file in the notation."
        ) from None
