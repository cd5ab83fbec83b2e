"""Cells of DARTS from numbers: uniform where all are alike, and what is likely otherwise."""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy.stats import chisquare

from oneshot.samplers.encoding import ByNumbers
from oneshot.samplers.nodes import ByNode
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.cells import OF_NODES
from oneshot.spaces.darts import ALL


def test_equal_numbers_are_uniform() -> None:
    archs = ByNumbers(ByNode(ALL)).draw(4000, np.random.default_rng(0))
    assert all(map(ALL.allows, archs))
    for sites in OF_NODES:
        pairs = Counter(tuple(site for site in sites if arch[site]) for arch in archs)
        operations = Counter(arch[site] for arch in archs for site in sites if arch[site])
        assert chisquare(list(pairs.values())).pvalue > 1e-3 if len(sites) > 2 else len(pairs) == 1
        assert chisquare(list(operations.values())).pvalue > 1e-3


def test_certain_numbers_are_their_architecture() -> None:
    rng = np.random.default_rng(1)
    for arch in Uniform(ALL).draw(5, rng):
        chances = np.broadcast_to(np.eye(8)[list(arch)], (20, 28, 8))
        assert {tuple(row) for row in ByNode(ALL).choose(chances, rng).tolist()} == {arch}


def test_an_architecture_alone_is_drawn() -> None:
    alone = ALL.only(Uniform(ALL).draw(1, np.random.default_rng(0))[0])
    assert set(ByNumbers(ByNode(alone)).draw(5, np.random.default_rng(0))) == {(0,) * 28}
