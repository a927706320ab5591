"""Damaged files of every kind that is read, through the door of the command line.

`python -m tests.fuzz --count 12000` tries that many over all kinds and lists what was no sentence.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import random
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convcli.cli.main import run
from tests.cli.learning import NETWORK, quadrants, write_quadrants

WRONG = (
    None, True, -1, 0, 0.5, 1e308, float("nan"), 2**63, 10**400, "", "x", "\x1b[2J", [], [[]], {},
    [None], {"a": 1}, "a" * 500,
)  # fmt: skip
"""Values to stand where others belong."""


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        name: what to call it.
        path: a sound one; it is replaced by a damaged one and restored.
        commands: that read it.
        mutate: besides the damage that any bytes can take.
    """

    name: str
    path: Path
    commands: tuple[tuple[str, ...], ...]
    mutate: Callable[[bytes, random.Random], bytes] | None = None


@dataclass(frozen=True)
class Crash:
    """What left as something else than a sentence."""

    kind: str
    command: tuple[str, ...]
    content: bytes
    trace: str

    @property
    def cause(self) -> str:
        """The exception and the last place of ours."""
        lines = self.trace.strip().splitlines()
        ours = [line.strip() for line in lines if "/convcli/" in line]
        return f"{lines[-1][:90]} | {ours[-1] if ours else ''}"


def damage(content: bytes, random: random.Random) -> bytes:
    """Return bytes with one to four mistakes of the sort that disks, networks and people make."""
    found = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(found) + 1)
        match random.randrange(7):
            case 0 if found:
                found[at % len(found)] ^= 1 << random.randrange(8)
            case 1:
                found[at : at + 1] = bytes([random.randrange(256)])
            case 2:
                del found[at : at + random.choice((1, 4, 64))]
            case 3:
                found[at:at] = random.choice((b"\0", b"\xff" * 4, b"(", b"'", b"\n", b"\x1b[31m"))
            case 4:
                del found[at:]
            case 5:
                number = random.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 20))
                found[at : at + 4] = struct.pack(random.choice("<>") + "I", number)
            case _:
                length = random.choice((2, 8, 40))
                found[at:at] = found[max(0, at - length) : at]
    return bytes(found)


def wrong_value(document: Any, random: random.Random) -> Any:
    """Return JSON with one value of another type, missing, or under another name."""
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                collect(node[key])

    if not isinstance(document, dict | list):
        return random.choice(WRONG)
    collect(document)
    if not places or random.random() < 0.02:
        return random.choice(WRONG)
    node, key = random.choice(places)
    held = node[key]
    if isinstance(held, str) and held[:1] in {"{", "["} and random.random() < 0.8:
        node[key] = json.dumps(wrong_value(json.loads(held), random))
        return document
    match random.randrange(6):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[f"{key}x"] = node.pop(key)
        case 2 if isinstance(held, int | float):
            node[key] = random.choice((-held, held * 10**6, held + 1, held / 3, str(held)))
        case 3:
            node[key] = [held]
        case _:
            node[key] = random.choice(WRONG)
    return document


def mutate_json(content: bytes, random: random.Random) -> bytes:
    """Return a JSON file that still is one."""
    return json.dumps(wrong_value(json.loads(content), random)).encode()


def mutate_safetensors(content: bytes, random: random.Random) -> bytes:
    """Return a safetensors file whose header is whole JSON of its length, with a wrong value."""
    length = int.from_bytes(content[:8], "little")
    header = mutate_json(content[8 : 8 + length], random)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def mutate_npy(content: bytes, random: random.Random) -> bytes:
    """Return an .npy file with a damaged header of the length that it gives."""
    if content[:6] != b"\x93NUMPY":
        return damage(content, random)
    length = int.from_bytes(content[8:10], "little")
    header = content[10 : 10 + length]
    if random.random() < 0.5:
        header = damage(header, random)
    else:
        old = random.choice(
            (b"False", b"descr", b"'<f8'", b"(", b")", b"|u1", b"shape", b"}", b",")
        )
        new = (
            b"True",
            b"(",
            b"'|O'",
            b"'<U9999999'",
            b"-1",
            b"10**9",
            b"'''",
            b"[('a','<f4')]",
            b"",
        )
        header = header.replace(old, random.choice(new), 1)
    return content[:8] + len(header).to_bytes(2, "little") + header + content[10 + length :]


