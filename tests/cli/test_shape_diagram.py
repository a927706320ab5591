"""A network as boxes: every row in one box, the same connections, fields to scale."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from convcli.cli import main as door
from convcli.net import network, parse_notation, preset_names
from convcli.present.network_diagram import diagram, drawn_boxes


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_drawn_with_all_its_parameters(name: str) -> None:
    trace = network(name).trace()
    boxes = drawn_boxes(trace)
    lines = " | ".join(line for box in boxes for line in box.lines)
    told = sum(int(n.replace(",", "")) for n in re.findall(r", ([\d,]+) params", lines))
    assert told == trace.totals.params
    joins = sum(len(step.sources) > 1 for step in trace.steps)
    all_layers = drawn_boxes(trace, depth=99)
    assert sum(box.family == "join" for box in all_layers) == joins
    assert boxes == (all_layers if len(all_layers) < 150 else drawn_boxes(trace, depth=1))
    assert len(boxes) < 150
    root = ElementTree.fromstring(diagram(trace))  # noqa: S314  (our own text)
    assert len(root.findall(".//{http://www.w3.org/2000/svg}g")) == len(boxes)


def test_followers_stand_in_the_box_of_their_layer_unless_others_read_it() -> None:
    text = "input 8x8x3, conv 4 3 p1, bn, relu, residual(relu, conv 4 3 p1), relu"
    boxes = drawn_boxes(parse_notation(text).trace())
    assert [box.lines[0] for box in boxes] == [
        "8x8x3",
        "conv 4 3 p1 + bn + relu",
        "relu",
        "conv 4 3 p1",
        "add + relu",
    ]
    assert [box.sources for box in boxes] == [(), (0,), (1,), (2,), (3, 1)]


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("input 30x10x1, conv 1 3x5", (3 / 30, 5 / 10)),
        ("input 20x3, conv 4 5", (1.0, 5 / 20)),
        ("input 8x20x10x1, conv 1 3x5x7", (5 / 20, 7 / 10)),
        ("input 4x4x1, conv 1 3 p1, conv 1 3 p1, conv 1 3 p1", (7 / 4, 7 / 4)),
        ("input 12, dense 4", None),
        ("input 8x8x2, gap", None),
    ],
)
def test_fields_are_parts_of_the_input(text: str, ref: tuple[float, float] | None) -> None:
    *_, last = drawn_boxes(parse_notation(text).trace())
    assert last.field == (ref and pytest.approx(ref))
    ElementTree.fromstring(diagram(parse_notation(text).trace()))  # noqa: S314  (our own text)


def corners(name: str) -> dict[str, tuple[float, float]]:
    """Return title -> upper left corner of every box."""
    root = ElementTree.fromstring(diagram(network(name).trace()))  # noqa: S314  (our own text)
    found = {}
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        title, rect, *_ = group
        name = str(title.text).partition(" | ")[0]
        found[name] = (float(rect.attrib["x"]), float(rect.attrib["y"]))
    return found


def test_a_u_net_is_drawn_as_a_u() -> None:
    places = corners("unet")
    left, right = sorted({x for x, _ in places.values()})
    down = [places[name] for name in ("conv1", "conv3", "conv5", "conv7")]
    up = [places[name] for name in ("conv11", "conv13", "conv15", "conv17")]
    assert {x for x, _ in down} == {left}
    assert {x for x, _ in up} == {right}
    assert down == sorted(down)
    assert up == sorted(up, reverse=True)
    deepest = max(y for _, y in places.values())
    assert places["conv10"] == (left, deepest)


def test_a_densenet_by_blocks_fits_on_a_page(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Blocks of the same words that follow one another are one box: 58 become four."""
    found = drawn_boxes(network("densenet121").trace(), depth=1)
    titles = [box.title for box in found]
    assert [title for title in titles if " to " in title] == [
        "concat1 to concat6", "concat7 to concat18", "concat19 to concat42", "concat43 to concat58"
    ]  # fmt: skip
    (dense,) = [box for box in found if box.title == "concat7 to concat18"]
    assert dense.lines[0] == "12 blocks, 84 layers"
    assert len(found) < 20
    assert all(len(box.sources) == 1 for box in found[1:])
    place = tmp_path / "dense.mmd"
    assert door.run(["shape", "densenet121", "--depth", "1", "--diagram", str(place)]) == 0
    assert place.read_text().count("-->") == len(found) - 1
    capfd.readouterr()


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "fcn-8s", "mnist"])
def test_what_is_no_u_is_drawn_downwards(name: str) -> None:
    order = list(corners(name).values())
    assert order[0][1] == min(y for _, y in order)
    assert len({x for x, _ in order}) == 1 or name != "mnist"
