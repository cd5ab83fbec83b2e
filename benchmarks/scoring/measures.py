"""How well predictions rank architectures: pure functions of two arrays, predicted and true, one entry an architecture.

More is better in both, on any scale. All raise ValueError for arrays of different length, NaN or infinity, and too few
architectures; they return nan where a correlation is undefined because one side is constant.

Ties are resolved by expectation: where predictions tie, a measure of the best k is its mean over all orders of the
tied, so that no result depends on the order of the input. A cut through truth includes all that tie at the cut.

"The paper" is Laube, "Inter-choice dependent super-network weights".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from oneshot.benchmarks.columns import Array
from scipy import stats

NAN = float("nan")
TOP = 0.1
"""The truly best tenth, within which `kendall_tau_top10` correlates."""
LEFT = 10
"""Architectures left at the end of an improvement curve; beyond is noise (the paper, section 3.4)."""


def checked(predicted: Array, truth: Array, least: int = 3) -> tuple[Array, Array]:
    """Both as finite float64 arrays of one length."""
    x, y = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"expected two arrays of one length, got shapes {x.shape} and {y.shape}")
    if len(x) < least:
        raise ValueError(f"expected at least {least} architectures, got {len(x)}")
    for name, values in (("predicted", x), ("true", y)):
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise ValueError(f"expected finite {name} values, got {values[wrong[0]]} at index {wrong[0]}")
    return x, y


def kendall_tau(predicted: Array, truth: Array) -> float:
    """Kendall's tau-b, in n log n."""
    x, y = checked(predicted, truth)
    if constant(x) or constant(y):
        return NAN
    result: Any = stats.kendalltau(x, y, variant="b", method="asymptotic")
    return float(result.statistic)


def pearson_r(predicted: Array, truth: Array) -> float:
    """Pearson's correlation coefficient, with its sign."""
    x, y = checked(predicted, truth)
    if constant(x) or constant(y):
        return NAN
    x, y = centred(x), centred(y)
    product = (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())  # sums, as BLAS depends on the number of threads
    return float(np.clip(product, -1, 1))


def centred(values: Array) -> Array:
    """Less their mean and near 1, by powers of two: squares neither overflow nor vanish, and no digit is lost."""
    scaled = _near_one(values)
    return _near_one(scaled - scaled.mean())


def _near_one(values: Array) -> Array:
    return np.ldexp(values, -int(np.frexp(np.abs(values).max())[1]))


def spearman_rho(predicted: Array, truth: Array) -> float:
    """Spearman's rank correlation, ties at their mean rank."""
    x, y = checked(predicted, truth)
    return pearson_r(stats.rankdata(x), stats.rankdata(y))


def top_tau(predicted: Array, truth: Array, fraction: float = TOP) -> float:
    """Kendall's tau-b within the truly best fraction; nan with fewer than three architectures in it."""
    x, y = checked(predicted, truth)
    best = y >= np.partition(y, -share(len(y), fraction))[-share(len(y), fraction)]
    return kendall_tau(x[best], y[best]) if best.sum() >= 3 else NAN


def share(count: int, fraction: float) -> int:
    """How many of `count` a fraction is: rounded, at least one."""
    if not 0 < fraction <= 1:
        raise ValueError(f"expected a fraction in (0, 1], got {fraction}")
    return max(1, round(fraction * count))


def precision_at(predicted: Array, truth: Array, fraction: float) -> float:
    """|k best predicted ∩ k truly best| / k, where k is that fraction of all."""
    x, y = checked(predicted, truth, least=1)
    k = share(len(x), fraction)
    return float(_chance_of_top(x, k) @ _chance_of_top(y, k) / k)


@dataclass(frozen=True)
class TopK:
    """The k best predicted: mean and highest truth, lowest and highest true rank among them (0 is the very best)."""

    accuracy: float
    found: float
    best_rank: float
    worst_rank: float


@dataclass(frozen=True)
class TenBest:
    """What the ten best predicted truly are, beside all evaluated: numbers, or arrays with one a resample."""

    accuracy: Array | float
    found: Array | float
    """The highest truth among the ten."""
    best_rank: Array | float
    worst_rank: Array | float
    mean: Array | float
    highest: Array | float
    count: int
    best: float
    """The best of the table, at which improvement is 1."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Predicted beside true values of the same architectures; `best` is the best truth of the table."""

    predicted: Array
    truth: Array
    best: float

    @cached_property
    def ten(self) -> TenBest:
        """The ten best predicted; nan where there are fewer."""
        x, y = self.predicted, self.truth
        top = top_k(x, y, LEFT) if len(x) >= LEFT else TopK(NAN, NAN, NAN, NAN)
        of_all = float(y.mean()), float(y.max()), len(y)
        return TenBest(top.accuracy, top.found, top.best_rank, top.worst_rank, *of_all, self.best)


def true_ranks(truth: Array) -> Array:
    """How many architectures are truly better than each."""
    return stats.rankdata(-np.asarray(truth, np.float64), method="min") - 1.0


def top_k(predicted: Array, truth: Array, k: int) -> TopK:
    """What the k best predicted truly are; ranks count the architectures that are truly better."""
    x, y = checked(predicted, truth, least=1)
    if not 1 <= k <= len(x):
        raise ValueError(f"expected k between 1 and {len(x)}, got {k}")
    order = np.argsort(-x, kind="stable")
    return top_of_sorted(x[order], y[order], true_ranks(y)[order], k)


def rank_at_k(predicted: Array, truth: Array, k: int) -> tuple[float, float]:
    """The best and the worst true rank among the k best predicted, as fractions of all that are truly better."""
    top = top_k(predicted, truth, k)
    return top.best_rank / len(predicted), top.worst_rank / len(predicted)


