"""Validation accuracy of the same few architectures, now and then while their supernet trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from oneshot.evaluators.supernet import of_run

from oneshot.runs.run import Run
from oneshot.samplers.uniform import distinct
from oneshot.space import Arch
from oneshot.training.callbacks import Callback

NORM = "reset-cumulative-2"
STREAM = 4
"""Of random numbers, beside those of a training epoch."""


@dataclass(frozen=True, eq=False)
class Watch(Callback):
    """Adds `valid_mean` and `valid_best` [percent] to the metrics of some epochs, which it leaves as they are.

    Args:
        run: what trains
        count: random architectures, always the same ones of a seed
        times: in a training of twice as many epochs at least, evenly spread, the last one at its end
        images: validation images at most
    """

    run: Run
    count: int = 8
    times: int = 10
    images: int = 1000

    def __post_init__(self) -> None:
        if min(self.count, self.times, self.images) < 1:
            raise ValueError(f"expected at least one of all, got {self.count}, {self.times}, {self.images}")

    @cached_property
    def archs(self) -> list[Arch]:
        rng = np.random.default_rng((self.run.config.seed, STREAM))
        return distinct(self.run.space, min(self.count, self.run.space.size), rng)

    def measure(self, epoch: int) -> Mapping[str, float]:
        epochs = self.run.epochs
        if epochs < 2 * self.times or epoch * self.times // epochs == (epoch - 1) * self.times // epochs:
            return {}
        images = min(self.images, len(self.run.valid))
        accuracies = of_run(self.run, NORM, images=images)(self.archs).accuracy
        known = accuracies[np.isfinite(accuracies)]
        return {"valid_mean": float(known.mean()), "valid_best": float(known.max())} if len(known) else {}
