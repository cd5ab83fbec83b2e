"""Evolution with the settings of SPOS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from oneshot.base.bounds import COUNT, check_least, check_most
from oneshot.samplers.base import Sampler
from oneshot.search.base import MAX_MISSES, Candidate, Task, collect, first_population, stream
from oneshot.search.variation import Variation, variation_of
from oneshot.space import Arch

MUTATION_MISSES = 1000
"""So many descendants in a row that are not new leave the rest of a generation to the sampler."""


@dataclass(frozen=True)
class Evolution:
    """Mutations and crossovers of the best so far; the defaults are SPOS's (arXiv 1904.00420, Algorithm 1, section 4).

    Args:
        population: evaluations a generation
        generations: with the first population
        mutations: mutated parents a generation
        crossovers: children of two parents a generation; the sampler fills up the rest of the population
        top: how many of the best are parents
        mutation_rate: probability that a mutation draws a decision anew
        lifetime: generations after which a parent dies (regularised evolution, arXiv 1802.01548); 0 never, as in SPOS
    """

    population: int = 50
    generations: int = 20
    mutations: int = 25
    crossovers: int = 25
    top: int = 10
    mutation_rate: float = 0.1
    lifetime: int = 0

    def __post_init__(self) -> None:
        check_least(self, population=1, generations=1, top=1, mutations=0, crossovers=0, lifetime=0)
        check_most(self, population=COUNT, generations=COUNT)
        if self.mutations + self.crossovers > self.population:
            raise ValueError(
                f"{self.mutations} mutations and {self.crossovers} crossovers are more than the population "
                f"of {self.population}"
            )
        if not 0 <= self.mutation_rate <= 1:
            raise ValueError(f"mutation_rate must be between 0 and 1, got {self.mutation_rate}")

    def __call__(self, task: Task, sampler: Sampler, rng: np.random.Generator, start: Sampler | None = None) -> None:
        variation = variation_of(task.space)
        archs = first_population(task, self.population, rng, start, sampler)
        proposals = stream(sampler, rng, self.population)
        for generation in range(self.generations):
            task.evaluate(archs, generation)
            if generation + 1 < self.generations:
                parents = self.parents(task.found, generation)
                archs = self._descendants(task, variation, parents, rng)
                archs += collect(task, self.population - len(archs), proposals, MAX_MISSES, archs)

    def parents(self, found: Sequence[Candidate], generation: int) -> list[Candidate]:
        """The best that live, of equal ones the first; a parent that dies leaves its place to the next best."""
        oldest = generation - self.lifetime + 1 if self.lifetime else 0
        living = [candidate for candidate in found if candidate.generation >= oldest]
        return sorted(living or found, key=lambda candidate: -candidate.predicted)[: self.top]

    def _descendants(
        self, task: Task, variation: Variation, parents: Sequence[Candidate], rng: np.random.Generator
    ) -> list[Arch]:
        def one() -> Arch:
            return parents[int(rng.integers(len(parents)))].arch

        def mutants() -> Iterator[Arch]:
            while True:
                yield variation.mutate(one(), self.mutation_rate, rng)

        def children() -> Iterator[Arch]:
            while True:
                yield variation.crossover(one(), one(), rng)

        archs = collect(task, self.mutations, mutants(), MUTATION_MISSES)
        return archs + collect(task, self.crossovers, children(), MUTATION_MISSES, archs)
