"""An evaluator corrected by a few truths: architectures that the user trained, in a table of `oneshot benchmark`.

What is predicted is the true accuracy, with an interval (`oneshot.benchmarks.scoring.correction`), and what to train
next is what is expected to gain most, or what is least certain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from oneshot.benchmarks.scoring.correction import CONFIDENCE, Corrected, Correction, fit
from oneshot.benchmarks.scoring.ranks import ACCURACY, LOSS, facts_of
from oneshot.benchmarks.table import Benchmark
from oneshot.evaluators.base import Evaluator, Prediction, Predictions
from oneshot.evaluators.recommended import advise
from oneshot.evaluators.scores import Scorer

from oneshot.base.provenance import fingerprint
from oneshot.space import Arch, Space

POPULATION = 64
"""Architectures with a live path there must be at least, among which all are ranked."""
MOST = 10**6
"""Images of which the standard error is never less than the model's."""


@dataclass(frozen=True)
class Truths:
    """Measured accuracies of some architectures, in percent, and where they come from."""

    space: Space
    archs: tuple[Arch, ...]
    percent: np.ndarray
    protocol: dict[str, Any]
    dataset: str = ""
    """The name of the data set, where the table says it."""

    @classmethod
    def of(cls, table: Benchmark, column: str | None = None, space: Space | None = None) -> Truths:
        """What a column of a table measured; ValueError where that is nothing, or no accuracy."""
        table = table if space is None else table.within(space)
        column = column or table.default_truth()
        values = table.values(column)
        rows = np.flatnonzero(np.isfinite(values))
        percent = values[rows]
        if not len(rows) or percent.min() < 0 or percent.max() > 100:
            raise ValueError(f"{column} of {table.name} holds no accuracies from 0 to 100")
        percent = 100 * percent if percent.max() <= 1 else percent
        protocol = {"name": table.name, "sha256": table.sha256, "truth": column}
        archs = tuple(table.archs[row] for row in rows)
        return cls(table.space, archs, percent, protocol, dataset_of(table, column))

    @classmethod
    def joined(cls, parts: Sequence[Truths]) -> Truths:
        """Those of several tables, of an architecture in two the first; ValueError for other spaces or data sets."""
        first = parts[0]
        if len(parts) == 1:
            return first
        odd = next((part for part in parts if (part.space, part.dataset) != (first.space, first.dataset)), None)
        if odd is not None:
            raise ValueError(
                f"expected truths of one space and data set, got {first.space.name}, {first.dataset or 'unknown'} of "
                f"{first.protocol['name']} and {odd.space.name}, {odd.dataset or 'unknown'} of {odd.protocol['name']}"
            )
        found = {arch: value for part in reversed(parts) for arch, value in zip(part.archs, part.percent, strict=True)}
        protocol = {**first.protocol, "name": [part.protocol["name"] for part in parts]}
        protocol["sha256"] = [part.protocol["sha256"] for part in parts]
        return cls(first.space, tuple(found), np.array([*found.values()]), protocol, first.dataset)

    def check(self, protocol: Mapping[str, Any]) -> None:
        """ValueError where predictions of this protocol are of another data set."""
        theirs = Path(str(protocol.get("configuration", {}).get("dataset", ""))).stem
        if theirs and self.dataset and theirs != self.dataset:
            raise ValueError(
                f"{self.protocol['truth']} of {self.protocol['name']} was measured on {self.dataset}, the predictions "
                f"are made on {theirs}: expected truths of the same data set"
            )


def dataset_of(table: Benchmark, column: str) -> str:
    """The data set of a column: what its name begins with, as `cifar10_test_200`, else what made the table."""
    named = re.match(r"(.+?)_(test|valid|validation)(_|$)", column)
    made = table.metadata.get("protocol", {}).get("configuration", {})
    return named[1] if named else Path(str(made.get("dataset", ""))).stem if isinstance(made, dict) else ""


