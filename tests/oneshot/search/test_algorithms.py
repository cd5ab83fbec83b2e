"""What every algorithm keeps, and what each is for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oneshot.benchmarks.table import find_table
from oneshot.evaluators.store import Stored
from oneshot.evaluators.table import TableEvaluator

from oneshot.samplers.listed import Listed
from oneshot.samplers.uniform import Uniform
from oneshot.search.base import Candidate, Search, Task
from oneshot.search.costs import measures
from oneshot.search.evolution import Evolution
from oneshot.search.nsga2 import Nsga2
from oneshot.search.random import Random
from oneshot.space import Arch, Space
from oneshot.spaces.nasbench101 import ALL as CELLS
from oneshot.spaces.nasbench201 import ALL, CONV
from tests.oneshot.search.formula import Formula

ALGORITHMS: dict[str, Search] = {
    "random": Random(10, 4),
    "evolution": Evolution(10, 4, mutations=5, crossovers=4, top=3),
    "regularised": Evolution(10, 4, mutations=5, crossovers=5, top=3, lifetime=1),
    "nsga2": Nsga2(10, 4),
}


def costs_of(space: Space) -> Any:
    return measures(space.cost)


COSTS = costs_of(ALL)


def agreement(arch: Arch) -> float:
    """Decisions that agree with one target, in percent."""
    return 100 * sum(a == b for a, b in zip(arch, (3, 1, 3, 2, 4, 3), strict=True)) / 6


def searched(algorithm: Search, seed: int = 0, start: list[Arch] | None = None, **how: Any) -> Task:
    how = {"evaluator": Formula(ALL, agreement), "measures": COSTS, "objectives": ("params",)} | how
    task = Task(**how)
    given = Listed(task.space, [task.space.format(arch) for arch in start]) if start else None
    algorithm(task, Uniform(task.space), np.random.default_rng(seed), given)
    return task


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS)
class TestSearch:
    def test_keeps_its_budget_and_asks_no_twin(self, algorithm: Search) -> None:
        evaluator = Formula(ALL, agreement)
        task = searched(algorithm, evaluator=evaluator)
        assert len(task.found) == algorithm.population * algorithm.generations
        assert len({ALL.canonical(arch) for arch in evaluator.asked}) == len(evaluator.asked) == task.evaluations
        assert len({candidate.arch for candidate in task.found}) == len(task.found)
        assert {candidate.generation for candidate in task.found} == set(range(algorithm.generations))

    def test_is_its_seeds(self, algorithm: Search) -> None:
        first = searched(algorithm, seed=3).found
        assert searched(algorithm, seed=3).found == first
        assert searched(algorithm, seed=4).found != first

    def test_honours_limits(self, algorithm: Search) -> None:
        evaluator = Formula(ALL, agreement)
        searched(algorithm, evaluator=evaluator, limits={"params": 400_000, "macs": 50})
        assert len(evaluator.asked) > 20
        assert all(COSTS["params"](arch) <= 400_000 and COSTS["macs"](arch) <= 50 for arch in evaluator.asked)

    def test_ends_when_everything_is_known(self, algorithm: Search) -> None:
        four = list(CONV)[:4]
        task = searched(algorithm, evaluator=Formula(CONV, agreement), known=four.__contains__)
        assert sorted(candidate.arch for candidate in task.found) == four

    def test_starts_where_it_is_told(self, algorithm: Search) -> None:
        given = list(CONV)[20:30]
        task = searched(algorithm, evaluator=Formula(CONV, agreement), start=given)
        assert sorted(c.arch for c in task.found if c.generation == 0) == given

    def test_resumes_from_what_is_stored(self, algorithm: Search, tmp_path: Path) -> None:
        """Interrupted at any evaluation, the same search asks only for the rest, and ends the same."""
        table = TableEvaluator(find_table("nasbench201-digits"))
        how: dict[str, Any] = {"known": table.knows, "measures": COSTS, "objectives": ("params",)}
        whole = Task(Stopping(table), **how)
        rows = Listed(table.space, table.benchmark.strings)
        algorithm(whole, rows, np.random.default_rng(0))
        with pytest.raises(KeyboardInterrupt):
            algorithm(Task(Stored(Stopping(table, 17), tmp_path / "p"), **how), rows, np.random.default_rng(0))
        rest = Stopping(table)
        again = Task(Stored(rest, tmp_path / "p"), **how)
        algorithm(again, rows, np.random.default_rng(0))
        assert again.found == whole.found
        assert rest.left == 10**9 - whole.evaluations + 17


class Stopping:
    """A table that stops the process after so many answers."""

    def __init__(self, table: TableEvaluator, left: int = 10**9) -> None:
        self.table, self.space, self.protocol, self.left = table, table.space, table.protocol, left

    def __call__(self, archs: Sequence[Arch]) -> Any:
        self.left -= len(archs)
        if self.left < 0:
            raise KeyboardInterrupt
        return self.table(archs)


def test_evolution_finds_the_optimum_where_random_search_does_not(real_data: Path) -> None:
    table = TableEvaluator(find_table(real_data / "nasbench201.parquet"), "cifar10_test_200")
    optimum = table.benchmark.values("cifar10_test_200").max()
    best = {}
    for name, algorithm in {"random": Random(20, 10), "evolution": Evolution(20, 10, 10, 10, top=5)}.items():
        best[name] = []
        for seed in range(5):
            task = Task(table)
            algorithm(task, Uniform(ALL), np.random.default_rng(seed))
            assert task.evaluations == 200
            best[name].append(task.best().predicted)
    assert np.median(best["evolution"]) == optimum
    assert np.mean(best["evolution"]) > np.mean(best["random"]) + 0.2


def test_spos_settings() -> None:
    assert Evolution() == Evolution(50, 20, mutations=25, crossovers=25, top=10, mutation_rate=0.1, lifetime=0)


def test_parents_are_the_best_that_live() -> None:
    found = [Candidate((i,), accuracy, (), i // 2) for i, accuracy in enumerate([90.0, 80.0, 70.0, 85.0, 60.0, 85.0])]

    def parents(lifetime: int) -> list[int]:
        evolution = Evolution(4, 4, 2, 2, top=3, lifetime=lifetime)
        return [candidate.arch[0] for candidate in evolution.parents(found, 2)]

    assert parents(0) == [0, 3, 5]
    assert parents(2) == [3, 5, 2]
    assert parents(1) == [5, 4]


@pytest.mark.parametrize("seed", range(3))
def test_nsga2_finds_the_front_of_a_table(seed: int, real_data: Path) -> None:
    """Against brute force: all of the 64 cells of convolutions, on the real accuracies."""
    table = TableEvaluator(find_table(real_data / "nasbench201.parquet").within(CONV), "cifar10_test_200")
    costs = costs_of(CONV)
    whole = Task(table, costs, ("params",))
    whole.evaluate(list(CONV), 0)
    task = Task(table, costs, ("params",))
    Nsga2(15, 4)(task, Uniform(CONV), np.random.default_rng(seed))
    assert task.evaluations == 60
    front = [candidate.arch for candidate in task.front()]
    assert len(set(front) & {candidate.arch for candidate in whole.front()}) >= 4
    assert len(whole.front()) == 5


def test_nsga2_covers_the_front_of_the_shipped_table_better_than_random_search() -> None:
    table = TableEvaluator(find_table("nasbench201-digits"))
    rows, everything = Listed(table.space, table.benchmark.strings), Task(table, COSTS, ("params",))
    everything.evaluate(table.benchmark.archs, 0)
    least, most = (pick(c.costs[0] for c in everything.found) for pick in (min, max))

    def error(task: Task) -> float:
        """The mean error of the best below a number of parameters, over all such numbers."""
        front = task.front()
        grid = np.linspace(least, most, 1000)
        return float(np.mean([min((100 - c.predicted for c in front if c.costs[0] <= p), default=100) for p in grid]))

    def mean(algorithm: Search) -> float:
        return float(np.mean([error(searched_rows(algorithm, table, rows, seed)) for seed in range(5)]))

    brute, evolved, drawn = error(everything), mean(Nsga2(20, 5)), mean(Random(20, 5))
    assert evolved < drawn
    assert evolved == pytest.approx(brute, abs=0.3)


def searched_rows(algorithm: Search, table: TableEvaluator, rows: Listed, seed: int) -> Task:
    task = Task(table, COSTS, ("params",), known=table.knows)
    algorithm(task, rows, np.random.default_rng(seed))
    return task


def test_cells_of_nasbench101_are_searched() -> None:
    evaluator = Formula(CELLS, lambda arch: 10.0 * CELLS.cell(arch).operations.count(0))
    task = Task(evaluator, costs_of(CELLS), limits={"params": 2e7})
    Evolution(20, 8, 10, 10, top=5)(task, Uniform(CELLS), np.random.default_rng(0))
    assert task.best().predicted == 50
    assert task.best().costs[0] <= 2e7
    assert len({CELLS.graph_hash(arch) for arch in evaluator.asked}) == len(evaluator.asked)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Random(0), "population must be at least 1, got 0"),
        (lambda: Evolution(generations=0), "generations must be at least 1, got 0"),
        (lambda: Evolution(population=40), "25 mutations and 25 crossovers are more than the population of 40"),
        (lambda: Evolution(mutations=-1), "mutations must be at least 0, got -1"),
        (lambda: Evolution(mutation_rate=1.5), "mutation_rate must be between 0 and 1, got 1.5"),
        (lambda: Nsga2(mutation_rate=-0.5), "mutation_rate must be between 0 and 1, got -0.5"),
        (lambda: searched(Nsga2(), objectives=()), "needs a measure besides accuracy; there are params, macs"),
    ],
)
def test_bad_settings(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
