"""Mutation and crossover of cells whose nodes have a fixed number of inputs: node by node."""

from __future__ import annotations

from itertools import chain

import numpy as np

from oneshot.space import Arch
from oneshot.spaces.cells import NONE, OF_NODES
from oneshot.spaces.darts import Darts


class ByNode:
    """With probability `rate` an input of a node is drawn anew, source and operation; a child has each node of either.

    What is drawn anew comes from all nodes that are no input of this one yet, its old source among them.
    """

    def __init__(self, space: Darts) -> None:
        self._choices = space.choices_of_nodes
        self._is_zero = [[option == NONE for option in decision.options] for decision in space.decisions]

    def mutate(self, arch: Arch, rate: float, rng: np.random.Generator) -> Arch:
        return tuple(chain.from_iterable(self._mutated(node, arch, rate, rng) for node in range(len(OF_NODES))))

    def crossover(self, one: Arch, other: Arch, rng: np.random.Generator) -> Arch:
        take = rng.random(len(OF_NODES)) < 0.5
        parents = [one if first else other for first in take]
        return tuple(parent[site] for parent, sites in zip(parents, OF_NODES, strict=True) for site in sites)

    def _mutated(self, node: int, arch: Arch, rate: float, rng: np.random.Generator) -> Arch:
        sites = OF_NODES[node]
        used = [k for k, site in enumerate(sites) if not self._is_zero[site][arch[site]]]
        kept = [k for k in used if rng.random() >= rate]
        if len(kept) == len(used):
            return tuple(arch[site] for site in sites)
        able = [own for own in self._choices[node] if all(own[k] == arch[sites[k]] for k in kept)]
        return able[rng.integers(len(able))]
