"""Series: tables in the layouts people have, windows that do not leak, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convcli.data import load_dataset
from convcli.data.table import read_table
from convcli.errors import InputError, UsageError


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def walking(rows: int = 40) -> list[str]:
    """Rows t, a, b, label: a counts, b is its negative, the first half rests."""
    return [f"{n},{n},{-n},{'rest' if n < rows / 2 else 'walk'}" for n in range(rows)]


def test_a_table_with_a_header_becomes_windows(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "time,a,b,label", *walking())
    data = load_dataset(path, window=4, overlap=0.5)
    assert data.class_names == ("rest", "walk")
    assert data.channel_names == ("a", "b")
    assert data.sample_shape == (4, 2)
    assert data.train.samples.dtype == np.float32
    np.testing.assert_array_equal([[0, 0], [1, -1], [2, -2], [3, -3]], data.train.samples[0])
    assert "Windows of 4 rows every 2; the label is that of most rows." in data.notes
    assert any("labels are in the column 'label'" in note for note in data.notes)


def test_windows_of_different_groups_share_no_row(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "time,a,b,label", *walking(400))
    train = load_dataset(path, window=8, overlap=0.75).train
    assert train.groups is not None
    seen: dict[int, set[float]] = {}
    for window, group in zip(train.samples, train.groups, strict=True):
        seen.setdefault(int(group), set()).update(window[:, 0].tolist())
    assert len(seen) >= 15
    rows = [row for part in seen.values() for row in part]
    assert len(rows) == len(set(rows))


def test_the_label_of_a_window_is_the_majority_or_the_last(tmp_path: Path) -> None:
    marks = "aaab bbba aabb".replace(" ", "")
    path = write(tmp_path / "x.csv", "v,label", *(f"{n},{m}" for n, m in enumerate(marks)))
    got = load_dataset(path, window=4, overlap=0.0)
    assert [got.class_names[i] for i in got.train.labels] == ["a", "b", "b"]
    got = load_dataset(path, window=4, overlap=0.0, label_rule="last")
    assert [got.class_names[i] for i in got.train.labels] == ["b", "a", "b"]
    with pytest.raises(UsageError, match="Unknown label rule 'first'"):
        load_dataset(path, window=4, label_rule="first")


def test_the_layout_of_wisdm_is_read_as_it_is(tmp_path: Path) -> None:
    lines = [
        f"{user},{'Jogging' if n < 30 else 'Walking'},{4910596 + n},{n * 0.5},1.25,-0.75;"
        for user in (33, 17)
        for n in range(60)
    ]
    lines[40] += "\n\n"  # blank lines are no gap
    lines[20] = "33,Jogging,49106,4.1,"  # as in the published file: a value is missing
    path = write(tmp_path / "WISDM_ar_v1.1_raw.txt", *lines, "")
    with pytest.raises(InputError, match="1 of 40 rows"):
        read_table(write(tmp_path / "few.txt", *lines[:40]))
    data = load_dataset(path, window=10)
    assert data.channel_names == ("x", "y", "z")
    assert data.class_names == ("Jogging", "Walking")
    assert data.train.groups is not None
    assert set(data.train.groups.tolist()) == {0, 1}  # the two users
    assert any("1 of 120 rows could not be read" in note for note in data.notes)
    steps = np.diff(data.train.samples[:, :, 0], axis=1)
    assert (steps == 0.5).all()  # no window runs across the gap or from one user to the next


OCCUPANCY = '"date","Temperature","Humidity","Light","CO2","HumidityRatio","Occupancy"'


def test_the_layout_of_the_occupancy_data_is_read_as_it_is(tmp_path: Path) -> None:
    def rows(start: int) -> list[str]:
        return [
            f'"{n + 1}","2015-02-04 17:{n:02d}:00",{20 + n / 100},27.2,{start + n},721.25,'
            f"0.00479,{int(n >= 30)}"
            for n in range(60)
        ]

    for number, name in enumerate(("datatraining.txt", "datatest.txt", "datatest2.txt")):
        write(tmp_path / name, OCCUPANCY, *rows(1000 * number))
    data = load_dataset(tmp_path, window=10, overlap=0.5)
    assert data.channel_names == ("Temperature", "Humidity", "Light", "CO2", "HumidityRatio")
    assert data.class_names == ("0", "1")
    assert data.test is not None
    assert len(data.test) == 2 * len(data.train)
    assert data.test.samples[0, 0, 2] == 1000
    assert data.test.samples[-1, -1, 2] == 2059


SIGNALS = [f"{k}_{a}" for k in ("body_acc", "body_gyro", "total_acc") for a in "xyz"]


@pytest.fixture
def smartphone(tmp_path: Path) -> Path:
    """The files of the UCI data, with four windows to train and two to test."""
    root = tmp_path / "UCI HAR Dataset"
    write(root / "activity_labels.txt", "1 WALKING", "2 SITTING")
    for split, count in (("train", 4), ("test", 2)):
        for number, signal in enumerate(SIGNALS):
            lines = ["  ".join(f"{number + i / 1000:.7e}" for i in range(128))] * count
            write(root / split / "Inertial Signals" / f"{signal}_{split}.txt", *lines)
        write(root / split / f"y_{split}.txt", *["1", "2"] * (count // 2))
        write(root / split / f"subject_{split}.txt", *["5"] * count)
    return root


def test_the_smartphone_data_are_read_as_they_are(smartphone: Path) -> None:
    for place in (smartphone, smartphone.parent):
        data = load_dataset(place)
        assert data.class_names == ("WALKING", "SITTING")
        assert data.channel_names == tuple(SIGNALS)
        assert data.train.samples.shape == (4, 128, 9)
        assert data.train.samples[0, 2].tolist() == pytest.approx([n + 0.002 for n in range(9)])
        assert data.train.labels.tolist() == [0, 1, 0, 1]
        assert data.train.groups is not None
        assert data.train.groups.tolist() == [5] * 4
    with pytest.raises(UsageError, match="comes in windows of 128 rows"):
        load_dataset(smartphone, window=64)
    write(smartphone / "train" / "y_train.txt", "1", "2", "3", "1")
    with pytest.raises(InputError, match=r"label 2, outside 0\.\.1"):
        load_dataset(smartphone)
    (smartphone / "test" / "Inertial Signals" / "body_acc_x_test.txt").unlink()
    with pytest.raises(InputError, match="body_acc_x_test"):
        load_dataset(smartphone)


@pytest.mark.parametrize(
    ("lines", "options", "sentence"),
    [
        ([], {}, "there are no rows"),
        (["a,b"], {}, "there are no rows"),
        (["a,b,c", "1,2"], {}, "the header names 3 columns and line 2 has 2"),
        (["a,label", "1,x", "2,y"], {"window": 5}, "longest stretch without a gap has 2"),
        (["a,label", "1,x", "2,x"], {"window": 1}, "have one class, x"),
        (["a,label", "1,x", "nan,y", "2,y"], {"window": 1}, "1 of 3 rows cannot be read"),
        (["label,name", "x,y", "u,v"], {}, "no column of numbers is left beside 'label'"),
        (["a,b", "0.5,0.5", "0.25,0.75"], {}, "which column holds the labels"),
        (["a,label", "1,x"], {"label": "labl"}, "no column 'labl'. Did you mean label?"),
        (["a,label", "1,x"], {"window": -1}, "a window has at least 1 row"),
        (["a,label", "1,x"], {"window": 0, "overlap": 0.5}, "one sample a row without --overlap"),
        (["a,label", "1,x"], {"overlap": 1.0}, "from 0 to under 1"),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(
    tmp_path: Path, lines: list[str], options: dict, sentence: str
) -> None:
    path = write(tmp_path / "x.csv", *lines)
    with pytest.raises((InputError, UsageError)) as caught:
        load_dataset(path, **options)
    assert sentence in str(caught.value)


def test_other_channels_or_labels_in_the_test_table_are_named(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a,label", "1,x", "2,y")
    write(tmp_path / "test.csv", "b,label", "1,x", "2,y")
    with pytest.raises(InputError, match="its channels are b, those of train a"):
        load_dataset(tmp_path, window=1)
    write(tmp_path / "test.csv", "a,label", "1,x", "2,z")
    with pytest.raises(InputError, match="the label 'z' does not occur in the training data"):
        load_dataset(tmp_path, window=1)


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no text: byte 0"):
        load_dataset(tmp_path / "x.csv")
