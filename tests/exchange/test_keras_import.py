"""Keras' own files come in, and our engine gives what Keras gave."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from convcli.errors import ConvcliError, InputError, UsageError
from convcli.exchange.export import export_model
from convcli.exchange.importing import import_model
from convcli.exchange.keras_files import open_arrays
from convcli.net.lookup import open_network
from tests.exchange.models import asked, keras, samples_last, trained

h5py = pytest.importorskip("h5py", reason="Keras' arrays are HDF5; extra [keras]")


def digits(L: Any) -> Any:
    return [
        L.Conv2D(4, (3, 2), activation="relu"),
        L.MaxPooling2D(2),
        L.Conv2D(5, 3, strides=(1, 2), padding="same", groups=1),
        L.BatchNormalization(scale=False),
        L.LeakyReLU(negative_slope=0.01),
        L.Flatten(),
        L.Dropout(0.3),
        L.Dense(6, activation="tanh"),
        L.Dense(3, activation="softmax"),
    ]


def mixed(L: Any) -> Any:
    return [
        L.ZeroPadding2D(((1, 0), (0, 2))),
        L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="silu"),
        L.SeparableConv2D(6, 3, use_bias=False),
        L.LayerNormalization(),
        L.GroupNormalization(3),
        L.PReLU(shared_axes=[1, 2]),
        L.AveragePooling2D(2, padding="same"),
        L.Conv2DTranspose(3, 3, strides=2),
        L.Conv2DTranspose(4, (2, 3), strides=(2, 1), activation="gelu"),
        L.UpSampling2D((1, 2)),
        L.Conv2D(4, 3, dilation_rate=2, groups=2),
        L.GlobalMaxPooling2D(),
        L.Dense(2, use_bias=False),
    ]


def series(L: Any) -> Any:
    return [
        L.Conv1D(5, 3, padding="causal", dilation_rate=2),
        L.MaxPooling1D(2),
        L.LSTM(4, return_sequences=True),
        L.Bidirectional(L.LSTM(2, return_sequences=True)),
        L.GRU(4, return_sequences=True),
        L.Bidirectional(L.GRU(2, return_sequences=True)),
        L.Bidirectional(L.GRU(3)),
        L.Reshape((3, 2)),
        L.LSTM(3),
        L.Dense(2),
    ]


def volume(L: Any) -> Any:
    return [
        L.Conv3D(3, (2, 3, 1), activation="elu"),
        L.AveragePooling3D((2, 1, 2)),
        L.Flatten(),
        L.Dense(2),
    ]


def sequential(inputs: tuple[int, ...], layers: Any) -> Any:
    peer = keras()
    return peer.Sequential([peer.Input(inputs), *layers(peer.layers)])


def functional() -> Any:
    peer = keras()
    L = peer.layers
    start = peer.Input((8, 6, 2))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(start)
    y = L.Conv2D(4, 1)(x)
    x = L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(x))
    x = L.Add()([x, y])
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D()(x))
    x = L.Multiply()([x, L.Reshape((1, 1, 4))(gate)])
    x = L.Concatenate()([L.Conv2D(2, 3, padding="same")(x), L.Conv2D(3, 1)(x), x])
    inner = peer.Sequential([peer.Input((8, 6, 9)), L.Conv2D(3, 3), L.BatchNormalization()])
    return peer.Model(start, L.Dense(2)(L.Flatten()(inner(x))))


def scaled() -> Any:
    return sequential(
        (5, 4, 2), lambda L: [L.Rescaling((0.5, 0.25), (1.0, -1.0)), L.Flatten(), L.Dense(2)]
    )


def numbers(L: Any) -> Any:
    return [
        L.RandomFlip(),
        L.Rescaling(1 / 2),
        L.Normalization(mean=[0.5, 1.0], variance=[2.0, 3.0]),
        L.Rescaling((1.0, 2.0), 0.25),
        L.Conv2D(4, 3, activation="leaky_relu"),
        L.LeakyReLU(negative_slope=0.3),
        L.ELU(0.7),
        L.ReLU(max_value=1.5),
        L.Permute((2, 1, 3)),
        L.Conv2D(3, 1, activation="softplus"),
        L.Flatten(),
        L.Dense(3),
    ]


def gated() -> Any:
    """As Keras' MobileNetV3 spells a hard sigmoid."""
    peer = keras()
    start = peer.Input((6, 5, 3))
    x = peer.layers.Conv2D(4, 3)(start)
    y = peer.layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = peer.layers.ReLU(6.0)(peer.layers.Conv2D(4, 1)(y) + 3.0) * (1.0 / 6.0)
    return peer.Model(start, peer.layers.Flatten()(x * y))


