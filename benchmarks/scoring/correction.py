"""Predictions corrected by a few truths: a regression from ranks to truth, with intervals, and what to measure next.

Features are the normal scores of shares (`ranks.shares`). A Bayesian ridge regression and a Gaussian process of a
linear and a smooth part compete by cross-validation. Truths that are accuracies are modelled as logits. Intervals are
cross-conformal (Vovk, arXiv 1208.0806; residuals over the model's own deviation): whatever the model, of architectures
drawn like the known ones they hold the stated fraction. Shapes: N architectures, F features, n truths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.measures import constant, kendall_tau
from oneshot.benchmarks.scoring.ranks import distinct, shares
from scipy import special, stats

CONFIDENCE = 0.9
FOLDS = 10
SPARE = 2
"""More truths than features there must be at least."""
EDGE = 1e-3
"""Accuracies nearer to 0 and 1 than this are taken for this far away."""
NODES = 32
"""Of the quadrature of an expected gain."""

Fitted = Callable[[Array], tuple[Array, Array]]
"""From features [N, F] to mean and standard deviation of the modelled truth [N]."""


@dataclass(frozen=True)
class Scale:
    """How a truth is modelled: accuracies below `top` (1 or 100) as logits, anything else as it is."""

    top: float | None

    @classmethod
    def of(cls, truth: Array) -> Scale:
        low, high = float(truth.min()), float(truth.max())
        return cls(None if low < 0 or high > 100 else 1.0 if high <= 1 else 100.0)

    def modelled(self, truth: Array) -> Array:
        return truth if self.top is None else special.logit(np.clip(truth / self.top, EDGE, 1 - EDGE))

    def said(self, modelled: Array) -> Array:
        """Back in the unit of the truth."""
        return modelled if self.top is None else self.top * special.expit(modelled)


def ridge(features: Array, truth: Array, seed: int) -> Fitted:
    from sklearn.linear_model import BayesianRidge

    model = BayesianRidge().fit(features, truth)
    return partial(_predicted, model)


def gaussian_process(features: Array, truth: Array, seed: int) -> Fitted:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    width = features.shape[1] ** 0.5
    linear = ConstantKernel(1 / width**2, (1e-4, 10)) * DotProduct(1.0, (1e-2, 1e2))
    smooth = ConstantKernel(0.3, (1e-3, 10)) * RBF(width, (width / 4, 20 * width))
    model = GaussianProcessRegressor(linear + smooth + WhiteKernel(0.2, (1e-3, 2)), normalize_y=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # at the bounds of a parameter it is good enough
        model.fit(features, truth)
    return partial(_predicted, model)


def _predicted(model: Any, wanted: Array) -> tuple[Array, Array]:
    return model.predict(wanted, return_std=True)


MODELS = {"ridge": ridge, "gaussian process": gaussian_process}


@dataclass(frozen=True)
class Corrected:
    """What a correction says of architectures, in the unit of the truth; those set last have no interval."""

    mean: Array
    low: Array
    high: Array
    deviation: Array
    """Half the width of the interval of one standard deviation."""
    gain: Array
    """How much better than the best known truth it is expected to be, where it is better; 0 for those set last."""


@dataclass(frozen=True)
class Correction:
    """A model of the truth, fitted on known ones."""

    names: tuple[str, ...]
    scale: Scale
    fitted: Fitted
    widening: float
    """How many of the model's standard deviations an interval reaches to each side."""
    spread: float
    best: float
    lowest: float
    protocol: dict[str, Any] = field(compare=False)

    def __call__(self, columns: Mapping[str, Array], among: Mapping[str, Array], last: np.ndarray) -> Corrected:
        """Of architectures whose features are ranked `among` a population; `last` [N] are those without a live path."""
        z, deviation = self.fitted(normal_scores(columns, among, self.names))
        deviation = deviation * self.spread
        low, high = (self.scale.said(z + side * self.widening * deviation / self.spread) for side in (-1, 1))
        mean, gain = self.scale.said(z), self._gain(z, deviation)
        floor = min(self.lowest, float(mean[~last].min())) if (~last).any() else self.lowest
        mean = np.where(last, np.nextafter(floor, -np.inf), mean)
        low, high = (np.where(last, np.nan, end) for end in (low, high))
        half = (self.scale.said(z + deviation) - self.scale.said(z - deviation)) / 2
        return Corrected(mean, low, high, np.where(last, 0, half), np.where(last, 0, gain))

    def _gain(self, z: Array, deviation: Array) -> Array:
        """Expected improvement over the best known truth, by Gauss-Hermite quadrature on the scale of the truth."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        said = self.scale.said(z[:, None] + deviation[:, None] * nodes)
        return np.maximum(said - self.best, 0) @ weights / weights.sum()


def fit(
    columns: Mapping[str, Array],
    among: Mapping[str, Array],
    truth: Array,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Correction:
    """The better model of the truths [n] of architectures with these features, ranked `among` a population.

    ValueError for fewer truths than the features allow, for constant ones, and for no feature that ranks anything.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    names = tuple(distinct({name: values for name, values in among.items() if not constant(values)}))
    if not names:
        raise ValueError(f"a correction needs a feature that ranks: {', '.join(among) or 'none'} are constant")
    if len(truth) < least_truths(len(names)):
        raise ValueError(
            f"a correction by {len(names)} features ({', '.join(names)}) takes at least {least_truths(len(names))} "
            f"truths of architectures with a live path, got {len(truth)}"
        )
    if constant(truth):
        raise ValueError(f"a correction needs truths that differ, all {len(truth)} are {truth[0]:g}")
    scale = Scale.of(truth)
    x, z = normal_scores(columns, among, names), scale.modelled(truth)
    checks = {name: _held_out(model, x, z, seed) for name, model in MODELS.items()}
    taus = {name: kendall_tau(mean, z) for name, (mean, _) in checks.items()}
    chosen = max(taus, key=lambda name: -np.inf if np.isnan(taus[name]) else taus[name])
    mean, deviation = checks[chosen]
    residuals = np.abs(z - mean) / deviation
    spread = float(np.sqrt(np.mean(residuals**2)))
    widening = conformal_quantile(residuals, confidence)
    protocol = {
        "features": list(names), "model": chosen, "truths": len(truth), "confidence": confidence, "seed": seed,
        "cross_validated_tau": {name: None if np.isnan(tau) else round(tau, 4) for name, tau in taus.items()},
    }  # fmt: skip
    fitted = MODELS[chosen](x, z, seed)
    return Correction(names, scale, fitted, widening, spread, float(truth.max()), float(truth.min()), protocol)


