"""What a sampler is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from oneshot.space import Arch, Space

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """When a sampler wants to be told accuracies: after every so many epochs, of so many of its candidates."""

    every: int
    samples: int


class SamplerSettings(Protocol):
    """What registers a sampler: its settings, and the way to it."""

    def make(self, space: Space, seed: int = 0) -> Sampler: ...


class Sampler(ABC):
    """Draws architectures of one space. One that learns has a plan, `learn`, and state that a run folder keeps."""

    group: int = 1
    """How many architectures belong to one training step; their gradients are summed."""
    plan: Plan | None = None
    """Of a sampler that learns while the supernet trains."""

    @abstractmethod
    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        """`n` architectures, a multiple of `group`; all randomness comes from `rng`."""

    def candidates(self, n: int, rng: np.random.Generator) -> list[Arch]:
        """The architectures whose accuracies one that learns is to be told; by default its own draws."""
        return self.draw(n, rng)

    def learn(self, archs: Sequence[Arch], accuracies: Sequence[float] | np.ndarray) -> dict[str, float]:
        """Learn from accuracies in percent; what the metrics say of it."""
        raise TypeError(f"{type(self).__name__} does not learn")

    def advance(self) -> None:  # noqa: B027
        """An epoch of the training is over."""

    def facts(self) -> dict[str, float]:
        """What the metrics of an epoch say of it."""
        return {}

    def learned(self) -> Sampler | None:
        """What it has learned so far, to draw from alone; None if nothing."""
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """All that changes in a training, as named tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if state:
            raise ValueError(f"{type(self).__name__} has no state, got {', '.join(sorted(state)[:3])}")

    def save(self, path: str | Path) -> None:  # noqa: B027
        """Write what was learned into one safetensors file, if anything was."""


class ByLearner(Sampler):
    """A sampler part of which is another one, `learner`, that does the learning."""

    learner: Sampler

    def learn(self, archs: Sequence[Arch], accuracies: Sequence[float] | np.ndarray) -> dict[str, float]:
        return self.learner.learn(archs, accuracies)

    def learned(self) -> Sampler | None:
        return self.learner.learned()

    def save(self, path: str | Path) -> None:
        if self.learned() is not None:
            self.learner.save(path)
