"""ProxylessNAS (arXiv 1812.00332): binary gates, two paths of each decision for a step of the architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oneshot.base.bounds import check_least
from oneshot.gates import Gates
from oneshot.methods.architecture import Differentiable, refuse_forbidden
from oneshot.methods.base import Setup, Step
from oneshot.methods.gumbel import noise
from oneshot.space import Space

PATHS = 2
BETAS = (0.0, 0.999)
"""Of Adam: a path that was not drawn has no gradient, and without momentum stays where it is (appendix)."""


@dataclass(frozen=True)
class ProxylessNasSettings:
    """One path drawn for the weights; for the architecture two, one of which is open (section 3.2.1, equation 4).

    Args:
        arch_learning_rate: Adam's, of the architecture parameters (released setting: 1e-3)
        arch_weight_decay: Adam's (released setting: 0)
    """

    arch_learning_rate: float = 1e-3
    arch_weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_least(self, arch_learning_rate=0, arch_weight_decay=0)

    def make(self, setup: Setup) -> ProxylessNas:
        refuse_forbidden("proxylessnas", setup)
        return ProxylessNas(setup.space, self)


class ProxylessNas(Differentiable):
    """See `ProxylessNasSettings`."""

    def __init__(self, space: Space, settings: ProxylessNasSettings | None = None) -> None:
        self.settings = settings or ProxylessNasSettings()
        super().__init__(space, self.settings.arch_learning_rate, self.settings.arch_weight_decay, BETAS)

    def step(self, step: Step) -> None:
        images, labels = step.held_out()
        paths = [drawn(alpha, min(PATHS, len(alpha)), step.rng) for alpha in self.alphas]
        is_open = [own[drawn(alpha[own], 1, step.rng)[0]] for alpha, own in zip(self.alphas, paths, strict=True)]
        before = [alpha.detach().clone() for alpha in self.alphas]
        gates = self.gates(paths, is_open)
        step.learn(self.architecture, step.loss(step.net(images, gates), labels), "valid_loss")
        step.update(self.architecture)
        self.rescale(before, paths)
        arch = tuple(drawn(alpha, 1, step.rng)[0] for alpha in self.alphas)
        step.learn(step.weights, step.loss(step.net(step.images, self.space.gates(arch)), step.labels))

    def gates(self, paths: Sequence[list[int]], is_open: Sequence[int]) -> Gates:
        """The drawn paths of each decision, 1 for the open one and 0 for the other, with equation 4's gradient.

        That is the gradient of the softmax over the drawn paths alone, which all others are left out of.
        """
        binary: list[dict[int, Tensor]] = []
        for alpha, own, active in zip(self.alphas, paths, is_open, strict=True):
            soft = alpha[own].softmax(0)
            weights = torch.eye(len(own)).to(soft)[own.index(active)] + (soft - soft.detach())
            binary.append(dict(zip(own, weights.unbind(), strict=True)))
        return tuple(
            tuple((option, binary[d][choice]) for d, choice, option in site if choice in binary[d])
            for site in self.space.wiring
        )

    @torch.no_grad()
    def rescale(self, before: Sequence[Tensor], paths: Sequence[list[int]]) -> None:
        """Shift the drawn paths' parameters so that all others are as likely as before the update (section 3.2.1)."""
        for alpha, old, own in zip(self.alphas, before, paths, strict=True):
            alpha[own] -= alpha[own].logsumexp(0) - old[own].logsumexp(0)


def drawn(logits: Tensor, count: int, rng: np.random.Generator) -> list[int]:
    """So many different options, one after another by the softmax over those that are left."""
    with torch.no_grad():
        return (logits.log_softmax(0) + noise(logits, rng)).topk(count).indices.tolist()
