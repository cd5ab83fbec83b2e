"""SNAS (arXiv 1812.09926): a relaxed draw of every decision, learned with the weights in one round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from oneshot.base.bounds import check_least
from oneshot.gates import mixture
from oneshot.methods.architecture import Differentiable, refuse_forbidden
from oneshot.methods.base import Setup, Step
from oneshot.methods.gumbel import check_falling, perturbed, temperature_at
from oneshot.space import Space


@dataclass(frozen=True)
class SnasSettings:
    """A concrete draw of all options (equation 5), whose loss on training images moves weights and architecture.

    Args:
        temperature: the first (released setting: 1), falling linearly
        last_temperature: that of the end (released setting: 0.03)
        arch_learning_rate: Adam's, of the architecture parameters
        arch_weight_decay: Adam's
    """

    temperature: float = 1.0
    last_temperature: float = 0.03
    arch_learning_rate: float = 3e-4
    arch_weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        check_least(self, arch_learning_rate=0, arch_weight_decay=0)
        check_falling(self)

    def make(self, setup: Setup) -> Snas:
        refuse_forbidden("snas", setup)
        return Snas(setup.space, self)


class Snas(Differentiable):
    """See `SnasSettings`."""

    def __init__(self, space: Space, settings: SnasSettings | None = None) -> None:
        self.settings = settings or SnasSettings()
        super().__init__(space, self.settings.arch_learning_rate, self.settings.arch_weight_decay)

    def step(self, step: Step) -> None:
        gates = mixture(self.space, self.sample(step.rng, step.progress))
        step.learn([self.architecture, step.weights], step.loss(step.net(step.images, gates), step.labels))

    def sample(self, rng: np.random.Generator, progress: float) -> list[Tensor]:
        """How much each option of a decision weighs, one vector a decision, summing to 1."""
        temperature = temperature_at(self.settings, progress)
        return [perturbed(alpha, rng, temperature).softmax(0) for alpha in self.alphas]
