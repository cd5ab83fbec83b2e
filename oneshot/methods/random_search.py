"""Random search with weight sharing (arXiv 1902.07638, section 3.2): the baseline of every search, at its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from oneshot.base.bounds import check_least
from oneshot.base.distributed import average
from oneshot.methods.base import Setup, Step
from oneshot.methods.phases import Phase
from oneshot.methods.single_path import SinglePath
from oneshot.samplers.base import Sampler
from oneshot.space import Arch, Space

if TYPE_CHECKING:
    from oneshot.training.recipe import Recipe

STREAM = 7
"""Of random numbers, for the candidates."""
FINALISTS = 0.1
"""The share of the candidates that is left at the end."""


@dataclass(frozen=True)
class RandomSearchSettings:
    """Single-path training, then a race of architectures that the run's sampler draws; derives the winner.

    Args:
        candidates: how many architectures race
        race_epochs: how many of the epochs, the last ones, only compare candidates on validation images
    """

    candidates: int = 100
    race_epochs: int = 1

    def __post_init__(self) -> None:
        check_least(self, candidates=1, race_epochs=1)

    def make(self, setup: Setup) -> RandomSearch:
        return RandomSearch(setup.space, setup.sampler, self, setup.seed)


class RandomSearch(SinglePath):
    """See `RandomSearchSettings`.

    A step of the race is a validation batch for one candidate: the least tried of those that are left, which are the
    best so far, by a number that falls evenly from all to a tenth.
    """

    candidates: torch.Tensor
    losses: torch.Tensor
    tries: torch.Tensor

    def __init__(
        self, space: Space, sampler: Sampler, settings: RandomSearchSettings | None = None, seed: int = 0
    ) -> None:
        super().__init__(space, sampler)
        self.settings = settings or RandomSearchSettings()
        archs = _different(sampler, self.settings.candidates, np.random.default_rng((seed, STREAM)))
        self.register_buffer("candidates", torch.tensor(archs))
        self.register_buffer("losses", torch.zeros(len(archs)))
        self.register_buffer("tries", torch.zeros(len(archs), dtype=torch.long))
        self._races = False

    def phases(self, recipe: Recipe) -> Sequence[Phase]:
        last = self.settings.race_epochs
        if recipe.epochs <= last:
            raise ValueError(f"race_epochs must be below the {recipe.epochs} epochs, got {last}")
        trained = replace(recipe, epochs=recipe.epochs - last)
        return [Phase("train", trained), Phase("race", replace(recipe, epochs=last, warmup_epochs=0.0))]

    def begin(self, phase: str) -> None:
        self._races = phase == "race"

    def step(self, step: Step) -> None:
        if not self._races:
            super().step(step)
            return
        images, labels = step.held_out()
        left = self.best(max(1, round(len(self.losses) * (1 - (1 - FINALISTS) * step.progress))))
        number = left[int(self.tries[left].argmin())]
        with step.still():
            loss = step.loss(step.net(images, self.space.gates(self.arch(number))), labels)
            step.learn((), loss)
            self.losses[number] += average(loss)
            self.tries[number] += 1

    def best(self, count: int) -> list[int]:
        """The candidates with the lowest mean losses, the best first; before them what was not tried yet."""
        means = torch.where(self.tries > 0, self.losses / self.tries.clamp_min(1), -torch.inf)
        return means.argsort(stable=True)[:count].tolist()

    def arch(self, number: int) -> Arch:
        return tuple(self.candidates[number].tolist())

    def derive(self) -> Arch | None:
        """The winner; None before the race."""
        tried = [number for number in self.best(len(self.tries)) if self.tries[number]]
        return self.arch(tried[0]) if tried else None

    def facts(self) -> dict[str, float]:
        tried = self.tries > 0
        return {"best_loss": float((self.losses / self.tries)[tried].min())} if tried.any() else {}


def _different(sampler: Sampler, count: int, rng: np.random.Generator) -> list[Arch]:
    """So many architectures, all different; fewer where a hundred draws a piece find no more."""
    found: dict[Arch, None] = {}
    for _ in range(100):
        found |= dict.fromkeys(sampler.draw(-(-count // sampler.group) * sampler.group, rng))
        if len(found) >= count:
            break
    return list(found)[:count]
