"""Mutation and crossover, of any space and of NAS-Bench-101."""

from __future__ import annotations

import numpy as np
import pytest

from oneshot.registry import SPACES
from oneshot.samplers.uniform import Uniform
from oneshot.search.nasbench101 import EdgeSwaps
from oneshot.search.variation import ByDecision, variation_of
from oneshot.space import Arch, Space
from oneshot.spaces.nasbench101 import ALL as CELLS
from oneshot.spaces.nasbench101 import EDGES
from oneshot.spaces.nasbench201 import ALL, NasBench201

PARENT, OTHER = (0, 1, 2, 3, 4, 0), (1, 1, 3, 3, 0, 0)


@pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))
def test_descendants_have_options_of_the_space(space) -> None:
    variation, rng = variation_of(space), np.random.default_rng(0)
    one, other = Uniform(space).draw(2, rng)
    counts = [len(decision.options) for decision in space.decisions]
    for _ in range(50):
        for arch in (variation.mutate(one, 0.5, rng), variation.crossover(one, other, rng)):
            assert all(type(i) is int and 0 <= i < n for i, n in zip(arch, counts, strict=True))


def test_mutations_redraw_each_decision_at_the_rate() -> None:
    variation, rng, n = ByDecision(ALL), np.random.default_rng(0), 20_000
    assert variation.mutate(PARENT, 0.0, rng) == PARENT
    changed = np.mean([np.not_equal(variation.mutate(PARENT, 0.1, rng), PARENT) for _ in range(n)], axis=0)
    assert changed == pytest.approx(0.1 * 4 / 5, abs=0.01)  # one redraw in five gives what was there


def test_children_have_each_decision_of_either_parent() -> None:
    variation, rng = ByDecision(ALL), np.random.default_rng(0)
    children = [variation.crossover(PARENT, OTHER, rng) for _ in range(4000)]
    from_other = np.mean([np.equal(child, OTHER) for child in children], axis=0)
    assert set(map(tuple, zip(*children, strict=True))).__len__() > 1
    assert from_other[[1, 3, 5]].tolist() == [1, 1, 1]
    assert from_other[[0, 2, 4]] == pytest.approx(0.5, abs=0.03)
    assert all(c in pair for child in children for c, pair in zip(child, zip(PARENT, OTHER, strict=True), strict=True))


def cell(*edges: tuple[int, int], operations: tuple[int, ...] = (0,) * 5) -> Arch:
    return (*(int(edge in edges) for edge in EDGES), *operations)


def test_a_mutation_of_a_cell_moves_one_edge() -> None:
    arch = cell((0, 1), (1, 2), (2, 6), (0, 6), (3, 4))
    variation, rng = EdgeSwaps(CELLS), np.random.default_rng(0)
    moved = {variation.mutate(arch, 0.0, rng) for _ in range(3000)}
    assert len(moved) == 5 * (len(EDGES) - 5)
    for child in moved:
        difference = np.subtract(child, arch)
        assert (difference == 1).sum() == (difference == -1).sum() == 1
        assert not difference[len(EDGES) :].any()
    operations = np.mean([variation.mutate(arch, 0.6, rng)[len(EDGES) :] for _ in range(6000)], axis=0)
    assert operations == pytest.approx(0.6 * (0 + 1 + 2) / 3, abs=0.05)


def test_a_crossover_of_cells_exchanges_where_the_other_has_it_so() -> None:
    one = cell((0, 1), (1, 6), (0, 2), operations=(0, 0, 0, 0, 0))
    other = cell((0, 1), (0, 3), (3, 6), operations=(1, 0, 2, 0, 0))
    variation, rng = EdgeSwaps(CELLS), np.random.default_rng(0)
    children = {variation.crossover(one, other, rng) for _ in range(1000)}
    expected = [{(0, 1), (1, 6), (0, 2), gained} - {lost} for lost in ((1, 6), (0, 2)) for gained in ((0, 3), (3, 6))]
    edges = {child[: len(EDGES)] for child in children}
    assert edges == {cell(*kept)[: len(EDGES)] for kept in expected}
    assert {child[len(EDGES) :] for child in children} == {(a, 0, b, 0, 0) for a in (0, 1) for b in (0, 2)}
    assert variation.crossover(one, one, rng) == one


def test_a_fixed_edge_never_moves() -> None:
    arch = cell((0, 1), (1, 6))
    only = CELLS.only(arch)
    none = (0,) * len(arch)
    assert EdgeSwaps(only).mutate(none, 1.0, np.random.default_rng(0)) == none


class Reversing:
    def __init__(self, space: Space) -> None:
        self.space = space

    def mutate(self, arch: Arch, rate: float, rng: np.random.Generator) -> Arch:
        return arch[::-1]

    def crossover(self, one: Arch, other: Arch, rng: np.random.Generator) -> Arch:
        return one


def test_a_space_may_bring_its_own() -> None:
    class Named(NasBench201):
        variation = f"{__name__}:Reversing"

    variation = variation_of(Named("reversing", ALL.decisions))
    assert isinstance(variation, Reversing)
    assert variation.mutate(PARENT, 0.1, np.random.default_rng(0)) == PARENT[::-1]
    assert isinstance(variation_of(ALL), ByDecision)
    assert isinstance(variation_of(CELLS), EdgeSwaps)
