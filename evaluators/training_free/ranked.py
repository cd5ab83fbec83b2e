"""Scores that are ranks in several others, among a fixed sample of architectures in place of the company asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from oneshot.evaluators.training_free.base import ScoreEvaluator, TrainingFree
from oneshot.evaluators.training_free.subject import Networks, Subject, Unreadable

from oneshot.base.bounds import check_least, check_most
from oneshot.base.progress import Progress
from oneshot.samplers.uniform import distinct
from oneshot.space import Arch


@dataclass(frozen=True)
class Ranked(TrainingFree):
    """The sum of log ranks of some parts.

    A rank is the share of a reference sample, drawn uniformly by `seed`, that is below; so each architecture has its
    score by itself. Between two of the sample it is interpolated, and beyond its ends it goes on, ever more slowly, so
    that no order is lost.

    Args:
        reference: architectures of the sample
    """

    reference: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, reference=2)
        check_most(self, reference=100_000)

    @abstractmethod
    def parts(self, subject: Subject) -> Mapping[str, float]: ...

    def evaluator(self, networks: Networks) -> RankedEvaluator:
        return RankedEvaluator(self, networks)


class RankedEvaluator(ScoreEvaluator):
    """Scores the reference sample before the first architecture."""

    settings: Ranked

    def __init__(self, settings: Ranked, networks: Networks) -> None:
        super().__init__(settings, networks)
        self._scales: dict[str, Scale] = {}

    def prepare(self) -> None:
        if self._scales:
            return
        archs, measured, failed = self._sample(), list[Mapping[str, float]](), ""
        with Progress("reference", len(archs), "architectures") as progress:
            for arch in archs:
                try:
                    measured.append(self.measured(arch))
                except Unreadable as error:
                    failed = str(error)
                progress.advance()
        if not measured:
            raise ValueError(f"{self.settings.name} {failed}")
        self._scales = {name: Scale([parts[name] for parts in measured]) for name in measured[0]}

    def _sample(self) -> list[Arch]:
        every = list(self.space) if self.space.is_enumerable else []
        if 0 < len(every) <= self.settings.reference:
            return every
        return distinct(self.space, self.settings.reference, np.random.default_rng(self.settings.seed))

    def combined(self, parts: Mapping[str, float]) -> float:
        return sum(float(np.log(scale(parts[name]))) for name, scale in self._scales.items())


class Scale:
    """The share of some values that is below another one, between 0 and 1 and strictly monotonous."""

    def __init__(self, values: list[float]) -> None:
        at, counts = np.unique(np.asarray(values, float), return_counts=True)
        below = np.cumsum(counts) - counts
        self._at, self._share = at, (below + (counts + 1) / 2) / (len(values) + 1)
        self._spread = float(at[-1] - at[0]) or 1.0

    def __call__(self, value: float) -> float:
        if value < self._at[0]:
            return float(self._share[0]) * _less(self._at[0] - value, self._spread)
        if value > self._at[-1]:
            return 1 - (1 - float(self._share[-1])) * _less(value - self._at[-1], self._spread)
        return float(np.interp(value, self._at, self._share))


def _less(distance: float, spread: float) -> float:
    """From 1 towards 0."""
    return spread / (spread + distance)
