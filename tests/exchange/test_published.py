"""Published models by name, from a server of our own; and the one that comes along."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from convcli import load
from convcli.cli.main import run
from convcli.exchange import published
from convcli.net import lookup
from tests.cli.learning import NETWORK, quadrants, write_quadrants
from tests.data import test_download

Handler, address = test_download.Handler, test_download.address
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def quads(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], Path]:
    """Publish a small network's arrays as `quads`; return its facts and the cache."""
    data = write_quadrants(tmp_path)
    words = ["train", NETWORK, "--data", str(data), "--epochs", "4", "--quiet"]
    assert run([*words, "-o", str(tmp_path / "run")]) == 0
    content = (tmp_path / "run" / "model.safetensors").read_bytes()
    Handler.files["quads.safetensors"] = content
    entry = {
        "about": "Quadrants",
        "file": "quads.safetensors",
        "mirrors": [f"{address}good/"],
        "sha256": hashlib.sha256(content).hexdigest(),
        "license": "Apache-2.0",
        "source": "https://example.org/quads",
        "classes": ["a", "b", "c", "d"],
    }
    cache = tmp_path / "cache"
    monkeypatch.setattr(published, "cache_folder", lambda name: cache / name)
    monkeypatch.delenv("CONVCLI_DATA", raising=False)
    facts = {"quads": entry}
    for module in ("convcli.net.lookup", "convcli.cli.options"):
        monkeypatch.setattr(f"{module}.published_models", lambda: facts, raising=False)
    samples, _ = quadrants(8)
    for number, sample in enumerate(samples[:4]):
        Image.fromarray(sample[..., 0]).save(tmp_path / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return entry, cache


def test_a_model_is_fetched_once_and_predicts_and_begins_a_training(
    quads: tuple[dict[str, Any], Path], capfd: Capture
) -> None:
    _, cache = quads
    capfd.readouterr()
    assert run(["predict", "quads", "0.png", "1.png", "2.png", "3.png", "--format", "json"]) == 0
    told = capfd.readouterr()
    assert [one["label"] for one in json.loads(told.out)] == ["a", "b", "c", "d"]
    assert "Apache-2.0, https://example.org/quads" in told.err
    assert [one.name for one in (cache / "models").rglob("*.*")] == ["quads.safetensors"]
    asked = len(Handler.asked)
    assert load("quads").training["license"] == "Apache-2.0"
    words = ["train", "--init", "quads", "--data", "quadrants.npz", "--epochs", "1", "--freeze"]
    assert run([*words, "conv*", "-o", "tuned", "--quiet"]) == 0
    ref, got = load("quads").model.parameters, load("tuned").model.parameters
    np.testing.assert_array_equal(ref["conv1.kernel"], got["conv1.kernel"])
    assert (ref["dense1.kernel"] != got["dense1.kernel"]).any()
    assert len(Handler.asked) == asked


def test_another_file_is_refused_and_no_network_is_a_sentence(
    quads: tuple[dict[str, Any], Path], capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, cache = quads
    entry["sha256"] = "0" * 64
    assert run(["predict", "quads", "0.png"]) == 3
    assert "sent other bytes (SHA-256" in capfd.readouterr().err
    assert not (cache / "models" / "quads.safetensors").exists()
    entry["mirrors"] = ["http://127.0.0.1:9/"]
    assert run(["train", "--init", "quads", "--data", "quadrants.npz"]) == 3
    said = capfd.readouterr().err
    assert "the model quads (Quadrants) is not to be had" in said
    assert "put it into a folder models and set CONVCLI_DATA" in said
    assert run(["predict", "quad", "0.png"]) == 3
    assert "no model of that name. Did you mean quads?" in capfd.readouterr().err


def test_a_file_of_one_s_own_is_taken_where_its_checksum_holds(
    quads: tuple[dict[str, Any], Path], capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quads
    own = Path("data/models")
    own.mkdir(parents=True)
    (own / "quads.safetensors").write_bytes(b"other")
    monkeypatch.setenv("CONVCLI_DATA", "data")
    assert run(["predict", "quads", "0.png"]) == 3
    assert "its SHA-256 differs" in capfd.readouterr().err
    (own / "quads.safetensors").write_bytes(Handler.files["quads.safetensors"])
    asked = len(Handler.asked)
    assert run(["predict", "quads", "0.png"]) == 0
    assert len(Handler.asked) == asked
    assert (own / "quads.safetensors").exists()


def test_an_onnx_file_of_imagenet_gets_its_names_and_its_scaling(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    pytest.importorskip("onnx", reason="reads the ONNX files that are published")
    names = [
        f"n{number:08} {'crane' if number in {3, 5} else f'thing {number}'}"
        for number in range(1000)
    ]
    synset = ("\n".join(names) + "\n").encode()
    monkeypatch.chdir(tmp_path)
    network = "input 8x8x3, conv 4 3 relu, gap, dense 1000"
    made = convcli_model(network)
    made.save("made.safetensors")
    assert run(["export", "made.safetensors", "-o", "made.onnx", "--quiet"]) == 0
    content = Path("made.onnx").read_bytes()
    Handler.files |= {"made.onnx": content, "synset.txt": synset}
    monkeypatch.setattr(published, "SYNSET", published.RemoteFile("synset.txt", packed=False))
    monkeypatch.setattr(published, "SYNSET_MIRRORS", (f"{address}good/",))
    monkeypatch.setattr(published, "cache_folder", lambda name: tmp_path / "cache" / name)
    entry = {
        "about": "made", "file": "made.onnx", "mirrors": [f"{address}good/"], "classes": "imagenet",
        "sha256": hashlib.sha256(content).hexdigest(), "license": "MIT", "source": "here",
    }  # fmt: skip
    model = load(published.published_model("made", entry))
    assert model.class_names[3:6] == ("crane (n00000003)", "thing 4", "crane (n00000005)")
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    shares = (picture / 255 - published.MEAN) / np.array(published.DEVIATION)
    ref = made.model.predict(shares[np.newaxis].astype(np.float32))
    got = model.predict(picture[np.newaxis], logits=True)
    np.testing.assert_allclose(ref, got, atol=1e-4)


def convcli_model(network: str) -> Any:
    """Return an untrained model of a network with 1,000 classes that takes samples as they are."""
    from convcli.learn.model import Model
    from convcli.learn.modelfile import TrainedModel
    from convcli.learn.prepare import Preprocessing
    from convcli.net import parse_notation

    value = parse_notation(network)
    names = tuple(map(str, range(1000)))
    shape = value.input_shape
    return TrainedModel(Model.initialize(value), names, Preprocessing(shape, (1.0,), (0.0,)))


def test_every_published_model_is_named_with_all_its_facts() -> None:
    for name, entry in lookup.published_models().items():
        assert len(entry["sha256"]) == 64, name
        assert entry["bytes"] > 1e6
        assert {"about", "file", "mirrors", "license", "source", "classes"} <= set(entry)
        assert all(mirror.startswith("https://") for mirror in entry["mirrors"])
        assert not entry["file"].endswith(lookup.PICKLES)


def test_the_digits_that_come_along_answer_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    model = load("digits-mnist")
    assert model.metrics["test_accuracy"] > 0.994
    assert model.training["source"]["name"] == "mnist"
    assert (lookup.MODELS / "digits-mnist.safetensors").stat().st_size < 200_000
    monkeypatch.chdir(tmp_path)
    paper = Image.new("L", (300, 400), 235)
    draw = ImageDraw.Draw(paper)
    draw.line([(90, 90), (210, 90), (130, 320)], fill=40, width=22, joint="curve")
    paper.save("photo.jpg")
    assert run(["predict", "photo.jpg", "--format", "json"]) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)[0]["label"] == "7"
    assert "digits-mnist, which comes with convcli" in told.err
    assert run(["predict", "digits-mnist"]) == 2
    assert "which pictures?" in capfd.readouterr().err
    assert run(["shape", "rps n=1", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["totals"]["params"] == 2_687


def test_the_digits_that_come_along_know_mnist(capfd: Capture) -> None:
    place = Path(__file__).parents[3] / "shared" / "data"
    root = os.environ.get("CONVCLI_DATA") or (str(place) if place.is_dir() else None)
    if root is None or not (Path(root) / "mnist").is_dir():
        pytest.skip("MNIST is not on this machine")
    os.environ["CONVCLI_DATA"], before = root, os.environ.get("CONVCLI_DATA")
    try:
        assert run(["evaluate", "digits-mnist", "--format", "json"]) == 0
    finally:
        os.environ.pop("CONVCLI_DATA") if before is None else os.environ.update(CONVCLI_DATA=before)
    got = json.loads(capfd.readouterr().out)
    assert got["accuracy"] == pytest.approx(load("digits-mnist").metrics["test_accuracy"], abs=5e-4)