def top_of_sorted(predicted: Array, truth: Array, ranks: Array, k: int) -> TopK:
    """`top_k` of arrays that are already sorted by falling prediction; what follows the ties at k may be missing."""
    first, end = (
        np.searchsorted(-predicted, -predicted[k - 1], "left"),
        np.searchsorted(-predicted, -predicted[k - 1], "right"),
    )
    drawn = k - int(first)
    tied = np.sort(ranks[first:end])
    accuracy = (truth[:first].sum() + drawn * truth[first:end].mean()) / k
    best = _expected_minimum(ranks[:first].min(initial=np.inf), tied, drawn)
    worst = -_expected_minimum((-ranks[:first]).min(initial=np.inf), -tied[::-1], drawn)
    found = -_expected_minimum((-truth[:first]).min(initial=np.inf), np.sort(-truth[first:end]), drawn)
    return TopK(float(accuracy), found, best, worst)


@dataclass(frozen=True)
class ImprovementCurve:
    """Mean truth of those left as the worst predicted are removed one by one (the paper, Fig. 3 top).

    `remaining` falls from n to 1; `accuracy` is in the unit of the truth; `improvement` is 0 at the mean of all
    evaluated and 1 at `best`.
    """

    remaining: np.ndarray
    accuracy: Array
    improvement: Array
    best: float


def improvement_curve(predicted: Array, truth: Array, best: float | None = None) -> ImprovementCurve:
    """The whole curve; `best` is the best of the space, by default the best evaluated; nan if all are best."""
    x, y = checked(predicted, truth, least=1)
    order = np.argsort(-x, kind="stable")
    starts = np.flatnonzero(np.diff(x[order], prepend=np.nan))
    sizes = np.diff(starts, append=len(x))
    expected = np.repeat(np.add.reduceat(y[order], starts) / sizes, sizes)
    remaining = np.arange(len(x), 0, -1)
    accuracy = np.cumsum(expected)[::-1] / remaining
    best = float(y.max()) if best is None else best
    if best < y.max():
        raise ValueError(f"the best of the space, {best}, is below the best evaluated, {y.max()}")
    return ImprovementCurve(remaining, accuracy, normalised(accuracy, float(y.mean()), best), best)


def normalised(accuracy: Array | float, mean: Array | float, best: Array | float) -> Array:
    """Accuracies on the scale on which 0 is the mean of the evaluated and 1 the best; nan where these are the same."""
    above, span = np.asarray(accuracy, np.float64) - mean, np.asarray(best, np.float64) - mean
    return np.divide(above, span, out=np.full(np.broadcast_shapes(above.shape, span.shape), np.nan), where=span > 0)


@dataclass(frozen=True)
class PruningCurve:
    """Correlations of the truly best that remain, as the truly worst are removed (the paper, Fig. 3 bottom)."""

    remaining: np.ndarray
    kendall_tau: Array
    spearman_rho: Array
    pearson_r: Array


def pruning_curve(
    predicted: Array, truth: Array, points: int = 40, least: int = LEFT, limit: int = 20_000
) -> PruningCurve:
    """Correlations at `points` sizes in equal ratios, from all down to `least` (or 3) architectures.

    Where more than `limit` remain, every m-th of them in the order of truth stands for all.
    """
    x, y = checked(predicted, truth)
    order = np.argsort(-y, kind="stable")
    x, y = x[order], y[order]
    wanted = np.geomspace(len(x), min(len(x), max(3, least)), points).round().astype(int)
    remaining = np.unique(np.searchsorted(-y, -y[wanted - 1], "right"))[::-1]  # all that tie at the cut stay
    rows = []
    for left in remaining:
        sample = np.linspace(0, left - 1, min(left, limit)).round().astype(int)
        rows.append([measure(x[sample], y[sample]) for measure in (kendall_tau, spearman_rho, pearson_r)])
    return PruningCurve(remaining, *np.array(rows).T)


@dataclass(frozen=True)
class SelfConsistency:
    """Correlations between every two of several runs, in the order of `pairs` (the paper, section 4.3)."""

    pairs: tuple[tuple[int, int], ...]
    kendall_tau: Array
    spearman_rho: Array
    pearson_r: Array


def self_consistency(runs: Sequence[Array]) -> SelfConsistency:
    """How far several runs agree with each other; one array of predictions a run, over the same architectures."""
    if len(runs) < 2:
        raise ValueError(f"self-consistency needs at least two runs, got {len(runs)}")
    pairs = tuple(combinations(range(len(runs)), 2))
    rows = [[measure(runs[i], runs[j]) for measure in (kendall_tau, spearman_rho, pearson_r)] for i, j in pairs]
    return SelfConsistency(pairs, *np.array(rows).T)


def constant(values: Array) -> bool:
    return bool(values.min() == values.max())


def _chance_of_top(values: Array, k: int) -> Array:
    """The chance of each to be among the k highest under a random order of ties."""
    cut = np.partition(values, -k)[-k]
    above, tied = values > cut, values == cut
    return above + tied * ((k - above.sum()) / tied.sum())


def _expected_minimum(sure: float, values: Array, drawn: int) -> float:
    """E[min(sure, the least of `drawn` different ones of the rising `values`)]."""
    index = np.arange(len(values))
    none_before = np.cumprod(
        np.concatenate([[1.0], np.maximum(len(values) - drawn - index, 0) / (len(values) - index)])
    )
    return float(-np.diff(none_before) @ np.minimum(values, sure))
