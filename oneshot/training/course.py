"""The phases of a training, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oneshot.methods.phases import Phase


@dataclass(frozen=True)
class Course:
    """The phases of a training, one after the other."""

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("a training needs at least one phase, got none")

    @classmethod
    def of(cls, phases: Sequence[Phase]) -> Course:
        return cls(tuple(phases))

    @property
    def epochs(self) -> int:
        return sum(phase.recipe.epochs for phase in self.phases)

    def at(self, epoch: int) -> tuple[Phase, int]:
        """The phase of an epoch, which counts through all phases, and the epoch that the phase begins with."""
        first = 0
        for phase in self.phases:
            if epoch < first + phase.recipe.epochs:
                return phase, first
            first += phase.recipe.epochs
        raise IndexError(f"there are {self.epochs} epochs, {epoch} was asked for")