def mutate_zip(content: bytes, random: random.Random) -> bytes:
    """Return a whole zip file, one member of which is damaged, renamed or gone."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(list(members))
    match random.randrange(5):
        case 0:
            del members[name]
        case 1:
            members[random.choice((f"{name}x", "../x.npy", "-", "y.npy"))] = members.pop(name)
        case 2:
            members[name] = damage(members[name], random)
        case _ if name.endswith(".json"):
            members[name] = mutate_json(members[name], random)
        case _:
            members[name] = mutate_npy(members[name], random)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for key, member in members.items():
            archive.writestr(key, member)
    return out.getvalue()


OPERATIONS = (
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "Gemm", "MatMul",
    "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Split", "Slice", "Pad",
    "BatchNormalization", "LayerNormalization", "Softmax", "Relu", "Clip", "PRelu", "Dropout",
    "Add", "Mul", "ReduceMean", "Resize", "Constant", "Identity", "LSTM", "GRU", "Shape", "Nothing",
)  # fmt: skip


def mutate_onnx(content: bytes, random: random.Random) -> bytes:
    """Return an ONNX file that still is one, with one to three places of its graph changed."""
    import onnx

    model = onnx.ModelProto.FromString(content)
    for _ in range(random.randint(1, 3)):
        random.choice(
            (_change_lists, _change_node, _change_attribute, _change_array, _change_type)
        )(model.graph, random)
    if random.random() < 0.05:
        del model.opset_import[:]
    return model.SerializeToString()


def _change_lists(graph: Any, random: random.Random) -> None:
    """Drop, double or move one node, input, output or array, or drop all of them."""
    held = getattr(graph, random.choice(("node", "input", "output", "initializer")))
    if not held:
        return
    at, to = random.randrange(len(held)), random.randrange(len(held))
    match random.randrange(4):
        case 0:
            del held[at]
        case 1:
            held.add().CopyFrom(held[at])
        case 2:
            first, second = type(held[at])(), type(held[at])()
            first.CopyFrom(held[at])
            second.CopyFrom(held[to])
            held[at].CopyFrom(second)
            held[to].CopyFrom(first)
        case _ if random.random() < 0.3:
            del held[:]


def _change_node(graph: Any, random: random.Random) -> None:
    """Let one node be another operation, or read and write under other names."""
    if not graph.node:
        return
    node = random.choice(graph.node)
    names = [name for other in graph.node for name in (*other.input, *other.output)] or [""]
    match random.randrange(5):
        case 0:
            node.op_type = random.choice(OPERATIONS)
        case 1 if node.input:
            node.input[random.randrange(len(node.input))] = random.choice((*names, "", "nobody"))
        case 2 if node.output:
            node.output[random.randrange(len(node.output))] = random.choice((*names, "", "nobody"))
        case 3 if node.input:
            del node.input[random.randrange(len(node.input)) :]
        case _:
            node.input.append(random.choice(names))


def _change_attribute(graph: Any, random: random.Random) -> None:
    """Drop an attribute of one node, or give it another name, type or value."""
    import onnx

    nodes = [node for node in graph.node if node.attribute]
    if not nodes:
        return
    node = random.choice(nodes)
    at = random.randrange(len(node.attribute))
    held = node.attribute[at]
    if random.random() < 0.2:
        del node.attribute[at]
        return
    values = ("x", 1.5, 0, -1, 7, 2**40, [0], [1, 1], [-3, 2, 0], [10**6] * 4, [0.5], ["NOTSET"])
    name = held.name if random.random() < 0.8 else random.choice(("axis", "pads", "kernel_shape"))
    held.CopyFrom(onnx.helper.make_attribute(name, random.choice(values)))


def _change_array(graph: Any, random: random.Random) -> None:
    """Let one array have other sizes, another type, or fewer bytes."""
    if not graph.initializer:
        return
    array = random.choice(graph.initializer)
    match random.randrange(5):
        case 0 if array.dims:
            array.dims[random.randrange(len(array.dims))] = random.choice((0, -1, 1, 3, 2**31))
        case 1:
            array.dims.append(random.choice((0, 1, 2)))
        case 2:
            array.data_type = random.randrange(20)
        case 3:
            array.raw_data = array.raw_data[: random.randrange(len(array.raw_data) + 1)]
        case _:
            del array.dims[:]


def _change_type(graph: Any, random: random.Random) -> None:
    """Let the graph's input or output be of another type or size."""
    values = [*graph.input, *graph.output]
    if not values:
        return
    value = random.choice(values)
    tensor = value.type.tensor_type
    match random.randrange(5):
        case 0 if tensor.shape.dim:
            one = random.choice(tensor.shape.dim)
            one.dim_value = random.choice((0, -1, 1, 2, 999, 2**40))
        case 1 if tensor.shape.dim:
            random.choice(tensor.shape.dim).dim_param = "batch"
        case 2 if tensor.shape.dim:
            del tensor.shape.dim[random.randrange(len(tensor.shape.dim)) :]
        case 3:
            value.ClearField("type")
        case _:
            tensor.elem_type = random.randrange(20)


