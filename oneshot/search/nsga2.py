"""NSGA-II (Deb et al., 2002) through pymoo: accuracy against costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.core.duplicate import NoDuplicateElimination
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.problems.static import StaticProblem
from pymoo.termination import get_termination

from oneshot.base.bounds import COUNT, check_least, check_most
from oneshot.samplers.base import Sampler
from oneshot.search.base import MAX_MISSES, Candidate, Task, collect, first_population, stream
from oneshot.search.variation import Variation, variation_of
from oneshot.space import Arch

MATINGS = 10
"""Rounds of tournaments for one generation."""


@dataclass(frozen=True)
class Nsga2:
    """Survival by rank and crowding distance; descendants are mutated children of two parents; the
    sampler makes up for those that are not found.

    Only what keeps the limits is ever evaluated. An architecture of a function that is known costs no evaluation, and
    may still join the front, as cheaper than the one that was evaluated.

    Args:
        population: candidates a generation
        generations: with the first population
        mutation_rate: probability that a mutation draws a decision anew
    """

    population: int = 50
    generations: int = 20
    mutation_rate: float = 0.1

    def __post_init__(self) -> None:
        check_least(self, population=1, generations=1)
        check_most(self, population=COUNT, generations=COUNT)
        if not 0 <= self.mutation_rate <= 1:
            raise ValueError(f"mutation_rate must be between 0 and 1, got {self.mutation_rate}")

    def __call__(self, task: Task, sampler: Sampler, rng: np.random.Generator, start: Sampler | None = None) -> None:
        if not task.objectives:
            raise ValueError(
                f"NSGA-II needs a measure besides accuracy; there are {', '.join(task.measures) or 'none'}"
            )
        first = first_population(task, self.population, rng, start, sampler)
        problem: Any = Problem(n_var=len(task.space.decisions), n_obj=1 + len(task.objectives), vtype=int)
        proposals = stream(sampler, rng, self.population)
        descendants = Descendants(task, variation_of(task.space), self.mutation_rate, proposals, rng)
        seed = int(rng.integers(2**32))
        given: Any = np.array(first)
        algorithm = NSGA2(self.population, given, seed=seed, eliminate_duplicates=False, mating=descendants)
        algorithm.setup(problem, termination=get_termination("n_gen", self.generations))
        for generation in range(self.generations):
            asked = algorithm.ask()
            if asked is None or not len(asked):  # nothing new was found
                return
            archs = [_arch(row) for row in asked.get("X")]
            candidates = task.evaluate(archs, generation)
            if not candidates:  # none of these could be evaluated: others are asked for
                continue
            found = {candidate.arch for candidate in candidates}
            asked: Any = asked[[arch in found for arch in archs]]
            algorithm.evaluator.eval(StaticProblem(problem, F=_objectives(task, candidates)), asked)
            algorithm.tell(infills=asked)


class Descendants(InfillCriterion):
    """Mutated children of tournament winners: admitted, different, and of use."""

    def __init__(
        self, task: Task, variation: Variation, rate: float, proposals: Iterator[Arch], rng: np.random.Generator
    ) -> None:
        super().__init__(eliminate_duplicates=NoDuplicateElimination(), n_max_iterations=MATINGS)
        self.task, self.variation, self.rate, self.proposals, self.rng = task, variation, rate, proposals, rng
        self._selection = TournamentSelection(func_comp=binary_tournament)

    def do(
        self,
        problem: Any,
        pop: Any,
        n_offsprings: int,
        random_state: Any = None,
        n_max_iterations: Any = None,
        **kwargs: Any,
    ) -> Any:
        archs: dict[Arch, None] = {}
        for _ in range(self.n_max_iterations):
            pairs = self._selection.do(problem, pop, n_offsprings, 2, to_pop=False, random_state=random_state, **kwargs)
            for one, other in pairs:
                child = self.variation.crossover(_arch(pop[one].X), _arch(pop[other].X), self.rng)
                child = self.variation.mutate(child, self.rate, self.rng)
                if len(archs) < n_offsprings and self.task.admits(child) and self.task.promises(child):
                    archs[child] = None
            if len(archs) == n_offsprings:
                break
        found = list(archs)
        found += collect(self.task, n_offsprings - len(found), self.proposals, MAX_MISSES, found)
        return Population.new(X=np.array(found)) if found else Population.create()


def _arch(row: Any) -> Arch:
    return tuple(int(i) for i in row)


def _objectives(task: Task, candidates: list[Candidate]) -> np.ndarray:
    """What is minimised [candidate, objective]."""
    at = [list(task.measures).index(name) for name in task.objectives]
    return np.array([[-c.predicted, *(c.costs[i] for i in at)] for c in candidates])
