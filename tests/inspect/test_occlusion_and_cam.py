"""Occlusion of known pixels, and class activation maps worked out by hand and by PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from convcli.errors import InputError, UsageError
from convcli.inspect.attribution import grad_cam, occlusion_map, spread
from convcli.inspect.explaining import class_activation, occlusion
from tests.inspect.models import DIGITS, probe_of, some_inputs


def only_pixel(samples: np.ndarray) -> np.ndarray:
    """Depend on the pixel 3,4 alone."""
    return 2 * samples[:, 3, 4, 0]


def test_only_windows_over_the_known_pixel_lower_the_score() -> None:
    sample = np.ones((6, 8, 1), np.float32)
    told: list[tuple[int, int]] = []
    got = occlusion_map(
        only_pixel, sample, window=1, on_windows=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (48, 48)
    ref = np.zeros((6, 8))
    ref[3, 4] = 2
    assert_allclose(ref, got)
    spread_out = occlusion_map(only_pixel, sample, window=3)
    assert spread_out.argmax() == 3 * 8 + 4
    assert (spread_out[:1] == 0).all()
    assert spread_out[3, 4] == 2  # every window over it covers it


@pytest.mark.parametrize(("window", "step"), [(2, 1), (3, 2), (4, 4), (5, 3)])
def test_it_is_the_mean_over_covering_windows_written_out(window: int, step: int) -> None:
    random = np.random.default_rng(window)
    sample, weights = random.random((2, 7, 9, 2))

    def score(samples: np.ndarray) -> np.ndarray:
        return np.tanh((samples * weights).sum(axis=(1, 2, 3)) / 9)

    drops: dict[tuple[int, int], list[float]] = {}
    rows = sorted({*range(0, 7 - window + 1, step), 7 - window})
    columns = sorted({*range(0, 9 - window + 1, step), 9 - window})
    for top in rows:
        for left in columns:
            covered = sample.copy()
            for y in range(top, top + window):
                for x in range(left, left + window):
                    covered[y, x] = (0.25, 0.5)
            drop = float(score(sample[None])[0] - score(covered[None])[0])
            for y in range(top, top + window):
                for x in range(left, left + window):
                    drops.setdefault((y, x), []).append(drop)
    ref = np.array([[np.mean(drops[y, x]) for x in range(9)] for y in range(7)])
    fill = np.array([0.25, 0.5])
    got = occlusion_map(score, sample, window=window, step=step, fill=fill)
    assert_allclose(ref, got, atol=1e-12)


def test_windows_and_steps_that_do_not_fit_are_refused() -> None:
    sample = np.zeros((6, 8, 1))
    with pytest.raises(InputError, match=r"window of 7 does not fit 6x8\. Use 1 to 6"):
        occlusion_map(only_pixel, sample, window=7)
    with pytest.raises(InputError, match=r"uncovered\. Use 1 to 2"):
        occlusion_map(only_pixel, sample, window=2, step=3)
    series = probe_of("input 16x2, conv 3 3, flatten, dense 2 softmax")
    with pytest.raises(InputError, match="takes 16x2"):
        occlusion(series, some_inputs(series), 0)
    with pytest.raises(InputError, match="takes 16x2"):
        class_activation(series, some_inputs(series), 0)


@pytest.mark.parametrize("fill", ["black", "white", "mean", None])
def test_fills_cover_with_what_they_say(fill: str | None) -> None:
    probe = probe_of("input 6x6x1, flatten, dense 2")
    sample = some_inputs(probe)
    weights = probe.parameters["dense1.kernel"][:, 0].reshape(6, 6)
    cover = {"black": 0.0, "white": 1.0}.get(str(fill), float(sample.mean()))
    ref = weights * (sample[0, ..., 0] - cover)
    got = occlusion(probe, sample, 0, window=1, fill=fill)
    assert_allclose(ref, got.values, atol=1e-5)


def test_grad_cam_worked_out_by_hand() -> None:
    # one 1x1 convolution with two filters, 2 and -1, on a 2x2 picture; the class' logit is the sum
    # of the first map's cells times 3 less the sum of the second's: weights are 3 and -1
    kernel = np.array([2.0, -1.0]).reshape(1, 1, 1, 2)
    dense = np.zeros((8, 2), np.float32)
    dense[0::2, 0], dense[1::2, 0] = 3, -1
    probe = probe_of(
        "input 2x2x1, conv 2 1, flatten, dense 2 softmax",
        arrays={"conv1.kernel": kernel, "conv1.bias": [0, 1], "dense1.kernel": dense},
    )
    picture = np.array([[0.0, 1.0], [0.5, 0.0]], np.float32)[None, ..., None]
    # maps: 2p and 1 - p; support 3 * 2p - (1 - p) = 7p - 1, negative as 0
    ref = np.array([[0.0, 6.0], [2.5, 0.0]])
    got = class_activation(probe, picture, 0)
    assert_allclose(ref, got.values, atol=1e-6)
    assert got.figures["layer"] == "conv1"
    assert not got.with_signs
    assert got.box == (0, 1, 1, 1)  # the cell of the 6 sees one pixel


def test_grad_cam_s_weights_are_mean_gradients_by_finite_differences() -> None:
    probe = probe_of(DIGITS, seed=3)
    sample = some_inputs(probe)
    step = probe.trace.step("conv2")
    maps, slopes = probe.slopes_at(sample, step, probe.one_hot(2))
    kernel = np.array(probe.parameters["dense1.kernel"], np.float64)
    last = np.array(probe.parameters["dense2.kernel"], np.float64)[:, 2]

    def logit(values: np.ndarray) -> float:
        hidden = values.ravel() @ kernel + probe.parameters["dense1.bias"]
        return float(np.maximum(hidden, 0) @ last)

    base = maps[0].astype(np.float64)
    ref = np.zeros_like(base)
    for place in np.ndindex(base.shape):
        moved = base.copy()
        moved[place] += 1e-5
        ref[place] = (logit(moved) - logit(base)) / 1e-5
    assert_allclose(ref, slopes[0], atol=1e-4)
    by_hand = np.maximum(sum(ref[..., c].mean() * base[..., c] for c in range(6)), 0)
    assert_allclose(by_hand, grad_cam(maps[0], slopes[0]), atol=1e-4)


def test_spreading_is_linear_between_the_centers() -> None:
    values = np.array([[0.0, 1.0, 4.0], [2.0, 2.0, 2.0]])
    got = spread(values, (8, 9), first=(1.5, 2.0), stride=(4.0, 2.5))
    for y in range(8):
        for x in range(9):
            row = min(max((y - 1.5) / 4, 0), 1)
            column = min(max((x - 2) / 2.5, 0), 2)
            i, j = min(int(row), 0), min(int(column), 1)
            a, b = row - i, column - j
            ref = (1 - a) * ((1 - b) * values[i, j] + b * values[i, j + 1]) + a * (
                (1 - b) * values[i + 1, j] + b * values[i + 1, j + 1]
            )
            known = -0.5 <= (y - 1.5) / 4 <= 1.5 and -0.5 <= (x - 2) / 2.5 <= 2.5
            assert got[y, x] == pytest.approx(ref if known else 0)


def test_nothing_is_claimed_where_no_cell_is_centered() -> None:
    """One window of 20 on a picture of 60: its answer stands at its center, not everywhere."""
    got = spread(np.array([[1.0]]), (60, 60), first=(9.5, 9.5), stride=(20.0, 20.0))
    assert got[:20, :20].all()
    assert not got[20:].any()
    assert not got[:, 20:].any()


def test_a_layer_without_places_is_refused() -> None:
    probe = probe_of()
    with pytest.raises(InputError, match="dense1 gives 8, no map with places"):
        class_activation(probe, some_inputs(probe), 0, "dense1")
    with pytest.raises(UsageError, match="There is no layer 'conv9'"):
        class_activation(probe, some_inputs(probe), 0, "conv9")
    flat = probe_of("input 4x4x1, flatten, dense 2 softmax")
    with pytest.raises(InputError, match="no convolution"):
        class_activation(flat, some_inputs(flat), 0)
