"""`python -m tests.bench data [PICTURES]`: what data take of memory, and larger ones than memory.

Without a number: the peak of a training over the size of its data, for each kind of source, as the
difference to the same training of a few samples. With one: so many pictures of 224x224 are made,
decoded once and trained on; in turns it tells the speed of the decoder alone, of reading and
augmenting what was decoded alone, of the network alone, and of reading and network together.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE = 224
FEW, MANY = 200, 270_000
BATCH, STEPS, TURNS = 64, 10, 7
SPEEDS = ("decoder", "reader", "network", "both")
NETWORK = "input {}, flatten, dense 2 softmax"
BIG = f"input {SIDE}x{SIDE}x3, conv 8 7 s4 relu, maxpool 3, conv 16 3 relu, gap, dense 10 softmax"


def main(arguments: list[str]) -> None:
    """Measure in processes of their own, and print tables."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        if arguments:
            _larger_than_memory(int(arguments[0]), Path(folder))
            return
        print(f"{'source':<22}{'data, MB':>10}{'peak, MB':>10}{'ratio':>7}")
        for kind in KINDS:
            few, many = (_measured("train_kind", kind, str(n), folder) for n in (FEW, MANY))
            more = many["peak"] - few["peak"]
            data = many["bytes"] - few["bytes"]
            print(f"{kind:<22}{data / 1e6:>10.0f}{more / 1e6:>10.0f}{more / data:>7.2f}")


def _larger_than_memory(count: int, folder: Path) -> None:
    began = time.perf_counter()
    _write_pictures(folder / "pictures", count)
    print(f"\n{count:,} pictures of {SIDE}x{SIDE} made in {time.perf_counter() - began:.0f} s, "
          f"{count * SIDE * SIDE * 3 / 1e9:.2f} GB of bytes")  # fmt: skip
    for what in ("decoded", "from the cache"):
        told = _measured("train_pictures", str(folder / "pictures"))
        speeds = ", ".join(f"{name} {told[name]:,.0f}" for name in SPEEDS)
        print(
            f"{what}: loaded at {told['loaded']:,.0f}, an epoch trained at {told['epoch']:,.0f} "
            f"pictures a second, peak {told['peak'] / 1e9:.2f} GB, SHA-256 of the weights "
            f"{told['weights'][:12]}; in turns, pictures a second: {speeds}; "
            f"both by the slower one {told['ratio']:.2f}",
            flush=True,
        )


def _measured(*words: str) -> dict[str, float]:
    code = "import sys; from tests.bench import data; data.WORK[sys.argv[1]](*sys.argv[2:])"
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _tell(**figures: float | str) -> None:
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak": peak, **figures}))


def _train_kind(kind: str, count: str, folder: str) -> None:
    from convcli.learn.fit import Training
    from convcli.learn.recipes import Recipe
    from convcli.learn.runspec import fingerprint
    from convcli.learn.split import SplitSpec, split_data
    from convcli.net import parse_notation

    place = Path(folder) / f"{kind.replace(' ', '-').replace(',', '')}-{count}"
    if not place.with_suffix(".made").exists():
        subprocess.run([sys.executable, "-c", "import sys; from tests.bench import data; "
                        "data.KINDS[sys.argv[1]][0](int(sys.argv[2]), sys.argv[3])",
                        kind, count, str(place)], check=True)  # fmt: skip
        place.with_suffix(".made").touch()
    data = KINDS[kind][1](place)
    size = sum(split.samples.nbytes for split in data.splits().values())
    data = split_data(data, 0.1, SplitSpec(0))
    network = parse_notation(NETWORK.format("x".join(map(str, data.sample_shape))))
    training = Training(network, data, Recipe(epochs=1, batch=128))
    fingerprint(data)
    for _ in training:
        pass
    _tell(bytes=size)


def _train_pictures(folder: str) -> None:
    import hashlib

    from convcli.data import load_dataset
    from convcli.learn.fit import Training
    from convcli.learn.recipes import Recipe
    from convcli.learn.split import SplitSpec, split_data
    from convcli.net import parse_notation

    began = time.perf_counter()
    data = load_dataset(folder)
    loaded = len(data.train) / (time.perf_counter() - began)
    data = split_data(data, 0.02, SplitSpec(0))
    training = Training(parse_notation(BIG), data, Recipe(epochs=1, batch=BATCH, augment="shift=8"))
    training.warm_up()
    epoch = next(iter(training))
    digest = hashlib.sha256(training.model.flat.tobytes()).hexdigest()
    turns = np.array([_turn(training, number) for number in range(TURNS)])
    speeds = dict(zip(SPEEDS, np.median(turns, axis=0).tolist(), strict=True))
    ratio = float(np.median(turns[:, 3] / turns[:, 1:3].min(axis=1)))
    _tell(loaded=loaded, epoch=epoch.samples_per_second, weights=digest, ratio=ratio, **speeds)