def least_truths(features: int) -> int:
    """How many truths so many features take; ten are what an interval of 90% takes."""
    return max(features + SPARE, 10)


def normal_scores(columns: Mapping[str, Array], among: Mapping[str, Array], names: tuple[str, ...]) -> Array:
    """Features [N, F]: the normal quantile of each share, kept off its ends by half a place."""
    scores = []
    for name in names:
        edge = 1 / (2 * len(among[name]))
        scores.append(stats.norm.ppf(np.clip(shares(columns[name], among[name]), edge, 1 - edge)))
    return np.stack(scores, axis=1)


def conformal_quantile(residuals: Array, confidence: float) -> float:
    """The residual that a new one exceeds with at most 1 - confidence; by Student's t where they are too few to say."""
    place = int(np.ceil((len(residuals) + 1) * confidence))
    if place <= len(residuals):
        return float(np.sort(residuals)[place - 1])
    t = float(stats.t.ppf((1 + confidence) / 2, len(residuals) - 1))
    return max(float(residuals.max()), t * float(np.sqrt(np.mean(residuals**2))))


def _held_out(model: Callable[[Array, Array, int], Fitted], x: Array, z: Array, seed: int) -> tuple[Array, Array]:
    """Mean and deviation of every truth by a model that was fitted without its fold."""
    order = np.random.default_rng(seed).permutation(len(z))
    mean, deviation = np.empty(len(z)), np.empty(len(z))
    for fold in np.array_split(order, min(FOLDS, len(z))):
        kept = np.setdiff1d(order, fold)
        mean[fold], deviation[fold] = model(x[kept], z[kept], seed)(x[fold])
    return mean, np.maximum(deviation, 1e-9)