MODELS = {
    "numbers": lambda: sequential((7, 6, 2), numbers),
    "gated": gated,
    "digits": lambda: sequential((12, 10, 2), digits),
    "mixed": lambda: sequential((7, 6, 3), mixed),
    "functional": functional,
    "scaled": scaled,
    "series": lambda: sequential((20, 3), series),
    "volume": lambda: sequential((5, 6, 4, 2), volume),
}


def saved(make: Any, path: Path) -> Any:
    """Save a Keras model with asymmetric weights; return it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other program's own
        model = make()
        random = np.random.default_rng(4)
        weights = [random.normal(size=w.shape) / 4 for w in model.get_weights()]
        names = [w.path for w in model.weights]
        model.set_weights(
            [w**2 + 0.5 if "variance" in n else w for n, w in zip(names, weights, strict=True)]
        )
        model.save(path)
    return model


@pytest.mark.slow  # Keras takes seconds to load
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", MODELS)
def test_our_engine_gives_what_keras_gave(name: str, suffix: str, tmp_path: Path) -> None:
    model = saved(MODELS[name], tmp_path / f"m{suffix}")
    shape = (256, *model.input_shape[1:])
    samples = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    ref = asked(model, samples)
    got = import_model(tmp_path / f"m{suffix}", outputs="values")
    np.testing.assert_allclose(ref, got.model.predict(samples), atol=1e-5)
    assert all("(RandomFlip)" in note for note in got.notes)
    assert open_network(str(tmp_path / f"m{suffix}")).network == got.model.network


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_what_left_comes_back_with_classes_and_preprocessing(suffix: str, tmp_path: Path) -> None:
    sent = trained(scale=(0.5, 0.25), offset=(0.0, 1.0))
    export_model(sent, tmp_path / f"m{suffix}")
    back = import_model(tmp_path / f"m{suffix}").model
    assert back.class_names == sent.class_names
    assert back.preprocessing == sent.preprocessing
    samples = samples_last(sent)
    np.testing.assert_array_equal(sent.predict(samples), back.predict(samples))
    export_model(sent, tmp_path / f"inside{suffix}", with_preprocessing=True)
    again = import_model(tmp_path / f"inside{suffix}").model
    assert again.preprocessing == sent.preprocessing
    with pytest.raises(UsageError, match="scales its input itself"):
        import_model(tmp_path / f"inside{suffix}", scale=(2.0,))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (lambda L: [L.Conv2D(2, 3), L.Rescaling(2.0)], "stands behind other layers"),
        (lambda L: [L.Conv2D(2, 3), L.Normalization(mean=1.0, variance=2.0)], "stands behind"),
    ],
)
def test_what_would_answer_otherwise_is_refused(layers: Any, said: str, tmp_path: Path) -> None:
    saved(lambda: sequential((8, 8, 1), layers), tmp_path / "m.keras")
    with pytest.raises(InputError, match=said):
        import_model(tmp_path / "m.keras")


def test_layers_that_only_prepare_are_noted(tmp_path: Path) -> None:
    layers = lambda L: [L.RandomFlip(name="mirror"), L.Flatten(), L.Dense(2)]  # noqa: E731  (a table's cell)
    saved(lambda: sequential((4, 4, 1), layers), tmp_path / "m.keras")
    got = import_model(tmp_path / "m.keras")
    assert got.notes == ("mirror (RandomFlip) prepares the data; it is left out.",)


def edited(path: Path, change: Any) -> None:
    """Change the weights inside an archive."""
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        change(file)
    parts["model.weights.h5"] = weights.getvalue()
    with ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


KERNEL = "layers/conv2d/vars/0"


def external(file: Any) -> None:
    del file[KERNEL]
    file.create_dataset(
        KERNEL, (3, 2, 2, 4), "f4", external=[("/etc/passwd", 0, 3 * 2 * 2 * 4 * 4)]
    )


def linked(file: Any) -> None:
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink("/etc/passwd", "/x")


def huge(file: Any) -> None:
    del file[KERNEL]
    file.create_dataset(KERNEL, (10**6, 10**6), "f4", chunks=(100, 100))


def gone(file: Any) -> None:
    del file[KERNEL]


def endless(file: Any) -> None:
    file[KERNEL][0, 0, 0, 0] = np.inf


def whole_numbers(file: Any) -> None:
    del file[KERNEL]
    file[KERNEL] = np.zeros((3, 2, 2, 4), np.int32)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (external, "lies in another file; refused"),
        (linked, "a link to elsewhere; refused"),
        (huge, r"float32 of shape \(1000000, 1000000\); needed are floats of \(3, 2, 2, 4\)"),
        (gone, "has 1 arrays in the file and needs 2"),
        (endless, "conv1.kernel .* something but finite numbers"),
        (whole_numbers, "is int32 of shape"),
    ],
)
def test_hostile_weights_get_a_sentence(change: Any, said: str, tmp_path: Path) -> None:
    export_model(trained(), tmp_path / "m.keras")
    edited(tmp_path / "m.keras", change)
    with pytest.raises(InputError, match=said):
        import_model(tmp_path / "m.keras")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_damaged_files_get_a_sentence(name: str, tmp_path: Path) -> None:
    export_model(trained(), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for content in (b"", whole[:100], whole[: len(whole) // 2], b"\x89HDF\r\n\x1a\n" + bytes(99)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is no (whole Keras file|Keras archive)"):
            import_model(tmp_path / name)
    with pytest.raises(InputError, match=r"no such file|No such file"):
        import_model(tmp_path / "missing" / name)


def test_weights_alone_are_told_from_a_model(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"conv"])
    with pytest.raises(InputError, match=r"w\.h5 holds no network, perhaps weights alone"):
        import_model(tmp_path / "w.h5")
    with open_arrays(tmp_path / "w.h5") as store:
        assert store.old


def test_a_swollen_archive_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_model(trained(), tmp_path / "m.keras")
    monkeypatch.setattr("convcli.exchange.keras_files.MAX_WEIGHTS_BYTES", 1000)
    with pytest.raises(InputError, match=r"model\.weights\.h5 in .* at most 1,000 are read"):
        import_model(tmp_path / "m.keras")


def test_notes_that_lie_are_passed_over(tmp_path: Path) -> None:
    export_model(trained(), tmp_path / "m.keras")
    with ZipFile(tmp_path / "m.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    notes = {"classes": "[1, 2", "preprocessing": "7"}
    parts["metadata.json"] = json.dumps({"keras_version": "3.0.0", "convcli": notes}).encode()
    with ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    got = import_model(tmp_path / "m.keras").model
    assert got.class_names == ("0", "1", "2")
    assert got.preprocessing.scale == (1.0,)


HOSTILE = [None, -1, 3, 1e9, 10**30, "", "x", [], {}, [1, 2, 3], [[1, 2], [3, 4]], True, "conv1"]


def places(value: Any, way: tuple[Any, ...] = ()) -> Any:
    """Yield the way to every entry of a decoded JSON document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in pairs:
        yield (*way, key)
        if isinstance(part, dict | list):
            yield from places(part, (*way, key))


