"""GDAS (arXiv 1910.04465): one option of each decision, drawn by Gumbel noise, whose gradient reaches all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oneshot.base.bounds import check_least
from oneshot.gates import hard
from oneshot.methods.architecture import Differentiable, refuse_forbidden
from oneshot.methods.base import Setup, Step
from oneshot.methods.gumbel import check_falling, one_hot, perturbed, temperature_at
from oneshot.space import Space


@dataclass(frozen=True)
class GdasSettings:
    """Hard samples of a Gumbel softmax (equations 3 to 5), its temperature falling linearly; drawn anew for each half.

    Args:
        temperature: the first (released setting: 10)
        last_temperature: that of the end (released setting: 0.1)
        arch_learning_rate: Adam's, of the architecture parameters
        arch_weight_decay: Adam's
    """

    temperature: float = 10.0
    last_temperature: float = 0.1
    arch_learning_rate: float = 3e-4
    arch_weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        check_least(self, arch_learning_rate=0, arch_weight_decay=0)
        check_falling(self)

    def make(self, setup: Setup) -> Gdas:
        refuse_forbidden("gdas", setup)
        return Gdas(setup.space, self)


class Gdas(Differentiable):
    """See `GdasSettings`."""

    def __init__(self, space: Space, settings: GdasSettings | None = None) -> None:
        self.settings = settings or GdasSettings()
        super().__init__(space, self.settings.arch_learning_rate, self.settings.arch_weight_decay)

    def step(self, step: Step) -> None:
        images, labels = step.held_out()
        gates = hard(self.space, self.sample(step.rng, step.progress))
        step.learn(self.architecture, step.loss(step.net(images, gates), labels), "valid_loss")
        step.update(self.architecture)
        with torch.no_grad():
            drawn = [sample.argmax() for sample in self.sample(step.rng, step.progress)]
        gates = self.space.gates(tuple(int(i) for i in drawn))
        step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))

    def sample(self, rng: np.random.Generator, progress: float) -> list[Tensor]:
        """One-hot vectors whose gradients are those of the softmax (equation 4), one a decision."""
        temperature = temperature_at(self.settings, progress)
        return [one_hot(perturbed(alpha, rng, temperature).softmax(0)) for alpha in self.alphas]
