"""Mutation and crossover: of any space decision by decision, of some spaces in a way of their own."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from oneshot.registry import resolved
from oneshot.space import Arch, Space


class Variation(Protocol):
    """Makes architectures of others; what the space does not allow is drawn again by the caller."""

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
    """The way that the space names."""
    return resolved(space.variation)(space)
