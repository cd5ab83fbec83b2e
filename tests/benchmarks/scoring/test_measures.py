"""Measures against closed forms and slow, obvious twins."""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.scoring import measures
from oneshot.benchmarks.scoring.catalogue import all_measures
from oneshot.benchmarks.scoring.measures import (
    improvement_curve,
    kendall_tau,
    pearson_r,
    precision_at,
    pruning_curve,
    rank_at_k,
    self_consistency,
    spearman_rho,
    top_k,
    top_tau,
)
from oneshot.benchmarks.table import find_table
from scipy import stats


def coarse(seed: int, count: int = 60, levels: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Two related arrays with many ties."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=count)
    return tuple(np.round((base + rng.normal(size=count)) * levels / 4) for _ in range(2))  # pyright: ignore


def slow_tau(x: np.ndarray, y: np.ndarray) -> float:
    """Tau-b by all pairs."""
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in combinations(range(len(x)), 2)]
    a, b = np.array(signs).T
    return float((a * b).sum() / np.sqrt((a != 0).sum() * (b != 0).sum()))


def over_tie_orders(x: np.ndarray, of_order) -> np.ndarray:
    """The mean of a function of the falling order, over every order of the architectures that tie."""
    results = []
    for shuffled in permutations(range(len(x))):
        order = np.array(shuffled)
        results.append(of_order(order[np.argsort(-x[order], kind="stable")]))
    return np.mean(results, axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_tau_equals_all_pairs(seed: int) -> None:
    x, y = coarse(seed)
    assert kendall_tau(x, y) == pytest.approx(slow_tau(x, y), abs=1e-12)
    assert kendall_tau(x, y**3) == pytest.approx(kendall_tau(x, y), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_rho_and_r_equal_scipy(seed: int) -> None:
    x, y = coarse(seed)
    assert spearman_rho(x, y) == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)  # pyright: ignore
    assert pearson_r(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)


def test_signs_are_kept() -> None:
    y = np.arange(20.0)
    for measure in (kendall_tau, spearman_rho, pearson_r):
        assert measure(y, y) == pytest.approx(1)
        assert measure(-y, y) == pytest.approx(-1)


def test_constants_are_undefined_and_bad_arrays_refused() -> None:
    y = np.arange(5.0)
    for measure in (kendall_tau, spearman_rho, pearson_r, top_tau):
        assert np.isnan(measure(np.ones(5), y))
        assert np.isnan(measure(y, np.ones(5)))
        with pytest.raises(ValueError, match="at least 3 architectures, got 2"):
            measure(y[:2], y[:2])
        with pytest.raises(ValueError, match=r"one length, got shapes \(5,\) and \(4,\)"):
            measure(y, y[:4])
        with pytest.raises(ValueError, match="finite predicted values, got nan at index 1"):
            measure(np.array([0, np.nan, 1, 2, 3]), y)
        with pytest.raises(ValueError, match="finite true values, got inf at index 0"):
            measure(y, np.array([np.inf, 1, 2, 3, 4]))


def test_improvement_without_ties_is_a_sort() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=30)
    curve = improvement_curve(x, y, best=5.0)
    for left, accuracy, improvement in zip(curve.remaining, curve.accuracy, curve.improvement, strict=True):
        best = sorted(zip(x, y, strict=True), reverse=True)[:left]
        mean = sum(truth for _, truth in best) / left
        assert accuracy == pytest.approx(mean)
        assert improvement == pytest.approx((mean - y.mean()) / (5 - y.mean()))
    assert curve.remaining.tolist() == list(range(30, 0, -1))
    assert curve.improvement[0] == pytest.approx(0, abs=1e-12)
    assert improvement_curve(y, y).improvement[-1] == pytest.approx(1)


def test_the_best_of_a_space_is_no_worse_than_the_evaluated() -> None:
    with pytest.raises(ValueError, match=r"the best of the space, 3.0, is below the best evaluated, 4.0"):
        improvement_curve(np.arange(5.0), np.arange(5.0), best=3.0)
    assert np.isnan(improvement_curve(np.arange(3.0), np.ones(3)).improvement).all()


