"""NAS-Bench-101 cells with all the edges that a cell may have (VAENAS, appendix A.5).

Shapes: N architectures, D decisions, O options at most, F edges that a space leaves free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneshot.samplers.base import Sampler
from oneshot.samplers.encoding import ByNumbers, Independent, drawn_options, encoding_of
from oneshot.space import Space
from oneshot.spaces.nasbench101 import EDGES, NasBench101
from oneshot.spaces.nasbench101_cell import MAX_EDGES


@dataclass(frozen=True)
class ExactEdgesSettings:
    """NAS-Bench-101 cells of nine edges, as VAENAS draws them uniformly (appendix A.5)."""

    def make(self, space: Space, seed: int = 0) -> Sampler:
        encoding = encoding_of(space)
        if not isinstance(encoding, ExactEdges):
            raise ValueError(f"exact-edges draws NAS-Bench-101 cells, got the space {space.name}")
        return ByNumbers(encoding)


class ExactEdges:
    """21 numbers in [0, 1], one an edge; the nine largest are present. Operations are drawn by their chance.

    Cells with fewer edges come of those that are not connected to input and output. Decisions that a restriction of
    the space leaves with one option keep it, and those among them that are present count.
    """

    def __init__(self, space: NasBench101, edges: int = MAX_EDGES) -> None:
        codes = space.codes[: len(EDGES)]
        always = codes.count((1,))
        self._free_F = np.array([k for k, of in enumerate(codes) if len(of) == 2], int)
        self._present_F = np.array([codes[k].index(1) for k in self._free_F], int)
        self._wanted = edges - always
        if not 0 <= self._wanted <= len(self._free_F):
            raise ValueError(
                f"expected {space.name} to allow {edges} edges, got {always} that are always present "
                f"and {len(self._free_F)} that may be"
            )
        self.space = space
        self._each = Independent(space)

    def chances(self, n: int, rng: np.random.Generator) -> np.ndarray:
        chances_NDO = self._each.chances(n, rng).copy()
        number_NF = rng.random((n, len(self._free_F)))
        chances_NDO[:, self._free_F, self._present_F] = number_NF
        chances_NDO[:, self._free_F, 1 - self._present_F] = 1 - number_NF
        return chances_NDO

    def choose(self, chances_NDO: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        indices_ND = drawn_options(chances_NDO, rng)
        number_NF = chances_NDO[:, self._free_F, self._present_F]
        place_NF = np.argsort(np.argsort(-number_NF, axis=1, kind="stable"), axis=1)
        indices_ND[:, self._free_F] = np.where(place_NF < self._wanted, self._present_F, 1 - self._present_F)
        return indices_ND
