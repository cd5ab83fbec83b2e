"""The measures of `measures` under many resamples at once, from how often each architecture was drawn.

A resample is how often each architecture was drawn, so that one sorted order and one matrix of concordant pairs serve
all resamples. Shapes: R resamples, N architectures, G groups of equal value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.measures import LEFT, TOP, TenBest, centred, share, top_of_sorted, true_ranks


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
    def centred(self) -> Centred:
        return Centred(centred(self.values_N), self.counts_RN)

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


def kendall_tau(x: Side, y: Side) -> Array:
    """Kendall's tau-b of each resample; copies of one architecture tie in both."""
    concordant_RN = x.counts_RN.astype(np.float32) @ (x.sign_NN * y.sign_NN)  # whole numbers far below 2^24: exact
    numerator = np.einsum("rn,rn->r", concordant_RN.astype(np.float64), x.counts_RN)
    return _ratio(numerator, np.sqrt(x.untied_R * y.untied_R))


def spearman_rho(x: Side, y: Side) -> Array:
    """Spearman's rho of each resample."""
    return x.ranked.correlation(y.ranked)


def pearson_r(x: Side, y: Side) -> Array:
    """Pearson's r of each resample."""
    return x.centred.correlation(y.centred)


def top_tau(x: Side, y: Side) -> Array:
    """Kendall's tau-b within the truly best tenth of each resample."""
    top_RN = x.counts_RN * (y.chance_of_top(share(y.drawn, TOP)) > 0)
    members = np.flatnonzero(top_RN.any(0))
    return np.where(top_RN.sum(1) < 3, np.nan, kendall_tau(x.of(members, top_RN), y.of(members, top_RN)))


def precision_at(fraction: float) -> Callable[[Side, Side], Array]:
    """From both sides to the precision at a fraction in each resample."""

    def measure(x: Side, y: Side) -> Array:
        k = share(x.drawn, fraction)
        return np.einsum("rn,rn,rn->r", x.counts_RN, x.chance_of_top(k), y.chance_of_top(k)) / k

    return measure


@dataclass(frozen=True)
class Everyone:
    """Where only some are resampled: their true ranks among all evaluated, and count, mean, highest of all these."""

    ranks_N: Array
    count: int
    mean: float
    highest: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """Predicted beside true under the same resamples; `best` is the truth at which improvement is 1.

    With `everyone` they are some of many, by falling prediction, among which the ten best of every resample are.
    """

    predicted: Side
    truth: Side
    best: float
    everyone: Everyone | None = None

    @cached_property
    def ten(self) -> TenBest:
        """The ten best predicted in each resample; true ranks stay those among all evaluated."""
        x, y, everyone = self.predicted.values_N, self.truth.values_N, self.everyone
        order = np.argsort(-x, kind="stable")
        ranks = true_ranks(y) if everyone is None else everyone.ranks_N
        rows = []
        for counts in self.truth.counts_RN[:, order]:
            copies = np.repeat(order, counts)
            top = top_of_sorted(x[copies], y[copies], ranks[copies], LEFT)
            of_all = (y[copies].mean(), y[copies].max()) if everyone is None else (everyone.mean, everyone.highest)
            rows.append((top.accuracy, top.found, top.best_rank, top.worst_rank, *of_all))
        accuracy, found, best_rank, worst_rank, mean, highest = np.array(rows).T
        count = len(y) if everyone is None else everyone.count
        return TenBest(accuracy, found, best_rank, worst_rank, mean, highest, count, self.best)


def _ratio(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 1e-300)
