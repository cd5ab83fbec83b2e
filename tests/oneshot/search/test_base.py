"""The task: one evaluation a function, limits, and the front."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.listed import Listed
from oneshot.samplers.uniform import Uniform, distinct
from oneshot.search.base import Search, Task, collect, first_population, stream
from oneshot.search.evolution import Evolution
from oneshot.search.nsga2 import Nsga2
from oneshot.search.random import Random
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, CONV
from tests.oneshot.search.formula import Formula

MEASURES = {"sum": lambda arch: float(sum(arch)), "last": lambda arch: float(arch[-1])}
SKIPPED = ALL.parse("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|")
DIRECT = ALL.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")


def mixed(arch: tuple[int, ...]) -> float:
    """Some accuracy in which several architectures tie."""
    return 50.0 + hash(arch) % 7 + arch[0]


def test_twins_share_one_evaluation_and_have_costs_of_their_own() -> None:
    assert ALL.canonical(SKIPPED) == ALL.canonical(DIRECT)
    evaluator = Formula(ALL, lambda arch: float(sum(arch)))
    task = Task(evaluator, MEASURES)
    first, second, third = task.evaluate([SKIPPED, DIRECT, SKIPPED], 0)
    assert evaluator.asked == [SKIPPED]
    assert first.predicted == second.predicted == sum(SKIPPED)
    assert (first.costs[0], second.costs[0]) == (sum(SKIPPED), sum(DIRECT))
    assert third is first
    assert [candidate.arch for candidate in task.found] == [SKIPPED, DIRECT]
    assert task.evaluations == 1
    task.evaluate([DIRECT], 5)
    assert evaluator.asked == [SKIPPED]
    assert task.found[1].generation == 0


def test_a_twin_promises_something_where_it_is_cheaper() -> None:
    cheap, dear = sorted([SKIPPED, DIRECT], key=sum)
    task = Task(Formula(ALL, mixed), MEASURES, ("sum",))
    assert task.promises(dear)
    task.evaluate([dear], 0)
    assert not task.promises(dear)
    assert task.promises(cheap)
    task.evaluate([cheap], 1)
    assert not task.promises(cheap)
    plain = Task(Formula(ALL, mixed))
    plain.evaluate([dear], 0)
    assert not plain.promises(cheap)


@pytest.mark.parametrize("objectives", [(), ("sum",), ("sum", "last")])
def test_the_front_is_what_nothing_dominates(objectives: tuple[str, ...]) -> None:
    task = Task(Formula(CONV, mixed), MEASURES, objectives)
    task.evaluate(distinct(CONV, 50, np.random.default_rng(0)), 0)

    def values(candidate) -> tuple[float, ...]:
        return (-candidate.predicted, *(MEASURES[name](candidate.arch) for name in objectives))

    points = {values(candidate) for candidate in task.found}
    undominated = {
        p for p in points if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)
    }
    front = [values(candidate) for candidate in task.front()]
    assert set(front) == undominated
    assert len(front) == len(undominated)
    assert -front[0][0] == task.best().predicted


def test_limits_and_unknown_costs() -> None:
    unknown = {"sum": MEASURES["sum"], "ms": lambda arch: math.nan if arch[0] else 1.0}
    task = Task(Formula(CONV, mixed), unknown, limits={"sum": 3})
    assert [arch for arch in CONV if task.admits(arch)] == [arch for arch in CONV if sum(arch) <= 3]
    task = Task(Formula(CONV, mixed), unknown, objectives=("ms",), known=lambda arch: arch[1] == 0)
    assert [arch for arch in CONV if task.admits(arch)] == [arch for arch in CONV if arch[0] == arch[1] == 0]
    assert not task.admits((7,) * 6)


def test_bad_tasks_and_answers() -> None:
    with pytest.raises(ValueError, match="no measure 'flops' to search by; there are sum, last"):
        Task(Formula(CONV, mixed), MEASURES, limits={"flops": 3.0})
    with pytest.raises(ValueError, match="the limit of sum must be a number, got nan"):
        Task(Formula(CONV, mixed), MEASURES, limits={"sum": math.nan})
    with pytest.raises(
        FloatingPointError, match=r"none of 1 architectures has a finite accuracy, .*\|nor_conv_1x1~0\|"
    ):
        Task(Formula(CONV, lambda arch: math.nan)).evaluate([(0,) * 6], 0)


def test_what_has_no_accuracy_is_no_candidate_and_not_asked_for_again() -> None:
    asked: list[Arch] = []

    def accuracy(arch: Arch) -> float:
        asked.append(arch)
        return math.nan if arch[0] == 0 else float(sum(arch))

    task = Task(Formula(CONV, accuracy), MEASURES, ["sum"])
    bad, good = (0, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1)
    for _ in range(2):
        assert [candidate.arch for candidate in task.evaluate([bad, good], 0)] == [good]
    assert asked == [bad, good]
    assert (task.failed, [c.arch for c in task.found], task.best().arch) == ([bad], [good], good)
    assert task.evaluated(bad)
    assert not task.promises(bad)


@pytest.mark.parametrize("algorithm", [Random(8, 4), Evolution(8, 4, 3, 3, 4), Nsga2(8, 4)])
def test_every_search_goes_on_without_what_has_no_accuracy(algorithm: Search) -> None:
    def fails(arch: Arch) -> bool:
        return ALL.canonical(arch)[0] % 2 == 1

    task = Task(Formula(ALL, lambda arch: math.nan if fails(arch) else mixed(arch)), MEASURES, ["sum"])
    algorithm(task, Uniform(ALL), np.random.default_rng(0))
    assert len(task.failed) > 1
    assert len(task.found) > 8
    assert not any(fails(candidate.arch) for candidate in task.found)


def test_collected_are_new_and_different_functions() -> None:
    task, rng = Task(Formula(ALL, mixed)), np.random.default_rng(0)
    task.evaluate([DIRECT], 0)
    proposals = iter([SKIPPED, (1,) * 6, (1,) * 6, (2,) * 6, (3,) * 6])
    assert collect(task, 2, proposals, 10, taken=[(2,) * 6]) == [(1,) * 6, (3,) * 6]
    assert collect(task, 2, iter([DIRECT] * 9), 4) == []
    everything = collect(Task(Formula(CONV, mixed)), 100, stream(Uniform(CONV), rng, 10), 2000)
    assert sorted(everything) == list(CONV)


def test_the_first_population_is_filled_from_the_next_sampler() -> None:
    rng, given = np.random.default_rng(0), list(CONV)[:3]
    start = Listed(CONV, [CONV.format(arch) for arch in given])
    archs = first_population(Task(Formula(CONV, mixed)), 10, rng, start, StrictlyFair(CONV))
    assert sorted(archs[:3]) == given
    assert len(set(archs)) == 10


def test_what_has_too_much_of_one_cost_is_not_asked_for_another() -> None:
    asked: list[Arch] = []

    def slow(arch: Arch) -> float:
        asked.append(arch)
        return 1.0

    task = Task(Formula(CONV, mixed), {"slow": slow, "sum": MEASURES["sum"]}, ["slow"], {"sum": 3})
    few, many = (1, 1, 1, 0, 0, 0), (1, 1, 1, 1, 1, 1)
    assert task.admits(few)
    assert not task.admits(many)
    assert task.admits(few)
    assert asked == [few]


def test_limits_that_nothing_satisfies_end_in_an_error() -> None:
    task = Task(Formula(CONV, mixed), MEASURES, limits={"sum": -1})
    with pytest.raises(
        ValueError, match=r"none of 10,000 .* nasbench201-conv .* sum at most -1; the lowest drawn: sum 0"
    ):
        first_population(task, 5, np.random.default_rng(0), Uniform(CONV))


def test_an_empty_start_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one architecture of nasbench201 to draw from, got none"):
        Listed(ALL, [])
