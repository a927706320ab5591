"""Every field that any command prints as JSON has one meaning, and every meaning a field."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from convcli.present.json_fields import FIELDS, FREE
from tests.cli.learning import NETWORK, quadrants, write_quadrants
from tests.options import COMMANDS

TRAINED = f"train|{NETWORK}|--data|quadrants.npz|--epochs|1|-o|"
VALUES = "input 3, dense 1"
WORDS = [
    "filter|a.png|-k|sobel|-o|s.png",
    "filter|m.csv|-k|box",
    "filter|a.png|-k|sobel|-k|invert|--explain|2,2",
    "pool|a.png|--max|2|-o|p.png",
    "kernels",
    "kernels|sobel-x",
    "shape|mnist",
    "shape|mnist|--explain|conv1",
    "shape|--solve|28 -> 14, kernel 3",
    "shape|mnist|--sizes",
    "shape|--layers",
    "shape|--layers|conv",
    "shape|mnist|--trace|5,5|--at|conv2",
    "shape|input 8x8x1, conv 4 3 s2 same, flatten, dense 2|--compare-dialects",
    "shape|--flops-table",
    "shape|--selftest",
    "shape|mnist|--convention|keras",
    "shape|mnist|--count|100|--roofline|--columns|name,intensity,moved_bytes",
    "shape|mnist|--time",
    "compare|lenet5|mnist",
    "compare|lenet5|mnist|rps",
    "presets",
    "presets|mnist",
    TRAINED + "again",
    f"train|{VALUES}|--data|values.npz|--epochs|1|-o|values",
    TRAINED + "none|--dry-run",
    TRAINED + "folds|--folds|2",
    TRAINED + "seeds|--seeds|2",
    "evaluate|run",
    "evaluate|values",
    "evaluate|run|--perturb|noise=0..0.2:2",
    "predict|run|a.png|--logits",
    "runs|.",
    "runs|run|again",
    f"sweep|{NETWORK}|lr=0.001,0.01|--data|quadrants.npz|--epochs|1|-o|sweep|--jobs|1",
    f"lr-find|{NETWORK}|--data|quadrants.npz|--steps|12",
    "data|quadrants.npz|--check",
    "data",
    "gradcheck|input 4, dense 2 softmax",
    "report|run|again",
    "export|run|-o|e.npz",
    f"import|e.npz|--network|{NETWORK}|-o|i.safetensors|--scale|1/255",
    "features|run|quadrants.npz|-o|f.npz",
    "convolutionalize|run|-o|fcn.safetensors",
    "doctor",
    "lesson",
    "lesson|window",
    "lesson|window|-o|window.html",
    "page|run|-o|page.html",
    "show|filters|run|-o|1.png",
    "show|maximize|run|--steps|2|--limit|1|-o|2.png",
    "show|activations|run|a.png|-o|3.png",
    "show|saliency|run|a.png|-o|4.png",
    "show|occlusion|run|a.png|-o|5.png",
    "show|cam|run|a.png|-o|6.png",
    "show|receptive|mnist|--at|conv2:5,5|-o|7.png",
    "show|heatmap|fcn.safetensors|large.png|-o|8.png",
    "show|confusion|run|-o|9.png",
    "show|errors|run|-o|10.png",
    "show|curves|run|-o|11.svg",
    "show|curves|sweep|-o|12.svg",
    "explain|conv|1 2 3; 4 5 6; 7 8 9|-k|1 0; 0 -1|--backward",
    "explain|pool|1 2; 3 4",
    "explain|dense|1 2|--weights|3 4",
    "explain|bn|1 2 3 4",
    "explain|translation|a.png|--pool|2",
    "explain|permutation|--samples|100|--epochs|1",
    "explain|softmax|2 1",
    "explain|adam|0.5 0.4",
    "explain|forward|run|a.png|--at|conv1:2,3",
    "explain|backward|run|a.png|--at|conv1:2,3",
]
NO_JSON = {"page"}
"""Commands that report nothing."""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what each command prints as JSON."""
    folder = tmp_path_factory.mktemp("json")
    write_quadrants(folder)
    picture = quadrants(1)[0][0, ..., 0]
    Image.fromarray(picture).save(folder / "a.png")
    Image.fromarray(np.tile(picture, (2, 2))).save(folder / "large.png")
    (folder / "m.csv").write_text("1,2,3,4\n5,6,7,8\n9,8,7,6\n5,4,3,2\n")
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y = (x @ [1, 2, 3] + 0.5).astype(np.float32)
    np.savez(folder / "values.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    found = {}
    with pytest.MonkeyPatch.context() as patch, pytest.MonkeyPatch.context() as streams:
        patch.chdir(folder)
        assert run([*(TRAINED + "run").split("|"), "--quiet"]) == 0
        for words in WORDS:
            found[words] = printed([*words.split("|"), "--format", "json", "--quiet"], streams)
    return found


def printed(words: list[str], patch: pytest.MonkeyPatch) -> Any:
    out = io.StringIO()
    patch.setattr("sys.stdout", out)
    quiet = words if words[0] not in {"compare", "presets", "kernels"} else words[:-1]
    assert run(quiet) == 0, words
    patch.undo()
    return json.loads(out.getvalue())


def fields_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name not in FREE:
                yield from fields_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from fields_of(inner)


def test_every_command_that_reports_is_asked() -> None:
    asked = {words.replace("|", " ") + " " for words in WORDS}
    for command in COMMANDS.keys() - NO_JSON:
        assert any(one.startswith(f"{command} ") for one in asked), command


def test_every_field_means_one_thing_and_is_said_once(documents: dict[str, Any]) -> None:
    free = {"doctor": documents["doctor"].keys()}
    seen = {
        name: words
        for words, document in documents.items()
        for name in fields_of(document)
        if name not in free.get(words, ())  # names of packages and facts
    }
    assert {name: words for name, words in seen.items() if name not in FIELDS} == {}
    assert sorted(FIELDS.keys() - seen.keys()) == [], "these are printed no more"


def test_help_json_prints_them(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "json"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} >= FIELDS.keys()
    assert run(["help", "json", "receptive"]) == 0
    rows = capfd.readouterr().out.splitlines()[2:-2]
    assert all("receptive" in row for row in rows)
    assert "receptive_field" in [row.split()[0] for row in rows]
    assert run(["help", "json", "nonsense"]) == 2
