"""What a service knows: the predictions of its file, held in memory by rank."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from oneshot.benchmarks.scoring.ranks import ACCURACY, recommended_weights, shares
from oneshot.evaluators.base import Prediction
from oneshot.evaluators.table import TableEvaluator

from oneshot.space import Arch, Space

FEW = 64
"""Up to so many are put in their places one by one; more are sorted with the others."""

LAST = chr(0x10FFFF)
"""A string behind all others."""

CONFIDENCE_Z = 1.959963984540054
"""The quantile of the normal distribution for 95%."""


@dataclass(frozen=True, slots=True)
class Row:
    """An architecture, its string, what was predicted of it, and what was measured in percent where that is known."""

    arch: Arch
    text: str
    prediction: Prediction
    truth: float | None = None


@dataclass(frozen=True, slots=True)
class Advised:
    """What is recommended of a row, in percent of the others: the mean of its parts; None where there is no fact."""

    row: Row
    value: float | None
    parts: dict[str, float]

    @property
    def key(self) -> float:
        return -1.0 if self.value is None else self.value


class Known:
    """Predictions by architecture and by rank."""

    def __init__(self, space: Space, truth: TableEvaluator | None = None) -> None:
        self.space, self.truth = space, truth
        self.by_text: dict[str, Row] = {}
        self._rows: dict[Arch, Row] = {}
        self._falling: list[tuple[float, str]] = []
        self.with_truth = 0
        """How many of them were measured."""
        self._facts: dict[Arch, float | None] = {}

    def __len__(self) -> int:
        return len(self.by_text)

    def find(self, arch: Arch) -> Row | None:
        return self._rows.get(arch) or self.by_text.get(self.space.format(arch))

    def rank(self, predicted: float) -> int:
        """One more than how many are predicted to be better."""
        return bisect_left(self._falling, (-predicted, "")) + 1

    def lower(self, predicted: float) -> int:
        """How many are predicted to be worse."""
        return len(self._falling) - bisect_right(self._falling, (-predicted, LAST))

    def best(self, limit: int) -> list[Row]:
        return [self.by_text[text] for _, text in self._falling[:limit]]

    def recommended(self, rows: Sequence[Row]) -> list[Advised]:
        """Those with a prediction, the recommended first, ranked among each other; any thread may ask."""
        for row in rows:
            if row.arch not in self._facts:
                self._facts[row.arch] = self.space.facts(row.arch).get(self.space.baseline)
        known = [row for row in rows if row.prediction.error is None]
        counts = [self._facts[row.arch] for row in known]
        scores = any(row.prediction.score is not None for row in known)  # what we recommend is known of accuracies
        if not known or scores or any(count is None for count in counts) or len(set(counts)) == 1:
            return [Advised(row, None, {}) for row in sorted(known, key=lambda r: (-r.prediction.value, r.text))]
        parts = {ACCURACY: [row.prediction.accuracy for row in known], self.space.baseline: counts}
        percent = {name: 100 * shares(np.array(values, float)) for name, values in parts.items()}
        weights = recommended_weights(self.space)
        value = np.sum([weights[name] * percent[name] for name in weights], axis=0) / sum(weights.values())
        found = [
            Advised(row, float(value[i]), {name: float(each[i]) for name, each in percent.items()})
            for i, row in enumerate(known)
        ]
        return sorted(found, key=lambda each: (-each.key, -each.row.prediction.accuracy, each.row.text))

    def rows(self, archs: Sequence[Arch], values: Sequence[Prediction]) -> list[Row]:
        """The rows of new predictions; changes nothing, so that any thread may make them."""
        truths = self._truths(archs)
        pairs = zip(archs, values, truths, strict=True)
        return [Row(arch, self.space.format(arch), value, truth) for arch, value, truth in pairs]

    def unseen(self, predictions: dict[str, Prediction]) -> list[Row]:
        """The rows of those predictions that are not known yet."""
        new = {text: value for text, value in predictions.items() if text not in self.by_text}
        return self.rows([self.space.parse(text) for text in new], list(new.values()))

    def add(self, rows: Sequence[Row]) -> None:
        keys = []
        for row in rows:
            if row.prediction.error is not None:
                continue
            self._rows.setdefault(row.arch, row)
            if row.text not in self.by_text:  # a space may write several architectures alike
                self.by_text[row.text] = row
                self.with_truth += row.truth is not None
                keys.append((-row.prediction.value, row.text))
        if len(keys) <= FEW:
            for key in keys:
                insort(self._falling, key)
        else:
            self._falling = sorted([*self._falling, *keys])

    def measured(self) -> tuple[list[Row], np.ndarray, np.ndarray]:
        """The rows whose truth is known, by falling prediction, with what is predicted and what is true in percent."""
        rows = [row for row in self.best(len(self)) if row.truth is not None]
        return rows, np.array([r.prediction.value for r in rows]), np.array([r.truth for r in rows], float)

    def _truths(self, archs: Sequence[Arch]) -> list[float | None]:
        if self.truth is None:
            return [None] * len(archs)
        table = self.truth
        measured = [arch for arch in archs if table.knows(arch)]
        values = dict(zip(measured, table(measured).accuracy.tolist(), strict=True))
        return [values.get(arch) for arch in archs]


def interval(prediction: Prediction) -> tuple[float, float]:
    """Wilson's 95% interval of the accuracy in percent, from the number of images; also right at 0 and 100."""
    share, n, z = prediction.accuracy / 100, prediction.images, CONFIDENCE_Z
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return 100 * max(middle - half, 0.0), 100 * min(middle + half, 1.0)
