"""Arrays by name: PyTorch's own modules and ours, with axes that can be told apart."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.arrayfiles import read_npz
from convcli.errors import InputError, UsageError
from convcli.exchange.export import export_model
from convcli.exchange.importing import import_model
from tests.exchange.models import samples_last, trained
from tests.exchange.test_export import NETWORKS

LEAVING = {name: text for name, text in NETWORKS.items() if name != "norms"} | {
    "norms": "input 6x6x4, ln, gn 2, bn noscale eps=1e-3, prelu, gap, dense 2",
}  # an lrn is not in motion


@pytest.mark.parametrize("suffix", [".py", ".npz"])
@pytest.mark.parametrize("notation", LEAVING.values(), ids=LEAVING)
def test_what_left_comes_back(notation: str, suffix: str, tmp_path: Path) -> None:
    sent = trained(notation, scale=(0.5,), offset=(-1.0,))
    files = export_model(sent, tmp_path / f"m{suffix}").files
    back = import_model(files[-1]).model
    assert (back.network, back.class_names) == (sent.network, sent.class_names)
    assert back.preprocessing == sent.preprocessing
    samples = samples_last(sent, count=32)
    np.testing.assert_array_equal(sent.predict(samples), back.predict(samples))


TORCH = "input 9x8x2, conv 3 3x2 relu, maxpool 2, flatten, dropout 0.5, relu, dense 4 relu, dense 2"


def saved_by_torch(path: Path, named: bool) -> Any:
    """Save an ordinary module, whose flatten goes channels first, as safetensors."""
    torch = pytest.importorskip("torch", reason="PyTorch is the other program; extra [bench]")
    from safetensors.torch import save_file

    nn = torch.nn
    torch.manual_seed(0)
    parts = [
        ("conv1", nn.Conv2d(2, 3, (3, 2))), ("a", nn.ReLU()), ("b", nn.MaxPool2d(2)),
        ("c", nn.Flatten()), ("d", nn.ReLU()), ("dense1", nn.Linear(3 * 3 * 3, 4)),
        ("e", nn.ReLU()), ("dense2", nn.Linear(4, 2)),
    ]  # fmt: skip
    module = nn.Sequential()
    for number, (name, part) in enumerate(parts):
        module.add_module(name if named else f"{number + 8}", part)  # 8, ..., 10: not by alphabet
    save_file(module.state_dict(), path)
    return module.eval()


@pytest.mark.parametrize("named", [True, False])
def test_pytorch_s_flatten_order_is_turned_to_ours(named: bool, tmp_path: Path) -> None:
    module = saved_by_torch(tmp_path / "w.safetensors", named)
    torch = pytest.importorskip("torch", reason="PyTorch is the other program; extra [bench]")
    got = import_model(tmp_path / "w.safetensors", network=TORCH).model
    samples = samples_last(got)
    with torch.no_grad():
        ref = module(torch.tensor(np.ascontiguousarray(np.moveaxis(samples, -1, 1)))).numpy()
    np.testing.assert_allclose(ref, got.predict(samples, logits=True), atol=1e-5)


def test_one_lstm_bias_is_the_sum_of_pytorch_s_two(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the other program; extra [bench]")
    torch.manual_seed(1)
    lstm = torch.nn.LSTM(3, 5, batch_first=True)
    arrays = {f"lstm1.{name}": tensor.numpy() for name, tensor in lstm.state_dict().items()}
    np.savez(tmp_path / "w.npz", **arrays)
    got = import_model(tmp_path / "w.npz", network="input 7x3, lstm 5").model
    samples = samples_last(got)
    with torch.no_grad():
        ref = lstm(torch.tensor(samples))[0][:, -1].numpy()
    np.testing.assert_allclose(ref, got.predict(samples), atol=1e-5)


NETWORK = "input 3, dense 2 name=out"
GOOD = {"out.weight": np.zeros((2, 3)), "out.bias": np.zeros(2)}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"fc.weight": GOOD["out.weight"], "head.bias": GOOD["out.bias"]},
         r"layer 1 out needs an array out\.weight .*the file has fc\.weight.*name=NAME"),
        (GOOD | {"more.weight": np.zeros(1)}, r"no place for the array more\.weight"),
        (GOOD | {"out.weight": np.zeros((3, 2))}, r"out\.kernel gives the shape \(2, 3\)"),
        (GOOD | {"out.weight": np.zeros(6)}, "has 1 axes, not 2"),
        (GOOD | {"out.bias": np.array([0, np.nan])}, "something but finite numbers"),
        (GOOD | {"out.bias": np.zeros(2, complex)}, "something but finite numbers"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(arrays: dict[str, Any], said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(InputError, match=said):
        import_model(tmp_path / "w.npz", network=NETWORK)


def test_a_scale_that_noscale_forbids_is_named(tmp_path: Path) -> None:
    norm = {f"bn1.{name}": np.full(2, 3.0) for name in ("bias", "running_mean", "running_var")}
    np.savez(tmp_path / "w.npz", **norm, **{"bn1.weight": np.ones(2)})
    assert import_model(tmp_path / "w.npz", network="input 4x2, bn noscale").model
    np.savez(tmp_path / "w.npz", **norm, **{"bn1.weight": np.full(2, 2.0)})
    with pytest.raises(InputError, match=r"bn1\.weight is not all ones"):
        import_model(tmp_path / "w.npz", network="input 4x2, bn noscale")


def test_hostile_npz_files_get_a_sentence(tmp_path: Path) -> None:
    place = tmp_path / "w.npz"
    np.savez(place, allow_pickle=True, out=np.array([{"a": 1}], object))
    pickled = place.read_bytes()
    for content in (b"", b"PK\x03\x04", pickled, pickled[:60]):
        place.write_bytes(content)
        with pytest.raises(
            InputError, match=r"w\.npz is no \.npz file, or damaged|holds Python objects"
        ):
            import_model(place, network=NETWORK)
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("out.weight.npy", b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4'}" + b"\n")
    with pytest.raises(InputError, match=r"out.weight.npy is no \.npy file, or damaged"):
        import_model(place, network=NETWORK)
    np.savez(place, **GOOD)
    with pytest.raises(InputError, match="at most 10 are read"):
        read_npz(place, max_bytes=10)
    with pytest.raises(InputError, match="No such file"):
        import_model(tmp_path / "missing.npz", network=NETWORK)


def test_a_file_without_a_network_asks_for_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **GOOD)
    with pytest.raises(UsageError, match=r"no network\. Say which with --network"):
        import_model(tmp_path / "w.npz")


def test_a_note_never_names_another_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **GOOD, network=np.array("mnist"))
    with pytest.raises(UsageError, match="begins with its input"):
        import_model(tmp_path / "w.npz")
