"""Balanced sampling: first a class of architectures, then an architecture in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from oneshot.samplers.base import Sampler
from oneshot.space import Arch, Space


@dataclass(frozen=True)
class BalancedSettings:
    """First one of the space's buckets, then an architecture in it.

    Args:
        bucket_weights: how often each bucket is drawn, relative to the others; () equally often
    """

    bucket_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not all(isinstance(w, int | float) and 0 <= w < math.inf for w in self.bucket_weights):
            raise ValueError(f"bucket_weights must be numbers of at least 0, got {self.bucket_weights}")

    def make(self, space: Space, seed: int = 0) -> Sampler:
        return Balanced(space, self.bucket_weights)


class Balanced(Sampler):
    """Draws one of the space's buckets, then an architecture of that bucket uniformly.

    The buckets, in the order of `Space.bucket`, are drawn uniformly or in proportion to `weights`. On NAS-Bench-201
    they are at most one, two, three or more convolutions on a live path, and cells without a live path are never
    drawn. Enumerates the space once.
    """

    def __init__(self, space: Space, weights: Sequence[float] = ()) -> None:
        if not space.is_enumerable:
            raise ValueError(
                f"balanced sampling enumerates its space; {space.name} has up to {space.size:,} architectures"
            )
        self._buckets = buckets = _buckets(space)
        if not buckets:
            raise ValueError(f"no architecture of {space.name} is worth drawing: none has a live path")
        if weights and (len(weights) != len(buckets) or min(weights) < 0 or not 0 < sum(weights) < math.inf):
            raise ValueError(f"{space.name} has {len(buckets)} buckets to weigh with positive numbers, got {weights}")
        self._chances = np.asarray(weights or [1.0] * len(buckets)) / sum(weights or [len(buckets)])

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        chosen = [self._buckets[i] for i in rng.choice(len(self._buckets), size=n, p=self._chances)]
        return [bucket[rng.integers(len(bucket))] for bucket in chosen]


@lru_cache(maxsize=2)
def _buckets(space: Space) -> tuple[tuple[Arch, ...], ...]:
    """The architectures of each bucket, in the order of `Space.bucket`."""
    buckets: dict[int, list[Arch]] = {}
    for arch in space:
        bucket = space.bucket(arch)
        if bucket is not None:
            buckets.setdefault(bucket, []).append(arch)
    return tuple(tuple(buckets[key]) for key in sorted(buckets))
