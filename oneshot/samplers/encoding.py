"""How numbers, one for each option of every decision, become architectures.

The uniform and the learned sampler of a space read their numbers alike (VAENAS, appendix A.5: "by random sampling or
VAE sampling"), and neither knows which space it is. Shapes: N architectures, D decisions, O options at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from oneshot.registry import resolved
from oneshot.samplers.base import Sampler
from oneshot.samplers.uniform import MAX_REJECTED
from oneshot.space import Arch, Space


class Encoding(Protocol):
    """Architectures of a space from numbers in [0, 1]."""

    @property
    def space(self) -> Space: ...

    def chances(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Numbers [N, D, O] for uniform sampling."""
        ...

    def choose(self, chances_NDO: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Option indices [N, D], not all of them allowed; the chances of a decision sum to 1 over its options."""
        ...


class Independent:
    """Each decision takes one of its options by its chance, whatever the others take."""

    def __init__(self, space: Space) -> None:
        self.space = space
        counts_D1 = np.array([[len(decision.options)] for decision in space.decisions])
        self._even_DO = (np.arange(counts_D1.max()) < counts_D1) / counts_D1

    def chances(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return np.broadcast_to(self._even_DO, (n, *self._even_DO.shape))

    def choose(self, chances_NDO: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return drawn_options(chances_NDO, rng)


class ByNumbers(Sampler):
    """The uniform sampler of an encoding: random numbers, read as those of a learned sampler are."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        encoding = self.encoding
        return allowed(encoding.space, lambda k: encoding.choose(encoding.chances(k, rng), rng), n)


def encoding_of(space: Space) -> Encoding:
    """How samplers that learn and their uniform counterpart write architectures of this space.

    ValueError for a space that has no encoding.
    """
    if not space.encoding:
        raise ValueError(
            f"{space.name} has no encoding, by which a sampler that learns writes architectures: expected a reference "
            f"such as {Space.encoding!r}, got {space.encoding!r}"
        )
    return resolved(space.encoding)(space)


def drawn_options(chances_NDO: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One option of each decision by its chance, [N, D]; one without a chance is never drawn."""
    ends_NDO = np.cumsum(chances_NDO, axis=-1, dtype=np.float64)
    # rounding may bring the product to the very end, behind the last option that has a chance
    last_ND = chances_NDO.shape[-1] - 1 - (chances_NDO[..., ::-1] > 0).argmax(axis=-1)
    drawn_ND1 = rng.random((*chances_NDO.shape[:2], 1)) * ends_NDO[..., -1:]
    return np.minimum((ends_NDO <= drawn_ND1).sum(axis=-1), last_ND)


def allowed(space: Space, propose: Callable[[int], np.ndarray], n: int) -> list[Arch]:
    """The first `n` architectures that the space allows among proposals [N, D], which are asked for as many as lack.

    ValueError after `MAX_REJECTED` times as many as are found.
    """
    archs: list[Arch] = []
    rejected = 0
    while len(archs) < n:
        proposed = list(map(tuple, propose(n - len(archs)).tolist()))
        found = [arch for arch in proposed if space.allows(arch)]
        archs += found
        rejected += len(proposed) - len(found)
        if rejected > MAX_REJECTED * (len(archs) + 1):
            raise ValueError(f"{space.name} allowed {len(archs)} of {rejected + len(archs)} proposed architectures")
    return archs
