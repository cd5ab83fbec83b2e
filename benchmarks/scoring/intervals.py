"""Bootstrap intervals over architectures, vectorised over the resamples.

A resample is how often each architecture was drawn, so that one sorted order and one matrix of concordant pairs serve
all resamples. Up to `LIMIT` architectures this is the ordinary percentile bootstrap. Above, random subsets of that size
are resampled in their place, and the deviations from the subset's own value shrunk by sqrt(size / n) around the
estimate (the m-out-of-n bootstrap; Bickel, Götze & van Zwet 1997): what it costs does not depend on n. The measures of
the ten best predicted are extremes that no subset knows; there all n are resampled, of which only the head matters.
All predictors see the same draws, so that their differences under each resample are paired.

Shapes: R resamples, N architectures, G groups of equal value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.measures import LEFT, NAN, TOP, at_left, checked, share, top_of_sorted, true_ranks

LIMIT = 1000
SUBSETS = 4
HEAD = 64
"""Sorted positions among which the ten best of a resample are sure to be: 64 draws are expected there."""
TIED = 3000
"""Of more architectures than this that tie at the end of the head, so many stand for all.

They are evenly spaced in truth; drawing fewer makes intervals a little wider, never narrower.
"""

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison, predicted or true, under many resamples; what both sides need is computed once."""

    values_N: Array
    counts_RN: np.ndarray

    @cached_property
    def drawn(self) -> int:
        return int(self.counts_RN[0].sum())

    @cached_property
    def group_N(self) -> np.ndarray:
        """The rank of each architecture's value among the distinct values."""
        return np.unique(self.values_N, return_inverse=True)[1]

    @cached_property
    def counts_RG(self) -> np.ndarray:
        """How often each distinct value was drawn, in rising order."""
        order = np.argsort(self.group_N, kind="stable")
        starts = np.flatnonzero(np.diff(self.group_N[order], prepend=-1))
        counts = self.counts_RN[:, order]
        return counts if len(starts) == len(order) else np.add.reduceat(counts, starts, axis=1)

    @cached_property
    def through_RG(self) -> np.ndarray:
        """How many drawn have this value or a lower one."""
        return np.cumsum(self.counts_RG, axis=1)

    @cached_property
    def sign_NN(self) -> np.ndarray:
        group_N = self.group_N.astype(np.float32)
        return np.sign(group_N[:, None] - group_N)

    @cached_property
    def untied_R(self) -> Array:
        """Ordered pairs of different value."""
        counts = self.counts_RG.astype(np.float64)
        return counts.sum(1) ** 2 - (counts * counts).sum(1)

    @cached_property
    def ranked(self) -> Centred:
        """Ranks within the resample, ties at their mean."""
        return Centred((self.through_RG - (self.counts_RG - 1) / 2)[:, self.group_N], self.counts_RN)

    @cached_property
    def plain(self) -> Centred:
        return Centred(self.values_N, self.counts_RN)

    def chance_of_top(self, k: int) -> Array:
        """The chance of each copy to be among the k highest of its resample, under a random order of ties; (R, N)."""
        chance_RG = k - self.drawn + self.through_RG  # places that the better ones leave
        chance_RG = np.clip(chance_RG / np.maximum(self.counts_RG, 1), 0, 1, dtype=np.float64)
        return chance_RG[:, self.group_N]

    def of(self, members: np.ndarray, counts_RN: np.ndarray) -> Side:
        """The same side for some members and other counts."""
        return Side(self.values_N[members], counts_RN[:, members])


class Centred:
    """Values less their mean in each resample, and the sum of their squares."""

    def __init__(self, values: Array, counts_RN: np.ndarray) -> None:
        mean_R = np.einsum("rn,rn->r", counts_RN, np.broadcast_to(values, counts_RN.shape)) / counts_RN.sum(1)
        self.values_RN = values - mean_R[:, None]
        self.weighted_RN = counts_RN * self.values_RN
        self.squares_R = np.einsum("rn,rn->r", self.weighted_RN, self.values_RN)

    def correlation(self, other: Centred) -> Array:
        """Pearson's r of each resample."""
        product_R = np.einsum("rn,rn->r", self.weighted_RN, other.values_RN)
        return _ratio(product_R, np.sqrt(self.squares_R * other.squares_R))


def tau(x: Side, y: Side) -> Array:
    """Kendall's tau-b of each resample; copies of one architecture tie in both."""
    concordant_RN = x.counts_RN.astype(np.float32) @ (x.sign_NN * y.sign_NN)  # whole numbers far below 2^24: exact
    numerator = np.einsum("rn,rn->r", concordant_RN.astype(np.float64), x.counts_RN)
    return _ratio(numerator, np.sqrt(x.untied_R * y.untied_R))


def rho(x: Side, y: Side) -> Array:
    """Spearman's rho of each resample."""
    return x.ranked.correlation(y.ranked)


def pearson(x: Side, y: Side) -> Array:
    """Pearson's r of each resample."""
    return x.plain.correlation(y.plain)


def top_tau(x: Side, y: Side) -> Array:
    """Kendall's tau-b within the truly best tenth of each resample."""
    top_RN = x.counts_RN * (y.chance_of_top(share(y.drawn, TOP)) > 0)
    members = np.flatnonzero(top_RN.any(0))
    return np.where(top_RN.sum(1) < 3, np.nan, tau(x.of(members, top_RN), y.of(members, top_RN)))


def precision(fraction: float) -> Measure:
    """The precision at a fraction, of each resample."""

    def measure(x: Side, y: Side) -> Array:
        k = share(x.drawn, fraction)
        return np.einsum("rn,rn,rn->r", x.counts_RN, x.chance_of_top(k), y.chance_of_top(k)) / k

    return measure


