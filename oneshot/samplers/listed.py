"""Where a search's random architectures come from, besides the samplers of supernets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oneshot.samplers.base import Sampler
from oneshot.space import Arch, Space


class Listed(Sampler):
    """Draws uniformly among given strings, each time anew; one is read when it is first drawn."""

    def __init__(self, space: Space, strings: Sequence[str]) -> None:
        if not strings:
            raise ValueError(f"expected at least one architecture of {space.name} to draw from, got none")
        self.space, self.strings = space, strings
        self._read: dict[int, Arch] = {}

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        return [self._arch(int(i)) for i in rng.integers(len(self.strings), size=n)]

    def _arch(self, i: int) -> Arch:
        if i not in self._read:
            self._read[i] = self.space.parse(self.strings[i])
        return self._read[i]
