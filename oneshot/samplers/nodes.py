"""How numbers for every option of every edge become cells in which each node has a fixed number of inputs."""

from __future__ import annotations

import numpy as np

from oneshot.samplers.encoding import Independent, drawn_options
from oneshot.spaces.cells import NONE, OF_NODES
from oneshot.spaces.darts import Darts
from oneshot.spaces.nasnet import DERIVED

LEAST = 1e-12
"""The least chance of an operation, for where none has any."""


class ByNode(Independent):
    """Each edge takes one of its operations by its chance; each node keeps the edges that come first.

    An edge comes first by a race, in which its speed is its chance not to be zero, so that equal chances make all
    architectures equally likely. Shapes: N architectures, D decisions, O options at most.
    """

    def __init__(self, space: Darts) -> None:
        super().__init__(space)
        options = [decision.options for decision in space.decisions]
        self._is_operation_DO = self._even_DO > 0
        for own, is_operation_O in zip(options, self._is_operation_DO, strict=True):
            is_operation_O[: len(own)] = [option != NONE for option in own]
        self._zero_D = np.array([o.index(NONE) if NONE in o else -1 for o in options])
        self._only_zero_D = np.array([set(o) == {NONE} for o in options])

    def choose(self, chances_NDO: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        able_NDO = np.where(self._is_operation_DO, np.maximum(chances_NDO, LEAST), 0)
        chosen_ND = drawn_options(able_NDO, rng)
        times_ND = rng.exponential(size=chosen_ND.shape) / np.maximum(able_NDO.sum(axis=-1), LEAST)
        times_ND[:, self._zero_D < 0] = 0
        times_ND[:, self._only_zero_D] = np.inf
        for sites in OF_NODES:
            late_NS = np.argsort(times_ND[:, sites], axis=1)[:, DERIVED:]
            for column in late_NS.T:
                where_N = np.asarray(sites)[column]
                chosen_ND[np.arange(len(chosen_ND)), where_N] = self._zero_D[where_N]
        chosen_ND[:, self._only_zero_D] = self._zero_D[self._only_zero_D]
        return chosen_ND