Measure = Callable[[Side, Side], Array]

MEASURES: dict[str, tuple[Measure, float]] = {
    "kendall_tau": (tau, -1.0),
    "spearman_rho": (rho, -1.0),
    "pearson_r": (pearson, -1.0),
    "kendall_tau_top10": (top_tau, -1.0),
    "precision_at_1": (precision(0.01), 0.0),
    "precision_at_5": (precision(0.05), 0.0),
    "precision_at_10": (precision(0.10), 0.0),
}
"""Each with the lowest value that it can take; the highest is 1."""


class Bootstrap:
    """Resamples of the architectures with one truth, the same for all predictors that are compared on it.

    `best` is the truth at which improvement is 1. Above `limit` architectures, subsets of that size are resampled.
    """

    def __init__(
        self, truth: Array, best: float, rng: np.random.Generator, times: int = 1000, limit: int = LIMIT
    ) -> None:
        if times < 1:
            raise ValueError(f"expected at least one resample, got {times}")
        self.truth = np.asarray(truth, np.float64)
        self.best = best
        self.times = times
        self.size = min(len(self.truth), limit)
        self.whole = self.size == len(self.truth)
        self._members: list[np.ndarray] = []
        self._true_sides: list[Side] = []
        for part in np.array_split(np.arange(times), 1 if self.whole else min(SUBSETS, times)):
            members = np.sort(rng.choice(len(self.truth), self.size, replace=False))
            counts_RN = rng.multinomial(self.size, np.full(self.size, 1 / self.size), len(part)).astype(np.int32)
            first_RN = np.ones((0 if self.whole else 1, self.size), np.int32)  # a subset's own value comes first
            self._members.append(members)
            self._true_sides.append(Side(self.truth[members], np.concatenate([first_RN, counts_RN])))
        self._seed = int(rng.integers(2**32))

    def protocol(self) -> dict[str, object]:
        """How the intervals are made."""
        return {
            "method": "percentile bootstrap over architectures" + ("" if self.whole else ", m out of n, rescaled"),
            "resamples": self.times,
            "size": self.size,
            "subsets": len(self._members),
            "size_at_10": len(self.truth),
        }

    def intervals(self, predicted: Array, estimates: dict[str, float], confidence: float = 0.95) -> dict[str, Interval]:
        """The interval of each measure in `estimates` (by `measures.all_measures`); two nan where that is nan."""
        values = self.resampled(predicted, estimates)
        return {name: percentiles(values[name], confidence) for name in estimates}

    def resampled(self, predicted: Array, estimates: dict[str, float]) -> dict[str, Array]:
        """Each measure in `estimates` under every resample, (R,); all nan where the estimate is nan."""
        x, y = checked(predicted, self.truth)
        sides = [
            (Side(x[members], true.counts_RN), true)
            for members, true in zip(self._members, self._true_sides, strict=True)
        ]
        wanted = {name: how for name, how in MEASURES.items() if name in estimates}
        found = {name: self._resampled(sides, *how, estimates[name]) for name, how in wanted.items()}
        if len(x) >= LEFT and len(wanted) < len(estimates):
            found |= self._resampled_at_left(x, y)
        undefined = np.full(self.times, np.nan)
        return {name: undefined if np.isnan(value) else found[name] for name, value in estimates.items()}

    def _resampled(self, sides: list[tuple[Side, Side]], measure: Measure, lowest: float, estimate: float) -> Array:
        """The measure of every resample, brought to the scale of all architectures and into the measure's range."""
        values = [measure(*pair) for pair in sides]
        if self.whole:
            return values[0]
        deviations = np.concatenate([value[1:] - value[0] for value in values])
        return np.clip(estimate + deviations * np.sqrt(self.size / len(self.truth)), lowest, 1.0)

    def _resampled_at_left(self, x: Array, y: Array) -> dict[str, Array]:
        """The measures of the ten best predicted in each resample; true ranks stay those among all evaluated."""
        ranks, mean, highest = true_ranks(y), float(y.mean()), float(y.max())
        head = _head(x, y, everything=self.whole)
        rows = []
        for counts in self._drawn(head):
            copies = np.repeat(head, counts)
            if self.whole:
                mean, highest = float(y[copies].mean()), float(y[copies].max())
            top = top_of_sorted(x[copies], y[copies], ranks[copies], LEFT)
            rows.append(at_left(top, len(x), mean, highest, self.best))
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def _drawn(self, members: np.ndarray) -> np.ndarray:
        """How often each resample of all architectures draws these, (R, members), whatever other members there are."""
        if self.whole:
            return self._true_sides[0].counts_RN[:, members]
        each = [np.random.default_rng((self._seed, int(i))).poisson(1.0, self.times) for i in members]
        return np.array(each).T


def _head(x: Array, y: Array, everything: bool) -> np.ndarray:
    """The architectures from which the ten best of a resample come, by falling prediction."""
    order = np.argsort(-x, kind="stable")
    if everything:
        return order
    last = x[order[HEAD - 1]]
    above, tied = order[x[order] > last], order[x[order] == last]
    if len(tied) > TIED:
        by_truth = tied[np.argsort(y[tied], kind="stable")]
        tied = by_truth[((np.arange(TIED) + 0.5) * len(tied) / TIED).astype(int)]
    return np.concatenate([above, tied])


def percentiles(values: Array, confidence: float = 0.95) -> Interval:
    """The central interval that holds this share of the values, nan among them left out; two nan where all are."""
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    usable = values[~np.isnan(values)]
    if not len(usable):
        return NAN, NAN
    low, high = np.quantile(usable, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _ratio(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 1e-300)
