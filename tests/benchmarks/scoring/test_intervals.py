"""Intervals against closed forms and a slow bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oneshot.benchmarks.scoring.catalogue import all_measures
from oneshot.benchmarks.scoring.intervals import Bootstrap
from oneshot.benchmarks.scoring.measures import precision_at, top_k
from scipy import stats


@pytest.mark.parametrize("count", [900, 20_000], ids=["every architecture", "m out of n"])
def test_pearson_interval_has_the_width_of_theory(count: int) -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=count)
    x = 0.8 * y + 0.6 * rng.normal(size=count)
    found, _ = all_measures(x, y, y.max())
    low, high = Bootstrap(y, y.max(), rng).intervals(x, found)["pearson_r"]
    assert low < found["pearson_r"] < high
    assert high - low == pytest.approx(2 * 1.96 * (1 - 0.8**2) / np.sqrt(count), rel=0.2)


def test_m_out_of_n_agrees_with_the_whole_bootstrap() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=3000)
    x = y + rng.normal(size=3000)
    found, _ = all_measures(x, y, y.max())
    whole = Bootstrap(y, y.max(), np.random.default_rng(1), times=300, limit=3000)
    part = Bootstrap(y, y.max(), np.random.default_rng(1), times=1000, limit=700)
    assert (whole.protocol()["size"], part.protocol()["size"], part.protocol()["subsets"]) == (3000, 700, 4)
    expected, got = whole.intervals(x, found), part.intervals(x, found)
    for name in ("kendall_tau", "spearman_rho", "precision_at_5", "precision_at_10", "kendall_tau_top10"):
        width = expected[name][1] - expected[name][0]
        assert got[name] == pytest.approx(expected[name], abs=0.35 * width), name


def test_the_ten_best_are_resampled_from_all() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=4000)
    x = y + rng.normal(size=4000)
    slow = []
    for _ in range(500):
        i = rng.integers(0, 4000, 4000)
        slow.append(top_k(x[i], y[i], 10).accuracy)
    found, _ = all_measures(x, y, y.max())
    got = Bootstrap(y, y.max(), rng).intervals(x, found)["improvement_at_10_absolute"]
    low, high = np.quantile(slow, [0.025, 0.975])
    assert got == pytest.approx((low, high), abs=0.2 * (high - low))


def test_giant_ties_keep_the_estimate_inside() -> None:
    rng = np.random.default_rng(4)
    y = rng.normal(size=9000)
    x = (y > -1).astype(float)
    found, _ = all_measures(x, y, y.max())
    ranges = Bootstrap(y, y.max(), rng, times=200).intervals(x, found)
    for name, value in found.items():
        low, high = ranges[name]
        assert np.isnan(value) or low - 1e-9 <= value <= high + 1e-9, name


def test_intervals_are_reproducible_and_independent_of_company() -> None:
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=1200), rng.normal(size=1200)
    found, _ = all_measures(x, y, y.max())
    alone = Bootstrap(y, y.max(), np.random.default_rng(7), times=50)
    shared = Bootstrap(y, y.max(), np.random.default_rng(7), times=50)
    shared.intervals(-x, all_measures(-x, y, y.max())[0])
    assert shared.intervals(x, found) == alone.intervals(x, found)
    other = Bootstrap(y, y.max(), np.random.default_rng(8), times=50)
    assert other.intervals(x, found) != alone.intervals(x, found)


@pytest.mark.parametrize("count", [300, 5000])
def test_all_predictors_see_the_same_draws(count: int) -> None:
    """Scale and small changes of a prediction change no resample much, so that differences are paired."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=count)
    x = y + rng.normal(size=count)
    bootstrap = Bootstrap(y, y.max(), rng, times=200)
    found, scaled, close = (
        bootstrap.resampled(each, all_measures(each, y, y.max())[0])
        for each in (x, 3 * x + 1, x + rng.normal(0, 0.02, count))
    )
    for name, values in found.items():
        np.testing.assert_allclose(scaled[name], values, atol=1e-9, err_msg=name)
    for name in ("kendall_tau", "spearman_rho", "improvement_at_10"):
        assert np.corrcoef(close[name], found[name])[0, 1] > 0.6, name
        assert (close[name] - found[name]).std() < 0.8 * found[name].std(), name


