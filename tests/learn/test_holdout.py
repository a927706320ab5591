"""Samples set aside: every class, no sample twice, groups whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convcli.data import Split
from convcli.errors import InputError, UsageError
from convcli.learn.split import folds, hold_out


def made(seed: int, n: int, classes: int, *, grouped: bool) -> Split:
    random = np.random.default_rng(seed)
    groups = random.integers(0, n // 2, n) if grouped else None
    return Split(np.arange(n, dtype=np.float32)[:, None], random.integers(0, classes, n), groups)


@given(st.integers(0, 99), st.integers(20, 200), st.integers(2, 5), st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_hold_out_parts_the_samples(seed: int, n: int, classes: int, grouped: bool) -> None:
    split = made(seed, n, classes, grouped=grouped)
    left, held = hold_out(split, 0.25, seed)
    together = np.sort(np.concatenate([left.samples, held.samples])[:, 0])
    assert (together == np.arange(n)).all()
    if split.groups is not None:
        assert not set(left.groups) & set(held.groups)
    else:
        for number in range(classes):
            there = (split.labels == number).sum()
            if there > 1:
                assert abs((held.labels == number).sum() - there / 4) < 1.01


@given(st.integers(0, 99), st.integers(20, 200), st.integers(2, 5), st.booleans())
@settings(deadline=None, max_examples=40)
def test_folds_validate_each_sample_once(seed: int, n: int, classes: int, grouped: bool) -> None:
    split = made(seed, n, classes, grouped=grouped)
    pairs = folds(split, 2, seed)
    assert (
        np.sort(np.concatenate([held.samples[:, 0] for _, held in pairs])) == np.arange(n)
    ).all()
    for left, held in pairs:
        assert len(left) + len(held) == n
        if split.groups is not None:
            assert not set(left.groups) & set(held.groups)


def test_the_seed_decides() -> None:
    split = made(0, 100, 3, grouped=False)
    one, same, other = (hold_out(split, 0.2, seed)[1].samples[:, 0] for seed in (1, 1, 2))
    assert (one == same).all()
    assert set(one) != set(other)


def test_too_little_to_part() -> None:
    lonely = Split(np.zeros((2, 1), np.float32), np.array([0, 1]))
    with pytest.raises(InputError, match="--val 0"):
        hold_out(lonely, 0.5)
    with pytest.raises(InputError, match="2 samples cannot make 3 folds"):
        folds(lonely, 3)
    with pytest.raises(UsageError, match="at least 2"):
        folds(lonely, 1)
