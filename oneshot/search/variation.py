"""Mutation and crossover: of any space decision by decision, of some spaces in a way of their own."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from oneshot.search.nasbench101 import EdgeSwaps
from oneshot.space import Arch, Space
from oneshot.spaces.nasbench101 import NasBench101


@runtime_checkable
class Variation(Protocol):
    """Makes architectures of others; what the space does not allow is drawn again by the caller.

    A space that has these methods itself is its own variation.
    """

    def mutate(self, arch: Arch, rate: float, rng: np.random.Generator) -> Arch: ...

    def crossover(self, one: Arch, other: Arch, rng: np.random.Generator) -> Arch: ...


class ByDecision:
    """SPOS (arXiv 1904.00420, Algorithm 1): with probability `rate` a decision is drawn anew; a child has each
    decision of either parent."""

    def __init__(self, space: Space) -> None:
        self._counts = np.array([len(decision.options) for decision in space.decisions])

    def mutate(self, arch: Arch, rate: float, rng: np.random.Generator) -> Arch:
        return redrawn(arch, self._counts, rate, rng)

    def crossover(self, one: Arch, other: Arch, rng: np.random.Generator) -> Arch:
        return mixed(one, other, rng)


def redrawn(arch: Arch, counts: np.ndarray, rate: float, rng: np.random.Generator) -> Arch:
    """Each decision with probability `rate` drawn anew from all of its options, so possibly to what it was."""
    return tuple(np.where(rng.random(len(arch)) < rate, rng.integers(counts), arch).tolist())


def mixed(one: Arch, other: Arch, rng: np.random.Generator) -> Arch:
    return tuple(np.where(rng.random(len(one)) < 0.5, one, other).tolist())


def variation_of(space: Space) -> Variation:
    """The space's own where it has one."""
    if isinstance(space, Variation):
        return space
    return EdgeSwaps(space) if isinstance(space, NasBench101) else ByDecision(space)
