"""Mutation and crossover of NAS-Bench-101 cells as VAENAS has them (appendix A.5): edges are moved, never counted."""

from __future__ import annotations

import numpy as np

from oneshot.space import Arch
from oneshot.spaces.nasbench101 import EDGES, NasBench101


class EdgeSwaps:
    """A mutation exchanges one present and one absent edge; a crossover does so where the other parent has it thus.

    Operations vary decision by decision, as in SPOS. The caller draws again what is not connected.
    """

    def __init__(self, space: NasBench101) -> None:
        self._counts = np.array([len(decision.options) for decision in space.decisions[len(EDGES) :]])
        self._present = [{code: i for i, code in enumerate(codes)} for codes in space.codes[: len(EDGES)]]

    def mutate(self, arch: Arch, rate: float, rng: np.random.Generator) -> Arch:
        """One exchange of edges, whatever the rate; it is that of the operations."""
        edges, operations = arch[: len(EDGES)], np.array(arch[len(EDGES) :])
        drawn = rng.random(len(operations)) < rate
        changed = np.where(drawn, rng.integers(self._counts), operations).tolist()
        return (*self._exchanged(edges, range(len(EDGES)), rng), *changed)

    def crossover(self, one: Arch, other: Arch, rng: np.random.Generator) -> Arch:
        edges, theirs = one[: len(EDGES)], other[: len(EDGES)]
        differing = [k for k in range(len(EDGES)) if edges[k] != theirs[k]]
        take = rng.random(len(one) - len(EDGES)) < 0.5
        operations = np.where(take, one[len(EDGES) :], other[len(EDGES) :]).tolist()
        return (*self._exchanged(edges, differing, rng), *operations)

    def _exchanged(self, edges: Arch, among: range | list[int], rng: np.random.Generator) -> Arch:
        """One present and one absent of these edges the other way round; the same where there are no two such."""
        free = [k for k in among if len(self._present[k]) == 2]
        present = [k for k in free if edges[k] == self._present[k][1]]
        absent = [k for k in free if edges[k] == self._present[k][0]]
        if not present or not absent:
            return edges
        changed = list(edges)
        i, j = present[rng.integers(len(present))], absent[rng.integers(len(absent))]
        changed[i], changed[j] = self._present[i][0], self._present[j][1]
        return tuple(changed)
