"""What a sampler is."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from oneshot.space import Arch


class Sampler(Protocol):
    """Draws architectures of one space. A sampler that learns also has `learn(archs, accuracies)`."""

    group: int
    """How many architectures belong to one training step; their gradients are summed."""

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        """`n` architectures, a multiple of `group`; all randomness comes from `rng`."""
        ...
