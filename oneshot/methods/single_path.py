"""Single-path one-shot training (SPOS, arXiv 1904.00420): each step trains the paths that a sampler draws."""

from __future__ import annotations

from dataclasses import dataclass

from oneshot.methods.base import Method, Setup, Step
from oneshot.samplers.base import Sampler
from oneshot.space import Space


@dataclass(frozen=True)
class SinglePathSettings:
    """One loss for each architecture of the sampler's group; derives nothing."""

    def make(self, setup: Setup) -> SinglePath:
        return SinglePath(setup.space, setup.sampler)


class SinglePath(Method):
    """See `SinglePathSettings`."""

    def __init__(self, space: Space, sampler: Sampler) -> None:
        super().__init__(space)
        self.sampler = sampler

    def step(self, step: Step) -> None:
        assert self.sampler is not None
        for arch in self.sampler.draw(self.sampler.group, step.rng):
            gates = self.space.gates(arch)
            step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))
