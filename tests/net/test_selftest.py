"""The facts that ship are those of the reference, and a wrong one is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convcli.net import selftest as module
from convcli.net.selftest import FACTS, selftest

REFERENCE = Path(__file__).parent.parent / "reference"


def test_everything_that_ships_holds() -> None:
    got = selftest()
    assert [check for check in got if not check.holds] == []
    assert {check.group for check in got} == {"layers", "networks"}


def test_the_facts_are_those_of_the_reference() -> None:
    facts = json.loads(FACTS.read_text())
    cases = {case["id"]: case for case in json.loads((REFERENCE / "layers.json").read_text())}
    for row in facts["layers"]:
        case = cases[row["id"]]
        assert row["source"] == case["oracle"]
        assert row.get("refused", False) == (case["expected_output_shape"] is None)
        if "macs" in row:
            assert row["macs"] == case["expected_macs"]
        if "params" in row:
            assert row["params"] == case.get("trainable", case["expected_params"])
            assert sorted(row["output"]) == sorted(
                case["expected_output_shape"][-len(row["output"]) :]
            )
    nets = json.loads((REFERENCE / "networks.json").read_text())["nets"]
    for row in facts["networks"]:
        if row["id"] in nets:
            ref = nets[row["id"]]
            assert (row["params"], row["macs"]) == (ref["params"], ref["macs"])
            field = ref["receptive_field"]
            assert row.get("receptive_field", field.get("size")) in {
                field.get("size"),
                field.get("rf_max"),
            }


def test_a_wrong_fact_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {
        "layers": [
            {"id": "a", "source": "x", "network": "input 5x5x1, conv 2 3", "params": 21},
            {"id": "b", "source": "x", "network": "input 5x5x1, conv 2 9", "params": 20},
            {"id": "c", "source": "x", "network": "input 5x5x1, conv 2 3", "refused": True},
            {"id": "d", "source": "x", "network": "input 5x5x1, conv 2 3", "output": [3, 3, 2]},
        ]
    }
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    monkeypatch.setattr(module, "FACTS", tmp_path / "facts.json")
    assert [check.holds for check in selftest()] == [False, False, False, True]
