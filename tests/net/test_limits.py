"""What is refused for its size: the limit itself is let through, one more is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import convcli
from convcli.errors import InputError, UsageError
from convcli.net import parse_notation


def test_an_axis_has_at_most_a_thousand_million_cells() -> None:
    assert parse_notation("input 1000000000x1, crop 1").trace().output_shape == (999999998, 1)
    with pytest.raises(
        UsageError, match="1000000001 is absurdly large; 1,000,000,000 is the limit"
    ):
        parse_notation("input 1000000001x1")
    with pytest.raises(InputError, match="absurdly large; 1,000,000,000 per axis"):
        parse_notation("input 600000000x1, upsample 2").trace()
    assert convcli.network("input 9x1").with_input((10**9, 1)).input_shape == (10**9, 1)
    with pytest.raises(InputError, match="1000000001x1 is out of range"):
        convcli.network("input 9x1").with_input((10**9 + 1, 1))


def test_a_network_has_at_most_20000_layers() -> None:
    assert len(parse_notation("input 3, repeat 20000(relu)").trace().steps) == 20_000
    with pytest.raises(InputError, match="more than 20,000 layers"):
        parse_notation("input 3, repeat 20001(relu)").trace()


def test_a_text_has_at_most_200000_characters() -> None:
    words = "input 3, relu"
    assert parse_notation(words.ljust(200_000)).trace().steps
    with pytest.raises(UsageError, match=r"200,001 characters; 200,000 is the limit"):
        parse_notation(words.ljust(200_001))


def test_a_network_file_has_at_most_a_million_bytes(tmp_path: Path) -> None:
    place = tmp_path / "wide.net"
    head = b"input 3, relu\n#"
    place.write_bytes(head.ljust(1_000_001, b"#"))
    with pytest.raises(InputError, match="more than 1,000,000 bytes"):
        convcli.network(str(place))
    place.write_bytes(head.ljust(1_000_000, b"#"))
    with pytest.raises(UsageError, match="1,000,000 characters; 200,000 is the limit"):
        convcli.network(str(place))