class CorrectedEvaluator:
    """Predicts the true accuracy, by a model of an evaluator's ranks, facts and `others`, fitted on a few truths.

    All are ranked among `reference`, which is predicted, too, and never changes. The loss is the share of errors; the
    standard error is the model's, as that of so many images. ValueError for truths of another space or data set, and
    for fewer than the features allow.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        truths: Truths,
        reference: Sequence[Arch],
        others: Mapping[str, Scorer] | None = None,
        confidence: float = CONFIDENCE,
        seed: int = 0,
    ) -> None:
        self.evaluator, self.space, self.truths, self.others = evaluator, evaluator.space, truths, dict(others or {})
        if truths.space.name != self.space.name:
            raise ValueError(f"expected truths of {self.space.name}, got {truths.space.name}")
        truths.check(evaluator.protocol)
        self.reference = tuple(arch for arch in dict.fromkeys(map(self.space.check, reference)) if self._lives(arch))
        if len(self.reference) < POPULATION:
            raise ValueError(
                f"a correction ranks among architectures with a live path: expected at least {POPULATION}, "
                f"got {len(self.reference)}"
            )
        self.confidence, self.seed = confidence, seed
        self._fitted: tuple[Correction, dict[str, np.ndarray]] | None = None

    @property
    def protocol(self) -> dict[str, Any]:
        others = {name: other.protocol for name, other in self.others.items()}
        return {
            "evaluator": "corrected", "of": self.evaluator.protocol, "truths": self.truths.protocol,
            "reference": fingerprint(list(self.reference)), "model": self.model[0].protocol,
            **({"others": others} if others else {}),
        }  # fmt: skip

    @property
    def model(self) -> tuple[Correction, dict[str, np.ndarray]]:
        """The fitted model, and the columns among which it ranks."""
        if self._fitted is None:
            among = self._columns(self.reference)[0]
            archs = [arch for arch in self.truths.archs if self._lives(arch)]
            living = [self._lives(arch) for arch in self.truths.archs]
            columns, failures = self._columns(archs)
            usable = np.array([arch not in failures for arch in archs], bool)
            truth = self.truths.percent[living][usable]
            columns = {name: values[usable] for name, values in columns.items()}
            self._fitted = fit(columns, among, truth, self.confidence, self.seed), among
        return self._fitted

    def corrected(self, archs: Sequence[Arch]) -> Corrected:
        """Mean, interval and expected gain of each, in percent; NaN of what the evaluator does not predict."""
        model, among = self.model
        columns, failures = self._columns(archs)
        found = model(columns, among, np.array([not self._lives(arch) for arch in archs], bool))
        failed = np.array([arch in failures for arch in archs], bool)
        blank = {name: np.where(failed, np.nan, getattr(found, name)) for name in ("mean", "low", "high", "deviation")}
        return Corrected(**blank, gain=np.where(failed, 0, found.gain))

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        checked = tuple(self.space.check(arch) for arch in archs)
        if not checked:
            return Predictions(self.space, (), (), self.protocol)
        found = self.corrected(checked)
        values = [_prediction(*each) for each in zip(found.mean.tolist(), found.deviation.tolist(), strict=True)]
        return Predictions(self.space, checked, tuple(values), self.protocol)

    def next(self, archs: Sequence[Arch], count: int, by: str = "gain") -> list[Arch]:
        """What to train next: the largest expected gain over the best known truth, or the largest uncertainty.

        One architecture of each function, none whose truth is known.
        """
        if by not in ("gain", "uncertainty"):
            raise ValueError(f"what to train next is chosen by gain or uncertainty, got {by!r}")
        found = self.corrected(archs)
        values = np.nan_to_num(found.gain if by == "gain" else found.deviation, nan=-1.0)
        falling = np.lexsort((-np.nan_to_num(found.mean, nan=-1.0), -values))
        known = {self.space.canonical(arch) for arch in self.truths.archs}
        return _distinct(self.space, [archs[row] for row in falling.tolist()], count, known)

    def _lives(self, arch: Arch) -> bool:
        return self.space.bucket(arch) is not None

    def _columns(self, archs: Sequence[Arch]) -> tuple[dict[str, np.ndarray], dict[Arch, str]]:
        """All features, failed ones as if they were worst, and what failed."""
        predictions = self.evaluator(archs)
        found, failures = {ACCURACY: predictions.predicted}, dict(predictions.failures)
        if predictions.quantity.is_accuracy:
            found[LOSS] = -predictions.loss
        found |= facts_of(self.space, archs)
        for name, other in self.others.items():
            more = other(archs)
            found[name], failures = more.predicted, {**failures, **more.failures}
        return {name: np.nan_to_num(values, nan=-np.inf, neginf=-np.inf) for name, values in found.items()}, failures


def first_to_train(space: Space, archs: Sequence[Arch], accuracy: np.ndarray, count: int) -> list[Arch]:
    """What to train where no truth is known: evenly spread over the recommended ranks, one of each function."""
    living = [row for row, arch in enumerate(archs) if space.bucket(arch) is not None and np.isfinite(accuracy[row])]
    own = [archs[row] for row in living]
    order = _distinct(space, [own[row] for row in advise(space, own, accuracy[living]).order], len(own), set())
    if len(order) < count:
        raise ValueError(f"expected at least {count} different architectures with a live path, got {len(order)}")
    return [order[int((i + 0.5) * len(order) / count)] for i in range(count)]


def _distinct(space: Space, archs: Sequence[Arch], count: int, known: set[Arch]) -> list[Arch]:
    """The first `count` of different functions that are not known."""
    found: dict[Arch, Arch] = {}
    for arch in archs:
        form = space.canonical(arch)
        if form not in known and len(found) < count:
            found.setdefault(form, arch)
    return list(found.values())


def _prediction(percent: float, deviation: float) -> Prediction:
    """An accuracy with the model's standard error, as from so many images."""
    if np.isnan(percent):
        return Prediction.failed("nothing can be predicted of it that could be corrected", 1)
    percent = min(max(percent, 0.0), 100.0)
    images = percent * (100 - percent) / max(deviation, 1e-9) ** 2
    return Prediction(percent, 1 - percent / 100, max(1, round(min(images, MOST))))