def test_a_wider_confidence_is_wider() -> None:
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=300), rng.normal(size=300)
    found, _ = all_measures(x, y, y.max())
    bootstrap = Bootstrap(y, y.max(), rng, times=400)
    narrow, wide = (bootstrap.intervals(x, found, confidence)["kendall_tau"] for confidence in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_undefined_measures_have_no_interval() -> None:
    y = np.arange(30.0)
    found, _ = all_measures(np.ones(30), y, 29.0)
    ranges = Bootstrap(y, 29.0, np.random.default_rng(0), times=20).intervals(np.ones(30), found)
    assert np.isnan(ranges["kendall_tau"]).all()
    assert np.isfinite(ranges["improvement_at_10"]).all()


def test_bad_requests() -> None:
    y = np.arange(30.0)
    with pytest.raises(ValueError, match="at least one resample, got 0"):
        Bootstrap(y, 29.0, np.random.default_rng(0), times=0)
    bootstrap = Bootstrap(y, 29.0, np.random.default_rng(0), times=5)
    with pytest.raises(ValueError, match="one length"):
        bootstrap.intervals(y[:10], all_measures(y, y, 29.0)[0])
    with pytest.raises(ValueError, match=r"confidence between 0 and 1, got 95"):
        bootstrap.intervals(y, all_measures(y, y, 29.0)[0], confidence=95)


def coverage(count: int, fraction: float, rho: float, trials: int) -> float:
    """How often intervals of the precision hold that of the distribution: two normals of this correlation."""
    rng, name = np.random.default_rng(7), f"precision_at_{round(100 * fraction)}"
    head = stats.norm.ppf(fraction)
    two: Any = stats.multivariate_normal
    truly = float(two([0, 0], [[1, rho], [rho, 1]]).cdf([head, head])) / fraction
    held = 0
    for _ in range(trials):
        y = rng.normal(size=count)
        x = rho * y + np.sqrt(1 - rho**2) * rng.normal(size=count)
        found = {name: precision_at(x, y, fraction)}
        low, high = Bootstrap(y, float(y.max()), rng, 300).intervals(x, found)[name]
        assert low < high, "no interval of a share of ten is of zero width"
        assert low <= found[name] <= high
        held += low <= truly <= high
    return held / trials


@pytest.mark.parametrize(
    ("count", "fraction", "rho", "trials"),
    [(1000, 0.01, 0.3, 60), (100, 0.1, 0.0, 300), (100, 0.1, 0.5, 300), (100, 0.1, 0.9, 300), (2500, 0.01, 0.3, 40)],
)
def test_intervals_keep_their_coverage_where_ten_are_counted(
    count: int, fraction: float, rho: float, trials: int
) -> None:
    """95%, less three standard errors of the simulation; the plain bootstrap held 68% of the first."""
    assert coverage(count, fraction, rho, trials) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / trials)


def test_what_is_added_to_few_is_the_same_for_equal_predictions_and_nothing_among_many() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=1000)
    x, other = y + rng.normal(size=1000), y + rng.normal(size=1000)
    bootstrap = Bootstrap(y, float(y.max()), rng, 200)
    found, _ = all_measures(x, y, y.max())
    once, again, different = (bootstrap.resampled(each, found) for each in (x, 2 * x + 1, other))
    for name in ("precision_at_1", "precision_at_10", "kendall_tau"):
        np.testing.assert_allclose(once[name], again[name], atol=1e-9)
    assert np.ptp(once["precision_at_1"] - different["precision_at_1"]) > 0
    assert abs(once["precision_at_10"].mean() - found["precision_at_10"]) < 0.03
