"""DARTS (arXiv 1806.09055): a softmax mixture of all options, its logits trained on validation images."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from oneshot.base.bounds import check_least
from oneshot.gates import Gates, mixture
from oneshot.methods import bilevel
from oneshot.methods.architecture import Differentiable, refuse_forbidden
from oneshot.methods.base import Setup, Step
from oneshot.space import Space


@dataclass(frozen=True)
class DartsSettings:
    """Equation 2's mixture of all options; Algorithm 1 of first or second order.

    Args:
        order: first (xi = 0), second (equation 7 by finite differences, equation 8), or exact (by double backward)
        arch_learning_rate: Adam's, of the architecture parameters
        arch_weight_decay: Adam's
    """

    order: str = "first"
    arch_learning_rate: float = 3e-4
    arch_weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        check_least(self, arch_learning_rate=0, arch_weight_decay=0)
        bilevel.check_order(self.order)

    def make(self, setup: Setup) -> Darts:
        refuse_forbidden("darts", setup)
        return Darts(setup.space, self)


class Darts(Differentiable):
    """See `DartsSettings`; derives the strongest option of each decision that is no zero, or by the space's rule."""

    def __init__(self, space: Space, settings: DartsSettings | None = None) -> None:
        self.settings = settings or DartsSettings()
        super().__init__(space, self.settings.arch_learning_rate, self.settings.arch_weight_decay)

    def gates(self) -> Gates:
        return mixture(self.space, self.probabilities())

    def step(self, step: Step) -> None:
        self.learn(step)
        step.update(self.architecture)
        with torch.no_grad():
            gates = self.gates()
        step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))

    def learn(self, step: Step) -> None:
        """The architecture's half of a step."""
        bilevel.learn(self.settings.order, step, self.architecture, self.gates)