@pytest.mark.parametrize("x", [[2, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1], [0, 3, 3, 2, 2, 2]])
def test_ties_are_an_expectation_over_their_orders(x: list[float]) -> None:
    predicted, truth = np.array(x, float), np.array([3.0, 9.0, 1.0, 4.0, 4.0, 7.0])
    ranks = np.array([(truth > value).sum() for value in truth])
    means = over_tie_orders(predicted, lambda order: np.cumsum(truth[order]) / np.arange(1, 7))
    np.testing.assert_allclose(improvement_curve(predicted, truth).accuracy[::-1], means)
    lowest = over_tie_orders(predicted, lambda order: np.minimum.accumulate(ranks[order]))
    highest = over_tie_orders(predicted, lambda order: np.maximum.accumulate(ranks[order]))
    for k in range(1, 7):
        top = top_k(predicted, truth, k)
        assert [top.accuracy, top.best_rank, top.worst_rank] == pytest.approx(
            [means[k - 1], lowest[k - 1], highest[k - 1]]
        )
        assert rank_at_k(predicted, truth, k) == pytest.approx((lowest[k - 1] / 6, highest[k - 1] / 6))
    true_top = over_tie_orders(truth, lambda order: np.isin(np.arange(6), order[:3]))
    overlap = over_tie_orders(predicted, lambda order: true_top[order[:3]].sum() / 3)
    assert precision_at(predicted, truth, 0.5) == pytest.approx(float(overlap))


def test_k_beyond_the_architectures_is_refused() -> None:
    with pytest.raises(ValueError, match="k between 1 and 5, got 6"):
        top_k(np.arange(5.0), np.arange(5.0), 6)


def test_precision_counts_the_common() -> None:
    y = np.arange(100.0)
    x = y.copy()
    x[99], x[0] = -1, 200  # the best is taken for the worst, and the worst for the best
    assert precision_at(x, y, 0.01) == 0
    assert precision_at(x, y, 0.05) == pytest.approx(0.8)
    assert precision_at(x, y, 0.10) == pytest.approx(0.9)
    for fraction in (0, 1.5):
        with pytest.raises(ValueError, match="a fraction in"):
            precision_at(x, y, fraction)


def test_top_tau_sees_the_true_top_only() -> None:
    y = np.arange(50.0)
    x = y.copy()
    x[45:] = x[45:][::-1]
    assert top_tau(x, y) == pytest.approx(-1)
    assert kendall_tau(x, y) > 0.9
    assert np.isnan(top_tau(x[:20], y[:20]))  # two architectures


def test_pruning_removes_the_truly_worst() -> None:
    x, y = coarse(3, count=50)
    y = y + np.arange(50) / 1000  # no ties in truth
    curve = pruning_curve(x, y, points=8)
    assert curve.remaining[0] == 50
    assert curve.remaining[-1] == 10
    for i, left in enumerate(curve.remaining):
        kept = np.argsort(-y)[:left]
        assert curve.kendall_tau[i] == pytest.approx(slow_tau(x[kept], y[kept]))
        assert curve.spearman_rho[i] == pytest.approx(spearman_rho(x[kept], y[kept]))
        assert curve.pearson_r[i] == pytest.approx(pearson_r(x[kept], y[kept]))


def test_pruning_keeps_what_ties_at_the_cut_whatever_the_order() -> None:
    x, y = coarse(4)
    shuffled = np.random.default_rng(0).permutation(len(x))
    first, second = pruning_curve(x, y), pruning_curve(x[shuffled], y[shuffled])
    np.testing.assert_array_equal(first.remaining, second.remaining)
    np.testing.assert_allclose(first.kendall_tau, second.kendall_tau)
    assert all((y >= np.sort(y)[-left]).sum() == left for left in first.remaining)


def test_pruning_of_many_samples_them() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=5000)
    x = y + rng.normal(size=5000)
    whole, sampled = pruning_curve(x, y, points=5), pruning_curve(x, y, points=5, limit=1000)
    np.testing.assert_array_equal(whole.remaining, sampled.remaining)
    assert not np.array_equal(whole.kendall_tau, sampled.kendall_tau)
    np.testing.assert_allclose(whole.kendall_tau, sampled.kendall_tau, atol=0.05)