def _turn(training, number: int) -> list[float]:
    """Return pictures a second of the parts alone and together, on other pictures each turn."""
    from convcli.data.picture_store import _decoded
    from convcli.imaging.options import Limits

    count = STEPS * BATCH
    split, feed = training.data.train, training.feed
    places = np.random.default_rng(number).permutation(len(split))[: 3 * count]
    some, others, third = (list(part.reshape(STEPS, BATCH)) for part in places.reshape(3, count))
    files = [Path(split.files[at]) for at in places[:count]]
    at_hand = feed.batch(third[0], 0)

    def timed(work) -> float:
        began = time.perf_counter()
        for _ in work:
            pass
        return count / (time.perf_counter() - began)

    return [
        timed(_decoded(files, None, Limits())),
        timed(feed.ahead((chosen, 0) for chosen in some)),
        timed(training.step(third[0], at_hand) for _ in range(STEPS)),
        timed(training.step(*made) for made in feed.ahead((chosen, 0) for chosen in others)),
    ]


def _write_pictures(folder: Path, count: int) -> None:
    from PIL import Image

    y, x = np.mgrid[:SIDE, :SIDE]
    waves = []
    for label in range(10):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
        wave = np.sin((x * np.cos(label) + y * np.sin(label)) * (label + 2) / 40)
        waves.append((60 * wave[..., np.newaxis]).astype(np.float32))
    for number in range(count):
        random, label = np.random.default_rng(number), number % 10
        shades = random.uniform(0, 255, 3).astype(np.float32)
        picture = np.clip(shades + waves[label], 0, 255).astype(np.uint8)
        path = folder / f"class{label}" / f"{number:06}.jpg"
        Image.fromarray(picture).save(path, quality=80)


def _made_arrays(count: int, place: str, *, floats: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
    return (x.astype(np.float32) if floats else x), np.arange(count) % 2


def _write_npz(count: int, place: str) -> None:
    x, y = _made_arrays(count, place, floats=False)
    np.savez(f"{place}.npz", x_train=x, y_train=y)


def _write_npy(count: int, place: str, *, channels: int) -> None:
    random = np.random.default_rng(0)
    np.save(f"{place}.npy", random.normal(size=(count, 64, channels)).astype(np.float32))


def _write_idx(count: int, place: str) -> None:
    x, y = _made_arrays(count, place, floats=False)
    Path(place).mkdir()
    head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28))
    (Path(place) / "train-images-idx3-ubyte").write_bytes(head + x.tobytes())
    labels = b"\0\0\x08\x01" + count.to_bytes(4, "big") + y.astype(np.uint8).tobytes()
    (Path(place) / "train-labels-idx1-ubyte").write_bytes(labels)


def _write_rows(count: int, place: str) -> None:
    texts = [str(level) for level in range(256)]
    with Path(f"{place}.csv").open("w") as file:
        file.write(",".join(["label", *(f"pixel{n}" for n in range(784))]) + "\n")
        for number in range(count):
            levels = np.random.default_rng(number).integers(0, 256, 784).tolist()
            file.write(",".join([str(number % 2), *map(texts.__getitem__, levels)]) + "\n")


def _write_series(count: int, place: str) -> None:
    random, rows = np.random.default_rng(0), count * 5
    table = np.concatenate([np.arange(rows)[:, None], random.normal(size=(rows, 9))], axis=1)
    with Path(f"{place}.csv").open("w") as file:
        file.write("time," + ",".join(f"c{n}" for n in range(9)) + ",label\n")
        for n, row in enumerate(table):
            file.write(",".join(f"{one:.5g}" for one in row) + f",{'ab'[n // 500 % 2]}\n")


def _write_folder(count: int, place: str) -> None:
    from PIL import Image

    for label in range(2):
        (Path(place) / f"class{label}").mkdir(parents=True)
    for number in range(count // 35):
        random = np.random.default_rng(number)
        picture = random.integers(0, 256, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(picture).save(f"{place}/class{number % 2}/{number:05}.bmp")


def _load(place: str):
    from convcli.data import load_dataset

    return load_dataset(place)


def _from_array(place: Path):
    from convcli.data.sources import as_dataset

    samples = np.load(f"{place}.npy")
    return as_dataset(samples, np.arange(len(samples)) % 2)


KINDS = {
    "idx, bytes": (_write_idx, _load),
    "npz, bytes": (_write_npz, lambda place: _load(f"{place}.npz")),
    "arrays, one channel": (lambda n, p: _write_npy(n, p, channels=1), _from_array),
    "arrays, nine channels": (lambda n, p: _write_npy(n, p, channels=9), _from_array),
    "folder of pictures": (_write_folder, _load),
    "csv, a row a sample": (_write_rows, lambda place: _load(f"{place}.csv")),
    "csv of series": (_write_series, lambda place: _load(f"{place}.csv")),
}
WORK = {"train_kind": _train_kind, "train_pictures": _train_pictures}
