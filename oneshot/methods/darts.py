"""DARTS (arXiv 1806.09055): a softmax mixture of all options, its logits trained on validation images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oneshot.base.bounds import check_least
from oneshot.gates import Gates, mixture
from oneshot.methods.architecture import Differentiable, refuse_forbidden
from oneshot.methods.base import Setup, Step
from oneshot.space import Space

ORDERS = ("first", "second", "exact")
RADIUS = 0.01
"""Of the finite difference, over the length of the gradient (section 2.3, footnote)."""


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
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {self.order!r}")

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
        {"first": self._first, "second": self._second, "exact": self._exact}[self.settings.order](step)
        step.update(self.architecture)
        with torch.no_grad():
            gates = self.gates()
        step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))

    def _first(self, step: Step) -> None:
        images, labels = step.held_out()
        step.learn(self.architecture, step.loss(step.net(images, self.gates()), labels), "valid_loss")

    def _second(self, step: Step) -> None:
        """Equations 7 and 8, the virtual step with the weights' own momentum and decay, as released."""
        images, labels = step.held_out()
        with torch.no_grad():
            fixed = self.gates()
        with step.virtual(step.loss(step.net(step.images, fixed), step.labels)):
            loss = step.loss(step.net(images, self.gates()), labels)
            found = step.gradients(loss, [*self.alphas, *step.weights.parameters])
        by_alpha, by_weight = found[: len(self.alphas)], found[len(self.alphas) :]
        length = torch.stack([g.norm() for g in by_weight if g is not None]).norm()
        radius = RADIUS / float(length)

        def at(by: float) -> list[Tensor | None]:
            with step.moved(by_weight, by):
                trained = step.loss(step.net(step.images, self.gates()), step.labels)
                return step.gradients(trained, list(self.alphas))

        ahead, behind = at(radius), at(-radius)
        pairs = zip(ahead, behind, strict=True)
        mixed = [None if a is None or b is None else (a - b) / (2 * radius) for a, b in pairs]
        step.give(self.architecture, _unrolled(by_alpha, mixed, step.weights.rate), loss, "valid_loss")

    def _exact(self, step: Step) -> None:
        """Equation 7 with nothing left out, through the virtual step itself."""
        images, labels = step.held_out()
        with step.differentiable():
            trained = step.loss(step.net(step.images, self.gates()), step.labels)
            gradients = step.gradients(trained, step.weights.parameters)
            loss = step.loss(step.net(images, self.gates(), at=step.weights.stepped(gradients)), labels)
            step.learn(self.architecture, loss, "valid_loss")


def _unrolled(direct: list[Tensor | None], mixed: list[Tensor | None], rate: float) -> list[Tensor | None]:
    pairs = zip(direct, mixed, strict=True)
    return [d if m is None else -rate * m if d is None else d - rate * m for d, m in pairs]
