"""MSG-DAS (Tan et al.): several paths at once that have no operation in common, each with a graph of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.base.bounds import check_least
from oneshot.gates import Gates, hard, mixture
from oneshot.methods.architecture import Differentiable, refuse_forbidden
from oneshot.methods.base import Setup, Step, Target
from oneshot.methods.gumbel import check_falling, perturbed, temperature_at, top_k
from oneshot.nn.dropblock import dropped
from oneshot.space import Space


@dataclass(frozen=True)
class MsgDasSettings:
    """Gumbel-TopK samples, DropBlock on identities, and a supernet that guides; Table 3 has each without the others.

    The paper gives neither the last drop rate nor the number of its steps and the side of the blocks; the side is that
    of DropBlock (arXiv 1810.12890).

    Args:
        graphs: paths of each half of a step (K; the paper searches with 2); 1 is GDAS's
        drop: share of what identities give that is dropped at the end of the training; 0 never drops
        drop_steps: that share grows from 0 in so many equal parts of the training
        drop_block: side of the squares that are dropped, in pixels
        guidance: lambda of equation 7 at the end of the training, to which it grows from 0; 0 is without guidance
        temperature: the first of the Gumbel softmax
        last_temperature: that of the end
        arch_learning_rate: Adam's, of the architecture parameters
        arch_weight_decay: Adam's
    """

    graphs: int = 2
    drop: float = 0.1
    drop_steps: int = 4
    drop_block: int = 7
    guidance: float = 1e-2
    temperature: float = 10.0
    last_temperature: float = 1.0
    arch_learning_rate: float = 3e-4
    arch_weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        check_least(self, graphs=1, drop=0, drop_steps=2, drop_block=1, guidance=0)
        check_least(self, arch_learning_rate=0, arch_weight_decay=0)
        check_falling(self)
        if self.drop >= 1:
            raise ValueError(f"drop must be at least 0 and below 1, got {self.drop}")

    def make(self, setup: Setup) -> MsgDas:
        refuse_forbidden("msg-das", setup)
        return MsgDas(setup.space, self)

    def drop_at(self, progress: float) -> float:
        """The share of what identities give that is dropped, at the finished share of the training."""
        return self.drop * min(math.floor(progress * self.drop_steps) / (self.drop_steps - 1), 1.0)

    def guidance_at(self, progress: float) -> float:
        return self.guidance * progress


class MsgDas(Differentiable):
    """See `MsgDasSettings`."""

    def __init__(self, space: Space, settings: MsgDasSettings | None = None) -> None:
        self.settings = settings or MsgDasSettings()
        fewest = min(space.decisions, key=lambda decision: len(decision.options))
        if self.settings.graphs > len(fewest.options):
            raise ValueError(
                f"graphs must be at most {len(fewest.options)}, the number of options of {fewest.name}, "
                f"got {self.settings.graphs}"
            )
        super().__init__(space, self.settings.arch_learning_rate, self.settings.arch_weight_decay)

    def step(self, step: Step) -> None:
        """Both halves add up the losses of their paths; the graph of one is freed before the next is made."""
        images, labels = step.held_out()
        drawn = [step.shared(torch.cat(one)) for one in self.sample(step.rng, step.progress)]
        gates = [hard(self.space, self._by_decision(one)) for one in drawn]
        self._learn(step, self.architecture, images, labels, gates, "valid_loss")
        step.update(self.architecture)
        with torch.no_grad():
            drawn = self.sample(step.rng, step.progress)
        gates = [self.space.gates(tuple(int(vector.argmax()) for vector in one)) for one in drawn]
        self._learn(step, step.weights, step.images, step.labels, gates, "loss")

    def sample(self, rng: np.random.Generator, progress: float) -> list[list[Tensor]]:
        """For each path a one-hot vector a decision, no two paths with the same option (Algorithm 1)."""
        temperature = temperature_at(self.settings, progress)
        each = [top_k(perturbed(alpha, rng, temperature), self.settings.graphs) for alpha in self.alphas]
        return [list(path) for path in zip(*each, strict=True)]

    def _learn(
        self, step: Step, target: Target, images: Tensor, labels: Tensor, each: Sequence[Gates], name: str
    ) -> None:
        weight, rate = self.settings.guidance_at(step.progress), self.settings.drop_at(step.progress)
        soft = self._guide(step, images) if weight else None
        seed = int(step.rng.integers(1 << 62)) if rate else 0

        def one(gates: Gates) -> None:
            """A function of its own, so that nothing holds what is left of the graph when the next is made."""
            logits = step.net(images, gates)
            loss = step.loss(logits, labels)
            if soft is not None:
                loss = loss + weight * cross_entropy(logits, soft)
            step.learn(target, loss, name)

        with dropped(step.module, rate, self.settings.drop_block, seed):
            for gates in each:
                one(gates)

    def _guide(self, step: Step, images: Tensor) -> Tensor:
        """What the supernet, the mixture of all options, takes the images for [B, classes]."""
        with step.still():
            return step.net(images, mixture(self.space, self.probabilities())).float().softmax(1)

    def _by_decision(self, flat: Tensor) -> Sequence[Tensor]:
        return flat.split([len(alpha) for alpha in self.alphas])


def cross_entropy(logits: Tensor, soft: Tensor) -> Tensor:
    """Of the network by soft labels [B, classes]: the second term of equation 7, which is to fall."""
    return -(soft * F.log_softmax(logits.float(), 1)).sum(1).mean()
