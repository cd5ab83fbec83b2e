"""The measures of a report, one row each: name, title, range, and how it is computed, once and under many resamples.

Scores, intervals, comparisons, tables and figures read this table alone; what a measure means is told in `measures`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring import measures, resampled
from oneshot.benchmarks.scoring.measures import LEFT, Ranking, TenBest, checked, constant, normalised
from oneshot.benchmarks.scoring.resampled import Resamples, Side


@dataclass(frozen=True)
class Measure:
    """A measure of how well predictions rank; `plain` of the identity and `resampled` agree to rounding."""

    name: str
    title: str
    low: float
    high: float
    plain: Callable[[Ranking], float]
    resampled: Callable[[Resamples], Array]
    """(R,): one value a resample."""
    heading: str = ""
    """Two lines for a terminal, which has room for some measures."""
    less_is_better: bool = False
    digits: int = 3
    undefined: str = "all evaluated are equally good"
    """Why it is nan, where neither side is constant."""
    counts: float = 0.0
    """The fraction of all of which it counts how many are right; 0 for what is no such share."""
    of_ten: bool = False
    """Whether it needs ten architectures, and is an extreme, which no subset of many architectures knows."""


def _of_all(
    name: str,
    title: str,
    low: float,
    plain: Callable[[Array, Array], float],
    under_resamples: Callable[[Side, Side], Array],
    **rest: Any,
) -> Measure:
    """A measure of every architecture's predicted and true value, at most 1."""
    return Measure(
        name, title, low, 1.0,
        lambda ranking: plain(ranking.predicted, ranking.truth),
        lambda drawn: under_resamples(drawn.predicted, drawn.truth),
        **rest,
    )  # fmt: skip


def _precision(percent: int, heading: str = "") -> Measure:
    plain = partial(measures.precision_at, fraction=percent / 100)
    name, title = f"precision_at_{percent}", f"precision@{percent}%"
    under_resamples = resampled.precision_at(percent / 100)
    return _of_all(name, title, 0.0, plain, under_resamples, heading=heading, counts=percent / 100)


def _of_ten(
    name: str, title: str, low: float, high: float, value: Callable[[TenBest], Array | float], **rest: Any
) -> Measure:
    """A measure of what the ten best predicted truly are."""
    return Measure(
        name, title, low, high,
        lambda ranking: float(value(ranking.ten)),
        lambda drawn: np.asarray(value(drawn.ten)),
        of_ten=True, **rest,
    )  # fmt: skip


_RANK: dict[str, Any] = {"less_is_better": True}

_ROWS = (
    _of_all(
        "kendall_tau", "Kendall's tau", -1.0, measures.kendall_tau, resampled.kendall_tau, heading="Kendall's\ntau"
    ),
    _of_all(
        "spearman_rho", "Spearman's rho", -1.0, measures.spearman_rho, resampled.spearman_rho,
    ),
    _of_all("pearson_r", "Pearson's r", -1.0, measures.pearson_r, resampled.pearson_r),
    _of_all(
        "kendall_tau_top10", "tau in the true top 10%", -1.0, measures.top_tau, resampled.top_tau,
        heading="tau in the\ntop 10%",
        undefined="fewer than three architectures, or a constant, in the truly best tenth",
    ),
    _precision(1, "precision\n@1%"),
    _precision(5, "precision\n@5%"),
    _precision(10),
    _of_ten(
        "improvement_at_10", "improvement, 10 left", -inf, 1.0,
        lambda ten: normalised(ten.accuracy, ten.mean, ten.best), heading="improvement\n10 left",
    ),
    _of_ten(
        "improvement_at_10_evaluated", "… to the best evaluated", -inf, 1.0,
        lambda ten: normalised(ten.accuracy, ten.mean, ten.highest),
    ),
    _of_ten(
        "regret_at_10", "regret, best of 10", 0.0, inf, lambda ten: np.maximum(ten.highest - ten.found, 0.0),
        heading="regret,\nbest of 10", **_RANK,
    ),
    _of_ten("improvement_at_10_absolute", "… as mean truth", -inf, inf, lambda ten: ten.accuracy),
    _of_ten("best_rank_at_10", "best true rank of 10", 0.0, 1.0, lambda ten: ten.best_rank / ten.count, **_RANK),
    _of_ten("worst_rank_at_10", "worst true rank of 10", 0.0, 1.0, lambda ten: ten.worst_rank / ten.count, **_RANK),
    _of_ten("best_rank_at_10_absolute", "… best, absolute", 0.0, inf, lambda ten: ten.best_rank, digits=0, **_RANK),
    _of_ten("worst_rank_at_10_absolute", "… worst, absolute", 0.0, inf, lambda ten: ten.worst_rank, digits=0, **_RANK),
)  # fmt: skip

MEASURES = {row.name: row for row in _ROWS}
MAIN = tuple(row for row in _ROWS if row.heading)
"""The measures that a terminal has room for."""


def all_measures(predicted: Array, truth: Array, best: float) -> tuple[dict[str, float], dict[str, str]]:
    """Every measure by name, and the reason for each that is nan; `best` is the best truth of the table."""
    ranking = Ranking(*checked(predicted, truth), best)
    values = {name: measure.plain(ranking) for name, measure in MEASURES.items()}
    return values, {name: _why_undefined(MEASURES[name], ranking) for name, value in values.items() if np.isnan(value)}


def _why_undefined(measure: Measure, ranking: Ranking) -> str:
    if measure.of_ten and len(ranking.truth) < LEFT:
        return f"needs {LEFT} architectures, got {len(ranking.truth)}"
    if constant(ranking.truth):
        return "the truth is constant"
    return "the predictions are constant" if constant(ranking.predicted) else measure.undefined