def test_any_damage_to_the_configuration_ends_in_a_sentence(tmp_path: Path) -> None:
    text = "input 6x5x2, conv 3 2 relu, bn eps=1e-3, flatten, dense 2"
    export_model(trained(text), tmp_path / "m.keras")
    with ZipFile(tmp_path / "m.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    ways = list(places(json.loads(parts["config.json"])))
    told: list[str] = []
    for number, way in enumerate(ways):
        document = json.loads(parts["config.json"])
        inner = document
        for key in way[:-1]:
            inner = inner[key]
        for value in (HOSTILE[number % len(HOSTILE)], HOSTILE[(5 * number + 3) % len(HOSTILE)]):
            inner[way[-1]] = value
            with ZipFile(tmp_path / "h.keras", "w") as archive:
                for name, content in parts.items():
                    changed = json.dumps(document).encode() if name == "config.json" else content
                    archive.writestr(name, changed)
            try:
                import_model(tmp_path / "h.keras")
            except ConvcliError as problem:
                told.append(str(problem))
    assert len(told) > len(ways)
    assert all("h.keras" in sentence for sentence in told)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_several_inputs_are_read(suffix: str, tmp_path: Path) -> None:
    peer = keras()
    L, path = peer.layers, tmp_path / f"net{suffix}"
    picture, row = L.Input((8, 8, 3), name="picture"), L.Input((5,), name="row")
    maps = L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(picture))
    joined = L.Concatenate()([L.Dense(3)(row), maps])
    built = peer.Model([picture, row], L.Dense(2)(joined))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other program's own
        built.save(path)
    trace = open_network(str(path)).network.trace()
    assert trace.inputs == {"input": (8, 8, 3), "row": (5,)}
    random = np.random.default_rng(0)
    given = [random.normal(size=(4, *shape)).astype(np.float32) for shape in trace.inputs.values()]
    (got,) = (
        import_model(path).model.predict_all(dict(zip(trace.inputs, given, strict=True))).values()
    )
    np.testing.assert_allclose(got, asked(built, given), atol=1e-5)
    scaled = L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(L.Rescaling(1 / 255, name="front")(picture)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other program's own
        peer.Model([picture, row], L.Concatenate()([scaled, row])).save(path)
    with pytest.raises(InputError, match=r"'front' \(Rescaling\): it scales one of several inputs"):
        import_model(path)
