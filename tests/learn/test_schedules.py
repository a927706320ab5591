"""Schedules against PyTorch's, step by step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from convcli.errors import UsageError
from convcli.learn.schedules import SCHEDULES, Position, read_schedule

STEPS, STEPS_PER_EPOCH = 40, 10
LOSSES = [1.0, 0.9, 0.95, 0.9, 0.9, 0.9, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]


def theirs(make: Callable[..., object], count: int, *values: float) -> list[float]:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of the schedules")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for number in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if number < count - 1:
            schedule.step(*values[number : number + 1])
    return rates


@pytest.mark.parametrize("warmup", [0.3, 0.1, 0.75])
def test_one_cycle(warmup: float) -> None:
    ref = theirs(
        lambda kinds, optimizer: kinds.OneCycleLR(
            optimizer, 1.0, total_steps=STEPS, pct_start=warmup, cycle_momentum=False
        ),
        STEPS,
    )
    schedule = read_schedule(f"one-cycle:warmup={warmup}")
    got = [schedule.factor(Position(step, STEPS, STEPS_PER_EPOCH)) for step in range(STEPS)]
    assert got == pytest.approx(ref, abs=1e-12)


def test_cosine() -> None:
    ref = theirs(
        lambda kinds, optimizer: kinds.CosineAnnealingLR(optimizer, STEPS - 1, eta_min=0.01), STEPS
    )
    schedule = read_schedule("cosine:floor=0.01")
    got = [schedule.factor(Position(step, STEPS, STEPS_PER_EPOCH)) for step in range(STEPS)]
    assert got == pytest.approx(ref, abs=1e-9)


def test_polynomial() -> None:
    ref = theirs(
        lambda kinds, optimizer: kinds.PolynomialLR(optimizer, STEPS - 1, power=1.5), STEPS
    )
    schedule = read_schedule("polynomial:power=1.5")
    got = [schedule.factor(Position(step, STEPS, STEPS_PER_EPOCH)) for step in range(STEPS)]
    assert got == pytest.approx(ref, abs=1e-9)


@pytest.mark.parametrize("longer", [1, 2])
def test_restarts(longer: int) -> None:
    ref = theirs(
        lambda kinds, optimizer: kinds.CosineAnnealingWarmRestarts(
            optimizer, 2 * STEPS_PER_EPOCH, T_mult=longer, eta_min=0.1
        ),
        4 * STEPS,
    )
    schedule = read_schedule(f"restarts:every=2,longer={longer},floor=0.1")
    got = [schedule.factor(Position(step, 4 * STEPS, STEPS_PER_EPOCH)) for step in range(4 * STEPS)]
    assert got == pytest.approx(ref, abs=1e-9)


def test_exponential() -> None:
    ref = theirs(lambda kinds, optimizer: kinds.ExponentialLR(optimizer, 0.7), 4)
    schedule = read_schedule("exponential:by=0.7")
    got = [schedule.factor(Position(10 * epoch + 3, STEPS, STEPS_PER_EPOCH)) for epoch in range(4)]
    assert got == pytest.approx(ref, abs=1e-9)


def test_cosine_warms_up_in_a_line() -> None:
    schedule = read_schedule("cosine:warmup=0.1")
    got = [schedule.factor(Position(step, STEPS, STEPS_PER_EPOCH)) for step in range(5)]
    assert got == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_step() -> None:
    ref = theirs(lambda kinds, optimizer: kinds.StepLR(optimizer, 20, gamma=0.3), STEPS)
    schedule = read_schedule("step:every=2,by=0.3")
    got = [schedule.factor(Position(step, STEPS, STEPS_PER_EPOCH)) for step in range(STEPS)]
    assert got == pytest.approx(ref)


def test_plateau() -> None:
    ref = theirs(
        lambda kinds, optimizer: kinds.ReduceLROnPlateau(optimizer, patience=1, factor=0.5),
        len(LOSSES) + 1,
        *LOSSES,
    )
    schedule = read_schedule("plateau:patience=1,by=0.5")
    got = [
        schedule.factor(Position(10 * epoch, 1000, 10, LOSSES[:epoch]))
        for epoch in range(len(LOSSES) + 1)
    ]
    assert got == pytest.approx(ref)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_short_trainings_stay_within_the_rate(name: str, steps: int) -> None:
    schedule = read_schedule(name)
    for step in range(steps):
        assert 0 <= schedule.factor(Position(step, steps, 2)) <= 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("onecycle", "Did you mean one-cycle"),
        ("cosine:warmup=1", "from 0 to below 1"),
        ("step:every=0", "at least 1 epoch"),
        ("step:every=2.5", "'2.5' is not a whole number"),
        ("constant:x=1", "constant takes no figures"),
        ("plateau:by=1", "between 0 and 1"),
    ],
)
def test_a_mistake_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_schedule(text)
