"""The distributions that samplers promise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import chisquare

from oneshot.samplers.balanced import Balanced
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.uniform import Uniform, distinct
from oneshot.space import Arch, Decision, Space
from oneshot.spaces.nasbench201 import ALL, CONV, NO_ZERO


@dataclass(frozen=True)
class Even(Space):
    """Three decisions of 2, 3 and 2 options; only architectures with an even sum are allowed."""

    def allows(self, arch: Arch) -> bool:
        return super().allows(arch) and sum(arch) % 2 == 0

    def parse(self, text: str) -> Arch:
        return self.check([int(c) for c in text])

    def format(self, arch: Arch) -> str:
        return "".join(map(str, self.check(arch)))

    def canonical(self, arch: Arch) -> Arch:
        return self.check(arch)


class Whole(Even):
    """The same with every combination."""

    allows = Space.allows


EVEN = Even("even", tuple(Decision(f"d{i}", tuple("abc"[:n])) for i, n in enumerate((2, 3, 2))))


@pytest.mark.parametrize("space", [CONV, EVEN], ids=lambda space: space.name)
def test_uniform_over_what_is_allowed(space: Space) -> None:
    every = list(space)
    counts = Counter(Uniform(space).draw(100 * len(every), np.random.default_rng(1)))
    assert set(counts) == set(every)
    assert chisquare([counts[arch] for arch in every]).pvalue > 1e-3


def test_uniform_options_on_every_edge() -> None:
    archs = np.array(Uniform(ALL).draw(20_000, np.random.default_rng(2)))
    for column in archs.T:
        assert chisquare(np.bincount(column, minlength=5)).pvalue > 1e-3


def test_fair_groups_are_disjoint_paths() -> None:
    archs = np.array(StrictlyFair(ALL).draw(5 * 400, np.random.default_rng(3))).reshape(400, 5, 6)
    assert (np.sort(archs, axis=1) == np.arange(5)[:, None]).all()


def test_fair_permutations_are_uniform_new_and_independent() -> None:
    """A new permutation for every decision of every group: all 24 equally often, pairs of edges uncorrelated."""
    archs = np.array(StrictlyFair(NO_ZERO).draw(4 * 4800, np.random.default_rng(4))).reshape(4800, 4, 6)
    for edge in range(6):
        seen = Counter(map(tuple, archs[:, :, edge]))
        assert len(seen) == 24
        assert chisquare(list(seen.values())).pvalue > 1e-3
    pairs = np.bincount(archs[:, 0, 0] * 4 + archs[:, 0, 1], minlength=16)
    assert chisquare(pairs).pvalue > 1e-3
    assert (archs[1:] != archs[:-1]).any((1, 2)).mean() > 0.99


def test_fair_with_unequal_options_uses_the_least_common_multiple() -> None:
    with pytest.raises(ValueError, match="needs every combination of options, even forbids some"):
        StrictlyFair(EVEN)
    sampler = StrictlyFair(Whole("whole", EVEN.decisions))
    assert sampler.group == 6
    archs = np.array(sampler.draw(6, np.random.default_rng(0)))
    assert [np.bincount(column).tolist() for column in archs.T] == [[3, 3], [2, 2, 2], [3, 3]]


def test_fair_refuses_part_of_a_group() -> None:
    with pytest.raises(ValueError, match="multiples of 5 architectures, 7 were asked for"):
        StrictlyFair(ALL).draw(7, np.random.default_rng(0))


def test_balanced_draws_buckets_then_cells_uniformly() -> None:
    archs = Balanced(ALL).draw(30_000, np.random.default_rng(5))
    buckets = Counter(ALL.bucket(arch) for arch in archs)
    assert set(buckets) == {0, 1, 2}
    assert chisquare(list(buckets.values())).pvalue > 1e-3
    members = [arch for arch in ALL if ALL.bucket(arch) == 2]
    within = Counter(arch for arch in archs if ALL.bucket(arch) == 2)
    expected = buckets[2] / len(members)
    assert set(within) <= set(members)
    assert np.var([within[arch] for arch in members]) == pytest.approx(expected, rel=0.1)  # Poisson


def test_balanced_draws_buckets_by_their_weights() -> None:
    archs = Balanced(ALL, (1, 2, 5)).draw(16_000, np.random.default_rng(6))
    buckets = Counter(ALL.bucket(arch) for arch in archs)
    assert chisquare([buckets[i] for i in range(3)], [2_000, 4_000, 10_000]).pvalue > 1e-3
    for wrong in ((1, 2), (0, 0, 0), (1, -1, 5), (1, 2, float("inf"))):
        with pytest.raises(ValueError, match="has 3 buckets to weigh with positive numbers"):
            Balanced(ALL, wrong)


def test_balanced_needs_something_worth_drawing() -> None:
    with pytest.raises(ValueError, match="none has a live path"):
        Balanced(ALL.only((0,) * 6))


def test_distinct_are_distinct_and_bounded() -> None:
    archs = distinct(CONV, 64, np.random.default_rng(0))
    assert len(set(archs)) == 64
    assert distinct(ALL, 5, np.random.default_rng(1)) == distinct(ALL, 5, np.random.default_rng(1))
    with pytest.raises(ValueError, match="has 64 architectures, 65 were asked for"):
        distinct(CONV, 65, np.random.default_rng(0))
    with pytest.raises(ValueError, match="even has 6 architectures, 12 were asked for"):
        distinct(EVEN, 12, np.random.default_rng(0))


def test_a_space_that_allows_nothing_ends() -> None:
    @dataclass(frozen=True)
    class Empty(Even):
        def allows(self, arch: Arch) -> bool:
            return False

    with pytest.raises(ValueError, match="allowed 0 of"):
        Uniform(Empty("empty", EVEN.decisions)).draw(1, np.random.default_rng(0))
