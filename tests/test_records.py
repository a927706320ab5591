"""Values from JSON: of the types of their fields, or refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from convcli.records import from_record


@dataclass(frozen=True)
class Sample:
    """One field of each kind that records have."""

    count: int
    share: float | None = None
    names: tuple[str, ...] = ()
    rates: tuple[tuple[str, float], ...] = ()
    extra: dict[str, Any] | None = None


def test_what_was_written_is_read_back() -> None:
    text = '{"count": 3, "share": 1, "names": ["a"], "rates": [["b", 0.5]], "extra": {"c": []}}'
    assert from_record(Sample, json.loads(text)) == Sample(3, 1, ("a",), (("b", 0.5),), {"c": []})


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ("[]", "where named values belong"),
        ("{}", "count"),
        ('{"count": true}', "count is 'True'; it must be int"),
        ('{"count": 1.5}', "count is '1.5'"),
        ('{"count": null}', "count is 'None'"),
        (f'{{"count": {2**63}}}', "count is '9223372036854775808'"),
        ('{"count": 1, "share": "x"}', "share is 'x'"),
        ('{"count": 1, "names": "ab"}', "names is 'ab'"),
        ('{"count": 1, "names": [1]}', "names is"),
        ('{"count": 1, "rates": [["a"]]}', "rates is"),
        ('{"count": 1, "extra": []}', "extra is"),
        ('{"count": 1, "other": 2}', "'other' is unknown"),
    ],
)
def test_what_does_not_fit_is_named(record: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        from_record(Sample, json.loads(record))
    assert sentence in str(caught.value)
