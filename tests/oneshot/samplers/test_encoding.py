"""Numbers that become architectures."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from oneshot.registry import SPACES
from oneshot.samplers.encoding import ByNumbers, Independent, allowed, drawn_options, encoding_of
from oneshot.samplers.exact_edges import ExactEdges
from oneshot.spaces.nasbench101 import ALL, EDGES, NasBench101
from oneshot.spaces.nasbench101_cell import OPERATIONS
from oneshot.spaces.nasbench201 import CONV
from oneshot.spaces.sequential import sequential

NUMBERS = 1 - np.arange(21) / 20
"""Of the edges in order, so that the first nine are the largest."""


def as_chances(numbers: np.ndarray) -> np.ndarray:
    """Those numbers for `present`, and the first operation at every vertex."""
    chances = np.zeros((1, 26, 3))
    chances[0, :21, 0], chances[0, :21, 1], chances[0, 21:, 0] = 1 - numbers, numbers, 1
    return chances


def test_options_are_drawn_by_their_chance() -> None:
    chances = np.broadcast_to([[0.2, 0.5, 0.3], [0.75, 0.25, 0.0]], (40_000, 2, 3))
    drawn = drawn_options(chances, np.random.default_rng(0))
    assert chisquare(np.bincount(drawn[:, 0]), [8_000, 20_000, 12_000]).pvalue > 1e-3
    assert chisquare(np.bincount(drawn[:, 1]), [30_000, 10_000]).pvalue > 1e-3


def test_an_option_without_a_chance_is_never_drawn() -> None:
    class Largest(np.random.Generator):
        def random(self, *_: object, **__: object) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
            return np.ones((1, 2, 1))

    chances = np.array([[[0.1, 0.2, 0.7], [0.0, 1.0, 0.0]]])
    assert drawn_options(chances, Largest(np.random.PCG64(0))).tolist() == [[2, 1]]
    assert drawn_options(np.array([[[0.0, 0.0, 1.0]]]), np.random.default_rng(0)).tolist() == [[2]]


def test_uniform_numbers_of_independent_decisions_are_uniform_sampling() -> None:
    counts = Counter(ByNumbers(Independent(CONV)).draw(6_400, np.random.default_rng(1)))
    assert set(counts) == set(CONV)
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_the_nine_largest_numbers_are_edges() -> None:
    chosen = ExactEdges(ALL).choose(as_chances(NUMBERS), np.random.default_rng(0))
    assert chosen.tolist() == [[1] * 9 + [0] * 12 + [0] * 5]
    shuffled = np.random.default_rng(1).permutation(21)
    chosen = ExactEdges(ALL).choose(as_chances(NUMBERS[shuffled]), np.random.default_rng(0))
    assert np.flatnonzero(chosen[0, :21]).tolist() == np.flatnonzero(shuffled < 9).tolist()
    equal = ExactEdges(ALL).choose(as_chances(np.ones(21)), np.random.default_rng(0))
    assert equal[0, :21].tolist() == [1] * 9 + [0] * 12


def test_random_cells_have_nine_edges_drawn_alike_and_are_connected() -> None:
    archs = ByNumbers(ExactEdges(ALL)).draw(4_000, np.random.default_rng(2))
    assert all(ALL.allows(arch) and sum(arch[:21]) == 9 for arch in archs)
    slow = []
    rng = np.random.default_rng(3)
    while len(slow) < 4_000:  # as the paper says it, one at a time
        numbers = rng.random(21)
        arch = (*(int((numbers > n).sum() < 9) for n in numbers), *rng.integers(3, size=5).tolist())
        if ALL.allows(arch):
            slow.append(arch)
    assert np.abs(np.mean(archs, axis=0) - np.mean(slow, axis=0)).max() < 0.06
    assert chisquare(np.bincount(np.array(archs)[:, 21:].ravel())).pvalue > 1e-3


def test_edges_that_a_restricted_space_settles_are_kept_and_counted() -> None:
    settled = {0: ("present",), 20: ("absent",), 1: ("present", "absent")}
    decisions = tuple(
        type(d)(d.name, settled.get(i, d.options if i < 21 else OPERATIONS[:2])) for i, d in enumerate(ALL.decisions)
    )
    space = NasBench101("some", decisions)
    for arch in ByNumbers(ExactEdges(space)).draw(200, np.random.default_rng(4)):
        cell = [d.options[i] for d, i in zip(decisions, arch, strict=True)]
        assert cell[0] == "present"
        assert cell[20] == "absent"
        assert cell[:21].count("present") == 9


def test_a_space_without_so_many_edges_is_refused() -> None:
    arch = ALL.parse("conv3x3~0|output~1")
    with pytest.raises(ValueError, match="to allow 9 edges, got 2 that are always present and 0 that may be"):
        ExactEdges(ALL.only(arch))


def test_proposals_that_are_never_allowed_end() -> None:
    nothing = np.zeros((1, 26), int)  # no edges
    with pytest.raises(ValueError, match="nasbench101 allowed 0 of 10001 proposed architectures"):
        allowed(ALL, lambda n: nothing, 1)


def test_only_what_lacks_is_proposed_again() -> None:
    asked = []
    good = ALL.parse("conv3x3~0|output~1")

    def propose(n: int) -> np.ndarray:
        asked.append(n)
        return np.array([good] + [[0] * len(good)] * (n - 1))

    assert allowed(ALL, propose, 3) == [good] * 3
    assert asked == [3, 2, 1]
    assert len(good) == len(EDGES) + 5


def test_every_space_has_an_encoding() -> None:
    for space in (*SPACES.values(), sequential("chain", "abc", 4)):
        encoding = encoding_of(space)
        assert encoding.space is space
        assert all(map(space.allows, ByNumbers(encoding).draw(3, np.random.default_rng(0))))
    assert isinstance(encoding_of(ALL), ExactEdges)
