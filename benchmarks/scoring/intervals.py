"""Bootstrap intervals over architectures, vectorised over the resamples.

Up to `LIMIT` architectures this is the ordinary percentile bootstrap. Above, random subsets of that size
are resampled in their place, and the deviations from the subset's own value shrunk by sqrt(size / n) around the
estimate (the m-out-of-n bootstrap; Bickel, Götze & van Zwet 1997): what it costs does not depend on n. The measures of
the ten best predicted are extremes that no subset knows; there all n are resampled, of which only the head matters.
All predictors see the same draws, so that their differences under each resample are paired.

A share of few, such as precision@1% of 1,000 architectures, is often 0 of 10, which no resampling changes. So to the k
that are counted some more are added, in half of the resamples all right, in the others all wrong, as the exact interval
of Clopper & Pearson (1934) takes one more of the better kind above and of the worse below; among many they carry no
weight.

Shapes: R resamples, N architectures.
"""

from __future__ import annotations

import zlib

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.catalogue import MEASURES, Measure
from oneshot.benchmarks.scoring.measures import NAN, checked, share, true_ranks
from oneshot.benchmarks.scoring.resampled import Everyone, Resamples, Side

LIMIT = 1000
SUBSETS = 4
MORE = 2.0
"""Counted beside the others in the mean: half of z^2 of a 95% interval."""
HEAD = 64
"""Sorted positions among which the ten best of a resample are sure to be: 64 draws are expected there."""
TIED = 3000
"""Of more architectures than this that tie at the end of the head, so many stand for all.

They are evenly spaced in truth; drawing fewer makes intervals a little wider, never narrower.
"""

Interval = tuple[float, float]


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
        """The interval of each measure in `estimates` (by `catalogue.all_measures`); two nan where that is nan."""
        values = self.resampled(predicted, estimates)
        return {name: percentiles(values[name], confidence) for name in estimates}

    def resampled(self, predicted: Array, estimates: dict[str, float]) -> dict[str, Array]:
        """Each measure in `estimates` under every resample, (R,); all nan where the estimate is nan."""
        x, y = checked(predicted, self.truth)
        samples = [
            Resamples(Side(x[members], true.counts_RN), true, self.best)
            for members, true in zip(self._members, self._true_sides, strict=True)
        ]
        defined = [MEASURES[name] for name, value in estimates.items() if not np.isnan(value)]
        head = samples[0] if self.whole or not any(each.of_ten for each in defined) else self._head(x, y)
        found: dict[str, Array] = {name: np.full(self.times, np.nan) for name in estimates}
        for each in defined:
            if each.of_ten:
                found[each.name] = each.resampled(head)
                continue
            values = [self._with_more(each, each.resampled(sample), sample) for sample in samples]
            found[each.name] = values[0] if self.whole else self._scaled(each, values, estimates[each.name])
        return found

    def _with_more(self, measure: Measure, values: Array, sample: Resamples) -> Array:
        """The shares of a measure that counts, with some more counted; other measures as they are.

        How many is drawn by what the predictor counts: equal ones stay equal, others have luck of their own. A subset's
        own value, which comes first, stays.
        """
        if not measure.counts:
            return values
        k = share(sample.predicted.drawn, measure.counts)
        predicted = sample.predicted.values_N
        counted = np.packbits(predicted >= np.partition(predicted, -k)[-k]).tobytes()
        rng = np.random.default_rng((self._seed, zlib.crc32(counted)))
        more = rng.poisson(MORE, len(values)).astype(np.float64)
        right = more * rng.permutation(np.arange(len(values)) % 2)
        found = (k * values + right) / (k + more)
        if not self.whole:
            found[0] = values[0]
        return found

    def _scaled(self, measure: Measure, values: list[Array], estimate: float) -> Array:
        """The measure of every resample, brought to the scale of all architectures and into the measure's range."""
        deviations = np.concatenate([value[1:] - value[0] for value in values])
        return np.clip(estimate + deviations * np.sqrt(self.size / len(self.truth)), measure.low, measure.high)

    def _head(self, x: Array, y: Array) -> Resamples:
        """Resamples of all architectures, of which only those are drawn that may be among the ten best predicted."""
        members = _head(x, y)
        counts_RN = self._drawn(members)
        everyone = Everyone(true_ranks(y)[members], len(y), float(y.mean()), float(y.max()))
        return Resamples(Side(x[members], counts_RN), Side(y[members], counts_RN), self.best, everyone)

    def _drawn(self, members: np.ndarray) -> np.ndarray:
        """How often each resample of all architectures draws these, (R, members), whatever other members there are."""
        each = [np.random.default_rng((self._seed, int(i))).poisson(1.0, self.times) for i in members]
        return np.array(each).T


def _head(x: Array, y: Array) -> np.ndarray:
    """The architectures from which the ten best of a resample come, by falling prediction."""
    order = np.argsort(-x, kind="stable")
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