def mutate_h5(content: bytes, random: random.Random) -> bytes:
    """Return an HDF5 file with one array dropped, renamed or changed, or its JSON."""
    import h5py

    held = io.BytesIO(content)
    with h5py.File(held, "r+") as file:
        arrays: list[str] = []
        file.visititems(lambda name, item: arrays.append(name) if hasattr(item, "dtype") else None)
        if "model_config" in file.attrs and random.random() < 0.6:
            text = file.attrs["model_config"]
            wrong = mutate_json(text.encode() if isinstance(text, str) else text, random)
            file.attrs["model_config"] = wrong.decode()
        elif arrays:
            name = random.choice(arrays)
            array = file[name][()]
            del file[name]
            match random.randrange(4):
                case 0:
                    file[f"{name}x"] = array
                case 1:
                    file[name] = np.asarray(array).ravel()
                case 2:
                    file[name] = np.asarray(array).astype(random.choice(("i1", "f8", "S3", "c8")))
    return held.getvalue()


@contextlib.contextmanager
def silence() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Keep what is printed to stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # Pillow and NumPy warn of what they then refuse
        yield out, err


@contextlib.contextmanager
def limited(seconds: float = 2.0) -> Iterator[None]:
    """Press Ctrl-C after a while: a damaged file may well ask for a million epochs."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        """Press again where a finalizer or a callback of the collector swallowed it."""
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        else:
            hook(unraisable)

    hook, sys.unraisablehook = sys.unraisablehook, lost
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.unraisablehook = hook


def crashes(kind: Kind, count: int, random: random.Random) -> Iterator[Crash]:
    """Read `count` damaged files of one kind; yield those that were answered by a traceback."""
    sound = kind.path.read_bytes()
    try:
        for number in range(count):
            change = kind.mutate if kind.mutate and random.random() < 0.7 else damage
            content = change(sound, random)
            kind.path.write_bytes(content)
            command = kind.commands[number % len(kind.commands)]
            try:
                with silence() as (out, err), limited():
                    run(command)
                    if "\x1b" in out.getvalue() + err.getvalue():
                        raise AssertionError("a raw escape character was printed")
            except BaseException:
                yield Crash(kind.name, command, content, traceback.format_exc())
    finally:
        kind.path.write_bytes(sound)


def kinds(folder: Path) -> list[Kind]:
    """Write one sound file of every kind below `folder` and return them."""
    written = [*_arrays(folder), *_pictures(folder), *_texts(folder), *_learned(folder)]
    return [*written, *_exchanged(folder)]


def _arrays(folder: Path) -> list[Kind]:
    x, y = quadrants(8)
    images, labels = (folder / f"x-{name}-ubyte" for name in ("images-idx3", "labels-idx1"))
    np.save(folder / "m.npy", np.arange(64.0).reshape(8, 8))
    images.write_bytes(b"\0\0\x08\x03" + struct.pack(">3I", 8, 8, 8) + x.tobytes())
    labels.write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 8) + y.astype(np.uint8).tobytes())
    np.savez(folder / "set.npz", x=x, y=y, class_names=np.array(["a", "b", "c", "d"]))
    matrix = (
        ("filter", f"{folder}/m.npy", "-k", "box", "--engine", "numpy"),
        ("pool", f"{folder}/m.npy", "--max", "2", "--engine", "numpy"),
    )
    described = ("data", "--format", "json")
    return [
        Kind("npy", folder / "m.npy", matrix, mutate_npy),
        Kind("npz", folder / "set.npz", ((*described, f"{folder}/set.npz"),), mutate_zip),
        Kind("idx", images, ((*described, str(images)),)),
        Kind("idx labels", labels, ((*described, str(images)),)),
    ]


def _pictures(folder: Path) -> list[Kind]:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (9, 7, 3), np.uint8))
    found = []
    for suffix in ("png", "jpg", "gif", "tiff", "bmp", "webp", "ppm"):
        path = folder / f"p.{suffix}"
        picture.save(path)
        command = ("filter", str(path), "-k", "box", "-o", f"{folder}/out.png", "--force")
        found.append(Kind(suffix, path, ((*command, "--engine", "numpy"),)))
    return found


def _texts(folder: Path) -> list[Kind]:
    rows = "\n".join(f"{i / 7:.3f},{i % 5},{'ab'[i // 20 % 2]}" for i in range(80))
    texts = {
        "walk.csv": f"x,y,label\n{rows}\n",
        "m.txt": "1 2 3\n4 5 6\n7 8 9\n",
        "k.txt": "1/9 1 -1; 2 0.5 2\n",
        "n.net": "let n = 4\ninput 16x16x1\nconv {n} 3 relu # c\nresidual(conv 4 3 same)\ngap\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    series = ("data", f"{folder}/walk.csv", "--window", "8", "--format", "json")
    matrix = ("filter", f"{folder}/m.txt", "--engine", "numpy", "-k")
    return [
        Kind("series", folder / "walk.csv", (series,)),
        Kind("matrix", folder / "m.txt", ((*matrix, "box"),)),
        Kind("kernel", folder / "k.txt", ((*matrix, f"{folder}/k.txt"),)),
        Kind("net", folder / "n.net", (("shape", f"{folder}/n.net"),)),
    ]


def _learned(folder: Path) -> list[Kind]:
    """Return what training leaves behind."""
    short = ("--data", str(write_quadrants(folder, 40)), "--epochs", "1", "--quiet", "-o")
    swept, place = folder / "sweep", folder / "runs" / "one"
    with silence():
        assert run(("train", NETWORK, *short, str(place))) == 0
        assert run(("sweep", NETWORK, "lr=0.01", *short, str(swept))) == 0
    np.save(folder / "s.npy", quadrants(1)[0][0])
    model, sample, runs = place / "model.safetensors", f"{folder}/s.npy", f"{folder}/runs"
    predict, evaluate = ("predict", str(model), sample), ("evaluate", str(place))
    report = ("report", str(place), "-o", f"{folder}/r.html", "--force")
    curves = ("show", "curves", str(place), "-o", f"{folder}/c.svg", "--force")
    resume = ("train", "--resume", str(place), "--quiet")
    again = ("sweep", "--resume", str(swept), "--quiet")
    learned = (predict, ("shape", str(model)), ("show", "filters", str(model), "--format", "json"))
    listed = (("runs", runs), ("runs", runs, "--format", "json"), report, evaluate, curves)
    (training,) = (swept / "trainings").glob("*.json")
    return [
        Kind("model", model, learned, mutate_safetensors),
        Kind("sample", folder / "s.npy", (predict,), mutate_npy),
        Kind("checkpoint", place / "last.safetensors", (resume, evaluate), mutate_safetensors),
        Kind("run.json", place / "run.json", listed, mutate_json),
        Kind("history", place / "history.csv", (report, curves)),
        Kind("indices", place / "validation_indices.txt", (report, evaluate)),
        Kind("sweep.json", swept / "sweep.json", (again,), mutate_json),
        Kind("training", training, (again,), mutate_json),
    ]


def _exchanged(folder: Path) -> list[Kind]:
    """Return what other programs read and write, where their libraries are installed."""
    mutations = {"onnx": mutate_onnx, "keras": mutate_zip, "h5": mutate_h5}
    found = []
    for suffix, mutate in mutations.items():
        path = folder / f"e.{suffix}"
        with silence():
            code = run(("export", f"{folder}/runs/one", "-o", str(path), "--quiet"))
        if code == 0:
            found.append(Kind(suffix, path, _reading(path), mutate))
    (folder / "of_torch").mkdir()
    written = _of_torch(folder / "of_torch") if {"torch", "onnx"} <= _installed() else []
    return [*found, *(Kind(path.stem, path, _reading(path), mutate_onnx) for path in written)]


def _reading(path: Path) -> tuple[tuple[str, ...], ...]:
    back = ("import", str(path), "-o", f"{path.parent}/back.safetensors", "--force", "--quiet")
    return (("shape", str(path)), back)


def _installed() -> set[str]:
    return {name for name in ("torch", "onnx") if importlib.util.find_spec(name)}


def _of_torch(folder: Path) -> list[Path]:
    """Write what PyTorch's older exporter, which needs nothing else, makes of some networks."""
    import torch
    from torch import nn

    class Gated(nn.Module):  # type: ignore[misc]  # PyTorch carries no types here
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Sigmoid())

        def forward(self, x: Any) -> Any:
            return torch.cat([x * self.gate(x), x + 1], 1)

    layers = {
        "torch-plain": (
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.PReLU(4), nn.MaxPool2d(2),
            nn.Flatten(), nn.Hardswish(), nn.Linear(64, 4), nn.Softmax(1),
        ),
        "torch-gated": (
            nn.Conv2d(1, 4, 3, stride=2), Gated(), nn.ReLU6(), nn.AvgPool2d(2, padding=1),
            nn.ConvTranspose2d(8, 2, 2, stride=2), nn.Upsample(scale_factor=2), nn.GELU(),
            nn.PixelShuffle(1), nn.GroupNorm(1, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        ),
    }  # fmt: skip
    paths = []
    for name, parts in layers.items():
        paths.append(folder / f"{name}.onnx")
        with silence():
            torch.onnx.export(
                nn.Sequential(*parts).eval(), torch.zeros(1, 1, 8, 8), paths[-1], dynamo=False
            )
    return paths


def seeded(seed: int, kind: Kind) -> random.Random:
    """Return the dice of one kind, which do not depend on the other kinds."""
    return random.Random(f"{seed} {kind.name}")  # noqa: S311  (no secret)


def main() -> None:
    """Try many files of all kinds, or of those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", default=[])
    parser.add_argument("--keep", type=Path, help="a folder for what was no sentence")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        tried = [kind for kind in kinds(folder) if not chosen.kind or kind.name in chosen.kind]
        share, total, seen = -(-chosen.count // len(tried)), 0, Counter[str]()
        for kind in tried:
            found = list(crashes(kind, share, seeded(chosen.seed, kind)))
            total += share
            print(f"{kind.name}: {share} files, {len(found)} tracebacks", flush=True)
            for crash in found:
                seen[f"{kind.name}: {crash.cause}"] += 1
                if chosen.keep:
                    chosen.keep.mkdir(exist_ok=True)
                    place = chosen.keep / f"{kind.name}-{seen.total()}"
                    place.write_bytes(crash.content)
                    place.with_suffix(".txt").write_text(f"{crash.command}\n{crash.trace}")
        print(f"{total} files, {seen.total()} tracebacks")
        for cause, count in seen.most_common():
            print(f"{count:5} {cause}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
