"""Uniform single-path sampling (SPOS, arXiv 1904.00420)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneshot.samplers.base import Sampler
from oneshot.space import Arch, Space

MAX_REJECTED = 10_000


@dataclass(frozen=True)
class UniformSettings:
    """Every allowed architecture with the same probability (SPOS, arXiv 1904.00420)."""

    def make(self, space: Space, seed: int = 0) -> Sampler:
        return Uniform(space)


class Uniform(Sampler):
    """Every allowed architecture with the same probability."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        archs: list[Arch] = []
        rejected = 0
        while len(archs) < n:
            arch = self.space.propose(rng)
            if self.space.allows(arch):
                archs.append(arch)
            else:
                rejected += 1
                if rejected > MAX_REJECTED * (len(archs) + 1):
                    raise ValueError(f"{self.space.name} allowed {len(archs)} of {rejected} random architectures")
        return archs


def every(space: Space) -> list[Arch]:
    """What `--all` means; ValueError where that is too many."""
    if not space.is_enumerable:
        raise ValueError(f"{space.name} has up to {space.size:,} architectures: too many for --all, use --sample N")
    return list(space)


def distinct(space: Space, n: int, rng: np.random.Generator) -> list[Arch]:
    """`n` different architectures, each set of them equally likely; ValueError if the space has fewer."""
    if n > space.size:
        raise ValueError(f"{space.name} has {space.size} architectures, {n} were asked for")
    if space.is_enumerable:
        every = list(space)
        if n > len(every):
            raise ValueError(f"{space.name} has {len(every)} architectures, {n} were asked for")
        return [every[i] for i in rng.choice(len(every), size=n, replace=False)]
    sampler, found = Uniform(space), dict[Arch, None]()
    while len(found) < n:
        found.update(dict.fromkeys(sampler.draw(n - len(found), rng)))
    return list(found)
