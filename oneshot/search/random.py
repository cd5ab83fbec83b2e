"""Random search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneshot.base.bounds import COUNT, check_least, check_most
from oneshot.samplers.base import Sampler
from oneshot.search.base import MAX_MISSES, Task, collect, first_population, stream


@dataclass(frozen=True)
class Random:
    """Different functions, drawn one after another: the baseline of every search.

    Args:
        population: evaluations at a time
        generations: how many times
    """

    population: int = 50
    generations: int = 20

    def __post_init__(self) -> None:
        check_least(self, population=1, generations=1)
        check_most(self, population=COUNT, generations=COUNT)

    def __call__(self, task: Task, sampler: Sampler, rng: np.random.Generator, start: Sampler | None = None) -> None:
        """All of it comes from `start` where there is one."""
        archs = first_population(task, self.population, rng, start or sampler)
        proposals = stream(start or sampler, rng, self.population)
        for generation in range(self.generations):
            task.evaluate(archs, generation)
            if generation + 1 < self.generations:
                archs = collect(task, self.population, proposals, MAX_MISSES)
