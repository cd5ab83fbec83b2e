"""Predictions in the order that we recommend where no truth is known, and evaluators that average ranks.

Ranks among what is predicted depend on the company; an evaluator takes shares of a fixed reference sample instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from oneshot.benchmarks.scoring.measures import constant
from oneshot.benchmarks.scoring.ranks import (
    ACCURACY,
    LOSS,
    averaged,
    checked_weights,
    facts_of,
    recommended_weights,
    shares,
)
from oneshot.evaluators.base import Evaluator, Prediction, Predictions
from oneshot.evaluators.scores import Scorer

from oneshot.base.provenance import fingerprint
from oneshot.base.quantity import quantity
from oneshot.samplers.uniform import distinct
from oneshot.space import Arch, Space

REFERENCE = 256
"""Architectures of the reference sample by default."""


@dataclass(frozen=True)
class Advice:
    """What we recommend of predictions, in percent of all: `value` [N], the shares that it is made of, and the order.

    What has no prediction is NaN and last. Without `weights` there is nothing to average, and the order is that of
    accuracy.
    """

    value: np.ndarray
    parts: dict[str, np.ndarray]
    order: tuple[int, ...]
    weights: dict[str, float]


def advise(space: Space, archs: Sequence[Arch], accuracy: np.ndarray) -> Advice:
    """Accuracy's ranks averaged with those of the best fact of the space; of equal ones the more accurate is first."""
    known = np.flatnonzero(np.isfinite(accuracy))
    columns = {ACCURACY: accuracy[known], **facts_of(space, [archs[row] for row in known.tolist()])}
    weights = {n: w for n, w in recommended_weights(space).items() if n in columns and not constant(columns[n])}
    weights = {} if len(known) == 0 else weights
    value = np.full(len(archs), np.nan)
    value[known] = averaged(columns, weights) if weights else 100 * shares(columns[ACCURACY]) if len(known) else 0
    parts = {name: np.full(len(archs), np.nan) for name in weights}
    for name, part in parts.items():
        part[known] = 100 * shares(columns[name])
    order = np.lexsort((-np.nan_to_num(accuracy, nan=-1), -np.nan_to_num(value, nan=-1)))
    return Advice(value, parts, tuple(order.tolist()), weights)


class RankEvaluator:
    """An evaluator whose accuracy is a weighted mean of shares: how many percent of a reference sample are below.

    `weights` are by name: `accuracy` (of an evaluator of scores these), `loss` (less is better), facts of the space,
    and the names of `others`, whose predictions count. By default what we recommend. The reference is predicted once,
    when something is first asked for.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        weights: Mapping[str, float] | None = None,
        others: Mapping[str, Scorer] | None = None,
        reference: int = REFERENCE,
        seed: int = 0,
    ) -> None:
        self.evaluator, self.space, self.others = evaluator, evaluator.space, dict(others or {})
        self.weights = checked_weights(weights or recommended_weights(self.space))
        if LOSS in self.weights and not quantity(evaluator.protocol).is_accuracy:
            raise ValueError(f"a {quantity(evaluator.protocol).title} has no loss to rank by")
        if reference < 2:
            raise ValueError(f"a reference needs at least 2 architectures, got {reference}")
        count = min(reference, sum(1 for _ in self.space)) if self.space.is_enumerable else reference
        self.sample, self.seed = tuple(distinct(self.space, count, np.random.default_rng(seed))), seed
        facts = facts_of(self.space, self.sample[:1])
        for name in self.weights:
            if name not in (ACCURACY, LOSS, *facts, *self.others):
                raise ValueError(f"{self.space.name} has no fact {name!r}; it has {', '.join(facts) or 'none'}")
        self._among: dict[str, np.ndarray] | None = None

    @property
    def protocol(self) -> dict[str, Any]:
        reference = {"architectures": len(self.sample), "seed": self.seed, "sha256": fingerprint(list(self.sample))}
        others = {name: other.protocol for name, other in self.others.items()}
        return {
            "evaluator": "ranks", "ranks": self.weights, "reference": reference, "of": self.evaluator.protocol,
            **({"others": others} if others else {}),
        }  # fmt: skip

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        checked = tuple(self.space.check(arch) for arch in archs)
        if self._among is None:
            self._among, failed = self._columns(self.sample)
            if failed:
                raise FloatingPointError(f"the reference has an architecture without a prediction: {failed}")
        columns, failures = self._columns(checked)
        percent = averaged(columns, self.weights, self._among) if checked else np.empty(0)
        images = round(2 * len(self.sample) * sum(self.weights.values()))
        values = [
            Prediction.failed(failures[arch], images)
            if arch in failures
            else Prediction(float(value), 1 - float(value) / 100, images)
            for arch, value in zip(checked, percent, strict=True)
        ]
        return Predictions(self.space, checked, tuple(values), self.protocol)

    def _columns(self, archs: Sequence[Arch]) -> tuple[dict[str, np.ndarray], dict[Arch, str]]:
        """The columns that weigh something, and what failed, which stands among them as if it were worst."""
        found, failures = dict[str, np.ndarray](), dict[Arch, str]()
        if {ACCURACY, LOSS} & {*self.weights}:
            predictions = self.evaluator(archs)
            failures |= predictions.failures
            found = {ACCURACY: predictions.predicted, LOSS: -predictions.loss}
        if {*self.weights} - {ACCURACY, LOSS, *self.others}:
            found |= facts_of(self.space, archs)
        for name in self.others.keys() & self.weights.keys():
            predictions = self.others[name](archs)
            failures |= predictions.failures
            found[name] = predictions.predicted
        return {name: np.nan_to_num(found[name], nan=-np.inf) for name in self.weights if name in found}, failures