def test_self_consistency_is_pairwise() -> None:
    runs = [np.arange(9.0), -np.arange(9.0), np.arange(9.0) ** 3]
    found = self_consistency(runs)
    assert found.pairs == ((0, 1), (0, 2), (1, 2))
    assert found.kendall_tau.tolist() == pytest.approx([-1, 1, -1])
    assert found.spearman_rho.tolist() == pytest.approx([-1, 1, -1])
    assert found.pearson_r[1] == pytest.approx(pearson_r(runs[0], runs[2]))
    with pytest.raises(ValueError, match="at least two runs, got 1"):
        self_consistency(runs[:1])


def test_undefined_measures_give_their_reason() -> None:
    y = np.arange(8.0)
    found, why = all_measures(y, y, 7.0)
    assert found["kendall_tau"] == pytest.approx(1)
    assert why["improvement_at_10"] == why["worst_rank_at_10_absolute"] == "needs 10 architectures, got 8"
    assert "truly best tenth" in why["kendall_tau_top10"]
    _, why = all_measures(np.ones(40), np.arange(40.0), 39.0)
    assert set(why) == {"kendall_tau", "spearman_rho", "pearson_r", "kendall_tau_top10"}
    assert set(why.values()) == {"the predictions are constant"}
    _, why = all_measures(np.arange(40.0), np.ones(40), 1.0)
    assert why["kendall_tau"] == why["improvement_at_10"] == "the truth is constant"


def test_a_perfect_prediction() -> None:
    found, why = all_measures(np.arange(1000.0), np.arange(1000.0), 999.0)
    assert not why
    ones = [name for name in found if name.startswith(("kendall", "spearman", "pearson", "precision"))]
    assert [found[name] for name in ones] == pytest.approx([1] * 7)
    assert found["improvement_at_10_absolute"] == pytest.approx(994.5)
    assert found["improvement_at_10"] == pytest.approx((994.5 - 499.5) / 499.5)
    assert (found["best_rank_at_10_absolute"], found["worst_rank_at_10_absolute"]) == (0, 9)
    assert found["worst_rank_at_10"] == pytest.approx(0.009)


def test_golden_values_of_the_published_table(real_data: Path) -> None:
    table = find_table("nasbench201", real_data)
    truth, valid = table.values("cifar10_test_200"), table.values("cifar10_valid_200")
    assert kendall_tau(valid, truth) == pytest.approx(0.8939, abs=5e-5)
    assert spearman_rho(valid, truth) == pytest.approx(0.9841, abs=5e-5)
    facts = [table.space.facts(arch) for arch in table.archs]
    assert kendall_tau(np.array([fact["parameters"] for fact in facts]), truth) == pytest.approx(0.5778, abs=5e-5)
    live = np.array([fact["live_path_convolutions"] for fact in facts])
    assert kendall_tau(live, truth) == pytest.approx(0.6214, abs=5e-5)
    assert spearman_rho(live, truth) == pytest.approx(0.7994, abs=5e-5)
    assert measures.true_ranks(truth).min() == 0


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-10, 1e10, 1e200, 5e307])
def test_pearson_is_the_same_at_every_scale(scale: float) -> None:
    rng = np.random.default_rng(3)
    x = np.clip(rng.normal(size=50), -3, 3)
    y = x + np.clip(rng.normal(size=50), -3, 3)
    right = measures.pearson_r(x, y)
    assert right == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-15)
    assert measures.pearson_r(x * scale, y) == pytest.approx(right, abs=1e-14)
    assert measures.pearson_r(y, x * scale) == pytest.approx(right, abs=1e-14)
    assert measures.pearson_r(np.sign(x) * 1.7e308, y) == pytest.approx(measures.pearson_r(np.sign(x), y), abs=1e-14)
    extreme, _ = all_measures(x * scale, y, y.max())
    usual, _ = all_measures(x, y, y.max())
    assert extreme == pytest.approx(usual, abs=1e-14, nan_ok=True)
