"""Strictly fair sampling (FairNAS, arXiv 1907.01845, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

import numpy as np

from oneshot.samplers.base import Sampler
from oneshot.space import Arch, Space


@dataclass(frozen=True)
class FairSettings:
    """Groups of paths in which every option comes up equally often (FairNAS, arXiv 1907.01845)."""

    def make(self, space: Space, seed: int = 0) -> Sampler:
        return StrictlyFair(space)


class StrictlyFair(Sampler):
    """Groups of disjoint paths: within a group every option of every decision is drawn equally often.

    Each decision draws a new permutation for every group. Where the decisions have different numbers of options, the
    group is their least common multiple, and an option comes up several times. Needs a space without forbidden
    combinations.
    """

    def __init__(self, space: Space) -> None:
        if not space.is_product:
            raise ValueError(f"strictly fair sampling needs every combination of options, {space.name} forbids some")
        self._counts = [len(decision.options) for decision in space.decisions]
        self.group = lcm(*self._counts)

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        if n % self.group:
            raise ValueError(
                f"strictly fair sampling draws multiples of {self.group} architectures, {n} were asked for"
            )
        archs: list[Arch] = []
        for _ in range(n // self.group):
            columns = [rng.permutation(self.group) % count for count in self._counts]
            archs.extend(tuple(map(int, row)) for row in zip(*columns, strict=True))
        return archs
